/*
 * 88E8057, transmit: the walk along a queue's list elements, checksums, segmentation, tags, and the report of what is
 * done (facts 3.1-3.3, 6.1, 6.2, 6.5).
 *
 * A frame is taken when all of its list elements are there, and stays in guest memory; only what an offload changes is
 * copied.  GET_IDX passes a frame when the wire has taken it: what the wire refuses is gathered again when it can go.
 */
#include "yukon2.h"

enum { /* the control byte of list elements (3.1) */
    CTRL_UDP = 0x01,
    CTRL_CALSUM = 0x02,
    CTRL_WR_SUM = 0x04,
    CTRL_VLAN = 0x20,
    CTRL_FORCE = 0x40,
    CTRL_EOP = 0x80,
};

enum { /* bounds of one call; what is left is done in the next */
    ELEMENTS = 8192,
    FRAMES = 1024,
    CHAOS_BURST = 16,
};

enum {
    ETHERNET_HEADER = 14,
    TAG = 4,
    TAG_AT = 12,
    TYPE_IPV4 = 0x0800,
    TCP_HEADER = 20,
    TCP_FLAGS_AT = 13,
    TCP_CWR = 0x80,
    TCP_SUM_AT = 16,
    IP_SUM_AT = 10,
    SPARE = 3, /* pieces that a frame may get in addition: head, tail, padding */
};

static const uint8_t zeros[YUKON2_MIN];

typedef struct walk { /* one queue in one call */
    nic_device *device;
    uint32_t queue, cells;
    yukon2_tx *tx;
    yukon2_list list;
    uint32_t changes;   /* of the card when the call began */
    uint32_t resets;
} walk;

typedef struct request { /* a frame, or a segmentation request, as its list elements describe it */
    uint32_t get, end;  /* its first list element, and the one behind its last */
    yukon2_said before; /* what had been said when it began */
    uint8_t control;    /* of its first list element, and FORCE of any */
    bool large;
    bool bad;           /* cannot be sent: swallowed up to its end */
} request;

/* ------------------------------------------------------------------ to the wire */

static void count_sent(nic_device *device, const nic_frame *frame)
{
    uint8_t address[6] = {0};
    uint32_t wire = frame->length + YUKON2_FCS;
    bool whole = frame->iov[0].iov_len >= sizeof(address);
    if (NIC_UNLIKELY(!whole))
        nic_frame_copy(frame, address, sizeof(address));
    const uint8_t *to = whole ? frame->iov[0].iov_base : address;
    bool broadcast = !memcmp(to, "\xff\xff\xff\xff\xff\xff", sizeof(address));
    yukon2_count(device, !(to[0] & 1) ? MIB_TX_UC : broadcast ? MIB_TX_BC : MIB_TX_MC, 1);
    yukon2_count(device, MIB_TX_64 + yukon2_bin(wire), 1);
    yukon2_count_octets(device, MIB_TX_OCTETS, wire);
}

static size_t to_wire(nic_device *device, const nic_frame *frames, size_t count)
{
    if (NIC_UNLIKELY(yukon2_loops(device))) {
        yukon2_receive_looped(device, frames, count);
        return count;
    }
    return nic_port_send(&device->port, frames, count);
}

/* Whether the transmitter may send now. */
static bool wire_free(nic_device *device)
{
    const nic_backend *backend = device->port.backend;
    uint32_t fifo = yukon2_reg(device, YUKON2_TX_GMF_CTRL);
    return yukon2_reg(device, YUKON2_GM_GP_CTRL) & YUKON2_GM_GP_CTRL_TX_ENA && fifo & UNIT_ON &&
           !(fifo & UNIT_RST_SET) && !(yukon2_reg(device, YUKON2_GM_GP_STAT) & YUKON2_GM_GP_STAT_PAUSE) &&
           !(backend && backend->blocked && !yukon2_loops(device)) && !nic_timer_armed(device, YUKON2_TIMER_WIRE);
}

/* Whether a unit of the card was reset from inside this call, by a wire or an emulator that calls back. */
static bool was_reset(const walk *w)
{
    return NIC_UNLIKELY(yukon2_of(w->device)->changes != w->changes || w->device->resets != w->resets);
}

/* ------------------------------------------------------------------ reports (2.10, 3.5) */

static uint32_t done_index(const nic_device *device, uint32_t queue)
{
    return yukon2_reg(device, yukon2_queue_cells[queue] + Q_DONE);
}

