/*
 * 82540EM, transmit: the walk along the ring, packets of legacy, data and context descriptors, offloads, segmentation,
 * write-back, and the FIFO between them and the wire (8254x SDM 3.3-3.6).
 *
 * Each descriptor is fetched once.  A packet's data stays where it is in guest memory; only what an offload changes, or
 * what has to wait for the rest of its packet, is copied.
 */
#include "e1000.h"

enum {
    TYPE_CONTEXT = 0,
    TYPE_DATA = 1,
    STATUS_DD = 0x01,
    STATUS_AT = 12, /* byte of the descriptor */
    LOW_UNIT = 8,   /* descriptors that TXDCTL.LWTHRESH counts in */
    SHORTEST = 48,  /* a packet has so many bytes before it is padded (3.3.3) */
};

enum { /* bounds of one call; what is left is done in the next */
    DESCRIPTORS = 4096,
    FRAMES = 1024,
    CHAOS_BURST = 16,
};

static const uint8_t zeros[E1000_MIN];

/* ------------------------------------------------------------------ from the FIFO or the batch to the wire */

/* Size bins of 13.7.21-26 and 13.7.45-50: 64, -127, -255, -511, -1023, more; none below 64. */
static inline uint32_t size_bin(uint32_t length)
{
    return length <= 64 ? 0 : length >= 1024 ? 5 : 26u - (uint32_t)__builtin_clz(length);
}

/* Once for every frame, so not a call. */
static inline __attribute__((always_inline)) void count_group(nic_device *device, const nic_frame *frame, uint32_t frames)
{
    uint8_t address[6];
    if (frame->iov[0].iov_len && !(*(const uint8_t *)frame->iov[0].iov_base & 1))
        return;
    if (nic_frame_copy(frame, address, sizeof(address)) == sizeof(address) && address[0] & 1) {
        bool broadcast = !memcmp(address, "\xff\xff\xff\xff\xff\xff", sizeof(address));
        nic_count32(&device->cells[broadcast ? E1000_BPTC : E1000_MPTC], frames);
    }
}

void e1000_count_sent(nic_device *device, const nic_frame *frames, size_t count)
{
    uint32_t bins[6] = {0}, good = 0, bytes = 0, good_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t length = frames[i].length + E1000_FCS;
        bytes += length;
        if (length >= 64) {
            bins[size_bin(length)]++;
            good_bytes += length;
            good++;
        }
        count_group(device, &frames[i], 1);
    }
    for (uint32_t i = 0; i < 6; i++)
        if (bins[i])
            nic_count32(&device->cells[E1000_PTC64 + i], bins[i]);
    nic_count32(&device->cells[E1000_TPT], (uint32_t)count);
    nic_count32(&device->cells[E1000_GPTC], good);
    nic_count64(&device->cells[E1000_TOTL], bytes);
    nic_count64(&device->cells[E1000_GOTCL], good_bytes);
}

/* The frames that a packet becomes on the wire count as if they had been made here. */
static void count_large(nic_device *device, const e1000_large *large, const nic_frame *packet)
{
    uint32_t full = large->full + E1000_FCS, last = large->last + E1000_FCS, before_last = large->segments - 1;
    uint64_t bytes = (uint64_t)before_last * full + last;
    nic_count32(&device->cells[E1000_PTC64 + size_bin(full)], before_last);
    nic_count32(&device->cells[E1000_PTC64 + size_bin(last)], 1);
    nic_count32(&device->cells[E1000_TPT], large->segments);
    nic_count32(&device->cells[E1000_GPTC], large->segments);
    nic_count64(&device->cells[E1000_TOTL], bytes);
    nic_count64(&device->cells[E1000_GOTCL], bytes);
    nic_count32(&device->cells[E1000_TSCTC], 1);
    count_group(device, packet, large->segments);
}

static size_t to_wire(nic_device *device, const nic_frame *frames, size_t count)
{
    size_t taken = count;
    uint32_t resets = device->resets;
    if (NIC_UNLIKELY(e1000_loops(device)))
        e1000_receive_looped(device, frames, count);
    else
        taken = nic_port_send(&device->port, frames, count);
    if (NIC_LIKELY(device->resets == resets))
        e1000_count_sent(device, frames, taken);
    return taken;
}

/* Whether the transmitter may begin a frame now. */
static bool wire_free(nic_device *device)
{
    const nic_backend *backend = device->port.backend;
    return !(backend && backend->blocked) && !(e1000_reg(device, E1000_STATUS) & E1000_STATUS_TXOFF) &&
           e1000_reg(device, E1000_TCTL) & E1000_TCTL_EN && e1000_linked(device);
}

/* Sends up to `most` frames of the FIFO; returns whether any went. */
static bool drain(nic_device *device, uint32_t most)
{
    e1000_fifo *fifo = &e1000_of(device)->tx.fifo;
    struct iovec iov[NIC_BATCH][2];
    nic_frame frames[NIC_BATCH];
    e1000_record record;
    uint32_t at = 0, count = 0;
    while (count < most && e1000_fifo_next(device, fifo, &at, iov[count], &record)) {
        frames[count] = (nic_frame){iov[count], 2, record.length, record.length < E1000_MIN ? NIC_FRAME_SHORT : 0};
        count++;
    }
    size_t taken = count ? to_wire(device, frames, count) : 0;
    for (size_t i = 0; i < taken; i++)
        e1000_fifo_pop(device, fifo);
    return taken > 0;
}

/* The frame at the head of the FIFO begins to leave; in profiles with time it has left when the timer expires. */
static void start_frame(nic_device *device)
{
    e1000_fifo *fifo = &e1000_of(device)->tx.fifo;
    struct iovec iov[2];
    e1000_record record;
    uint32_t at = 0;
    if (nic_timer_armed(device, E1000_TIMER_WIRE) || !wire_free(device) ||
        !e1000_fifo_next(device, fifo, &at, iov, &record))
        return;
    nic_timer_set(device, E1000_TIMER_WIRE, nic_now(device) + e1000_wire_time(device, record.length));
}

