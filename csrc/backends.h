/*
 * What backends share: a queue that is delivered in batches from poll(), and walks along a chain of wrappers.
 */
#ifndef NICEMU_BACKENDS_H
#define NICEMU_BACKENDS_H

#include "nic.h"

#include "backends_api.h"

/* The room of a backend that passes frames on within the process: two full batches of ordinary frames and more. */
enum { NIC_WIRE_BYTES = 1 << 18 };

/* A zeroed struct of `size` bytes that begins with its nic_backend, or NULL. */
void *nic_backend_new(size_t size, const nic_backend_ops *ops);

/* Pushes frames onto a queue; returns how many, from the first, fitted. */
size_t nic_queue_push_batch(nic_queue *queue, const nic_frame *frames, size_t count);

/*
 * Hands the queue's frames to `pass` in batches until it takes fewer than offered, or until as many frames went as
 * stood there at first: what answers them waits for the next turn, so that two echoing ends cannot hold the loop.
 * Returns how many went.
 */
typedef size_t (*nic_pass)(nic_backend *backend, const nic_frame *frames, size_t count);
size_t nic_queue_flush(nic_queue *queue, nic_backend *backend, nic_pass pass);

/* Work was left for the next turn. */
static inline void nic_backend_wake(nic_backend *backend)
{
    if (backend->loop)
        nic_loop_wake(backend->loop);
}

/* Along a backend and what it wraps. */
void nic_chain_poll(nic_backend *backend);
int64_t nic_chain_timeout(nic_backend *backend);
void nic_chain_attach(nic_backend *backend, nic_loop *loop);
void nic_chain_clock(nic_backend *backend, nic_clock *clock);
void nic_chain_resume(nic_backend *backend);

/* The earlier of two waits in ns, where -1 is never. */
static inline int64_t nic_earlier(int64_t a, int64_t b) { return a < 0 ? b : b < 0 || a < b ? a : b; }

#endif
