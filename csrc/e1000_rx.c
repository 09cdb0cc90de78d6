/*
 * 82540EM, receive: filters, the receive FIFO, descriptors, checksum verification and causes (8254x SDM 3.2).
 *
 * A frame that finds the ring ready goes from the backend's buffer to guest memory in one copy.  Otherwise it waits in
 * the FIFO in the form in which it will be stored: stripped, with its FCS, and with its descriptor's fields.
 */
#include "e1000.h"

enum { /* the descriptor's second quadword (3.2.3.1, 3.2.3.2) */
    STATUS_DD = 0x01,
    STATUS_EOP = 0x02,
    STATUS_IXSM = 0x04,
    STATUS_VP = 0x08,
    STATUS_TCPCS = 0x20,
    STATUS_IPCS = 0x40,
    STATUS_PIF = 0x80,
    ERROR_CE = 0x01,
    ERROR_TCPE = 0x20,
    ERROR_IPE = 0x40,
    ERROR_RXE = 0x80,
    LENGTH_AT = 8,   /* bytes of the descriptor */
    STATUS_AT = 12,
    ERRORS_AT = 13,
};

enum {
    MIN_WIRE = 64,            /* shortest good frame with FCS (13.7.15) */
    MAX_WIRE = 1522,          /* longest without RCTL.LPE */
    MAX_WIRE_LONG = 16384,    /* and with it */
    WINDOW = 512,             /* bytes of a scattered frame that filters and parsers look at */
    EXTENSION_MAX = 64,       /* longest IPv6 extension header that is skipped (3.2.9.4) */
    MAC_CONTROL_PAUSE = 1,    /* opcode (IEEE 802.3, 31B) */
    PARTS = NIC_FRAME_IOV + 4,
    FAST = 0x80,              /* STATUS.SPEED of 1000 Mb/s: its high bit */
};

typedef struct walk { /* one call */
    nic_device *device;
    e1000_ring ring;      /* head: next descriptor to use; RDH is behind by what write-back owes */
    uint32_t usable;      /* descriptors from it on that hardware owns */
    uint32_t before;      /* usable at first */
    uint32_t buffer;      /* bytes of each */
    uint32_t threshold;
    uint32_t causes;
    uint32_t resets;      /* of the card when the call began */
    bool stored, small;
    uint32_t packets, broadcasts, multicasts, bins[6];
    uint32_t all_packets;
    uint64_t bytes, all_bytes;
} walk;

typedef struct arrival { /* a frame, while it is looked at */
    const nic_frame *frame;
    const uint8_t *bytes; /* its first `window` bytes in one piece */
    uint32_t window;
    uint32_t length;      /* without FCS */
    uint32_t matches;     /* WUS bits EX, MC, BC: how it passed the address filter */
    uint32_t faults;      /* NIC_FRAME_* but SHORT */
    bool passed, pif, tagged, control;
    uint8_t buffer[WINDOW];
    struct iovec iov[1];
    nic_frame padded;
} arrival;

/* ------------------------------------------------------------------ the ring */

static bool load_ring(nic_device *device, e1000_ring *ring)
{
    ring->base = (uint64_t)e1000_reg(device, E1000_RDBAH) << 32 | e1000_reg(device, E1000_RDBAL);
    ring->count = (e1000_reg(device, E1000_RDLEN) & E1000_RDLEN_LEN) / E1000_DESCRIPTOR;
    ring->head = e1000_reg(device, E1000_RDH);
    ring->tail = e1000_reg(device, E1000_RDT);
    ring->memory = NULL;
    if (!ring->count || ring->head >= ring->count || !device->bus_master)
        return false;
    ring->memory = nic_dma_map(device, ring->base, (uint64_t)ring->count * E1000_DESCRIPTOR, true);
    return true;
}

/* 13.4.22: BSIZE, sixteen times as much with BSEX. */
static uint32_t buffer_size(uint32_t rctl)
{
    uint32_t size = 2048u >> ((rctl & E1000_RCTL_BSIZE) >> E1000_RCTL_BSIZE_SHIFT);
    return rctl & E1000_RCTL_BSEX && size < 2048 ? 16 * size : size;
}

