/*
 * RTL8139C+, transmit in C+ mode: two rings of descriptors, checksums, large send and VLAN tags.
 *
 * A packet is gathered from its descriptors as pieces of guest memory; up to NIC_BATCH frames go to the wire at once, and
 * the descriptors of those that it took are given back.  A large send that is cut short is gathered again when it goes
 * on: nothing of it is kept but how far it has come.
 */
#include "rtl8139.h"

enum {
    OPTS2 = 4,         /* bytes of the descriptor */
    ADDRESS = 8,
    TAG = 4,           /* bytes of a VLAN tag */
    ADDRESSES = 12,    /* bytes before it */
    NETWORK = 14,      /* offset of the IP header behind an untagged Ethernet header */
    TCP_FLAGS = 13,
    TCP_SUM = 16,
    TCP_CWR = 0x80,
    LARGE_MAX = NETWORK + 65535,
    BUDGET = 4 * NIC_BATCH, /* frames and faulty packets in one call */
    MSS_SHIFT = 16,
    MSS = 0x7ff,
    SIZE = 0xffff,
    ROUND_NS = 10000000,
    OFFLOADS = RTL8139_LGSEN | RTL8139_IPCS | RTL8139_UDPCS | RTL8139_TCPCS,
};

typedef struct packet {
    struct iovec pieces[RTL8139_PIECES];
    uint32_t count;
    uint32_t descriptors, length;
    uint32_t opts1, opts2; /* of its first descriptor */
    uint32_t after;        /* index of the descriptor behind it */
    bool bad, failed;      /* it cannot be sent; a bus error */
} packet;

typedef struct walk { /* one call, one ring */
    nic_device *device;
    rtl8139_ring *ring;
    uint32_t number;  /* RTL8139_NORMAL, RTL8139_HIGH */
    uint64_t base;
    uint8_t *memory;  /* all of the ring, or NULL where it is not mapped in one piece */
    uint64_t fetched; /* bit n: words[n] is descriptor n as it was read; once, since the guest may change it */
    uint32_t words[RTL8139_RING][4];
    uint32_t at;      /* next descriptor to look at; ring->index is behind by what the batch holds */
    uint32_t budget;
    uint32_t resets;
    uint32_t causes;
    bool disturbed;   /* packets may meet something */
    bool waits;       /* the wire takes no more, or the frame's time has not come */
} walk;

static bool was_reset(const walk *w) { return w->device->resets != w->resets; }

/* ------------------------------------------------------------------ descriptors */

/* A descriptor as it was when the chip first looked at it, or NULL after a bus error. */
static const uint32_t *fetch(walk *w, uint32_t index)
{
    uint32_t *words = w->words[index];
    if (w->fetched >> index & 1)
        return words;
    if (NIC_LIKELY(w->memory != NULL))
        memcpy(words, w->memory + (size_t)index * RTL8139_DESCRIPTOR, RTL8139_DESCRIPTOR);
    else if (!nic_dma_read(w->device, w->base + (uint64_t)index * RTL8139_DESCRIPTOR, words, RTL8139_DESCRIPTOR))
        return NULL;
    w->device->counters.descriptors++;
    w->fetched |= 1ull << index;
    return words;
}

static uint32_t next_index(walk *w, uint32_t index, uint32_t opts1)
{
    if (opts1 & RTL8139_EOR)
        return 0;
    if (index + 1 < RTL8139_RING)
        return index + 1;
    nic_find(w->device, RTL8139_FIND_CP_RING_LENGTH, w->number, 0);
    return 0;
}

