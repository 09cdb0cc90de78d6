"""What a terminal shows of the monitor's answers; lists and tables are laid out as QEMU's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nicemu.core import Nic

__all__ = ["dump", "lines", "network", "nic", "nothing", "registers", "table", "usernet", "warning"]


def nothing(data: Any) -> str:
    """An answer that is only done."""
    return ""


def warning(data: Mapping[str, str]) -> str:
    """An answer that is done, with what had no effect."""
    return f"warning: {data['warning']}" if data else ""


def lines(data: Sequence[str]) -> str:
    """Lines."""
    return "\n".join(data)


def table(data: Mapping[str, int]) -> str:
    """Names and numbers."""
    return "\n".join(f"{name} {value}" for name, value in data.items())


# ------------------------------------------------------------------------------------------------- info network


def network(data: Mapping[str, Any]) -> str:
    """`info network`: hubs with their ports, then everything else, each card with its netdev below it."""
    shown: list[str] = []
    for hub in data["hubs"]:
        shown.append(f"hub {hub['id']}")
        for port in hub["ports"]:
            peer = port["peer"]
            shown.append(f" \\ {port['name']}" + (f": {_client(peer)}" if peer else ""))
            shown += _filters(peer or {})
    for client in data["clients"]:
        shown.append(_client(client))
        if "peer" in client:
            shown.append(f" \\ {_client(client['peer'])}")
        shown += _filters(client.get("peer", client))
    return "\n".join(shown)


def _client(client: Mapping[str, Any]) -> str:
    if client["type"] == "nic":
        link = "" if client["link"] else ",link=down"
        more = f",model={client['model']},macaddr={client['macaddr']}{link}"
    else:
        more = f",{client['details']}" if client["details"] else ""
    return f"{client['name']}: index=0,type={client['type']}{more}"


def _filters(client: Mapping[str, Any]) -> Iterator[str]:
    filters = client.get("filters", [])
    if filters:
        yield "filters:"
    for entry in filters:
        options = ",".join(f"{key}={value}" for key, value in entry.items() if key != "name")
        yield f"  - {entry['name']}: {options}"


def usernet(data: Sequence[Mapping[str, Any]]) -> str:
    """`info usernet`: the connections of each user network, as libslirp lists them."""
    found = []
    for entry in data:
        hub = -1 if entry["hub"] is None else entry["hub"]
        found.append(f"Hub {hub} ({entry['id']}):\n{entry['connections']}".rstrip())
    return "\n".join(found)


# ------------------------------------------------------------------------------------------------- info nic


def nic(data: Mapping[str, Any]) -> str:
    """`info nic`: everything of a card, section by section."""
    link = "up" if data["link"] else "down"
    sections = {
        "registers": lines(data["registers"]),
        "rings": "\n".join(_ring(name, ring) for name, ring in data["rings"].items()),
        "counters": table({name: value for name, value in data["counters"].items() if value}),
        "findings": table(data["findings"]) or "none",
    }
    shown = [f"{data['name']}: model={data['model']},macaddr={data['macaddr']},link={link}"]
    for title, text in sections.items():
        if text:
            shown += [f"{title}:", *(f"  {line}" for line in text.split("\n"))]
    return "\n".join(shown)


def _ring(name: str, ring: Mapping[str, int]) -> str:
    words = [f"{key}={value:#x}" if key == "address" else f"{key}={value}" for key, value in ring.items()]
    return f"{name}: {' '.join(words)}"


def registers(card: Nic) -> list[str]:
    """Registers that are not 0, decoded, without memories such as filter tables."""
    found = []
    for block in card.TABLES:
        for register in block:
            if register.count > 16 or register.cell or register.window:
                continue
            view = getattr(card.regs, register.name)
            for index in range(register.count):
                value = view[index].value
                if value:
                    words = register.describe(value)
                    found.append(
                        f"{register.element_name(index)} = {value:#0{2 + 2 * register.size}x} {words}".rstrip()
                    )
    return found


def dump(data: Mapping[str, Any]) -> str:
    """What ethtool has to be told of a dump."""
    return f"{data['file']}: {data['bytes']} bytes, driver {data['driver']}, version {data['version']:#010x}"