void e1000_wire_expired(nic_device *device)
{
    drain(device, 1);
    start_frame(device);
    e1000_fetch_later(device);
}

void e1000_wire_resume(nic_device *device)
{
    e1000_fifo *fifo = &e1000_of(device)->tx.fifo;
    if (device->profile != NIC_PROFILE_INSTANT)
        start_frame(device);
    else
        while (fifo->frames && wire_free(device) && drain(device, NIC_BATCH))
            ;
}

/* ------------------------------------------------------------------ write-back and causes */

static void write_status(nic_device *device, const e1000_ring *ring, uint32_t index)
{
    static const uint8_t done = STATUS_DD;
    if (NIC_LIKELY(ring->memory))
        __atomic_store_n(ring->memory + (size_t)index * E1000_DESCRIPTOR + STATUS_AT, done, __ATOMIC_RELEASE);
    else
        nic_dma_write(device, ring->base + (uint64_t)index * E1000_DESCRIPTOR + STATUS_AT, &done, 1);
}

/* TXDW: at once, or when the delays allow that the last descriptor asked for (3.4.3.1, 13.4.44). */
static void report(nic_device *device, bool immediate, bool delayed)
{
    uint32_t delay = e1000_reg(device, E1000_TIDV) & E1000_TIDV_IDV;
    if (!immediate && !delayed)
        return;
    if (!immediate && !delay)
        nic_find(device, E1000_FIND_TX_TIDV_ZERO, e1000_reg(device, E1000_TDH), 0);
    if (immediate || !delay) {
        nic_timer_stop(device, E1000_TIMER_TIDV);
        nic_timer_stop(device, E1000_TIMER_TADV);
        e1000_cause(device, E1000_ICR_TXDW);
        return;
    }
    uint64_t now = nic_now(device);
    uint32_t most = e1000_reg(device, E1000_TADV) & E1000_TADV_IDV;
    nic_timer_set(device, E1000_TIMER_TIDV, now + (uint64_t)delay * E1000_TICK_NS);
    if (most && !nic_timer_armed(device, E1000_TIMER_TADV))
        nic_timer_set(device, E1000_TIMER_TADV, now + (uint64_t)most * E1000_TICK_NS);
}

static bool load_ring(nic_device *device, e1000_ring *ring)
{
    ring->base = (uint64_t)e1000_reg(device, E1000_TDBAH) << 32 | e1000_reg(device, E1000_TDBAL);
    ring->count = (e1000_reg(device, E1000_TDLEN) & E1000_TDLEN_LEN) / E1000_DESCRIPTOR;
    ring->head = e1000_reg(device, E1000_TDH);
    ring->tail = e1000_reg(device, E1000_TDT);
    ring->memory = NULL;
    if (!ring->count || ring->head >= ring->count || ring->tail >= ring->count)
        return false;
    ring->memory = nic_dma_map(device, ring->base, (uint64_t)ring->count * E1000_DESCRIPTOR, true);
    return true;
}

/* Descriptors that were collected for one burst (3.4.2): those before `head`. */
static void write_owed(nic_device *device, const e1000_ring *ring, uint32_t head)
{
    e1000_tx *tx = &e1000_of(device)->tx;
    uint32_t owed = tx->unwritten <= ring->count ? tx->unwritten : 0;
    uint32_t index = head >= owed ? head - owed : head + ring->count - owed;
    tx->unwritten = 0; /* a write-back may call out, and registers be written from there */
    tx->unwritten_now = false;
    for (; owed; owed--, index = e1000_next(ring, index))
        write_status(device, ring, index);
}

void e1000_transmit_write_back(nic_device *device)
{
    e1000_ring ring;
    if (e1000_of(device)->tx.unwritten && load_ring(device, &ring))
        write_owed(device, &ring, ring.head);
}

/* What a descriptor that was processed asks for.  `index` is its place, and TDH is now behind it. */
static inline void complete(nic_device *device, e1000_ring *ring, uint32_t threshold, uint32_t index, uint8_t command)
{
    e1000 *card = e1000_of(device);
    e1000_batch *batch = &card->batch;
    device->cells[E1000_TDH] = ring->head = e1000_next(ring, index);
    if (NIC_LIKELY(threshold <= 1)) {
        if (command & E1000_CMD_RS) {
            batch->done[batch->dones++] = (uint16_t)index;
            batch->immediate |= !(command & E1000_CMD_IDE);
            batch->delayed |= command & E1000_CMD_IDE;
        }
    } else if (command & E1000_CMD_RS || card->tx.unwritten) {
        card->tx.unwritten++;
        card->tx.unwritten_now |= (command & (E1000_CMD_RS | E1000_CMD_IDE)) == E1000_CMD_RS;
        batch->delayed |= command & E1000_CMD_RS && command & E1000_CMD_IDE;
    }
}

/* ------------------------------------------------------------------ the batch */

/* Whether the card was reset from inside this call, by a wire or an emulator that calls back. */
static bool was_reset(nic_device *device)
{
    return NIC_UNLIKELY(device->resets != e1000_of(device)->batch.resets);
}

static void begin_batch(nic_device *device)
{
    e1000 *card = e1000_of(device);
    e1000_batch *batch = &card->batch;
    batch->resets = device->resets;
    batch->count = batch->used = batch->dones = batch->bytes = batch->moved = 0;
    batch->immediate = batch->delayed = false;
    batch->budget = FRAMES;
    batch->offloads = device->profile == NIC_PROFILE_INSTANT && !e1000_loops(device) ? nic_port_offloads(&device->port) : 0;
    batch->piece_count = 0;
    if (card->tx.partial_length) {
        batch->pieces[0] = (struct iovec){card->tx.partial, card->tx.partial_length};
        batch->piece_count = 1;
    }
    e1000_fifo_place(device, &card->tx.fifo, true);
    batch->room = card->tx.fifo.size - card->tx.fifo.used;
}

