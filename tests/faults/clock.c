/* A clock that is set while a process runs, for tests: CLOCK_STEPS names a file with a line
 * "MOMENT OFFSET" for each time that it was set, in true seconds since the epoch.
 *
 * Preloaded into the command: from MOMENT on the clock is OFFSET seconds off, and so are the
 * times of files that came to be from then on, as with a kernel whose clock was set. The
 * monotonic clock goes on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name, ...) ((__VA_ARGS__)dlsym(RTLD_NEXT, name))

static long offset_at(time_t moment)
{
    char text[4096] = "", *line = text;
    int file = open(getenv("CLOCK_STEPS"), O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    if (read(file, text, sizeof text - 1) < 0)
        text[0] = 0;
    close(file);
    long since, offset, found = 0;
    for (int length; sscanf(line, "%ld %ld%n", &since, &offset, &length) == 2; line += length)
        if (since <= moment)
            found = offset;
    return found;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = REAL("clock_gettime", int (*)(clockid_t, struct timespec *))(clock, now);
    if (!failed && clock == CLOCK_REALTIME)
        now->tv_sec += offset_at(now->tv_sec);
    return failed;
}

static int moved(int failed, struct stat64 *status)
{
    if (!failed) {
        status->st_mtim.tv_sec += offset_at(status->st_mtim.tv_sec);
        status->st_ctim.tv_sec += offset_at(status->st_ctim.tv_sec);
    }
    return failed;
}

int stat64(const char *path, struct stat64 *status)
{
    return moved(REAL("stat64", int (*)(const char *, struct stat64 *))(path, status), status);
}

int lstat64(const char *path, struct stat64 *status)
{
    return moved(REAL("lstat64", int (*)(const char *, struct stat64 *))(path, status), status);
}

int fstat64(int file, struct stat64 *status)
{
    return moved(REAL("fstat64", int (*)(int, struct stat64 *))(file, status), status);
}

int fstatat64(int folder, const char *path, struct stat64 *status, int flags)
{
    return moved(REAL("fstatat64", int (*)(int, const char *, struct stat64 *, int))(
        folder, path, status, flags), status);
}
