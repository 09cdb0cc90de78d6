/*
 * Executes register rows: an access of any size at any offset is cut into the registers that it touches, and each
 * register obeys the masks of its row with the byte enables of the access.
 */
#include "nic.h"

#include <string.h>

static const nic_slot no_slot = {0, 0, 0};

static inline const nic_slot *slot_at(const nic_space *space, const nic_slot *slots, uint64_t offset)
{
    uint64_t granule = offset >> space->granule;
    return NIC_LIKELY(slots && granule < space->slots) ? &slots[granule] : &no_slot;
}

static inline uint32_t ones(uint32_t bytes) { return bytes >= 4 ? 0xffffffff : (1u << (8 * bytes)) - 1; }

static void trace(nic_device *device, uint32_t space, uint64_t offset, uint64_t value, uint32_t size, bool write);

/* ------------------------------------------------------------------ one register */

enum { MAX_DEPTH = 3 }; /* windows that lead to windows: a guest may have aimed one at itself */

static void after_access(nic_device *device, const nic_row *row)
{
    if (row->flags & NIC_ROW_INTERRUPT)
        device->card_ops->interrupt(device);
}

/* Where a window leads for the enabled bytes of an access: the offset, and how many. */
static uint64_t window_offset(nic_device *device, const nic_row *row, const nic_access *access, uint32_t *first,
                              uint32_t *bytes)
{
    uint32_t base = row->window_cell == NIC_NO_CELL ? 0 : device->cells[row->window_cell] * row->window_scale;
    *first = (uint32_t)__builtin_ctz(access->enable) / 8;
    *bytes = (uint32_t)__builtin_popcount(access->enable) / 8;
    return (uint64_t)row->window_base + base + access->index * row->stride + *first;
}

static uint32_t window_read(nic_device *device, const nic_row *row, const nic_access *access)
{
    uint32_t first, bytes;
    uint64_t offset = window_offset(device, row, access, &first, &bytes);
    if (row->window_space == row->space || device->depth >= MAX_DEPTH)
        return 0;
    return (uint32_t)(nic_reach_read(device, row->window_space, offset, bytes) << (8 * first));
}

static void window_write(nic_device *device, const nic_row *row, const nic_access *access)
{
    uint32_t first, bytes;
    uint64_t offset = window_offset(device, row, access, &first, &bytes);
    if (row->window_space != row->space && device->depth < MAX_DEPTH)
        nic_reach_write(device, row->window_space, offset, access->value >> (8 * first), bytes);
}

/* The element that a bank's index selects; false: there is none. */
static bool select_bank(nic_device *device, const nic_row *row, nic_access *access)
{
    access->index = device->cells[row->bank_cell];
    return access->index < row->count;
}

static inline uint32_t row_read(nic_device *device, const nic_row *row, nic_access *access)
{
    if (NIC_UNLIKELY(row->flags & NIC_ROW_BANK) && !select_bank(device, row, access))
        return 0;
    uint32_t index = access->index, enable = access->enable;
    uint32_t *cell = &device->cells[row->cell + index];
    uint32_t value = *cell;
    if (NIC_UNLIKELY(row->flags & NIC_ROW_WINDOW))
        return window_read(device, row, access);
    if (row->read_hook)
        value = row->read_hook(device, row, access);
    else if (row->flags & NIC_ROW_PYTHON_READ && device->python && nic_py.read)
        value = nic_py.read(device->python, row->id, index, enable, value);
    *cell &= ~(row->rc & enable);
    if (row->clears != NIC_NO_CELL)
        device->cells[row->clears + index] = 0;
    if (NIC_UNLIKELY(row->unmodelled & enable))
        device->counters.unmodelled_uses++;
    after_access(device, row);
    return value & row->read;
}

/* Whether a write counts: the row has no gate, or one is open. */
static bool unlocked(nic_device *device, const nic_row *row, uint32_t value)
{
    for (uint32_t i = 0; i < NIC_GATES && row->gates[i].cell != NIC_NO_CELL; i++)
        if ((device->cells[row->gates[i].cell] & row->gates[i].mask) == row->gates[i].value)
            return true;
    device->counters.locked_writes++;
    nic_find_general(device, NIC_GENERAL_LOCKED, row->id, value);
    return false;
}

