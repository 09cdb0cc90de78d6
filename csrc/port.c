/*
 * A card's port, the queue of frames that wait for room in its ring, and what all backends share.
 *
 * Frames arrive in batches.  Where the ring has room they go straight from the backend's buffer to guest memory;
 * only what a full ring holds back (policy `hold`) or what loops back inside the card is copied into the queue.
 */
#include "nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t nic_frame_copy(const nic_frame *frame, void *buffer, size_t size)
{
    uint8_t *to = buffer;
    size_t done = 0;
    for (uint32_t i = 0; i < frame->iovcnt && done < size; i++) {
        size_t part = frame->iov[i].iov_len < size - done ? frame->iov[i].iov_len : size - done;
        memcpy(to + done, frame->iov[i].iov_base, part);
        done += part;
    }
    return done;
}

/* ------------------------------------------------------------------ queue */

/* Records never wrap: one that does not fit before the end of the ring starts over at its beginning, behind SKIP.
 * A frame's length takes less than half of its record's first word; its flags are in the other. */
enum { SKIP = 0xffffffff, HEADER = sizeof(uint32_t), FLAGS_SHIFT = 16, LENGTH_MASK = 0xffff };

static uint32_t record_size(uint32_t length) { return HEADER + ((length + 3) & ~3u); }

bool nic_queue_init(nic_queue *queue, uint32_t size)
{
    *queue = (nic_queue){.bytes = malloc(size), .size = size};
    return queue->bytes != NULL;
}

void nic_queue_free(nic_queue *queue)
{
    free(queue->bytes);
    *queue = (nic_queue){0};
}

void nic_queue_clear(nic_queue *queue) { queue->head = queue->tail = queue->frames = 0; }

bool nic_queue_push(nic_queue *queue, const nic_frame *frame)
{
    if (frame->length > NIC_FRAME_MAX)
        return false;
    uint32_t need = record_size(frame->length), at = queue->tail & (queue->size - 1);
    uint32_t skip = queue->size - at < need ? queue->size - at : 0;
    if (queue->size - (queue->tail - queue->head) < need + skip)
        return false;
    if (skip) {
        memcpy(queue->bytes + at, &(uint32_t){SKIP}, HEADER);
        queue->tail += skip;
        at = 0;
    }
    memcpy(queue->bytes + at, &(uint32_t){frame->length | frame->flags << FLAGS_SHIFT}, HEADER);
    nic_frame_copy(frame, queue->bytes + at + HEADER, frame->length);
    queue->tail += need;
    queue->frames++;
    return true;
}

/* Steps over a skip marker; the record at *at, or false at the end. */
static bool record_at(const nic_queue *queue, uint32_t *at, uint32_t *length, uint32_t *flags)
{
    while (*at != queue->tail) {
        uint32_t index = *at & (queue->size - 1), word;
        memcpy(&word, queue->bytes + index, HEADER);
        if (word != SKIP) {
            *length = word & LENGTH_MASK;
            *flags = word >> FLAGS_SHIFT;
            return true;
        }
        *at += queue->size - index;
    }
    return false;
}

bool nic_queue_peek(nic_queue *queue, nic_frame *frame, struct iovec *iov)
{
    uint32_t length, flags;
    if (!record_at(queue, &queue->head, &length, &flags))
        return false;
    *iov = (struct iovec){queue->bytes + (queue->head & (queue->size - 1)) + HEADER, length};
    *frame = (nic_frame){iov, 1, length, flags};
    return true;
}

void nic_queue_pop(nic_queue *queue)
{
    uint32_t length, flags;
    if (record_at(queue, &queue->head, &length, &flags)) {
        queue->head += record_size(length);
        queue->frames--;
    }
}

size_t nic_queue_save(const nic_queue *queue, void *buffer, size_t size)
{
    size_t done = 0;
    uint32_t length, flags;
    for (uint32_t at = queue->head; record_at(queue, &at, &length, &flags); at += record_size(length)) {
        if (done + HEADER + length <= size) {
            memcpy((uint8_t *)buffer + done, &(uint32_t){length | flags << FLAGS_SHIFT}, HEADER);
            memcpy((uint8_t *)buffer + done + HEADER, queue->bytes + (at & (queue->size - 1)) + HEADER, length);
        }
        done += HEADER + length;
    }
    return done;
}

int nic_queue_load(nic_queue *queue, const void *records, size_t size)
{
    nic_queue loaded = {0};
    if (!nic_queue_init(&loaded, queue->size))
        return ENOMEM;
    const uint8_t *from = records;
    for (size_t at = 0; at < size;) {
        uint32_t word, length;
        if (size - at < HEADER)
            goto malformed;
        memcpy(&word, from + at, HEADER);
        length = word & LENGTH_MASK;
        at += HEADER;
        if (length > NIC_FRAME_MAX || size - at < length)
            goto malformed;
        struct iovec iov = {(void *)(uintptr_t)(from + at), length};
        if (!nic_queue_push(&loaded, &(nic_frame){&iov, 1, length, word >> FLAGS_SHIFT}))
            goto malformed;
        at += length;
    }
    nic_queue_free(queue);
    *queue = loaded;
    return 0;
malformed:
    nic_queue_free(&loaded);
    return EINVAL;
}

