/* The cards that are built in. */
#include "nic.h"

extern const nic_card e1000_card;
extern const nic_card ne2000_card;
extern const nic_card pcnet_card;
extern const nic_card rtl8139_card;
extern const nic_card yukon2_card;

const nic_card *const nic_cards[] = {&e1000_card, &ne2000_card, &pcnet_card, &rtl8139_card, &yukon2_card, NULL};
