/*
 * PCnet, transmit: descriptors, frames, what the wire does to them, and their status (Transmit Descriptor Management,
 * Transmit Operation).
 *
 * A frame is gathered from STP to ENP in one go and its descriptors are given back once the wire has taken it, so the
 * chip never holds half a frame between two calls.
 */
#include "pcnet.h"

enum { /* TMD1 and TMD2 */
    TMD1_ADD_FCS = 1 << 29, /* NO_FCS with SWSTYLE 1 */
    TMD1_LTINT = 1 << 28,   /* as given; MORE as given back */
    TMD1_MORE = 1 << 28,
    TMD1_ONE = 1 << 27,
    TMD1_DEF = 1 << 26,
    TMD2_BUFF = (int)0x80000000,
    TMD2_UFLO = 1 << 30,
    TMD2_EXDEF = 1 << 29,
    TMD2_LCOL = 1 << 28,
    TMD2_LCAR = 1 << 27,
    TMD2_RTRY = 1 << 26,
    TMD2_ERRORS = (int)0xdc000000, /* those that ERR sums up; EXDEF is none of them */
};

enum {
    STYLE_ILACC = 1,
    DESCRIPTORS_PER_CALL = 1 << 12,
    ATTEMPTS = 16,
    JABBER = 25000, /* bytes that take 20 ms at 10 Mb/s (Jabber Function) */
};

enum { NOTHING, FRAME, NO_START, BROKEN, TOO_LONG, ABORTED };

static const uint8_t padding[PCNET_MIN];

/* ------------------------------------------------------------------ gathering */

typedef struct gathering {
    pcnet_sent sent;
    struct iovec *iov;
    uint32_t *given; /* TMD1 of each descriptor, as it was read */
    uint32_t pieces;
    uint32_t last;   /* TMD1 of the last descriptor that was looked at */
} gathering;

static bool is_mapped(const gathering *g)
{
    for (uint32_t i = 0; i < g->pieces; i++)
        if (!g->iov[i].iov_base)
            return false;
    return true;
}

/* Looks at the descriptors of one frame; `addresses` are those of its buffers. */
static int gather(nic_device *device, const pcnet_ring *ring, uint32_t index, uint32_t most, gathering *g,
                  uint32_t *addresses)
{
    g->sent = (pcnet_sent){.first = index};
    g->pieces = 0;
    for (;;) {
        pcnet_descriptor descriptor;
        if (!pcnet_fetch(device, ring, index, &descriptor))
            return ABORTED;
        if (!(descriptor.status & (uint32_t)PCNET_OWN))
            return g->sent.count ? BROKEN : NOTHING;
        if (!g->sent.count && !(descriptor.status & PCNET_STP)) {
            g->last = descriptor.status;
            return NO_START;
        }
        if (NIC_UNLIKELY(ring->style && (descriptor.status & PCNET_ONES) != PCNET_ONES))
            nic_find(device, PCNET_FIND_TX_COUNT_ONES, descriptor.status, index);
        uint32_t length = pcnet_length(descriptor.status);
        g->last = g->given[g->sent.count++] = descriptor.status;
        g->sent.length += length;
        if (g->sent.length > NIC_FRAME_MAX || g->pieces == PCNET_PIECES - 1)
            return TOO_LONG;
        addresses[g->pieces] = descriptor.address;
        g->iov[g->pieces++] = (struct iovec){pcnet_dma_map(device, descriptor.address, length, false), length};
        if (descriptor.status & PCNET_ENP)
            return FRAME;
        if (g->sent.count == most)
            return TOO_LONG;
        index = pcnet_next(ring, index);
    }
}

/* Copies the frame into the bounce buffer; false: the bus gave nothing. */
static bool bounce(nic_device *device, gathering *g, const uint32_t *addresses)
{
    pcnet_batch *batch = &pcnet_of(device)->batch;
    uint32_t done = 0;
    for (uint32_t i = 0; i < g->pieces; i++) {
        uint32_t length = (uint32_t)g->iov[i].iov_len;
        if (!(pcnet_swaps(device) ? pcnet_read_swapped(device, addresses[i], batch->bounce + done, length)
                                  : pcnet_dma_read(device, addresses[i], batch->bounce + done, length)))
            return false;
        done += (uint32_t)g->iov[i].iov_len;
    }
    g->iov[0] = (struct iovec){batch->bounce, done};
    g->pieces = 1;
    batch->bounced = true;
    return true;
}

