/*
 * null: a wire that swallows every frame and brings none; what remains is the card's own cost.
 */
#include "backends.h"

static size_t null_send(nic_backend *backend NIC_UNUSED, const nic_frame *frames NIC_UNUSED, size_t count)
{
    return count;
}

static void null_close(nic_backend *backend NIC_UNUSED) {}

static const nic_backend_ops null_ops = {.name = "null", .damaged = true, .send = null_send, .close = null_close};

nic_backend *nic_null_new(void) { return nic_backend_new(sizeof(nic_backend), &null_ops); }
