/*
 * tap: a network interface of the host's kernel, which this end plays the wire of.
 *
 * A read or write is one frame.  With a virtio-net header before it the frame may be large (a whole TCP packet, to be
 * segmented) or lack its checksum: out, that is left to the kernel; in, what the card above cannot take is segmented
 * here.
 * So many frames are read before any is delivered, and delivered as one batch; what finds no room stays here, and the
 * descriptor is not polled while there is none.
 */
#define _GNU_SOURCE
#include "backends.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    HEADER_MAX = sizeof(struct virtio_net_hdr_v1),
    LONGEST = HEADER_MAX + NIC_LARGE_MAX, /* of one read */
    ARENA = 4 * 65536,
    ROUNDS = 4, /* reads of the arena in one turn */
    SEGMENTED = NIC_OFFLOAD_TCP4 | NIC_OFFLOAD_TCP6 | NIC_OFFLOAD_UDP,
};

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

typedef struct tap {
    nic_backend base;
    nic_source source;
    bool watched;    /* on the loop */
    bool readable, writable, broken; /* what the loop said of the descriptor */
    bool busy;       /* inside poll() */
    int lost;        /* errno with which the interface went away, or 0 */
    void *told;      /* of that, in Python; NULL: nobody, or not any more */
    uint32_t header; /* bytes of the virtio-net header before each frame; 0: none */
    uint32_t offloads; /* NIC_OFFLOAD_* that the kernel takes */
    /* what was read and has not been delivered */
    uint32_t first, count;
    nic_frame frames[NIC_BATCH];
    struct iovec iov[NIC_BATCH];
    nic_offload descriptions[NIC_BATCH];
    nic_gso gso; /* of the first of them */
    uint8_t arena[ARENA];
    /* a large frame that the kernel had no room for: it was taken, so it goes first; length 0: none */
    uint32_t kept_length;
    uint8_t kept[LONGEST];
} tap;

/* ------------------------------------------------------------------ the descriptor */

/* What waits for the descriptor: all that can be done about a frame that arrives, and one that goes. */
static void watch(tap *self, bool reading)
{
    bool writing = self->base.blocked || self->kept_length;
    uint32_t events = (reading ? EPOLLIN : 0) | (writing ? EPOLLOUT : 0);
    if (!self->base.loop || self->lost)
        events = 0;
    if (!events && self->watched) {
        nic_loop_remove(self->base.loop, &self->source);
    } else if (events && !self->watched) {
        self->source.events = events;
        if (nic_loop_add(self->base.loop, &self->source)) {
            self->base.counters.errors++;
            events = 0;
        }
    } else if (events && nic_loop_modify(self->base.loop, &self->source, events)) {
        self->base.counters.errors++;
    }
    self->watched = events != 0;
}

/* The interface is gone, once and for all; poll() takes the link down, for a card may be in the middle of a send. */
static void lose(tap *self, int error)
{
    self->lost = error;
    self->base.counters.errors++;
    self->base.counters.send_drops += self->kept_length > 0;
    self->base.counters.receive_drops += self->count - self->first;
    self->kept_length = self->first = self->count = 0;
    self->gso.count = 0;
    self->base.offloads = 0;
    watch(self, false);
    nic_backend_wake(&self->base);
}

static bool is_gone(int error) { return error == EBADFD || error == ENODEV || error == EBADF || error == EFAULT; }