/* Frames that cannot leave their checksums to anybody after all. */
static void finish_checksums(e1000_batch *batch, size_t first)
{
    for (size_t i = first; i < batch->count; i++)
        if (batch->frames[i].offload)
            nic_frame_finish(&batch->frames[i]);
}

/* Sends the batch, or has it wait in the FIFO: there is room, `room_for` saw to it. */
static void flush_frames(nic_device *device)
{
    e1000 *card = e1000_of(device);
    e1000_batch *batch = &card->batch;
    size_t sent = 0;
    if (NIC_UNLIKELY(batch->offloads) && !(nic_port_offloads(&device->port) & NIC_OFFLOAD_CHECKSUM))
        finish_checksums(batch, 0);
    if (NIC_LIKELY(!card->tx.fifo.frames && device->profile == NIC_PROFILE_INSTANT && wire_free(device)))
        sent = to_wire(device, batch->frames, batch->count);
    if (was_reset(device))
        sent = batch->count;
    if (sent < batch->count && e1000_reg(device, E1000_STATUS) & E1000_STATUS_TXOFF)
        nic_count32(&device->cells[E1000_DC], (uint32_t)(batch->count - sent));
    if (NIC_UNLIKELY(sent < batch->count))
        finish_checksums(batch, sent);
    for (; sent < batch->count; sent++)
        e1000_fifo_push(device, &card->tx.fifo, &batch->frames[sent],
                        (e1000_record){.length = (uint16_t)batch->frames[sent].length});
    batch->count = batch->used = batch->bytes = 0;
    batch->room = card->tx.fifo.size - card->tx.fifo.used;
    if (card->tx.fifo.frames && device->profile != NIC_PROFILE_INSTANT)
        start_frame(device);
}

static void flush(nic_device *device, const e1000_ring *ring, uint32_t threshold)
{
    e1000 *card = e1000_of(device);
    e1000_batch *batch = &card->batch;
    if (batch->count)
        flush_frames(device);
    for (uint32_t i = 0; i < batch->dones && !was_reset(device); i++)
        write_status(device, ring, batch->done[i]);
    batch->dones = 0;
    if (card->tx.unwritten && card->tx.unwritten >= threshold) {
        batch->immediate |= card->tx.unwritten_now;
        write_owed(device, ring, ring->head);
    }
}

/*
 * Whether a frame of so many bytes can join the batch.  Never more frames are taken from descriptors than the transmit
 * FIFO could hold, because all of them land there when the wire takes none.
 */
static bool room_for(nic_device *device, uint32_t length)
{
    e1000_batch *batch = &e1000_of(device)->batch;
    uint32_t bytes = e1000_fifo_bytes(length < E1000_MIN ? E1000_MIN : length);
    if (was_reset(device))
        return false;
    if (NIC_UNLIKELY(!batch->budget)) {
        nic_want_work(device, NIC_WORK_TRANSMIT);
        return false;
    }
    if (NIC_LIKELY(batch->count < NIC_BATCH && batch->used + E1000_PIECES <= E1000_POOL &&
                   batch->bytes + bytes <= batch->room))
        return true;
    if (batch->count)
        flush_frames(device);
    return bytes <= batch->room;
}

/* A frame longer than the whole FIFO would wait for ever (3.3.6, note 2). */
static bool fits_fifo(nic_device *device, uint32_t length)
{
    return e1000_fifo_bytes(length) <= e1000_of(device)->tx.fifo.size;
}

/* ------------------------------------------------------------------ gathering a packet's data */

/* Moves what is gathered into the staging buffer: pointers into guest memory do not outlive a call. */
static void stage(e1000 *card)
{
    e1000_tx *tx = &card->tx;
    e1000_batch *batch = &card->batch;
    for (uint32_t i = tx->partial_length ? 1 : 0; i < batch->piece_count; i++) {
        memcpy(tx->partial + tx->partial_length, batch->pieces[i].iov_base, batch->pieces[i].iov_len);
        tx->partial_length += (uint32_t)batch->pieces[i].iov_len;
    }
    batch->pieces[0] = (struct iovec){tx->partial, tx->partial_length};
    batch->piece_count = tx->partial_length > 0;
}

static void gather(nic_device *device, uint64_t address, uint32_t length)
{
    e1000 *card = e1000_of(device);
    e1000_tx *tx = &card->tx;
    e1000_batch *batch = &card->batch;
    if (tx->bad || !length)
        return;
    if (length > E1000_PACKET_MAX || tx->length + length > E1000_PACKET_MAX) {
        nic_find(device, E1000_FIND_TX_OVERSIZE, (uint64_t)tx->length + length, e1000_reg(device, E1000_TDH));
        tx->bad = true;
        return;
    }
    void *data = nic_dma_map(device, address, length, false);
    batch->moved += length;
    tx->length += length;
    if (NIC_LIKELY(data && batch->piece_count < E1000_PIECES - 3)) { /* a head and padding come to them */
        batch->pieces[batch->piece_count++] = (struct iovec){data, length};
        return;
    }
    stage(card);
    if (data)
        memcpy(tx->partial + tx->partial_length, data, length);
    else if (!nic_dma_read(device, address, tx->partial + tx->partial_length, length))
        tx->bad = true; /* a bus error: what was not read is not sent */
    tx->partial_length += length;
    batch->pieces[0] = (struct iovec){tx->partial, tx->partial_length};
    batch->piece_count = 1;
}

static void forget_frame(e1000 *card)
{
    card->tx.length = card->tx.partial_length = card->batch.piece_count = 0;
}

static void end_packet(e1000 *card)
{
    forget_frame(card);
    card->tx.packet = E1000_NO_PACKET;
    card->tx.header_length = card->tx.sent = 0;
}

