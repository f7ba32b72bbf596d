/* Makes one call of a kind on files of one folder fail, for tests of disk trouble.
 *
 * FAULT_CALL=fsync FAULT_ERRNO=5 FAULT_AT=3 FAULT_PATH=/memory/folder FAULT_TOLD=/a/file
 * Preloaded into the command: the third fsync of a file below FAULT_PATH fails with EIO, and
 * FAULT_TOLD comes into being. A failing write is a short one first where it can be.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int seen;

static int is_below(const char *path)
{
    const char *folder = getenv("FAULT_PATH");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0 &&
           !strstr(path, "/postgres");
}

static int is_open_below(int descriptor)
{
    char link[64], path[PATH_MAX + 1];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_below(path);
}

static int fails(const char *call, int concerns_us)
{
    const char *wanted = getenv("FAULT_CALL");
    if (!concerns_us || !wanted || strcmp(wanted, call) != 0 || ++seen != atoi(getenv("FAULT_AT")))
        return 0;
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
    close(real_open(getenv("FAULT_TOLD"), O_CREAT | O_WRONLY, 0600));
    errno = atoi(getenv("FAULT_ERRNO"));
    return 1;
}

#define REAL(name, ...) ((__VA_ARGS__)dlsym(RTLD_NEXT, name))

int fsync(int fd)
{
    return fails("fsync", is_open_below(fd)) ? -1 : REAL("fsync", int (*)(int))(fd);
}

ssize_t write(int fd, const void *data, size_t size)
{
    ssize_t (*real)(int, const void *, size_t) = REAL("write", ssize_t (*)(int, const void *, size_t));
    if (fails("write", is_open_below(fd)))
        return -1;
    return real(fd, data, size);
}

int rename(const char *from, const char *to)
{
    return fails("rename", is_below(to)) ? -1
         : REAL("rename", int (*)(const char *, const char *))(from, to);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    return fails("link", is_below(to)) ? -1
         : REAL("linkat", int (*)(int, const char *, int, const char *, int))(a, from, b, to, flags);
}

int link(const char *from, const char *to)
{
    return fails("link", is_below(to)) ? -1
         : REAL("link", int (*)(const char *, const char *))(from, to);
}

int unlink(const char *path)
{
    return fails("unlink", is_below(path)) ? -1
         : REAL("unlink", int (*)(const char *))(path);
}

int mkdir(const char *path, mode_t mode)
{
    return fails("mkdir", is_below(path)) ? -1
         : REAL("mkdir", int (*)(const char *, mode_t))(path, mode);
}

/* The kernel's limit on watches, for one process alone: FAULT_CALL=inotify fails each time. */
int inotify_init1(int flags)
{
    const char *wanted = getenv("FAULT_CALL");
    if (wanted && strcmp(wanted, "inotify") == 0) {
        errno = EMFILE;
        return -1;
    }
    return REAL("inotify_init1", int (*)(int))(flags);
}

int inotify_init(void)
{
    return inotify_init1(0);
}

int rmdir(const char *path)
{
    return fails("rmdir", is_below(path)) ? -1
         : REAL("rmdir", int (*)(const char *))(path);
}

static int opened(const char *name, const char *path, int flags, mode_t mode)
{
    if ((flags & O_CREAT) && fails("create", is_below(path)))
        return -1;
    return REAL(name, int (*)(const char *, int, ...))(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    return opened("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    return opened("open64", path, flags, mode);
}
