/*
 * Guest memory: a sorted list of regions, each mapped into this process or behind two functions.
 *
 * A region that came by file descriptor may be truncated by its owner while we use it; the kernel then answers an
 * access with SIGBUS.  The handler below puts a page of zeros in the hole and counts, so that a hostile or dying
 * client costs data, not the process.
 */
#define _GNU_SOURCE
#include "nic.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct region {
    uint64_t address, last; /* first and last byte */
    uint8_t *host;          /* NULL: by function */
    nic_memory_read_fn read;
    nic_memory_write_fn write;
    void *context;
    int access;
    void *mapping;          /* what to unmap, or NULL */
    size_t mapping_length;
} region;

struct nic_memory {
    region *regions; /* ascending addresses */
    uint32_t count, room;
    uint32_t recent; /* index of the region that was used last */
};

/* ------------------------------------------------------------------ truncated files */

/*
 * Mappings the SIGBUS handler may repair, of all threads.  The lock is held for a few instructions that touch no
 * guarded memory, so the handler may wait for it.
 */
enum { GUARDED = 4096 };
static struct guard {
    uintptr_t begin, end;
} guards[GUARDED];
static int guard_count;
static _Atomic uint64_t guard_faults;
static struct sigaction previous_action;
static atomic_flag guard_lock = ATOMIC_FLAG_INIT;

static void lock_guards(void)
{
    while (atomic_flag_test_and_set_explicit(&guard_lock, memory_order_acquire))
        ;
}

static void unlock_guards(void) { atomic_flag_clear_explicit(&guard_lock, memory_order_release); }

static bool is_guarded(uintptr_t fault)
{
    bool found = false;
    lock_guards();
    for (int i = 0; i < guard_count && !found; i++)
        found = fault >= guards[i].begin && fault < guards[i].end;
    unlock_guards();
    return found;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    uintptr_t page = (uintptr_t)info->si_addr & ~(uintptr_t)4095;
    if (is_guarded((uintptr_t)info->si_addr) &&
        mmap((void *)page, 4096, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
            MAP_FAILED) {
        guard_faults++;
        return;
    }
    if (previous_action.sa_flags & SA_SIGINFO) {
        previous_action.sa_sigaction(number, info, context);
    } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
        previous_action.sa_handler(number);
    } else {
        signal(SIGBUS, SIG_DFL);
        raise(SIGBUS);
    }
}

static int guard_add(void *begin, size_t length)
{
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    int error = 0;
    lock_guards();
    if (guard_count == GUARDED)
        error = ENOMEM;
    else if (guard_count == 0 && sigaction(SIGBUS, &action, &previous_action))
        error = errno;
    else
        guards[guard_count++] = (struct guard){(uintptr_t)begin, (uintptr_t)begin + length};
    unlock_guards();
    return error;
}

static void guard_remove(const void *begin)
{
    lock_guards();
    for (int i = 0; i < guard_count; i++)
        if (guards[i].begin == (uintptr_t)begin) {
            guards[i] = guards[guard_count - 1];
            guard_count--;
            break;
        }
    if (guard_count == 0)
        sigaction(SIGBUS, &previous_action, NULL);
    unlock_guards();
}

uint64_t nic_memory_faults(const nic_memory *memory NIC_UNUSED) { return guard_faults; }

/* ------------------------------------------------------------------ the list of regions */

nic_memory *nic_memory_new(void) { return calloc(1, sizeof(nic_memory)); }

static void region_release(region *r)
{
    if (r->mapping) {
        guard_remove(r->mapping);
        munmap(r->mapping, r->mapping_length);
    }
}

void nic_memory_clear(nic_memory *memory)
{
    for (uint32_t i = 0; i < memory->count; i++)
        region_release(&memory->regions[i]);
    memory->count = memory->recent = 0;
}

void nic_memory_free(nic_memory *memory)
{
    if (!memory)
        return;
    nic_memory_clear(memory);
    free(memory->regions);
    free(memory);
}

uint32_t nic_memory_regions(const nic_memory *memory) { return memory->count; }

