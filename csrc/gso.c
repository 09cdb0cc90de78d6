/*
 * Generic segmentation offload: what an offload leaves to do, done in software (nic.h).  Checksums are put in, packets
 * segmented into frames.
 *
 * A frame's payload stays where it is; only headers are copied.  Segments are those that Linux makes (tcp_gso_segment,
 * __udp_gso_segment): the IPv4 identification counts up, FIN and PSH are of the last, CWR is of the first.
 */
#include "nic.h"

#include "offload.h"

enum {
    VLAN_TYPE = 0x8100,
    TCP_HEADER = 20,
    TCP_FLAGS = 13, /* their offset */
    TCP_CWR = 0x80,
    UDP_HEADER = 8,
    TCP_SUM = 16, /* offset of the checksum */
    UDP_SUM = 6,
    POOL = NIC_ARRAY_LEN(((nic_gso *)0)->iov),
};

/* ------------------------------------------------------------------ checksums */

/* A sum of zero goes as its other form: to UDP, 0 means that there is none (RFC 768). */
static uint16_t closed(const nic_sum *sum)
{
    uint16_t value = (uint16_t)~nic_sum_value(sum);
    return value ? value : 0xffff;
}

void nic_frame_finish(nic_frame *frame)
{
    const nic_offload *offload = frame->offload;
    nic_sum sum = {0};
    nic_sum_add_iov(&sum, frame->iov, frame->iovcnt, offload->checksum_start, frame->length);
    nic_put16((uint8_t *)frame->iov[0].iov_base + offload->checksum_start + offload->checksum_offset, closed(&sum));
    frame->offload = NULL;
}

/* ------------------------------------------------------------------ taking up */

/* The headers that are repeated in front of every segment; false: they are not what the offload says. */
static bool take_headers(nic_gso *gso, uint32_t window)
{
    static const struct {
        uint8_t kind, version, protocol;
    } kinds[] = {{NIC_OFFLOAD_TCP4, 4, NIC_IPPROTO_TCP},
                 {NIC_OFFLOAD_TCP6, 6, NIC_IPPROTO_TCP},
                 {NIC_OFFLOAD_UDP, 4, NIC_IPPROTO_UDP},
                 {NIC_OFFLOAD_UDP, 6, NIC_IPPROTO_UDP}};
    nic_headers headers;
    bool known = false;
    nic_parse(gso->prototype, window, gso->frame.length, VLAN_TYPE, &headers);
    for (size_t i = 0; i < NIC_ARRAY_LEN(kinds); i++)
        known |= kinds[i].kind == gso->offload.kind && kinds[i].version == headers.version &&
                 kinds[i].protocol == headers.protocol;
    uint32_t least = headers.protocol == NIC_IPPROTO_TCP ? TCP_HEADER : UDP_HEADER;
    if (!known || headers.fragment || window < headers.transport + least)
        return false;
    uint32_t size = least;
    if (headers.protocol == NIC_IPPROTO_TCP)
        size = 4u * (gso->prototype[headers.transport + 12] >> 4);
    gso->header = headers.transport + size;
    gso->headers = headers;
    return size >= least && gso->header <= window;
}

bool nic_gso_begin(nic_gso *gso, const nic_frame *frame)
{
    const nic_offload *offload = frame->offload;
    uint32_t size = offload->segment_size;
    gso->frame = *frame;
    gso->offload = *offload;
    gso->index = gso->count = 0;
    gso->headers = (nic_headers){0};
    if (frame->length > NIC_LARGE_MAX || frame->iovcnt > NIC_FRAME_IOV)
        return false;
    uint32_t window = (uint32_t)nic_frame_copy(frame, gso->prototype, sizeof(gso->prototype));
    if (offload->kind == NIC_OFFLOAD_CHECKSUM) {
        gso->header = offload->checksum_start + offload->checksum_offset + 2u;
        size = frame->length - gso->header;
        if (gso->header > window)
            return false;
    } else if (!size || !take_headers(gso, window)) {
        return false;
    }
    gso->payload = frame->length - gso->header;
    uint32_t longest = gso->header + (size < gso->payload ? size : gso->payload);
    if (longest > NIC_FRAME_MAX)
        return false;
    gso->offload.segment_size = (uint16_t)size;
    gso->count = gso->payload ? (gso->payload + size - 1) / size : 1;
    return true;
}

/* ------------------------------------------------------------------ making frames */

/* The pieces of the payload bytes [first, first + length); returns how many, 0: there is no room for them. */
static uint32_t add_payload(const nic_gso *gso, uint32_t first, uint32_t length, struct iovec *iov, uint32_t room)
{
    const nic_frame *frame = &gso->frame;
    uint32_t count = 0, skip = gso->header + first;
    for (uint32_t i = 0; i < frame->iovcnt && length; i++) {
        uint32_t size = (uint32_t)frame->iov[i].iov_len;
        if (skip >= size) {
            skip -= size;
            continue;
        }
        uint32_t part = size - skip < length ? size - skip : length;
        if (count == room)
            return 0;
        iov[count++] = (struct iovec){(uint8_t *)frame->iov[i].iov_base + skip, part};
        length -= part;
        skip = 0;
    }
    return count;
}

