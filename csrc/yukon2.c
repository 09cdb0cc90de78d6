/*
 * 88E8057, what transmit, receive and status share: interrupts and timers, queues, register hooks, resets and snapshots
 * (facts 2, 6.5).  The rest of the card (PHY, link, VPD, power) is in nicemu/devices/yukon2.py.
 */
#include "yukon2.h"

const uint16_t yukon2_queue_cells[QUEUES] = {YUKON2_XA1_D, YUKON2_XS1_D, YUKON2_R1_D};

/* ------------------------------------------------------------------ interrupts (2.1) */

static void level(uint32_t *cell, uint32_t bit, bool on) { *cell = on ? *cell | bit : *cell & ~bit; }

/* Hardware errors: IRQ_STAT is a level, whose causes stand in PCI STATUS. */
static uint32_t hardware_errors(const nic_device *device)
{
    enum { PCI_ERRORS = 0xf900 };
    bool pci = yukon2_reg(device, device->model->pci.status) & PCI_ERRORS;
    return yukon2_reg(device, YUKON2_B0_HWE_ISRC) | (pci ? YUKON2_B0_HWE_ISRC_IRQ_STAT : 0);
}

/* Sources that are levels: their causes stand in other registers. */
static void update_sources(nic_device *device)
{
    uint32_t *cells = device->cells, *isrc = &cells[YUKON2_B0_ISRC];
    level(isrc, YUKON2_B0_ISRC_HW_ERR, hardware_errors(device) & cells[YUKON2_B0_HWE_IMSK]);
    level(isrc, YUKON2_B0_ISRC_IRQ_MAC1, cells[YUKON2_GMAC_IRQ_SRC] & cells[YUKON2_GMAC_IRQ_MSK]);
    level(isrc, YUKON2_B0_ISRC_IRQ_PHY1, yukon2_of(device)->phy_interrupt);
}

/* What of `pending` the moderation timer lets through; the rest goes at the next whole multiple of its period. */
static uint32_t moderate(nic_device *device, uint32_t pending)
{
    yukon2 *card = yukon2_of(device);
    uint64_t period = yukon2_ticks(device, YUKON2_B2_IRQM_INI);
    card->released &= pending;
    uint32_t held = pending & yukon2_reg(device, YUKON2_B2_IRQM_MSK) & ~card->released;
    if (NIC_LIKELY(!held || !period || card->moderation == NIC_NEVER))
        return pending;
    if (!nic_timer_armed(device, YUKON2_TIMER_MODERATION)) {
        uint64_t gone = nic_now(device) - card->moderation;
        nic_timer_set(device, YUKON2_TIMER_MODERATION, card->moderation + (gone / period + 1) * period);
    }
    return pending & ~held;
}

void yukon2_update(nic_device *device)
{
    update_sources(device);
    uint32_t pending = yukon2_reg(device, YUKON2_B0_ISRC) & yukon2_reg(device, YUKON2_B0_IMSK);
    pending = moderate(device, pending);
    nic_interrupt_set(device, pending && !yukon2_of(device)->in_isr);
}

void yukon2_raise(nic_device *device, uint32_t sources)
{
    device->cells[YUKON2_B0_ISRC] |= sources;
    yukon2_update(device);
}

static void moderation_expired(nic_device *device)
{
    yukon2_of(device)->released |= yukon2_reg(device, YUKON2_B2_IRQM_MSK);
    yukon2_update(device);
}

void yukon2_set_phy_interrupt(nic_device *device, bool level)
{
    yukon2_of(device)->phy_interrupt = level;
    yukon2_update(device);
}

static uint32_t pending_sources(const nic_device *device)
{
    return yukon2_reg(device, YUKON2_B0_ISRC) & yukon2_reg(device, YUKON2_B0_IMSK);
}

/* What was pending is told before the line goes down: entering does not change it. */
static uint32_t read_enter(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    yukon2_of(device)->in_isr = true;
    yukon2_update(device);
    return pending_sources(device);
}

static uint32_t read_leave(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    uint32_t pending = pending_sources(device);
    yukon2_of(device)->in_isr = false;
    yukon2_update(device);
    return pending;
}

static void write_icr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    if (access->value & YUKON2_B0_Y2_SP_ICR_ENTER)
        yukon2_of(device)->in_isr = true;
    if (access->value & YUKON2_B0_Y2_SP_ICR_LEAVE)
        yukon2_of(device)->in_isr = false;
    yukon2_update(device);
}

/* ------------------------------------------------------------------ timers (2.2, 2.9, 2.10) */

enum { TIMER_VAL = 1, TIMER_CTRL = 2 }; /* cells from a timer's initial value on */