static inline void row_write(nic_device *device, const nic_row *row, nic_access *access)
{
    uint32_t value = access->value, enable = access->enable;
    if (NIC_UNLIKELY(row->flags & NIC_ROW_BANK) && !select_bank(device, row, access))
        return;
    if (NIC_UNLIKELY(row->flags & NIC_ROW_GATED) && !unlocked(device, row, value & enable))
        return;
    uint32_t index = access->index;
    uint32_t *cell = &device->cells[row->cell + index];
    uint32_t old = *cell, stored = row->write & enable;
    uint32_t new = (old & ~stored) | (value & stored);
    new |= value & row->w1s & enable;
    new &= ~(value & row->w1c & enable);
    if (NIC_UNLIKELY(row->flags & NIC_ROW_PAIRS)) {
        uint32_t low = value & enable & row->pair, high = value & enable & row->pair << 1;
        new = (new | low | high) & ~(low << 1) & ~(high >> 1);
    }
    *cell = new;
    access->value = value & enable;
    access->old = old;
    if (NIC_UNLIKELY(row->flags & NIC_ROW_WINDOW))
        window_write(device, row, access);
    if (NIC_UNLIKELY((value ^ old) & row->reserved & enable)) {
        device->counters.reserved_writes++;
        if (row->space != NIC_SPACE_CONFIG) /* configuration code sizes BARs by writing ones everywhere */
            nic_find_general(device, NIC_GENERAL_RESERVED, row->offset + index * row->stride, value);
    }
    if (NIC_UNLIKELY((value ^ old) & row->unmodelled & enable))
        device->counters.unmodelled_uses++;
    if (row->write_hook)
        row->write_hook(device, row, access);
    if (row->flags & NIC_ROW_PYTHON_WRITE && device->python && nic_py.write)
        nic_py.write(device->python, row->id, index, enable, value & enable, old);
    after_access(device, row);
}

/* ------------------------------------------------------------------ one access */

/* What deserves a report but changes nothing. */
static void check_access(nic_device *device, uint32_t space, uint64_t offset, uint32_t size)
{
    if (NIC_UNLIKELY(!(device->model->spaces[space].widths & size))) {
        device->counters.odd_widths++;
        nic_find_general(device, NIC_GENERAL_WIDTH, offset, size);
    }
    if (NIC_UNLIKELY(device->resetting_until)) {
        uint64_t now = nic_now(device);
        if (now < device->resetting_until && space != NIC_SPACE_CONFIG)
            nic_find_general(device, NIC_GENERAL_DURING_RESET, offset, device->resetting_until - now);
        else if (now >= device->resetting_until)
            device->resetting_until = 0;
    }
}

/* Where an access reaches no register: counted once for all of the hole that it meets, which is returned in bytes. */
static uint32_t found_nothing(nic_device *device, uint32_t space, const nic_slot *slots, uint64_t offset, uint32_t size)
{
    const nic_space *s = &device->model->spaces[space];
    uint32_t part = s->whole ? 4 - (offset & 3) : 1, most = size < 4 ? size : 4;
    while (part < most && !slot_at(s, slots, offset + part)->row)
        part++;
    if (space != NIC_SPACE_CONFIG) {
        device->counters.unmapped_accesses++;
        nic_find_general(device, NIC_GENERAL_UNMAPPED, offset, size);
    }
    return part;
}

/* A disabled BAR does not answer: reads are all ones, writes vanish (PCI Local Bus 3.0, 6.2.2). */
static bool gated(nic_device *device, uint32_t space)
{
    if (space == NIC_SPACE_CONFIG || device->model->pci.command == NIC_NO_CELL)
        return false;
    return device->space_disabled >> space & 1;
}

