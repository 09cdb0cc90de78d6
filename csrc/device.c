/*
 * A device: its cells, resets, deferred work, DMA, and what a snapshot needs of it.
 */
#include "nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

nic_python nic_py;

void nic_set_python(const nic_python *callbacks) { nic_py = *callbacks; }

/* ------------------------------------------------------------------ models */

const nic_card *nic_card_find(const char *name)
{
    for (const nic_card *const *card = nic_cards; *card; card++)
        if (!strcmp((*card)->name, name))
            return *card;
    return NULL;
}

bool nic_card_hook(const nic_card *card, uint32_t n, const char **space, const char **name)
{
    for (const nic_hook *hook = card->hooks; hook->name; hook++)
        if (!n--) {
            *space = hook->space;
            *name = hook->name;
            return true;
        }
    return false;
}

static void pci_write(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access NIC_UNUSED)
{
    nic_pci_changed(device);
}

int nic_model_link_hook(nic_model *model, uint32_t row, const char *space, const char *name)
{
    nic_row *r = &model->rows[row];
    int found = 0;
    for (const nic_hook *hook = model->card->hooks; hook->name; hook++) {
        if (strcmp(hook->name, name) || strcmp(hook->space, space))
            continue;
        r->read_hook = hook->read;
        r->write_hook = hook->write;
        found = (hook->read ? 1 : 0) | (hook->write ? 2 : 0);
    }
    for (const nic_block_hook *block = model->card->blocks; block && block->name; block++) {
        if (strcmp(block->name, name) || strcmp(block->space, space))
            continue;
        r->read_block = block->read;
        r->write_block = block->write;
    }
    const nic_pci_cells *pci = &model->pci;
    if (r->space == NIC_SPACE_CONFIG && !r->write_hook &&
        (r->cell == pci->command || r->cell == pci->msi_control || r->cell == pci->pm_control ||
         r->cell == pci->rom_base))
        r->write_hook = pci_write;
    return found;
}

/* ------------------------------------------------------------------ life */

nic_device *nic_device_new(const nic_model *model, nic_memory *memory, nic_clock *clock, uint64_t seed)
{
    nic_device *device = calloc(1, sizeof(nic_device));
    if (!device)
        return NULL;
    device->model = model;
    device->card_ops = model->card;
    device->memory = memory;
    device->clock = clock;
    device->random = seed;
    device->interrupt.fd[0] = device->interrupt.fd[1] = -1;
    device->cells = calloc(model->cell_count, sizeof(uint32_t));
    device->card = calloc(1, model->card->state_size ? model->card->state_size : 1);
    device->port.device = device;
    device->port.cable = true;
    if (!device->cells || !device->card || !nic_queue_init(&device->port.inbound, NIC_INBOUND_BYTES)) {
        nic_device_free(device);
        return NULL;
    }
    for (const nic_card_timer *timer = model->card->timers; timer->name; timer++)
        device->timers[device->timer_count++] =
            (nic_timer){.deadline = NIC_NEVER, .name = timer->name, .expired = timer->expired};
    nic_clock_join(clock, device);
    nic_reset(device, NIC_RESET_POWER);
    return device;
}

bool nic_device_busy(const nic_device *device) { return device->calls; }

void nic_device_free(nic_device *device)
{
    if (!device)
        return;
    if (device->loop)
        nic_loop_remove_device(device->loop, device);
    nic_device_attach(device, NULL);
    nic_clock_leave(device->clock, device);
    nic_interrupt_set_fd(device, NIC_IRQ_INTX, -1);
    nic_interrupt_set_fd(device, NIC_IRQ_MSI, -1);
    nic_trace_stop(device);
    nic_queue_free(&device->port.inbound);
    free(device->rom);
    free(device->card);
    free(device->cells);
    free(device);
}

int nic_device_set_rom(nic_device *device, const void *contents)
{
    size_t size = device->model->spaces[NIC_SPACE_ROM].size;
    uint8_t *rom = malloc(size);
    if (!rom)
        return ENOMEM;
    memcpy(rom, contents, size);
    free(device->rom);
    device->rom = rom;
    return 0;
}

