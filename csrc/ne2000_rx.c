/*
 * Reception of the NE2000 family: address recognition, the receive ring, overflow, tally counters (7.0, 10.3).
 */
#include "ne2000.h"

#include <string.h>

/* ------------------------------------------------------------------ address recognition (10.3 RCR, PAR, MAR) */

static uint32_t hash_of(const uint8_t *address) { return nic_hash_big(address) >> 26; }

bool ne2000_recognizes(nic_device *device, const uint8_t *address, bool *group)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint32_t rcr = ne2000_reg(device, NE2000_RCR);
    *group = address[0] & 1;
    if (*group) {
        if (rcr & NE2000_RCR_AB && !memcmp(address, broadcast, 6))
            return true;
        uint32_t hash = hash_of(address);
        return rcr & NE2000_RCR_AM && ne2000_reg(device, NE2000_MAR + hash / 8) >> hash % 8 & 1;
    }
    if (rcr & NE2000_RCR_PRO)
        return true;
    for (uint32_t i = 0; i < 6; i++)
        if (address[i] != ne2000_reg(device, NE2000_PAR + i))
            return false;
    return true;
}

/* TCR.ATD: a station may switch transmitters off and on by multicasts (10.3 TCR). */
static void obey_multicast(nic_device *device, const uint8_t *address)
{
    ne2000 *card = ne2000_of(device);
    uint32_t hash = hash_of(address);
    if (!(ne2000_reg(device, NE2000_TCR) & NE2000_TCR_ATD) || hash < 62)
        return;
    card->silenced = hash == 62;
    if (!card->silenced && card->sending == NE2000_WAITING)
        nic_want_work(device, NIC_WORK_TRANSMIT);
}

/* ------------------------------------------------------------------ tally counters (10.3 CNTR) */

static void tally(nic_device *device, uint32_t counter)
{
    uint32_t *cell = &device->cells[counter];
    if (*cell < NE2000_TALLY_MAX && ++*cell == 128)
        ne2000_cause(device, NE2000_ISR_CNT);
}

/* ------------------------------------------------------------------ the ring (7.0) */

static uint32_t next_page(const nic_device *device, uint32_t page)
{
    page = (page + 1) & 0xff;
    return page == ne2000_reg(device, NE2000_PSTOP) ? ne2000_reg(device, NE2000_PSTART) : page;
}

static uint32_t pages_of(uint32_t length)
{
    return (NE2000_HEADER + length + NE2000_FCS + NE2000_PAGE - 1) / NE2000_PAGE;
}

/*
 * Whether a packet of so many pages can be linked without meeting BNRY (policy hold).  Linux's driver writes PSTART - 1
 * for the last page of the ring; the chip never meets that and would overwrite what was not yet read.
 */
static bool fits(const nic_device *device, uint32_t pages)
{
    uint32_t page = ne2000_reg(device, NE2000_CURR), boundary = ne2000_reg(device, NE2000_BNRY);
    if (((boundary + 1) & 0xff) == ne2000_reg(device, NE2000_PSTART))
        boundary = (ne2000_reg(device, NE2000_PSTOP) - 1) & 0xff;
    while (pages--) {
        page = next_page(device, page);
        if (page == boundary)
            return false;
    }
    return true;
}

/* Not even an empty ring, with BNRY a page behind CURR, has so many pages. */
static bool never_fits(const nic_device *device, uint32_t pages)
{
    uint32_t start = ne2000_reg(device, NE2000_PSTART), stop = ne2000_reg(device, NE2000_PSTOP);
    return stop <= start || pages + 2 > stop - start;
}

bool ne2000_can_receive(nic_device *device)
{
    struct iovec iov;
    nic_frame frame;
    if (!device->port.hold || !ne2000_started(device) || !nic_queue_peek(&device->port.inbound, &frame, &iov))
        return true;
    uint32_t pages = pages_of(frame.length < NE2000_MIN ? NE2000_MIN : frame.length);
    return fits(device, pages) || never_fits(device, pages);
}

/* Local DMA: bytes into packet memory from `address` to the end of its page at most. */
static void put(nic_device *device, uint16_t address, const uint8_t *from, uint32_t length)
{
    ne2000 *card = ne2000_of(device);
    if (!ne2000_swaps(device) && ne2000_is_ram(card, address)) {
        memcpy(ne2000_ram(card, address), from, length);
        return;
    }
    uint32_t swap = ne2000_swaps(device);
    for (uint32_t i = 0; i < length; i++)
        ne2000_store(card, (uint16_t)(address + i) ^ (uint16_t)swap, from[i]);
}

/*
 * Stores a packet and its CRC behind room for the header, a page at a time, and links each next page; at BNRY it gives
 * up.  Returns the page behind the packet, or -1.
 */
static int store(nic_device *device, const uint8_t *bytes, uint32_t length, uint32_t crc)
{
    uint32_t page = ne2000_reg(device, NE2000_CURR), at = NE2000_HEADER, total = length + NE2000_FCS;
    for (uint32_t done = 0; done < total;) {
        uint16_t address = (uint16_t)(page << 8 | at);
        uint32_t room = NE2000_PAGE - at, n = total - done < room ? total - done : room;
        uint32_t data = done < length ? (length - done < n ? length - done : n) : 0;
        put(device, address, bytes + done, data);
        for (uint32_t i = data; i < n; i++)
            put(device, (uint16_t)(address + i), &(uint8_t){(uint8_t)(crc >> (8 * (done + i - length)))}, 1);
        done += n;
        at = 0;
        page = next_page(device, page);
        ne2000_set_pair(device, NE2000_CLDA0, NE2000_CLDA1, (uint16_t)(page << 8));
        if (page == ne2000_reg(device, NE2000_BNRY))
            return -1;
    }
    return (int)page;
}