/* Gives descriptors back from the ring's index on: all but EOR, FS, LS and the status reads 0 afterwards. */
static void give_back(walk *w, uint32_t count, uint32_t status)
{
    uint32_t index = w->ring->index;
    for (; count; count--) {
        uint32_t opts1 = (w->words[index][0] & (RTL8139_EOR | RTL8139_FS | RTL8139_LS)) | status;
        if (NIC_LIKELY(w->memory != NULL))
            __atomic_store_n((uint32_t *)(void *)(w->memory + (size_t)index * RTL8139_DESCRIPTOR), opts1,
                             __ATOMIC_RELEASE);
        else
            nic_dma_write(w->device, w->base + (uint64_t)index * RTL8139_DESCRIPTOR, &opts1, sizeof(opts1));
        if (was_reset(w))
            return;
        w->fetched &= ~(1ull << index);
        w->ring->walked++;
        index = opts1 & RTL8139_EOR ? 0 : (index + 1) % RTL8139_RING;
        w->ring->index = (uint8_t)index;
    }
    w->ring->sent = w->ring->segment = 0;
}

/* ------------------------------------------------------------------ gathering */

/* All of a packet that is not mapped, or in too many pieces, in one. */
static void linearise(walk *w, packet *p, uint64_t address, uint32_t size)
{
    uint8_t *copy = rtl8139_of(w->device)->linear;
    if (p->count != 1 || p->pieces[0].iov_base != copy) {
        uint32_t at = 0;
        for (uint32_t i = 0; i < p->count; i++) {
            memcpy(copy + at, p->pieces[i].iov_base, p->pieces[i].iov_len);
            at += (uint32_t)p->pieces[i].iov_len;
        }
        p->pieces[0] = (struct iovec){copy, at};
        p->count = 1;
    }
    if (!nic_dma_read(w->device, address, copy + p->pieces[0].iov_len, size))
        p->failed = true;
    p->pieces[0].iov_len += size;
}

static void gather(walk *w, packet *p, const uint32_t words[4])
{
    uint32_t size = words[0] & SIZE;
    uint64_t address = rtl8139_address(w->device, words[ADDRESS / 4], words[ADDRESS / 4 + 1]);
    if (NIC_UNLIKELY(words[ADDRESS / 4 + 1] && !(address >> 32)))
        nic_find(w->device, RTL8139_FIND_CP_HIGH_ADDRESS, words[ADDRESS / 4 + 1], 0);
    p->length += size;
    if (!size || p->failed)
        return;
    void *mapped = nic_dma_map(w->device, address, size, false);
    bool linear = p->count == 1 && p->pieces[0].iov_base == rtl8139_of(w->device)->linear;
    if (NIC_LIKELY(mapped && !linear && p->count < RTL8139_PIECES - 2))
        p->pieces[p->count++] = (struct iovec){mapped, size};
    else if (p->length <= RTL8139_LINEAR)
        linearise(w, p, address, size);
    else
        p->bad = true;
}

/* Adds a descriptor to the packet; returns false if it does not belong to it. */
static bool add_descriptor(walk *w, packet *p, uint32_t index, const uint32_t words[4])
{
    bool first = !p->descriptors, marked = words[0] & RTL8139_FS;
    if (NIC_UNLIKELY(first != marked)) {
        nic_find(w->device, RTL8139_FIND_CP_NO_FIRST, words[0], index);
        p->bad = true;
        if (!first)
            return false;
    }
    if (first) {
        p->opts1 = words[0];
        p->opts2 = words[OPTS2 / 4];
    }
    p->descriptors++;
    gather(w, p, words);
    return true;
}

/* The packet that begins at w->at; returns false if it is not all there. */
static bool gather_packet(walk *w, packet *p)
{
    uint32_t index = w->at;
    p->count = p->descriptors = p->length = 0;
    p->bad = p->failed = false;
    for (;;) {
        const uint32_t *words = fetch(w, index);
        if (!words) {
            p->failed = true;
            return false;
        }
        if (was_reset(w) || !(words[0] & RTL8139_OWN))
            return false;
        if (!add_descriptor(w, p, index, words))
            break;
        index = next_index(w, index, words[0]);
        if (words[0] & RTL8139_LS || p->bad)
            break;
        if (index == w->ring->index) { /* once round */
            if (index != w->at)
                return false; /* the rest is what the batch holds: not the chip's any more */
            nic_find(w->device, RTL8139_FIND_CP_NO_LAST, w->number, 0);
            p->bad = true;
            break;
        }
    }
    p->after = index;
    return !was_reset(w);
}

