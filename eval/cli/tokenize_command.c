/* evalmask tokenize: records in, one line {"ids": [...]} out for each, in their order. */
#include <stdio.h>
#include <string.h>

#include "common/output.h"
#include "common/size.h"
#include "eval/cli/commands.h"
#include "eval/setup/setup.h"

enum { FLUSH_BYTES = 1 << 20, ID_CHARACTERS = 12 }; /* ", " and the longest id */

static char *put_id(char *at, int32_t id) {
    char digits[ID_CHARACTERS];
    int n = 0;
    do digits[n++] = (char)('0' + id % 10);
    while ((id /= 10) > 0);
    while (n > 0) *at++ = digits[--n];
    return at;
}

/* Which of the document's tokens are left where tokenizer.json asks for texts to be cut: [from, to)
 * of them are cut out. The added tokens count and stay. */
typedef struct gap {
    size_t from, to;
} gap;

static gap cut_out(const em_document *d, em_truncation t) {
    size_t around = (size_t)(d->n_before + d->n_after), text = d->tokens.n - around;
    size_t keep = t.max_tokens > around ? t.max_tokens - around : 0;
    if (t.max_tokens == 0 || text <= keep) return (gap){0, 0};
    size_t first = (size_t)d->n_before;
    return t.left ? (gap){first, first + text - keep} : (gap){first + keep, first + text};
}

static bool put_line(em_buffer *out, const em_tokens *tokens, gap cut, em_error *err) {
    static const char head[] = "{\"ids\": [", tail[] = "]}\n";
    size_t need;
    if (!em_size_mul(tokens->n, ID_CHARACTERS, &need) ||
        !em_size_add(need, out->length + sizeof head + sizeof tail, &need))
        return em_fail_memory(err, tokens->n, "a line of token ids");
    if (!em_buffer_reserve(out, need, err)) return false;
    char *at = out->data + out->length;
    memcpy(at, head, sizeof head - 1);
    at += sizeof head - 1;
    const char *start = at;
    for (size_t i = 0; i < tokens->n; i++) {
        if (i >= cut.from && i < cut.to) continue;
        if (at > start) *at++ = ',', *at++ = ' ';
        at = put_id(at, tokens->ids[i]);
    }
    memcpy(at, tail, sizeof tail);
    out->length = (size_t)(at - out->data) + sizeof tail - 1;
    return true;
}

static bool flush(em_buffer *out, em_error *err) {
    bool good = out->length == 0 || em_print(out->data, out->length, err) == 0;
    em_buffer_clear(out);
    return good;
}

static bool write_documents(em_loader *loader, em_truncation truncation, em_buffer *out,
                            em_error *err) {
    const em_document *d;
    int got;
    while ((got = em_loader_next(loader, &d, err)) == 1) {
        if (!put_line(out, &d->tokens, cut_out(d, truncation), err)) return false;
        if (out->length >= FLUSH_BYTES && !flush(out, err)) return false;
    }
    em_error ignored = EM_ERROR_INIT; /* lines before a broken record are still good */
    return flush(out, got < 0 ? &ignored : err) && got == 0;
}

/* What a model would be fed, but without the EOS that evaluation adds by itself: only what the
 * tokenizer puts around a text. */
static em_loader *open_loader(const em_setup *s, const em_settings *settings, em_error *err) {
    static const char *const standard_input[] = {"-"};
    em_loader_options o = {.paths = settings->arguments,
                           .n_paths = settings->n_arguments,
                           .keys = {.text = settings->data.text_key},
                           .source = {.max_window_log = settings->data.zstd_window},
                           .workers = s->threads,
                           .tokenizer = s->tokenizer};
    if (o.n_paths == 0) {
        o.paths = standard_input;
        o.n_paths = 1;
    }
    if (!settings->no_special) {
        size_t before, after;
        o.before = em_tokenizer_prefix(s->tokenizer, &before);
        o.after = em_tokenizer_suffix(s->tokenizer, &after);
        o.n_before = (int)before;
        o.n_after = (int)after;
    }
    return em_loader_open(&o, err);
}

int em_command_tokenize(const em_settings *settings, em_error *err) {
    em_setup setup;
    em_buffer out = {0};
    em_setup_needs needs = {.models = &settings->models,
                            .protocol = &settings->protocol,
                            .threads = settings->engine.threads,
                            .eos_optional = true};
    if (!em_setup_open(&setup, &needs, err)) return err->status;
    em_loader *loader = open_loader(&setup, settings, err);
    em_truncation truncation = em_tokenizer_truncation(setup.tokenizer);
    if (loader && truncation.max_tokens)
        fprintf(stderr,
                "%s cuts texts at %zu tokens: so does this command; runs on data never do\n",
                setup.tokenizer_source, truncation.max_tokens);
    em_notes_print(em_tokenizer_notes(setup.tokenizer));
    bool good = loader && write_documents(loader, truncation, &out, err);
    em_loader_close(loader);
    em_buffer_free(&out);
    em_setup_close(&setup);
    return good ? EM_OK : err->status;
}
