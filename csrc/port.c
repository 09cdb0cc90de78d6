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
 * The first word has the length, the flags, and whether an offload stands before the frame's bytes. */
enum { SKIP = 0xffffffff, HEADER = sizeof(uint32_t), FLAGS_SHIFT = 20, LENGTH_MASK = 0xfffff, OFFLOAD = 1u << 31 };

_Static_assert(NIC_LARGE_MAX < LENGTH_MASK, "a length has room in the first word");
_Static_assert(sizeof(nic_offload) % 2 == 0 && _Alignof(nic_offload) <= HEADER, "an offload is read where it lies");

typedef struct record {
    uint32_t word;   /* as it stands in the ring */
    uint32_t length; /* of the frame */
    uint32_t front;  /* bytes before the frame's own */
} record;

static record record_of(uint32_t word)
{
    return (record){word, word & LENGTH_MASK, HEADER + (word & OFFLOAD ? (uint32_t)sizeof(nic_offload) : 0)};
}

static uint32_t record_size(record r) { return (r.front + r.length + 3) & ~3u; }

static uint32_t record_flags(record r) { return (r.word & ~OFFLOAD) >> FLAGS_SHIFT; }

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
    if (!nic_frame_fits(frame))
        return false;
    record r = record_of(frame->length | frame->flags << FLAGS_SHIFT | (frame->offload ? OFFLOAD : 0));
    uint32_t need = record_size(r), at = queue->tail & (queue->size - 1);
    uint32_t skip = queue->size - at < need ? queue->size - at : 0;
    if (queue->size - (queue->tail - queue->head) < need + skip)
        return false;
    if (skip) {
        memcpy(queue->bytes + at, &(uint32_t){SKIP}, HEADER);
        queue->tail += skip;
        at = 0;
    }
    memcpy(queue->bytes + at, &r.word, HEADER);
    if (NIC_UNLIKELY(frame->offload))
        memcpy(queue->bytes + at + HEADER, frame->offload, sizeof(nic_offload));
    nic_frame_copy(frame, queue->bytes + at + r.front, frame->length);
    queue->tail += need;
    queue->frames++;
    return true;
}

/* Steps over a skip marker; the record at *at, or false at the end. */
static bool record_at(const nic_queue *queue, uint32_t *at, record *r)
{
    while (*at != queue->tail) {
        uint32_t index = *at & (queue->size - 1), word;
        memcpy(&word, queue->bytes + index, HEADER);
        if (word != SKIP) {
            *r = record_of(word);
            return true;
        }
        *at += queue->size - index;
    }
    return false;
}

bool nic_queue_peek(nic_queue *queue, nic_frame *frame, struct iovec *iov)
{
    record r;
    if (!record_at(queue, &queue->head, &r))
        return false;
    uint8_t *bytes = queue->bytes + (queue->head & (queue->size - 1));
    *iov = (struct iovec){bytes + r.front, r.length};
    *frame = (nic_frame){iov, 1, r.length, record_flags(r), NULL};
    if (NIC_UNLIKELY(r.word & OFFLOAD))
        frame->offload = (const nic_offload *)(const void *)(bytes + HEADER);
    return true;
}

void nic_queue_pop(nic_queue *queue)
{
    record r;
    if (record_at(queue, &queue->head, &r)) {
        queue->head += record_size(r);
        queue->frames--;
    }
}

size_t nic_queue_save(const nic_queue *queue, void *buffer, size_t size)
{
    size_t done = 0;
    record r;
    for (uint32_t at = queue->head; record_at(queue, &at, &r); at += record_size(r)) {
        if (done + r.front + r.length <= size)
            memcpy((uint8_t *)buffer + done, queue->bytes + (at & (queue->size - 1)), r.front + r.length);
        done += r.front + r.length;
    }
    return done;
}

