/*
 * The backends as Python sees them; the rules of nic_api.h hold.  Addresses are in host byte order.
 */
#ifndef NICEMU_BACKENDS_API_H
#define NICEMU_BACKENDS_API_H

typedef struct nic_backend nic_backend;
typedef struct nic_backend_counters nic_backend_counters;
typedef struct nic_hub nic_hub;

/* ---------------------------------------------------------------- every backend */

bool nic_backend_is_up(const nic_backend *backend);
bool nic_backend_in_use(const nic_backend *backend); /* a card or a wrapper is above it */
void nic_backend_poll_chain(nic_backend *backend);   /* one turn for it and what it wraps, without a card or a loop */

/* ---------------------------------------------------------------- pair, hub */

/* Two ends of one cable; returns 0 or ENOMEM.  Each end is freed by itself; the other then loses its link. */
int nic_pair_new(nic_backend **first, nic_backend **second);

nic_hub *nic_hub_new(void);
nic_backend *nic_hub_port(nic_hub *hub); /* wrap a backend with it, or put a card on it */
void nic_hub_port_set_link(nic_backend *port, bool up); /* down: what goes through it is dropped and counted */
void nic_hub_free(nic_hub *hub);         /* its ports may be freed before or after */

/* ---------------------------------------------------------------- pcap */

enum { NIC_PCAP_CLASSIC = 0, NIC_PCAP_NG = 1, NIC_PCAP_MICRO = 2 /* classic, in microseconds */ };

/* Takes over fd (also when it fails) and writes the file's header.  start: wall time of device time 0, in ns, or -1:
 * such that the first record has the time of day.  On failure NULL, and errno in *error. */
nic_backend *nic_pcap_new(int fd, int format, uint32_t snaplen, int64_t start, int *error);
int nic_pcap_error(const nic_backend *backend);           /* errno that ended the dump, or 0 */
uint64_t nic_pcap_records(const nic_backend *backend);    /* whole records in the file */

/* ---------------------------------------------------------------- faults */

enum {
    NIC_FAULT_LOSS = 0,
    NIC_FAULT_DUPLICATE,
    NIC_FAULT_REORDER,
    NIC_FAULT_DELAY,
    NIC_FAULT_CORRUPT,
    NIC_FAULT_RUNT,
    NIC_FAULT_JABBER,
    NIC_FAULTS = 7,
};

typedef struct nic_fault_rule { /* which frames it happens to */
    uint64_t chance;            /* of 1 << 32 */
    uint32_t every;             /* n: each n-th instead; 0: by chance */
} nic_fault_rule;

typedef struct nic_fault_config {
    nic_fault_rule rules[7];    /* by NIC_FAULT_* */
    uint64_t seed;
    uint64_t delay_ns;          /* what is delayed, and all behind it, waits so long */
    uint64_t reorder_ns;        /* what is overtaken waits at most so long */
    uint32_t reorder_gap;       /* and for so many others */
    bool bad_fcs;               /* damage shows in the FCS; else it was done before the FCS was computed */
    bool sent, received;             /* directions: what the card sends, what it receives */
    bool drop;                  /* what finds no room is lost; else held back */
} nic_fault_config;

typedef struct nic_fault_counters { /* [0]: what the card sends, [1]: what it receives */
    uint64_t done[2][7];        /* frames, by NIC_FAULT_* */
    uint64_t overflows[2];      /* found no room, and were lost */
} nic_fault_counters;

nic_backend *nic_faults_new(const nic_fault_config *config); /* NULL: no memory */
const nic_fault_counters *nic_faults_get_counters(const nic_backend *backend);

/* ---------------------------------------------------------------- rate */

typedef struct nic_rate_config {
    uint64_t bits;              /* a second; 0: no bound */
    uint64_t latency_ns, jitter_ns, seed;
    uint32_t limit, limit_bytes; /* of frames that wait or are under way, in each direction */
    bool sent, received, drop;        /* as nic_fault_config */
} nic_rate_config;

typedef struct nic_rate_counters { /* as nic_fault_counters */
    uint64_t overflows[2];
    uint64_t longest[2];        /* the most frames that waited or were under way */
} nic_rate_counters;

nic_backend *nic_rate_new(const nic_rate_config *config); /* NULL: no memory */
const nic_rate_counters *nic_rate_get_counters(const nic_backend *backend);

/* ---------------------------------------------------------------- tee */

nic_backend *nic_tee_new(nic_backend *copy); /* takes `copy` into use, which must be free; NULL: no memory */
/* send_drops: copies that were lost; receive_drops: frames that the second wire brought. */
nic_backend_counters *nic_tee_mirror_counters(nic_backend *backend);

/* ---------------------------------------------------------------- the strict filter in front of libslirp */

