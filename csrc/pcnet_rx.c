/*
 * PCnet, receive: address filter, buffers, descriptors, causes, Magic Packet (Receive Descriptor Management, Receive
 * Operation, Address Matching).
 *
 * The chip knows the current descriptor and the next one.  A frame that finds the current one not its own is missed, or
 * held back where the wire is lossless; one that needs a further buffer and does not get it ends with BUFF.
 */
#include "pcnet.h"

enum { /* RMD1, with 16-bit structures down to ENP */
    RMD1_FRAM = 1 << 29,
    RMD1_OFLO = 1 << 28,
    RMD1_CRC = 1 << 27,
    RMD1_BUFF = 1 << 26,
    RMD1_PAM = 1 << 22,
    RMD1_LAFM = 1 << 21,
    RMD1_BAM = 1 << 20,
    RMD1_GIVEN = PCNET_COUNT | PCNET_ONES,
    RPC_SHIFT = 16,
    RCC_SHIFT = 24,
};

enum {
    ALIGNMENT = 2,       /* bytes before a frame with CSR122.RCVALGN */
    WINDOW = 128,        /* bytes of a scattered frame that filters look at */
    MAGIC = 6 + 16 * 6,
    PARTS = NIC_FRAME_IOV + 4,
    AHEAD = 16,          /* descriptors that a lossless wire waits for */
    SEARCHED = 1024,     /* descriptors without STP that one frame may skip */
};

typedef struct walk { /* one call */
    nic_device *device;
    pcnet_ring ring;
    uint32_t mode;       /* CSR15 */
    uint32_t resets;     /* of the card when the call began */
    bool looped, runts, stored;
} walk;

typedef struct arrival { /* a frame, while it is looked at */
    const nic_frame *frame;
    const uint8_t *bytes; /* its first bytes in one piece */
    uint32_t length;      /* without FCS */
    uint32_t faults;      /* NIC_FRAME_* but SHORT */
    uint32_t match;       /* RMD1.PAM, LAFM or BAM */
    uint8_t buffer[WINDOW];
    struct iovec iov[1];
    nic_frame padded;
} arrival;

/* ------------------------------------------------------------------ address filter (Address Matching) */

static uint64_t address_at(const uint8_t *bytes)
{
    uint32_t low;
    uint16_t high;
    memcpy(&low, bytes, sizeof(low));
    memcpy(&high, bytes + 4, sizeof(high));
    return low | (uint64_t)high << 32;
}

static uint64_t physical_address(const nic_device *device)
{
    return pcnet_wide(device, PCNET_CSR12) | (uint64_t)pcnet_reg(device, PCNET_CSR14) << 32;
}

/* The six highest bits of the CRC of the address select one of the 64 bits of LADRF. */
static bool logical_match(const nic_device *device, const uint8_t *address)
{
    uint32_t bit = nic_hash_little(address) >> 26;
    return pcnet_reg(device, PCNET_CSR8 + (bit >> 4)) >> (bit & 15) & 1;
}

/* Whether the frame is for this station; LAFM is not set for a broadcast that comes in as one. */
static bool filter(const walk *w, arrival *a)
{
    uint64_t destination = address_at(a->bytes);
    if (!(a->bytes[0] & 1)) {
        if (!(w->mode & PCNET_CSR15_DRCVPA) && destination == physical_address(w->device))
            a->match = RMD1_PAM;
    } else if (destination == 0xffffffffffff && !(w->mode & PCNET_CSR15_DRCVBC)) {
        a->match = RMD1_BAM;
    } else if (logical_match(w->device, a->bytes)) {
        a->match = RMD1_LAFM;
    }
    return a->match || w->mode & PCNET_CSR15_PROM;
}

/* ------------------------------------------------------------------ one frame */

/* Brings a frame to where it can be looked at.  What senders pad, wires may leave out here. */
static void look(const nic_frame *frame, arrival *a)
{
    a->frame = frame;
    a->length = frame->length;
    a->bytes = frame->iovcnt ? frame->iov[0].iov_base : a->buffer;
    a->faults = frame->flags & ~(uint32_t)NIC_FRAME_SHORT;
    a->match = 0;
    if (NIC_LIKELY(frame->iovcnt == 1 && frame->length >= PCNET_MIN))
        return;
    nic_frame_copy(frame, a->buffer, WINDOW);
    a->bytes = a->buffer;
    if (frame->length >= PCNET_MIN)
        return;
    memset(a->buffer + frame->length, 0, PCNET_MIN - frame->length);
    if (frame->flags & NIC_FRAME_SHORT)
        return;
    a->length = PCNET_MIN;
    a->iov[0] = (struct iovec){a->buffer, PCNET_MIN};
    a->padded = (nic_frame){a->iov, 1, PCNET_MIN, 0};
    a->frame = &a->padded;
}

