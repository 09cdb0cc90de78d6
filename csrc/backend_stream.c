/*
 * stream: frames in a byte stream, each behind its length, a u32 in network order (QEMU's netdevs stream, and socket
 * with listen= or connect=; passt).
 *
 * A batch leaves with one sendmsg: ordinary frames from a buffer that they were copied to, long ones gathered from guest
 * memory.  (The kernel takes a hundred small pieces of cold memory one by one, and waits for each; copies of ours
 * overlap.)  What the kernel took of a frame but for its end is kept and goes first.  What arrives is read in large pieces and delivered from where it lies.  The link is up while
 * there is a peer; a frame that the connection cut is gone, and the next connection begins with a whole one.
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
    READ_BYTES = 1 << 18,
    READS = 4,           /* of one turn */
    PIECES = 1024,       /* IOV_MAX of Linux */
    COPIED = 2048,       /* the longest frame that is copied, not gathered */
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
    bool busy;                 /* in poll */
    uint64_t reconnect;
    int64_t due;               /* monotonic ns: the next attempt or accept; INT64_MAX: none */
    uint32_t address, address_count;
    nic_stream_address addresses[NIC_STREAM_ADDRESSES];
    nic_stream_counters counters;
    int error;

    uint32_t head, tail;       /* what was read and not delivered: bytes of `in` */
    uint32_t skip;             /* bytes to come of a frame that is longer than any wire here carries */
    uint32_t rest_at, rest_end; /* what is left to send of a frame: bytes of `rest` */

    uint32_t lengths[NIC_BATCH];
    struct iovec pieces[PIECES];
    uint8_t copies[NIC_BATCH * (HEADER + COPIED)];
    uint8_t rest[HEADER + NIC_FRAME_MAX];
    uint8_t in[READ_BYTES];
} stream;

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
    bool rest = self->rest_end && !self->deaf;
    uint32_t events = 0;
    if (self->connecting)
        events = EPOLLOUT;
    else if (self->connected)
        events = (room ? EPOLLIN : 0) | (rest || (self->base.blocked && !self->deaf) ? EPOLLOUT : 0);
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

static void set_options(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a Unix socket has no such option */
}

static void connected(stream *self)
{
    self->connecting = false;
    self->connected = self->readable = self->writable = true;
    self->due = INT64_MAX;
    self->error = 0;
    self->counters.connects++;
    set_options(self->link.fd);
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

/* The peer is gone: what it had begun to send is no frame, and what it was not sent to the end is none. */
static void disconnected(stream *self, int error)
{
    if (self->head != self->tail || self->skip) {
        self->counters.truncated++;
        self->base.counters.receive_drops += !self->skip; /* one that is skipped was counted */
    }
    self->base.counters.send_drops += self->rest_end > 0;
    self->base.counters.errors += error != 0;
    self->head = self->tail = self->skip = self->rest_at = self->rest_end = 0;
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

/* Copies a frame behind its length; returns how many bytes both are. */
static uint32_t put_copy(uint8_t *to, const nic_frame *frame)
{
    memcpy(to, &(uint32_t){htonl(frame->length)}, HEADER);
    nic_frame_copy(frame, to + HEADER, frame->length);
    return HEADER + frame->length;
}

/* Pieces for as many frames as there is room for; copies that stand side by side are one. */
static size_t gather(stream *self, const nic_frame *frames, size_t count, size_t *used)
{
    size_t n = 0, piece = 0;
    uint8_t *copy = self->copies, *joined = NULL; /* joined: where the last piece ends, if it is of copies */
    for (; n < count && n < NIC_BATCH && piece + 1 + frames[n].iovcnt <= PIECES; n++) {
        if (frames[n].length <= COPIED) {
            if (copy != joined)
                self->pieces[piece++] = (struct iovec){copy, 0};
            uint32_t size = put_copy(copy, &frames[n]);
            self->pieces[piece - 1].iov_len += size;
            joined = copy += size;
            continue;
        }
        self->lengths[n] = htonl(frames[n].length);
        self->pieces[piece++] = (struct iovec){&self->lengths[n], HEADER};
        memcpy(&self->pieces[piece], frames[n].iov, frames[n].iovcnt * sizeof(struct iovec));
        piece += frames[n].iovcnt;
        joined = NULL;
    }
    *used = piece;
    return n;
}

/* The end of a frame whose first `sent` bytes, header included, are on their way. */
static void keep_rest(stream *self, const nic_frame *frame, size_t sent)
{
    self->rest_at = (uint32_t)sent;
    self->rest_end = put_copy(self->rest, frame);
}

/* Sends pieces; the bytes that went, 0 when there is no room or the peer hears no more. */
static size_t put(stream *self, struct iovec *pieces, size_t count)
{
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    ssize_t n;
    do
        n = sendmsg(self->link.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return (size_t)n;
    if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) {
        self->deaf = self->readable = true;
        self->base.counters.errors++;
        nic_backend_wake(&self->base);
    }
    return 0;
}

/* Whether nothing is left of a frame that was begun. */
static bool put_rest(stream *self)
{
    if (!self->rest_end)
        return true;
    struct iovec piece = {self->rest + self->rest_at, self->rest_end - self->rest_at};
    self->rest_at += (uint32_t)put(self, &piece, 1);
    if (self->rest_at < self->rest_end)
        return false;
    self->rest_at = self->rest_end = 0;
    return true;
}

/* Sends whole frames; returns how many are on their way, the last perhaps in part. */
static size_t put_frames(stream *self, const nic_frame *frames, size_t count)
{
    size_t pieces;
    size_t n = gather(self, frames, count, &pieces);
    size_t sent = put(self, self->pieces, pieces);
    for (size_t i = 0; i < n; i++) {
        size_t size = HEADER + frames[i].length;
        if (sent < size) {
            if (sent)
                keep_rest(self, &frames[i], sent);
            return i + (sent > 0);
        }
        sent -= size;
    }
    return n;
}

static size_t stream_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    stream *self = (stream *)backend;
    size_t done = 0;
    if (self->connected && !self->deaf && put_rest(self))
        while (done < count && !self->rest_end && !self->deaf) {
            size_t went = put_frames(self, frames + done, count - done);
            if (!went)
                break;
            done += went;
        }
    if (!self->connected || self->deaf) {
        backend->counters.send_drops += count - done;
        done = count;
    }
    if (self->connected && !self->deaf && (self->rest_end || done < count))
        watch(self, &self->link, &self->link_watched, (self->link_watched ? self->link.events & EPOLLIN : 0) | EPOLLOUT);
    return done;
}

/* ------------------------------------------------------------------ in */

static uint32_t length_at(const stream *self, uint32_t at)
{
    uint32_t length;
    memcpy(&length, self->in + at, HEADER);
    return ntohl(length);
}

/* The whole frames at the head of what was read. */
static uint32_t parse(const stream *self, nic_frame *frames, struct iovec *iov)
{
    uint32_t n = 0;
    for (uint32_t at = self->head; n < NIC_BATCH && !self->skip && self->tail - at >= HEADER; n++) {
        uint32_t length = length_at(self, at);
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
    uint32_t length = self->tail - self->head < HEADER ? 1 : length_at(self, self->head);
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

/* Reads behind what is left of a frame; whether the socket may have more. */
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
    return n == (ssize_t)room;
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
        if ((put_rest(self) || self->deaf) && backend->blocked)
            nic_backend_writable(backend);
    }
    if (self->connected)
        room = receive(self);
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
