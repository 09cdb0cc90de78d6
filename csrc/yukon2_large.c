/*
 * 88E8057: what is left to a wire that computes checksums and segments (nic.h, nic_offload).
 *
 * Only what the wire makes exactly as the chip would is left to it; all else, and with it all findings, is yukon2_tx.c's.
 */
#include "yukon2.h"

enum {
    NETWORK = 14, /* Ethernet II only */
    IPV4_FRAGMENT = 0x3fff, /* offset, and more fragments */
    TRANSPORT_LEAST = 34,
    TCP_FLAGS = 13,
    TCP_SUM = 16,
    UDP_SUM = 6,
    TCP_CWR = 0x80, /* in the first frame only: wires differ */
    LONGEST = NETWORK + 65535,
};

/* A sum of zero goes as ffff from wires: only receivers of UDP can tell, and drivers ask for that (3.1). */
bool yukon2_leaves_checksum(const yukon2_said *said, bool udp)
{
    uint32_t offset = (uint32_t)said->place - said->start;
    return said->start >= TRANSPORT_LEAST && offset == (udp ? UDP_SUM : TCP_SUM) && !said->initial;
}

bool yukon2_leaves_large(const nic_device *device, const uint8_t *head, const yukon2_headers *h, uint32_t length,
                         uint32_t mss)
{
    uint32_t payload = length - h->length, last = payload % mss ? payload % mss : mss;
    uint32_t control = yukon2_reg(device, YUKON2_GM_TX_CTRL);
    bool short_last = h->length + last < YUKON2_MIN && control & YUKON2_GM_TX_CTRL_NO_PAD;
    return h->network == NETWORK && payload > mss && length <= LONGEST && h->length + mss >= YUKON2_MIN && !short_last &&
           !(control & YUKON2_GM_TX_CTRL_CRC_DIS) && !(nic_get16(head + NETWORK + 6) & IPV4_FRAGMENT) &&
           !(head[h->transport + TCP_FLAGS] & TCP_CWR);
}
