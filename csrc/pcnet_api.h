/*
 * PCnet as Python sees it: declarations only (see nic_api.h).
 */
#ifndef NICEMU_PCNET_API_H
#define NICEMU_PCNET_API_H

enum { /* kinds of disturbance (nic_disturb) */
    PCNET_LATE_COLLISION,
    PCNET_EXCESSIVE_COLLISIONS,
    PCNET_ONE_COLLISION,
    PCNET_MORE_COLLISIONS,
    PCNET_DEFERRAL,
    PCNET_EXCESSIVE_DEFERRAL,
    PCNET_CARRIER_LOSS,
    PCNET_UNDERFLOW,
    PCNET_NO_HEARTBEAT,
    PCNET_BUS_TIMEOUT,
    PCNET_RECEIVE_OVERFLOW,
    PCNET_DISTURBANCES,
};

enum { PCNET_EVENT_WAKE = 1 }; /* a frame wakes the system; value: bits of CSR116 */

uint32_t pcnet_csr0(const nic_device *device); /* as a read shows it */
void pcnet_set_link(nic_device *device, bool up, uint32_t megabits, bool full_duplex);
void pcnet_set_phy_loopback(nic_device *device, bool on);

#endif
