/*
 * 82540EM, what transmit and receive share: FIFOs, interrupts and timers, flow control, register hooks, resets and
 * snapshots (8254x SDM 13.4, 8.7, 13.8, 14.7).  The rest of the card (EEPROM, PHY, link, power) is in
 * nicemu/devices/e1000.py.
 */
#include "e1000.h"

/* ------------------------------------------------------------------ FIFOs in the packet buffer memory (13.8) */

static uint8_t *packet_buffer(nic_device *device) { return (uint8_t *)&device->cells[E1000_PBM]; }

/* The diagnostic registers show offsets in quadwords. */
static void show(nic_device *device, const e1000_fifo *fifo)
{
    bool transmit = fifo == &e1000_of(device)->tx.fifo;
    uint32_t tail = fifo->size ? (fifo->head + fifo->used) % fifo->size : 0;
    device->cells[transmit ? E1000_TDFH : E1000_RDFH] = fifo->head / 8;
    device->cells[transmit ? E1000_TDFT : E1000_RDFT] = tail / 8;
    device->cells[transmit ? E1000_TDFPC : E1000_RDFPC] = fifo->frames;
}

void e1000_fifo_place(nic_device *device, e1000_fifo *fifo, bool transmit)
{
    uint32_t receive = (e1000_reg(device, E1000_PBA) & E1000_PBA_RXA) * 1024;
    if (receive > E1000_PBM_BYTES)
        receive = E1000_PBM_BYTES;
    uint32_t base = transmit ? receive : 0, size = transmit ? E1000_PBM_BYTES - receive : receive;
    if (NIC_LIKELY(fifo->frames || (fifo->base == base && fifo->size == size)))
        return;
    *fifo = (e1000_fifo){.base = base, .size = size};
}

/* Copies into the ring at `at` bytes behind the head. */
static void put(nic_device *device, const e1000_fifo *fifo, uint32_t at, const void *data, uint32_t length)
{
    uint8_t *memory = packet_buffer(device) + fifo->base;
    uint32_t to = (fifo->head + at) % fifo->size, part = fifo->size - to < length ? fifo->size - to : length;
    memcpy(memory + to, data, part);
    memcpy(memory, (const uint8_t *)data + part, length - part);
}

bool e1000_fifo_push(nic_device *device, e1000_fifo *fifo, const nic_frame *frame, e1000_record record)
{
    uint32_t need = e1000_fifo_bytes(record.length), at = fifo->used + (uint32_t)sizeof(record), left = record.length;
    if (need > fifo->size - fifo->used)
        return false;
    put(device, fifo, fifo->used, &record, sizeof(record));
    for (uint32_t i = 0; i < frame->iovcnt && left; i++) {
        uint32_t part = frame->iov[i].iov_len < left ? (uint32_t)frame->iov[i].iov_len : left;
        put(device, fifo, at, frame->iov[i].iov_base, part);
        at += part;
        left -= part;
    }
    fifo->used += need;
    fifo->frames++;
    show(device, fifo);
    return true;
}

static void clear_fifo(nic_device *device, e1000_fifo *fifo)
{
    fifo->used = fifo->frames = 0;
    show(device, fifo);
}

bool e1000_fifo_next(nic_device *device, e1000_fifo *fifo, uint32_t *at, struct iovec iov[2], e1000_record *record)
{
    uint8_t *memory = packet_buffer(device) + fifo->base;
    if (*at >= fifo->used)
        return false;
    memcpy(record, memory + (fifo->head + *at) % fifo->size, sizeof(*record)); /* eight bytes aligned: never cut */
    uint32_t need = e1000_fifo_bytes(record->length);
    if (!record->length || need > fifo->used - *at) { /* the guest wrote over it: packet boundaries are lost */
        clear_fifo(device, fifo);
        return false;
    }
    uint32_t from = (fifo->head + *at + (uint32_t)sizeof(*record)) % fifo->size;
    uint32_t part = fifo->size - from < record->length ? fifo->size - from : record->length;
    iov[0] = (struct iovec){memory + from, part};
    iov[1] = (struct iovec){memory, record->length - part};
    *at += need;
    return true;
}

