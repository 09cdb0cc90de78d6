/*
 * vde: a port of a VDE switch, by the switch's own protocol.
 *
 * A plug connects to the switch's control socket, names a datagram socket of its own, and is told the switch's; frames are
 * datagrams between the two (datagrams.h).  The control connection says nothing more: it ends when the switch does.  Then
 * the link is down, and the plug asks again, less and less often.
 */
#define _GNU_SOURCE
#include "datagrams.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

#include "vde_api.h"

enum {
    MAGIC = 0xfeedface,
    VERSION = 3,
    REQ_NEW_CONTROL = 0, /* a port's number stands from bit 8 on */
    DESCRIPTION = 128,
    PATIENCE_MS = 5000,  /* until the first answer */
};
static const int64_t REST_FIRST_NS = 100000000, REST_MOST_NS = 5000000000;

typedef struct __attribute__((packed)) request {
    uint32_t magic, version, type;
    struct sockaddr_un data;
    char description[DESCRIPTION];
} request;

typedef struct vde {
    datagrams wire;
    struct sockaddr_un control_address;
    request request;
    nic_source control; /* fd -1: none */
    bool watched;       /* on the loop's epoll set */
    bool told;          /* the control connection became ready */
    bool joined;        /* the switch answered: frames may pass */
    int64_t rest, due;  /* ns: the wait after the next failure; the next attempt, INT64_MAX: none */
    pid_t owner;        /* who made the datagram socket's file, and removes it */
    uint32_t answered;  /* bytes */
    struct sockaddr_un answer;
    nic_vde_counters counters;
} vde;

static int64_t now_ns(void) { return (int64_t)nic_monotonic(); }

/* ------------------------------------------------------------------ the switch */

static void watch(vde *plug, bool on)
{
    nic_loop *loop = plug->wire.base.loop;
    if (!loop || on == plug->watched || plug->control.fd < 0)
        return;
    plug->watched = on;
    if (!on)
        nic_loop_remove(loop, &plug->control);
    else if (nic_loop_add(loop, &plug->control))
        plug->wire.base.counters.errors++;
}

static void hang_up(vde *plug)
{
    /* A socket that stays connected to the old switch hears no other, and that one could not even connect to it. */
    connect(plug->wire.in.fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr));
    watch(plug, false);
    if (plug->control.fd >= 0)
        close(plug->control.fd);
    plug->control.fd = -1;
    plug->joined = false;
    plug->answered = 0;
    plug->due = now_ns() + plug->rest;
    plug->rest = 2 * plug->rest < REST_MOST_NS ? 2 * plug->rest : REST_MOST_NS;
}

/* Asks for a port; 0, or an errno and another attempt later. */
static int ask(vde *plug)
{
    plug->due = INT64_MAX;
    plug->control.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = plug->control.fd < 0 ? errno : 0;
    if (!error && connect(plug->control.fd, (struct sockaddr *)&plug->control_address, sizeof(plug->control_address)))
        error = errno;
    if (!error && send(plug->control.fd, &plug->request, sizeof(plug->request), MSG_NOSIGNAL) != sizeof(plug->request))
        error = errno ? errno : EIO; /* a new socket has room for this */
    if (!error) {
        watch(plug, true);
        return 0;
    }
    plug->counters.attempts++;
    hang_up(plug);
    return error;
}

/* The switch, or this port of it, is gone. */
static void lost(vde *plug)
{
    nic_backend *backend = &plug->wire.base;
    if (plug->joined)
        plug->counters.disconnects++;
    else
        plug->counters.attempts++;
    hang_up(plug);
    nic_backend_set_link(backend, false);
    if (backend->blocked)
        nic_backend_writable(backend); /* what waits for room waits for nobody */
}

static void join(vde *plug)
{
    if (connect(plug->wire.in.fd, (struct sockaddr *)&plug->answer, sizeof(plug->answer))) {
        plug->wire.base.counters.errors++;
        lost(plug);
        return;
    }
    plug->joined = true;
    plug->wire.ready = true;
    plug->wire.fruitless = 0;
    plug->rest = REST_FIRST_NS;
    plug->counters.connects++;
    nic_backend_set_link(&plug->wire.base, true);
}

