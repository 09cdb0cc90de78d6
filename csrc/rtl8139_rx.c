/*
 * RTL8139, receive: filters, the FIFO, the receive buffer of C mode and the descriptors of C+ mode (DS 5.1, 5.8).
 *
 * A frame that finds room goes from the backend's buffer to guest memory in one copy.  Otherwise it waits in the FIFO as
 * it came, and is looked at again when there is room.
 */
#include "rtl8139.h"

enum {
    MIN_WIRE = 64,         /* shortest good frame with FCS */
    LEAST = 8,             /* what is shorter is noise (DS 5.8, AR) */
    WINDOW = 192,          /* bytes of a scattered frame that filters and parsers look at */
    TAG = 4,
    ADDRESSES = 12,
    PARTS = NIC_FRAME_IOV + 4,
    CPLUS_MAX = 0x1fff,    /* longest frame that a descriptor's length can tell */
    SIZE = 0x1fff,         /* of a buffer, C+ */
    USUAL = 1522,          /* a frame for which room is asked before one is there */
    RECORD = 4,            /* bytes before each frame in the FIFO */
    RETRY_NS = 50000,      /* doubled each time */
    DEFECTS = NIC_FRAME_BAD_FCS | NIC_FRAME_ALIGNMENT | NIC_FRAME_RX_ERROR,
};

enum { /* the header in the receive buffer (DS 5.1) */
    ROK = 1 << 0,
    FAE = 1 << 1,
    CRC = 1 << 2,
    LONG = 1 << 3,
    RUNT = 1 << 4,
    ISE = 1 << 5,
    BAR = 1 << 13,
    PAM = 1 << 14,
    MAR = 1 << 15,
};

typedef struct arrival { /* a frame, while it is looked at */
    const nic_frame *frame;
    const uint8_t *bytes; /* its first `window` bytes in one piece */
    uint32_t window;
    uint32_t length;      /* without FCS, padded */
    uint32_t status;      /* as in the header of the receive buffer */
    bool addressed, accepted, tagged;
    uint8_t fcs[RTL8139_FCS];
    uint8_t buffer[WINDOW];
} arrival;

typedef struct place { /* C+: a receive descriptor, as it was read */
    uint64_t at, address;
    uint32_t opts1, size;
} place;

typedef struct walk { /* one call */
    nic_device *device;
    uint32_t causes;
    uint32_t resets;
    bool hold;
    uint32_t place_count;
    place places[RTL8139_RING]; /* C+: from receive_index on; each is read once */
} walk;

static bool was_reset(const walk *w) { return w->device->resets != w->resets; }

/* ------------------------------------------------------------------ filters (DS 5.8) */

static void look(const nic_frame *frame, arrival *a)
{
    a->frame = frame;
    a->length = frame->length < RTL8139_MIN && !(frame->flags & NIC_FRAME_SHORT) ? RTL8139_MIN : frame->length;
    if (NIC_LIKELY(frame->iovcnt == 1 && frame->length >= RTL8139_MIN)) {
        a->bytes = frame->iov[0].iov_base;
        a->window = frame->length;
        return;
    }
    memset(a->buffer, 0, RTL8139_MIN);
    uint32_t copied = (uint32_t)nic_frame_copy(frame, a->buffer, sizeof(a->buffer));
    a->bytes = a->buffer;
    a->window = copied < RTL8139_MIN ? a->length : copied;
}

static bool is_station(const nic_device *device, const uint8_t *address)
{
    for (uint32_t i = 0; i < 6; i++)
        if (address[i] != (uint8_t)rtl8139_reg(device, RTL8139_IDR + i))
            return false;
    return true;
}

static bool is_broadcast(const uint8_t *a) { return (a[0] & a[1] & a[2] & a[3] & a[4] & a[5]) == 0xff; }