static void write_header(nic_device *device, uint32_t status, uint32_t next, uint32_t length)
{
    ne2000 *card = ne2000_of(device);
    uint16_t address = (uint16_t)(ne2000_reg(device, NE2000_CURR) << 8);
    uint32_t count = length + NE2000_FCS, low = ne2000_swaps(device) ? 3 : 2;
    ne2000_store(card, address, (uint8_t)status);
    ne2000_store(card, address + 1, (uint8_t)next);
    ne2000_store(card, (uint16_t)(address + low), (uint8_t)count);
    ne2000_store(card, (uint16_t)(address + (low ^ 1)), (uint8_t)(count >> 8));
}

/* The ring is exhausted (7.0): under load the chip may have disabled its local DMA until it is reset. */
static void overflow(nic_device *device)
{
    ne2000 *card = ne2000_of(device);
    card->overflowed = true;
    if (device->profile == NIC_PROFILE_CHAOS)
        card->stuck = nic_random(device) & 1;
    ne2000_cause(device, NE2000_ISR_OVW | NE2000_ISR_RST);
}

/* ------------------------------------------------------------------ one frame */

static uint32_t errors_of(const nic_frame *frame)
{
    if (frame->flags & NIC_FRAME_ALIGNMENT)
        return NE2000_RSR_FAE | NE2000_RSR_CRC; /* never without the other (10.3 RSR) */
    return frame->flags & (NIC_FRAME_BAD_FCS | NIC_FRAME_RX_ERROR) ? NE2000_RSR_CRC : 0;
}

/* A missed packet is among the errors that RXE stands for (10.3 ISR). */
static void miss(nic_device *device, uint32_t status)
{
    tally(device, NE2000_CNTR2);
    device->cells[NE2000_RSR] = status | NE2000_RSR_MPA | (ne2000_reg(device, NE2000_RSR) & NE2000_RSR_DIS);
    ne2000_cause(device, NE2000_ISR_RXE);
}

/* The packet in one piece, padded where its sender left that out. */
static const uint8_t *flatten(nic_device *device, const nic_frame *frame, uint32_t length)
{
    ne2000 *card = ne2000_of(device);
    if (frame->iovcnt == 1 && frame->length == length)
        return frame->iov[0].iov_base;
    nic_frame_copy(frame, card->scratch, length);
    if (length > frame->length)
        memset(card->scratch + frame->length, 0, length - frame->length);
    return card->scratch;
}

/* False: it has to wait (policy hold). */
static bool receive_one(nic_device *device, const nic_frame *frame)
{
    ne2000 *card = ne2000_of(device);
    uint32_t rcr = ne2000_reg(device, NE2000_RCR);
    bool padded = frame->length < NE2000_MIN && !(frame->flags & NIC_FRAME_SHORT), group;
    uint32_t length = padded ? NE2000_MIN : frame->length;
    if (length < 8 || (length < NE2000_MIN && !(rcr & NE2000_RCR_AR)))
        return true; /* runts are as if they had not been (10.3 RCR) */
    uint8_t address[6] = {0};
    nic_frame_copy(frame, address, sizeof(address));
    if (!ne2000_recognizes(device, address, &group))
        return true;
    uint32_t pages = pages_of(length), errors = errors_of(frame), status = errors | (group ? NE2000_RSR_PHY : 0);
    bool monitored = rcr & NE2000_RCR_MON, saved = !monitored && (!errors || rcr & NE2000_RCR_SEP);
    if (saved && device->port.hold && !fits(device, pages) && !never_fits(device, pages)) {
        ne2000_cause(device, NE2000_ISR_PRX); /* what stands in its way has to be read */
        return false;
    }
    if (group)
        obey_multicast(device, address);
    if (ne2000_disturbed(device, NE2000_OVERRUN)) { /* reception is aborted (10.3 RSR); no tally is for it */
        uint32_t overrun = ne2000_is_realtek(device) ? 0 : NE2000_RSR_FO; /* bit 3 is 0 there (RTL8029AS 5.1.2.1) */
        device->cells[NE2000_RSR] = overrun | (ne2000_reg(device, NE2000_RSR) & NE2000_RSR_DIS);
        ne2000_cause(device, NE2000_ISR_RXE);
        return true;
    }
    if (errors & NE2000_RSR_FAE)
        tally(device, NE2000_CNTR0);
    else if (errors & NE2000_RSR_CRC)
        tally(device, NE2000_CNTR1);
    if (monitored) {
        miss(device, status);
        return true;
    }
    if (device->port.hold && !fits(device, pages)) { /* too long for any ring, or not to be saved: no overflow of it */
        miss(device, status);
        return true;
    }
    const uint8_t *bytes = flatten(device, frame, length);
    uint32_t crc = nic_crc32(0, bytes, length) ^ (errors ? 0xffffffff : 0);
    int next = card->stuck ? -1 : store(device, bytes, length, crc);
    if (next < 0) {
        miss(device, status);
        overflow(device);
        return true;
    }
    status |= errors ? 0 : NE2000_RSR_PRX;
    device->cells[NE2000_RSR] = status;
    ne2000_cause(device, errors ? NE2000_ISR_RXE : NE2000_ISR_PRX);
    if (!saved)
        return true; /* its pages are used again */
    write_header(device, status, (uint32_t)next, length);
    device->cells[NE2000_CURR] = device->cells[NE2000_LNPP] = (uint32_t)next;
    return true;
}

size_t ne2000_receive(nic_device *device, const nic_frame *frames, size_t count)
{
    size_t taken = 0;
    if (!ne2000_started(device) || ne2000_loops(device))
        return count; /* nobody listens */
    while (taken < count && receive_one(device, &frames[taken]))
        taken++;
    ne2000_interrupt(device);
    return taken;
}
