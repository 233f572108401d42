/* The pipeline, with a fake tokenizer: order, filters, errors in their place, closing at any time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "loader/groups.h"
#include "loader/files.h"
#include "loader/loader.h"
#include "loader/reader.h"
#include "make.h"

#define PILE \
    { "text", "meta.pile_set_name" }

/* A path without the scratch folder, so that errors can be compared. */
static const char *tail(const char *text) {
    const char *at = strstr(text, "evalmask-");
    return at ? strchr(at, '/') + 1 : text;
}

static void add_document(em_buffer *out, em_loader *l, const em_document *d) {
    em_buffer_printf(out, "%lld %s %llu:", (long long)d->index, em_loader_group_name(l, d->group),
                     (unsigned long long)d->bytes);
    assert_true(d->group < em_loader_groups(l));
    uint64_t bytes = 0;
    for (size_t i = 0; i < d->tokens.n; i++) {
        if (i < 8) em_buffer_printf(out, " %d", d->tokens.ids[i]);
        bytes += d->tokens.bytes[i];
    }
    assert_int_equal(bytes, d->bytes);
    em_buffer_puts(out, "\n");
}

/* Everything that a loader gives, as text: a line a document, then the error or the counts. */
static em_buffer transcript(const em_loader_options *options) {
    em_buffer out = {0};
    em_error err = EM_ERROR_INIT;
    char line[1280];
    const em_document *d;
    int got = -1;
    em_buffer_puts(&out, "");
    em_loader *l = em_loader_open(options, &err);
    while (l && (got = em_loader_next(l, &d, &err)) > 0) add_document(&out, l, d);
    if (got < 0) em_buffer_printf(&out, "%s\n", tail(em_error_line(&err, line, sizeof line)));
    if (l && got < 0) {
        em_error again = EM_ERROR_INIT;
        assert_int_equal(em_loader_next(l, &d, &again), -1);
        assert_string_equal(again.text, err.text);
    }
    if (l && got == 0) {
        em_loader_counts c;
        em_loader_counts_get(l, &c);
        assert_int_equal(em_loader_next(l, &d, &err), 0);
        em_buffer_printf(
            &out,
            "%lld documents, %lld empty, %lld bad, %lld filtered, %lld bytes, %lld tokens%s%s\n",
            (long long)c.documents, (long long)c.empty, (long long)c.bad, (long long)c.filtered,
            (long long)c.bytes, (long long)c.tokens, *c.first_bad ? "; " : "",
            c.first_bad); /* results hold no path */
    }
    em_loader_close(l);
    return out;
}

static void assert_transcript(em_loader_options options, const char *wanted) {
    static const int workers[] = {1, 2, 3, 7};
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        options.workers = workers[i];
        em_buffer got = transcript(&options);
        assert_string_equal(got.data, wanted);
        em_buffer_free(&got);
    }
}

static em_loader_options one_path(const char *const *path) {
    return (em_loader_options){.paths = path, .n_paths = 1, .keys = PILE, .workers = 2};
}

static void documents_and_counts(void **state) {
    const int32_t before[] = {1}, after[] = {2, 3};
    const char *path = make_text(
        "a.jsonl",
        "{\"text\":\"abcde\",\"meta\":{\"pile_set_name\":\"X\"}}\n\n"
        " \t\r\n{\"text\":\"\",\"meta\":{\"pile_set_name\":\"Y\"}}\r\n{\"text\":\"z\\u0000\"}");
    em_loader_options o = one_path(&path);
    o.before = before, o.n_before = 1, o.after = after, o.n_after = 2;
    assert_transcript(o, "0 X 5: 1 97 101 2 3\n1 Y 0: 1 2 3\n2  2: 1 122 2 3\n"
                         "3 documents, 1 empty, 0 bad, 0 filtered, 7 bytes, 12 tokens\n");
    o.before = o.after = NULL, o.n_before = o.n_after = 0;
    assert_transcript(o, "0 X 5: 97 101\n1 Y 0:\n2  2: 122\n"
                         "3 documents, 1 empty, 0 bad, 0 filtered, 7 bytes, 3 tokens\n");
    path = make_text("empty.jsonl", "");
    assert_transcript(o, "0 documents, 0 empty, 0 bad, 0 filtered, 0 bytes, 0 tokens\n");
    path = make_text("blank.jsonl", "\n \n\t\r\n  ");
    assert_transcript(o, "0 documents, 0 empty, 0 bad, 0 filtered, 0 bytes, 0 tokens\n");
}

