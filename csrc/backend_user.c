/*
 * user: a private network behind a NAT in this process, by libslirp.
 *
 *   card ──send──▶ strict filter ──▶ slirp_input ──▶ host sockets
 *   card ◀─deliver── queue ◀── send_packet ◀── slirp_pollfds_poll ◀── host sockets
 *
 * The stack's sockets live in an epoll set of their own, so that the loop sees one descriptor, and so that a card
 * without a loop can poll.  While the card has no room the sockets are left alone: their senders' TCP waits, and
 * nothing is lost.  What libslirp produces on its own account meanwhile (answers, retransmissions) waits in the
 * queue; it is bounded by the windows of the connections, and what exceeds the queue is dropped and counted.
 *
 * Frames shorter than 60 bytes are padded with zeros, as the MAC of a station on the wire does (IEEE 802.3 4.2.8).
 */
#define _GNU_SOURCE
#include "backends.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "reassembly.h"
#include "slirp_library.h"

enum {
    MTU = 1500,             /* what libslirp sends */
    MRU = NIC_FRAME_MAX - 14, /* what it is given: any frame that a card can send */
    DATAGRAM = 65535,
    ETHERNET_HEADER = 14,
    SHORTEST = 60,             /* without FCS */
    QUEUE_BYTES = 2 << 20,     /* 32 full TCP windows */
    EVENTS = 64,
    FRUITLESS_MAX = 256,       /* polls with ready sockets and nothing for the guest, before sockets are let rest */
    REST_NS = 50000000,
};

/* One descriptor of the stack; the table is indexed by descriptor. */
typedef struct user_fd {
    uint32_t round;      /* of the last fill that asked for it */
    uint32_t registered; /* EPOLL events in the set, 0: not there */
    uint32_t ready;      /* EPOLL events that came */
} user_fd;

typedef struct user_timer {
    struct user_timer *next;
    SlirpTimerCb expired;
    void *opaque;
    int64_t deadline_ms; /* INT64_MAX: stopped */
} user_timer;

typedef struct user {
    nic_backend base;
    const slirp_library *lib;
    Slirp *slirp;
    nic_queue queue;    /* frames for the guest */
    nic_source source;  /* the epoll set, as the loop sees it */
    bool watched;       /* the source is on the loop */
    bool ready;         /* the source became ready */
    bool changed;       /* the stack was given something: its wants may be others */
    bool busy;          /* inside poll() */
    bool holding;       /* the card has no room */
    uint32_t fruitless; /* polls in a row with ready sockets that brought the guest nothing */
    int64_t rest_until; /* ns; sockets are not served before */
    int64_t due;        /* ns; when the stack wants to be called, INT64_MAX: only for events */
    user_timer *timers;
    user_fd *fds;
    uint32_t fd_count;
    int *active; /* descriptors in the set */
    uint32_t active_count;
    uint32_t round;
    nic_user_counters counters;
    nic_reassembly *reassembly; /* NULL until a fragment came */
    uint8_t frame[NIC_FRAME_MAX];
} user;

static int64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ------------------------------------------------------------------ what libslirp calls */

static ssize_t cb_send_packet(const void *bytes, size_t length, void *opaque)
{
    static const uint8_t zeros[SHORTEST];
    user *stack = opaque;
    struct iovec iov[2] = {{(void *)(uintptr_t)bytes, length}, {(void *)(uintptr_t)zeros, 0}};
    if (length < SHORTEST)
        iov[1].iov_len = SHORTEST - length;
    nic_frame frame = {iov, 2, (uint32_t)(length + iov[1].iov_len), 0};
    if (!nic_queue_push(&stack->queue, &frame)) {
        stack->counters.queue_full++;
        stack->base.counters.receive_drops++;
    }
    return (ssize_t)length;
}

static void cb_guest_error(const char *message NIC_UNUSED, void *opaque) { ((user *)opaque)->counters.guest_errors++; }

static int64_t cb_clock(void *opaque NIC_UNUSED) { return monotonic_ns(); }

static void *cb_timer_new(SlirpTimerCb expired, void *expired_opaque, void *opaque)
{
    user *stack = opaque;
    user_timer *timer = malloc(sizeof(*timer));
    if (!timer)
        return NULL;
    *timer = (user_timer){stack->timers, expired, expired_opaque, INT64_MAX};
    stack->timers = timer;
    return timer;
}

