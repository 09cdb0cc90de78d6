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

/* ------------------------------------------------------------------ packets */

static void finish(nic_device *device, uint32_t status)
{
    rtl8139 *card = rtl8139_of(device);
    uint32_t index = card->next;
    device->cells[RTL8139_TSD + index] |= RTL8139_TSD_OWN | RTL8139_TSD_TOK | status;
    card->given &= (uint8_t)~(1u << index);
    card->next = (uint8_t)((index + 1) % DESCRIPTORS);
    card->tally.tx_ok++;
    rtl8139_cause(device, RTL8139_ISR_TOK);
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

/* Sends the packet whose turn it is; returns false if that has to wait. */
static bool send_next(nic_device *device)
{
    rtl8139 *card = rtl8139_of(device);
    uint32_t index = card->next, resets = device->resets, status = 0;
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
                rtl8139_system_error(device);
            }
            return false;
        }
        nic_frame frame = frame_of(device, &iov, bytes, size);
        bool sent = send(device, &frame, &status);
        if (device->resets != resets)
            return false;
        if (!sent) {
            card->slot = true; /* its time on the wire is over */
            return false;
        }
    }
    finish(device, status);
    return true;
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
    for (uint32_t left = DESCRIPTORS; card->given >> card->next & 1; left--) {
        if (!left) {
            nic_want_work(device, NIC_WORK_TRANSMIT);
            return;
        }
        if (!send_next(device))
            return;
    }
}
