"""A host on a raw wire: answers ARP and echo requests, untagged and in one VLAN, and speaks in others when told.

It is the far end for what the user network does not carry: 802.1Q tags and jumbo frames. It takes nothing for granted
about the card: a frame whose tag or checksum is wrong gets no answer.
"""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path
from types import TracebackType

MAC = bytes.fromhex("525400aabbcc")
VLAN = 5
TAG, ARP, IPV4 = 0x8100, 0x0806, 0x0800
PLAIN_ADDRESS, VLAN_ADDRESS = bytes((10, 0, 4, 2)), bytes((10, 0, 5, 2))


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
    """The answer to an ARP or echo request for the station's address, in the VLAN or without a tag; or None."""
    tag, address = b"", PLAIN_ADDRESS
    if frame[12:14] == struct.pack(">H", TAG):
        tag, address = frame[12:16], VLAN_ADDRESS
        if tag[2:] != struct.pack(">H", VLAN):
            return None
    kind, body = frame[12 + len(tag) : 14 + len(tag)], frame[14 + len(tag) :]
    answer = None
    if kind == struct.pack(">H", ARP):
        answer = reply_arp(body, address)
    elif kind == struct.pack(">H", IPV4):
        answer = reply_echo(body, address)
    return None if answer is None else frame[6:12] + MAC + tag + kind + answer


def reply_arp(body: bytes, address: bytes) -> bytes | None:
    """RFC 826: a request for the address is answered with MAC."""
    if len(body) < 28 or body[:8] != bytes((0, 1, 8, 0, 6, 4, 0, 1)) or body[24:28] != address:
        return None
    return body[:7] + b"\x02" + MAC + address + body[8:18] + bytes(18)


def reply_echo(body: bytes, address: bytes) -> bytes | None:
    """RFC 792: a whole and undamaged echo request is answered with what it holds."""
    if len(body) < 28 or body[0] != 0x45 or body[9] != 1 or body[16:20] != address:
        return None
    message = bytearray(body[20 : int.from_bytes(body[2:4], "big")])
    if message[0] != 8 or checksum(bytes(message)) or checksum(body[:20]):
        return None
    message[0] = 0
    message[2:4] = b"\0\0"
    message[2:4] = struct.pack(">H", checksum(bytes(message)))
    # Exchanging source and destination leaves the header's checksum as it is.
    return body[:12] + body[16:20] + body[12:16] + bytes(message)


def checksum(content: bytes) -> int:
    """The Internet checksum (RFC 1071) of a header without options or a whole ICMP message."""
    content += bytes(len(content) % 2)
    total: int = sum(struct.unpack(f">{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
