/*
 * The datapath of AMD's PCnet (Am79C970A, Am79C973): what its parts share.
 *
 *   CSR0.TDMD, poll timer ─▶ pcnet_tx.c: descriptors ─▶ frames ─▶ wire (or back: loopback)
 *   wire ─▶ pcnet_rx.c: filter ─▶ buffers ─▶ descriptors ─▶ causes
 *   pcnet.c: initialization, start and stop, interrupts, timers, hooks, resets
 *
 * Sections are titles of AMD's data sheets 19436 (Am79C970A) and 21510 (Am79C973).  The ring counters of CSR72 and CSR74
 * are where the chip stands; current and next addresses are shown from them after each call.
 */
#ifndef NICEMU_PCNET_H
#define NICEMU_PCNET_H

#include "nic.h"

#include "offload.h"
#include "pcnet_api.h"
#include "pcnet_registers.h"

enum {
    PCNET_FCS = 4,
    PCNET_MIN = 60,           /* IEEE 802.3 minFrameSize, without FCS */
    PCNET_MAX = 1514,         /* maxUntaggedFrameSize, without FCS */
    PCNET_CLOCK_NS = 30,      /* of a bus at 33 MHz */
};

enum {
    PCNET_TIMER_INIT,     /* the initialization block has been read */
    PCNET_TIMER_POLL,     /* CSR47 */
    PCNET_TIMER_TRANSMIT, /* the frame under way has left */
    PCNET_TIMER_SOFTWARE, /* BCR31 */
    PCNET_TIMER_SENT,     /* the pin tells of frames that were sent */
};

enum {
    PCNET_WORK_INIT = (int)NIC_WORK_CARD,      /* CSR0.INIT */
    PCNET_WORK_START = (int)NIC_WORK_CARD << 1, /* CSR0.STRT */
    PCNET_WORK_SENT = (int)NIC_WORK_CARD << 2, /* the time of the frame under way is over */
};

/* ------------------------------------------------------------------ descriptors */

enum { /* bits of RMD1 and TMD1; with 16-bit structures the same bits of their words 1 and 2 */
    PCNET_OWN = (int)0x80000000,
    PCNET_ERR = 1 << 30,
    PCNET_STP = 1 << 25,
    PCNET_ENP = 1 << 24,
    PCNET_COUNT = 0xfff,     /* buffer byte count, two's complement */
    PCNET_ONES = 0xf000,
};

typedef struct pcnet_descriptor {
    uint32_t address;
    uint32_t status; /* RMD1 or TMD1 */
} pcnet_descriptor;

typedef struct pcnet_ring {
    uint32_t base;
    uint32_t count;  /* descriptors, 1 to 65536 */
    uint32_t index;  /* of the current one */
    uint32_t style;  /* BCR20.SWSTYLE */
    uint32_t high;   /* bits 31-24 of addresses, with 16-bit structures */
    bool transmit;
    uint8_t *memory; /* all of it, or NULL where it is not mapped in one piece */
} pcnet_ring;

static inline uint32_t pcnet_size(const pcnet_ring *ring) { return ring->style ? 16 : 8; }
static inline uint32_t pcnet_next(const pcnet_ring *ring, uint32_t index) { return index + 1 < ring->count ? index + 1 : 0; }
static inline uint32_t pcnet_length(uint32_t status) { return 4096 - (status & PCNET_COUNT); }

/* DMA with the chip's 32 address bits: it goes on at 0 behind the last address. */
bool pcnet_dma_read(nic_device *device, uint32_t address, void *buffer, uint32_t length);
bool pcnet_dma_write(nic_device *device, uint32_t address, const void *buffer, uint32_t length);

static inline void *pcnet_dma_map(nic_device *device, uint32_t address, uint64_t length, bool write)
{
    return address + length > 1ull << 32 ? NULL : nic_dma_map(device, address, length, write);
}

/* The same for buffers where CSR3.BSWP is set: the bytes of each double word on the bus change places. */
bool pcnet_read_swapped(nic_device *device, uint32_t address, uint8_t *buffer, uint32_t length);
bool pcnet_write_swapped(nic_device *device, uint32_t address, const uint8_t *buffer, uint32_t length);

void pcnet_load_ring(nic_device *device, pcnet_ring *ring, bool transmit);
/* Stores where the chip stands, and shows it in the CSRs that tell of it. */
void pcnet_save_ring(nic_device *device, const pcnet_ring *ring, bool transmit);
/* False: the bus gave nothing (pcnet_abort was called). */
bool pcnet_fetch(nic_device *device, const pcnet_ring *ring, uint32_t index, pcnet_descriptor *descriptor);
/* Gives a descriptor back: `misc` (RMD2 or TMD2) first, unless it is kept, then the status half of the other. */
void pcnet_write_back(nic_device *device, const pcnet_ring *ring, uint32_t index, uint32_t status, uint32_t misc,
                      bool with_misc);

/* ------------------------------------------------------------------ private state */

enum { PCNET_PATTERN_WORDS = 64, PCNET_PATTERN_BYTES = 5 };
enum { PCNET_PIECES = NIC_FRAME_IOV, PCNET_POOL = 8 * NIC_BATCH };