static uint64_t read_rom(const nic_device *device, uint64_t offset, uint32_t size)
{
    uint64_t result = 0, end = device->model->spaces[NIC_SPACE_ROM].size;
    for (uint32_t i = 0; i < size; i++)
        result |= (uint64_t)(device->rom && offset + i < end ? device->rom[offset + i] : 0xff) << (8 * i);
    return result;
}

static inline uint64_t read_registers(nic_device *device, uint32_t space, uint64_t offset, uint32_t size)
{
    const nic_model *model = device->model;
    const nic_space *s = &model->spaces[space];
    const nic_slot *slots = s->read[device->page[space]];
    if (NIC_UNLIKELY(space == NIC_SPACE_ROM))
        return read_rom(device, offset, size);
    uint64_t result = 0;
    for (uint32_t done = 0; done < size;) {
        const nic_slot *slot = slot_at(s, slots, offset + done);
        uint32_t part, value = s->unmapped * 0x01010101u;
        if (slot->row) {
            const nic_row *row = &model->rows[slot->row - 1];
            uint32_t first = slot->byte + ((offset + done) & ((1u << s->granule) - 1));
            part = row->size - first < size - done ? row->size - first : size - done;
            uint32_t enable = s->whole ? ones(row->size) : ones(part) << (8 * first);
            nic_access access = {.offset = offset, .size = size, .index = slot->index, .enable = enable};
            value = row_read(device, row, &access) >> (8 * first) & ones(part);
        } else {
            part = found_nothing(device, space, slots, offset + done, size - done);
        }
        part = part < size - done ? part : size - done;
        result |= (uint64_t)(value & ones(part)) << (8 * done);
        done += part;
    }
    if (NIC_UNLIKELY(device->trace))
        trace(device, space, offset, result, size, false);
    return result;
}

uint64_t nic_read(nic_device *device, uint32_t space, uint64_t offset, uint32_t size)
{
    if (space >= NIC_SPACES || offset >= device->model->spaces[space].size || size < 1 || size > 8 ||
        gated(device, space)) {
        device->counters.gated_accesses++;
        return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
    }
    device->counters.reads++;
    device->calls++;
    check_access(device, space, offset, size);
    uint64_t result = read_registers(device, space, offset, size);
    if (NIC_UNLIKELY(device->work) && !device->deferred)
        nic_run_work(device);
    device->calls--;
    return result;
}

static inline void write_registers(nic_device *device, uint32_t space, uint64_t offset, uint64_t value, uint32_t size)
{
    const nic_model *model = device->model;
    const nic_space *s = &model->spaces[space];
    for (uint32_t done = 0; done < size;) {
        /* The page is read anew: a spanning write may change it on its way. */
        const nic_slot *slots = s->write[device->page[space]], *slot = slot_at(s, slots, offset + done);
        uint32_t part;
        if (slot->row) {
            const nic_row *row = &model->rows[slot->row - 1];
            uint32_t first = slot->byte + ((offset + done) & ((1u << s->granule) - 1));
            part = row->size - first < size - done ? row->size - first : size - done;
            if (!s->whole || part == row->size)
                row_write(device, row, &(nic_access){.offset = offset, .size = size, .index = slot->index,
                                                    .enable = ones(part) << (8 * first),
                                                    .value = (uint32_t)(value >> (8 * done)) << (8 * first)});
        } else {
            part = found_nothing(device, space, slots, offset + done, size - done);
        }
        done += part;
    }
}

void nic_write(nic_device *device, uint32_t space, uint64_t offset, uint64_t value, uint32_t size)
{
    const nic_model *model = device->model;
    if (space >= NIC_SPACES || offset >= model->spaces[space].size || size < 1 || size > 8 || gated(device, space)) {
        device->counters.gated_accesses++;
        return;
    }
    device->counters.writes++;
    device->calls++;
    check_access(device, space, offset, size);
    if (NIC_UNLIKELY(device->trace))
        trace(device, space, offset, value, size, true);
    write_registers(device, space, offset, value, size);
    if (device->work && !device->deferred)
        nic_run_work(device);
    device->calls--;
}