/* Index of the first region that ends at or after address. */
static uint32_t lower_bound(const nic_memory *memory, uint64_t address)
{
    uint32_t low = 0, high = memory->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (memory->regions[middle].last < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int check_new(nic_memory *memory, uint64_t address, uint64_t length)
{
    if (!length || address + (length - 1) < address)
        return EINVAL;
    uint32_t i = lower_bound(memory, address);
    if (i < memory->count && memory->regions[i].address <= address + (length - 1))
        return EEXIST;
    if (memory->count == memory->room) {
        uint32_t room = memory->room ? 2 * memory->room : 8;
        region *regions = realloc(memory->regions, room * sizeof(region));
        if (!regions)
            return ENOMEM;
        memory->regions = regions;
        memory->room = room;
    }
    return 0;
}

static int insert(nic_memory *memory, region r)
{
    int error = check_new(memory, r.address, r.last - r.address + 1);
    if (error)
        return error;
    uint32_t i = lower_bound(memory, r.address);
    memmove(&memory->regions[i + 1], &memory->regions[i], (memory->count - i) * sizeof(region));
    memory->regions[i] = r;
    memory->count++;
    memory->recent = i;
    return 0;
}

int nic_memory_add_host(nic_memory *memory, uint64_t address, uint64_t length, void *host, int access)
{
    if (!length || address + (length - 1) < address)
        return EINVAL;
    return insert(memory, (region){.address = address, .last = address + (length - 1), .host = host, .access = access});
}

int nic_memory_add_callbacks(nic_memory *memory, uint64_t address, uint64_t length, nic_memory_read_fn read,
                             nic_memory_write_fn write, void *context, int access)
{
    if (!length || address + (length - 1) < address)
        return EINVAL;
    return insert(memory, (region){.address = address, .last = address + (length - 1), .read = read, .write = write,
                                   .context = context, .access = access});
}

int nic_memory_add_python(nic_memory *memory, uint64_t address, uint64_t length, void *python, int access)
{
    return nic_memory_add_callbacks(memory, address, length, nic_py.memory_read, nic_py.memory_write, python, access);
}

int nic_memory_add_fd(nic_memory *memory, uint64_t address, uint64_t length, int fd, uint64_t offset, int access)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t lead = offset % page;
    int error = check_new(memory, address, length);
    if (error)
        return error;
    struct stat status;
    if (fstat(fd, &status))
        return errno;
    /* Beyond the end of the file lies nothing to map; a device file has no size to compare with. */
    if (offset + length < offset || offset + length > INT64_MAX ||
        (S_ISREG(status.st_mode) && offset + length > (uint64_t)status.st_size))
        return EINVAL;
    int protection = (access & NIC_REGION_READ ? PROT_READ : 0) | (access & NIC_REGION_WRITE ? PROT_WRITE : 0);
    void *mapping = mmap(NULL, length + lead, protection, MAP_SHARED, fd, (off_t)(offset - lead));
    if (mapping == MAP_FAILED)
        return errno;
    error = guard_add(mapping, length + lead);
    if (!error) {
        error = insert(memory, (region){.address = address, .last = address + (length - 1),
                                        .host = (uint8_t *)mapping + lead, .access = access, .mapping = mapping,
                                        .mapping_length = length + lead});
        if (error)
            guard_remove(mapping);
    }
    if (error)
        munmap(mapping, length + lead);
    return error;
}

int nic_memory_remove(nic_memory *memory, uint64_t address, uint64_t length)
{
    uint32_t i = lower_bound(memory, address);
    if (i == memory->count || !length || memory->regions[i].address != address ||
        memory->regions[i].last != address + (length - 1))
        return ENOENT;
    region_release(&memory->regions[i]);
    memory->count--;
    memmove(&memory->regions[i], &memory->regions[i + 1], (memory->count - i) * sizeof(region));
    memory->recent = 0;
    return 0;
}

/* ------------------------------------------------------------------ access */

static __attribute__((noinline)) region *look_up(nic_memory *memory, uint64_t address)
{
    uint32_t i = lower_bound(memory, address);
    if (i == memory->count || memory->regions[i].address > address)
        return NULL;
    memory->recent = i;
    return &memory->regions[i];
}

/* The region that was used last is nearly always the one. */
static inline region *find(nic_memory *memory, uint64_t address)
{
    if (NIC_LIKELY(memory->recent < memory->count)) {
        region *r = &memory->regions[memory->recent];
        if (NIC_LIKELY(address >= r->address && address <= r->last))
            return r;
    }
    return look_up(memory, address);
}

void *nic_memory_map(nic_memory *memory, uint64_t address, uint64_t length, bool write)
{
    region *r = find(memory, address);
    if (NIC_UNLIKELY(!r || !r->host || !length || r->last - address < length - 1 ||
                     !(r->access & (write ? NIC_REGION_WRITE : NIC_REGION_READ))))
        return NULL;
    return r->host + (address - r->address);
}

bool nic_memory_read(nic_memory *memory, uint64_t address, void *buffer, size_t length)
{
    uint8_t *to = buffer;
    while (length) {
        region *r = find(memory, address);
        if (!r || !(r->access & NIC_REGION_READ))
            return false;
        uint64_t here = r->last - address;
        size_t part = here < length - 1 ? (size_t)here + 1 : length;
        if (r->host)
            memcpy(to, r->host + (address - r->address), part);
        else if (!r->read || r->read(r->context, address, to, part))
            return false;
        address += part;
        to += part;
        length -= part;
        if (length && !address)
            return false; /* the end of the address space */
    }
    return true;
}

bool nic_memory_write(nic_memory *memory, uint64_t address, const void *buffer, size_t length)
{
    const uint8_t *from = buffer;
    while (length) {
        region *r = find(memory, address);
        if (!r || !(r->access & NIC_REGION_WRITE))
            return false;
        uint64_t here = r->last - address;
        size_t part = here < length - 1 ? (size_t)here + 1 : length;
        if (r->host)
            memcpy(r->host + (address - r->address), from, part);
        else if (!r->write || r->write(r->context, address, from, part))
            return false;
        address += part;
        from += part;
        length -= part;
        if (length && !address)
            return false;
    }
    return true;
}
