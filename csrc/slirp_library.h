/*
 * libslirp's public interface, declared here and found at run time, so that neither building nor installing nicemu
 * needs it.  Field order and types are libslirp's ABI (soname 0) up to configuration version 4 (libslirp 4.7).
 */
#ifndef NICEMU_SLIRP_LIBRARY_H
#define NICEMU_SLIRP_LIBRARY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

typedef struct Slirp Slirp;

enum {
    SLIRP_POLL_IN = 1 << 0,
    SLIRP_POLL_OUT = 1 << 1,
    SLIRP_POLL_PRI = 1 << 2,
    SLIRP_POLL_ERR = 1 << 3,
    SLIRP_POLL_HUP = 1 << 4,
};

typedef void (*SlirpTimerCb)(void *opaque);

typedef struct SlirpCb {
    ssize_t (*send_packet)(const void *bytes, size_t length, void *opaque); /* to the guest */
    void (*guest_error)(const char *message, void *opaque);
    int64_t (*clock_get_ns)(void *opaque);
    void *(*timer_new)(SlirpTimerCb expired, void *expired_opaque, void *opaque);
    void (*timer_free)(void *timer, void *opaque);
    void (*timer_mod)(void *timer, int64_t expire_ms, void *opaque);
    void (*register_poll_fd)(int fd, void *opaque);
    void (*unregister_poll_fd)(int fd, void *opaque);
    void (*notify)(void *opaque); /* the sets of slirp_pollfds_fill may have changed */
    void (*init_completed)(Slirp *slirp, void *opaque);                         /* version 4, may be NULL */
    void *(*timer_new_opaque)(int id, void *expired_opaque, void *opaque); /* version 4, may be NULL */
} SlirpCb;

typedef struct SlirpConfig {
    uint32_t version;
    int restricted;
    bool in_enabled;
    struct in_addr vnetwork, vnetmask, vhost;
    bool in6_enabled;
    struct in6_addr vprefix_addr6;
    uint8_t vprefix_len;
    struct in6_addr vhost6;
    const char *vhostname, *tftp_server_name, *tftp_path, *bootfile;
    struct in_addr vdhcp_start, vnameserver;
    struct in6_addr vnameserver6;
    const char **vdnssearch;
    const char *vdomainname;
    size_t if_mtu, if_mru;
    bool disable_host_loopback, enable_emu;
    struct sockaddr_in *outbound_addr;   /* version 2 */
    struct sockaddr_in6 *outbound_addr6;
    bool disable_dns;  /* version 3 */
    bool disable_dhcp; /* version 4 */
} SlirpConfig;

typedef struct slirp_library {
    const char *version;     /* as the library gives it, "4.7.0" */
    uint32_t config_version; /* the highest that this file declares and the library knows */
    Slirp *(*create)(const SlirpConfig *config, const SlirpCb *callbacks, void *opaque);
    void (*cleanup)(Slirp *slirp);
    void (*pollfds_fill)(Slirp *slirp, uint32_t *timeout_ms, int (*add_poll)(int fd, int events, void *opaque),
                         void *opaque);
    void (*pollfds_poll)(Slirp *slirp, int select_error, int (*get_revents)(int index, void *opaque), void *opaque);
    void (*input)(Slirp *slirp, const uint8_t *frame, int length);
    int (*add_hostfwd)(Slirp *slirp, int is_udp, struct in_addr host, int host_port, struct in_addr guest,
                       int guest_port);
    int (*remove_hostfwd)(Slirp *slirp, int is_udp, struct in_addr host, int host_port);
    /* From 4.5 and 4.2 on; NULL in older libraries.  hostxfwd of Unix sockets came with 4.7. */
    int (*add_hostxfwd)(Slirp *slirp, const struct sockaddr *host, socklen_t host_length, const struct sockaddr *guest,
                        socklen_t guest_length, int flags);
    int (*remove_hostxfwd)(Slirp *slirp, const struct sockaddr *host, socklen_t host_length, int flags);
    int (*add_exec)(Slirp *slirp, const char *command, struct in_addr *server, int port);
    int (*add_unix)(Slirp *slirp, const char *path, struct in_addr *server, int port);
    char *(*connection_info)(Slirp *slirp);
    void (*free_text)(void *text); /* what connection_info returned */
} slirp_library;

/* The library, loaded once and kept; NULL when it is not there or not usable. */
const slirp_library *slirp_load(void);

#endif
