/*
 * The datapath of the Marvell 88E8057 (Yukon Ultra 2): what its parts share.
 *
 *   PUT_IDX ─▶ yukon2_tx.c: list elements ─▶ frames and segments ─▶ wire ─▶ index reports ─▶ status unit
 *              └─▶ yukon2_large.c: checksums and segmentation that the wire does
 *   wire ─▶ yukon2_rx.c: filters ─▶ buffers of list elements ─▶ status unit
 *   yukon2_status.c: the status FIFO, its list in memory, and when they are written and interrupt
 *   yukon2.c: interrupts and timers, register hooks, resets
 *
 * Sections are those of docs/yukon2-facts.md.  Frames wait in the driver's lists, not in FIFOs of the card: a frame that
 * the wire does not take stays in its list elements, one that finds no buffer is lost or held back by the port.
 */
#ifndef NICEMU_YUKON2_H
#define NICEMU_YUKON2_H

#include "nic.h"

#include "offload.h"
#include "yukon2_api.h"
#include "yukon2_registers.h"

enum { /* halves of the pairs that the datapath looks at */
    SW_RST = 0x1, SW_MRST = 0x4, SW_STOP = 0x10, SW_IRQ_SET = 0x80, /* B0_CTST */
    UNIT_RST_SET = 0x1, UNIT_RST_CLR = 0x2, UNIT_OFF = 0x4, UNIT_ON = 0x8, /* CSRs, prefetch units, FIFOs, status */
    CSR_START = 0x100, CSR_STOP = 0x200, CSR_CLR_CHK = 0x400, CSR_CLR_TCP = 0x800,
    CSR_CHKSUM = 0x2000, CSR_IPIDINCR = 0x2000, CSR_RSS = 0x8000,
    CSR_IDLE = (int)0x80000000,
    RX_CLR_OVERRUN = 0x20, RX_FLUSH = 0x80, RX_VLAN_STRIP = 0x02000000, RX_TRUNCATE = 0x08000000,
    TX_VLAN_INSERT = 0x02000000,
    TIMER_CLR = 0x1, TIMER_STOP = 0x2, TIMER_START = 0x4,
    STATUS_CLR_IRQ = 0x10,
    GMAC_PAUSE_ON = 0x8, GMAC_LOOP_ON = 0x20,
    WOL_MAGIC_ON = 0x8, WOL_LINK_ON = 0x20, WOL_PME_MAGIC_ON = 0x200, WOL_PME_LINK_ON = 0x800,
};

enum { /* list elements (3) */
    YUKON2_LE = 8,                 /* bytes */
    OWNER = 0x80,
    OP_CHECKSUM = 0x10,            /* and which parameters are set: 1 place, 2 start, 4 initial value, 8 lock */
    OP_STATE = 0x20,               /* and which: 1 high address, 2 tag, 4 segment length */
    OP_BUFFER = 0x40,
    OP_PACKET = 0x41,
    OP_LARGESEND = 0x43,
    OP_RXSTAT = 0x60,
    OP_RXVLAN = 0x62,
    OP_RXCHKS = 0x64,
    OP_RSS_HASH = 0x65,
    OP_RXCHKSVLAN = 0x66,
    OP_TXINDEXLE = 0x68,
};

enum {
    YUKON2_TICK_NS = 8,            /* of every timer: 125 MHz (6.5) */
    YUKON2_INDEX = 0xfff,          /* indices have 12 bits */
    YUKON2_MIN = 60,               /* IEEE 802.3 minFrameSize, without FCS */
    YUKON2_FCS = 4,
    YUKON2_STATUS_FIFO = 512,      /* entries that wait to be written: more than any watermark and a batch */
    YUKON2_HEAD = 256,             /* bytes of a frame that are copied so that they can be changed */
    YUKON2_STAGING = 1 << 17,      /* bytes of a frame that cannot be sent from where it lies */
    YUKON2_LARGE_MAX = 65536 + 256, /* the longest segmentation request (6.2) */
};

