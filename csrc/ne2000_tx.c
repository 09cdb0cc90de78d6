/*
 * Transmission of the NE2000 family (8.0), and its loopback (12.0; National AN-937).
 */
#include "ne2000.h"

#include <string.h>

/* ------------------------------------------------------------------ the packet */

/*
 * The bytes from TPSR on, in one piece: in packet memory itself, or copied where they leave it or are swapped.
 * With `halved`, the byte of each word that loopback sees.
 */
static const uint8_t *gather(nic_device *device, uint32_t length, bool halved)
{
    ne2000 *card = ne2000_of(device);
    uint16_t address = (uint16_t)(ne2000_reg(device, NE2000_TPSR) << 8);
    uint32_t swap = ne2000_swaps(device);
    if (!swap && !halved && ne2000_is_ram(card, address) && length <= ne2000_ram_left(card, address))
        return ne2000_ram(card, address);
    for (uint32_t i = 0; i < length; i++)
        card->scratch[i] = ne2000_load(card, (uint16_t)(address + (halved ? 2 * i + !swap : i ^ swap)));
    return card->scratch;
}

static void check_packet(nic_device *device, uint32_t length)
{
    ne2000 *card = ne2000_of(device);
    uint16_t address = (uint16_t)(ne2000_reg(device, NE2000_TPSR) << 8);
    uint32_t data = length - (ne2000_reg(device, NE2000_TCR) & NE2000_TCR_CRC && length > NE2000_FCS ? NE2000_FCS : 0);
    if (data < NE2000_MIN && !ne2000_loops(device))
        nic_find(device, NE2000_FIND_TX_RUNT, length, 0);
    else if (data > NE2000_MAX + 4)
        nic_find(device, NE2000_FIND_TX_OVERSIZE, length, 0);
    if (!ne2000_is_ram(card, address) || length > ne2000_ram_left(card, address))
        nic_find(device, NE2000_FIND_TX_OUTSIDE_MEMORY, address, length);
    if (ne2000_loops(device) && ne2000_reg(device, NE2000_DCR) & NE2000_DCR_LS)
        nic_find(device, NE2000_FIND_LOOPBACK_NOT_SELECTED, ne2000_reg(device, NE2000_TCR),
                 ne2000_reg(device, NE2000_DCR));
}

/* ------------------------------------------------------------------ the end of a transmission */

static void finish(nic_device *device, uint32_t status)
{
    ne2000 *card = ne2000_of(device);
    bool given_up = status & (NE2000_TSR_ABT | NE2000_TSR_FU);
    if (ne2000_is_realtek(device)) /* its bit 5 says nothing (RTL8029AS 5.1.2.1) */
        status &= ~NE2000_TSR_FU;
    card->sending = NE2000_IDLE;
    device->cells[NE2000_CR] &= ~NE2000_CR_TXP;
    device->cells[NE2000_TSR] = status | (given_up ? 0 : NE2000_TSR_PTX) | card->tsr_ones;
    ne2000_cause(device, given_up ? NE2000_ISR_TXE : NE2000_ISR_PTX);
    if (card->stopping)
        ne2000_stopped(device);
    ne2000_interrupt(device);
}

/* ------------------------------------------------------------------ loopback (12.0) */

static void push(ne2000 *card, uint8_t byte) { card->fifo[card->fifo_write++ % NE2000_FIFO_BYTES] = byte; }

/* What the receiver makes of its own packet: it shares the CRC logic with the transmitter, so it checks or generates. */
static uint32_t judge(nic_device *device, const uint8_t *bytes, uint32_t length, uint32_t crc)
{
    bool group = false, recognized = ne2000_recognizes(device, bytes, &group);
    uint32_t status = group ? NE2000_RSR_PHY : 0;
    if (!recognized)
        return status | NE2000_RSR_PRX; /* no CRC error is seen in a packet for somebody else (AN-937 6.3) */
    if (!(ne2000_reg(device, NE2000_TCR) & NE2000_TCR_CRC))
        return status | NE2000_RSR_CRC; /* always, where the transmitter has the CRC logic (AN-937 6.1) */
    return status | (length >= NE2000_FCS && !memcmp(&bytes[length - NE2000_FCS], &crc, NE2000_FCS) ? NE2000_RSR_PRX
                                                                                                  : NE2000_RSR_CRC);
}

