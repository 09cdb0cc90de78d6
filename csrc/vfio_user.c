/*
 * vfio-user server: framing, region accesses, interrupt masking and DMA by message, for one card and one client at a
 * time (QEMU docs/interop/vfio-user.rst).  What is rare and needs judgement is left to nicemu/hosts/vfio_user.py.
 *
 *   client_ready: receive ─▶ process ─▶ flush (replies) ─▶ nic_run_work (what doorbells asked for) ─▶ receive ...
 *
 * A client may hold its own lock until a request is answered, and serves our DMA messages only after it; so no DMA
 * message is ever sent from inside a request.  Work may wait for one, and while it does, requests are answered but
 * never start work of their own.
 */
#define _GNU_SOURCE
#include "vfio_user.h"

#include "nic.h"
#include "vfio_user_api.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_DATA = 1 << 20,             /* max_data_xfer_size, the protocol's default */
    MAX_MESSAGE = MAX_DATA + 4096,
    MAX_FDS = 16,                   /* max_msg_fds */
    MAX_ERROR_BODY = 4096,          /* of a failed read, for clients that look for a body regardless */
    BUFFER = 64 << 10,              /* of a session at rest */
    MAX_OUT = 4 << 20,              /* replies that a client may leave unread */
    ROUNDS = 16,                    /* reads of the socket before others on the loop have their turn */
    DMA_TIMEOUT_MS = 5000,
};

/* A descriptor that arrived with the bytes [from, to) of the stream; fd -1: one that found no room. */
typedef struct stream_fd {
    int fd;
    uint64_t from, to;
} stream_fd;

/* A DMA message that is waiting for its reply. */
typedef struct dma_wait {
    uint16_t id, command;
    uint64_t count;
    void *to;                       /* DMA_READ: where the data goes; NULL: nowhere, the layout probe */
    int error;
    bool done, shifted;
} dma_wait;

struct nic_vfio {
    nic_device *device;
    nic_loop *loop;
    void *python;
    nic_source listener, client, resample; /* fd -1: absent */
    int spare;                      /* given up to refuse a connection when no descriptor is left */
    int depth;                      /* calls into the server that are under way */
    bool freed;                     /* nic_vfio_free was called from inside one of them */
    bool negotiated;
    bool backlog;                   /* whole requests wait in the buffer */
    bool in_request, replied;
    const char *why;                /* the session has ended; NULL: it has not */
    const char *hang_up;            /* it ends once replies are sent; NULL: no */
    vfio_user_header request;       /* the one being answered */
    uint8_t *in, *out;
    size_t in_size, in_start, in_end;
    size_t out_size, out_start, out_end, reply_size;
    uint64_t position;              /* of in_start in the stream */
    stream_fd fds[MAX_FDS + 1];     /* the last only for the mark of a lost one */
    uint32_t fd_count;
    uint64_t max_data;              /* the client's transfer limit */
    uint32_t dma_timeout;           /* ms */
    uint64_t spin;                  /* ns */
    uint16_t next_id;
    bool layout_known, shifted;
    dma_wait *wait;
    nic_vfio_counters counters;
};

static int (*ask)(void *, uint32_t, const uint8_t *, size_t, const int *, size_t);

void nic_vfio_set_python(int (*request)(void *, uint32_t, const uint8_t *, size_t, const int *, size_t))
{
    ask = request;
}