/* A thousand documents, more than the ring holds, of which some take long. */
static void order_is_kept(void **state) {
    em_buffer data = {0}, wanted = {0};
    long long bytes = 0, tokens = 0;
    for (int i = 0; i < 1000; i++) {
        char text[32];
        int n = snprintf(text, sizeof text, "%s%d",
                         i % 41 == 0  ? "slow"
                         : i % 7 == 0 ? ""
                                      : "text",
                         i);
        em_buffer_printf(&data, "{\"meta\":{\"pile_set_name\":\"g%d\"},\"text\":\"%s\"}\n", i % 5,
                         text);
        em_buffer_printf(&wanted, "%d g%d %d:", i, i % 5, n);
        for (int at = 0; at < n; at += 4) em_buffer_printf(&wanted, " %d", text[at]);
        em_buffer_puts(&wanted, "\n");
        bytes += n;
        tokens += (n + 3) / 4;
    }
    em_buffer_printf(&wanted,
                     "1000 documents, 0 empty, 0 bad, 0 filtered, %lld bytes, %lld tokens\n", bytes,
                     tokens);
    const char *path = make_file("a.jsonl", data.data, data.length);
    assert_transcript(one_path(&path), wanted.data);
    em_buffer_free(&data);
    em_buffer_free(&wanted);
}

static const char filtered[] =
    "{\"text\":\"a\",\"meta\":{\"pile_set_name\":\"X\"}}\n{\"text\":\"b\",\"meta\":{\"pile_set_"
    "name\":\"Y\"}}\n"
    "{\"text\":\"c\"}\n{\"text\":\"d\",\"meta\":{\"pile_set_name\":\"X\"}}\n"
    "{\"text\":\"e\",\"meta\":{\"pile_set_name\":\"XY\"}}\n";

static void filters(void **state) {
    const char *path = make_text("a.jsonl", filtered), *x[] = {"X"}, *several[] = {"XY", ""},
               *none[] = {"Z"};
    em_loader_options o = one_path(&path);
    o.subsets = x, o.n_subsets = 1;
    assert_transcript(
        o, "0 X 1: 97\n1 X 1: 100\n2 documents, 0 empty, 0 bad, 3 filtered, 2 bytes, 2 tokens\n");
    o.max_docs = 1;
    assert_transcript(o, "0 X 1: 97\n1 documents, 0 empty, 0 bad, 0 filtered, 1 bytes, 1 tokens\n");
    o.subsets = several, o.n_subsets = 2, o.max_docs = 2;
    assert_transcript(
        o, "0  1: 99\n1 XY 1: 101\n2 documents, 0 empty, 0 bad, 3 filtered, 2 bytes, 2 tokens\n");
    o.subsets = none, o.n_subsets = 1, o.max_docs = 0;
    assert_transcript(o, "0 documents, 0 empty, 0 bad, 5 filtered, 0 bytes, 0 tokens\n");
    o.n_subsets = 0, o.max_docs = 3;
    assert_transcript(o, "0 X 1: 97\n1 Y 1: 98\n2  1: 99\n"
                         "3 documents, 0 empty, 0 bad, 0 filtered, 3 bytes, 3 tokens\n");
}

static const char broken[] =
    "{\"text\":\"a\"}\n\n{\"text\":1}\n{\"txt\":\"b\"}\n{\"text\":\"c\"}\n";

