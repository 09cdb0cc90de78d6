/*
 * The event loop: file descriptors by epoll, timers of the devices' clocks, and the wants of backends.
 *
 * A program may run it (nic_loop_run), take single turns, or watch nic_loop_fileno() from a loop of its own.
 */
#define _GNU_SOURCE
#include "backends.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, LOOP_DEVICES = 256, LOOP_WIRES = 256 };

typedef struct python_source {
    nic_source source;
    void *python;
    struct python_source *next;
} python_source;

struct nic_loop {
    int epoll;
    pid_t process;         /* that made it: a forked child shares the epoll set, and must leave it alone */
    nic_source timer;      /* timerfd for fileno(), fd -1 until it is asked for */
    uint64_t timer_set_to; /* monotonic ns, NIC_NEVER: disarmed */
    bool wake, stop;
    nic_device *devices[LOOP_DEVICES];
    uint32_t device_count;
    nic_backend *wires[LOOP_WIRES]; /* without a card */
    uint32_t wire_count;
    struct epoll_event events[EVENTS]; /* of the turn under way, so that a removed source can be taken out */
    int event_count;
    python_source *python_sources;
};

static uint64_t monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

nic_loop *nic_loop_new(void)
{
    nic_loop *loop = calloc(1, sizeof(nic_loop));
    if (!loop)
        return NULL;
    loop->timer.fd = -1;
    loop->timer_set_to = NIC_NEVER;
    loop->process = getpid();
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        free(loop);
        return NULL;
    }
    return loop;
}

void nic_loop_free(nic_loop *loop)
{
    if (!loop)
        return;
    while (loop->device_count)
        nic_loop_remove_device(loop, loop->devices[0]);
    while (loop->wire_count)
        nic_loop_remove_wire(loop, loop->wires[0]);
    while (loop->python_sources)
        nic_loop_remove_source(loop, loop->python_sources->source.fd);
    if (loop->timer.fd >= 0)
        close(loop->timer.fd);
    close(loop->epoll);
    free(loop);
}

/* ------------------------------------------------------------------ devices */

int nic_loop_add_device(nic_loop *loop, nic_device *device)
{
    if (device->loop)
        return EBUSY;
    if (loop->device_count == LOOP_DEVICES)
        return ENOSPC;
    loop->devices[loop->device_count++] = device;
    device->loop = loop;
    for (nic_backend *b = device->port.backend; b; b = b->lower) {
        b->loop = loop;
        if (b->ops->attach)
            b->ops->attach(b, loop);
    }
    nic_loop_wake(loop);
    return 0;
}

void nic_loop_remove_device(nic_loop *loop, nic_device *device)
{
    if (device->loop != loop)
        return; /* the loop may be gone already */
    for (uint32_t i = 0; i < loop->device_count; i++) {
        if (loop->devices[i] != device)
            continue;
        loop->devices[i] = loop->devices[--loop->device_count];
        for (nic_backend *b = device->port.backend; b; b = b->lower) {
            if (b->ops->attach)
                b->ops->attach(b, NULL);
            b->loop = NULL;
        }
        device->loop = NULL;
        return;
    }
}

/* ------------------------------------------------------------------ wires without a card */

int nic_loop_add_wire(nic_loop *loop, nic_backend *backend)
{
    if (backend->loop || backend->upper || backend->port)
        return EBUSY;
    if (loop->wire_count == LOOP_WIRES)
        return ENOSPC;
    loop->wires[loop->wire_count++] = backend;
    backend->alone = true;
    nic_chain_attach(backend, loop);
    nic_loop_wake(loop);
    return 0;
}

void nic_loop_remove_wire(nic_loop *loop, nic_backend *backend)
{
    for (uint32_t i = 0; i < loop->wire_count; i++) {
        if (loop->wires[i] != backend)
            continue;
        loop->wires[i] = loop->wires[--loop->wire_count];
        backend->alone = false;
        nic_chain_attach(backend, NULL);
        return;
    }
}

/* ------------------------------------------------------------------ sources */

static int control(nic_loop *loop, int operation, nic_source *source)
{
    if (loop->process != getpid())
        return 0;
    struct epoll_event event = {.events = source->events, .data.ptr = source};
    return epoll_ctl(loop->epoll, operation, source->fd, &event) ? errno : 0;
}

int nic_loop_add(nic_loop *loop, nic_source *source)
{
    int error = control(loop, EPOLL_CTL_ADD, source);
    return error == EEXIST ? control(loop, EPOLL_CTL_MOD, source) : error;
}

int nic_loop_modify(nic_loop *loop, nic_source *source, uint32_t events)
{
    if (source->events == events)
        return 0;
    source->events = events;
    return control(loop, EPOLL_CTL_MOD, source);
}

void nic_loop_remove(nic_loop *loop, nic_source *source)
{
    if (source->fd >= 0)
        control(loop, EPOLL_CTL_DEL, source);
    for (int i = 0; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == source)
            loop->events[i].data.ptr = NULL;
}

static void python_ready(nic_source *source, uint32_t events)
{
    if (nic_py.source)
        nic_py.source(((python_source *)source)->python, events);
}

int nic_loop_add_source(nic_loop *loop, int fd, uint32_t events, void *python)
{
    python_source *added = calloc(1, sizeof(python_source));
    if (!added)
        return ENOMEM;
    added->source = (nic_source){.fd = fd, .events = events, .ready = python_ready};
    added->python = python;
    int error = control(loop, EPOLL_CTL_ADD, &added->source);
    if (error) {
        free(added);
        return error;
    }
    added->next = loop->python_sources;
    loop->python_sources = added;
    return 0;
}