uint64_t yukon2_ticks(const nic_device *device, uint32_t timer_cells)
{
    if (!(yukon2_reg(device, timer_cells + TIMER_CTRL) & TIMER_START))
        return 0;
    return (uint64_t)yukon2_reg(device, timer_cells) * YUKON2_TICK_NS;
}

typedef struct counted { /* a timer whose registers are cells INI, VAL, CTRL, TEST */
    uint32_t cells, timer;
} counted;

static const counted counted_timers[] = {
    {YUKON2_B2_TI_INI, YUKON2_TIMER_GENERAL},
    {YUKON2_B2_IRQM_INI, YUKON2_TIMER_MODERATION},
    {YUKON2_STAT_LEV_TIMER_INI, YUKON2_TIMER_LEVEL},
    {YUKON2_STAT_TX_TIMER_INI, YUKON2_TIMER_TX},
    {YUKON2_STAT_ISR_TIMER_INI, YUKON2_TIMER_ISR},
};

static const counted *timer_of(uint32_t cell)
{
    for (uint32_t i = 0; i < NIC_ARRAY_LEN(counted_timers); i++)
        if (cell - counted_timers[i].cells <= TIMER_CTRL)
            return &counted_timers[i];
    return NULL;
}

/* Ticks left of a timer that runs; else what was written. */
static uint32_t ticks_left(const nic_device *device, uint32_t cell)
{
    const counted *t = timer_of(cell);
    if (!t || !nic_timer_armed(device, t->timer))
        return yukon2_reg(device, cell);
    uint64_t deadline = nic_timer_deadline(device, t->timer), now = nic_now(device);
    return deadline > now ? (uint32_t)((deadline - now) / YUKON2_TICK_NS) : 0;
}

static void write_general_timer(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    if (access->value & TIMER_CLR)
        device->cells[YUKON2_B0_ISRC] &= ~YUKON2_B0_ISRC_TIMINT;
    if (access->value & TIMER_STOP)
        nic_timer_stop(device, YUKON2_TIMER_GENERAL);
    if (access->value & TIMER_START)
        nic_timer_set(device, YUKON2_TIMER_GENERAL, nic_now(device) + yukon2_ticks(device, YUKON2_B2_TI_INI));
    yukon2_update(device);
}

static void general_expired(nic_device *device) { yukon2_raise(device, YUKON2_B0_ISRC_TIMINT); }

static void write_moderation_timer(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    yukon2 *card = yukon2_of(device);
    if (access->value & (TIMER_STOP | TIMER_START)) {
        nic_timer_stop(device, YUKON2_TIMER_MODERATION);
        card->moderation = access->value & TIMER_START ? nic_now(device) : NIC_NEVER;
    }
    yukon2_update(device);
}

/* A timer of the status unit was started or stopped: what waits for it is looked at again. */
static void write_status_timer(nic_device *device, const nic_row *row, const nic_access *access)
{
    const counted *t = timer_of(row->cell);
    if (t && access->value & (TIMER_STOP | TIMER_START))
        nic_timer_stop(device, t->timer);
    nic_want_work(device, YUKON2_WORK_STATUS);
}

static void write_stamp_timer(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    yukon2 *card = yukon2_of(device);
    if (access->value & TIMER_CLR)
        device->cells[YUKON2_B0_HWE_ISRC] &= ~YUKON2_B0_HWE_ISRC_TIST_OV;
    if (access->value & TIMER_STOP) {
        card->stamp = NIC_NEVER;
        nic_timer_stop(device, YUKON2_TIMER_STAMP);
    }
    if (access->value & TIMER_START) {
        card->stamp = nic_now(device);
        nic_timer_set(device, YUKON2_TIMER_STAMP, card->stamp + ((uint64_t)YUKON2_TICK_NS << 32));
    }
    yukon2_update(device);
}

static uint32_t time_stamp(nic_device *device)
{
    uint64_t start = yukon2_of(device)->stamp;
    return start == NIC_NEVER ? 0 : (uint32_t)((nic_now(device) - start) / YUKON2_TICK_NS);
}

static void stamp_expired(nic_device *device)
{
    device->cells[YUKON2_B0_HWE_ISRC] |= YUKON2_B0_HWE_ISRC_TIST_OV;
    nic_timer_set(device, YUKON2_TIMER_STAMP, nic_now(device) + ((uint64_t)YUKON2_TICK_NS << 32));
    yukon2_update(device);
}

/* ------------------------------------------------------------------ queues (2.5, 2.6) */

bool yukon2_queue_runs(const nic_device *device, uint32_t queue)
{
    uint32_t cells = yukon2_queue_cells[queue], csr = yukon2_reg(device, cells + Q_CSR);
    uint32_t prefetch = yukon2_reg(device, cells + PREF_CTRL);
    return csr & UNIT_ON && csr & CSR_START && !(csr & UNIT_RST_SET) && prefetch & UNIT_ON &&
           !(prefetch & UNIT_RST_SET) && !(yukon2_reg(device, YUKON2_B0_CTST) & (SW_RST | SW_MRST | SW_STOP)) &&
           !(yukon2_reg(device, YUKON2_B0_ISRC) >> queue & 1);
}