static void source_ready(nic_source *source, uint32_t events)
{
    tap *self = source->owner;
    self->readable |= (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
    self->writable |= (events & EPOLLOUT) != 0;
    self->broken |= (events & (EPOLLERR | EPOLLHUP)) != 0;
}

/* ------------------------------------------------------------------ out */

static void encode(const nic_offload *offload, struct virtio_net_hdr_v1 *header)
{
    *header = (struct virtio_net_hdr_v1){0};
    if (!offload)
        return;
    header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header->csum_start = offload->checksum_start;
    header->csum_offset = offload->checksum_offset;
    if (!(offload->kind & SEGMENTED))
        return;
    header->gso_type = offload->kind == NIC_OFFLOAD_TCP4   ? VIRTIO_NET_HDR_GSO_TCPV4
                       : offload->kind == NIC_OFFLOAD_TCP6 ? VIRTIO_NET_HDR_GSO_TCPV6
                                                           : VIRTIO_NET_HDR_GSO_UDP_L4;
    header->hdr_len = offload->header_length;
    header->gso_size = offload->segment_size;
}

/* One system call; 0 or an errno. */
static int write_pieces(int fd, const struct iovec *iov, uint32_t count)
{
    ssize_t done;
    do
        done = writev(fd, iov, (int)count);
    while (done < 0 && errno == EINTR);
    return done < 0 ? errno : 0;
}

static int write_frame(const tap *self, const nic_frame *frame)
{
    struct virtio_net_hdr_v1 header;
    struct iovec iov[1 + NIC_FRAME_IOV];
    if (!self->header)
        return write_pieces(self->source.fd, frame->iov, frame->iovcnt);
    encode(frame->offload, &header);
    iov[0] = (struct iovec){&header, self->header};
    memcpy(&iov[1], frame->iov, frame->iovcnt * sizeof(iov[0]));
    return write_pieces(self->source.fd, iov, frame->iovcnt + 1);
}

/* The kernel has no room for a frame that must be taken. */
static void keep(tap *self, const nic_frame *frame)
{
    struct virtio_net_hdr_v1 header;
    encode(frame->offload, &header);
    memcpy(self->kept, &header, self->header);
    nic_frame_copy(frame, self->kept + self->header, sizeof(self->kept) - self->header);
    self->kept_length = self->header + frame->length;
    self->base.offloads = 0; /* until it has gone */
}

/* What the kernel said of a frame; returns whether that is dealt with, false: it takes none now. */
static bool settle(tap *self, int error)
{
    if (error == EAGAIN)
        return false;
    if (error) {
        self->base.counters.send_drops++;
        if (is_gone(error))
            lose(self, error);
        else
            self->base.counters.errors++;
    }
    return true;
}

static bool send_kept(tap *self)
{
    struct iovec iov = {self->kept, self->kept_length};
    if (!self->kept_length)
        return true;
    if (!settle(self, write_pieces(self->source.fd, &iov, 1)) || self->lost)
        return false;
    self->kept_length = 0;
    self->base.offloads = self->offloads;
    return true;
}

static size_t tap_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    tap *self = (tap *)backend;
    size_t done = 0;
    if (self->kept_length)
        return 0;
    for (; done < count && !self->lost; done++) {
        if (settle(self, write_frame(self, &frames[done])))
            continue;
        if (!frames[done].offload || !(frames[done].offload->kind & SEGMENTED))
            break;
        keep(self, &frames[done]);
    }
    if (NIC_UNLIKELY(self->lost)) {
        backend->counters.send_drops += count - done;
        return count;
    }
    if (done < count || self->kept_length)
        nic_backend_wake(backend); /* poll() has the loop watch for room */
    return done;
}

/* ------------------------------------------------------------------ in */

/* What the kernel leaves to do; false: nothing that it was told it may leave. */
static bool decode(const struct virtio_net_hdr_v1 *header, nic_offload *offload)
{
    *offload = (nic_offload){
        .checksum_start = header->csum_start,
        .checksum_offset = header->csum_offset,
        .header_length = header->hdr_len,
        .segment_size = header->gso_size,
    };
    switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_NONE:
        offload->kind = header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? NIC_OFFLOAD_CHECKSUM : 0;
        return true;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        offload->kind = NIC_OFFLOAD_TCP4;
        return true;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        offload->kind = NIC_OFFLOAD_TCP6;
        return true;
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        offload->kind = NIC_OFFLOAD_UDP;
        return true;
    default:
        return false;
    }
}

/* Enters what was read at `bytes` as the last frame. */
static void enter(tap *self, uint8_t *bytes, size_t size)
{
    struct virtio_net_hdr_v1 header = {0};
    nic_offload *description = &self->descriptions[self->count];
    memcpy(&header, bytes, self->header < size ? self->header : size);
    if (size <= self->header || !decode(&header, description)) {
        self->base.counters.receive_drops++;
        return;
    }
    self->iov[self->count] = (struct iovec){bytes + self->header, size - self->header};
    self->frames[self->count] = (nic_frame){
        .iov = &self->iov[self->count],
        .iovcnt = 1,
        .length = (uint32_t)(size - self->header),
        .offload = description->kind ? description : NULL,
    };
    self->count++;
}

