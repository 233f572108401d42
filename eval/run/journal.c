#include "eval/run/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/size.h"
#include "eval/setup/identity.h"

/* A record in the file, before its content. */
typedef struct header {
    char mark[8];
    uint64_t sequence, kind, length; /* sequence: 0 the head, one more each record */
    uint64_t check;                  /* XXH3-64 of these three and the content */
} header;

static const char mark[8] = "EMrecord";

enum { PART = 1 << 16, SPARE_BYTES = 4 << 20 };

struct em_journal {
    char *path;
    int file;
    em_records records;
};

/* ---- bytes ---- */

static bool read_at(int file, int64_t offset, void *data, size_t n, em_error *err) {
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(file, (char *)data + done, n - done, offset + (int64_t)done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            return em_fail(err, EM_MACHINE, "cannot be read: %s",
                           got < 0 ? strerror(errno) : "it has become shorter");
        done += (size_t)got;
    }
    return true;
}

static bool write_at(int file, int64_t offset, const void *data, size_t n) {
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(file, (const char *)data + done, n - done, offset + (int64_t)done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        done += (size_t)put;
    }
    return true;
}

static void check_start(XXH3_state_t *hash, const header *h) {
    XXH3_64bits_reset(hash);
    XXH3_64bits_update(hash, &h->sequence, sizeof h->sequence);
    XXH3_64bits_update(hash, &h->kind, sizeof h->kind);
    XXH3_64bits_update(hash, &h->length, sizeof h->length);
}

/* ---- reading records ---- */

static bool content_sound(int file, int64_t offset, const header *h, em_error *err) {
    char part[PART];
    XXH3_state_t *hash = XXH3_createState();
    if (!hash) return em_fail_memory(err, 576, "the journal");
    check_start(hash, h);
    bool good = true;
    for (uint64_t done = 0; good && done < h->length;) {
        size_t n = h->length - done < PART ? (size_t)(h->length - done) : PART;
        good = read_at(file, offset + (int64_t)(sizeof *h + done), part, n, err);
        if (good) XXH3_64bits_update(hash, part, n);
        done += n;
    }
    good = good && XXH3_64bits_digest(hash) == h->check;
    XXH3_freeState(hash);
    return good;
}

/* Whether a whole record lies at offset, the one that is due there. */
static bool record_sound(int file, int64_t size, int64_t offset, uint64_t sequence, header *h,
                         em_error *err) {
    if (size - offset < (int64_t)sizeof *h || !read_at(file, offset, h, sizeof *h, err) ||
        memcmp(h->mark, mark, sizeof mark) || h->sequence != sequence)
        return false;
    return h->length <= (uint64_t)(size - offset - (int64_t)sizeof *h) &&
           content_sound(file, offset, h, err);
}

static bool note_record(em_records *r, const header *h, int64_t offset, em_error *err) {
    if (h->kind == EM_RECORD_POINT) return r->point = offset, true;
    if (!em_grow(&r->streams, &r->capacity, r->n_streams + 1, sizeof *r->streams, "the journal",
                 err))
        return false;
    r->streams[r->n_streams++] = offset;
    r->point = -1;
    return true;
}

static bool take_head(int file, const header *h, em_records *r, em_error *err) {
    if (h->kind != EM_RECORD_HEAD || h->length < EM_OUTPUT_ID ||
        !read_at(file, sizeof *h, r->id, EM_OUTPUT_ID, err) || r->id[EM_OUTPUT_ID - 1] ||
        strspn(r->id, "0123456789abcdef") != EM_OUTPUT_ID - 1)
        return em_fail(err, EM_INPUT, "is damaged at its beginning; delete it to start over");
    r->head = 0;
    return true;
}

bool em_records_scan(int file, int64_t size, em_records *r, em_error *err) {
    header h;
    *r = (em_records){.head = -1, .point = -1};
    while (record_sound(file, size, r->end, r->n, &h, err)) {
        if (r->end == 0 ? !take_head(file, &h, r, err)
                        : h.kind != EM_RECORD_STREAM && h.kind != EM_RECORD_POINT)
            break;
        if (r->end && !note_record(r, &h, r->end, err)) break;
        r->end += (int64_t)sizeof h + (int64_t)h.length;
        r->n++;
    }
    if (r->head < 0) em_fail(err, EM_INPUT, "is damaged at its beginning; delete it to start over");
    return err->status == EM_OK;
}

void em_records_free(em_records *r) {
    free(r->streams);
    *r = (em_records){.head = -1, .point = -1};
}

bool em_record_read(int file, int64_t offset, em_buffer *out, em_error *err) {
    header h;
    em_buffer_clear(out);
    if (!read_at(file, offset, &h, sizeof h, err) || !em_buffer_reserve(out, h.length, err) ||
        !read_at(file, offset + (int64_t)sizeof h, out->data, h.length, err))
        return false;
    out->length = h.length;
    out->data[out->length] = 0;
    return true;
}

/* ---- writing records ---- */