void yukon2_load_list(nic_device *device, uint32_t queue, yukon2_list *list)
{
    uint32_t cells = yukon2_queue_cells[queue];
    list->base = (uint64_t)yukon2_reg(device, cells + PREF_ADDR_HI) << 32 | yukon2_reg(device, cells + PREF_ADDR_LO);
    list->last = yukon2_reg(device, cells + PREF_LAST_IDX);
    list->get = yukon2_reg(device, cells + PREF_GET_IDX);
    list->put = yukon2_reg(device, cells + PREF_PUT_IDX);
    if (list->get > list->last)
        list->get = 0;
    if (list->put > list->last) /* nothing in this list is the card's */
        list->put = list->get;
    list->memory = nic_dma_map(device, list->base, (uint64_t)(list->last + 1) * YUKON2_LE, false);
}

bool yukon2_fetch(nic_device *device, const yukon2_list *list, uint32_t index, yukon2_le *le)
{
    uint64_t word;
    if (NIC_LIKELY(list->memory))
        memcpy(&word, list->memory + (size_t)index * YUKON2_LE, sizeof(word));
    else if (!nic_dma_read(device, list->base + (uint64_t)index * YUKON2_LE, &word, sizeof(word)))
        return false;
    __asm__ volatile("" : "+r"(word)); /* read once: the guest may change it behind us */
    le->address = (uint32_t)word;
    le->length = (uint16_t)(word >> 32);
    le->control = (uint8_t)(word >> 48);
    le->opcode = (uint8_t)(word >> 56);
    device->counters.descriptors++;
    return true;
}

/* The queue stops until its check interrupt is cleared. */
void yukon2_bad_element(nic_device *device, uint32_t queue, uint32_t rule, uint32_t index, const yukon2_le *le)
{
    nic_find(device, rule, index, le->opcode);
    yukon2_raise(device, 1u << queue);
}

static uint32_t queue_of(uint32_t cell)
{
    for (uint32_t queue = 0; queue < QUEUES; queue++)
        if (cell - yukon2_queue_cells[queue] <= PREF_PUT_IDX)
            return queue;
    return QUEUE_R1;
}

static void want_queue(nic_device *device, uint32_t queue)
{
    nic_want_work(device, queue == QUEUE_R1 ? (uint32_t)YUKON2_WORK_LIST : NIC_WORK_TRANSMIT);
    if (queue != QUEUE_R1)
        return;
    nic_port_ready(&device->port);
    if (NIC_UNLIKELY(yukon2_of(device)->congested))
        nic_want_work(device, YUKON2_WORK_FLOW);
}

/* Reports of a queue that has been reset would name elements of its old list (7.4). */
static void drop_reports(nic_device *device)
{
    yukon2_status *status = &yukon2_of(device)->status;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < status->level; i++)
        if ((status->fifo[i] >> 56 & 0x7f) != OP_TXINDEXLE)
            status->fifo[kept++] = status->fifo[i];
    status->level = kept;
    device->cells[YUKON2_STAT_FIFO_LEVEL] = kept < 0xff ? kept : 0xff;
}

static void reset_queue(nic_device *device, uint32_t queue)
{
    yukon2 *card = yukon2_of(device);
    card->changes++;
    device->cells[yukon2_queue_cells[queue] + Q_DONE] = 0;
    if (queue == QUEUE_R1) {
        card->rx = (yukon2_rx){0};
        return;
    }
    card->tx[queue] = (yukon2_tx){0};
    device->cells[queue == QUEUE_XA1 ? YUKON2_STAT_TXA1_RIDX : YUKON2_STAT_TXS1_RIDX] = 0;
    drop_reports(device);
    if (!card->tx[!queue].unreported)
        nic_timer_stop(device, YUKON2_TIMER_TX);
    else
        nic_want_work(device, YUKON2_WORK_STATUS);
}

static void write_csr(nic_device *device, const nic_row *row, const nic_access *access)
{
    uint32_t queue = queue_of(row->cell);
    if (access->value & UNIT_RST_SET)
        reset_queue(device, queue);
    if (access->value & CSR_CLR_CHK)
        device->cells[YUKON2_B0_ISRC] &= ~(1u << queue);
    if (access->value & CSR_CLR_TCP && queue != QUEUE_R1)
        device->cells[YUKON2_B0_HWE_ISRC] &= ~(1u << queue);
    want_queue(device, queue);
}

