/*
 * PCnet, what transmit and receive share: rings, initialization, start and stop, interrupts, timers, register hooks,
 * resets and snapshots.  The rest of the card (EEPROM, PHY, link, power) is in nicemu/devices/pcnet.py.
 */
#include "pcnet.h"

/* ------------------------------------------------------------------ DMA */

/* Bytes up to the last address. */
static uint32_t before_wrap(uint32_t address, uint32_t length)
{
    uint64_t left = (1ull << 32) - address;
    return left < length ? (uint32_t)left : length;
}

bool pcnet_dma_read(nic_device *device, uint32_t address, void *buffer, uint32_t length)
{
    uint32_t part = before_wrap(address, length);
    return nic_dma_read(device, address, buffer, part) &&
           (part == length || nic_dma_read(device, 0, (uint8_t *)buffer + part, length - part));
}

bool pcnet_dma_write(nic_device *device, uint32_t address, const void *buffer, uint32_t length)
{
    uint32_t part = before_wrap(address, length);
    return nic_dma_write(device, address, buffer, part) &&
           (part == length || nic_dma_write(device, 0, (const uint8_t *)buffer + part, length - part));
}

/* Byte `i` of a buffer is at (address + i) ^ 3 (CSR3, BSWP). */
enum { SWAPPED_AT_ONCE = 1024 };

/* How much goes in one DMA: double words, or a byte where there is no whole one. */
static uint32_t swapped_part(uint32_t address, uint32_t length)
{
    if (address & 3 || length < 4)
        return 1;
    return length < SWAPPED_AT_ONCE ? length & ~3u : SWAPPED_AT_ONCE;
}

static void swap_words(uint8_t *to, const uint8_t *from, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        to[i] = from[i ^ 3];
}

bool pcnet_read_swapped(nic_device *device, uint32_t address, uint8_t *buffer, uint32_t length)
{
    uint8_t words[SWAPPED_AT_ONCE];
    for (uint32_t part; length; address += part, buffer += part, length -= part) {
        part = swapped_part(address, length);
        bool done = part == 1 ? pcnet_dma_read(device, address ^ 3, buffer, 1)
                              : pcnet_dma_read(device, address, words, part);
        if (!done)
            return false;
        if (part > 1)
            swap_words(buffer, words, part);
    }
    return true;
}

