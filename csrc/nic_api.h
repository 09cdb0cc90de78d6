/*
 * The engine as Python sees it.  csrc/build_ffi.py hands this file to cffi as it stands, so it holds declarations
 * only: no macro, no inline function, no array whose length is an expression.
 */
#ifndef NICEMU_NIC_API_H
#define NICEMU_NIC_API_H

typedef struct nic_device nic_device;
typedef struct nic_card nic_card;
typedef struct nic_memory nic_memory;
typedef struct nic_clock nic_clock;
typedef struct nic_loop nic_loop;
typedef struct nic_backend nic_backend;
typedef struct nic_port nic_port;
typedef struct nic_access nic_access;

/* ---------------------------------------------------------------- register rows, compiled from the Python tables */

enum {
    NIC_SPACES = 12,         /* BARs 0-5, configuration space, expansion ROM, and four that no host reaches */
    NIC_SPACE_CONFIG = 6,
    NIC_SPACE_ROM = 7,
    NIC_SPACE_OWN = 8,       /* first space that only windows and hooks reach */
    NIC_GATES = 2,
    NIC_PAGES = 4,
    NIC_NO_CELL = 0xffffffff,
};

enum { /* nic_row.flags */
    NIC_ROW_INTERRUPT = 1,   /* an access may change the interrupt line */
    NIC_ROW_PYTHON_READ = 2, /* reads ask a Python hook */
    NIC_ROW_PYTHON_WRITE = 4,
    NIC_ROW_WINDOW = 8,      /* accesses go to `window_space` at the offset in cell `window_cell` */
    NIC_ROW_BANK = 16,       /* the index is in `bank_cell` */
    NIC_ROW_GATED = 32,      /* writes count while one of `gates` is open */
    NIC_ROW_PAIRS = 64,      /* has pairs */
};

typedef struct nic_gate {    /* open while the cell, masked, has the value */
    uint32_t cell;           /* NIC_NO_CELL: no such gate */
    uint32_t mask, value;
} nic_gate;

typedef struct nic_row nic_row;
struct nic_row {             /* one register, or one array of equal registers */
    uint32_t id;             /* its place in the model's rows: names it to Python */
    uint32_t cell;           /* storage of element 0 */
    uint32_t offset, stride; /* of element 0 in its space, and from one to the next */
    uint32_t clears;         /* first cell that a read of this one clears too, or NIC_NO_CELL */
    uint8_t size;            /* bytes of one element: 1, 2 or 4 */
    uint8_t flags;
    uint16_t space;
    uint32_t read, write, w1c, w1s, rc; /* bits taking part in each rule (registers.py, Access) */
    uint32_t reserved;       /* writing other than the reset value is reported */
    uint32_t unmodelled;     /* every use is counted */
    uint32_t window_space, window_cell; /* window_cell NIC_NO_CELL: fixed */
    uint32_t window_scale, window_base;
    uint32_t count;
    uint32_t bank_cell;      /* the index is in this cell, or NIC_NO_CELL */
    uint32_t pair;           /* lower bits of pairs: writing 1 to one bit sets it and clears its neighbour */
    nic_gate gates[2];       /* writes count while one is open; the first has no cell: always */
    uint32_t (*read_hook)(nic_device *, const nic_row *, const nic_access *);
    void (*write_hook)(nic_device *, const nic_row *, const nic_access *);
    bool (*read_block)(nic_device *, const nic_row *, const nic_access *, void *, size_t);
    bool (*write_block)(nic_device *, const nic_row *, const nic_access *, const void *, size_t);
};

typedef struct nic_slot {    /* what an offset reaches; one for each granule of a space */
    uint16_t row;            /* row id + 1, or 0: nothing there */
    uint16_t index;          /* element of the array */
    uint8_t byte;            /* first byte of this granule within the element */
} nic_slot;

typedef struct nic_space {
    uint64_t size;           /* bytes; 0: the device has no such space */
    uint32_t slots;          /* granules described; offsets beyond reach nothing */
    uint8_t granule;         /* log2 of the bytes of a granule */
    uint8_t widths;          /* access sizes that the data sheet allows: bits 1, 2, 4, 8 */
    uint8_t unmapped;        /* what a byte of nothing reads */
    uint8_t whole;           /* registers take no part: a partial write is ignored, a partial read acts on all of it */
    uint8_t io;              /* an I/O BAR: decoded when COMMAND enables I/O, else when it enables memory */
    const nic_slot *read[4]; /* by page */
    const nic_slot *write[4];
} nic_space;

