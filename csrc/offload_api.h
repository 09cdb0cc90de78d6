/*
 * The offloads as Python sees them: declarations only (see nic_api.h).
 */
#ifndef NICEMU_OFFLOAD_API_H
#define NICEMU_OFFLOAD_API_H

enum { /* kinds of offload; a frame has one of them, what a backend or a card takes is a set */
    NIC_OFFLOAD_CHECKSUM = 1, /* one frame whose transport checksum is not computed */
    NIC_OFFLOAD_TCP4 = 2,     /* a TCP packet over IPv4, to be segmented */
    NIC_OFFLOAD_TCP6 = 4,     /* over IPv6 */
    NIC_OFFLOAD_UDP = 8,      /* a run of UDP datagrams of one flow */
};

/*
 * What a frame's sender leaves to be done, as a virtio-net header has it (Virtio 1.2, 5.1.6).  The frame's headers are
 * those of one packet of the whole length: IP length and IPv4 header checksum are right, and the field of the transport
 * checksum holds the sum of the pseudo header, not complemented.
 */
typedef struct nic_offload {
    uint8_t kind;             /* NIC_OFFLOAD_* */
    uint16_t checksum_start;  /* the sum runs from here to the end of the frame, */
    uint16_t checksum_offset; /* and is put so far behind that */
    uint16_t header_length;   /* of every segment: Ethernet, IP and transport headers */
    uint16_t segment_size;    /* payload bytes of every segment but the last; 0: not segmented */
} nic_offload;

/* One's complement sum (not complemented) of `length` bytes cut into pieces of at most `piece` bytes (0: one piece). */
uint16_t nic_checksum(const void *data, size_t length, size_t piece);
/* CRC-32 of IEEE 802.3, continued from `crc` (0 at first). */
uint32_t nic_crc32(uint32_t crc, const void *data, size_t length);
/* Address hashes: the CRC register after six bytes, before the final inversion, with the first bit sent at bit 0
 * (little) or at bit 31 (big).  Cards take some bits of one or the other. */
uint32_t nic_hash_little(const uint8_t *address);
uint32_t nic_hash_big(const uint8_t *address);

/* Makes complete frames of one, one behind the other in `out`.  Returns how many; 0: the headers are not what the
 * offload says, or `room` bytes or `most` frames are not enough. */
size_t nic_gso_segment(const uint8_t *frame, uint32_t length, const nic_offload *offload, uint8_t *out, size_t room,
                       uint32_t *lengths, size_t most);

#endif
