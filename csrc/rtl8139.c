/*
 * RTL8139C and C+, what transmit and receive share: interrupts, the timer, flow control, tally counters, register
 * hooks, resets and snapshots.  The rest of the card (EEPROM, transceiver, configuration, power) is in
 * nicemu/devices/rtl8139.py.
 */
#include "rtl8139.h"

/* ------------------------------------------------------------------ interrupts (DS 5.5, 5.6) */

void rtl8139_interrupt(nic_device *device)
{
    nic_interrupt_set(device, rtl8139_reg(device, RTL8139_ISR) & rtl8139_reg(device, RTL8139_IMR));
}

void rtl8139_cause(nic_device *device, uint32_t causes)
{
    device->cells[RTL8139_ISR] |= causes;
    rtl8139_interrupt(device);
}

/* A transfer that nobody answers ends in a master abort. */
void rtl8139_system_error(nic_device *device)
{
    enum { RECEIVED_MASTER_ABORT = 1 << 13 };
    if (!device->bus_master)
        return; /* the chip waits for the bus */
    device->cells[device->model->pci.status] |= RECEIVED_MASTER_ABORT;
    rtl8139_cause(device, RTL8139_ISR_SERR);
}

/* ------------------------------------------------------------------ the timer (DS 5, TCTR and TimerInt) */

enum { PCI_MHZ = 33, NS_PER_US = 1000 };

static uint64_t ticks(nic_device *device)
{
    return (nic_now(device) - rtl8139_of(device)->timer_base) * PCI_MHZ / NS_PER_US;
}

static void arm_timer(nic_device *device)
{
    uint32_t target = rtl8139_reg(device, RTL8139_TIMERINT);
    if (!target) {
        nic_timer_stop(device, RTL8139_TIMER_TIMEOUT);
        return;
    }
    uint64_t now = ticks(device), ahead = (uint32_t)(target - (uint32_t)now);
    uint64_t at = now + (ahead ? ahead : 1ull << 32);
    nic_timer_set(device, RTL8139_TIMER_TIMEOUT,
                  rtl8139_of(device)->timer_base + (at * NS_PER_US + PCI_MHZ - 1) / PCI_MHZ);
}

static void timer_expired(nic_device *device)
{
    arm_timer(device);
    rtl8139_cause(device, RTL8139_ISR_TIMEOUT);
}

static uint32_t read_tctr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    return (uint32_t)ticks(device);
}

static void write_tctr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    device->cells[RTL8139_TCTR] = 0;
    rtl8139_of(device)->timer_base = nic_now(device);
    arm_timer(device);
}

static void write_timerint(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    arm_timer(device);
}

/* ------------------------------------------------------------------ time on the wire */

static uint64_t bit_time(const nic_device *device)
{
    return rtl8139_reg(device, RTL8139_MSR) & RTL8139_MSR_SPEED_10 ? 100 : 10;
}

uint64_t rtl8139_wire_time(const nic_device *device, uint32_t bytes)
{
    enum { PREAMBLE = 8, GAP = 12 };
    return (PREAMBLE + bytes + RTL8139_FCS + GAP) * 8 * bit_time(device);
}

bool rtl8139_paced(nic_device *device, uint32_t length)
{
    enum { CHAOS_NS = 100000 };
    rtl8139 *card = rtl8139_of(device);
    if (NIC_LIKELY(device->profile == NIC_PROFILE_INSTANT))
        return false;
    if (card->slot) {
        card->slot = false;
        return false;
    }
    if (!nic_timer_armed(device, RTL8139_TIMER_WIRE)) {
        uint64_t delay = device->profile == NIC_PROFILE_CHAOS ? nic_random(device) % CHAOS_NS : 0;
        nic_timer_set(device, RTL8139_TIMER_WIRE, nic_now(device) + rtl8139_wire_time(device, length) + delay);
    }
    return true;
}

static void wire_expired(nic_device *device)
{
    rtl8139_of(device)->slot = true;
    nic_want_work(device, NIC_WORK_TRANSMIT);
}