/* The status bits tell what the address is, promiscuous or not. */
static bool filter_address(const nic_device *device, arrival *a)
{
    uint32_t rcr = rtl8139_reg(device, RTL8139_RCR);
    if (a->window < 6)
        return rcr & RTL8139_RCR_AAP;
    if (is_broadcast(a->bytes)) {
        a->status |= BAR;
        return rcr & RTL8139_RCR_AB;
    }
    if (a->bytes[0] & 1) {
        a->status |= MAR;
        return rcr & RTL8139_RCR_AM && rtl8139_multicast_hashed(device, a->bytes);
    }
    if (is_station(device, a->bytes)) {
        a->status |= PAM;
        return rcr & (RTL8139_RCR_APM | RTL8139_RCR_AAP);
    }
    return rcr & RTL8139_RCR_AAP;
}

static bool filter_errors(const nic_device *device, const arrival *a)
{
    uint32_t rcr = rtl8139_reg(device, RTL8139_RCR), wire = a->length + RTL8139_FCS;
    bool defect = a->status & (FAE | CRC | ISE | LONG);
    if (wire < LEAST || (defect && !(rcr & RTL8139_RCR_AER)))
        return false;
    if (a->status & RUNT)
        return defect ? rcr & RTL8139_RCR_RER8 : rcr & RTL8139_RCR_AR;
    return true;
}

static void judge(nic_device *device, const nic_frame *frame, arrival *a)
{
    look(frame, a);
    a->status = 0;
    if (NIC_UNLIKELY(frame->flags & DEFECTS))
        a->status = CRC | (frame->flags & NIC_FRAME_ALIGNMENT ? FAE : 0) | (frame->flags & NIC_FRAME_RX_ERROR ? ISE : 0);
    if (a->length + RTL8139_FCS < MIN_WIRE)
        a->status |= RUNT;
    if (a->length + RTL8139_FCS > RTL8139_LONG)
        a->status |= LONG;
    a->addressed = filter_address(device, a);
    a->accepted = a->addressed && filter_errors(device, a);
    if (!(a->status & (FAE | CRC | ISE | LONG | RUNT)))
        a->status |= ROK;
    a->tagged = a->length >= ADDRESSES + TAG && nic_get16(a->bytes + ADDRESSES) == 0x8100;
}

/* IEEE 802.3, 31B: a PAUSE frame is obeyed and goes no further. */
static bool take_pause(nic_device *device, const arrival *a)
{
    uint32_t quanta;
    if (!(rtl8139_reg(device, RTL8139_MSR) & RTL8139_MSR_RXFCE) || !rtl8139_of(device)->full_duplex ||
        a->frame->flags & DEFECTS || !nic_pause_read(a->bytes, a->window, &quanta) ||
        !(nic_pause_group(a->bytes) || is_station(device, a->bytes)))
        return false;
    rtl8139_paused(device, quanta);
    return true;
}

/* ------------------------------------------------------------------ wake-up (DS 7.6) */

/* Six FFh and sixteen times the station address, anywhere in the frame. */
static bool is_magic(const nic_device *device, const arrival *a)
{
    uint32_t ones = 0;
    for (uint32_t i = 0; i < a->window; i++) {
        if (ones >= 6 && a->window - i >= 96) {
            uint32_t n = 0;
            while (n < 16 && is_station(device, a->bytes + i + 6 * n))
                n++;
            if (n == 16)
                return true;
        }
        ones = a->bytes[i] == 0xff ? ones + 1 : 0;
    }
    return false;
}

static void wake(nic_device *device, const arrival *a)
{
    uint32_t config5 = rtl8139_reg(device, RTL8139_CONFIG5), events = 0;
    if (a->frame->flags & DEFECTS)
        return;
    bool multicast = a->status & MAR && rtl8139_multicast_hashed(device, a->bytes);
    if (a->status & PAM && config5 & RTL8139_CONFIG5_UWF)
        events |= RTL8139_WAKE_UNICAST;
    if (multicast && config5 & RTL8139_CONFIG5_MWF)
        events |= RTL8139_WAKE_MULTICAST;
    if (a->status & BAR && config5 & RTL8139_CONFIG5_BWF)
        events |= RTL8139_WAKE_BROADCAST;
    if (rtl8139_reg(device, RTL8139_CONFIG3) & RTL8139_CONFIG3_MAGIC && a->status & (PAM | BAR | MAR) &&
        is_magic(device, a))
        events |= RTL8139_WAKE_MAGIC;
    if (events && device->python && nic_py.event)
        nic_py.event(device->python, RTL8139_EVENT_WAKE, events);
}

