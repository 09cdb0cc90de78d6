/*
 * Checksums, CRC, header parsing and segmentation (see offload.h).
 */
#include "offload.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

/* ------------------------------------------------------------------ Internet checksum */

/* Four pairs of 32-bit words at once, on whatever the compiler makes of that. */
typedef uint64_t pairs __attribute__((vector_size(32)));
typedef uint64_t unaligned_pairs __attribute__((vector_size(32), aligned(1), may_alias));

enum { SUM_BLOCK = 2 * sizeof(pairs) };

/* Sum of the 32-bit words of whole blocks. */
static inline __attribute__((always_inline)) uint64_t sum_blocks(const uint8_t *from, size_t blocks)
{
    pairs low = {0}, high = {0};
    for (; blocks; blocks--, from += SUM_BLOCK) {
        pairs a = *(const unaligned_pairs *)from, b = *(const unaligned_pairs *)(from + sizeof(pairs));
        low += (a & 0xffffffff) + (b & 0xffffffff);
        high += (a >> 32) + (b >> 32);
    }
    low += high;
    return low[0] + low[1] + low[2] + low[3];
}

/* Not inlined: short runs, which do without vectors, shall not pay for their place on the stack. */
__attribute__((noinline)) static uint64_t sum_plain(const uint8_t *from, size_t blocks)
{
    return sum_blocks(from, blocks);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static uint64_t sum_wide(const uint8_t *from, size_t blocks)
{
    return sum_blocks(from, blocks);
}
#endif

static uint64_t sum_words(const uint8_t *from, size_t length)
{
    enum { WORTH_IT = 2 * SUM_BLOCK };
    uint64_t total = 0;
    if (length >= WORTH_IT) {
        size_t blocks = length / SUM_BLOCK;
#ifdef __x86_64__
        total = __builtin_cpu_supports("avx2") ? sum_wide(from, blocks) : sum_plain(from, blocks);
#else
        total = sum_plain(from, blocks);
#endif
        from += blocks * SUM_BLOCK;
        length %= SUM_BLOCK;
    }
    for (; length >= 8; length -= 8, from += 8) {
        uint64_t two;
        memcpy(&two, from, 8);
        total += (two & 0xffffffff) + (two >> 32);
    }
    if (length & 4) {
        uint32_t word;
        memcpy(&word, from, 4);
        total += word;
        from += 4;
    }
    if (length & 2) {
        uint16_t half;
        memcpy(&half, from, 2);
        total += half;
        from += 2;
    }
    return length & 1 ? total + *from : total;
}

static uint32_t fold(uint64_t total)
{
    total = (total & 0xffffffff) + (total >> 32);
    total = (total & 0xffffffff) + (total >> 32);
    total = (total & 0xffff) + (total >> 16);
    return (uint32_t)((total & 0xffff) + (total >> 16));
}

void nic_sum_add(nic_sum *sum, const void *data, size_t length)
{
    uint64_t part = sum_words(data, length);
    /*
     * Bytes at odd places weigh 256 times as much: the sum of a piece that starts there is turned round.  A word adds
     * less than 2^32, so no carry is lost in 16 GiB.
     */
    sum->total += sum->odd ? __builtin_bswap16((uint16_t)fold(part)) : part;
    sum->odd ^= length & 1;
}

void nic_sum_add_iov(nic_sum *sum, const struct iovec *iov, uint32_t count, size_t first, size_t end)
{
    size_t at = 0;
    for (uint32_t i = 0; i < count && at < end; at += iov[i++].iov_len) {
        size_t from = first > at ? first - at : 0;
        size_t to = iov[i].iov_len < end - at ? iov[i].iov_len : end - at;
        if (from < to)
            nic_sum_add(sum, (const uint8_t *)iov[i].iov_base + from, to - from);
    }
}

uint16_t nic_sum_value(const nic_sum *sum) { return __builtin_bswap16((uint16_t)fold(sum->total)); }

uint16_t nic_checksum(const void *data, size_t length, size_t piece)
{
    nic_sum sum = {0};
    for (size_t at = 0; at < length;) {
        size_t part = piece && piece < length - at ? piece : length - at;
        nic_sum_add(&sum, (const uint8_t *)data + at, part);
        at += part;
    }
    return nic_sum_value(&sum);
}

/* ------------------------------------------------------------------ CRC-32 */

enum { CRC_POLYNOMIAL = 0xedb88320, CRC_SLICES = 8 }; /* reflected: the first bit sent is bit 0 */

static uint32_t crc_table[CRC_SLICES][256];

__attribute__((constructor)) static void crc_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? CRC_POLYNOMIAL : 0);
        crc_table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int slice = 1; slice < CRC_SLICES; slice++)
            crc_table[slice][i] = crc_table[slice - 1][i] >> 8 ^ crc_table[0][crc_table[slice - 1][i] & 0xff];
}

