/*
 * The interrupt pin and MSI, and what PCI configuration space gates (PCI Local Bus 3.0, 6.2.2, 6.2.3, 6.8).
 */
#include "nic.h"

#include <unistd.h>

enum {
    COMMAND_IO = 1 << 0,
    COMMAND_MEMORY = 1 << 1,
    COMMAND_MASTER = 1 << 2,
    COMMAND_INTX_DISABLE = 1 << 10,
    STATUS_INTX = 1 << 3,
    MSI_ENABLE = 1 << 0,
    PM_STATE = 3,
    ROM_ENABLE = 1 << 0,
};

static void signal_fd(int fd)
{
    uint64_t one = 1;
    /* A full counter means that the other side has not yet taken the last event: it will look anyway. */
    ssize_t n NIC_UNUSED = write(fd, &one, sizeof(one));
}

static void fire_intx(nic_interrupt *interrupt)
{
    if (interrupt->pin && !interrupt->masked && interrupt->fd[NIC_IRQ_INTX] >= 0) {
        interrupt->masked = true;
        signal_fd(interrupt->fd[NIC_IRQ_INTX]);
    }
}

static void drive_pin(nic_device *device)
{
    nic_interrupt *interrupt = &device->interrupt;
    const nic_pci_cells *pci = &device->model->pci;
    uint32_t command = pci->command == NIC_NO_CELL ? 0 : device->cells[pci->command];
    bool disabled = pci->intx_bits && command & COMMAND_INTX_DISABLE;
    bool pin = interrupt->level && !interrupt->msi && !disabled;
    if (pci->intx_bits) {
        if (interrupt->level)
            device->cells[pci->status] |= STATUS_INTX;
        else
            device->cells[pci->status] &= ~(uint32_t)STATUS_INTX;
    }
    if (pin == interrupt->pin)
        return;
    interrupt->pin = pin;
    device->counters.interrupts += pin;
    if (interrupt->python && nic_py.interrupt)
        nic_py.interrupt(interrupt->python, NIC_IRQ_INTX, pin);
    fire_intx(interrupt);
}

void nic_interrupt_set(nic_device *device, bool level)
{
    nic_interrupt *interrupt = &device->interrupt;
    bool rises = level && !interrupt->level;
    interrupt->level = level;
    if (rises && interrupt->msi) {
        device->counters.interrupts++;
        if (interrupt->fd[NIC_IRQ_MSI] >= 0)
            signal_fd(interrupt->fd[NIC_IRQ_MSI]);
        if (interrupt->python && nic_py.interrupt)
            nic_py.interrupt(interrupt->python, NIC_IRQ_MSI, 1);
    }
    drive_pin(device);
}

bool nic_interrupt_level(const nic_device *device) { return device->interrupt.pin; }
bool nic_interrupt_asserted(const nic_device *device) { return device->interrupt.level; }
void nic_interrupt_restore(nic_device *device, bool level) { device->interrupt.level = level; }
void nic_interrupt_to_python(nic_device *device, void *sink) { device->interrupt.python = sink; }

void nic_interrupt_set_fd(nic_device *device, int which, int fd)
{
    nic_interrupt *interrupt = &device->interrupt;
    if (which != NIC_IRQ_INTX && which != NIC_IRQ_MSI)
        return;
    if (interrupt->fd[which] >= 0)
        close(interrupt->fd[which]);
    interrupt->fd[which] = fd < 0 ? -1 : fd;
    if (which == NIC_IRQ_INTX) {
        interrupt->masked = false;
        fire_intx(interrupt);
    }
}

void nic_interrupt_mask(nic_device *device, bool masked)
{
    device->interrupt.masked = masked;
    fire_intx(&device->interrupt);
}

void nic_pci_changed(nic_device *device)
{
    const nic_model *model = device->model;
    const nic_pci_cells *pci = &model->pci;
    if (pci->command == NIC_NO_CELL) { /* not a PCI function: an ISA card decodes and masters always */
        device->bus_master = true;
        return;
    }
    uint32_t command = device->cells[pci->command];
    bool awake = pci->pm_control == NIC_NO_CELL || !(device->cells[pci->pm_control] & PM_STATE);
    bool master = device->bus_master;
    device->bus_master = awake && command & COMMAND_MASTER;
    device->space_disabled = 0;
    for (uint32_t i = 0; i < NIC_SPACE_CONFIG; i++)
        if (!awake || !(command & (model->spaces[i].io ? COMMAND_IO : COMMAND_MEMORY)))
            device->space_disabled |= (uint8_t)(1u << i);
    /* The ROM answers when both memory space and its own enable bit are on (6.2.5.2). */
    bool rom = pci->rom_base != NIC_NO_CELL && device->cells[pci->rom_base] & ROM_ENABLE;
    if (!awake || !rom || !(command & COMMAND_MEMORY))
        device->space_disabled |= 1u << NIC_SPACE_ROM;
    device->interrupt.msi = pci->msi_control != NIC_NO_CELL && device->cells[pci->msi_control] & MSI_ENABLE;
    drive_pin(device);
    if (device->bus_master && !master) /* rings that were rung while it was off */
        nic_want_work(device, NIC_WORK_TRANSMIT | NIC_WORK_RECEIVE);
}
