/*
 * The backend vde as Python sees it, by the switch's protocol and by libvdeplug; the rules of nic_api.h hold.
 */
#ifndef NICEMU_VDE_API_H
#define NICEMU_VDE_API_H

typedef struct nic_vde_config {
    int fd;                  /* a datagram socket bound at `own`; taken over, also when this fails */
    const char *control;     /* path of the switch's control socket */
    const char *own;         /* path of the datagram socket; the file is removed with the backend */
    const char *description; /* as the switch lists it, at most 127 bytes */
    uint32_t port;           /* of the switch; 0: any that is free */
} nic_vde_config;

typedef struct nic_vde_counters {
    uint64_t connects;       /* times that the switch gave a port */
    uint64_t disconnects;    /* times that it went away */
    uint64_t attempts;       /* that failed */
} nic_vde_counters;

/* NULL and an errno in *error: what connect says, ECONNRESET the switch refused the port, ETIMEDOUT no answer. */
nic_backend *nic_vde_new(const nic_vde_config *config, int *error);
const nic_vde_counters *nic_vde_get_counters(const nic_backend *backend);

typedef struct nic_vdeplug_config { /* as vde_open has them */
    char *url, *description, *group; /* group NULL: as it is */
    uint32_t port, mode;
} nic_vdeplug_config;

/* NULL and an errno in *error: ENOSYS no library (nic_vdeplug_load_error tells why), EPROTONOSUPPORT it has no module for
 * such a URL, else what vde_open says. */
nic_backend *nic_vdeplug_new(const nic_vdeplug_config *config, int *error);
const char *nic_vdeplug_load_error(void);

#endif
