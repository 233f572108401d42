/* Normalization rules inside SentencePiece models: good ones are followed, ones that lead the
 * library outside of them are refused before it sees them. Made by hand and put behind a real
 * model, where protobuf merges them into its normalizer_spec. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/buffer.h"
#include "tokenize/tokenizer.h"

#define MODEL EM_TEST_DATA "/tokenize/real/tiny4k-spm.model"

enum { UNITS = 512, UNUSED = 1u << 31, LEAF = 1u << 8 };

typedef struct rules {
    uint32_t units[UNITS];
    uint32_t length; /* of the double array, as the rules state it */
    const char *values;
    size_t values_n;
} rules;

static uint32_t unit(uint32_t at, uint32_t label, bool leaf, uint32_t base) {
    return label | (leaf ? LEAF : 0) | (at ^ base) << 10;
}

/* "Q" becomes "the": the root's children begin at 256, the leaf of "Q" is unit 128. */
static rules good_rules(void) {
    rules r = {.length = 4 * UNITS, .values = "the", .values_n = 4};
    for (int i = 0; i < UNITS; i++) r.units[i] = UNUSED;
    r.units[0] = unit(0, 0, false, 256);
    r.units[256 ^ 'Q'] = unit(256 ^ 'Q', 'Q', true, 128);
    r.units[128] = UNUSED | 0;
    return r;
}

static void put_varint(em_buffer *b, size_t n) {
    for (; n > 127; n >>= 7) em_buffer_append(b, &(char){(char)(128 | (n & 127))}, 1, NULL);
    em_buffer_append(b, &(char){(char)n}, 1, NULL);
}

static void put_field(em_buffer *b, int number, const em_buffer *content) {
    put_varint(b, (size_t)number << 3 | 2);
    put_varint(b, content->length);
    em_buffer_append(b, content->data, content->length, NULL);
}

static void put_number(em_buffer *b, uint32_t x) {
    char bytes[4] = {(char)x, (char)(x >> 8), (char)(x >> 16), (char)(x >> 24)};
    em_buffer_append(b, bytes, 4, NULL);
}

static void read_model(em_buffer *out) {
    char part[4096];
    FILE *f = fopen(MODEL, "rb");
    assert_non_null(f);
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) em_buffer_append(out, part, n, NULL);
    fclose(f);
}

static em_tokenizer *open_with(const rules *r, int field, em_error *err) {
    em_buffer file = {0}, map = {0}, spec = {0};
    read_model(&file);
    put_number(&map, r->length);
    for (int i = 0; i < UNITS; i++) put_number(&map, r->units[i]);
    em_buffer_append(&map, r->values, r->values_n, NULL);
    put_field(&spec, 2, &map);
    put_field(&file, field, &spec);
    em_tokenizer *t = em_tokenizer_open("FILE", file.data, file.length, NULL, 0, err);
    em_buffer_free(&file);
    em_buffer_free(&map);
    em_buffer_free(&spec);
    return t;
}

static em_tokens tokenize(const em_tokenizer *t, const char *text) {
    em_error err = EM_ERROR_INIT;
    em_tokens out = {0};
    em_tokenizer_scratch *s = em_tokenizer_scratch_new(t, &err);
    if (!s || !em_tokenize(t, s, text, strlen(text), &out, &err)) fail_msg("%s", err.text);
    em_tokenizer_scratch_free(s);
    return out;
}

static void good_rules_are_followed(void **state) {
    em_error err = EM_ERROR_INIT;
    rules r = good_rules();
    em_tokenizer *t = open_with(&r, 3, &err);
    if (!t) fail_msg("%s", err.text);
    em_tokens by_rule = tokenize(t, "on Q day"), spelled = tokenize(t, "on the day");
    assert_int_equal(by_rule.n, spelled.n);
    assert_memory_equal(by_rule.ids, spelled.ids, by_rule.n * sizeof *by_rule.ids);
    em_tokens_free(&by_rule);
    em_tokens_free(&spelled);
    em_tokenizer_close(t);
}

static void expect_refusal(const rules *r, const char *what) {
    for (int field = 3; field <= 5; field += 2) {
        em_error err = EM_ERROR_INIT;
        em_tokenizer *t = open_with(r, field, &err);
        if (t || err.status != EM_INPUT || !strstr(err.text, "normalization rules are damaged"))
            fail_msg("%s: \"%s\"", what, t ? "no error" : err.text);
    }
}

static void broken_rules_are_refused(void **state) {
    rules r = good_rules();
    r.length = 0;
    expect_refusal(&r, "no array");
    r.length = 4 * UNITS - 2;
    expect_refusal(&r, "half a unit");
    r.length = 4 * UNITS + 4;
    expect_refusal(&r, "an array as long as the rules");
    r = good_rules();
    r.units[0] = unit(0, 0, false, 512);
    expect_refusal(&r, "children behind the array");
    r = good_rules();
    r.units[256 ^ 'Q'] = unit(256 ^ 'Q', 'Q', true, 1 << 20);
    expect_refusal(&r, "a leaf behind the array");
    r = good_rules();
    r.units[128] = UNUSED | 4;
    expect_refusal(&r, "a value behind the replacements");
    r = good_rules();
    r.units[256 ^ 'Q'] = unit(256 ^ 'Q', 'Q', true, 256); /* Q, QQ, QQQ … without end */
    r.units[256] = UNUSED;
    expect_refusal(&r, "a circle");
}

/* The library keeps 32 results of a search and reads as many as there were: a chain of 33 keys. */
static void too_many_results(void **state) {
    for (int keys = 32; keys <= 33; keys++) {
        em_error err = EM_ERROR_INIT;
        rules r = good_rules();
        uint32_t at = 256 ^ 'Q';
        for (int k = 0; k < keys; k++) { /* 'Q', then bytes of 0x80; each unit's leaf is at k + 1 */
            uint32_t base = (uint32_t)k + 1;
            r.units[at] = unit(at, k ? 0x80 : 'Q', true, base);
            r.units[base] = UNUSED;
            at = base ^ 0x80;
        }
        em_tokenizer *t = open_with(&r, 3, &err);
        if ((t != NULL) != (keys == 32)) fail_msg("%d keys: %s", keys, t ? "accepted" : err.text);
        em_tokenizer_close(t);
    }
}

/* A group, which protobuf skips, could hide rules from the check. */
static void fields_that_break_off(void **state) {
    static const char *const tails[] = {"\x1b\x1c", "\x1a\x7f", "\x1a", "\x1a\x02\x13\x14"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        em_error err = EM_ERROR_INIT;
        em_buffer file = {0};
        read_model(&file);
        em_buffer_append(&file, tails[i], strlen(tails[i]), NULL);
        em_tokenizer *t = em_tokenizer_open("FILE", file.data, file.length, NULL, 0, &err);
        if (t || !strstr(err.text, "its fields break off"))
            fail_msg("%zu: %s", i, t ? "accepted" : err.text);
        em_buffer_free(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_rules_are_followed), cmocka_unit_test(broken_rules_are_refused),
        cmocka_unit_test(too_many_results), cmocka_unit_test(fields_that_break_off)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