static uint64_t monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Ends the session.  It is taken down from client_ready, where no card is at work; the shutdown leads there. */
static void end(nic_vfio *server, const char *why)
{
    if (server->why || server->client.fd < 0)
        return;
    server->why = why;
    if (server->out_start < server->out_end) {
        ssize_t n NIC_UNUSED = send(server->client.fd, server->out + server->out_start,
                                    server->out_end - server->out_start, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    shutdown(server->client.fd, SHUT_RDWR);
}

static void protocol_error(nic_vfio *server, const char *why)
{
    server->counters.protocol_errors++;
    end(server, why);
}

static void tell(nic_vfio *server, uint32_t command, const char *text)
{
    if (ask)
        ask(server->python, command, (const uint8_t *)text, strlen(text), NULL, 0);
}

/* ------------------------------------------------------------------ outgoing */

/* Room for `size` bytes at out_end, or NULL: the client leaves too much unread, and the session ends. */
static uint8_t *reserve(nic_vfio *server, size_t size)
{
    if (server->out_size - server->out_end < size && server->out_start) {
        memmove(server->out, server->out + server->out_start, server->out_end - server->out_start);
        server->out_end -= server->out_start;
        server->out_start = 0;
    }
    if (server->out_size - server->out_end < size) {
        size_t grown = server->out_size ? server->out_size : BUFFER;
        while (grown - server->out_end < size)
            grown *= 2;
        uint8_t *out = grown > MAX_OUT ? NULL : realloc(server->out, grown);
        if (!out) {
            server->counters.slow_clients++;
            end(server, "it does not read its replies");
            return NULL;
        }
        server->out = out;
        server->out_size = grown;
    }
    return server->out + server->out_end;
}

static void flush(nic_vfio *server)
{
    while (server->out_start < server->out_end && !server->why) {
        ssize_t n = send(server->client.fd, server->out + server->out_start, server->out_end - server->out_start,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            server->out_start += (size_t)n;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            end(server, "it closed the connection");
    }
    if (server->out_start == server->out_end)
        server->out_start = server->out_end = 0;
}

static void watch(nic_vfio *server)
{
    bool writable = server->out_end || server->backlog;
    if (server->client.fd >= 0)
        nic_loop_modify(server->loop, &server->client, EPOLLIN | (writable ? EPOLLOUT : 0));
}

/* The body of the reply to the request under way, to be filled and ended; NULL: none can be sent. */
static uint8_t *begin_reply(nic_vfio *server, uint32_t error, size_t size)
{
    vfio_user_header header = server->request;
    uint8_t *message = reserve(server, sizeof(header) + size);
    server->replied = true;
    if (error)
        server->counters.errors++;
    if (!message)
        return NULL;
    header.size = (uint32_t)(sizeof(header) + size);
    header.flags = VFIO_USER_REPLY | (error ? VFIO_USER_ERROR : 0);
    header.error = error;
    memcpy(message, &header, sizeof(header));
    server->reply_size = header.size;
    return message + sizeof(header);
}

static void end_reply(nic_vfio *server)
{
    if (!(server->request.flags & VFIO_USER_NO_REPLY))
        server->out_end += server->reply_size;
}

void nic_vfio_reply(nic_vfio *server, uint32_t error, const void *data, size_t size)
{
    if (!server->in_request || server->replied || size > MAX_DATA)
        return;
    uint8_t *body = begin_reply(server, error, size);
    if (!body)
        return;
    if (size)
        memcpy(body, data, size);
    end_reply(server);
}

/* ------------------------------------------------------------------ regions */

static int space_of(uint32_t region)
{
    if (region < VFIO_USER_REGION_ROM)
        return (int)region;
    return region == VFIO_USER_REGION_ROM ? NIC_SPACE_ROM : region == VFIO_USER_REGION_CONFIG ? NIC_SPACE_CONFIG : -1;
}

/* The space of an access that lies wholly inside one, or -1. */
static int check_access(nic_vfio *server, const vfio_user_access *access)
{
    int space = space_of(access->region);
    uint64_t size = space < 0 ? 0 : server->device->model->spaces[space].size;
    if (!access->count || access->count > MAX_DATA || access->count > size || access->offset > size - access->count) {
        server->counters.bad_accesses++;
        return -1;
    }
    return space;
}

/* Bytes of the next access: what came as one access stays one; odd lengths are cut at natural boundaries. */
static uint32_t piece(uint64_t offset, uint32_t left, uint32_t count)
{
    if (count == 1 || count == 2 || count == 4 || count == 8)
        return count;
    if (offset & 1 || left < 2)
        return 1;
    return offset & 2 || left < 4 ? 2 : 4;
}

static void read_space(nic_device *device, uint32_t space, const vfio_user_access *access, uint8_t *to)
{
    for (uint32_t done = 0; done < access->count;) {
        uint64_t offset = access->offset + done;
        uint32_t size = piece(offset, access->count - done, access->count);
        /* A client reads the ROM once, without enabling it (QEMU's vfio; a kernel's vfio enables it for the read). */
        uint64_t value =
            space == NIC_SPACE_ROM ? nic_reach_read(device, space, offset, size) : nic_read(device, space, offset, size);
        memcpy(to + done, &value, size); /* little-endian, as PCI is */
        done += size;
    }
}

static void write_space(nic_device *device, uint32_t space, const vfio_user_access *access, const uint8_t *from)
{
    for (uint32_t done = 0; done < access->count;) {
        uint64_t offset = access->offset + done, value = 0;
        uint32_t size = piece(offset, access->count - done, access->count);
        memcpy(&value, from + done, size);
        nic_write(device, space, offset, value, size);
        done += size;
    }
}

static void region_read(nic_vfio *server, const uint8_t *payload, size_t size)
{
    vfio_user_access access = {0};
    int space = -1;
    if (size >= sizeof(access)) {
        memcpy(&access, payload, sizeof(access));
        space = check_access(server, &access);
    } else {
        server->counters.bad_accesses++;
    }
    /* cloud-hypervisor reads the body it asked for without a look at the error flag: give it one of all ones. */
    size_t length = space >= 0 || access.count <= MAX_ERROR_BODY ? sizeof(access) + access.count : sizeof(access);
    uint8_t *body = begin_reply(server, space < 0 ? EINVAL : 0, size < sizeof(access) ? 0 : length);
    if (!body)
        return;
    if (size >= sizeof(access)) {
        memcpy(body, &access, sizeof(access));
        memset(body + sizeof(access), 0xff, length - sizeof(access));
    }
    if (space >= 0) {
        server->counters.region_reads++;
        read_space(server->device, (uint32_t)space, &access, body + sizeof(access));
    }
    end_reply(server);
}

static void region_write(nic_vfio *server, const uint8_t *payload, size_t size)
{
    vfio_user_access access = {0};
    int space = -1;
    if (size >= sizeof(access))
        memcpy(&access, payload, sizeof(access));
    if (size >= sizeof(access) && size - sizeof(access) == access.count)
        space = check_access(server, &access);
    else
        server->counters.bad_accesses++;
    if (space >= 0) {
        server->counters.region_writes++;
        write_space(server->device, (uint32_t)space, &access, payload + sizeof(access));
    }
    nic_vfio_reply(server, space < 0 ? EINVAL : 0, payload, size < sizeof(access) ? 0 : sizeof(access));
}

/* Writes up to the first bad one; the reply tells how many were done. */
static void region_write_multi(nic_vfio *server, const uint8_t *payload, size_t size)
{
    uint64_t count = 0, done = 0;
    if (size >= sizeof(count))
        memcpy(&count, payload, sizeof(count));
    bool fits = size >= sizeof(count) && count <= MAX_MESSAGE &&
                size - sizeof(count) == count * sizeof(vfio_user_write);
    for (; fits && done < count; done++) {
        vfio_user_write write;
        memcpy(&write, payload + sizeof(count) + done * sizeof(write), sizeof(write));
        int space = write.access.count <= sizeof(write.data) ? check_access(server, &write.access) : -1;
        if (space < 0)
            break;
        server->counters.region_writes++;
        write_space(server->device, (uint32_t)space, &write.access, write.data);
    }
    nic_vfio_reply(server, !fits || done < count ? EINVAL : 0, &done, sizeof(done));
}

/* ------------------------------------------------------------------ interrupts */

/* QEMU without KVM unmasks INTx after every interrupt, and waits for it: not a thing to ask Python for. */
static bool mask_intx(nic_vfio *server, const uint8_t *payload, size_t size)
{
    vfio_user_irqs irqs;
    if (size < sizeof(irqs))
        return false;
    memcpy(&irqs, payload, sizeof(irqs));
    bool mask = irqs.flags == (VFIO_USER_IRQ_NONE | VFIO_USER_IRQ_MASK);
    bool unmask = irqs.flags == (VFIO_USER_IRQ_NONE | VFIO_USER_IRQ_UNMASK);
    if (irqs.argsz < sizeof(irqs) || irqs.index != NIC_IRQ_INTX || irqs.start || irqs.count != 1 || !(mask || unmask))
        return false;
    nic_interrupt_mask(server->device, mask);
    nic_vfio_reply(server, 0, NULL, 0);
    return true;
}

static void resample_ready(nic_source *source, uint32_t events NIC_UNUSED)
{
    nic_vfio *server = source->owner;
    uint64_t events_taken;
    if (read(source->fd, &events_taken, sizeof(events_taken)) == sizeof(events_taken))
        nic_interrupt_mask(server->device, false);
}

int nic_vfio_set_resample(nic_vfio *server, int fd)
{
    if (server->resample.fd >= 0) {
        nic_loop_remove(server->loop, &server->resample);
        close(server->resample.fd);
    }
    server->resample = (nic_source){.fd = fd < 0 ? -1 : fd, .events = EPOLLIN, .ready = resample_ready,
                                    .owner = server};
    if (fd < 0)
        return 0;
    int error = nic_loop_add(server->loop, &server->resample);
    if (error) {
        close(fd);
        server->resample.fd = -1;
    }
    return error;
}

void nic_vfio_trigger(nic_vfio *server, int which)
{
    uint64_t one = 1;
    int fd = which == NIC_IRQ_INTX || which == NIC_IRQ_MSI ? server->device->interrupt.fd[which] : -1;
    if (fd >= 0) {
        ssize_t n NIC_UNUSED = write(fd, &one, sizeof(one));
    }
}

/* ------------------------------------------------------------------ file descriptors in the stream */

static bool takes_fds(uint16_t command) { return command == VFIO_USER_DMA_MAP || command == VFIO_USER_SET_IRQS; }

/*
 * Whether a descriptor belongs to the message at in_start.  The kernel ends a read after the bytes that a descriptor
 * was sent with, and clients send a message in one piece; so it belongs to the last message of that read that can
 * take one.
 */
static bool fd_is_for(const nic_vfio *server, const stream_fd *fd, uint32_t size)
{
    uint64_t last = server->position + size;
    if (last <= fd->from || server->position >= fd->to)
        return false;
    while (last < fd->to) {
        vfio_user_header later;
        if (fd->to - last < sizeof(later))
            return false;
        memcpy(&later, server->in + server->in_start + (last - server->position), sizeof(later));
        if (takes_fds(later.command) || later.size < sizeof(later))
            return false;
        last += later.size;
    }
    return true;
}

/* Moves the descriptors of the message at in_start to `mine`; returns how many. */
static uint32_t claim_fds(nic_vfio *server, uint32_t size, int *mine)
{
    uint32_t claimed = 0, kept = 0;
    for (uint32_t i = 0; i < server->fd_count; i++) {
        if (fd_is_for(server, &server->fds[i], size))
            mine[claimed++] = server->fds[i].fd;
        else
            server->fds[kept++] = server->fds[i];
    }
    server->fd_count = kept;
    return claimed;
}

/* Closes those whose bytes are all consumed: nobody wanted them. */
static void drop_stray_fds(nic_vfio *server, uint64_t position)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < server->fd_count; i++) {
        if (server->fds[i].to > position) {
            server->fds[kept++] = server->fds[i];
            continue;
        }
        if (server->fds[i].fd >= 0)
            close(server->fds[i].fd);
        server->counters.stray_fds++;
    }
    server->fd_count = kept;
}

static void keep_fd(nic_vfio *server, stream_fd fd)
{
    if (fd.fd >= 0 && server->fd_count >= MAX_FDS) {
        close(fd.fd);
        fd.fd = -1;
    }
    if (server->fd_count <= MAX_FDS)
        server->fds[server->fd_count++] = fd;
}

static void take_fds(nic_vfio *server, struct msghdr *message, uint64_t from, uint64_t to)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            keep_fd(server, (stream_fd){fd, from, to});
        }
    }
    if (message->msg_flags & MSG_CTRUNC)
        keep_fd(server, (stream_fd){-1, from, to});
}