void e1000_fifo_pop(nic_device *device, e1000_fifo *fifo)
{
    struct iovec iov[2];
    e1000_record record;
    uint32_t at = 0;
    if (!e1000_fifo_next(device, fifo, &at, iov, &record))
        return;
    fifo->head = (fifo->head + at) % fifo->size;
    fifo->used -= at;
    fifo->frames--;
    if (!fifo->frames || !fifo->used)
        fifo->frames = fifo->used = 0;
    show(device, fifo);
}

/* ------------------------------------------------------------------ interrupts (13.4.17-21) */

void e1000_interrupt(nic_device *device)
{
    e1000 *card = e1000_of(device);
    if (!(e1000_reg(device, E1000_ICR) & e1000_reg(device, E1000_IMS))) {
        if (nic_timer_armed(device, E1000_TIMER_ITR))
            nic_timer_stop(device, E1000_TIMER_ITR);
        nic_interrupt_set(device, false);
        return;
    }
    if (device->interrupt.level)
        return;
    uint64_t interval = (uint64_t)(e1000_reg(device, E1000_ITR) & E1000_ITR_INTERVAL) * E1000_THROTTLE_NS;
    if (interval) {
        uint64_t now = nic_now(device);
        if (card->asserted != NIC_NEVER && now < card->asserted + interval) {
            nic_timer_set(device, E1000_TIMER_ITR, card->asserted + interval);
            return;
        }
        card->asserted = now;
    }
    nic_interrupt_set(device, true);
}

void e1000_cause(nic_device *device, uint32_t causes)
{
    device->cells[E1000_ICR] |= causes;
    e1000_interrupt(device);
}

/* One delay of a pair has run out: the other stops (13.4.31, 13.4.44). */
static void transmit_delay_expired(nic_device *device)
{
    nic_timer_stop(device, E1000_TIMER_TIDV);
    nic_timer_stop(device, E1000_TIMER_TADV);
    e1000_transmit_write_back(device);
    e1000_cause(device, E1000_ICR_TXDW);
}

static void receive_delay_expired(nic_device *device)
{
    nic_timer_stop(device, E1000_TIMER_RDTR);
    nic_timer_stop(device, E1000_TIMER_RADV);
    e1000_receive_write_back(device);
    e1000_cause(device, E1000_ICR_RXT0);
}

/* ------------------------------------------------------------------ time on the bus and on the wire */

static uint64_t bit_time(const nic_device *device)
{
    static const uint8_t ns[4] = {100, 10, 1, 1}; /* 10, 100, 1000 Mb/s */
    return ns[(e1000_reg(device, E1000_STATUS) & E1000_STATUS_SPEED) >> E1000_STATUS_SPEED_SHIFT];
}

uint64_t e1000_wire_time(const nic_device *device, uint32_t bytes)
{
    enum { PREAMBLE = 8, GAP = 12, SPACING_NS = 8 };
    uint64_t byte = 8 * bit_time(device), gap = GAP * byte;
    uint64_t spacing = (uint64_t)(e1000_reg(device, E1000_AIFS) & 0xffff) * SPACING_NS;
    return (PREAMBLE + bytes + E1000_FCS) * byte + (spacing > gap ? spacing : gap);
}

/* 32 bits at 33 or 66 MHz, with the clocks that arbitration and the address take; chaos adds any delay. */
uint64_t e1000_bus_time(nic_device *device, uint32_t bytes)
{
    enum { OVERHEAD = 16, CHAOS_NS = 100000 };
    uint64_t clock = e1000_reg(device, E1000_STATUS) & E1000_STATUS_PCI66 ? 15 : 30;
    uint64_t time = (OVERHEAD + (bytes + 3) / 4) * clock;
    return device->profile == NIC_PROFILE_CHAOS ? time + nic_random(device) % CHAOS_NS : time;
}