void yukon2_report(nic_device *device, bool now)
{
    yukon2 *card = yukon2_of(device);
    uint32_t frames = card->tx[QUEUE_XA1].unreported + card->tx[QUEUE_XS1].unreported;
    bool force = card->tx[QUEUE_XA1].force || card->tx[QUEUE_XS1].force;
    uint64_t delay = yukon2_ticks(device, YUKON2_STAT_TX_TIMER_INI);
    if (!frames)
        return;
    if (!now && !force && delay && frames < yukon2_reg(device, YUKON2_STAT_TX_IDX_TH)) {
        if (!nic_timer_armed(device, YUKON2_TIMER_TX))
            nic_timer_set(device, YUKON2_TIMER_TX, nic_now(device) + delay);
        return;
    }
    if (!yukon2_status_room(device, 1))
        return;
    uint32_t asynchronous = done_index(device, QUEUE_XA1), synchronous = done_index(device, QUEUE_XS1);
    yukon2_status_put(device, yukon2_element(OP_TXINDEXLE, asynchronous | synchronous << 12, 0));
    for (uint32_t queue = QUEUE_XA1; queue <= QUEUE_XS1; queue++) {
        card->tx[queue].unreported = 0;
        card->tx[queue].force = false;
    }
    nic_timer_stop(device, YUKON2_TIMER_TX);
}

/* ------------------------------------------------------------------ the batch */

static void complete(walk *w, const yukon2_sent *sent)
{
    w->tx->segment = sent->last ? 0 : sent->segment + 1;
    if (!sent->last)
        return;
    w->device->cells[w->cells + Q_DONE] = sent->end;
    w->tx->unreported++;
    w->tx->force |= sent->force;
}

/* The wire may have ceased to compute checksums since the call began. */
static void finish_checksums(nic_device *device, yukon2_batch *batch)
{
    if (nic_port_offloads(&device->port) & NIC_OFFLOAD_CHECKSUM)
        return;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->frames[i].offload)
            nic_frame_finish(&batch->frames[i]);
}

/* Sends the batch; returns false if the wire did not take all of it, or the card was reset: then the walk is over. */
static bool flush(walk *w)
{
    yukon2_batch *batch = &yukon2_of(w->device)->batch;
    if (NIC_UNLIKELY(batch->offloads))
        finish_checksums(w->device, batch);
    size_t count = batch->count, taken = count ? to_wire(w->device, batch->frames, count) : 0;
    batch->count = batch->used = batch->staged = 0;
    if (was_reset(w))
        return false;
    for (size_t i = 0; i < taken; i++) {
        batch->gone += batch->frames[i].length;
        count_sent(w->device, &batch->frames[i]);
        complete(w, &batch->sent[i]);
    }
    if (NIC_LIKELY(taken == count))
        return true;
    const yukon2_sent *refused = &batch->sent[taken];
    w->list.get = refused->get;
    w->tx->said = refused->said;
    w->tx->segment = refused->segment;
    return false;
}

/* The budget of this call is used up; with time, the frame that was sent has to leave first. */
static void go_on_later(nic_device *device)
{
    if (device->profile == NIC_PROFILE_INSTANT)
        nic_want_work(device, NIC_WORK_TRANSMIT);
}

/* Whether a frame can join the batch; if not, the walk is over. */
static bool room_for_frame(walk *w)
{
    yukon2_batch *batch = &yukon2_of(w->device)->batch;
    if (!batch->budget) {
        go_on_later(w->device);
        return false;
    }
    if (NIC_LIKELY(batch->count < NIC_BATCH && batch->used + NIC_FRAME_IOV <= YUKON2_POOL))
        return true;
    return flush(w);
}

/* ------------------------------------------------------------------ gathering (3.3) */

static bool is_staged(const yukon2_batch *batch)
{
    return batch->piece_count == 1 && batch->pieces[0].iov_base == batch->staging + batch->staged;
}

/* Copies what is gathered into the staging buffer, behind what frames of the batch have there. */
static void stage(yukon2_batch *batch)
{
    uint8_t *to = batch->staging + batch->staged;
    uint32_t length = 0;
    if (is_staged(batch))
        return;
    for (uint32_t i = 0; i < batch->piece_count; i++) {
        memcpy(to + length, batch->pieces[i].iov_base, batch->pieces[i].iov_len);
        length += (uint32_t)batch->pieces[i].iov_len;
    }
    batch->pieces[0] = (struct iovec){to, length};
    batch->piece_count = length > 0;
}

