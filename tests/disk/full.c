/* A disk that is full: while the file named by FULL_FILE holds a path, whatever writes to files below it hears ENOSPC.
   Loaded before the C library (LD_PRELOAD), so that it works for any user and mounts nothing. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_full(int file) {
    const char *name = getenv("FULL_FILE");
    int list = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (list < 0) return 0;
    char full[4096], place[64], path[4096];
    ssize_t length = read(list, full, sizeof full - 1);
    close(list);
    if (length <= 0) return 0;
    full[length] = 0;
    snprintf(place, sizeof place, "/proc/self/fd/%d", file);
    ssize_t found = readlink(place, path, sizeof path - 1);
    if (found <= 0) return 0;
    path[found] = 0;
    return strncmp(path, full, (size_t)length) == 0;
}

#define WRITES(type, name, takes, gives)                          \
    type name takes {                                             \
        static type(*real) takes;                                 \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);     \
        if (is_full(file)) return errno = ENOSPC, (type) - 1;     \
        return real gives;                                        \
    }

WRITES(ssize_t, write, (int file, const void *bytes, size_t count), (file, bytes, count))
WRITES(ssize_t, pwrite, (int file, const void *bytes, size_t count, off_t at), (file, bytes, count, at))
WRITES(ssize_t, pwrite64, (int file, const void *bytes, size_t count, off64_t at), (file, bytes, count, at))
WRITES(ssize_t, writev, (int file, const struct iovec *parts, int count), (file, parts, count))
WRITES(ssize_t, pwritev64, (int file, const struct iovec *parts, int count, off64_t at), (file, parts, count, at))
WRITES(int, fallocate, (int file, int mode, off_t from, off_t count), (file, mode, from, count))
WRITES(int, fallocate64, (int file, int mode, off64_t from, off64_t count), (file, mode, from, count))
