/*
 * What network cards compute over frames: Internet checksums, the Ethernet FCS, address hashes, header parsing and
 * the headers of segmented packets.  Shared by all cards; nothing here knows a register or allocates.
 */
#ifndef NICEMU_OFFLOAD_H
#define NICEMU_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "offload_api.h"

/* ------------------------------------------------------------------ byte order */

static inline uint16_t nic_get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static inline uint32_t nic_get32(const uint8_t *at) { return (uint32_t)nic_get16(at) << 16 | nic_get16(at + 2); }

static inline void nic_put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void nic_put32(uint8_t *at, uint32_t value)
{
    nic_put16(at, (uint16_t)(value >> 16));
    nic_put16(at + 2, (uint16_t)value);
}

/* ------------------------------------------------------------------ Internet checksum (RFC 1071) */

/*
 * A running one's complement sum.  Words are taken in the order of memory, which the sum commutes with; nic_sum_value
 * turns the result into a number whose high byte comes first on the wire.
 */
typedef struct nic_sum {
    uint64_t total;
    bool odd; /* so far an odd number of bytes */
} nic_sum;

void nic_sum_add(nic_sum *sum, const void *data, size_t length);
/* The bytes [first, end) of scattered pieces. */
void nic_sum_add_iov(nic_sum *sum, const struct iovec *iov, uint32_t count, size_t first, size_t end);
/* A number as if it stood at an even place in the data. */
static inline void nic_sum_add16(nic_sum *sum, uint16_t value) { sum->total += __builtin_bswap16(value); }
uint16_t nic_sum_value(const nic_sum *sum); /* 0x0000 only if every byte was 0 */

/* ------------------------------------------------------------------ CRC-32 (IEEE 802.3, 3.2.9) */

/* The FCS of scattered pieces, as the number whose low byte is sent first. */
uint32_t nic_crc32_iov(const struct iovec *iov, uint32_t count);

/* ------------------------------------------------------------------ PAUSE (IEEE 802.3, 31B) */

enum { NIC_PAUSE_BYTES = 60 };

/* A PAUSE frame from a station, to the group address that no bridge passes on. */
void nic_pause_make(uint8_t *bytes, const uint8_t *station, uint32_t quanta);
/* Whether the first `window` bytes of a frame are a PAUSE frame's, whomever it is for, and for how many quanta. */
bool nic_pause_read(const uint8_t *bytes, uint32_t window, uint32_t *quanta);
bool nic_pause_group(const uint8_t *address);

/* ------------------------------------------------------------------ headers */

enum { NIC_IPPROTO_IPV4 = 4, NIC_IPPROTO_TCP = 6, NIC_IPPROTO_UDP = 17, NIC_IPPROTO_IPV6 = 41 };

typedef struct nic_headers {
    uint16_t type;       /* of the innermost Ethernet header; 0: none, or an 802.3 length without SNAP */
    uint16_t network;    /* offset of the IP header */
    uint16_t transport;  /* offset of what follows it and its extension headers */
    uint16_t destination; /* offset of the address that the pseudo header takes */
    uint32_t payload;    /* bytes from `transport` to the end of the IP packet */
    uint8_t version;     /* 4, 6, or 0: no valid IP header */
    uint8_t protocol;    /* what is at `transport` */
    bool fragment;       /* part of a datagram: its transport header may not be whole */
    bool whole;          /* the IP packet lies within the frame */
} nic_headers;

/* Reads the headers that lie in the first `window` bytes of a frame of `length` bytes; `vlan_type` marks one tag. */
void nic_parse(const uint8_t *bytes, uint32_t window, uint32_t length, uint16_t vlan_type, nic_headers *headers);
/* The IP packet within another, or version 0. */
void nic_parse_inner(const uint8_t *bytes, uint32_t window, uint32_t length, const nic_headers *outer,
                     nic_headers *headers);
/* Whether the IPv4 header's checksum is right. */
bool nic_ipv4_valid(const uint8_t *bytes, const nic_headers *headers);
/* Whether a TCP segment or a UDP datagram lies at `transport`, whole and with its first 8 bytes within the window. */
bool nic_transport_whole(const nic_headers *headers, uint32_t window);
/* Whether its checksum is right, over the pieces of a frame that begins with `bytes`; one that the sender left out is
 * not. */
bool nic_transport_valid(const uint8_t *bytes, const struct iovec *iov, uint32_t count, const nic_headers *headers);
/* Adds what TCP and UDP checksums cover beside their own bytes (RFC 9293 3.1, RFC 8200 8.1). */
void nic_sum_add_pseudo(nic_sum *sum, const uint8_t *bytes, const nic_headers *headers);

/* ------------------------------------------------------------------ segmentation */

typedef struct nic_segmenter { /* what changes from frame to frame of a segmented packet */
    uint16_t header;           /* bytes of the prototype header */
    uint16_t network;          /* offset of the IP header */
    uint16_t transport;        /* offset of the TCP or UDP header */
    uint8_t version;           /* 4, 6, or 0: the IP header stays as it is */
    uint8_t protocol;          /* NIC_IPPROTO_TCP, _UDP, or 0: the transport header stays as it is */
} nic_segmenter;

/* Makes frame `index` of the prototype header in `bytes`: `before` payload bytes went in earlier frames, `payload` go
 * in this one.  Fields that do not lie within the header are left alone. */
void nic_segment_header(const nic_segmenter *segmenter, uint8_t *bytes, uint32_t index, uint32_t before,
                        uint32_t payload, bool last);

/* The headers of TCP over IPv4 as of one packet of `length` bytes, with the pseudo header's sum in place of the segment's:
 * as whoever is to segment it wants them (nic.h, nic_offload). */
void nic_large_headers(uint8_t *head, uint32_t network, uint32_t transport, uint32_t length);

#endif
