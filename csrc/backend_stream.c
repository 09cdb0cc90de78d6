/*
 * stream: frames in a byte stream, each behind its length, a u32 in network order (QEMU's netdevs stream, and socket
 * with listen= or connect=; passt).
 *
 * Frames are copied to a buffer and leave with one send.  (The kernel takes a hundred pieces of cold memory one by one,
 * and waits for each; copies of ours overlap.)  A card may send in small lots, as many frames as its FIFO has room for:
 * in a turn of this wire's own they leave together, at its end or when they are many; at any other time, a doorbell's,
 * they leave at once.  What the kernel has no room for stays in the buffer and goes first.
 * What arrives is read in large pieces and delivered from where it lies.  The link is up while there is a peer; what the
 * connection cut is gone, and the next connection begins with a whole frame.
 */
#define _GNU_SOURCE
#include "backends.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sockets_api.h"

enum {
    HEADER = sizeof(uint32_t),
    LENGTH_MAX = 4096 + 65536, /* QEMU's NET_BUFSIZE: a peer that says more is no such peer */
    READ_BYTES = 1 << 16, /* little enough to stay in the cache until the card has it */
    READS = 16,          /* of one turn */
    BURST = 2048,        /* so many bytes at once: there are more to come */
    OUT_BYTES = 1 << 17,
    MANY = 1 << 16,      /* so many bytes leave in the middle of a turn */
    ROOM = 1 << 20,      /* asked of the kernel for what a Unix peer has not read; it grants what net.core allows */
};
static const int64_t ACCEPT_REST_NS = 100000000; /* when no descriptor is left to accept with */

typedef struct stream {
    nic_backend base;
    nic_source listener, link; /* fd -1: none */
    bool listener_watched, link_watched; /* on the loop's epoll set */
    bool connecting, connected;
    bool readable, writable;   /* what the loop told since */
    bool waiting;              /* a peer, at the listener */
    bool deaf;                 /* the peer hears no more: what is sent is lost; reading tells when it is gone */
    bool full;                 /* the kernel had no room for all of `out` */
    bool busy;                 /* in poll, at the end of which `out` leaves */
    uint64_t reconnect;
    bool keep_alive;
    int64_t due;               /* monotonic ns: the next attempt or accept; INT64_MAX: none */
    uint32_t address, address_count;
    nic_stream_address addresses[NIC_STREAM_ADDRESSES];
    nic_stream_counters counters;
    int error;

    uint32_t head, tail;       /* what was read and not delivered: bytes of `in` */
    uint32_t skip;             /* bytes to come of a frame that is longer than any wire here carries */
    uint32_t sent, end;        /* of `out`, which begins with a frame: bytes that went, and bytes that it holds */

    uint8_t out[OUT_BYTES];
    uint8_t in[READ_BYTES];
} stream;

_Static_assert(OUT_BYTES >= HEADER + NIC_LARGE_MAX, "any frame has room");

static int64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ------------------------------------------------------------------ what the loop watches */

/* `on`: 0 takes it off, for a hung-up descriptor is always ready. */
static void watch(stream *self, nic_source *source, bool *watched, uint32_t on)
{
    nic_loop *loop = self->base.loop;
    if (!loop || source->fd < 0)
        return;
    int error = 0;
    if (!on && *watched) {
        nic_loop_remove(loop, source);
    } else if (on && *watched) {
        error = nic_loop_modify(loop, source, on);
    } else if (on) {
        source->events = on;
        error = nic_loop_add(loop, source);
    }
    *watched = on && !error;
    if (error)
        self->base.counters.errors++;
}

/* Brings the epoll set in line with what is wanted now. */
static void watch_all(stream *self, bool room)
{
    uint32_t events = 0;
    if (self->connecting)
        events = EPOLLOUT;
    else if (self->connected)
        events = (room ? EPOLLIN : 0) | ((self->full || self->base.blocked) && !self->deaf ? EPOLLOUT : 0);
    watch(self, &self->link, &self->link_watched, events);
    bool accepting = !self->connected && self->due == INT64_MAX;
    watch(self, &self->listener, &self->listener_watched, accepting ? EPOLLIN : 0);
}