/* Reads what the switch says: first the address of its socket, then nothing until the end. */
static void listen_to(vde *plug)
{
    plug->told = false;
    for (;;) {
        char more[64];
        bool wanted = plug->answered < sizeof(plug->answer);
        void *to = wanted ? (char *)&plug->answer + plug->answered : more;
        ssize_t n = recv(plug->control.fd, to, wanted ? sizeof(plug->answer) - plug->answered : sizeof(more), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            lost(plug);
            return;
        }
        if (!wanted)
            continue;
        plug->answered += (uint32_t)n;
        if (plug->answered == sizeof(plug->answer))
            join(plug);
        if (plug->control.fd < 0)
            return;
    }
}

static void control_ready(nic_source *source, uint32_t events NIC_UNUSED) { ((vde *)source->owner)->told = true; }

/* ------------------------------------------------------------------ turns */

static size_t vde_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    if (((vde *)backend)->joined)
        return datagrams_send(backend, frames, count);
    backend->counters.send_drops += count;
    return count;
}

static void vde_poll(nic_backend *backend)
{
    vde *plug = (vde *)backend;
    if (plug->control.fd >= 0 && (plug->told || !backend->loop))
        listen_to(plug);
    if (plug->control.fd < 0 && now_ns() >= plug->due)
        ask(plug);
    if (plug->joined)
        datagrams_poll(backend);
}

static int64_t vde_timeout(nic_backend *backend)
{
    vde *plug = (vde *)backend;
    int64_t now = now_ns(), wait = datagrams_timeout(backend);
    return plug->due == INT64_MAX ? wait : nic_earlier(wait, plug->due > now ? plug->due - now : 0);
}

static void vde_attach(nic_backend *backend, nic_loop *loop)
{
    vde *plug = (vde *)backend;
    datagrams_attach(backend, loop);
    watch(plug, loop != NULL);
    plug->told = true;
}

static void vde_close(nic_backend *backend)
{
    vde *plug = (vde *)backend;
    watch(plug, false);
    if (plug->control.fd >= 0)
        close(plug->control.fd);
    datagrams_close(backend);
    if (plug->owner == getpid()) /* not a forked child */
        unlink(plug->request.data.sun_path);
}

static const nic_backend_ops vde_ops = {
    .name = "vde",
    .send = vde_send,
    .resume = nic_backend_wake,
    .poll = vde_poll,
    .timeout = vde_timeout,
    .attach = vde_attach,
    .close = vde_close,
};

/* ------------------------------------------------------------------ what Python calls */

/* The first answer is waited for, so that a wrong switch or port is told at once. */
static int first_answer(vde *plug)
{
    int error = ask(plug);
    int64_t end = now_ns() + (int64_t)PATIENCE_MS * 1000000;
    while (!error && !plug->joined) {
        struct pollfd ready = {.fd = plug->control.fd, .events = POLLIN};
        int64_t left = (end - now_ns()) / 1000000;
        if (left <= 0)
            return ETIMEDOUT;
        if (poll(&ready, 1, (int)left) > 0)
            listen_to(plug);
        error = plug->control.fd < 0 ? ECONNRESET : 0;
    }
    return error;
}

nic_backend *nic_vde_new(const nic_vde_config *config, int *error)
{
    vde *plug = nic_backend_new(sizeof(*plug), &vde_ops);
    if (!plug) {
        close(config->fd);
        *error = ENOMEM;
        return NULL;
    }
    plug->control = (nic_source){-1, EPOLLIN, control_ready, plug};
    plug->rest = REST_FIRST_NS;
    plug->owner = getpid();
    plug->control_address.sun_family = plug->request.data.sun_family = AF_UNIX;
    strncpy(plug->control_address.sun_path, config->control, sizeof(plug->control_address.sun_path) - 1);
    strncpy(plug->request.data.sun_path, config->own, sizeof(plug->request.data.sun_path) - 1);
    strncpy(plug->request.description, config->description, DESCRIPTION - 1);
    plug->request.magic = MAGIC;
    plug->request.version = VERSION;
    plug->request.type = REQ_NEW_CONTROL | config->port << 8;
    plug->wire.base.link_up = false;
    *error = datagrams_init(&plug->wire, &(nic_dgram_config){.receive_fd = config->fd, .send_fd = -1});
    if (!*error)
        *error = first_answer(plug);
    if (*error) {
        nic_backend_free(&plug->wire.base);
        return NULL;
    }
    return &plug->wire.base;
}

const nic_vde_counters *nic_vde_get_counters(const nic_backend *backend) { return &((const vde *)backend)->counters; }
