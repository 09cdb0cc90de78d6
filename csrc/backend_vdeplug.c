/*
 * vdeplug: any virtual network that libvdeplug reaches (tap://, udp://, vxvde://, slirp:// ...), by its URL.
 *
 * The library is found at run time.  It takes and gives frame by frame, by functions of the URL's module whose flags do
 * nothing; so its descriptor is made not to wait where it keeps frames apart (a datagram socket, a tap), and else asked
 * first.  A module may be a switch by itself: receiving then also passes on what is for others.
 */
#define _GNU_SOURCE
#include "backends.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vde_api.h"

enum {
    INTERFACE_VERSION = 1,
    NOTHING = 1,        /* what the modules return for "none of yours": a frame is longer */
    ROUNDS = 4,         /* batches of one turn */
    FRUITLESS_MAX = 16, /* a descriptor that is ready so often and gives an error or an end is dead */
    RETRY_NS = 1000000, /* where the descriptor cannot tell when there is room */
};

/* ------------------------------------------------------------------ the library */

typedef struct vde_connection vde_connection; /* VDECONN */

typedef struct open_arguments { /* struct vde_open_args */
    int port;
    char *group;
    mode_t mode;
} open_arguments;

static struct {
    bool loaded;
    vde_connection *(*open)(char *url, char *description, int version, open_arguments *arguments);
    ssize_t (*receive)(vde_connection *connection, void *buffer, size_t size, int flags);
    ssize_t (*send)(vde_connection *connection, const void *frame, size_t length, int flags);
    int (*data_fd)(vde_connection *connection);
    int (*control_fd)(vde_connection *connection);
    int (*close)(vde_connection *connection);
} library;
static char load_error[256];

static bool resolve(void *handle)
{
    const struct {
        const char *name;
        void *to;
    } wanted[] = {
        {"vde_open_real", &library.open},   {"vde_recv", &library.receive},     {"vde_send", &library.send},
        {"vde_datafd", &library.data_fd},   {"vde_ctlfd", &library.control_fd}, {"vde_close", &library.close},
    };
    for (size_t i = 0; i < NIC_ARRAY_LEN(wanted); i++) {
        void *symbol = dlsym(handle, wanted[i].name);
        if (!symbol) {
            snprintf(load_error, sizeof(load_error), "libvdeplug.so.2 has no %s", wanted[i].name);
            return false;
        }
        memcpy(wanted[i].to, &symbol, sizeof(symbol)); /* POSIX: a function's address fits a void pointer */
    }
    return true;
}

static bool load(void)
{
    if (library.loaded)
        return true;
    void *handle = dlopen("libvdeplug.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        snprintf(load_error, sizeof(load_error), "%s", dlerror());
        return false;
    }
    library.loaded = resolve(handle);
    if (!library.loaded)
        dlclose(handle);
    return library.loaded;
}

const char *nic_vdeplug_load_error(void) { return load_error; }

/* ------------------------------------------------------------------ the plug */

typedef struct vdeplug {
    nic_backend base;
    vde_connection *connection;
    nic_source data, control; /* of the library; fd -1: none */
    bool watched, control_watched;
    bool apart;         /* the data descriptor keeps frames apart, does not wait, and tells when there is room */
    bool ready, told;   /* that they became ready */
    uint32_t fruitless; /* times in a row that the data descriptor was ready and failed */
    pid_t owner;        /* whose connection it is */
    uint32_t arrived, taken;
    nic_frame frames[NIC_BATCH];
    struct iovec iov[NIC_BATCH];
    uint8_t slots[NIC_BATCH][NIC_FRAME_MAX + 64]; /* a line beyond the longest frame, as in datagrams.h */
    uint8_t scratch[NIC_FRAME_MAX];               /* a frame in one piece */
} vdeplug;

static bool is_ready(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&ready, 1, 0) > 0;
}

static void watch(vdeplug *plug, nic_source *source, bool *watched, bool on)
{
    nic_loop *loop = plug->base.loop;
    if (!loop || on == *watched || source->fd < 0)
        return;
    *watched = on;
    if (!on)
        nic_loop_remove(loop, source);
    else if (nic_loop_add(loop, source))
        plug->base.counters.errors++;
}

