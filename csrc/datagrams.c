/*
 * A wire of datagrams (datagrams.h).
 *
 * On the way out the kernel gathers each frame from guest memory; a batch is one sendmmsg.  On the way in a batch is
 * one recvmmsg into slots, and the card copies from there.  While the card has no room the socket is left alone: what
 * a sender has yet to send waits with it (Unix) or is lost in the socket's buffer, as on any network (UDP), where the
 * kernel counts it.
 *
 * Linux lets ten datagrams wait at a Unix socket (net.unix.max_dgram_qlen), so in a burst the two ends take turns.  A
 * peer that is at it is given the processor a few times before this end goes back to the loop and sleeps: a yield and
 * a call cost less than two turns of an epoll set and two wake-ups, on either side.
 *
 * Unix addresses need care.  A socket that is connected sends without a look-up of the path and can wait for room at
 * its peer, but it hears nobody else, not even the peer's successor at the same path.  So frames leave by a connected
 * socket of their own, and arrive at one that is not.
 */
#define _GNU_SOURCE
#include "datagrams.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    ROUNDS = 8,         /* batches of one turn */
    FRUITLESS_MAX = 16, /* a socket that is ready so often and gives nothing is dead */
    ERRORS_MAX = 64,    /* of the socket's error queue in one turn */
    RETRY_NS = 1000000, /* where the socket cannot tell when there is room */
    YIELDS = 4,         /* times in a row that the peer gets the processor before this end sleeps */
    BURST = 4,          /* so many datagrams at once: there are more to come */
};

static void source_ready(nic_source *source, uint32_t events NIC_UNUSED)
{
    ((datagrams *)source->owner)->ready = true;
}

/* ------------------------------------------------------------------ out */

static void out_ready(nic_source *source, uint32_t events NIC_UNUSED)
{
    source->events = EPOLLONESHOT; /* what the set holds now */
    nic_backend_writable(&((datagrams *)source->owner)->base);
}

/* The loop tells once when the socket has room. */
static void await_room(datagrams *self)
{
    nic_loop *loop = self->base.loop;
    if (!loop || self->from_bound)
        return; /* polls try again: each without a loop, every RETRY_NS with one */
    const uint32_t events = EPOLLOUT | EPOLLONESHOT;
    int error;
    if (self->out_known) {
        error = nic_loop_modify(loop, &self->out, events);
    } else {
        self->out.events = events;
        error = nic_loop_add(loop, &self->out);
        self->out_known = !error;
    }
    if (error)
        self->base.counters.errors++;
}

/* Whoever is bound to the address now is the one that hears. */
static bool reach(datagrams *self)
{
    if (!self->keep_connected || self->connected)
        return true;
    self->connected = !connect(self->out.fd, (struct sockaddr *)&self->to, self->to_length);
    if (!self->connected && errno == EPERM) { /* it is connected, and not to this socket: to the bound one, perhaps */
        self->from_bound = true;
        return true;
    }
    return self->connected;
}

static size_t fill(datagrams *self, const nic_frame *frames, size_t count)
{
    size_t n = count < NIC_BATCH ? count : NIC_BATCH;
    for (size_t i = 0; i < n; i++) {
        struct msghdr *message = &self->out_messages[i].msg_hdr;
        bool addressed = self->addressed || self->from_bound;
        message->msg_name = addressed ? &self->to : NULL;
        message->msg_namelen = addressed ? self->to_length : 0;
        if (!self->header) {
            message->msg_iov = (struct iovec *)(uintptr_t)frames[i].iov;
            message->msg_iovlen = frames[i].iovcnt;
            continue;
        }
        self->put_header(self, self->headers[i]);
        self->out_iov[i][0] = (struct iovec){self->headers[i], self->header};
        memcpy(&self->out_iov[i][1], frames[i].iov, frames[i].iovcnt * sizeof(struct iovec));
        message->msg_iov = self->out_iov[i];
        message->msg_iovlen = 1 + frames[i].iovcnt;
    }
    return n;
}

/* What to do about a frame that was refused. */
typedef enum verdict { AGAIN, WAIT, LOST } verdict;

static verdict judge(datagrams *self, int error, bool *tried)
{
    if (error == EINTR)
        return AGAIN;
    if (error == EAGAIN)
        return WAIT;
    self->base.counters.errors++;
    if (*tried || error == EMSGSIZE || error == ENOBUFS || error == ENOMEM)
        return LOST;
    *tried = true;
    if (!self->keep_connected)
        return AGAIN; /* the error may be that of a datagram before: sockets report late */
    if (error == EPERM && !self->from_bound) {
        self->from_bound = true; /* the peer is connected to our bound address */
        return AGAIN;
    }
    self->from_bound = self->connected = false; /* the peer is gone; there may be another */
    return reach(self) ? AGAIN : LOST;
}

