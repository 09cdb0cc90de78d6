/*
 * faults: a wrapper that treats frames as a bad wire does: loses, doubles, reorders, delays and damages them.
 *
 * Every rule looks at every frame, in both directions, with a random stream of its own: what becomes of the n-th frame
 * depends on the seed, on the rule and on n, not on the other rules, the other direction or the time.
 */
#include "delay.h"

#include <stdlib.h>
#include <string.h>

enum {
    FRAMES = 8192,
    BYTES = 880 << 10, /* a ring of 1 MiB, with what it has around frames */
    ETHERNET_HEADER = 14,
    RUNT_MIN = 8,     /* a collision fragment is at least preamble and jam; what is left behind the preamble */
    RUNT_MAX = 59,    /* without FCS: one byte less than the shortest frame */
    JABBER_MIN = 1519, /* without FCS: longer than the longest frame with a VLAN tag */
};

typedef struct faults {
    nic_delayed delayed;
    nic_fault_config config;
    nic_fault_counters counters;
    uint64_t chances[2][NIC_FAULTS]; /* random streams: whether */
    uint64_t details[2][NIC_FAULTS]; /* and which bit, how long */
    uint32_t counts[2][NIC_FAULTS];  /* frames since the last n-th one */
    uint8_t scratch[NIC_FRAME_MAX];
} faults;

/* ------------------------------------------------------------------ chance */

static bool hits(faults *f, int direction, int fault)
{
    const nic_fault_rule *rule = &f->config.rules[fault];
    if (rule->every) {
        uint32_t *count = &f->counts[direction][fault];
        *count = *count + 1 < rule->every ? *count + 1 : 0;
        return !*count;
    }
    return rule->chance && nic_draw(&f->chances[direction][fault]) < rule->chance;
}

static uint32_t between(faults *f, int direction, int fault, uint32_t low, uint32_t high)
{
    return low + nic_draw(&f->details[direction][fault]) % (high - low + 1);
}

/* ------------------------------------------------------------------ damage */

/* The frame in the scratch buffer, where it may be changed. */
static nic_frame copied(faults *f, const nic_frame *frame, struct iovec *iov)
{
    *iov = (struct iovec){f->scratch, nic_frame_copy(frame, f->scratch, sizeof(f->scratch))};
    return (nic_frame){.iov = iov, .iovcnt = 1, .length = (uint32_t)iov->iov_len, .flags = frame->flags};
}

/* One bit is wrong, behind the addresses and the type where there is anything. */
static bool corrupt(faults *f, int direction, nic_frame *frame)
{
    if (!frame->length)
        return false;
    uint32_t begin = frame->length > ETHERNET_HEADER ? ETHERNET_HEADER : 0;
    uint32_t bit = between(f, direction, NIC_FAULT_CORRUPT, 8 * begin, 8 * frame->length - 1);
    f->scratch[bit / 8] ^= (uint8_t)(1 << bit % 8);
    return true;
}

static bool cut(faults *f, int direction, nic_frame *frame)
{
    uint32_t length = between(f, direction, NIC_FAULT_RUNT, RUNT_MIN, RUNT_MAX);
    if (frame->length <= length)
        return false;
    frame->length = length;
    frame->flags |= NIC_FRAME_SHORT;
    return true;
}

static bool lengthen(faults *f, int direction, nic_frame *frame)
{
    uint32_t length = between(f, direction, NIC_FAULT_JABBER, JABBER_MIN, NIC_FRAME_MAX);
    if (frame->length >= length)
        return false;
    for (; frame->length < length; frame->length++)
        f->scratch[frame->length] = (uint8_t)nic_draw(&f->details[direction][NIC_FAULT_JABBER]);
    frame->flags &= ~(uint32_t)NIC_FRAME_SHORT;
    return true;
}

static void damage(faults *f, int direction, const bool *hit, nic_frame *frame, struct iovec *iov)
{
    static const struct {
        int fault;
        bool (*apply)(faults *, int, nic_frame *);
    } kinds[] = {{NIC_FAULT_CORRUPT, corrupt}, {NIC_FAULT_RUNT, cut}, {NIC_FAULT_JABBER, lengthen}};
    if (!hit[NIC_FAULT_CORRUPT] && !hit[NIC_FAULT_RUNT] && !hit[NIC_FAULT_JABBER])
        return;
    *frame = copied(f, frame, iov);
    for (size_t i = 0; i < NIC_ARRAY_LEN(kinds); i++) {
        if (!hit[kinds[i].fault] || !kinds[i].apply(f, direction, frame))
            continue;
        f->counters.done[direction][kinds[i].fault]++;
        if (f->config.bad_fcs)
            frame->flags |= NIC_FRAME_BAD_FCS;
    }
    iov->iov_len = frame->length;
}

