/*
 * Strict IPv4 reassembly in front of libslirp (RFC 791 3.2, RFC 5722 for the treatment of overlaps).
 *
 * libslirp meets whole datagrams only: reassembly is where such stacks failed.  A datagram is given up, with all of its
 * parts that follow, when two of them overlap, when they disagree about where it ends, or when it passes 65535 bytes.
 * Nothing grows: there are DATAGRAMS buffers, a new datagram takes the one that was quiet for longest, and parts that
 * are older than LIFETIME are forgotten.
 */
#include "reassembly.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "backends_api.h"

enum { ETHERNET = 14, IPV4 = 20, DATAGRAMS = 4, PAYLOAD = 65535 - IPV4, BLOCKS = (PAYLOAD + 7) / 8 };
static const int64_t LIFETIME = 15000000000; /* ns: RFC 791's initial timer */

typedef struct datagram {
    uint8_t key[11];           /* source, destination, identification, protocol */
    bool used, refused;
    int64_t since, touched;    /* ns */
    uint32_t end;              /* bytes of payload, 0: the last part is not here yet */
    uint32_t reach;            /* end of the part that reaches furthest */
    uint32_t blocks;           /* of 8 bytes, received */
    uint8_t received[(BLOCKS + 7) / 8];
    uint8_t frame[ETHERNET + IPV4 + PAYLOAD];
} datagram;

struct nic_reassembly {
    datagram datagrams[DATAGRAMS];
};

void nic_reassembly_free(nic_reassembly *parts) { free(parts); }

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

static void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void make_key(const uint8_t *ip, uint8_t key[11])
{
    memcpy(key, ip + 12, 8);
    memcpy(key + 8, ip + 4, 2);
    key[10] = ip[9];
}

/* The datagram that a fragment belongs to, begun anew where there is none. */
static datagram *find(nic_reassembly *parts, const uint8_t *ip, int64_t now)
{
    uint8_t key[11];
    make_key(ip, key);
    datagram *quietest = &parts->datagrams[0];
    for (datagram *d = parts->datagrams; d < parts->datagrams + DATAGRAMS; d++) {
        if (d->used && now - d->since > LIFETIME)
            d->used = false;
        if (d->used && !memcmp(d->key, key, sizeof(key)))
            return d;
        if (quietest->used && (!d->used || d->touched < quietest->touched))
            quietest = d;
    }
    quietest->used = true;
    quietest->refused = false;
    quietest->since = now;
    quietest->end = quietest->reach = quietest->blocks = 0;
    memcpy(quietest->key, key, sizeof(key));
    memset(quietest->received, 0, sizeof(quietest->received));
    return quietest;
}

/* Whether the part [first, first + length) fits to what is here; marks its blocks. */
static bool accept_part(datagram *d, uint32_t first, uint32_t length, bool last)
{
    uint32_t end = first + length;
    if (!length || end > PAYLOAD || (!last && length % 8))
        return false;
    if ((last && d->end) || (last && d->reach > end) || (d->end && end > d->end))
        return false;
    for (uint32_t block = first / 8; block < (end + 7) / 8; block++) {
        if (d->received[block / 8] & 1u << block % 8)
            return false;
        d->received[block / 8] |= (uint8_t)(1u << block % 8);
        d->blocks++;
    }
    if (last)
        d->end = end;
    if (end > d->reach)
        d->reach = end;
    return true;
}

/* The header of the first part, as that of the whole (RFC 791 3.2, the last step of the procedure). */
static void finish_header(datagram *d)
{
    uint8_t *ip = d->frame + ETHERNET;
    uint32_t sum = 0;
    put16(ip + 2, IPV4 + d->end);
    put16(ip + 6, 0);
    put16(ip + 10, 0);
    for (int i = 0; i < IPV4; i += 2)
        sum += get16(ip + i);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(ip + 10, ~(sum + (sum >> 16)));
}

int nic_reassemble(nic_reassembly **parts, const uint8_t *frame, uint32_t length, int64_t now, uint8_t **whole,
                   uint32_t *whole_length)
{
    const uint8_t *ip = frame + ETHERNET;
    uint32_t payload = length - ETHERNET - IPV4, first = (get16(ip + 6) & 0x1fffu) * 8;
    bool last = !(get16(ip + 6) & 0x2000);
    if (!*parts && !(*parts = calloc(1, sizeof(nic_reassembly))))
        return NIC_FILTER_FRAGMENT;
    datagram *d = find(*parts, ip, now);
    d->touched = now;
    if (d->refused || !accept_part(d, first, payload, last)) {
        d->refused = true; /* and stays so: what follows of it is refused too */
        return NIC_FILTER_FRAGMENT;
    }
    memcpy(d->frame + ETHERNET + IPV4 + first, ip + IPV4, payload);
    if (!first)
        memcpy(d->frame, frame, ETHERNET + IPV4);
    if (!d->end || d->blocks != (d->end + 7) / 8)
        return NIC_FILTER_HELD;
    finish_header(d);
    d->used = false;
    *whole = d->frame;
    *whole_length = ETHERNET + IPV4 + d->end;
    return NIC_FILTER_PASS;
}
