/*
 * Lanes in which frames take time (delay.h).
 */
#include "delay.h"

#include <stdlib.h>

enum {
    ASIDE_FRAMES = 16,
    ASIDE_BYTES = 1 << 19,
    RECORD_MAX = NIC_FRAME_MAX + 8, /* of a queue */
};

/* ------------------------------------------------------------------ frames that wait */

static uint32_t power_of_two(uint64_t least)
{
    uint32_t size = 64;
    while (size < least)
        size *= 2;
    return size;
}

static bool waiting_init(nic_waiting *waiting, uint32_t frames, uint64_t bytes)
{
    waiting->slots = power_of_two(frames);
    waiting->due = malloc(waiting->slots * sizeof(*waiting->due));
    return waiting->due && nic_queue_init(&waiting->queue, power_of_two(bytes));
}

static void waiting_free(nic_waiting *waiting)
{
    free(waiting->due);
    nic_queue_free(&waiting->queue);
}

static uint32_t used(const nic_waiting *waiting) { return waiting->queue.tail - waiting->queue.head; }

static nic_due *first(const nic_waiting *waiting) { return &waiting->due[waiting->head & (waiting->slots - 1)]; }

static bool push(nic_waiting *waiting, const nic_frame *frame, nic_due due)
{
    if (nic_waiting_frames(waiting) == waiting->slots || !nic_queue_push(&waiting->queue, frame))
        return false;
    waiting->due[waiting->tail++ & (waiting->slots - 1)] = due;
    waiting->bytes += frame->length;
    return true;
}

static void pop(nic_waiting *waiting, const nic_frame *frame)
{
    waiting->bytes -= frame->length;
    waiting->head++;
    nic_queue_pop(&waiting->queue);
}

static void clear(nic_waiting *waiting)
{
    nic_queue_clear(&waiting->queue);
    waiting->head = waiting->tail;
    waiting->bytes = 0;
}

/* ------------------------------------------------------------------ lanes */

bool nic_lane_has_room(const nic_lane *lane, uint32_t count)
{
    uint32_t frames = nic_waiting_frames(&lane->line) + nic_waiting_frames(&lane->aside) + count;
    /* One record more: the ring skips the room that is left before its end. */
    uint64_t bytes = (uint64_t)used(&lane->line) + used(&lane->aside) + (uint64_t)(count + 1) * RECORD_MAX;
    return frames <= lane->line.slots && bytes <= lane->line.queue.size;
}

static bool enter_line(nic_lane *lane, const nic_frame *frame, uint64_t time)
{
    if (time < lane->last)
        time = lane->last;
    if (!push(&lane->line, frame, (nic_due){.time = time}))
        return false;
    lane->last = time;
    lane->entered++;
    return true;
}

/* Those aside whose turn it is enter, the one that has waited longest first. */
static void take_in(nic_lane *lane, uint64_t now)
{
    nic_frame frame;
    struct iovec iov;
    while (nic_waiting_frames(&lane->aside)) {
        const nic_due *due = first(&lane->aside);
        if (due->after > lane->entered && due->time > now)
            break;
        if (!nic_queue_peek(&lane->aside.queue, &frame, &iov) || !enter_line(lane, &frame, now))
            break;
        pop(&lane->aside, &frame);
    }
}

bool nic_lane_enter(nic_lane *lane, const nic_frame *frame, uint64_t time)
{
    if (!enter_line(lane, frame, time))
        return false;
    take_in(lane, 0);
    return true;
}

bool nic_lane_step_aside(nic_lane *lane, const nic_frame *frame, uint32_t gap, uint64_t time)
{
    return push(&lane->aside, frame, (nic_due){time, lane->entered + gap});
}

static uint64_t next_time(const nic_lane *lane)
{
    uint64_t line = nic_waiting_frames(&lane->line) && !lane->stuck ? first(&lane->line)->time : NIC_NEVER;
    uint64_t aside = nic_waiting_frames(&lane->aside) ? first(&lane->aside)->time : NIC_NEVER;
    return aside < line ? aside : line;
}

/* ------------------------------------------------------------------ both directions */

bool nic_delayed_init(nic_delayed *wrapper, uint32_t frames, uint32_t bytes, bool aside)
{
    uint64_t ring = (uint64_t)bytes + 8 * (uint64_t)frames + 4 * RECORD_MAX;
    for (int direction = NIC_OUT; direction <= NIC_IN; direction++) {
        nic_lane *lane = &wrapper->lanes[direction];
        if (!waiting_init(&lane->line, frames, ring) || (aside && !waiting_init(&lane->aside, ASIDE_FRAMES, ASIDE_BYTES)))
            return false;
    }
    return true;
}

void nic_delayed_lose(nic_delayed *wrapper, int direction, uint64_t count)
{
    nic_backend_counters *counters = &wrapper->base.counters;
    *(direction == NIC_OUT ? &counters->send_drops : &counters->receive_drops) += count;
}

static size_t pass(nic_delayed *wrapper, int direction, const nic_frame *frames, size_t count)
{
    if (direction == NIC_IN)
        return nic_backend_deliver(&wrapper->base, frames, count);
    if (wrapper->base.lower)
        return nic_backend_send(wrapper->base.lower, frames, count);
    nic_delayed_lose(wrapper, direction, count); /* the wire below was closed */
    return count;
}