typedef struct nic_reset_cell {  /* how one cell is reset */
    uint32_t value;
    uint32_t undefined;          /* bits filled from the seed at power-on */
    uint32_t keep_bus, keep_soft; /* bits that the bus reset and the soft reset leave */
} nic_reset_cell;

typedef struct nic_pci_cells {   /* where the engine finds what it needs of configuration space (NIC_NO_CELL: absent) */
    uint32_t command, status, msi_control, msi_address, msi_data, pm_control, rom_base;
    bool intx_bits;              /* has PCI 2.3's Interrupt Disable and Interrupt Status */
} nic_pci_cells;

enum { /* rules that every card has, by their place in nic_model.general; numbers of the card's own rules */
    NIC_GENERAL_WIDTH,           /* an access size that the data sheet does not allow: offset, size */
    NIC_GENERAL_RESERVED,        /* reserved bits written: offset, value */
    NIC_GENERAL_UNMAPPED,        /* access to no register: offset, size */
    NIC_GENERAL_DURING_RESET,    /* access while the card resets: offset, ns left */
    NIC_GENERAL_BUS_MASTER,      /* DMA wanted with bus mastering off: address, length */
    NIC_GENERAL_DMA_UNMAPPED,    /* DMA to an address that nobody backs: address, length */
    NIC_GENERAL_LOCKED,          /* write to a register whose gate is shut: row, value */
    NIC_GENERAL_RULES,
};

typedef struct nic_model {
    const char *name;
    const nic_card *card;
    nic_space spaces[12];
    nic_row *rows;
    uint32_t row_count;
    const nic_reset_cell *resets; /* one for each cell */
    uint32_t cell_count;
    nic_pci_cells pci;
    uint32_t rule_count;         /* findings: rules known to the model */
    uint32_t general[7];         /* the card's number of each general rule, or NIC_RULES for none */
} nic_model;

/* ---------------------------------------------------------------- counters, findings, trace */

typedef struct nic_counters {    /* what the engine saw of the guest; never reset but by nic_counters_clear */
    uint64_t reads, writes;      /* register accesses */
    uint64_t unmapped_accesses;  /* to no register */
    uint64_t reserved_writes;    /* that tried to change reserved bits */
    uint64_t unmodelled_uses;
    uint64_t locked_writes;      /* to registers whose gate was shut */
    uint64_t odd_widths;         /* access sizes that the data sheet does not allow */
    uint64_t gated_accesses;     /* with the space disabled in COMMAND */
    uint64_t dma_reads, dma_writes;
    uint64_t dma_blocked;        /* with bus mastering off */
    uint64_t dma_errors;         /* to addresses that nobody backs, or read-only */
    uint64_t descriptors;        /* fetched */
    uint64_t interrupts;         /* rising edges of the line and MSI messages */
    uint64_t reentries;          /* work asked for from inside work (DMA to the card itself): done after it */
    uint64_t python_errors;      /* exceptions of Python hooks, kept from the guest */
} nic_counters;

typedef struct nic_port_counters {
    uint64_t sent_frames, sent_bytes;         /* taken by the backend */
    uint64_t received_frames, received_bytes; /* handed to the card */
    uint64_t no_backend;       /* sent with nothing plugged in */
    uint64_t link_down;        /* frames that met a link that is down, both ways, or were held back when it went */
    uint64_t reset;            /* held back when the card was reset by its bus or by power */
    uint64_t oversize;         /* arrived longer than NIC_FRAME_MAX */
    uint64_t queue_full;       /* arrived and found no room in the inbound queue */
    uint64_t blocked;          /* times that a send fell short */
} nic_port_counters;

typedef struct nic_backend_counters {
    uint64_t sent_frames, sent_bytes;
    uint64_t received_frames, received_bytes;
    uint64_t send_drops;       /* lost on the way out, by the backend's own choice or fault */
    uint64_t receive_drops;    /* lost on the way in */
    uint64_t filtered;         /* refused by a rule (slirp's frame filter) */
    uint64_t errors;           /* of the operating system */
} nic_backend_counters;