static void loop(nic_device *device, uint32_t length)
{
    ne2000 *card = ne2000_of(device);
    uint32_t mode = (ne2000_reg(device, NE2000_TCR) & NE2000_TCR_LB) >> NE2000_TCR_LB_SHIFT;
    bool inhibit = ne2000_reg(device, NE2000_TCR) & NE2000_TCR_CRC, words = ne2000_words(device);
    uint32_t n = words ? length / 2 : length;
    if (n > NIC_FRAME_MAX) /* jabber: cut off */
        n = 0;
    uint32_t data = inhibit && n > NE2000_FCS ? n - NE2000_FCS : n;
    const uint8_t *bytes = gather(device, n, words);
    uint32_t crc = nic_crc32(0, bytes, data);
    card->fifo_write = 0;
    if (n >= NE2000_FIFO_BYTES) { /* less is not seen as a packet */
        uint32_t status = judge(device, bytes, n, crc);
        bool all = !inhibit || !(status & NE2000_RSR_PRX) || ne2000_recognizes(device, bytes, &(bool){false});
        for (uint32_t i = 0; i < (all ? n : NE2000_FIFO_BYTES); i++)
            push(card, bytes[i]);
        for (uint32_t i = 0; i < NE2000_FCS && !inhibit; i++)
            push(card, (uint8_t)(crc >> (8 * i)));
        uint32_t received = n + (inhibit ? 0 : NE2000_FCS);
        push(card, (uint8_t)received);
        push(card, (uint8_t)(received >> 8));
        push(card, (uint8_t)(received >> 8)); /* the upper byte is copied once more (12.0) */
        device->cells[NE2000_RSR] = status | (ne2000_reg(device, NE2000_RSR) & NE2000_RSR_DIS);
        if (status & NE2000_RSR_CRC)
            ne2000_cause(device, NE2000_ISR_RXE);
    }
    /* Within the chip nobody gives carrier or heartbeat; through the encoder there is carrier (AN-937 6.1). */
    finish(device, mode == 1 ? NE2000_TSR_CDH | NE2000_TSR_CRS : mode == 2 ? NE2000_TSR_CDH : 0);
}

/* ------------------------------------------------------------------ to the wire */

/* Whether the wire took it. */
static bool to_wire(nic_device *device, uint32_t length)
{
    bool inhibit = ne2000_reg(device, NE2000_TCR) & NE2000_TCR_CRC;
    if (length > NIC_FRAME_MAX || length <= (inhibit ? NE2000_FCS : 0u)) { /* no frame, or jabber: cut off */
        device->port.counters.oversize += length > NIC_FRAME_MAX;
        return true;
    }
    const uint8_t *bytes = gather(device, length, false);
    uint32_t data = inhibit ? length - NE2000_FCS : length;
    struct iovec iov = {(void *)(uintptr_t)bytes, data};
    nic_frame frame = {&iov, 1, data, data < NE2000_MIN ? NIC_FRAME_SHORT : 0};
    uint32_t crc = inhibit ? nic_crc32(0, bytes, data) : 0;
    if (inhibit && memcmp(&bytes[data], &crc, NE2000_FCS))
        frame.flags |= NIC_FRAME_BAD_FCS;
    return nic_port_send(&device->port, &frame, 1) == 1;
}

/* Why a packet does not leave the chip whole (10.3 TSR), or 0. */
static uint32_t give_up(nic_device *device)
{
    if (ne2000_disturbed(device, NE2000_UNDERRUN))
        return NE2000_TSR_FU;
    if (!ne2000_full_duplex(device) && ne2000_disturbed(device, NE2000_EXCESSIVE_COLLISIONS))
        return NE2000_TSR_ABT | NE2000_TSR_COL; /* NCR is 0 then (10.3 NCR) */
    return 0;
}

/* What a packet met that was sent in the end: collisions are counted, and it is sent again after each (8.0). */
static uint32_t met(nic_device *device)
{
    uint32_t status = nic_link_up(device) ? 0 : NE2000_TSR_CRS, collisions = 0;
    if (ne2000_disturbed(device, NE2000_CARRIER_LOSS))
        status |= NE2000_TSR_CRS;
    if (ne2000_full_duplex(device))
        return status;
    if (ne2000_disturbed(device, NE2000_NO_HEARTBEAT))
        status |= NE2000_TSR_CDH;
    if (ne2000_disturbed(device, NE2000_LATE_COLLISION)) {
        status |= NE2000_TSR_OWC;
        collisions++;
    }
    collisions += ne2000_disturbed(device, NE2000_ONE_COLLISION);
    collisions += 2 * ne2000_disturbed(device, NE2000_MORE_COLLISIONS);
    device->cells[NE2000_NCR] = collisions;
    return status | (collisions ? NE2000_TSR_COL : 0);
}

