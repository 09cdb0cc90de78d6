"""The monitor: commands on a live network, in QEMU's words, at a terminal, at Unix sockets, and from Python.

>>> monitor = Monitor(network)
>>> print(monitor.line("info network"))
>>> monitor.execute("set_link", {"name": "e0", "up": False})
"""

from __future__ import annotations

from nicemu.monitor.commands import Monitor
from nicemu.monitor.server import MonitorServer

__all__ = ["Monitor", "MonitorServer"]