static void begin(nic_device *device, walk *w)
{
    e1000_rx *rx = &e1000_of(device)->rx;
    *w = (walk){.device = device, .resets = device->resets, .threshold = e1000_threshold(e1000_reg(device, E1000_RXDCTL))};
    w->buffer = buffer_size(e1000_reg(device, E1000_RCTL));
    if (!load_ring(device, &w->ring)) {
        rx->unwritten = 0;
        return;
    }
    e1000_ring *ring = &w->ring;
    uint32_t owned = ring->tail < ring->count ? e1000_owned(ring) : ring->count;
    if (rx->unwritten > owned)
        rx->unwritten = 0; /* the ring was changed under descriptors that the chip holds (13.4.28) */
    ring->head = (ring->head + rx->unwritten) % ring->count;
    w->usable = w->before = owned - rx->unwritten;
}

/* ------------------------------------------------------------------ write-back (3.2.5) */

static void write_descriptor(nic_device *device, const e1000_ring *ring, uint32_t index, uint64_t value)
{
    if (NIC_UNLIKELY(!ring->memory)) {
        nic_dma_write(device, ring->base + (uint64_t)index * E1000_DESCRIPTOR + LENGTH_AT, &value, sizeof(value));
        return;
    }
    uint8_t *at = ring->memory + (size_t)index * E1000_DESCRIPTOR;
    uint32_t low = (uint32_t)value;
    uint8_t high[3] = {(uint8_t)(value >> 40), (uint8_t)(value >> 48), (uint8_t)(value >> 56)};
    memcpy(at + LENGTH_AT, &low, sizeof(low));
    memcpy(at + ERRORS_AT, high, sizeof(high));
    /* DD is what the driver looks at: all else, the packet's data included, is there before it. */
    __atomic_store_n(at + STATUS_AT, (uint8_t)(value >> 32), __ATOMIC_RELEASE);
}

/* Writes what is owed; `ring` may have any head, RDH counts. */
static void write_owed(nic_device *device, const e1000_ring *ring)
{
    e1000_rx *rx = &e1000_of(device)->rx;
    uint32_t index = e1000_reg(device, E1000_RDH);
    uint32_t resets = device->resets;
    for (uint32_t i = 0; i < rx->unwritten && i < E1000_CACHED; i++, index = e1000_next(ring, index))
        write_descriptor(device, ring, index, rx->owed[i]);
    if (device->resets != resets)
        return;
    device->cells[E1000_RDH] = index;
    rx->unwritten = 0;
}

void e1000_receive_write_back(nic_device *device)
{
    e1000_ring ring;
    if (e1000_of(device)->rx.unwritten && load_ring(device, &ring))
        write_owed(device, &ring);
}

/* Whether the card was reset from inside this call, by an emulator that calls back; then there is no ring any more. */
static bool was_reset(walk *w)
{
    if (NIC_LIKELY(w->device->resets == w->resets))
        return false;
    w->usable = 0;
    return true;
}

static void put_descriptor(walk *w, uint64_t value)
{
    e1000_rx *rx = &e1000_of(w->device)->rx;
    if (was_reset(w))
        return;
    uint32_t index = w->ring.head;
    w->ring.head = e1000_next(&w->ring, index);
    w->usable--;
    if (NIC_LIKELY(w->threshold <= 1 && !rx->unwritten)) {
        write_descriptor(w->device, &w->ring, index, value);
        if (!was_reset(w))
            w->device->cells[E1000_RDH] = w->ring.head;
        return;
    }
    rx->owed[rx->unwritten++] = value;
    if (rx->unwritten >= w->threshold || rx->unwritten == E1000_CACHED)
        write_owed(w->device, &w->ring);
}

/* ------------------------------------------------------------------ into the buffers */

static void skip(nic_cursor *c, size_t length)
{
    while (length) {
        size_t part = c->iov->iov_len - c->at < length ? c->iov->iov_len - c->at : length;
        length -= part;
        c->at += part;
        if (c->at == c->iov->iov_len) {
            c->iov++;
            c->at = 0;
        }
    }
}