static void fetch_expired(nic_device *device) { nic_want_work(device, E1000_WORK_FETCH); }
static void store_expired(nic_device *device) { nic_want_work(device, E1000_WORK_STORE); }

/* ------------------------------------------------------------------ flow control (8.7) */

enum { PAUSE_OPCODE = 1, SLOT_BITS = 512 };

static void resume(nic_device *device)
{
    device->cells[E1000_STATUS] &= ~E1000_STATUS_TXOFF;
    nic_timer_stop(device, E1000_TIMER_PAUSE);
    nic_want_work(device, NIC_WORK_TRANSMIT);
}

void e1000_paused(nic_device *device, uint32_t quanta)
{
    if (!e1000_full_duplex(device))
        return;
    if (!quanta) {
        resume(device);
        return;
    }
    device->cells[E1000_STATUS] |= E1000_STATUS_TXOFF;
    nic_timer_set(device, E1000_TIMER_PAUSE, nic_now(device) + quanta * SLOT_BITS * bit_time(device));
}

/* Goes out at once, ahead of what waits and whether or not transmission is paused (IEEE 802.3, 31B.3.1). */
static void send_pause(nic_device *device, uint32_t quanta)
{
    e1000 *card = e1000_of(device);
    uint8_t bytes[E1000_MIN] = {0};
    uint64_t station = e1000_reg(device, E1000_RAL) | (uint64_t)e1000_reg(device, E1000_RAH) << 32;
    uint64_t group = e1000_reg(device, E1000_FCAL) | (uint64_t)e1000_reg(device, E1000_FCAH) << 32;
    struct iovec iov = {bytes, sizeof(bytes)};
    card->pause_owed = E1000_PAUSE_NONE;
    if (!(e1000_reg(device, E1000_TCTL) & E1000_TCTL_EN) || !e1000_full_duplex(device) || !e1000_linked(device) ||
        e1000_loops(device))
        return;
    memcpy(bytes, &group, 6);
    memcpy(bytes + 6, &station, 6);
    nic_put16(bytes + 12, (uint16_t)e1000_reg(device, E1000_FCT));
    nic_put16(bytes + 14, PAUSE_OPCODE);
    nic_put16(bytes + 16, (uint16_t)quanta);
    if (!nic_port_send(&device->port, &(nic_frame){&iov, 1, sizeof(bytes), 0}, 1)) {
        card->pause_owed = quanta ? E1000_PAUSE_XOFF : E1000_PAUSE_XON;
        return;
    }
    nic_count32(&device->cells[quanta ? E1000_XOFFTXC : E1000_XONTXC], 1);
    nic_count32(&device->cells[E1000_TPT], 1);
    nic_count64(&device->cells[E1000_TOTL], sizeof(bytes) + E1000_FCS);
}

static uint32_t pause_time(const nic_device *device) { return e1000_reg(device, E1000_FCTTV) & E1000_FCTTV_TTV; }

/* What is held back before the FIFO counts as its contents: it is there for want of room. */
static uint32_t fullness(nic_device *device)
{
    const nic_queue *inbound = &device->port.inbound;
    return e1000_of(device)->rx.fifo.used + (inbound->tail - inbound->head);
}

