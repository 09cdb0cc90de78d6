/*
 * RTL8139, transmit in C mode: four descriptors that are registers, used in strict order (DS 5.2).
 */
#include "rtl8139.h"

enum { DESCRIPTORS = 4, ALIGNMENT = 4 };

/* While a wire owes word that it can take more, it is left alone. */
bool rtl8139_may_send(nic_device *device)
{
    const nic_backend *backend = device->port.backend;
    if (backend && backend->blocked)
        return false;
    return rtl8139_reg(device, RTL8139_CR) & RTL8139_CR_TE && !(rtl8139_reg(device, RTL8139_MSR) & RTL8139_MSR_RXPF);
}

/* ------------------------------------------------------------------ registers */

static void check(nic_device *device, uint32_t index, uint32_t tsd)
{
    const rtl8139 *card = rtl8139_of(device);
    uint32_t size = tsd & RTL8139_TSD_SIZE;
    uint32_t expected = (card->next + (uint32_t)__builtin_popcount(card->given)) % DESCRIPTORS;
    if (card->given >> index & 1)
        nic_find(device, RTL8139_FIND_TX_BUSY, index, tsd);
    else if (index != expected)
        nic_find(device, RTL8139_FIND_TX_ORDER, index, expected);
    if (rtl8139_reg(device, RTL8139_TSAD0 + index) % ALIGNMENT)
        nic_find(device, RTL8139_FIND_TX_UNALIGNED, rtl8139_reg(device, RTL8139_TSAD0 + index), index);
    if (size > RTL8139_SEND_MAX)
        nic_find(device, RTL8139_FIND_TX_TOO_LONG, size, index);
    if (!size)
        nic_find(device, RTL8139_FIND_TX_LENGTH_ZERO, index, 0);
    else if (size < RTL8139_MIN)
        nic_find(device, RTL8139_FIND_TX_RUNT, size, index);
}

/* The status of the last packet goes; OWN 0 hands the buffer to the chip. */
void rtl8139_write_tsd(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    uint32_t *cell = &device->cells[RTL8139_TSD + access->index];
    *cell &= RTL8139_TSD_SIZE | RTL8139_TSD_ERTXTH | RTL8139_TSD_OWN;
    if (!(access->enable & RTL8139_TSD_OWN) || *cell & RTL8139_TSD_OWN)
        return;
    if (!(rtl8139_reg(device, RTL8139_CR) & RTL8139_CR_TE)) {
        nic_find(device, RTL8139_FIND_TX_DISABLED, access->index, rtl8139_reg(device, RTL8139_CR));
        return;
    }
    check(device, access->index, *cell);
    rtl8139_of(device)->given |= (uint8_t)(1u << access->index);
    nic_want_work(device, NIC_WORK_TRANSMIT);
}

/* DS 5.17: four bits of each descriptor. */
uint32_t rtl8139_read_tsad(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < DESCRIPTORS; i++) {
        uint32_t tsd = rtl8139_reg(device, RTL8139_TSD + i);
        value |= (tsd & RTL8139_TSD_OWN ? 1u << i : 0) | (tsd & RTL8139_TSD_TABT ? 1u << (4 + i) : 0) |
                 (tsd & RTL8139_TSD_TUN ? 1u << (8 + i) : 0) | (tsd & RTL8139_TSD_TOK ? 1u << (12 + i) : 0);
    }
    return value;
}

/* ------------------------------------------------------------------ what a wire does to packets (DS 5.2) */

/* In full duplex nothing collides, and there is no carrier to be lost. */
static bool shares_wire(nic_device *device)
{
    const rtl8139 *card = rtl8139_of(device);
    return card->link_up && !card->full_duplex && !rtl8139_loops(device);
}

bool rtl8139_gives_up(nic_device *device)
{
    rtl8139 *card = rtl8139_of(device);
    uint32_t *left = &card->disturb[RTL8139_EXCESSIVE_COLLISIONS];
    return *left && shares_wire(device) && nic_disturbed(left);
}