/* ------------------------------------------------------------------ frames */

/* Adds the bytes [first, end) of the packet's pieces to a frame. */
static uint32_t slice(const packet *p, uint32_t first, uint32_t end, struct iovec *iov)
{
    uint32_t count = 0, at = 0;
    for (uint32_t i = 0; i < p->count && at < end; i++) {
        uint32_t size = (uint32_t)p->pieces[i].iov_len, from = first > at ? first - at : 0;
        uint32_t to = end - at < size ? end - at : size;
        if (from < to)
            iov[count++] = (struct iovec){(uint8_t *)p->pieces[i].iov_base + from, to - from};
        at += size;
    }
    return count;
}

static void copy_head(const packet *p, uint8_t *head, uint32_t size)
{
    for (uint32_t i = 0; i < p->count && size; i++) {
        uint32_t part = p->pieces[i].iov_len < size ? (uint32_t)p->pieces[i].iov_len : size;
        memcpy(head, p->pieces[i].iov_base, part);
        head += part;
        size -= part;
    }
}

/* The sums of a frame whose headers lie in its first piece; what it has not is left alone, and reported. */
static bool insert_checksums(struct iovec *iov, uint32_t count, uint32_t length, uint32_t opts1)
{
    uint8_t *head = iov[0].iov_base;
    uint32_t window = (uint32_t)iov[0].iov_len;
    nic_headers h;
    nic_parse(head, window, length, 0x8100, &h);
    bool whole = h.version == 4;
    if (whole && opts1 & RTL8139_IPCS) {
        nic_sum sum = {0};
        memset(head + h.network + 10, 0, 2);
        nic_sum_add(&sum, head + h.network, (size_t)h.transport - h.network);
        nic_put16(head + h.network + 10, (uint16_t)~nic_sum_value(&sum));
    }
    if (!(opts1 & (RTL8139_TCPCS | RTL8139_UDPCS)))
        return whole;
    bool udp = h.protocol == NIC_IPPROTO_UDP;
    uint32_t field = h.transport + (udp ? 6u : 16u), asked = udp ? RTL8139_UDPCS : RTL8139_TCPCS;
    if (!whole || !h.whole || h.fragment || (!udp && h.protocol != NIC_IPPROTO_TCP) || !(opts1 & asked) ||
        field + 2 > window || h.payload < (udp ? 8u : 20u))
        return false;
    nic_sum sum = {0};
    memset(head + field, 0, 2);
    nic_sum_add_pseudo(&sum, head, &h);
    nic_sum_add_iov(&sum, iov, count, h.transport, h.transport + h.payload);
    uint16_t value = (uint16_t)~nic_sum_value(&sum);
    nic_put16(head + field, udp && !value ? 0xffff : value); /* RFC 768: 0 is for none */
    return true;
}

/* Puts the tag behind the addresses, which lie in the first piece with room behind it. */
static void insert_tag(struct iovec *iov, uint32_t opts2)
{
    uint8_t *head = iov[0].iov_base;
    memmove(head + ADDRESSES + TAG, head + ADDRESSES, iov[0].iov_len - ADDRESSES);
    nic_put16(head + ADDRESSES, 0x8100);
    head[ADDRESSES + 2] = (uint8_t)opts2; /* the tag stands in memory as on the wire */
    head[ADDRESSES + 3] = (uint8_t)(opts2 >> 8);
    iov[0].iov_len += TAG;
}