/* ------------------------------------------------------------------ port */

static bool wire_up(const nic_port *port) { return port->cable && (!port->backend || port->backend->link_up); }

bool nic_link_up(const nic_device *device) { return device->port.cable && device->port.backend && wire_up(&device->port); }

void nic_port_link_changed(nic_port *port)
{
    nic_device *device = port->device;
    bool up = nic_link_up(device);
    device->calls++;
    if (device->card_ops->link)
        device->card_ops->link(device, up);
    if (device->python && nic_py.link)
        nic_py.link(device->python, up);
    device->calls--;
}

void nic_set_cable(nic_device *device, bool plugged)
{
    nic_port *port = &device->port;
    if (port->cable == plugged)
        return;
    port->cable = plugged;
    for (nic_backend *backend = port->backend; backend; backend = backend->lower)
        if (backend->ops->link)
            backend->ops->link(backend, plugged);
    nic_port_link_changed(port);
}

static uint64_t total_length(const nic_frame *frames, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += frames[i].length;
    return bytes;
}

size_t nic_port_send(nic_port *port, const nic_frame *frames, size_t count)
{
    if (NIC_UNLIKELY(!port->backend)) {
        port->counters.no_backend += count;
        return count;
    }
    if (NIC_UNLIKELY(!wire_up(port))) {
        port->counters.link_down += count;
        return count;
    }
    size_t taken = nic_backend_send(port->backend, frames, count);
    port->counters.sent_frames += taken;
    port->counters.sent_bytes += total_length(frames, taken);
    if (taken < count)
        port->counters.blocked++;
    return taken;
}

void nic_port_writable(nic_port *port)
{
    nic_want_work(port->device, NIC_WORK_WRITABLE);
    nic_run_work(port->device);
}

bool nic_port_loop(nic_port *port, const nic_frame *frame)
{
    if (!nic_queue_push(&port->inbound, frame)) {
        port->counters.queue_full++;
        return false;
    }
    nic_want_work(port->device, NIC_WORK_RECEIVE);
    return true;
}

void nic_port_ready(nic_port *port)
{
    if (port->inbound.frames)
        nic_want_work(port->device, NIC_WORK_RECEIVE);
}

static bool roomy(const nic_port *port) { return port->inbound.tail - port->inbound.head < port->inbound.size / 4; }

void nic_port_drain(nic_port *port)
{
    nic_device *device = port->device;
    struct iovec iov[NIC_BATCH];
    nic_frame frames[NIC_BATCH];
    bool was_roomy = roomy(port);
    for (;;) {
        nic_queue view = port->inbound; /* walks ahead of the queue, which keeps what the card does not take */
        size_t n = 0;
        for (; n < NIC_BATCH && nic_queue_peek(&view, &frames[n], &iov[n]); n++)
            nic_queue_pop(&view);
        if (!n)
            break;
        size_t taken = device->card_ops->receive(device, frames, n);
        port->counters.received_frames += taken;
        port->counters.received_bytes += total_length(frames, taken);
        for (size_t i = 0; i < taken; i++)
            nic_queue_pop(&port->inbound);
        if (taken < n)
            break;
    }
    if (!was_roomy && roomy(port))
        for (nic_backend *backend = port->backend; backend; backend = backend->lower)
            if (backend->ops->resume)
                backend->ops->resume(backend);
}

/* Copies what the card could not take now; returns how many frames were dealt with. */
static size_t enqueue(nic_port *port, const nic_frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (frames[i].length > NIC_FRAME_MAX) {
            port->counters.oversize++;
        } else if (!nic_queue_push(&port->inbound, &frames[i])) {
            if (port->hold)
                return i;
            port->counters.queue_full++;
        }
    }
    return count;
}

size_t nic_port_receive(nic_port *port, const nic_frame *frames, size_t count)
{
    nic_device *device = port->device;
    if (NIC_UNLIKELY(!wire_up(port))) {
        port->counters.link_down += count;
        return count;
    }
    size_t taken = 0;
    device->calls++;
    if (!port->inbound.frames && !device->working) {
        device->working = true; /* the card may want work done; it is, below */
        while (taken < count && frames[taken].length <= NIC_FRAME_MAX) {
            size_t run = 1;
            while (taken + run < count && frames[taken + run].length <= NIC_FRAME_MAX)
                run++;
            size_t now = device->card_ops->receive(device, frames + taken, run);
            port->counters.received_frames += now;
            port->counters.received_bytes += total_length(frames + taken, now);
            taken += now;
            if (now < run)
                break;
        }
        device->working = false;
    }
    taken += enqueue(port, frames + taken, count - taken);
    if (device->work)
        nic_run_work(device);
    device->calls--;
    return taken;
}