/* Passes on what is due now; what enters meanwhile waits for the next run.  Whether any frame went. */
static bool flush(nic_delayed *wrapper, int direction, uint64_t now)
{
    nic_waiting *line = &wrapper->lanes[direction].line;
    take_in(&wrapper->lanes[direction], now);
    uint32_t left = nic_waiting_frames(line), head = line->head;
    while (left && !wrapper->lanes[direction].stuck) {
        struct iovec iov[NIC_BATCH];
        nic_frame frames[NIC_BATCH];
        nic_queue view = line->queue; /* walks ahead of the queue, which keeps the frames until they are taken */
        uint32_t n = 0;
        while (n < NIC_BATCH && n < left && line->due[(line->head + n) & (line->slots - 1)].time <= now) {
            nic_queue_peek(&view, &frames[n], &iov[n]);
            nic_queue_pop(&view);
            n++;
        }
        if (!n)
            break;
        size_t taken = pass(wrapper, direction, frames, n);
        for (size_t i = 0; i < taken; i++)
            pop(line, &frames[i]);
        wrapper->lanes[direction].stuck = taken < n;
        left -= n;
    }
    return line->head != head;
}

static void set_alarm(nic_delayed *wrapper, nic_clock *clock)
{
    uint64_t out = next_time(&wrapper->lanes[NIC_OUT]), in = next_time(&wrapper->lanes[NIC_IN]);
    uint64_t next = in < out ? in : out;
    nic_alarm_set(&wrapper->alarm, clock, next);
    if (wrapper->base.loop && next != NIC_NEVER)
        nic_loop_deadline(wrapper->base.loop, next);
}

/* Whoever was refused may go on. */
static void tell(nic_delayed *wrapper, int direction)
{
    nic_lane *lane = &wrapper->lanes[direction];
    if (!lane->refused || used(&lane->line) > lane->line.queue.size / 2)
        return;
    lane->refused = false;
    if (direction == NIC_OUT)
        nic_backend_writable(&wrapper->base);
    else
        nic_chain_resume(wrapper->base.lower);
}

/* Passes on what is due, and sets the alarm for the rest.  Whether any frame went in that direction. */
static bool run(nic_delayed *wrapper, int direction)
{
    if (wrapper->busy)
        return false;
    wrapper->busy = true;
    uint64_t now = nic_backend_now(&wrapper->base);
    bool in_moved = flush(wrapper, NIC_IN, now), out_moved = flush(wrapper, NIC_OUT, now);
    wrapper->busy = false;
    set_alarm(wrapper, wrapper->base.clock);
    if (in_moved)
        tell(wrapper, NIC_IN);
    if (out_moved)
        tell(wrapper, NIC_OUT);
    return direction == NIC_IN ? in_moved : out_moved;
}

size_t nic_delayed_pass(nic_delayed *wrapper, int direction, nic_take take, const nic_frame *frames, size_t count)
{
    if (!take)
        return pass(wrapper, direction, frames, count);
    nic_lane *lane = &wrapper->lanes[direction];
    size_t done = 0, now;
    bool moved;
    lane->refused = false;
    do { /* what is passed on makes room for more; what is refused has somebody in front of it who will tell */
        done += now = take(wrapper, direction, frames + done, count - done);
        moved = run(wrapper, direction);
    } while ((now || moved) && done < count);
    lane->refused = done < count;
    return done;
}

static void alarm_expired(nic_alarm *alarm)
{
    run((nic_delayed *)((uint8_t *)alarm - offsetof(nic_delayed, alarm)), NIC_OUT);
}

void nic_delayed_poll(nic_backend *backend) { run((nic_delayed *)backend, NIC_OUT); }

void nic_delayed_resume(nic_backend *backend)
{
    ((nic_delayed *)backend)->lanes[NIC_IN].stuck = false;
    nic_backend_wake(backend);
}

void nic_delayed_writable(nic_backend *backend)
{
    nic_delayed *wrapper = (nic_delayed *)backend;
    wrapper->lanes[NIC_OUT].stuck = false;
    run(wrapper, NIC_OUT);
    if (backend->blocked && !wrapper->lanes[NIC_OUT].refused)
        nic_backend_writable(backend); /* frames go straight on in this direction: the wire below refused them */
}

void nic_delayed_clock(nic_backend *backend, nic_clock *clock)
{
    nic_delayed *wrapper = (nic_delayed *)backend;
    bool live = !clock || !nic_clock_is_virtual(clock), was_live = !backend->clock || !nic_clock_is_virtual(backend->clock);
    for (int direction = NIC_OUT; direction <= NIC_IN && !(live && was_live); direction++) {
        nic_lane *lane = &wrapper->lanes[direction];
        nic_delayed_lose(wrapper, direction, nic_waiting_frames(&lane->line) + nic_waiting_frames(&lane->aside));
        clear(&lane->line);
        clear(&lane->aside);
        lane->last = 0;
    }
    wrapper->alarm.expired = alarm_expired;
    set_alarm(wrapper, clock);
}

void nic_delayed_close(nic_backend *backend)
{
    nic_delayed *wrapper = (nic_delayed *)backend;
    nic_alarm_set(&wrapper->alarm, NULL, NIC_NEVER);
    for (int direction = NIC_OUT; direction <= NIC_IN; direction++) {
        waiting_free(&wrapper->lanes[direction].line);
        waiting_free(&wrapper->lanes[direction].aside);
    }
}