/* What is short is padded: FreeBSD's re counts on it (RL_FLAG_AUTOPAD), iPXE's driver too. */
static void close_frame(rtl8139_batch *batch, struct iovec *iov, uint32_t count, uint32_t length, uint32_t descriptors,
                        uint32_t after)
{
    static const uint8_t zeros[RTL8139_MIN];
    if (NIC_UNLIKELY(length < RTL8139_MIN)) {
        iov[count++] = (struct iovec){(void *)(uintptr_t)zeros, RTL8139_MIN - length};
        length = RTL8139_MIN;
    }
    batch->done[batch->count] = (uint8_t)descriptors;
    batch->after[batch->count] = after;
    batch->frames[batch->count++] = (nic_frame){iov, count, length, 0, NULL};
    batch->used += count;
}

/* One frame of the packet: its first `header` bytes, then [first, end) of the rest. */
static void add_frame(walk *w, const packet *p, const uint8_t *header, uint32_t header_size, uint32_t first,
                      uint32_t end, uint32_t opts1, uint32_t after)
{
    rtl8139_batch *batch = &rtl8139_of(w->device)->batch;
    struct iovec *iov = batch->pool + batch->used;
    uint8_t *head = batch->heads[batch->count];
    uint32_t length = header_size + end - first;
    if (head != header)
        memcpy(head, header, header_size);
    iov[0] = (struct iovec){head, header_size};
    uint32_t count = 1 + slice(p, first, end, iov + 1);
    if (opts1 & (RTL8139_IPCS | RTL8139_TCPCS | RTL8139_UDPCS) && !insert_checksums(iov, count, length, opts1))
        nic_find(w->device, RTL8139_FIND_CP_CHECKSUM, opts1, w->at);
    if (p->opts2 & RTL8139_TAGC && header_size >= ADDRESSES) {
        insert_tag(iov, p->opts2);
        length += TAG;
    }
    close_frame(batch, iov, count, length, after ? 0 : p->descriptors, after);
}

/* ------------------------------------------------------------------ the wire */

/* What a packet met on its way, as a descriptor tells it. */
static uint32_t status_of(uint32_t tsd)
{
    return (tsd & (RTL8139_TSD_CRS | RTL8139_TSD_OWC) ? RTL8139_TES : 0) | (tsd & RTL8139_TSD_CRS ? RTL8139_LNKF : 0) |
           (tsd & RTL8139_TSD_OWC ? RTL8139_OWC : 0) | (tsd & RTL8139_TSD_TUN ? RTL8139_UNF : 0) |
           (tsd & RTL8139_TSD_NCC) >> RTL8139_TSD_NCC_SHIFT << RTL8139_COLLISIONS_SHIFT;
}

/* A packet has gone: its descriptors are given back. */
static void finish(walk *w, uint32_t descriptors)
{
    rtl8139 *card = rtl8139_of(w->device);
    uint32_t met = NIC_UNLIKELY(w->disturbed) ? rtl8139_met(w->device) : 0;
    w->causes |= RTL8139_ISR_TOK;
    if (NIC_LIKELY(!met)) {
        give_back(w, descriptors, 0);
        card->tally.tx_ok++;
        return;
    }
    give_back(w, descriptors, status_of(met));
    rtl8139_count_met(card, met);
}

/* The frames of the batch that went. */
static void complete(walk *w, uint32_t count)
{
    const rtl8139_batch *batch = &rtl8139_of(w->device)->batch;
    for (uint32_t i = 0; i < count && !was_reset(w); i++) {
        if (batch->after[i]) {
            w->ring->sent = batch->after[i];
            w->ring->segment++;
            continue;
        }
        finish(w, batch->done[i]);
    }
}

static void flush(walk *w)
{
    rtl8139 *card = rtl8139_of(w->device);
    rtl8139_batch *batch = &card->batch;
    uint32_t count = batch->count;
    size_t taken = count;
    if (!count)
        return;
    if (rtl8139_loops(w->device))
        rtl8139_receive_looped(w->device, batch->frames, count);
    else
        taken = nic_port_send(&w->device->port, batch->frames, count);
    if (was_reset(w))
        return;
    complete(w, (uint32_t)taken);
    batch->count = batch->used = 0;
    if (was_reset(w))
        return;
    if (taken < count) {
        w->waits = true;
        card->slot = true; /* its time on the wire is over */
        w->at = w->ring->index;
    }
}

