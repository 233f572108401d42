/* Tokenizes the texts of a JSONL file, for measuring and for comparing.
 *   tokenizer_speed TOKENIZER FILE.jsonl [PASSES]   MB/s on one thread, best of the passes
 *   tokenizer_speed TOKENIZER FILE.jsonl ids        one line a text: {"ids": [...], "bytes": [...]}
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"
#include "common/buffer.h"
#include "tokenize/tokenizer.h"

static int fail(const em_error *err) {
    char line[1200];
    fprintf(stderr, "tokenizer_speed: %s\n", em_error_line(err, line, sizeof line));
    return err->status;
}

static bool read_file(const char *path, em_buffer *b, em_error *err) {
    char chunk[1 << 16];
    FILE *f = fopen(path, "rb");
    if (!f) return em_fail_at(err, EM_INPUT, path, 0, -1, "cannot be read");
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        if (!em_buffer_append(b, chunk, n, err)) break;
    fclose(f);
    return !err->status;
}

/* A list of the records' text strings. */
static json_t *read_texts(const char *path, em_error *err) {
    em_buffer file = {0};
    json_t *texts = json_array();
    if (!read_file(path, &file, err)) return NULL;
    for (char *line = file.data, *end;
         line && (end = memchr(line, '\n', (size_t)(file.data + file.length - line)));
         line = end + 1) {
        json_t *record = json_loadb(line, (size_t)(end - line), JSON_ALLOW_NUL, NULL);
        if (!record) continue;
        json_array_append(texts, json_object_get(record, "text"));
        json_decref(record);
    }
    em_buffer_free(&file);
    return texts;
}

static bool print_ids(const em_tokenizer *t, em_tokenizer_scratch *s, json_t *texts,
                      em_error *err) {
    em_tokens tokens = {0};
    size_t i;
    json_t *text;
    json_array_foreach(texts, i, text) {
        tokens.n = 0;
        if (!em_tokenize(t, s, json_string_value(text), json_string_length(text), &tokens, err))
            break;
        printf("{\"ids\": [");
        for (size_t k = 0; k < tokens.n; k++) printf("%s%d", k ? "," : "", tokens.ids[k]);
        printf("], \"bytes\": [");
        for (size_t k = 0; k < tokens.n; k++) printf("%s%u", k ? "," : "", tokens.bytes[k]);
        printf("]}\n");
    }
    em_tokens_free(&tokens);
    return !err->status;
}

static bool print_affixes(const em_tokenizer *t) {
    size_t n[2];
    const int32_t *ids[2] = {em_tokenizer_prefix(t, &n[0]), em_tokenizer_suffix(t, &n[1])};
    for (int side = 0; side < 2; side++) {
        printf(side ? ", \"suffix\": [" : "{\"prefix\": [");
        for (size_t k = 0; k < n[side]; k++) printf("%s%d", k ? "," : "", ids[side][k]);
        printf("]");
    }
    printf("}\n");
    return true;
}

static bool measure(const em_tokenizer *t, em_tokenizer_scratch *s, json_t *texts, int passes,
                    em_error *err) {
    em_tokens tokens = {0};
    double best = 1e30;
    size_t bytes = 0, count = 0, i;
    json_t *text;
    for (int pass = 0; pass < passes && !err->status; pass++) {
        double start = now();
        bytes = count = 0;
        json_array_foreach(texts, i, text) {
            tokens.n = 0;
            if (!em_tokenize(t, s, json_string_value(text), json_string_length(text), &tokens, err))
                break;
            bytes += json_string_length(text);
            count += tokens.n;
        }
        double seconds = now() - start;
        if (seconds < best) best = seconds;
    }
    printf("%s: %zu texts, %zu bytes, %zu tokens, %.1f MB/s\n", em_tokenizer_describe(t),
           json_array_size(texts), bytes, count, 1e-6 * (double)bytes / best);
    em_tokens_free(&tokens);
    return !err->status;
}

int main(int argc, char **argv) {
    em_error err = EM_ERROR_INIT;
    em_buffer file = {0};
    if (argc < 3)
        return fprintf(stderr, "usage: tokenizer_speed TOKENIZER FILE.jsonl [PASSES | ids]\n"), 2;
    if (!read_file(argv[1], &file, &err)) return fail(&err);
    double start = now();
    em_tokenizer *t = em_tokenizer_open(argv[1], file.data, file.length, NULL, 0, &err);
    double opened = now() - start;
    em_tokenizer_scratch *s = t ? em_tokenizer_scratch_new(t, &err) : NULL;
    json_t *texts = s ? read_texts(argv[2], &err) : NULL;
    bool ids = argc > 3 && !strcmp(argv[3], "ids");
    fprintf(stderr, "opened in %.3f s\n", opened);
    bool ok = texts && (ids ? print_affixes(t) && print_ids(t, s, texts, &err)
                            : measure(t, s, texts, argc > 3 ? atoi(argv[3]) : 3, &err));
    json_decref(texts);
    em_tokenizer_scratch_free(s);
    em_tokenizer_close(t);
    em_buffer_free(&file);
    return ok ? 0 : fail(&err);
}
