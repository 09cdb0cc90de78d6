"""A live card in one process: the reference driver on an e1000, joined to the user-mode network.

It gets a DHCP lease, finds the gateway, pings it ten times, and shows what the card counted; a capture of all frames is
left in live_card.pcapng.  Run it with `python examples/live_card.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import nicemu
from nicemu.backends import Pcap, User
from nicemu.drivers import Driver, attach, wire

Answer = TypeVar("Answer")


def await_frame(driver: Driver, what: str, wanted: Callable[[bytes], Answer | None]) -> Answer:
    """What `wanted` makes of the first frame for which it is not None."""
    answers: list[Answer] = []

    def came() -> bool:
        answers.extend(a for f in driver.receive() if (a := wanted(f.data)) is not None)
        return bool(answers)

    driver.wait(came, what)
    return answers[0]


def main() -> None:
    """Brings the card up, gets an address, pings."""
    memory = nicemu.GuestMemory(16 << 20)
    nic = nicemu.create("e1000", memory=memory, backend=Pcap(User(), "live_card.pcapng", format="pcapng"))
    driver = attach(nic)
    driver.start()
    driver.wait(driver.link_up, "link")
    print(f"{nic!r}: link is up, {nic.regs.STATUS!r}")

    driver.send(wire.dhcp_message(driver.mac, 1))
    offer = await_frame(driver, "DHCP offer", lambda data: wire.dhcp_answer(data, 1))
    driver.send(wire.dhcp_message(driver.mac, 1, offer))
    lease = await_frame(driver, "DHCP acknowledgement", lambda data: wire.dhcp_answer(data, 1))
    gateway = lease.router or lease.server
    print(f"DHCP: {lease.address} from {lease.server}")

    driver.send(wire.arp_request(driver.mac, lease.address, gateway))
    address = await_frame(driver, "ARP reply", lambda data: wire.arp_reply_address(data, gateway))
    print(f"ARP: {gateway} is at {address.hex(':')}")

    for sequence in range(10):
        echo = wire.echo_request(0x6E69, sequence, bytes(range(56)))
        packet = wire.ipv4(lease.address, gateway, wire.ICMP, echo)
        begin = time.perf_counter_ns()
        driver.send(wire.ethernet(address, driver.mac, wire.IPV4, packet))
        await_frame(driver, "echo reply", lambda data, echo=echo: wire.is_echo_reply(data, echo) or None)
        print(f"ping {gateway}: seq={sequence} time={(time.perf_counter_ns() - begin) / 1000:.0f} µs")

    print("counters:", ", ".join(f"{name} {value}" for name, value in nic.counters.items() if value))
    print("findings:", [str(finding) for finding in nic.findings] or "none")
    nic.close()


if __name__ == "__main__":
    main()
