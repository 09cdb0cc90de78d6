/*
 * 82540EM, findings: rules of the manual that a driver breaks by the registers it writes, or leaves unwritten.  Rules
 * about descriptors and frames are checked where those are processed.  Nothing here changes what the guest sees.
 */
#include "e1000.h"

/* ------------------------------------------------------------------ what power-on leaves undefined */

enum { FCAL, FCAH, FCT, VET, FCTTV, TIPG, RDBAL, RDBAH, TDBAL, TDBAH, REGISTERS, MTA = REGISTERS, VFTA };

static const struct {
    uint32_t cell, offset;
} undefined[REGISTERS] = {
    [FCAL] = {E1000_FCAL, 0x0028},   [FCAH] = {E1000_FCAH, 0x002c},   [FCT] = {E1000_FCT, 0x0030},
    [VET] = {E1000_VET, 0x0038},     [FCTTV] = {E1000_FCTTV, 0x0170}, [TIPG] = {E1000_TIPG, 0x0410},
    [RDBAL] = {E1000_RDBAL, 0x2800}, [RDBAH] = {E1000_RDBAH, 0x2804}, [TDBAL] = {E1000_TDBAL, 0x3800},
    [TDBAH] = {E1000_TDBAH, 0x3804},
};

enum { MTA_OFFSET = 0x5200, RAL_OFFSET = 0x5400, VFTA_OFFSET = 0x5600 };

enum { /* what goes together, as bits */
    RECEIVE_RING = 1 << RDBAL | 1 << RDBAH,
    TRANSMIT_RING = 1 << TDBAL | 1 << TDBAH,
    PAUSE_KNOWN = 1 << FCAL | 1 << FCAH | 1 << FCT,
    PAUSE_SENT = PAUSE_KNOWN | 1 << FCTTV,
};

void e1000_note_written(nic_device *device, const nic_row *row, const nic_access *access NIC_UNUSED)
{
    for (uint32_t i = 0; i < NIC_ARRAY_LEN(undefined); i++)
        if (undefined[i].cell == row->cell)
            e1000_of(device)->written |= (uint16_t)(1u << i);
}

void e1000_note_table(nic_device *device, const nic_row *row, const nic_access *access)
{
    e1000 *card = e1000_of(device);
    uint32_t *table = row->cell == E1000_MTA ? card->mta_written : card->vfta_written;
    table[access->index / 32 % 4] |= 1u << access->index % 32;
}

void e1000_note_address(nic_device *device, const nic_row *row, const nic_access *access)
{
    e1000 *card = e1000_of(device);
    uint32_t bit = 1u << access->index % 16;
    if (row->cell == E1000_RAL)
        card->ral_written |= (uint16_t)bit;
    else if (access->value & E1000_RAH_AV && access->index && !(card->ral_written & bit))
        nic_find(device, E1000_FIND_FILTER_UNDEFINED_USED, RAL_OFFSET + 8 * access->index, 0);
}

/* What decides about frames with such settings, as bits. */
static uint32_t in_use(uint32_t ctrl, uint32_t rctl, uint32_t tctl)
{
    bool receives = rctl & E1000_RCTL_EN, sends = tctl & E1000_TCTL_EN;
    uint32_t used = 0;
    if (receives)
        used |= RECEIVE_RING | (rctl & E1000_RCTL_MPE ? 0 : 1 << MTA) | (rctl & E1000_RCTL_VFE ? 1 << VFTA : 0) |
                (ctrl & E1000_CTRL_RFCE ? PAUSE_KNOWN : 0);
    if (sends)
        used |= TRANSMIT_RING | 1 << TIPG | (ctrl & E1000_CTRL_TFCE ? PAUSE_SENT : 0);
    if (((receives || sends) && ctrl & E1000_CTRL_VME) ||
        (receives && rctl & (E1000_RCTL_VFE | E1000_RCTL_CFIEN)))
        used |= 1 << VET;
    return used;
}

static void check_table(nic_device *device, const uint32_t *written, uint32_t offset)
{
    for (uint32_t i = 0; i < 128; i++) {
        if (!(written[i / 32] >> i % 32 & 1)) {
            nic_find(device, E1000_FIND_FILTER_UNDEFINED_USED, offset + 4 * i, 0);
            return;
        }
    }
}

/* What was not in use before is from now on. */
static void check_use(nic_device *device, uint32_t before, uint32_t now)
{
    const e1000 *card = e1000_of(device);
    uint32_t used = now & ~before;
    if (used & 1 << MTA)
        check_table(device, card->mta_written, MTA_OFFSET);
    if (used & 1 << VFTA)
        check_table(device, card->vfta_written, VFTA_OFFSET);
    if (used & ~card->written & 1 << TIPG)
        nic_find(device, E1000_FIND_TX_GAP_UNDEFINED, e1000_reg(device, E1000_TIPG), 0);
    for (uint32_t i = 0; i < REGISTERS; i++)
        if (i != TIPG && used & ~card->written & 1u << i)
            nic_find(device, E1000_FIND_CONTROL_UNDEFINED_USED, undefined[i].offset, 0);
}

/* ------------------------------------------------------------------ rings */

void e1000_check_base(nic_device *device, const nic_access *access, uint32_t rule)
{
    if (access->value & (E1000_DESCRIPTOR - 1))
        nic_find(device, rule, access->value, 0);
}

void e1000_check_length(nic_device *device, const nic_access *access, uint32_t rule)
{
    if (access->value & ~E1000_RDLEN_LEN)
        nic_find(device, rule, access->value, 0);
}