static void broken_records(void **state) {
    const char *path = make_text("a.jsonl", broken);
    em_loader_options o = one_path(&path);
    assert_transcript(o,
                      "0  1: 97\na.jsonl, record 2, byte 22: \"text\" is a number, not a string\n");
    o.skip_bad_records = true;
    assert_transcript(
        o, "0  1: 97\n1  1: 99\n2 documents, 0 empty, 2 bad, 0 filtered, 2 bytes, 2 tokens; "
           "a.jsonl, record 2, byte 22: \"text\" is a number, not a string\n");
    o.max_docs = 1;
    assert_transcript(o, "0  1: 97\n1 documents, 0 empty, 0 bad, 0 filtered, 1 bytes, 1 tokens\n");
    path = make_text("b.jsonl", "\xef\xbb\xbf{\"txt\":\"b\"}");
    o.skip_bad_records = false;
    assert_transcript(o, "b.jsonl, record 1, byte 3: no \"text\" key (--text-key names another): "
                         "the record has \"txt\"\n");
}

/* What has been read ahead is not counted: the figures belong to the document at hand. */
static void counts_follow_the_documents(void **state) {
    const char *path = make_text("a.jsonl", broken);
    em_loader_options o = one_path(&path);
    em_error err = EM_ERROR_INIT;
    em_loader_counts c;
    const em_document *d;
    o.skip_bad_records = true;
    em_loader *l = em_loader_open(&o, &err);
    assert_int_equal(em_loader_next(l, &d, &err), 1);
    usleep(20000);
    em_loader_counts_get(l, &c);
    assert_int_equal(c.bad, 0);
    assert_string_equal(c.first_bad, "");
    assert_int_equal(c.size, strlen(broken));
    assert_int_equal(em_loader_next(l, &d, &err), 1);
    em_loader_counts_get(l, &c);
    assert_int_equal(c.bad, 2);
    assert_int_equal(c.position, strlen(broken));
    em_loader_close(l);
}

static void tokenizer_errors_have_a_place(void **state) {
    const char *path = make_text("a.jsonl", "{\"text\":\"slow\"}\n{\"text\":\"a\"}\n"
                                            "{\"text\":\"fail\"}\n{\"text\":\"b\"}\n");
    assert_transcript(one_path(&path), "0  4: 115\n1  1: 97\n"
                                       "a.jsonl, record 3, byte 29: cannot be tokenized\n");
}

static void several_paths(void **state) {
    mkdir(make_path("d"), 0777);
    mkdir(make_path("d/below"), 0777);
    mkdir(make_path("none"), 0777);
    make_text("d/.hidden", "not read");
    make_text("d/b", "{\"text\":\"b\"}");
    make_text("d/B.jsonl", "{\"text\":\"B\"}\n");
    make_text("d/a", "{\"text\":\"a\"}\n{\"text\":\"c\"}\n");
    const char *paths[] = {make_path("d"), make_text("z", "{\"text\":\"z\"}\n"),
                           make_text("y", "{\"text\":\"y\"}\n{}")};
    em_loader_options o = {.paths = paths, .n_paths = 3, .keys = PILE};
    assert_transcript(o, "0  1: 66\n1  1: 97\n2  1: 99\n3  1: 98\n4  1: 122\n5  1: 121\n"
                         "y, record 2, byte 13: no \"text\" key (--text-key names another): "
                         "the record is empty\n");
    paths[2] = make_path("missing");
    assert_transcript(o, "missing: cannot be opened: No such file or directory\n");
    paths[2] = make_path("none");
    assert_transcript(o, "none: the directory holds no files\n");
    make_text("none/.hidden", "not read");
    assert_transcript(o, "none: the directory holds no data: JSON lines with \"text\", or .txt; 1 "
                         "other file: .hidden\n");
    paths[1] = paths[2] = "-";
    assert_transcript(o, "stdin (\"-\") can be read only once\n");
}

static em_files list(const char *folder, const char *text_key, const char *error) {
    const char *path = make_path(folder);
    em_files files;
    em_error err = EM_ERROR_INIT;
    char line[1280];
    bool good = em_files_list(&path, 1, text_key, &files, &err);
    assert_string_equal(good ? "" : tail(em_error_line(&err, line, sizeof line)), error);
    return files;
}

