/* Strict IPv4 reassembly in front of libslirp (RFC 791 3.2). */
#ifndef NICEMU_REASSEMBLY_H
#define NICEMU_REASSEMBLY_H

#include <stdint.h>

typedef struct nic_reassembly nic_reassembly;

void nic_reassembly_free(nic_reassembly *parts); /* NULL is harmless */

/*
 * Takes an Ethernet frame with a fragment whose IPv4 header nic_filter_frame has checked.  Returns NIC_FILTER_PASS when
 * it completed its datagram: *whole is then one frame with all of it, valid until the next call.  NIC_FILTER_HELD: kept,
 * parts are missing.  NIC_FILTER_FRAGMENT: refused.  *parts is made when first needed.
 */
int nic_reassemble(nic_reassembly **parts, const uint8_t *frame, uint32_t length, int64_t now, uint8_t **whole,
                   uint32_t *whole_length);

#endif