static bool write_failed(const em_journal *j, em_error *err) {
    return em_fail_at(
        err, EM_MACHINE, j->path, 0, -1,
        "cannot be written: %s; make room, and the same command goes on from its last record",
        strerror(errno));
}

/* Behind what is whole, which moves on only when the bytes are on the disk. */
static bool put_record(em_journal *j, em_record_kind kind, const em_buffer *content,
                       em_error *err) {
    header h = {.sequence = j->records.n, .kind = kind, .length = content->length};
    memcpy(h.mark, mark, sizeof mark);
    XXH3_state_t *hash = XXH3_createState();
    if (!hash) return em_fail_memory(err, 576, j->path);
    check_start(hash, &h);
    if (content->length) XXH3_64bits_update(hash, content->data, content->length);
    h.check = XXH3_64bits_digest(hash);
    XXH3_freeState(hash);
    int64_t at = j->records.end;
    if (!write_at(j->file, at, &h, sizeof h) ||
        !write_at(j->file, at + (int64_t)sizeof h, content->data, content->length) ||
        fdatasync(j->file))
        return write_failed(j, err);
    if (kind != EM_RECORD_HEAD && !note_record(&j->records, &h, at, err)) return false;
    j->records.end += (int64_t)sizeof h + (int64_t)content->length;
    j->records.n++;
    return true;
}

/* ---- a file of its own that takes the journal's name ---- */

static bool lock(int file, const char *path, em_error *err) {
    if (flock(file, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno == EWOULDBLOCK)
        return em_fail_at(err, EM_USAGE, path, 0, -1, "another process is writing this journal");
    return em_fail_at(err, EM_MACHINE, path, 0, -1, "cannot be locked: %s", strerror(errno));
}

/* Never through a link: what that leads to is somebody's. */
static int open_locked(const char *path, int flags, em_error *err) {
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0666);
    if (file < 0 && errno == ELOOP)
        return em_fail_at(err, EM_USAGE, path, 0, -1,
                          "is a link; --journal wants a file of its own"),
               -1;
    if (file < 0)
        return em_fail_at(err, EM_MACHINE, path, 0, -1, "cannot be written: %s", strerror(errno)),
               -1;
    if (lock(file, path, err)) return file;
    close(file);
    return -1;
}

/* FILE.ID.new, written and whole, becomes FILE: j goes on in it. The other way round it is removed.
 */
static bool replace_file(em_journal *j, em_journal *fresh, const char *name, bool whole,
                         em_error *err) {
    if (whole && rename(name, j->path)) whole = write_failed(j, err);
    if (!whole) {
        if (fresh->file >= 0) close(fresh->file), unlink(name);
        em_records_free(&fresh->records);
        return false;
    }
    close(j->file);
    j->file = fresh->file;
    em_records_free(&j->records);
    j->records = fresh->records;
    return em_sync_folder(j->path, err);
}

/* A file beside the journal with this id, written by the holder of its lock. Its name holds the id,
 * so that it is nobody's, but for one that an earlier process of the run left. *name: owned by the
 * caller, also on failure. */
static bool open_fresh(const em_journal *j, const char *id, em_journal *fresh, char **name,
                       em_error *err) {
    *fresh = (em_journal){.path = j->path, .file = -1, .records = {.head = 0, .point = -1}};
    memcpy(fresh->records.id, id, EM_OUTPUT_ID);
    if (asprintf(name, "%s.%s.new", j->path, id) < 0)
        return *name = NULL, em_fail_memory(err, strlen(j->path), j->path);
    unlink(*name);
    fresh->file = open_locked(*name, O_EXCL, err);
    return fresh->file >= 0;
}

/* A journal never has its name without a whole head. */
static bool create(em_journal *j, const em_buffer *identity, em_error *err) {
    em_buffer head = {0};
    em_journal fresh;
    char *name, id[EM_OUTPUT_ID];
    em_output_new_id(id);
    bool good = open_fresh(j, id, &fresh, &name, err);
    good = good && em_buffer_append(&head, fresh.records.id, EM_OUTPUT_ID, err) &&
           em_buffer_append(&head, identity->data, identity->length, err) &&
           put_record(&fresh, EM_RECORD_HEAD, &head, err);
    good = replace_file(j, &fresh, name, good, err);
    if (!good) unlink(j->path); /* it was empty */
    em_buffer_free(&head);
    free(name);
    return good;
}

static bool copy_record(em_journal *to, int from, int64_t offset, em_record_kind kind,
                        em_error *err) {
    em_buffer content = {0};
    bool good = em_record_read(from, offset, &content, err) && put_record(to, kind, &content, err);
    em_buffer_free(&content);
    return good;
}

static bool copy_records(em_journal *to, const em_journal *from, em_error *err) {
    bool good = copy_record(to, from->file, 0, EM_RECORD_HEAD, err);
    for (size_t i = 0; good && i < from->records.n_streams; i++)
        good = copy_record(to, from->file, from->records.streams[i], EM_RECORD_STREAM, err);
    return good && (from->records.point < 0 ||
                    copy_record(to, from->file, from->records.point, EM_RECORD_POINT, err));
}

