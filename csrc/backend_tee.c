/*
 * tee: a wrapper that copies what passes, both ways, to a second wire: the mirror port of a switch.
 *
 * The copy neither delays nor changes the traffic: what the second wire cannot take waits in a queue, and what the queue
 * cannot take is lost and counted.  What the second wire brings is lost and counted too.
 */
#include "backends.h"

#include <stdlib.h>

typedef struct tee {
    nic_backend base;
    nic_backend mirror; /* above the second wire */
    nic_queue queue;    /* copies on their way to it */
    bool busy;          /* passing copies on */
    nic_gso gso;
} tee;

static tee *tee_of(nic_backend *mirror) { return (tee *)((uint8_t *)mirror - offsetof(tee, mirror)); }

/* ------------------------------------------------------------------ the second wire */

static size_t mirror_send(nic_backend *mirror, const nic_frame *frames, size_t count)
{
    return mirror->lower ? nic_backend_send(mirror->lower, frames, count) : count;
}

static size_t mirror_deliver(nic_backend *mirror, const nic_frame *frames NIC_UNUSED, size_t count)
{
    mirror->counters.receive_drops += count;
    return count;
}

static void flush(tee *t)
{
    if (t->busy || !t->queue.frames)
        return;
    t->busy = true;
    if (nic_queue_flush(&t->queue, &t->mirror, nic_backend_send) && t->queue.frames && !t->mirror.blocked)
        nic_backend_wake(&t->base);
    t->busy = false;
}

static void mirror_writable(nic_backend *mirror) { flush(tee_of(mirror)); }

static void mirror_close(nic_backend *mirror NIC_UNUSED) {}

static const nic_backend_ops mirror_ops = {.name = "mirror",
                                           .damaged = true,
                                           .send = mirror_send,
                                           .deliver = mirror_deliver,
                                           .writable = mirror_writable,
                                           .close = mirror_close};

static void copy_frames(void *owner, const nic_frame *frames, size_t count)
{
    tee *t = owner;
    size_t done = t->queue.frames || t->busy ? 0 : nic_backend_send(&t->mirror, frames, count);
    for (; done < count; done++)
        if (!nic_queue_push(&t->queue, &frames[done]))
            t->mirror.counters.send_drops++;
}

/* The second wire gets whole frames, also of what the first is left to segment. */
static void copy(tee *t, const nic_frame *frames, size_t count)
{
    nic_gso_spread(&t->gso, frames, count, copy_frames, t);
}

/* ------------------------------------------------------------------ the traffic */

static size_t tee_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    size_t taken = backend->lower ? nic_backend_send(backend->lower, frames, count) : count;
    copy((tee *)backend, frames, taken);
    return taken;
}

static size_t tee_deliver(nic_backend *backend, const nic_frame *frames, size_t count)
{
    size_t taken = nic_backend_deliver(backend, frames, count);
    copy((tee *)backend, frames, taken);
    return taken;
}

static void tee_poll(nic_backend *backend)
{
    tee *t = (tee *)backend;
    nic_chain_poll(t->mirror.lower);
    flush(t);
}

static int64_t tee_timeout(nic_backend *backend) { return nic_chain_timeout(((tee *)backend)->mirror.lower); }

static void tee_attach(nic_backend *backend, nic_loop *loop) { nic_chain_attach(((tee *)backend)->mirror.lower, loop); }

static void tee_clock(nic_backend *backend, nic_clock *clock) { nic_chain_clock(&((tee *)backend)->mirror, clock); }

static void tee_close(nic_backend *backend)
{
    tee *t = (tee *)backend;
    if (t->mirror.lower) {
        nic_chain_attach(t->mirror.lower, NULL);
        nic_chain_clock(t->mirror.lower, NULL);
        t->mirror.lower->upper = NULL;
    }
    nic_queue_free(&t->queue);
}

static const nic_backend_ops tee_ops = {
    .name = "tee",
    .damaged = true,
    .send = tee_send,
    .deliver = tee_deliver,
    .poll = tee_poll,
    .timeout = tee_timeout,
    .attach = tee_attach,
    .clock = tee_clock,
    .close = tee_close,
};

nic_backend *nic_tee_new(nic_backend *copy)
{
    tee *t = nic_backend_new(sizeof(*t), &tee_ops);
    if (!t)
        return NULL;
    t->base.offloads = NIC_OFFLOADS;
    nic_backend_init(&t->mirror, &mirror_ops);
    if (!nic_queue_init(&t->queue, NIC_WIRE_BYTES) || nic_backend_wrap(&t->mirror, copy)) {
        nic_backend_free(&t->base);
        return NULL;
    }
    return &t->base;
}

nic_backend_counters *nic_tee_mirror_counters(nic_backend *backend) { return &((tee *)backend)->mirror.counters; }
