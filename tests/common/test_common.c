/* Errors, buffers, sizes, number formatting, output files, saved states. */
#include <float.h>
#include <math.h>
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
#include <zstd.h>

#include "common/buffer.h"
#include "common/dtype.h"
#include "common/error.h"
#include "common/output.h"
#include "common/shown.h"
#include "common/size.h"
#include "common/state.h"

static void first_error_wins(void **state) {
    em_error err = EM_ERROR_INIT;
    char line[1280];
    assert_false(em_fail_at(&err, EM_INPUT, "a.jsonl", 12, 345, "bad\nthing"));
    assert_false(em_fail(&err, EM_MACHINE, "later"));
    assert_int_equal(err.status, EM_INPUT);
    assert_string_equal(em_error_line(&err, line, sizeof line),
                        "a.jsonl, record 12, byte 345: bad\\x0athing");
}

static void place_is_added_once(void **state) {
    em_error err = EM_ERROR_INIT;
    char line[1280];
    em_fail(&err, EM_INPUT, "bad");
    em_error_place(&err, "x", 0, 7);
    em_error_place(&err, "y", 3, 9);
    assert_string_equal(em_error_line(&err, line, sizeof line), "x, record 3, byte 7: bad");
}

static void long_source_keeps_its_tail(void **state) {
    char path[1000];
    em_error err = EM_ERROR_INIT;
    memset(path, 'd', sizeof path);
    strcpy(path + sizeof path - 12, "/file.jsonl");
    em_fail_at(&err, EM_INPUT, path, 0, -1, "bad");
    assert_memory_equal(err.source, "...", 3);
    assert_string_equal(err.source + strlen(err.source) - 11, "/file.jsonl");
}

static void sizes_are_checked(void **state) {
    em_error err = EM_ERROR_INIT;
    assert_null(em_alloc(SIZE_MAX / 2, 8, "a thing", &err));
    assert_int_equal(err.status, EM_MACHINE);
    assert_non_null(strstr(err.text, "a thing"));
    size_t out;
    assert_false(em_size_mul(SIZE_MAX, 2, &out));
    assert_false(em_size_add(SIZE_MAX, 1, &out));
}

static void doubles_read_back(void **state) {
    const double cases[] = {
        0,   -0.0, 0.1, 1.0 / 3, 4.406691943115003, 1e22, 5e-324, DBL_MAX, 123456789012345678.0,
        M_PI};
    em_buffer b = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        em_buffer_clear(&b);
        em_buffer_double(&b, cases[i]);
        double back = strtod(b.data, NULL);
        assert_memory_equal(&back, &cases[i], sizeof back);
    }
    em_buffer_clear(&b);
    em_buffer_double(&b, 0.1);
    assert_string_equal(b.data, "0.1");
    em_buffer_clear(&b);
    em_buffer_double(&b, NAN);
    em_buffer_double(&b, -INFINITY);
    assert_string_equal(b.data, "nullnull");
    em_buffer_free(&b);
}

static void json_strings(void **state) {
    em_buffer b = {0};
    em_buffer_json(&b, "a\"\\\n\t\x01\0\x7f\xff\xc3\xa9 \xed\xa0\x80 \xf0\x9f\x98\x80", 20);
    assert_string_equal(b.data, "\"a\\\"\\\\\\n\\t\\u0001\\u0000\\u007f\xef\xbf\xbd\xc3\xa9 "
                                "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xf0\x9f\x98\x80\"");
    em_buffer_free(&b);
}

static void half_floats(void **state) {
    assert_true(em_f16_to_f32(0x3c00) == 1.0f && em_f16_to_f32(0xc000) == -2.0f &&
                em_f16_to_f32(0x0001) == 0x1p-24f);
    assert_true(isinf(em_f16_to_f32(0x7c00)) && isnan(em_f16_to_f32(0x7e00)) &&
                em_f16_to_f32(0x7bff) == 65504.0f);
    assert_int_equal(em_f32_to_bf16(1.00390625f), 0x3f80); /* a tie goes to even */
    assert_int_equal(em_f32_to_bf16(1.01171875f), 0x3f82);
    assert_true(isnan(em_bf16_to_f32(em_f32_to_bf16(NAN))));
    for (uint32_t u = 0; u < 0x7f80; u++)
        assert_int_equal(em_f32_to_bf16(em_bf16_to_f32((uint16_t)u)), u);
}

static char folder[] = "/tmp/evalmask-test-XXXXXX";

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

/* Files of the folder. */
static int count_files(void) {
    char command[300];
    int n = -1;
    snprintf(command, sizeof command, "ls %s | wc -l", folder);
    FILE *f = popen(command, "r");
    if (fscanf(f, "%d", &n) != 1) n = -1;
    pclose(f);
    return n;
}

