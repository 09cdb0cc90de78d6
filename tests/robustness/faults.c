/*
 * Makes the n-th allocation of one shared library fail (test_allocation.py): its references to malloc, calloc and
 * realloc are turned to the functions below.  Nobody else's allocations are touched, and any allocator may be
 * underneath, AddressSanitizer's too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if __SIZEOF_POINTER__ == 8
#define SYMBOL(info) ELF64_R_SYM(info)
#else
#define SYMBOL(info) ELF32_R_SYM(info)
#endif

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static long countdown, asked;

static int fails(void)
{
    asked++;
    if (!countdown || --countdown)
        return 0;
    errno = ENOMEM;
    return 1;
}

static void *faulty_malloc(size_t size) { return fails() ? NULL : real_malloc(size); }
static void *faulty_calloc(size_t count, size_t size) { return fails() ? NULL : real_calloc(count, size); }
static void *faulty_realloc(void *old, size_t size) { return fails() ? NULL : real_realloc(old, size); }

/* The n-th allocation from now on fails, n > 0; returns how many there were since the last call. */
long faults_arm(long n)
{
    long before = asked;
    asked = 0;
    countdown = n;
    return before;
}

static const struct {
    const char *name;
    void **real;
    void *faulty;
} wanted[] = {
    {"malloc", (void **)&real_malloc, faulty_malloc},
    {"calloc", (void **)&real_calloc, faulty_calloc},
    {"realloc", (void **)&real_realloc, faulty_realloc},
};

static int turn(uintptr_t base, const ElfW(Rela) *entry, const ElfW(Sym) *symbols, const char *names)
{
    const char *name = names + symbols[SYMBOL(entry->r_info)].st_name;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    void **slot = (void **)(base + entry->r_offset);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strcmp(name, wanted[i].name))
            continue;
        if (mprotect((void *)((uintptr_t)slot & ~(page - 1)), page, PROT_READ | PROT_WRITE))
            return 0;
        *wanted[i].real = *slot;
        *slot = wanted[i].faulty;
        return 1;
    }
    return 0;
}

static int visit(struct dl_phdr_info *info, size_t size, void *library)
{
    const ElfW(Dyn) *dynamic = NULL;
    uintptr_t symbols = 0, names = 0, tables[2] = {0}, bytes[2] = {0};
    int turned = 0;
    (void)size;
    if (!strstr(info->dlpi_name, library))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            dynamic = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        uintptr_t value = dynamic->d_un.d_val;
        symbols = dynamic->d_tag == DT_SYMTAB ? value : symbols;
        names = dynamic->d_tag == DT_STRTAB ? value : names;
        tables[0] = dynamic->d_tag == DT_JMPREL ? value : tables[0];
        bytes[0] = dynamic->d_tag == DT_PLTRELSZ ? value : bytes[0];
        tables[1] = dynamic->d_tag == DT_RELA ? value : tables[1];
        bytes[1] = dynamic->d_tag == DT_RELASZ ? value : bytes[1];
    }
    for (int table = 0; table < 2; table++)
        for (uintptr_t at = 0; at < bytes[table]; at += sizeof(ElfW(Rela)))
            turned += turn(info->dlpi_addr, (const ElfW(Rela) *)(tables[table] + at), (const ElfW(Sym) *)symbols,
                           (const char *)names);
    return turned;
}

/* Returns how many references of the library whose path contains `library` were turned. */
int faults_install(const char *library) { return dl_iterate_phdr(visit, (void *)(uintptr_t)library); }
