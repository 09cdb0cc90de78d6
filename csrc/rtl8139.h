/*
 * The datapath of the Realtek RTL8139C and RTL8139C+: what its parts share.
 *
 *   TSDn ─▶ rtl8139_tx.c: the four descriptors of C mode ┐
 *   TPPOLL ─▶ rtl8139_cp_tx.c: the two rings of C+ mode  ┴─▶ wire (or back: loopback)
 *   wire ─▶ rtl8139_rx.c: filters ─▶ receive FIFO ─▶ receive buffer (C mode) or descriptors (C+ mode) ─▶ causes
 *   rtl8139.c: interrupts, timer, flow control, tally counters, hooks, resets
 *
 * Sections are those of Realtek's RTL8139C(L) data sheet (DS); C+ marks what only the RTL8139C+ has.  A frame goes
 * through the FIFO only when there is no room for it in memory.
 */
#ifndef NICEMU_RTL8139_H
#define NICEMU_RTL8139_H

#include "nic.h"

#include "offload.h"
#include "rtl8139_api.h"
#include "rtl8139_registers.h"

enum {
    RTL8139_FCS = 4,
    RTL8139_MIN = 60,         /* IEEE 802.3 minFrameSize, without FCS */
    RTL8139_SEND_MAX = 1792,  /* longest packet of C mode (DS 5.2) */
    RTL8139_LONG = 4096,      /* received packets that are longer have LONG (DS 5.1) */
    RTL8139_FIFO = 2048,      /* bytes of the receive FIFO */
    RTL8139_HEADER = 4,       /* bytes before each packet in the receive buffer (DS 5.1) */
    RTL8139_RETRIES = 10,     /* doublings of the time after which a ring without room is looked at again */
    RTL8139_DESCRIPTOR = 16,  /* bytes, C+ */
    RTL8139_RING = 64,        /* most descriptors of a ring, C+ */
    RTL8139_PAUSE_ROOM = 3072, /* free bytes of the receive buffer below which an XOFF is sent (DS 9.9.1) */
};

enum { /* CR9346.EEM, in place (DS 5.9) */
    RTL8139_EEM_CONFIG_WRITE = 0xc0,
};

enum { /* C+ descriptors: the first doubleword */
    RTL8139_OWN = 1 << 31,
    RTL8139_EOR = 1 << 30,
    RTL8139_FS = 1 << 29,
    RTL8139_LS = 1 << 28,
    /* transmit */
    RTL8139_LGSEN = 1 << 27,
    RTL8139_IPCS = 1 << 18,
    RTL8139_UDPCS = 1 << 17,
    RTL8139_TCPCS = 1 << 16,
    RTL8139_UNF = 1 << 25,  /* sent: the FIFO ran empty on the way */
    RTL8139_TES = 1 << 23,  /* sent: error summary: OWC, LNKF or EXC */
    RTL8139_OWC = 1 << 22,  /* sent: a late collision */
    RTL8139_LNKF = 1 << 21, /* sent: the link failed */
    RTL8139_EXC = 1 << 20,  /* sent: given up after too many collisions */
    RTL8139_COLLISIONS_SHIFT = 16, /* sent: four bits */
    /* received */
    RTL8139_FAE = 1 << 27,
    RTL8139_MAR_RECEIVED = 1 << 26,
    RTL8139_PAM = 1 << 25,
    RTL8139_BAR = 1 << 24,
    RTL8139_BOVF = 1 << 23, /* descriptors ran out before this packet */
    RTL8139_FOVF = 1 << 22, /* the FIFO ran over before this packet */
    RTL8139_RWT = 1 << 21,  /* longer than 4096 bytes */
    RTL8139_RES = 1 << 20,  /* error summary: RWT, RUNT, CRC or FAE */
    RTL8139_RUNT = 1 << 19,
    RTL8139_CRC_ERROR = 1 << 18,
    RTL8139_PID_SHIFT = 16, /* 0: no IP, 1: TCP, 2: UDP, 3: other IP */
    RTL8139_IPF = 1 << 15,
    RTL8139_UDPF = 1 << 14,
    RTL8139_TCPF = 1 << 13,
    RTL8139_LENGTH = 0x1fff,
};

enum { /* C+ descriptors: the second doubleword */
    RTL8139_TAGC = 1 << 17, /* transmit: insert the tag */
    RTL8139_TAVA = 1 << 16, /* received: a tag was stripped */
};