/* Whether the chip adds the FCS (Transmit FCS Generation). */
static bool adds_fcs(nic_device *device, const pcnet_ring *ring, const gathering *g)
{
    if (pcnet_reg(device, PCNET_CSR4) & PCNET_CSR4_APAD_XMT)
        return true;
    bool enabled = !(pcnet_reg(device, PCNET_CSR15) & PCNET_CSR15_DXMTFCS);
    if (ring->style == STYLE_ILACC)
        return enabled && !(g->last & TMD1_ADD_FCS);
    return enabled || g->given[0] & TMD1_ADD_FCS;
}

/* The last four bytes are the FCS: they go, and what they are worth is noted. */
static void take_fcs(pcnet_batch *batch, gathering *g, uint32_t *flags)
{
    uint32_t length = g->sent.length;
    batch->fcs = 0;
    if (length < PCNET_FCS) {
        *flags |= NIC_FRAME_BAD_FCS;
        return;
    }
    uint8_t *bytes = g->iov[0].iov_base;
    g->sent.length = length - PCNET_FCS;
    g->iov[0].iov_len = g->sent.length;
    memcpy(&batch->fcs, bytes + g->sent.length, sizeof(batch->fcs));
    if (nic_crc32(0, bytes, g->sent.length) != batch->fcs)
        *flags |= NIC_FRAME_BAD_FCS;
}

/* Makes a frame of what was gathered: padding, FCS; false: the bus gave nothing. */
static bool finish_frame(nic_device *device, const pcnet_ring *ring, gathering *g, const uint32_t *addresses,
                         nic_frame *frame)
{
    uint32_t flags = 0;
    bool fcs = adds_fcs(device, ring, g);
    if (NIC_UNLIKELY(!fcs || !is_mapped(g) || pcnet_swaps(device)) && !bounce(device, g, addresses))
        return false;
    if (!fcs)
        take_fcs(&pcnet_of(device)->batch, g, &flags);
    if (NIC_UNLIKELY(g->sent.length > PCNET_MAX))
        nic_find(device, PCNET_FIND_TX_BABBLE, g->sent.length, g->sent.first);
    if (g->sent.length < PCNET_MIN) {
        if (pcnet_reg(device, PCNET_CSR4) & PCNET_CSR4_APAD_XMT) {
            g->iov[g->pieces++] = (struct iovec){(void *)(uintptr_t)padding, PCNET_MIN - g->sent.length};
            g->sent.length = PCNET_MIN;
        } else {
            nic_find(device, PCNET_FIND_TX_RUNT, g->sent.length, g->sent.first);
            flags |= NIC_FRAME_SHORT;
        }
    }
    *frame = (nic_frame){g->iov, g->pieces, g->sent.length, flags};
    return true;
}

/* ------------------------------------------------------------------ what becomes of it */

/* Whether the medium is there (TMD2.LCAR, CSR0.CERR). */
static bool has_carrier(nic_device *device)
{
    return pcnet_of(device)->link || pcnet_loops(device) ||
           (!pcnet_has_mii(device) && pcnet_reg(device, PCNET_CSR15) & PCNET_CSR15_DLNKTST);
}

/*
 * TDR is where the collision was seen, in bits of 10 Mb/s: in the first slot time, or after it (CSR94).  The Am79C970A
 * tells of it in TMD2 too, with RTRY.
 */
static void collide(nic_device *device, pcnet_sent *sent, uint32_t retries, uint32_t error)
{
    enum { EARLY = 100, LATE = 600, TDR_SHIFT = 16 };
    sent->misc |= error | retries;
    if (error == TMD2_RTRY && !pcnet_has_mii(device))
        sent->misc |= EARLY << TDR_SHIFT;
    if (retries == 1)
        sent->status |= TMD1_ONE;
    else if (retries > 1)
        sent->status |= TMD1_MORE;
    device->cells[PCNET_CSR94] = error == TMD2_LCOL ? LATE : EARLY;
}

