/*
 * pcap: a wrapper that writes every frame of a wire to a file, as classic pcap with nanoseconds, with microseconds as
 * QEMU's filter-dump does, or as pcapng.
 *
 * What the card sends is recorded as far as the wire below takes it, what arrives as far as the card above takes it:
 * a frame that is held back and offered again stands once in the file.  Frames have no FCS.
 *
 * A batch is one writev from where the frames lie.  When writing fails the dump ends at its last whole record, once;
 * the traffic goes on (as with QEMU's filter-dump).
 */
#define _GNU_SOURCE
#include "backends.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINKTYPE_ETHERNET = 1,
    CLASSIC_NS_MAGIC = 0xa1b23c4d,
    CLASSIC_US_MAGIC = 0xa1b2c3d4,
    NG_SECTION = 0x0a0d0d0a,
    NG_BYTE_ORDER = 0x1a2b3c4d,
    NG_INTERFACE = 1,
    NG_PACKET = 6,
    NG_OPTION_END = 0,
    NG_IF_TSRESOL = 9,
    NG_IF_FCSLEN = 13,
    NG_EPB_FLAGS = 2,
    NG_INBOUND = 1,
    NG_OUTBOUND = 2,
};

enum { PIECES = 1024 /* IOV_MAX of Linux */ };

typedef struct classic_record {
    uint32_t seconds, fraction, captured, length;
} classic_record;

typedef struct ng_packet_head {
    uint32_t type, size, interface, time_high, time_low, captured, length;
} ng_packet_head;

typedef struct ng_packet_tail { /* behind the padding to 4 bytes */
    uint32_t flags_option, flags, end_option, size;
} ng_packet_tail;

typedef struct record { /* what surrounds one frame in the file */
    union {
        classic_record classic;
        ng_packet_head head;
    };
    struct {
        uint8_t padding[4];
        ng_packet_tail tail;
    } after;
} record;

typedef struct pcap {
    nic_backend base;
    int fd;
    int format;
    uint32_t snaplen;
    bool timed;     /* start is known */
    int64_t start;  /* wall time of device time 0; before 1970 where the card's clock is ahead of the machine's */
    off_t whole;    /* bytes of whole records; -1: the file cannot be cut */
    uint64_t records;
    int error;      /* that ended the dump */
    uint32_t direction; /* of what is being recorded */
    struct iovec pieces[PIECES];
    record batch[NIC_BATCH];
    nic_gso gso;
} pcap;

/* Wall time of the clock above, or of the machine's where there is none. */
static uint64_t record_time(pcap *dump)
{
    int64_t now = (int64_t)nic_backend_now(&dump->base);
    if (!dump->timed) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        dump->start = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec - now;
        dump->timed = true;
    }
    int64_t time = dump->start + now;
    return time < 0 ? 0 : (uint64_t)time; /* the card has another clock, which is behind: no file tells of 1969 */
}

/* ------------------------------------------------------------------ file */

static void stop(pcap *dump, int error)
{
    dump->error = error;
    dump->base.counters.errors++;
    if (dump->whole >= 0 && ftruncate(dump->fd, dump->whole))
        dump->base.counters.errors++;
    close(dump->fd);
    dump->fd = -1;
}

/* Writes all pieces or ends the dump. */
static bool write_all(pcap *dump, struct iovec *pieces, size_t count)
{
    size_t done = 0;
    while (count) {
        ssize_t n = writev(dump->fd, pieces, (int)count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            stop(dump, n ? errno : EIO);
            return false;
        }
        done += (size_t)n;
        while (count && (size_t)n >= pieces->iov_len) {
            n -= (ssize_t)pieces->iov_len;
            pieces++;
            count--;
        }
        if (count) {
            pieces->iov_base = (uint8_t *)pieces->iov_base + n;
            pieces->iov_len -= (size_t)n;
        }
    }
    if (dump->whole >= 0)
        dump->whole += (off_t)done;
    return true;
}

static bool write_file_header(pcap *dump)
{
    uint32_t magic = dump->format == NIC_PCAP_MICRO ? CLASSIC_US_MAGIC : CLASSIC_NS_MAGIC;
    const struct {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, accuracy, snaplen, linktype;
    } classic = {magic, 2, 4, 0, 0, dump->snaplen, LINKTYPE_ETHERNET};
    const struct {
        uint32_t type, size, order;
        uint16_t major, minor;
        uint32_t section_low, section_high, size_again;
    } section = {NG_SECTION, sizeof(section), NG_BYTE_ORDER, 1, 0, UINT32_MAX, UINT32_MAX, sizeof(section)};
    const struct {
        uint32_t type, size;
        uint16_t linktype, reserved;
        uint32_t snaplen;
        uint16_t tsresol, tsresol_length;
        uint8_t tsresol_value[4];
        uint16_t fcslen, fcslen_length;
        uint8_t fcslen_value[4];
        uint16_t end, end_length;
        uint32_t size_again;
    } interface = {NG_INTERFACE, sizeof(interface), LINKTYPE_ETHERNET, 0, dump->snaplen, NG_IF_TSRESOL, 1, {9},
                   NG_IF_FCSLEN, 1, {0}, NG_OPTION_END, 0, sizeof(interface)};
    struct iovec pieces[2] = {{(void *)(uintptr_t)&classic, sizeof(classic)}};
    if (dump->format != NIC_PCAP_NG)
        return write_all(dump, pieces, 1);
    pieces[0] = (struct iovec){(void *)(uintptr_t)&section, sizeof(section)};
    pieces[1] = (struct iovec){(void *)(uintptr_t)&interface, sizeof(interface)};
    return write_all(dump, pieces, 2);
}