/* The files under the folder, in order. */
static void assert_listed(em_files *files, const char *wanted, const char *note) {
    em_buffer got = {0};
    char line[600];
    em_buffer_puts(&got, "");
    for (size_t i = 0; i < files->n; i++)
        em_buffer_printf(&got, "%s%s", i ? " " : "", files->paths[i] + strlen(make_path("hub/")));
    assert_string_equal(got.data, wanted);
    assert_string_equal(em_files_note(files, line, sizeof line), note);
    em_buffer_free(&got);
    em_files_free(files);
}

/* A data set as it is downloaded: what is data says the content, or a name that promises it. */
static void directories_are_walked(void **state) {
    em_buffer zst = {0}, gz = {0};
    add_zstd(&zst, "{\"text\":\"c\"}\n", 13);
    add_gzip(&gz, "# no data\n", 10);
    mkdir(make_path("hub"), 0777);
    mkdir(make_path("hub/empty"), 0777);
    mkdir(make_path("hub/more"), 0777);
    mkdir(make_path("hub/more/deep"), 0777);
    make_text("hub/README.md", "---\nlicense: mit\n---\n{\"text\": \"an example\"}\n");
    make_text("hub/LICENSE", "MIT");
    make_text("hub/LICENSE-MIT.txt", "MIT");
    make_text("hub/licenses_of_all.txt", "a document");
    make_text("hub/.gitattributes", "*.zst lfs");
    make_text("hub/dataset_infos.json",
              "{\"default\": {\"features\": {\"text\": {\"dtype\": \"string\"}}}}");
    make_text("hub/shard", "\n {\"meta\": {\"x\": [1]}, \"text\" : \"b\"}\n");
    make_file("hub/zipped", zst.data, zst.length);
    make_file("hub/notes.gz", gz.data, gz.length);
    make_text("hub/train.parquet", "PAR1\x15\4\x15\4PAR1");
    make_text("hub/more/deep/a.jsonl", "{\"broken");
    make_text("hub/more.jsonl", "{\"text\":\"d\"}\n");
    assert_int_equal(symlink("..", make_path("hub/more/loop")), 0);
    assert_int_equal(symlink("../shard", make_path("hub/more/again")), 0);
    assert_int_equal(link(make_path("hub/shard"), make_path("hub/shard2")), 0);
    em_files files = list("hub", "text", "");
    assert_listed(
        &files, "licenses_of_all.txt more/again more/deep/a.jsonl more.jsonl zipped",
        "7 files there are no data and were left out: .gitattributes, LICENSE, LICENSE-MIT.txt, "
        "README.md, dataset_infos.json, notes.gz, train.parquet; 3 second links");
    em_buffer_free(&zst);
    em_buffer_free(&gz);
}

/* Another text key, other data; packed rows are known by input_ids. */
static void what_is_data_follows_the_key(void **state) {
    mkdir(make_path("hub"), 0777);
    make_text("hub/a", "{\"content\":\"b\"}\n");
    make_text("hub/b", "{\"text\":\"b\"}\n");
    make_text("hub/c", "{\"input_ids\": [1]}\n");
    em_files files = list("hub", "content", "");
    assert_listed(&files, "a", "2 files there are no data and were left out: b, c");
    files = list("hub", NULL, "");
    assert_listed(&files, "c", "2 files there are no data and were left out: a, b");
    files = list("hub", "absent",
                 "hub: the directory holds no data: JSON lines with \"absent\", or .txt; 3 other "
                 "files: a, b, c");
    em_files_free(&files);
    for (int i = 0; i < 400; i++) {
        char name[64];
        snprintf(name, sizeof name, "hub/\x1b[31m%03d", i);
        make_text(name, "x");
    }
    char line[600];
    files = list("hub", "text", "");
    assert_int_equal(files.left_out, 402);
    em_files_note(&files, line, sizeof line);
    assert_non_null(strstr(line, "402 files there are no data and were left out: \\x1b[31m000, "));
    assert_string_equal(line + strlen(line) - 4, " …");
    em_files_free(&files);
}