/* What the data descriptor is watched for: frames while the card has room, room while frames wait. */
static void attend(vdeplug *plug)
{
    bool alive = plug->base.link_up;
    uint32_t events = alive && plug->taken == plug->arrived && nic_backend_can_deliver(&plug->base) ? EPOLLIN : 0;
    if (alive && plug->apart && plug->base.blocked)
        events |= EPOLLOUT;
    if (plug->watched && events) {
        if (nic_loop_modify(plug->base.loop, &plug->data, events))
            plug->base.counters.errors++;
        return;
    }
    plug->data.events = events;
    watch(plug, &plug->data, &plug->watched, events);
}

static void lost(vdeplug *plug)
{
    watch(plug, &plug->control, &plug->control_watched, false);
    nic_backend_set_link(&plug->base, false);
    if (plug->base.blocked)
        nic_backend_writable(&plug->base); /* what waits for room waits for nobody */
}

/* ------------------------------------------------------------------ out */

static const uint8_t *in_one_piece(vdeplug *plug, const nic_frame *frame)
{
    if (frame->iovcnt == 1)
        return frame->iov[0].iov_base;
    nic_frame_copy(frame, plug->scratch, sizeof(plug->scratch));
    return plug->scratch;
}

static size_t plug_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    vdeplug *plug = (vdeplug *)backend;
    for (size_t i = 0; i < count; i++) {
        ssize_t sent = -1;
        if (backend->link_up && frames[i].length <= NIC_FRAME_MAX) {
            const uint8_t *bytes = in_one_piece(plug, &frames[i]);
            do
                sent = library.send(plug->connection, bytes, frames[i].length, 0);
            while (sent < 0 && errno == EINTR);
            if (sent < 0 && errno == EAGAIN) {
                if (plug->apart)
                    nic_backend_wake(backend); /* attend() sees to it that room is waited for */
                return i;
            }
            backend->counters.errors += sent < 0;
        }
        backend->counters.send_drops += sent < 0;
    }
    return count;
}

/* ------------------------------------------------------------------ in */

static bool deliver(vdeplug *plug)
{
    if (plug->taken < plug->arrived)
        plug->taken += (uint32_t)nic_backend_deliver(&plug->base, plug->frames + plug->taken,
                                                     plug->arrived - plug->taken);
    return plug->taken == plug->arrived;
}

/* Fills the slots; whether there may be more. */
static bool receive(vdeplug *plug)
{
    plug->arrived = plug->taken = 0;
    for (int calls = 0; calls < NIC_BATCH; calls++) {
        if (!plug->apart && !is_ready(plug->data.fd))
            return false;
        uint32_t n = plug->arrived;
        ssize_t length = library.receive(plug->connection, plug->slots[n], NIC_FRAME_MAX, 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno == EAGAIN)
            return false;
        plug->fruitless = length <= 0 ? plug->fruitless + 1 : 0;
        if (length <= 0) {
            plug->base.counters.errors++;
            return false;
        }
        if (length == NOTHING)
            continue;
        plug->iov[n] = (struct iovec){plug->slots[n], (size_t)length};
        plug->frames[n] = (nic_frame){&plug->iov[n], 1, (uint32_t)length, 0};
        plug->arrived++;
    }
    return true;
}

static void receive_all(vdeplug *plug)
{
    plug->ready = false;
    for (int round = 0; round < ROUNDS; round++) {
        bool more = receive(plug);
        if (!deliver(plug) || !more || !nic_backend_can_deliver(&plug->base))
            break;
    }
    if (plug->fruitless >= FRUITLESS_MAX)
        lost(plug);
}

static void data_ready(nic_source *source, uint32_t events)
{
    vdeplug *plug = source->owner;
    plug->ready = plug->ready || events & ~(uint32_t)EPOLLOUT;
    if (events & EPOLLOUT && plug->base.blocked)
        nic_backend_writable(&plug->base);
}

