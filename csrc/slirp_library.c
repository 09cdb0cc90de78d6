/*
 * Finds libslirp (slirp_library.h).
 */
#include "slirp_library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends_api.h"

static slirp_library library;
static char load_error[256];

/* Configuration version 4 came with libslirp 4.7; older ones are content with what version 1 holds. */
static uint32_t known_config_version(const char *version)
{
    int major = 0, minor = 0;
    if (sscanf(version, "%d.%d", &major, &minor) != 2)
        return 1;
    return major > 4 || (major == 4 && minor >= 7) ? 4 : 1;
}

static bool resolve(void *handle)
{
    const char *(*version_string)(void);
    const struct {
        const char *name;
        void *to;
    } wanted[] = {
        {"slirp_version_string", &version_string},
        {"slirp_new", &library.create},
        {"slirp_cleanup", &library.cleanup},
        {"slirp_pollfds_fill", &library.pollfds_fill},
        {"slirp_pollfds_poll", &library.pollfds_poll},
        {"slirp_input", &library.input},
        {"slirp_add_hostfwd", &library.add_hostfwd},
        {"slirp_remove_hostfwd", &library.remove_hostfwd},
        {"slirp_connection_info", &library.connection_info},
        {"g_free", &library.free_text}, /* of glib, which libslirp depends on */
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        void *symbol = dlsym(handle, wanted[i].name);
        if (!symbol) {
            snprintf(load_error, sizeof(load_error), "libslirp.so.0 has no %s", wanted[i].name);
            return false;
        }
        memcpy(wanted[i].to, &symbol, sizeof(symbol)); /* POSIX: a function's address fits a void pointer */
    }
    const struct {
        const char *name;
        void *to;
    } newer[] = {
        {"slirp_add_hostxfwd", &library.add_hostxfwd},
        {"slirp_remove_hostxfwd", &library.remove_hostxfwd},
        {"slirp_add_exec", &library.add_exec},
        {"slirp_add_unix", &library.add_unix},
    };
    for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++) {
        void *symbol = dlsym(handle, newer[i].name);
        memcpy(newer[i].to, &symbol, sizeof(symbol));
    }
    library.config_version = known_config_version(version_string());
    library.version = version_string();
    return true;
}

const slirp_library *slirp_load(void)
{
    if (library.version)
        return &library;
    void *handle = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        snprintf(load_error, sizeof(load_error), "%s", dlerror());
        return NULL;
    }
    if (!resolve(handle)) {
        dlclose(handle);
        return NULL;
    }
    return &library;
}

const char *nic_user_version(void)
{
    const slirp_library *found = slirp_load();
    return found ? found->version : NULL;
}

const char *nic_user_load_error(void) { return load_error; }
