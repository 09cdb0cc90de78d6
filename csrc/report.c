/*
 * Findings (rules that a driver broke) and the access trace: rings of fixed size that Python empties.
 */
#include "nic.h"

#include <errno.h>
#include <stdlib.h>

/* A rule that is broken for every frame must not push the others out: so many are kept until drained. */
enum { KEPT_OF_ONE_RULE = 8 };

void nic_find(nic_device *device, uint32_t rule, uint64_t first, uint64_t second)
{
    nic_findings *findings = &device->findings;
    if (rule >= NIC_RULES)
        return;
    findings->counts[rule]++;
    if (findings->kept_of[rule] >= KEPT_OF_ONE_RULE || findings->tail - findings->head == NIC_FINDINGS_KEPT)
        return;
    findings->kept_of[rule]++;
    findings->kept[findings->tail++ % NIC_FINDINGS_KEPT] = (nic_finding){nic_now(device), rule, first, second};
}

void nic_find_general(nic_device *device, uint32_t general, uint64_t first, uint64_t second)
{
    nic_find(device, device->model->general[general], first, second);
}

int nic_trace_start(nic_device *device, uint32_t entries)
{
    if (!entries)
        return EINVAL;
    nic_trace_stop(device);
    device->trace = calloc(1, sizeof(nic_trace) + entries * sizeof(nic_trace_entry));
    if (!device->trace)
        return ENOMEM;
    device->trace->size = entries;
    return 0;
}

void nic_trace_stop(nic_device *device)
{
    free(device->trace);
    device->trace = NULL;
}

void nic_trace_put(nic_trace *trace, const nic_trace_entry *entry)
{
    if (trace->tail - trace->head == trace->size) {
        trace->head++;
        trace->lost++;
    }
    trace->entries[trace->tail++ % trace->size] = *entry;
}

size_t nic_trace_drain(nic_device *device, nic_trace_entry *entries, size_t count, uint64_t *lost)
{
    nic_trace *trace = device->trace;
    size_t n = 0;
    if (!trace)
        return 0;
    for (; n < count && trace->head != trace->tail; n++)
        entries[n] = trace->entries[trace->head++ % trace->size];
    *lost = trace->lost;
    return n;
}
