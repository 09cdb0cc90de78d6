/*
 * hub: what one port sends, all others hear (a repeater; QEMU's hub and numbered VLANs).
 *
 * A port faces a card above it or a backend that it wraps, so a hub also joins backends to one another.  Each port
 * holds the frames on their way out of it; a port that cannot pass them on loses its own and delays nobody.  Where there
 * are only two there is nobody else to delay: it is a cable then, and whoever sends is held back instead.
 */
#include "backends.h"

#include <stdlib.h>

enum { PORTS_MAX = 64 };

typedef struct hub_port {
    nic_backend base;
    nic_hub *hub;
    nic_queue queue;
    bool down; /* set_link */
    bool held; /* what it sent last did not all find room */
} hub_port;

struct nic_hub {
    hub_port *ports[PORTS_MAX]; /* NULL: free */
    nic_loop *loop;             /* where the backends below run */
    nic_clock *clock;           /* by which they live */
    uint32_t references;        /* ports and the owner */
    bool busy;                  /* passing on */
};

static void hub_unref(nic_hub *hub)
{
    if (--hub->references == 0)
        free(hub);
}

static bool in_use(const hub_port *port) { return port->base.lower || nic_backend_in_use(&port->base); }

/* The one that hears a port, if it is the only one. */
static hub_port *only_other(const hub_port *from)
{
    hub_port *found = NULL;
    for (size_t i = 0; i < PORTS_MAX; i++) {
        hub_port *port = from->hub->ports[i];
        if (!port || port == from || !in_use(port))
            continue;
        if (found)
            return NULL;
        found = port;
    }
    return found;
}

static void wake(hub_port *port)
{
    nic_backend_wake(&port->base);
    if (port->hub->loop)
        nic_loop_wake(port->hub->loop);
}

/* Queues frames at every port but the one that they came from. */
static void flood(hub_port *from, const nic_frame *frames, size_t count)
{
    nic_hub *hub = from->hub;
    for (size_t i = 0; i < PORTS_MAX; i++) {
        hub_port *port = hub->ports[i];
        if (!port || port == from || !in_use(port))
            continue;
        if (port->down) {
            port->base.counters.receive_drops += count;
            continue;
        }
        for (size_t f = 0; f < count; f++)
            if (!nic_queue_push(&port->queue, &frames[f]))
                port->base.counters.receive_drops++;
        wake(port);
    }
}

/* Returns how many frames, from the first, were taken. */
static size_t repeat(hub_port *from, const nic_frame *frames, size_t count)
{
    if (from->down) {
        from->base.counters.send_drops += count;
        return count;
    }
    hub_port *other = only_other(from);
    if (!other || other->down) {
        flood(from, frames, count);
        return count;
    }
    size_t taken = nic_queue_push_batch(&other->queue, frames, count);
    from->held = taken < count;
    wake(other);
    return taken;
}

/* There is room again for those that were held back. */
static void release(nic_hub *hub)
{
    for (size_t i = 0; i < PORTS_MAX; i++) {
        hub_port *port = hub->ports[i];
        if (!port || !port->held)
            continue;
        port->held = false;
        nic_chain_resume(port->base.lower);
        if (port->base.blocked)
            nic_backend_writable(&port->base);
        wake(port);
    }
}

static size_t hub_send(nic_backend *backend, const nic_frame *frames, size_t count)
{
    return repeat((hub_port *)backend, frames, count);
}

static size_t hub_deliver(nic_backend *backend, const nic_frame *frames, size_t count)
{
    size_t taken = repeat((hub_port *)backend, frames, count);
    backend->counters.received_frames += taken;
    return taken;
}

static bool hub_room(const nic_backend *backend)
{
    const hub_port *other = only_other((const hub_port *)backend);
    return !other || other->down || other->queue.tail - other->queue.head < other->queue.size / 2;
}

static size_t pass_down(nic_backend *backend, const nic_frame *frames, size_t count)
{
    return nic_backend_send(backend->lower, frames, count);
}

static void hub_poll(nic_backend *backend)
{
    nic_hub *hub = ((hub_port *)backend)->hub;
    if (hub->busy)
        return;
    hub->busy = true;
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (hub->ports[i])
            nic_chain_poll(hub->ports[i]->base.lower);
    for (size_t i = 0; i < PORTS_MAX; i++) {
        hub_port *port = hub->ports[i];
        if (!port || !port->queue.frames)
            continue;
        bool moved = nic_queue_flush(&port->queue, &port->base, port->base.lower ? pass_down : nic_backend_deliver);
        if (moved)
            release(hub);
        if (moved && port->queue.frames && hub->loop)
            nic_loop_wake(hub->loop);
    }
    hub->busy = false;
}