size_t datagrams_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    datagrams *self = (datagrams *)backend;
    if (!reach(self)) {
        backend->counters.send_drops += count;
        return count;
    }
    bool tried = false;
    int yields = 0; /* that are left: none for a peer that took nothing of this call */
    for (size_t done = 0; done < count;) {
        size_t n = fill(self, frames + done, count - done);
        int fd = self->from_bound ? self->in.fd : self->out.fd;
        int sent = sendmmsg(fd, self->out_messages, (unsigned)n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            done += (size_t)sent;
            tried = false;
            yields = YIELDS;
            if ((size_t)sent < n) { /* there is no more room, as a rule; if not, the next call tells */
                yields--;
                sched_yield();
            }
            continue;
        }
        switch (judge(self, errno, &tried)) {
        case AGAIN:
            break;
        case WAIT:
            if (yields-- > 0) {
                sched_yield();
                break;
            }
            await_room(self);
            return done;
        case LOST:
            backend->counters.send_drops++;
            done++;
            tried = false;
            if (!reach(self)) {
                backend->counters.send_drops += count - done;
                return count;
            }
        }
    }
    return count;
}

/* ------------------------------------------------------------------ in */

static void watch(datagrams *self, bool on)
{
    on = on && self->base.loop;
    if (on == self->in_watched)
        return;
    if (!on)
        nic_loop_remove(self->base.loop, &self->in);
    else if (nic_loop_add(self->base.loop, &self->in))
        self->base.counters.errors++;
    self->in_watched = on;
}

/* Errors of datagrams sent before, which a socket reports with whatever is done next. */
static bool is_late(int error)
{
    return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == ENETDOWN ||
           error == EHOSTDOWN || error == EMSGSIZE || error == ENOPROTOOPT || error == EACCES || error == EPROTO;
}

/* ICMP tells what became of datagrams sent before: each tells of one that was lost.  A Unix socket has no such queue, and
 * takes the flag for none: it would give a frame. */
static void drain_errors(datagrams *self)
{
    for (int i = 0; i < ERRORS_MAX && self->internet; i++) {
        char control[512];
        struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};
        if (recvmsg(self->in.fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return;
        self->base.counters.errors++;
        self->base.counters.send_drops++;
        self->fruitless = 0;
    }
}

static bool is_own(const datagrams *self, size_t i)
{
    return self->own_length && self->in_messages[i].msg_hdr.msg_namelen == self->own_length &&
           !memcmp(&self->from[i], &self->own, self->own_length);
}

/* Makes frames of the datagrams in the slots. */
static void sort(datagrams *self, size_t count)
{
    uint32_t n = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t length = self->in_messages[i].msg_len;
        if (is_own(self, i))
            continue;
        if (!length || self->in_messages[i].msg_hdr.msg_flags & MSG_TRUNC) {
            self->base.counters.receive_drops++;
            continue;
        }
        int64_t start = self->find_frame ? self->find_frame(self, self->slots[i], length) : 0;
        if (start < 0 || length - (uint32_t)start > NIC_FRAME_MAX) {
            self->base.counters.receive_drops++;
            continue;
        }
        self->frame_iov[n] = (struct iovec){self->slots[i] + start, length - (uint32_t)start};
        self->frames[n] = (nic_frame){&self->frame_iov[n], 1, length - (uint32_t)start, 0};
        n++;
    }
    self->arrived = n;
    self->taken = 0;
}

/* Fills the slots; returns how many datagrams came. */
static size_t receive(datagrams *self)
{
    if (self->own_length)
        for (size_t i = 0; i < NIC_BATCH; i++)
            self->in_messages[i].msg_hdr.msg_namelen = sizeof(self->from[i]);
    int n;
    do
        n = recvmmsg(self->in.fd, self->in_messages, NIC_BATCH, MSG_DONTWAIT, NULL);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        self->fruitless++;
        self->base.counters.errors += n < 0 && errno != EAGAIN;
        if (n < 0 && is_late(errno))
            self->fruitless = 0;
        drain_errors(self);
        return 0;
    }
    self->fruitless = 0;
    sort(self, (size_t)n);
    return (size_t)n;
}

