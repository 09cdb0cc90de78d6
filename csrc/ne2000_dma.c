/*
 * The remote DMA port of the NE2000 family, and what the chip's addresses reach (9.0; ports: NE2000).
 *
 * A byte or a word goes through the port with each bus cycle; an access of four bytes is two cycles of words, or four of
 * bytes.  Bytes of one access, and of a block of accesses, are one stream: it is cut where RBCR ends, where the address
 * reaches PSTOP, and where packet memory ends.
 */
#include "ne2000.h"

#include <string.h>

uint8_t ne2000_load(const ne2000 *card, uint16_t address)
{
    return ne2000_is_ram(card, address) ? card->ram[(address & card->decoded) - card->ram_first]
                                        : card->prom[address % NE2000_PROM_BYTES];
}

void ne2000_store(ne2000 *card, uint16_t address, uint8_t value)
{
    if (ne2000_is_ram(card, address))
        *ne2000_ram(card, address) = value;
}

/* ------------------------------------------------------------------ commands (10.3 CR) */

/* Takes address and count from the header of the packet at BNRY, if DCR lets it (9.0, send packet). */
static bool begin_send_packet(nic_device *device)
{
    ne2000 *card = ne2000_of(device);
    uint16_t at = (uint16_t)(ne2000_reg(device, NE2000_BNRY) << 8);
    uint32_t low = ne2000_swaps(device) ? 3 : 2;
    if (!(ne2000_reg(device, NE2000_DCR) & NE2000_DCR_ARM))
        return false;
    device->cells[NE2000_RNPP] = ne2000_load(card, at + 1);
    device->cells[NE2000_RBCR0] = ne2000_load(card, (uint16_t)(at + low));
    device->cells[NE2000_RBCR1] = ne2000_load(card, (uint16_t)(at + (low ^ 1)));
    ne2000_set_pair(device, NE2000_CRDA0, NE2000_CRDA1, at);
    return true;
}

void ne2000_remote_command(nic_device *device, uint32_t command, uint32_t written)
{
    ne2000 *card = ne2000_of(device);
    uint16_t left = ne2000_pair(device, NE2000_RBCR0, NE2000_RBCR1);
    if (command == NE2000_ABORT) {
        card->remote = 0;
        return;
    }
    if (card->remote == command)
        return; /* the same command, written with other bits of CR */
    if (card->remote)
        nic_find(device, NE2000_FIND_DMA_UNFINISHED, written, left);
    if (command == NE2000_SEND && !begin_send_packet(device))
        return;
    left = ne2000_pair(device, NE2000_RBCR0, NE2000_RBCR1);
    if (!left)
        nic_find(device, NE2000_FIND_DMA_ZERO_COUNT, written, 0);
    else if (left & 1 && ne2000_words(device) && command == NE2000_WRITE)
        nic_find(device, NE2000_FIND_DMA_ODD_COUNT, left, 0);
    card->remote = (uint8_t)command;
}

static void complete(nic_device *device)
{
    ne2000 *card = ne2000_of(device);
    if (card->remote == NE2000_SEND) { /* the packet is removed */
        device->cells[NE2000_BNRY] = ne2000_reg(device, NE2000_RNPP);
        nic_port_ready(&device->port);
    }
    card->remote = 0;
    ne2000_cause(device, NE2000_ISR_RDC);
}

/* ------------------------------------------------------------------ the stream */

/* How many bytes of `bytes` go in one piece from `address`: a count of 0 is that of 65536. */
static uint32_t piece(nic_device *device, uint16_t address, uint32_t bytes)
{
    const ne2000 *card = ne2000_of(device);
    uint32_t unit = ne2000_words(device) ? 2 : 1;
    uint32_t left = ne2000_pair(device, NE2000_RBCR0, NE2000_RBCR1), stop = ne2000_reg(device, NE2000_PSTOP) << 8;
    uint32_t limit = left ? (left + unit - 1) & ~(unit - 1) : 65536;
    if (bytes < limit)
        limit = bytes;
    if (address < stop && stop - address < limit)
        limit = stop - address;
    if (ne2000_is_ram(card, address) && ne2000_ram_left(card, address) < limit)
        limit = ne2000_ram_left(card, address);
    else if (!ne2000_is_ram(card, address))
        limit = unit;
    return limit < unit ? unit : limit;
}

static void advance(nic_device *device, uint16_t address, uint32_t bytes)
{
    uint32_t left = ne2000_pair(device, NE2000_RBCR0, NE2000_RBCR1), stop = ne2000_reg(device, NE2000_PSTOP) << 8;
    uint16_t next = (uint16_t)(address + bytes);
    if (next == (uint16_t)stop)
        next = (uint16_t)(ne2000_reg(device, NE2000_PSTART) << 8);
    ne2000_set_pair(device, NE2000_CRDA0, NE2000_CRDA1, next);
    left = left ? left : 65536;
    left = left > bytes ? left - bytes : 0;
    ne2000_set_pair(device, NE2000_RBCR0, NE2000_RBCR1, (uint16_t)left);
    if (!left)
        complete(device);
}