/* ------------------------------------------------------------------ packets */

/* Gives a packet back that is not sent. */
static void refuse(walk *w, const packet *p, uint32_t status)
{
    flush(w);
    if (w->waits || was_reset(w))
        return;
    give_back(w, p->descriptors, RTL8139_TES | status);
    rtl8139_of(w->device)->tally.tx_err++;
    w->causes |= RTL8139_ISR_TER;
    w->at = p->after;
}

/* Whether the packet has to do with collisions that end it; only the descriptor tells (CLRABT is C mode's). */
static bool collides(walk *w, const packet *p)
{
    rtl8139 *card = rtl8139_of(w->device);
    flush(w);
    if (w->waits || was_reset(w))
        return true;
    if (rtl8139_paced(w->device, p->length)) {
        w->waits = true;
        return true;
    }
    if (!rtl8139_gives_up(w->device)) {
        card->slot = true;
        return false;
    }
    refuse(w, p, RTL8139_EXC | 15u << RTL8139_COLLISIONS_SHIFT);
    card->tally.tx_abort++;
    w->budget--;
    return true;
}

static bool room(const rtl8139_batch *batch, const packet *p)
{
    return batch->count < NIC_BATCH && batch->used + p->count + 2 <= RTL8139_POOL;
}

/* ------------------------------------------------------------------ large send */

/* Whether the wire segments the packet, and into the frames that the chip makes: where CWR is, others clear it behind the
 * first. */
static bool leaves_large(nic_device *device, const packet *p, const nic_segmenter *s, const uint8_t *header)
{
    uint32_t mss = p->opts1 >> MSS_SHIFT & MSS;
    return NIC_UNLIKELY(nic_port_offloads(&device->port) & NIC_OFFLOAD_TCP4) && device->profile == NIC_PROFILE_INSTANT &&
           !rtl8139_loops(device) && !(p->opts2 & RTL8139_TAGC) && s->network == NETWORK && p->length <= LARGE_MAX &&
           p->length - s->header > mss && s->header + mss >= RTL8139_MIN &&
           !(header[s->transport + TCP_FLAGS] & TCP_CWR);
}

/* Has the wire segment the packet, which goes alone; false: the wire does not any more. */
static bool send_whole(walk *w, const packet *p, const nic_segmenter *s, uint8_t *header)
{
    nic_device *device = w->device;
    uint32_t mss = p->opts1 >> MSS_SHIFT & MSS, segments = (p->length - s->header + mss - 1) / mss;
    struct iovec iov[RTL8139_PIECES];
    nic_offload left = {.kind = NIC_OFFLOAD_TCP4, .checksum_start = s->transport, .checksum_offset = TCP_SUM,
                        .header_length = s->header, .segment_size = (uint16_t)mss};
    flush(w);
    if (w->waits || was_reset(w))
        return true;
    if (!(nic_port_offloads(&device->port) & NIC_OFFLOAD_TCP4))
        return false;
    nic_large_headers(header, s->network, s->transport, p->length);
    iov[0] = (struct iovec){header, s->header};
    nic_frame whole = {iov, 1 + slice(p, s->header, p->length, iov + 1), p->length, 0, &left};
    nic_port_send(&device->port, &whole, 1);
    if (was_reset(w))
        return true;
    finish(w, p->descriptors);
    w->budget -= segments < w->budget ? segments : w->budget;
    w->at = p->after;
    return true;
}