/* What the wire and the chip itself do to a frame; returns whether it leaves the card whole. */
static bool meet(nic_device *device, pcnet_sent *sent)
{
    pcnet *card = pcnet_of(device);
    uint32_t mode = pcnet_reg(device, PCNET_CSR15);
    bool loops = pcnet_loops(device);
    if (NIC_UNLIKELY(mode & PCNET_CSR15_FCOLL) && loops)
        collide(device, sent, mode & PCNET_CSR15_DRTY ? 0 : ATTEMPTS - 1, TMD2_RTRY);
    if (NIC_UNLIKELY(!has_carrier(device))) {
        nic_find(device, PCNET_FIND_TX_LINK_DOWN, sent->first, 0);
        sent->misc |= TMD2_LCAR;
        if (!pcnet_has_mii(device))
            device->cells[PCNET_CSR0] |= PCNET_CSR0_CERR;
    }
    if (loops)
        return !(sent->misc & TMD2_RTRY);
    if (pcnet_disturbed(card, PCNET_DEFERRAL))
        sent->status |= TMD1_DEF;
    if (pcnet_disturbed(card, PCNET_EXCESSIVE_DEFERRAL)) {
        sent->misc |= TMD2_EXDEF;
        device->cells[PCNET_CSR5] |= PCNET_CSR5_EXDINT;
    }
    if (pcnet_disturbed(card, PCNET_ONE_COLLISION))
        collide(device, sent, 1, 0);
    if (pcnet_disturbed(card, PCNET_MORE_COLLISIONS))
        collide(device, sent, 2, 0);
    if (pcnet_disturbed(card, PCNET_LATE_COLLISION))
        collide(device, sent, 0, TMD2_LCOL);
    if (pcnet_disturbed(card, PCNET_EXCESSIVE_COLLISIONS))
        collide(device, sent, mode & PCNET_CSR15_DRTY ? 0 : ATTEMPTS - 1, TMD2_RTRY);
    if (pcnet_disturbed(card, PCNET_CARRIER_LOSS))
        sent->misc |= TMD2_LCAR;
    if (pcnet_disturbed(card, PCNET_UNDERFLOW))
        sent->misc |= TMD2_UFLO;
    if (pcnet_disturbed(card, PCNET_NO_HEARTBEAT) && !card->full_duplex)
        device->cells[PCNET_CSR0] |= PCNET_CSR0_CERR;
    return !(sent->misc & ((uint32_t)TMD2_ERRORS & ~(uint32_t)TMD2_LCAR)) && has_carrier(device);
}

/* Gives back all descriptors of a frame but the last as they are; false: the card was reset meanwhile. */
static bool give_back(nic_device *device, const pcnet_ring *ring, const pcnet_sent *sent, const uint32_t *given)
{
    uint32_t index = sent->first;
    for (uint32_t i = 0; i + 1 < sent->count; i++, index = pcnet_next(ring, index)) {
        pcnet_write_back(device, ring, index, given[i] & ~(uint32_t)PCNET_OWN, 0, false);
        if (device->resets != pcnet_of(device)->batch.resets)
            return false;
    }
    return true;
}

static uint32_t last_of(const pcnet_ring *ring, const pcnet_sent *sent)
{
    return (sent->first + sent->count - 1) % ring->count;
}

/* TMD1 of its last descriptor. */
static uint32_t final_status(const pcnet_sent *sent)
{
    return sent->status | (sent->misc & (uint32_t)TMD2_ERRORS ? PCNET_ERR : 0);
}

/* TMD1, TMD2 and causes of a frame that is over; an underflow switches the transmitter off (CSR3.DXSUFLO). */
static void report(nic_device *device, const pcnet_ring *ring, const pcnet_sent *sent, const uint32_t *given)
{
    uint32_t errors = sent->misc & (uint32_t)TMD2_ERRORS;
    if (!give_back(device, ring, sent, given))
        return;
    pcnet_write_back(device, ring, last_of(ring, sent), final_status(sent), sent->misc, true);
    if (device->resets != pcnet_of(device)->batch.resets)
        return;
    if (sent->length > PCNET_MAX)
        device->cells[PCNET_CSR0] |= PCNET_CSR0_BABL;
    if (sent->misc & (TMD2_UFLO | (uint32_t)TMD2_BUFF) && !(pcnet_reg(device, PCNET_CSR3) & PCNET_CSR3_DXSUFLO))
        device->cells[PCNET_CSR0] &= ~PCNET_CSR0_TXON;
    bool silent = pcnet_reg(device, PCNET_CSR5) & PCNET_CSR5_TOKINTD;
    if (errors || (sent->interrupt && !silent))
        device->cells[PCNET_CSR0] |= PCNET_CSR0_TINT;
}