static void link_ready(nic_source *source, uint32_t events)
{
    stream *self = source->owner;
    self->readable |= (events & ~(uint32_t)EPOLLOUT) != 0;
    self->writable |= (events & ~(uint32_t)EPOLLIN) != 0;
}

static void listener_ready(nic_source *source, uint32_t events NIC_UNUSED)
{
    ((stream *)source->owner)->waiting = true;
}

/* ------------------------------------------------------------------ connections */

/* A peer that reads while this end sends is not kept waiting for the next frames.  TCP finds its own measure. */
static void make_room(int fd, int family)
{
    int room = ROOM;
    if (family == AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
}

static void set_options(const stream *self)
{
    int on = 1;
    setsockopt(self->link.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a Unix socket has no such option */
    if (self->keep_alive)
        setsockopt(self->link.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static void connected(stream *self)
{
    self->connecting = false;
    self->connected = self->readable = self->writable = true;
    self->due = INT64_MAX;
    self->error = 0;
    self->counters.connects++;
    set_options(self);
    nic_backend_set_link(&self->base, true);
}

static void close_link(stream *self)
{
    watch(self, &self->link, &self->link_watched, 0);
    close(self->link.fd);
    self->link.fd = -1;
    self->connecting = self->connected = self->deaf = false;
    self->due = self->reconnect && self->listener.fd < 0 ? monotonic_ns() + (int64_t)self->reconnect : INT64_MAX;
}

static uint32_t length_at(const uint8_t *header)
{
    uint32_t length;
    memcpy(&length, header, HEADER);
    return ntohl(length);
}

/* Frames that were taken and have not gone to their ends. */
static uint32_t unsent(const stream *self)
{
    uint32_t frames = 0;
    for (uint32_t at = 0; at < self->end; frames += at > self->sent)
        at += HEADER + length_at(self->out + at);
    return frames;
}

/* The peer is gone: what it had begun to send is no frame, and what it was not sent to the end is none. */
static void disconnected(stream *self, int error)
{
    if (self->head != self->tail || self->skip) {
        self->counters.truncated++;
        self->base.counters.receive_drops += !self->skip; /* one that is skipped was counted */
    }
    self->base.counters.send_drops += unsent(self);
    self->base.counters.errors += error != 0;
    self->head = self->tail = self->skip = self->sent = self->end = 0;
    self->full = false;
    self->error = error;
    self->counters.disconnects++;
    close_link(self);
    nic_backend_set_link(&self->base, false);
    if (self->base.blocked)
        nic_backend_writable(&self->base); /* the port tells the card that the link is down */
}

static void failed(stream *self, int error)
{
    self->counters.attempts++;
    self->error = error;
    close_link(self);
}

static void attempt(stream *self)
{
    const nic_stream_address *to = &self->addresses[self->address++ % self->address_count];
    const struct sockaddr *address = (const struct sockaddr *)to->bytes;
    self->link.fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (self->link.fd < 0) {
        self->counters.attempts++;
        self->error = errno;
        self->due = monotonic_ns() + (int64_t)self->reconnect;
        return;
    }
    make_room(self->link.fd, address->sa_family);
    self->due = INT64_MAX;
    if (!connect(self->link.fd, address, to->length))
        connected(self);
    else if (errno == EINPROGRESS || errno == EINTR)
        self->connecting = true;
    else
        failed(self, errno);
}

static void finish_connecting(stream *self)
{
    int error = 0;
    socklen_t size = sizeof(error);
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof(peer);
    if (getsockopt(self->link.fd, SOL_SOCKET, SO_ERROR, &error, &size))
        error = errno;
    if (error)
        failed(self, error);
    else if (!getpeername(self->link.fd, (struct sockaddr *)&peer, &peer_size))
        connected(self);
}

static void accept_peer(stream *self)
{
    self->waiting = false;
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(peer);
    int fd = accept4(self->listener.fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        make_room(fd, peer.ss_family);
        self->link.fd = fd;
        connected(self);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        self->counters.refused++;
        self->base.counters.errors++;
        self->due = monotonic_ns() + ACCEPT_REST_NS; /* the peer stays in the queue, so the socket stays ready */
    } /* else nobody is there any more */
}

/* Takes the next step towards a peer. */
static void seek_peer(stream *self)
{
    bool due = self->due != INT64_MAX && monotonic_ns() >= self->due;
    if (self->connecting && (self->writable || !self->base.loop)) {
        self->writable = false;
        finish_connecting(self);
    } else if (self->listener.fd >= 0 && !self->connected) {
        if (due)
            self->due = INT64_MAX;
        if (due || (self->due == INT64_MAX && (self->waiting || !self->base.loop)))
            accept_peer(self);
    } else if (self->link.fd < 0 && due) {
        attempt(self);
    }
}

/* ------------------------------------------------------------------ out */

/* Copies a frame behind its length; false: there is no room. */
static bool take(stream *self, const nic_frame *frame)
{
    uint8_t *to = self->out + self->end;
    if (OUT_BYTES - self->end < HEADER + frame->length)
        return false;
    memcpy(to, &(uint32_t){htonl(frame->length)}, HEADER);
    nic_frame_copy(frame, to + HEADER, frame->length);
    self->end += HEADER + frame->length;
    return true;
}

/* Sends what was taken; whether all of it has gone. */
static bool flush(stream *self)
{
    ssize_t n;
    if (!self->end)
        return true;
    do
        n = send(self->link.fd, self->out + self->sent, self->end - self->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0) {
        self->sent += (uint32_t)n;
    } else if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) {
        self->deaf = self->readable = true;
        self->base.counters.errors++;
        nic_backend_wake(&self->base);
    }
    self->full = self->sent < self->end;
    if (!self->full)
        self->sent = self->end = 0;
    return !self->full;
}

static size_t stream_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    stream *self = (stream *)backend;
    size_t done = 0;
    if (self->connected && !self->deaf && (!self->full || flush(self)))
        while (done < count) {
            while (done < count && take(self, &frames[done]))
                done++;
            bool later = self->busy && done == count && self->end < MANY;
            if (!later && !flush(self))
                break;
        }
    if (!self->connected || self->deaf) {
        backend->counters.send_drops += count - done;
        done = count;
    } else if (self->full) {
        watch(self, &self->link, &self->link_watched, (self->link_watched ? self->link.events & EPOLLIN : 0) | EPOLLOUT);
    }
    return done;
}

/* ------------------------------------------------------------------ in */

/* The whole frames at the head of what was read. */
static uint32_t parse(const stream *self, nic_frame *frames, struct iovec *iov)
{
    uint32_t n = 0;
    for (uint32_t at = self->head; n < NIC_BATCH && !self->skip && self->tail - at >= HEADER; n++) {
        uint32_t length = length_at(self->in + at);
        if (!length || length > NIC_FRAME_MAX || self->tail - at - HEADER < length)
            break;
        iov[n] = (struct iovec){(void *)(uintptr_t)(self->in + at + HEADER), length};
        frames[n] = (nic_frame){&iov[n], 1, length, 0};
        at += HEADER + length;
    }
    return n;
}

/* Whether what stood at the head was no frame for a card, and something else stands there now.  A peer that breaks
 * the protocol is sent away. */
static bool step_over(stream *self)
{
    if (self->skip) {
        uint32_t part = self->tail - self->head < self->skip ? self->tail - self->head : self->skip;
        self->head += part;
        self->skip -= part;
        return !self->skip;
    }
    uint32_t length = self->tail - self->head < HEADER ? 1 : length_at(self->in + self->head);
    if (length > LENGTH_MAX) {
        self->counters.protocol_errors++;
        disconnected(self, EPROTO);
        return false;
    }
    if (length && length <= NIC_FRAME_MAX)
        return false; /* its end has not come yet */
    self->base.counters.receive_drops++;
    self->head += HEADER;
    self->skip = length;
    return true;
}

/* Whether the card took every frame that was read. */
static bool deliver(stream *self)
{
    uint32_t n;
    do {
        nic_frame frames[NIC_BATCH];
        struct iovec iov[NIC_BATCH];
        n = parse(self, frames, iov);
        size_t taken = n ? nic_backend_deliver(&self->base, frames, n) : 0;
        for (size_t i = 0; i < taken; i++)
            self->head += HEADER + frames[i].length;
        if (taken < n)
            return false;
    } while (n == NIC_BATCH || step_over(self));
    return true;
}

/* Reads behind what is left of a frame; whether another read is worth its call. */
static bool read_more(stream *self)
{
    memmove(self->in, self->in + self->head, self->tail - self->head);
    self->tail -= self->head;
    self->head = 0;
    size_t room = READ_BYTES - self->tail;
    ssize_t n;
    do
        n = recv(self->link.fd, self->in + self->tail, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        self->tail += (uint32_t)n;
    else if (n == 0 || errno != EAGAIN)
        disconnected(self, n ? errno : 0);
    return n >= BURST;
}

/* Whether there is room for more. */
static bool receive(stream *self)
{
    bool room = deliver(self) && nic_backend_can_deliver(&self->base), more = self->readable || !self->base.loop;
    for (int i = 0; i < READS && room && more && self->connected; i++) {
        self->readable = false;
        more = read_more(self);
        room = deliver(self) && nic_backend_can_deliver(&self->base);
    }
    return room;
}

/* ------------------------------------------------------------------ turns */

static void stream_poll(nic_backend *backend)
{
    stream *self = (stream *)backend;
    if (self->busy)
        return;
    self->busy = true;
    bool room = true;
    if (!self->connected)
        seek_peer(self);
    if (self->connected && (self->writable || !backend->loop)) {
        self->writable = false;
        if ((flush(self) || self->deaf) && backend->blocked)
            nic_backend_writable(backend);
    }
    if (self->connected)
        room = receive(self);
    if (self->connected && !self->full && !self->deaf)
        flush(self);
    watch_all(self, room);
    self->busy = false;
}

static int64_t stream_timeout(nic_backend *backend)
{
    const stream *self = (stream *)backend;
    if (self->due == INT64_MAX)
        return -1;
    int64_t now = monotonic_ns();
    return self->due > now ? self->due - now : 0;
}

static void stream_attach(nic_backend *backend, nic_loop *loop)
{
    stream *self = (stream *)backend;
    if (loop) {
        watch_all(self, true);
        return;
    }
    watch(self, &self->link, &self->link_watched, 0);
    watch(self, &self->listener, &self->listener_watched, 0);
}

static void stream_close(nic_backend *backend)
{
    stream *self = (stream *)backend;
    stream_attach(backend, NULL);
    if (self->link.fd >= 0)
        close(self->link.fd);
    if (self->listener.fd >= 0)
        close(self->listener.fd);
}

static const nic_backend_ops stream_ops = {
    .name = "stream",
    .send = stream_send,
    .resume = nic_backend_wake,
    .poll = stream_poll,
    .timeout = stream_timeout,
    .attach = stream_attach,
    .close = stream_close,
};

/* ------------------------------------------------------------------ what Python calls */

static int no_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
        return errno;
    return 0;
}

nic_backend *nic_stream_new(const nic_stream_config *config, int *error)
{
    stream *self = nic_backend_new(sizeof(*self), &stream_ops);
    if (!self) {
        if (config->fd >= 0)
            close(config->fd);
        if (config->listen_fd >= 0)
            close(config->listen_fd);
        *error = ENOMEM;
        return NULL;
    }
    self->link = (nic_source){config->fd, 0, link_ready, self};
    self->listener = (nic_source){config->listen_fd, 0, listener_ready, self};
    self->reconnect = config->reconnect;
    self->keep_alive = config->keep_alive;
    self->address_count = config->address_count;
    memcpy(self->addresses, config->addresses, sizeof(self->addresses));
    self->due = INT64_MAX;
    self->base.link_up = false;
    *error = self->listener.fd >= 0 ? no_blocking(self->listener.fd) : 0;
    if (!*error && self->link.fd >= 0) {
        *error = no_blocking(self->link.fd);
        connected(self);
    } else if (self->address_count) {
        self->due = 0; /* with the first turn */
    }
    if (*error) {
        nic_backend_free(&self->base);
        return NULL;
    }
    return &self->base;
}

const nic_stream_counters *nic_stream_get_counters(const nic_backend *backend)
{
    return &((const stream *)backend)->counters;
}

int nic_stream_error(const nic_backend *backend) { return ((const stream *)backend)->error; }
