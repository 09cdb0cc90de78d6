/*
 * Stands in for a network interface before ethtool, so that it decodes a register dump read from a file: answers
 * ETHTOOL_GDRVINFO and ETHTOOL_GREGS with the driver's name and the dump's version from the environment.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    struct ifreq *interface = va_arg(list, struct ifreq *);
    va_end(list);
    (void)fd;
    if (request == SIOCETHTOOL) {
        __u32 *command = (__u32 *)interface->ifr_data;
        if (*command == ETHTOOL_GDRVINFO) {
            struct ethtool_drvinfo *info = (struct ethtool_drvinfo *)command;
            *info = (struct ethtool_drvinfo){.cmd = ETHTOOL_GDRVINFO};
            snprintf(info->driver, sizeof(info->driver), "%s", getenv("SHIM_DRIVER"));
            return 0;
        }
        if (*command == ETHTOOL_GREGS) {
            ((struct ethtool_regs *)command)->version = (__u32)strtoul(getenv("SHIM_VERSION"), NULL, 0);
            return 0;
        }
    }
    errno = EOPNOTSUPP;
    return -1;
}