static void note_bus_error(nic_device *device)
{
    enum { RECEIVED_MASTER_ABORT = 1 << 13 };
    device->cells[device->model->pci.status] |= RECEIVED_MASTER_ABORT;
    yukon2_update(device);
}

static void gather(walk *w, request *r, uint32_t index, uint64_t address, uint32_t length)
{
    yukon2_batch *batch = &yukon2_of(w->device)->batch;
    if (r->bad || !length)
        return;
    if (batch->length + length > (r->large ? (uint32_t)YUKON2_LARGE_MAX : (uint32_t)NIC_FRAME_MAX)) {
        nic_find(w->device, YUKON2_FIND_TX_OVERSIZE, index, (uint64_t)batch->length + length);
        r->bad = true;
        return;
    }
    void *data = nic_dma_map(w->device, address, length, false);
    batch->length += length;
    if (NIC_LIKELY(data && batch->piece_count < YUKON2_PIECES)) {
        batch->pieces[batch->piece_count++] = (struct iovec){data, length};
        return;
    }
    stage(batch);
    uint8_t *to = batch->staging + batch->staged + (batch->length - length);
    if (data) {
        memcpy(to, data, length);
    } else if (!nic_dma_read(w->device, address, to, length)) {
        r->bad = true; /* what was not read is not sent */
        note_bus_error(w->device);
    }
    batch->pieces[0] = (struct iovec){batch->staging + batch->staged, batch->length};
    batch->piece_count = 1;
}

enum { NOT_YET, WHOLE, BROKEN };

/* Reads a request's list elements from PACKET to EOP.  NOT_YET: they are not all there. */
static int read_request(walk *w, request *r, yukon2_le le)
{
    yukon2_batch *batch = &yukon2_of(w->device)->batch;
    yukon2_list *list = &w->list;
    batch->length = batch->piece_count = 0;
    *r = (request){.get = list->get, .before = w->tx->said, .control = le.control, .large = le.opcode == (OWNER | OP_LARGESEND)};
    for (uint32_t index = list->get;;) {
        if (le.opcode == (OWNER | OP_STATE | 1))
            w->tx->said.high = le.address;
        else
            gather(w, r, index, (uint64_t)w->tx->said.high << 32 | le.address, le.length);
        r->control |= le.control & CTRL_FORCE;
        index = yukon2_next(list, index);
        if (was_reset(w))
            return NOT_YET;
        if (le.opcode != (OWNER | OP_STATE | 1) && le.control & CTRL_EOP) {
            r->end = index;
            return WHOLE;
        }
        if (index == list->put || !yukon2_fetch(w->device, list, index, &le)) {
            w->tx->said = r->before;
            return NOT_YET;
        }
        if (le.opcode != (OWNER | OP_BUFFER) && le.opcode != (OWNER | OP_STATE | 1)) {
            r->end = index;
            yukon2_bad_element(w->device, w->queue, YUKON2_FIND_TX_ORDER, index, &le);
            return BROKEN;
        }
    }
}

/* ------------------------------------------------------------------ frames */

typedef struct form { /* the frame at the end of the batch, not yet part of it */
    uint8_t *head;
    uint32_t head_length;
    struct iovec *iov;
    uint32_t count, length;
    const nic_offload *left; /* to the wire */
} form;

/* Adds bytes [from, to) of what is gathered. */
static void add_pieces(yukon2_batch *batch, form *f, uint32_t from, uint32_t to)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < batch->piece_count && at < to; i++) {
        uint32_t size = (uint32_t)batch->pieces[i].iov_len, first = at < from ? from - at : 0;
        uint32_t end = to - at < size ? to - at : size;
        at += size;
        if (first >= end)
            continue;
        f->iov[f->count++] = (struct iovec){(uint8_t *)batch->pieces[i].iov_base + first, end - first};
        f->length += end - first;
    }
}

static form open_frame(yukon2_batch *batch, uint32_t head_length)
{
    form f = {.head = batch->heads[batch->count], .head_length = head_length, .iov = &batch->pool[batch->used]};
    if (head_length) {
        f.iov[0] = (struct iovec){f.head, head_length};
        f.count = 1;
        f.length = head_length;
    }
    return f;
}

static void put_tag(const walk *w, uint8_t *at, uint16_t vlan)
{
    nic_put16(at, (uint16_t)yukon2_reg(w->device, YUKON2_TX_GMF_VLAN));
    nic_put16(at + 2, vlan);
}