/* ------------------------------------------------------------------ making a frame of it */

typedef struct form { /* the frame at the end of the batch, not yet part of it */
    uint8_t *head;        /* what was copied so that it can be changed, or NULL */
    uint32_t head_length;
    struct iovec *iov;
    uint32_t count, length;
} form;

/* The gathered pieces from byte `skip` on. */
static void add_pieces(e1000_batch *batch, form *f, uint32_t skip)
{
    for (uint32_t i = 0; i < batch->piece_count; i++) {
        struct iovec piece = batch->pieces[i];
        if (skip >= piece.iov_len) {
            skip -= (uint32_t)piece.iov_len;
            continue;
        }
        f->iov[f->count++] = (struct iovec){(uint8_t *)piece.iov_base + skip, piece.iov_len - skip};
        f->length += (uint32_t)(piece.iov_len - skip);
        skip = 0;
    }
}

/* A frame that begins with `length` bytes that can be changed: `header`, or (NULL) the first of the pieces. */
static form open_frame(e1000_batch *batch, const uint8_t *header, uint32_t length)
{
    form f = {.iov = &batch->pool[batch->used]};
    if (length) {
        f.head = batch->heads[batch->count] + 4; /* before it: room for a tag */
        f.head_length = f.length = length;
        f.iov[f.count++] = (struct iovec){f.head, length};
        if (header)
            memcpy(f.head, header, length);
        else
            nic_frame_copy(&(nic_frame){batch->pieces, batch->piece_count, length, 0}, f.head, length);
    }
    add_pieces(batch, &f, header ? 0 : length);
    return f;
}

typedef struct spot { /* a checksum on its way into the frame */
    bool there;
    uint32_t at;
    uint16_t value;
} spot;

/* The sum from `first` to `last` (0: the end) that belongs at `at`; out of the frame, nothing is inserted (3.6). */
static spot sum_frame(nic_device *device, const form *f, uint32_t first, uint32_t last, uint32_t at, uint32_t extra)
{
    nic_sum sum = {0};
    uint32_t end = last && last + 1 < f->length ? last + 1 : f->length;
    if (first >= end || at + 2 > f->head_length) {
        nic_find(device, E1000_FIND_TX_CHECKSUM_OFFSET, first >= end ? first : at, f->length);
        return (spot){0};
    }
    nic_sum_add_iov(&sum, f->iov, f->count, first, end);
    nic_sum_add16(&sum, (uint16_t)extra);
    return (spot){true, at, (uint16_t)~nic_sum_value(&sum)};
}

static void put_sum(form *f, spot s)
{
    if (s.there)
        nic_put16(f->head + s.at, s.value);
}

/* Whether the transport checksum is one that the wire can be left to compute. */
static bool can_leave(const form *f, const e1000_context *context)
{
    enum { TCP_SUM = 16, UDP_SUM = 6, LEAST = 34 };
    uint32_t offset = (uint32_t)context->tucso - context->tucss;
    return context->tucss >= LEAST && (offset == TCP_SUM || offset == UDP_SUM) && !context->tucse &&
           context->tucso + 2u <= f->head_length;
}

/* Both checksums are those of the data as it came (3.6). */
static void insert_checksums(nic_device *device, form *f, const e1000_context *context, uint8_t options,
                             uint32_t transport_length)
{
    spot ip = {0}, transport = {0};
    if (options & E1000_POPTS_IXSM)
        ip = sum_frame(device, f, context->ipcss, context->ipcse, context->ipcso, 0);
    if (options & E1000_POPTS_TXSM)
        transport = sum_frame(device, f, context->tucss, context->tucse, context->tucso, transport_length);
    put_sum(f, ip);
    put_sum(f, transport);
}

/* The tag goes behind the addresses (9.2.1): they move down into the room before the head. */
static void insert_tag(form *f, uint32_t type, uint16_t tag)
{
    if (f->head_length < 12)
        return;
    f->head -= 4;
    memmove(f->head, f->head + 4, 12);
    nic_put16(f->head + 12, (uint16_t)type);
    nic_put16(f->head + 14, tag);
    f->head_length += 4;
    f->length += 4;
    f->iov[0] = (struct iovec){f->head, f->head_length};
}

/* The packet brought its own FCS, as its last four bytes: off it comes if it is right (3.3.3.1, IFCS). */
static bool take_fcs(form *f)
{
    uint8_t given[E1000_FCS];
    uint32_t at = 0, left = f->length - E1000_FCS, crc = 0, count = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t size = (uint32_t)f->iov[i].iov_len, part = size < left ? size : left;
        crc = nic_crc32(crc, f->iov[i].iov_base, part);
        memcpy(given + at, (const uint8_t *)f->iov[i].iov_base + part, size - part);
        at += size - part;
        left -= part;
        f->iov[i].iov_len = part;
        if (part)
            count = i + 1;
    }
    f->count = count;
    f->length -= E1000_FCS;
    for (int i = 0; i < E1000_FCS; i++)
        if (given[i] != (uint8_t)(crc >> 8 * i))
            return false;
    return true;
}

static inline void close_frame(nic_device *device, struct iovec *iov, uint32_t count, uint32_t length,
                               const nic_offload *left)
{
    e1000 *card = e1000_of(device);
    e1000_batch *batch = &card->batch;
    if (NIC_UNLIKELY(length < E1000_MIN && e1000_reg(device, E1000_TCTL) & E1000_TCTL_PSP)) {
        iov[count++] = (struct iovec){(void *)(uintptr_t)zeros, E1000_MIN - length};
        length = E1000_MIN;
    }
    batch->frames[batch->count++] = (nic_frame){iov, count, length, length < E1000_MIN ? NIC_FRAME_SHORT : 0, left};
    batch->used += count;
    batch->bytes += e1000_fifo_bytes(length);
    batch->budget--;
    if (NIC_UNLIKELY(card->tx.partial_length)) /* the frame lies in the staging buffer: it is needed again */
        flush_frames(device);
}