static void round_expired(nic_device *device)
{
    for (uint32_t i = 0; i < RTL8139_RINGS; i++)
        rtl8139_of(device)->rings[i].walked = 0;
    nic_want_work(device, NIC_WORK_TRANSMIT);
}

static void retry_expired(nic_device *device)
{
    nic_want_work(device, RTL8139_WORK_STORE);
}

/* ------------------------------------------------------------------ flow control (DS 9.9) */

static void resume(nic_device *device)
{
    device->cells[RTL8139_MSR] &= ~RTL8139_MSR_RXPF;
    nic_timer_stop(device, RTL8139_TIMER_PAUSE);
    nic_want_work(device, NIC_WORK_TRANSMIT);
}

void rtl8139_paused(nic_device *device, uint32_t quanta)
{
    enum { SLOT_BITS = 512 };
    if (!quanta) {
        resume(device);
        return;
    }
    device->cells[RTL8139_MSR] |= RTL8139_MSR_RXPF;
    nic_timer_set(device, RTL8139_TIMER_PAUSE, nic_now(device) + (uint64_t)quanta * SLOT_BITS * bit_time(device));
}

/* Goes out at once, ahead of what waits and whether or not transmission is paused (IEEE 802.3, 31B.3.1). */
static void send_pause(nic_device *device, uint8_t which)
{
    uint8_t station[6], bytes[NIC_PAUSE_BYTES];
    struct iovec iov = {bytes, sizeof(bytes)};
    for (uint32_t i = 0; i < sizeof(station); i++)
        station[i] = (uint8_t)rtl8139_reg(device, RTL8139_IDR + i);
    nic_pause_make(bytes, station, which == RTL8139_PAUSE_XOFF ? 0xffff : 0);
    bool taken = nic_port_send(&device->port, &(nic_frame){&iov, 1, sizeof(bytes), 0}, 1);
    rtl8139_of(device)->pause_owed = taken ? RTL8139_PAUSE_NONE : which;
}

void rtl8139_flow(nic_device *device)
{
    rtl8139 *card = rtl8139_of(device);
    uint32_t msr = rtl8139_reg(device, RTL8139_MSR);
    if (!(msr & RTL8139_MSR_TXFCE) || !card->full_duplex || !card->link_up || rtl8139_cplus_receive(device) ||
        rtl8139_loops(device))
        return;
    bool enabled = rtl8139_reg(device, RTL8139_CR) & RTL8139_CR_RE;
    bool full = rtl8139_buffer_size(device) - rtl8139_buffer_used(device) < RTL8139_PAUSE_ROOM;
    if (full && enabled && !(msr & RTL8139_MSR_TXPF)) {
        device->cells[RTL8139_MSR] |= RTL8139_MSR_TXPF;
        send_pause(device, RTL8139_PAUSE_XOFF);
    } else if (!full && msr & RTL8139_MSR_TXPF) {
        device->cells[RTL8139_MSR] &= ~RTL8139_MSR_TXPF;
        send_pause(device, RTL8139_PAUSE_XON);
    }
}

void rtl8139_link_changed(nic_device *device, bool up, bool full_duplex)
{
    rtl8139 *card = rtl8139_of(device);
    card->link_up = up;
    card->full_duplex = full_duplex;
    if (!up) {
        device->cells[RTL8139_MSR] &= ~(RTL8139_MSR_RXPF | RTL8139_MSR_TXPF);
        nic_timer_stop(device, RTL8139_TIMER_PAUSE);
        card->pause_owed = RTL8139_PAUSE_NONE;
    }
    if (!up)
        return;
    nic_want_work(device, NIC_WORK_TRANSMIT);
    if (device->loop) /* the host program may have pulled the cable between two turns */
        nic_loop_wake(device->loop);
}

void rtl8139_set_sleeping(nic_device *device, bool sleeping) { rtl8139_of(device)->sleeping = sleeping; }

/* ------------------------------------------------------------------ tally counters (C+, DTCCR) */