/* ------------------------------------------------------------------ incoming */

/* Makes room for `size` bytes from in_start on. */
static bool make_room(nic_vfio *server, size_t size)
{
    if (server->in_size - server->in_start >= size && server->in_end < server->in_size)
        return true;
    memmove(server->in, server->in + server->in_start, server->in_end - server->in_start);
    server->in_end -= server->in_start;
    server->in_start = 0;
    if (server->in_size >= size && server->in_end < server->in_size)
        return true;
    uint8_t *in = realloc(server->in, size);
    if (!in) {
        end(server, "no memory is left for its message");
        return false;
    }
    server->in = in;
    server->in_size = size;
    return true;
}

/* Reads what the socket has; false: nothing, or the session has ended. */
static bool receive(nic_vfio *server)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control;
    if (server->why || !make_room(server, server->in_end - server->in_start + 1))
        return false;
    struct iovec iov = {server->in + server->in_end, server->in_size - server->in_end};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n;
    do
        n = recvmsg(server->client.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            end(server, "it closed the connection");
        return false;
    }
    uint64_t from = server->position + (server->in_end - server->in_start);
    if (message.msg_controllen || message.msg_flags & MSG_CTRUNC)
        take_fds(server, &message, from, from + (uint64_t)n);
    server->in_end += (size_t)n;
    return true;
}

