/*
 * 88E8057, receive: filters, the FIFO's rules, buffers of list elements, checksums, the receive hash, and the elements
 * that tell of a frame (facts 2.8, 2.12, 3.4, 3.5, 6.3, 6.4).
 *
 * A frame goes from the backend's buffer to guest memory in one copy.  One that finds no buffer is lost, and counted as
 * an overrun of the receive FIFO, or held back by the port.
 */
#define _GNU_SOURCE /* memmem */
#include "yukon2.h"

enum { /* the status word of a frame (3.5) */
    FS_OVERFLOW = 1 << 0,
    FS_CRC = 1 << 1,
    FS_FRAGMENT = 1 << 3,
    FS_LONG = 1 << 4,
    FS_MII = 1 << 5,
    FS_GOOD_FC = 1 << 7,
    FS_OK = 1 << 8,
    FS_BROADCAST = 1 << 9,
    FS_MULTICAST = 1 << 10,
    FS_UNDERSIZE = 1 << 11,
    FS_JABBER = 1 << 12,
    FS_VLAN = 1 << 13,
    FS_LENGTH_SHIFT = 16,
};

enum {
    WINDOW = 128,          /* bytes of a scattered frame that filters look at */
    TAG_AT = 12,
    TAG = 4,
    MOST = 1518,           /* longest frame with FCS */
    MOST_TAGGED = 1522,    /* and with GM_SERIAL_MODE.VLAN_ENA */
    MOST_JUMBO = 9026,     /* and with JUMBO_ENA */
    TRUNCATION_GRAIN = 8,  /* a frame is cut off so many bytes behind the threshold (2.8) */
    PARTS = NIC_FRAME_IOV + 4,
    BUFFERS = 64,          /* of one frame */
    ELEMENTS = 4096,       /* looked at in one call without a frame: the longest list */
    ENTRIES = 4,           /* status elements of a frame, and a report */
};

typedef struct walk { /* one call */
    nic_device *device;
    yukon2_list list;
    bool on;              /* frames are received */
    uint32_t changes, resets;
} walk;

typedef struct arrival { /* a frame, while it is looked at */
    const nic_frame *frame;
    const uint8_t *bytes; /* its first `window` bytes in one piece */
    uint32_t window;
    uint32_t length;      /* without FCS */
    uint32_t status;      /* of the status word: everything but the length */
    uint32_t faults;      /* NIC_FRAME_* but SHORT */
    bool control;
    uint8_t buffer[WINDOW];
    struct iovec iov[1];
    nic_frame padded;
} arrival;

typedef struct plan { /* where a frame goes */
    uint64_t address[BUFFERS];
    uint32_t length[BUFFERS];
    uint32_t count, room;
    uint32_t get;         /* behind its list elements */
    yukon2_rx rx;         /* what they have said */
    bool broken;          /* a list element that the queue does not know stands at `get` */
    yukon2_le le;
} plan;

/* ------------------------------------------------------------------ the list (3.4) */

static bool receives(const nic_device *device)
{
    uint32_t fifo = yukon2_reg(device, YUKON2_RX_GMF_CTRL);
    return yukon2_reg(device, YUKON2_GM_GP_CTRL) & YUKON2_GM_GP_CTRL_RX_ENA && fifo & UNIT_ON && !(fifo & UNIT_RST_SET) &&
           yukon2_queue_runs(device, QUEUE_R1) && device->bus_master;
}

static void begin(nic_device *device, walk *w)
{
    *w = (walk){.device = device, .changes = yukon2_of(device)->changes, .resets = device->resets};
    w->on = receives(device);
    if (w->on)
        yukon2_load_list(device, QUEUE_R1, &w->list);
}

static bool was_reset(const walk *w)
{
    return NIC_UNLIKELY(yukon2_of(w->device)->changes != w->changes || w->device->resets != w->resets);
}

/* A list element that is no buffer; false: it is none that a receive queue knows. */
static bool take_state(yukon2_rx *rx, const yukon2_le *le)
{
    if (le->opcode == (OWNER | OP_STATE | 1)) {
        rx->high = le->address;
    } else if (le->opcode == (OWNER | OP_CHECKSUM | 2)) {
        rx->start[0] = (uint16_t)le->address;
        rx->start[1] = (uint16_t)(le->address >> 16);
    } else {
        return false;
    }
    return true;
}