void nic_device_set_python(nic_device *device, void *python) { device->python = python; }
void nic_device_set_profile(nic_device *device, int profile) { device->profile = profile; }
void nic_device_set_deferred(nic_device *device, bool deferred) { device->deferred = deferred; }
void nic_device_set_hold(nic_device *device, bool hold) { device->port.hold = hold; }
uint32_t *nic_device_cells(nic_device *device) { return device->cells; }
nic_counters *nic_device_counters(nic_device *device) { return &device->counters; }
nic_findings *nic_device_findings(nic_device *device) { return &device->findings; }
nic_port_counters *nic_device_port_counters(nic_device *device) { return &device->port.counters; }
void nic_set_resetting(nic_device *device, uint64_t until) { device->resetting_until = until; }
void nic_tell_interrupt(nic_device *device) { device->card_ops->interrupt(device); }
void nic_want(nic_device *device, uint32_t work) { nic_want_work(device, work); }

void nic_disturb(nic_device *device, uint32_t kind, uint32_t count)
{
    const nic_card *card = device->card_ops;
    if (kind < card->disturbances)
        ((uint32_t *)(void *)((uint8_t *)device->card + card->disturb))[kind] = count;
}

uint64_t nic_device_random(const nic_device *device) { return device->random; }
void nic_device_set_random(nic_device *device, uint64_t state) { device->random = state; }
uint32_t nic_device_work(const nic_device *device) { return device->work; }
void nic_device_set_work(nic_device *device, uint32_t work) { device->work = work; }
uint32_t nic_device_page(const nic_device *device, uint32_t space) { return device->page[space % NIC_SPACES]; }

void nic_select_page(nic_device *device, uint32_t space, uint32_t page)
{
    device->page[space % NIC_SPACES] = page % NIC_PAGES;
}

/* SplitMix64: small, seeded, and its whole state is one number that a snapshot can hold. */
uint32_t nic_draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (uint32_t)((z ^ z >> 31) >> 32);
}

uint32_t nic_random(nic_device *device) { return nic_draw(&device->random); }

/* ------------------------------------------------------------------ resets */

void nic_reset(nic_device *device, int kind)
{
    const nic_model *model = device->model;
    device->resets++;
    device->calls++;
    for (uint32_t i = 0; i < model->cell_count; i++) {
        const nic_reset_cell *reset = &model->resets[i];
        uint32_t keep = kind == NIC_RESET_SOFT ? reset->keep_soft : kind == NIC_RESET_BUS ? reset->keep_bus : 0;
        uint32_t value = reset->value;
        if (reset->undefined)
            value |= (kind == NIC_RESET_POWER ? nic_random(device) : device->cells[i]) & reset->undefined;
        device->cells[i] = (device->cells[i] & keep) | (value & ~keep);
    }
    for (uint32_t i = 0; i < device->timer_count; i++)
        if (device->timers[i].expired)
            device->timers[i].deadline = NIC_NEVER;
    memset(device->page, 0, sizeof(device->page));
    device->work = 0;
    if (kind != NIC_RESET_SOFT)
        nic_port_flush(&device->port, &device->port.counters.reset);
    device->card_ops->reset(device, kind);
    if (device->python && nic_py.reset)
        nic_py.reset(device->python, kind);
    if (kind != NIC_RESET_SOFT)
        nic_pci_changed(device);
    device->card_ops->interrupt(device);
    device->calls--;
}

/* ------------------------------------------------------------------ work */

/* Whether frames wait that the card would take now; those that a full ring holds back wait for nic_port_ready(). */
static bool frames_wait(nic_device *device)
{
    const nic_card *card = device->card_ops;
    return device->port.inbound.frames && (!device->port.hold || !card->can_receive || card->can_receive(device));
}

/* Rounds of work in one call; what is left then is done by the next poll, so that no guest can hold the loop. */
enum { WORK_ROUNDS = 16 };

