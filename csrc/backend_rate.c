/*
 * rate: a wrapper that makes a wire slow and long: so many bits a second, so long until they arrive.
 *
 * A frame takes the line for as long as it and what surrounds it on the medium need (IEEE 802.3 3.1.1, 4.4.2): 8 bytes
 * of preamble and delimiter, 4 of FCS, 12 of gap.  Frames stay in order, whatever the jitter.
 */
#include "delay.h"

#include <stdlib.h>

enum { SHORTEST = 60, AROUND = 8 + 4 + 12 };

typedef struct line { /* one direction */
    uint64_t free_at;   /* ns: when the line has sent what was given to it */
    uint64_t remainder; /* of the division by the rate, so that rounding does not add up */
} line;

typedef struct rate {
    nic_delayed delayed;
    nic_rate_config config;
    nic_rate_counters counters;
    line lines[2];
    uint64_t jitter[2]; /* random streams */
} rate;

/* When the line has sent a frame that it is given now. */
static uint64_t sent_at(rate *r, int direction, const nic_frame *frame, uint64_t now)
{
    line *l = &r->lines[direction];
    if (l->free_at < now)
        *l = (line){.free_at = now};
    if (r->config.bits) {
        bool padded = frame->length < SHORTEST && !(frame->flags & NIC_FRAME_SHORT);
        uint64_t bits = 8 * ((uint64_t)(padded ? SHORTEST : frame->length) + AROUND);
        uint64_t scaled = bits * 1000000000 + l->remainder;
        l->free_at += scaled / r->config.bits;
        l->remainder = scaled % r->config.bits;
    }
    return l->free_at;
}

/* Its way takes the latency, more or less. */
static uint64_t arrives_at(rate *r, int direction, uint64_t sent)
{
    uint64_t jitter = r->config.jitter_ns;
    if (!jitter)
        return sent + r->config.latency_ns;
    uint64_t more = (uint64_t)nic_draw(&r->jitter[direction]) * (2 * jitter + 1) >> 32;
    uint64_t way = r->config.latency_ns + more;
    return sent + (way > jitter ? way - jitter : 0);
}

static bool has_room(const rate *r, const nic_lane *lane, const nic_frame *frame)
{
    uint32_t frames = nic_waiting_frames(&lane->line);
    return !frames || (frames < r->config.limit && lane->line.bytes + frame->length <= r->config.limit_bytes);
}

/* Puts frames on the line as far as the limits allow; returns how many. */
static size_t take(nic_delayed *wrapper, int direction, const nic_frame *frames, size_t count)
{
    rate *r = (rate *)wrapper;
    uint64_t now = nic_backend_now(&r->delayed.base);
    nic_lane *lane = &r->delayed.lanes[direction];
    size_t i = 0;
    for (; i < count; i++) {
        const nic_frame *frame = &frames[i];
        bool room = has_room(r, lane, frame);
        if (!room && !r->config.drop)
            break;
        r->counters.overflows[direction] += !room;
        if (!room || !nic_lane_enter(lane, frame, arrives_at(r, direction, sent_at(r, direction, frame, now))))
            nic_delayed_lose(&r->delayed, direction, 1);
        if (nic_waiting_frames(&lane->line) > r->counters.longest[direction])
            r->counters.longest[direction] = nic_waiting_frames(&lane->line);
    }
    return i;
}

static size_t rate_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    rate *r = (rate *)backend;
    return nic_delayed_pass(&r->delayed, NIC_OUT, r->config.sent ? take : NULL, frames, count);
}

static size_t rate_deliver(nic_backend *backend, const nic_frame *frames, size_t count)
{
    rate *r = (rate *)backend;
    return nic_delayed_pass(&r->delayed, NIC_IN, r->config.received ? take : NULL, frames, count);
}

static void rate_clock(nic_backend *backend, nic_clock *clock)
{
    rate *r = (rate *)backend;
    nic_delayed_clock(backend, clock);
    r->lines[NIC_OUT] = r->lines[NIC_IN] = (line){0};
}

static const nic_backend_ops rate_ops = {
    .name = "rate",
    .damaged = true,
    .send = rate_send,
    .resume = nic_delayed_resume,
    .deliver = rate_deliver,
    .writable = nic_delayed_writable,
    .poll = nic_delayed_poll,
    .clock = rate_clock,
    .close = nic_delayed_close,
};

nic_backend *nic_rate_new(const nic_rate_config *config)
{
    rate *r = nic_backend_new(sizeof(*r), &rate_ops);
    if (!r)
        return NULL;
    if (!nic_delayed_init(&r->delayed, config->limit, config->limit_bytes, false)) {
        nic_backend_free(&r->delayed.base);
        return NULL;
    }
    r->config = *config;
    uint64_t seed = config->seed;
    for (int direction = NIC_OUT; direction <= NIC_IN; direction++)
        r->jitter[direction] = (uint64_t)nic_draw(&seed) << 32 | nic_draw(&seed);
    return &r->delayed.base;
}

const nic_rate_counters *nic_rate_get_counters(const nic_backend *backend)
{
    return &((const rate *)backend)->counters;
}
