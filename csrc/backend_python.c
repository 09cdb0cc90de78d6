/*
 * python: a backend written in Python.  Its send() gets a batch of frames one behind the other; what it delivers
 * waits in a queue, so that it may deliver from inside send().
 */
#include "backends.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { SCRATCH_BYTES = 8 * NIC_FRAME_MAX };

typedef struct python_backend {
    nic_backend base;
    void *python;      /* handle of the Python object */
    nic_queue queue;   /* frames on their way to the card */
    nic_source source; /* fd -1: none */
    bool every_turn;   /* poll() wants every turn */
    bool ready;        /* the source became ready */
    bool busy;         /* inside poll() */
    uint8_t scratch[SCRATCH_BYTES];
} python_backend;

static size_t python_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    python_backend *self = (python_backend *)backend;
    uint32_t lengths[NIC_BATCH];
    size_t done = 0;
    while (done < count) {
        size_t n = 0, bytes = 0;
        for (; n < NIC_BATCH && done + n < count && bytes + frames[done + n].length <= SCRATCH_BYTES; n++) {
            lengths[n] = (uint32_t)nic_frame_copy(&frames[done + n], self->scratch + bytes, SCRATCH_BYTES - bytes);
            bytes += lengths[n];
        }
        if (!n) { /* one frame beyond the scratch buffer: no card sends such */
            backend->counters.send_drops++;
            done++;
            continue;
        }
        size_t taken = nic_py.backend_send ? nic_py.backend_send(self->python, self->scratch, lengths, n) : n;
        done += taken < n ? taken : n;
        if (taken < n)
            break;
    }
    return done;
}

static void python_poll(nic_backend *backend)
{
    python_backend *self = (python_backend *)backend;
    if (self->busy)
        return;
    self->busy = true;
    bool watched = backend->loop && self->source.fd >= 0;
    if (nic_py.backend_poll && (self->every_turn || self->ready || (self->source.fd >= 0 && !watched))) {
        self->ready = false;
        nic_py.backend_poll(self->python);
    }
    if (nic_queue_flush(&self->queue, backend, nic_backend_deliver) && self->queue.frames)
        nic_backend_wake(backend);
    self->busy = false;
}

static void source_ready(nic_source *source, uint32_t events NIC_UNUSED)
{
    ((python_backend *)source->owner)->ready = true;
}

static void python_attach(nic_backend *backend, nic_loop *loop)
{
    python_backend *self = (python_backend *)backend;
    if (self->source.fd < 0)
        return;
    if (!loop)
        nic_loop_remove(backend->loop, &self->source);
    else if (nic_loop_add(loop, &self->source))
        backend->counters.errors++;
}

static void python_close(nic_backend *backend)
{
    python_backend *self = (python_backend *)backend;
    if (backend->loop && self->source.fd >= 0)
        nic_loop_remove(backend->loop, &self->source);
    nic_queue_free(&self->queue);
}

static const nic_backend_ops python_ops = {
    .name = "python",
    .send = python_send,
    .resume = nic_backend_wake,
    .poll = python_poll,
    .attach = python_attach,
    .close = python_close,
};

nic_backend *nic_python_backend_new(void *python)
{
    python_backend *self = nic_backend_new(sizeof(*self), &python_ops);
    if (self && !nic_queue_init(&self->queue, NIC_WIRE_BYTES)) {
        free(self);
        return NULL;
    }
    if (!self)
        return NULL;
    self->python = python;
    self->source.fd = -1;
    return &self->base;
}

int nic_python_backend_watch(nic_backend *backend, bool every_turn, int fd, uint32_t events)
{
    python_backend *self = (python_backend *)backend;
    if (backend->loop && self->source.fd >= 0)
        nic_loop_remove(backend->loop, &self->source);
    self->every_turn = every_turn;
    self->source = (nic_source){fd, events, source_ready, self};
    return backend->loop && fd >= 0 ? nic_loop_add(backend->loop, &self->source) : 0;
}

size_t nic_python_backend_deliver(nic_backend *backend, const uint8_t *frames, const uint32_t *lengths, size_t count)
{
    python_backend *self = (python_backend *)backend;
    size_t done = 0;
    for (; done < count; done++) {
        uint32_t length = lengths[done] & 0xffff;
        struct iovec iov = {(void *)(uintptr_t)frames, length};
        if (!nic_queue_push(&self->queue, &(nic_frame){&iov, 1, length, lengths[done] >> 16}))
            break;
        frames += length;
    }
    nic_backend_wake(backend);
    return done;
}

void nic_python_backend_writable(nic_backend *backend)
{
    if (backend->blocked)
        nic_backend_writable(backend);
}

void nic_python_backend_set_link(nic_backend *backend, bool up) { nic_backend_set_link(backend, up); }