static uint32_t control_and_status(const nic_device *device, uint32_t cell)
{
    uint32_t queue = queue_of(cell), cells = yukon2_queue_cells[queue];
    bool busy = queue != QUEUE_R1 && yukon2_queue_runs(device, queue) &&
                yukon2_reg(device, cells + PREF_GET_IDX) != yukon2_reg(device, cells + PREF_PUT_IDX);
    return busy ? yukon2_reg(device, cell) & ~(uint32_t)CSR_IDLE : yukon2_reg(device, cell);
}

static void write_prefetch_control(nic_device *device, const nic_row *row, const nic_access *access)
{
    uint32_t queue = queue_of(row->cell), cells = yukon2_queue_cells[queue];
    if (access->value & UNIT_RST_SET) {
        device->cells[cells + PREF_GET_IDX] = device->cells[cells + PREF_PUT_IDX] = 0;
        reset_queue(device, queue);
    }
    want_queue(device, queue);
}

static void write_put(nic_device *device, const nic_row *row, const nic_access *access NIC_UNUSED)
{
    uint32_t queue = queue_of(row->cell), cells = yukon2_queue_cells[queue], put = yukon2_reg(device, row->cell);
    uint32_t last = yukon2_reg(device, cells + PREF_LAST_IDX), control = yukon2_reg(device, cells + PREF_CTRL);
    uint32_t ctst = yukon2_reg(device, YUKON2_B0_CTST);
    if (NIC_UNLIKELY(ctst & (SW_RST | SW_MRST)))
        nic_find(device, YUKON2_FIND_RESET_HELD, ctst, queue);
    else if (NIC_UNLIKELY(!(control & UNIT_ON)))
        nic_find(device, YUKON2_FIND_LIST_PUT_WHILE_OFF, put, control);
    if (NIC_UNLIKELY(put > last))
        nic_find(device, YUKON2_FIND_LIST_PUT_OUT_OF_LIST, put, last);
    if (queue != QUEUE_R1 && !(yukon2_reg(device, YUKON2_GM_GP_CTRL) & YUKON2_GM_GP_CTRL_TX_ENA) &&
        put != yukon2_reg(device, cells + PREF_GET_IDX))
        nic_find(device, YUKON2_FIND_TX_DISABLED, yukon2_reg(device, YUKON2_GM_GP_CTRL), put);
    want_queue(device, queue);
}

static void write_list_address(nic_device *device, const nic_row *row, const nic_access *access)
{
    if (yukon2_reg(device, row->cell) & (YUKON2_LE - 1))
        nic_find(device, YUKON2_FIND_LIST_UNALIGNED, access->value, 0);
}

static void write_status_address(nic_device *device, const nic_row *row, const nic_access *access)
{
    if (yukon2_reg(device, row->cell) & (YUKON2_LE - 1))
        nic_find(device, YUKON2_FIND_STATUS_UNALIGNED, access->value, 0);
}

/* ------------------------------------------------------------------ status unit (2.10) */

static void write_status_control(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    yukon2 *card = yukon2_of(device);
    if (access->value & UNIT_RST_SET) {
        card->changes++;
        card->status.level = card->status.written = 0;
        card->status.begun = false;
        device->cells[YUKON2_STAT_PUT_IDX] = device->cells[YUKON2_STAT_FIFO_LEVEL] = 0;
        device->cells[YUKON2_B0_ISRC] &= ~YUKON2_B0_ISRC_STAT_BMU;
        nic_timer_stop(device, YUKON2_TIMER_LEVEL);
        nic_timer_stop(device, YUKON2_TIMER_ISR);
    }
    if (access->value & STATUS_CLR_IRQ) {
        device->cells[YUKON2_B0_ISRC] &= ~YUKON2_B0_ISRC_STAT_BMU;
        nic_want_work(device, YUKON2_WORK_RECHECK);
    }
    if (access->value & UNIT_ON)
        nic_want_work(device, YUKON2_WORK_STATUS);
}

/* ------------------------------------------------------------------ FIFOs and the MAC (2.8, 2.11, 2.12) */

/* A unit that is put into reset forgets its switches. */
static void forget_switches(nic_device *device, const nic_row *row)
{
    device->cells[row->cell] = device->model->resets[row->cell].value;
}

static void write_receive_fifo(nic_device *device, const nic_row *row, const nic_access *access)
{
    if (access->value & UNIT_RST_SET)
        forget_switches(device, row);
    if (access->value & RX_CLR_OVERRUN)
        device->cells[YUKON2_GMAC_IRQ_SRC] &= ~YUKON2_GMAC_IRQ_SRC_RX_FF_OR;
    nic_port_ready(&device->port);
}

static void write_transmit_fifo(nic_device *device, const nic_row *row, const nic_access *access)
{
    if (access->value & UNIT_RST_SET)
        forget_switches(device, row);
    nic_want_work(device, NIC_WORK_TRANSMIT);
}