typedef struct nic_finding {
    uint64_t time;             /* ns on the device's clock */
    uint32_t rule;
    uint64_t first, second;    /* two values for the report; the rule says what they are */
} nic_finding;

enum { NIC_FINDINGS_KEPT = 256, NIC_RULES = 128 };

typedef struct nic_findings {
    uint64_t counts[128];      /* by rule: every time */
    nic_finding kept[256];     /* ring; at most 8 of a rule until drained */
    uint32_t kept_of[128];
    uint32_t head, tail;       /* free-running */
} nic_findings;

typedef struct nic_trace_entry {
    uint64_t time;
    uint32_t space, offset, row, index; /* row: id + 1, or 0 */
    uint64_t value;
    uint8_t size, write;
} nic_trace_entry;

/* ---------------------------------------------------------------- calls into Python */

enum { /* what happened to a frame on its wire, or what its sender left out (nic_frame.flags) */
    NIC_FRAME_SHORT = 1,     /* it is as short as it looks; others count as padded to 60 bytes (IEEE 802.3, 4.2.3.3) */
    NIC_FRAME_BAD_FCS = 2,
    NIC_FRAME_ALIGNMENT = 4, /* not a whole number of bytes, and its FCS is wrong */
    NIC_FRAME_RX_ERROR = 8,  /* the PHY signalled an error within it */
};

enum { NIC_RESET_POWER = 0, NIC_RESET_BUS = 1, NIC_RESET_SOFT = 2 };
enum { NIC_PROFILE_INSTANT = 0, NIC_PROFILE_WIRE = 1, NIC_PROFILE_CHAOS = 2 };

/* Set once by the Python package; a program without Python leaves them NULL. */
typedef struct nic_python {
    uint32_t (*read)(void *python, uint32_t row, uint32_t index, uint32_t enable, uint32_t value);
    void (*write)(void *python, uint32_t row, uint32_t index, uint32_t enable, uint32_t value, uint32_t old);
    void (*reset)(void *python, int kind);                   /* the cells were reset */
    void (*timer)(void *python, uint32_t timer);
    void (*link)(void *python, int up);                      /* the wire went up or down */
    void (*event)(void *python, uint32_t event, uint64_t value); /* a card tells its Python side something */
    void (*interrupt)(void *sink, uint32_t vector, int level);
    int (*memory_read)(void *region, uint64_t address, void *buffer, size_t length);   /* 0: done */
    int (*memory_write)(void *region, uint64_t address, const void *buffer, size_t length);
    size_t (*backend_send)(void *backend, const uint8_t *frames, const uint32_t *lengths, size_t count);
    void (*backend_poll)(void *backend);
    void (*backend_lost)(void *told, int error);             /* the far side went away for good; an errno */
    void (*source)(void *source, uint32_t events);           /* a Python fd on a loop is ready */
} nic_python;
void nic_set_python(const nic_python *callbacks);

/* ---------------------------------------------------------------- guest memory */

nic_memory *nic_memory_new(void);
void nic_memory_free(nic_memory *memory);
enum { NIC_REGION_READ = 1, NIC_REGION_WRITE = 2 };
/* All return 0, or an errno: EEXIST overlaps, EINVAL empty or wraps, ENOMEM, what mmap says. */
int nic_memory_add_host(nic_memory *memory, uint64_t address, uint64_t length, void *host, int access);
int nic_memory_add_fd(nic_memory *memory, uint64_t address, uint64_t length, int fd, uint64_t offset, int access);
int nic_memory_add_python(nic_memory *memory, uint64_t address, uint64_t length, void *python, int access);
int nic_memory_remove(nic_memory *memory, uint64_t address, uint64_t length); /* exactly one region; ENOENT */
void nic_memory_clear(nic_memory *memory);
uint32_t nic_memory_regions(const nic_memory *memory);
uint64_t nic_memory_faults(const nic_memory *memory); /* mapped pages that the other side truncated (SIGBUS) */
bool nic_memory_read(nic_memory *memory, uint64_t address, void *buffer, size_t length);
bool nic_memory_write(nic_memory *memory, uint64_t address, const void *buffer, size_t length);

/* ---------------------------------------------------------------- clocks */