/* A frame that goes as it is. */
static void send_plain(nic_device *device)
{
    e1000 *card = e1000_of(device);
    e1000_batch *batch = &card->batch;
    struct iovec *iov = &batch->pool[batch->used];
    for (uint32_t i = 0; i < batch->piece_count; i++)
        iov[i] = batch->pieces[i];
    close_frame(device, iov, batch->piece_count, card->tx.length, NULL);
}

/* ------------------------------------------------------------------ packets that are one frame */

static bool tagged(const nic_device *device, uint8_t command)
{
    return command & E1000_CMD_VLE && e1000_reg(device, E1000_CTRL) & E1000_CTRL_VME;
}

/* Bytes at the front of the frame that its offloads change. */
static uint32_t head_needed(const e1000_tx *tx, uint8_t command, uint8_t cso, bool tag)
{
    uint32_t need = tag ? 12 : 0;
    if (tx->packet == E1000_LEGACY) {
        if (command & E1000_CMD_IC && cso + 2u > need)
            need = cso + 2u;
    } else {
        if (tx->options & E1000_POPTS_IXSM && tx->context.ipcso + 2u > need)
            need = tx->context.ipcso + 2u;
        if (tx->options & E1000_POPTS_TXSM && tx->context.tucso + 2u > need)
            need = tx->context.tucso + 2u;
    }
    return need < tx->length ? need : tx->length;
}

static void check_packet(nic_device *device, uint8_t command, bool tag)
{
    const e1000_tx *tx = &e1000_of(device)->tx;
    uint32_t descriptor = e1000_reg(device, E1000_TDH);
    bool padded = e1000_reg(device, E1000_TCTL) & E1000_TCTL_PSP;
    if (command & E1000_CMD_VLE && !tag)
        nic_find(device, E1000_FIND_TX_VLAN_MODE, e1000_reg(device, E1000_CTRL), descriptor);
    if (tx->bad)
        return;
    if (!tx->length)
        nic_find(device, E1000_FIND_TX_LENGTH_ZERO, descriptor, 0);
    else if (tx->length < (padded ? SHORTEST : E1000_MIN))
        nic_find(device, E1000_FIND_TX_RUNT, tx->length, descriptor);
}

/* Leaves the transport checksum to the wire, where that computes it: it is then out of the packet's options. */
static const nic_offload *leave_checksum(e1000 *card, const form *f, bool tag, uint8_t *options)
{
    const e1000_context *context = &card->tx.context;
    nic_offload *left = &card->batch.left[card->batch.count];
    if (!(*options & E1000_POPTS_TXSM) || !can_leave(f, context))
        return NULL;
    *options &= (uint8_t)~E1000_POPTS_TXSM;
    *left = (nic_offload){
        .kind = NIC_OFFLOAD_CHECKSUM,
        .checksum_start = (uint16_t)(context->tucss + (tag ? 4 : 0)),
        .checksum_offset = (uint16_t)(context->tucso - context->tucss),
    };
    return left;
}

/* A frame that goes with a checksum, a tag or without its own FCS; apart, so that plain ones do not pay for it. */
__attribute__((noinline)) static void send_changed(nic_device *device, uint8_t command, uint8_t cso, uint16_t special,
                                                   uint32_t head)
{
    e1000 *card = e1000_of(device);
    e1000_tx *tx = &card->tx;
    bool tag = tagged(device, command), fcs = !(command & E1000_CMD_IFCS) && !tag;
    form f = open_frame(&card->batch, NULL, head);
    const nic_offload *left = NULL;
    uint8_t options = tx->options;
    if (NIC_UNLIKELY(card->batch.offloads & NIC_OFFLOAD_CHECKSUM) && !fcs && tx->packet == E1000_DATA)
        left = leave_checksum(card, &f, tag, &options);
    if (tx->packet == E1000_LEGACY && command & E1000_CMD_IC)
        put_sum(&f, sum_frame(device, &f, tx->css, 0, cso, 0));
    else if (tx->packet == E1000_DATA && options & (E1000_POPTS_IXSM | E1000_POPTS_TXSM))
        insert_checksums(device, &f, &tx->context, options, 0);
    if (tag)
        insert_tag(&f, e1000_reg(device, E1000_VET), special);
    if (!fcs || take_fcs(&f))
        close_frame(device, f.iov, f.count, f.length, left);
    else /* every receiver throws it away, so no wire here carries it */
        e1000_count_sent(device, &(nic_frame){f.iov, f.count, f.length, 0}, 1);
}

/* The descriptor with EOP came: IFCS, VLE and the tag are its (3.3.3.1, 3.3.7.1). */
static void finish_packet(nic_device *device, uint8_t command, uint8_t cso, uint16_t special)
{
    e1000 *card = e1000_of(device);
    e1000_tx *tx = &card->tx;
    bool tag = tagged(device, command), fcs = !(command & E1000_CMD_IFCS) && !tag;
    uint32_t shortest = fcs ? 14 + E1000_FCS : 14; /* less is not even a header */
    if (NIC_UNLIKELY(tx->length < E1000_MIN || (command & E1000_CMD_VLE && !tag)))
        check_packet(device, command, tag);
    uint32_t head = head_needed(tx, command, cso, tag);
    if (NIC_LIKELY(!tx->bad && tx->length >= shortest && !head && !fcs)) {
        send_plain(device);
    } else if (!tx->bad && tx->length >= shortest) {
        send_changed(device, command, cso, special, head);
    }
    end_packet(card);
}

static void begin_packet(nic_device *device, uint8_t packet, uint8_t command)
{
    e1000_tx *tx = &e1000_of(device)->tx;
    tx->packet = packet;
    tx->bad = false;
    tx->command = command;
    tx->css = tx->options = (uint8_t)(tx->upper >> 8);
    tx->special = (uint16_t)(tx->upper >> 16);
    tx->header_length = tx->segment = tx->sent = 0;
}

