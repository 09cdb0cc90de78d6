/*
 * vfio-user on the wire (QEMU docs/interop/vfio-user.rst; structures of <linux/vfio.h>).  Host byte order.
 */
#ifndef NICEMU_VFIO_USER_H
#define NICEMU_VFIO_USER_H

#include <stdint.h>

enum {
    VFIO_USER_VERSION = 1,
    VFIO_USER_DMA_MAP = 2,
    VFIO_USER_DMA_UNMAP = 3,
    VFIO_USER_SET_IRQS = 8,
    VFIO_USER_REGION_READ = 9,
    VFIO_USER_REGION_WRITE = 10,
    VFIO_USER_DMA_READ = 11,
    VFIO_USER_DMA_WRITE = 12,
    VFIO_USER_RESET = 13,
    VFIO_USER_REGION_WRITE_MULTI = 15,
};

enum { /* flags of the header */
    VFIO_USER_TYPE = 0xf,
    VFIO_USER_REPLY = 0x1,
    VFIO_USER_NO_REPLY = 0x10,
    VFIO_USER_ERROR = 0x20,
};

enum { /* regions */
    VFIO_USER_REGION_ROM = 6,
    VFIO_USER_REGION_CONFIG = 7,
};

enum { /* flags of SET_IRQS */
    VFIO_USER_IRQ_NONE = 0x1,
    VFIO_USER_IRQ_MASK = 0x8,
    VFIO_USER_IRQ_UNMASK = 0x10,
};

typedef struct vfio_user_header {
    uint16_t id, command;
    uint32_t size; /* with the header */
    uint32_t flags, error;
} vfio_user_header;

typedef struct vfio_user_access { /* of a region; the data follows */
    uint64_t offset;
    uint32_t region, count;
} vfio_user_access;

typedef struct vfio_user_write { /* one of REGION_WRITE_MULTI */
    vfio_user_access access;
    uint8_t data[8];
} vfio_user_write;

typedef struct vfio_user_dma { /* DMA_READ and DMA_WRITE; the data follows */
    uint64_t address, count;
} vfio_user_dma;

typedef struct vfio_user_unmap {
    uint32_t argsz, flags;
    uint64_t address, size;
} vfio_user_unmap;

typedef struct vfio_user_irqs {
    uint32_t argsz, flags, index, start, count;
} vfio_user_irqs;

_Static_assert(sizeof(vfio_user_header) == 16, "header");
_Static_assert(sizeof(vfio_user_access) == 16, "region access");
_Static_assert(sizeof(vfio_user_write) == 24, "write of WRITE_MULTI");
_Static_assert(sizeof(vfio_user_dma) == 16, "DMA access");
_Static_assert(sizeof(vfio_user_unmap) == 24, "DMA_UNMAP");
_Static_assert(sizeof(vfio_user_irqs) == 20, "SET_IRQS");

#endif
