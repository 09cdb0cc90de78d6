"""A host on a raw wire: answers ARP and echo requests in one VLAN, and speaks in others when told to.

It is the far end for what the user network cannot carry, 802.1Q tags. It takes nothing for granted about the card: a
frame whose tag is missing or wrong gets no answer.
"""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path
from types import TracebackType

ADDRESS = bytes((10, 0, 5, 2))
MAC = bytes.fromhex("525400aabbcc")
VLAN = 5
TAG, ARP, IPV4 = 0x8100, 0x0806, 0x0800


class Station:
    """Listens on a Unix datagram socket in a thread, for a ``with`` block."""

    def __init__(self, local: Path, remote: Path) -> None:
        self.local = local
        self.remote = remote

    def __enter__(self) -> Station:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.local))
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def speak(self, vlan: int, count: int) -> None:
        """Send broadcasts in a VLAN."""
        frame = b"\xff" * 6 + MAC + struct.pack(">HHH", TAG, vlan, 0x88B5) + bytes(46)
        for _ in range(count):
            self._socket.sendto(frame, str(self.remote))

    def _listen(self) -> None:
        while True:
            try:
                frame = self._socket.recv(1 << 17)
            except OSError:
                return
            if not frame:
                return
            answer = reply(frame)
            if answer is not None:
                self._socket.sendto(answer, str(self.remote))


def reply(frame: bytes) -> bytes | None:
    """The answer to a tagged ARP or echo request for ADDRESS, or None."""
    if len(frame) < 18 or struct.unpack_from(">HH", frame, 12) != (TAG, VLAN):
        return None
    kind = struct.unpack_from(">H", frame, 16)[0]
    head = frame[6:12] + MAC + struct.pack(">HHH", TAG, VLAN, kind)
    body = frame[18:]
    if kind == ARP and len(body) >= 28 and body[:8] == bytes((0, 1, 8, 0, 6, 4, 0, 1)) and body[24:28] == ADDRESS:
        return head + body[:7] + b"\x02" + MAC + ADDRESS + body[8:18] + bytes(18)
    if kind == IPV4 and len(body) >= 28 and body[0] == 0x45 and body[9] == 1 and body[16:20] == ADDRESS:
        length = int.from_bytes(body[2:4], "big")
        message = bytearray(body[20:length])
        if message[0] != 8 or checksum(bytes(message)) or checksum(body[:20]):
            return None
        message[0] = 0
        message[2:4] = b"\0\0"
        message[2:4] = struct.pack(">H", checksum(bytes(message)))
        # Exchanging source and destination leaves the header's checksum as it is.
        return head + body[:12] + body[16:20] + body[12:16] + bytes(message)
    return None


def checksum(content: bytes) -> int:
    """The Internet checksum (RFC 1071) of a header without options or a whole ICMP message."""
    content += bytes(len(content) % 2)
    total: int = sum(struct.unpack(f">{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