static void output_is_whole_or_absent(void **state) {
    em_error err = EM_ERROR_INIT;
    em_output *o = em_output_open(path_of("r.json"), &err);
    assert_non_null(o);
    assert_true(em_output_write(o, "{}", 2, &err));
    assert_int_equal(access(path_of("r.json"), F_OK), -1);
    assert_true(em_output_commit(o, &err));
    assert_int_equal(access(path_of("r.json"), F_OK), 0);
    assert_int_equal(count_files(), 1);
    o = em_output_open(path_of("s.json"), &err);
    assert_true(em_output_write(o, "{}", 2, &err));
    em_output_abort(o);
    assert_int_equal(access(path_of("s.json"), F_OK), -1);
    assert_int_equal(count_files(), 1);
}

/* The last one that is committed has the name; neither sees the other's bytes. */
static void two_outputs_of_one_name(void **state) {
    em_error err = EM_ERROR_INIT;
    em_output *a = em_output_open(path_of("two"), &err), *b = em_output_open(path_of("two"), &err);
    assert_true(em_output_write(a, "aaaa", 4, &err) && em_output_write(b, "b", 1, &err));
    assert_true(em_output_commit(a, &err));
    assert_true(em_output_commit(b, &err));
    struct stat st;
    assert_int_equal(stat(path_of("two"), &st), 0);
    assert_int_equal(st.st_size, 1);
    unlink(path_of("two"));
}

static em_output *resume(const char *name, em_output_mark mark, bool complete, em_error *err) {
    return em_output_resume(path_of(name), &(em_output_resumed){"0123456789abcdef", mark, complete},
                            err);
}

static const em_output_mark nothing;

static void output_goes_on_where_it_was_synced(void **state) {
    em_error err = EM_ERROR_INIT;
    em_output_mark mark;
    em_output *o = resume("u", nothing, false, &err);
    assert_true(em_output_write(o, "kept", 4, &err) && em_output_sync(o, &mark, &err));
    assert_int_equal(mark.length, 4);
    assert_true(mark.check == XXH3_64bits("kept", 4));
    assert_true(em_output_write(o, "lost in the crash", 17, &err));
    em_output_leave(o);
    o = resume("u", mark, false, &err);
    assert_true(em_output_write(o, " on", 3, &err) && em_output_sync(o, &mark, &err) &&
                em_output_commit(o, &err));
    assert_true(mark.check == XXH3_64bits("kept on", 7));
    char text[32] = "";
    FILE *f = fopen(path_of("u"), "rb");
    assert_int_equal(fread(text, 1, sizeof text, f), 7);
    fclose(f);
    assert_string_equal(text, "kept on");

    o = resume("u", mark, true, &err); /* it has its name already */
    assert_true(o && em_output_commit(o, &err));
    assert_int_equal(access(path_of("u"), F_OK), 0);
    assert_null(resume("u", mark, false, &err)); /* but more was to come */
    assert_int_equal(err.status, EM_INPUT);
    em_error_init(&err);
    f = fopen(path_of("u"), "wb"); /* somebody else's of the same length */
    assert_int_equal(fwrite("kept off", 1, 7, f), 7);
    fclose(f);
    assert_null(resume("u", mark, true, &err));
    assert_int_equal(err.status, EM_INPUT);
    em_error_init(&err);
    em_output_leave(resume("v", nothing, false, &err));
    assert_null(resume("v", (em_output_mark){1, 0}, false, &err)); /* shorter than it was */
    assert_int_equal(err.status, EM_INPUT);
    unlink(path_of("u"));
    unlink(path_of("v.0123456789abcdef.partial"));
}

/* A bit flipped in any byte that counts, and in none behind them. */
static void changed_bytes_are_refused(void **state) {
    static const char name[] = "x.0123456789abcdef.partial";
    em_error err = EM_ERROR_INIT;
    em_output_mark mark;
    em_output *o = resume("x", nothing, false, &err);
    assert_true(em_output_write(o, "0123456789", 10, &err) && em_output_sync(o, &mark, &err) &&
                em_output_write(o, "torn", 4, &err));
    em_output_leave(o);
    for (int at = 0; at < 14; at++) {
        em_error_init(&err);
        FILE *f = fopen(path_of(name), "wb");
        char bytes[15] = "0123456789torn";
        bytes[at] ^= 1;
        assert_int_equal(fwrite(bytes, 1, 14, f), 14);
        fclose(f);
        o = resume("x", mark, false, &err);
        assert_true((o != NULL) == (at >= 10));
        em_output_leave(o);
        if (at >= 10) continue;
        assert_int_equal(err.status, EM_INPUT);
        assert_non_null(strstr(err.text, "its first 10 bytes are not those"));
    }
    unlink(path_of(name));
}