void nic_run_work(nic_device *device)
{
    if (device->working) {
        device->counters.reentries += device->work != 0;
        return;
    }
    device->working = true;
    device->calls++;
    for (int round = 0; device->work && round < WORK_ROUNDS; round++) {
        uint32_t work = device->work;
        device->work = 0;
        if (work & NIC_WORK_RECEIVE)
            nic_port_drain(&device->port);
        if (work & ~NIC_WORK_RECEIVE)
            device->card_ops->work(device, work & ~NIC_WORK_RECEIVE);
    }
    device->working = false;
    device->calls--;
    if (device->loop && (device->work || frames_wait(device)))
        nic_loop_wake(device->loop);
}

void nic_device_poll(nic_device *device)
{
    nic_clock_run(device->clock);
    device->calls++;
    for (nic_backend *backend = device->port.backend; backend; backend = backend->lower)
        if (backend->ops->poll)
            backend->ops->poll(backend);
    if (device->port.inbound.frames)
        device->work |= NIC_WORK_RECEIVE;
    nic_run_work(device);
    device->calls--;
}

/* ------------------------------------------------------------------ DMA */

bool nic_dma_read(nic_device *device, uint64_t address, void *buffer, size_t length)
{
    if (!device->bus_master) {
        device->counters.dma_blocked++;
        nic_find_general(device, NIC_GENERAL_BUS_MASTER, address, length);
        return false;
    }
    device->counters.dma_reads++;
    if (nic_memory_read(device->memory, address, buffer, length))
        return true;
    device->counters.dma_errors++;
    nic_find_general(device, NIC_GENERAL_DMA_UNMAPPED, address, length);
    return false;
}

bool nic_dma_write(nic_device *device, uint64_t address, const void *buffer, size_t length)
{
    if (!device->bus_master) {
        device->counters.dma_blocked++;
        nic_find_general(device, NIC_GENERAL_BUS_MASTER, address, length);
        return false;
    }
    device->counters.dma_writes++;
    if (nic_memory_write(device->memory, address, buffer, length))
        return true;
    device->counters.dma_errors++;
    nic_find_general(device, NIC_GENERAL_DMA_UNMAPPED, address, length);
    return false;
}

bool nic_dma_put(nic_device *device, uint64_t address, nic_cursor *from, uint32_t length)
{
    uint8_t *to = nic_dma_map(device, address, length, true);
    bool done = true;
    while (length) {
        size_t left = from->iov->iov_len - from->at, part = left < length ? left : length;
        const uint8_t *bytes = (const uint8_t *)from->iov->iov_base + from->at;
        if (NIC_LIKELY(to != NULL)) {
            memmove(to, bytes, part);
            to += part;
        } else if (part) {
            done &= nic_dma_write(device, address, bytes, part);
            address += part;
        }
        length -= (uint32_t)part;
        from->at += part;
        if (from->at == from->iov->iov_len) {
            from->iov++;
            from->at = 0;
        }
    }
    return done;
}

/* ------------------------------------------------------------------ private state, for snapshots */

size_t nic_state(nic_device *device, nic_state_view *views, size_t count)
{
    size_t n = 0;
    for (const nic_state_field *field = device->card_ops->state; field->name; field++, n++)
        if (n < count)
            views[n] = (nic_state_view){field->name, (uint8_t *)device->card + field->offset, field->size,
                                        field->count, field->kind};
    return n;
}

void nic_state_loaded(nic_device *device)
{
    device->calls++;
    nic_pci_changed(device);
    if (device->card_ops->loaded)
        device->card_ops->loaded(device);
    device->card_ops->interrupt(device);
    device->calls--;
}

size_t nic_inbound(nic_device *device, void *buffer, size_t size)
{
    return nic_queue_save(&device->port.inbound, buffer, size);
}

int nic_inbound_load(nic_device *device, const void *records, size_t size)
{
    return nic_queue_load(&device->port.inbound, records, size, device->card_ops->offloads);
}
