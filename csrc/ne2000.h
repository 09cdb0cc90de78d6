/*
 * The datapath of the NE2000 family: the DP8390 core, its packet memory, and the ports around them.
 *
 *   CR.TXP ─▶ ne2000_tx.c: packet memory ─▶ wire (or the FIFO: loopback)
 *   wire   ─▶ ne2000_rx.c: filters ─▶ receive ring in packet memory ─▶ ISR
 *   host   ◀▶ ne2000_dma.c: remote DMA port ◀▶ packet memory, PROM
 *   ne2000.c: command register, interrupts, hooks, resets
 *
 * Sections are those of National's DP8390D/NS32490D data sheet (July 1995), unless they name another document.
 */
#ifndef NICEMU_NE2000_H
#define NICEMU_NE2000_H

#include "nic.h"

#include "ne2000_api.h"
#include "ne2000_registers.h"
#include "offload.h"

enum {
    NE2000_RAM_BYTES = 16384,
    NE2000_PROM_BYTES = 32,    /* as the chip addresses it */
    NE2000_PAGE = 256,
    NE2000_HEADER = 4,         /* status, next page, byte count: in front of a received packet (7.0) */
    NE2000_FCS = 4,
    NE2000_MIN = 60,           /* IEEE 802.3 minFrameSize, without FCS */
    NE2000_MAX = 1514,         /* longest untagged frame, without FCS */
    NE2000_FIFO_BYTES = 8,     /* the receive half, which loopback can read out (12.0) */
    NE2000_TALLY_MAX = 192,    /* where tally counters stop (10.3) */
    NE2000_BYTE_NS = 800,      /* 8 bits at 10 Mb/s */
    NE2000_BACKLOG = 4096,     /* a host takes tens of milliseconds for a frame: more would only add delay */
    NE2000_OVERHEAD = 8 + 12,  /* preamble and gap between frames, in bytes of time */
    NE2000_SLOT = 64,          /* slot time of IEEE 802.3, in bytes of time */
    NE2000_ATTEMPTS = 16,      /* after so many collisions a packet is given up (8.0) */
    NE2000_BACKOFF_MAX = 10,   /* back-off is below two to this power, in slots */
};

enum { NE2000_READ = 1, NE2000_WRITE = 2, NE2000_SEND = 3, NE2000_ABORT = 4 }; /* CR.RD */

enum { NE2000_TIMER_WIRE }; /* the packet has left */

enum { /* ne2000.sending */
    NE2000_IDLE,
    NE2000_WAITING, /* for the chip to be started, the wire to take it, or its transmitter to be enabled */
    NE2000_ON_WIRE, /* until the timer expires */
    NE2000_SENT_LATE, /* its time on the wire is over, and the wire has not yet taken it */
};

enum { /* registers that power-on leaves undefined and starting needs: ne2000.written; PAR has a bit for each byte */
    NE2000_WROTE_PAR = 0x3f,
    NE2000_WROTE_PSTART = 1 << 6,
    NE2000_WROTE_PSTOP = 1 << 7,
    NE2000_WROTE_BNRY = 1 << 8,
    NE2000_WROTE_CURR = 1 << 9,
    NE2000_WROTE_DCR = 1 << 10,
    NE2000_WROTE_RCR = 1 << 11,
    NE2000_WROTE_TCR = 1 << 12,
    NE2000_WROTE_ALL = (1 << 13) - 1,
};

typedef struct ne2000 {
    uint8_t board;        /* NE2000_BOARD_*; what follows from it: */
    uint8_t tsr_ones;     /* bits of TSR that Realtek calls always 1 */
    uint16_t decoded;     /* mask of the address lines that the board decodes */
    uint16_t ram_first;   /* where packet memory begins; the PROM is below */
    uint32_t ram_bytes;

    uint8_t remote;       /* the remote DMA command under way, or 0 */
    uint8_t sending;
    bool stopping;        /* CR.STP was set during a transmission: ISR.RST follows */
    bool silenced;        /* TCR.ATD and a multicast that hashes to 62: the transmitter is off */
    bool overflowed;      /* the ring ran over and the chip was not stopped since */
    bool recovering;      /* it was stopped because the ring ran over, and was not started since */
    bool stuck;           /* local DMA was disabled by an overflow (7.0): nothing is stored until the chip is reset */
    uint8_t fifo_read, fifo_write;
    uint16_t written;     /* NE2000_WROTE_* since power-on */
    uint32_t disturb[NE2000_DISTURBANCES]; /* how many packets will meet it */
    uint8_t fifo[NE2000_FIFO_BYTES];
    uint8_t prom[NE2000_PROM_BYTES];
    uint8_t ram[NE2000_RAM_BYTES];

    uint8_t scratch[NIC_FRAME_MAX]; /* a frame that does not lie in one piece; of no meaning between calls */
} ne2000;

