"""What the authors of drivers for the 88E8057 learned the hard way: docs/yukon2-facts.md, section 7, one test each."""

from __future__ import annotations

import pytest
from yukon2_rig import (
    BROADCAST,
    EOP,
    MAC,
    MAC1,
    PEER,
    PHY1,
    RX_BUFFERS,
    SECOND,
    STAT_BMU,
    STATUS_LIST,
    SUMS,
    TX_BUFFERS,
    TX_LIST,
    Rig,
    close_rigs,
    ethernet,
)

import nicemu
from nicemu.devices.yukon2_descriptors import OWNER, Opcode, element
from nicemu.drivers.yukon2 import _hash
from nicemu.errors import ConfigurationError, SnapshotError

__all__ = ["close_rigs"]

FRAME = ethernet(MAC, PEER, size=100)


def test_1_elements_are_in_memory_before_the_index_moves_and_before_they_interrupt() -> None:
    rig = Rig()
    seen: list[tuple[int, int]] = []

    def look(level: bool) -> None:
        if level:
            put = rig["STAT_PUT_IDX"]
            seen.append((put, rig.ram[STATUS_LIST + 8 * (put - 1) + 7]))

    rig.nic._sink.irq = look
    rig["B0_IMSK"] = STAT_BMU
    rig.start_transmit()
    rig.send(ethernet())
    assert seen == [(1, OWNER | Opcode.TXINDEXLE)]


def test_2_and_5_nothing_speaks_of_a_second_port_or_an_error() -> None:
    rig = Rig()
    rig.start_transmit()
    rig.start_receive()
    rig.send(ethernet())
    rig.arrive(FRAME)
    assert rig.status() == [(Opcode.TXINDEXLE, 1, 0), (Opcode.RXSTAT, 100 << 16 | 0x100, 100)]  # link byte: `status`
    assert rig["B0_HWE_ISRC"] == 0
    rig.nic.bars[0].write(0x1D04, 0xFFFFFFFF, 4)
    assert rig.nic.bars[0].read(0x1D04, 4) == 0


def test_3_the_index_wraps_behind_the_last_element_of_a_list_of_384() -> None:
    rig = Rig()
    rig.start_transmit(count=384)
    reports = []
    for n in range(800):
        rig.send(ethernet(size=60 + n % 3))
        [(opcode, index, length)] = rig.status()
        assert (opcode, length) == (Opcode.TXINDEXLE, 0)
        reports.append(index)
    assert reports == [(n + 1) % 384 for n in range(800)]
    assert rig["STAT_TXA1_RIDX"] == rig["XA1_DONE"] == rig["XA1_PREF_GET_IDX"] == 800 % 384


def test_4_no_report_of_the_old_list_after_a_reset_and_the_status_index_goes_on() -> None:
    rig = Rig()
    rig["STAT_TX_IDX_TH"] = 10
    rig["STAT_TX_TIMER_INI"], rig["STAT_TX_TIMER_CTRL"] = 125_000, 4
    rig.start_transmit()
    rig.send(ethernet())
    assert rig.status() == []  # the timer runs
    rig["XA1_CSR"] = 0x11
    rig["XA1_PREF_CTRL"] = 1
    rig.clock.advance(SECOND)
    assert rig.status() == []
    assert rig["STAT_TXA1_RIDX"] == 0
    rig["STAT_TX_TIMER_CTRL"] = 2
    rig.start_transmit()
    rig.send(ethernet())
    assert rig.status() == [(Opcode.TXINDEXLE, 1, 0)]
    assert rig["STAT_PUT_IDX"] == 1
    rig.start_transmit()
    assert rig["STAT_PUT_IDX"] == 1
    rig["STAT_CTRL"] = 1
    assert rig["STAT_PUT_IDX"] == 0


def test_6_the_levels_that_tell_of_a_stopped_receiver_are_equal() -> None:
    rig = Rig()
    rig.start_receive()
    rig.arrive(FRAME)
    rig.nic.bars[0].write(0x828, 4, 1)
    assert rig.nic.bars[0].read(0x846, 1) == rig.nic.bars[0].read(0x84A, 1)


