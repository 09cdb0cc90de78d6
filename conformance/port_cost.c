/*
 * port-cost INTERFACE PORT SECONDS: nanoseconds of one read of a byte from an I/O port, the mean of bursts spread over that
 * time, and how many bursts it is of.
 *
 * It runs beside a transfer.  A burst is one REP INS, as drivers move frames, of a process that no other one preempts.
 * Those in which the interface interrupted are left out: the driver had the processor.  What the host does meanwhile is in
 * the others, as it is in the driver's accesses.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <time.h>

enum { BURST = 8, PAUSE_NS = 5000000 };

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

/* How often an interface interrupted so far, on the only processor. */
static long interrupts(const char *interface)
{
    char line[256];
    long count = -1;
    FILE *file = fopen("/proc/interrupts", "r");
    while (file && count < 0 && fgets(line, sizeof(line), file))
        if (strstr(line, interface) && strchr(line, ':'))
            count = strtol(strchr(line, ':') + 1, NULL, 10);
    if (file)
        fclose(file);
    return count;
}

static long long burst(unsigned short port)
{
    char bytes[BURST];
    long long begin = now();
    insb(port, bytes, BURST);
    return now() - begin;
}

int main(int count, char **arguments)
{
    struct sched_param first = {.sched_priority = 1};
    if (count != 4 || interrupts(arguments[1]) < 0 || iopl(3) || sched_setscheduler(0, SCHED_FIFO, &first))
        return 1;
    unsigned short port = (unsigned short)strtoul(arguments[2], NULL, 0);
    long long end = now() + strtol(arguments[3], NULL, 0) * 1000000000ll, total = 0, bursts = 0;
    while (now() < end) {
        long before = interrupts(arguments[1]);
        long long taken = burst(port);
        if (interrupts(arguments[1]) == before) {
            total += taken;
            bursts++;
        }
        nanosleep(&(struct timespec){0, PAUSE_NS}, NULL);
    }
    printf("%lld %lld\n", bursts ? total / (bursts * BURST) : 0, bursts);
    return bursts ? 0 : 1;
}