/* CSR112 and CSR114 count on through 0, and say so in CSR4. */
static void count_up(nic_device *device, uint32_t cell, uint32_t overflow)
{
    device->cells[cell] = (device->cells[cell] + 1) & 0xffff;
    if (!device->cells[cell])
        device->cells[PCNET_CSR4] |= overflow;
}

/* A frame of less than 64 bytes: what a collision left, or a runt (RMD2.RCC, RPC; CSR124.RPA); false: it goes no further. */
static bool take_runt(walk *w, const arrival *a)
{
    pcnet *card = pcnet_of(w->device);
    if (a->length >= PCNET_MIN)
        return true;
    if (a->faults & NIC_FRAME_BAD_FCS) {
        card->collisions += card->collisions < UINT8_MAX;
        count_up(w->device, PCNET_CSR114, PCNET_CSR4_RCVCCO);
    } else {
        card->runts += card->runts < UINT8_MAX;
    }
    return w->runts && a->length;
}

static void missed(walk *w)
{
    nic_device *device = w->device;
    count_up(device, PCNET_CSR112, PCNET_CSR4_MFCO);
    device->cells[PCNET_CSR0] |= PCNET_CSR0_MISS;
    nic_find(device, PCNET_FIND_RX_MISSED, pcnet_reg(device, PCNET_CSR112), 0);
}

/* The frame without padding and FCS, where its length field says that it has some (Automatic Pad Stripping). */
static bool strip(const nic_device *device, const arrival *a, uint32_t *length)
{
    enum { HEADER = 14, NO_PADDING = 46 };
    if (!(pcnet_reg(device, PCNET_CSR4) & PCNET_CSR4_ASTRP_RCV) || a->length < HEADER)
        return false;
    uint32_t field = nic_get16(a->bytes + 12);
    if (field >= NO_PADDING || HEADER + field > a->length)
        return false;
    *length = HEADER + field;
    return true;
}

/* ------------------------------------------------------------------ into the buffers */

typedef struct cursor { /* a place in scattered data */
    const struct iovec *iov;
    size_t at;
} cursor;

/* To guest memory: a looped-back frame may lie where it is to go, so the bytes may overlap. */
static bool put(nic_device *device, uint32_t address, cursor *c, uint32_t length)
{
    bool swaps = pcnet_swaps(device);
    uint8_t *to = swaps ? NULL : pcnet_dma_map(device, address, length, true);
    while (length) {
        size_t part = c->iov->iov_len - c->at < length ? c->iov->iov_len - c->at : length;
        const uint8_t *from = (const uint8_t *)c->iov->iov_base + c->at;
        if (NIC_LIKELY(to != NULL)) {
            memmove(to, from, part);
            to += part;
        } else if (part && !(swaps ? pcnet_write_swapped(device, address, from, (uint32_t)part)
                                   : pcnet_dma_write(device, address, from, (uint32_t)part))) {
            return false;
        }
        address += (uint32_t)part;
        length -= (uint32_t)part;
        c->at += part;
        if (c->at == c->iov->iov_len) {
            c->iov++;
            c->at = 0;
        }
    }
    return true;
}

static uint32_t end_status(const arrival *a)
{
    uint32_t status = PCNET_ENP | a->match;
    if (NIC_LIKELY(!a->faults))
        return status;
    return status | PCNET_ERR | RMD1_CRC | (a->faults & NIC_FRAME_ALIGNMENT ? RMD1_FRAM : 0);
}

static bool was_reset(const walk *w)
{
    return w->device->resets != w->resets || !(pcnet_reg(w->device, PCNET_CSR0) & PCNET_CSR0_RXON);
}

/*
 * The chip has read the current descriptor before a frame needs it, and no driver changes it from then on.  Rings that are
 * not mapped are left out: another look would cost what a frame does.
 */
void pcnet_look_ahead(nic_device *device, const pcnet_ring *ring)
{
    pcnet *card = pcnet_of(device);
    pcnet_descriptor descriptor;
    if (NIC_LIKELY(device->profile == NIC_PROFILE_INSTANT) || !ring->memory)
        return;
    pcnet_fetch(device, ring, ring->index, &descriptor);
    card->looked_ahead = descriptor.status & (uint32_t)PCNET_OWN;
    card->ahead_index = ring->index;
    card->ahead_address = descriptor.address;
    card->ahead_status = descriptor.status;
}