/* ------------------------------------------------------------------ the frame as it is stored */

/* Pieces of the frame with padding and FCS, without the tag if `strip`; the FCS is that of the frame as it came. */
static uint32_t cut(arrival *a, bool strip, struct iovec *parts)
{
    static const uint8_t zeros[RTL8139_MIN];
    struct iovec whole[NIC_FRAME_IOV + 1];
    uint32_t count = a->frame->iovcnt, kept = 0, at = 0;
    memcpy(whole, a->frame->iov, count * sizeof(*whole));
    if (a->length > a->frame->length)
        whole[count++] = (struct iovec){(void *)(uintptr_t)zeros, a->length - a->frame->length};
    uint32_t crc = nic_crc32_iov(whole, count);
    if (a->status & CRC)
        crc ^= 0xa5a5a5a5;
    for (uint32_t i = 0; i < RTL8139_FCS; i++)
        a->fcs[i] = (uint8_t)(crc >> 8 * i);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = (uint32_t)whole[i].iov_len, end = at + size;
        uint8_t *base = whole[i].iov_base;
        uint32_t before = !strip || end <= ADDRESSES ? size : at < ADDRESSES ? ADDRESSES - at : 0;
        uint32_t behind = !strip || end <= ADDRESSES + TAG ? size : at < ADDRESSES + TAG ? ADDRESSES + TAG - at : 0;
        if (before)
            parts[kept++] = (struct iovec){base, before};
        if (strip && behind < size && behind >= before)
            parts[kept++] = (struct iovec){base + behind, size - behind};
        at = end;
    }
    parts[kept++] = (struct iovec){a->fcs, RTL8139_FCS};
    return kept;
}

/* ------------------------------------------------------------------ C mode: the receive buffer */

uint32_t rtl8139_buffer_size(const nic_device *device)
{
    return 8192u << ((rtl8139_reg(device, RTL8139_RCR) & RTL8139_RCR_RBLEN) >> RTL8139_RCR_RBLEN_SHIFT);
}

uint32_t rtl8139_buffer_used(const nic_device *device)
{
    return (rtl8139_reg(device, RTL8139_CBR) - rtl8139_reg(device, RTL8139_CAPR) - 16) &
           (rtl8139_buffer_size(device) - 1);
}

static uint32_t stored_size(uint32_t length) { return RTL8139_HEADER + ((length + RTL8139_FCS + 3) & ~3u); }

/* A full buffer would look empty, so one doubleword stays free. */
static bool buffer_has_room(nic_device *device, uint32_t length)
{
    if (!device->bus_master)
        nic_find_general(device, NIC_GENERAL_BUS_MASTER, rtl8139_reg(device, RTL8139_RBSTART), length);
    return device->bus_master && stored_size(length) < rtl8139_buffer_size(device) - rtl8139_buffer_used(device);
}

/* DS 5.3, 5.15: packets longer than a threshold are reported before they are complete. */
static void report_early(nic_device *device, const arrival *a)
{
    uint32_t rcr = rtl8139_reg(device, RTL8139_RCR), wire = a->length + RTL8139_FCS;
    uint32_t part = (rcr & RTL8139_RCR_ERTH) >> RTL8139_RCR_ERTH_SHIFT;
    uint32_t misr = rtl8139_reg(device, RTL8139_MULINT) & RTL8139_MULINT_MISR;
    uint16_t type = a->window >= 14 ? nic_get16(a->bytes + ADDRESSES) : 0;
    bool known = type == 0x0800 || type == 0x8137; /* IP, IPX */
    uint32_t threshold = rcr & RTL8139_RCR_MULERINT || !known ? misr : wire * part / 16;
    if (!threshold || wire <= threshold)
        return;
    device->cells[RTL8139_ERBCR] = threshold;
    device->cells[RTL8139_ERSR] |= a->status & ROK ? RTL8139_ERSR_ERGOOD : RTL8139_ERSR_ERBAD;
}