static bool fetch_address(walk *w, uint64_t *address, uint64_t *rest)
{
    uint64_t words[2];
    if (NIC_LIKELY(w->ring.memory))
        memcpy(words, w->ring.memory + (size_t)w->ring.head * E1000_DESCRIPTOR, sizeof(words));
    else if (!nic_dma_read(w->device, w->ring.base + (uint64_t)w->ring.head * E1000_DESCRIPTOR, words, sizeof(words)))
        return false;
    __asm__ volatile("" : "+r"(words[0]), "+r"(words[1])); /* read once */
    w->device->counters.descriptors++;
    *address = words[0];
    *rest = words[1];
    return true;
}

/* Fills buffers with the frame from byte `offset` on; returns where it stopped for want of descriptors. */
static uint32_t fill(walk *w, const struct iovec *parts, const e1000_record *record, uint32_t offset)
{
    nic_cursor c = {parts, 0};
    skip(&c, offset);
    while (offset < record->length && w->usable) {
        uint64_t address, value;
        if (!fetch_address(w, &address, &value) || was_reset(w)) {
            w->usable = 0;
            break;
        }
        if (!address) { /* 3.2.5.2: nothing but DD changes */
            put_descriptor(w, value | (uint64_t)STATUS_DD << 32);
            continue;
        }
        uint32_t size = record->length - offset < w->buffer ? record->length - offset : w->buffer;
        bool last = offset + size == record->length;
        value = nic_dma_put(w->device, address, &c, size) ? size : 0; /* a bus error: no more than was stored */
        if (!offset)
            value |= (uint64_t)record->checksum << 16;
        if (last)
            value |= (uint64_t)(record->status | STATUS_EOP) << 32 | (uint64_t)record->errors << 40 |
                     (uint64_t)record->special << 48;
        put_descriptor(w, value | (uint64_t)STATUS_DD << 32);
        offset += size;
    }
    return offset;
}

static void stored(walk *w, uint32_t length)
{
    w->stored = true;
    w->small |= length <= (e1000_reg(w->device, E1000_RSRPD) & E1000_RSRPD_SIZE);
}

/* ------------------------------------------------------------------ the FIFO */

/* Moves frames from the FIFO into the ring; returns whether it is empty then. */
static bool store_waiting(walk *w, uint32_t most)
{
    e1000_rx *rx = &e1000_of(w->device)->rx;
    struct iovec iov[2];
    e1000_record record;
    for (; most && w->usable; most--) {
        uint32_t at = 0;
        if (!e1000_fifo_next(w->device, &rx->fifo, &at, iov, &record)) {
            rx->offset = 0;
            return true;
        }
        rx->offset = fill(w, iov, &record, rx->offset < record.length ? rx->offset : 0);
        if (rx->offset < record.length)
            return false;
        rx->offset = 0;
        e1000_fifo_pop(w->device, &rx->fifo);
        stored(w, record.length);
    }
    return !rx->fifo.frames;
}

static bool push(walk *w, const struct iovec *parts, uint32_t count, const e1000_record *record)
{
    e1000_rx *rx = &e1000_of(w->device)->rx;
    nic_frame frame = {parts, count, record->length, 0};
    e1000_fifo_place(w->device, &rx->fifo, false);
    if (!e1000_fifo_push(w->device, &rx->fifo, &frame, *record))
        return false;
    e1000_fullness(w->device, false);
    return true;
}

/* ------------------------------------------------------------------ checksums (3.2.9) */

/* Extension headers of more than 64 bytes end the search (3.2.9.4). */
static bool extensions_supported(const uint8_t *bytes, const nic_headers *headers)
{
    uint32_t at = headers->network + 40u;
    while (headers->version == 6 && at < headers->transport) {
        uint32_t size = 8 + 8u * bytes[at + 1];
        if (size > EXTENSION_MAX)
            return false;
        at += size;
    }
    return true;
}

/* Verifies TCP or UDP; parts are the frame as stored, `shift` bytes shorter than as it came. */
static void verify_transport(const arrival *a, const nic_headers *headers, e1000_record *record)
{
    if (!nic_transport_whole(headers, a->window) || !extensions_supported(a->bytes, headers))
        return;
    if (headers->protocol == NIC_IPPROTO_UDP && !nic_get16(a->bytes + headers->transport + 6))
        return; /* the sender computed none */
    record->status |= STATUS_TCPCS;
    if (!nic_transport_valid(a->bytes, a->frame->iov, a->frame->iovcnt, headers))
        record->errors |= ERROR_TCPE;
}

