/* llama2.c's tokenizer against run.c's own loop, word for word slower. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/buffer.h"
#include "tokenize/tokenizer.h"

static const char *const pieces[] = {" ",    "a",  "b",   "c",        "ab", "bc",   "abc", "aa",
                                     "aaaa", " a", " ab", "\xc3\xa9", "b ", " a b", "cc",  "ccc"};
enum { PIECES = sizeof pieces / sizeof *pieces, SIZE = 259 + PIECES };

static char names[SIZE][16];
static float scores[SIZE];

static void put_int(em_buffer *b, int32_t x) { em_buffer_append(b, &x, 4, NULL); }

/* Scores: few values, so that ties happen. */
static void build(em_buffer *b) {
    put_int(b, 8);
    for (int id = 0; id < SIZE; id++) {
        if (id < 3)
            snprintf(names[id], sizeof *names, "%s",
                     id == 0   ? "<unk>"
                     : id == 1 ? "\n<s>\n"
                               : "\n</s>\n");
        else if (id < 259) snprintf(names[id], sizeof *names, "<0x%02X>", id - 3);
        else snprintf(names[id], sizeof *names, "%s", pieces[id - 259]);
        scores[id] = id < 259 ? 0 : -(float)((id * 7) % 5);
        em_buffer_append(b, &scores[id], 4, NULL);
        put_int(b, (int32_t)strlen(names[id]));
        em_buffer_append(b, names[id], strlen(names[id]), NULL);
    }
}

static int lookup(const char *s) {
    for (int id = 0; id < SIZE; id++)
        if (!strcmp(names[id], s)) return id;
    return -1;
}

/* encode() of run.c, without its BOS. */
static int reference(const char *text, int *ids) {
    int n = 0;
    ids[n++] = lookup(" ");
    for (const char *c = text; *c;) {
        char one[5] = {0};
        int length = 0;
        do one[length++] = *c++;
        while (((unsigned char)*c & 0xc0) == 0x80 && length < 4);
        int id = lookup(one);
        if (id >= 0) ids[n++] = id;
        for (int i = 0; id < 0 && i < length; i++) ids[n++] = (unsigned char)one[i] + 3;
    }
    for (;;) {
        float best = -1e10f;
        int best_id = -1, at = -1;
        for (int i = 0; i + 1 < n; i++) {
            char both[40];
            snprintf(both, sizeof both, "%s%s", names[ids[i]], names[ids[i + 1]]);
            int id = lookup(both);
            if (id >= 0 && scores[id] > best) {
                best = scores[id];
                best_id = id;
                at = i;
            }
        }
        if (at < 0) return n;
        ids[at] = best_id;
        memmove(ids + at + 1, ids + at + 2, (size_t)(n - at - 2) * sizeof *ids);
        n--;
    }
}

static void test_encode(void **state) {
    em_error err = EM_ERROR_INIT;
    em_buffer file = {0};
    em_tokens tokens = {0};
    build(&file);
    em_tokenizer *t = em_tokenizer_open("tok.bin", file.data, file.length, NULL, 0, &err);
    if (!t) fail_msg("%s", err.text);
    em_tokenizer_scratch *s = em_tokenizer_scratch_new(t, &err);
    assert_int_equal(em_tokenizer_size(t), SIZE);
    assert_int_equal(em_tokenizer_eos(t), 2);
    srand(5);
    for (int round = 0; round < 5000; round++) {
        static const char *const units[] = {"a", "b",  "c",     " ", "\xc3\xa9", "\xe4\xbd\xa0",
                                            "z", "aa", "<0x41>"};
        char text[256] = "";
        int ids[512], n, sum = 0;
        for (int left = 1 + rand() % 30; left; left--) strcat(text, units[rand() % 9]);
        n = reference(text, ids);
        tokens.n = 0;
        assert_true(em_tokenize(t, s, text, strlen(text), &tokens, &err));
        assert_int_equal(tokens.n, n);
        for (int i = 0; i < n; i++) {
            assert_int_equal(tokens.ids[i], ids[i]);
            sum += (int)tokens.bytes[i];
        }
        assert_int_equal(sum, strlen(text));
    }
    em_tokens_free(&tokens);
    em_tokenizer_scratch_free(s);
    em_tokenizer_close(t);
    em_buffer_free(&file);
}

static void refuse(size_t at, int32_t value, size_t size, const char *why) {
    em_error err = EM_ERROR_INIT;
    em_buffer file = {0};
    build(&file);
    if (at) memcpy(file.data + at, &value, 4);
    assert_null(em_tokenizer_open("tok.bin", file.data, size ? size : file.length, NULL, 0, &err));
    if (!strstr(err.text, why)) fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    em_buffer_free(&file);
}

static void test_refusals(void **state) {
    refuse(8, 1 << 30, 0, "this is no tokenizer"); /* the first token's length */
    refuse(4, 0x7fc00000, 0, "the score of token 0 is not a number");
    refuse(0, 0, 4 + 8 + 5, "it has 1 tokens");
    refuse(0, 0, 200, "this is no tokenizer"); /* cut within a token */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_encode),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