/* Whether a whole message stands at in_start; a header that makes no sense ends the session. */
static bool next_message(nic_vfio *server, vfio_user_header *header)
{
    size_t available = server->in_end - server->in_start;
    if (available < sizeof(*header))
        return false;
    memcpy(header, server->in + server->in_start, sizeof(*header));
    if (header->size < sizeof(*header) || header->size > MAX_MESSAGE) {
        protocol_error(server, "it sent a message of impossible size");
        return false;
    }
    if (available >= header->size)
        return true;
    make_room(server, header->size);
    return false;
}

static void consume(nic_vfio *server, uint32_t size)
{
    server->in_start += size;
    server->position += size;
    if (server->fd_count)
        drop_stray_fds(server, server->position);
    if (server->in_start == server->in_end)
        server->in_start = server->in_end = 0;
}

static void ask_python(nic_vfio *server, const uint8_t *payload, size_t size)
{
    int fds[MAX_FDS + 1], error = ENOSYS;
    bool takes = takes_fds(server->request.command);
    uint32_t count = takes && server->fd_count ? claim_fds(server, server->request.size, fds) : 0;
    server->counters.python_requests++;
    if (count && fds[count - 1] < 0)
        error = EMSGSIZE;
    else if (ask)
        error = ask(server->python, server->request.command, payload, size, fds, count);
    nic_vfio_reply(server, (uint32_t)(error > 0 ? error : 0), NULL, 0);
    for (uint32_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void handle_reply(nic_vfio *server, const vfio_user_header *header, const uint8_t *payload, size_t size);

static void handle(nic_vfio *server, const vfio_user_header *header, const uint8_t *payload)
{
    size_t size = header->size - sizeof(*header);
    server->counters.messages++;
    if ((header->flags & VFIO_USER_TYPE) == VFIO_USER_REPLY) {
        handle_reply(server, header, payload, size);
        return;
    }
    server->request = *header;
    server->in_request = true;
    server->replied = false;
    if (header->flags & VFIO_USER_TYPE || (!server->negotiated && header->command != VFIO_USER_VERSION))
        nic_vfio_reply(server, EINVAL, NULL, 0);
    else if (header->command == VFIO_USER_REGION_READ)
        region_read(server, payload, size);
    else if (header->command == VFIO_USER_REGION_WRITE)
        region_write(server, payload, size);
    else if (header->command == VFIO_USER_REGION_WRITE_MULTI)
        region_write_multi(server, payload, size);
    else if (header->command != VFIO_USER_SET_IRQS || !mask_intx(server, payload, size))
        ask_python(server, payload, size);
    server->in_request = false;
}

/*
 * Requests that work under way does not survive: a reset, and the unmapping of memory that a card may hold pointers
 * to.  They stay where they are, the DMA message is given up, and the work comes to its end without it.
 */
static bool must_wait_for_work(nic_vfio *server, const vfio_user_header *header, const uint8_t *payload)
{
    vfio_user_unmap unmap;
    if ((header->flags & VFIO_USER_TYPE) == VFIO_USER_REPLY)
        return false;
    if (header->command == VFIO_USER_RESET)
        return true;
    if (header->command != VFIO_USER_DMA_UNMAP || header->size < sizeof(*header) + sizeof(unmap))
        return false;
    memcpy(&unmap, payload, sizeof(unmap));
    nic_memory *memory = server->device->memory;
    return unmap.flags || nic_memory_map(memory, unmap.address, 1, false) ||
           nic_memory_map(memory, unmap.address, 1, true);
}

/* Handles whole messages in their order. */
static void process(nic_vfio *server)
{
    vfio_user_header header;
    while (!server->why && !server->hang_up && next_message(server, &header)) {
        const uint8_t *payload = server->in + server->in_start + sizeof(header);
        if (server->wait && must_wait_for_work(server, &header, payload)) {
            server->backlog = true;
            return;
        }
        handle(server, &header, payload);
        if (server->freed)
            return;
        consume(server, header.size);
    }
}

/* ------------------------------------------------------------------ DMA by message */

static void handle_reply(nic_vfio *server, const vfio_user_header *header, const uint8_t *payload, size_t size)
{
    dma_wait *wait = server->wait;
    vfio_user_dma dma = {0};
    if (!wait || wait->done || header->id != wait->id || header->command != wait->command) {
        server->counters.stray_replies++;
        return;
    }
    wait->done = true;
    if (header->flags & VFIO_USER_ERROR) {
        wait->error = header->error ? (int)header->error : EIO;
        return;
    }
    memcpy(&dma, payload, size < sizeof(dma) ? size : sizeof(dma));
    if (wait->command == VFIO_USER_DMA_WRITE) {
        /* The count is 32 bits in the specification's table, 64 in QEMU 11.1; earlier ones send no body. */
        if (size >= sizeof(dma) - 4 && (uint32_t)dma.count != wait->count)
            wait->error = EIO;
        return;
    }
    if (!wait->to || dma.count >> 32)
        wait->shifted = true;
    else if (size < sizeof(dma) || dma.count != wait->count || size - sizeof(dma) < wait->count)
        wait->error = EIO;
    else
        memcpy(wait->to, payload + sizeof(dma), wait->count);
}

/* Answers requests until the reply is there; an errno when it will not be. */
static int await_reply(nic_vfio *server, dma_wait *wait)
{
    uint64_t deadline = monotonic() + (uint64_t)server->dma_timeout * 1000000;
    server->wait = wait;
    for (;;) {
        process(server);
        if (!server->freed)
            flush(server);
        if (wait->done || server->freed || server->why || server->backlog || server->hang_up)
            break;
        uint64_t now = monotonic();
        if (now >= deadline) {
            server->counters.dma_timeouts++;
            end(server, "it did not answer a DMA message in time");
            break;
        }
        struct pollfd poll_fd = {server->client.fd, POLLIN | (server->out_end ? POLLOUT : 0), 0};
        if (poll(&poll_fd, 1, (int)((deadline - now + 999999) / 1000000)) > 0 && poll_fd.revents & ~POLLOUT)
            receive(server);
    }
    server->wait = NULL;
    if (server->backlog)
        server->counters.dma_aborted++;
    return wait->done ? wait->error : server->backlog ? ECANCELED : EIO;
}

static int dma_message(nic_vfio *server, dma_wait *wait, uint64_t address, const void *from)
{
    size_t data = from ? wait->count : 0;
    vfio_user_dma dma = {address, wait->count};
    vfio_user_header header = {.id = server->next_id++, .command = wait->command,
                               .size = (uint32_t)(sizeof(header) + sizeof(dma) + data)};
    uint8_t *message = reserve(server, header.size);
    if (!message)
        return EIO;
    memcpy(message, &header, sizeof(header));
    memcpy(message + sizeof(header), &dma, sizeof(dma));
    if (data)
        memcpy(message + sizeof(header) + sizeof(dma), from, data);
    server->out_end += header.size;
    wait->id = header.id;
    server->counters.dma_reads += wait->command == VFIO_USER_DMA_READ;
    server->counters.dma_writes += wait->command == VFIO_USER_DMA_WRITE;
    int error = await_reply(server, wait);
    server->counters.dma_errors += error && wait->done;
    return error;
}

static void found_shifted(nic_vfio *server)
{
    server->shifted = true;
    tell(server, NIC_VFIO_SHIFTED, "");
}

/*
 * QEMU 10.1 to 11.0 have a 32-bit count in the DMA structure and put the data 4 bytes early.  A read of 4 GiB and one
 * byte tells them apart without harm: they see a count of one and answer, everybody else finds it too large.
 */
static void probe_layout(nic_vfio *server, uint64_t address)
{
    dma_wait wait = {.command = VFIO_USER_DMA_READ, .count = 0x100000001};
    int error = dma_message(server, &wait, address, NULL);
    server->counters.dma_errors -= error && wait.done;
    if (wait.shifted)
        found_shifted(server);
    server->layout_known = wait.shifted || error == E2BIG || error == EINVAL;
}

/* Moves `length` bytes to or from the client's memory: one of `to` and `from` is NULL. */
static int transfer(nic_vfio *server, uint64_t address, uint8_t *to, const uint8_t *from, size_t length)
{
    if (server->in_request || server->wait) {
        server->counters.dma_refused++;
        return EDEADLK;
    }
    if (!server->layout_known && !server->why && !server->backlog && server->client.fd >= 0)
        probe_layout(server, address);
    for (size_t done = 0; done < length;) {
        if (server->freed || server->why || server->backlog || server->client.fd < 0)
            return EIO;
        if (server->shifted) {
            server->counters.dma_refused++;
            return ENOTSUP;
        }
        dma_wait wait = {.command = to ? VFIO_USER_DMA_READ : VFIO_USER_DMA_WRITE, .to = to ? to + done : NULL};
        wait.count = length - done < server->max_data ? length - done : server->max_data;
        int error = dma_message(server, &wait, address + done, from ? from + done : NULL);
        if (wait.shifted)
            found_shifted(server);
        if (error || wait.shifted)
            return error ? error : ENOTSUP;
        done += wait.count;
    }
    return 0;
}

static void leave(nic_vfio *server);

static int transfer_and_watch(nic_vfio *server, uint64_t address, uint8_t *to, const uint8_t *from, size_t length)
{
    server->depth++;
    int error = transfer(server, address, to, from, length);
    if (!server->freed) {
        watch(server);
        if (server->device->work)
            nic_loop_wake(server->loop);
    }
    leave(server);
    return error;
}

static int read_client(void *context, uint64_t address, void *buffer, size_t length)
{
    return transfer_and_watch(context, address, buffer, NULL, length);
}

static int write_client(void *context, uint64_t address, const void *buffer, size_t length)
{
    return transfer_and_watch(context, address, NULL, buffer, length);
}

int nic_vfio_add_memory(nic_vfio *server, uint64_t address, uint64_t length, int access)
{
    return nic_memory_add_callbacks(server->device->memory, address, length, read_client, write_client, server, access);
}

void nic_vfio_negotiated(nic_vfio *server, uint64_t max_data)
{
    server->negotiated = true;
    server->max_data = max_data < MAX_DATA ? max_data : MAX_DATA;
}

/* ------------------------------------------------------------------ sessions */

static void free_buffers(nic_vfio *server)
{
    free(server->in);
    free(server->out);
    server->in = server->out = NULL;
    server->in_size = server->in_start = server->in_end = 0;
    server->out_size = server->out_start = server->out_end = 0;
}

static void leave(nic_vfio *server)
{
    if (--server->depth || !server->freed)
        return;
    free_buffers(server);
    free(server);
}

/* Only where no card is at work: memory is unmapped.  The card keeps its state ("Client Disconnection"). */
static void take_down(nic_vfio *server)
{
    const char *why = server->why ? server->why : "the server is closed";
    if (server->client.fd < 0)
        return;
    nic_loop_remove(server->loop, &server->client);
    close(server->client.fd);
    server->client.fd = -1;
    drop_stray_fds(server, UINT64_MAX);
    nic_vfio_set_resample(server, -1);
    nic_interrupt_set_fd(server->device, NIC_IRQ_INTX, -1);
    nic_interrupt_set_fd(server->device, NIC_IRQ_MSI, -1);
    server->why = server->hang_up = NULL;
    server->negotiated = server->backlog = server->layout_known = server->shifted = false;
    server->in_start = server->in_end = server->out_start = server->out_end = 0;
    server->position = 0;
    tell(server, NIC_VFIO_CLOSED, why);
}

/* Polls for the next message for the time of the spin option, unless a timer of the card is due. */
static bool spin(nic_vfio *server)
{
    uint64_t until = monotonic() + server->spin;
    do {
        if (receive(server))
            return true;
        if (server->why || nic_clock_next(server->device->clock) <= nic_clock_now(server->device->clock))
            return false;
    } while (monotonic() < until);
    return false;
}

static void client_ready(nic_source *source, uint32_t events NIC_UNUSED)
{
    nic_vfio *server = source->owner;
    server->depth++;
    flush(server);
    for (int round = 0; round < ROUNDS; round++) {
        if (!server->backlog && !receive(server) && !(server->spin && spin(server)))
            break;
        if (server->backlog) /* the work that was cut short has its frames and descriptors still to do */
            nic_want_work(server->device, NIC_WORK_TRANSMIT | NIC_WORK_RECEIVE);
        server->backlog = false;
        process(server);
        if (server->freed)
            break;
        flush(server);
        if (server->hang_up)
            end(server, server->hang_up);
        if (server->why)
            break;
        nic_run_work(server->device);
        if (server->freed)
            break;
    }
    if (!server->freed && server->why) {
        take_down(server);
        if (server->client.fd < 0)
            free_buffers(server);
    }
    if (!server->freed)
        watch(server);
    leave(server);
}

int nic_vfio_connect(nic_vfio *server, int fd)
{
    if (server->client.fd >= 0)
        return EBUSY;
    if (!server->in) {
        server->in = malloc(BUFFER);
        server->in_size = server->in ? BUFFER : 0;
    }
    if (!server->in)
        return ENOMEM;
    server->client = (nic_source){.fd = fd, .events = EPOLLIN, .ready = client_ready, .owner = server};
    int error = nic_loop_add(server->loop, &server->client);
    if (error) {
        server->client.fd = -1;
        return error;
    }
    server->max_data = MAX_DATA;
    server->counters.connections++;
    tell(server, NIC_VFIO_OPENED, "");
    return 0;
}

/* No descriptor is left: the spare one serves to take the connection and close it, else it would wait forever. */
static void refuse_one(nic_vfio *server)
{
    if (server->spare >= 0)
        close(server->spare);
    int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    else
        poll(NULL, 0, 10);
    server->counters.refused_connections++;
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void listener_ready(nic_source *source, uint32_t events NIC_UNUSED)
{
    nic_vfio *server = source->owner;
    server->depth++;
    for (int round = 0; round < ROUNDS && !server->freed; round++) {
        int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                refuse_one(server);
            break;
        }
        if (server->client.fd >= 0) /* it may have gone in this very turn */
            client_ready(&server->client, EPOLLIN);
        if (server->freed || nic_vfio_connect(server, fd)) {
            server->counters.refused_connections++;
            close(fd);
        }
    }
    leave(server);
}

/* ------------------------------------------------------------------ life */

nic_vfio *nic_vfio_new(nic_device *device, nic_loop *loop, void *python)
{
    nic_vfio *server = calloc(1, sizeof(nic_vfio));
    if (!server)
        return NULL;
    server->device = device;
    server->loop = loop;
    server->python = python;
    server->listener.fd = server->client.fd = server->resample.fd = -1;
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    server->dma_timeout = DMA_TIMEOUT_MS;
    return server;
}

void nic_vfio_free(nic_vfio *server)
{
    if (!server || server->freed)
        return;
    server->depth++;
    take_down(server);
    if (server->listener.fd >= 0) {
        nic_loop_remove(server->loop, &server->listener);
        close(server->listener.fd);
    }
    if (server->spare >= 0)
        close(server->spare);
    server->listener.fd = server->spare = -1;
    server->freed = true;
    leave(server);
}

int nic_vfio_listen(nic_vfio *server, int fd)
{
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK))
        return errno;
    server->listener = (nic_source){.fd = fd, .events = EPOLLIN, .ready = listener_ready, .owner = server};
    int error = nic_loop_add(server->loop, &server->listener);
    if (error)
        server->listener.fd = -1;
    return error;
}

bool nic_vfio_connected(const nic_vfio *server) { return server->client.fd >= 0; }
void nic_vfio_hang_up(nic_vfio *server, const char *why) { server->hang_up = why; }
void nic_vfio_set_spin(nic_vfio *server, uint32_t us) { server->spin = (uint64_t)us * 1000; }
void nic_vfio_set_dma_timeout(nic_vfio *server, uint32_t ms) { server->dma_timeout = ms; }
const nic_vfio_counters *nic_vfio_get_counters(const nic_vfio *server) { return &server->counters; }