/* ------------------------------------------------------------------ records */

static size_t add_frame(struct iovec *pieces, const nic_frame *frame, uint32_t captured)
{
    size_t n = 0;
    for (uint32_t i = 0; i < frame->iovcnt && captured; i++) {
        size_t part = frame->iov[i].iov_len < captured ? frame->iov[i].iov_len : captured;
        pieces[n++] = (struct iovec){frame->iov[i].iov_base, part};
        captured -= (uint32_t)part;
    }
    return n;
}

static size_t add_classic(record *at, struct iovec *pieces, const nic_frame *frame, uint32_t captured, uint64_t time,
                          uint32_t unit)
{
    at->classic = (classic_record){(uint32_t)(time / 1000000000), (uint32_t)(time % 1000000000) / unit, captured,
                                   frame->length};
    pieces[0] = (struct iovec){&at->classic, sizeof(at->classic)};
    return 1 + add_frame(pieces + 1, frame, captured);
}

static size_t add_ng(record *at, struct iovec *pieces, const nic_frame *frame, uint32_t captured, uint64_t time,
                     uint32_t direction)
{
    uint32_t padding = -captured & 3;
    uint32_t size = (uint32_t)(sizeof(ng_packet_head) + captured + padding + sizeof(ng_packet_tail));
    at->head = (ng_packet_head){NG_PACKET, size, 0, (uint32_t)(time >> 32), (uint32_t)time, captured, frame->length};
    /* An option is {u16 code, u16 length, value}; one with an even layout for either byte order goes out as a word. */
    uint16_t option[2] = {NG_EPB_FLAGS, sizeof(uint32_t)};
    memcpy(&at->after.tail.flags_option, option, sizeof(option));
    at->after.tail.flags = direction;
    at->after.tail.end_option = NG_OPTION_END;
    at->after.tail.size = size;
    memset(at->after.padding, 0, sizeof(at->after.padding));
    pieces[0] = (struct iovec){&at->head, sizeof(at->head)};
    size_t n = 1 + add_frame(pieces + 1, frame, captured);
    pieces[n] = (struct iovec){at->after.padding + sizeof(at->after.padding) - padding,
                               padding + sizeof(at->after.tail)};
    return n + 1;
}

static void dump_frames(void *owner, const nic_frame *frames, size_t count)
{
    pcap *dump = owner;
    if (dump->fd < 0)
        return;
    uint64_t time = record_time(dump);
    for (size_t f = 0; f < count;) {
        size_t n = 0, records = 0;
        for (; f < count && records < NIC_BATCH && n + frames[f].iovcnt + 2 <= PIECES; f++, records++) {
            uint32_t captured = frames[f].length < dump->snaplen ? frames[f].length : dump->snaplen;
            record *at = &dump->batch[records];
            n += dump->format == NIC_PCAP_NG ? add_ng(at, dump->pieces + n, &frames[f], captured, time, dump->direction)
                                             : add_classic(at, dump->pieces + n, &frames[f], captured, time,
                                                           dump->format == NIC_PCAP_MICRO ? 1000 : 1);
        }
        if (!write_all(dump, dump->pieces, n))
            return;
        dump->records += records;
    }
}

/* What the wire below is left to segment is recorded as the frames that come of it. */
static void dump_all(pcap *dump, const nic_frame *frames, size_t count, uint32_t direction)
{
    dump->direction = direction;
    nic_gso_spread(&dump->gso, frames, count, dump_frames, dump);
}

/* ------------------------------------------------------------------ the wire */

static size_t pcap_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    size_t taken = backend->lower ? nic_backend_send(backend->lower, frames, count) : count;
    dump_all((pcap *)backend, frames, taken, NG_OUTBOUND);
    return taken;
}

static size_t pcap_deliver(nic_backend *backend, const nic_frame *frames, size_t count)
{
    size_t taken = nic_backend_deliver(backend, frames, count);
    dump_all((pcap *)backend, frames, taken, NG_INBOUND);
    return taken;
}

static void pcap_close(nic_backend *backend)
{
    pcap *dump = (pcap *)backend;
    if (dump->fd >= 0)
        close(dump->fd);
}

static const nic_backend_ops pcap_ops = {
    .name = "pcap", .damaged = true, .send = pcap_send, .deliver = pcap_deliver, .close = pcap_close};

nic_backend *nic_pcap_new(int fd, int format, uint32_t snaplen, int64_t start, int *error)
{
    pcap *dump = nic_backend_new(sizeof(*dump), &pcap_ops);
    *error = ENOMEM;
    if (!dump) {
        close(fd);
        return NULL;
    }
    dump->base.offloads = NIC_OFFLOADS;
    dump->fd = fd;
    dump->format = format;
    dump->snaplen = snaplen;
    dump->timed = start >= 0;
    dump->start = start;
    dump->whole = lseek(fd, 0, SEEK_CUR);
    *error = write_file_header(dump) ? 0 : dump->error;
    if (*error) {
        nic_backend_free(&dump->base);
        return NULL;
    }
    return &dump->base;
}

int nic_pcap_error(const nic_backend *backend) { return ((const pcap *)backend)->error; }

uint64_t nic_pcap_records(const nic_backend *backend) { return ((const pcap *)backend)->records; }