static void verify(const arrival *a, uint32_t rxcsum, uint16_t vlan_type, e1000_record *record)
{
    nic_headers headers, inner;
    nic_parse(a->bytes, a->window, a->length, vlan_type, &headers);
    if (headers.version == 4 && headers.protocol != NIC_IPPROTO_IPV4 && rxcsum & E1000_RXCSUM_IPOFLD) {
        record->status |= STATUS_IPCS;
        if (!nic_ipv4_valid(a->bytes, &headers))
            record->errors |= ERROR_IPE;
    }
    if (headers.version == 4 && headers.protocol == NIC_IPPROTO_IPV6 && !headers.fragment) {
        nic_parse_inner(a->bytes, a->window, a->length, &headers, &inner); /* IPv6 in IPv4 (table 3-5) */
        headers = inner;
    }
    if (headers.version && rxcsum & E1000_RXCSUM_TUOFLD && (headers.version == 4 || rxcsum & E1000_RXCSUM_IPV6OFL))
        verify_transport(a, &headers, record);
}

/* ------------------------------------------------------------------ filters (3.2.1, 9.3, 8.7.4) */

static inline uint64_t address_at(const uint8_t *bytes)
{
    uint32_t low;
    uint16_t high;
    memcpy(&low, bytes, sizeof(low));
    memcpy(&high, bytes + 4, sizeof(high));
    return low | (uint64_t)high << 32;
}

static inline uint64_t receive_address(const nic_device *device, uint32_t n)
{
    return e1000_reg(device, E1000_RAL + n) |
           (uint64_t)(e1000_reg(device, E1000_RAH + n) & 0xffff) << 32;
}

static bool exact_match(const nic_device *device, uint64_t destination, uint64_t source)
{
    for (uint32_t n = 0; n < 16; n++) {
        uint32_t high = e1000_reg(device, E1000_RAH + n), select = high & E1000_RAH_AS;
        if (!(high & E1000_RAH_AV) || select >> E1000_RAH_AS_SHIFT > 1)
            continue;
        if (receive_address(device, n) == (select ? source : destination))
            return true;
    }
    return false;
}

/* 13.5.1: twelve bits of the address, the last ones sent first. */
static bool hash_match(const nic_device *device, const uint8_t *address)
{
    static const uint8_t shifts[4] = {4, 3, 2, 0};
    uint32_t offset = (e1000_reg(device, E1000_RCTL) & E1000_RCTL_MO) >> E1000_RCTL_MO_SHIFT;
    uint32_t bits = ((uint32_t)address[5] << 8 | address[4]) >> shifts[offset] & 0xfff;
    return e1000_reg(device, E1000_MTA + (bits >> 5)) >> (bits & 31) & 1;
}

static void filter_address(const nic_device *device, arrival *a)
{
    uint32_t rctl = e1000_reg(device, E1000_RCTL);
    uint64_t destination = address_at(a->bytes);
    if (exact_match(device, destination, address_at(a->bytes + 6)))
        a->matches |= E1000_WUS_EX;
    a->passed = a->matches;
    if (!(a->bytes[0] & 1)) {
        a->passed |= (rctl & E1000_RCTL_UPE) != 0;
        return;
    }
    if (hash_match(device, a->bytes))
        a->matches |= E1000_WUS_MC;
    if (destination == 0xffffffffffff) {
        a->matches |= E1000_WUS_BC;
        a->passed |= (rctl & E1000_RCTL_BAM) != 0;
    }
    a->passed |= (rctl & E1000_RCTL_MPE) != 0;
    a->pif = !a->passed && a->matches & E1000_WUS_MC; /* the table alone: it may be somebody else's (3.2.3.1) */
    a->passed |= a->pif;
}

static bool filter_vlan(const nic_device *device, const arrival *a)
{
    uint32_t rctl = e1000_reg(device, E1000_RCTL), tag = nic_get16(a->bytes + 14), id = tag & 0xfff;
    if (rctl & E1000_RCTL_VFE && !(e1000_reg(device, E1000_VFTA + (id >> 5)) >> (id & 31) & 1))
        return false;
    return !(rctl & E1000_RCTL_CFIEN) || !(tag & 0x1000) == !(rctl & E1000_RCTL_CFI);
}

