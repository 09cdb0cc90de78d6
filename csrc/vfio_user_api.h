/*
 * The vfio-user server as Python sees it (declarations only, see nic_api.h).
 */
#ifndef NICEMU_VFIO_USER_API_H
#define NICEMU_VFIO_USER_API_H

typedef struct nic_vfio nic_vfio;

typedef struct nic_vfio_counters { /* what the server saw of its clients; never reset */
    uint64_t connections;
    uint64_t refused_connections; /* a client was there already, or no descriptor was left */
    uint64_t messages;
    uint64_t region_reads, region_writes; /* a WRITE_MULTI counts each of its writes */
    uint64_t bad_accesses;        /* to no region, outside of one, or with a count that does not fit the message */
    uint64_t python_requests;     /* answered by Python */
    uint64_t errors;              /* requests answered with an error, or that would have been, bad accesses included */
    uint64_t protocol_errors;     /* sessions ended because the stream made no sense */
    uint64_t stray_replies;       /* to nothing that was asked */
    uint64_t stray_fds;           /* file descriptors that came with a message that takes none */
    uint64_t slow_clients;        /* sessions ended because replies were not read */
    uint64_t dma_reads, dma_writes; /* messages sent */
    uint64_t dma_errors;          /* answered with an error or too short */
    uint64_t dma_refused;         /* wanted inside a request, or of a client with the shifted layout */
    uint64_t dma_aborted;         /* the client reset or unmapped while it owed the reply */
    uint64_t dma_timeouts;        /* sessions ended because a reply did not come */
} nic_vfio_counters;

enum { /* commands of nicemu_vfio_request that no message carries */
    NIC_VFIO_OPENED = 0x10000,  /* a client connected */
    NIC_VFIO_CLOSED = 0x10001,  /* it is gone: unmap its memory; payload: why, as text */
    NIC_VFIO_SHIFTED = 0x10002, /* it has the shifted DMA layout: messages to its memory are refused */
};

/*
 * Answers a request: calls nic_vfio_reply, or returns an errno (0: success without payload).  The payload and the
 * file descriptors are valid during the call; what is to be kept is duplicated.
 */
void nic_vfio_set_python(int (*request)(void *python, uint32_t command, const uint8_t *payload, size_t size,
                                        const int *fds, size_t fd_count));

nic_vfio *nic_vfio_new(nic_device *device, nic_loop *loop, void *python); /* NULL: no memory */
void nic_vfio_free(nic_vfio *server);                     /* ends the session, closes what it holds */
int nic_vfio_listen(nic_vfio *server, int fd);            /* takes a listening socket over; 0 or an errno */
int nic_vfio_connect(nic_vfio *server, int fd);           /* takes a connected socket over; 0 or an errno */
bool nic_vfio_connected(const nic_vfio *server);
void nic_vfio_hang_up(nic_vfio *server, const char *why); /* ends the session once its replies are sent; static text */
void nic_vfio_set_spin(nic_vfio *server, uint32_t us);    /* busy-polls this long for the next message */
void nic_vfio_set_dma_timeout(nic_vfio *server, uint32_t ms);
const nic_vfio_counters *nic_vfio_get_counters(const nic_vfio *server);

/* From inside a request. */
void nic_vfio_reply(nic_vfio *server, uint32_t error, const void *data, size_t size); /* at most once for a request */
void nic_vfio_negotiated(nic_vfio *server, uint64_t max_data); /* VERSION was accepted; the client's transfer limit */
/* Client memory that came without a descriptor: reached by DMA_READ and DMA_WRITE.  As nic_memory_add_fd. */
int nic_vfio_add_memory(nic_vfio *server, uint64_t address, uint64_t length, int access);
/* An eventfd that tells of the guest's end of interrupt (KVM's resampling); taken over.  < 0 takes it away. */
int nic_vfio_set_resample(nic_vfio *server, int fd);
void nic_vfio_trigger(nic_vfio *server, int which);       /* signals the eventfd of NIC_IRQ_INTX or NIC_IRQ_MSI */

#endif