static void compare(const walk *w, const pcnet_descriptor *descriptor)
{
    pcnet *card = pcnet_of(w->device);
    bool same = card->ahead_address == descriptor->address && card->ahead_status == descriptor->status;
    card->looked_ahead = false;
    if (!same && card->ahead_index == w->ring.index)
        nic_find(w->device, PCNET_FIND_RX_CHANGED, w->ring.index, 0);
}

/* With CSR3.LAPPEN frames begin at descriptors with STP: those before it are given back unused. */
static bool find_start(walk *w, pcnet_descriptor *descriptor)
{
    for (uint32_t i = 0; i < w->ring.count && i < SEARCHED; i++) {
        if (!pcnet_fetch(w->device, &w->ring, w->ring.index, descriptor))
            return false;
        if (NIC_UNLIKELY(pcnet_of(w->device)->looked_ahead))
            compare(w, descriptor);
        if (!(descriptor->status & (uint32_t)PCNET_OWN))
            return false;
        if (descriptor->status & PCNET_STP || !(pcnet_reg(w->device, PCNET_CSR3) & PCNET_CSR3_LAPPEN))
            return true;
        pcnet_write_back(w->device, &w->ring, w->ring.index, descriptor->status & RMD1_GIVEN, 0, false);
        w->ring.index = pcnet_next(&w->ring, w->ring.index);
    }
    return false;
}

/* RMD2 has RPC and RCC with 32-bit structures of the Am79C970A; in later parts RFRTAG, which is 0, took their place. */
static void give_back(walk *w, uint32_t status, uint32_t count)
{
    pcnet *card = pcnet_of(w->device);
    uint32_t misc = 0;
    if (status & PCNET_ENP) {
        misc = count & PCNET_COUNT;
        if (NIC_UNLIKELY(card->runts || card->collisions)) {
            if (w->ring.style && !pcnet_has_mii(w->device))
                misc |= (uint32_t)card->runts << RPC_SHIFT | (uint32_t)card->collisions << RCC_SHIFT;
            card->runts = card->collisions = 0;
        }
    }
    pcnet_write_back(w->device, &w->ring, w->ring.index, status, misc, status & PCNET_ENP);
    w->ring.index = pcnet_next(&w->ring, w->ring.index);
}

/* Fills buffers from `descriptor` on. */
static void fill(walk *w, const arrival *a, pcnet_descriptor descriptor, const struct iovec *parts, uint32_t length,
                 uint32_t count)
{
    nic_device *device = w->device;
    cursor c = {parts, 0};
    uint32_t start = PCNET_STP;
    for (;;) {
        uint32_t size = pcnet_length(descriptor.status), given = descriptor.status & RMD1_GIVEN;
        if (NIC_UNLIKELY(w->ring.style && (given & PCNET_ONES) != PCNET_ONES))
            nic_find(device, PCNET_FIND_TX_COUNT_ONES, descriptor.status, w->ring.index);
        size = size < length ? size : length;
        if (!put(device, descriptor.address, &c, size)) {
            pcnet_abort(device);
            return;
        }
        if (NIC_UNLIKELY(was_reset(w)))
            return;
        length -= size;
        if (!length) {
            give_back(w, given | start | end_status(a), count);
            break;
        }
        pcnet_descriptor next;
        if (!pcnet_fetch(device, &w->ring, pcnet_next(&w->ring, w->ring.index), &next) || was_reset(w))
            return;
        if (!(next.status & (uint32_t)PCNET_OWN)) {
            nic_find(device, PCNET_FIND_RX_BUFFER_SHORT, w->ring.index, length);
            give_back(w, given | start | PCNET_ERR | RMD1_BUFF | RMD1_OFLO, 0);
            break;
        }
        give_back(w, given | start, 0);
        if (start && pcnet_reg(device, PCNET_CSR3) & PCNET_CSR3_LAPPEN)
            w->stored = true;
        start = 0;
        descriptor = next;
    }
    w->stored = true;
}