static uint16_t remote_address(nic_device *device)
{
    return ne2000_pair(device, NE2000_CRDA0, NE2000_CRDA1) & (ne2000_words(device) ? 0xfffe : 0xffff);
}

static bool reading(const ne2000 *card) { return card->remote == NE2000_READ || card->remote == NE2000_SEND; }

static void report_idle(nic_device *device, const nic_access *access)
{
    uint32_t rule = ne2000_of(device)->remote ? NE2000_FIND_DMA_DIRECTION : NE2000_FIND_DMA_IDLE;
    nic_find(device, rule, access->offset, ne2000_reg(device, NE2000_CR));
}

/* Reads `bytes` bytes, a multiple of the unit; what no DMA fills is as on an idle bus. */
static void stream_read(nic_device *device, const nic_access *access, uint8_t *to, size_t bytes)
{
    ne2000 *card = ne2000_of(device);
    while (bytes) {
        if (!reading(card)) {
            report_idle(device, access);
            memset(to, 0xff, bytes);
            return;
        }
        uint16_t address = remote_address(device);
        uint32_t n = piece(device, address, bytes < 65536 ? (uint32_t)bytes : 65536);
        if (ne2000_is_ram(card, address))
            memcpy(to, ne2000_ram(card, address), n);
        else
            for (uint32_t i = 0; i < n; i++)
                to[i] = ne2000_load(card, (uint16_t)(address + i));
        advance(device, address, n);
        to += n;
        bytes -= n;
    }
}

static bool in_flight(nic_device *device, uint16_t address, uint32_t bytes)
{
    uint32_t first = ne2000_reg(device, NE2000_TPSR) << 8;
    uint32_t end = first + ne2000_pair(device, NE2000_TBCR0, NE2000_TBCR1);
    return ne2000_of(device)->sending && address < end && address + bytes > first;
}

static void stream_write(nic_device *device, const nic_access *access, const uint8_t *from, size_t bytes)
{
    ne2000 *card = ne2000_of(device);
    while (bytes) {
        if (card->remote != NE2000_WRITE) {
            report_idle(device, access);
            return;
        }
        uint16_t address = remote_address(device);
        uint32_t n = piece(device, address, bytes < 65536 ? (uint32_t)bytes : 65536);
        if (ne2000_is_ram(card, address))
            memcpy(ne2000_ram(card, address), from, n);
        else
            nic_find(device, NE2000_FIND_DMA_OUTSIDE_MEMORY, address, 0);
        if (NIC_UNLIKELY(in_flight(device, address, n)))
            nic_find(device, NE2000_FIND_TX_BUFFER_IN_USE, address, 0);
        advance(device, address, n);
        from += n;
        bytes -= n;
    }
}

/* ------------------------------------------------------------------ the port */

static void check_port(nic_device *device, const nic_access *access)
{
    bool words = ne2000_words(device);
    if (words ? access->size == 1 : access->size != 1)
        nic_find(device, NE2000_FIND_DMA_WIDTH, access->size, ne2000_reg(device, NE2000_DCR));
    if (access->offset & 1 && access->size > 1)
        nic_find(device, NE2000_FIND_DMA_ODD_PORT, access->offset, access->size);
}

/* The bytes of this port that the access has a part in. */
static uint32_t part(const nic_access *access, uint32_t *first)
{
    *first = (uint32_t)__builtin_ctz(access->enable) / 8;
    return (uint32_t)__builtin_popcount(access->enable) / 8;
}

uint32_t ne2000_port_read(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    uint8_t bytes[4] = {0};
    uint32_t first, n = part(access, &first), value;
    check_port(device, access);
    /* In word mode even an access of one byte moves a word. */
    stream_read(device, access, bytes, ne2000_words(device) ? (n + 1) & ~1u : n);
    memcpy(&value, bytes, sizeof(value));
    return n < 4 ? (value & ((1u << (8 * n)) - 1)) << (8 * first) : value;
}

void ne2000_port_write(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    uint8_t bytes[4];
    uint32_t first, n = part(access, &first);
    check_port(device, access);
    memcpy(bytes, &(uint32_t){access->value >> (8 * first)}, sizeof(bytes));
    stream_write(device, access, bytes, ne2000_words(device) ? (n + 1) & ~1u : n);
}

/* Blocks are a stream too, unless half of each word is dropped. */
bool ne2000_port_read_block(nic_device *device, const nic_access *access, void *buffer, size_t count)
{
    if (access->size == 1 && ne2000_words(device))
        return false;
    check_port(device, access);
    stream_read(device, access, buffer, count * access->size);
    return true;
}

bool ne2000_port_write_block(nic_device *device, const nic_access *access, const void *buffer, size_t count)
{
    if (access->size == 1 && ne2000_words(device))
        return false;
    check_port(device, access);
    stream_write(device, access, buffer, count * access->size);
    return true;
}