static int64_t hub_timeout(nic_backend *backend)
{
    nic_hub *hub = ((hub_port *)backend)->hub;
    int64_t wait = -1;
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (hub->ports[i])
            wait = nic_earlier(wait, nic_chain_timeout(hub->ports[i]->base.lower));
    return wait;
}

/* The backends below run on the loop of the first card that has one. */
static void choose_loop(nic_hub *hub, const nic_backend *leaving)
{
    nic_loop *loop = NULL;
    for (size_t i = 0; i < PORTS_MAX && !loop; i++)
        if (hub->ports[i] && &hub->ports[i]->base != leaving && !hub->ports[i]->base.lower)
            loop = hub->ports[i]->base.loop;
    hub->loop = loop;
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (hub->ports[i])
            nic_chain_attach(hub->ports[i]->base.lower, loop);
}

/* They live by the clock of the first card; `changed` gets another one. */
static void choose_clock(nic_hub *hub, const nic_backend *changed, nic_clock *to)
{
    nic_clock *clock = NULL;
    for (size_t i = 0; i < PORTS_MAX && !clock; i++)
        if (hub->ports[i] && hub->ports[i]->base.port)
            clock = &hub->ports[i]->base == changed ? to : hub->ports[i]->base.clock;
    hub->clock = clock;
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (hub->ports[i])
            nic_chain_clock(hub->ports[i]->base.lower, clock);
}

static void hub_clock(nic_backend *backend, nic_clock *clock)
{
    if (backend->port)
        choose_clock(((hub_port *)backend)->hub, backend, clock);
}

/* A wire is joined to a hub that may have its cards already. */
static void hub_wrapped(nic_backend *backend)
{
    nic_hub *hub = ((hub_port *)backend)->hub;
    nic_chain_clock(backend->lower, hub->clock);
    nic_chain_attach(backend->lower, hub->loop);
}

static void hub_attach(nic_backend *backend, nic_loop *loop)
{
    nic_hub *hub = ((hub_port *)backend)->hub;
    if (loop ? !hub->loop : hub->loop == backend->loop)
        choose_loop(hub, loop ? NULL : backend);
}

/* What waits for the backend below goes out with the next turn. */
static void hub_writable(nic_backend *backend)
{
    nic_hub *hub = ((hub_port *)backend)->hub;
    if (hub->loop)
        nic_loop_wake(hub->loop);
}

static void hub_close(nic_backend *backend)
{
    hub_port *port = (hub_port *)backend;
    nic_hub *hub = port->hub;
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (hub->ports[i] == port)
            hub->ports[i] = NULL;
    release(hub);
    choose_loop(hub, backend);
    choose_clock(hub, backend, NULL);
    nic_queue_free(&port->queue);
    hub_unref(hub);
}

static const nic_backend_ops hub_ops = {
    .name = "hubport",
    .damaged = true,
    .send = hub_send,
    .resume = nic_backend_wake,
    .deliver = hub_deliver,
    .room = hub_room,
    .writable = hub_writable,
    .poll = hub_poll,
    .timeout = hub_timeout,
    .attach = hub_attach,
    .clock = hub_clock,
    .wrapped = hub_wrapped,
    .close = hub_close,
};

nic_hub *nic_hub_new(void)
{
    nic_hub *hub = calloc(1, sizeof(*hub));
    if (hub)
        hub->references = 1;
    return hub;
}

nic_backend *nic_hub_port(nic_hub *hub)
{
    size_t free_slot = 0;
    while (free_slot < PORTS_MAX && hub->ports[free_slot])
        free_slot++;
    if (free_slot == PORTS_MAX)
        return NULL;
    hub_port *port = nic_backend_new(sizeof(*port), &hub_ops);
    if (!port)
        return NULL;
    if (!nic_queue_init(&port->queue, NIC_WIRE_BYTES)) {
        free(port);
        return NULL;
    }
    port->hub = hub;
    hub->ports[free_slot] = port;
    hub->references++;
    return &port->base;
}

void nic_hub_port_set_link(nic_backend *backend, bool up)
{
    hub_port *port = (hub_port *)backend;
    port->down = !up;
    if (port->down) {
        backend->counters.receive_drops += port->queue.frames;
        nic_queue_clear(&port->queue);
        release(port->hub);
    }
    if (!backend->lower)
        nic_backend_set_link(backend, up);
}

void nic_hub_free(nic_hub *hub)
{
    if (hub)
        hub_unref(hub);
}