/* A tail that is put back on the head while the ring is off is a driver's tidying. */
static void check_tail(nic_device *device, const nic_access *access, uint32_t head, uint32_t length, bool enabled,
                       const uint32_t rules[3])
{
    uint32_t tail = access->value & 0xffff;
    if (!length && tail != head)
        nic_find(device, rules[0], 0, 0);
    if (length && tail >= length / E1000_DESCRIPTOR)
        nic_find(device, rules[1], tail, length);
    if (enabled && tail == head && access->old != head)
        nic_find(device, rules[2], tail, head);
}

void e1000_check_transmit_tail(nic_device *device, const nic_access *access)
{
    static const uint32_t rules[3] = {E1000_FIND_TX_RING_LENGTH, E1000_FIND_TX_TAIL_OUT_OF_RING,
                                      E1000_FIND_TX_TAIL_EQUALS_HEAD};
    uint32_t head = e1000_reg(device, E1000_TDH);
    bool enabled = e1000_reg(device, E1000_TCTL) & E1000_TCTL_EN;
    check_tail(device, access, head, e1000_reg(device, E1000_TDLEN), enabled, rules);
    if (access->value == head || !enabled)
        return;
    if (!device->bus_master)
        nic_find_general(device, NIC_GENERAL_BUS_MASTER, e1000_reg(device, E1000_TDBAL), 0);
    if (!e1000_linked(device))
        nic_find(device, E1000_FIND_TX_LINK_DOWN, e1000_reg(device, E1000_STATUS), access->value);
}

void e1000_check_receive_tail(nic_device *device, const nic_access *access)
{
    static const uint32_t rules[3] = {E1000_FIND_RX_RING_LENGTH, E1000_FIND_RX_TAIL_OUT_OF_RING,
                                      E1000_FIND_RX_TAIL_EQUALS_HEAD};
    check_tail(device, access, e1000_reg(device, E1000_RDH), e1000_reg(device, E1000_RDLEN),
               e1000_reg(device, E1000_RCTL) & E1000_RCTL_EN, rules);
}

/* ------------------------------------------------------------------ what is switched on */

static bool ring_is_empty(const nic_device *device)
{
    return e1000_reg(device, E1000_RDH) == e1000_reg(device, E1000_RDT);
}

void e1000_check_receive_control(nic_device *device, const nic_access *access)
{
    e1000 *card = e1000_of(device);
    uint32_t rctl = e1000_reg(device, E1000_RCTL), loopback = rctl & E1000_RCTL_LBM;
    uint32_t ctrl = e1000_reg(device, E1000_CTRL), tctl = e1000_reg(device, E1000_TCTL);
    if ((rctl & E1000_RCTL_BSEX && !(rctl & E1000_RCTL_BSIZE)) || (rctl & E1000_RCTL_RDMTS) == E1000_RCTL_RDMTS ||
        (loopback && loopback != E1000_RCTL_LBM))
        nic_find(device, E1000_FIND_RX_CONTROL_RESERVED, rctl, 0);
    check_use(device, in_use(ctrl, access->old, tctl), in_use(ctrl, rctl, tctl));
    if (!(rctl & E1000_RCTL_EN) || access->old & E1000_RCTL_EN)
        return;
    if (card->was_enabled)
        nic_find(device, E1000_FIND_RX_REENABLED, rctl, 0);
    card->was_enabled = true;
    if (ring_is_empty(device))
        nic_find(device, E1000_FIND_RX_ENABLED_WITHOUT_BUFFERS, e1000_reg(device, E1000_RDH),
                 e1000_reg(device, E1000_RDT));
}

void e1000_check_transmit_control(nic_device *device, const nic_access *access)
{
    uint32_t ctrl = e1000_reg(device, E1000_CTRL), rctl = e1000_reg(device, E1000_RCTL);
    check_use(device, in_use(ctrl, rctl, access->old), in_use(ctrl, rctl, e1000_reg(device, E1000_TCTL)));
    if (access->value & E1000_TCTL_SWXOFF)
        check_use(device, 0, PAUSE_SENT);
}

void e1000_check_control(nic_device *device, uint32_t old)
{
    uint32_t ctrl = e1000_reg(device, E1000_CTRL), rctl = e1000_reg(device, E1000_RCTL);
    uint32_t tctl = e1000_reg(device, E1000_TCTL);
    check_use(device, in_use(old, rctl, tctl), in_use(ctrl, rctl, tctl));
    if (ctrl & ~old & E1000_CTRL_TFCE)
        e1000_check_threshold(device);
}

void e1000_check_packet_buffer(nic_device *device, const nic_access *access)
{
    uint32_t receive = access->value & E1000_PBA_RXA;
    if (receive % 8 || !receive || receive >= E1000_PBM_BYTES / 1024)
        nic_find(device, E1000_FIND_CONTROL_PACKET_BUFFER, access->value, 0);
}

/* 0 is what drivers write where they want no PAUSE frames. */
void e1000_check_threshold(nic_device *device)
{
    uint32_t high = e1000_reg(device, E1000_FCRTH) & E1000_FCRTH_RTH, low = e1000_reg(device, E1000_FCRTL);
    uint32_t size = (e1000_reg(device, E1000_PBA) & E1000_PBA_RXA) * 1024;
    if (high && (high > size || high < (low & E1000_FCRTL_RTL)))
        nic_find(device, E1000_FIND_FLOW_THRESHOLD, high, e1000_reg(device, E1000_PBA));
}

void e1000_check_flexible_filter(nic_device *device, const nic_row *row NIC_UNUSED, const nic_access *access)
{
    const uint32_t any = E1000_WUFC_FLX0 | E1000_WUFC_FLX1 | E1000_WUFC_FLX2 | E1000_WUFC_FLX3;
    uint32_t wufc = e1000_reg(device, E1000_WUFC);
    if (wufc & any)
        nic_find(device, E1000_FIND_WAKE_WRITTEN_WHILE_ENABLED, access->offset, wufc);
}