static void sum_ipv4(uint8_t *head, const nic_headers *headers)
{
    nic_sum sum = {0};
    uint8_t *ip = head + headers->network;
    nic_put16(ip + 10, 0);
    nic_sum_add(&sum, ip, headers->transport - headers->network);
    nic_put16(ip + 10, (uint16_t)~nic_sum_value(&sum));
}

/* The headers of segment `index` in `frame`, whose first piece they are. */
static void make_headers(const nic_gso *gso, const nic_frame *frame, uint8_t *head, uint32_t index)
{
    nic_headers headers = gso->headers;
    nic_segmenter segmenter = {
        .header = (uint16_t)gso->header,
        .network = headers.network,
        .transport = headers.transport,
        .version = headers.version,
        .protocol = headers.protocol,
    };
    uint32_t field = headers.transport + (headers.protocol == NIC_IPPROTO_TCP ? TCP_SUM : UDP_SUM);
    nic_segment_header(&segmenter, head, index, index * gso->offload.segment_size, frame->length - gso->header,
                       index + 1 == gso->count);
    if (headers.protocol == NIC_IPPROTO_TCP && index)
        head[headers.transport + TCP_FLAGS] &= (uint8_t)~TCP_CWR;
    if (headers.version == 4)
        sum_ipv4(head, &headers);
    nic_sum sum = {0};
    headers.payload = frame->length - headers.transport;
    nic_put16(head + field, 0);
    nic_sum_add_pseudo(&sum, head, &headers);
    nic_sum_add_iov(&sum, frame->iov, frame->iovcnt, headers.transport, frame->length);
    nic_put16(head + field, closed(&sum));
}

size_t nic_gso_make(nic_gso *gso, nic_frame *frames, size_t most)
{
    uint32_t used = 0, size = gso->offload.segment_size;
    size_t made = 0;
    for (; made < most && made < NIC_BATCH && gso->index + made < gso->count; made++) {
        uint32_t index = gso->index + (uint32_t)made, first = index * size;
        uint32_t payload = gso->payload - first < size ? gso->payload - first : size;
        struct iovec *iov = &gso->iov[used];
        if (used == POOL)
            break;
        uint32_t pieces = add_payload(gso, first, payload, iov + 1, POOL - used - 1);
        if (payload && !pieces)
            break;
        uint8_t *head = gso->heads[made];
        memcpy(head, gso->prototype, gso->header);
        iov[0] = (struct iovec){head, gso->header};
        frames[made] = (nic_frame){iov, pieces + 1, gso->header + payload, gso->frame.flags, &gso->offload};
        if (gso->offload.kind == NIC_OFFLOAD_CHECKSUM)
            nic_frame_finish(&frames[made]);
        else
            make_headers(gso, &frames[made], head, index);
        frames[made].offload = NULL;
        used += pieces + 1;
    }
    return made;
}

static void spread_one(nic_gso *gso, const nic_frame *frame, nic_gso_take take, void *owner)
{
    nic_frame made[NIC_BATCH];
    if (!nic_gso_begin(gso, frame)) {
        made[0] = *frame;
        made[0].offload = NULL;
        take(owner, made, 1);
        return;
    }
    for (size_t n; (n = nic_gso_make(gso, made, NIC_BATCH)) > 0; nic_gso_passed(gso, n))
        take(owner, made, n);
}

void nic_gso_spread(nic_gso *gso, const nic_frame *frames, size_t count, nic_gso_take take, void *owner)
{
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        if (NIC_LIKELY(!frames[i].offload))
            continue;
        if (i > done)
            take(owner, frames + done, i - done);
        spread_one(gso, &frames[i], take, owner);
        done = i + 1;
    }
    if (count > done)
        take(owner, frames + done, count - done);
}

size_t nic_gso_segment(const uint8_t *frame, uint32_t length, const nic_offload *offload, uint8_t *out, size_t room,
                       uint32_t *lengths, size_t most)
{
    nic_gso gso;
    nic_frame made[NIC_BATCH];
    struct iovec iov = {(void *)(uintptr_t)frame, length};
    size_t count = 0, used = 0;
    if (!nic_gso_begin(&gso, &(nic_frame){&iov, 1, length, 0, offload}) || gso.count > most)
        return 0;
    for (size_t n; (n = nic_gso_make(&gso, made, NIC_BATCH)) > 0; nic_gso_passed(&gso, n))
        for (size_t i = 0; i < n; i++) {
            if (room - used < made[i].length)
                return 0;
            lengths[count++] = (uint32_t)nic_frame_copy(&made[i], out + used, room - used);
            used += made[i].length;
        }
    return count;
}