enum {
    YUKON2_TIMER_LEVEL,            /* STAT_LEV_TIMER: the status FIFO is written */
    YUKON2_TIMER_TX,               /* STAT_TX_TIMER: the transmit index is reported */
    YUKON2_TIMER_ISR,              /* STAT_ISR_TIMER: what was written interrupts */
    YUKON2_TIMER_MODERATION,       /* B2_IRQM: what waited for it interrupts */
    YUKON2_TIMER_GENERAL,          /* B2_TI */
    YUKON2_TIMER_STAMP,            /* GMAC_TI_ST runs over */
    YUKON2_TIMER_PAUSE,            /* the end of a received pause */
    YUKON2_TIMER_WIRE,             /* the frame that was sent last has left */
    YUKON2_TIMER_AGAIN,            /* half of the pause that the far side was asked for is over */
};

enum {
    YUKON2_WORK_LIST = (int)NIC_WORK_CARD,        /* the receive list has new elements */
    YUKON2_WORK_RECHECK = (int)NIC_WORK_CARD << 1, /* STAT_BMU was cleared: is there something that nobody saw? */
    YUKON2_WORK_STATUS = (int)NIC_WORK_CARD << 2,  /* the status FIFO may be written now */
    YUKON2_WORK_FLOW = (int)NIC_WORK_CARD << 3,    /* the far side is to pause, or may go on */
};

/* Cells of a queue, from its first one: all queues have the same registers (2.5, 2.6). */
enum {
    Q_DONE = YUKON2_R1_DONE - YUKON2_R1_D,
    Q_CSR = YUKON2_R1_CSR - YUKON2_R1_D,
    PREF_CTRL = YUKON2_R1_PREF_CTRL - YUKON2_R1_D,
    PREF_LAST_IDX = YUKON2_R1_PREF_LAST_IDX - YUKON2_R1_D,
    PREF_ADDR_LO = YUKON2_R1_PREF_ADDR_LO - YUKON2_R1_D,
    PREF_ADDR_HI = YUKON2_R1_PREF_ADDR_HI - YUKON2_R1_D,
    PREF_GET_IDX = YUKON2_R1_PREF_GET_IDX - YUKON2_R1_D,
    PREF_PUT_IDX = YUKON2_R1_PREF_PUT_IDX - YUKON2_R1_D,
};
_Static_assert(YUKON2_XA1_PREF_PUT_IDX - YUKON2_XA1_D == PREF_PUT_IDX &&
                   YUKON2_XS1_PREF_PUT_IDX - YUKON2_XS1_D == PREF_PUT_IDX, "queues are alike");

enum { QUEUE_XA1, QUEUE_XS1, QUEUE_R1, QUEUES }; /* bit n of B0_ISRC is the check interrupt of queue n */

enum { /* counters: elements of GM_MIB_LOW and GM_MIB_HIGH (2.12) */
    MIB_RX_UC = 0, MIB_RX_BC, MIB_RX_PAUSE, MIB_RX_MC, MIB_RX_FCS,
    MIB_RX_OCTETS = 6, MIB_RX_BAD_OCTETS = 8, MIB_RX_SHORT = 10, MIB_RX_FRAGMENT,
    MIB_RX_64 = 12, MIB_RX_LONG = 19, MIB_RX_JABBER, MIB_RX_OVERFLOW = 22,
    MIB_TX_UC = 24, MIB_TX_BC, MIB_TX_PAUSE, MIB_TX_MC, MIB_TX_OCTETS, MIB_TX_64 = 30,
};

typedef struct yukon2_list { /* as the prefetch unit's registers have it */
    uint64_t base;
    uint32_t last, get, put;
    const uint8_t *memory; /* all of it, or NULL where it is not mapped in one piece */
} yukon2_list;

typedef struct yukon2_le {
    uint32_t address;
    uint16_t length;
    uint8_t control, opcode;
} yukon2_le;

/* What a transmit queue's list elements have said so far, and what stays said until they say otherwise (3.2). */
typedef struct yukon2_said {
    uint32_t high;        /* half of buffer addresses */
    uint32_t large;       /* LRGLEN */
    uint16_t vlan;        /* TCI */
    uint16_t start, place, initial; /* of the checksum */
} yukon2_said;

