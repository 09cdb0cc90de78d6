/*
 * pair: two ends of one cable.  Each end holds the frames on their way to it; an end whose card has no room holds
 * back the other's sending, so nothing is lost that the cards themselves do not drop.
 */
#include "backends.h"

#include <errno.h>
#include <stdlib.h>

typedef struct pair_end {
    nic_backend base;
    struct pair_end *other; /* NULL: the other end was closed */
    nic_queue queue;        /* frames on their way to this end */
    bool busy;              /* delivering */
} pair_end;

static size_t pair_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    pair_end *other = ((pair_end *)backend)->other;
    if (!other || !nic_backend_in_use(&other->base)) {
        backend->counters.send_drops += count;
        return count;
    }
    size_t taken = nic_queue_push_batch(&other->queue, frames, count);
    nic_backend_wake(&other->base);
    return taken;
}

static void pair_poll(nic_backend *backend)
{
    pair_end *end = (pair_end *)backend;
    if (end->busy || !end->queue.frames)
        return;
    end->busy = true;
    bool moved = nic_queue_flush(&end->queue, backend, nic_backend_deliver) > 0;
    if (moved && end->other && end->other->base.blocked)
        nic_backend_writable(&end->other->base);
    if (moved && end->queue.frames)
        nic_backend_wake(backend);
    end->busy = false;
}

/* A cable that is pulled at one end has no signal at the other. */
static void pair_link(nic_backend *backend, bool up)
{
    pair_end *other = ((pair_end *)backend)->other;
    if (other)
        nic_backend_set_link(&other->base, up);
}

static void pair_close(nic_backend *backend)
{
    pair_end *end = (pair_end *)backend;
    nic_queue_free(&end->queue);
    if (end->other) {
        end->other->other = NULL;
        nic_backend_set_link(&end->other->base, false);
    }
}

static const nic_backend_ops pair_ops = {
    .name = "pair",
    .damaged = true,
    .send = pair_send,
    .resume = nic_backend_wake,
    .poll = pair_poll,
    .link = pair_link,
    .close = pair_close,
};

int nic_pair_new(nic_backend **first, nic_backend **second)
{
    pair_end *ends[2] = {nic_backend_new(sizeof(pair_end), &pair_ops), nic_backend_new(sizeof(pair_end), &pair_ops)};
    if (!ends[0] || !ends[1] || !nic_queue_init(&ends[0]->queue, NIC_WIRE_BYTES) ||
        !nic_queue_init(&ends[1]->queue, NIC_WIRE_BYTES)) {
        for (int i = 0; i < 2; i++) {
            if (ends[i])
                nic_queue_free(&ends[i]->queue);
            free(ends[i]);
        }
        return ENOMEM;
    }
    ends[0]->other = ends[1];
    ends[1]->other = ends[0];
    *first = &ends[0]->base;
    *second = &ends[1]->base;
    return 0;
}