void e1000_fullness(nic_device *device, bool overflow)
{
    e1000_rx *rx = &e1000_of(device)->rx;
    uint32_t high = e1000_reg(device, E1000_FCRTH) & E1000_FCRTH_RTH;
    uint32_t low = e1000_reg(device, E1000_FCRTL) & E1000_FCRTL_RTL;
    bool enabled = e1000_reg(device, E1000_CTRL) & E1000_CTRL_TFCE;
    uint32_t used = fullness(device);
    if (rx->level == E1000_BELOW && high && used >= high) {
        rx->level = E1000_ABOVE;
        if (enabled)
            send_pause(device, pause_time(device));
    } else if (rx->level == E1000_ABOVE && overflow) {
        rx->level = E1000_OVERFLOWED;
        if (enabled)
            send_pause(device, pause_time(device));
    } else if (rx->level != E1000_BELOW && used <= low) {
        rx->level = E1000_BELOW;
        if (enabled && e1000_reg(device, E1000_FCRTL) & E1000_FCRTL_XONE)
            send_pause(device, 0);
    }
}

/* ------------------------------------------------------------------ link and loopback */

void e1000_set_loopback(nic_device *device, bool on) { e1000_of(device)->phy_loopback = on; }

void e1000_link_changed(nic_device *device)
{
    if (!(e1000_reg(device, E1000_STATUS) & E1000_STATUS_LU))
        device->cells[E1000_STATUS] &= ~E1000_STATUS_TXOFF;
    nic_want_work(device, NIC_WORK_TRANSMIT);
    if (device->loop) /* the host program may have pulled the cable between two turns */
        nic_loop_wake(device->loop);
}

/* ------------------------------------------------------------------ register hooks */

static void write_itr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    e1000_interrupt(device);
}

static void write_pba(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    enum { TOTAL = E1000_PBM_BYTES / 1024 };
    uint32_t receive = e1000_reg(device, E1000_PBA) & E1000_PBA_RXA;
    e1000_check_packet_buffer(device, access);
    device->cells[E1000_PBA] = receive | (receive < TOTAL ? TOTAL - receive : 0) << E1000_PBA_TXA_SHIFT;
}

static void receive_ready(nic_device *device)
{
    e1000_store_later(device);
    nic_port_ready(&device->port);
}

static void write_fcrth(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    e1000_check_threshold(device);
}

static void write_rctl(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    e1000_check_receive_control(device, access);
    if (e1000_reg(device, E1000_RCTL) & E1000_RCTL_EN)
        receive_ready(device);
}

static void write_rdbal(nic_device *device, const nic_row *row, const nic_access *access)
{
    e1000_check_base(device, access, E1000_FIND_RX_RING_UNALIGNED);
    e1000_note_written(device, row, access);
}

static void write_rdlen(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    e1000_check_length(device, access, E1000_FIND_RX_RING_LENGTH);
}

static void write_rdh(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    if (e1000_reg(device, E1000_RCTL) & E1000_RCTL_EN)
        nic_find(device, E1000_FIND_RX_HEAD_WRITTEN_WHILE_ENABLED, access->value, access->old);
    e1000_of(device)->rx.unwritten = 0;
}

static void write_rdt(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    e1000_check_receive_tail(device, access);
    receive_ready(device);
}

static void write_rdtr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    if (access->value & E1000_RDTR_FPD)
        nic_want_work(device, E1000_WORK_FLUSH);
}

static void write_tctl(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    e1000_check_transmit_control(device, access);
    if (access->value & E1000_TCTL_SWXOFF)
        send_pause(device, pause_time(device));
    if (e1000_reg(device, E1000_TCTL) & ~access->old & E1000_TCTL_EN)
        e1000_fetch_later(device);
}

static void write_tdbal(nic_device *device, const nic_row *row, const nic_access *access)
{
    e1000_check_base(device, access, E1000_FIND_TX_RING_UNALIGNED);
    e1000_note_written(device, row, access);
}

static void write_tdlen(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    e1000_check_length(device, access, E1000_FIND_TX_RING_LENGTH);
}

static void write_tdh(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    e1000_tx *tx = &e1000_of(device)->tx;
    if (e1000_reg(device, E1000_TCTL) & E1000_TCTL_EN)
        nic_find(device, E1000_FIND_TX_HEAD_WRITTEN_WHILE_ENABLED, access->value, access->old);
    tx->unwritten = 0;
    tx->busy = false; /* the descriptors that the chip held are not those of the ring any more (13.4.39) */
}

