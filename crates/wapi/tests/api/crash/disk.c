/* Keeps what of a program's files would outlast a power cut, and makes its disk fail as it is told. Loaded with LD_PRELOAD.
 *
 * WAPI_TESTS_DISK_ROOT is the folder it is about, WAPI_TESTS_DISK another one on the same file system:
 *   files/INODE     a file's content when it was last synced
 *   folders/INODE   a folder's names when it was last synced, a line each: INODE, `d` or `f`, name
 *   gone/INODE      what has lost its name: while it is there, its number is given to nobody else
 *   synced          the path of each file that was synced, a line each time
 *   clock           by how many seconds the time of day is wrong from now on
 *   faults          what goes wrong from now on, a line each: KIND, one of how many calls, milliseconds, part of the file's path
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(answer, name, ...) \
    static answer (*real)(__VA_ARGS__); \
    if (!real) real = (answer(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

struct range { off_t from, to; };

/* A file below the root (or, with `ours` 0, elsewhere), and what of it is not synced. */
struct file {
    dev_t device;
    ino_t inode;
    int ours;
    char path[512];
    struct range *ranges;
    size_t count, room;
    /* The smallest it was since it was synced. */
    off_t least;
    struct file *next;
};

static struct file *files[4096];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *kept;
static unsigned long dice;
static char faults[2048];
static long ahead;

__attribute__((constructor)) static void begin(void) {
    root = getenv("WAPI_TESTS_DISK_ROOT");
    kept = getenv("WAPI_TESTS_DISK");
    const char *seed = getenv("WAPI_TESTS_SEED");
    dice = seed ? strtoul(seed, 0, 10) : 1;
}

static int is_below(const char *path) {
    size_t length = root ? strlen(root) : 0;
    return length && kept && !strncmp(path, root, length) && (path[length] == '/' || !path[length]);
}

static int path_of(int fd, char *path, size_t room) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, room - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static void name_kept(char *path, size_t room, const char *folder, ino_t inode) {
    snprintf(path, room, "%s/%s/%lu", kept, folder, (unsigned long)inode);
}

static void note(struct file *file, off_t from, off_t to) {
    struct range *last = file->count ? &file->ranges[file->count - 1] : 0;
    if (last && from <= last->to && to >= last->from) {
        if (from < last->from) last->from = from;
        if (to > last->to) last->to = to;
        return;
    }
    if (file->count == file->room) {
        file->room = file->room ? 2 * file->room : 16;
        file->ranges = realloc(file->ranges, file->room * sizeof *file->ranges);
    }
    file->ranges[file->count++] = (struct range){from, to};
}

/* With the lock held; 0 for what is no file of ours. */
static struct file *find(int fd, struct stat *now) {
    if (!root || fstat(fd, now) || !S_ISREG(now->st_mode)) return 0;
    struct file **place = &files[now->st_ino % 4096];
    for (struct file *file = *place; file; file = file->next)
        if (file->inode == now->st_ino && file->device == now->st_dev) return file->ours ? file : 0;
    struct file *file = calloc(1, sizeof *file);
    *file = (struct file){.device = now->st_dev, .inode = now->st_ino, .least = now->st_size, .next = *place};
    file->ours = path_of(fd, file->path, sizeof file->path);
    *place = file;
    if (!file->ours) return 0;
    /* What an earlier run has written and not synced is still to be synced: that may be anything in it. */
    note(file, 0, now->st_size);
    return file;
}

static ssize_t raw_pwrite(int fd, const void *bytes, size_t count, off_t at) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
    return real(fd, bytes, count, at);
}

static int raw_truncate(int fd, off_t size) {
    REAL(int, ftruncate64, int, off_t);
    return real(fd, size);
}

/* Whether it could be. */
static int keep_file(int fd, struct file *file, off_t size) {
    char path[600], piece[65536];
    name_kept(path, sizeof path, "files", file->inode);
    int copy = open(path, O_WRONLY | O_CREAT, 0600);
    if (copy < 0) return 0;
    int kept_all = !raw_truncate(copy, file->least < size ? file->least : size) && !raw_truncate(copy, size);
    for (size_t index = 0; index < file->count; index++) {
        struct range range = file->ranges[index];
        while (range.from < range.to) {
            size_t wanted = (size_t)(range.to - range.from) < sizeof piece ? (size_t)(range.to - range.from) : sizeof piece;
            ssize_t count = pread(fd, piece, wanted, range.from);
            if (count < 0 && errno == EBADF) {
                /* It is open for writing only. Not for SQLite's files, whose locks would end with `again`. */
                int again = open(file->path, O_RDONLY);
                count = pread(again, piece, wanted, range.from);
                close(again);
            }
            if (count <= 0) break;
            kept_all &= raw_pwrite(copy, piece, count, range.from) == count;
            range.from += count;
        }
    }
    close(copy);
    if (kept_all) {
        file->count = 0;
        file->least = size;
    }
    return kept_all;
}