nic_clock *nic_clock_new_monotonic(void);
nic_clock *nic_clock_new_virtual(uint64_t now);
void nic_clock_free(nic_clock *clock);
uint64_t nic_clock_now(const nic_clock *clock);
int nic_clock_advance(nic_clock *clock, uint64_t ns); /* virtual: runs due timers in order; EINVAL otherwise */
uint64_t nic_clock_next(const nic_clock *clock);      /* earliest deadline of its devices, UINT64_MAX: none */
void nic_clock_run(nic_clock *clock);                 /* runs what is due */

/* ---------------------------------------------------------------- models and devices */

const nic_card *nic_card_find(const char *name);
/* Gives a row the card's C hooks; returns 1 if there is one for reads, 2 for writes, 3 for both, 0 for none. */
int nic_model_link_hook(nic_model *model, uint32_t row, const char *space, const char *name);
/* Name of the n-th C hook and its space, so that Python can tell that every hook found its row; false: no more. */
bool nic_card_hook(const nic_card *card, uint32_t n, const char **space, const char **name);

nic_device *nic_device_new(const nic_model *model, nic_memory *memory, nic_clock *clock, uint64_t seed);
void nic_device_free(nic_device *device); /* not while it is busy */
bool nic_device_busy(const nic_device *device); /* inside a call that it makes: to a wire, an interrupt sink, memory */
void nic_device_set_python(nic_device *device, void *python);
void nic_device_set_profile(nic_device *device, int profile);
/* Contents of the expansion ROM, copied; as long as the model's space NIC_SPACE_ROM.  ENOMEM. */
int nic_device_set_rom(nic_device *device, const void *contents);
void nic_device_set_deferred(nic_device *device, bool deferred);
void nic_device_set_hold(nic_device *device, bool hold); /* a full ring holds frames back instead of dropping */
void nic_reset(nic_device *device, int kind);
uint64_t nic_read(nic_device *device, uint32_t space, uint64_t offset, uint32_t size);
void nic_write(nic_device *device, uint32_t space, uint64_t offset, uint64_t value, uint32_t size);
/* `count` accesses of `size` bytes at one offset (insb/insw/insl and outs*). */
void nic_read_repeat(nic_device *device, uint32_t space, uint64_t offset, uint32_t size, void *buffer, size_t count);
void nic_write_repeat(nic_device *device, uint32_t space, uint64_t offset, uint32_t size, const void *buffer,
                      size_t count);
void nic_run_work(nic_device *device);        /* does what doorbells left to do */
void nic_device_poll(nic_device *device);     /* due timers, frames, work */
uint32_t *nic_device_cells(nic_device *device);
void nic_select_page(nic_device *device, uint32_t space, uint32_t page);
nic_counters *nic_device_counters(nic_device *device);
nic_findings *nic_device_findings(nic_device *device);
nic_port_counters *nic_device_port_counters(nic_device *device);
void nic_find(nic_device *device, uint32_t rule, uint64_t first, uint64_t second);
void nic_find_general(nic_device *device, uint32_t general, uint64_t first, uint64_t second);
void nic_set_resetting(nic_device *device, uint64_t until); /* accesses before that time are findings */
void nic_tell_interrupt(nic_device *device);  /* recompute the line after a change of cells from outside */
void nic_pci_changed(nic_device *device);     /* COMMAND or a capability was written: gates and interrupt mode */
void nic_want(nic_device *device, uint32_t work);
/* The next `count` frames that it can happen to meet a disturbance; its kinds are those of the card's own header. */
void nic_disturb(nic_device *device, uint32_t kind, uint32_t count);
bool nic_link_up(const nic_device *device);   /* the wire's state, as the PHY would see it */
void nic_set_cable(nic_device *device, bool plugged); /* set_link: the host program pulls the cable */

int nic_timer_new(nic_device *device, const char *name); /* a Python timer; -1: no more */
void nic_timer_set(nic_device *device, uint32_t timer, uint64_t deadline);
void nic_timer_stop(nic_device *device, uint32_t timer);
uint64_t nic_timer_deadline(const nic_device *device, uint32_t timer); /* UINT64_MAX: off */
uint32_t nic_timer_count(const nic_device *device);
const char *nic_timer_name(const nic_device *device, uint32_t timer);

/* ---------------------------------------------------------------- interrupts */