/* The register after more bytes, without the inversions at both ends.  Eight bytes at a time: each has its table. */
static uint32_t crc_tables(uint32_t crc, const uint8_t *from, size_t length)
{
    for (; length >= 8; length -= 8, from += 8) {
        uint64_t word;
        memcpy(&word, from, 8);
        word ^= crc;
        crc = crc_table[7][word & 0xff] ^ crc_table[6][word >> 8 & 0xff] ^ crc_table[5][word >> 16 & 0xff] ^
              crc_table[4][word >> 24 & 0xff] ^ crc_table[3][word >> 32 & 0xff] ^ crc_table[2][word >> 40 & 0xff] ^
              crc_table[1][word >> 48 & 0xff] ^ crc_table[0][word >> 56];
    }
    for (; length; length--, from++)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *from) & 0xff];
    return crc;
}

#ifdef __x86_64__
/*
 * Carry-less multiplication: 128 bits of the message times x^n mod P stand for the same bits n places further on, so
 * blocks are folded into later ones until 128 bits are left.  The constants are x^n mod P, reflected and shifted left
 * by one, for n = distance + 32 and distance - 32 (Gopal and others, Intel 323102).
 */
#define CRC_TARGET __attribute__((target("pclmul,sse4.1")))
#define CRC_TARGET_WIDE __attribute__((target("vpclmulqdq,avx2,pclmul,sse4.1")))
#define CRC_BY_128 0x00ccaa009e, 0x01751997d0
#define CRC_BY_256 0x015a546366, 0x00f1da05aa
#define CRC_BY_512 0x01c6e41596, 0x0154442bd4
#define CRC_BY_1024 0x014a7fe880, 0x01e88ef372

CRC_TARGET static inline __m128i crc_fold(__m128i block, __m128i distance, __m128i next)
{
    return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(block, distance, 0x00), next),
                         _mm_clmulepi64_si128(block, distance, 0x11));
}

CRC_TARGET static inline __m128i crc_load(const uint8_t *from)
{
    __m128i block;
    memcpy(&block, from, sizeof(block));
    return block;
}

/* 128 bits to the register: 64 by a fold, 32 by another, the rest by Barrett's reduction. */
CRC_TARGET static inline uint32_t crc_reduce(__m128i block)
{
    const __m128i by64 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0), by32 = _mm_set_epi64x(0, 0x0163cd6124);
    const __m128i barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641), low = _mm_set_epi32(0, 0, 0, -1);
    block = _mm_xor_si128(_mm_clmulepi64_si128(block, by64, 0x10), _mm_srli_si128(block, 8));
    block = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(block, low), by32, 0x00), _mm_srli_si128(block, 4));
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(block, low), barrett, 0x10);
    quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(block, quotient), 1);
}

/* What is left behind `at`: whole blocks, the reduction, then less than a block. */
CRC_TARGET static inline uint32_t crc_finish(__m128i block, const uint8_t *from, size_t at, size_t length)
{
    const __m128i by128 = _mm_set_epi64x(CRC_BY_128);
    for (; length - at >= 16; at += 16)
        block = crc_fold(block, by128, crc_load(from + at));
    return crc_tables(crc_reduce(block), from + at, length - at);
}

CRC_TARGET static uint32_t crc_multiply(uint32_t crc, const uint8_t *from, size_t length)
{
    const __m128i by512 = _mm_set_epi64x(CRC_BY_512), by128 = _mm_set_epi64x(CRC_BY_128);
    __m128i block = _mm_xor_si128(crc_load(from), _mm_cvtsi32_si128((int)crc));
    size_t at = 16;
    if (length >= 128) {
        __m128i b1 = crc_load(from + 16), b2 = crc_load(from + 32), b3 = crc_load(from + 48);
        for (at = 64; length - at >= 64; at += 64) {
            block = crc_fold(block, by512, crc_load(from + at));
            b1 = crc_fold(b1, by512, crc_load(from + at + 16));
            b2 = crc_fold(b2, by512, crc_load(from + at + 32));
            b3 = crc_fold(b3, by512, crc_load(from + at + 48));
        }
        block = crc_fold(crc_fold(crc_fold(block, by128, b1), by128, b2), by128, b3);
    }
    return crc_finish(block, from, at, length);
}