static void add_buffer(plan *p, const yukon2_le *le)
{
    if (p->count == BUFFERS || !le->length)
        return;
    p->address[p->count] = (uint64_t)p->rx.high << 32 | le->address;
    p->length[p->count++] = le->length;
    p->room += le->length;
}

/*
 * Looks from GET_IDX for a PACKET and the BUFFERs behind it until `length` bytes have room; BUFFERs before it are what
 * the frame before left.  Returns false if the list ends before: then the elements before the PACKET may still be eaten.
 */
static bool make_plan(walk *w, plan *p, uint32_t length)
{
    bool begun = false;
    yukon2_le le;
    p->count = p->room = 0;
    p->broken = false;
    p->rx = yukon2_of(w->device)->rx;
    p->get = w->list.get;
    for (uint32_t left = ELEMENTS; left && p->get != w->list.put; left--) {
        if (!yukon2_fetch(w->device, &w->list, p->get, &le) || was_reset(w))
            return false;
        if (le.opcode == (OWNER | OP_PACKET)) {
            if (begun)
                return true; /* the frame does not fit */
            begun = true;
            add_buffer(p, &le);
        } else if (le.opcode == (OWNER | OP_BUFFER)) {
            if (begun)
                add_buffer(p, &le);
        } else if (!take_state(&p->rx, &le)) {
            p->broken = true;
            p->le = le;
            return begun;
        }
        p->get = yukon2_next(&w->list, p->get);
        if (begun && p->room >= length)
            return true;
    }
    return begun && p->count == BUFFERS;
}

static void show_get(walk *w)
{
    w->device->cells[YUKON2_R1_PREF_GET_IDX] = w->list.get;
    w->device->cells[YUKON2_R1_DONE] = w->list.get;
}

/* Eats what stands before the next PACKET, so that what it says is known and GET_IDX shows it (2.6). */
static void eat_leading(walk *w)
{
    yukon2_rx *rx = &yukon2_of(w->device)->rx;
    yukon2_le le;
    for (uint32_t left = ELEMENTS; left && w->list.get != w->list.put; left--) {
        if (!yukon2_fetch(w->device, &w->list, w->list.get, &le) || was_reset(w))
            return;
        if (le.opcode == (OWNER | OP_PACKET))
            break;
        uint32_t index = w->list.get;
        bool known = le.opcode == (OWNER | OP_BUFFER) || take_state(rx, &le);
        w->list.get = yukon2_next(&w->list, index);
        if (!known) {
            bool owned = le.opcode & OWNER;
            show_get(w);
            yukon2_bad_element(w->device, QUEUE_R1, owned ? YUKON2_FIND_LIST_OPCODE : YUKON2_FIND_LIST_NOT_OWNED, index, &le);
            w->on = false;
            return;
        }
    }
    show_get(w);
}

void yukon2_walk_receive_list(nic_device *device)
{
    walk w = {.device = device, .changes = yukon2_of(device)->changes, .resets = device->resets};
    if (!yukon2_queue_runs(device, QUEUE_R1) || !device->bus_master)
        return;
    yukon2_load_list(device, QUEUE_R1, &w.list);
    eat_leading(&w);
}

/* ------------------------------------------------------------------ into the buffers */

static uint32_t store(walk *w, const plan *p, const struct iovec *parts, uint32_t length)
{
    uint32_t stored = 0;
    nic_cursor from = {parts, 0};
    for (uint32_t i = 0; i < p->count && stored < length; i++) {
        uint32_t size = length - stored < p->length[i] ? length - stored : p->length[i];
        nic_dma_put(w->device, p->address[i], &from, size);
        stored += size;
    }
    return stored;
}

/* ------------------------------------------------------------------ filters (2.12) */

static bool is_station(const nic_device *device, const uint8_t *address)
{
    static const uint16_t firsts[] = {YUKON2_GM_SRC_ADDR_1, YUKON2_GM_SRC_ADDR_2};
    uint16_t words[3];
    memcpy(words, address, sizeof(words));
    for (uint32_t n = 0; n < NIC_ARRAY_LEN(firsts); n++)
        if (words[0] == yukon2_reg(device, firsts[n]) && words[1] == yukon2_reg(device, firsts[n] + 1u) &&
            words[2] == yukon2_reg(device, firsts[n] + 2u))
            return true;
    return false;
}

