/*
 * The backends over sockets as Python sees them; the rules of nic_api.h hold.  Python resolves names, makes and binds
 * sockets; the engine takes the descriptors over (also when it fails) and makes them non-blocking and close-on-exec.
 */
#ifndef NICEMU_SOCKETS_API_H
#define NICEMU_SOCKETS_API_H

/* ---------------------------------------------------------------- dgram: a frame a datagram */

typedef struct nic_dgram_config {
    int receive_fd;       /* where frames arrive */
    int send_fd;          /* where they leave; -1: the same */
    const void *to;       /* sockaddr that frames are sent to, or NULL: the socket is connected */
    uint32_t to_length;
    bool connect;         /* Unix: send_fd is kept connected to `to`, whoever is bound there */
    bool ignore_own;      /* multicast: what send_fd sent comes back to receive_fd and is no frame for the card */
} nic_dgram_config;

/* NULL and an errno in *error. */
nic_backend *nic_dgram_new(const nic_dgram_config *config, int *error);

/* ---------------------------------------------------------------- l2tpv3 (RFC 3931, static sessions) */

typedef struct nic_l2tpv3_config {
    bool udp, ipv6;
    bool cookie, cookie64;   /* present; 8 bytes, not 4 */
    bool counter, pincounter; /* a sequence number in each packet; 0 in all */
    uint32_t tx_session, rx_session;
    uint64_t tx_cookie, rx_cookie;
    uint32_t offset;         /* bytes between header and frame, at most 256 */
} nic_l2tpv3_config;

typedef struct nic_l2tpv3_counters {
    uint64_t bad_header;     /* packets too short, or not data packets */
    uint64_t bad_session;
    uint64_t bad_cookie;
} nic_l2tpv3_counters;

nic_backend *nic_l2tpv3_new(const nic_dgram_config *config, const nic_l2tpv3_config *tunnel, int *error);
const nic_l2tpv3_counters *nic_l2tpv3_get_counters(const nic_backend *backend);

/* ---------------------------------------------------------------- stream: u32 length in network order, frame */

enum { NIC_STREAM_ADDRESSES = 8 };

typedef struct nic_stream_address {
    uint32_t length;
    uint8_t bytes[128];      /* a sockaddr_storage */
} nic_stream_address;

typedef struct nic_stream_config {
    int fd;                  /* connected, or -1 */
    int listen_fd;           /* accepts one peer at a time, or -1 */
    uint32_t address_count;  /* with neither: where to connect, tried in turn */
    nic_stream_address addresses[8];
    uint64_t reconnect;      /* ns after a failure or a loss; 0: never again */
    bool keep_alive;         /* TCP: ask a peer that is silent whether it is there (SO_KEEPALIVE) */
} nic_stream_config;

typedef struct nic_stream_counters {
    uint64_t connects;       /* peers so far */
    uint64_t disconnects;
    uint64_t attempts;       /* of connecting that failed */
    uint64_t refused;        /* times that a peer waited and could not be accepted (no file descriptor left) */
    uint64_t protocol_errors; /* peers that sent a length which no frame has, and were sent away */
    uint64_t truncated;      /* frames that ended with the connection */
} nic_stream_counters;

nic_backend *nic_stream_new(const nic_stream_config *config, int *error);
const nic_stream_counters *nic_stream_get_counters(const nic_backend *backend);
int nic_stream_error(const nic_backend *backend); /* errno that ended the last connection or attempt, 0: none or EOF */

#endif
