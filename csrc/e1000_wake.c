/*
 * 82540EM, wake-up: which arriving frames wake the system (8254x SDM 6.4, 13.6).
 */
#include "e1000.h"

enum {
    TYPE_IPV4 = 0x0800,
    TYPE_ARP = 0x0806,
    TYPE_IPV6 = 0x86dd,
    STORED = 128,        /* bytes of the packet that WUPM keeps */
    FLEXIBLE = 4,        /* filters */
    FLEXIBLE_BYTES = 128,
    MAGIC_COPIES = 16,
    PACKET_FILTERS = E1000_WUFC_MAG | E1000_WUFC_EX | E1000_WUFC_MC | E1000_WUFC_BC | E1000_WUFC_ARP |
                     E1000_WUFC_IPV4 | E1000_WUFC_IPV6 | E1000_WUFC_FLX0 | E1000_WUFC_FLX1 | E1000_WUFC_FLX2 |
                     E1000_WUFC_FLX3,
};

/* ------------------------------------------------------------------ filters (6.4.3) */

/* Six or more FFh, then the station address sixteen times; a byte that does not fit starts the search anew. */
static bool is_magic(const nic_device *device, const uint8_t *bytes, uint32_t length)
{
    uint8_t station[6];
    uint64_t address = e1000_reg(device, E1000_RAL) | (uint64_t)e1000_reg(device, E1000_RAH) << 32;
    memcpy(station, &address, sizeof(station));
    for (uint32_t at = 12, ones = 0; at < length; at++) {
        if (bytes[at] == 0xff) {
            ones++;
            continue;
        }
        bool candidate = ones >= 6 && length - at >= MAGIC_COPIES * 6;
        ones = 0;
        uint32_t copies = 0;
        while (candidate && copies < MAGIC_COPIES && !memcmp(bytes + at + 6 * copies, station, 6))
            copies++;
        if (copies == MAGIC_COPIES)
            return true;
    }
    return false;
}

static bool our_ipv4(const nic_device *device, const uint8_t *address)
{
    for (uint32_t i = 0; i < 4; i++)
        if (e1000_reg(device, E1000_IPAV) >> i & 1 && !memcmp(&device->cells[E1000_IP4AT + i], address, 4))
            return true;
    return false;
}

static bool is_arp(const nic_device *device, const uint8_t *bytes, uint32_t length, const nic_headers *headers,
                   bool broadcast)
{
    static const uint8_t request[8] = {0, 1, 8, 0, 6, 4, 0, 1}; /* Ethernet, IPv4, their sizes, request */
    const uint8_t *arp = bytes + headers->network;
    return broadcast && headers->type == TYPE_ARP && length >= headers->network + 28u && !memcmp(arp, request, 8) &&
           our_ipv4(device, arp + 24);
}

static bool is_ipv4(const nic_device *device, const uint8_t *bytes, uint32_t length, const nic_headers *headers)
{
    const uint8_t *ip = bytes + headers->network;
    return headers->type == TYPE_IPV4 && length >= headers->network + 20u && ip[0] >> 4 == 4 &&
           our_ipv4(device, ip + 16);
}

static bool is_ipv6(const nic_device *device, const uint8_t *bytes, uint32_t length, const nic_headers *headers)
{
    const uint8_t *ip = bytes + headers->network;
    return headers->type == TYPE_IPV6 && length >= headers->network + 40u && ip[0] >> 4 == 6 &&
           e1000_reg(device, E1000_IPAV) & E1000_IPAV_V60 && !memcmp(&device->cells[E1000_IP6AT], ip + 24, 16);
}

/* Bytes that the mask names are those of the filter, up to its length (6.4.3.3). */
static bool is_flexible(const nic_device *device, const uint8_t *bytes, uint32_t window, uint32_t length, uint32_t n)
{
    uint32_t needed = e1000_reg(device, E1000_FFLT + n) & E1000_FFLT_LEN;
    if (!needed || length < needed)
        return false;
    for (uint32_t i = 0; i < needed && i < FLEXIBLE_BYTES && i < window; i++)
        if (e1000_reg(device, E1000_FFMT + i) >> n & 1 &&
            (e1000_reg(device, E1000_FFVT + i) >> (8 * n) & 0xff) != bytes[i])
            return false;
    return true;
}