enum {
    RTL8139_TIMER_TIMEOUT, /* TCTR reaches TIMERINT */
    RTL8139_TIMER_PAUSE,   /* the end of a received pause */
    RTL8139_TIMER_RESET,   /* CR.RST has done */
    RTL8139_TIMER_WIRE,    /* the frame in transmission has left */
    RTL8139_TIMER_RETRY,   /* C+: look again whether the driver has given receive descriptors back */
    RTL8139_TIMER_ROUND,   /* C+: go on with a transmit ring that was not dry after all of its descriptors */
};

enum {
    RTL8139_WORK_STORE = (int)NIC_WORK_CARD,     /* there may be room for what the FIFO holds */
    RTL8139_WORK_SENT = (int)NIC_WORK_CARD << 1, /* the wire has had its time */
    RTL8139_WORK_DUMP = (int)NIC_WORK_CARD << 2, /* C+: the tally counters are to be dumped */
};

/* ------------------------------------------------------------------ private state */

typedef struct rtl8139_tally { /* C+, DTCCR: in the order of the dump */
    uint64_t tx_ok, rx_ok, tx_err;
    uint32_t rx_err;
    uint16_t missed, fae;
    uint32_t tx_one_collision, tx_collisions;
    uint64_t rx_ok_physical, rx_ok_broadcast;
    uint32_t rx_ok_multicast;
    uint16_t tx_abort, tx_underrun;
} rtl8139_tally;

typedef struct rtl8139_ring { /* a transmit ring of C+ mode */
    uint8_t index;    /* next descriptor */
    bool polled;      /* TPPOLL asked, and the ring has not run dry since */
    uint32_t sent;    /* large send: payload bytes of the packet at `index` that have gone */
    uint32_t segment; /* large send: frames of it that have gone */
    uint32_t walked;  /* descriptors given back since TPPOLL asked */
} rtl8139_ring;

enum { RTL8139_NORMAL, RTL8139_HIGH, RTL8139_RINGS };

enum { RTL8139_PAUSE_NONE, RTL8139_PAUSE_XON, RTL8139_PAUSE_XOFF };

enum {
    RTL8139_HEAD = 192,  /* as much of a packet as offloads change or read: Ethernet, tag, IPv4 and TCP with options */
    RTL8139_LINEAR = 1 << 16, /* longest packet that can be had in one piece: a large send */
    RTL8139_PIECES = NIC_FRAME_IOV,
    RTL8139_POOL = 8 * NIC_BATCH,
};

typedef struct rtl8139_batch { /* frames on their way to the wire within one call; empty between calls */
    nic_frame frames[NIC_BATCH];
    struct iovec pool[RTL8139_POOL];
    uint8_t heads[NIC_BATCH][RTL8139_HEAD];
    uint8_t done[NIC_BATCH];      /* descriptors that are complete when the frame has gone */
    uint32_t after[NIC_BATCH];    /* large send: payload bytes gone with it; 0: the packet is complete */
    uint32_t count, used;
} rtl8139_batch;

typedef struct rtl8139 {
    bool link_up, full_duplex, sleeping;
    bool slot;              /* profiles with time: the next frame need not wait */
    uint8_t next;           /* C mode: the descriptor whose turn it is */
    uint8_t given;          /* C mode: bit n: TSDn was written with OWN 0 and is not done */
    bool aborted;           /* C mode: the last packet was given up, and the transmitter stands (DS 5.7, CLRABT) */
    bool again;             /* C mode: it is to be sent again */
    uint8_t pause_owed;     /* a PAUSE frame that the wire has not taken yet */
    uint64_t timer_base;    /* when TCTR was 0, ns on the clock */
    rtl8139_ring rings[RTL8139_RINGS];
    rtl8139_tally tally;
    uint32_t disturb[RTL8139_DISTURBANCES];
    /* receive */
    uint8_t receive_index;  /* C+: next descriptor */
    bool buffer_overflow, fifo_overflow; /* C+: before the packet to come */
    bool overflowed;        /* RXOVW was raised and there has been no room since */
    uint8_t retries;        /* C+: looks at a ring without room since there was some */
    bool looked_empty;      /* findings: the driver's last look at CR said BUFE */
    bool left_unread;       /* findings: it has cleared ROK since, over packets that it has not looked at */
    uint8_t unanswered;     /* findings: reads of ISR while it interrupts, since one of its causes was cleared or masked */
    uint32_t fifo_used, fifo_frames;
    uint8_t fifo[RTL8139_FIFO]; /* {u16 length, u16 NIC_FRAME_*, bytes, pad to 4} from the oldest on */
    uint8_t linear[RTL8139_LINEAR]; /* a packet that is not mapped, or in too many pieces; within one call */
    rtl8139_batch batch;
} rtl8139;