/* Points that a later one replaced go. */
static bool compact(em_journal *j, em_error *err) {
    em_journal fresh;
    char *name;
    bool good = open_fresh(j, j->records.id, &fresh, &name, err) && copy_records(&fresh, j, err);
    good = replace_file(j, &fresh, name, good, err);
    free(name);
    return good;
}

/* ---- opening ---- */

/* The file that has the name now: another process may have replaced or removed it before the lock.
 */
static bool still_named(int file, const char *path) {
    struct stat a, b;
    return fstat(file, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static bool lock_path(em_journal *j, em_error *err) {
    for (;;) {
        j->file = open_locked(j->path, 0, err);
        if (j->file < 0) return false;
        if (still_named(j->file, j->path)) return true;
        close(j->file);
    }
}

static bool check_head(em_journal *j, const em_buffer *identity, em_error *err) {
    em_buffer head = {0};
    bool good = em_record_read(j->file, 0, &head, err) &&
                em_identity_check(j->path, head.data + EM_OUTPUT_ID, identity->data, err);
    em_buffer_free(&head);
    return good;
}

static bool load(em_journal *j, int64_t size, const em_buffer *identity, em_error *err) {
    char first[sizeof mark] = {0};
    if (size >= (int64_t)sizeof first && !read_at(j->file, 0, first, sizeof first, err))
        return em_error_place(err, j->path, 0, -1);
    if (memcmp(first, mark, sizeof mark))
        return em_fail_at(err, EM_USAGE, j->path, 0, -1,
                          "is there and is no journal; --journal wants a file of its own");
    if (!em_records_scan(j->file, size, &j->records, err))
        return em_error_place(err, j->path, 0, -1);
    if (!check_head(j, identity, err)) return em_error_place(err, j->path, 0, -1);
    return j->records.end == size || ftruncate(j->file, j->records.end) == 0 ||
           write_failed(j, err);
}

em_journal *em_journal_open(const char *path, const em_buffer *identity, em_error *err) {
    em_journal *j = em_alloc(1, sizeof *j, "the journal", err);
    if (!j) return NULL;
    struct stat st;
    j->file = -1;
    j->records = (em_records){.head = -1, .point = -1};
    bool good = (j->path = strdup(path)) || em_fail_memory(err, strlen(path), path);
    good = good && lock_path(j, err) && (fstat(j->file, &st) == 0 || write_failed(j, err));
    if (good && !S_ISREG(st.st_mode))
        good = em_fail_at(err, EM_USAGE, path, 0, -1, "is no regular file; --journal wants one");
    good = good && (st.st_size ? load(j, st.st_size, identity, err) : create(j, identity, err));
    if (good) return j;
    em_journal_close(j);
    return NULL;
}

void em_journal_close(em_journal *j) {
    if (!j) return;
    if (j->file >= 0) close(j->file);
    em_records_free(&j->records);
    free(j->path);
    free(j);
}

bool em_journal_remove(em_journal *j, em_error *err) {
    bool good = unlink(j->path) == 0 ? em_sync_folder(j->path, err)
                                     : em_fail_at(err, EM_MACHINE, j->path, 0, -1,
                                                  "cannot be removed: %s", strerror(errno));
    em_journal_close(j);
    return good;
}

/* ---- in use ---- */

const char *em_journal_id(const em_journal *j) { return j->records.id; }
int em_journal_streams(const em_journal *j) { return (int)j->records.n_streams; }
bool em_journal_has_point(const em_journal *j) { return j->records.point >= 0; }
bool em_journal_empty(const em_journal *j) {
    return j->records.n_streams == 0 && j->records.point < 0;
}

bool em_journal_read(em_journal *j, int i, em_buffer *out, em_error *err) {
    int64_t offset = (size_t)i < j->records.n_streams ? j->records.streams[i] : j->records.point;
    return em_record_read(j->file, offset, out, err) || em_error_place(err, j->path, 0, offset);
}

/* Bytes that a compacted file would have. */
static int64_t live_bytes(const em_journal *j, em_error *err) {
    header h;
    int64_t sum = 0;
    for (size_t i = 0; i < j->records.n_streams + 2; i++) {
        int64_t at = i < j->records.n_streams    ? j->records.streams[i]
                     : i == j->records.n_streams ? 0
                                                 : j->records.point;
        if (at < 0) continue;
        if (!read_at(j->file, at, &h, sizeof h, err))
            return em_error_place(err, j->path, 0, at), -1;
        sum += (int64_t)sizeof h + (int64_t)h.length;
    }
    return sum;
}

bool em_journal_append(em_journal *j, em_record_kind kind, const em_buffer *content,
                       em_error *err) {
    if (!put_record(j, kind, content, err)) return false;
    int64_t live = live_bytes(j, err);
    return live >= 0 && (j->records.end < 2 * live + SPARE_BYTES || compact(j, err));
}