/* ------------------------------------------------------------------ batches */

static bool was_reset(nic_device *device)
{
    return device->resets != pcnet_of(device)->batch.resets || !(pcnet_reg(device, PCNET_CSR0) & PCNET_CSR0_TXON);
}

/* CSR60 to CSR63: the descriptor that was given back last. */
static void show_previous(nic_device *device, const pcnet_ring *ring, uint32_t index, uint32_t status)
{
    pcnet_set_wide(device, PCNET_CSR60, ring->base + index * pcnet_size(ring));
    device->cells[PCNET_CSR62] = status & PCNET_COUNT;
    device->cells[PCNET_CSR63] = status >> 16;
}

static void show_sent(nic_device *device, const pcnet_ring *ring, const pcnet_sent *sent)
{
    show_previous(device, ring, last_of(ring, sent), final_status(sent));
}

/* Sends what is in the batch and gives its descriptors back; false: the wire is busy, or the card is not as it was. */
static bool flush(nic_device *device, pcnet_ring *ring)
{
    pcnet_batch *batch = &pcnet_of(device)->batch;
    uint32_t count = batch->count, taken = count;
    batch->count = batch->used = batch->descriptors = 0;
    batch->bounced = false;
    if (!count)
        return true;
    if (pcnet_loops(device))
        pcnet_receive_looped(device, batch->frames, count);
    else
        taken = (uint32_t)nic_port_send(&device->port, batch->frames, count);
    if (was_reset(device))
        return false;
    if (taken)
        device->cells[PCNET_CSR4] |= PCNET_CSR4_TXSTRT;
    for (uint32_t i = 0; i < taken; i++) {
        report(device, ring, &batch->sent[i], &batch->given[batch->sent[i].at]);
        if (NIC_UNLIKELY(was_reset(device)))
            return false;
        ring->index = (batch->sent[i].first + batch->sent[i].count) % ring->count;
    }
    if (taken)
        show_sent(device, ring, &batch->sent[taken - 1]);
    return taken == count;
}

/* A frame that does not leave the card, or not whole: its descriptors tell. */
static bool fail(nic_device *device, pcnet_ring *ring, const pcnet_sent *sent, const uint32_t *given)
{
    device->cells[PCNET_CSR4] |= PCNET_CSR4_TXSTRT;
    report(device, ring, sent, given);
    if (device->resets != pcnet_of(device)->batch.resets)
        return false;
    show_sent(device, ring, sent);
    ring->index = (sent->first + sent->count) % ring->count;
    return !was_reset(device);
}

/* A descriptor that begins no frame, or belongs to one that is lost, is given back as it is. */
static bool skip(nic_device *device, pcnet_ring *ring, uint32_t status)
{
    pcnet_write_back(device, ring, ring->index, status & ~(uint32_t)PCNET_OWN, 0, false);
    if (was_reset(device))
        return false;
    show_previous(device, ring, ring->index, status & ~(uint32_t)PCNET_OWN);
    ring->index = pcnet_next(ring, ring->index);
    return true;
}

/* The end of a frame longer than anything on a wire: the transceiver had cut it off (CSR4.JAB). */
static void end_long(nic_device *device)
{
    pcnet_of(device)->dropping = false;
    if (!pcnet_has_mii(device))
        device->cells[PCNET_CSR4] |= PCNET_CSR4_JAB;
    device->cells[PCNET_CSR0] |= PCNET_CSR0_TINT;
}

/* What is left of such a frame, up to ENP. */
static bool drop_rest(nic_device *device, pcnet_ring *ring, uint32_t *budget)
{
    for (; *budget; --*budget) {
        pcnet_descriptor descriptor;
        if (!pcnet_fetch(device, ring, ring->index, &descriptor) || was_reset(device) ||
            !(descriptor.status & (uint32_t)PCNET_OWN) || !skip(device, ring, descriptor.status))
            return false;
        if (descriptor.status & PCNET_ENP) {
            end_long(device);
            return true;
        }
    }
    return true;
}