static bool passes(const nic_device *device, const uint8_t *address, bool broadcast)
{
    uint32_t control = yukon2_reg(device, YUKON2_GM_RX_CTRL);
    if (!(address[0] & 1))
        return !(control & YUKON2_GM_RX_CTRL_UCF_ENA) || is_station(device, address);
    if (broadcast || !(control & YUKON2_GM_RX_CTRL_MCF_ENA))
        return true;
    uint32_t hash = nic_hash_big(address) & 63;
    return yukon2_reg(device, YUKON2_GM_MC_ADDR + hash / 16) >> hash % 16 & 1;
}

/* A PAUSE frame is obeyed and counted; it is received only where GM_RX_CTRL asks for it. */
static bool is_pause(nic_device *device, const arrival *a)
{
    uint32_t quanta;
    if (!nic_pause_read(a->bytes, a->window, &quanta) ||
        !(nic_pause_group(a->bytes) || is_station(device, a->bytes)))
        return false;
    yukon2_count(device, MIB_RX_PAUSE, 1);
    yukon2_paused(device, quanta);
    return true;
}

/* A magic packet: six bytes of ones and the address sixteen times, anywhere in the frame (2.11). */
static void look_for_magic(nic_device *device, const nic_frame *frame)
{
    enum { SYNC = 6, TIMES = 16, ADDRESS = 6 };
    uint8_t pattern[SYNC + TIMES * ADDRESS], bytes[2048];
    memset(pattern, 0xff, SYNC);
    for (uint32_t i = 0; i < TIMES * ADDRESS; i++)
        pattern[SYNC + i] = (uint8_t)yukon2_reg(device, YUKON2_WOL_MAC_ADDR + i % ADDRESS);
    size_t length = nic_frame_copy(frame, bytes, sizeof(bytes));
    if (memmem(bytes, length, pattern, sizeof(pattern)))
        yukon2_wake(device, YUKON2_WOL_CTRL_STAT_MAGIC_OCC);
}

/* ------------------------------------------------------------------ one frame */

/* Brings a frame to where filters can look at it: at least 60 bytes.  What senders pad, wires may leave out here. */
static void look(const nic_frame *frame, arrival *a)
{
    a->frame = frame;
    a->length = a->window = frame->length;
    a->bytes = frame->iovcnt ? frame->iov[0].iov_base : a->buffer;
    a->faults = frame->flags & ~(uint32_t)NIC_FRAME_SHORT;
    a->status = 0;
    if (NIC_LIKELY(frame->iovcnt == 1 && frame->length >= YUKON2_MIN))
        return;
    a->window = (uint32_t)nic_frame_copy(frame, a->buffer, WINDOW);
    a->bytes = a->buffer;
    if (frame->length < YUKON2_MIN) {
        memset(a->buffer + frame->length, 0, YUKON2_MIN - frame->length);
        a->window = YUKON2_MIN;
        if (frame->flags & NIC_FRAME_SHORT)
            return;
        a->length = YUKON2_MIN;
        a->iov[0] = (struct iovec){a->buffer, YUKON2_MIN};
        a->padded = (nic_frame){a->iov, 1, YUKON2_MIN, 0};
        a->frame = &a->padded;
    }
}

/* What is wrong with a frame, in the status word and in the counters (2.12, 3.5). */
static bool judge(nic_device *device, arrival *a)
{
    uint32_t mode = yukon2_reg(device, YUKON2_GM_SERIAL_MODE), wire = a->length + YUKON2_FCS;
    uint32_t most = mode & YUKON2_GM_SERIAL_MODE_JUMBO_ENA  ? MOST_JUMBO
                    : mode & YUKON2_GM_SERIAL_MODE_VLAN_ENA ? MOST_TAGGED
                                                            : MOST;
    bool fcs = a->faults & (NIC_FRAME_BAD_FCS | NIC_FRAME_ALIGNMENT);
    if (NIC_LIKELY(!a->faults && a->length >= YUKON2_MIN && wire <= most)) {
        a->status |= FS_OK;
        return true;
    }
    if (fcs)
        a->status |= FS_CRC;
    if (a->faults & NIC_FRAME_RX_ERROR)
        a->status |= FS_MII;
    if (a->length < YUKON2_MIN) {
        a->status |= fcs ? FS_FRAGMENT : FS_UNDERSIZE;
        yukon2_count(device, fcs ? MIB_RX_FRAGMENT : MIB_RX_SHORT, 1);
    } else if (wire > most) {
        a->status |= fcs ? FS_JABBER | FS_LONG : FS_LONG;
        yukon2_count(device, fcs ? MIB_RX_JABBER : MIB_RX_LONG, 1);
    } else if (fcs) {
        yukon2_count(device, MIB_RX_FCS, 1);
    }
    yukon2_count_octets(device, MIB_RX_BAD_OCTETS, wire);
    return false;
}