/* Reads one saved record; returns the bytes that it took, 0: malformed or too much. */
static size_t load_record(nic_queue *queue, const uint8_t *from, size_t size, uint32_t offloads)
{
    uint32_t word;
    nic_offload offload = {0};
    if (size < HEADER)
        return 0;
    memcpy(&word, from, HEADER);
    record r = record_of(word);
    if (size < (size_t)r.front + r.length)
        return 0;
    memcpy(&offload, from + HEADER, r.front - HEADER);
    if (word & OFFLOAD && !(offload.kind & offloads))
        return 0;
    struct iovec iov = {(void *)(uintptr_t)(from + r.front), r.length};
    nic_frame frame = {&iov, 1, r.length, record_flags(r), word & OFFLOAD ? &offload : NULL};
    return nic_queue_push(queue, &frame) ? r.front + r.length : 0;
}

int nic_queue_load(nic_queue *queue, const void *records, size_t size, uint32_t offloads)
{
    nic_queue loaded = {0};
    if (!nic_queue_init(&loaded, queue->size))
        return ENOMEM;
    for (size_t at = 0, part; at < size; at += part) {
        part = load_record(&loaded, (const uint8_t *)records + at, size - at, offloads);
        if (!part) {
            nic_queue_free(&loaded);
            return EINVAL;
        }
    }
    nic_queue_free(queue);
    *queue = loaded;
    return 0;
}

/* ------------------------------------------------------------------ port */

static bool wire_up(const nic_port *port) { return port->cable && (!port->backend || port->backend->link_up); }

bool nic_link_up(const nic_device *device) { return device->port.cable && device->port.backend && wire_up(&device->port); }

void nic_port_flush(nic_port *port, uint64_t *counter)
{
    *counter += port->inbound.frames;
    nic_queue_clear(&port->inbound);
}

void nic_port_link_changed(nic_port *port)
{
    nic_device *device = port->device;
    bool up = nic_link_up(device);
    if (!up)
        nic_port_flush(port, &port->counters.link_down); /* they were still on the wire */
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
    nic_backend *backend = port->backend;
    uint64_t before = backend->counters.sent_bytes;
    size_t taken = nic_backend_send(backend, frames, count);
    port->counters.sent_frames += taken;
    port->counters.sent_bytes += backend->counters.sent_bytes - before;
    if (taken < count)
        port->counters.blocked++;
    return taken;
}

uint32_t nic_port_ask_offloads(const nic_port *port)
{
    return wire_up(port) ? nic_backend_offloads(port->backend) : 0;
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

static bool roomy(const nic_port *port)
{
    uint32_t backlog = port->device->card_ops->backlog;
    return port->inbound.tail - port->inbound.head < (backlog ? backlog : port->inbound.size / 4);
}

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
        if (!nic_frame_fits(&frames[i])) {
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
        while (taken < count && nic_frame_fits(&frames[taken])) {
            size_t run = 1;
            while (taken + run < count && nic_frame_fits(&frames[taken + run]))
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
    if (backend->alone)
        nic_loop_remove_wire(backend->loop, backend);
    if (backend->port)
        nic_device_attach(backend->port->device, NULL);
    if (backend->upper)
        backend->upper->lower = NULL;
    if (backend->lower)
        backend->lower->upper = NULL;
    backend->ops->close(backend);
    free(backend);
}

nic_backend_counters *nic_backend_get_counters(nic_backend *backend)
{
    if (backend->ops->count)
        backend->ops->count(backend);
    return &backend->counters;
}

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
    while (backend->upper) {
        backend = backend->upper;
        if (backend->ops->room && !backend->ops->room(backend))
            return false;
    }
    return !backend->port || !backend->port->hold || roomy(backend->port);
}

uint32_t nic_backend_offloads(const nic_backend *backend)
{
    uint32_t kinds = backend->offloads;
    for (backend = backend->lower; backend && kinds; backend = backend->lower)
        kinds &= backend->offloads;
    return kinds;
}

uint32_t nic_backend_accepts(const nic_backend *backend)
{
    uint32_t kinds = ~0u;
    for (; backend->upper && kinds; backend = backend->upper)
        kinds &= backend->upper->offloads;
    return backend->port ? kinds & backend->port->device->card_ops->offloads : 0;
}