static void cb_timer_free(void *gone, void *opaque)
{
    for (user_timer **link = &((user *)opaque)->timers; *link; link = &(*link)->next)
        if (*link == gone) {
            *link = (*link)->next;
            free(gone);
            return;
        }
}

static void cb_timer_mod(void *timer, int64_t expire_ms, void *opaque NIC_UNUSED)
{
    if (timer)
        ((user_timer *)timer)->deadline_ms = expire_ms;
}

static void forget_fd(user *stack, int fd)
{
    if (fd < 0 || (uint32_t)fd >= stack->fd_count || !stack->fds[fd].registered)
        return;
    epoll_ctl(stack->source.fd, EPOLL_CTL_DEL, fd, NULL);
    stack->fds[fd] = (user_fd){0};
    for (uint32_t i = 0; i < stack->active_count; i++)
        if (stack->active[i] == fd) {
            stack->active[i] = stack->active[--stack->active_count];
            return;
        }
}

static void cb_register_fd(int fd NIC_UNUSED, void *opaque) { ((user *)opaque)->changed = true; }

static void cb_unregister_fd(int fd, void *opaque)
{
    user *stack = opaque;
    forget_fd(stack, fd);
    stack->changed = true;
}

static void cb_notify(void *opaque)
{
    user *stack = opaque;
    stack->changed = true;
    nic_backend_wake(&stack->base);
}

static const SlirpCb callbacks = {
    .send_packet = cb_send_packet,
    .guest_error = cb_guest_error,
    .clock_get_ns = cb_clock,
    .timer_new = cb_timer_new,
    .timer_free = cb_timer_free,
    .timer_mod = cb_timer_mod,
    .register_poll_fd = cb_register_fd,
    .unregister_poll_fd = cb_unregister_fd,
    .notify = cb_notify,
};

/* ------------------------------------------------------------------ the stack's descriptors */

/* Room in the table for a descriptor; false: no memory. */
static bool reserve_fd(user *stack, int fd)
{
    if ((uint32_t)fd < stack->fd_count)
        return true;
    uint32_t count = stack->fd_count ? stack->fd_count : 64;
    while (count <= (uint32_t)fd)
        count *= 2;
    user_fd *fds = realloc(stack->fds, count * sizeof(*fds));
    if (!fds)
        return false;
    stack->fds = fds;
    int *active = realloc(stack->active, count * sizeof(*active));
    if (!active)
        return false;
    stack->active = active;
    memset(fds + stack->fd_count, 0, (count - stack->fd_count) * sizeof(*fds));
    stack->fd_count = count;
    return true;
}

static uint32_t to_epoll(int events)
{
    return (events & SLIRP_POLL_IN ? EPOLLIN : 0) | (events & SLIRP_POLL_OUT ? EPOLLOUT : 0) |
           (events & SLIRP_POLL_PRI ? EPOLLPRI : 0) | EPOLLERR | EPOLLHUP;
}

static int from_epoll(uint32_t events)
{
    return (events & EPOLLIN ? SLIRP_POLL_IN : 0) | (events & EPOLLOUT ? SLIRP_POLL_OUT : 0) |
           (events & EPOLLPRI ? SLIRP_POLL_PRI : 0) | (events & EPOLLERR ? SLIRP_POLL_ERR : 0) |
           (events & EPOLLHUP ? SLIRP_POLL_HUP : 0);
}

static int add_poll(int fd, int events, void *opaque)
{
    user *stack = opaque;
    if (fd < 0 || !reserve_fd(stack, fd)) {
        stack->base.counters.errors++;
        return -1;
    }
    user_fd *slot = &stack->fds[fd];
    struct epoll_event event = {.events = to_epoll(events), .data.fd = fd};
    slot->round = stack->round;
    if (slot->registered == event.events)
        return fd;
    int operation = slot->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(stack->source.fd, operation, fd, &event)) {
        stack->base.counters.errors++;
        return -1;
    }
    if (!slot->registered)
        stack->active[stack->active_count++] = fd;
    slot->registered = event.events;
    return fd;
}

