/*
 * loopback: a plug that joins the transmit pair to the receive pair: every frame comes back, none is lost.
 */
#include "backends.h"

#include <stdlib.h>

typedef struct loopback {
    nic_backend base;
    nic_queue queue;
    bool busy; /* delivering */
} loopback;

static size_t loopback_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    loopback *plug = (loopback *)backend;
    size_t taken = nic_queue_push_batch(&plug->queue, frames, count);
    nic_backend_wake(backend);
    return taken;
}

static void loopback_poll(nic_backend *backend)
{
    loopback *plug = (loopback *)backend;
    if (plug->busy || !plug->queue.frames)
        return;
    plug->busy = true;
    bool moved = nic_queue_flush(&plug->queue, backend, nic_backend_deliver) > 0;
    if (moved && backend->blocked)
        nic_backend_writable(backend);
    if (moved && plug->queue.frames)
        nic_backend_wake(backend);
    plug->busy = false;
}

static void loopback_close(nic_backend *backend) { nic_queue_free(&((loopback *)backend)->queue); }

static const nic_backend_ops loopback_ops = {
    .name = "loopback",
    .damaged = true,
    .send = loopback_send,
    .resume = nic_backend_wake,
    .poll = loopback_poll,
    .close = loopback_close,
};

nic_backend *nic_loopback_new(void)
{
    loopback *plug = nic_backend_new(sizeof(*plug), &loopback_ops);
    if (plug && !nic_queue_init(&plug->queue, NIC_WIRE_BYTES)) {
        free(plug);
        return NULL;
    }
    return plug ? &plug->base : NULL;
}
