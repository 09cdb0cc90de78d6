/*
 * Playing a script of guest accesses and arriving frames without Python in between, for benchmarks.
 */
#ifndef NICEMU_BENCH_API_H
#define NICEMU_BENCH_API_H

enum {
    NIC_STEP_WRITE,       /* a guest's write: space, offset, value, size */
    NIC_STEP_READ,        /* a guest's read: space, offset, size */
    NIC_STEP_READ_BLOCK,  /* `value` reads of one offset: space, offset, size; what is read is forgotten */
    NIC_STEP_WRITE_BLOCK, /* as many writes of one offset as use `data` up: space, offset, size */
    NIC_STEP_STORE,       /* the guest's processor stores `data` at guest address `offset` */
    NIC_STEP_ARRIVE,      /* `value` copies of the frame in `data` arrive from the card's wire, in batches */
};

typedef struct nic_step {
    uint32_t kind;
    uint32_t space, size;
    uint64_t offset, value;
    const uint8_t *data;
    uint32_t length;
} nic_step;

/* Plays the steps `times` over.  False: the wire took fewer frames than arrived, or guest memory is not there. */
bool nic_play(nic_device *device, const nic_step *steps, size_t count, uint32_t times);

#endif
