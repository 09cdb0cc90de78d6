/*
 * What wrappers share in which frames take time: a lane for each direction, and the alarm for what is due next.
 *
 *   send ──▶ lane out ──▶ lower         deliver ──▶ lane in ──▶ upper
 *
 * A lane is first in, first out, but for frames that are held aside: those enter when others have gone by, or when
 * their time is over.  Time is that of the card's clock.  What the next station does not take stays until it says that
 * it can take more.  Frames under way are lost, and counted, when the wire comes to a clock of another time.
 */
#ifndef NICEMU_DELAY_H
#define NICEMU_DELAY_H

#include "backends.h"

enum { NIC_OUT = 0, NIC_IN = 1 };

typedef struct nic_due { /* when a frame may go */
    uint64_t time;  /* ns */
    uint64_t after; /* held aside: so many frames have entered the lane */
} nic_due;

typedef struct nic_waiting { /* frames, and when each may go */
    nic_queue queue;
    nic_due *due;
    uint32_t slots; /* a power of two */
    uint32_t head, tail;
    uint64_t bytes; /* of the frames */
} nic_waiting;

typedef struct nic_lane {
    nic_waiting line, aside;
    uint64_t entered; /* frames, so far */
    uint64_t last;    /* when the last of the line may go */
    bool stuck;       /* the next station took fewer than it was offered */
    bool refused;     /* whoever sends was told that there is no room */
} nic_lane;

typedef struct nic_delayed { /* begins the wrapper's own struct */
    nic_backend base;
    nic_lane lanes[2]; /* NIC_OUT, NIC_IN */
    nic_alarm alarm;
    bool busy;         /* passing frames on */
} nic_delayed;

/* Room for `frames` frames of `bytes` together in each lane, and for some aside; false: no memory (close it all the
 * same). */
bool nic_delayed_init(nic_delayed *wrapper, uint32_t frames, uint32_t bytes, bool aside);

static inline uint32_t nic_waiting_frames(const nic_waiting *waiting) { return waiting->tail - waiting->head; }

/* Whether `count` more frames of any length find room, besides those aside. */
bool nic_lane_has_room(const nic_lane *lane, uint32_t count);
/* A frame enters the line and may go at `time`, but not before those in front of it.  False: no room. */
bool nic_lane_enter(nic_lane *lane, const nic_frame *frame, uint64_t time);
/* A frame steps aside until `gap` others have entered, or until `time`.  False: no room. */
bool nic_lane_step_aside(nic_lane *lane, const nic_frame *frame, uint32_t gap, uint64_t time);

/* Frames are lost on their way in that direction. */
void nic_delayed_lose(nic_delayed *wrapper, int direction, uint64_t count);
/* A wrapper's send() or deliver(): `take` lets frames enter and says how many, from the first, it dealt with.  NULL: the
 * frames take no time in that direction and go straight on. */
typedef size_t (*nic_take)(nic_delayed *wrapper, int direction, const nic_frame *frames, size_t count);
size_t nic_delayed_pass(nic_delayed *wrapper, int direction, nic_take take, const nic_frame *frames, size_t count);

/* For nic_backend_ops. */
void nic_delayed_poll(nic_backend *backend);
void nic_delayed_resume(nic_backend *backend);
void nic_delayed_writable(nic_backend *backend);
void nic_delayed_clock(nic_backend *backend, nic_clock *clock);
void nic_delayed_close(nic_backend *backend);

#endif
