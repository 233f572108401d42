/* A journal on the disk: what was appended comes back, a torn or flipped record is as if it had
 * never been, and no other run gets it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "eval/setup/identity.h"
#include "eval/run/journal.h"

static char folder[] = "/tmp/evalmask-journal-XXXXXX";

static char *path_of(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state) { return mkdtemp(folder) == NULL; }

static int remove_folder(void **state) {
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static em_buffer text(const char *s) {
    em_buffer b = {0};
    em_buffer_puts(&b, s);
    return b;
}

static em_journal *open_journal(const char *name, const char *identity, em_error *err) {
    em_buffer b = text(identity);
    em_error_init(err);
    em_journal *j = em_journal_open(path_of(name), &b, err);
    em_buffer_free(&b);
    return j;
}

static void append(em_journal *j, em_record_kind kind, const char *content) {
    em_error err = EM_ERROR_INIT;
    em_buffer b = text(content);
    assert_true(em_journal_append(j, kind, &b, &err));
    em_buffer_free(&b);
}

static void expect(em_journal *j, int i, const char *content) {
    em_error err = EM_ERROR_INIT;
    em_buffer b = {0};
    assert_true(em_journal_read(j, i, &b, &err));
    assert_string_equal(b.data, content);
    em_buffer_free(&b);
}

static void what_was_appended_comes_back(void **state) {
    em_error err;
    em_journal *j = open_journal("a", "x\t1\n", &err);
    assert_true(j && em_journal_empty(j));
    char id[EM_OUTPUT_ID];
    snprintf(id, sizeof id, "%s", em_journal_id(j));
    append(j, EM_RECORD_POINT, "one");
    append(j, EM_RECORD_STREAM, "first");
    assert_false(em_journal_has_point(j)); /* it belongs to the stream that is finished */
    append(j, EM_RECORD_STREAM, "second");
    append(j, EM_RECORD_POINT, "two");
    append(j, EM_RECORD_POINT, "three");
    em_journal_close(j);
    j = open_journal("a", "x\t1\n", &err);
    assert_non_null(j);
    assert_string_equal(em_journal_id(j), id);
    assert_int_equal(em_journal_streams(j), 2);
    assert_true(em_journal_has_point(j) && !em_journal_empty(j));
    expect(j, 0, "first");
    expect(j, 1, "second");
    expect(j, 2, "three");
    assert_true(em_journal_remove(j, &err));
    assert_int_equal(access(path_of("a"), F_OK), -1);
}

/* Of every length, and with a bit of every byte flipped: streams and point are a prefix of what was
 * appended, or it is refused. */
static void damage_is_as_if_it_had_never_been(void **state) {
    static const char *const points[] = {"one", NULL, "two"}; /* after no, one and two streams */
    em_error err;
    em_journal *j = open_journal("whole", "x\t1\n", &err);
    append(j, EM_RECORD_POINT, "one");
    append(j, EM_RECORD_STREAM, "first");
    append(j, EM_RECORD_STREAM, "second");
    append(j, EM_RECORD_POINT, "two");
    em_journal_close(j);
    unsigned char whole[1024];
    FILE *f = fopen(path_of("whole"), "rb");
    size_t n = fread(whole, 1, sizeof whole, f), head = sizeof(uint64_t) * 5 + EM_OUTPUT_ID + 4;
    fclose(f);
    for (size_t k = 0; k < 2 * n; k++) {
        size_t at = k % n, size = k < n ? k : n;
        unsigned char bit = (unsigned char)(k < n ? 0 : 1 << k % 8);
        whole[at] ^= bit;
        f = fopen(path_of("damaged"), "wb");
        fwrite(whole, 1, size, f);
        fclose(f);
        whole[at] ^= bit;
        j = open_journal("damaged", "x\t1\n", &err);
        if (size == 0 || at >= head) assert_non_null(j);
        else assert_true(!j && (err.status == EM_INPUT || err.status == EM_USAGE));
        if (!j) continue;
        int streams = em_journal_streams(j);
        if (streams > 0) expect(j, 0, "first");
        if (streams > 1) expect(j, 1, "second");
        if (em_journal_has_point(j)) expect(j, streams, points[streams]);
        append(j, EM_RECORD_POINT, "more"); /* and it goes on from there */
        em_journal_close(j);
        j = open_journal("damaged", "x\t1\n", &err);
        assert_non_null(j);
        assert_int_equal(em_journal_streams(j), streams);
        expect(j, streams, "more");
        em_journal_close(j);
    }
}

static void another_run_or_process_does_not_get_it(void **state) {
    em_error err;
    em_journal *j = open_journal("b", "version\t1\n--mask\t\"doc\"\n--seed\t\"3\"\n", &err);
    assert_null(open_journal("b", "version\t1\n--mask\t\"doc\"\n--seed\t\"3\"\n", &err));
    assert_true(err.status == EM_USAGE && strstr(err.text, "another process"));
    em_journal_close(j);
    static const struct {
        const char *identity, *words;
    } others[] = {{"version\t2\n--mask\t\"doc\"\n--seed\t\"3\"\n",
                   "its run had version 1, this one 2; go on with the build that it is of"},
                  {"version\t1\n--mask\t\"doc,full\"\n--seed\t\"3\"\n",
                   "its run had --mask \"doc\", this one \"doc,full\""},
                  {"version\t1\n--seed\t\"3\"\n", "its run had --mask \"doc\", this one has not"},
                  {"version\t1\n--mask\t\"doc\"\n", "its run had --seed \"3\", this one has not"},
                  {"version\t1\n--labels\t\"shifted\"\n--mask\t\"doc\"\n--seed\t\"3\"\n",
                   "its run did not have --labels \"shifted\""},
                  {"version\t1\n--mask\t\"doc\"\n--seed\t\"3\"\n--tail\t\"drop\"\n",
                   "its run did not have --tail \"drop\""}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_null(open_journal("b", others[i].identity, &err));
        assert_int_equal(err.status, EM_USAGE);
        if (!strstr(err.text, others[i].words)) fail_msg("%s", err.text);
    }
    j = open_journal("b", "version\t1\n--mask\t\"doc\"\n--seed\t\"3\"\n", &err);
    assert_non_null(j);
    em_journal_close(j);
}