/* BABL: what was looked at goes back; the rest is dropped by the steps that follow. */
static bool drop_long(nic_device *device, pcnet_ring *ring, const gathering *g)
{
    nic_find(device, PCNET_FIND_TX_BABBLE, g->sent.length, ring->index);
    device->cells[PCNET_CSR0] |= PCNET_CSR0_BABL;
    pcnet_of(device)->dropping = true;
    for (uint32_t i = 0; i < g->sent.count; i++)
        if (!skip(device, ring, g->given[i]))
            return false;
    if (g->last & PCNET_ENP)
        end_long(device);
    return true;
}

/* The chip owned the first descriptors of a frame, not the next (TMD2.BUFF). */
static bool break_chain(nic_device *device, pcnet_ring *ring, gathering *g)
{
    nic_find(device, PCNET_FIND_TX_CHAIN_BROKEN, (g->sent.first + g->sent.count) % ring->count, 0);
    g->sent.status = g->last & ~(uint32_t)(PCNET_OWN | TMD1_LTINT);
    g->sent.misc = (uint32_t)TMD2_BUFF | TMD2_UFLO;
    return fail(device, ring, &g->sent, g->given);
}

/* Adds a gathered frame to the batch, or says at once what became of it; false: stop. */
static bool add(nic_device *device, pcnet_ring *ring, gathering *g, const uint32_t *addresses)
{
    pcnet_batch *batch = &pcnet_of(device)->batch;
    nic_frame *frame = &batch->frames[batch->count];
    uint32_t wanted = g->last & TMD1_LTINT;
    if (!finish_frame(device, ring, g, addresses, frame)) {
        pcnet_abort(device);
        return false;
    }
    g->sent.status = g->last & ~(uint32_t)(PCNET_OWN | PCNET_ERR | TMD1_MORE | TMD1_ONE | TMD1_DEF);
    g->sent.interrupt = !(pcnet_reg(device, PCNET_CSR5) & PCNET_CSR5_LTINTEN) || wanted;
    bool leaves = meet(device, &g->sent);
    if (NIC_UNLIKELY(!leaves))
        return flush(device, ring) && fail(device, ring, &g->sent, g->given);
    g->sent.at = batch->descriptors;
    batch->sent[batch->count++] = g->sent;
    batch->used += g->pieces;
    batch->descriptors += g->sent.count;
    return true;
}

/* One step of the walk; false: stop. */
static bool step(nic_device *device, pcnet_ring *ring, uint32_t *budget)
{
    pcnet_batch *batch = &pcnet_of(device)->batch;
    uint32_t addresses[PCNET_PIECES], index = (ring->index + batch->descriptors) % ring->count;
    gathering g = {.iov = &batch->pool[batch->used], .given = &batch->given[batch->descriptors]};
    if (NIC_UNLIKELY(batch->count == NIC_BATCH || batch->bounced || batch->descriptors >= ring->count ||
                     PCNET_POOL - batch->used < PCNET_PIECES || PCNET_POOL - batch->descriptors < PCNET_PIECES))
        return flush(device, ring);
    switch (gather(device, ring, index, ring->count - batch->descriptors, &g, addresses)) {
    case FRAME:
        *budget -= g.sent.count < *budget ? g.sent.count : *budget;
        return add(device, ring, &g, addresses);
    case NO_START:
        --*budget;
        if (!flush(device, ring))
            return false;
        nic_find(device, PCNET_FIND_TX_NO_START, ring->index, 0);
        return skip(device, ring, g.last);
    case BROKEN:
        return flush(device, ring) && break_chain(device, ring, &g);
    case TOO_LONG:
        return flush(device, ring) && drop_long(device, ring, &g);
    default:
        return false;
    }
}

/* ------------------------------------------------------------------ time */

static uint64_t wire_time(nic_device *device, uint32_t bytes)
{
    enum { PREAMBLE = 8, GAP = 12 };
    uint64_t bit = pcnet_of(device)->megabits == 100 ? 10 : 100;
    return 8 * bit * (PREAMBLE + (bytes < PCNET_MIN ? PCNET_MIN : bytes) + PCNET_FCS + GAP);
}

/* What `count` descriptors and their buffers say, where these are mapped. */
static uint32_t digest(const gathering *g, const uint32_t *addresses, uint32_t count)
{
    uint32_t crc = nic_crc32(0, (const uint8_t *)addresses, count * sizeof(*addresses));
    crc = nic_crc32(crc, (const uint8_t *)g->given, count * sizeof(*g->given));
    for (uint32_t i = 0; i < count; i++)
        if (g->iov[i].iov_base)
            crc = nic_crc32(crc, g->iov[i].iov_base, g->iov[i].iov_len);
    return crc;
}