bool pcnet_write_swapped(nic_device *device, uint32_t address, const uint8_t *buffer, uint32_t length)
{
    uint8_t words[SWAPPED_AT_ONCE];
    for (uint32_t part; length; address += part, buffer += part, length -= part) {
        part = swapped_part(address, length);
        if (part > 1)
            swap_words(words, buffer, part);
        bool done = part == 1 ? pcnet_dma_write(device, address ^ 3, buffer, 1)
                              : pcnet_dma_write(device, address, words, part);
        if (!done)
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ rings (Descriptor Rings) */

void pcnet_load_ring(nic_device *device, pcnet_ring *ring, bool transmit)
{
    uint32_t length = pcnet_reg(device, transmit ? PCNET_CSR78 : PCNET_CSR76);
    uint32_t counter = pcnet_reg(device, transmit ? PCNET_CSR74 : PCNET_CSR72);
    ring->base = pcnet_wide(device, transmit ? PCNET_CSR30 : PCNET_CSR24);
    ring->count = 0x10000 - length;
    ring->index = counter ? (counter - length) & 0xffff : ring->count - 1;
    if (ring->index >= ring->count)
        ring->index = ring->count - 1;
    ring->transmit = transmit;
    ring->style = pcnet_reg(device, PCNET_BCR20) & PCNET_BCR20_SWSTYLE;
    ring->high = ring->style ? 0 : (pcnet_reg(device, PCNET_CSR2) & 0xff00) << 16;
    ring->memory = pcnet_dma_map(device, ring->base, (uint64_t)ring->count * pcnet_size(ring), true);
}

void pcnet_save_ring(nic_device *device, const pcnet_ring *ring, bool transmit)
{
    uint32_t size = pcnet_size(ring), next = pcnet_next(ring, ring->index), length = 0x10000 - ring->count;
    bool last = ring->index + 1 == ring->count && ring->count > 1;
    device->cells[transmit ? PCNET_CSR74 : PCNET_CSR72] = last ? 0 : (length + ring->index) & 0xffff;
    pcnet_set_wide(device, transmit ? PCNET_CSR34 : PCNET_CSR28, ring->base + ring->index * size);
    pcnet_set_wide(device, transmit ? PCNET_CSR32 : PCNET_CSR26, ring->base + next * size);
    pcnet_set_wide(device, transmit ? PCNET_CSR38 : PCNET_CSR36, ring->base + pcnet_next(ring, next) * size);
}

static bool read_words(nic_device *device, const pcnet_ring *ring, uint32_t index, void *words)
{
    uint32_t size = pcnet_size(ring), at = index * size;
    if (NIC_LIKELY(ring->memory != NULL)) {
        memcpy(words, ring->memory + at, size);
        __asm__ volatile("" : : "r"(words) : "memory"); /* read once */
        return true;
    }
    return pcnet_dma_read(device, ring->base + at, words, size);
}

bool pcnet_fetch(nic_device *device, const pcnet_ring *ring, uint32_t index, pcnet_descriptor *descriptor)
{
    uint32_t words[4];
    uint16_t half[4];
    device->counters.descriptors++;
    if (!read_words(device, ring, index, ring->style ? (void *)words : (void *)half)) {
        pcnet_abort(device);
        return false;
    }
    if (NIC_LIKELY(ring->style)) {
        descriptor->address = words[ring->style == 3 ? 2 : 0];
        descriptor->status = words[1];
    } else {
        descriptor->address = half[0] | (uint32_t)(half[1] & 0xff) << 16 | ring->high;
        descriptor->status = (uint32_t)(half[1] & 0xff00) << 16 | half[2];
    }
    return true;
}

void pcnet_write_back(nic_device *device, const pcnet_ring *ring, uint32_t index, uint32_t status, uint32_t misc,
                      bool with_misc)
{
    uint32_t size = pcnet_size(ring), at = index * size;
    uint32_t misc_at = ring->style == 0 ? 6 : ring->style == 3 ? 0 : 8, misc_size = ring->style ? 4 : 2;
    uint32_t status_at = ring->style ? 6 : 3, status_size = ring->style ? 2 : 1;
    if (!ring->style) /* TMD3 is the upper half of TMD2, RMD3 the lower half of RMD2 */
        misc = ring->transmit ? misc >> 16 : misc & 0xffff;
    status = ring->style ? status >> 16 : status >> 24;
    if (NIC_UNLIKELY(!ring->memory)) {
        if ((with_misc && !pcnet_dma_write(device, ring->base + at + misc_at, &misc, misc_size)) ||
            !pcnet_dma_write(device, ring->base + at + status_at, &status, status_size))
            pcnet_abort(device);
        return;
    }
    if (with_misc)
        memcpy(ring->memory + at + misc_at, &misc, misc_size);
    /* OWN is what the driver looks at: all else, the frame's data included, is there before it. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    memcpy(ring->memory + at + status_at, &status, status_size);
}

/* ------------------------------------------------------------------ interrupts (Interrupts) */

/* The causes that their masks and enables let through. */
static uint32_t causes(const nic_device *device)
{
    enum { CAUSES0 = 0x5f00, MASKS4 = 0x0115, ENABLES5 = 0x0548, ENABLES7 = 0x0555 };
    uint32_t csr0 = pcnet_reg(device, PCNET_CSR0), csr4 = pcnet_reg(device, PCNET_CSR4);
    uint32_t csr5 = pcnet_reg(device, PCNET_CSR5), csr7 = pcnet_reg(device, PCNET_CSR7);
    return (csr0 & ~pcnet_reg(device, PCNET_CSR3) & CAUSES0) | (csr4 >> 1 & ~csr4 & MASKS4) |
           (csr4 & PCNET_CSR4_UINT) | (csr5 >> 1 & csr5 & ENABLES5) | (csr7 >> 1 & csr7 & ENABLES7);
}

uint32_t pcnet_csr0(const nic_device *device)
{
    enum { ERRORS = PCNET_CSR0_BABL | PCNET_CSR0_CERR | PCNET_CSR0_MISS | PCNET_CSR0_MERR };
    uint32_t csr0 = pcnet_reg(device, PCNET_CSR0);
    return csr0 | (csr0 & ERRORS ? PCNET_CSR0_ERR : 0) | (causes(device) ? PCNET_CSR0_INTR : 0);
}

static bool interrupts(const nic_device *device)
{
    uint32_t csr5 = pcnet_reg(device, PCNET_CSR5);
    /* The system error that sets SINT clears IENA: it interrupts without it (CSR5, SINT). */
    bool system_error = csr5 & PCNET_CSR5_SINT && csr5 & PCNET_CSR5_SINTE;
    return (causes(device) && pcnet_reg(device, PCNET_CSR0) & PCNET_CSR0_IENA) || system_error;
}

/*
 * A frame that leaves within its doorbell would interrupt for each doorbell, where the silicon's frames take their time
 * and a driver finds several done.  So the pin, and nothing else, tells of frames that were sent as late as two long
 * ones take at 100 Mb/s; any other cause takes it along.  Virtual clocks are of those who count interrupts.
 */
static bool may_be_late(const nic_device *device)
{
    return device->profile == NIC_PROFILE_INSTANT && !nic_clock_is_virtual(device->clock) &&
           !nic_interrupt_asserted(device) && causes(device) == PCNET_CSR0_TINT;
}

void pcnet_interrupt(nic_device *device)
{
    enum { LATE_NS = 250000 };
    bool level = interrupts(device);
    if (level && may_be_late(device)) {
        if (!nic_timer_armed(device, PCNET_TIMER_SENT))
            nic_timer_set(device, PCNET_TIMER_SENT, nic_now(device) + LATE_NS);
        return;
    }
    if (NIC_UNLIKELY(nic_timer_armed(device, PCNET_TIMER_SENT)))
        nic_timer_stop(device, PCNET_TIMER_SENT);
    nic_interrupt_set(device, level);
}

static void sent_expired(nic_device *device) { nic_interrupt_set(device, interrupts(device)); }

void pcnet_cause(nic_device *device, uint32_t bits)
{
    device->cells[PCNET_CSR0] |= bits;
    pcnet_interrupt(device);
}

/* ------------------------------------------------------------------ time */

/* Chaos adds any delay to what the bus takes. */
uint64_t pcnet_bus_time(nic_device *device, uint32_t bytes)
{
    enum { OVERHEAD = 16, CHAOS_NS = 100000 };
    uint64_t time = (uint64_t)(OVERHEAD + (bytes + 3) / 4) * PCNET_CLOCK_NS;
    return device->profile == NIC_PROFILE_CHAOS ? time + nic_random(device) % CHAOS_NS : time;
}

/* CSR47: so long after a look at the rings comes the next; never more often than a live host would bear. */
static uint64_t poll_interval(const nic_device *device)
{
    enum { LEAST_NS = 500000 };
    uint64_t interval = (uint64_t)(0x10000 - pcnet_reg(device, PCNET_CSR47)) * PCNET_CLOCK_NS;
    return interval > LEAST_NS ? interval : LEAST_NS;
}

static bool polls_transmit(const nic_device *device)
{
    return pcnet_reg(device, PCNET_CSR0) & PCNET_CSR0_TXON && !(pcnet_reg(device, PCNET_CSR4) & PCNET_CSR4_TXDPOLL);
}

void pcnet_poll_later(nic_device *device)
{
    if ((polls_transmit(device) || device->port.inbound.frames) && !nic_timer_armed(device, PCNET_TIMER_POLL))
        nic_timer_set(device, PCNET_TIMER_POLL, nic_now(device) + poll_interval(device));
}

static void poll_expired(nic_device *device)
{
    if (pcnet_reg(device, PCNET_CSR0) & PCNET_CSR0_STOP)
        return;
    if (polls_transmit(device))
        nic_want_work(device, NIC_WORK_TRANSMIT);
    if (!(pcnet_reg(device, PCNET_CSR7) & PCNET_CSR7_RXDPOLL))
        nic_port_ready(&device->port);
    pcnet_poll_later(device);
}

static void transmit_expired(nic_device *device) { nic_want_work(device, PCNET_WORK_SENT); }

/* BCR31: counts in 256 periods of 50 ns from the first write on, and starts anew (CSR7, STINT). */
static void start_software_timer(nic_device *device)
{
    enum { TICK_NS = 12800 };
    uint64_t value = pcnet_reg(device, PCNET_BCR31);
    nic_timer_set(device, PCNET_TIMER_SOFTWARE, nic_now(device) + (value ? value : 0x10000) * TICK_NS);
}

static void software_expired(nic_device *device)
{
    device->cells[PCNET_CSR7] |= PCNET_CSR7_STINT;
    start_software_timer(device);
    pcnet_interrupt(device);
}

/* ------------------------------------------------------------------ initialization (Initialization Block) */

enum { LONGEST_32 = 9, LONGEST_16 = 7 }; /* codes of RLEN and TLEN */

static uint32_t ring_length(nic_device *device, uint32_t code, uint32_t longest)
{
    if (code > longest)
        nic_find(device, PCNET_FIND_RING_LENGTH_ENCODING, code, 0);
    return (0x10000 - (1u << (code < longest ? code : longest))) & 0xffff;
}

static void set_rings(nic_device *device, uint32_t rx, uint32_t tx, uint32_t rlen, uint32_t tlen, uint32_t longest)
{
    uint32_t unaligned = longest == LONGEST_32 ? 15 : 7;
    if (rx & unaligned || tx & unaligned)
        nic_find(device, PCNET_FIND_RING_UNALIGNED, rx & unaligned ? rx : tx, 0);
    pcnet_set_wide(device, PCNET_CSR24, rx & ~unaligned);
    pcnet_set_wide(device, PCNET_CSR30, tx & ~unaligned);
    device->cells[PCNET_CSR76] = ring_length(device, rlen, longest);
    device->cells[PCNET_CSR78] = ring_length(device, tlen, longest);
    device->cells[PCNET_CSR6] = rlen << 8 | tlen << 12;
}

static void set_block(nic_device *device, const uint16_t *words)
{
    /* MODE and what follows it, in words: PADR, LADRF. */
    device->cells[PCNET_CSR15] = words[0];
    for (uint32_t i = 0; i < 3; i++)
        device->cells[PCNET_CSR12 + i] = words[1 + i];
    for (uint32_t i = 0; i < 4; i++)
        device->cells[PCNET_CSR8 + i] = words[4 + i];
}

static bool read_block_32(nic_device *device, uint32_t address)
{
    uint32_t block[7];
    if (!pcnet_dma_read(device, address, block, sizeof(block)))
        return false;
    const uint16_t words[8] = {
        (uint16_t)block[0], (uint16_t)block[1], (uint16_t)(block[1] >> 16), (uint16_t)block[2],
        (uint16_t)block[3], (uint16_t)(block[3] >> 16), (uint16_t)block[4], (uint16_t)(block[4] >> 16),
    };
    set_block(device, words);
    set_rings(device, block[5], block[6], block[0] >> 20 & 15, block[0] >> 28, LONGEST_32);
    return true;
}

static bool read_block_16(nic_device *device, uint32_t address)
{
    uint16_t words[12];
    if (!pcnet_dma_read(device, address, words, sizeof(words)))
        return false;
    uint32_t high = (pcnet_reg(device, PCNET_CSR2) & 0xff00) << 16;
    set_block(device, words);
    set_rings(device, words[8] | (uint32_t)(words[9] & 0xff) << 16 | high,
              words[10] | (uint32_t)(words[11] & 0xff) << 16 | high, words[9] >> 13, words[11] >> 13, LONGEST_16);
    return true;
}

static void initialize(nic_device *device)
{
    pcnet *card = pcnet_of(device);
    bool wide = pcnet_reg(device, PCNET_BCR20) & PCNET_BCR20_SSIZE32;
    uint32_t address = pcnet_wide(device, PCNET_CSR1), unaligned = wide ? 3 : 1;
    if (!device->bus_master) {
        nic_find_general(device, NIC_GENERAL_BUS_MASTER, address, 28);
        return;
    }
    if (address & unaligned)
        nic_find(device, PCNET_FIND_INIT_BLOCK_UNALIGNED, address, 0);
    address &= ~unaligned;
    uint32_t resets = device->resets;
    bool done = wide ? read_block_32(device, address) : read_block_16(device, address);
    if (device->resets != resets)
        return;
    if (!done) {
        pcnet_abort(device);
        return;
    }
    card->init_owed = false;
    card->initialized = true;
    pcnet_cause(device, PCNET_CSR0_IDON);
}

/* STRT: both rings from their bases on (Re-Initialization). */
static void start(nic_device *device)
{
    pcnet *card = pcnet_of(device);
    uint32_t mode = pcnet_reg(device, PCNET_CSR15);
    pcnet_ring ring;
    card->start_owed = false;
    if (!card->initialized)
        nic_find(device, PCNET_FIND_START_NEVER_INITIALIZED, pcnet_reg(device, PCNET_CSR0), 0);
    for (int transmit = 0; transmit < 2; transmit++) {
        pcnet_load_ring(device, &ring, transmit);
        ring.index = 0;
        pcnet_save_ring(device, &ring, transmit);
        if (!transmit)
            pcnet_look_ahead(device, &ring);
    }
    card->dropping = card->under_way = false;
    device->cells[PCNET_CSR0] |= (mode & PCNET_CSR15_DRX ? 0 : PCNET_CSR0_RXON) |
                                 (mode & PCNET_CSR15_DTX ? 0 : PCNET_CSR0_TXON);
    nic_want_work(device, NIC_WORK_TRANSMIT);
    nic_port_ready(&device->port);
    pcnet_poll_later(device);
}

/* ------------------------------------------------------------------ what the chip holds of descriptors */

/*
 * Buffer address, byte count and status of the current descriptor and, where that one is the chip's, of the next, as the
 * last poll found them (CSR18 to CSR23, CSR40 to CSR45, CSR64 to CSR67).  They are there to be read while STOP or SPND is
 * set, so that is when they are filled, from rings that are mapped.
 */
static void show_descriptors(nic_device *device, bool transmit)
{
    static const uint32_t cells[2][2][2] = {
        {{PCNET_CSR18, PCNET_CSR40}, {PCNET_CSR22, PCNET_CSR44}},
        {{PCNET_CSR20, PCNET_CSR42}, {PCNET_CSR64, PCNET_CSR66}},
    };
    pcnet_ring ring;
    pcnet_load_ring(device, &ring, transmit);
    if (!ring.memory)
        return;
    for (uint32_t i = 0, index = ring.index; i < 2; i++, index = pcnet_next(&ring, index)) {
        pcnet_descriptor descriptor;
        pcnet_fetch(device, &ring, index, &descriptor);
        pcnet_set_wide(device, cells[transmit][i][0], descriptor.address);
        device->cells[cells[transmit][i][1]] = descriptor.status & PCNET_COUNT;
        device->cells[cells[transmit][i][1] + 1] = descriptor.status >> 16;
        if (!(descriptor.status & (uint32_t)PCNET_OWN))
            return;
    }
}

static void show_both_rings(nic_device *device)
{
    uint32_t csr0 = pcnet_reg(device, PCNET_CSR0);
    if (csr0 & PCNET_CSR0_RXON)
        show_descriptors(device, false);
    if (csr0 & PCNET_CSR0_TXON)
        show_descriptors(device, true);
}

/* ------------------------------------------------------------------ stop, suspend and errors */

static void stop(nic_device *device)
{
    pcnet *card = pcnet_of(device);
    device->cells[PCNET_CSR0] = PCNET_CSR0_STOP;
    device->cells[PCNET_CSR4] &= ~(PCNET_CSR4_JAB | PCNET_CSR4_TXSTRT | PCNET_CSR4_RCVCCO | PCNET_CSR4_UINT |
                                   PCNET_CSR4_MFCO);
    device->cells[PCNET_CSR5] &= ~(PCNET_CSR5_SPND | PCNET_CSR5_MPINT | PCNET_CSR5_EXDINT | PCNET_CSR5_SLPINT |
                                   PCNET_CSR5_SINT);
    device->cells[PCNET_CSR7] &= ~PCNET_CSR7_FASTSPNDE;
    device->cells[PCNET_CSR112] = device->cells[PCNET_CSR114] = 0;
    card->init_owed = card->initializing = card->start_owed = false;
    card->suspending = card->under_way = card->dropping = card->looked_ahead = false;
    nic_timer_stop(device, PCNET_TIMER_INIT);
    nic_timer_stop(device, PCNET_TIMER_POLL);
    nic_timer_stop(device, PCNET_TIMER_TRANSMIT);
}

/* Master Abort, Target Abort: CSRs as after STOP, SINT, and the bit of PCI's status register. */
void pcnet_abort(nic_device *device)
{
    enum { RMABORT = 1 << 13 };
    if (!device->bus_master)
        return;
    stop(device);
    device->cells[PCNET_CSR5] |= PCNET_CSR5_SINT;
    if (device->model->pci.status != NIC_NO_CELL)
        device->cells[device->model->pci.status] |= RMABORT;
    pcnet_interrupt(device);
}

void pcnet_bus_timeout(nic_device *device)
{
    device->cells[PCNET_CSR0] &= ~(PCNET_CSR0_TXON | PCNET_CSR0_RXON);
    pcnet_cause(device, PCNET_CSR0_MERR);
}

void pcnet_suspend_if_owed(nic_device *device)
{
    pcnet *card = pcnet_of(device);
    if (!card->suspending || card->under_way)
        return;
    card->suspending = false;
    device->cells[PCNET_CSR5] |= PCNET_CSR5_SPND;
    show_both_rings(device);
}

/* ------------------------------------------------------------------ ports (I/O Resources) */

static bool double_word(const nic_device *device) { return pcnet_reg(device, PCNET_BCR18) & PCNET_BCR18_DWIO; }

static void select_mode(nic_device *device)
{
    uint32_t page = double_word(device);
    nic_select_page(device, 0, page);
    nic_select_page(device, 1, page);
}

static void check_port(nic_device *device, const nic_access *access)
{
    if (access->size != (double_word(device) ? 4 : 2))
        nic_find_general(device, NIC_GENERAL_WIDTH, access->offset, access->size);
}

/* What frames wait for may have been given to the chip: a register access is as good a moment to look as any. */
static void look_at_ring(nic_device *device)
{
    if (NIC_UNLIKELY(device->port.inbound.frames))
        nic_port_ready(&device->port);
}

/* A double word write of RDP switches to DWIO for good. */
static void write_rdp(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    enum { RDP = 0x10 };
    if (NIC_UNLIKELY(!double_word(device) && access->size == 4 && access->offset == RDP)) {
        device->cells[PCNET_BCR18] |= PCNET_BCR18_DWIO;
        select_mode(device);
    }
    check_port(device, access);
    look_at_ring(device);
}

static void write_port(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    check_port(device, access);
}

static uint32_t read_reset(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    check_port(device, access);
    if (!pcnet_suspended(device))
        show_both_rings(device);
    nic_reset(device, NIC_RESET_SOFT);
    return 0;
}

/* ------------------------------------------------------------------ CSRs */

static uint32_t read_csr0(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    return pcnet_csr0(device);
}

static void write_csr0(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    enum { BEGINS = PCNET_CSR0_INIT | PCNET_CSR0_STRT };
    pcnet *card = pcnet_of(device);
    uint32_t value = access->value, old = access->old;
    if (value & PCNET_CSR0_STOP) {
        if (!pcnet_suspended(device))
            show_both_rings(device);
        stop(device);
        return;
    }
    if (value & BEGINS)
        device->cells[PCNET_CSR0] &= ~PCNET_CSR0_STOP;
    if (value & PCNET_CSR0_INIT && !(old & PCNET_CSR0_STOP))
        nic_find(device, PCNET_FIND_INIT_WHILE_RUNNING, value, old);
    if (value & PCNET_CSR0_INIT && (!(old & PCNET_CSR0_INIT) || old & PCNET_CSR0_STOP)) {
        card->init_owed = true;
        nic_want_work(device, PCNET_WORK_INIT);
    }
    if (value & PCNET_CSR0_STRT && !(old & PCNET_CSR0_STRT)) {
        if (card->init_owed && !(value & PCNET_CSR0_INIT))
            nic_find(device, PCNET_FIND_INIT_NOT_WAITED, value, old);
        card->start_owed = true;
        nic_want_work(device, PCNET_WORK_START);
    }
    if (value & PCNET_CSR0_TDMD)
        nic_want_work(device, NIC_WORK_TRANSMIT);
}

static void write_csr4(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    if (access->value & PCNET_CSR4_UINTCMD)
        device->cells[PCNET_CSR4] |= PCNET_CSR4_UINT;
    pcnet_poll_later(device);
}

/* SPND reads 1 once the frame under way is over; leaving it goes on where it was (Suspend). */
static void write_csr5(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    pcnet *card = pcnet_of(device);
    bool wanted = pcnet_suspended(device), was = access->old & PCNET_CSR5_SPND;
    bool stopped = pcnet_reg(device, PCNET_CSR0) & PCNET_CSR0_STOP;
    card->suspending = wanted && !was;
    if (wanted && !was && card->under_way && !stopped)
        device->cells[PCNET_CSR5] &= ~PCNET_CSR5_SPND;
    else
        card->suspending = false;
    if (!was && pcnet_suspended(device))
        show_both_rings(device);
    bool magic = access->old & ~pcnet_reg(device, PCNET_CSR5) & PCNET_CSR5_MPMODE;
    if (was && !wanted)
        card->looked_ahead = false;
    if ((was && !wanted) || magic) {
        nic_want_work(device, NIC_WORK_TRANSMIT);
        nic_port_ready(&device->port);
    }
}

static void write_csr7(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    if (access->value & PCNET_CSR7_RDMD)
        nic_port_ready(&device->port);
}

static void write_length(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    enum { NEGATIVE = 0x8000 };
    if (!(access->value & NEGATIVE))
        nic_find(device, PCNET_FIND_RING_LENGTH_SIGN, access->value, 0);
    pcnet_of(device)->initialized = true; /* ring bases and lengths by CSRs (Alternate Method for Initialization) */
}

static void write_csr47(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    if (nic_timer_armed(device, PCNET_TIMER_POLL))
        nic_timer_set(device, PCNET_TIMER_POLL, nic_now(device) + poll_interval(device));
}

/* ------------------------------------------------------------------ BCRs */

static uint32_t read_led(nic_device *device, const nic_row *row, const nic_access *access NIC_UNUSED)
{
    const pcnet *card = pcnet_of(device);
    uint32_t value = device->cells[row->cell] & ~PCNET_BCR4_LEDOUT;
    bool lit = (value & PCNET_BCR4_LNKSTE && card->link) ||
               (value & PCNET_BCR4_FDLSE && card->link && card->full_duplex) ||
               (value & PCNET_BCR4_RXPOLE && !pcnet_has_mii(device) && card->link) ||
               (value & PCNET_BCR4_MPSE && pcnet_reg(device, PCNET_CSR5) & PCNET_CSR5_MPMODE) ||
               (pcnet_has_mii(device) && value & (PCNET_BCR4_SPEEDE | PCNET_BCR4_E100) && card->link &&
                card->megabits == 100);
    return lit ? value | PCNET_BCR4_LEDOUT : value;
}

static void write_bcr20(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    enum { STYLES = 4 };
    uint32_t style = pcnet_reg(device, PCNET_BCR20) & PCNET_BCR20_SWSTYLE;
    uint32_t value = pcnet_reg(device, PCNET_BCR20) & ~(PCNET_BCR20_SSIZE32 | PCNET_BCR20_CSRPCNET);
    if (style >= STYLES)
        nic_find(device, PCNET_FIND_STYLE_UNDEFINED, access->value, 0);
    if (pcnet_reg(device, PCNET_CSR0) & PCNET_CSR0_IDON && (access->value ^ access->old) & PCNET_BCR20_SWSTYLE)
        nic_find(device, PCNET_FIND_STYLE_AFTER_INIT, access->value, 0);
    value |= style ? PCNET_BCR20_SSIZE32 : 0;
    value |= style != 1 ? PCNET_BCR20_CSRPCNET : 0;
    device->cells[PCNET_BCR20] = value;
}

/* The word of the pattern match RAM that BCR45 names; NULL while it is in use. */
static uint8_t *pattern_word(nic_device *device)
{
    uint32_t bcr45 = pcnet_reg(device, PCNET_BCR45);
    if (bcr45 & PCNET_BCR45_PMAT_MODE)
        return NULL;
    return pcnet_of(device)->patterns + (bcr45 & (PCNET_PATTERN_WORDS - 1)) * PCNET_PATTERN_BYTES;
}

static uint32_t read_bcr45(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    enum { BYTE_0 = 0xff00 };
    uint32_t value = pcnet_reg(device, PCNET_BCR45) & ~(uint32_t)BYTE_0;
    const uint8_t *word = pattern_word(device);
    return word ? value | (uint32_t)word[0] << 8 : value;
}

static uint32_t read_pattern(nic_device *device, const nic_row *row, const nic_access *access NIC_UNUSED)
{
    const uint8_t *word = pattern_word(device);
    uint32_t at = row->cell == PCNET_BCR46 ? 1 : 3;
    return word ? word[at] | (uint32_t)word[at + 1] << 8 : 0;
}

/* BCR45, BCR46, then this one: five bytes are stored at once. */
static void write_bcr47(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    uint8_t *word = pattern_word(device);
    if (!word)
        return;
    const uint32_t cells[] = {PCNET_BCR45, PCNET_BCR46, PCNET_BCR47};
    for (uint32_t i = 0; i < PCNET_PATTERN_BYTES; i++)
        word[i] = (uint8_t)(pcnet_reg(device, cells[(i + 1) / 2]) >> (i % 2 ? 0 : 8));
}

static void write_bcr31(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    if (!pcnet_reg(device, PCNET_BCR31))
        nic_find(device, PCNET_FIND_TIMER_ZERO, 0, 0);
    start_software_timer(device);
}

static const nic_hook hooks[] = {
    {"io", "RDP", NULL, write_rdp},
    {"io", "RAP", NULL, write_port},
    {"io", "RAP32", NULL, write_port},
    {"io", "BDP", NULL, write_port},
    {"io", "BDP32", NULL, write_port},
    {"io", "RESET", read_reset, NULL},
    {"io", "RESET32", read_reset, NULL},
    {"csr", "CSR0", read_csr0, write_csr0},
    {"csr", "CSR4", NULL, write_csr4},
    {"csr", "CSR5", NULL, write_csr5},
    {"csr", "CSR7", NULL, write_csr7},
    {"csr", "CSR47", NULL, write_csr47},
    {"csr", "CSR76", NULL, write_length},
    {"csr", "CSR78", NULL, write_length},
    {"bcr", "BCR4", read_led, NULL},
    {"bcr", "BCR5", read_led, NULL},
    {"bcr", "BCR6", read_led, NULL},
    {"bcr", "BCR7", read_led, NULL},
    {"bcr", "BCR48", read_led, NULL},
    {"bcr", "BCR20", NULL, write_bcr20},
    {"bcr", "BCR31", NULL, write_bcr31},
    {"bcr", "BCR45", read_bcr45, NULL},
    {"bcr", "BCR46", read_pattern, NULL},
    {"bcr", "BCR47", read_pattern, write_bcr47},
    {NULL, NULL, NULL, NULL},
};

/* ------------------------------------------------------------------ work */

static void init_expired(nic_device *device) { nic_want_work(device, PCNET_WORK_INIT); }

static void work(nic_device *device, uint32_t work)
{
    enum { BLOCK_BYTES = 28 };
    pcnet *card = pcnet_of(device);
    bool timed = device->profile != NIC_PROFILE_INSTANT;
    if (card->init_owed && work & PCNET_WORK_INIT && timed && !card->initializing) {
        card->initializing = true;
        nic_timer_set(device, PCNET_TIMER_INIT, nic_now(device) + pcnet_bus_time(device, BLOCK_BYTES));
    } else if (card->init_owed && work & (PCNET_WORK_INIT | NIC_WORK_TRANSMIT) && !nic_timer_armed(device, PCNET_TIMER_INIT)) {
        card->initializing = false;
        initialize(device);
    }
    if (card->start_owed && !card->init_owed)
        start(device);
    if (work & (NIC_WORK_TRANSMIT | NIC_WORK_WRITABLE | PCNET_WORK_SENT))
        pcnet_transmit(device, work & PCNET_WORK_SENT);
}

/* ------------------------------------------------------------------ what the Python side tells */

void pcnet_set_link(nic_device *device, bool up, uint32_t megabits, bool full_duplex)
{
    pcnet *card = pcnet_of(device);
    card->link = up;
    card->megabits = megabits;
    card->full_duplex = full_duplex;
}

void pcnet_set_phy_loopback(nic_device *device, bool on) { pcnet_of(device)->phy_loopback = on; }

/* ------------------------------------------------------------------ resets and snapshots */

/* DWIO outlives S_RESET, and so do rings and what is known of the link. */
static void reset(nic_device *device, int kind)
{
    pcnet *card = pcnet_of(device);
    card->init_owed = card->initializing = card->start_owed = card->suspending = false;
    card->dropping = card->under_way = card->looked_ahead = false;
    card->runts = card->collisions = 0;
    if (kind == NIC_RESET_POWER) {
        card->initialized = false;
        for (uint32_t i = 0; i < sizeof(card->patterns); i++) /* undefined */
            card->patterns[i] = (uint8_t)nic_random(device);
    }
    select_mode(device);
}

static const nic_state_field state[] = {
    NIC_STATE(pcnet, init_owed),
    NIC_STATE(pcnet, initializing),
    NIC_STATE(pcnet, start_owed),
    NIC_STATE(pcnet, initialized),
    NIC_STATE(pcnet, suspending),
    NIC_STATE(pcnet, dropping),
    NIC_STATE(pcnet, under_way),
    NIC_STATE(pcnet, glanced),
    NIC_STATE(pcnet, glance),
    NIC_STATE(pcnet, looked_ahead),
    NIC_STATE(pcnet, ahead_index),
    NIC_STATE(pcnet, ahead_address),
    NIC_STATE(pcnet, ahead_status),
    NIC_STATE(pcnet, runts),
    NIC_STATE(pcnet, collisions),
    NIC_STATE_ARRAY(pcnet, patterns),
    NIC_STATE_ARRAY(pcnet, disturb),
    {NULL, 0, 0, 0, false},
};

static void loaded(nic_device *device) { select_mode(device); }

static const nic_card_timer timers[] = {
    [PCNET_TIMER_INIT] = {"init", init_expired},
    [PCNET_TIMER_POLL] = {"poll", poll_expired},
    [PCNET_TIMER_TRANSMIT] = {"transmit", transmit_expired},
    [PCNET_TIMER_SOFTWARE] = {"software", software_expired},
    [PCNET_TIMER_SENT] = {"sent", sent_expired},
    {NULL, NULL},
};

const nic_card pcnet_card = {
    .name = "pcnet",
    .state_size = sizeof(pcnet),
    .hooks = hooks,
    .state = state,
    .timers = timers,
    .reset = reset,
    .work = work,
    .receive = pcnet_receive,
    .can_receive = pcnet_can_receive,
    .interrupt = pcnet_interrupt,
    .loaded = loaded,
    NIC_DISTURBED(pcnet),
};