/* Reads until the descriptor has no more, or the arena or the batch is full; returns whether there may be more. */
static bool fill(tap *self)
{
    size_t used = 0;
    self->first = self->count = 0;
    for (int reads = 0; reads < NIC_BATCH && ARENA - used >= LONGEST; reads++) {
        ssize_t size = read(self->source.fd, self->arena + used, ARENA - used);
        if (size > 0) {
            enter(self, self->arena + used, (size_t)size);
            used += ((size_t)size + 15) & ~(size_t)15;
            continue;
        }
        int error = size < 0 ? errno : 0;
        if (error == EINTR)
            continue;
        self->base.counters.receive_drops += !error; /* no frame, or the end of what only looked like a tap */
        bool nothing = error == EAGAIN || !error;
        if (self->broken || is_gone(error))
            lose(self, nothing ? ENODEV : error);
        else if (!nothing)
            self->base.counters.errors++;
        return false;
    }
    return true;
}

/* Hands over frames from the first; returns how many went. */
static size_t hand_over(tap *self, uint32_t accepted)
{
    nic_frame segments[NIC_BATCH];
    nic_frame *frame = &self->frames[self->first];
    bool segmenting = nic_gso_busy(&self->gso);
    if (!segmenting && (!frame->offload || frame->offload->kind & accepted)) {
        size_t run = 1;
        while (self->first + run < self->count && (!frame[run].offload || frame[run].offload->kind & accepted))
            run++;
        size_t taken = nic_backend_deliver(&self->base, frame, run);
        self->first += (uint32_t)taken;
        return taken;
    }
    if (!segmenting && !nic_gso_begin(&self->gso, frame)) {
        self->base.counters.receive_drops++;
        self->first++;
        return 1;
    }
    size_t taken = nic_backend_deliver(&self->base, segments, nic_gso_make(&self->gso, segments, NIC_BATCH));
    nic_gso_passed(&self->gso, taken);
    self->first += !nic_gso_busy(&self->gso);
    return taken;
}

/* Whether all that was read has gone. */
static bool deliver(tap *self)
{
    uint32_t accepted = nic_backend_accepts(&self->base);
    while (self->first < self->count && hand_over(self, accepted))
        ;
    return self->first == self->count;
}

/* ------------------------------------------------------------------ turns */

static void go_on_sending(tap *self)
{
    if (!self->writable && self->base.loop)
        return;
    self->writable = false;
    if (send_kept(self) && self->base.blocked)
        nic_backend_writable(&self->base);
}

static void tell_loss(tap *self)
{
    void *told = self->told;
    self->told = NULL;
    nic_backend_set_link(&self->base, false);
    if (told && nic_py.backend_lost)
        nic_py.backend_lost(told, self->lost);
}

static void tap_poll(nic_backend *backend)
{
    tap *self = (tap *)backend;
    if (self->busy)
        return;
    self->busy = true;
    go_on_sending(self);
    bool room = deliver(self) && nic_backend_can_deliver(backend);
    self->readable |= !backend->loop;
    for (int round = 0; room && self->readable && !self->lost && round < ROUNDS; round++) {
        self->readable = fill(self);
        room = deliver(self) && nic_backend_can_deliver(backend);
    }
    if (self->readable && room && !self->lost)
        nic_backend_wake(backend);
    watch(self, room);
    if (NIC_UNLIKELY(self->lost))
        tell_loss(self);
    self->busy = false;
}

static void tap_attach(nic_backend *backend, nic_loop *loop)
{
    tap *self = (tap *)backend;
    if (!loop && self->watched)
        nic_loop_remove(backend->loop, &self->source);
    self->watched = false;
    if (loop)
        nic_loop_wake(loop);
}

static void tap_close(nic_backend *backend)
{
    tap *self = (tap *)backend;
    if (backend->loop && self->watched)
        nic_loop_remove(backend->loop, &self->source);
    close(self->source.fd);
}

static const nic_backend_ops tap_ops = {
    .name = "tap",
    .send = tap_send,
    .resume = nic_backend_wake,
    .poll = tap_poll,
    .attach = tap_attach,
    .close = tap_close,
};

_Static_assert(ARENA >= LONGEST, "any frame can be read");

nic_backend *nic_tap_new(int fd, uint32_t header, uint32_t offloads, void *told)
{
    tap *self = header > HEADER_MAX ? NULL : nic_backend_new(sizeof(*self), &tap_ops);
    if (!self) {
        close(fd);
        return NULL;
    }
    self->source = (nic_source){fd, EPOLLIN, source_ready, self};
    self->told = told;
    self->header = header;
    self->offloads = self->base.offloads = header ? offloads : 0;
    return &self->base;
}

int nic_tap_error(const nic_backend *backend) { return ((const tap *)backend)->lost; }
