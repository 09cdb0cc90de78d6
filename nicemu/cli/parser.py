"""A parser of command lines that raises what is wrong."""

from __future__ import annotations

import argparse
from typing import NoReturn

from nicemu.errors import ConfigurationError

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """A parser that raises ConfigurationError instead of leaving the program."""

    def error(self, message: str) -> NoReturn:
        """Tells what is wrong in one line."""
        more = "; --help after the command lists options" if message.startswith("unrecognized") else ""
        raise ConfigurationError(message + more)