/* Asks the stack for what it waits, and brings the epoll set in step. */
static void fill(user *stack)
{
    uint32_t timeout_ms = UINT32_MAX;
    stack->round++;
    stack->changed = false;
    stack->lib->pollfds_fill(stack->slirp, &timeout_ms, add_poll, stack);
    for (uint32_t i = 0; i < stack->active_count;) {
        int fd = stack->active[i];
        if (stack->fds[fd].round == stack->round)
            i++;
        else
            forget_fd(stack, fd);
    }
    stack->due = timeout_ms == UINT32_MAX ? INT64_MAX : monotonic_ns() + (int64_t)timeout_ms * 1000000;
}

static int get_revents(int index, void *opaque)
{
    user *stack = opaque;
    if (index < 0 || (uint32_t)index >= stack->fd_count)
        return 0;
    uint32_t ready = stack->fds[index].ready;
    stack->fds[index].ready = 0;
    return from_epoll(ready);
}

/* Lets the stack serve its sockets and its own timers. */
static void serve(user *stack)
{
    struct epoll_event events[EVENTS];
    int n = 0;
    if (stack->ready || !stack->base.loop)
        n = epoll_wait(stack->source.fd, events, EVENTS, 0);
    stack->ready = false;
    for (int i = 0; i < n; i++)
        stack->fds[events[i].data.fd].ready = events[i].events;
    uint32_t tail = stack->queue.tail;
    stack->lib->pollfds_poll(stack->slirp, 0, get_revents, stack);
    for (int i = 0; i < n; i++)
        if ((uint32_t)events[i].data.fd < stack->fd_count)
            stack->fds[events[i].data.fd].ready = 0;
    /* A listening socket stays ready when no descriptor is left to accept with: do not turn around it. */
    stack->fruitless = n > 0 && stack->queue.tail == tail ? stack->fruitless + 1 : 0;
    if (stack->fruitless > FRUITLESS_MAX) {
        stack->fruitless = 0;
        stack->counters.stalls++;
        stack->rest_until = monotonic_ns() + REST_NS;
    }
    fill(stack);
}

/* ------------------------------------------------------------------ turns */

static void source_ready(nic_source *source, uint32_t events NIC_UNUSED) { ((user *)source->owner)->ready = true; }

static void watch(user *stack, bool on)
{
    on = on && stack->base.loop;
    if (on == stack->watched)
        return;
    stack->watched = on;
    if (!on)
        nic_loop_remove(stack->base.loop, &stack->source);
    else if (nic_loop_add(stack->base.loop, &stack->source))
        stack->base.counters.errors++;
}

static void run_timers(user *stack, int64_t now)
{
    for (user_timer *timer = stack->timers, *next; timer; timer = next) {
        next = timer->next;
        if (timer->deadline_ms <= now / 1000000) {
            timer->deadline_ms = INT64_MAX;
            timer->expired(timer->opaque);
        }
    }
}

static void user_poll(nic_backend *backend)
{
    user *stack = (user *)backend;
    if (stack->busy)
        return;
    stack->busy = true;
    int64_t now = monotonic_ns();
    run_timers(stack, now);
    nic_queue_flush(&stack->queue, backend, nic_backend_deliver);
    bool hold = stack->queue.frames || !nic_backend_can_deliver(backend);
    if (hold && !stack->holding)
        stack->counters.holds++;
    stack->holding = hold;
    bool serving = !hold && now >= stack->rest_until;
    if (serving && (stack->ready || stack->changed || now >= stack->due || !backend->loop)) {
        serve(stack);
        nic_queue_flush(&stack->queue, backend, nic_backend_deliver);
        if (stack->queue.frames || stack->changed)
            nic_backend_wake(backend); /* the next turn tells whether this is a hold */
    }
    watch(stack, serving && now >= stack->rest_until);
    stack->busy = false;
}

static int64_t user_timeout(nic_backend *backend)
{
    const user *stack = (const user *)backend;
    int64_t now = monotonic_ns(), until = INT64_MAX;
    if (!stack->holding)
        until = now < stack->rest_until ? stack->rest_until : stack->due;
    for (const user_timer *timer = stack->timers; timer; timer = timer->next)
        if (timer->deadline_ms < until / 1000000)
            until = timer->deadline_ms * 1000000;
    if (until == INT64_MAX)
        return -1;
    return until > now ? until - now : 0;
}