void nic_device_attach(nic_device *device, nic_backend *backend)
{
    nic_port *port = &device->port;
    bool was_up = nic_link_up(device);
    for (nic_backend *b = port->backend; b; b = b->lower) {
        if (b->ops->attach && b->loop)
            b->ops->attach(b, NULL);
        b->loop = NULL;
    }
    for (nic_backend *b = port->backend; b; b = b->lower)
        nic_backend_set_clock(b, NULL);
    if (port->backend)
        port->backend->port = NULL;
    port->backend = backend;
    if (backend)
        backend->port = port;
    for (nic_backend *b = backend; b; b = b->lower) {
        nic_backend_set_clock(b, device->clock);
        b->loop = device->loop;
        if (b->ops->attach && device->loop)
            b->ops->attach(b, device->loop);
    }
    if (nic_link_up(device) != was_up)
        nic_port_link_changed(port);
}

/* ------------------------------------------------------------------ what all backends share */

void nic_backend_init(nic_backend *backend, const nic_backend_ops *ops)
{
    *backend = (nic_backend){.ops = ops, .link_up = true};
}

void nic_backend_free(nic_backend *backend)
{
    if (!backend)
        return;
    if (backend->port)
        nic_device_attach(backend->port->device, NULL);
    if (backend->upper)
        backend->upper->lower = NULL;
    if (backend->lower)
        backend->lower->upper = NULL;
    backend->ops->close(backend);
    free(backend);
}

nic_backend_counters *nic_backend_get_counters(nic_backend *backend) { return &backend->counters; }

int nic_backend_wrap(nic_backend *wrapper, nic_backend *lower)
{
    if (lower->upper || lower->port || wrapper->lower)
        return EBUSY;
    wrapper->lower = lower;
    lower->upper = wrapper;
    wrapper->link_up = lower->link_up;
    if (wrapper->ops->wrapped)
        wrapper->ops->wrapped(wrapper);
    return 0;
}

static bool any_damaged(const nic_frame *frames, size_t count)
{
    uint32_t flags = 0;
    for (size_t i = 0; i < count; i++)
        flags |= frames[i].flags;
    return flags & NIC_FRAME_DAMAGED;
}

/* A wire that carries frames without FCS cannot say that one is damaged; its far station would discard it. */
static size_t send_undamaged(nic_backend *backend, const nic_frame *frames, size_t count)
{
    size_t done = 0;
    while (done < count) {
        size_t run = 0;
        while (done + run < count && !(frames[done + run].flags & NIC_FRAME_DAMAGED))
            run++;
        size_t taken = run ? backend->ops->send(backend, frames + done, run) : 0;
        done += taken;
        if (taken < run)
            break;
        for (; done < count && frames[done].flags & NIC_FRAME_DAMAGED; done++)
            backend->counters.send_drops++;
    }
    return done;
}

size_t nic_backend_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    bool spare = NIC_UNLIKELY(!backend->ops->damaged && any_damaged(frames, count));
    size_t taken = (spare ? send_undamaged : backend->ops->send)(backend, frames, count);
    backend->counters.sent_frames += taken;
    backend->counters.sent_bytes += total_length(frames, taken);
    if (NIC_UNLIKELY(taken < count && backend->drop)) {
        backend->counters.send_drops += count - taken;
        taken = count;
    }
    backend->blocked = taken < count;
    return taken;
}

size_t nic_backend_deliver(nic_backend *backend, const nic_frame *frames, size_t count)
{
    size_t taken;
    if (backend->upper)
        taken = backend->upper->ops->deliver(backend->upper, frames, count);
    else if (backend->port)
        taken = nic_port_receive(backend->port, frames, count);
    else
        return count; /* nobody is plugged in: gone, as on a wire without a card */
    backend->counters.received_frames += taken;
    backend->counters.received_bytes += total_length(frames, taken);
    return taken;
}

void nic_backend_writable(nic_backend *backend)
{
    backend->blocked = false;
    if (backend->upper) {
        if (backend->upper->ops->writable)
            backend->upper->ops->writable(backend->upper);
        else
            nic_backend_writable(backend->upper);
    } else if (backend->port) {
        nic_port_writable(backend->port);
    }
}

void nic_backend_set_link(nic_backend *backend, bool up)
{
    if (backend->link_up == up)
        return;
    backend->link_up = up;
    if (backend->upper)
        nic_backend_set_link(backend->upper, up);
    else if (backend->port)
        nic_port_link_changed(backend->port);
}

void nic_backend_set_clock(nic_backend *backend, nic_clock *clock)
{
    if (backend->clock == clock)
        return;
    if (backend->ops->clock)
        backend->ops->clock(backend, clock);
    backend->clock = clock;
}

uint64_t nic_backend_now(const nic_backend *backend)
{
    return backend->clock ? nic_clock_now(backend->clock) : nic_monotonic();
}

void nic_backend_set_drop(nic_backend *backend, bool drop) { backend->drop = drop; }
bool nic_backend_drops(const nic_backend *backend) { return backend->drop; }

bool nic_backend_can_deliver(const nic_backend *backend)
{
    while (backend->upper)
        backend = backend->upper;
    return !backend->port || !backend->port->hold || roomy(backend->port);
}