static void store_in_buffer(walk *w, arrival *a)
{
    nic_device *device = w->device;
    struct iovec parts[PARTS];
    uint32_t size = rtl8139_buffer_size(device), at = rtl8139_reg(device, RTL8139_CBR) & (size - 1);
    uint32_t wire = a->length + RTL8139_FCS, header = a->status | wire << 16;
    uint64_t base = rtl8139_reg(device, RTL8139_RBSTART);
    bool wrap = rtl8139_reg(device, RTL8139_RCR) & RTL8139_RCR_WRAP && size < 65536; /* invalid with 64 KiB */
    uint32_t contiguous = wrap ? wire : size - at - RTL8139_HEADER < wire ? size - at - RTL8139_HEADER : wire;
    cut(a, false, parts);
    nic_cursor c = {parts, 0};
    bool done = nic_dma_put(device, base + at + RTL8139_HEADER, &c, contiguous);
    if (wire > contiguous && !was_reset(w))
        done &= nic_dma_put(device, base, &c, wire - contiguous);
    done &= !was_reset(w) && nic_dma_write(device, base + at, &header, sizeof(header));
    if (was_reset(w))
        return;
    if (!done)
        rtl8139_system_error(device);
    if (was_reset(w))
        return;
    device->cells[RTL8139_CBR] = (at + stored_size(a->length)) & (size - 1);
    device->cells[RTL8139_CR] &= ~RTL8139_CR_BUFE;
    if (NIC_UNLIKELY(rtl8139_reg(device, RTL8139_RCR) & (RTL8139_RCR_ERTH | RTL8139_RCR_MULERINT) ||
                     rtl8139_reg(device, RTL8139_MULINT)))
        report_early(device, a);
}

/* ------------------------------------------------------------------ C+ mode: descriptors */

static bool fetch_place(nic_device *device, uint32_t index, place *p)
{
    uint32_t words[4];
    uint64_t base =
        rtl8139_address(device, rtl8139_reg(device, RTL8139_RDSARL) & ~0xffu, rtl8139_reg(device, RTL8139_RDSARH));
    p->at = base + (uint64_t)index * RTL8139_DESCRIPTOR;
    if (!nic_dma_read(device, p->at, words, sizeof(words)))
        return false;
    device->counters.descriptors++;
    p->opts1 = words[0];
    p->size = words[0] & SIZE;
    p->address = rtl8139_address(device, words[2], words[3]);
    return true;
}

static uint32_t place_after(nic_device *device, uint32_t index, uint32_t opts1)
{
    if (!(opts1 & RTL8139_EOR) && index + 1 == RTL8139_RING)
        nic_find(device, RTL8139_FIND_CP_RING_LENGTH, RTL8139_RINGS, 0);
    return opts1 & RTL8139_EOR ? 0 : (index + 1) % RTL8139_RING;
}

/* Whether the descriptors that the driver has given have room for so many bytes; w->places has them then. */
static bool ring_has_room(walk *w, uint32_t bytes)
{
    nic_device *device = w->device;
    uint32_t index = rtl8139_of(device)->receive_index, first = index;
    w->place_count = 0;
    if (!device->bus_master) {
        nic_find_general(device, NIC_GENERAL_BUS_MASTER, rtl8139_reg(device, RTL8139_RDSARL), RTL8139_DESCRIPTOR);
        return false;
    }
    do {
        place *p = &w->places[w->place_count++];
        if (!fetch_place(device, index, p) || was_reset(w) || !(p->opts1 & RTL8139_OWN))
            return false;
        if (p->size >= bytes)
            return true;
        if (!p->size || p->size % 8)
            nic_find(device, RTL8139_FIND_RX_BUFFER_SIZE, p->size, index);
        bytes -= p->size;
        index = place_after(device, index, p->opts1);
    } while (index != first && w->place_count < RTL8139_RING);
    return false;
}