int nic_loop_remove_source(nic_loop *loop, int fd)
{
    for (python_source **link = &loop->python_sources; *link; link = &(*link)->next)
        if ((*link)->source.fd == fd) {
            python_source *gone = *link;
            *link = gone->next;
            nic_loop_remove(loop, &gone->source);
            free(gone);
            return 0;
        }
    return ENOENT;
}

/* ------------------------------------------------------------------ time */

/* ns until something is due: 0 now, -1 nothing. */
static int64_t until_due(const nic_loop *loop)
{
    int64_t soonest = loop->wake ? 0 : -1;
    for (uint32_t i = 0; i < loop->device_count && soonest; i++) {
        const nic_device *device = loop->devices[i];
        int64_t wait = device->work ? 0 : -1;
        uint64_t deadline = nic_clock_is_virtual(device->clock) ? NIC_NEVER : nic_clock_next(device->clock);
        if (wait && deadline != NIC_NEVER) {
            uint64_t now = nic_now(device);
            wait = deadline > now ? (int64_t)(deadline - now) : 0;
        }
        for (nic_backend *b = device->port.backend; b; b = b->lower) {
            int64_t asked = b->ops->timeout ? b->ops->timeout(b) : -1;
            if (asked >= 0 && (wait < 0 || asked < wait))
                wait = asked;
        }
        if (wait >= 0 && (soonest < 0 || wait < soonest))
            soonest = wait;
    }
    for (uint32_t i = 0; i < loop->wire_count && soonest; i++)
        soonest = nic_earlier(soonest, nic_chain_timeout(loop->wires[i]));
    return soonest;
}

static void arm_timerfd(nic_loop *loop)
{
    if (loop->timer.fd < 0)
        return;
    int64_t wait = until_due(loop);
    uint64_t at = wait < 0 ? NIC_NEVER : monotonic() + (uint64_t)wait;
    if (at == loop->timer_set_to)
        return;
    loop->timer_set_to = at;
    struct itimerspec spec = {0};
    if (at != NIC_NEVER) /* an it_value of zero would disarm */
        spec.it_value = (struct timespec){(time_t)(at / 1000000000), at % 1000000000 ? (long)(at % 1000000000) : 1};
    timerfd_settime(loop->timer.fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void timer_ready(nic_source *source, uint32_t events NIC_UNUSED)
{
    uint64_t expirations;
    ssize_t n NIC_UNUSED = read(source->fd, &expirations, sizeof(expirations));
    ((nic_loop *)source->owner)->timer_set_to = NIC_NEVER;
}

int nic_loop_fileno(nic_loop *loop)
{
    if (loop->timer.fd < 0) {
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        loop->timer = (nic_source){.fd = fd, .events = EPOLLIN, .ready = timer_ready, .owner = loop};
        if (fd < 0 || nic_loop_add(loop, &loop->timer))
            return -1;
        arm_timerfd(loop);
    }
    return loop->epoll;
}

void nic_loop_deadline(nic_loop *loop, uint64_t deadline NIC_UNUSED) { arm_timerfd(loop); }

void nic_loop_wake(nic_loop *loop)
{
    loop->wake = true;
    arm_timerfd(loop);
}

/* ------------------------------------------------------------------ turns */

static int wait_for_events(nic_loop *loop, int64_t timeout)
{
#ifdef SYS_epoll_pwait2
    static bool missing; /* kernels before 5.11 */
    if (timeout > 0 && !missing) {
        struct timespec t = {timeout / 1000000000, timeout % 1000000000};
        int n = (int)syscall(SYS_epoll_pwait2, loop->epoll, loop->events, EVENTS, &t, NULL, 0);
        if (n >= 0 || errno != ENOSYS)
            return n;
        missing = true;
    }
#endif
    int64_t ms = timeout <= 0 ? timeout : (timeout + 999999) / 1000000;
    return epoll_wait(loop->epoll, loop->events, EVENTS, ms > 3600000 ? 3600000 : (int)ms);
}

int nic_loop_turn(nic_loop *loop, int64_t timeout)
{
    int64_t due = until_due(loop);
    if (due >= 0 && (timeout < 0 || due < timeout))
        timeout = due;
    int n = wait_for_events(loop, timeout);
    int error = n < 0 ? errno : 0;
    loop->event_count = n < 0 ? 0 : n;
    for (int i = 0; i < loop->event_count; i++) {
        nic_source *source = loop->events[i].data.ptr;
        if (source)
            source->ready(source, loop->events[i].events);
    }
    loop->event_count = 0;
    loop->wake = false; /* what asked for it is done by the polls below */
    for (uint32_t i = 0; i < loop->device_count; i++)
        nic_device_poll(loop->devices[i]);
    for (uint32_t i = 0; i < loop->wire_count; i++)
        nic_chain_poll(loop->wires[i]);
    arm_timerfd(loop);
    return error;
}

static _Thread_local bool broken; /* a callback of the loop that this thread runs failed */

void nic_loop_break(void) { broken = true; }

int nic_loop_run(nic_loop *loop)
{
    while (!loop->stop) {
        int error = nic_loop_turn(loop, -1);
        if (broken)
            error = EINTR;
        broken = false;
        if (error)
            return error;
    }
    loop->stop = false; /* a stop asked for between two runs is not lost */
    return 0;
}

void nic_loop_stop(nic_loop *loop)
{
    loop->stop = true;
    nic_loop_wake(loop);
}