static int keep_folder(int fd, ino_t inode) {
    char path[600], draft[620], link[64];
    name_kept(path, sizeof path, "folders", inode);
    snprintf(draft, sizeof draft, "%s.new", path);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    DIR *folder = opendir(link);
    FILE *list = fopen(draft, "w");
    for (struct dirent *entry; folder && list && (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            fprintf(list, "%lu %c %s\n", (unsigned long)entry->d_ino, entry->d_type == DT_DIR ? 'd' : 'f', entry->d_name);
    int kept_all = folder && list;
    if (folder) closedir(folder);
    if (list) kept_all &= !fclose(list);
    REAL(int, rename, const char *, const char *);
    return kept_all && !real(draft, path);
}

/* Reads what goes wrong anew, each time: a fault counts from the moment it is told. */
static void look(void) {
    char path[600];
    snprintf(path, sizeof path, "%s/faults", kept);
    int fd = open(path, O_RDONLY);
    ssize_t count = fd < 0 ? 0 : read(fd, faults, sizeof faults - 1);
    faults[count > 0 ? count : 0] = 0;
    if (fd >= 0) close(fd);
    char number[32];
    snprintf(path, sizeof path, "%s/clock", kept);
    fd = open(path, O_RDONLY);
    count = fd < 0 ? 0 : read(fd, number, sizeof number - 1);
    number[count > 0 ? count : 0] = 0;
    if (fd >= 0) close(fd);
    ahead = strtol(number, 0, 10);
}

/* With the lock held, which is let go while it is slow: whether this call of a file goes wrong as `kind`. */
static int goes_wrong(const char *file, const char *kind) {
    look();
    char copy[sizeof faults], *rest = 0;
    strcpy(copy, faults);
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(0, "\n", &rest)) {
        char name[32], part[256];
        unsigned every, ms;
        if (sscanf(line, "%31s %u %u %255s", name, &every, &ms, part) != 4 || strcmp(name, kind) || !strstr(file, part)) continue;
        dice = dice * 6364136223846793005ul + 1442695040888963407ul;
        if ((dice >> 33) % every) continue;
        struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};
        pthread_mutex_unlock(&lock);
        nanosleep(&pause, 0);
        pthread_mutex_lock(&lock);
        return 1;
    }
    return 0;
}

/* Before a write: the error it ends with, or 0; it may become shorter. */
static int before_write(int fd, size_t *count) {
    struct stat now;
    int error = 0;
    pthread_mutex_lock(&lock);
    struct file *file = find(fd, &now);
    if (file) {
        goes_wrong(file->path, "slow-write");
        if (goes_wrong(file->path, "eio-write")) error = EIO;
        else if (goes_wrong(file->path, "enospc")) error = ENOSPC;
        else if (*count > 1 && goes_wrong(file->path, "short")) *count /= 2;
    }
    pthread_mutex_unlock(&lock);
    return error;
}

static ssize_t after_write(int fd, off_t at, ssize_t written) {
    struct stat now;
    int error = errno;
    pthread_mutex_lock(&lock);
    struct file *file = written > 0 ? find(fd, &now) : 0;
    if (file) {
        off_t from = at < 0 ? lseek(fd, 0, SEEK_CUR) - written : at;
        note(file, from, from + written);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return written;
}

#define WRITES(name, at, ...) \
    REAL(ssize_t, name, int, const void *, size_t __VA_OPT__(, off_t)); \
    int error = before_write(fd, &count); \
    if (error) return errno = error, -1; \
    return after_write(fd, at, real(fd, bytes, count __VA_OPT__(,) __VA_ARGS__))

ssize_t write(int fd, const void *bytes, size_t count) { WRITES(write, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { WRITES(pwrite, at, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) { WRITES(pwrite64, at, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    return after_write(fd, -1, real(fd, parts, count));
}

static int shrinks(int fd, off_t size) {
    struct stat now;
    pthread_mutex_lock(&lock);
    struct file *file = find(fd, &now);
    if (file && size < file->least) file->least = size;
    pthread_mutex_unlock(&lock);
    return raw_truncate(fd, size);
}

int ftruncate(int fd, off_t size) { return shrinks(fd, size); }
int ftruncate64(int fd, off_t size) { return shrinks(fd, size); }

static void count_sync(const char *file) {
    REAL(ssize_t, write, int, const void *, size_t);
    char path[600], line[600];
    snprintf(path, sizeof path, "%s/synced", kept);
    int length = snprintf(line, sizeof line, "%s\n", file), list = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (list < 0) return;
    if (real(list, line, length) < 0) perror(path);
    close(list);
}

static int syncs(int fd) {
    struct stat now = {0};
    char path[512];
    int failed = 0;
    pthread_mutex_lock(&lock);
    struct file *file = find(fd, &now);
    if (file) {
        count_sync(file->path);
        goes_wrong(file->path, "slow-sync");
        failed = goes_wrong(file->path, "eio-sync");
        /* The kernel gives up what it could not write, and says of the rest that all is well. */
        if (failed) file->count = 0;
        else failed = fstat(fd, &now) || !keep_file(fd, file, now.st_size);
    } else if (S_ISDIR(now.st_mode) && path_of(fd, path, sizeof path)) {
        failed = goes_wrong(path, "eio-sync") || !keep_folder(fd, now.st_ino);
    }
    pthread_mutex_unlock(&lock);
    return failed ? errno = EIO, -1 : 0;
}

int fsync(int fd) { return syncs(fd); }
int fdatasync(int fd) { return syncs(fd); }

/* What loses its name keeps its number. */
static void buries(int folder, const char *name, const char *path) {
    struct stat found;
    char grave[600];
    if (!is_below(path) || fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) || !S_ISREG(found.st_mode)) return;
    name_kept(grave, sizeof grave, "gone", found.st_ino);
    linkat(folder, name, AT_FDCWD, grave, 0);
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    buries(AT_FDCWD, path, path);
    return real(path);
}

int unlinkat(int folder, const char *name, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    char path[512];
    if (!(flags & AT_REMOVEDIR) && path_of(folder, path, sizeof path)) buries(folder, name, path);
    return real(folder, name, flags);
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    buries(AT_FDCWD, to, to);
    return real(from, to);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    int made = real(path, mode);
    struct stat found;
    char names[600];
    /* A number that a former folder had comes with none of its names. */
    if (!made && is_below(path) && !stat(path, &found)) {
        name_kept(names, sizeof names, "folders", found.st_ino);
        close(open(names, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    }
    return made;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    int told = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += ahead;
    return told;
}
