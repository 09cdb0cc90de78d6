/*
 * The datapath of the Intel 82540EM: what its parts share.
 *
 *   TDT ─▶ e1000_tx.c: descriptors ─▶ packets ─▶ transmit FIFO ─▶ wire (or back: loopback)
 *        └─▶ e1000_large.c: packets that the wire segments
 *   wire ─▶ e1000_rx.c: filters ─▶ receive FIFO ─▶ descriptors ─▶ causes
 *   e1000.c: interrupts and timers, flow control, wake-up, hooks, resets
 *
 * Sections are those of Intel's 8254x software developer's manual (SDM).  The two FIFOs lie in the packet buffer memory
 * (13.8.11); a frame goes through one only when it has to wait, so with the instant profile it is copied once.
 */
#ifndef NICEMU_E1000_H
#define NICEMU_E1000_H

#include "nic.h"

#include "e1000_api.h"
#include "e1000_registers.h"
#include "offload.h"

enum {
    E1000_DESCRIPTOR = 16,     /* bytes */
    E1000_CACHED = 64,         /* descriptors that the chip holds of each ring (3.2.4, 3.4.1) */
    E1000_PACKET_MAX = 16288,  /* longest packet that may be sent, without FCS (3.3.3) */
    E1000_HEADER_MAX = 240,    /* on-chip buffer of the prototype header (3.5.5) */
    E1000_PBM_BYTES = 65536,
    E1000_TICK_NS = 1024,      /* unit of the delay timers (13.4.30) */
    E1000_THROTTLE_NS = 256,   /* unit of ITR (13.4.18) */
    E1000_FCS = 4,
    E1000_MIN = 60,            /* IEEE 802.3 minFrameSize, without FCS */
    E1000_CACHE_LINE = 2,      /* descriptors in the cache line that thresholds count when GRAN is 0: 32 bytes */
};

enum { /* the command byte of all transmit descriptors (3.3.3.1, 3.3.6.1, 3.3.7.1), of contexts, packet options */
    E1000_CMD_EOP = 0x01,
    E1000_CMD_IFCS = 0x02,
    E1000_CMD_IC = 0x04,  /* legacy */
    E1000_CMD_TSE = 0x04, /* extended */
    E1000_CMD_RS = 0x08,
    E1000_CMD_RESERVED = 0x10,
    E1000_CMD_DEXT = 0x20,
    E1000_CMD_VLE = 0x40,
    E1000_CMD_IDE = 0x80,
    E1000_TUCMD_TCP = 0x01,
    E1000_TUCMD_IPV4 = 0x02,
    E1000_POPTS_IXSM = 0x01,
    E1000_POPTS_TXSM = 0x02,
};

enum {
    E1000_TIMER_ITR,     /* the end of the interval in which no second interrupt may be asserted */
    E1000_TIMER_TIDV,
    E1000_TIMER_TADV,
    E1000_TIMER_RDTR,
    E1000_TIMER_RADV,
    E1000_TIMER_PAUSE,   /* the end of a received pause */
    E1000_TIMER_FETCH,   /* transmit descriptors and data move over the bus */
    E1000_TIMER_WIRE,    /* the frame at the head of the transmit FIFO has left */
    E1000_TIMER_STORE,   /* the frame at the head of the receive FIFO moves over the bus */
};

enum {
    E1000_WORK_STORE = (int)NIC_WORK_CARD,      /* the receive ring may have room for what the FIFO holds */
    E1000_WORK_FETCH = (int)NIC_WORK_CARD << 1, /* the bus has had its time */
    E1000_WORK_FLUSH = (int)NIC_WORK_CARD << 2, /* RDTR.FPD: the receive delay is over */
};

/* ------------------------------------------------------------------ FIFOs in the packet buffer memory */

typedef struct e1000_fifo {
    uint32_t base, size; /* where in the packet buffer memory, bytes */
    uint32_t head, used; /* bytes: offset of the first record, bytes of all */
    uint32_t frames;
} e1000_fifo;

