/*
 * nicemu engine: what a card is to the engine, what a host and a backend are to a card.
 *
 *   host ──nic_read/nic_write──▶ register rows ──hooks──▶ card ──nic_port_send──▶ backend
 *                                     ▲                    │ ▲                      │
 *                                  Python table        nic_dma_* │                  │
 *                                                          ▼     └──card->receive───┘
 *                                                     guest memory
 *
 * One thread: a device, its backend and its host run on one nic_loop; nothing here takes a lock.
 * Nothing here reads a clock except the monotonic nic_clock, allocates per frame, or trusts a guest.
 */
#ifndef NICEMU_NIC_H
#define NICEMU_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "nic_api.h"
#include "offload.h"

#define NIC_UNUSED __attribute__((unused))
#define NIC_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define NIC_LIKELY(x) __builtin_expect(!!(x), 1)
#define NIC_UNLIKELY(x) __builtin_expect(!!(x), 0)

typedef struct nic_trace nic_trace;
extern nic_python nic_py; /* calls into Python (device.c) */

/* ------------------------------------------------------------------ guest memory (memory.c) */

/* A pointer to guest memory [address, address + length) if one mapped region holds all of it, else NULL. */
void *nic_memory_map(nic_memory *memory, uint64_t address, uint64_t length, bool write);

/* A region behind two functions (0: done), for memory that cannot be mapped. */
typedef int (*nic_memory_read_fn)(void *context, uint64_t address, void *buffer, size_t length);
typedef int (*nic_memory_write_fn)(void *context, uint64_t address, const void *buffer, size_t length);
int nic_memory_add_callbacks(nic_memory *memory, uint64_t address, uint64_t length, nic_memory_read_fn read,
                             nic_memory_write_fn write, void *context, int access);

/* ------------------------------------------------------------------ frames */

/* The longest frame that the engine carries, without FCS: 8254x SDM 3.2.7 caps a jumbo frame at 16384 bytes with FCS. */
#define NIC_FRAME_MAX 16384
/* The longest that is still to be cut into frames: the largest IP packet behind an Ethernet header and a VLAN tag. */
#define NIC_LARGE_MAX (65535 + 18)
#define NIC_FRAME_IOV 64
#define NIC_BATCH 64

/* One frame on its way, without FCS: scattered pieces of guest memory or one piece of a backend's buffer. */
typedef struct nic_frame {
    const struct iovec *iov;
    uint32_t iovcnt;
    uint32_t length;
    uint32_t flags;             /* NIC_FRAME_*; 0: a good frame */
    const nic_offload *offload; /* what is left to whoever takes it, or NULL: the frame is complete */
} nic_frame;

/* What no receiver of frames without FCS can be told. */
#define NIC_FRAME_DAMAGED (NIC_FRAME_BAD_FCS | NIC_FRAME_ALIGNMENT | NIC_FRAME_RX_ERROR)

/* Copies a frame (at most size bytes of it) into one buffer; returns the bytes copied. */
size_t nic_frame_copy(const nic_frame *frame, void *buffer, size_t size);

/* Whether the engine carries a frame of this length. */
static inline bool nic_frame_fits(const nic_frame *frame)
{
    return NIC_LIKELY(frame->length <= NIC_FRAME_MAX) || (frame->offload && frame->length <= NIC_LARGE_MAX);
}

/* ------------------------------------------------------------------ what an offload leaves to do (gso.c) */

/*
 * Makes complete frames of one with an offload, for whoever cannot take it whole: headers in a buffer of its own, payload
 * where it lies.  Everything in the frame's headers is checked against the frame; nothing is believed.
 */
enum { NIC_GSO_HEADER = 256 };

typedef struct nic_gso {
    nic_frame frame;           /* in work: its pieces must stay */
    nic_offload offload;
    nic_headers headers;       /* of the packet, where it is segmented */
    uint32_t header, payload;  /* bytes: what is copied to be changed, and the rest */
    uint32_t index, count;     /* the next frame, and how many there are */
    uint8_t prototype[NIC_GSO_HEADER];
    uint8_t heads[NIC_BATCH][NIC_GSO_HEADER];
    struct iovec iov[4 * NIC_BATCH];
} nic_gso;