/* 100 points of 1 MiB are never more than 3 + 4 of them on the disk. */
static void it_does_not_grow_without_bound(void **state) {
    em_error err;
    em_buffer big = {0};
    struct stat st;
    em_journal *j = open_journal("c", "x\t1\n", &err);
    append(j, EM_RECORD_STREAM, "first");
    for (int i = 0; i < 1 << 17; i++) em_buffer_puts(&big, "01234567");
    for (int i = 0; i < 100; i++) {
        big.data[0] = (char)('A' + i % 26);
        assert_true(em_journal_append(j, EM_RECORD_POINT, &big, &err));
        assert_int_equal(stat(path_of("c"), &st), 0);
        assert_true(st.st_size < 7 << 20);
        assert_null(open_journal("c", "x\t1\n", &err)); /* locked, whichever file it is by now */
    }
    em_error_init(&err);
    em_journal_close(j);
    j = open_journal("c", "x\t1\n", &err);
    assert_int_equal(em_journal_streams(j), 1);
    expect(j, 0, "first");
    expect(j, 1, big.data);
    em_journal_close(j);
    em_buffer_free(&big);
}

static void write_text(const char *name, const char *content) {
    FILE *f = fopen(path_of(name), "wb");
    fputs(content, f);
    fclose(f);
}

static void expect_text(const char *name, const char *content) {
    char got[64] = "";
    FILE *f = fopen(path_of(name), "rb");
    got[fread(got, 1, sizeof got - 1, f)] = 0;
    fclose(f);
    assert_string_equal(got, content);
}

/* Whatever lies beside it, and wherever a link leads. */
static void files_of_others_stay(void **state) {
    em_error err;
    char target[320];
    write_text("d.new", "precious");
    write_text("victim", "precious");
    write_text("empty", "");
    em_journal *j = open_journal("d", "x\t1\n", &err);
    assert_non_null(j);
    em_buffer big = {0};
    for (int i = 0; i < 1 << 17; i++) em_buffer_puts(&big, "01234567");
    snprintf(target, sizeof target, "%s.%s.new", path_of("d"), em_journal_id(j));
    for (int i = 0; i < 12; i++) { /* it is rewritten meanwhile, where a link waits */
        if (i == 3) assert_int_equal(symlink("victim", target), 0);
        assert_true(em_journal_append(j, EM_RECORD_POINT, &big, &err));
    }
    assert_true(em_journal_remove(j, &err));
    em_buffer_free(&big);
    expect_text("d.new", "precious");
    expect_text("victim", "precious");
    static const char *const targets[] = {"victim", "empty", "missing"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(symlink(targets[i], path_of("link")), 0);
        assert_null(open_journal("link", "x\t1\n", &err));
        assert_int_equal(err.status, EM_USAGE);
        assert_non_null(strstr(err.text, "is a link"));
        unlink(path_of("link"));
    }
    expect_text("victim", "precious");
    expect_text("empty", "");
    assert_int_equal(access(path_of("missing"), F_OK), -1);
}

/* A record twice, one left out, two exchanged: each is whole, and they are not what was written. */
static void records_are_in_sequence(void **state) {
    enum { HEADER = sizeof(uint64_t) * 5 };
    static const int orders[][4] = {{0, 1, 1, 2}, {0, 2, 3, 3}, {0, 2, 1, 3}, {0, 1, 2, 3}};
    static const int whole_records[] = {1, 0, 0, 3};
    em_error err;
    em_journal *j = open_journal("e", "x\t1\n", &err);
    append(j, EM_RECORD_STREAM, "first");
    append(j, EM_RECORD_STREAM, "other");
    append(j, EM_RECORD_STREAM, "third");
    em_journal_close(j);
    unsigned char whole[1024];
    FILE *f = fopen(path_of("e"), "rb");
    size_t n = fread(whole, 1, sizeof whole, f), record = HEADER + 5, head = n - 3 * record;
    fclose(f);
    for (size_t k = 0; k < 4; k++) {
        f = fopen(path_of("f"), "wb");
        for (int i = 0; i < 4; i++) {
            int at = orders[k][i];
            fwrite(at ? whole + head + (size_t)(at - 1) * record : whole, 1, at ? record : head, f);
        }
        fclose(f);
        j = open_journal("f", "x\t1\n", &err);
        assert_non_null(j);
        assert_int_equal(em_journal_streams(j), whole_records[k]);
        em_journal_close(j);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_appended_comes_back),
                                       cmocka_unit_test(damage_is_as_if_it_had_never_been),
                                       cmocka_unit_test(another_run_or_process_does_not_get_it),
                                       cmocka_unit_test(it_does_not_grow_without_bound),
                                       cmocka_unit_test(files_of_others_stay),
                                       cmocka_unit_test(records_are_in_sequence)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