typedef struct e1000_record { /* stands before each frame */
    uint16_t length;
    uint16_t checksum; /* receive: the descriptor's fields */
    uint8_t status;
    uint8_t errors;
    uint16_t special;
} e1000_record;

/* Bytes that a frame takes up. */
static inline uint32_t e1000_fifo_bytes(uint32_t length)
{
    return (uint32_t)sizeof(e1000_record) + ((length + 7) & ~7u);
}

void e1000_fifo_place(nic_device *device, e1000_fifo *fifo, bool transmit); /* where PBA says; only while empty */
bool e1000_fifo_push(nic_device *device, e1000_fifo *fifo, const nic_frame *frame, e1000_record record);
/* The frame at *at (an offset from the head, advanced past it) in two pieces; false: none, or no valid record. */
bool e1000_fifo_next(nic_device *device, e1000_fifo *fifo, uint32_t *at, struct iovec iov[2], e1000_record *record);
void e1000_fifo_pop(nic_device *device, e1000_fifo *fifo);

/* ------------------------------------------------------------------ private state */

typedef struct e1000_context { /* a context descriptor (3.3.6) */
    uint32_t paylen;
    uint16_t ipcse, tucse, mss;
    uint8_t ipcss, ipcso, tucss, tucso, hdrlen, command;
    bool loaded;
} e1000_context;

enum { E1000_NO_PACKET, E1000_LEGACY, E1000_DATA, E1000_SEGMENTED }; /* e1000_tx.packet */

typedef struct e1000_tx {
    e1000_context checksum, segmentation; /* as loaded */
    e1000_context context;                /* as it stood when the packet began */
    /* the descriptor in work, fetched once */
    bool busy;
    uint64_t address;
    uint32_t lower, upper;
    uint32_t offset;         /* bytes of it that are done */
    /* the packet that it belongs to */
    uint8_t packet;
    bool bad;                /* cannot be sent: swallowed up to its end */
    uint8_t css, options, command; /* of its first descriptor */
    uint16_t special;
    uint32_t length;         /* bytes of the frame that are gathered (segmented: of its payload) */
    uint32_t header_length;  /* bytes of the prototype header that are there */
    uint32_t segment;        /* index of the frame in the packet */
    uint32_t sent;           /* payload bytes in frames before it */
    uint8_t header[256];
    /* write-back */
    uint32_t unwritten;      /* descriptors before TDH whose write-back is owed (TXDCTL.WTHRESH) */
    bool unwritten_now;      /* one of them wants its interrupt without delay */
    e1000_fifo fifo;
    uint32_t partial_length; /* bytes of the frame that are in `partial`: the first ones */
    uint8_t partial[NIC_FRAME_MAX];
} e1000_tx;

typedef struct e1000_rx {
    e1000_fifo fifo;
    uint32_t offset;                /* bytes of the FIFO's first frame that are in the ring's buffers already */
    uint32_t unwritten;             /* descriptors from RDH on whose write-back is owed (RXDCTL.WTHRESH) */
    uint64_t owed[E1000_CACHED];    /* their second quadwords */
    uint8_t level;                  /* E1000_BELOW ... */
} e1000_rx;

enum { /* e1000_rx.level (8.7.5) */
    E1000_BELOW,      /* the FIFO has not gone over FCRTH since it was under FCRTL */
    E1000_ABOVE,      /* it has, and an XOFF was sent where that is enabled */
    E1000_OVERFLOWED, /* it ran over after that: so was one more */
};

enum { E1000_PAUSE_NONE, E1000_PAUSE_XON, E1000_PAUSE_XOFF }; /* e1000.pause_owed */

enum {
    E1000_HEAD = 4 + 255 + 2 + 12, /* a VLAN tag and as much of a packet as an offload may change, or a header */
    E1000_PIECES = NIC_FRAME_IOV,
    E1000_POOL = 8 * NIC_BATCH,
    E1000_DONE = 4 * NIC_BATCH,
};

