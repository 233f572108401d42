/* Our own way through SentencePiece models against the library's, whole texts at a time: the ids
 * and the bytes that each token covers, on random texts. A failure prints the seed that repeats it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "common/buffer.h"
#include "tokenize/spm_model.h"
#include "tokenize/tokenizer.h"

#define HERE EM_TEST_DATA "/tokenize/"

static const struct model {
    const char *path;
    bool ours;
} models[] = {
    {"spm/plain.model", true},         {"spm/unknowns.model", true},    {"spm/rules.model", true},
    {"spm/rules-keep.model", true},    {"spm/across.model", true},      {"spm/user.model", true},
    {"spm/spaces.model", true},        {"spm/suffix.model", false},     {"spm/unigram.model", true},
    {"spm/unigram-bytes.model", true}, {"real/tiny4k-spm.model", true},
};

typedef struct opened {
    const char *name;
    em_buffer file;
    em_spm *library;
    em_spm_pieces pieces;
    bool ours;
    em_tokenizer *t;
    em_tokenizer_scratch *s;
} opened;

static void open_model(opened *o, const char *path) {
    char chunk[1 << 14], name[512], why[256];
    bool memory;
    em_error err = EM_ERROR_INIT;
    *o = (opened){.name = path};
    snprintf(name, sizeof name, HERE "%s", path);
    FILE *f = fopen(name, "rb");
    if (!f) fail_msg("cannot read %s", name);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        assert_true(em_buffer_append(&o->file, chunk, n, NULL));
    fclose(f);
    o->library = em_spm_open(o->file.data, o->file.length, why, sizeof why, &memory);
    assert_non_null(o->library);
    assert_true(em_spm_pieces_read(&o->pieces, o->file.data, o->file.length, &o->ours, &err));
    o->t = em_tokenizer_open(path, o->file.data, o->file.length, NULL, 0, &err);
    if (!o->t) fail_msg("%s: %s", path, err.text);
    o->s = em_tokenizer_scratch_new(o->t, &err);
    assert_non_null(o->s);
}

static void close_model(opened *o) {
    em_tokenizer_scratch_free(o->s);
    em_tokenizer_close(o->t);
    em_spm_pieces_free(&o->pieces);
    em_spm_close(o->library);
    em_buffer_free(&o->file);
}

/* ---- the reference: the library on the whole text ---- */

typedef struct reference {
    const em_spm *m;
    em_tokens tokens;
    uint32_t covered, run; /* run: byte pieces of the character at hand */
} reference;

static bool push(void *context, int32_t id, uint32_t end) {
    reference *r = context;
    uint32_t bytes = end > r->covered ? end - r->covered : 0;
    r->covered += bytes;
    assert_true(em_tokens_push(&r->tokens, id, bytes, NULL));
    r->run = em_spm_is_byte(r->m, id) ? r->run + 1 : 0;
    if (!bytes || !r->run) return true;
    for (uint32_t i = 1; i <= r->run && bytes == r->run; i++) r->tokens.bytes[r->tokens.n - i] = 1;
    r->run = 0;
    return true;
}

static void check(opened *o, const char *text, size_t n, unsigned seed) {
    char why[256];
    bool memory;
    em_error err = EM_ERROR_INIT;
    em_tokens got = {0};
    reference r = {.m = o->library};
    if (!n) return;
    assert_true(em_spm_encode(o->library, text, n, push, &r, why, sizeof why, &memory));
    if (r.tokens.n) r.tokens.bytes[r.tokens.n - 1] += (uint32_t)n - r.covered;
    if (!em_tokenize(o->t, o->s, text, n, &got, &err)) fail_msg("%s: %s", o->name, err.text);
    for (size_t i = 0; i < got.n || i < r.tokens.n; i++)
        if (i >= got.n || i >= r.tokens.n || got.ids[i] != r.tokens.ids[i] ||
            got.bytes[i] != r.tokens.bytes[i])
            fail_msg("%s, seed %u: token %zu of %zu (%zu) is %d of %d bytes, not %d of %d, in "
                     "\"%.*s\"",
                     o->name, seed, i, got.n, r.tokens.n, i < got.n ? got.ids[i] : -1,
                     i < got.n ? (int)got.bytes[i] : -1, i < r.tokens.n ? r.tokens.ids[i] : -1,
                     i < r.tokens.n ? (int)r.tokens.bytes[i] : -1, (int)n, text);
    em_tokens_free(&got);
    em_tokens_free(&r.tokens);
}

