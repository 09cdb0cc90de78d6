/*
 * The NE2000 family: command register, interrupts, hooks and resets.
 */
#include "ne2000.h"

#include <string.h>

/* ------------------------------------------------------------------ interrupts (10.3 ISR, IMR) */

void ne2000_interrupt(nic_device *device)
{
    bool driven = ne2000_of(device)->board != NE2000_BOARD_RTL8019 ||
                  ne2000_reg(device, NE2000_CONFIG1) & NE2000_CONFIG1_IRQEN;
    nic_interrupt_set(device, driven && device->cells[NE2000_ISR] & device->cells[NE2000_IMR] & ~NE2000_ISR_RST);
}

void ne2000_cause(nic_device *device, uint32_t causes) { device->cells[NE2000_ISR] |= causes; }

/* ------------------------------------------------------------------ start and stop (10.3 CR) */

void ne2000_stopped(nic_device *device)
{
    ne2000_of(device)->stopping = false;
    ne2000_cause(device, NE2000_ISR_RST);
}

static void stop(nic_device *device)
{
    ne2000 *card = ne2000_of(device);
    card->recovering |= card->overflowed;
    card->overflowed = card->stuck = false;
    if (card->sending == NE2000_ON_WIRE || card->sending == NE2000_SENT_LATE)
        card->stopping = true;
    else
        ne2000_stopped(device);
}

/* The rules of what has to stand in registers when the chip begins to receive. */
static void check_start(nic_device *device, uint32_t written)
{
    ne2000 *card = ne2000_of(device);
    uint32_t start = ne2000_reg(device, NE2000_PSTART), end = ne2000_reg(device, NE2000_PSTOP);
    uint32_t missing = NE2000_WROTE_ALL & ~card->written;
    if (card->stopping)
        nic_find(device, NE2000_FIND_CR_START_BEFORE_RESET, written, 0);
    if (card->recovering && !ne2000_loops(device))
        nic_find(device, NE2000_FIND_RX_OVERFLOW_LOOPBACK, written, ne2000_reg(device, NE2000_TCR));
    if (missing) {
        /* Reading the PROM is the one thing that is done before these are known: with reception and wire off. */
        bool probing = ne2000_reg(device, NE2000_RCR) & NE2000_RCR_MON && ne2000_loops(device);
        if (!probing)
            nic_find(device, NE2000_FIND_START_UNDEFINED, missing, 0);
        return;
    }
    if (start >= end || !ne2000_is_ram(card, (uint16_t)(start << 8)) ||
        !ne2000_is_ram(card, (uint16_t)((end << 8) - 1)))
        nic_find(device, NE2000_FIND_START_RING, start, end);
}

static void start(nic_device *device, uint32_t written)
{
    ne2000 *card = ne2000_of(device);
    check_start(device, written);
    card->stopping = card->recovering = false;
    device->cells[NE2000_ISR] &= ~NE2000_ISR_RST;
    nic_port_ready(&device->port);
    if (card->sending == NE2000_WAITING)
        nic_want_work(device, NIC_WORK_TRANSMIT);
}

static void write_cr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    uint32_t written = access->value, old = access->old, *cr = &device->cells[NE2000_CR];
    bool was_started = (old & (NE2000_CR_STA | NE2000_CR_STP)) == NE2000_CR_STA;
    uint32_t command = (written & NE2000_CR_RD) >> NE2000_CR_RD_SHIFT;
    uint32_t page = (written & NE2000_CR_PS) >> NE2000_CR_PS_SHIFT;

    nic_select_page(device, 0, page);
    if (page == 3 && !ne2000_is_realtek(device))
        nic_find(device, NE2000_FIND_CR_PAGE, written, 0);
    if (written & NE2000_CR_STP && !(old & NE2000_CR_STP))
        stop(device);
    else if (ne2000_started(device) && !was_started)
        start(device, written);
    if (!command) { /* not allowed (10.3 CR): no command, and none is lost */
        nic_find(device, NE2000_FIND_CR_REMOTE_COMMAND, written, 0);
        *cr = (*cr & ~NE2000_CR_RD) | (old & NE2000_CR_RD);
    } else {
        ne2000_remote_command(device, command & NE2000_ABORT ? NE2000_ABORT : command, written);
    }
    if (!(written & NE2000_CR_TXP))
        return;
    if (old & NE2000_CR_TXP)
        nic_find(device, NE2000_FIND_CR_TRANSMIT_BUSY, written, 0);
    else
        ne2000_transmit(device);
    if (!ne2000_started(device))
        nic_find(device, NE2000_FIND_CR_TRANSMIT_STOPPED, written, *cr);
}