/* Whether the card took all that has arrived. */
static bool deliver(datagrams *self)
{
    if (self->taken < self->arrived)
        self->taken += (uint32_t)nic_backend_deliver(&self->base, self->frames + self->taken,
                                                     self->arrived - self->taken);
    return self->taken == self->arrived;
}

static void receive_all(datagrams *self)
{
    self->ready = false;
    for (int round = 0; round < ROUNDS; round++) {
        size_t came = receive(self);
        if (!deliver(self) || came < BURST || !nic_backend_can_deliver(&self->base))
            break;
        if (came < NIC_BATCH)
            sched_yield();
    }
    if (self->in_watched && self->fruitless >= FRUITLESS_MAX) {
        self->base.counters.errors++;
        nic_backend_set_link(&self->base, false);
    }
}

void datagrams_poll(nic_backend *backend)
{
    datagrams *self = (datagrams *)backend;
    if (self->in.fd < 0)
        return;
    if (backend->blocked && (!backend->loop || self->from_bound))
        nic_backend_writable(backend);
    bool room = deliver(self) && nic_backend_can_deliver(backend);
    if (room && (self->ready || !backend->loop)) {
        receive_all(self);
        room = self->taken == self->arrived && nic_backend_can_deliver(backend);
    }
    watch(self, room && self->fruitless < FRUITLESS_MAX);
}

int64_t datagrams_timeout(nic_backend *backend)
{
    return backend->blocked && ((datagrams *)backend)->from_bound ? RETRY_NS : -1;
}

/* What found the socket's receive buffer full (UDP, raw IP; a Unix socket makes its sender wait). */
static uint32_t overflows_of(int fd)
{
#ifdef SO_MEMINFO
    uint32_t values[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof(values);
    if (!getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values, &size))
        return values[SK_MEMINFO_DROPS];
#else
    (void)fd;
#endif
    return 0;
}

void datagrams_count(nic_backend *backend)
{
    datagrams *self = (datagrams *)backend;
    if (self->in.fd < 0)
        return;
    uint32_t now = overflows_of(self->in.fd);
    backend->counters.receive_drops += now - self->overflows;
    self->overflows = now;
}

/* ------------------------------------------------------------------ life */

void datagrams_attach(nic_backend *backend, nic_loop *loop)
{
    datagrams *self = (datagrams *)backend;
    if (!loop) {
        watch(self, false);
        if (self->out_known)
            nic_loop_remove(backend->loop, &self->out);
        self->out_known = false;
        return;
    }
    watch(self, true);
    if (backend->blocked)
        await_room(self);
}

void datagrams_close(nic_backend *backend)
{
    datagrams *self = (datagrams *)backend;
    if (backend->loop)
        datagrams_attach(backend, NULL);
    if (self->in.fd >= 0)
        close(self->in.fd);
    if (self->out.fd >= 0)
        close(self->out.fd);
}

static bool is_internet(int fd)
{
    int domain = 0;
    socklen_t size = sizeof(domain);
    return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) && (domain == AF_INET || domain == AF_INET6);
}

static int own_address(datagrams *self)
{
    self->own_length = sizeof(self->own);
    return getsockname(self->out.fd, (struct sockaddr *)&self->own, &self->own_length) ? errno : 0;
}

int datagrams_init(datagrams *self, const nic_dgram_config *config)
{
    int out = config->send_fd >= 0 ? config->send_fd : fcntl(config->receive_fd, F_DUPFD_CLOEXEC, 0);
    int error = out < 0 ? errno : 0;
    self->in = (nic_source){config->receive_fd, EPOLLIN, source_ready, self};
    self->out = (nic_source){out, 0, out_ready, self};
    self->internet = is_internet(config->receive_fd);
    self->overflows = overflows_of(config->receive_fd);
    self->keep_connected = config->connect;
    self->addressed = config->to && !config->connect && !config->ignore_own;
    if (config->to)
        memcpy(&self->to, config->to, config->to_length);
    self->to_length = config->to_length;
    if (!error && config->ignore_own)
        error = own_address(self);
    for (size_t i = 0; i < NIC_BATCH; i++) {
        self->in_iov[i] = (struct iovec){self->slots[i], NIC_FRAME_MAX + DATAGRAM_HEADER_MAX};
        self->in_messages[i].msg_hdr = (struct msghdr){.msg_iov = &self->in_iov[i], .msg_iovlen = 1};
        if (self->own_length)
            self->in_messages[i].msg_hdr.msg_name = &self->from[i];
    }
    return error;
}