/* IPF, UDPF, TCPF and PID (C+, RxChkSum); the sums are verified over the frame as it came. */
static uint32_t verify(const arrival *a)
{
    enum { TCP = 1, UDP = 2, IP = 3 };
    nic_headers h;
    nic_parse(a->bytes, a->window, a->length, 0x8100, &h);
    if (h.version != 4)
        return 0;
    uint32_t failed = nic_ipv4_valid(a->bytes, &h) ? 0 : RTL8139_IPF;
    if (!nic_transport_whole(&h, a->window))
        return failed | IP << RTL8139_PID_SHIFT;
    bool tcp = h.protocol == NIC_IPPROTO_TCP;
    if (!nic_transport_valid(a->bytes, a->frame->iov, a->frame->iovcnt, &h) &&
        (tcp || nic_get16(a->bytes + h.transport + 6)))
        failed |= tcp ? RTL8139_TCPF : RTL8139_UDPF;
    return failed | (uint32_t)(tcp ? TCP : UDP) << RTL8139_PID_SHIFT;
}

static uint32_t descriptor_status(nic_device *device, const arrival *a)
{
    static const struct {
        uint32_t header, descriptor;
    } bits[] = {{MAR, RTL8139_MAR_RECEIVED}, {PAM, RTL8139_PAM},   {BAR, RTL8139_BAR},
                {FAE, RTL8139_FAE},          {RUNT, RTL8139_RUNT}, {CRC, RTL8139_CRC_ERROR},
                {LONG, RTL8139_RWT}};
    rtl8139 *card = rtl8139_of(device);
    uint32_t status = (card->buffer_overflow ? RTL8139_BOVF : 0) | (card->fifo_overflow ? RTL8139_FOVF : 0);
    for (uint32_t i = 0; i < NIC_ARRAY_LEN(bits); i++)
        if (a->status & bits[i].header)
            status |= bits[i].descriptor;
    if (!(a->status & ROK))
        status |= RTL8139_RES;
    if (rtl8139_reg(device, RTL8139_CPCR) & RTL8139_CPCR_RXCHKSUM)
        status |= verify(a);
    card->buffer_overflow = card->fifo_overflow = false;
    return status;
}

/* OWN is what the driver looks at: all else, the packet's data included, is there before it goes. */
static void put_descriptor(walk *w, const place *p, uint32_t opts1, uint32_t opts2)
{
    uint8_t *at = nic_dma_map(w->device, p->at, RTL8139_DESCRIPTOR, true);
    if (NIC_LIKELY(at != NULL)) {
        memcpy(at + 4, &opts2, sizeof(opts2));
        __atomic_store_n((uint32_t *)(void *)at, opts1, __ATOMIC_RELEASE);
        return;
    }
    nic_dma_write(w->device, p->at + 4, &opts2, sizeof(opts2));
    if (!was_reset(w))
        nic_dma_write(w->device, p->at, &opts1, sizeof(opts1));
}

static void store_in_descriptors(walk *w, arrival *a)
{
    nic_device *device = w->device;
    rtl8139 *card = rtl8139_of(device);
    struct iovec parts[PARTS];
    bool strip = a->tagged && rtl8139_reg(device, RTL8139_CPCR) & RTL8139_CPCR_RXVLAN;
    uint32_t length = a->length + RTL8139_FCS - (strip ? TAG : 0), left = length;
    uint32_t status = descriptor_status(device, a), opts2 = 0;
    if (strip)
        opts2 = RTL8139_TAVA | a->bytes[ADDRESSES + 2] | (uint32_t)a->bytes[ADDRESSES + 3] << 8;
    cut(a, strip, parts);
    nic_cursor c = {parts, 0};
    for (uint32_t i = 0; left; i++) {
        const place *p = &w->places[i];
        uint32_t size = p->size < left ? p->size : left;
        bool done = nic_dma_put(device, p->address, &c, size);
        uint32_t opts1 = (p->opts1 & RTL8139_EOR) | (left == length ? RTL8139_FS : 0);
        left -= size;
        opts1 |= left ? size : RTL8139_LS | status | length;
        if (!was_reset(w) && !done)
            rtl8139_system_error(device);
        if (was_reset(w))
            return;
        put_descriptor(w, p, opts1, left ? 0 : opts2);
        if (was_reset(w))
            return;
        card->receive_index = p->opts1 & RTL8139_EOR ? 0 : (uint8_t)((card->receive_index + 1) % RTL8139_RING);
    }
}