/* What drivers provide as FCS where GM_TX_CTRL has no hardware compute it; a wrong one makes a bad frame. */
static bool take_fcs(form *f)
{
    uint8_t fcs[YUKON2_FCS];
    for (uint32_t left = YUKON2_FCS; left;) {
        struct iovec *end = &f->iov[f->count - 1];
        uint32_t part = end->iov_len < left ? (uint32_t)end->iov_len : left;
        left -= part;
        end->iov_len -= part;
        memcpy(fcs + left, (uint8_t *)end->iov_base + end->iov_len, part);
        if (!end->iov_len)
            f->count--;
    }
    f->length -= YUKON2_FCS;
    uint32_t crc = nic_crc32_iov(f->iov, f->count);
    return !memcmp(&crc, fcs, sizeof(fcs));
}

static void close_frame(walk *w, form *f, const request *r, uint32_t segment, bool last)
{
    yukon2_batch *batch = &yukon2_of(w->device)->batch;
    uint32_t control = yukon2_reg(w->device, YUKON2_GM_TX_CTRL);
    uint32_t flags = 0;
    if (NIC_UNLIKELY(control & YUKON2_GM_TX_CTRL_CRC_DIS && f->length >= ETHERNET_HEADER + YUKON2_FCS))
        flags = take_fcs(f) ? 0 : NIC_FRAME_BAD_FCS;
    if (NIC_UNLIKELY(f->length < YUKON2_MIN)) {
        if (control & YUKON2_GM_TX_CTRL_NO_PAD) {
            flags |= NIC_FRAME_SHORT;
        } else {
            f->iov[f->count++] = (struct iovec){(void *)(uintptr_t)zeros, YUKON2_MIN - f->length};
            f->length = YUKON2_MIN;
        }
    }
    batch->frames[batch->count] = (nic_frame){f->iov, f->count, f->length, flags, f->left};
    batch->sent[batch->count++] = (yukon2_sent){.said = r->before, .get = r->get, .end = r->end, .segment = segment,
                                                .last = last, .force = r->control & CTRL_FORCE};
    batch->used += f->count;
    batch->budget--;
}

static bool tagged(walk *w, const request *r)
{
    if (NIC_LIKELY(!(r->control & CTRL_VLAN)))
        return false;
    if (yukon2_reg(w->device, YUKON2_TX_GMF_CTRL) & TX_VLAN_INSERT)
        return true;
    nic_find(w->device, YUKON2_FIND_TX_VLAN_MODE, r->get, 0);
    return false;
}

/* The checksum over [start, end) with the initial value, as it is written (6.1). */
static uint16_t checksum(const struct iovec *iov, uint32_t count, uint32_t start, uint32_t end, uint16_t initial, bool udp)
{
    nic_sum sum = {0};
    nic_sum_add_iov(&sum, iov, count, start, end);
    nic_sum_add16(&sum, initial);
    uint16_t value = (uint16_t)~nic_sum_value(&sum);
    return udp && !value ? 0xffff : value;
}

/* Whether the frame gets a checksum, which then has to lie within it. */
static bool summed(walk *w, const request *r, uint32_t length)
{
    const yukon2_said *said = &w->tx->said;
    uint8_t both = CTRL_CALSUM | CTRL_WR_SUM;
    if ((r->control & both) != both) {
        if (r->control & both)
            nic_find(w->device, YUKON2_FIND_TX_CHECKSUM_PARTIAL, r->control, r->get);
        return false;
    }
    if (said->start >= length || said->place + 2u > length) {
        nic_find(w->device, YUKON2_FIND_TX_CHECKSUM_OFFSET, (uint32_t)said->start << 16 | said->place, length);
        return false;
    }
    return true;
}

/* The checksum into the head, or into the hands of the wire if that computes it as it would be here. */
static void put_checksum(walk *w, const request *r, form *f, bool tag)
{
    yukon2_batch *batch = &yukon2_of(w->device)->batch;
    const yukon2_said *said = &w->tx->said;
    bool udp = r->control & CTRL_UDP, fcs = yukon2_reg(w->device, YUKON2_GM_TX_CTRL) & YUKON2_GM_TX_CTRL_CRC_DIS;
    if (NIC_UNLIKELY(batch->offloads & NIC_OFFLOAD_CHECKSUM) && !fcs && yukon2_leaves_checksum(said, udp)) {
        nic_offload *left = &batch->left[batch->count];
        *left = (nic_offload){.kind = NIC_OFFLOAD_CHECKSUM,
                              .checksum_start = (uint16_t)(said->start + (tag ? TAG : 0)),
                              .checksum_offset = (uint16_t)(said->place - said->start)};
        f->left = left;
        return;
    }
    nic_put16(f->head + said->place,
              checksum(batch->pieces, batch->piece_count, said->start, batch->length, said->initial, udp));
}