CRC_TARGET_WIDE static inline __m256i crc_fold_wide(__m256i block, __m256i distance, __m256i next)
{
    return _mm256_xor_si256(_mm256_xor_si256(_mm256_clmulepi64_epi128(block, distance, 0x00), next),
                            _mm256_clmulepi64_epi128(block, distance, 0x11));
}

CRC_TARGET_WIDE static inline __m256i crc_load_wide(const uint8_t *from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

/* The same on vectors of two blocks; at least 128 bytes. */
CRC_TARGET_WIDE static uint32_t crc_multiply_wide(uint32_t crc, const uint8_t *from, size_t length)
{
    const __m256i by1024 = _mm256_broadcastsi128_si256(_mm_set_epi64x(CRC_BY_1024));
    const __m256i by256 = _mm256_broadcastsi128_si256(_mm_set_epi64x(CRC_BY_256));
    const __m256i start = _mm256_set_epi32(0, 0, 0, 0, 0, 0, 0, (int)crc);
    __m256i b0 = _mm256_xor_si256(crc_load_wide(from), start), b1 = crc_load_wide(from + 32);
    __m256i b2 = crc_load_wide(from + 64), b3 = crc_load_wide(from + 96);
    size_t at = 128;
    for (; length - at >= 128; at += 128) {
        b0 = crc_fold_wide(b0, by1024, crc_load_wide(from + at));
        b1 = crc_fold_wide(b1, by1024, crc_load_wide(from + at + 32));
        b2 = crc_fold_wide(b2, by1024, crc_load_wide(from + at + 64));
        b3 = crc_fold_wide(b3, by1024, crc_load_wide(from + at + 96));
    }
    b0 = crc_fold_wide(crc_fold_wide(crc_fold_wide(b0, by256, b1), by256, b2), by256, b3);
    __m128i block = crc_fold(_mm256_castsi256_si128(b0), _mm_set_epi64x(CRC_BY_128), _mm256_extracti128_si256(b0, 1));
    return crc_finish(block, from, at, length);
}

static uint32_t crc_update(uint32_t crc, const uint8_t *from, size_t length)
{
    enum { WORTH_IT = 32, WORTH_IT_WIDE = 256 };
    if (length >= WORTH_IT_WIDE && __builtin_cpu_supports("vpclmulqdq"))
        return crc_multiply_wide(crc, from, length);
    return length >= WORTH_IT && __builtin_cpu_supports("pclmul") ? crc_multiply(crc, from, length)
                                                                  : crc_tables(crc, from, length);
}
#else
static uint32_t crc_update(uint32_t crc, const uint8_t *from, size_t length) { return crc_tables(crc, from, length); }
#endif

uint32_t nic_crc32(uint32_t crc, const void *data, size_t length) { return ~crc_update(~crc, data, length); }

uint32_t nic_crc32_iov(const struct iovec *iov, uint32_t count)
{
    uint32_t crc = 0xffffffff;
    for (uint32_t i = 0; i < count; i++)
        crc = crc_update(crc, iov[i].iov_base, iov[i].iov_len);
    return ~crc;
}

uint32_t nic_hash_little(const uint8_t *address) { return crc_update(0xffffffff, address, 6); }

uint32_t nic_hash_big(const uint8_t *address)
{
    uint32_t little = nic_hash_little(address), big = 0;
    for (int bit = 0; bit < 32; bit++)
        big |= (little >> bit & 1) << (31 - bit);
    return big;
}

/* ------------------------------------------------------------------ PAUSE */

enum { MAC_CONTROL_AT = 12, MAC_CONTROL = 0x8808, PAUSE_OPCODE = 1, PAUSE_END = 18 };
static const uint8_t pause_group[6] = {0x01, 0x80, 0xc2, 0x00, 0x00, 0x01};

void nic_pause_make(uint8_t *bytes, const uint8_t *station, uint32_t quanta)
{
    memset(bytes, 0, NIC_PAUSE_BYTES);
    memcpy(bytes, pause_group, sizeof(pause_group));
    memcpy(bytes + sizeof(pause_group), station, 6);
    nic_put16(bytes + MAC_CONTROL_AT, MAC_CONTROL);
    nic_put16(bytes + MAC_CONTROL_AT + 2, PAUSE_OPCODE);
    nic_put16(bytes + MAC_CONTROL_AT + 4, (uint16_t)quanta);
}

bool nic_pause_read(const uint8_t *bytes, uint32_t window, uint32_t *quanta)
{
    if (window < PAUSE_END || nic_get16(bytes + MAC_CONTROL_AT) != MAC_CONTROL ||
        nic_get16(bytes + MAC_CONTROL_AT + 2) != PAUSE_OPCODE)
        return false;
    *quanta = nic_get16(bytes + MAC_CONTROL_AT + 4);
    return true;
}

bool nic_pause_group(const uint8_t *address) { return !memcmp(address, pause_group, sizeof(pause_group)); }

/* ------------------------------------------------------------------ headers */

enum {
    ETHERNET_HEADER = 14,
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    LENGTH_MAX = 1500, /* a type field up to here is a length (IEEE 802.3, 3.2.6) */
    SNAP_HEADER = 8,
    IPV6_HEADER = 40,
    IPV6_HOP_BY_HOP = 0,
    IPV6_ROUTING = 43,
    IPV6_FRAGMENT = 44,
    IPV6_DESTINATION = 60,
};

static void parse_ipv4(const uint8_t *bytes, uint32_t window, uint32_t length, uint32_t at, nic_headers *headers)
{
    if (window < at + 20 || bytes[at] >> 4 != 4)
        return;
    uint32_t header = 4 * (bytes[at] & 15u), total = nic_get16(bytes + at + 2);
    if (header < 20 || window < at + header || total < header)
        return;
    headers->version = 4;
    headers->network = (uint16_t)at;
    headers->transport = (uint16_t)(at + header);
    headers->destination = (uint16_t)(at + 16);
    headers->payload = total - header;
    headers->protocol = bytes[at + 9];
    headers->fragment = nic_get16(bytes + at + 6) & 0x3fff;
    headers->whole = at + total <= length;
}

/* A routing header names the final destination as its last address while there are segments left (RFC 8200 8.1). */
static void parse_routing(const uint8_t *header, uint32_t at, uint32_t size, nic_headers *headers)
{
    if (header[3] && size >= 24)
        headers->destination = (uint16_t)(at + size - 16);
}

static void parse_ipv6(const uint8_t *bytes, uint32_t window, uint32_t length, uint32_t at, nic_headers *headers)
{
    if (window < at + IPV6_HEADER || bytes[at] >> 4 != 6)
        return;
    uint32_t end = at + IPV6_HEADER + nic_get16(bytes + at + 4), next = bytes[at + 6];
    headers->version = 6;
    headers->network = (uint16_t)at;
    headers->destination = (uint16_t)(at + 24);
    headers->whole = end <= length;
    at += IPV6_HEADER;
    while (next == IPV6_HOP_BY_HOP || next == IPV6_ROUTING || next == IPV6_DESTINATION || next == IPV6_FRAGMENT) {
        uint32_t size = window >= at + 8 ? (next == IPV6_FRAGMENT ? 8 : 8 + 8u * bytes[at + 1]) : 0;
        if (!size || window < at + size || end < at + size) {
            headers->whole = false;
            break;
        }
        if (next == IPV6_ROUTING)
            parse_routing(bytes + at, at, size, headers);
        headers->fragment |= next == IPV6_FRAGMENT;
        next = bytes[at];
        at += size;
    }
    headers->protocol = (uint8_t)next;
    headers->transport = (uint16_t)at;
    headers->payload = end > at ? end - at : 0;
}

void nic_parse(const uint8_t *bytes, uint32_t window, uint32_t length, uint16_t vlan_type, nic_headers *headers)
{
    static const uint8_t snap[6] = {0xaa, 0xaa, 0x03, 0, 0, 0}; /* RFC 1042 */
    uint32_t at = ETHERNET_HEADER;
    *headers = (nic_headers){0};
    if (window < at)
        return;
    uint16_t type = nic_get16(bytes + at - 2);
    if (type == vlan_type && window >= at + 4) {
        at += 4;
        type = nic_get16(bytes + at - 2);
    }
    if (type <= LENGTH_MAX) {
        if (window < at + SNAP_HEADER || memcmp(bytes + at, snap, sizeof(snap)))
            return;
        at += SNAP_HEADER;
        type = nic_get16(bytes + at - 2);
    }
    headers->type = type;
    headers->network = (uint16_t)at;
    if (type == TYPE_IPV4)
        parse_ipv4(bytes, window, length, at, headers);
    else if (type == TYPE_IPV6)
        parse_ipv6(bytes, window, length, at, headers);
}

void nic_parse_inner(const uint8_t *bytes, uint32_t window, uint32_t length, const nic_headers *outer,
                     nic_headers *headers)
{
    uint32_t end = outer->transport + outer->payload;
    *headers = (nic_headers){.type = outer->type};
    if (outer->protocol == NIC_IPPROTO_IPV4)
        parse_ipv4(bytes, window, end < length ? end : length, outer->transport, headers);
    else if (outer->protocol == NIC_IPPROTO_IPV6)
        parse_ipv6(bytes, window, end < length ? end : length, outer->transport, headers);
}

bool nic_ipv4_valid(const uint8_t *bytes, const nic_headers *headers)
{
    nic_sum sum = {0};
    nic_sum_add(&sum, bytes + headers->network, headers->transport - headers->network);
    return nic_sum_value(&sum) == 0xffff;
}

bool nic_transport_whole(const nic_headers *headers, uint32_t window)
{
    enum { UDP_HEADER = 8, TCP_HEADER = 20 };
    bool udp = headers->protocol == NIC_IPPROTO_UDP, tcp = headers->protocol == NIC_IPPROTO_TCP;
    return (udp || tcp) && !headers->fragment && headers->whole &&
           headers->payload >= (uint32_t)(udp ? UDP_HEADER : TCP_HEADER) && window >= headers->transport + 8u;
}

bool nic_transport_valid(const uint8_t *bytes, const struct iovec *iov, uint32_t count, const nic_headers *headers)
{
    nic_sum sum = {0};
    nic_sum_add_pseudo(&sum, bytes, headers);
    nic_sum_add_iov(&sum, iov, count, headers->transport, headers->transport + headers->payload);
    return nic_sum_value(&sum) == 0xffff;
}

void nic_sum_add_pseudo(nic_sum *sum, const uint8_t *bytes, const nic_headers *headers)
{
    uint32_t address = headers->version == 4 ? 4 : 16;
    uint32_t source = headers->network + (headers->version == 4 ? 12u : 8u);
    nic_sum_add(sum, bytes + source, address);
    nic_sum_add(sum, bytes + headers->destination, address);
    nic_sum_add16(sum, headers->protocol);
    nic_sum_add16(sum, (uint16_t)(headers->payload >> 16));
    nic_sum_add16(sum, (uint16_t)headers->payload);
}

/* ------------------------------------------------------------------ segmentation */

static void segment_network(const nic_segmenter *s, uint8_t *ip, uint32_t index, uint32_t payload)
{
    uint32_t room = s->header - s->network;
    if (s->version == 4 && room >= 6) {
        nic_put16(ip + 2, (uint16_t)(room + payload));
        nic_put16(ip + 4, (uint16_t)(nic_get16(ip + 4) + index));
    } else if (s->version == 6 && room >= IPV6_HEADER) {
        nic_put16(ip + 4, (uint16_t)(room + payload - IPV6_HEADER));
    }
}

static void segment_transport(const nic_segmenter *s, uint8_t *header, uint32_t before, uint32_t payload, bool last)
{
    enum { FIN = 0x01, PSH = 0x08 };
    uint32_t room = s->header - s->transport;
    if (s->protocol == NIC_IPPROTO_TCP && room >= 14) {
        nic_put32(header + 4, nic_get32(header + 4) + before);
        if (!last)
            header[13] &= (uint8_t)~(FIN | PSH);
    } else if (s->protocol == NIC_IPPROTO_UDP && room >= 6) {
        nic_put16(header + 4, (uint16_t)(room + payload));
    }
}

void nic_segment_header(const nic_segmenter *segmenter, uint8_t *bytes, uint32_t index, uint32_t before,
                        uint32_t payload, bool last)
{
    if (segmenter->network < segmenter->header)
        segment_network(segmenter, bytes + segmenter->network, index, payload);
    if (segmenter->transport < segmenter->header)
        segment_transport(segmenter, bytes + segmenter->transport, before, payload, last);
}

void nic_large_headers(uint8_t *head, uint32_t network, uint32_t transport, uint32_t length)
{
    enum { LENGTH = 2, NETWORK_SUM = 10, DESTINATION = 16, TCP_SUM = 16 };
    uint8_t *ip = head + network;
    nic_headers h = {.version = 4, .network = (uint16_t)network, .destination = (uint16_t)(network + DESTINATION),
                     .protocol = NIC_IPPROTO_TCP, .payload = length - transport};
    nic_sum header = {0}, pseudo = {0};
    nic_put16(ip + LENGTH, (uint16_t)(length - network));
    nic_put16(ip + NETWORK_SUM, 0);
    nic_sum_add(&header, ip, transport - network);
    nic_put16(ip + NETWORK_SUM, (uint16_t)~nic_sum_value(&header));
    nic_sum_add_pseudo(&pseudo, head, &h);
    nic_put16(head + transport + TCP_SUM, nic_sum_value(&pseudo));
}