void yukon2_reset_gmac(nic_device *device)
{
    for (uint32_t cell = YUKON2_GM_GP_CTRL; cell < YUKON2_GM_MIB_LOW; cell++)
        device->cells[cell] = device->model->resets[cell].value;
    device->cells[YUKON2_GMAC_IRQ_SRC] = 0;
}

static void write_gmac_control(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    if (access->value & UNIT_RST_SET)
        yukon2_reset_gmac(device);
    yukon2_update(device);
    nic_want_work(device, NIC_WORK_TRANSMIT);
}

static void write_gp_control(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    uint32_t control = yukon2_reg(device, YUKON2_GM_GP_CTRL), risen = control & ~access->old;
    if (risen & YUKON2_GM_GP_CTRL_RX_ENA) {
        if (!(yukon2_reg(device, YUKON2_R1_PREF_CTRL) & UNIT_ON))
            nic_find(device, YUKON2_FIND_RX_ENABLED_WITHOUT_LIST, control, 0);
        nic_port_ready(&device->port);
    }
    nic_want_work(device, NIC_WORK_TRANSMIT);
}

static uint32_t read_counter(nic_device *device, const nic_row *row, const nic_access *access)
{
    uint32_t value = yukon2_reg(device, row->cell + access->index);
    if (yukon2_reg(device, YUKON2_GM_PHY_ADDR) & YUKON2_GM_PHY_ADDR_MIB_CLR)
        device->cells[YUKON2_GM_MIB_LOW + access->index] = device->cells[YUKON2_GM_MIB_HIGH + access->index] = 0;
    return value;
}

enum { QUANTUM_BITS = 512 }; /* of a pause (IEEE 802.3, 31B.2) */

static uint64_t bit_time(const nic_device *device)
{
    uint32_t status = yukon2_reg(device, YUKON2_GM_GP_STAT);
    return status & YUKON2_GM_GP_STAT_GIG_SPEED ? 1 : status & YUKON2_GM_GP_STAT_SPEED ? 10 : 100;
}

uint64_t yukon2_wire_time(const nic_device *device, uint32_t bytes)
{
    enum { PREAMBLE_AND_GAP = 20 };
    return 8ull * ((bytes < YUKON2_MIN ? YUKON2_MIN : bytes) + YUKON2_FCS + PREAMBLE_AND_GAP) * bit_time(device);
}

void yukon2_paused(nic_device *device, uint32_t quanta)
{
    if (!(yukon2_reg(device, YUKON2_GMAC_CTRL) & GMAC_PAUSE_ON) || !yukon2_full_duplex(device) ||
        yukon2_reg(device, YUKON2_GM_GP_CTRL) & YUKON2_GM_GP_CTRL_FC_RX_DIS)
        return;
    device->cells[YUKON2_GM_GP_STAT] |= YUKON2_GM_GP_STAT_PAUSE;
    nic_timer_set(device, YUKON2_TIMER_PAUSE, nic_now(device) + quanta * QUANTUM_BITS * bit_time(device));
}

static void pause_expired(nic_device *device)
{
    device->cells[YUKON2_GM_GP_STAT] &= ~YUKON2_GM_GP_STAT_PAUSE;
    yukon2_transmit(device);
}

/* ------------------------------------------------------------------ PAUSE frames of its own (2.11) */

static bool asks_to_pause(nic_device *device)
{
    uint32_t control = yukon2_reg(device, YUKON2_GM_GP_CTRL), status = yukon2_reg(device, YUKON2_GM_GP_STAT);
    bool off = control & YUKON2_GM_GP_CTRL_AU_FCT_DIS ? control & YUKON2_GM_GP_CTRL_FC_TX_DIS
                                                      : status & YUKON2_GM_GP_STAT_FC_TX_DIS;
    return yukon2_reg(device, YUKON2_GMAC_CTRL) & GMAC_PAUSE_ON && !off && yukon2_full_duplex(device) &&
           control & YUKON2_GM_GP_CTRL_TX_ENA && status & YUKON2_GM_GP_STAT_LINK_UP && !yukon2_loops(device);
}

