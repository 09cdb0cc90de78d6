/*
 * A wire of datagrams: one socket call for a batch of frames, straight from guest memory, straight into fixed slots.
 * A backend whose datagrams have a header before the frame (l2tpv3) begins with this struct and sets the hooks.
 */
#ifndef NICEMU_DATAGRAMS_H
#define NICEMU_DATAGRAMS_H

#include "backends.h"

#include <sys/socket.h>

#include "sockets_api.h"

enum {
    DATAGRAM_HEADER_MAX = 512, /* room before a frame: an IP header with options, a tunnel's header and its offset */
    /* A line beyond the longest frame, so that frames of neighbouring slots do not meet in the same cache sets. */
    DATAGRAM_SLOT = NIC_FRAME_MAX + DATAGRAM_HEADER_MAX + 64,
};

typedef struct datagrams datagrams;
struct datagrams {
    nic_backend base;
    nic_source in, out;      /* fds of their own, so that each is watched for what it is needed for */
    bool in_watched, out_known; /* on the loop's epoll set */
    bool ready;              /* the source became ready, or there is no telling */
    bool internet;           /* `in` is IPv4 or IPv6 */
    bool keep_connected;     /* nic_dgram_config.connect */
    bool connected;
    bool from_bound;         /* the peer takes frames from our bound address only */
    bool addressed;          /* messages carry their destination */
    uint32_t overflows;      /* datagrams that the kernel dropped for want of room, when it was last asked */
    uint32_t fruitless;      /* times in a row that the socket was ready and had nothing */
    struct sockaddr_storage to, own;
    socklen_t to_length, own_length; /* own: 0, or the address whose datagrams are ignored */

    uint32_t header;         /* bytes before each frame that leaves; 0: none */
    void (*put_header)(datagrams *self, uint8_t *header);
    /* Where the frame begins in a datagram that arrived; -1: it is none (counted by the hook). */
    int64_t (*find_frame)(datagrams *self, const uint8_t *datagram, uint32_t length);

    /* what has arrived and is not yet taken */
    uint32_t arrived, taken;
    nic_frame frames[NIC_BATCH];
    struct iovec frame_iov[NIC_BATCH];

    struct mmsghdr in_messages[NIC_BATCH], out_messages[NIC_BATCH];
    struct iovec in_iov[NIC_BATCH];
    struct sockaddr_storage from[NIC_BATCH];
    uint8_t headers[NIC_BATCH][DATAGRAM_HEADER_MAX];
    struct iovec out_iov[NIC_BATCH][1 + NIC_FRAME_IOV];
    uint8_t slots[NIC_BATCH][DATAGRAM_SLOT];
};

int datagrams_init(datagrams *self, const nic_dgram_config *config); /* 0 or an errno; the fds are taken over */
size_t datagrams_send(nic_backend *backend, const nic_frame *frames, size_t count);
void datagrams_poll(nic_backend *backend);
int64_t datagrams_timeout(nic_backend *backend);
void datagrams_attach(nic_backend *backend, nic_loop *loop);
void datagrams_count(nic_backend *backend);
void datagrams_close(nic_backend *backend);

#endif