/* MAC control frames, where CTRL.RFCE has the chip look for them (8.7.3, 8.7.4). */
static void filter_control(nic_device *device, arrival *a)
{
    uint64_t destination = address_at(a->bytes);
    uint64_t group = e1000_reg(device, E1000_FCAL) | (uint64_t)(e1000_reg(device, E1000_FCAH) & 0xffff) << 32;
    bool station = e1000_reg(device, E1000_RAH) & E1000_RAH_AV && destination == receive_address(device, 0);
    if (nic_get16(a->bytes + 12) != (e1000_reg(device, E1000_FCT) & 0xffff) || (destination != group && !station) ||
        a->window < 18)
        return;
    a->control = true;
    if (nic_get16(a->bytes + 14) != MAC_CONTROL_PAUSE) {
        nic_count32(&device->cells[E1000_FCRUC], 1);
        a->passed |= (e1000_reg(device, E1000_RCTL) & E1000_RCTL_PMCF) != 0;
        return;
    }
    uint32_t quanta = nic_get16(a->bytes + 16);
    nic_count32(&device->cells[quanta ? E1000_XOFFRXC : E1000_XONRXC], 1);
    if (station && e1000_reg(device, E1000_RCTL) & E1000_RCTL_DPF)
        a->passed = false;
    e1000_paused(device, quanta);
}

/* ------------------------------------------------------------------ one frame */

/* Brings a frame to where filters can look at it: at least 60 bytes.  What senders pad, wires may leave out here. */
static void look(const nic_frame *frame, arrival *a)
{
    a->frame = frame;
    a->length = a->window = frame->length;
    a->bytes = frame->iovcnt ? frame->iov[0].iov_base : a->buffer;
    a->matches = 0;
    a->faults = frame->flags & ~(uint32_t)NIC_FRAME_SHORT;
    a->passed = a->pif = a->tagged = a->control = false;
    if (NIC_LIKELY(frame->iovcnt == 1 && frame->length >= E1000_MIN))
        return;
    a->window = (uint32_t)nic_frame_copy(frame, a->buffer, WINDOW);
    a->bytes = a->buffer;
    if (frame->length < E1000_MIN) {
        memset(a->buffer + frame->length, 0, E1000_MIN - frame->length);
        a->window = E1000_MIN;
        if (frame->flags & NIC_FRAME_SHORT)
            return;
        a->length = E1000_MIN;
        a->iov[0] = (struct iovec){a->buffer, E1000_MIN};
        a->padded = (nic_frame){a->iov, 1, E1000_MIN, 0};
        a->frame = &a->padded;
    }
}

/* The frame as it is stored: without its tag if that is stripped, with its FCS unless that is (9.2.2, 13.4.22). */
static uint32_t cut(const arrival *a, bool strip, bool fcs, uint32_t *crc, struct iovec *parts)
{
    uint32_t count = 0, at = 0;
    for (uint32_t i = 0; i < a->frame->iovcnt; i++) {
        struct iovec piece = a->frame->iov[i];
        uint32_t size = (uint32_t)piece.iov_len, first = at;
        at += size;
        if (!strip || first >= 16 || at <= 12) {
            parts[count++] = piece;
            continue;
        }
        if (first < 12)
            parts[count++] = (struct iovec){piece.iov_base, 12 - first};
        if (at > 16) {
            uint32_t from = first < 16 ? 16 - first : 0;
            parts[count++] = (struct iovec){(uint8_t *)piece.iov_base + from, size - from};
        }
    }
    if (fcs) {
        *crc = nic_crc32_iov(a->frame->iov, a->frame->iovcnt);
        if (a->faults & (NIC_FRAME_BAD_FCS | NIC_FRAME_ALIGNMENT))
            *crc = ~*crc;
        parts[count++] = (struct iovec){crc, E1000_FCS};
    }
    return count;
}