static void count_good(nic_device *device, const arrival *a)
{
    uint32_t wire = a->length + YUKON2_FCS;
    yukon2_count(device, a->status & FS_BROADCAST ? MIB_RX_BC : a->status & FS_MULTICAST ? MIB_RX_MC : MIB_RX_UC, 1);
    yukon2_count(device, MIB_RX_64 + yukon2_bin(wire), 1);
    yukon2_count_octets(device, MIB_RX_OCTETS, wire);
}

/* The frame as it is stored: without its tag if that is stripped, with its FCS unless that is (2.8, 2.12). */
static uint32_t cut(const arrival *a, bool strip, bool fcs, uint32_t *crc, struct iovec *parts)
{
    uint32_t count = 0, at = 0;
    for (uint32_t i = 0; i < a->frame->iovcnt; i++) {
        struct iovec piece = a->frame->iov[i];
        uint32_t size = (uint32_t)piece.iov_len, first = at;
        at += size;
        if (!strip || first >= TAG_AT + TAG || at <= TAG_AT) {
            parts[count++] = piece;
            continue;
        }
        if (first < TAG_AT)
            parts[count++] = (struct iovec){piece.iov_base, TAG_AT - first};
        if (at > TAG_AT + TAG) {
            uint32_t from = first < TAG_AT + TAG ? TAG_AT + TAG - first : 0;
            parts[count++] = (struct iovec){(uint8_t *)piece.iov_base + from, size - from};
        }
    }
    if (fcs) {
        *crc = nic_crc32_iov(a->frame->iov, a->frame->iovcnt);
        if (a->faults & (NIC_FRAME_BAD_FCS | NIC_FRAME_ALIGNMENT))
            *crc = ~*crc;
        parts[count++] = (struct iovec){crc, YUKON2_FCS};
    }
    return count;
}

/* ------------------------------------------------------------------ the receive hash (6.4) */

enum { HASH_PORTS = 12, HASH_ADDRESSES = 8 }; /* bytes that it covers: IPv4 addresses, and ports of TCP */

/* The Toeplitz hash is linear: what each value of each byte adds to it stands in a table, made from the key. */
static void prepare_hash(nic_device *device)
{
    yukon2 *card = yukon2_of(device);
    const uint32_t *key = &device->cells[YUKON2_RSS_KEY];
    for (uint32_t byte = 0; byte < HASH_PORTS; byte++)
        for (uint32_t value = 0; value < 256; value++) {
            uint32_t hash = 0;
            for (uint32_t bit = 0; bit < 8; bit++) {
                uint32_t at = 8 * byte + bit, word = at / 32, shift = at % 32;
                uint64_t window = (uint64_t)__builtin_bswap32(key[word]) << 32;
                window |= word < 3 ? __builtin_bswap32(key[word + 1]) : 0;
                if (value & 0x80u >> bit)
                    hash ^= (uint32_t)(window << shift >> 32);
            }
            card->hash[byte][value] = hash;
        }
    card->hash_ready = true;
}

