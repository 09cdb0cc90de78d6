/*
 * 88E8057, the status unit: entries wait in a FIFO until a watermark or a timer has them written to the list in memory,
 * and what is written interrupts at another watermark or timer (facts 2.10, 6.5).
 */
#include "yukon2.h"

enum { OWNER_AT = 7 }; /* byte of an element */

static void show_level(nic_device *device)
{
    uint32_t level = yukon2_of(device)->status.level;
    device->cells[YUKON2_STAT_FIFO_LEVEL] = level < 0xff ? level : 0xff;
}

static bool operational(const nic_device *device)
{
    return yukon2_reg(device, YUKON2_STAT_CTRL) & UNIT_ON && !(yukon2_reg(device, YUKON2_STAT_CTRL) & UNIT_RST_SET);
}

/* ------------------------------------------------------------------ into memory */

/* The byte with HW_OWNER goes last: a driver that sees it sees all of the element (7.1). */
static void write_element(nic_device *device, uint8_t *memory, uint64_t base, uint32_t index, uint64_t element)
{
    if (NIC_UNLIKELY(!memory)) {
        nic_dma_write(device, base + (uint64_t)index * YUKON2_LE, &element, YUKON2_LE);
        return;
    }
    uint8_t *at = memory + (size_t)index * YUKON2_LE;
    if (NIC_UNLIKELY(at[OWNER_AT] & OWNER))
        nic_find(device, YUKON2_FIND_STATUS_OVERRUN, index, at[OWNER_AT]);
    if (NIC_LIKELY(!((uintptr_t)at & 7))) {
        __atomic_store_n((uint64_t *)(void *)at, element, __ATOMIC_RELEASE);
        return;
    }
    memcpy(at, &element, OWNER_AT);
    __atomic_store_n(at + OWNER_AT, (uint8_t)(element >> 56), __ATOMIC_RELEASE);
}

/* The report registers follow what is in memory (2.10). */
static void note_report(nic_device *device, uint64_t element)
{
    if ((element >> 56 & 0x7f) != OP_TXINDEXLE)
        return;
    device->cells[YUKON2_STAT_TXA1_RIDX] = element & YUKON2_INDEX;
    device->cells[YUKON2_STAT_TXS1_RIDX] = element >> 12 & YUKON2_INDEX;
}

static uint64_t list_base(const nic_device *device)
{
    return (uint64_t)yukon2_reg(device, YUKON2_STAT_LIST_ADDR_HI) << 32 | yukon2_reg(device, YUKON2_STAT_LIST_ADDR_LO);
}

static void interrupt_or_wait(nic_device *device)
{
    yukon2_status *status = &yukon2_of(device)->status;
    uint64_t delay = yukon2_ticks(device, YUKON2_STAT_ISR_TIMER_INI);
    if (!status->written || yukon2_reg(device, YUKON2_B0_ISRC) & YUKON2_B0_ISRC_STAT_BMU)
        return;
    if (delay && status->written < yukon2_reg(device, YUKON2_STAT_FIFO_ISR_WM)) {
        if (!nic_timer_armed(device, YUKON2_TIMER_ISR))
            nic_timer_set(device, YUKON2_TIMER_ISR, nic_now(device) + delay);
        return;
    }
    yukon2_isr_expired(device);
}

void yukon2_isr_expired(nic_device *device)
{
    yukon2_of(device)->status.written = 0;
    nic_timer_stop(device, YUKON2_TIMER_ISR);
    yukon2_raise(device, YUKON2_B0_ISRC_STAT_BMU);
}

static void write_all(nic_device *device)
{
    yukon2 *card = yukon2_of(device);
    yukon2_status *status = &card->status;
    uint32_t changes = card->changes, last = yukon2_reg(device, YUKON2_STAT_LAST_IDX), count = status->level;
    uint64_t base = list_base(device);
    uint8_t *memory = nic_dma_map(device, base, (uint64_t)(last + 1) * YUKON2_LE, true);
    uint32_t put = yukon2_reg(device, YUKON2_STAT_PUT_IDX);
    for (uint32_t i = 0; i < count; i++) {
        if (put > last)
            put = 0;
        write_element(device, memory, base, put, status->fifo[i]);
        if (card->changes != changes) /* reset by the memory that was written to */
            return;
        note_report(device, status->fifo[i]);
        put = put == last ? 0 : put + 1;
    }
    device->cells[YUKON2_STAT_PUT_IDX] = put;
    status->level = 0;
    status->written += count;
    status->begun = true;
    nic_timer_stop(device, YUKON2_TIMER_LEVEL);
    show_level(device);
}

/* ------------------------------------------------------------------ the FIFO */

bool yukon2_status_room(nic_device *device, uint32_t entries)
{
    yukon2_status *status = &yukon2_of(device)->status;
    if (NIC_LIKELY(status->level + entries <= YUKON2_STATUS_FIFO))
        return true;
    if (!operational(device)) {
        nic_find(device, YUKON2_FIND_STATUS_OFF, yukon2_reg(device, YUKON2_STAT_CTRL), 0);
        return false;
    }
    write_all(device);
    return status->level + entries <= YUKON2_STATUS_FIFO;
}

void yukon2_status_put(nic_device *device, uint64_t element)
{
    yukon2_status *status = &yukon2_of(device)->status;
    status->fifo[status->level++] = element;
}

void yukon2_status_settle(nic_device *device)
{
    yukon2_status *status = &yukon2_of(device)->status;
    if (!status->level)
        return;
    if (!operational(device)) {
        show_level(device);
        return;
    }
    uint64_t delay = yukon2_ticks(device, YUKON2_STAT_LEV_TIMER_INI);
    if (delay && status->level < yukon2_reg(device, YUKON2_STAT_FIFO_WM)) {
        show_level(device);
        if (!nic_timer_armed(device, YUKON2_TIMER_LEVEL))
            nic_timer_set(device, YUKON2_TIMER_LEVEL, nic_now(device) + delay);
        return;
    }
    write_all(device);
    interrupt_or_wait(device);
}

void yukon2_level_expired(nic_device *device)
{
    if (!yukon2_of(device)->status.level || !operational(device))
        return;
    write_all(device);
    interrupt_or_wait(device);
}

/*
 * A driver looks at the list, clears STAT_BMU and leaves; what was written between the first and the second would wait
 * for the next event.  Drivers clear HW_OWNER of what they take, so the newest element tells (7.11).  If all is taken,
 * nothing is left to interrupt for: a timer that still ran for it would raise what sky2 clears with the next frame only.
 */
void yukon2_status_recheck(nic_device *device)
{
    uint32_t last = yukon2_reg(device, YUKON2_STAT_LAST_IDX), put = yukon2_reg(device, YUKON2_STAT_PUT_IDX);
    yukon2 *card = yukon2_of(device);
    uint32_t newest = put ? put - 1 : last, changes = card->changes;
    uint8_t opcode;
    if (!card->status.begun || !operational(device) || !device->bus_master ||
        !nic_dma_read(device, list_base(device) + (uint64_t)newest * YUKON2_LE + OWNER_AT, &opcode, 1) ||
        card->changes != changes)
        return;
    if (opcode & OWNER) {
        yukon2_raise(device, YUKON2_B0_ISRC_STAT_BMU);
        return;
    }
    card->status.written = 0;
    nic_timer_stop(device, YUKON2_TIMER_ISR);
}
