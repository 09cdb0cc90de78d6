/*
 * The strict filter in front of libslirp: RFC 826, 791, 8200, 9293, 768, 792, 4443, 4861, 951.
 *
 * libslirp parses what an untrusted guest sends, in this process.  Only frames pass whose headers agree with one
 * another and with the frame's length.  Fragments are set apart: of IPv4 for strict reassembly (reassembly.c), of IPv6
 * for refusal.  Urgent data is made
 * ordinary because libslirp before 4.9.2 reads beyond its buffer through the urgent pointer (CVE-2026-9539).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends_api.h"

enum { ETHERNET = 14, ARP = 28, IPV4 = 20, IPV6 = 40, TCP = 20, UDP = 8, ICMP = 8 };
enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806, ETHERTYPE_IPV6 = 0x86dd };
enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_FRAGMENT = 44, PROTOCOL_ICMPV6 = 58 };
enum { PORT_BOOTPS = 67, BOOTP = 240 /* the fixed part, and the cookie that makes it DHCP (RFC 2131 3) */ };

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

static void put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

const char *nic_filter_reason(int reason)
{
    static const char *const names[NIC_FILTER_REASONS] = {
        [NIC_FILTER_PASS] = "passed",
        [NIC_FILTER_SHORT] = "short",
        [NIC_FILTER_OVERSIZE] = "oversize",
        [NIC_FILTER_ETHERTYPE] = "ethertype",
        [NIC_FILTER_ARP] = "arp",
        [NIC_FILTER_IP_VERSION] = "ip_version",
        [NIC_FILTER_IP_OPTIONS] = "ip_options",
        [NIC_FILTER_IP_LENGTH] = "ip_length",
        [NIC_FILTER_FRAGMENT] = "fragment",
        [NIC_FILTER_PROTOCOL] = "protocol",
        [NIC_FILTER_TCP_HEADER] = "tcp_header",
        [NIC_FILTER_UDP_LENGTH] = "udp_length",
        [NIC_FILTER_ICMP_LENGTH] = "icmp_length",
        [NIC_FILTER_BOOTP_LENGTH] = "bootp_length",
        [NIC_FILTER_HELD] = "held",
    };
    return reason >= 0 && reason < NIC_FILTER_REASONS ? names[reason] : NULL;
}

/* Replaces a word that the checksum at `checksum` covers (RFC 1624, equation 3). */
static void replace16(uint8_t *word, uint16_t value, uint8_t *checksum)
{
    uint32_t sum = (uint16_t)~get16(checksum) + (uint16_t)~get16(word) + (uint32_t)value;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(checksum, (uint16_t)~sum);
    put16(word, value);
}

static int check_arp(const uint8_t *arp, uint32_t length)
{
    if (length < ARP)
        return NIC_FILTER_SHORT;
    bool known = get16(arp) == 1 && get16(arp + 2) == ETHERTYPE_IPV4 && arp[4] == 6 && arp[5] == 4;
    uint16_t operation = get16(arp + 6);
    return known && (operation == 1 || operation == 2) ? NIC_FILTER_PASS : NIC_FILTER_ARP;
}

static int check_tcp(uint8_t *tcp, uint32_t length, uint64_t *urgent_cleared)
{
    if (length < TCP)
        return NIC_FILTER_SHORT;
    uint32_t header = (uint32_t)(tcp[12] >> 4) * 4;
    if (header < TCP || header > length)
        return NIC_FILTER_TCP_HEADER;
    const uint16_t urgent = 0x20;
    if (get16(tcp + 12) & urgent || get16(tcp + 18)) {
        replace16(tcp + 12, (uint16_t)(get16(tcp + 12) & ~urgent), tcp + 16);
        replace16(tcp + 18, 0, tcp + 16);
        ++*urgent_cleared;
    }
    return NIC_FILTER_PASS;
}

static int check_udp(const uint8_t *udp, uint32_t length)
{
    if (length < UDP)
        return NIC_FILTER_SHORT;
    uint16_t claimed = get16(udp + 4);
    if (claimed < UDP || claimed > length)
        return NIC_FILTER_UDP_LENGTH;
    if (get16(udp + 2) == PORT_BOOTPS && claimed < UDP + BOOTP)
        return NIC_FILTER_BOOTP_LENGTH;
    return NIC_FILTER_PASS;
}

/* RFC 4861 4.1-4.5: the least that each neighbour discovery message holds. */
static uint32_t icmpv6_minimum(uint8_t type)
{
    switch (type) {
    case 134: return 16; /* router advertisement */
    case 135:            /* neighbour solicitation */
    case 136: return 24; /* neighbour advertisement */
    case 137: return 40; /* redirect */
    default: return ICMP;
    }
}

static int check_payload(uint8_t protocol, uint8_t *payload, uint32_t length, bool ipv6, uint64_t *urgent_cleared)
{
    if (protocol == PROTOCOL_TCP)
        return check_tcp(payload, length, urgent_cleared);
    if (protocol == PROTOCOL_UDP)
        return check_udp(payload, length);
    if (protocol == (ipv6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP)) {
        uint32_t least = ipv6 && length ? icmpv6_minimum(payload[0]) : ICMP;
        return length < least ? NIC_FILTER_ICMP_LENGTH : NIC_FILTER_PASS;
    }
    return ipv6 && protocol == PROTOCOL_FRAGMENT ? NIC_FILTER_FRAGMENT : NIC_FILTER_PROTOCOL;
}

static int check_ipv4(uint8_t *ip, uint32_t *length, uint64_t *urgent_cleared)
{
    if (*length < IPV4)
        return NIC_FILTER_SHORT;
    if (ip[0] >> 4 != 4)
        return NIC_FILTER_IP_VERSION;
    if ((ip[0] & 15) != IPV4 / 4)
        return NIC_FILTER_IP_OPTIONS;
    uint16_t total = get16(ip + 2);
    if (total < IPV4 || total > *length)
        return NIC_FILTER_IP_LENGTH;
    *length = total;
    if (get16(ip + 6) & 0x3fff) /* more fragments, or an offset */
        return NIC_FILTER_FRAGMENT;
    return check_payload(ip[9], ip + IPV4, total - IPV4, false, urgent_cleared);
}

static int check_ipv6(uint8_t *ip, uint32_t *length, uint64_t *urgent_cleared)
{
    if (*length < IPV6)
        return NIC_FILTER_SHORT;
    if (ip[0] >> 4 != 6)
        return NIC_FILTER_IP_VERSION;
    uint32_t payload = get16(ip + 4);
    if (payload > *length - IPV6)
        return NIC_FILTER_IP_LENGTH;
    *length = IPV6 + payload;
    return check_payload(ip[6], ip + IPV6, payload, true, urgent_cleared);
}

int nic_filter_frame(uint8_t *frame, uint32_t *length, uint32_t mtu, uint64_t *urgent_cleared)
{
    if (*length < ETHERNET)
        return NIC_FILTER_SHORT;
    if (*length > ETHERNET + mtu)
        return NIC_FILTER_OVERSIZE;
    uint32_t packet = *length - ETHERNET;
    int reason;
    switch (get16(frame + 12)) {
    case ETHERTYPE_ARP: reason = check_arp(frame + ETHERNET, packet); break;
    case ETHERTYPE_IPV4: reason = check_ipv4(frame + ETHERNET, &packet, urgent_cleared); break;
    case ETHERTYPE_IPV6: reason = check_ipv6(frame + ETHERNET, &packet, urgent_cleared); break;
    default: reason = NIC_FILTER_ETHERTYPE; break;
    }
    *length = ETHERNET + packet;
    return reason;
}