/* Over the IPv4 addresses, and the ports where they are TCP's; false: the frame is not IPv4. */
static bool hash_frame(nic_device *device, const arrival *a, uint32_t *hash, uint32_t *kind)
{
    enum { IPV4 = 1, TCP_IPV4 = 2 };
    nic_headers headers;
    yukon2 *card = yukon2_of(device);
    nic_parse(a->bytes, a->window, a->length, (uint16_t)yukon2_reg(device, YUKON2_RX_GMF_VLAN), &headers);
    if (headers.version != 4)
        return false;
    if (NIC_UNLIKELY(!card->hash_ready))
        prepare_hash(device);
    uint32_t length = HASH_ADDRESSES;
    uint8_t covered[HASH_PORTS];
    memcpy(covered, a->bytes + headers.network + 12, HASH_ADDRESSES);
    if (headers.protocol == NIC_IPPROTO_TCP && !headers.fragment && a->window >= headers.transport + 4u) {
        memcpy(covered + HASH_ADDRESSES, a->bytes + headers.transport, 4);
        length = HASH_PORTS;
    }
    *hash = 0;
    for (uint32_t i = 0; i < length; i++)
        *hash ^= card->hash[i][covered[i]];
    *kind = length == HASH_PORTS ? TCP_IPV4 : IPV4;
    return true;
}

/* ------------------------------------------------------------------ what is told of a frame (3.5, 6.3) */

/* One's complement sum from `start` on, of words as a little-endian processor reads them. */
static uint32_t sum_from(const struct iovec *parts, uint32_t count, uint32_t start, uint32_t length)
{
    nic_sum sum = {0};
    nic_sum_add_iov(&sum, parts, count, start, length);
    return __builtin_bswap16(nic_sum_value(&sum));
}

static uint32_t sums(nic_device *device, const struct iovec *parts, uint32_t count, uint32_t length)
{
    const yukon2_rx *rx = &yukon2_of(device)->rx;
    uint32_t first = sum_from(parts, count, rx->start[0], length);
    uint32_t second = rx->start[1] == rx->start[0] ? first : sum_from(parts, count, rx->start[1], length);
    return first | second << 16;
}

static void tell(nic_device *device, const arrival *a, bool strip, const struct iovec *parts, uint32_t count,
                 uint32_t length, uint32_t stored)
{
    uint32_t csr = yukon2_reg(device, YUKON2_R1_CSR), hash, kind;
    uint32_t tag = strip ? (uint32_t)a->bytes[TAG_AT + 2] | (uint32_t)a->bytes[TAG_AT + 3] << 8 : 0;
    if (csr & CSR_CHKSUM)
        yukon2_status_put(device, yukon2_element(strip ? OP_RXCHKSVLAN : OP_RXCHKS,
                                                 sums(device, parts, count, length), tag));
    else if (strip)
        yukon2_status_put(device, yukon2_element(OP_RXVLAN, 0, tag));
    if (csr & CSR_RSS && hash_frame(device, a, &hash, &kind))
        yukon2_status_put(device, yukon2_element(OP_RSS_HASH, hash, kind));
    uint32_t told = length + (strip ? TAG : 0);
    yukon2_status_put(device, yukon2_element(OP_RXSTAT, told << FS_LENGTH_SHIFT | a->status, stored));
}

/* The receive FIFO runs over (2.11). */
static void overrun(walk *w, const arrival *a)
{
    nic_device *device = w->device;
    yukon2_count(device, MIB_RX_OVERFLOW, 1);
    device->cells[YUKON2_GMAC_IRQ_SRC] |= YUKON2_GMAC_IRQ_SRC_RX_FF_OR;
    nic_find(device, YUKON2_FIND_RX_OVERRUN, a->length, yukon2_reg(device, YUKON2_R1_PREF_PUT_IDX));
    yukon2_update(device);
}

/* A frame is cut off behind the threshold (2.8). */
static uint32_t truncated(const nic_device *device, arrival *a, uint32_t length)
{
    uint32_t most = 4 * yukon2_reg(device, YUKON2_RX_GMF_TR_THR) + TRUNCATION_GRAIN;
    if (NIC_LIKELY(!(yukon2_reg(device, YUKON2_RX_GMF_CTRL) & RX_TRUNCATE) || length <= most))
        return length;
    a->status = (a->status & ~(uint32_t)FS_OK) | FS_LONG;
    return most;
}

