/*
 * What the Python side of the 88E8057 and its datapath tell each other: declarations only (see nic_api.h).
 */
#ifndef NICEMU_YUKON2_API_H
#define NICEMU_YUKON2_API_H

enum { /* nic_python.event */
    YUKON2_EVENT_WAKE = 0, /* the value's bits of WOL_CTRL_STAT were set: PMCSR and PME# follow */
};

void yukon2_set_phy_interrupt(nic_device *device, bool level); /* the PHY's interrupt pin */
void yukon2_set_loopback(nic_device *device, bool on);         /* PHY register 0 bit 14: what is sent comes back */
void yukon2_link_changed(nic_device *device, bool changed);    /* GM_GP_STAT is new; changed: the link itself is */
void yukon2_twsi_done(nic_device *device);                     /* a transfer on the two-wire interface is over */
void yukon2_reset_gmac(nic_device *device);                    /* GMAC_CTRL.RST: registers of the port go back */
uint32_t yukon2_peek(nic_device *device, uint32_t cell);       /* what a register shows, without effects of reading */

#endif