static uint32_t data_length(const e1000_tx *tx)
{
    return tx->lower >> 24 & E1000_CMD_DEXT ? tx->lower & 0xfffff : tx->lower & 0xffff;
}

/* Returns false if the packet has to wait for room. */
static bool take_data(nic_device *device, uint8_t command)
{
    e1000_tx *tx = &e1000_of(device)->tx;
    uint32_t length = tx->address ? data_length(tx) : 0; /* a null address transfers nothing (3.3.3.1) */
    if (command & E1000_CMD_EOP && !tx->bad && tx->length + length <= E1000_PACKET_MAX) {
        uint32_t most = tx->length + length + 4;
        if (!fits_fifo(device, most < E1000_MIN ? E1000_MIN : most)) {
            nic_find(device, E1000_FIND_TX_OVERSIZE, most, e1000_reg(device, E1000_TDH));
            tx->bad = true;
        } else if (!room_for(device, most)) {
            return false;
        }
    }
    gather(device, tx->address, length);
    if (command & E1000_CMD_EOP)
        finish_packet(device, command, (uint8_t)(tx->lower >> 16), (uint16_t)(tx->upper >> 16));
    return true;
}

/* ------------------------------------------------------------------ TCP segmentation (3.5) */

static void begin_segments(nic_device *device)
{
    e1000_tx *tx = &e1000_of(device)->tx;
    const e1000_context *context = &tx->context;
    uint32_t longest = context->hdrlen + context->mss;
    bool possible = context->mss && longest <= E1000_PACKET_MAX && fits_fifo(device, longest + 4);
    if (!context->loaded)
        nic_find(device, E1000_FIND_TX_CONTEXT_MISSING, tx->command, e1000_reg(device, E1000_TDH));
    if (!possible)
        nic_find(device, E1000_FIND_TX_TSO_MSS, context->mss, context->hdrlen);
    if (context->hdrlen > E1000_HEADER_MAX)
        nic_find(device, E1000_FIND_TX_TSO_HEADER, context->hdrlen, e1000_reg(device, E1000_TDH));
    if (tx->command & E1000_CMD_VLE && !tagged(device, tx->command))
        nic_find(device, E1000_FIND_TX_VLAN_MODE, e1000_reg(device, E1000_CTRL), e1000_reg(device, E1000_TDH));
    tx->bad = !context->loaded || !possible;
}

/* Sends what is gathered as the packet's next frame. */
static void send_segment(nic_device *device, bool last)
{
    e1000 *card = e1000_of(device);
    e1000_tx *tx = &card->tx;
    const e1000_context *context = &tx->context;
    bool constant = !(context->command & (E1000_TUCMD_TCP | E1000_TUCMD_IPV4)); /* a block of any kind (3.3.6.1, note 2) */
    nic_segmenter segmenter = {
        .header = context->hdrlen,
        .network = context->ipcss,
        .transport = context->tucss,
        .version = constant ? 0 : context->command & E1000_TUCMD_IPV4 ? 4 : 6,
        .protocol = constant ? 0 : context->command & E1000_TUCMD_TCP ? NIC_IPPROTO_TCP : NIC_IPPROTO_UDP,
    };
    uint32_t payload = tx->length, total = context->hdrlen + payload;
    if (total >= 14) {
        form f = open_frame(&card->batch, tx->header, context->hdrlen);
        if (context->hdrlen)
            nic_segment_header(&segmenter, f.head, tx->segment, tx->sent, payload, last);
        uint32_t transport_length = constant || total < context->tucss ? 0 : total - context->tucss;
        insert_checksums(device, &f, context, tx->options, transport_length);
        if (tagged(device, tx->command))
            insert_tag(&f, e1000_reg(device, E1000_VET), tx->special);
        close_frame(device, f.iov, f.count, f.length, NULL);
    }
    tx->segment++;
    tx->sent += payload;
    forget_frame(card);
}

/* Bytes of the descriptor that belong to the prototype header. */
static void take_header(nic_device *device, uint32_t length)
{
    e1000_tx *tx = &e1000_of(device)->tx;
    uint32_t part = tx->context.hdrlen - tx->header_length;
    if (part > length - tx->offset)
        part = length - tx->offset;
    if (!nic_dma_read(device, tx->address + tx->offset, tx->header + tx->header_length, part))
        tx->bad = true;
    tx->header_length += part;
    tx->offset += part;
    if (tx->header_length < tx->context.hdrlen && tx->header_length != tx->context.ipcss &&
        tx->header_length != tx->context.tucss) /* a header in two pieces (3.5.6) */
        nic_find(device, E1000_FIND_TX_TSO_HEADER, tx->context.hdrlen, e1000_reg(device, E1000_TDH));
}

/* The packet's last descriptor is done: what is left of it goes, and the context is counted (13.7.53-54). */
static bool end_segments(nic_device *device)
{
    e1000 *card = e1000_of(device);
    e1000_tx *tx = &card->tx;
    bool header_only = !tx->sent && tx->header_length == tx->context.hdrlen && tx->header_length;
    if (!tx->bad && (tx->length || (header_only && !tx->context.paylen))) {
        if (!room_for(device, tx->context.hdrlen + tx->length + 4))
            return false;
        send_segment(device, tx->sent + tx->length == tx->context.paylen);
    }
    bool whole = !tx->bad && tx->header_length == tx->context.hdrlen && tx->sent == tx->context.paylen;
    if (!whole && !tx->bad)
        nic_find(device, E1000_FIND_TX_TSO_LENGTH, tx->header_length + tx->sent, tx->context.paylen);
    if (!was_reset(device))
        nic_count32(&device->cells[whole ? E1000_TSCTC : E1000_TSCTFC], 1);
    end_packet(card);
    return true;
}

