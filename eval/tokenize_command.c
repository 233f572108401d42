/* evalmask tokenize: records in, one line {"ids": [...]} out for each, through the same loader as a run. */
#include <stdio.h>

#include "common/buffer.h"
#include "eval/commands.h"
#include "eval/setup.h"

enum { FLUSH_AT = 1 << 20 };

/* Decimal digits of an id and a comma; snprintf would take most of the time. */
static size_t put_id(char *out, int32_t id) {
    char digits[12];
    size_t n = 0, at = 0;
    do digits[n++] = (char)('0' + id % 10);
    while ((id /= 10) > 0);
    while (n > 0) out[at++] = digits[--n];
    out[at++] = ',';
    return at;
}

static bool put_document(em_buffer *b, const em_tokens *t, em_error *err) {
    em_buffer_puts(b, "{\"ids\": [");
    if (!em_buffer_reserve(b, b->length + 12 * t->n + 4, err)) return false;
    for (size_t i = 0; i < t->n; i++) b->length += put_id(b->data + b->length, t->ids[i]);
    if (t->n) b->length--;
    em_buffer_puts(b, "]}\n");
    return true;
}

static bool flush(em_buffer *b, em_error *err) {
    bool good = b->length == 0 || em_print(b->data, b->length, err) == 0;
    em_buffer_clear(b);
    return good;
}

static bool write_all(em_loader *loader, em_buffer *b, em_error *err) {
    const em_document *d;
    int got;
    while ((got = em_loader_next(loader, &d, err)) == 1)
        if (!put_document(b, &d->tokens, err) || (b->length >= FLUSH_AT && !flush(b, err))) return false;
    return flush(b, err) && got == 0;
}

int em_command_tokenize(const em_settings *settings, em_error *err) {
    em_setup setup;
    if (!em_setup_open(&setup, settings, err)) return err->status;
    static const char *const standard_input[] = {"-"};
    size_t n_before = 0, n_after = 0;
    const int32_t *before = em_tokenizer_prefix(setup.tokenizer, &n_before);
    const int32_t *after = em_tokenizer_suffix(setup.tokenizer, &n_after);
    em_loader_options o = {
        .paths = settings->n_arguments ? settings->arguments : standard_input,
        .n_paths = settings->n_arguments ? settings->n_arguments : 1,
        .keys = {.text = settings->text_key}, .source = {.max_window_log = settings->zstd_window},
        .workers = setup.threads, .tokenizer = setup.tokenizer,
        .before = before, .n_before = settings->no_special ? 0 : (int)n_before,
        .after = after, .n_after = settings->no_special ? 0 : (int)n_after};
    em_loader *loader = em_loader_open(&o, err);
    em_buffer b = {0};
    bool good = loader && write_all(loader, &b, err);
    em_buffer_free(&b);
    em_loader_close(loader);
    em_setup_close(&setup);
    return good ? EM_OK : err->status;
}
