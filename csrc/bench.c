/*
 * Benchmarks: what a guest and a wire do to a card, played from a script (see bench_api.h).
 *
 * The driver's own work is not part of what is measured, so it is not done: rings stand ready in guest memory, and the
 * script rings the doorbell.
 */
#include "nic.h"

#include "bench_api.h"

static bool arrive(nic_device *device, const nic_step *step)
{
    nic_backend *backend = device->port.backend;
    struct iovec iov = {(void *)(uintptr_t)step->data, step->length};
    nic_frame frames[NIC_BATCH];
    for (int i = 0; i < NIC_BATCH; i++)
        frames[i] = (nic_frame){.iov = &iov, .iovcnt = 1, .length = step->length};
    while (backend && backend->lower)
        backend = backend->lower;
    for (uint64_t left = step->value; left;) {
        size_t batch = left < NIC_BATCH ? left : NIC_BATCH;
        if (!backend || nic_backend_deliver(backend, frames, batch) < batch)
            return false;
        left -= batch;
    }
    return true;
}

static void read_block(nic_device *device, const nic_step *step)
{
    uint8_t forgotten[4096];
    uint64_t most = sizeof(forgotten) / step->size;
    for (uint64_t left = step->value, count; left; left -= count) {
        count = left < most ? left : most;
        nic_read_repeat(device, step->space, step->offset, step->size, forgotten, count);
    }
}

static bool play(nic_device *device, const nic_step *step)
{
    switch (step->kind) {
    case NIC_STEP_WRITE:
        nic_write(device, step->space, step->offset, step->value, step->size);
        return true;
    case NIC_STEP_READ:
        nic_read(device, step->space, step->offset, step->size);
        return true;
    case NIC_STEP_READ_BLOCK:
        read_block(device, step);
        return true;
    case NIC_STEP_WRITE_BLOCK:
        nic_write_repeat(device, step->space, step->offset, step->size, step->data, step->length / step->size);
        return true;
    case NIC_STEP_STORE:
        return nic_memory_write(device->memory, step->offset, step->data, step->length);
    case NIC_STEP_ARRIVE:
        return arrive(device, step);
    default:
        return false;
    }
}

/* Not inlined: instructions are counted by this name (nicemu/bench.py). */
__attribute__((noinline)) bool nic_play(nic_device *device, const nic_step *steps, size_t count, uint32_t times)
{
    bool done = true;
    for (uint32_t i = 0; i < times; i++)
        for (size_t n = 0; n < count; n++)
            done &= play(device, &steps[n]);
    return done;
}