/* Returns false if a frame has to wait for room; the descriptor is taken up again at tx->offset. */
static bool take_segments(nic_device *device, uint8_t command)
{
    e1000_tx *tx = &e1000_of(device)->tx;
    const e1000_context *context = &tx->context;
    uint32_t length = tx->address ? data_length(tx) : 0;
    while (tx->offset < length && !tx->bad) {
        if (tx->header_length < context->hdrlen) {
            take_header(device, length);
            continue;
        }
        uint32_t left = context->paylen - tx->sent; /* of the payload, with this frame's */
        uint32_t size = left < context->mss ? left : context->mss, part = size - tx->length;
        if (!left) { /* more data than PAYLEN said: the context is over (3.3.7.1, EOP) */
            nic_find(device, E1000_FIND_TX_TSO_LENGTH, tx->header_length + tx->sent + length - tx->offset,
                     context->paylen);
            tx->bad = true;
            break;
        }
        if (part > length - tx->offset)
            part = length - tx->offset;
        if (tx->length + part == size && !room_for(device, context->hdrlen + size + 4))
            return false;
        gather(device, tx->address + tx->offset, part);
        tx->offset += part;
        if (tx->length == size && !tx->bad)
            send_segment(device, size == left);
    }
    return !(command & E1000_CMD_EOP) || end_segments(device);
}

/* Has the wire segment the packet whose first descriptor is in work, and completes all of them; false: nothing was done. */
__attribute__((noinline)) static bool send_large(nic_device *device)
{
    e1000 *card = e1000_of(device);
    e1000_batch *batch = &card->batch;
    e1000_ring *ring = batch->ring;
    uint32_t threshold = e1000_threshold(e1000_reg(device, E1000_TXDCTL));
    e1000_large large;
    if (!e1000_large_plan(device, ring, batch->offloads, &large) || !fits_fifo(device, large.full + 4))
        return false;
    flush(device, ring, threshold);
    if (was_reset(device) || card->tx.fifo.frames || !wire_free(device) ||
        !(nic_port_offloads(&device->port) & large.offload.kind))
        return false;
    nic_frame packet = {large.iov, large.pieces, large.length, 0, &large.offload};
    nic_port_send(&device->port, &packet, 1);
    if (was_reset(device))
        return true;
    count_large(device, &large, &packet);
    batch->budget -= large.segments < batch->budget ? large.segments : batch->budget;
    batch->moved += large.length + large.descriptors * E1000_DESCRIPTOR;
    device->counters.descriptors += large.descriptors - 1;
    for (uint32_t i = 0; i < large.descriptors; i++)
        complete(device, ring, threshold, ring->head, large.commands[i]);
    card->tx.busy = false;
    return true;
}

/* ------------------------------------------------------------------ descriptors */

static void load_context(nic_device *device, uint8_t command)
{
    e1000_tx *tx = &e1000_of(device)->tx;
    e1000_context *context = command & E1000_CMD_TSE ? &tx->segmentation : &tx->checksum;
    *context = (e1000_context){
        .ipcss = (uint8_t)tx->address,
        .ipcso = (uint8_t)(tx->address >> 8),
        .ipcse = (uint16_t)(tx->address >> 16),
        .tucss = (uint8_t)(tx->address >> 32),
        .tucso = (uint8_t)(tx->address >> 40),
        .tucse = (uint16_t)(tx->address >> 48),
        .paylen = tx->lower & 0xfffff,
        .command = command,
        .hdrlen = (uint8_t)(tx->upper >> 8),
        .mss = (uint16_t)(tx->upper >> 16),
        .loaded = true,
    };
}

/* The first descriptor of a packet decides what the packet is; its context is the one that is loaded now. */
static void begin_data(nic_device *device, uint8_t command)
{
    e1000_tx *tx = &e1000_of(device)->tx;
    begin_packet(device, command & E1000_CMD_TSE ? E1000_SEGMENTED : E1000_DATA, command);
    tx->context = command & E1000_CMD_TSE ? tx->segmentation : tx->checksum;
    if (command & E1000_CMD_TSE) {
        begin_segments(device);
    } else if (!tx->context.loaded && tx->options & (E1000_POPTS_IXSM | E1000_POPTS_TXSM)) {
        nic_find(device, E1000_FIND_TX_CONTEXT_MISSING, command, e1000_reg(device, E1000_TDH));
        tx->options = 0;
    }
}

/* What a packet is that has this descriptor. */
static uint8_t kind_of(uint32_t lower)
{
    uint32_t command = lower >> 24;
    if (!(command & E1000_CMD_DEXT))
        return E1000_LEGACY;
    if ((lower >> 20 & 15) != TYPE_DATA)
        return E1000_NO_PACKET;
    return command & E1000_CMD_TSE ? E1000_SEGMENTED : E1000_DATA;
}

/* Processes the descriptor in work.  Returns false if it has to wait, or is not in work any more: send_large did it. */
static bool process(nic_device *device, uint8_t command)
{
    e1000_tx *tx = &e1000_of(device)->tx;
    if (NIC_UNLIKELY(command & E1000_CMD_RESERVED || tx->upper & 0xf0))
        nic_find(device, E1000_FIND_TX_DESCRIPTOR_RESERVED, command, e1000_reg(device, E1000_TDH));
    if (NIC_UNLIKELY(tx->packet != E1000_NO_PACKET && !tx->offset && kind_of(tx->lower) != tx->packet))
        nic_find(device, E1000_FIND_TX_MIXED_DESCRIPTORS, command, e1000_reg(device, E1000_TDH));
    if (command & E1000_CMD_DEXT) {
        uint32_t type = tx->lower >> 20 & 15;
        if (type == TYPE_CONTEXT) {
            load_context(device, command);
            return true;
        }
        if (type != TYPE_DATA) {
            nic_find(device, E1000_FIND_TX_DESCRIPTOR_RESERVED, command, e1000_reg(device, E1000_TDH));
            return true;
        }
        if (tx->packet == E1000_NO_PACKET) {
            if (command & E1000_CMD_TSE && e1000_of(device)->batch.offloads && send_large(device))
                return false;
            begin_data(device, command);
        }
    } else if (tx->packet == E1000_NO_PACKET) {
        begin_packet(device, E1000_LEGACY, command);
    }
    return tx->packet == E1000_SEGMENTED ? take_segments(device, command) : take_data(device, command);
}

