/*
 * port-cost PORT SECONDS: nanoseconds of one read of a byte from an I/O port, the mean of short bursts over that time.
 *
 * It runs beside a transfer.  Reads in which the driver or another process had the processor are left out: a frame takes
 * milliseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>
#include <time.h>

enum { BURST = 20, PAUSE_NS = 20000000, INTERRUPTED_NS = 2000000 };

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

int main(int count, char **arguments)
{
    if (count != 3 || iopl(3))
        return 1;
    unsigned short port = (unsigned short)strtoul(arguments[1], NULL, 0);
    long long end = now() + strtol(arguments[2], NULL, 0) * 1000000000ll, total = 0, reads = 0;
    while (now() < end) {
        for (int i = 0; i < BURST; i++) {
            long long begin = now();
            inb(port);
            long long taken = now() - begin;
            total += taken < INTERRUPTED_NS ? taken : 0;
            reads += taken < INTERRUPTED_NS;
        }
        nanosleep(&(struct timespec){0, PAUSE_NS}, NULL);
    }
    printf("%lld\n", reads ? total / reads : 0);
    return reads ? 0 : 1;
}