typedef struct pcnet_sent { /* a frame of the batch */
    uint32_t first, count;  /* its descriptors */
    uint32_t at;            /* of the first of them in pcnet_batch.given */
    uint32_t status, misc;  /* what the last of them will say */
    uint32_t length;
    bool interrupt;         /* it sets TINT */
} pcnet_sent;

typedef struct pcnet_batch { /* frames on their way to the wire within one call; empty between calls */
    nic_frame frames[NIC_BATCH];
    pcnet_sent sent[NIC_BATCH];
    struct iovec pool[PCNET_POOL];
    uint32_t given[PCNET_POOL];    /* TMD1 of the descriptors of its frames */
    uint8_t bounce[NIC_FRAME_MAX]; /* the last frame, where its buffers cannot be used as they stand */
    uint32_t count, used, descriptors;
    uint32_t resets;               /* of the card when the call began */
    uint32_t fcs;                  /* that the driver gave the last frame, where the chip adds none */
    bool bounced;
} pcnet_batch;

typedef struct pcnet {
    bool init_owed;       /* CSR0.INIT was set and IDON is not there yet */
    bool initializing;    /* with `wire`: it is being read */
    bool start_owed;      /* CSR0.STRT was set and waits for it */
    bool initialized;     /* there are ring bases and lengths */
    bool suspending;      /* CSR5.SPND was set and the frame under way is not over */
    bool dropping;        /* descriptors up to ENP belong to a frame that cannot be sent */
    bool under_way;       /* with `wire`: a frame is being sent */
    uint32_t glanced;     /* descriptors of it that were the chip's when that began, */
    uint32_t glance;      /* and what they and their buffers said, as a CRC */
    bool looked_ahead;    /* with `wire`: a receive descriptor was the chip's when it was read */
    uint32_t ahead_index, ahead_address, ahead_status;
    bool link, full_duplex, phy_loopback;
    uint32_t megabits;
    uint8_t runts, collisions; /* since the last frame that was stored: RPC and RCC */
    uint8_t patterns[PCNET_PATTERN_WORDS * PCNET_PATTERN_BYTES]; /* the pattern match RAM (BCR45 to BCR47) */
    uint32_t disturb[PCNET_DISTURBANCES];
    pcnet_batch batch;
} pcnet;

static inline pcnet *pcnet_of(nic_device *device) { return device->card; }
static inline uint32_t pcnet_reg(const nic_device *device, uint32_t cell) { return device->cells[cell]; }

/* Two cells as one number. */
static inline uint32_t pcnet_wide(const nic_device *device, uint32_t low)
{
    return device->cells[low] | device->cells[low + 1] << 16;
}

static inline void pcnet_set_wide(nic_device *device, uint32_t low, uint32_t value)
{
    device->cells[low] = value & 0xffff;
    device->cells[low + 1] = value >> 16;
}

/* The Am79C973 has MII; its part number ends in 5 (CSR88). */
static inline bool pcnet_has_mii(const nic_device *device) { return pcnet_reg(device, PCNET_CSR88) >> 12 >= 3; }

/* Frames come back instead of going out (Loopback Operation). */
static inline bool pcnet_loops(nic_device *device)
{
    enum { INTERNAL = PCNET_CSR15_LOOP | PCNET_CSR15_INTL };
    return (pcnet_reg(device, PCNET_CSR15) & INTERNAL) == INTERNAL || pcnet_of(device)->phy_loopback ||
           pcnet_reg(device, PCNET_BCR2) & PCNET_BCR2_TMAULOOP ||
           (pcnet_has_mii(device) && pcnet_reg(device, PCNET_BCR32) & PCNET_BCR32_MIIILP);
}

static inline bool pcnet_swaps(const nic_device *device) { return pcnet_reg(device, PCNET_CSR3) & PCNET_CSR3_BSWP; }

static inline bool pcnet_suspended(const nic_device *device)
{
    return pcnet_reg(device, PCNET_CSR5) & PCNET_CSR5_SPND;
}

static inline bool pcnet_disturbed(pcnet *card, uint32_t kind) { return nic_disturbed(&card->disturb[kind]); }

/* ------------------------------------------------------------------ between the files */

/* pcnet.c */
void pcnet_interrupt(nic_device *device);
void pcnet_cause(nic_device *device, uint32_t bits); /* of CSR0 */
void pcnet_abort(nic_device *device);                /* a DMA cycle was aborted (Master Abort) */
void pcnet_bus_timeout(nic_device *device);          /* CSR0.MERR */
void pcnet_suspend_if_owed(nic_device *device);
void pcnet_poll_later(nic_device *device);
uint64_t pcnet_bus_time(nic_device *device, uint32_t bytes);

/* pcnet_tx.c */
void pcnet_transmit(nic_device *device, bool sent);

/* pcnet_rx.c */
size_t pcnet_receive(nic_device *device, const nic_frame *frames, size_t count);
void pcnet_receive_looped(nic_device *device, const nic_frame *frames, size_t count);
bool pcnet_can_receive(nic_device *device);
void pcnet_look_ahead(nic_device *device, const pcnet_ring *ring);

#endif
