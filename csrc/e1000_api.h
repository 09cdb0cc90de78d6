/*
 * What the Python side of the 82540EM and its datapath tell each other: declarations only (see nic_api.h).
 */
#ifndef NICEMU_E1000_API_H
#define NICEMU_E1000_API_H

enum { /* nic_python.event */
    E1000_EVENT_WAKE = 0, /* the value's bits of WUS were set: PMCSR and PME# follow (8254x SDM 6.4) */
};

/* PHY register 0 bit 14: what is sent comes back, and the wire is cut off (8254x SDM 15.1.3.1). */
void e1000_set_loopback(nic_device *device, bool on);
/* STATUS changed: frames may go again, or the pause of a link that is gone ends. */
void e1000_link_changed(nic_device *device);
void e1000_check_control(nic_device *device, uint32_t old); /* CTRL was written: findings */
/* A wake-up event that the PHY saw: WUFC.LNKC decides (8254x SDM 6.4.2). */
void e1000_wake_link(nic_device *device);
/* Sets interrupt causes of the PHY and MAC blocks: LSC, MDAC, PHYINT. */
void e1000_cause(nic_device *device, uint32_t causes);

#endif