static uint8_t *put_little(uint8_t *at, uint64_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
    return at + bytes;
}

static void dump(nic_device *device)
{
    const rtl8139_tally *t = &rtl8139_of(device)->tally;
    uint8_t bytes[64], *at = bytes;
    uint32_t low = rtl8139_reg(device, RTL8139_DTCCRL);
    if (!(low & RTL8139_DTCCRL_CMD))
        return;
    at = put_little(put_little(put_little(at, t->tx_ok, 8), t->rx_ok, 8), t->tx_err, 8);
    at = put_little(put_little(put_little(at, t->rx_err, 4), t->missed, 2), t->fae, 2);
    at = put_little(put_little(at, t->tx_one_collision, 4), t->tx_collisions, 4);
    at = put_little(put_little(at, t->rx_ok_physical, 8), t->rx_ok_broadcast, 8);
    put_little(put_little(put_little(at, t->rx_ok_multicast, 4), t->tx_abort, 2), t->tx_underrun, 2);
    uint64_t to = rtl8139_address(device, low & RTL8139_DTCCRL_ADDRESS, rtl8139_reg(device, RTL8139_DTCCRH));
    if (!nic_dma_write(device, to, bytes, sizeof(bytes))) {
        if (!device->bus_master)
            return; /* it waits for the bus */
        rtl8139_system_error(device);
    }
    device->cells[RTL8139_DTCCRL] &= ~RTL8139_DTCCRL_CMD;
}

static void write_dtccrl(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    enum { BELOW_ADDRESS = 0x37 };
    if (access->value & BELOW_ADDRESS)
        nic_find(device, RTL8139_FIND_CP_DUMP_UNALIGNED, access->value, 0);
    if (access->value & RTL8139_DTCCRL_CMD)
        nic_want_work(device, RTL8139_WORK_DUMP);
}

/* ------------------------------------------------------------------ CR and CPCR (DS 5.4, C+ 6.33) */

enum { RESET_NS = 10000 };

static void show_page(nic_device *device)
{
    uint32_t page = rtl8139_cplus_transmit(device) ? 1 : 0;
    nic_select_page(device, 0, page);
    nic_select_page(device, 1, page);
}

static void software_reset(nic_device *device)
{
    nic_reset(device, NIC_RESET_SOFT);
    if (device->profile == NIC_PROFILE_INSTANT)
        return;
    device->cells[RTL8139_CR] |= RTL8139_CR_RST;
    nic_timer_set(device, RTL8139_TIMER_RESET, nic_now(device) + RESET_NS);
}

static void reset_expired(nic_device *device) { device->cells[RTL8139_CR] &= ~RTL8139_CR_RST; }

/* Whether a register is touched before the chip has come out of its reset. */
static bool resetting(nic_device *device, const nic_access *access)
{
    if (NIC_LIKELY(!nic_timer_armed(device, RTL8139_TIMER_RESET)))
        return false;
    nic_find(device, RTL8139_FIND_CR_RESET_PENDING, access->offset,
             device->timers[RTL8139_TIMER_RESET].deadline - nic_now(device));
    return true;
}

static void stop_transmitter(rtl8139 *card)
{
    card->next = card->given = 0;
    card->slot = card->aborted = card->again = false;
    memset(card->rings, 0, sizeof(card->rings));
}

static void write_cr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    rtl8139 *card = rtl8139_of(device);
    uint32_t changed = rtl8139_reg(device, RTL8139_CR) ^ access->old;
    if (resetting(device, access)) {
        device->cells[RTL8139_CR] = access->old;
        return;
    }
    if (access->value & RTL8139_CR_RST) {
        software_reset(device);
        return;
    }
    if (changed & RTL8139_CR_TE) { /* either way the transmitter begins anew at descriptor 0 */
        stop_transmitter(card);
        nic_timer_stop(device, RTL8139_TIMER_WIRE);
    }
    if (changed & RTL8139_CR_RE)
        rtl8139_receive_started(device);
}

