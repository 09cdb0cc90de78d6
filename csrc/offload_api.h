/*
 * The offloads as Python sees them: declarations only (see nic_api.h).
 */
#ifndef NICEMU_OFFLOAD_API_H
#define NICEMU_OFFLOAD_API_H

/* One's complement sum (not complemented) of `length` bytes cut into pieces of at most `piece` bytes (0: one piece). */
uint16_t nic_checksum(const void *data, size_t length, size_t piece);
/* CRC-32 of IEEE 802.3, continued from `crc` (0 at first). */
uint32_t nic_crc32(uint32_t crc, const void *data, size_t length);
/* Address hashes: the CRC register after six bytes, before the final inversion, with the first bit sent at bit 0
 * (little) or at bit 31 (big).  Cards take some bits of one or the other. */
uint32_t nic_hash_little(const uint8_t *address);
uint32_t nic_hash_big(const uint8_t *address);

#endif
