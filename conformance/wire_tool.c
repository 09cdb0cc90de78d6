/*
 * The far end of a wire for wire_bench.py, and the floor that it is measured against: nothing but socket calls.
 *
 *   wire_tool sink dgram|stream PATH COUNTS      takes frames at a Unix socket; two u64 in a file: frames, ready
 *   wire_tool blast dgram|stream PATH N SIZE B   says "ready" when it is connected and waits for a line; sends N frames of
 *                                                SIZE bytes from B buffers, 64 to a call; prints when it began and the
 *                                                processor time that it took, in ns
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, FRAME_MAX = 2048, BUFFERS = 2048, READ_MAX = 1 << 18 };

static uint8_t frames[BUFFERS][FRAME_MAX];
static struct iovec pieces[2 * BATCH];
static struct mmsghdr messages[BATCH];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t ns_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void count(volatile uint64_t *counts, uint64_t frames_more)
{
    __atomic_store_n(counts, *counts + frames_more, __ATOMIC_RELEASE);
}

static void sink_datagrams(int fd, volatile uint64_t *counts)
{
    for (int i = 0; i < BATCH; i++) {
        pieces[i] = (struct iovec){frames[i], FRAME_MAX};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
    }
    for (;;) {
        int n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        if (n < 0 && errno != EINTR)
            fail("recvmmsg");
        if (n > 0)
            count(counts, (uint64_t)n);
    }
}

static void sink_stream(int listener, volatile uint64_t *counts)
{
    static uint8_t data[READ_MAX];
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            fail("accept");
        size_t have = 0;
        ssize_t n;
        while ((n = read(fd, data + have, READ_MAX - have)) > 0) {
            have += (size_t)n;
            size_t at = 0;
            uint64_t whole = 0;
            uint32_t length;
            while (have - at >= 4 && (memcpy(&length, data + at, 4), have - at >= 4 + ntohl(length))) {
                at += 4 + ntohl(length);
                whole++;
            }
            memmove(data, data + at, have -= at);
            count(counts, whole);
        }
        close(fd);
    }
}

static void blast(int fd, int stream, int number, uint32_t size, int buffers)
{
    uint32_t header = htonl(size);
    memset(frames, 0xff, sizeof(frames));
    for (int i = 0; i < BATCH; i++) {
        pieces[2 * i] = (struct iovec){&header, 4};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[2 * i + 1], .msg_iovlen = 1};
    }
    puts("ready");
    fflush(stdout);
    if (getchar() != '\n')
        fail("nobody says go");
    uint64_t begun = ns_of(CLOCK_MONOTONIC), used = ns_of(CLOCK_PROCESS_CPUTIME_ID);
    for (int done = 0; done < number;) {
        int batch = number - done < BATCH ? number - done : BATCH;
        for (int i = 0; i < batch; i++)
            pieces[2 * i + 1] = (struct iovec){frames[(done + i) % buffers], size};
        struct msghdr gathered = {.msg_iov = pieces, .msg_iovlen = 2 * (size_t)batch};
        ssize_t n = stream ? sendmsg(fd, &gathered, 0) : sendmmsg(fd, messages, (unsigned)batch, 0);
        if (n < 0)
            fail("send");
        if (stream && n != (ssize_t)((4 + size) * (size_t)batch))
            fail("a blocking send was cut");
        done += stream ? batch : (int)n;
    }
    used = ns_of(CLOCK_PROCESS_CPUTIME_ID) - used;
    printf("%llu %llu\n", (unsigned long long)begun, (unsigned long long)used);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    int stream = !strcmp(argv[2], "stream");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, argv[3], sizeof(address.sun_path) - 1);
    int fd = socket(AF_UNIX, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
    if (!strcmp(argv[1], "blast")) {
        int buffers = argc < 7 ? 0 : atoi(argv[6]);
        if (buffers < 1 || buffers > BUFFERS || connect(fd, (struct sockaddr *)&address, sizeof(address)))
            fail("connect");
        blast(fd, stream, atoi(argv[4]), (uint32_t)atoi(argv[5]), buffers);
        return 0;
    }
    int file = open(argv[4], O_RDWR);
    volatile uint64_t *counts = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counts == MAP_FAILED || bind(fd, (struct sockaddr *)&address, sizeof(address)) || (stream && listen(fd, 1)))
        fail("sink");
    counts[1] = 1; /* ready */
    (stream ? sink_stream : sink_datagrams)(fd, counts);
}