typedef struct yukon2_tx {
    yukon2_said said;
    uint32_t segment;     /* frames of the segmentation request at GET_IDX that are gone */
    uint32_t unreported;  /* frames gone since the last report */
    bool force;           /* one of them asked for a report */
} yukon2_tx;

typedef struct yukon2_rx {
    uint32_t high;
    uint16_t start[2];    /* of the two checksums */
} yukon2_rx;

typedef struct yukon2_status {
    uint64_t fifo[YUKON2_STATUS_FIFO]; /* from the first on */
    uint32_t level;
    uint32_t written;     /* entries since STAT_BMU was last raised */
    bool begun;           /* something has been written since the unit was reset */
} yukon2_status;

enum { YUKON2_PIECES = 256, YUKON2_POOL = 16 * NIC_BATCH };

typedef struct yukon2_sent { /* where to go back to if the wire does not take a frame */
    yukon2_said said;
    uint32_t get, end;    /* its first list element, and the one behind its last */
    uint32_t segment;
    bool last;            /* of its list elements */
    bool force;
} yukon2_sent;

typedef struct yukon2_batch { /* frames on their way to the wire within one call; empty between calls */
    nic_frame frames[NIC_BATCH];
    yukon2_sent sent[NIC_BATCH];
    struct iovec pool[YUKON2_POOL];
    uint8_t heads[NIC_BATCH][YUKON2_HEAD];
    struct iovec pieces[YUKON2_PIECES]; /* of the frame that is being gathered */
    uint32_t count, used, piece_count, length;
    uint32_t budget;      /* frames that may still be sent in this call */
    uint32_t staged;      /* bytes in `staging` */
    uint32_t gone;        /* bytes that the wire took in this call */
    uint32_t offloads;    /* NIC_OFFLOAD_*: what the wire does of them when the call begins */
    nic_offload left[NIC_BATCH]; /* of each frame that leaves one to it */
    uint8_t staging[YUKON2_STAGING];
} yukon2_batch;

enum { YUKON2_NONE, YUKON2_XOFF, YUKON2_XON }; /* PAUSE frames */

typedef struct yukon2 {
    bool in_isr;
    bool congested;       /* frames find no buffers */
    uint8_t asked;        /* of the far side, last: YUKON2_XOFF or another */
    uint8_t owed;         /* a PAUSE frame that the wire did not take */
    bool phy_interrupt, phy_loopback;
    uint32_t released;    /* sources that the moderation timer has let go */
    uint64_t moderation;  /* when it was started, ns; NIC_NEVER: it is not */
    uint64_t stamp;       /* when the time stamp timer was started, ns; NIC_NEVER: it is not */
    uint32_t changes;     /* resets of any unit so far: work under way ends when one comes from inside a callback */
    yukon2_tx tx[2];
    yukon2_rx rx;
    yukon2_status status;
    bool hash_ready;      /* `hash` is that of RSS_KEY */
    uint32_t hash[12][256];
    yukon2_batch batch;
} yukon2;

static inline yukon2 *yukon2_of(nic_device *device) { return device->card; }
static inline uint32_t yukon2_reg(const nic_device *device, uint32_t cell) { return device->cells[cell]; }

static inline uint32_t yukon2_next(const yukon2_list *list, uint32_t index)
{
    return index >= list->last ? 0 : index + 1;
}

static inline bool yukon2_full_duplex(const nic_device *device)
{
    return yukon2_reg(device, YUKON2_GM_GP_STAT) & YUKON2_GM_GP_STAT_DUPLEX;
}

/* Frames come back instead of going out. */
static inline bool yukon2_loops(nic_device *device)
{
    return yukon2_of(device)->phy_loopback || yukon2_reg(device, YUKON2_GMAC_CTRL) & GMAC_LOOP_ON ||
           yukon2_reg(device, YUKON2_GM_GP_CTRL) & YUKON2_GM_GP_CTRL_LOOP_ENA;
}

