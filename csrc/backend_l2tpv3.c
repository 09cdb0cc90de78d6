/*
 * l2tpv3: a static, unmanaged L2TPv3 session (RFC 3931) over UDP or IP: a header and a frame in each datagram, as
 * QEMU's netdev l2tpv3 and the Linux kernel's pseudowires have it.
 *
 *   [u32 0x00030000: version 3, a data message (UDP only, 4.1.2.1)]  u32 session  [u32 or u64 cookie]  [u32 counter]
 *   [offset bytes]  frame
 *
 * Sequence numbers of what arrives are not judged: a peer that restarts begins anew.
 */
#define _GNU_SOURCE
#include "datagrams.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { DATA_MESSAGE = 0x00030000, TYPE_AND_VERSION = 0x800f, IPV4_MIN = 20 };

typedef struct l2tpv3 {
    datagrams wire;
    nic_l2tpv3_config tunnel;
    nic_l2tpv3_counters counters;
    uint32_t counter;
} l2tpv3;

static uint8_t *put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &(uint32_t){htonl(value)}, 4);
    return at + 4;
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return ntohl(value);
}

static uint32_t cookie_size(const nic_l2tpv3_config *tunnel)
{
    return !tunnel->cookie ? 0 : tunnel->cookie64 ? 8 : 4;
}

static uint32_t header_size(const nic_l2tpv3_config *tunnel)
{
    return (tunnel->udp ? 4 : 0) + 4 + cookie_size(tunnel) + (tunnel->counter ? 4 : 0) + tunnel->offset;
}

static void put_header(datagrams *wire, uint8_t *at)
{
    l2tpv3 *self = (l2tpv3 *)wire;
    const nic_l2tpv3_config *tunnel = &self->tunnel;
    if (tunnel->udp)
        at = put32(at, DATA_MESSAGE);
    at = put32(at, tunnel->tx_session);
    if (tunnel->cookie && tunnel->cookie64)
        at = put32(at, (uint32_t)(tunnel->tx_cookie >> 32));
    if (tunnel->cookie)
        at = put32(at, (uint32_t)tunnel->tx_cookie);
    if (tunnel->counter)
        at = put32(at, tunnel->pincounter ? 0 : ++self->counter);
    memset(at, 0, tunnel->offset);
}

/* A raw IPv4 socket hands over the IP header, a raw IPv6 socket does not (ip(7), raw(7)). */
static uint32_t ip_header(const nic_l2tpv3_config *tunnel, const uint8_t *datagram, uint32_t length)
{
    if (tunnel->udp || tunnel->ipv6)
        return 0;
    uint32_t size = length < IPV4_MIN ? IPV4_MIN : (datagram[0] & 0xfu) * 4;
    return size < IPV4_MIN ? IPV4_MIN : size;
}

static int64_t find_frame(datagrams *wire, const uint8_t *datagram, uint32_t length)
{
    l2tpv3 *self = (l2tpv3 *)wire;
    const nic_l2tpv3_config *tunnel = &self->tunnel;
    uint32_t start = ip_header(tunnel, datagram, length), size = header_size(tunnel);
    const uint8_t *at = datagram + start;
    if (length <= start + size || (tunnel->udp && (get32(at) >> 16 & TYPE_AND_VERSION) != DATA_MESSAGE >> 16)) {
        self->counters.bad_header++;
        return -1;
    }
    at += tunnel->udp ? 4 : 0;
    if (get32(at) != tunnel->rx_session) {
        self->counters.bad_session++;
        return -1;
    }
    at += 4;
    uint64_t cookie = !tunnel->cookie ? 0 : get32(at);
    if (tunnel->cookie && tunnel->cookie64)
        cookie = cookie << 32 | get32(at + 4);
    if (tunnel->cookie && cookie != tunnel->rx_cookie) {
        self->counters.bad_cookie++;
        return -1;
    }
    return start + size;
}

static const nic_backend_ops l2tpv3_ops = {
    .name = "l2tpv3",
    .send = datagrams_send,
    .resume = nic_backend_wake,
    .poll = datagrams_poll,
    .timeout = datagrams_timeout,
    .attach = datagrams_attach,
    .count = datagrams_count,
    .close = datagrams_close,
};

nic_backend *nic_l2tpv3_new(const nic_dgram_config *config, const nic_l2tpv3_config *tunnel, int *error)
{
    l2tpv3 *self = nic_backend_new(sizeof(*self), &l2tpv3_ops);
    if (!self) {
        close(config->receive_fd);
        *error = ENOMEM;
        return NULL;
    }
    self->tunnel = *tunnel;
    self->wire.header = header_size(tunnel);
    self->wire.put_header = put_header;
    self->wire.find_frame = find_frame;
    *error = datagrams_init(&self->wire, config);
    if (*error) {
        nic_backend_free(&self->wire.base);
        return NULL;
    }
    return &self->wire.base;
}

const nic_l2tpv3_counters *nic_l2tpv3_get_counters(const nic_backend *backend)
{
    return &((const l2tpv3 *)backend)->counters;
}