/* Takes up a frame that has an offload; false: its headers are not what the offload says, or its frames too long. */
bool nic_gso_begin(nic_gso *gso, const nic_frame *frame);
/* Makes up to `most` frames, from the first that was not passed on; they stand until the next call.  0: no more. */
size_t nic_gso_make(nic_gso *gso, nic_frame *frames, size_t most);
/* So many of them, from the first, were passed on. */
static inline void nic_gso_passed(nic_gso *gso, size_t count) { gso->index += (uint32_t)count; }
static inline bool nic_gso_busy(const nic_gso *gso) { return gso->index < gso->count; }

enum { NIC_OFFLOADS = NIC_OFFLOAD_CHECKSUM | NIC_OFFLOAD_TCP4 | NIC_OFFLOAD_TCP6 | NIC_OFFLOAD_UDP };

/* Hands frames to `take` in their order, and in place of each that has an offload the complete frames that come of it; one
 * whose headers are not what its offload says as it is, without the offload. */
typedef void (*nic_gso_take)(void *owner, const nic_frame *frames, size_t count);
void nic_gso_spread(nic_gso *gso, const nic_frame *frames, size_t count, nic_gso_take take, void *owner);

/* Computes the checksum that a frame with NIC_OFFLOAD_CHECKSUM lacks; its first piece must hold the field and be the
 * caller's own.  For a card whose frame was not taken and has to wait in its memory. */
void nic_frame_finish(nic_frame *frame);

/* ------------------------------------------------------------------ backends (port.c, backend_*.c) */

/*
 * A backend is one end of a wire.  Whatever is above it (a wrapper such as pcap, or a card's port) calls send() for
 * frames that leave the card and resume() when it can take frames again; the backend calls nic_backend_deliver() for
 * frames that arrive and nic_backend_writable() when a send() that fell short may be repeated.
 * send() returns how many frames, from the first, it took; it must have copied or passed on what it took.
 * A frame with an offload comes only to a backend whose `offloads` name its kind; one that is to be segmented comes alone
 * in its batch and must be taken (a backend that cannot has no kinds of segmentation in `offloads` at that time).
 * A backend never calls deliver() from inside send(): it queues and delivers from its loop source or from poll().
 */
typedef struct nic_backend_ops {
    const char *name;
    bool damaged; /* what is sent may be marked as damaged (NIC_FRAME_DAMAGED); others are spared such frames */
    size_t (*send)(nic_backend *backend, const nic_frame *frames, size_t count);
    void (*resume)(nic_backend *backend);            /* may be NULL: upper side has room again */
    size_t (*deliver)(nic_backend *backend, const nic_frame *frames, size_t count); /* wrappers: frames from lower */
    bool (*room)(const nic_backend *backend);        /* wrappers: whether deliver() would take frames; NULL: ask above */
    void (*writable)(nic_backend *backend);          /* wrappers: lower is writable again; NULL passes it up */
    void (*poll)(nic_backend *backend);              /* may be NULL: called once per loop turn */
    int64_t (*timeout)(nic_backend *backend);        /* may be NULL: ns until poll() is wanted, -1 for never */
    void (*attach)(nic_backend *backend, nic_loop *loop); /* may be NULL: loop set (or NULL: taken away) */
    void (*clock)(nic_backend *backend, nic_clock *clock); /* may be NULL: clock set (or NULL: taken away) */
    void (*wrapped)(nic_backend *backend);           /* may be NULL: wrappers: lower was set */
    void (*link)(nic_backend *backend, bool up);     /* may be NULL: the card's side of the link went up or down */
    void (*count)(nic_backend *backend);             /* may be NULL: adds to the counters what the system counted */
    void (*close)(nic_backend *backend);             /* frees what the backend owns, not the struct itself */
} nic_backend_ops;

struct nic_backend {
    const nic_backend_ops *ops;
    nic_backend *upper; /* the wrapper above, or NULL */
    nic_backend *lower; /* the wrapped backend, or NULL */
    nic_port *port;     /* the card's port, or NULL where a wrapper is above or nothing is attached */
    nic_loop *loop;     /* the loop it runs on, or NULL */
    nic_clock *clock;   /* that of the card above, or NULL */
    nic_backend_counters counters;
    bool drop;          /* what send() does not take is lost and counted, instead of holding the card back */
    bool blocked;       /* the last send() fell short; writable() is owed */
    bool link_up;       /* whether the far side of the wire is there */
    uint32_t offloads;  /* NIC_OFFLOAD_*: kinds that send() takes; of a wrapper: that it passes on, both ways */
    bool alone;         /* on the loop by itself, without a card (nic_loop_add_wire) */
};