/* Gives libslirp one frame, or the datagram that it completes; returns the NIC_FILTER_* reason if not. */
static int give(user *stack, uint8_t *frame, uint32_t length)
{
    uint64_t *urgent = &stack->counters.urgent_cleared;
    int reason = nic_filter_frame(frame, &length, MRU, urgent);
    if (reason == NIC_FILTER_FRAGMENT && frame[12] == 0x08) { /* IPv4 */
        reason = nic_reassemble(&stack->reassembly, frame, length, monotonic_ns(), &frame, &length);
        if (reason == NIC_FILTER_PASS)
            reason = nic_filter_frame(frame, &length, DATAGRAM, urgent);
    }
    if (reason == NIC_FILTER_PASS)
        stack->lib->input(stack->slirp, frame, (int)length);
    return reason;
}

static size_t user_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    user *stack = (user *)backend;
    for (size_t i = 0; i < count; i++) {
        int reason = NIC_FILTER_OVERSIZE;
        if (frames[i].length <= sizeof(stack->frame)) {
            /* The guest may change its memory at any time: look only at the copy. */
            nic_frame_copy(&frames[i], stack->frame, sizeof(stack->frame));
            reason = give(stack, stack->frame, frames[i].length);
        }
        stack->counters.filter[reason]++;
        if (reason != NIC_FILTER_PASS && reason != NIC_FILTER_HELD)
            backend->counters.filtered++;
    }
    stack->changed = true;
    nic_backend_wake(backend);
    return count;
}

static void user_attach(nic_backend *backend, nic_loop *loop)
{
    user *stack = (user *)backend;
    if (!loop) {
        watch(stack, false);
        return;
    }
    stack->changed = true;
    watch(stack, true);
    nic_loop_wake(loop);
}

static void user_close(nic_backend *backend)
{
    user *stack = (user *)backend;
    watch(stack, false);
    /* First the epoll set, so that a forked child that cleans up takes nothing out of its parent's. */
    if (stack->source.fd >= 0)
        close(stack->source.fd);
    stack->source.fd = -1;
    if (stack->slirp)
        stack->lib->cleanup(stack->slirp);
    while (stack->timers)
        cb_timer_free(stack->timers, stack);
    nic_queue_free(&stack->queue);
    nic_reassembly_free(stack->reassembly);
    free(stack->fds);
    free(stack->active);
}

static const nic_backend_ops user_ops = {
    .name = "user",
    .send = user_send,
    .resume = nic_backend_wake,
    .poll = user_poll,
    .timeout = user_timeout,
    .attach = user_attach,
    .close = user_close,
};

/* ------------------------------------------------------------------ what Python calls */

static struct in_addr address4(uint32_t address) { return (struct in_addr){htonl(address)}; }

static struct in6_addr address6(const uint8_t bytes[16])
{
    struct in6_addr address;
    memcpy(&address, bytes, sizeof(address));
    return address;
}

static SlirpConfig slirp_config(const nic_user_config *config, uint32_t version)
{
    return (SlirpConfig){
        .version = version,
        .restricted = config->restricted,
        .in_enabled = config->ipv4,
        .vnetwork = address4(config->net),
        .vnetmask = address4(config->mask),
        .vhost = address4(config->host),
        .in6_enabled = config->ipv6,
        .vprefix_addr6 = address6(config->prefix6),
        .vprefix_len = config->prefix6_length,
        .vhost6 = address6(config->host6),
        .vhostname = config->hostname,
        .tftp_server_name = config->tftp_server_name,
        .tftp_path = config->tftp,
        .bootfile = config->bootfile,
        .vdhcp_start = address4(config->dhcp_start),
        .vnameserver = address4(config->dns),
        .vnameserver6 = address6(config->dns6),
        .vdnssearch = config->dnssearch,
        .vdomainname = config->domainname,
        .if_mtu = MTU,
        .if_mru = MTU,
        /* enable_emu stays off: its parsers are not safe against a hostile guest */
    };
}

_Static_assert(NIC_ARRAY_LEN(((nic_user_counters *)0)->filter) >= NIC_FILTER_REASONS, "a counter for each reason");