/* ---- texts ---- */

static const char *const parts[] = {
    " ",
    "  ",
    "    ",
    "\n",
    "\n\n",
    "\t",
    "the",
    "of the",
    "Universal",
    "rights",
    "ff",
    "a",
    "ab",
    "A",
    "B",
    ".",
    ",",
    "'s",
    "1",
    "2026",
    "\xe2\x96\x81",
    "\xe2\x96\x81\xe2\x96\x81",
    "\xc3\xa9",
    "\xc3\x89",
    "\xef\xac\x81",
    "\xc2\xad",
    "\xe2\x80\xa6",
    "\xc2\xbd",
    "\xf0\x9f\x98\x80",
    "\xc2\xa0",
    "\xe3\x80\x80",
    "\xe4\xba\xba",
    "\xe6\xac\x8a",
    "\xd0\xbf\xd1\x80",
    "<|u|>",
    "<|",
    "<|user|>",
    "<s>",
    "</s>",
    "<unk>",
    "<0x41>",
    "\r\n",
    "z",
    "q",
    "\xcc\x81",
    "!!!!",
};

static unsigned next(unsigned *seed) { return *seed = *seed * 1103515245u + 12345u, *seed >> 16; }

/* Pieces of the model, parts of the list above, and runs of either. */
static void random_text(const opened *o, unsigned seed, em_buffer *out) {
    unsigned count = 1 + next(&seed) % (seed % 16 ? 30 : 400), run = 0;
    char piece[256] = "";
    em_buffer_clear(out);
    for (unsigned i = 0; i < count; i++) {
        if (run == 0) {
            run = next(&seed) % 12 ? 1 : next(&seed) % 60;
            if (next(&seed) % 2)
                em_tokenizer_text(o->t, (int32_t)(next(&seed) % (unsigned)em_tokenizer_size(o->t)),
                                  piece, sizeof piece);
            else
                snprintf(piece, sizeof piece, "%s",
                         parts[next(&seed) % (sizeof parts / sizeof *parts)]);
            if ((unsigned char)piece[0] >= 128 && !piece[1]) strcpy(piece, "x"); /* of <0xNN> */
        }
        if (run) run--;
        em_buffer_puts(out, piece);
    }
}

static void test_against_library(void **state) {
    em_buffer text = {0};
    unsigned base = getenv("EM_SEED") ? (unsigned)atoi(getenv("EM_SEED")) : 1;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        opened o;
        open_model(&o, models[i].path);
        if (o.ours != models[i].ours) fail_msg("%s: ours is %d", o.name, o.ours);
        for (unsigned seed = base; seed < base + (o.ours ? 1500 : 50); seed++) {
            random_text(&o, seed, &text);
            check(&o, text.data, text.length, seed);
        }
        close_model(&o);
    }
    em_buffer_free(&text);
}

/* Where no piece holds U+2581 behind another character, a stretch ends before each space. */
static void test_cuts(void **state) {
    opened o;
    open_model(&o, "spm/plain.model");
    assert_false(em_spm_joined(&o.pieces, 'e', ' '));
    assert_true(em_spm_joined(&o.pieces, ' ', 't'));
    close_model(&o);
    open_model(&o, "spm/across.model");
    assert_true(em_spm_joined(&o.pieces, 'e', ' '));
    close_model(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_library),
        cmocka_unit_test(test_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