static void store(walk *w, const arrival *a, const pcnet_descriptor *descriptor)
{
    static const uint8_t gap[ALIGNMENT];
    nic_device *device = w->device;
    struct iovec parts[PARTS];
    uint32_t length = a->length, crc, n = 0, shift = 0;
    bool stripped = strip(device, a, &length);
    if (NIC_UNLIKELY(pcnet_reg(device, PCNET_CSR122) & PCNET_CSR122_RCVALGN)) {
        parts[n++] = (struct iovec){(void *)(uintptr_t)gap, ALIGNMENT};
        shift = ALIGNMENT;
    }
    memcpy(parts + n, a->frame->iov, a->frame->iovcnt * sizeof(*parts));
    n += a->frame->iovcnt;
    if (!stripped) {
        crc = nic_crc32_iov(a->frame->iov, a->frame->iovcnt);
        if (a->faults & (NIC_FRAME_BAD_FCS | NIC_FRAME_ALIGNMENT))
            crc = w->looped ? pcnet_of(device)->batch.fcs : ~crc;
        parts[n++] = (struct iovec){&crc, PCNET_FCS};
        length += PCNET_FCS;
    }
    fill(w, a, *descriptor, parts, length + shift, length);
}

/* ------------------------------------------------------------------ Magic Packet */

static bool is_magic(const nic_device *device, const uint8_t *bytes, uint32_t length)
{
    uint8_t wanted[MAGIC];
    uint64_t station = physical_address(device);
    memset(wanted, 0xff, 6);
    for (uint32_t i = 6; i < MAGIC; i += 6)
        memcpy(wanted + i, &station, 6);
    for (uint32_t at = 12; at + MAGIC <= length; at++)
        if (!memcmp(bytes + at, wanted, MAGIC))
            return true;
    return false;
}

/* In Magic Packet mode nothing is stored; the packet comes to the physical address, with MPPLBA to others too. */
static void watch_magic(walk *w, arrival *a)
{
    nic_device *device = w->device;
    uint8_t bytes[PCNET_MAX];
    bool wide = pcnet_reg(device, PCNET_CSR5) & PCNET_CSR5_MPPLBA ||
                (pcnet_has_mii(device) && pcnet_reg(device, PCNET_CSR116) & PCNET_CSR116_EMPPLBA);
    if (a->faults || !filter(w, a) || !(a->match & RMD1_PAM || (wide && a->match)))
        return;
    if (!is_magic(device, bytes, (uint32_t)nic_frame_copy(a->frame, bytes, sizeof(bytes))))
        return;
    device->cells[PCNET_CSR5] |= PCNET_CSR5_MPINT;
    if (pcnet_has_mii(device) && device->python && nic_py.event)
        nic_py.event(device->python, PCNET_EVENT_WAKE, PCNET_CSR116_MPMAT);
}

/* ------------------------------------------------------------------ patterns (OnNow Pattern Match Mode) */

enum { PATTERN_END = 0x80, PATTERN_MASK = 0x0f, PATTERNS = 8 };

/*
 * Whether the frame has the pattern that begins at a word of the RAM: byte 0 of each word is its control byte, with
 * the double words of the frame to skip first, and which of the four bytes behind it count.
 */
static bool has_pattern(const uint8_t *ram, uint32_t word, const uint8_t *bytes, uint32_t length)
{
    for (uint32_t at = 0; word < PCNET_PATTERN_WORDS; word++, at += 4) {
        const uint8_t *entry = ram + word * PCNET_PATTERN_BYTES;
        at += 4 * (entry[0] >> 4 & 7);
        for (uint32_t i = 0; i < 4; i++)
            if (entry[0] & PATTERN_MASK & 1u << i && (at + i >= length || bytes[at + i] != entry[1 + i]))
                return false;
        if (entry[0] & PATTERN_END)
            return true;
    }
    return false;
}

/* Words 0 and 1 say which of the eight patterns are there and where they begin. */
static void watch_patterns(const walk *w, const arrival *a)
{
    nic_device *device = w->device;
    const uint8_t *ram = pcnet_of(device)->patterns;
    uint8_t bytes[PCNET_MAX];
    uint32_t length = (uint32_t)nic_frame_copy(a->frame, bytes, sizeof(bytes));
    if (a->faults || pcnet_reg(device, PCNET_CSR116) & PCNET_CSR116_PMAT)
        return;
    for (uint32_t i = 0; i < PATTERNS; i++) {
        uint32_t begin = ram[i / 4 * PCNET_PATTERN_BYTES + 1 + i % 4];
        if (ram[0] >> i & 1 && has_pattern(ram, begin, bytes, length)) {
            if (device->python && nic_py.event)
                nic_py.event(device->python, PCNET_EVENT_WAKE, PCNET_CSR116_PMAT);
            return;
        }
    }
}

static bool watches_patterns(const nic_device *device)
{
    return pcnet_has_mii(device) && pcnet_reg(device, PCNET_BCR45) & PCNET_BCR45_PMAT_MODE;
}

/* Out of D0 there is no DMA, and nothing is missed for want of it. */
static bool sleeps(const nic_device *device)
{
    enum { POWER_STATE = 3 };
    uint32_t pm = device->model->pci.pm_control;
    return pm != NIC_NO_CELL && device->cells[pm] & POWER_STATE;
}

