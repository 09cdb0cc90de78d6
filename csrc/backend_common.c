/*
 * What backends share (backends.h).
 */
#include "backends.h"

#include <stdlib.h>

void *nic_backend_new(size_t size, const nic_backend_ops *ops)
{
    nic_backend *backend = calloc(1, size);
    if (backend)
        nic_backend_init(backend, ops);
    return backend;
}

bool nic_backend_is_up(const nic_backend *backend) { return backend->link_up; }

bool nic_backend_in_use(const nic_backend *backend) { return backend->upper || backend->port; }

/* ------------------------------------------------------------------ queues */

size_t nic_queue_push_batch(nic_queue *queue, const nic_frame *frames, size_t count)
{
    size_t done = 0;
    while (done < count && nic_queue_push(queue, &frames[done]))
        done++;
    return done;
}

size_t nic_queue_flush(nic_queue *queue, nic_backend *backend, nic_pass pass)
{
    size_t left = queue->frames, gone = 0;
    while (left) {
        struct iovec iov[NIC_BATCH];
        nic_frame frames[NIC_BATCH];
        nic_queue view = *queue; /* walks ahead of the queue, which keeps the frames until they are taken */
        size_t n = 0;
        for (; n < NIC_BATCH && n < left; n++) {
            nic_queue_peek(&view, &frames[n], &iov[n]);
            nic_queue_pop(&view);
        }
        size_t taken = pass(backend, frames, n);
        for (size_t i = 0; i < taken; i++)
            nic_queue_pop(queue);
        gone += taken;
        if (taken < n)
            return gone;
        left -= n;
    }
    if (!queue->frames)
        nic_queue_clear(queue); /* start over at the ring's beginning: its first pages stay in the cache */
    return gone;
}

/* ------------------------------------------------------------------ chains */

void nic_chain_poll(nic_backend *backend)
{
    for (; backend; backend = backend->lower)
        if (backend->ops->poll)
            backend->ops->poll(backend);
}

void nic_backend_poll_chain(nic_backend *backend) { nic_chain_poll(backend); }

int64_t nic_chain_timeout(nic_backend *backend)
{
    int64_t wait = -1;
    for (; backend; backend = backend->lower)
        if (backend->ops->timeout)
            wait = nic_earlier(wait, backend->ops->timeout(backend));
    return wait;
}

void nic_chain_attach(nic_backend *backend, nic_loop *loop)
{
    for (; backend; backend = backend->lower) {
        if (backend->loop == loop)
            continue;
        if (backend->loop && backend->ops->attach)
            backend->ops->attach(backend, NULL);
        backend->loop = loop;
        if (loop && backend->ops->attach)
            backend->ops->attach(backend, loop);
    }
}

void nic_chain_clock(nic_backend *backend, nic_clock *clock)
{
    for (; backend; backend = backend->lower)
        nic_backend_set_clock(backend, clock);
}

void nic_chain_resume(nic_backend *backend)
{
    for (; backend; backend = backend->lower)
        if (backend->ops->resume)
            backend->ops->resume(backend);
}