static void send_plain(walk *w, const request *r)
{
    yukon2_batch *batch = &yukon2_of(w->device)->batch;
    const yukon2_said *said = &w->tx->said;
    uint32_t length = batch->length, changed = 0;
    bool tag = tagged(w, r), sum = summed(w, r, length);
    if (sum)
        changed = said->place + 2u;
    if (tag && changed < TAG_AT)
        changed = TAG_AT;
    if (batch->piece_count > NIC_FRAME_IOV - SPARE || changed + TAG > YUKON2_HEAD) {
        stage(batch);
        if (sum) /* a checksum further behind than a head reaches */
            nic_put16(batch->staging + batch->staged + said->place,
                      checksum(batch->pieces, 1, said->start, length, said->initial, r->control & CTRL_UDP));
        sum = false;
        changed = tag ? TAG_AT : 0;
    }
    form f = open_frame(batch, changed + (tag ? TAG : 0));
    if (changed) {
        nic_frame whole = {batch->pieces, batch->piece_count, length, 0};
        nic_frame_copy(&whole, f.head, changed);
        if (sum)
            put_checksum(w, r, &f, tag);
        if (tag) {
            memmove(f.head + TAG_AT + TAG, f.head + TAG_AT, changed - TAG_AT);
            put_tag(w, f.head + TAG_AT, said->vlan);
        }
    }
    add_pieces(batch, &f, changed, length);
    if (is_staged(batch))
        batch->staged += length;
    close_frame(w, &f, r, 0, true);
}

/* ------------------------------------------------------------------ segmentation (6.2) */

/* Ethernet, perhaps one tag, IPv4, TCP. */
static bool find_headers(const uint8_t *bytes, uint32_t window, yukon2_headers *h)
{
    h->network = ETHERNET_HEADER;
    if (window < ETHERNET_HEADER + TAG)
        return false;
    if (nic_get16(bytes + TAG_AT) == 0x8100)
        h->network += TAG;
    if (window < h->network + 20 || nic_get16(bytes + h->network - 2) != TYPE_IPV4 || bytes[h->network] >> 4 != 4 ||
        bytes[h->network + 9] != NIC_IPPROTO_TCP)
        return false;
    uint32_t ip = 4 * (bytes[h->network] & 15u);
    h->transport = h->network + ip;
    if (ip < 20 || window < h->transport + TCP_HEADER)
        return false;
    uint32_t tcp = 4 * (bytes[h->transport + 12] >> 4);
    h->length = h->transport + tcp;
    return tcp >= TCP_HEADER && h->length <= window;
}

/* Lengths that do not fit: nothing is sent, and the hardware error of the queue tells (2.1). */
static void refuse_large(walk *w, request *r)
{
    r->bad = true;
    w->device->cells[YUKON2_B0_HWE_ISRC] |= 1u << w->queue;
    yukon2_update(w->device);
}

static uint16_t tcp_sum(const form *f, const yukon2_headers *h, uint32_t shift)
{
    nic_headers pseudo = {.version = 4, .network = (uint16_t)(h->network + shift), .protocol = NIC_IPPROTO_TCP,
                          .destination = (uint16_t)(h->network + shift + 16),
                          .payload = f->length - (h->transport + shift)};
    nic_sum sum = {0};
    nic_sum_add_pseudo(&sum, f->head, &pseudo);
    nic_sum_add_iov(&sum, f->iov, f->count, h->transport + shift, f->length);
    return (uint16_t)~nic_sum_value(&sum);
}