/* ------------------------------------------------------------------ other registers, in the order of page and address */

static void wrote(nic_device *device, uint32_t what) { ne2000_of(device)->written |= (uint16_t)what; }

static void write_pstart(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    wrote(device, NE2000_WROTE_PSTART);
}

static void write_pstop(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    wrote(device, NE2000_WROTE_PSTOP);
}

/* Pages were given back: ISR.RST of an overflow goes (10.3 ISR), and held frames may come. */
static void write_bnry(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    ne2000 *card = ne2000_of(device);
    uint32_t start = ne2000_reg(device, NE2000_PSTART), end = ne2000_reg(device, NE2000_PSTOP);
    wrote(device, NE2000_WROTE_BNRY);
    if (card->overflowed)
        nic_find(device, NE2000_FIND_RX_OVERFLOW_RECOVERY, access->value, 0);
    if (ne2000_started(device)) {
        if (access->value < start || access->value >= end)
            nic_find(device, NE2000_FIND_RING_BOUNDARY, access->value, end);
        else if (access->value == ne2000_reg(device, NE2000_CURR))
            nic_find(device, NE2000_FIND_RING_BOUNDARY_EQUALS_CURRENT, access->value, 0);
        device->cells[NE2000_ISR] &= ~NE2000_ISR_RST;
    }
    nic_port_ready(&device->port);
}

/*
 * Linux's driver clears PRX with packets left in the ring, and relies on the next one or on OVW to come back for them.
 * With frames held back neither comes: PRX stands until they have found room.
 */
static void write_isr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    if (ne2000_started(device) && !ne2000_can_receive(device))
        ne2000_cause(device, NE2000_ISR_PRX);
}

static uint32_t read_fifo(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    ne2000 *card = ne2000_of(device);
    return card->fifo[card->fifo_read++ % NE2000_FIFO_BYTES];
}

/* DFR shows carrier as it is now; the rest is of the last packet (10.3 RSR). */
static uint32_t read_rsr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    return ne2000_reg(device, NE2000_RSR) | (ne2000_carrier(device) ? NE2000_RSR_DFR : 0);
}

/* Drivers look for the chip by writing RSAR and reading CRDA, which follows at once. */
static void write_rsar0(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    device->cells[NE2000_CRDA0] = access->value;
}

static void write_rsar1(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    device->cells[NE2000_CRDA1] = access->value;
}

static void write_rcr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    uint32_t rcr = access->value, groups = NE2000_RCR_AB | NE2000_RCR_AM;
    wrote(device, NE2000_WROTE_RCR);
    device->cells[NE2000_RSR] = (ne2000_reg(device, NE2000_RSR) & ~NE2000_RSR_DIS) |
                                (rcr & NE2000_RCR_MON ? NE2000_RSR_DIS : 0);
    if (rcr & NE2000_RCR_PRO && !(rcr & NE2000_RCR_MON)) {
        bool all = (rcr & groups) == groups;
        for (uint32_t i = 0; i < 8; i++)
            all = all && ne2000_reg(device, NE2000_MAR + i) == 0xff;
        if (!all)
            nic_find(device, NE2000_FIND_RCR_PROMISCUOUS, rcr, 0);
    }
    nic_port_ready(&device->port);
}