/* ------------------------------------------------------------------ the FIFO */

static uint32_t record_size(uint32_t length) { return RECORD + ((length + 3) & ~3u); }

static bool fifo_push(rtl8139 *card, const nic_frame *frame)
{
    uint32_t size = record_size(frame->length);
    uint16_t head[2] = {(uint16_t)frame->length, (uint16_t)frame->flags};
    if (size > RTL8139_FIFO - card->fifo_used)
        return false;
    memcpy(card->fifo + card->fifo_used, head, sizeof(head));
    nic_frame_copy(frame, card->fifo + card->fifo_used + RECORD, frame->length);
    card->fifo_used += size;
    card->fifo_frames++;
    return true;
}

static bool fifo_peek(rtl8139 *card, nic_frame *frame, struct iovec *iov)
{
    uint16_t head[2];
    if (!card->fifo_frames)
        return false;
    memcpy(head, card->fifo, sizeof(head));
    if (card->fifo_used < RECORD || !head[0] || record_size(head[0]) > card->fifo_used) { /* a snapshot's nonsense */
        card->fifo_used = card->fifo_frames = 0;
        return false;
    }
    *iov = (struct iovec){card->fifo + RECORD, head[0]};
    *frame = (nic_frame){iov, 1, head[0], head[1]};
    return true;
}

static void fifo_pop(rtl8139 *card, uint32_t length)
{
    uint32_t size = record_size(length);
    if (!card->fifo_frames || size > card->fifo_used)
        return; /* reset meanwhile */
    memmove(card->fifo, card->fifo + size, card->fifo_used - size);
    card->fifo_used -= size;
    card->fifo_frames--;
}

/* ------------------------------------------------------------------ a frame */

static bool has_room(walk *w, const arrival *a)
{
    nic_device *device = w->device;
    if (!rtl8139_cplus_receive(device))
        return buffer_has_room(device, a->length);
    bool strip = a->tagged && rtl8139_reg(device, RTL8139_CPCR) & RTL8139_CPCR_RXVLAN;
    return ring_has_room(w, a->length + RTL8139_FCS - (strip ? TAG : 0));
}

/* Whether it would find room in an empty buffer. */
static bool could_fit(const nic_device *device, const arrival *a)
{
    return rtl8139_cplus_receive(device) || stored_size(a->length) < rtl8139_buffer_size(device);
}

static void store(walk *w, arrival *a)
{
    rtl8139 *card = rtl8139_of(w->device);
    if (rtl8139_cplus_receive(w->device))
        store_in_descriptors(w, a);
    else
        store_in_buffer(w, a);
    if (was_reset(w))
        return;
    card->overflowed = false;
    card->retries = 0;
    if (!(a->status & ROK))
        return;
    w->causes |= RTL8139_ISR_ROK;
    card->tally.rx_ok++;
    card->tally.rx_ok_physical += (a->status & PAM) != 0;
    card->tally.rx_ok_broadcast += (a->status & BAR) != 0;
    card->tally.rx_ok_multicast += (a->status & MAR) != 0;
}

static void store_waiting(walk *w)
{
    rtl8139 *card = rtl8139_of(w->device);
    nic_frame frame;
    struct iovec iov;
    arrival a;
    while (!was_reset(w) && fifo_peek(card, &frame, &iov)) {
        judge(w->device, &frame, &a);
        if (a.accepted && !has_room(w, &a))
            return;
        if (a.accepted)
            store(w, &a);
        if (!was_reset(w))
            fifo_pop(card, frame.length);
    }
}

/* No register tells of descriptors that the driver gives: the chip looks again, at first soon. */
static void watch_ring(nic_device *device)
{
    rtl8139 *card = rtl8139_of(device);
    if (!rtl8139_cplus_receive(device) || nic_timer_armed(device, RTL8139_TIMER_RETRY))
        return;
    nic_timer_set(device, RTL8139_TIMER_RETRY, nic_now(device) + ((uint64_t)RETRY_NS << card->retries));
    if (card->retries < RTL8139_RETRIES)
        card->retries++;
}