/* One frame of a request: its headers are made from the request's, with both checksums from scratch. */
static void send_segment(walk *w, const request *r, const yukon2_headers *h, uint32_t segment, uint32_t mss, bool tag)
{
    yukon2_batch *batch = &yukon2_of(w->device)->batch;
    uint32_t before = segment * mss, left = batch->length - h->length - before, payload = left < mss ? left : mss;
    uint32_t shift = tag ? TAG : 0;
    bool last = payload == left, counts = yukon2_reg(w->device, w->cells + Q_CSR) & CSR_IPIDINCR;
    nic_segmenter segmenter = {.header = (uint16_t)(h->length + shift), .network = (uint16_t)(h->network + shift),
                               .transport = (uint16_t)(h->transport + shift), .version = 4,
                               .protocol = NIC_IPPROTO_TCP};
    form f = open_frame(batch, h->length + shift);
    nic_frame whole = {batch->pieces, batch->piece_count, batch->length, 0};
    nic_frame_copy(&whole, f.head, h->length);
    if (tag) {
        memmove(f.head + TAG_AT + TAG, f.head + TAG_AT, h->length - TAG_AT);
        put_tag(w, f.head + TAG_AT, w->tx->said.vlan);
    }
    nic_segment_header(&segmenter, f.head, counts ? segment : 0, before, payload, last);
    uint8_t *ip = f.head + h->network + shift, *tcp = f.head + h->transport + shift;
    if (segment)
        tcp[TCP_FLAGS_AT] &= (uint8_t)~TCP_CWR;
    add_pieces(batch, &f, h->length + before, h->length + before + payload);
    nic_put16(ip + IP_SUM_AT, 0);
    struct iovec header = {ip, h->transport - h->network};
    nic_put16(ip + IP_SUM_AT, checksum(&header, 1, 0, (uint32_t)header.iov_len, 0, false));
    nic_put16(tcp + TCP_SUM_AT, 0);
    nic_put16(tcp + TCP_SUM_AT, tcp_sum(&f, h, shift));
    close_frame(w, &f, r, segment, last);
}

/* The frames that a packet becomes on the wire count as if they had been made here. */
static void count_left(nic_device *device, const nic_frame *packet, const nic_offload *left, uint32_t segments)
{
    const uint8_t *to = packet->iov[0].iov_base;
    uint32_t before_last = segments - 1, full = left->header_length + left->segment_size + YUKON2_FCS;
    uint32_t last = packet->length - before_last * left->segment_size + YUKON2_FCS;
    last = last < YUKON2_MIN + YUKON2_FCS ? YUKON2_MIN + YUKON2_FCS : last;
    bool broadcast = !memcmp(to, "\xff\xff\xff\xff\xff\xff", 6);
    yukon2_count(device, !(to[0] & 1) ? MIB_TX_UC : broadcast ? MIB_TX_BC : MIB_TX_MC, segments);
    yukon2_count(device, MIB_TX_64 + yukon2_bin(full), before_last);
    yukon2_count(device, MIB_TX_64 + yukon2_bin(last), 1);
    yukon2_count_octets(device, MIB_TX_OCTETS, before_last * full + last);
}

typedef enum outcome { UNDONE, DONE, OVER } outcome;

static bool can_leave(const walk *w, const uint8_t *head, const yukon2_headers *h, uint32_t mss, bool tag)
{
    const yukon2_batch *batch = &yukon2_of(w->device)->batch;
    return batch->offloads & NIC_OFFLOAD_TCP4 && !w->tx->segment && !tag &&
           yukon2_reg(w->device, w->cells + Q_CSR) & CSR_IPIDINCR &&
           yukon2_leaves_large(w->device, head, h, batch->length, mss);
}

/* Has the wire segment a request, which goes alone.  UNDONE: the wire does not; OVER: neither, and the walk is over. */
static outcome leave_large(walk *w, const request *r, const uint8_t *head, const yukon2_headers *h, uint32_t mss,
                           uint32_t segments)
{
    nic_device *device = w->device;
    yukon2_batch *batch = &yukon2_of(device)->batch;
    uint32_t kept = batch->staged;
    if (!flush(w))
        return OVER;
    batch->staged = kept; /* what is gathered may lie there */
    if (!(nic_port_offloads(&device->port) & NIC_OFFLOAD_TCP4))
        return UNDONE;
    form f = open_frame(batch, h->length);
    memcpy(f.head, head, h->length); /* what was looked at, whatever the guest has made of it since */
    nic_large_headers(f.head, h->network, h->transport, batch->length);
    add_pieces(batch, &f, h->length, batch->length);
    nic_offload left = {.kind = NIC_OFFLOAD_TCP4, .checksum_start = (uint16_t)h->transport,
                        .checksum_offset = TCP_SUM_AT, .header_length = (uint16_t)h->length,
                        .segment_size = (uint16_t)mss};
    nic_frame packet = {f.iov, f.count, f.length, 0, &left};
    nic_port_send(&device->port, &packet, 1);
    if (was_reset(w))
        return OVER;
    count_left(device, &packet, &left, segments);
    complete(w, &(yukon2_sent){.end = r->end, .last = true, .force = r->control & CTRL_FORCE});
    batch->budget -= segments < batch->budget ? segments : batch->budget;
    return DONE;
}