/*
 * The chip read the descriptors of the frame under way when it began, and no driver changes them or the data before its
 * end.  Rings that are not mapped are left out: another look would cost what the frame itself does.
 */
static bool was_let_be(nic_device *device, const pcnet_ring *ring)
{
    const pcnet *card = pcnet_of(device);
    uint32_t addresses[PCNET_PIECES];
    gathering g = {.iov = pcnet_of(device)->batch.pool, .given = pcnet_of(device)->batch.given};
    gather(device, ring, ring->index, ring->count, &g, addresses);
    return g.pieces >= card->glanced && digest(&g, addresses, card->glanced) == card->glance;
}

/* With the `wire` profile a frame takes its time: the next one, if there is one, is under way from now. */
static void take_time(nic_device *device, const pcnet_ring *ring)
{
    pcnet *card = pcnet_of(device);
    uint32_t addresses[PCNET_PIECES];
    gathering g = {.iov = card->batch.pool, .given = card->batch.given};
    if (gather(device, ring, ring->index, ring->count, &g, addresses) == NOTHING ||
        !(pcnet_reg(device, PCNET_CSR0) & PCNET_CSR0_TXON))
        return;
    card->under_way = true;
    card->glanced = g.pieces;
    card->glance = ring->memory ? digest(&g, addresses, g.pieces) : 0;
    device->cells[PCNET_CSR4] |= PCNET_CSR4_TXSTRT;
    nic_timer_set(device, PCNET_TIMER_TRANSMIT,
                  nic_now(device) + pcnet_bus_time(device, g.sent.length) + wire_time(device, g.sent.length));
}

/* ------------------------------------------------------------------ entry */

static bool may_send(nic_device *device)
{
    return pcnet_reg(device, PCNET_CSR0) & PCNET_CSR0_TXON && !pcnet_suspended(device) &&
           !(pcnet_reg(device, PCNET_CSR5) & PCNET_CSR5_MPMODE);
}

void pcnet_transmit(nic_device *device, bool sent)
{
    pcnet *card = pcnet_of(device);
    pcnet_batch *batch = &card->batch;
    pcnet_ring ring;
    bool timed = device->profile != NIC_PROFILE_INSTANT;
    batch->count = batch->used = batch->descriptors = 0;
    batch->bounced = false;
    batch->resets = device->resets;
    device->cells[PCNET_CSR0] &= ~PCNET_CSR0_TDMD;
    if (!may_send(device) || (card->under_way && !sent))
        return;
    if (!device->bus_master) {
        nic_find_general(device, NIC_GENERAL_BUS_MASTER, pcnet_wide(device, PCNET_CSR30), 16);
        return;
    }
    if (pcnet_disturbed(card, PCNET_BUS_TIMEOUT)) {
        pcnet_bus_timeout(device);
        return;
    }
    pcnet_load_ring(device, &ring, true);
    /* Once round the ring: descriptors that stay owned, in memory that keeps no write, wait for the next poll. */
    uint32_t budget = ring.count < DESCRIPTORS_PER_CALL ? ring.count : DESCRIPTORS_PER_CALL;
    uint32_t steps = timed ? 1 : 2 * budget; /* some only send what is gathered */
    bool round = budget == ring.count;
    if (!timed || card->under_way || card->dropping) {
        bool going = true;
        if (card->under_way && ring.memory && !was_let_be(device, &ring))
            nic_find(device, PCNET_FIND_TX_CHANGED, ring.index, 0);
        card->under_way = false;
        while (going && budget && steps--)
            going = card->dropping ? drop_rest(device, &ring, &budget) : step(device, &ring, &budget);
        if (device->resets == batch->resets && batch->count)
            going = flush(device, &ring) && going;
        if (device->resets != batch->resets)
            return;
        pcnet_save_ring(device, &ring, true);
        if (going && !timed && !round)
            nic_want_work(device, NIC_WORK_TRANSMIT);
    }
    pcnet_suspend_if_owed(device);
    if (timed && may_send(device))
        take_time(device, &ring);
    pcnet_interrupt(device);
}