@pytest.mark.parametrize("profile", ["instant", "wire"])
def test_7_the_phy_interface_never_reads_ones(profile: str) -> None:
    rig = Rig(profile=profile)
    for address in range(32):
        rig["GM_SMI_CTRL"] = address << 11 | 2 << 6 | 0x20
        for _ in range(1000):
            control = rig["GM_SMI_CTRL"]
            assert control != 0xFFFF
            if control & 0x10:
                break
            rig.clock.advance(1000)
        assert control & 0x18 == 0x10
        assert rig["GM_SMI_DATA"] == (0xFFFF if address else 0x0141)
    assert rig.nic.finding_counts.keys() == {"yukon2.smi.bad-phy"}


def phy(rig: Rig, register: int, value: int | None = None) -> int:
    """Reads a PHY register, or writes it."""
    if value is not None:
        rig["GM_SMI_DATA"] = value
        rig["GM_SMI_CTRL"] = register << 6
        return value
    rig["GM_SMI_CTRL"] = register << 6 | 0x20
    return rig["GM_SMI_DATA"]


def test_8_and_21_the_phy_interrupt_follows_its_registers() -> None:
    rig = Rig()
    rig["B0_IMSK"] = PHY1
    phy(rig, 0, 0x9200)
    phy(rig, 18, 0x0800)  # what was latched before the mask came interrupts now (5.3)
    assert rig["B0_ISRC"] == PHY1
    assert rig.levels == [True]
    assert phy(rig, 19) & 0x0800
    assert rig["B0_ISRC"] == 0
    assert rig.levels == [True, False]
    assert phy(rig, 19) == 0
    phy(rig, 18, 0x6400)
    rig.nic.set_link(False)
    assert phy(rig, 19) & 0x0C00 == 0x0400, "a lost link is no completed negotiation"
    rig["GPHY_CTRL"] = 1
    rig["GPHY_CTRL"] = 2
    assert phy(rig, 18) == 0


def test_9_leaving_the_handler_sends_a_message_for_what_is_pending() -> None:
    rig = Rig()
    rig.nic.config.write(0x5E, 1, 2)
    rig["B0_IMSK"] = STAT_BMU
    rig.start_receive()
    rig.arrive(FRAME)
    assert rig.messages == 1
    assert rig["B0_Y2_SP_ISRC2"] == STAT_BMU
    assert rig["B0_Y2_SP_EISR"] == STAT_BMU  # within the handler it is still told
    rig.arrive(FRAME)
    assert rig.messages == 1
    rig["B0_Y2_SP_LISR"]
    assert rig.messages == 2
    rig["B0_Y2_SP_ISRC2"]
    rig["B0_Y2_SP_ICR"] = 2
    assert rig.messages == 3
    assert rig.levels == []


def test_10_nothing_is_pending_at_rest() -> None:
    rig = Rig()
    rig["B0_IMSK"] = 0xC000001D
    rig.start_transmit()
    rig.start_receive()
    rig.send(ethernet())
    rig.arrive(FRAME)
    rig.status()
    rig["STAT_CTRL"] = 0x10
    assert rig["B0_ISRC"] == 0


def test_11_an_element_that_nobody_saw_keeps_the_interrupt_up() -> None:
    rig = Rig()
    rig["B0_IMSK"] = STAT_BMU
    rig.start_receive()
    rig.arrive(FRAME)
    rig["B0_Y2_SP_ISRC2"]
    rig.status()
    rig.arrive(FRAME)  # between the driver's last look and what follows
    rig["STAT_CTRL"] = 0x10
    rig["B0_Y2_SP_ICR"] = 2
    assert rig["B0_ISRC"] == STAT_BMU
    assert rig.levels == [True, False, True]
    rig.status()
    rig["STAT_CTRL"] = 0x10
    assert rig["B0_ISRC"] == 0