static void write_cpcr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    rtl8139 *card = rtl8139_of(device);
    uint32_t cpcr = rtl8139_reg(device, RTL8139_CPCR), changed = cpcr ^ access->old;
    uint32_t enabled = rtl8139_reg(device, RTL8139_CR) & (RTL8139_CR_TE | RTL8139_CR_RE);
    if (changed & cpcr & (RTL8139_CPCR_CPTX | RTL8139_CPCR_CPRX) && enabled)
        nic_find(device, RTL8139_FIND_CP_ENABLE_ORDER, cpcr, enabled);
    if (changed & RTL8139_CPCR_CPTX) {
        stop_transmitter(card);
        show_page(device);
    }
    if (changed & RTL8139_CPCR_CPRX) {
        card->receive_index = 0;
        rtl8139_receive_started(device);
    }
}

/* ------------------------------------------------------------------ other hooks */

enum { TSAD_OFFSET = 0x20 };

static void check_doubleword(nic_device *device, const nic_access *access)
{
    if (access->size != 4)
        nic_find(device, RTL8139_FIND_ACCESS_DOUBLEWORD, access->offset, access->size);
}

static void write_idr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    check_doubleword(device, access);
}

static void write_tsd(nic_device *device, const nic_row *row, const nic_access *access)
{
    check_doubleword(device, access);
    resetting(device, access);
    rtl8139_write_tsd(device, row, access);
}

static void write_tsad(nic_device *device, const nic_row *row, const nic_access *access)
{
    uint32_t index = (row->offset - TSAD_OFFSET) / 4;
    if (rtl8139_of(device)->given >> index & 1)
        nic_find(device, RTL8139_FIND_TX_BUSY, index, access->value);
}

static void write_tcr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    rtl8139 *card = rtl8139_of(device);
    if (access->value & RTL8139_TCR_CLRABT && !card->aborted)
        nic_find(device, RTL8139_FIND_TX_ABORT_CLEAR, rtl8139_reg(device, RTL8139_TCR), 0);
    if (access->value & RTL8139_TCR_CLRABT && card->aborted) {
        card->aborted = false;
        card->again = card->slot = true; /* at once: drivers take the buffer for free */
        nic_want_work(device, NIC_WORK_TRANSMIT);
    }
    rtl8139_flow(device);
}

static void write_rcr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    uint32_t rcr = rtl8139_reg(device, RTL8139_RCR);
    if (rcr & RTL8139_RCR_WRAP && (rcr & RTL8139_RCR_RBLEN) == RTL8139_RCR_RBLEN)
        nic_find(device, RTL8139_FIND_RX_WRAP_64K, rcr, 0);
    if ((rcr ^ access->old) & RTL8139_RCR_RBLEN)
        rtl8139_flow(device);
    nic_want_work(device, RTL8139_WORK_STORE);
}

static void write_rbstart(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    if (rtl8139_reg(device, RTL8139_RBSTART) & 3)
        nic_find(device, RTL8139_FIND_RX_BUFFER_UNALIGNED, rtl8139_reg(device, RTL8139_RBSTART), 0);
}

enum { CAPR_OFFSET = 16 }; /* CAPR is behind the driver's place by this (DS 5) */

static void show_empty(nic_device *device)
{
    bool empty = !rtl8139_buffer_used(device);
    device->cells[RTL8139_CR] = (rtl8139_reg(device, RTL8139_CR) & ~RTL8139_CR_BUFE) | (empty ? RTL8139_CR_BUFE : 0);
}

static void write_capr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    uint32_t size = rtl8139_buffer_size(device), capr = rtl8139_reg(device, RTL8139_CAPR);
    uint32_t before = (rtl8139_reg(device, RTL8139_CBR) - access->old - CAPR_OFFSET) & (size - 1);
    uint32_t advance = (capr - access->old) & (size - 1);
    if (capr & 3)
        nic_find(device, RTL8139_FIND_RX_CAPR_UNALIGNED, capr, 0);
    if (advance > before)
        nic_find(device, RTL8139_FIND_RX_CAPR_OUT_OF_DATA, capr, rtl8139_reg(device, RTL8139_CBR));
    if (!before)
        rtl8139_cause(device, RTL8139_ISR_PUN_LINKCHG);
    rtl8139_of(device)->looked_empty = rtl8139_of(device)->left_unread = false;
    show_empty(device);
    rtl8139_flow(device);
    nic_want_work(device, RTL8139_WORK_STORE);
}