/* A 32-bit counter in two halves, which wraps (2.12). */
static inline void yukon2_count(nic_device *device, uint32_t counter, uint32_t n)
{
    uint32_t *low = &device->cells[YUKON2_GM_MIB_LOW + counter], *high = &device->cells[YUKON2_GM_MIB_HIGH + counter];
    uint32_t value = (*high << 16 | *low) + n;
    *low = value & 0xffff;
    *high = value >> 16;
}

/* 64 bits in two counters. */
static inline void yukon2_count_octets(nic_device *device, uint32_t counter, uint32_t n)
{
    const uint32_t *low = &device->cells[YUKON2_GM_MIB_LOW + counter], *high = &device->cells[YUKON2_GM_MIB_HIGH + counter];
    uint32_t before = *high << 16 | *low;
    yukon2_count(device, counter, n);
    if (NIC_UNLIKELY(before + n < before))
        yukon2_count(device, counter + 1, 1);
}

/* Seven bins by length with FCS: 64, -127, -255, -511, -1023, -1518, more. */
static inline uint32_t yukon2_bin(uint32_t wire)
{
    return wire <= 64 ? 0 : wire > 1518 ? 6 : wire >= 1024 ? 5 : 26u - (uint32_t)__builtin_clz(wire);
}

/* ------------------------------------------------------------------ between the files */

/* yukon2.c */
extern const uint16_t yukon2_queue_cells[QUEUES];
void yukon2_update(nic_device *device);                  /* B0_ISRC, B0_HWE_ISRC and the line */
void yukon2_raise(nic_device *device, uint32_t sources); /* latches interrupt sources */
bool yukon2_queue_runs(const nic_device *device, uint32_t queue);
void yukon2_load_list(nic_device *device, uint32_t queue, yukon2_list *list);
bool yukon2_fetch(nic_device *device, const yukon2_list *list, uint32_t index, yukon2_le *le);
void yukon2_bad_element(nic_device *device, uint32_t queue, uint32_t rule, uint32_t index, const yukon2_le *le);
void yukon2_paused(nic_device *device, uint32_t quanta); /* a valid PAUSE frame came */
void yukon2_congested(nic_device *device);               /* a frame found no buffer */
uint64_t yukon2_wire_time(const nic_device *device, uint32_t bytes);
void yukon2_wake(nic_device *device, uint32_t occurred); /* bits of WOL_CTRL_STAT */
uint64_t yukon2_ticks(const nic_device *device, uint32_t timer_cells); /* of a timer's initial value, in ns; 0: at once */

/* yukon2_tx.c */
void yukon2_transmit(nic_device *device);
void yukon2_wire_expired(nic_device *device);
void yukon2_report(nic_device *device, bool now); /* TXINDEXLE, if there is something to report */

/* yukon2_large.c */
typedef struct yukon2_headers { /* of a segmentation request: where they begin, and how long all are */
    uint32_t network, transport, length;
} yukon2_headers;
bool yukon2_leaves_checksum(const yukon2_said *said, bool udp); /* whether the wire computes it as the chip does */
bool yukon2_leaves_large(const nic_device *device, const uint8_t *head, const yukon2_headers *h, uint32_t length,
                         uint32_t mss); /* whether it makes the frames that the chip makes */

/* yukon2_rx.c */
size_t yukon2_receive(nic_device *device, const nic_frame *frames, size_t count);
void yukon2_receive_looped(nic_device *device, const nic_frame *frames, size_t count);
bool yukon2_can_receive(nic_device *device);
void yukon2_walk_receive_list(nic_device *device); /* eats the list elements that are no buffers */

/* yukon2_status.c */
static inline uint64_t yukon2_element(uint32_t opcode, uint32_t status, uint32_t length)
{
    return (uint64_t)(opcode | OWNER) << 56 | (uint64_t)length << 32 | status;
}
bool yukon2_status_room(nic_device *device, uint32_t entries);
void yukon2_status_put(nic_device *device, uint64_t element); /* room was asked for */
void yukon2_status_settle(nic_device *device);  /* writes and interrupts, or sees to it that timers will */
void yukon2_status_recheck(nic_device *device); /* STAT_BMU was cleared */
void yukon2_level_expired(nic_device *device);
void yukon2_isr_expired(nic_device *device);

#endif