/* The FIFO has run over: what comes is missed (DS 5.6, FOVW). */
static void lose(walk *w)
{
    nic_device *device = w->device;
    rtl8139 *card = rtl8139_of(device);
    w->causes |= RTL8139_ISR_FOVW;
    card->fifo_overflow = true;
    if (rtl8139_reg(device, RTL8139_CONFIG4) & RTL8139_CONFIG4_RXFIFOAUTOCLR)
        card->fifo_used = card->fifo_frames = 0;
    device->cells[RTL8139_MPC] = (rtl8139_reg(device, RTL8139_MPC) + 1) & RTL8139_MPC_COUNT;
    card->tally.missed++;
}

/* There is no room in memory: RXOVW (C+: RDU), then the FIFO, and when that runs over FOVW (DS 5.6). */
static void overflow(walk *w, const arrival *a)
{
    nic_device *device = w->device;
    rtl8139 *card = rtl8139_of(device);
    w->causes |= RTL8139_ISR_RXOVW;
    card->overflowed = card->buffer_overflow = true;
    if (could_fit(device, a) && fifo_push(card, a->frame)) {
        watch_ring(device);
        return;
    }
    lose(w);
    nic_find(device, RTL8139_FIND_RX_OVERRUN, a->length, rtl8139_reg(device, RTL8139_MPC));
}

/* What the MAC counts of frames that are for this station and damaged (DS 5.6, RER). */
static void count_damage(walk *w, const arrival *a)
{
    rtl8139 *card = rtl8139_of(w->device);
    if (a->status & ISE)
        w->device->cells[RTL8139_REC] = (rtl8139_reg(w->device, RTL8139_REC) + 1) & 0xffff;
    if (!(a->status & (CRC | FAE)))
        return;
    w->causes |= RTL8139_ISR_RER;
    card->tally.rx_err++;
    card->tally.fae += (a->status & FAE) != 0;
}

static bool is_disturbed(const rtl8139 *card)
{
    return NIC_UNLIKELY(card->disturb[RTL8139_RECEIVE_OVERFLOW] | card->disturb[RTL8139_ALIGNMENT_ERROR]);
}

/* Lets a frame that is accepted meet what nic_disturb has for it; `damaged` is where it may be changed.  Returns false if
 * it is lost. */
static bool disturb(walk *w, nic_frame *damaged, arrival *a)
{
    uint32_t *left = rtl8139_of(w->device)->disturb;
    if (nic_disturbed(&left[RTL8139_RECEIVE_OVERFLOW])) {
        lose(w);
        return false;
    }
    if (nic_disturbed(&left[RTL8139_ALIGNMENT_ERROR])) {
        *damaged = *a->frame;
        damaged->flags |= NIC_FRAME_ALIGNMENT;
        judge(w->device, damaged, a);
    }
    return true;
}

/* Returns false if the frame has to be held back. */
static bool take(walk *w, const nic_frame *frame)
{
    nic_device *device = w->device;
    rtl8139 *card = rtl8139_of(device);
    nic_frame damaged;
    arrival a;
    if (!frame->length)
        return true;
    judge(device, frame, &a);
    if (NIC_UNLIKELY(card->sleeping))
        wake(device, &a);
    if (!(rtl8139_reg(device, RTL8139_CR) & RTL8139_CR_RE) || was_reset(w) || take_pause(device, &a) || !a.addressed)
        return true;
    if (rtl8139_cplus_receive(device) && a.length + RTL8139_FCS > CPLUS_MAX)
        a.accepted = false;
    bool room = a.accepted && !card->fifo_frames && has_room(w, &a);
    if (was_reset(w))
        return true;
    if (a.accepted && !room && w->hold && could_fit(device, &a)) {
        if (rtl8139_cplus_receive(device)) /* RDU: some drivers give descriptors only when they are told */
            w->causes |= RTL8139_ISR_RXOVW;
        watch_ring(device);
        return false;
    }
    if (is_disturbed(card) && a.accepted && !disturb(w, &damaged, &a))
        return true;
    count_damage(w, &a);
    if (room && a.accepted)
        store(w, &a);
    else if (a.accepted)
        overflow(w, &a);
    return true;
}

