"""A scripted station for backend tests: a Python backend that speaks ARP, DHCP, ICMP, UDP and a little TCP by dpkt."""

from __future__ import annotations

import time
from collections.abc import Callable

import dpkt

from nicemu.backends import Backend, Hub, PythonBackend

MAC = bytes.fromhex("525400123456")
BROADCAST = b"\xff" * 6
GUEST, GATEWAY, DNS = bytes([10, 0, 2, 15]), bytes([10, 0, 2, 2]), bytes([10, 0, 2, 3])


class Wire(PythonBackend):
    """Keeps what comes over the wire; `room` bounds how many frames it takes."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.room: int | None = None
        super().__init__()

    def send(self, frames: list[bytes]) -> int | None:
        taken = len(frames) if self.room is None else min(self.room, len(frames))
        self.received += frames[:taken]
        if self.room is not None:
            self.room -= taken
        return taken


class Station:
    """A guest at the far end of a hub from the backend under test."""

    def __init__(self, backend: Backend) -> None:
        self.wire = Wire()
        self.hub = Hub()
        self.hub.connect(self.wire)
        self.hub.connect(backend)
        self.gateway_mac = b""

    def close(self) -> None:
        self.hub.close()

    def turn(self) -> None:
        self.hub.turn()

    def wait(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        """Turns until the condition holds; a failure if it does not."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"nothing after {seconds} s; last frames: {self.wire.received[-3:]}"
            self.turn()
            time.sleep(0.0005)

    def frames(self) -> list[bytes]:
        """Takes what has arrived."""
        frames, self.wire.received[:] = list(self.wire.received), []
        return frames

    # ------------------------------------------------------------------ Ethernet and ARP

    def ethernet(self, payload: bytes, ethertype: int = dpkt.ethernet.ETH_TYPE_IP, to: bytes = b"") -> bytes:
        to = to or self.gateway_mac or BROADCAST
        return (to + MAC + ethertype.to_bytes(2, "big") + payload).ljust(60, b"\0")

    def put(self, *frames: bytes) -> None:
        assert self.wire.deliver(frames) == len(frames)

    def arp(self, target: bytes = GATEWAY) -> dpkt.arp.ARP:
        """Asks for an address; the answer."""
        request = dpkt.arp.ARP(sha=MAC, spa=GUEST, tpa=target)
        self.put(self.ethernet(bytes(request), dpkt.ethernet.ETH_TYPE_ARP, BROADCAST))
        answers: list[dpkt.arp.ARP] = []

        def answered() -> bool:
            answers.extend(
                p.data for p in map(dpkt.ethernet.Ethernet, self.frames()) if isinstance(p.data, dpkt.arp.ARP)
            )
            return any(a.op == dpkt.arp.ARP_OP_REPLY for a in answers)

        self.wait(answered)
        answer = next(a for a in answers if a.op == dpkt.arp.ARP_OP_REPLY)
        self.gateway_mac = bytes(answer.sha)
        return answer

    # ------------------------------------------------------------------ IP

    def ip(self, payload: dpkt.Packet, protocol: int, to: bytes, source: bytes = GUEST, **fields: int) -> bytes:
        packet = dpkt.ip.IP(src=source, dst=to, p=protocol, data=payload, ttl=64, **fields)
        packet.len = len(packet)
        return self.ethernet(bytes(packet))

    def packets(self) -> list[dpkt.ip.IP]:
        """The IP packets that have arrived."""
        frames = [dpkt.ethernet.Ethernet(f) for f in self.frames()]
        self.answer_arp(frames)
        return [f.data for f in frames if isinstance(f.data, dpkt.ip.IP)]

    def answer_arp(self, frames: list[dpkt.ethernet.Ethernet]) -> None:
        for frame in frames:
            if isinstance(frame.data, dpkt.arp.ARP) and frame.data.op == dpkt.arp.ARP_OP_REQUEST:
                reply = dpkt.arp.ARP(op=dpkt.arp.ARP_OP_REPLY, sha=MAC, spa=GUEST, tha=frame.src, tpa=frame.data.spa)
                self.put(self.ethernet(bytes(reply), dpkt.ethernet.ETH_TYPE_ARP, frame.src))

    def expect(self, want: Callable[[dpkt.ip.IP], bool], seconds: float = 30.0) -> dpkt.ip.IP:
        """Waits for a packet; others are thrown away."""
        found: list[dpkt.ip.IP] = []

        def arrived() -> bool:
            found.extend(p for p in self.packets() if want(p))
            return bool(found)

        self.wait(arrived, seconds)
        return found[0]

    def udp(self, to: bytes, port: int, data: bytes, source_port: int = 40000, source: bytes = GUEST) -> None:
        datagram = dpkt.udp.UDP(sport=source_port, dport=port, data=data)
        datagram.ulen = len(datagram)
        self.put(self.ip(datagram, dpkt.ip.IP_PROTO_UDP, to, source))

    def dhcp(self, message: int, **options: bytes) -> dpkt.dhcp.DHCP:
        """Sends a DHCP message; the answer."""
        request = dpkt.dhcp.DHCP(chaddr=MAC, xid=0x1234)
        request.opts = ((dpkt.dhcp.DHCP_OPT_MSGTYPE, bytes([message])), *((int(k[1:]), v) for k, v in options.items()))
        self.udp(b"\xff" * 4, 67, bytes(request), 68, bytes(4))
        answer = self.expect(lambda p: isinstance(p.data, dpkt.udp.UDP) and p.data.dport == 68)
        return dpkt.dhcp.DHCP(bytes(answer.data.data))

    def ping(self, to: bytes, data: bytes = b"nicemu", number: int = 1) -> bytes:
        """Echoes; the data of the reply."""
        echo = dpkt.icmp.ICMP(type=8, data=dpkt.icmp.ICMP.Echo(id=7, seq=number, data=data))
        self.put(self.ip(echo, dpkt.ip.IP_PROTO_ICMP, to))
        reply = self.expect(lambda p: isinstance(p.data, dpkt.icmp.ICMP) and p.data.type == 0)
        return bytes(reply.data.data.data)