/* Goes out at once, ahead of what waits and whether or not transmission is paused (IEEE 802.3, 31B.3.1). */
static void send_pause(nic_device *device, uint8_t what)
{
    yukon2 *card = yukon2_of(device);
    uint32_t quanta = what == YUKON2_XOFF ? yukon2_reg(device, YUKON2_GM_TX_FLOW_CTRL) : 0;
    uint16_t station[3];
    uint8_t bytes[NIC_PAUSE_BYTES];
    struct iovec iov = {bytes, sizeof(bytes)};
    for (uint32_t i = 0; i < 3; i++)
        station[i] = (uint16_t)yukon2_reg(device, YUKON2_GM_SRC_ADDR_1 + i);
    nic_pause_make(bytes, (const uint8_t *)station, quanta);
    card->owed = YUKON2_NONE;
    if (!asks_to_pause(device) || (what == YUKON2_XOFF && !quanta))
        return;
    if (!nic_port_send(&device->port, &(nic_frame){&iov, 1, sizeof(bytes), 0, NULL}, 1)) {
        card->owed = what;
        return;
    }
    card->asked = what;
    yukon2_count(device, MIB_TX_PAUSE, 1);
    if (what == YUKON2_XOFF)
        nic_timer_set(device, YUKON2_TIMER_AGAIN, nic_now(device) + quanta * QUANTUM_BITS * bit_time(device) / 2);
}

/* Frames wait in front of the card, or are lost: the receive FIFO is above its upper threshold. */
void yukon2_congested(nic_device *device)
{
    yukon2 *card = yukon2_of(device);
    if (NIC_UNLIKELY(!card->congested)) {
        card->congested = true;
        nic_want_work(device, YUKON2_WORK_FLOW);
    }
}

/* The FIFO is below its lower threshold when nothing waits and there are buffers again. */
static void control_flow(nic_device *device)
{
    yukon2 *card = yukon2_of(device);
    if (card->congested && !device->port.inbound.frames && yukon2_can_receive(device)) {
        card->congested = false;
        card->owed = YUKON2_NONE;
        nic_timer_stop(device, YUKON2_TIMER_AGAIN);
        if (card->asked == YUKON2_XOFF)
            send_pause(device, YUKON2_XON);
    } else if (card->congested && card->asked != YUKON2_XOFF) {
        send_pause(device, YUKON2_XOFF);
    }
}

static void again_expired(nic_device *device)
{
    control_flow(device); /* the receiver may have been switched off */
    if (yukon2_of(device)->congested)
        send_pause(device, YUKON2_XOFF);
}

/* ------------------------------------------------------------------ link and wake-up (2.11) */

void yukon2_wake(nic_device *device, uint32_t occurred)
{
    uint32_t *cell = &device->cells[YUKON2_WOL_CTRL_STAT], wanted = 0;
    *cell |= occurred;
    if (occurred & YUKON2_WOL_CTRL_STAT_MAGIC_OCC && *cell & WOL_PME_MAGIC_ON)
        wanted |= YUKON2_WOL_CTRL_STAT_MAGIC_OCC;
    if (occurred & YUKON2_WOL_CTRL_STAT_LINK_CHG_OCC && *cell & WOL_PME_LINK_ON)
        wanted |= YUKON2_WOL_CTRL_STAT_LINK_CHG_OCC;
    if (wanted && device->python && nic_py.event)
        nic_py.event(device->python, YUKON2_EVENT_WAKE, wanted);
}

static void write_wake_control(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    if (access->value & YUKON2_WOL_CTRL_STAT_CLEAR_RESULT)
        device->cells[YUKON2_WOL_CTRL_STAT] &= ~(YUKON2_WOL_CTRL_STAT_PATTERN_OCC | YUKON2_WOL_CTRL_STAT_MAGIC_OCC |
                                                 YUKON2_WOL_CTRL_STAT_LINK_CHG_OCC);
}

void yukon2_set_loopback(nic_device *device, bool on) { yukon2_of(device)->phy_loopback = on; }

void yukon2_link_changed(nic_device *device, bool changed)
{
    nic_want_work(device, NIC_WORK_TRANSMIT);
    if (changed && yukon2_reg(device, YUKON2_WOL_CTRL_STAT) & WOL_LINK_ON)
        yukon2_wake(device, YUKON2_WOL_CTRL_STAT_LINK_CHG_OCC);
    if (device->loop) /* the host program may have pulled the cable between two turns */
        nic_loop_wake(device->loop);
}

void yukon2_twsi_done(nic_device *device) { yukon2_raise(device, YUKON2_B0_ISRC_TWSI_RDY); }

/* ------------------------------------------------------------------ other register hooks */

static void write_ctst(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    if (access->value & (SW_RST | SW_MRST))
        nic_reset(device, NIC_RESET_SOFT);
    uint32_t *cells = device->cells;
    level(&cells[YUKON2_B0_CTST], YUKON2_B0_CTST_STOP_DONE, cells[YUKON2_B0_CTST] & SW_STOP);
    level(&cells[YUKON2_B0_ISRC], YUKON2_B0_ISRC_IRQ_SW, cells[YUKON2_B0_CTST] & SW_IRQ_SET);
}

static void write_twsi_interrupt(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    if (access->value & YUKON2_B2_I2C_IRQ_CLR)
        device->cells[YUKON2_B0_ISRC] &= ~YUKON2_B0_ISRC_TWSI_RDY;
}