nic_backend *nic_user_new(const nic_user_config *config, int *error)
{
    const slirp_library *lib = slirp_load();
    *error = ENOENT;
    if (!lib)
        return NULL;
    user *stack = nic_backend_new(sizeof(*stack), &user_ops);
    *error = ENOMEM;
    if (!stack)
        return NULL;
    stack->lib = lib;
    stack->due = INT64_MAX;
    stack->changed = true;
    stack->source = (nic_source){epoll_create1(EPOLL_CLOEXEC), EPOLLIN, source_ready, stack};
    if (stack->source.fd < 0) {
        *error = errno;
    } else if (nic_queue_init(&stack->queue, QUEUE_BYTES)) {
        SlirpConfig slirp = slirp_config(config, lib->config_version);
        stack->slirp = lib->create(&slirp, &callbacks, stack);
        *error = stack->slirp ? 0 : EINVAL;
    }
    if (*error) {
        nic_backend_free(&stack->base);
        return NULL;
    }
    return &stack->base;
}

int nic_user_hostfwd_add(nic_backend *backend, bool udp, uint32_t host, uint16_t host_port, uint32_t guest,
                         uint16_t guest_port)
{
    user *stack = (user *)backend;
    errno = 0;
    if (stack->lib->add_hostfwd(stack->slirp, udp, address4(host), host_port, address4(guest), guest_port))
        return errno ? errno : EINVAL;
    cb_notify(stack);
    return 0;
}

int nic_user_hostfwd_remove(nic_backend *backend, bool udp, uint32_t host, uint16_t host_port)
{
    user *stack = (user *)backend;
    if (stack->lib->remove_hostfwd(stack->slirp, udp, address4(host), host_port))
        return ENOENT;
    cb_notify(stack);
    return 0;
}

/* Where the path does not fit, length is 0. */
static struct sockaddr_un unix_address(const char *path, socklen_t *length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path) + 1;
    *length = size <= sizeof(address.sun_path) ? (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size) : 0;
    if (*length)
        memcpy(address.sun_path, path, size);
    return address;
}

static bool forwards_unix(const user *stack) { return stack->lib->config_version >= 4 && stack->lib->add_hostxfwd; }

int nic_user_hostfwd_unix(nic_backend *backend, const char *path, uint32_t guest, uint16_t guest_port)
{
    user *stack = (user *)backend;
    socklen_t length;
    struct sockaddr_un host = unix_address(path, &length);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(guest_port), .sin_addr = address4(guest)};
    if (!forwards_unix(stack))
        return ENOSYS;
    if (!length)
        return ENAMETOOLONG;
    errno = 0;
    if (stack->lib->add_hostxfwd(stack->slirp, (struct sockaddr *)&host, length, (struct sockaddr *)&to, sizeof(to), 0))
        return errno ? errno : EINVAL;
    cb_notify(stack);
    return 0;
}

int nic_user_hostfwd_unix_remove(nic_backend *backend, const char *path)
{
    user *stack = (user *)backend;
    socklen_t length;
    struct sockaddr_un host = unix_address(path, &length);
    if (!forwards_unix(stack) || !length ||
        stack->lib->remove_hostxfwd(stack->slirp, (struct sockaddr *)&host, length, 0))
        return ENOENT;
    cb_notify(stack);
    return 0;
}

int nic_user_guestfwd(nic_backend *backend, uint32_t server, uint16_t port, const char *target, bool command)
{
    user *stack = (user *)backend;
    int (*add)(Slirp *, const char *, struct in_addr *, int) = command ? stack->lib->add_exec : stack->lib->add_unix;
    struct in_addr address = address4(server);
    if (!add)
        return ENOSYS;
    return add(stack->slirp, target, &address, port) ? EADDRINUSE : 0;
}

size_t nic_user_info(nic_backend *backend, char *text, size_t size)
{
    user *stack = (user *)backend;
    char *info = stack->lib->connection_info(stack->slirp);
    size_t length = info ? strlen(info) : 0;
    if (size) {
        size_t part = length < size ? length : size - 1;
        memcpy(text, info, part);
        text[part] = '\0';
    }
    stack->lib->free_text(info);
    return length;
}

const nic_user_counters *nic_user_get_counters(const nic_backend *backend) { return &((const user *)backend)->counters; }