void nic_backend_init(nic_backend *backend, const nic_backend_ops *ops);
size_t nic_backend_send(nic_backend *backend, const nic_frame *frames, size_t count);
size_t nic_backend_deliver(nic_backend *backend, const nic_frame *frames, size_t count);
void nic_backend_writable(nic_backend *backend);
void nic_backend_set_link(nic_backend *backend, bool up); /* the far side came or went: told to port above */
void nic_backend_set_clock(nic_backend *backend, nic_clock *clock);
uint64_t nic_backend_now(const nic_backend *backend); /* ns on its clock; on the machine's where it has none */
/* Whether whatever is above can take a frame now (false: hold it, resume() will be called). */
bool nic_backend_can_deliver(const nic_backend *backend);
/* Kinds of offload that can be sent into a backend, through all that it wraps; and that can be delivered above it: a
 * frame of another kind is made into complete ones first. */
uint32_t nic_backend_offloads(const nic_backend *backend);
uint32_t nic_backend_accepts(const nic_backend *backend);

/* ------------------------------------------------------------------ the card's port (port.c) */

/* A bounded queue of frames that have arrived and wait for room in the card's receive ring. */
typedef struct nic_queue {
    uint8_t *bytes;   /* a ring of {uint32_t length and flags << 20, offload if any, bytes, pad to 4} records */
    uint32_t size;    /* bytes, a power of two */
    uint32_t head;    /* next byte to read, free-running */
    uint32_t tail;    /* next byte to write, free-running */
    uint32_t frames;
} nic_queue;

enum { NIC_INBOUND_BYTES = 1 << 20 };

bool nic_queue_init(nic_queue *queue, uint32_t size);
void nic_queue_free(nic_queue *queue);
void nic_queue_clear(nic_queue *queue);
size_t nic_queue_save(const nic_queue *queue, void *buffer, size_t size);  /* records; returns the bytes needed */
/* EINVAL: malformed, or with an offload that is not among `offloads`; nothing changed. */
int nic_queue_load(nic_queue *queue, const void *records, size_t size, uint32_t offloads);
bool nic_queue_push(nic_queue *queue, const nic_frame *frame);              /* false: no room */
bool nic_queue_peek(nic_queue *queue, nic_frame *frame, struct iovec *iov); /* in one piece, in place; false: empty */
void nic_queue_pop(nic_queue *queue);

struct nic_port {
    nic_device *device;
    nic_backend *backend; /* NULL: nothing plugged in; frames sent are counted and gone */
    nic_queue inbound;
    bool hold;            /* a full ring holds frames back (lossless) instead of dropping them (silicon) */
    bool cable;           /* plugged in (set_link) */
    nic_port_counters counters;
};

/* Sends a batch; returns how many frames, from the first, were taken (fewer: the wire is busy; the card's
 * work() is run with NIC_WORK_WRITABLE when it may go on). */
size_t nic_port_send(nic_port *port, const nic_frame *frames, size_t count);
uint32_t nic_port_ask_offloads(const nic_port *port);
/* Kinds of offload (NIC_OFFLOAD_*) that frames sent now may have: 0 while the wire is busy, down or has none.  One that
 * is to be segmented goes in a call of its own and is always taken. */
static inline uint32_t nic_port_offloads(const nic_port *port)
{
    const nic_backend *backend = port->backend;
    return NIC_LIKELY(!backend || !backend->offloads || backend->blocked) ? 0 : nic_port_ask_offloads(port);
}
/* Puts a frame on the card's own receive path (internal loopback); false if the inbound queue is full. */
bool nic_port_loop(nic_port *port, const nic_frame *frame);
/* The receive ring has room: hands over held frames (not from inside receive(): sets work, done by nic_run_work). */
void nic_port_ready(nic_port *port);
void nic_port_flush(nic_port *port, uint64_t *counter); /* held frames are lost, and counted there */
void nic_port_drain(nic_port *port); /* hands held frames to the card (device.c) */
/* From a backend: frames arrive, the far side comes or goes, a short send may be repeated (port.c). */
size_t nic_port_receive(nic_port *port, const nic_frame *frames, size_t count);
void nic_port_link_changed(nic_port *port);
void nic_port_writable(nic_port *port);