class Connection:
    """A TCP connection of the station.  The wire loses nothing, so neither does this: no retransmission."""

    def __init__(self, station: Station, local: int, remote: bytes, port: int, window: int = 65535) -> None:
        self.station, self.local, self.remote, self.port, self.window = station, local, remote, port, window
        self.sequence, self.acknowledged = 1000, 0
        self.received = bytearray()
        self.peer_acknowledged = self.sequence
        self.finished = self.reset = False
        self.peer_window = 0

    def transmit(self, flags: int, data: bytes = b"", urgent: int = 0) -> None:
        segment = dpkt.tcp.TCP(
            sport=self.local, dport=self.port, seq=self.sequence, ack=self.acknowledged, flags=flags,
            win=self.window, urp=urgent, data=data,
        )  # fmt: skip
        self.station.put(self.station.ip(segment, dpkt.ip.IP_PROTO_TCP, self.remote))
        self.sequence += len(data) + bool(flags & (dpkt.tcp.TH_SYN | dpkt.tcp.TH_FIN))

    def take(self) -> bool:
        """Handles what has arrived; whether anything was new."""
        before = self.acknowledged, self.peer_acknowledged, self.finished, self.reset
        for packet in self.station.packets():
            segment = packet.data
            if not isinstance(segment, dpkt.tcp.TCP) or segment.dport != self.local:
                continue
            self.port = self.port or segment.sport
            self.take_segment(segment)
        changed = before != (self.acknowledged, self.peer_acknowledged, self.finished, self.reset)
        if self.acknowledged != before[0] and not self.reset:
            self.transmit(dpkt.tcp.TH_ACK)
        return changed

    def take_segment(self, segment: dpkt.tcp.TCP) -> None:
        self.reset |= bool(segment.flags & dpkt.tcp.TH_RST)
        self.peer_window = segment.win
        if segment.flags & dpkt.tcp.TH_ACK:
            self.peer_acknowledged = segment.ack
        if segment.flags & dpkt.tcp.TH_SYN:
            self.acknowledged = segment.seq + 1
        if segment.seq != self.acknowledged:
            return
        self.received += segment.data
        self.acknowledged += len(segment.data)
        if segment.flags & dpkt.tcp.TH_FIN:
            self.finished = True
            self.acknowledged += 1

    def connect(self) -> Connection:
        self.transmit(dpkt.tcp.TH_SYN)
        self.until(lambda: self.acknowledged or self.reset)
        return self

    def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        def step() -> bool:
            self.take()
            return bool(condition())

        self.station.wait(step, seconds)

    def send(self, data: bytes, urgent: int = 0) -> None:
        """Sends and waits until all is acknowledged, within the peer's window."""
        for at in range(0, len(data), 1460):
            self.until(lambda: self.sequence - self.peer_acknowledged + 1460 <= self.peer_window)
            flags = dpkt.tcp.TH_ACK | dpkt.tcp.TH_PUSH | (dpkt.tcp.TH_URG if urgent else 0)
            self.transmit(flags, data[at : at + 1460], urgent)
        self.until(lambda: self.peer_acknowledged >= self.sequence)