static inline ne2000 *ne2000_of(nic_device *device) { return device->card; }

/* ------------------------------------------------------------------ registers */

static inline uint32_t ne2000_reg(const nic_device *device, uint32_t cell) { return device->cells[cell]; }

static inline uint16_t ne2000_pair(const nic_device *device, uint32_t low, uint32_t high)
{
    return (uint16_t)(device->cells[low] | device->cells[high] << 8);
}

static inline void ne2000_set_pair(nic_device *device, uint32_t low, uint32_t high, uint16_t value)
{
    device->cells[low] = value & 0xff;
    device->cells[high] = value >> 8;
}

static inline bool ne2000_started(const nic_device *device)
{
    return (device->cells[NE2000_CR] & (NE2000_CR_STA | NE2000_CR_STP)) == NE2000_CR_STA;
}

/* DMA by words: an 8-bit board has none. */
static inline bool ne2000_words(nic_device *device)
{
    return device->cells[NE2000_DCR] & NE2000_DCR_WTS && ne2000_of(device)->board != NE2000_BOARD_NE1000;
}

/* Local DMA puts the bytes of a word in 68000's order (10.3 DCR). */
static inline bool ne2000_swaps(nic_device *device)
{
    return ne2000_words(device) && device->cells[NE2000_DCR] & NE2000_DCR_BOS;
}

static inline bool ne2000_loops(const nic_device *device) { return device->cells[NE2000_TCR] & NE2000_TCR_LB; }

static inline bool ne2000_is_realtek(nic_device *device)
{
    return ne2000_of(device)->board >= NE2000_BOARD_RTL8029;
}

/* Sends and receives at once: on twisted pair alone (RTL8029AS CONFIG3). */
static inline bool ne2000_full_duplex(nic_device *device)
{
    return ne2000_is_realtek(device) && device->cells[NE2000_CONFIG3] & NE2000_CONFIG3_FUDUP &&
           !(device->cells[NE2000_CONFIG0] & NE2000_CONFIG0_BNC);
}

static inline bool ne2000_disturbed(nic_device *device, uint32_t kind)
{
    return nic_disturbed(&ne2000_of(device)->disturb[kind]);
}

/* ------------------------------------------------------------------ packet memory, as the chip addresses it */

static inline bool ne2000_is_ram(const ne2000 *card, uint16_t address)
{
    return (address & card->decoded) >= card->ram_first;
}

/* Bytes of packet memory from an address that is packet memory up to its end. */
static inline uint32_t ne2000_ram_left(const ne2000 *card, uint16_t address)
{
    return card->ram_first + card->ram_bytes - (address & card->decoded);
}

static inline uint8_t *ne2000_ram(ne2000 *card, uint16_t address)
{
    return &card->ram[(address & card->decoded) - card->ram_first];
}

uint8_t ne2000_load(const ne2000 *card, uint16_t address);                /* ne2000_dma.c; the PROM reads too */
void ne2000_store(ne2000 *card, uint16_t address, uint8_t value);         /* elsewhere than packet memory: nothing */

/* ------------------------------------------------------------------ between the files */

/* ne2000.c */
void ne2000_interrupt(nic_device *device);
void ne2000_cause(nic_device *device, uint32_t causes); /* bits of ISR; the line follows with ne2000_interrupt */
void ne2000_stopped(nic_device *device);                /* enters the reset state */

/* ne2000_dma.c */
void ne2000_remote_command(nic_device *device, uint32_t command, uint32_t written);
uint32_t ne2000_port_read(nic_device *device, const nic_row *row, const nic_access *access);
void ne2000_port_write(nic_device *device, const nic_row *row, const nic_access *access);
bool ne2000_port_read_block(nic_device *device, const nic_access *access, void *buffer, size_t count);
bool ne2000_port_write_block(nic_device *device, const nic_access *access, const void *buffer, size_t count);

/* ne2000_tx.c */
void ne2000_transmit(nic_device *device);      /* CR.TXP was set */
void ne2000_send(nic_device *device);          /* goes on with what waits */
void ne2000_wire_expired(nic_device *device);
bool ne2000_carrier(nic_device *device);       /* something is on the wire */

/* ne2000_rx.c */
size_t ne2000_receive(nic_device *device, const nic_frame *frames, size_t count);
bool ne2000_can_receive(nic_device *device);
bool ne2000_recognizes(nic_device *device, const uint8_t *address, bool *group);

#endif