/* Stores a frame that passed; returns false if it has to be held back. */
static bool accept(walk *w, arrival *a, bool hold)
{
    nic_device *device = w->device;
    struct iovec parts[PARTS];
    uint32_t crc, control = yukon2_reg(device, YUKON2_RX_GMF_CTRL);
    bool tagged = nic_get16(a->bytes + TAG_AT) == yukon2_reg(device, YUKON2_RX_GMF_VLAN);
    bool strip = tagged && control & RX_VLAN_STRIP, fcs = !(yukon2_reg(device, YUKON2_GM_RX_CTRL) & YUKON2_GM_RX_CTRL_CRC_DIS);
    uint32_t length = a->length + (fcs ? YUKON2_FCS : 0) - (strip ? TAG : 0);
    uint32_t wanted = truncated(device, a, length);
    bool told = yukon2_status_room(device, ENTRIES);
    plan p;
    if (!told || !make_plan(w, &p, wanted)) {
        if (was_reset(w))
            return true;
        if (told && p.broken && w->list.get != w->list.put)
            eat_leading(w);
        if (told && w->on)
            yukon2_congested(device);
        if (hold && w->on)
            return false;
        overrun(w, a);
        return true;
    }
    if (strip)
        a->status |= FS_VLAN;
    uint32_t count = cut(a, strip, fcs, &crc, parts);
    uint32_t stored = store(w, &p, parts, wanted);
    if (was_reset(w))
        return true;
    if (NIC_UNLIKELY(stored < wanted)) {
        nic_find(device, YUKON2_FIND_RX_BUFFERS_TOO_SMALL, wanted, p.room);
        a->status = (a->status & ~(uint32_t)FS_OK) | FS_LONG;
    }
    yukon2_of(device)->rx = p.rx;
    w->list.get = p.get;
    tell(device, a, strip, parts, count, length, stored);
    if (NIC_LIKELY(a->status & FS_OK))
        count_good(device, a);
    return true;
}

/* Returns false if the frame has to be held back. */
static bool take(walk *w, const nic_frame *frame, bool hold)
{
    nic_device *device = w->device;
    uint32_t wake = yukon2_reg(device, YUKON2_WOL_CTRL_STAT), control = yukon2_reg(device, YUKON2_RX_GMF_CTRL);
    arrival a;
    if (NIC_UNLIKELY(wake & WOL_MAGIC_ON && !frame->flags))
        look_for_magic(device, frame);
    if (!frame->length || !w->on || was_reset(w))
        return true;
    look(frame, &a);
    bool broadcast = !memcmp(a.bytes, "\xff\xff\xff\xff\xff\xff", 6);
    bool pause = !a.faults && is_pause(device, &a);
    if (pause && !(yukon2_reg(device, YUKON2_GM_RX_CTRL) & YUKON2_GM_RX_CTRL_PASS_FC))
        return true;
    if (!pause && !passes(device, a.bytes, broadcast))
        return true;
    a.status |= pause ? FS_GOOD_FC : 0;
    a.status |= broadcast ? FS_BROADCAST : a.bytes[0] & 1 ? FS_MULTICAST : 0;
    judge(device, &a);
    if (NIC_UNLIKELY(control & RX_FLUSH && a.status & yukon2_reg(device, YUKON2_RX_GMF_FL_MSK)))
        return true;
    return accept(w, &a, hold);
}

/* ------------------------------------------------------------------ entries */

static size_t receive(nic_device *device, const nic_frame *frames, size_t count, bool hold)
{
    walk w;
    size_t taken = 0;
    begin(device, &w);
    while (taken < count && take(&w, &frames[taken], hold))
        taken++;
    if (w.on && !was_reset(&w))
        eat_leading(&w); /* what the last frame left of its buffers is not for the next */
    yukon2_status_settle(device);
    if (NIC_UNLIKELY(yukon2_of(device)->congested))
        nic_want_work(device, YUKON2_WORK_FLOW);
    return taken;
}

size_t yukon2_receive(nic_device *device, const nic_frame *frames, size_t count)
{
    if (yukon2_loops(device))
        return count; /* the wire is cut off */
    return receive(device, frames, count, device->port.hold);
}

void yukon2_receive_looped(nic_device *device, const nic_frame *frames, size_t count)
{
    receive(device, frames, count, false);
}

bool yukon2_can_receive(nic_device *device)
{
    walk w;
    plan p;
    begin(device, &w);
    return !w.on || yukon2_loops(device) || make_plan(&w, &p, 1);
}
