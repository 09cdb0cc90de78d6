/*
 * What the Python side of the NE2000 family and its datapath tell each other: declarations only (see nic_api.h).
 */
#ifndef NICEMU_NE2000_API_H
#define NICEMU_NE2000_API_H

enum { /* boards around the DP8390 core */
    NE2000_BOARD_NE2000,  /* 16-bit ISA: PROM at 0000h, 16 KiB at 4000h */
    NE2000_BOARD_NE1000,  /* 8-bit ISA: PROM at 0000h, 8 KiB at 2000h */
    NE2000_BOARD_RTL8029, /* PCI: as the NE2000, and page 3 */
    NE2000_BOARD_RTL8019, /* 16-bit ISA: likewise */
};

enum { /* kinds of disturbance (nic_disturb) */
    NE2000_ONE_COLLISION,
    NE2000_MORE_COLLISIONS,
    NE2000_LATE_COLLISION,
    NE2000_EXCESSIVE_COLLISIONS,
    NE2000_CARRIER_LOSS,
    NE2000_NO_HEARTBEAT,
    NE2000_UNDERRUN,
    NE2000_OVERRUN,
    NE2000_DISTURBANCES,
};

void ne2000_set_board(nic_device *device, int board);
/* The 16 bytes of the ID PROM, as the chip sees them: the board wires each to one address or to two. */
void ne2000_set_prom(nic_device *device, const uint8_t *contents);

#endif
