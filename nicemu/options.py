"""Options as QEMU writes them: `e1000,mac=52:54:00:12:34:56`, `user,hostfwd=tcp::2222-:22`.

Parts are separated by commas; a comma that belongs to a value is doubled.  The first part is a bare word, the model or
type; a bare word later switches a flag on.  `help` or `?` in place of a part asks what there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nicemu.errors import ConfigurationError

if TYPE_CHECKING:
    from nicemu.backends.base import Kind
    from nicemu.core import Nic

__all__ = ["Option", "Options", "backend_help", "model_arguments", "model_help", "options_help", "parse"]

HELP_WORDS = ("help", "?")


@dataclass(frozen=True)
class Options:
    """A parsed option list: the word in front, the values of each name, and whether help was asked for."""

    word: str
    values: Mapping[str, Sequence[str]]
    help: bool = False


@dataclass(frozen=True)
class Option:
    """An option of a model or a backend, as the command line and `create` know it.

    kind:      what a value looks like: `str`, `int`, `bool`, `file`, `dir`, `addr`, `addr/len`, `rule` or `netdev`.
    parameter: the Python parameter; empty where it is the name with `_` for `-`.
    many:      may be given more than once.
    required:  must be given.
    """

    name: str
    kind: str
    doc: str
    default: str = ""
    parameter: str = ""
    many: bool = False
    required: bool = False

    @property
    def keyword(self) -> str:
        """The Python parameter."""
        return self.parameter or self.name.replace("-", "_")

    def read(self, values: Sequence[Any]) -> Any:
        """The Python value; ConfigurationError for a form that is not this option's."""
        if self.many:
            return list(values)
        if len(values) > 1:
            raise ConfigurationError(f"option {self.name} is given {len(values)} times; expected once")
        value = values[0]
        if self.kind == "int" and isinstance(value, str):
            return _number(self.name, value)
        if self.kind != "bool" or isinstance(value, bool):
            return value
        if value in ("on", "yes", "true", "y"):
            return True
        if value in ("off", "no", "false", "n"):
            return False
        raise ConfigurationError(f"{self.name}={value} is not a switch; expected on or off")


#: What every model takes besides its own options.
COMMON = (
    Option("mac", "str", "Ethernet 6-byte MAC Address, example: 52:54:00:12:34:56", "52:54:00:12:34:56"),
    Option("id", "str", "name in messages and in the monitor", "the model", "name"),
    Option("profile", "str", "instant (work is done in the doorbell), wire (data sheet times) or chaos", "instant"),
    Option("overflow", "str", "a frame that finds the ring full: drop (silicon) or hold (lossless)", "by netdev"),
    Option("romfile", "file", "expansion ROM, such as iPXE's for this card", "none"),
    Option("seed", "int", "fills what the data sheet leaves undefined, and drives chaos", "0"),
)


def parse(text: str) -> Options:
    """The parts of an option list; ConfigurationError for a part without a name."""
    word, *parts = (part.replace("\0", ",") for part in text.replace(",,", "\0").split(","))
    values: dict[str, list[str]] = {}
    asks = word in HELP_WORDS
    for part in parts:
        name, equals, value = part.partition("=")
        if part in HELP_WORDS:
            asks = True
        elif not name:
            raise ConfigurationError(f"{text!r} has an empty option; expected name=value between commas")
        else:
            values.setdefault(name, []).append(value if equals else "on")
    return Options("" if word in HELP_WORDS else word, values, asks)


def model_arguments(model: type[Nic], options: Options) -> dict[str, Any]:
    """The keyword arguments of a model; ConfigurationError, naming what is valid, for what it does not know."""
    known = {option.name: option for option in _known(model)}
    arguments: dict[str, Any] = {}
    for name, values in options.values.items():
        if name not in known:
            raise ConfigurationError(f"{options.word} has no option {name!r}; expected one of: {', '.join(known)}")
        arguments[known[name].keyword] = known[name].read(values)
    return arguments


def _known(model: type[Nic]) -> list[Option]:
    common = [option for option in COMMON if model.FUNCTION or option.name != "romfile"]  # an ISA board has no ROM BAR
    return [*common, *model.OPTIONS]


def _number(name: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ConfigurationError(f"{name}={text}; expected a number") from None


def _line(name: str, kind: str, doc: str, default: str, many: bool = False) -> str:
    notes = "; ".join(["may be repeated"] * many + [f"default: {default}"] * bool(default))
    return f"  {f'{name}=<{kind}>':<25} - {doc}{f' ({notes})' if notes else ''}"


def model_help(model: type[Nic]) -> str:
    """A model's options, one a line, in QEMU's layout."""
    return "\n".join(_line(o.name, o.kind, o.doc, o.default) for o in _known(model))


def backend_help(kind: Kind) -> str:
    """The options of a netdev or an object, one a line, in QEMU's layout."""
    named = Option("id", "str", "name in messages and in the monitor", f"{kind.name}.0")
    return options_help((named, *kind.known))


def options_help(options: Sequence[Option]) -> str:
    """Options, one a line, in QEMU's layout."""
    forms = {"bool": "on|off", "netdev": "id"}
    return "\n".join(_line(o.name, forms.get(o.kind, o.kind), o.doc, o.default, o.many) for o in options)