/* ------------------------------------------------------------------ from inside */

static bool reachable(const nic_device *device, uint32_t space, uint64_t offset, uint32_t size)
{
    return space < NIC_SPACES && offset < device->model->spaces[space].size && size >= 1 && size <= 8;
}

uint64_t nic_reach_read(nic_device *device, uint32_t space, uint64_t offset, uint32_t size)
{
    if (!reachable(device, space, offset, size))
        return 0;
    device->depth++;
    uint64_t value = read_registers(device, space, offset, size);
    device->depth--;
    return value;
}

void nic_reach_write(nic_device *device, uint32_t space, uint64_t offset, uint64_t value, uint32_t size)
{
    if (!reachable(device, space, offset, size))
        return;
    device->depth++;
    if (NIC_UNLIKELY(device->trace))
        trace(device, space, offset, value, size, true);
    write_registers(device, space, offset, value, size);
    device->depth--;
}

/* ------------------------------------------------------------------ blocks of equal accesses */

/* The row that takes a whole access of a block, if nothing has to be looked at access by access; else NULL. */
static const nic_row *block_row(nic_device *device, uint32_t space, uint64_t offset, uint32_t size, bool write,
                                nic_access *access)
{
    if (!reachable(device, space, offset, size) || gated(device, space) || device->trace || device->resetting_until ||
        !(device->model->spaces[space].widths & size))
        return NULL;
    const nic_space *s = &device->model->spaces[space];
    const nic_slot *slot = slot_at(s, (write ? s->write : s->read)[device->page[space]], offset);
    if (!slot->row)
        return NULL;
    const nic_row *row = &device->model->rows[slot->row - 1];
    uint32_t first = slot->byte + (offset & ((1u << s->granule) - 1));
    if ((write ? !row->write_block : !row->read_block) || row->size - first < size)
        return NULL;
    *access = (nic_access){.offset = offset, .size = size, .index = slot->index, .enable = ones(size) << (8 * first)};
    return row;
}

static void after_block(nic_device *device, const nic_row *row)
{
    after_access(device, row);
    if (NIC_UNLIKELY(device->work) && !device->deferred)
        nic_run_work(device);
}

void nic_read_repeat(nic_device *device, uint32_t space, uint64_t offset, uint32_t size, void *buffer, size_t count)
{
    nic_access access;
    const nic_row *row = block_row(device, space, offset, size, false, &access);
    uint8_t *to = buffer;
    if (row && row->read_block(device, row, &access, buffer, count)) {
        device->counters.reads += count;
        device->calls++;
        after_block(device, row);
        device->calls--;
        return;
    }
    for (; count; count--, to += size) {
        uint64_t value = nic_read(device, space, offset, size);
        memcpy(to, &value, size); /* the hosts that this engine is built for are little-endian, as PCI is */
    }
}

void nic_write_repeat(nic_device *device, uint32_t space, uint64_t offset, uint32_t size, const void *buffer,
                      size_t count)
{
    nic_access access;
    const nic_row *row = block_row(device, space, offset, size, true, &access);
    const uint8_t *from = buffer;
    if (row && row->write_block(device, row, &access, buffer, count)) {
        device->counters.writes += count;
        device->calls++;
        after_block(device, row);
        device->calls--;
        return;
    }
    for (; count; count--, from += size) {
        uint64_t value = 0;
        memcpy(&value, from, size);
        nic_write(device, space, offset, value, size);
    }
}

/* ------------------------------------------------------------------ trace */

static void trace(nic_device *device, uint32_t space, uint64_t offset, uint64_t value, uint32_t size, bool write)
{
    const nic_space *s = &device->model->spaces[space];
    const nic_slot *slot = slot_at(s, (write ? s->write : s->read)[device->page[space]], offset);
    nic_trace_put(device->trace, &(nic_trace_entry){.time = nic_now(device), .space = space, .offset = (uint32_t)offset,
                                                    .row = slot->row, .index = slot->index, .value = value,
                                                    .size = (uint8_t)size, .write = write});
}