static void write_hash_key(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    yukon2_of(device)->hash_ready = false;
}

static void write_pci_status(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    yukon2_update(device);
}

/* What a register shows, without the effects that a read may have. */
uint32_t yukon2_peek(nic_device *device, uint32_t cell)
{
    switch (cell) {
    case YUKON2_B0_HWE_ISRC:
        return hardware_errors(device);
    case YUKON2_B0_Y2_SP_ISRC2:
    case YUKON2_B0_Y2_SP_ISRC3:
    case YUKON2_B0_Y2_SP_EISR:
    case YUKON2_B0_Y2_SP_LISR:
        return pending_sources(device);
    case YUKON2_B0_Y2_SP_ICR:
        return yukon2_of(device)->in_isr ? YUKON2_B0_Y2_SP_ICR_IN_ISR : 0;
    case YUKON2_R1_CSR:
    case YUKON2_XS1_CSR:
    case YUKON2_XA1_CSR:
        return control_and_status(device, cell);
    case YUKON2_GMAC_TI_ST_VAL:
        return time_stamp(device);
    case YUKON2_B2_TI_VAL:
    case YUKON2_B2_IRQM_VAL:
    case YUKON2_STAT_LEV_TIMER_CNT:
    case YUKON2_STAT_TX_TIMER_CNT:
    case YUKON2_STAT_ISR_TIMER_CNT:
        return ticks_left(device, cell);
    default:
        return yukon2_reg(device, cell);
    }
}

static uint32_t read_shown(nic_device *device, const nic_row *row, const nic_access *access)
{
    return yukon2_peek(device, row->cell + access->index);
}