static void write_tdt(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    e1000_check_transmit_tail(device, access);
    e1000_fetch_later(device);
}

/* 64-bit counters: reading the high half clears both, so the low half goes first (13.7). */
static uint32_t counter_bit(const nic_row *row)
{
    static const uint32_t lows[] = {E1000_GORCL, E1000_GOTCL, E1000_TORL, E1000_TOTL};
    for (uint32_t i = 0; i < NIC_ARRAY_LEN(lows); i++)
        if (row->cell == lows[i] || row->cell == lows[i] + 1)
            return 1u << i;
    return 0;
}

static uint32_t read_low(nic_device *device, const nic_row *row, const nic_access *access NIC_UNUSED)
{
    e1000_of(device)->low_read |= (uint8_t)counter_bit(row);
    return device->cells[row->cell];
}

static uint32_t read_high(nic_device *device, const nic_row *row, const nic_access *access)
{
    e1000 *card = e1000_of(device);
    if (!(card->low_read & counter_bit(row)) && (device->cells[row->cell] || device->cells[row->cell - 1]))
        nic_find(device, E1000_FIND_STATS_HIGH_FIRST, access->offset, 0);
    card->low_read &= (uint8_t)~counter_bit(row);
    return device->cells[row->cell];
}

static const nic_hook hooks[] = {
    {"mmio", "ITR", NULL, write_itr},
    {"mmio", "RCTL", NULL, write_rctl},
    {"mmio", "TCTL", NULL, write_tctl},
    {"mmio", "PBA", NULL, write_pba},
    {"mmio", "FCRTH", NULL, write_fcrth},
    {"mmio", "FCAL", NULL, e1000_note_written},
    {"mmio", "FCAH", NULL, e1000_note_written},
    {"mmio", "FCT", NULL, e1000_note_written},
    {"mmio", "FCTTV", NULL, e1000_note_written},
    {"mmio", "VET", NULL, e1000_note_written},
    {"mmio", "TIPG", NULL, e1000_note_written},
    {"mmio", "RDBAH", NULL, e1000_note_written},
    {"mmio", "TDBAH", NULL, e1000_note_written},
    {"mmio", "MTA", NULL, e1000_note_table},
    {"mmio", "VFTA", NULL, e1000_note_table},
    {"mmio", "RAL", NULL, e1000_note_address},
    {"mmio", "RAH", NULL, e1000_note_address},
    {"mmio", "FFLT", NULL, e1000_check_flexible_filter},
    {"mmio", "FFMT", NULL, e1000_check_flexible_filter},
    {"mmio", "FFVT", NULL, e1000_check_flexible_filter},
    {"mmio", "RDBAL", NULL, write_rdbal},
    {"mmio", "RDLEN", NULL, write_rdlen},
    {"mmio", "RDH", NULL, write_rdh},
    {"mmio", "RDT", NULL, write_rdt},
    {"mmio", "RDTR", NULL, write_rdtr},
    {"mmio", "TDBAL", NULL, write_tdbal},
    {"mmio", "TDLEN", NULL, write_tdlen},
    {"mmio", "TDH", NULL, write_tdh},
    {"mmio", "TDT", NULL, write_tdt},
    {"mmio", "GORCL", read_low, NULL},
    {"mmio", "GORCH", read_high, NULL},
    {"mmio", "GOTCL", read_low, NULL},
    {"mmio", "GOTCH", read_high, NULL},
    {"mmio", "TORL", read_low, NULL},
    {"mmio", "TORH", read_high, NULL},
    {"mmio", "TOTL", read_low, NULL},
    {"mmio", "TOTH", read_high, NULL},
    {NULL, NULL, NULL, NULL},
};

/* ------------------------------------------------------------------ work */