/* Drivers write IMR and ISR around their receive loops: what waits for room may find some. */
static void look_for_room(nic_device *device)
{
    rtl8139 *card = rtl8139_of(device);
    if (!card->fifo_frames && !device->port.inbound.frames)
        return;
    card->retries = 0;
    nic_want_work(device, RTL8139_WORK_STORE);
}

static void write_imr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    rtl8139_of(device)->unanswered = 0;
    look_for_room(device);
}

static void write_isr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    rtl8139 *card = rtl8139_of(device);
    card->unanswered = 0;
    if (access->value & access->old & RTL8139_ISR_ROK)
        card->left_unread = card->looked_empty && !(rtl8139_reg(device, RTL8139_CR) & RTL8139_CR_BUFE);
    if (access->value & access->old & RTL8139_ISR_RXOVW && card->overflowed && !rtl8139_can_receive(device))
        nic_find(device, RTL8139_FIND_RX_OVERFLOW_CLEARED_FULL, rtl8139_reg(device, RTL8139_CAPR),
                 rtl8139_reg(device, RTL8139_CBR));
    look_for_room(device);
}

/* What tells of a driver that goes away from packets which it does not know of: it empties the buffer, clears ROK after that
 * (or causes that it has not read), and comes back to ISR without a look at the buffer in between. */
static uint32_t read_cr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    rtl8139 *card = rtl8139_of(device);
    card->looked_empty = rtl8139_reg(device, RTL8139_CR) & RTL8139_CR_BUFE;
    card->left_unread = false;
    return rtl8139_reg(device, RTL8139_CR);
}

static uint32_t read_isr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    enum { STORM = 64 };
    rtl8139 *card = rtl8139_of(device);
    uint32_t isr = rtl8139_reg(device, RTL8139_ISR), imr = rtl8139_reg(device, RTL8139_IMR);
    if (isr & imr && card->unanswered < STORM && ++card->unanswered == STORM)
        nic_find(device, RTL8139_FIND_ISR_UNACKNOWLEDGED, isr, imr);
    if (NIC_UNLIKELY(card->left_unread) && imr & RTL8139_ISR_ROK && !rtl8139_cplus_receive(device)) {
        card->left_unread = false;
        nic_find(device, RTL8139_FIND_RX_ACKNOWLEDGED_UNREAD, rtl8139_reg(device, RTL8139_CAPR),
                 rtl8139_reg(device, RTL8139_CBR));
    }
    return isr;
}

static void write_mpc(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    device->cells[RTL8139_MPC] = 0;
}

static void check_ring(nic_device *device, uint32_t address)
{
    enum { ALIGNMENT = 256 };
    if (address % ALIGNMENT)
        nic_find(device, RTL8139_FIND_CP_RING_UNALIGNED, address, 0);
}

static void write_tnpdsl(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    check_ring(device, rtl8139_reg(device, RTL8139_TSAD0));
    rtl8139_of(device)->rings[RTL8139_NORMAL] = (rtl8139_ring){0};
}

static void write_thpdsl(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    check_ring(device, rtl8139_reg(device, RTL8139_TSAD2));
    rtl8139_of(device)->rings[RTL8139_HIGH] = (rtl8139_ring){0};
}

static void write_rdsarl(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    check_ring(device, rtl8139_reg(device, RTL8139_RDSARL));
    rtl8139_of(device)->receive_index = 0;
}