/* ------------------------------------------------------------------ entries */

static void begin(nic_device *device, walk *w, bool hold)
{
    w->device = device;
    w->causes = w->place_count = 0;
    w->resets = device->resets;
    w->hold = hold;
}

static size_t receive(nic_device *device, const nic_frame *frames, size_t count, bool hold)
{
    walk w;
    size_t taken = 0;
    begin(device, &w, hold);
    if (NIC_UNLIKELY(rtl8139_of(device)->fifo_frames))
        store_waiting(&w);
    while (taken < count && (was_reset(&w) || take(&w, &frames[taken])))
        taken++;
    if (was_reset(&w))
        return taken;
    if (w.causes)
        rtl8139_cause(device, w.causes);
    rtl8139_flow(device);
    return taken;
}

size_t rtl8139_receive(nic_device *device, const nic_frame *frames, size_t count)
{
    if (rtl8139_loops(device) || !rtl8139_of(device)->link_up)
        return count; /* the wire is cut off */
    return receive(device, frames, count, device->port.hold);
}

void rtl8139_receive_looped(nic_device *device, const nic_frame *frames, size_t count)
{
    receive(device, frames, count, false);
}

/*
 * While frames wait for want of room, ROK stands (C+: RDU with it): a driver that cleared it before it had read
 * everything is told again, as it would be by the next frame from a wire that does not wait.  Without it a driver that
 * looks at its descriptors for ROK alone, as iPXE's does, would stand still for ever where its acknowledgement came
 * after frames that it has not seen: hosts deliver posted writes much later than a PCI bus does.
 */
static uint32_t reminder(const nic_device *device)
{
    return RTL8139_ISR_ROK | (rtl8139_cplus_receive(device) ? RTL8139_ISR_RXOVW : 0);
}

void rtl8139_store(nic_device *device)
{
    walk w;
    if (!(rtl8139_reg(device, RTL8139_CR) & RTL8139_CR_RE))
        return;
    begin(device, &w, false);
    store_waiting(&w);
    if (was_reset(&w))
        return;
    if (rtl8139_of(device)->fifo_frames)
        w.causes |= RTL8139_ISR_RXOVW | reminder(device);
    else if (device->port.inbound.frames && rtl8139_can_receive(device))
        nic_port_ready(&device->port);
    else if (device->port.inbound.frames)
        w.causes |= reminder(device);
    if (rtl8139_of(device)->fifo_frames || device->port.inbound.frames)
        watch_ring(device);
    if (w.causes)
        rtl8139_cause(device, w.causes);
    rtl8139_flow(device);
}

bool rtl8139_can_receive(nic_device *device)
{
    walk w;
    if (!(rtl8139_reg(device, RTL8139_CR) & RTL8139_CR_RE) || rtl8139_loops(device) || !rtl8139_of(device)->link_up)
        return true; /* it would be gone */
    if (rtl8139_of(device)->fifo_frames)
        return false;
    begin(device, &w, true);
    return rtl8139_cplus_receive(device) ? ring_has_room(&w, USUAL) : buffer_has_room(device, USUAL);
}

/* CR.RE has changed: what the FIFO holds is gone, and a receiver that starts finds its buffer empty (DS 5.4). */
void rtl8139_receive_started(nic_device *device)
{
    rtl8139 *card = rtl8139_of(device);
    card->fifo_used = card->fifo_frames = 0;
    card->overflowed = card->buffer_overflow = card->fifo_overflow = false;
    if (!(rtl8139_reg(device, RTL8139_CR) & RTL8139_CR_RE))
        return;
    card->receive_index = 0;
    device->cells[RTL8139_CBR] = 0;
    device->cells[RTL8139_CAPR] = 0xfff0;
    device->cells[RTL8139_CR] |= RTL8139_CR_BUFE;
    rtl8139_flow(device);
    nic_port_ready(&device->port);
}