/* The descriptor's fields for a frame that passed. */
static e1000_record describe(nic_device *device, const arrival *a, bool strip, const struct iovec *parts,
                             uint32_t count)
{
    uint32_t rxcsum = e1000_reg(device, E1000_RXCSUM);
    e1000_record record = {0};
    nic_sum sum = {0};
    for (uint32_t i = 0; i < count; i++)
        record.length += (uint16_t)parts[i].iov_len;
    nic_sum_add_iov(&sum, parts, count, rxcsum & E1000_RXCSUM_PCSS, record.length);
    record.checksum = (uint16_t)~nic_sum_value(&sum);
    if (NIC_UNLIKELY(a->faults))
        record.errors = (a->faults & (NIC_FRAME_BAD_FCS | NIC_FRAME_ALIGNMENT) ? ERROR_CE : 0) |
                        (a->faults & NIC_FRAME_RX_ERROR ? ERROR_RXE : 0);
    else if (rxcsum & (E1000_RXCSUM_IPOFLD | E1000_RXCSUM_TUOFLD))
        verify(a, rxcsum, (uint16_t)e1000_reg(device, E1000_VET), &record);
    if (!(record.status & (STATUS_IPCS | STATUS_TCPCS)))
        record.status |= STATUS_IXSM;
    if (strip) {
        record.status |= STATUS_VP;
        record.special = nic_get16(a->bytes + 14);
    }
    if (a->pif)
        record.status |= STATUS_PIF;
    return record;
}

/* Counts what passed the filters and is neither missed nor bad (13.7.21-31). */
static void count_good(walk *w, const arrival *a)
{
    uint32_t wire = a->length + E1000_FCS;
    if (a->control)
        return;
    w->packets++;
    w->bytes += wire;
    w->bins[wire <= 64 ? 0 : wire >= 1024 ? 5 : 26u - (uint32_t)__builtin_clz(wire)]++;
    if (a->bytes[0] & 1) {
        if (!(a->matches & E1000_WUS_BC))
            w->multicasts++;
        else if (e1000_reg(w->device, E1000_RCTL) & E1000_RCTL_BAM)
            w->broadcasts++;
    }
}

/* Whether the frame is good; what is wrong with it is counted (13.7.1-4, 15, 34-37). */
static bool is_good(nic_device *device, const arrival *a)
{
    uint32_t *cells = device->cells;
    uint32_t wire = a->length + E1000_FCS, most = cells[E1000_RCTL] & E1000_RCTL_LPE ? MAX_WIRE_LONG : MAX_WIRE;
    bool small = wire < MIN_WIRE, large = wire > most, fcs = a->faults & (NIC_FRAME_BAD_FCS | NIC_FRAME_ALIGNMENT);
    if (NIC_LIKELY(!small && !large && !a->faults))
        return true;
    if (small || large)
        nic_count32(&cells[E1000_RLEC], 1);
    if (small)
        nic_count32(&cells[fcs ? E1000_RFC : E1000_RUC], 1);
    else if (a->faults & NIC_FRAME_ALIGNMENT && !(cells[E1000_STATUS] & FAST)) /* MII, 10 and 100 Mb/s */
        nic_count32(&cells[E1000_ALGNERRC], 1);
    else if (fcs)
        nic_count32(&cells[E1000_CRCERRS], 1);
    if (large)
        nic_count32(&cells[fcs ? E1000_RJC : E1000_ROC], 1);
    if (!small && a->faults & NIC_FRAME_RX_ERROR)
        nic_count32(&cells[E1000_RXERRC], 1);
    return false;
}

static void missed(walk *w, const arrival *a)
{
    nic_device *device = w->device;
    nic_count32(&device->cells[E1000_MPC], 1);
    nic_find(device, E1000_FIND_RX_OVERRUN, a->length, e1000_reg(device, E1000_MPC));
    w->causes |= E1000_ICR_RXO;
    e1000_fullness(device, true);
}

/* Whether a frame that is stored in so many bytes can go straight to the ring, and whether it finds room at all. */
static bool goes_direct(const walk *w, uint32_t length)
{
    return !e1000_of(w->device)->rx.fifo.frames && w->device->profile == NIC_PROFILE_INSTANT &&
           (uint64_t)w->usable * w->buffer >= length;
}

