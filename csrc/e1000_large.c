/*
 * 82540EM: packets whose segmentation is left to the wire (nic.h, nic_offload).
 *
 * Only a packet that lies in the ring as a driver should put it there, and whose frames the wire makes exactly as the
 * chip would, is left to it; all others, and with them all findings, are e1000_tx.c's.
 */
#include "e1000.h"

enum {
    NETWORK = 14, /* Ethernet II only */
    IPV4_SUM = 10,
    IPV6_HEADER = 40,
    TCP_SUM = 16,
    TCP_LEAST = 20,
    TCP_CWR = 0x80, /* in the first frame only if the wire cuts, in all if the chip does */
    LONGEST = NETWORK + 65535,
};

/* The context asks for exactly what the headers of a TCP packet need (3.3.6, 3.5.6). */
static bool context_fits(nic_device *device, const e1000_context *context, uint8_t options)
{
    uint32_t transport = context->tucss, shortest = context->hdrlen + context->mss;
    bool v4 = context->command & E1000_TUCMD_IPV4;
    uint32_t last = context->paylen % context->mss ? context->paylen % context->mss : context->mss;
    if (!(context->command & E1000_TUCMD_TCP) || context->ipcss != NETWORK || context->tucse ||
        context->tucso != transport + TCP_SUM || !(options & E1000_POPTS_TXSM) ||
        context->hdrlen < transport + TCP_LEAST || context->hdrlen > E1000_HEADER_MAX ||
        context->paylen <= context->mss || context->hdrlen + context->paylen > LONGEST || shortest < E1000_MIN)
        return false;
    if (context->hdrlen + last < E1000_MIN && !(e1000_reg(device, E1000_TCTL) & E1000_TCTL_PSP))
        return false;
    return v4 ? options & E1000_POPTS_IXSM && context->ipcso == NETWORK + IPV4_SUM && context->ipcse + 1u == transport
              : !(options & E1000_POPTS_IXSM) && transport == NETWORK + IPV6_HEADER;
}

/* The headers are what the context says, with their sums as a driver leaves them. */
static bool headers_fit(const e1000_large *large, const e1000_context *context)
{
    nic_headers headers;
    nic_sum sum = {0};
    uint32_t length = large->length;
    const uint8_t *head = large->head, *tcp = head + context->tucss;
    uint8_t copy[E1000_HEADER_MAX];
    memcpy(copy, head, context->hdrlen);
    if (context->command & E1000_TUCMD_IPV4)
        nic_put16(copy + NETWORK + 2, (uint16_t)(length - NETWORK)); /* the chip's to fill in */
    else
        nic_put16(copy + NETWORK + 4, (uint16_t)(length - NETWORK - IPV6_HEADER));
    nic_parse(copy, context->hdrlen, length, 0, &headers);
    if (headers.version != (context->command & E1000_TUCMD_IPV4 ? 4 : 6) || headers.protocol != NIC_IPPROTO_TCP ||
        headers.fragment || headers.network != NETWORK || headers.transport != context->tucss ||
        4u * (tcp[12] >> 4) != (uint32_t)context->hdrlen - context->tucss || tcp[13] & TCP_CWR ||
        (headers.version == 4 && nic_get16(head + NETWORK + IPV4_SUM)))
        return false;
    headers.payload = 0; /* the chip adds the length of each frame (3.5.7) */
    nic_sum_add_pseudo(&sum, head, &headers);
    return nic_sum_value(&sum) == nic_get16(tcp + TCP_SUM);
}