static bool fetch(nic_device *device, const e1000_ring *ring, uint32_t index)
{
    e1000_tx *tx = &e1000_of(device)->tx;
    uint64_t words[2];
    if (NIC_LIKELY(ring->memory))
        memcpy(words, ring->memory + (size_t)index * E1000_DESCRIPTOR, sizeof(words));
    else if (!nic_dma_read(device, ring->base + (uint64_t)index * E1000_DESCRIPTOR, words, sizeof(words)))
        return false;
    __asm__ volatile("" : "+r"(words[0]), "+r"(words[1])); /* read once: the guest may change it behind us */
    tx->address = words[0];
    tx->lower = (uint32_t)words[1];
    tx->upper = (uint32_t)(words[1] >> 32);
    tx->offset = 0;
    tx->busy = true;
    device->counters.descriptors++;
    return true;
}

/* ------------------------------------------------------------------ the walk */

/* Descriptors in one go: with time, one packet's worth of bus traffic. */
static uint32_t burst(nic_device *device)
{
    return device->profile == NIC_PROFILE_CHAOS ? 1 + nic_random(device) % CHAOS_BURST : DESCRIPTORS;
}

/* Walks from TDH towards TDT; returns whether it stopped before TDT for no other reason than its bounds. */
static bool walk(nic_device *device, e1000_ring *ring)
{
    e1000 *card = e1000_of(device);
    uint32_t threshold = e1000_threshold(e1000_reg(device, E1000_TXDCTL));
    for (uint32_t left = burst(device); left; left--) {
        uint32_t index = ring->head;
        if (!card->tx.busy && (index == ring->tail || !fetch(device, ring, index)))
            return false;
        uint8_t command = (uint8_t)(card->tx.lower >> 24);
        if (was_reset(device) || !process(device, command) || was_reset(device)) {
            if (card->tx.busy || was_reset(device))
                return false;
            continue; /* send_large saw to all of it */
        }
        card->tx.busy = false;
        card->batch.moved += E1000_DESCRIPTOR;
        complete(device, ring, threshold, index, command);
        if (card->batch.dones == E1000_DONE || (threshold > 1 && card->tx.unwritten >= threshold))
            flush(device, ring, threshold);
        if (device->profile == NIC_PROFILE_WIRE && card->tx.packet == E1000_NO_PACKET)
            break;
    }
    return ring->head != ring->tail;
}

static void causes_of_walk(nic_device *device, const e1000_ring *ring, uint32_t before)
{
    e1000 *card = e1000_of(device);
    uint32_t after = e1000_owned(ring), causes = 0;
    uint32_t low = LOW_UNIT * (e1000_reg(device, E1000_TXDCTL) >> E1000_TXDCTL_LWTHRESH_SHIFT);
    if (before > low && after <= low)
        causes |= E1000_ICR_TXD_LOW;
    if (before && !after)
        causes |= E1000_ICR_TXQE;
    if (card->tx.unwritten && !nic_timer_armed(device, E1000_TIMER_TIDV)) /* the flush of a burst (3.4.2) */
        nic_timer_set(device, E1000_TIMER_TIDV,
                      nic_now(device) + (uint64_t)(e1000_reg(device, E1000_TIDV) & E1000_TIDV_IDV) * E1000_TICK_NS);
    if (card->batch.immediate && causes) { /* one change of the line, not two */
        nic_timer_stop(device, E1000_TIMER_TIDV);
        nic_timer_stop(device, E1000_TIMER_TADV);
        e1000_cause(device, causes | E1000_ICR_TXDW);
        return;
    }
    if (causes)
        e1000_cause(device, causes);
    report(device, card->batch.immediate, card->batch.delayed);
}

void e1000_transmit(nic_device *device)
{
    e1000 *card = e1000_of(device);
    e1000_ring ring;
    e1000_wire_resume(device);
    if (!(e1000_reg(device, E1000_TCTL) & E1000_TCTL_EN) || !device->bus_master || !e1000_linked(device) ||
        !load_ring(device, &ring) || (ring.head == ring.tail && !card->tx.busy))
        return;
    uint32_t before = e1000_owned(&ring);
    begin_batch(device);
    card->batch.ring = &ring;
    bool more = walk(device, &ring);
    card->batch.ring = NULL;
    flush(device, &ring, e1000_threshold(e1000_reg(device, E1000_TXDCTL)));
    if (was_reset(device)) {
        device->card_ops->reset(device, NIC_RESET_SOFT); /* what this call has left since */
        return;
    }
    stage(card);
    causes_of_walk(device, &ring, before);
    if (!more)
        return;
    if (device->profile == NIC_PROFILE_INSTANT)
        nic_want_work(device, NIC_WORK_TRANSMIT);
    else if (!nic_timer_armed(device, E1000_TIMER_FETCH))
        nic_timer_set(device, E1000_TIMER_FETCH, nic_now(device) + e1000_bus_time(device, card->batch.moved));
}

void e1000_fetch_later(nic_device *device)
{
    if (device->profile == NIC_PROFILE_INSTANT)
        nic_want_work(device, NIC_WORK_TRANSMIT);
    else if (!nic_timer_armed(device, E1000_TIMER_FETCH))
        nic_timer_set(device, E1000_TIMER_FETCH, nic_now(device) + e1000_bus_time(device, E1000_DESCRIPTOR));
}