static bool finds_room(walk *w, uint32_t length)
{
    e1000_fifo *fifo = &e1000_of(w->device)->rx.fifo;
    if (NIC_LIKELY(goes_direct(w, length)))
        return true;
    e1000_fifo_place(w->device, fifo, false);
    return e1000_fifo_bytes(length) <= fifo->size - fifo->used;
}

/* Stores a frame that passed; returns false if it is missed. */
static bool accept(walk *w, const arrival *a)
{
    nic_device *device = w->device;
    e1000_rx *rx = &e1000_of(device)->rx;
    struct iovec parts[PARTS];
    uint32_t crc, offset = 0;
    bool fcs = !(e1000_reg(device, E1000_RCTL) & E1000_RCTL_SECRC);
    bool strip = a->tagged && e1000_reg(device, E1000_CTRL) & E1000_CTRL_VME;
    uint32_t length = a->length + (fcs ? E1000_FCS : 0) - (strip ? 4 : 0);
    if (!w->usable && !a->control)
        nic_count32(&device->cells[E1000_RNBC], 1);
    if (!finds_room(w, length)) {
        missed(w, a);
        return false;
    }
    uint32_t count = cut(a, strip, fcs, &crc, parts);
    e1000_record record = describe(device, a, strip, parts, count);
    if (NIC_LIKELY(goes_direct(w, length)))
        offset = fill(w, parts, &record, 0);
    if (was_reset(w))
        return true;
    if (NIC_LIKELY(offset == record.length)) {
        stored(w, record.length);
        return true;
    }
    if (!push(w, parts, count, &record)) { /* descriptors without a buffer took what seemed enough */
        missed(w, a);
        return false;
    }
    rx->offset = rx->fifo.frames == 1 ? offset : rx->offset;
    if (device->profile == NIC_PROFILE_INSTANT)
        store_waiting(w, 1);
    return true;
}

/* Returns false if the frame has to be held back. */
static bool take(walk *w, const nic_frame *frame, bool hold)
{
    nic_device *device = w->device;
    uint32_t rctl = e1000_reg(device, E1000_RCTL);
    arrival a;
    if (!frame->length)
        return true;
    if (hold && rctl & E1000_RCTL_EN && !finds_room(w, frame->length + E1000_FCS))
        return false;
    look(frame, &a);
    filter_address(device, &a);
    a.tagged = nic_get16(a.bytes + 12) == (e1000_reg(device, E1000_VET) & 0xffff);
    if (NIC_UNLIKELY(e1000_wakes(device)) && !a.faults)
        e1000_wake(device, a.bytes, a.window, a.length, a.matches, a.passed);
    if (!(rctl & E1000_RCTL_EN) || was_reset(w))
        return true;
    if (a.tagged && !filter_vlan(device, &a))
        a.passed = false;
    if (NIC_UNLIKELY(e1000_reg(device, E1000_CTRL) & E1000_CTRL_RFCE) && !a.faults)
        filter_control(device, &a);
    if (!a.passed && !a.control)
        return true;
    w->all_packets++;
    w->all_bytes += a.length + E1000_FCS;
    if (!a.passed)
        return true;
    bool good = is_good(device, &a);
    if ((good || (rctl & E1000_RCTL_SBP && a.length + E1000_FCS <= MAX_WIRE_LONG)) && accept(w, &a) && good)
        count_good(w, &a);
    return true;
}

/* ------------------------------------------------------------------ causes and statistics of a call */

/* RXT0: at once, or when the delays allow (3.2.7.1). */
static uint32_t time_receive(nic_device *device, bool small)
{
    uint32_t delay = e1000_reg(device, E1000_RDTR) & E1000_RDTR_DELAY;
    uint32_t most = e1000_reg(device, E1000_RADV) & E1000_RADV_DELAY;
    if (small || !delay) {
        nic_timer_stop(device, E1000_TIMER_RDTR);
        nic_timer_stop(device, E1000_TIMER_RADV);
        e1000_receive_write_back(device);
        return E1000_ICR_RXT0 | (small ? E1000_ICR_SRPD : 0);
    }
    uint64_t now = nic_now(device);
    nic_timer_set(device, E1000_TIMER_RDTR, now + (uint64_t)delay * E1000_TICK_NS);
    if (most && !nic_timer_armed(device, E1000_TIMER_RADV))
        nic_timer_set(device, E1000_TIMER_RADV, now + (uint64_t)most * E1000_TICK_NS);
    return 0;
}