/* Large send: cuts the packet into frames of MSS bytes of TCP data each, as many as the batch has room for. */
static void send_large(walk *w, const packet *p)
{
    rtl8139_batch *batch = &rtl8139_of(w->device)->batch;
    uint8_t header[RTL8139_HEAD];
    uint32_t window = p->length < RTL8139_HEAD - TAG ? p->length : RTL8139_HEAD - TAG;
    uint32_t mss = p->opts1 >> MSS_SHIFT & MSS;
    nic_headers h;
    copy_head(p, header, window);
    nic_parse(header, window, p->length, 0x8100, &h);
    bool tcp = h.version == 4 && h.protocol == NIC_IPPROTO_TCP && !h.fragment && window >= h.transport + 20u;
    uint32_t size = tcp ? h.transport + 4u * (header[h.transport + 12] >> 4) : 0;
    if (!mss || !tcp || size > window || size < h.transport + 20u) {
        nic_find(w->device, mss ? RTL8139_FIND_CP_LARGE_SEND : RTL8139_FIND_CP_MSS, p->opts1, w->at);
        refuse(w, p, 0);
        return;
    }
    const nic_segmenter segmenter = {(uint16_t)size, h.network, h.transport, 4, NIC_IPPROTO_TCP};
    bool first = w->at == w->ring->index && !batch->count;
    uint32_t payload = p->length - size, sent = first ? w->ring->sent : 0, segment = first ? w->ring->segment : 0;
    if (sent > payload)
        sent = payload; /* the driver changed the descriptors under way */
    if (!w->ring->sent && leaves_large(w->device, p, &segmenter, header) && send_whole(w, p, &segmenter, header))
        return;
    do {
        if (!room(batch, p) || rtl8139_paced(w->device, size + mss)) {
            w->waits = room(batch, p);
            return; /* w->at stays; what has gone stands in the ring after the flush */
        }
        uint32_t part = payload - sent < mss ? payload - sent : mss;
        uint8_t *head = batch->heads[batch->count];
        bool last = sent + part == payload;
        memcpy(head, header, size);
        nic_segment_header(&segmenter, head, segment, sent, part, last);
        add_frame(w, p, head, size, size + sent, size + sent + part, RTL8139_IPCS | RTL8139_TCPCS,
                  last ? 0 : sent + part);
        sent += part;
        segment++;
        w->budget -= w->budget != 0;
    } while (sent < payload);
    w->at = p->after;
}

static void send_packet(walk *w, const packet *p)
{
    rtl8139_batch *batch = &rtl8139_of(w->device)->batch;
    bool tag = p->opts2 & RTL8139_TAGC;
    if (rtl8139_paced(w->device, p->length)) {
        w->waits = true;
        return;
    }
    if (NIC_LIKELY(!tag && !(p->opts1 & OFFLOADS))) {
        struct iovec *iov = batch->pool + batch->used;
        memcpy(iov, p->pieces, p->count * sizeof(*iov));
        close_frame(batch, iov, p->count, p->length, p->descriptors, 0);
    } else {
        uint32_t size = p->length < RTL8139_HEAD - TAG ? p->length : RTL8139_HEAD - TAG;
        copy_head(p, batch->heads[batch->count], size);
        add_frame(w, p, batch->heads[batch->count], size, size, p->length, p->opts1, 0);
    }
    w->budget -= w->budget != 0;
    w->at = p->after;
}

static void process(walk *w, const packet *p)
{
    rtl8139 *card = rtl8139_of(w->device);
    bool large = p->opts1 & RTL8139_LGSEN;
    if (NIC_UNLIKELY(!card->link_up && !rtl8139_loops(w->device))) {
        nic_find(w->device, RTL8139_FIND_TX_LINK_DOWN, w->at, 0);
        w->device->port.counters.link_down++;
        w->budget--;
        refuse(w, p, RTL8139_LNKF);
        return;
    }
    if (NIC_UNLIKELY(p->bad || !p->length || (p->length + TAG > NIC_FRAME_MAX && !large))) {
        if (!p->bad)
            nic_find(w->device, p->length ? RTL8139_FIND_CP_OVERSIZE : RTL8139_FIND_TX_LENGTH_ZERO,
                     p->length ? p->length : w->at, w->at);
        w->budget--;
        refuse(w, p, 0);
        return;
    }
    if (NIC_UNLIKELY(w->disturbed) && card->disturb[RTL8139_EXCESSIVE_COLLISIONS] && collides(w, p))
        return;
    if (!room(&card->batch, p))
        return; /* after a flush */
    if (large)
        send_large(w, p);
    else
        send_packet(w, p);
    if (p->count == 1 && p->pieces[0].iov_base == card->linear)
        flush(w); /* the next packet needs that memory */
}