/* ------------------------------------------------------------------ the wire */

/* What becomes of one frame.  There is room for two. */
static void treat(faults *f, int direction, const nic_frame *frame, uint64_t now)
{
    nic_lane *lane = &f->delayed.lanes[direction];
    uint64_t *done = f->counters.done[direction];
    bool hit[NIC_FAULTS];
    for (int fault = 0; fault < NIC_FAULTS; fault++)
        hit[fault] = hits(f, direction, fault);
    if (hit[NIC_FAULT_LOSS] || frame->length > NIC_FRAME_MAX) {
        done[NIC_FAULT_LOSS] += hit[NIC_FAULT_LOSS];
        nic_delayed_lose(&f->delayed, direction, 1);
        return;
    }
    nic_frame treated = *frame;
    struct iovec iov;
    damage(f, direction, hit, &treated, &iov);
    if (hit[NIC_FAULT_DELAY]) {
        done[NIC_FAULT_DELAY]++;
        now += f->config.delay_ns;
    }
    if (hit[NIC_FAULT_REORDER] &&
        nic_lane_step_aside(lane, &treated, f->config.reorder_gap, now + f->config.reorder_ns))
        done[NIC_FAULT_REORDER]++;
    else
        nic_lane_enter(lane, &treated, now);
    if (hit[NIC_FAULT_DUPLICATE]) {
        done[NIC_FAULT_DUPLICATE]++;
        nic_lane_enter(lane, &treated, now);
    }
}

/* Treats frames as far as there is room; returns how many. */
static size_t take(nic_delayed *wrapper, int direction, const nic_frame *frames, size_t count)
{
    faults *f = (faults *)wrapper;
    uint64_t now = nic_backend_now(&f->delayed.base);
    size_t i = 0;
    for (; i < count; i++) {
        if (nic_lane_has_room(&f->delayed.lanes[direction], 2)) {
            treat(f, direction, &frames[i], now);
        } else if (f->config.drop) {
            f->counters.overflows[direction]++;
            nic_delayed_lose(&f->delayed, direction, 1);
        } else {
            break;
        }
    }
    return i;
}

static size_t faults_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    faults *f = (faults *)backend;
    return nic_delayed_pass(&f->delayed, NIC_OUT, f->config.sent ? take : NULL, frames, count);
}

static size_t faults_deliver(nic_backend *backend, const nic_frame *frames, size_t count)
{
    faults *f = (faults *)backend;
    return nic_delayed_pass(&f->delayed, NIC_IN, f->config.received ? take : NULL, frames, count);
}

static const nic_backend_ops faults_ops = {
    .name = "faults",
    .damaged = true,
    .send = faults_send,
    .resume = nic_delayed_resume,
    .deliver = faults_deliver,
    .writable = nic_delayed_writable,
    .poll = nic_delayed_poll,
    .clock = nic_delayed_clock,
    .close = nic_delayed_close,
};

nic_backend *nic_faults_new(const nic_fault_config *config)
{
    faults *f = nic_backend_new(sizeof(*f), &faults_ops);
    if (!f)
        return NULL;
    if (!nic_delayed_init(&f->delayed, FRAMES, BYTES, true)) {
        nic_backend_free(&f->delayed.base);
        return NULL;
    }
    f->config = *config;
    uint64_t seed = config->seed;
    for (int direction = NIC_OUT; direction <= NIC_IN; direction++)
        for (int fault = 0; fault < NIC_FAULTS; fault++) {
            f->chances[direction][fault] = (uint64_t)nic_draw(&seed) << 32 | nic_draw(&seed);
            f->details[direction][fault] = (uint64_t)nic_draw(&seed) << 32 | nic_draw(&seed);
        }
    return &f->delayed.base;
}

const nic_fault_counters *nic_faults_get_counters(const nic_backend *backend)
{
    return &((const faults *)backend)->counters;
}