static void write_tcr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    ne2000 *card = ne2000_of(device);
    wrote(device, NE2000_WROTE_TCR);
    if (!(access->value & NE2000_TCR_ATD))
        card->silenced = false;
    if (card->sending == NE2000_WAITING)
        nic_want_work(device, NIC_WORK_TRANSMIT);
    nic_port_ready(&device->port);
}

static void write_dcr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    wrote(device, NE2000_WROTE_DCR);
    if (access->value & NE2000_DCR_LAS)
        nic_find(device, NE2000_FIND_DCR_LONG_ADDRESS, access->value, 0);
}

static void write_par(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    wrote(device, 1u << access->index);
}

static void write_curr(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    wrote(device, NE2000_WROTE_CURR);
    nic_port_ready(&device->port);
}

/* The reset port drives the chip's RESET pin (11.0). */
static uint32_t read_reset(nic_device *device, const nic_row *row, const nic_access *access)
{
    if (ne2000_of(device)->board == NE2000_BOARD_NE1000 && !(access->offset & 4))
        return ne2000_port_read(device, row, access);
    nic_reset(device, NIC_RESET_SOFT);
    return 0;
}

static void write_reset(nic_device *device, const nic_row *row, const nic_access *access)
{
    if (ne2000_of(device)->board == NE2000_BOARD_NE1000 && !(access->offset & 4)) {
        ne2000_port_write(device, row, access);
        return;
    }
    nic_reset(device, NIC_RESET_SOFT);
    device->cells[NE2000_RESET + access->index] = 0;
}

/* The NE1000 decodes one address line less: four ports of data and four of reset, twice. */
static uint32_t read_data(nic_device *device, const nic_row *row, const nic_access *access)
{
    if (ne2000_of(device)->board == NE2000_BOARD_NE1000 && access->offset & 4) {
        nic_reset(device, NIC_RESET_SOFT);
        return 0;
    }
    return ne2000_port_read(device, row, access);
}

static void write_data(nic_device *device, const nic_row *row, const nic_access *access)
{
    if (ne2000_of(device)->board == NE2000_BOARD_NE1000 && access->offset & 4)
        nic_reset(device, NIC_RESET_SOFT);
    else
        ne2000_port_write(device, row, access);
    device->cells[NE2000_DATA + access->index] = 0; /* nothing is kept in the port itself */
}

static bool read_data_block(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access, void *buffer,
                            size_t count)
{
    return ne2000_of(device)->board != NE2000_BOARD_NE1000 && ne2000_port_read_block(device, access, buffer, count);
}

static bool write_data_block(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access,
                             const void *buffer, size_t count)
{
    return ne2000_of(device)->board != NE2000_BOARD_NE1000 && ne2000_port_write_block(device, access, buffer, count);
}

static const nic_hook hooks[] = {
    {"io", "CR", NULL, write_cr},
    {"io", "PSTART", NULL, write_pstart},
    {"io", "PSTOP", NULL, write_pstop},
    {"io", "BNRY", NULL, write_bnry},
    {"io", "FIFO", read_fifo, NULL},
    {"io", "ISR", NULL, write_isr},
    {"io", "RSAR0", NULL, write_rsar0},
    {"io", "RSAR1", NULL, write_rsar1},
    {"io", "RSR", read_rsr, NULL},
    {"io", "RCR", NULL, write_rcr},
    {"io", "TCR", NULL, write_tcr},
    {"io", "DCR", NULL, write_dcr},
    {"io", "PAR", NULL, write_par},
    {"io", "CURR", NULL, write_curr},
    {"io", "DATA", read_data, write_data},
    {"io", "RESET", read_reset, write_reset},
    {NULL, NULL, NULL, NULL},
};

static const nic_block_hook blocks[] = {
    {"io", "DATA", read_data_block, write_data_block},
    {NULL, NULL, NULL, NULL},
};

/* ------------------------------------------------------------------ boards */