/* ------------------------------------------------------------------ the walk */

static void begin(nic_device *device, walk *w, bool looped)
{
    *w = (walk){.device = device, .resets = device->resets, .mode = pcnet_reg(device, PCNET_CSR15), .looped = looped};
    w->runts = pcnet_reg(device, PCNET_CSR124) & PCNET_CSR124_RPA || w->mode & PCNET_CSR15_LOOP || looped;
    pcnet_load_ring(device, &w->ring, false);
}

/* Whether the frame finds buffers; only what the chip can come to own is waited for. */
static bool finds_room(const walk *w, uint32_t length)
{
    uint32_t index = w->ring.index;
    for (uint32_t i = 0; i < w->ring.count && i < AHEAD; i++, index = pcnet_next(&w->ring, index)) {
        pcnet_descriptor descriptor;
        if (!w->device->bus_master || !pcnet_fetch(w->device, &w->ring, index, &descriptor))
            return true;
        if (!(descriptor.status & (uint32_t)PCNET_OWN))
            return false;
        uint32_t size = pcnet_length(descriptor.status);
        if (size >= length)
            return true;
        length -= size;
    }
    return true;
}

/* Returns false if the frame has to be held back. */
static bool take(walk *w, const nic_frame *frame, bool hold)
{
    nic_device *device = w->device;
    pcnet_descriptor descriptor;
    arrival a;
    look(frame, &a);
    if (NIC_UNLIKELY(pcnet_reg(device, PCNET_CSR5) & PCNET_CSR5_MPMODE)) {
        watch_magic(w, &a);
        return true;
    }
    if (NIC_UNLIKELY(watches_patterns(device)))
        watch_patterns(w, &a);
    if (NIC_UNLIKELY(sleeps(device)))
        return true;
    if (!(pcnet_reg(device, PCNET_CSR0) & PCNET_CSR0_RXON) || !take_runt(w, &a) || !filter(w, &a))
        return true;
    if (hold && !finds_room(w, a.length + PCNET_FCS))
        return false;
    if (!device->bus_master) {
        nic_find_general(device, NIC_GENERAL_BUS_MASTER, w->ring.base, 16);
        missed(w);
        return true;
    }
    bool found = find_start(w, &descriptor);
    if (NIC_UNLIKELY(was_reset(w)))
        return true;
    if (!found) {
        missed(w);
        return true;
    }
    if (pcnet_disturbed(pcnet_of(device), PCNET_RECEIVE_OVERFLOW)) {
        give_back(w, (descriptor.status & RMD1_GIVEN) | PCNET_STP | PCNET_ERR | RMD1_OFLO, 0);
        w->stored = true;
        return true;
    }
    store(w, &a, &descriptor);
    return true;
}

static size_t receive(nic_device *device, const nic_frame *frames, size_t count, bool looped)
{
    walk w;
    size_t taken = 0;
    bool hold = device->port.hold && !looped;
    if (pcnet_suspended(device)) /* what comes in waits where it can */
        return hold ? 0 : count;
    begin(device, &w, looped);
    while (taken < count && take(&w, &frames[taken], hold))
        taken++;
    if (device->resets != w.resets)
        return count;
    if (pcnet_reg(device, PCNET_CSR0) & PCNET_CSR0_RXON) {
        pcnet_save_ring(device, &w.ring, false);
        pcnet_look_ahead(device, &w.ring);
    }
    if (w.stored)
        device->cells[PCNET_CSR0] |= PCNET_CSR0_RINT;
    pcnet_interrupt(device);
    if (taken < count)
        pcnet_poll_later(device);
    return taken;
}

size_t pcnet_receive(nic_device *device, const nic_frame *frames, size_t count)
{
    return pcnet_loops(device) ? count : receive(device, frames, count, false);
}

void pcnet_receive_looped(nic_device *device, const nic_frame *frames, size_t count)
{
    receive(device, frames, count, true);
}

bool pcnet_can_receive(nic_device *device)
{
    walk w;
    struct iovec iov;
    nic_frame frame = {.length = PCNET_MAX};
    if (pcnet_loops(device) || !(pcnet_reg(device, PCNET_CSR0) & PCNET_CSR0_RXON))
        return true; /* it would be gone */
    if (pcnet_suspended(device))
        return false;
    begin(device, &w, false);
    nic_queue_peek(&device->port.inbound, &frame, &iov);
    return finds_room(&w, frame.length + PCNET_FCS);
}