/* ------------------------------------------------------------------ rings */

static void begin(nic_device *device, walk *w, uint32_t number)
{
    uint32_t cell = number == RTL8139_HIGH ? RTL8139_TSAD2 : RTL8139_TSAD0;
    w->device = device;
    w->ring = &rtl8139_of(device)->rings[number];
    w->number = number;
    w->budget = BUDGET;
    w->fetched = 0;
    w->causes = 0;
    w->waits = false;
    w->disturbed = rtl8139_disturbed(rtl8139_of(device));
    w->resets = device->resets;
    w->base = rtl8139_address(device, rtl8139_reg(device, cell) & ~0xffu, rtl8139_reg(device, cell + 1));
    w->memory = nic_dma_map(device, w->base, RTL8139_RING * RTL8139_DESCRIPTOR, true);
    w->at = w->ring->index;
    rtl8139_of(device)->batch.count = rtl8139_of(device)->batch.used = 0;
}

/*
 * Whether a ring has had all of its descriptors since the driver last asked.  Those that are the chip's nevertheless lie
 * in memory that keeps no write, or came without TPPOLL: the chip comes back to them, but not for ever at once.
 */
static bool resting(const rtl8139_ring *ring) { return ring->walked >= RTL8139_RING; }

/* Sends what a ring holds; returns whether it is to be called again at once. */
static bool send_ring(nic_device *device, uint32_t number)
{
    walk w;
    packet p;
    bool dry = false, failed = false;
    begin(device, &w, number);
    while (w.budget && !w.waits && !was_reset(&w) && !resting(w.ring)) {
        uint32_t at = w.at;
        dry = !gather_packet(&w, &p);
        failed = p.failed;
        if (dry)
            w.ring->polled = false; /* before the wire is called: it may answer, and the driver ring again */
        if (dry || failed)
            break;
        process(&w, &p);
        if ((w.at == at || w.at == w.ring->index) && !w.waits) /* the batch has no room, or holds all of the ring */
            flush(&w);
    }
    flush(&w);
    if (was_reset(&w))
        return false;
    if (failed && device->bus_master) { /* the ring stands still until it is asked again */
        w.ring->polled = false;
        rtl8139_system_error(device);
        if (was_reset(&w))
            return false;
    } else if (w.waits) {
        w.ring->polled = true;
    } else if (dry && !failed) {
        w.causes |= RTL8139_ISR_TDU;
    }
    if (w.causes)
        rtl8139_cause(device, w.causes);
    if (w.ring->polled && resting(w.ring))
        nic_timer_set(device, RTL8139_TIMER_ROUND, nic_now(device) + ROUND_NS);
    return !w.budget && !w.waits;
}

void rtl8139_cplus_rings(nic_device *device)
{
    rtl8139 *card = rtl8139_of(device);
    uint32_t resets = device->resets;
    for (uint32_t number = RTL8139_RINGS; number--;) { /* the high priority ring first */
        rtl8139_ring *ring = &card->rings[number];
        if (!ring->polled || resting(ring))
            continue;
        if (send_ring(device, number))
            nic_want_work(device, NIC_WORK_TRANSMIT);
        if (device->resets != resets || (ring->polled && !resting(ring)))
            return; /* what it still has goes before the other's */
    }
}