/* A packet that collides out of window is sent again, as after any collision (RTL8019AS, TSR.OWC: the same MAC). */
uint32_t rtl8139_met(nic_device *device)
{
    uint32_t *left = rtl8139_of(device)->disturb, met = 0, collisions;
    if (nic_disturbed(&left[RTL8139_UNDERRUN]))
        met |= RTL8139_TSD_TUN;
    if (!shares_wire(device))
        return met;
    collisions = nic_disturbed(&left[RTL8139_ONE_COLLISION]);
    collisions += 2u * nic_disturbed(&left[RTL8139_MORE_COLLISIONS]);
    if (nic_disturbed(&left[RTL8139_LATE_COLLISION])) {
        met |= RTL8139_TSD_OWC;
        collisions++;
    }
    if (nic_disturbed(&left[RTL8139_CARRIER_LOSS]))
        met |= RTL8139_TSD_CRS;
    if (rtl8139_reg(device, RTL8139_MSR) & RTL8139_MSR_SPEED_10 &&
        rtl8139_reg(device, RTL8139_CSCR) & RTL8139_CSCR_HEARTBEAT && nic_disturbed(&left[RTL8139_NO_HEARTBEAT]))
        met |= RTL8139_TSD_CDH;
    return met | collisions << RTL8139_TSD_NCC_SHIFT;
}

/* C+, DTCCR: errors are an abort, a lost carrier, an underrun and a collision out of window. */
void rtl8139_count_met(rtl8139 *card, uint32_t tsd)
{
    rtl8139_tally *tally = &card->tally;
    uint32_t collisions = (tsd & RTL8139_TSD_NCC) >> RTL8139_TSD_NCC_SHIFT;
    if (NIC_UNLIKELY(tsd & (RTL8139_TSD_TABT | RTL8139_TSD_CRS | RTL8139_TSD_TUN | RTL8139_TSD_OWC))) {
        tally->tx_err++;
        tally->tx_abort += (tsd & RTL8139_TSD_TABT) != 0;
        tally->tx_underrun += (tsd & RTL8139_TSD_TUN) != 0;
        return;
    }
    tally->tx_ok++;
    tally->tx_one_collision += collisions == 1;
    tally->tx_collisions += collisions > 1;
}

/* ------------------------------------------------------------------ packets */

/* A descriptor's turn is over: the next is, unless it had come back to it. */
static void pass(rtl8139 *card, uint32_t index)
{
    if (card->again) {
        card->again = false;
        return;
    }
    card->given &= (uint8_t)~(1u << index);
    card->next = (uint8_t)((index + 1) % DESCRIPTORS);
}

/* A packet that met an underrun was sent nevertheless: TOK in ISR and not in TSD.  TER is for what was given up. */
static void finish(nic_device *device, uint32_t index, uint32_t status)
{
    rtl8139 *card = rtl8139_of(device);
    uint32_t *tsd = &device->cells[RTL8139_TSD + index];
    *tsd = (*tsd & (RTL8139_TSD_SIZE | RTL8139_TSD_ERTXTH)) | RTL8139_TSD_OWN | status;
    if (!(status & (RTL8139_TSD_TABT | RTL8139_TSD_TUN)))
        *tsd |= RTL8139_TSD_TOK;
    pass(card, index);
    if (NIC_LIKELY(!status))
        card->tally.tx_ok++;
    else
        rtl8139_count_met(card, status);
    card->aborted = status & RTL8139_TSD_TABT;
    rtl8139_cause(device, card->aborted ? RTL8139_ISR_TER : RTL8139_ISR_TOK);
}

/* The packet in one piece, or NULL after a bus error. */
static const uint8_t *fetch(nic_device *device, uint32_t index, uint32_t size)
{
    uint64_t address = rtl8139_reg(device, RTL8139_TSAD0 + index);
    const uint8_t *bytes = nic_dma_map(device, address, size, false);
    if (NIC_LIKELY(bytes != NULL))
        return bytes;
    uint8_t *copy = rtl8139_of(device)->linear;
    return nic_dma_read(device, address, copy, size) ? copy : NULL;
}