static void addresses_are_no_files(void **state) {
    static const struct {
        const char *path, *error;
    } cases[] = {
        {"s3://bucket/a.jsonl", "aws s3 cp 's3://bucket/a.jsonl' - | evalmask --data - …"},
        {"https://x.org/a.zst", "curl -L 'https://x.org/a.zst' | evalmask --data - …"},
        {"gs://bucket/a", "gcloud storage cat 'gs://bucket/a' | evalmask --data - …"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        em_files files;
        em_error err = EM_ERROR_INIT;
        assert_false(em_files_list(&cases[i].path, 1, "text", &files, &err));
        assert_int_equal(err.status, EM_INPUT);
        assert_string_equal(err.source, cases[i].path);
        assert_non_null(strstr(err.text, cases[i].error));
        em_files_free(&files);
    }
}

static void files_are_joined(void **state) {
    const char *path = make_text("a", "\xef\xbb\xbf{\"text\":\"a\"}\n\xef\xbb\xbf{\"text\":\"b\"}\n"
                                      "\xef\xbb\xbf\n\xef\xbb\xbf{\"txt\":1}\n");
    assert_transcript(one_path(&path), "0  1: 97\n1  1: 98\na, record 3, byte 39: no \"text\" key "
                                       "(--text-key names another): the record has \"txt\"\n");
}

static void json_in_several_lines(void **state) {
    static const char *const texts[] = {"{\n  \"text\": \"a\"\n}\n", "\n{\"meta\": {\n\"x\": 1},\n",
                                        "{ \"text\": \"a\", \r\n \"x\": 1}", "{\"text\":\n\"a\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char wanted[200];
        const char *path = make_text("a", texts[i]);
        em_loader_options o = one_path(&path);
        o.skip_bad_records = true; /* the file is of another kind */
        snprintf(wanted, sizeof wanted,
                 "a, byte %d: is JSON laid out over several lines, which is not JSON lines; "
                 "convert it with jq -c .\n",
                 i == 1);
        assert_transcript(o, wanted);
    }
}

static void text_files(void **state) {
    em_buffer zst = {0}, gz = {0};
    add_zstd(&zst, "{\"text\"\n", 8);
    add_gzip(&gz, "two\nlines\n", 10);
    const char *paths[] = {make_text("a.txt", "\xef\xbb\xbfplain"),
                           make_file("b.txt.zst", zst.data, zst.length),
                           make_file("c.txt.gz", gz.data, gz.length), make_text("d.txt", "")};
    em_loader_options o = {.paths = paths, .n_paths = 4, .keys = PILE};
    assert_transcript(o, "0  5: 112 110\n1  8: 123 120\n2  10: 116 108 115\n3  0:\n"
                         "4 documents, 1 empty, 0 bad, 0 filtered, 23 bytes, 7 tokens\n");
    paths[1] = make_text("b.txt", "\xef\xbb\xbf"
                                  "caf\xe9");
    assert_transcript(
        o, "0  5: 112 110\nb.txt, record 1, byte 6: bytes that are not UTF-8, from 0xe9 on\n");
    o.skip_bad_records = true;
    assert_transcript(o, "0  5: 112 110\n1  10: 116 108 115\n2  0:\n"
                         "3 documents, 1 empty, 1 bad, 0 filtered, 15 bytes, 5 tokens; "
                         "b.txt, record 1, byte 6: bytes that are not UTF-8, from 0xe9 on\n");
    em_buffer_free(&zst);
    em_buffer_free(&gz);
}

static void other_data_is_refused(void **state) {
    const char *path = make_text("a", "\n  Once upon a time");
    em_loader_options o = one_path(&path);
    o.skip_bad_records = true; /* not a broken record: the file is of another kind */
    assert_transcript(o, "a, byte 3: does not begin with '{', so it is not JSON lines; "
                         "a file that is one text must be named .txt\n");
    path = make_text("a.json", "[{\"text\":\"a\"}]");
    assert_transcript(o, "a.json, byte 0: begins with '[': one JSON array is not JSON lines; "
                         "convert it with jq -c '.[]'\n");
    path = make_text("b", "{\"text\":\"a\"}\n[1]\n");
    assert_transcript(
        o, "0  1: 97\n1 documents, 0 empty, 1 bad, 0 filtered, 1 bytes, 1 tokens; "
           "b, record 2, byte 13: expected '{', since a record is a JSON object, found '['\n");
}

/* Documents before the damage come first. */
static void truncated_shard(void **state) {
    em_buffer zst = {0};
    add_zstd(&zst, "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"te", 30);
    add_zstd(&zst, "xt\":\"c\"}\n", 9);
    zst.length -= 6; /* the checksum and two bytes of text */
    const char *path = make_file("a.zst", zst.data, zst.length);
    em_loader_options o = one_path(&path);
    o.skip_bad_records = true;
    em_buffer got = transcript(&o);
    assert_non_null(strstr(got.data, "0  1: 97\n1  1: 98\na.zst, record 3, byte "));
    assert_non_null(strstr(
        got.data, ": the file ends inside a Zstandard frame: it is truncated (compressed byte "));
    em_buffer_free(&got);
    em_buffer_free(&zst);
}

static void add_long(em_buffer *b, size_t n, char c) {
    em_buffer_puts(b, "{\"text\":\"");
    assert_true(em_buffer_reserve(b, b->length + n, NULL));
    memset(b->data + b->length, c, n);
    b->length += n;
    em_buffer_puts(b, "\"}\n");
}

/* Lines longer than what is read at once, and than what may be in flight; places stay right. */
static void long_records(void **state) {
    em_buffer b = {0};
    for (int i = 0; i < 3; i++) {
        add_long(&b, 700001, 'a');
        add_long(&b, 3, 'b');
    }
    add_long(&b, 20000000, 'c');
    add_long(&b, 20000000, 'd');
    em_buffer_puts(&b, "{\"text\":\"\n");
    const char *path = make_file("a", b.data, b.length);
    char wanted[1000];
    snprintf(wanted, sizeof wanted, "a, record 9, byte %zu: the record ends inside a string\n",
             b.length - 1);
    em_loader_options o = one_path(&path);
    em_buffer got = transcript(&o);
    assert_non_null(
        strstr(got.data, "0  700001: 97 97 97 97 97 97 97 97\n1  3: 98\n2  700001: 97"));
    assert_non_null(strstr(got.data, "\n6  20000000: 99 99 99 99 99 99 99 99\n7  20000000: 100 "));
    assert_non_null(strstr(got.data, wanted));
    em_buffer_free(&got);
    em_buffer_free(&b);
}

static void record_length_is_bounded(void **state) {
    static const size_t bounds[] = {99, 100}; /* the second record is 100 bytes long */
    em_buffer b = {0};
    add_long(&b, 3, 'a');
    add_long(&b, 89, 'b');
    const char *path = make_file("a", b.data, b.length);
    for (size_t i = 0; i < 2; i++) {
        em_reader_options o = {
            .paths = &path, .n_paths = 1, .keys = PILE, .max_record_bytes = bounds[i]};
        em_error err = EM_ERROR_INIT;
        em_record record = {0};
        em_place place;
        char line[1280];
        em_reader *r = em_reader_open(&o, &err);
        assert_int_equal(em_reader_next(r, &record, &place, &err), 1);
        assert_int_equal(em_reader_next(r, &record, &place, &err), i ? 1 : -1);
        if (!i)
            assert_string_equal(tail(em_error_line(&err, line, sizeof line)),
                                "a, record 2, byte 15: longer than "
                                "99 bytes, the most that one record may take: cut it into several");
        assert_int_equal(em_reader_next(r, &record, &place, &err), 0);
        em_reader_close(r);
        em_record_free(&record);
    }
    em_buffer_free(&b);
}

static void groups_are_bounded(void **state) {
    em_buffer b = {0};
    for (int i = 0; i <= EM_GROUPS_MAX; i++)
        em_buffer_printf(&b, "{\"text\":\"\",\"meta\":{\"pile_set_name\":%d}}\n", i);
    const char *path = make_file("a", b.data, b.length);
    em_loader_options o = one_path(&path);
    em_buffer got = transcript(&o);
    const char *last = strstr(got.data, "65535 65535 0:\n");
    assert_non_null(last);
    assert_memory_equal(last + 15, "a, record 65537, byte ", 22);
    assert_non_null(strstr(last, ": more than 65536 groups: --group-by names the wrong key\n"));
    em_buffer_free(&got);
    em_buffer_clear(&b);
    em_buffer_printf(&b, "{\"text\":\"a\"}\n{\"text\":\"");
    for (int i = 0; i < 1025; i++) em_buffer_puts(&b, "x");
    em_buffer_puts(&b, "\"}");
    path = make_file("a", b.data, b.length);
    o.keys.group = "text";
    assert_transcript(
        o, "0 a 1: 97\na, record 2, byte 13: a group name of 1025 bytes, more than 1024: "
           "--group-by names the wrong key\n");
    em_buffer_free(&b);
}

/* At once, with one document held, with the ring full, while the data keeps silent. */
static void close_at_any_time(void **state) {
    em_buffer b = {0};
    em_error err = EM_ERROR_INIT;
    const em_document *d;
    for (int i = 0; i < 5000; i++)
        em_buffer_puts(&b, i % 3 ? "{\"text\":\"abc\"}\n" : "{\"text\":\"slow\"}\n");
    const char *path = make_file("a", b.data, b.length);
    em_loader_options o = one_path(&path);
    for (int taken = 0; taken < 300; taken = 2 * taken + 1) {
        em_loader *l = em_loader_open(&o, &err);
        for (int i = 0; i < taken; i++) assert_int_equal(em_loader_next(l, &d, &err), 1);
        if (taken % 2) usleep(5000);
        em_loader_close(l);
    }
    path = make_path("pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    em_loader *l = em_loader_open(&o, &err);
    usleep(5000);
    em_loader_close(l);
    em_loader_close(NULL);
    em_buffer_free(&b);
}

/* Once the last document that is wanted is there, nobody waits for more data. */
static void max_docs_stops_reading(void **state) {
    const char *path = make_path("pipe");
    em_error err = EM_ERROR_INIT;
    em_loader_counts c;
    const em_document *d;
    em_loader_options o = one_path(&path);
    o.max_docs = 2;
    assert_int_equal(mkfifo(path, 0600), 0);
    em_loader *l = em_loader_open(&o, &err);
    FILE *f = fopen(path, "wb");
    fputs("{\"text\":\"a\"}\n{\"text\":\"b\"}\n", f);
    fflush(f);
    assert_int_equal(em_loader_next(l, &d, &err), 1);
    assert_int_equal(em_loader_next(l, &d, &err), 1);
    assert_int_equal(em_loader_next(l, &d, &err), 0);
    em_loader_counts_get(l, &c);
    assert_int_equal(c.size, -1);
    fclose(f);
    em_loader_close(l);
}

static void no_threads_is_a_usage_error(void **state) {
    const char *path = make_text("a", "");
    em_loader_options o = one_path(&path);
    em_error err = EM_ERROR_INIT;
    o.workers = 0;
    assert_null(em_loader_open(&o, &err));
    assert_int_equal(err.status, EM_USAGE);
}

static int set_up(void **state) {
    make_folder();
    return 0;
}

static int tear_down(void **state) {
    make_clean();
    return 0;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(documents_and_counts),
        IN_FOLDER(order_is_kept),
        IN_FOLDER(filters),
        IN_FOLDER(broken_records),
        IN_FOLDER(counts_follow_the_documents),
        IN_FOLDER(tokenizer_errors_have_a_place),
        IN_FOLDER(several_paths),
        IN_FOLDER(directories_are_walked),
        IN_FOLDER(what_is_data_follows_the_key),
        IN_FOLDER(addresses_are_no_files),
        IN_FOLDER(files_are_joined),
        IN_FOLDER(json_in_several_lines),
        IN_FOLDER(text_files),
        IN_FOLDER(other_data_is_refused),
        IN_FOLDER(truncated_shard),
        IN_FOLDER(long_records),
        IN_FOLDER(record_length_is_bounded),
        IN_FOLDER(groups_are_bounded),
        IN_FOLDER(close_at_any_time),
        IN_FOLDER(max_docs_stops_reading),
        IN_FOLDER(no_threads_is_a_usage_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