static void work(nic_device *device, uint32_t work)
{
    e1000 *card = e1000_of(device);
    if (work & NIC_WORK_WRITABLE && card->pause_owed)
        send_pause(device, card->pause_owed == E1000_PAUSE_XOFF ? pause_time(device) : 0);
    if (work & E1000_WORK_FLUSH)
        receive_delay_expired(device);
    if (work & E1000_WORK_STORE)
        e1000_store(device);
    else if (work & NIC_WORK_TRANSMIT) /* also when bus mastering was switched on */
        e1000_store_later(device);
    if (device->profile == NIC_PROFILE_INSTANT || work & E1000_WORK_FETCH) {
        if (work & (NIC_WORK_TRANSMIT | NIC_WORK_WRITABLE | E1000_WORK_FETCH))
            e1000_transmit(device);
    } else if (work & (NIC_WORK_TRANSMIT | NIC_WORK_WRITABLE)) {
        e1000_wire_resume(device);
        e1000_fetch_later(device);
    }
}

/* ------------------------------------------------------------------ resets and snapshots */

/* What the chip holds is lost; the PHY's loopback is only with the PHY (14.7). */
static void reset(nic_device *device, int kind)
{
    e1000 *card = e1000_of(device);
    memset(&card->tx, 0, offsetof(e1000_tx, partial));
    memset(&card->rx, 0, sizeof(card->rx));
    card->pause_owed = card->low_read = 0;
    card->was_enabled = false;
    card->asserted = NIC_NEVER;
    if (kind != NIC_RESET_SOFT)
        card->phy_loopback = false;
    if (kind != NIC_RESET_POWER)
        return;
    card->written = card->ral_written = 0;
    memset(card->mta_written, 0, sizeof(card->mta_written));
    memset(card->vfta_written, 0, sizeof(card->vfta_written));
}

static const nic_state_field state[] = {
    NIC_STATE(e1000, phy_loopback),
    NIC_STATE(e1000, pause_owed),
    NIC_STATE(e1000, low_read),
    NIC_STATE(e1000, was_enabled),
    NIC_STATE(e1000, written),
    NIC_STATE(e1000, ral_written),
    NIC_STATE_ARRAY(e1000, mta_written),
    NIC_STATE_ARRAY(e1000, vfta_written),
    NIC_STATE_TIME(e1000, asserted),
#define CONTEXT(context)                                                                                               \
    NIC_STATE(e1000, context.paylen), NIC_STATE(e1000, context.ipcse), NIC_STATE(e1000, context.tucse),                \
        NIC_STATE(e1000, context.mss), NIC_STATE(e1000, context.ipcss), NIC_STATE(e1000, context.ipcso),               \
        NIC_STATE(e1000, context.tucss), NIC_STATE(e1000, context.tucso), NIC_STATE(e1000, context.hdrlen),            \
        NIC_STATE(e1000, context.command), NIC_STATE(e1000, context.loaded)
    CONTEXT(tx.checksum),
    CONTEXT(tx.segmentation),
    CONTEXT(tx.context),
#undef CONTEXT
    NIC_STATE(e1000, tx.busy),
    NIC_STATE(e1000, tx.address),
    NIC_STATE(e1000, tx.lower),
    NIC_STATE(e1000, tx.upper),
    NIC_STATE(e1000, tx.offset),
    NIC_STATE(e1000, tx.packet),
    NIC_STATE(e1000, tx.bad),
    NIC_STATE(e1000, tx.css),
    NIC_STATE(e1000, tx.options),
    NIC_STATE(e1000, tx.command),
    NIC_STATE(e1000, tx.special),
    NIC_STATE(e1000, tx.length),
    NIC_STATE(e1000, tx.header_length),
    NIC_STATE(e1000, tx.segment),
    NIC_STATE(e1000, tx.sent),
    NIC_STATE_ARRAY(e1000, tx.header),
    NIC_STATE(e1000, tx.unwritten),
    NIC_STATE(e1000, tx.unwritten_now),
#define FIFO(fifo)                                                                                                     \
    NIC_STATE(e1000, fifo.base), NIC_STATE(e1000, fifo.size), NIC_STATE(e1000, fifo.head),                             \
        NIC_STATE(e1000, fifo.used), NIC_STATE(e1000, fifo.frames)
    FIFO(tx.fifo),
    NIC_STATE(e1000, tx.partial_length),
    NIC_STATE_ARRAY(e1000, tx.partial),
    FIFO(rx.fifo),
#undef FIFO
    NIC_STATE(e1000, rx.offset),
    NIC_STATE(e1000, rx.unwritten),
    NIC_STATE_ARRAY(e1000, rx.owed),
    NIC_STATE(e1000, rx.level),
    {NULL, 0, 0, 0, false},
};