/* With TCR.CRC the driver's data end with an FCS of its own. */
static nic_frame frame_of(const nic_device *device, struct iovec *iov, const uint8_t *bytes, uint32_t size)
{
    nic_frame frame = {iov, 1, size, 0};
    *iov = (struct iovec){(void *)(uintptr_t)bytes, size};
    if (rtl8139_reg(device, RTL8139_TCR) & RTL8139_TCR_CRC && size > RTL8139_FCS) {
        const uint8_t *fcs = bytes + size - RTL8139_FCS;
        frame.length = (uint32_t)(iov->iov_len = size - RTL8139_FCS);
        if (nic_crc32_iov(iov, 1) != (fcs[0] | (uint32_t)fcs[1] << 8 | (uint32_t)fcs[2] << 16 | (uint32_t)fcs[3] << 24))
            frame.flags |= NIC_FRAME_BAD_FCS;
    }
    if (frame.length < RTL8139_MIN) /* there is no automatic padding */
        frame.flags |= NIC_FRAME_SHORT;
    return frame;
}

/* Returns false if the packet has to wait. */
static bool send(nic_device *device, const nic_frame *frame, uint32_t *status)
{
    rtl8139 *card = rtl8139_of(device);
    if (rtl8139_loops(device)) {
        rtl8139_receive_looped(device, frame, 1);
        return true;
    }
    if (NIC_UNLIKELY(!card->link_up)) {
        nic_find(device, RTL8139_FIND_TX_LINK_DOWN, card->next, 0);
        device->port.counters.link_down++;
        *status = RTL8139_TSD_CRS;
        return true;
    }
    return nic_port_send(&device->port, frame, 1);
}

/* Sends the packet of a descriptor; returns false if that has to wait. */
static bool send_from(nic_device *device, uint32_t index)
{
    rtl8139 *card = rtl8139_of(device);
    uint32_t resets = device->resets, status = 0;
    uint32_t size = rtl8139_reg(device, RTL8139_TSD + index) & RTL8139_TSD_SIZE;
    struct iovec iov;
    if (rtl8139_paced(device, size))
        return false;
    if (size) {
        const uint8_t *bytes = fetch(device, index, size);
        if (device->resets != resets)
            return false;
        if (!bytes) {
            if (device->bus_master) { /* the transfer is over; the chip never gives the descriptor back */
                card->given &= (uint8_t)~(1u << index);
                card->again = false;
                rtl8139_system_error(device);
            }
            return false;
        }
        nic_frame frame = frame_of(device, &iov, bytes, size);
        if (rtl8139_disturbed(card) && rtl8139_gives_up(device)) {
            finish(device, index, RTL8139_TSD_TABT | RTL8139_TSD_NCC);
            return true;
        }
        bool sent = send(device, &frame, &status);
        if (device->resets != resets)
            return false;
        if (!sent) {
            card->slot = true; /* its time on the wire is over */
            return false;
        }
    }
    if (rtl8139_disturbed(card))
        status |= rtl8139_met(device);
    finish(device, index, status);
    return true;
}

/* Sends the packet again that was given up, unless the driver has put another in its place; false: it has to wait, or was
 * given up again. */
static bool send_again(nic_device *device)
{
    rtl8139 *card = rtl8139_of(device);
    uint32_t last = (card->next + DESCRIPTORS - 1u) % DESCRIPTORS;
    if (card->given >> last & 1)
        card->again = false;
    return !card->again || (send_from(device, last) && !card->aborted);
}

void rtl8139_transmit(nic_device *device)
{
    if (!rtl8139_may_send(device))
        return;
    if (rtl8139_cplus_transmit(device)) {
        rtl8139_cplus_rings(device);
        return;
    }
    rtl8139 *card = rtl8139_of(device);
    if (NIC_UNLIKELY(card->aborted || (card->again && !send_again(device))))
        return;
    for (uint32_t left = DESCRIPTORS; card->given >> card->next & 1; left--) {
        if (!left) {
            nic_want_work(device, NIC_WORK_TRANSMIT);
            return;
        }
        if (!send_from(device, card->next) || card->aborted)
            return;
    }
}