/* Returns false if the walk is over. */
static bool send_large(walk *w, request *r)
{
    yukon2_batch *batch = &yukon2_of(w->device)->batch;
    uint8_t window[YUKON2_HEAD - TAG];
    yukon2_headers h;
    nic_frame whole = {batch->pieces, batch->piece_count, batch->length, 0};
    uint32_t size = (uint32_t)nic_frame_copy(&whole, window, sizeof(window)), large = w->tx->said.large;
    if (!find_headers(window, size, &h)) {
        nic_find(w->device, YUKON2_FIND_TX_TSO_HEADERS, r->get, batch->length);
        refuse_large(w, r);
        return true;
    }
    if (large <= h.length || large > NIC_FRAME_MAX - TAG) {
        nic_find(w->device, YUKON2_FIND_TX_TSO_LENGTH, large, h.length);
        refuse_large(w, r);
        return true;
    }
    if (batch->piece_count > NIC_FRAME_IOV - SPARE)
        stage(batch);
    bool tag = tagged(w, r);
    uint32_t mss = large - h.length, payload = batch->length - h.length;
    uint32_t segments = payload ? (payload + mss - 1) / mss : 1;
    if (NIC_UNLIKELY(can_leave(w, window, &h, mss, tag))) {
        outcome left = leave_large(w, r, window, &h, mss, segments);
        if (left != UNDONE)
            return left == DONE;
    }
    if (is_staged(batch))
        batch->staged += batch->length;
    for (uint32_t segment = w->tx->segment < segments ? w->tx->segment : 0; segment < segments; segment++) {
        if (NIC_UNLIKELY(!batch->budget || batch->count == NIC_BATCH || batch->used + NIC_FRAME_IOV > YUKON2_POOL)) {
            uint32_t kept = batch->staged;
            bool more = batch->budget != 0;
            if (!flush(w))
                return false;
            batch->staged = kept; /* the segments to come lie there */
            if (!more) {
                w->list.get = r->get;
                w->tx->said = r->before;
                go_on_later(w->device);
                return false;
            }
        }
        send_segment(w, r, &h, segment, mss, tag);
    }
    w->tx->segment = 0; /* the next request's */
    return true;
}

/* ------------------------------------------------------------------ the walk */

/* What goes without a trace on the wire is done too. */
static bool skip_request(walk *w, const request *r)
{
    if (!flush(w))
        return false;
    complete(w, &(yukon2_sent){.end = r->end, .last = true});
    w->list.get = r->end;
    return true;
}

/* A frame begins at GET_IDX; returns false if the walk is over. */
static bool take_request(walk *w, yukon2_le le)
{
    yukon2_batch *batch = &yukon2_of(w->device)->batch;
    request r;
    if (batch->staged + YUKON2_LARGE_MAX > YUKON2_STAGING && !flush(w))
        return false;
    if (!room_for_frame(w))
        return false;
    int found = read_request(w, &r, le);
    if (found == NOT_YET)
        return false;
    if (found == BROKEN) {
        w->list.get = r.end;
        return false;
    }
    if (!r.bad && batch->length < ETHERNET_HEADER) {
        nic_find(w->device, YUKON2_FIND_TX_LENGTH_ZERO, r.get, batch->length);
        r.bad = true;
    }
    if (!r.bad && !r.large)
        send_plain(w, &r);
    else if (!r.bad && !send_large(w, &r))
        return false;
    if (r.bad)
        return skip_request(w, &r);
    w->list.get = r.end;
    return true;
}

/* A list element that only says something. */
static void take_state(yukon2_said *said, const yukon2_le *le)
{
    if (le->opcode & OP_STATE) {
        if (le->opcode & 1)
            said->high = le->address;
        if (le->opcode & 2)
            said->vlan = (uint16_t)(le->length << 8 | le->length >> 8);
        if (le->opcode & 4)
            said->large = le->address;
        return;
    }
    if (le->opcode & 1)
        said->place = (uint16_t)le->address;
    if (le->opcode & 2)
        said->start = (uint16_t)(le->address >> 16);
    if (le->opcode & 4)
        said->initial = le->length;
}

static bool is_state(uint32_t opcode)
{
    return (opcode & 0xf8) == (OWNER | OP_STATE) || (opcode & 0xf0) == (OWNER | OP_CHECKSUM);
}