static inline rtl8139 *rtl8139_of(nic_device *device) { return device->card; }

/* ------------------------------------------------------------------ registers */

static inline uint32_t rtl8139_reg(const nic_device *device, uint32_t cell) { return device->cells[cell]; }

static inline bool rtl8139_loops(const nic_device *device)
{
    return (rtl8139_reg(device, RTL8139_TCR) & RTL8139_TCR_LBK) == RTL8139_TCR_LBK;
}

static inline bool rtl8139_cplus_transmit(const nic_device *device)
{
    return rtl8139_reg(device, RTL8139_CPCR) & RTL8139_CPCR_CPTX;
}

static inline bool rtl8139_cplus_receive(const nic_device *device)
{
    return rtl8139_reg(device, RTL8139_CPCR) & RTL8139_CPCR_CPRX;
}

/* 64-bit addresses need CPCR.DAC. */
static inline uint64_t rtl8139_address(const nic_device *device, uint32_t low, uint32_t high)
{
    return low | (rtl8139_reg(device, RTL8139_CPCR) & RTL8139_CPCR_DAC ? (uint64_t)high << 32 : 0);
}

static inline bool rtl8139_multicast_hashed(const nic_device *device, const uint8_t *address)
{
    uint32_t bit = nic_hash_big(address) >> 26;
    return rtl8139_reg(device, RTL8139_MAR + bit / 8) >> bit % 8 & 1;
}

/* ------------------------------------------------------------------ between the files */

/* rtl8139_tx.c: C mode, and what both modes send with */
void rtl8139_transmit(nic_device *device);
void rtl8139_write_tsd(nic_device *device, const nic_row *row, const nic_access *access);
uint32_t rtl8139_read_tsad(nic_device *device, const nic_row *row, const nic_access *access);
bool rtl8139_paced(nic_device *device, uint32_t length); /* profiles with time: whether the frame has to wait */
bool rtl8139_may_send(nic_device *device);
bool rtl8139_gives_up(nic_device *device);  /* whether the next packet meets too many collisions */
uint32_t rtl8139_met(nic_device *device);   /* what a packet that has gone met on its way, as bits of TSD (DS 5.2) */
void rtl8139_count_met(rtl8139 *card, uint32_t tsd);

/* Whether packets that are sent may meet anything. */
static inline bool rtl8139_disturbed(const rtl8139 *card)
{
    uint32_t left = 0;
#pragma GCC unroll 8
    for (uint32_t kind = 0; kind <= RTL8139_EXCESSIVE_COLLISIONS; kind++)
        left |= card->disturb[kind];
    return NIC_UNLIKELY(left);
}

/* rtl8139_cp_tx.c: C+ mode */
void rtl8139_cplus_rings(nic_device *device);

/* rtl8139_rx.c */
size_t rtl8139_receive(nic_device *device, const nic_frame *frames, size_t count);
void rtl8139_receive_looped(nic_device *device, const nic_frame *frames, size_t count);
void rtl8139_store(nic_device *device); /* moves what the FIFO holds into memory */
bool rtl8139_can_receive(nic_device *device);
void rtl8139_receive_started(nic_device *device);
uint32_t rtl8139_buffer_used(const nic_device *device); /* C mode: bytes of the receive buffer */
uint32_t rtl8139_buffer_size(const nic_device *device);

/* rtl8139.c */
void rtl8139_interrupt(nic_device *device);
void rtl8139_system_error(nic_device *device); /* a DMA transfer met nobody (DS 5.6, SERR) */
void rtl8139_paused(nic_device *device, uint32_t quanta); /* a valid PAUSE frame came */
void rtl8139_flow(nic_device *device);                    /* the room in the receive buffer changed */
uint64_t rtl8139_wire_time(const nic_device *device, uint32_t bytes);

#endif