/* 3.2.7.3: when the free descriptors come down to a half, a quarter or an eighth of the ring. */
static bool reached_minimum(const walk *w)
{
    uint32_t fraction = (e1000_reg(w->device, E1000_RCTL) & E1000_RCTL_RDMTS) >> E1000_RCTL_RDMTS_SHIFT;
    uint32_t minimum = w->ring.count >> (fraction + 1);
    return w->before > minimum && w->usable <= minimum;
}

static void finish(walk *w)
{
    uint32_t *cells = w->device->cells;
    if (was_reset(w)) {
        w->device->card_ops->reset(w->device, NIC_RESET_SOFT); /* what this call has left since */
        return;
    }
    nic_count32(&cells[E1000_TPR], w->all_packets);
    nic_count64(&cells[E1000_TORL], w->all_bytes);
    nic_count32(&cells[E1000_GPRC], w->packets);
    nic_count64(&cells[E1000_GORCL], w->bytes);
    nic_count32(&cells[E1000_BPRC], w->broadcasts);
    nic_count32(&cells[E1000_MPRC], w->multicasts);
    for (uint32_t i = 0; i < 6; i++)
        if (w->bins[i])
            nic_count32(&cells[E1000_PRC64 + i], w->bins[i]);
    if (w->stored)
        w->causes |= time_receive(w->device, w->small);
    if (reached_minimum(w))
        w->causes |= E1000_ICR_RXDMT0;
    if (w->causes)
        e1000_cause(w->device, w->causes);
}

/* ------------------------------------------------------------------ entries */

void e1000_store_later(nic_device *device)
{
    e1000_rx *rx = &e1000_of(device)->rx;
    struct iovec iov[2];
    e1000_record record;
    uint32_t at = 0;
    if (!rx->fifo.frames)
        return;
    if (device->profile == NIC_PROFILE_INSTANT)
        nic_want_work(device, E1000_WORK_STORE);
    else if (!nic_timer_armed(device, E1000_TIMER_STORE) && e1000_fifo_next(device, &rx->fifo, &at, iov, &record))
        nic_timer_set(device, E1000_TIMER_STORE, nic_now(device) + e1000_bus_time(device, record.length));
}

static size_t receive(nic_device *device, const nic_frame *frames, size_t count, bool hold)
{
    walk w;
    size_t taken = 0;
    begin(device, &w);
    if (e1000_of(device)->rx.fifo.frames && device->profile == NIC_PROFILE_INSTANT)
        store_waiting(&w, UINT32_MAX);
    while (taken < count && (was_reset(&w) || take(&w, &frames[taken], hold)))
        taken++;
    finish(&w);
    if (NIC_UNLIKELY(e1000_of(device)->rx.fifo.frames || e1000_of(device)->rx.level)) {
        e1000_fullness(device, false);
        if (device->profile != NIC_PROFILE_INSTANT && w.usable)
            e1000_store_later(device);
    }
    return taken;
}

size_t e1000_receive(nic_device *device, const nic_frame *frames, size_t count)
{
    if (e1000_loops(device) || !e1000_linked(device))
        return count; /* the wire is cut off */
    return receive(device, frames, count, device->port.hold);
}

void e1000_receive_looped(nic_device *device, const nic_frame *frames, size_t count)
{
    receive(device, frames, count, false);
}

void e1000_store(nic_device *device)
{
    walk w;
    if (!(e1000_reg(device, E1000_RCTL) & E1000_RCTL_EN))
        return;
    begin(device, &w);
    store_waiting(&w, device->profile == NIC_PROFILE_INSTANT ? UINT32_MAX : 1);
    finish(&w);
    e1000_fullness(device, false);
    if (!w.usable)
        return;
    e1000_store_later(device);
    nic_port_ready(&device->port);
}

bool e1000_can_receive(nic_device *device)
{
    walk w;
    if (!(e1000_reg(device, E1000_RCTL) & E1000_RCTL_EN) || e1000_loops(device) || !e1000_linked(device))
        return true; /* it would be gone */
    begin(device, &w);
    return w.usable || finds_room(&w, MAX_WIRE);
}