/* ------------------------------------------------------------------ loop (loop.c) */

/* A file descriptor on a loop.  ready() may remove the source and free it. */
typedef struct nic_source nic_source;
struct nic_source {
    int fd;
    uint32_t events; /* EPOLLIN, EPOLLOUT ... */
    void (*ready)(nic_source *source, uint32_t events);
    void *owner;
};

/* All return 0 or an errno.  A source is known by its address; adding twice or removing what is absent is harmless. */
int nic_loop_add(nic_loop *loop, nic_source *source);
int nic_loop_modify(nic_loop *loop, nic_source *source, uint32_t events);
void nic_loop_remove(nic_loop *loop, nic_source *source);
void nic_loop_deadline(nic_loop *loop, uint64_t deadline); /* a timer was set: what fileno() waits for may be earlier */
void nic_loop_wake(nic_loop *loop); /* the next turn does not wait: work was left from inside a callback */

/* ------------------------------------------------------------------ register rows (registers.c) */

/* What a hook may ask about the access that called it. */
struct nic_access {
    uint64_t offset; /* of the whole access that this register has a part in */
    uint32_t size;   /* of the whole access, bytes */
    uint32_t index;  /* element of an array register */
    uint32_t enable; /* bits inside the enabled bytes */
    uint32_t value;  /* a write: the raw value, before any mask */
    uint32_t old;    /* a write: the stored value before it */
};

/* An access from inside: from a hook to a space that no host reaches.  Obeys the rows; COMMAND does not gate it, and
 * it is not counted as an access of the guest. */
uint64_t nic_reach_read(nic_device *device, uint32_t space, uint64_t offset, uint32_t size);
void nic_reach_write(nic_device *device, uint32_t space, uint64_t offset, uint64_t value, uint32_t size);

/* Returns the value that the read yields (before the write-only mask); clearing on read follows by the row. */
typedef uint32_t (*nic_read_hook)(nic_device *device, const nic_row *row, const nic_access *access);
/* Called after the row's masks were applied: the new value stands in the cell. */
typedef void (*nic_write_hook)(nic_device *device, const nic_row *row, const nic_access *access);

/* A block of equal accesses (insb, insw, insl and outs*) in one call, for ports that data goes through; false: this one
 * has to be made access by access. */
typedef bool (*nic_read_block_hook)(nic_device *device, const nic_row *row, const nic_access *access, void *buffer,
                                    size_t count);
typedef bool (*nic_write_block_hook)(nic_device *device, const nic_row *row, const nic_access *access,
                                     const void *buffer, size_t count);

typedef struct nic_hook {
    const char *space;
    const char *name;
    nic_read_hook read;
    nic_write_hook write;
} nic_hook;

typedef struct nic_block_hook {
    const char *space;
    const char *name;
    nic_read_block_hook read;
    nic_write_block_hook write;
} nic_block_hook;

/* ------------------------------------------------------------------ cards (one C file per family) */

enum { /* bits of nic_device.work */
    NIC_WORK_TRANSMIT = 1u << 0, /* a doorbell rang */
    NIC_WORK_WRITABLE = 1u << 1, /* the backend takes frames again */
    NIC_WORK_RECEIVE = 1u << 2,  /* frames wait in the inbound queue and the ring may have room */
    NIC_WORK_CARD = 1u << 8,     /* first bit free for the card's own use */
};

typedef struct nic_state_field { /* one scalar or byte array of a card's private state, for snapshots */
    const char *name;
    uint16_t offset;
    uint16_t size;  /* of an element: 1, 2, 4 or 8 */
    uint32_t count; /* elements */
    uint8_t kind;   /* NIC_KIND_* */
} nic_state_field;

#define NIC_STATE(type, field)                                                                                         \
    {#field, offsetof(type, field), sizeof(((type *)0)->field), 1,                                                     \
     _Generic(((type *)0)->field, bool : NIC_KIND_FLAG, default : NIC_KIND_NUMBER)}