typedef struct e1000_ring {
    uint64_t base;
    uint32_t count;   /* descriptors; 0: none */
    uint32_t head, tail;
    uint8_t *memory;  /* all of it, or NULL where it is not mapped in one piece */
} e1000_ring;

typedef struct e1000_batch { /* frames on their way to the wire within one call; empty between calls */
    nic_frame frames[NIC_BATCH];
    struct iovec pool[E1000_POOL];
    uint8_t heads[NIC_BATCH][E1000_HEAD];
    uint16_t done[E1000_DONE];           /* descriptors that report status once the frames are gone */
    struct iovec pieces[E1000_PIECES];   /* of the frame that is being gathered */
    uint32_t count, used, dones, bytes, piece_count;
    uint32_t room;                       /* bytes that the FIFO could take, should the wire take none */
    uint32_t budget;                     /* frames that may still be sent in this call */
    uint32_t moved;                      /* bytes that went over the bus */
    bool immediate, delayed;             /* what `done` asks of TXDW */
    e1000_ring *ring;                    /* that is walked */
    uint32_t offloads;                   /* NIC_OFFLOAD_* that may be left to the wire */
    nic_offload left[NIC_BATCH];         /* what is, by frame */
    uint32_t resets;                     /* of the card when the call began */
} e1000_batch;

enum { /* a packet that is segmented on the wire (e1000_large.c) */
    E1000_LARGE_MOST = NIC_FRAME_IOV,
    E1000_LARGE_MASK = (int)((uint32_t)(E1000_CMD_TSE | E1000_CMD_DEXT | E1000_CMD_RESERVED | E1000_CMD_VLE) << 24 |
                             15u << 20), /* of a descriptor's third word: command and type */
    E1000_LARGE_DATA = (int)((uint32_t)(E1000_CMD_TSE | E1000_CMD_DEXT) << 24 | 1u << 20),
};

typedef struct e1000_large {
    uint32_t length, pieces;             /* of the whole packet */
    uint32_t segments, full, last;       /* frames, and the lengths of all but the last and of that */
    uint32_t descriptors;
    uint8_t commands[E1000_LARGE_MOST];  /* of each descriptor */
    nic_offload offload;
    struct iovec iov[NIC_FRAME_IOV];
    uint8_t head[E1000_HEADER_MAX];
} e1000_large;

typedef struct e1000 {
    bool phy_loopback;
    uint8_t pause_owed;    /* a PAUSE frame that the wire has not taken yet */
    uint8_t low_read;      /* bit n: the low half of the n-th 64-bit counter was read */
    bool was_enabled;      /* RCTL.EN was set since the last reset */
    /* what was written since power-on, of what that leaves undefined: for findings */
    uint16_t written, ral_written;
    uint32_t mta_written[4], vfta_written[4];
    uint64_t asserted;     /* when the interrupt was asserted last while ITR was on, ns; NIC_NEVER: not yet */
    e1000_tx tx;
    e1000_rx rx;
    e1000_batch batch;
} e1000;

static inline e1000 *e1000_of(nic_device *device) { return device->card; }

/* ------------------------------------------------------------------ registers */

static inline uint32_t e1000_reg(const nic_device *device, uint32_t cell) { return device->cells[cell]; }

static inline uint32_t e1000_next(const e1000_ring *ring, uint32_t index)
{
    return index + 1 >= ring->count ? 0 : index + 1;
}

/* Descriptors from head to tail. */
static inline uint32_t e1000_owned(const e1000_ring *ring)
{
    return ring->tail >= ring->head ? ring->tail - ring->head : ring->count - ring->head + ring->tail;
}

static inline bool e1000_full_duplex(const nic_device *device)
{
    return e1000_reg(device, E1000_STATUS) & E1000_STATUS_FD;
}