/* The headers as of one packet of the whole length. */
static void finish_headers(e1000_large *large, const e1000_context *context)
{
    uint8_t *ip = large->head + NETWORK, *field = large->head + context->tucso;
    uint32_t length = large->length;
    nic_sum header = {0}, pseudo = {0};
    if (context->command & E1000_TUCMD_IPV4) {
        nic_put16(ip + 2, (uint16_t)(length - NETWORK));
        nic_sum_add(&header, ip, context->tucss - NETWORK);
        nic_put16(ip + IPV4_SUM, (uint16_t)~nic_sum_value(&header));
    } else {
        nic_put16(ip + 4, (uint16_t)(length - NETWORK - IPV6_HEADER));
    }
    nic_sum_add16(&pseudo, nic_get16(field));
    nic_sum_add16(&pseudo, (uint16_t)(length - context->tucss));
    nic_put16(field, nic_sum_value(&pseudo));
}

/* Enters one descriptor's buffer; of the first, the headers are copied. */
static bool add_buffer(nic_device *device, e1000_large *large, const e1000_context *context, uint64_t address,
                       uint32_t length)
{
    uint32_t header = large->length ? 0 : context->hdrlen;
    const uint8_t *data = address && length >= header ? nic_dma_map(device, address, length, false) : NULL;
    if (!data || large->length + length > context->hdrlen + context->paylen || large->pieces + 2 > NIC_FRAME_IOV)
        return false;
    if (header) {
        memcpy(large->head, data, header);
        large->iov[large->pieces++] = (struct iovec){large->head, header};
    }
    if (length > header)
        large->iov[large->pieces++] = (struct iovec){(void *)(uintptr_t)(data + header), length - header};
    large->length += length;
    return true;
}

/* The packet's descriptors from the ring's head on; false: not all are there, or one is not like the others. */
static bool gather_large(nic_device *device, const e1000_ring *ring, const e1000_context *context, e1000_large *large)
{
    const e1000_tx *tx = &e1000_of(device)->tx;
    uint64_t address = tx->address;
    uint32_t lower = tx->lower, upper = tx->upper, index = ring->head;
    large->length = large->pieces = large->descriptors = 0;
    for (;;) {
        uint8_t command = (uint8_t)(lower >> 24);
        if ((lower & E1000_LARGE_MASK) != E1000_LARGE_DATA || upper & 0xf0 || large->descriptors == E1000_LARGE_MOST ||
            !add_buffer(device, large, context, address, lower & 0xfffff))
            return false;
        large->commands[large->descriptors++] = command;
        if (command & E1000_CMD_EOP)
            return large->length == context->hdrlen + context->paylen;
        index = e1000_next(ring, index);
        if (index == ring->tail)
            return false;
        uint64_t words[2];
        memcpy(words, ring->memory + (size_t)index * E1000_DESCRIPTOR, sizeof(words));
        __asm__ volatile("" : "+r"(words[0]), "+r"(words[1])); /* read once: the guest may change it behind us */
        address = words[0];
        lower = (uint32_t)words[1];
        upper = (uint32_t)(words[1] >> 32);
    }
}

bool e1000_large_plan(nic_device *device, const e1000_ring *ring, uint32_t kinds, e1000_large *large)
{
    const e1000_tx *tx = &e1000_of(device)->tx;
    const e1000_context *context = &tx->segmentation;
    uint32_t kind = context->command & E1000_TUCMD_IPV4 ? NIC_OFFLOAD_TCP4 : NIC_OFFLOAD_TCP6;
    if (!(kinds & kind) || !context->loaded || !context->mss || !ring->memory ||
        !context_fits(device, context, (uint8_t)(tx->upper >> 8)) || !gather_large(device, ring, context, large) ||
        !headers_fit(large, context))
        return false;
    finish_headers(large, context);
    large->offload = (nic_offload){
        .kind = (uint8_t)kind,
        .checksum_start = context->tucss,
        .checksum_offset = TCP_SUM,
        .header_length = context->hdrlen,
        .segment_size = context->mss,
    };
    large->segments = (context->paylen + context->mss - 1) / context->mss;
    large->full = context->hdrlen + context->mss;
    large->last = large->length - (large->segments - 1) * context->mss;
    large->last = large->last < E1000_MIN ? E1000_MIN : large->last;
    return true;
}