/* Where the line leads: a Python sink, or eventfds (vfio-user). */
void nic_interrupt_to_python(nic_device *device, void *sink);
enum { NIC_IRQ_INTX = 0, NIC_IRQ_MSI = 1 };
/* fd < 0 takes it away; the device keeps no other reference and closes what it held. */
void nic_interrupt_set_fd(nic_device *device, int which, int fd);
void nic_interrupt_mask(nic_device *device, bool masked); /* INTx, host side; unmasking fires again if still high */
bool nic_interrupt_level(const nic_device *device);       /* the pin, after the INTx disable bit */

/* ---------------------------------------------------------------- trace and snapshots */

int nic_trace_start(nic_device *device, uint32_t entries);
void nic_trace_stop(nic_device *device);
size_t nic_trace_drain(nic_device *device, nic_trace_entry *entries, size_t count, uint64_t *lost);

enum { /* nic_state_view.kind */
    NIC_KIND_NUMBER = 0,
    NIC_KIND_TIME = 1,          /* ns on the device's clock, NIC_NEVER for never: saved as the distance from now */
    NIC_KIND_FLAG = 2,          /* a C bool: 0 or 1 */
};
typedef struct nic_state_view { /* one named piece of a card's private state */
    const char *name;
    void *data;
    uint32_t size, count;
    uint8_t kind;
} nic_state_view;
size_t nic_state(nic_device *device, nic_state_view *views, size_t count); /* fills up to count; returns how many */
void nic_state_loaded(nic_device *device);
bool nic_interrupt_asserted(const nic_device *device); /* what the card asserts, whatever COMMAND and MSI make of it */
void nic_interrupt_restore(nic_device *device, bool level); /* before nic_state_loaded: no message is sent again */
void nic_device_set_work(nic_device *device, uint32_t work);
size_t nic_inbound(nic_device *device, void *buffer, size_t size);         /* records {u32 length, bytes}; bytes needed */
int nic_inbound_load(nic_device *device, const void *records, size_t size); /* EINVAL: malformed; nothing changed */
uint64_t nic_device_random(const nic_device *device);
void nic_device_set_random(nic_device *device, uint64_t state);
uint32_t nic_device_work(const nic_device *device);
uint32_t nic_device_page(const nic_device *device, uint32_t space);

/* ---------------------------------------------------------------- loop */

nic_loop *nic_loop_new(void);
void nic_loop_free(nic_loop *loop);
int nic_loop_add_device(nic_loop *loop, nic_device *device);
void nic_loop_remove_device(nic_loop *loop, nic_device *device);
/* A wire that no card has, such as a port of a hub that only joins wires: 0, EBUSY, ENOSPC.  Freeing it takes it off. */
int nic_loop_add_wire(nic_loop *loop, nic_backend *backend);
void nic_loop_remove_wire(nic_loop *loop, nic_backend *backend);
int nic_loop_fileno(nic_loop *loop);               /* readable when nic_loop_turn has something to do */
int nic_loop_turn(nic_loop *loop, int64_t timeout); /* one turn, waits at most timeout ns (-1: no bound); EINTR */
int nic_loop_run(nic_loop *loop);                  /* turns until stopped (0) or a signal came (EINTR) */
void nic_loop_stop(nic_loop *loop);
void nic_loop_break(void); /* a callback failed: the loop that runs in this thread returns EINTR after its turn */
int nic_loop_add_source(nic_loop *loop, int fd, uint32_t events, void *python); /* a Python fd; epoll event bits */
int nic_loop_remove_source(nic_loop *loop, int fd);

/* ---------------------------------------------------------------- backends */

void nic_device_attach(nic_device *device, nic_backend *backend); /* NULL: unplug */
void nic_backend_free(nic_backend *backend);
nic_backend_counters *nic_backend_get_counters(nic_backend *backend);
void nic_backend_set_drop(nic_backend *backend, bool drop); /* what it cannot take is lost instead of held back */
bool nic_backend_drops(const nic_backend *backend);
int nic_backend_wrap(nic_backend *wrapper, nic_backend *lower); /* EBUSY: lower is already in use */

nic_backend *nic_null_new(void);
nic_backend *nic_loopback_new(void);
nic_backend *nic_python_backend_new(void *python);
/* The upper halves of `lengths` are NIC_FRAME_* flags. */
size_t nic_python_backend_deliver(nic_backend *backend, const uint8_t *frames, const uint32_t *lengths, size_t count);
void nic_python_backend_writable(nic_backend *backend);

#endif