void ne2000_set_board(nic_device *device, int board)
{
    ne2000 *card = ne2000_of(device);
    bool narrow = board == NE2000_BOARD_NE1000;
    card->board = (uint8_t)board;
    card->tsr_ones = board == NE2000_BOARD_RTL8019   ? NE2000_TSR_ND | NE2000_TSR_FU
                     : board == NE2000_BOARD_RTL8029 ? NE2000_TSR_ND
                                                     : 0;
    card->decoded = narrow ? 0x3fff : 0x7fff;
    card->ram_first = narrow ? 0x2000 : 0x4000;
    card->ram_bytes = narrow ? NE2000_RAM_BYTES / 2 : NE2000_RAM_BYTES;
}

void ne2000_set_prom(nic_device *device, const uint8_t *contents)
{
    ne2000 *card = ne2000_of(device);
    bool narrow = card->board == NE2000_BOARD_NE1000;
    for (uint32_t i = 0; i < NE2000_PROM_BYTES; i++)
        card->prom[i] = contents[narrow ? i % 16 : i / 2];
}

/* ------------------------------------------------------------------ resets and state */

static void reset(nic_device *device, int kind)
{
    ne2000 *card = ne2000_of(device);
    card->remote = 0;
    card->sending = NE2000_IDLE;
    card->stopping = card->silenced = card->overflowed = card->recovering = card->stuck = false;
    card->fifo_read = card->fifo_write = 0;
    memset(card->fifo, 0, sizeof(card->fifo));
    if (kind != NIC_RESET_POWER)
        return;
    card->written = 0;
    for (uint32_t at = 0; at < NE2000_RAM_BYTES; at += 4) /* memory that nobody has written */
        memcpy(&card->ram[at], &(uint32_t){nic_random(device)}, 4);
    if (!card->ram_bytes)
        ne2000_set_board(device, NE2000_BOARD_NE2000);
}

static void work(nic_device *device, uint32_t work)
{
    if (work & (NIC_WORK_TRANSMIT | NIC_WORK_WRITABLE))
        ne2000_send(device);
}

static const nic_state_field state[] = {
    NIC_STATE(ne2000, remote),
    NIC_STATE(ne2000, sending),
    NIC_STATE(ne2000, stopping),
    NIC_STATE(ne2000, silenced),
    NIC_STATE(ne2000, overflowed),
    NIC_STATE(ne2000, recovering),
    NIC_STATE(ne2000, stuck),
    NIC_STATE(ne2000, fifo_read),
    NIC_STATE(ne2000, fifo_write),
    NIC_STATE(ne2000, written),
    NIC_STATE_ARRAY(ne2000, disturb),
    NIC_STATE_ARRAY(ne2000, fifo),
    NIC_STATE_ARRAY(ne2000, prom),
    NIC_STATE_ARRAY(ne2000, ram),
    {NULL, 0, 0, 0, 0},
};

/* A snapshot may come from anywhere. */
static void loaded(nic_device *device)
{
    ne2000 *card = ne2000_of(device);
    if (card->remote > NE2000_SEND)
        card->remote = 0;
    if (card->sending > NE2000_SENT_LATE || (card->sending == NE2000_ON_WIRE && !nic_timer_armed(device, NE2000_TIMER_WIRE)))
        card->sending = NE2000_IDLE;
    if (card->sending == NE2000_IDLE)
        device->cells[NE2000_CR] &= ~NE2000_CR_TXP;
    nic_select_page(device, 0, (ne2000_reg(device, NE2000_CR) & NE2000_CR_PS) >> NE2000_CR_PS_SHIFT);
}

static const nic_card_timer timers[] = {
    [NE2000_TIMER_WIRE] = {"wire", ne2000_wire_expired},
    {NULL, NULL},
};

const nic_card ne2000_card = {
    .name = "ne2000",
    .state_size = sizeof(ne2000),
    .hooks = hooks,
    .blocks = blocks,
    .state = state,
    .timers = timers,
    .reset = reset,
    .work = work,
    .receive = ne2000_receive,
    .can_receive = ne2000_can_receive,
    .backlog = NE2000_BACKLOG,
    .interrupt = ne2000_interrupt,
    .loaded = loaded,
    NIC_DISTURBED(ne2000),
};