static void write_tppoll(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    rtl8139 *card = rtl8139_of(device);
    bool ready = rtl8139_cplus_transmit(device) && rtl8139_reg(device, RTL8139_CR) & RTL8139_CR_TE;
    if (access->value & RTL8139_TPPOLL_FSWINT)
        rtl8139_cause(device, RTL8139_ISR_SWINT);
    if (!(access->value & (RTL8139_TPPOLL_NPQ | RTL8139_TPPOLL_HPQ)))
        return;
    if (!ready) {
        nic_find(device, RTL8139_FIND_CP_POLL_DISABLED, access->value, rtl8139_reg(device, RTL8139_CPCR));
        return;
    }
    for (uint32_t i = 0; i < RTL8139_RINGS; i++)
        if (access->value & (i == RTL8139_HIGH ? RTL8139_TPPOLL_HPQ : RTL8139_TPPOLL_NPQ)) {
            card->rings[i].polled = true;
            card->rings[i].walked = 0;
        }
    nic_want_work(device, NIC_WORK_TRANSMIT);
}

static const nic_hook hooks[] = {
    {"regs", "IDR", NULL, write_idr},
    {"regs", "TSD", NULL, write_tsd},
    {"regs", "TSAD0", NULL, write_tsad},
    {"regs", "TSAD1", NULL, write_tsad},
    {"regs", "TSAD2", NULL, write_tsad},
    {"regs", "TSAD3", NULL, write_tsad},
    {"regs", "DTCCRL", NULL, write_dtccrl},
    {"regs", "TNPDSL", NULL, write_tnpdsl},
    {"regs", "THPDSL", NULL, write_thpdsl},
    {"regs", "RBSTART", NULL, write_rbstart},
    {"regs", "CR", read_cr, write_cr},
    {"regs", "CAPR", NULL, write_capr},
    {"regs", "IMR", NULL, write_imr},
    {"regs", "ISR", read_isr, write_isr},
    {"regs", "TCR", NULL, write_tcr},
    {"regs", "RCR", NULL, write_rcr},
    {"regs", "TCTR", read_tctr, write_tctr},
    {"regs", "MPC", NULL, write_mpc},
    {"regs", "TIMERINT", NULL, write_timerint},
    {"regs", "TSAD", rtl8139_read_tsad, NULL},
    {"regs", "TPPOLL", NULL, write_tppoll},
    {"regs", "CPCR", NULL, write_cpcr},
    {"regs", "RDSARL", NULL, write_rdsarl},
    {NULL, NULL, NULL, NULL},
};

/* ------------------------------------------------------------------ work */

static void work(nic_device *device, uint32_t work)
{
    rtl8139 *card = rtl8139_of(device);
    if (work & NIC_WORK_WRITABLE && card->pause_owed)
        send_pause(device, card->pause_owed);
    if (work & RTL8139_WORK_DUMP || (work & NIC_WORK_TRANSMIT && rtl8139_reg(device, RTL8139_DTCCRL)))
        dump(device);
    if (work & (RTL8139_WORK_STORE | NIC_WORK_TRANSMIT)) /* the latter also when bus mastering was switched on */
        rtl8139_store(device);
    if (work & (NIC_WORK_TRANSMIT | NIC_WORK_WRITABLE))
        rtl8139_transmit(device);
}

/* ------------------------------------------------------------------ resets and snapshots */

static void reset(nic_device *device, int kind)
{
    rtl8139 *card = rtl8139_of(device);
    stop_transmitter(card);
    card->pause_owed = RTL8139_PAUSE_NONE;
    card->receive_index = 0;
    card->buffer_overflow = card->fifo_overflow = card->overflowed = false;
    card->looked_empty = card->left_unread = false;
    card->unanswered = 0;
    card->fifo_used = card->fifo_frames = 0;
    card->retries = 0;
    card->timer_base = nic_now(device);
    if (kind == NIC_RESET_SOFT)
        return;
    card->sleeping = false;
    memset(&card->tally, 0, sizeof(card->tally));
}