/* A snapshot may come from anywhere: a FIFO that does not lie in the packet buffer memory is an empty one. */
static void check_fifo(e1000_fifo *fifo)
{
    uint32_t limits = fifo->base | fifo->size | fifo->head | fifo->used;
    if (limits & 7 || fifo->base > E1000_PBM_BYTES || fifo->size > E1000_PBM_BYTES - fifo->base ||
        fifo->used > fifo->size || (fifo->size && fifo->head >= fifo->size))
        *fifo = (e1000_fifo){0};
}

static bool segments_possible(const e1000_tx *tx)
{
    const e1000_context *context = &tx->context;
    return tx->length < context->mss && context->mss + context->hdrlen <= E1000_PACKET_MAX &&
           tx->header_length <= context->hdrlen && tx->sent <= context->paylen &&
           tx->length <= context->paylen - tx->sent;
}

static void loaded(nic_device *device)
{
    e1000 *card = e1000_of(device);
    e1000_tx *tx = &card->tx;
    if (card->asserted != NIC_NEVER && card->asserted > nic_now(device))
        card->asserted = NIC_NEVER;
    check_fifo(&tx->fifo);
    check_fifo(&card->rx.fifo);
    if (tx->packet > E1000_SEGMENTED || tx->length > E1000_PACKET_MAX || tx->length != tx->partial_length ||
        (tx->packet == E1000_SEGMENTED && !tx->bad && !segments_possible(tx)))
        tx->packet = E1000_NO_PACKET;
    if (tx->packet == E1000_NO_PACKET)
        tx->length = tx->partial_length = tx->header_length = tx->sent = 0;
    if (tx->unwritten >= E1000_CACHED)
        tx->unwritten = 0;
    if (card->rx.unwritten >= E1000_CACHED) /* as many are written back at once */
        card->rx.unwritten = 0;
}

/* ------------------------------------------------------------------ the card */

static const nic_card_timer timers[] = {
    [E1000_TIMER_ITR] = {"itr", e1000_interrupt},
    [E1000_TIMER_TIDV] = {"tidv", transmit_delay_expired},
    [E1000_TIMER_TADV] = {"tadv", transmit_delay_expired},
    [E1000_TIMER_RDTR] = {"rdtr", receive_delay_expired},
    [E1000_TIMER_RADV] = {"radv", receive_delay_expired},
    [E1000_TIMER_PAUSE] = {"pause", resume},
    [E1000_TIMER_FETCH] = {"fetch", fetch_expired},
    [E1000_TIMER_WIRE] = {"wire", e1000_wire_expired},
    [E1000_TIMER_STORE] = {"store", store_expired},
    {NULL, NULL},
};

const nic_card e1000_card = {
    .name = "e1000",
    .state_size = sizeof(e1000),
    .hooks = hooks,
    .state = state,
    .timers = timers,
    .reset = reset,
    .work = work,
    .receive = e1000_receive,
    .can_receive = e1000_can_receive,
    .interrupt = e1000_interrupt,
    .loaded = loaded,
};