/* Returns false if the walk is over. */
static bool take_element(walk *w)
{
    yukon2_le le;
    uint32_t index = w->list.get;
    if (!yukon2_fetch(w->device, &w->list, index, &le)) {
        note_bus_error(w->device);
        return false;
    }
    if (was_reset(w))
        return false;
    if (le.opcode == (OWNER | OP_PACKET) || le.opcode == (OWNER | OP_LARGESEND))
        return take_request(w, le);
    if (is_state(le.opcode)) {
        take_state(&w->tx->said, &le);
        w->list.get = yukon2_next(&w->list, index);
        return true;
    }
    bool owned = le.opcode & OWNER;
    if (!flush(w)) /* what stands before it is done first */
        return false;
    w->list.get = yukon2_next(&w->list, index);
    uint32_t rule = !owned                              ? YUKON2_FIND_LIST_NOT_OWNED
                    : le.opcode == (OWNER | OP_BUFFER) ? YUKON2_FIND_TX_ORDER
                                                        : YUKON2_FIND_LIST_OPCODE;
    yukon2_bad_element(w->device, w->queue, rule, index, &le);
    return false;
}

static void run_queue(nic_device *device, uint32_t queue)
{
    yukon2 *card = yukon2_of(device);
    walk w = {.device = device, .queue = queue, .cells = yukon2_queue_cells[queue], .tx = &card->tx[queue],
              .changes = card->changes, .resets = device->resets};
    if (!yukon2_queue_runs(device, queue))
        return;
    yukon2_load_list(device, queue, &w.list);
    if (w.list.get == w.list.put)
        return;
    card->batch.count = card->batch.used = card->batch.staged = 0;
    uint32_t left = ELEMENTS;
    while (w.list.get != w.list.put && left && take_element(&w))
        left--;
    if (!was_reset(&w) && card->batch.count)
        flush(&w);
    if (was_reset(&w))
        return;
    device->cells[w.cells + PREF_GET_IDX] = w.list.get;
    if (!left)
        nic_want_work(device, NIC_WORK_TRANSMIT);
}

/* Frames in one call: with time, one. */
static uint32_t burst(nic_device *device)
{
    return device->profile == NIC_PROFILE_INSTANT ? FRAMES
           : device->profile == NIC_PROFILE_WIRE  ? 1
                                                  : 1 + nic_random(device) % CHAOS_BURST;
}

static bool something_waits(const nic_device *device)
{
    for (uint32_t queue = QUEUE_XA1; queue <= QUEUE_XS1; queue++) {
        uint32_t cells = yukon2_queue_cells[queue];
        if (yukon2_queue_runs(device, queue) &&
            yukon2_reg(device, cells + PREF_GET_IDX) != yukon2_reg(device, cells + PREF_PUT_IDX))
            return true;
    }
    return false;
}

static void run_queues(nic_device *device)
{
    yukon2_batch *batch = &yukon2_of(device)->batch;
    batch->budget = burst(device);
    batch->gone = 0;
    batch->offloads = device->profile == NIC_PROFILE_INSTANT && !yukon2_loops(device) ? nic_port_offloads(&device->port) : 0;
    run_queue(device, QUEUE_XS1);
    if (wire_free(device))
        run_queue(device, QUEUE_XA1);
    yukon2_report(device, false);
    yukon2_status_settle(device);
}

void yukon2_transmit(nic_device *device)
{
    enum { FETCH_NS = 1000 }; /* list elements and data come over the bus */
    if (!wire_free(device))
        return;
    if (NIC_UNLIKELY(!device->bus_master)) {
        if (something_waits(device)) {
            device->counters.dma_blocked++;
            nic_find_general(device, NIC_GENERAL_BUS_MASTER, yukon2_reg(device, YUKON2_XA1_PREF_ADDR_LO), YUKON2_LE);
        }
        return;
    }
    if (device->profile == NIC_PROFILE_INSTANT)
        run_queues(device);
    else if (something_waits(device))
        nic_timer_set(device, YUKON2_TIMER_WIRE, nic_now(device) + FETCH_NS);
}

/* The bus has had its time, or the frame before has left. */
void yukon2_wire_expired(nic_device *device)
{
    if (!device->bus_master || !wire_free(device))
        return;
    run_queues(device);
    if (yukon2_of(device)->batch.gone)
        nic_timer_set(device, YUKON2_TIMER_WIRE,
                      nic_now(device) + yukon2_wire_time(device, yukon2_of(device)->batch.gone));
}