enum { /* why a frame of the guest was refused */
    NIC_FILTER_PASS = 0,
    NIC_FILTER_SHORT,        /* no room for the headers it claims to have */
    NIC_FILTER_OVERSIZE,     /* longer than the MTU and an Ethernet header */
    NIC_FILTER_ETHERTYPE,    /* neither ARP nor IPv4 nor IPv6 */
    NIC_FILTER_ARP,          /* not an Ethernet/IPv4 request or reply */
    NIC_FILTER_IP_VERSION,   /* contradicts the EtherType */
    NIC_FILTER_IP_OPTIONS,   /* IPv4 header length other than 20 */
    NIC_FILTER_IP_LENGTH,    /* total or payload length beyond the frame, or below the header */
    NIC_FILTER_FRAGMENT,     /* of IPv4: passed on to reassembly, which may refuse it too; of IPv6: refused */
    NIC_FILTER_PROTOCOL,     /* neither TCP nor UDP nor ICMP */
    NIC_FILTER_TCP_HEADER,   /* data offset below 5 or beyond the packet */
    NIC_FILTER_UDP_LENGTH,   /* below 8 or beyond the packet */
    NIC_FILTER_ICMP_LENGTH,  /* shorter than its type demands */
    NIC_FILTER_BOOTP_LENGTH, /* to a DHCP server, shorter than a DHCP message can be */
    NIC_FILTER_HELD,         /* not refused: a fragment whose datagram is not complete yet */
    NIC_FILTER_REASONS,
};
const char *nic_filter_reason(int reason);
/* Looks at a frame of `length` bytes, may rewrite it (urgent data) and shorten it (padding); a NIC_FILTER_* reason. */
int nic_filter_frame(uint8_t *frame, uint32_t *length, uint32_t mtu, uint64_t *urgent_cleared);

/* ---------------------------------------------------------------- user (libslirp) */

typedef struct nic_user_config {
    bool restricted, ipv4, ipv6;
    uint32_t net, mask, host, dhcp_start, dns;
    uint8_t prefix6[16], host6[16], dns6[16];
    uint8_t prefix6_length;
    const char *hostname, *tftp_server_name, *tftp, *bootfile, *domainname; /* NULL: none */
    const char **dnssearch;                                               /* NULL-terminated, or NULL */
} nic_user_config;

typedef struct nic_user_counters {
    uint64_t filter[16];      /* by NIC_FILTER_* reason; 0: passed */
    uint64_t urgent_cleared;  /* TCP segments whose URG bit and pointer were cleared */
    uint64_t guest_errors;    /* that libslirp reported */
    uint64_t queue_full;      /* frames for the guest that found no room */
    uint64_t holds;           /* times that the card had no room and the sockets were left alone */
    uint64_t stalls;          /* times that a socket was ready and could not be served (no file descriptor left) */
} nic_user_counters;

const char *nic_user_version(void);      /* of the libslirp found, or NULL */
const char *nic_user_load_error(void);   /* why nic_user_version is NULL, in the dynamic linker's words */
/* NULL and an errno in *error: ENOENT no library, EINVAL libslirp refuses the configuration, ENOMEM, EMFILE. */
nic_backend *nic_user_new(const nic_user_config *config, int *error);
int nic_user_hostfwd_add(nic_backend *backend, bool udp, uint32_t host, uint16_t host_port, uint32_t guest,
                         uint16_t guest_port); /* 0 or what bind says */
int nic_user_hostfwd_remove(nic_backend *backend, bool udp, uint32_t host, uint16_t host_port); /* 0 or ENOENT */
/* The same with a Unix socket as the host's side; ENOSYS: libslirp is older than 4.7. */
int nic_user_hostfwd_unix(nic_backend *backend, const char *path, uint32_t guest, uint16_t guest_port);
int nic_user_hostfwd_unix_remove(nic_backend *backend, const char *path);
/* Connections of the guest to server:port open the Unix socket `target`, or run it as a command: 0, ENOSYS, or EADDRINUSE
 * (the place is taken, or not in the network). */
int nic_user_guestfwd(nic_backend *backend, uint32_t server, uint16_t port, const char *target, bool command);
size_t nic_user_info(nic_backend *backend, char *text, size_t size); /* bytes of the whole text, without the NUL */
const nic_user_counters *nic_user_get_counters(const nic_backend *backend);

/* ---------------------------------------------------------------- tap */

/* Takes over a tap's descriptor (also when it fails), which does not block.  header: bytes of the virtio-net header
 * before each frame, at most 12; 0: none.  offloads: NIC_OFFLOAD_* that the kernel takes.  told: whom backend_lost
 * tells that the interface went away, or NULL.  NULL: no memory. */
nic_backend *nic_tap_new(int fd, uint32_t header, uint32_t offloads, void *told);
int nic_tap_error(const nic_backend *backend); /* errno with which the interface went away, or 0 */

/* ---------------------------------------------------------------- python */

/* What starts a call of the Python side's poll(): every turn, and a file descriptor (-1: none) that becomes ready. */
int nic_python_backend_watch(nic_backend *backend, bool every_turn, int fd, uint32_t events);
void nic_python_backend_set_link(nic_backend *backend, bool up);

#endif