def test_10_and_11_what_was_taken_before_its_timer_ran_out_does_not_interrupt() -> None:
    """sky2's poll takes an element that it finds, and clears STAT_BMU only where it found one."""
    rig = Rig()
    rig["STAT_ISR_TIMER_INI"], rig["STAT_ISR_TIMER_CTRL"], rig["STAT_FIFO_ISR_WM"] = 2500, 4, 16
    rig["B0_IMSK"] = STAT_BMU
    rig.start_receive()
    rig.arrive(FRAME)
    assert rig.status()
    rig["STAT_CTRL"] = 0x10
    rig.clock.advance(SECOND)
    assert (rig["B0_ISRC"], rig.levels) == (0, [])
    rig.arrive(FRAME)
    rig.clock.advance(20_000)
    assert (rig["B0_ISRC"], rig.levels) == (STAT_BMU, [True]), "the next frame interrupts when its own timer runs out"


@pytest.mark.parametrize("strip", [False, True])
def test_12_and_14_lengths_differ_by_a_stripped_tag_only(strip: bool) -> None:
    rig = Rig()
    rig.start_receive()
    rig["RX_GMF_CTRL"] = 1 << 24 + strip
    tagged = FRAME[:12] + bytes.fromhex("81002064") + FRAME[12:]
    rig.arrive(tagged)
    if strip:
        assert rig.status() == [(Opcode.RXVLAN, 0, 0x6420), (Opcode.RXSTAT, 104 << 16 | 0x2100, 100)]
        assert rig.ram[RX_BUFFERS : RX_BUFFERS + 100] == FRAME
    else:
        assert rig.status() == [(Opcode.RXSTAT, 104 << 16 | 0x100, 104)]
        assert rig.ram[RX_BUFFERS : RX_BUFFERS + 104] == tagged


def test_13_sums_come_while_asked_for() -> None:
    rig = Rig()
    rig.start_receive()
    rig.arrive(FRAME)
    rig["R1_CSR"] = 1 << 13
    rig.give(element(Opcode.TCPSTART, 14 << 16 | 14))
    rig.arrive(FRAME)
    rig["R1_CSR"] = 1 << 12
    rig.arrive(FRAME)
    opcodes = [opcode for opcode, _, _ in rig.status()]
    assert opcodes == [Opcode.RXSTAT, Opcode.RXCHKS, Opcode.RXSTAT, Opcode.RXSTAT]


def test_15_what_elements_say_outlives_the_frame() -> None:
    """A tag, a checksum's places, and the high half of addresses."""
    rig = Rig()
    high = bytearray(1 << 16)
    rig.memory.add(1 << 32, high)
    high[0x100:0x164] = ethernet(size=100)
    rig.start_transmit()
    rig["TX_GMF_CTRL"] = 1 << 25
    rig.put(element(Opcode.ADDR64, 1), element(Opcode.VLAN, 0, 0x6420))
    for _ in range(2):
        rig.put(element(Opcode.PACKET, 0x100, 100, EOP | 0x20))
    rig.put(element(Opcode.ADDR64, 0))
    rig.send(ethernet(size=70))
    assert rig["XA1_PREF_GET_IDX"] == 6
    tagged = ethernet(size=100)[:12] + bytes.fromhex("81002064") + ethernet(size=100)[12:]
    assert rig.take() == [tagged, tagged, ethernet(size=70)]


def test_15_a_checksum_and_a_segment_length_are_said_once() -> None:
    rig = Rig()
    rig.start_transmit()
    request = PEER + MAC + bytes.fromhex("080045000000123400004006" + "0000" + "0a0000010a000002")
    request += bytes.fromhex("0001000200000003000000045010ffff00000000") + bytes(200)
    for n in range(2):  # 54 bytes of headers, 200 in two frames
        at = rig.place(request, TX_BUFFERS + 0x1000 * n)
        before = () if n else (element(Opcode.LRGLEN, 154),)
        rig.put(*before, element(Opcode.LARGESEND, at, len(request), EOP))
    first, second = rig.take()[:2], rig.take()
    assert [len(frame) for frame in first] == [154, 154]
    assert second == []
    rig.put(element(Opcode.TCPLISW, 34 << 16 | 50, 0, 1))
    for size in (100, 101):
        rig.send(ethernet(size=size), SUMS)
    for frame in rig.take():
        words = frame[34:] + bytes(len(frame) % 2)
        total = sum(int.from_bytes(words[i : i + 2], "big") for i in range(0, len(words), 2))
        clear = int.from_bytes(ethernet(size=len(frame))[50:52], "big")
        assert (total + clear) % 0xFFFF == 0, "its own field was part of the sum"


