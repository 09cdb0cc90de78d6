/*
 * Clocks, timers and alarms.  A clock knows the devices that live by it; timers are deadlines in the devices, alarms
 * those of anything else.  A virtual clock moves only when told to, and stops at every deadline on its way, so that
 * equal inputs give equal outputs.
 */
#include "nic.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct nic_clock {
    bool is_virtual;
    bool running; /* timers are being run: no re-entry */
    bool freed;   /* its owner is gone: it goes with its last device */
    uint64_t now; /* virtual */
    nic_device *devices;
    nic_alarm *alarms;
};

nic_clock *nic_clock_new_monotonic(void) { return calloc(1, sizeof(nic_clock)); }

nic_clock *nic_clock_new_virtual(uint64_t now)
{
    nic_clock *clock = calloc(1, sizeof(nic_clock));
    if (clock) {
        clock->is_virtual = true;
        clock->now = now;
    }
    return clock;
}

/* A garbage collector lets go of a card and its clock in any order. */
void nic_clock_free(nic_clock *clock)
{
    if (clock && clock->devices)
        clock->freed = true;
    else
        free(clock);
}

bool nic_clock_is_virtual(const nic_clock *clock) { return clock->is_virtual; }

uint64_t nic_monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t nic_clock_now(const nic_clock *clock)
{
    return clock->is_virtual ? clock->now : nic_monotonic();
}

void nic_clock_join(nic_clock *clock, nic_device *device)
{
    device->next_on_clock = clock->devices;
    clock->devices = device;
}

void nic_clock_leave(nic_clock *clock, nic_device *device)
{
    for (nic_device **link = &clock->devices; *link; link = &(*link)->next_on_clock)
        if (*link == device) {
            *link = device->next_on_clock;
            break;
        }
    if (clock->freed && !clock->devices)
        free(clock);
}

/* ------------------------------------------------------------------ timers */

uint64_t nic_now(const nic_device *device) { return nic_clock_now(device->clock); }

int nic_timer_new(nic_device *device, const char *name)
{
    if (device->timer_count == NIC_TIMERS)
        return -1;
    device->timers[device->timer_count] = (nic_timer){.deadline = NIC_NEVER, .name = name};
    return (int)device->timer_count++;
}

void nic_timer_set(nic_device *device, uint32_t timer, uint64_t deadline)
{
    if (timer < device->timer_count) {
        device->timers[timer].deadline = deadline;
        if (device->loop)
            nic_loop_deadline(device->loop, deadline);
    }
}

void nic_timer_stop(nic_device *device, uint32_t timer) { nic_timer_set(device, timer, NIC_NEVER); }

uint64_t nic_timer_deadline(const nic_device *device, uint32_t timer)
{
    return timer < device->timer_count ? device->timers[timer].deadline : NIC_NEVER;
}

bool nic_timer_armed(const nic_device *device, uint32_t timer)
{
    return nic_timer_deadline(device, timer) != NIC_NEVER;
}

uint32_t nic_timer_count(const nic_device *device) { return device->timer_count; }

const char *nic_timer_name(const nic_device *device, uint32_t timer)
{
    return timer < device->timer_count ? device->timers[timer].name : NULL;
}

void nic_alarm_set(nic_alarm *alarm, nic_clock *clock, uint64_t deadline)
{
    if (deadline == NIC_NEVER)
        clock = NULL;
    alarm->deadline = deadline;
    if (alarm->clock == clock)
        return;
    for (nic_alarm **link = alarm->clock ? &alarm->clock->alarms : NULL; link && *link; link = &(*link)->next)
        if (*link == alarm) {
            *link = alarm->next;
            break;
        }
    alarm->clock = clock;
    if (clock) {
        alarm->next = clock->alarms;
        clock->alarms = alarm;
    }
}

static nic_alarm *earliest_alarm(const nic_clock *clock)
{
    nic_alarm *first = NULL;
    for (nic_alarm *alarm = clock->alarms; alarm; alarm = alarm->next)
        if (!first || alarm->deadline < first->deadline)
            first = alarm;
    return first;
}

/*
 * The timer that is due first; ties go to the device and timer that were made first.  `idle`: of the devices that are
 * not in the midst of work; a program may move the clock on from inside a backend's send().
 */
static nic_timer *earliest(const nic_clock *clock, nic_device **owner, bool idle)
{
    nic_timer *first = NULL;
    for (nic_device *device = clock->devices; device; device = device->next_on_clock)
        for (uint32_t i = 0; i < device->timer_count && !(idle && device->working); i++) {
            nic_timer *timer = &device->timers[i];
            if (timer->deadline != NIC_NEVER && (!first || timer->deadline < first->deadline)) {
                first = timer;
                *owner = device;
            }
        }
    return first;
}

uint64_t nic_clock_next(const nic_clock *clock)
{
    nic_device *owner;
    const nic_timer *timer = earliest(clock, &owner, false);
    const nic_alarm *alarm = earliest_alarm(clock);
    uint64_t deadline = timer ? timer->deadline : NIC_NEVER;
    return alarm && alarm->deadline < deadline ? alarm->deadline : deadline;
}

static void expire(nic_device *device, nic_timer *timer)
{
    timer->deadline = NIC_NEVER;
    device->working = true; /* what it asks for is done after it */
    device->calls++;
    if (timer->expired)
        timer->expired(device);
    else if (device->python && nic_py.timer)
        nic_py.timer(device->python, (uint32_t)(timer - device->timers));
    device->calls--;
    device->working = false;
    if (device->work)
        nic_run_work(device);
}

/* Runs the timer or alarm that is due first, if that is by `end`; of two at one time the timer. */
static bool expire_next(nic_clock *clock, uint64_t end)
{
    nic_device *owner = NULL;
    nic_timer *timer = earliest(clock, &owner, true);
    nic_alarm *alarm = earliest_alarm(clock);
    if (alarm && timer && timer->deadline <= alarm->deadline)
        alarm = NULL;
    if (!alarm && !timer)
        return false;
    uint64_t deadline = alarm ? alarm->deadline : timer->deadline;
    if (deadline > end)
        return false;
    if (clock->is_virtual && deadline > clock->now)
        clock->now = deadline;
    if (alarm) {
        nic_alarm_set(alarm, NULL, NIC_NEVER);
        alarm->expired(alarm);
    } else {
        expire(owner, timer);
    }
    return true;
}

/* Expiries in one run on a live clock; a timer that re-arms itself in the past waits for the next turn. */
enum { LIVE_EXPIRIES = 64 };

void nic_clock_run(nic_clock *clock)
{
    if (clock->running)
        return;
    clock->running = true;
    uint64_t now = nic_clock_now(clock);
    for (int i = 0; i < LIVE_EXPIRIES && expire_next(clock, now); i++)
        ;
    clock->running = false;
}

int nic_clock_advance(nic_clock *clock, uint64_t ns)
{
    if (!clock->is_virtual || clock->running || clock->now + ns < clock->now)
        return EINVAL;
    clock->running = true;
    uint64_t end = clock->now + ns;
    while (expire_next(clock, end))
        ;
    clock->now = end;
    clock->running = false;
    return 0;
}