/* A link at the name is replaced, one at the partial file's name refused; what they lead to stays.
 */
static void links_are_not_followed(void **state) {
    em_error err = EM_ERROR_INIT;
    FILE *f = fopen(path_of("precious"), "wb");
    fputs("precious", f);
    fclose(f);
    assert_int_equal(symlink("precious", path_of("y")), 0);
    assert_int_equal(symlink("precious", path_of("z.0123456789abcdef.partial")), 0);
    em_output *o = em_output_open(path_of("y"), &err);
    assert_true(o && em_output_write(o, "{}", 2, &err) && em_output_commit(o, &err));
    assert_null(resume("z", nothing, false, &err));
    assert_int_equal(err.status, EM_MACHINE);
    em_error_init(&err);
    assert_null(resume("z", (em_output_mark){8, XXH3_64bits("precious", 8)}, false, &err));
    assert_int_equal(err.status, EM_INPUT);
    char text[32] = "";
    f = fopen(path_of("precious"), "rb");
    assert_int_equal(fread(text, 1, sizeof text, f), 8);
    fclose(f);
    assert_string_equal(text, "precious");
    unlink(path_of("precious"));
    unlink(path_of("y"));
    unlink(path_of("z.0123456789abcdef.partial"));
}

static void compressed_output_goes_on(void **state) {
    em_error err = EM_ERROR_INIT;
    em_output_mark mark = {0};
    for (int i = 0; i < 5; i++) {
        em_output *o = resume("w.zst", mark, false, &err);
        assert_true(em_output_write(o, "0123456789", 10, &err) && em_output_sync(o, &mark, &err));
        assert_true(em_output_write(o, "lost", 4, &err));
        em_output_leave(o);
    }
    em_output *o = resume("w.zst", mark, true, &err);
    assert_true(em_output_commit(o, &err));
    char packed[512], plain[100];
    FILE *f = fopen(path_of("w.zst"), "rb");
    size_t n = fread(packed, 1, sizeof packed, f);
    fclose(f);
    assert_int_equal(n, mark.length);
    assert_int_equal(ZSTD_decompress(plain, sizeof plain, packed, n), 50);
    assert_memory_equal(plain + 40, "0123456789", 10);
    unlink(path_of("w.zst"));
}

/* What names of others may hold, as people see it. */
static void text_is_shown(void **state) {
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"plain caf\xc3\xa9 \xf0\x9f\x98\x80 \\", "plain caf\xc3\xa9 \xf0\x9f\x98\x80 \\"},
        {"\x1b]0;title\x07\x1b[31m", "\\x1b]0;title\\x07\\x1b[31m"},
        {"a\nb\tc\x7f", "a\\x0ab\\x09c\\x7f"},
        {"\xc2\x85\xc2\x9b"
         "31m",
         "\\x85\\x9b31m"},
        {"\xe2\x80\xae"
         "a\xe2\x81\xa6"
         "b\xe2\x80\x8e\xd8\x9c",
         "\\u202ea\\u2066b\\u200e\\u061c"},
        {"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029"},
        {"\xff\xc3(\xed\xa0\x80", "\\xff\\xc3(\\xed\\xa0\\x80"},
        {"\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa",
         "\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[200];
        em_buffer b = {0};
        em_show(out, sizeof out, cases[i].text);
        assert_string_equal(out, cases[i].shown);
        em_buffer_shown(&b, cases[i].text, strlen(cases[i].text));
        assert_string_equal(b.data, cases[i].shown);
        em_buffer_free(&b);
        for (size_t room = 1; room < 12; room++) { /* a cut escape is none */
            em_show(out, room, cases[i].text);
            assert_true(strlen(out) < room && !strncmp(out, cases[i].shown, strlen(out)));
            const char *last = strrchr(out, '\\');
            if (last && i) assert_true(strlen(last) >= 4);
        }
    }
}