static const nic_state_field state[] = {
    NIC_STATE(rtl8139, link_up),
    NIC_STATE(rtl8139, full_duplex),
    NIC_STATE(rtl8139, sleeping),
    NIC_STATE(rtl8139, slot),
    NIC_STATE(rtl8139, next),
    NIC_STATE(rtl8139, given),
    NIC_STATE(rtl8139, aborted),
    NIC_STATE(rtl8139, again),
    NIC_STATE_ARRAY(rtl8139, disturb),
    NIC_STATE(rtl8139, pause_owed),
    NIC_STATE(rtl8139, timer_base),
#define RING(ring)                                                                                                     \
    NIC_STATE(rtl8139, ring.index), NIC_STATE(rtl8139, ring.polled), NIC_STATE(rtl8139, ring.sent),                    \
        NIC_STATE(rtl8139, ring.segment), NIC_STATE(rtl8139, ring.walked)
    RING(rings[RTL8139_NORMAL]),
    RING(rings[RTL8139_HIGH]),
#undef RING
    NIC_STATE(rtl8139, tally.tx_ok),
    NIC_STATE(rtl8139, tally.rx_ok),
    NIC_STATE(rtl8139, tally.tx_err),
    NIC_STATE(rtl8139, tally.rx_err),
    NIC_STATE(rtl8139, tally.missed),
    NIC_STATE(rtl8139, tally.fae),
    NIC_STATE(rtl8139, tally.tx_one_collision),
    NIC_STATE(rtl8139, tally.tx_collisions),
    NIC_STATE(rtl8139, tally.rx_ok_physical),
    NIC_STATE(rtl8139, tally.rx_ok_broadcast),
    NIC_STATE(rtl8139, tally.rx_ok_multicast),
    NIC_STATE(rtl8139, tally.tx_abort),
    NIC_STATE(rtl8139, tally.tx_underrun),
    NIC_STATE(rtl8139, receive_index),
    NIC_STATE(rtl8139, buffer_overflow),
    NIC_STATE(rtl8139, fifo_overflow),
    NIC_STATE(rtl8139, overflowed),
    NIC_STATE(rtl8139, retries),
    NIC_STATE(rtl8139, looked_empty),
    NIC_STATE(rtl8139, left_unread),
    NIC_STATE(rtl8139, unanswered),
    NIC_STATE(rtl8139, fifo_used),
    NIC_STATE(rtl8139, fifo_frames),
    NIC_STATE_ARRAY(rtl8139, fifo),
    {NULL, 0, 0, 0, 0},
};

/* A snapshot may come from anywhere. */
static void loaded(nic_device *device)
{
    rtl8139 *card = rtl8139_of(device);
    card->next &= 3;
    card->given &= 15;
    card->receive_index %= RTL8139_RING;
    if (card->pause_owed > RTL8139_PAUSE_XOFF)
        card->pause_owed = RTL8139_PAUSE_NONE;
    for (uint32_t i = 0; i < RTL8139_RINGS; i++)
        card->rings[i].index %= RTL8139_RING;
    if (card->retries > RTL8139_RETRIES)
        card->retries = RTL8139_RETRIES;
    if (card->fifo_used > RTL8139_FIFO)
        card->fifo_used = card->fifo_frames = 0;
    show_page(device);
}

/* ------------------------------------------------------------------ the card */

static const nic_card_timer timers[] = {
    [RTL8139_TIMER_TIMEOUT] = {"timeout", timer_expired},
    [RTL8139_TIMER_PAUSE] = {"pause", resume},
    [RTL8139_TIMER_RESET] = {"reset", reset_expired},
    [RTL8139_TIMER_WIRE] = {"wire", wire_expired},
    [RTL8139_TIMER_RETRY] = {"retry", retry_expired},
    [RTL8139_TIMER_ROUND] = {"round", round_expired},
    {NULL, NULL},
};

const nic_card rtl8139_card = {
    .name = "rtl8139",
    .state_size = sizeof(rtl8139),
    .hooks = hooks,
    .state = state,
    .timers = timers,
    .reset = reset,
    .work = work,
    .receive = rtl8139_receive,
    .can_receive = rtl8139_can_receive,
    .interrupt = rtl8139_interrupt,
    .loaded = loaded,
    NIC_DISTURBED(rtl8139),
};
