/*
 * dgram: one frame a datagram, with no header (QEMU's netdevs dgram, and socket with udp= or mcast=).
 */
#define _GNU_SOURCE
#include "datagrams.h"

#include <errno.h>
#include <unistd.h>

static const nic_backend_ops dgram_ops = {
    .name = "dgram",
    .send = datagrams_send,
    .resume = nic_backend_wake,
    .poll = datagrams_poll,
    .timeout = datagrams_timeout,
    .attach = datagrams_attach,
    .count = datagrams_count,
    .close = datagrams_close,
};

nic_backend *nic_dgram_new(const nic_dgram_config *config, int *error)
{
    datagrams *wire = nic_backend_new(sizeof(*wire), &dgram_ops);
    if (!wire) {
        close(config->receive_fd);
        if (config->send_fd >= 0)
            close(config->send_fd);
        *error = ENOMEM;
        return NULL;
    }
    *error = datagrams_init(wire, config);
    if (*error) {
        nic_backend_free(&wire->base);
        return NULL;
    }
    return &wire->base;
}
