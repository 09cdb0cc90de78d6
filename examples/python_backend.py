"""A wire of your own: frames of a card go to another process, which answers ARP and ping, and come back.

    python examples/python_backend.py

A backend is a class with `send` (a batch leaves the card), `fileno` (what to watch) and `poll` (frames have come).
"""

from __future__ import annotations

import multiprocessing
import select
import socket

import nicemu
from nicemu.backends import PythonBackend
from nicemu.drivers import attach

FRAME_MAX = 16384
MAC, ADDRESS = bytes.fromhex("020000000001"), bytes([10, 0, 0, 1])


class Packets(PythonBackend):
    """A frame is a packet of a socket.  What the socket has no room for stays with the card until it has."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.end = end
        self.waiting = False  # for room in the socket
        self.lost = 0  # frames that the card had no room for
        super().__init__(name="packets")

    def fileno(self) -> int:
        """What the loop watches."""
        return self.end.fileno()

    def send(self, frames: list[bytes]) -> int:
        """Takes frames of the card, as many as there is room for."""
        for taken, frame in enumerate(frames):
            try:
                self.end.send(frame)
            except BlockingIOError:
                self.waiting = True
                self.watch(self.fileno(), select.EPOLLIN | select.EPOLLOUT)
                return taken
        return len(frames)

    def poll(self) -> None:
        """The socket has frames for the card, or room for more of its own."""
        arrived = []
        try:
            while frame := self.end.recv(FRAME_MAX):
                arrived.append(frame)
            self.watch(None)
            self.set_link(False)  # the other process is gone
        except BlockingIOError:
            pass
        self.lost += len(arrived) - self.deliver(arrived)
        if self.waiting:
            self.waiting = False
            self.watch(self.fileno())
            self.writable()


# ------------------------------------------------------------------------------------------------- the other process


def checksum(data: bytes) -> bytes:
    """RFC 1071."""
    total = sum(int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, len(data), 2))
    total = (total & 0xFFFF) + (total >> 16)
    return (~(total + (total >> 16)) & 0xFFFF).to_bytes(2, "big")


def answer(frame: bytes) -> bytes | None:
    """What a station at ADDRESS says to a frame."""
    asker = frame[6:12]
    if frame[12:22] == bytes.fromhex("08060001080006040001") and frame[38:42] == ADDRESS:  # ARP: who has it?
        return asker + MAC + frame[12:20] + b"\0\x02" + MAC + ADDRESS + frame[22:32]
    if frame[12:15] == b"\x08\0\x45" and frame[23] == 1 and frame[30:35] == ADDRESS + b"\x08":  # ICMP: echo
        end = 14 + int.from_bytes(frame[16:18], "big")
        echo = b"\0\0\0\0" + frame[38:end]
        echo = echo[:2] + checksum(echo) + echo[4:]
        return asker + MAC + frame[12:26] + ADDRESS + frame[26:30] + echo
    return None


def station(end: socket.socket) -> None:
    """Answers until the card's side hangs up."""
    while frame := end.recv(FRAME_MAX):
        reply = answer(frame)
        if reply:
            end.send(reply)


# ------------------------------------------------------------------------------------------------- the card's side


def ask(loop: nicemu.Loop, driver: object, frame: bytes) -> bytes:
    """Sends a frame; the next that comes."""
    driver.send(frame.ljust(60, b"\0"))
    while True:
        loop.turn(1.0)
        for received in driver.receive():
            return received.data


def main() -> None:
    """Asks who has 10.0.0.1, and pings it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    other = multiprocessing.get_context("fork").Process(target=lambda: (ours.close(), station(theirs)))
    other.start()
    theirs.close()
    loop = nicemu.Loop()
    with (
        Packets(ours) as wire,
        nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), loop=loop, backend=wire) as nic,
    ):
        driver = attach(nic)
        driver.start()
        driver.wait(driver.link_up, "link")
        me, mine = driver.mac, bytes([10, 0, 0, 2])
        arp = bytes.fromhex("0806000108000604") + b"\0\x01" + me + mine + bytes(6) + ADDRESS
        reply = ask(loop, driver, b"\xff" * 6 + me + arp)
        print("10.0.0.1 is at", reply[22:28].hex(":"))
        echo = b"\x08\0\0\0\0\x07\0\x01nicemu"
        echo = echo[:2] + checksum(echo) + echo[4:]
        head = (
            bytes.fromhex("4500")
            + (20 + len(echo)).to_bytes(2, "big")
            + bytes.fromhex("0000000040010000")
            + mine
            + ADDRESS
        )
        head = head[:10] + checksum(head) + head[12:]
        reply = ask(loop, driver, reply[6:12] + me + b"\x08\0" + head + echo)
        print("it echoes", reply[42:48].decode())
    ours.close()
    other.join()


if __name__ == "__main__":
    main()