static void control_ready(nic_source *source, uint32_t events NIC_UNUSED) { ((vdeplug *)source->owner)->told = true; }

/* The control connection says nothing after the beginning, and ends when the switch does. */
static bool has_ended(int control)
{
    char word[64];
    ssize_t n;
    do
        n = recv(control, word, sizeof(word), MSG_DONTWAIT);
    while (n > 0 || (n < 0 && errno == EINTR));
    return n == 0 || errno != EAGAIN;
}

/* ------------------------------------------------------------------ turns */

static void plug_poll(nic_backend *backend)
{
    vdeplug *plug = (vdeplug *)backend;
    if ((plug->told || !backend->loop) && backend->link_up && plug->control.fd >= 0 && has_ended(plug->control.fd))
        lost(plug);
    plug->told = false;
    if (backend->blocked && (!backend->loop || !plug->apart))
        nic_backend_writable(backend);
    if (deliver(plug) && nic_backend_can_deliver(backend) && (plug->ready || !backend->loop) && backend->link_up)
        receive_all(plug);
    attend(plug);
}

static int64_t plug_timeout(nic_backend *backend)
{
    return backend->blocked && !((vdeplug *)backend)->apart ? RETRY_NS : -1;
}

static void plug_attach(nic_backend *backend, nic_loop *loop)
{
    vdeplug *plug = (vdeplug *)backend;
    watch(plug, &plug->control, &plug->control_watched, loop && backend->link_up);
    plug->told = plug->ready = true;
    if (loop)
        attend(plug);
    else
        watch(plug, &plug->data, &plug->watched, false);
}

static void plug_close(nic_backend *backend)
{
    vdeplug *plug = (vdeplug *)backend;
    if (backend->loop)
        plug_attach(backend, NULL);
    if (!plug->connection)
        return;
    if (plug->owner == getpid()) {
        library.close(plug->connection);
        return;
    }
    /* A forked child closes its descriptors; the library would remove the files of the parent's connection. */
    const int inherited[] = {plug->data.fd, plug->control.fd};
    for (size_t i = 0; i < NIC_ARRAY_LEN(inherited); i++)
        if (inherited[i] >= 0)
            close(inherited[i]);
}

static const nic_backend_ops plug_ops = {
    .name = "vde",
    .send = plug_send,
    .resume = nic_backend_wake,
    .poll = plug_poll,
    .timeout = plug_timeout,
    .attach = plug_attach,
    .close = plug_close,
};

/* ------------------------------------------------------------------ what Python calls */

static bool keeps_apart(int fd)
{
    struct stat status;
    int type = 0;
    socklen_t size = sizeof(type);
    if (fd < 0 || fstat(fd, &status))
        return false;
    if (S_ISSOCK(status.st_mode))
        return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) && (type == SOCK_DGRAM || type == SOCK_SEQPACKET);
    return S_ISCHR(status.st_mode);
}

static nic_source source_of(vdeplug *plug, int fd, void (*ready)(nic_source *, uint32_t))
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return (nic_source){fd, EPOLLIN, ready, plug};
}

nic_backend *nic_vdeplug_new(const nic_vdeplug_config *config, int *error)
{
    vdeplug *plug = load() ? nic_backend_new(sizeof(*plug), &plug_ops) : NULL;
    if (!plug) {
        *error = library.loaded ? ENOMEM : ENOSYS;
        return NULL;
    }
    open_arguments arguments = {(int)config->port, config->group, (mode_t)config->mode};
    errno = 0;
    plug->connection = library.open(config->url, config->description, INTERFACE_VERSION, &arguments);
    if (!plug->connection) {
        *error = errno ? errno : EINVAL;
        nic_backend_free(&plug->base);
        return NULL;
    }
    plug->owner = getpid();
    plug->data = source_of(plug, library.data_fd(plug->connection), data_ready);
    plug->control = source_of(plug, library.control_fd(plug->connection), control_ready);
    plug->apart = keeps_apart(plug->data.fd) && !fcntl(plug->data.fd, F_SETFL, O_RDWR | O_NONBLOCK);
    return &plug->base;
}