#define QUEUE_HOOKS(queue)                                                                                             \
    {"mmio", #queue "_CSR", read_shown, write_csr}, {"mmio", #queue "_PREF_CTRL", NULL, write_prefetch_control},         \
        {"mmio", #queue "_PREF_ADDR_LO", NULL, write_list_address}, {"mmio", #queue "_PREF_PUT_IDX", NULL, write_put}
#define STATUS_TIMER_HOOKS(timer)                                                                                      \
    {"mmio", "STAT_" #timer "_TIMER_CNT", read_shown, NULL},                                                           \
        {"mmio", "STAT_" #timer "_TIMER_CTRL", NULL, write_status_timer}

static const nic_hook hooks[] = {
    {"config", "STATUS", NULL, write_pci_status},
    {"mmio", "B0_CTST", NULL, write_ctst},
    {"mmio", "B0_HWE_ISRC", read_shown, NULL},
    {"mmio", "B0_Y2_SP_ISRC2", read_enter, NULL},
    {"mmio", "B0_Y2_SP_ISRC3", read_shown, NULL},
    {"mmio", "B0_Y2_SP_EISR", read_enter, NULL},
    {"mmio", "B0_Y2_SP_LISR", read_leave, NULL},
    {"mmio", "B0_Y2_SP_ICR", read_shown, write_icr},
    {"mmio", "B2_TI_VAL", read_shown, NULL},
    {"mmio", "B2_TI_CTRL", NULL, write_general_timer},
    {"mmio", "B2_IRQM_VAL", read_shown, NULL},
    {"mmio", "B2_IRQM_CTRL", NULL, write_moderation_timer},
    {"mmio", "B2_I2C_IRQ", NULL, write_twsi_interrupt},
    {"mmio", "RSS_KEY", NULL, write_hash_key},
    QUEUE_HOOKS(R1),
    QUEUE_HOOKS(XS1),
    QUEUE_HOOKS(XA1),
    {"mmio", "RX_GMF_CTRL", NULL, write_receive_fifo},
    {"mmio", "TX_GMF_CTRL", NULL, write_transmit_fifo},
    {"mmio", "GMAC_TI_ST_VAL", read_shown, NULL},
    {"mmio", "GMAC_TI_ST_CTRL", NULL, write_stamp_timer},
    {"mmio", "STAT_CTRL", NULL, write_status_control},
    {"mmio", "STAT_LIST_ADDR_LO", NULL, write_status_address},
    STATUS_TIMER_HOOKS(LEV),
    STATUS_TIMER_HOOKS(TX),
    STATUS_TIMER_HOOKS(ISR),
    {"mmio", "GMAC_CTRL", NULL, write_gmac_control},
    {"mmio", "WOL_CTRL_STAT", NULL, write_wake_control},
    {"mmio", "GM_GP_CTRL", NULL, write_gp_control},
    {"mmio", "GM_MIB_LOW", read_counter, NULL},
    {NULL, NULL, NULL, NULL},
};

/* ------------------------------------------------------------------ work */

static void work(nic_device *device, uint32_t work)
{
    if (NIC_UNLIKELY(work & NIC_WORK_WRITABLE && yukon2_of(device)->owed))
        send_pause(device, yukon2_of(device)->owed);
    if (work & (NIC_WORK_TRANSMIT | NIC_WORK_WRITABLE))
        yukon2_transmit(device);
    if (work & YUKON2_WORK_LIST)
        yukon2_walk_receive_list(device);
    if (work & YUKON2_WORK_STATUS) {
        yukon2_report(device, false);
        yukon2_status_settle(device);
    }
    if (work & YUKON2_WORK_RECHECK)
        yukon2_status_recheck(device);
    if (NIC_UNLIKELY(work & YUKON2_WORK_FLOW))
        control_flow(device);
}

static void report_expired(nic_device *device)
{
    yukon2_report(device, true);
    yukon2_status_settle(device);
}

/* ------------------------------------------------------------------ resets and snapshots */

/* What the chip holds is lost; the PHY is reset with its own pin only (2.1, 2.11). */
static void reset(nic_device *device, int kind)
{
    yukon2 *card = yukon2_of(device);
    card->changes++;
    card->in_isr = card->congested = false;
    card->asked = card->owed = YUKON2_NONE;
    card->released = 0;
    card->moderation = card->stamp = NIC_NEVER;
    memset(card->tx, 0, sizeof(card->tx));
    card->rx = (yukon2_rx){0};
    card->status.level = card->status.written = 0;
    card->status.begun = card->hash_ready = false;
    if (kind == NIC_RESET_POWER)
        card->phy_interrupt = card->phy_loopback = false;
}

static const nic_state_field state[] = {
    NIC_STATE(yukon2, in_isr),
    NIC_STATE(yukon2, congested),
    NIC_STATE(yukon2, asked),
    NIC_STATE(yukon2, owed),
    NIC_STATE(yukon2, phy_interrupt),
    NIC_STATE(yukon2, phy_loopback),
    NIC_STATE(yukon2, released),
    NIC_STATE_TIME(yukon2, moderation),
    NIC_STATE_TIME(yukon2, stamp),
#define TX(n)                                                                                                          \
    NIC_STATE(yukon2, tx[n].said.high), NIC_STATE(yukon2, tx[n].said.large), NIC_STATE(yukon2, tx[n].said.vlan),       \
        NIC_STATE(yukon2, tx[n].said.start), NIC_STATE(yukon2, tx[n].said.place),                                      \
        NIC_STATE(yukon2, tx[n].said.initial), NIC_STATE(yukon2, tx[n].segment),                                       \
        NIC_STATE(yukon2, tx[n].unreported), NIC_STATE(yukon2, tx[n].force)
    TX(0),
    TX(1),
#undef TX
    NIC_STATE(yukon2, rx.high),
    NIC_STATE_ARRAY(yukon2, rx.start),
    NIC_STATE_ARRAY(yukon2, status.fifo),
    NIC_STATE(yukon2, status.level),
    NIC_STATE(yukon2, status.written),
    NIC_STATE(yukon2, status.begun),
    {NULL, 0, 0, 0, 0},
};

/* A snapshot may come from anywhere. */
static void loaded(nic_device *device)
{
    yukon2 *card = yukon2_of(device);
    uint64_t now = nic_now(device);
    card->changes++;
    card->hash_ready = false;
    if (card->status.level > YUKON2_STATUS_FIFO)
        card->status.level = 0;
    if (card->moderation > now)
        card->moderation = NIC_NEVER;
    if (card->stamp > now)
        card->stamp = NIC_NEVER;
}

/* ------------------------------------------------------------------ the card */

static const nic_card_timer timers[] = {
    [YUKON2_TIMER_LEVEL] = {"status-level", yukon2_level_expired},
    [YUKON2_TIMER_TX] = {"status-tx", report_expired},
    [YUKON2_TIMER_ISR] = {"status-isr", yukon2_isr_expired},
    [YUKON2_TIMER_MODERATION] = {"moderation", moderation_expired},
    [YUKON2_TIMER_GENERAL] = {"general", general_expired},
    [YUKON2_TIMER_STAMP] = {"time-stamp", stamp_expired},
    [YUKON2_TIMER_PAUSE] = {"pause", pause_expired},
    [YUKON2_TIMER_WIRE] = {"wire", yukon2_wire_expired},
    [YUKON2_TIMER_AGAIN] = {"pause-again", again_expired},
    {NULL, NULL},
};

const nic_card yukon2_card = {
    .name = "yukon2",
    .state_size = sizeof(yukon2),
    .hooks = hooks,
    .state = state,
    .timers = timers,
    .reset = reset,
    .work = work,
    .receive = yukon2_receive,
    .can_receive = yukon2_can_receive,
    .interrupt = yukon2_update,
    .loaded = loaded,
};
