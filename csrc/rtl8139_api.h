/*
 * What the Python side of the RTL8139 and its datapath tell each other: declarations only (see nic_api.h).
 */
#ifndef NICEMU_RTL8139_API_H
#define NICEMU_RTL8139_API_H

enum { /* nic_python.event */
    RTL8139_EVENT_WAKE = 0, /* a frame wakes the system; the value is one of the following (DS 7.6) */
    RTL8139_WAKE_MAGIC = 1,
    RTL8139_WAKE_UNICAST = 2,
    RTL8139_WAKE_MULTICAST = 4,
    RTL8139_WAKE_BROADCAST = 8,
    RTL8139_WAKE_LINK = 16, /* told by Python itself */
};

enum { /* kinds of disturbance (nic_disturb) */
    RTL8139_ONE_COLLISION,
    RTL8139_MORE_COLLISIONS,
    RTL8139_LATE_COLLISION,
    RTL8139_CARRIER_LOSS,
    RTL8139_NO_HEARTBEAT,
    RTL8139_UNDERRUN,
    RTL8139_EXCESSIVE_COLLISIONS,
    RTL8139_RECEIVE_OVERFLOW,
    RTL8139_ALIGNMENT_ERROR,
    RTL8139_DISTURBANCES,
};

/* Sets interrupt causes of the transceiver: PUN_LINKCHG, LENCHG. */
void rtl8139_cause(nic_device *device, uint32_t causes);
/* The link came up or went down, or another speed, duplex or flow control was arrived at (MSR, BMCR). */
void rtl8139_link_changed(nic_device *device, bool up, bool full_duplex);
/* Frames are looked at for wake-up events: PMCSR is not D0 and CONFIG1.PMEN is set (DS 7.6). */
void rtl8139_set_sleeping(nic_device *device, bool sleeping);

#endif