def test_16_reception_without_a_list_loses_frames_and_nothing_else() -> None:
    rig = Rig()
    rig["GM_GP_CTRL"] = 0x1800
    before = bytes(rig.ram)
    rig.arrive(FRAME)
    assert bytes(rig.ram) == before
    rig.start_receive()
    rig.arrive(FRAME)
    assert [opcode for opcode, _, _ in rig.status()] == [Opcode.RXSTAT]


def test_17_dumps_and_odd_widths_are_harmless() -> None:
    """ethtool -d reads whole blocks, in 32 and 64 bits; drivers write registers in widths that are not theirs."""
    rig = Rig()
    rig.start_receive()
    bar = rig.nic.bars[0]
    for size in (4, 8):
        for offset in range(0, 0x4000, size):
            bar.read(offset, size)
    for offset, value, size in ((0x440, 0x600, 4), (0x6C0, 0x600, 4), (0xE08, 1, 4), (0xAA8, 5, 4), (0xC4C, 0x18FB, 4),
                                (0xC48, 8, 1), (0xD48, 8, 2), (0xF00, 2, 1), (0xF04, 2, 1)):  # fmt: skip
        bar.write(offset, value, size)
    rig["B0_IMSK"] = STAT_BMU
    rig.arrive(FRAME)
    assert rig.levels == [True], "a dump ends outside the handler"
    assert rig.status()


def test_18_and_19_one_link_and_an_address() -> None:
    rig = Rig()
    bar = rig.nic.bars[0]
    found = {offset: bar.read(offset, 1) for offset in (0x118, 0x119, 0x11A, 0x11B, 0x11C, 0x11E)}
    assert found == {0x118: 0x4A, 0x119: 0x54, 0x11A: 0x01, 0x11B: 0xBA, 0x11C: 0, 0x11E: 0x01}
    assert [bytes(bar.read(base + i, 1) for i in range(6)) for base in (0x100, 0x108)] == [MAC, MAC]
    rig["B0_CTST"] = 1
    assert bar.read(0x11B, 1) == 0xBA
    assert bar.read(0x100, 4) == int.from_bytes(MAC[:4], "little"), "the reset leaves the address"
    for i, byte in enumerate(BROADCAST):
        bar.write(0x100 + i, byte, 1)
    assert bar.read(0x100, 4) == 0xFFFFFFFF


def test_18_another_part_under_its_own_ids() -> None:
    rig = Rig(chip="88e8056")
    assert [rig.nic.bars[0].read(offset, 1) for offset in (0x11A, 0x11B, 0x11E)] == [0x31, 0xB4, 0x01]
    assert rig.nic.config.read(0, 4) == 0x436411AB
    assert b"88E8056" in rig.nic.vpd.contents
    rig.start_transmit()
    rig.start_receive()
    rig.send(ethernet())
    rig.arrive(FRAME)
    assert [opcode for opcode, _, _ in rig.status()] == [Opcode.TXINDEXLE, Opcode.RXSTAT]
    with nicemu.create("yukon2") as other, pytest.raises(SnapshotError, match="yukon2-88e8056"):
        other.load(rig.nic.save())
    with pytest.raises(ConfigurationError, match="expected one of 88e8057, 88e8056"):
        nicemu.create("yukon2", chip="88e8050")


def test_20_the_software_interrupt() -> None:
    rig = Rig()
    rig.nic.config.write(0x5E, 1, 2)
    rig["B0_IMSK"] = 1 << 25
    rig.nic.bars[0].write(4, 0x80, 1)
    assert rig.messages == 1
    assert rig["B0_Y2_SP_ISRC2"] == 1 << 25
    rig.nic.bars[0].write(4, 0x40, 1)
    rig["B0_Y2_SP_ICR"] = 2
    assert rig.messages == 1
    assert rig["B0_ISRC"] == 0


