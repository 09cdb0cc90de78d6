"""A static L2TPv3 session (RFC 3931): a header and a frame in each datagram, over UDP or IP."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from nicemu.backends.addresses import Address, packed, port_number, resolve, show
from nicemu.backends.base import Backend, BackendType
from nicemu.engine import ffi, lib
from nicemu.errors import BackendError, ConfigurationError
from nicemu.options import Option

__all__ = ["TYPES", "L2tpv3", "L2tpv3Counters"]

IPPROTO_L2TP = 115
OFFSET_MAX = 256


@dataclass(frozen=True)
class L2tpv3Counters:
    """Packets that were refused (`receive_drops` too); all since the backend was made."""

    #: Too short, or no data message.
    bad_header: int
    bad_session: int
    bad_cookie: int


class L2tpv3(Backend):
    """One end of a static L2TPv3 session, as QEMU's netdev l2tpv3 and the kernel's `ip l2tp` pseudowires have it.

    `src` and `dst` are hosts; `udp` takes `srcport` and `dstport`, without it the packets are IP protocol 115 (needs
    CAP_NET_RAW).  `txsession` stands in what is sent, `rxsession` (the same where it is not given) in what is heard, as
    do `txcookie` and `rxcookie`, of 8 bytes with `cookie64`, else of 4.  `counter` puts a sequence number behind them,
    `pincounter` one that stays 0.  `offset` bytes, at most 256, come before the frame.

    Raises BackendError if an address cannot be had, ConfigurationError for a wrong option.
    """

    kind = "l2tpv3"
    lossless = True

    def __init__(
        self,
        *,
        src: str,
        dst: str,
        txsession: int,
        rxsession: int | None = None,
        srcport: str | int = "",
        dstport: str | int = "",
        ipv6: bool = False,
        udp: bool = False,
        cookie64: bool = False,
        counter: bool = False,
        pincounter: bool = False,
        txcookie: int | None = None,
        rxcookie: int | None = None,
        offset: int = 0,
        name: str = "",
    ) -> None:
        if (txcookie is None) != (rxcookie is None):
            raise ConfigurationError("l2tpv3: one of txcookie and rxcookie is missing; expected both or neither")
        if not 0 <= offset <= OFFSET_MAX:
            raise ConfigurationError(f"offset={offset} is out of range; expected 0 to {OFFSET_MAX} bytes")
        if udp and "" in (srcport, dstport):
            raise ConfigurationError("l2tpv3: udp needs srcport and dstport")
        bits = 64 if cookie64 else 32
        tunnel = ffi.new(
            "nic_l2tpv3_config *",
            {
                "udp": udp,
                "ipv6": ipv6,
                "cookie": txcookie is not None,
                "cookie64": cookie64,
                "counter": counter or pincounter,
                "pincounter": pincounter,
                "tx_session": _number("txsession", txsession, 32),
                "rx_session": _number("rxsession", txsession if rxsession is None else rxsession, 32),
                "tx_cookie": _number("txcookie", txcookie or 0, bits),
                "rx_cookie": _number("rxcookie", rxcookie or 0, bits),
                "offset": offset,
            },
        )
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        ports = [port_number(o, p) if udp else 0 for o, p in (("srcport", srcport), ("dstport", dstport))]
        near = resolve(src, ports[0], socket.SOCK_DGRAM, passive=True, family=family)[0][1]
        far = resolve(dst, ports[1], socket.SOCK_DGRAM, family=family)[0][1]
        #: Where its packets come from and go to, for people.
        self.address = f"{show(near)} to {show(far)}"
        to = ffi.from_buffer(packed(family, far))
        end = _open(family, udp, near)
        config = ffi.new(
            "nic_dgram_config *", {"receive_fd": end.detach(), "send_fd": -1, "to": to, "to_length": len(to)}
        )
        failure = ffi.new("int *")
        handle = lib.nic_l2tpv3_new(config, tunnel, failure)
        if handle == ffi.NULL:
            raise BackendError(failure[0], f"cannot make a wire of the socket: {os.strerror(failure[0])}")
        super().__init__(handle, name)

    @property
    def details(self) -> str:
        """Its addresses."""
        return self.address

    @property
    def l2tpv3_counters(self) -> L2tpv3Counters:
        """A reading of the counters that only this backend has."""
        c = lib.nic_l2tpv3_get_counters(self.handle)
        return L2tpv3Counters(c.bad_header, c.bad_session, c.bad_cookie)


def _number(option: str, value: int, bits: int) -> int:
    if not 0 <= value < 1 << bits:
        raise ConfigurationError(f"{option}={value:#x} is out of range; expected a number of {bits} bits")
    return value


def _open(family: int, udp: bool, near: Address) -> socket.socket:
    try:
        end = socket.socket(family, socket.SOCK_DGRAM) if udp else socket.socket(family, socket.SOCK_RAW, IPPROTO_L2TP)
    except PermissionError as error:
        raise BackendError(
            error.errno, "cannot send IP protocol 115 without CAP_NET_RAW; expected it, or udp"
        ) from None
    try:
        end.bind(near)
    except OSError as error:
        end.close()
        raise BackendError(error.errno, f"cannot bind to {show(near)}: {error.strerror}") from None
    return end


_OPTIONS = (
    Option("src", "addr", "the address to send from", required=True),
    Option("dst", "addr", "the address to send to", required=True),
    Option("srcport", "int", "with udp: the port to send from"),
    Option("dstport", "int", "with udp: the port to send to"),
    Option("ipv6", "bool", "the addresses are IPv6", "off"),
    Option("udp", "bool", "over UDP, not over IP", "off"),
    Option("cookie64", "bool", "cookies have 8 bytes, not 4", "off"),
    Option("counter", "bool", "a sequence number in each packet", "off"),
    Option("pincounter", "bool", "a sequence number that stays 0", "off"),
    Option("txcookie", "int", "the cookie in what is sent"),
    Option("rxcookie", "int", "the cookie in what is heard"),
    Option("txsession", "int", "the session in what is sent", required=True),
    Option("rxsession", "int", "the session in what is heard", "txsession"),
    Option("offset", "int", "bytes between header and frame", "0"),
)

TYPES = (BackendType("l2tpv3", "a static L2TPv3 session, over UDP or IP", _OPTIONS, L2tpv3),)