/* Cut anywhere, the hash's input gives the same hash. */
static void a_hash_goes_on(void **state) {
    static unsigned char input[3000];
    for (size_t i = 0; i < sizeof input; i++) input[i] = (unsigned char)(i * 7 ^ i >> 3);
    XXH128_hash_t whole = XXH3_128bits(input, sizeof input);
    XXH3_state_t *h = XXH3_createState();
    for (size_t cut = 0; cut <= sizeof input; cut += 13) {
        em_error err = EM_ERROR_INIT;
        em_buffer bytes = {0};
        XXH3_128bits_reset(h);
        XXH3_128bits_update(h, input, cut);
        assert_true(em_state_hash(&(em_state){.into = &bytes, .err = &err}, h));
        XXH3_128bits_reset(h);
        em_state in = {.from = (unsigned char *)bytes.data, .left = bytes.length, .err = &err};
        assert_true(em_state_hash(&in, h) && em_state_end(&in));
        XXH3_128bits_update(h, input + cut, sizeof input - cut);
        XXH128_hash_t parts = XXH3_128bits_digest(h);
        assert_true(XXH128_isEqual(whole, parts));
        em_buffer_free(&bytes);
    }
    XXH3_freeState(h);
}

static void states_are_checked(void **state) {
    em_error err = EM_ERROR_INIT;
    em_buffer bytes = {0};
    em_state out = {.into = &bytes, .err = &err};
    double x = NAN, y = 0;
    bool flag = true;
    size_t n = 3, m = 0;
    int64_t index = 5, other = 7;
    char *name = strdup("a subset"), *copy = NULL;
    assert_true(EM_STATE(&out, x) && em_state_flag(&out, &flag) &&
                em_state_within(&out, &index, 0, 5) && em_state_string(&out, &name) &&
                em_state_length(&out, &n, 8));
    flag = false;
    em_state in = {.from = (unsigned char *)bytes.data, .left = bytes.length, .err = &err};
    assert_true(EM_STATE(&in, y) && em_state_flag(&in, &flag) &&
                em_state_within(&in, &other, 0, 5) && em_state_string(&in, &copy));
    assert_memory_equal(&x, &y, sizeof x);
    assert_true(flag && other == 5 && !strcmp(name, copy));
    assert_false(em_state_length(&in, &m, 8)); /* three of them do not follow */
    assert_int_equal(err.status, EM_INPUT);
    assert_false(EM_STATE(&in, y)); /* and it stays so */
    em_state least = {.from = (unsigned char *)bytes.data, .left = bytes.length, .err = &err};
    assert_false(EM_STATE(&least, y) && em_state_flag(&least, &flag) &&
                 em_state_within(&least, &other, 0, 4));
    em_state longer = {.from = (unsigned char *)bytes.data, .left = bytes.length, .err = &err};
    assert_false(EM_STATE(&longer, y) && em_state_end(&longer));
    free(name);
    free(copy);
    em_buffer_free(&bytes);
}

static void output_to_a_full_disk_fails(void **state) {
    em_error err = EM_ERROR_INIT;
    em_output *o = em_output_open("/dev/full", &err);
    assert_non_null(o);
    em_output_write(o, "x", 1, &err);
    assert_false(em_output_commit(o, &err));
    assert_int_equal(err.status, EM_MACHINE);
    assert_non_null(strstr(err.source, "/dev/full"));
    em_error none = EM_ERROR_INIT;
    assert_null(em_output_open("/no/such/folder/x", &none));
    assert_int_equal(none.status, EM_MACHINE);
}

static void output_compresses(void **state) {
    em_error err = EM_ERROR_INIT;
    em_output *o = em_output_open(path_of("t.jsonl.zst"), &err);
    for (int i = 0; i < 1000; i++) assert_true(em_output_write(o, "0123456789", 10, &err));
    assert_true(em_output_commit(o, &err));
    char packed[4096], plain[20000];
    FILE *f = fopen(path_of("t.jsonl.zst"), "rb");
    size_t n = fread(packed, 1, sizeof packed, f);
    fclose(f);
    assert_int_equal(ZSTD_decompress(plain, sizeof plain, packed, n), 10000);
    assert_memory_equal(plain + 9990, "0123456789", 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(first_error_wins),
                                       cmocka_unit_test(place_is_added_once),
                                       cmocka_unit_test(long_source_keeps_its_tail),
                                       cmocka_unit_test(sizes_are_checked),
                                       cmocka_unit_test(doubles_read_back),
                                       cmocka_unit_test(json_strings),
                                       cmocka_unit_test(half_floats),
                                       cmocka_unit_test(output_is_whole_or_absent),
                                       cmocka_unit_test(output_to_a_full_disk_fails),
                                       cmocka_unit_test(output_compresses),
                                       cmocka_unit_test(two_outputs_of_one_name),
                                       cmocka_unit_test(output_goes_on_where_it_was_synced),
                                       cmocka_unit_test(changed_bytes_are_refused),
                                       cmocka_unit_test(links_are_not_followed),
                                       cmocka_unit_test(text_is_shown),
                                       cmocka_unit_test(compressed_output_goes_on),
                                       cmocka_unit_test(a_hash_goes_on),
                                       cmocka_unit_test(states_are_checked)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