def test_22_a_phy_without_power_does_not_interrupt() -> None:
    rig = Rig()
    phy(rig, 18, 0xFFFF)
    phy(rig, 0, 0x0800)
    phy(rig, 19)
    rig.nic.set_link(False)
    rig.nic.set_link(True)
    assert rig["B0_ISRC"] == 0


def test_the_hash_of_group_addresses() -> None:
    """The driver's arithmetic against the vectors of 2.12, and the card against the driver."""
    vectors = {"01005e000001": 27, "0180c2000001": 57, "333300000001": 58, "01005e0000fb": 33, "3333ff123456": 11}
    for text, bit in vectors.items():
        group = bytes.fromhex(text)
        assert _hash(group) == bit
        rig = Rig()
        rig.start_receive()
        rig.arrive(ethernet(group, PEER))
        assert rig.status() == []
        rig["GM_MC_ADDR", bit // 16] = 1 << bit % 16
        rig.arrive(ethernet(group, PEER))
        [(opcode, word, _)] = rig.status()
        assert (opcode, word & 0xFFFF) == (Opcode.RXSTAT, 0x500)


def test_an_overrun_is_counted_and_raises_the_mac_interrupt() -> None:
    rig = Rig()
    rig["GMAC_IRQ_MSK"] = 0x0A
    rig["B0_IMSK"] = MAC1
    rig.start_receive(buffers=1)
    rig.arrive(FRAME, FRAME)
    assert rig.counter("RXE_FIFO_OV") == 1
    assert rig["B0_ISRC"] & MAC1
    assert rig["GMAC_IRQ_SRC"] == 2
    rig.nic.bars[0].write(0xC48, 0x20, 1)
    assert not rig["B0_ISRC"] & MAC1


def test_a_bad_element_stops_the_queue_until_its_interrupt_is_cleared() -> None:
    rig = Rig()
    rig["B0_IMSK"] = 1
    rig.start_transmit()
    rig.memory.write(TX_LIST, bytes(8))  # not the card's
    rig.tx_put = 1
    rig.send(ethernet())
    assert (rig.take(), rig["B0_ISRC"] & 1, rig.levels) == ([], 1, [True])
    rig["XA1_CSR"] = 0x400
    assert (rig.take(), rig["B0_ISRC"] & 1) == ([ethernet()], 0)
    assert rig.nic.finding_counts == {"yukon2.list.not-owned": 1}


def test_the_configuration_mirror_and_its_gate() -> None:
    rig = Rig()
    bar, config = rig.nic.bars[0], rig.nic.config
    assert bar.read(0x1C00, 4) == bar.read(0x380, 4) == config.read(0, 4) == 0x438011AB
    bar.write(0x1C40, 1 << 26, 4)
    assert config.read(0x40, 4) == 0
    assert rig.nic.finding_counts == {"yukon2.access.locked": 1}
    bar.write(0x158, 2, 1)
    bar.write(0x1C40, 1 << 26, 4)
    assert config.read(0x40, 4) == 1 << 26
    bar.write(0x158, 1, 1)
    bar.write(0x1C80, 5, 4)
    assert config.read(0x80, 4) == 5, "DEV_REG3 has no gate"


def test_the_io_window() -> None:
    nic = nicemu.create("yukon2")
    io = nic.bars[2]
    io.write(0, 2, 1)
    assert io.read(0x80 + 0x1B, 1) == 0xBA
    assert io.read(4, 1) == nic.bars[0].read(4, 1)
    nic.close()


def test_dma_errors_are_told_as_hardware_errors() -> None:
    rig = Rig()
    rig["B0_HWE_IMSK"] = 0x2E003F3F
    rig["B0_IMSK"] = 1 << 31
    rig.start_transmit()
    rig.put(element(Opcode.PACKET, 0xF000_0000, 100, EOP))
    assert rig["B0_HWE_ISRC"] == 1 << 26
    assert rig.levels == [True]
    rig.nic.bars[0].write(0x158, 2, 1)
    rig.nic.bars[0].write(0x1C06, 0xF910, 2)
    assert (rig["B0_HWE_ISRC"], rig["B0_ISRC"]) == (0, STAT_BMU)