/* ------------------------------------------------------------------ waking */

bool e1000_wakes(const nic_device *device)
{
    uint32_t wuc = e1000_reg(device, E1000_WUC);
    return wuc & E1000_WUC_APME || (wuc & E1000_WUC_PME_EN && e1000_reg(device, E1000_WUFC) & PACKET_FILTERS);
}

static void keep_packet(nic_device *device, const uint8_t *bytes, uint32_t window, uint32_t length)
{
    uint8_t *memory = (uint8_t *)&device->cells[E1000_WUPM];
    uint32_t part = window < STORED ? window : STORED;
    memcpy(memory, bytes, part);
    memset(memory + part, 0, STORED - part);
    device->cells[E1000_WUPL] = (length + E1000_FCS) & E1000_WUPL_LEN;
}

/* PME_Status, and what follows from it outside the datapath. */
static void wake_system(nic_device *device, uint32_t reasons)
{
    device->cells[E1000_WUC] |= E1000_WUC_PME_STATUS;
    if (device->python && nic_py.event)
        nic_py.event(device->python, E1000_EVENT_WAKE, reasons);
}

void e1000_wake(nic_device *device, const uint8_t *bytes, uint32_t window, uint32_t length, uint32_t matches,
                bool passed)
{
    uint32_t wuc = e1000_reg(device, E1000_WUC), wufc = e1000_reg(device, E1000_WUFC), reasons = 0;
    bool broadcast = matches & E1000_WUS_BC;
    nic_headers headers;
    if (e1000_reg(device, E1000_WUS) & PACKET_FILTERS)
        return; /* the first one is kept until software has cleared it (6.4.2) */
    bool magic = (passed || broadcast) && is_magic(device, bytes, window);
    if (passed && wuc & E1000_WUC_PME_EN) {
        nic_parse(bytes, window, length, (uint16_t)e1000_reg(device, E1000_VET), &headers);
        reasons = matches & (E1000_WUS_EX | E1000_WUS_MC | E1000_WUS_BC);
        reasons |= is_arp(device, bytes, window, &headers, broadcast) ? E1000_WUS_ARP : 0;
        reasons |= is_ipv4(device, bytes, window, &headers) && matches & E1000_WUS_EX ? E1000_WUS_IPV4 : 0;
        reasons |= is_ipv6(device, bytes, window, &headers) && matches & E1000_WUS_EX ? E1000_WUS_IPV6 : 0;
        for (uint32_t i = 0; i < FLEXIBLE; i++)
            reasons |= is_flexible(device, bytes, window, length, i) ? E1000_WUS_FLX0 << i : 0;
    }
    if (magic && wuc & E1000_WUC_PME_EN)
        reasons |= E1000_WUS_MAG;
    reasons &= wufc;
    bool apm = magic && wuc & E1000_WUC_APME;
    if (!reasons && !apm)
        return;
    bool assert = reasons || wuc & E1000_WUC_APMPME;
    reasons |= apm ? E1000_WUS_MAG : 0;
    device->cells[E1000_WUS] |= reasons;
    keep_packet(device, bytes, window, length);
    if (assert)
        wake_system(device, reasons);
}

void e1000_wake_link(nic_device *device)
{
    if (!(e1000_reg(device, E1000_WUC) & E1000_WUC_PME_EN) || !(e1000_reg(device, E1000_WUFC) & E1000_WUFC_LNKC) ||
        e1000_reg(device, E1000_WUS) & E1000_WUS_LNKC)
        return;
    device->cells[E1000_WUS] |= E1000_WUS_LNKC;
    wake_system(device, E1000_WUS_LNKC);
}