static void deliver(nic_device *device)
{
    ne2000 *card = ne2000_of(device);
    uint32_t length = ne2000_pair(device, NE2000_TBCR0, NE2000_TBCR1);
    uint32_t mode = (ne2000_reg(device, NE2000_TCR) & NE2000_TCR_LB) >> NE2000_TCR_LB_SHIFT;
    if (mode == 0 || mode == 3) {
        uint32_t resets = device->resets, error = mode ? 0 : give_up(device);
        card->sending = NE2000_SENT_LATE;
        if (!error && (!to_wire(device, length) || device->resets != resets))
            return; /* it waits; or the answer to it was a reset */
        if (!mode) {
            finish(device, error ? error : met(device));
            return;
        }
    }
    loop(device, length);
}

/* How many collisions the next packet will meet; `met` and `give_up` use them up. */
static uint32_t collisions_ahead(nic_device *device)
{
    const uint32_t *disturb = ne2000_of(device)->disturb;
    if (ne2000_full_duplex(device) || ne2000_loops(device) || disturb[NE2000_UNDERRUN])
        return 0;
    if (disturb[NE2000_EXCESSIVE_COLLISIONS])
        return NE2000_ATTEMPTS;
    return !!disturb[NE2000_ONE_COLLISION] + 2 * !!disturb[NE2000_MORE_COLLISIONS] + !!disturb[NE2000_LATE_COLLISION];
}

/* Slot times that go by with collisions and the back-off after them; OFST draws longer ones after the first three. */
static uint64_t collided_slots(nic_device *device, uint32_t collisions)
{
    uint32_t offset = ne2000_reg(device, NE2000_TCR) & NE2000_TCR_OFST ? 3 : 0;
    uint64_t slots = 0;
    for (uint32_t n = 1; n <= collisions; n++) {
        uint32_t exponent = n <= 3 ? n + offset : n < NE2000_BACKOFF_MAX ? n : NE2000_BACKOFF_MAX;
        slots += 1 + (n < NE2000_ATTEMPTS ? nic_random(device) % (1u << exponent) : 0);
    }
    return slots;
}

static uint64_t wire_time(nic_device *device)
{
    uint32_t collisions = collisions_ahead(device);
    uint64_t bytes = NE2000_SLOT * collided_slots(device, collisions);
    if (collisions < NE2000_ATTEMPTS)
        bytes += ne2000_pair(device, NE2000_TBCR0, NE2000_TBCR1) + NE2000_OVERHEAD;
    if (collisions < NE2000_ATTEMPTS && !(ne2000_reg(device, NE2000_TCR) & NE2000_TCR_CRC))
        bytes += NE2000_FCS;
    if (device->profile == NIC_PROFILE_CHAOS) /* others are on the wire too */
        bytes += nic_random(device) % 4 * (NE2000_MAX + NE2000_OVERHEAD);
    return bytes * NE2000_BYTE_NS;
}

/*
 * Others before it, and the packet itself while it is sent: the transceiver gives back what is sent.  Nothing but sending
 * takes time on our wire; within the chip (loopback mode 1) there is no carrier, and full duplex does not look for it.
 */
bool ne2000_carrier(nic_device *device)
{
    bool inside = (ne2000_reg(device, NE2000_TCR) & NE2000_TCR_LB) >> NE2000_TCR_LB_SHIFT == 1;
    return ne2000_of(device)->sending == NE2000_ON_WIRE && nic_link_up(device) && !inside &&
           !ne2000_full_duplex(device);
}

void ne2000_transmit(nic_device *device)
{
    device->cells[NE2000_TSR] = device->cells[NE2000_NCR] = 0;
    ne2000_of(device)->sending = NE2000_WAITING;
    check_packet(device, ne2000_pair(device, NE2000_TBCR0, NE2000_TBCR1));
    nic_want_work(device, NIC_WORK_TRANSMIT);
}

void ne2000_send(nic_device *device)
{
    ne2000 *card = ne2000_of(device);
    if (card->sending == NE2000_WAITING && ne2000_started(device) && !card->silenced) {
        if (device->profile == NIC_PROFILE_INSTANT) {
            deliver(device);
        } else {
            card->sending = NE2000_ON_WIRE;
            nic_timer_set(device, NE2000_TIMER_WIRE, nic_now(device) + wire_time(device));
        }
    } else if (card->sending == NE2000_SENT_LATE) {
        deliver(device);
    }
}

void ne2000_wire_expired(nic_device *device)
{
    if (ne2000_of(device)->sending == NE2000_ON_WIRE)
        deliver(device);
}