/* Frames come back instead of going out: the PHY does it, and RCTL.LBM asks for it (13.4.22, 15.1.3). */
static inline bool e1000_loops(nic_device *device)
{
    return e1000_of(device)->phy_loopback || (e1000_reg(device, E1000_RCTL) & E1000_RCTL_LBM) == E1000_RCTL_LBM;
}

/* The MAC works while it sees a link (8.6.5.2). */
static inline bool e1000_linked(nic_device *device)
{
    return e1000_reg(device, E1000_STATUS) & E1000_STATUS_LU || e1000_loops(device);
}

/* A write-back threshold in descriptors; the chip holds no more than its cache (13.4.43, 13.4.46). */
static inline uint32_t e1000_threshold(uint32_t control)
{
    uint32_t threshold = (control & E1000_TXDCTL_WTHRESH) >> E1000_TXDCTL_WTHRESH_SHIFT;
    if (!(control & E1000_TXDCTL_GRAN))
        threshold *= E1000_CACHE_LINE;
    return threshold < E1000_CACHED ? threshold : E1000_CACHED - 1;
}

/* ------------------------------------------------------------------ between the files */

/* e1000_tx.c */
void e1000_transmit(nic_device *device);
void e1000_fetch_later(nic_device *device); /* a doorbell: work now, or when the profile's bus has had its time */
void e1000_transmit_write_back(nic_device *device);
void e1000_wire_resume(nic_device *device);
void e1000_wire_expired(nic_device *device);
void e1000_count_sent(nic_device *device, const nic_frame *frames, size_t count);

/* e1000_large.c: takes stock of the packet whose first descriptor is in work; false: it is to be segmented here. */
bool e1000_large_plan(nic_device *device, const e1000_ring *ring, uint32_t kinds, e1000_large *large);

/* e1000_rx.c */
size_t e1000_receive(nic_device *device, const nic_frame *frames, size_t count);
void e1000_receive_looped(nic_device *device, const nic_frame *frames, size_t count);
void e1000_store(nic_device *device);       /* moves what the FIFO holds into the ring */
void e1000_store_later(nic_device *device); /* the ring changed: as soon as the profile's bus has had its time */
void e1000_receive_write_back(nic_device *device);
bool e1000_can_receive(nic_device *device);

/* e1000.c */
void e1000_interrupt(nic_device *device);
void e1000_paused(nic_device *device, uint32_t quanta);     /* a valid PAUSE frame came */
void e1000_fullness(nic_device *device, bool overflow);     /* the receive FIFO's level changed, or it ran over */
uint64_t e1000_bus_time(nic_device *device, uint32_t bytes); /* ns that a transfer takes on the PCI bus */
uint64_t e1000_wire_time(const nic_device *device, uint32_t bytes); /* ns that a frame takes on the wire, with gap */

/* e1000_rules.c, with e1000_check_control of the API: findings; the first three are hooks of what power-on undefines */
void e1000_note_written(nic_device *device, const nic_row *row, const nic_access *access);
void e1000_note_table(nic_device *device, const nic_row *row, const nic_access *access);
void e1000_note_address(nic_device *device, const nic_row *row, const nic_access *access);
void e1000_check_base(nic_device *device, const nic_access *access, uint32_t rule);
void e1000_check_length(nic_device *device, const nic_access *access, uint32_t rule);
void e1000_check_transmit_tail(nic_device *device, const nic_access *access);
void e1000_check_receive_tail(nic_device *device, const nic_access *access);
void e1000_check_transmit_control(nic_device *device, const nic_access *access);
void e1000_check_receive_control(nic_device *device, const nic_access *access);
void e1000_check_packet_buffer(nic_device *device, const nic_access *access);
void e1000_check_threshold(nic_device *device);
void e1000_check_flexible_filter(nic_device *device, const nic_row *row, const nic_access *access);

/* e1000_wake.c, with e1000_wake_link of the API */
bool e1000_wakes(const nic_device *device); /* some wake-up filter is on */
void e1000_wake(nic_device *device, const uint8_t *bytes, uint32_t window, uint32_t length, uint32_t matches,
                bool passed);

#endif