#define NIC_STATE_TIME(type, field)                                                                                    \
    {#field, offsetof(type, field), sizeof(((type *)0)->field), 1, NIC_KIND_TIME}
#define NIC_STATE_ARRAY(type, field)                                                                                   \
    {#field, offsetof(type, field), sizeof(((type *)0)->field[0]), NIC_ARRAY_LEN(((type *)0)->field), NIC_KIND_NUMBER}

typedef struct nic_card_timer {
    const char *name;
    void (*expired)(nic_device *device);
} nic_card_timer;

/*
 * A card's datapath.  All of it may be called with any register content and any guest memory; every call does
 * bounded work.  Register cells are indexed by the enum of the generated header <card>_registers.h.
 */
struct nic_card {
    const char *name;
    size_t state_size;                   /* of the private struct at nic_device.card */
    const nic_hook *hooks;               /* terminated by a NULL name */
    const nic_block_hook *blocks;        /* of registers that have hooks too; terminated by a NULL name; may be NULL */
    const nic_state_field *state;        /* terminated by a NULL name */
    const nic_card_timer *timers;        /* terminated by a NULL name; at most NIC_TIMERS - Python's */
    void (*reset)(nic_device *device, int kind); /* private state; the cells are already reset */
    void (*work)(nic_device *device, uint32_t work);
    /* Takes frames from the wire; returns how many, from the first, were consumed (stored, filtered out, or dropped
     * and counted).  Fewer than count only when port.hold is set and the ring is full. */
    size_t (*receive)(nic_device *device, const nic_frame *frames, size_t count);
    bool (*can_receive)(nic_device *device); /* hold policy: whether a frame would find room now */
    uint32_t backlog;                    /* bytes held back at which the wire is stopped; 0: what suits a fast card */
    void (*interrupt)(nic_device *device);   /* recompute the line from cause and mask: calls nic_interrupt_set */
    void (*link)(nic_device *device, bool up); /* the wire went up or down; may be NULL: Python handles it */
    void (*loaded)(nic_device *device);      /* cells and state were loaded from a snapshot; may be NULL */
    uint32_t disturb, disturbances;          /* where nic_disturb counts, and of how many kinds (NIC_DISTURBED) */
    uint32_t offloads;                       /* NIC_OFFLOAD_*: kinds that receive() takes whole; 0: complete frames only */
};

extern const nic_card *const nic_cards[]; /* NULL-terminated (cards.c) */

/* A card that can be disturbed has `uint32_t disturb[KINDS]` in its private state and in its snapshots: how many frames
 * are still to meet what a wire, a neighbour or a slow bus can do to them, and nothing here would do by itself. */
#define NIC_DISTURBED(type)                                                                                            \
    .disturb = offsetof(type, disturb), .disturbances = NIC_ARRAY_LEN(((type *)0)->disturb)

/* Whether the next frame meets it; it is used up then. */
static inline bool nic_disturbed(uint32_t *left)
{
    if (NIC_LIKELY(!*left))
        return false;
    --*left;
    return true;
}

/* ------------------------------------------------------------------ devices (device.c) */

#define NIC_TIMERS 24
#define NIC_NEVER UINT64_MAX

typedef struct nic_timer {
    uint64_t deadline; /* ns on the device's clock, NIC_NEVER: off */
    const char *name;
    void (*expired)(nic_device *device); /* NULL: a Python timer */
} nic_timer;

/* Where the interrupt pin and messages lead (interrupt.c). */
typedef struct nic_interrupt {
    bool level;      /* what the card asserts */
    bool pin;        /* what is on the pin: level, not disabled in COMMAND, no MSI */
    bool masked;     /* INTx: the host has not asked to hear of it again since the last firing */
    bool msi;        /* MSI is enabled */
    int fd[2];       /* eventfds of INTx and MSI, or -1 */
    void *python;    /* sink of nic_py.interrupt, or NULL */
} nic_interrupt;

struct nic_device {
    const nic_model *model;
    const nic_card *card_ops;
    uint32_t *cells;
    void *card;                  /* the card's private state, zeroed at creation */
    uint8_t *rom;                /* expansion ROM, or NULL */
    nic_memory *memory;
    nic_clock *clock;
    nic_loop *loop;              /* NULL until attached */
    nic_device *next_on_clock;
    nic_port port;
    uint32_t work;               /* NIC_WORK_* not yet done */
    bool working;                /* inside nic_run_work: no re-entry */
    uint32_t calls;              /* under way, each inside the one before: while there is one, it cannot be freed */
    uint32_t resets;             /* so far; work under way ends when one comes from inside a callback */
    bool deferred;               /* the host runs nic_run_work itself, after it has replied */
    bool bus_master;
    uint8_t depth;               /* accesses from inside that are under way */
    uint8_t space_disabled;      /* bit by space: gated off in COMMAND */
    int profile;                 /* NIC_PROFILE_* */
    uint64_t resetting_until;    /* ns; 0: not resetting */
    uint64_t random;             /* state of the seeded generator (undefined resets, chaos) */
    uint8_t page[NIC_SPACES];    /* selected register page of each space */
    uint32_t timer_count;
    nic_timer timers[NIC_TIMERS];
    nic_interrupt interrupt;
    nic_counters counters;
    nic_findings findings;
    nic_trace *trace;            /* NULL: off */
    void *python;                /* handle for Python hooks, or NULL */
};

/* Cell by the generated enum. */
#define NIC_CELL(device, cell) ((device)->cells[(cell)])

uint32_t nic_random(nic_device *device);
uint32_t nic_draw(uint64_t *state); /* the generator itself: a whole stream from any state */

/* Marks work to do; it is done before nic_read/nic_write return, or by the host when device->deferred. */
static inline void nic_want_work(nic_device *device, uint32_t work) { device->work |= work; }

/* DMA by the card: gated by bus mastering, counted on failure.  False: nothing (or not all) was moved. */
bool nic_dma_read(nic_device *device, uint64_t address, void *buffer, size_t length);
bool nic_dma_write(nic_device *device, uint64_t address, const void *buffer, size_t length);
typedef struct nic_cursor { /* a place in scattered data */
    const struct iovec *iov;
    size_t at;
} nic_cursor;
/* Moves bytes from a cursor on; a looped-back frame may lie where it is to go, so they may overlap. */
bool nic_dma_put(nic_device *device, uint64_t address, nic_cursor *from, uint32_t length);
/* Zero-copy: a pointer valid until the current call into the card returns, or NULL (use nic_dma_read/write). */
static inline void *nic_dma_map(nic_device *device, uint64_t address, uint64_t length, bool write)
{
    return device->bus_master ? nic_memory_map(device->memory, address, length, write) : NULL;
}

/* Clocks know their devices (clock.c). */
void nic_clock_join(nic_clock *clock, nic_device *device);
void nic_clock_leave(nic_clock *clock, nic_device *device);
bool nic_clock_is_virtual(const nic_clock *clock);
uint64_t nic_monotonic(void); /* ns of the machine */

/* A deadline of what is no device: of a wire in which frames take time.  Set on NULL or for NIC_NEVER: off. */
typedef struct nic_alarm nic_alarm;
struct nic_alarm {
    void (*expired)(nic_alarm *alarm);
    uint64_t deadline; /* ns */
    nic_clock *clock;  /* NULL: off */
    nic_alarm *next;   /* on the same clock */
};
void nic_alarm_set(nic_alarm *alarm, nic_clock *clock, uint64_t deadline);

/* Timers: `timer` is the index in the card's timer table. */
uint64_t nic_now(const nic_device *device);
void nic_timer_set(nic_device *device, uint32_t timer, uint64_t deadline); /* absolute, ns */
void nic_timer_stop(nic_device *device, uint32_t timer);
bool nic_timer_armed(const nic_device *device, uint32_t timer);

/* The interrupt line (level) of INTx, or one MSI message for each rise. */
void nic_interrupt_set(nic_device *device, bool level);

/* Adds to a trace ring; the oldest entry is overwritten, and counted, when it is full. */
struct nic_trace {
    uint32_t size; /* entries */
    uint64_t head, tail, lost;
    nic_trace_entry entries[];
};
void nic_trace_put(nic_trace *trace, const nic_trace_entry *entry);

/* A rule of the data sheet was broken: counted, and kept (rate-limited) with two values for the report. */
void nic_find(nic_device *device, uint32_t rule, uint64_t first, uint64_t second);

/* Saturating statistics cell (8254x SDM 13.7: counters stick at all ones). */
static inline void nic_count32(uint32_t *cell, uint32_t n) { *cell = *cell + n < *cell ? UINT32_MAX : *cell + n; }
/* Saturating 64-bit statistic in two cells, low word first. */
static inline void nic_count64(uint32_t *low, uint64_t n)
{
    uint64_t old = (uint64_t)low[1] << 32 | low[0], sum = old + n;
    if (sum < old)
        sum = UINT64_MAX;
    low[0] = (uint32_t)sum;
    low[1] = (uint32_t)(sum >> 32);
}

#endif
