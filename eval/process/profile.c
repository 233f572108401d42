#include "eval/process/profile.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct field {
    const char *key;
    size_t place;
} field;

#define FIELD(key) \
    { #key, offsetof(em_profile, key) }
#define STAGE(key) \
    { #key, offsetof(em_profile, stages.key) }
#define FLOPS(key) \
    { #key, offsetof(em_profile, flops.key) }

static const field times[] = {FIELD(seconds),
                              FIELD(open_seconds),
                              FIELD(processor_seconds),
                              FIELD(read_seconds),
                              FIELD(tokenize_seconds),
                              FIELD(wait_seconds),
                              {0}};
static const field counts[] = {
    FIELD(tokens), FIELD(padded_tokens), FIELD(peak_memory_bytes), FIELD(peak_device_bytes), {0}};
static const field stages[] = {STAGE(pack),   STAGE(embed), STAGE(qkv),  STAGE(attention),
                               STAGE(output), STAGE(ffn),   STAGE(head), {0}};
static const field flops[] = {FLOPS(qkv), FLOPS(attention), FLOPS(output),
                              FLOPS(ffn), FLOPS(head),      {0}};

static double *number(const em_profile *p, const field *f) {
    return (double *)(uintptr_t)((const char *)p + f->place);
}
static int64_t *count(const em_profile *p, const field *f) {
    return (int64_t *)(uintptr_t)((const char *)p + f->place);
}

static void print_group(const em_profile *p, const char *name, const field *fields,
                        em_buffer *out) {
    em_buffer_printf(out, ",\n \"%s\": {", name);
    for (const field *f = fields; f->key; f++)
        em_buffer_printf(out, "%s\"%s\": %.15g", f == fields ? "" : ", ", f->key, *number(p, f));
    em_buffer_puts(out, "}");
}

void em_profile_print(const em_profile *p, em_buffer *out) {
    em_buffer_printf(out, "{\"ranks\": %d, \"threads\": %d, \"isa\": \"%s\"", p->ranks, p->threads,
                     p->isa);
    for (const field *f = times; f->key; f++)
        em_buffer_printf(out, ", \"%s\": %.6f", f->key, *number(p, f));
    for (const field *f = counts; f->key; f++)
        em_buffer_printf(out, ", \"%s\": %lld", f->key, (long long)*count(p, f));
    em_buffer_printf(out, ", \"tokens_per_second\": %.1f",
                     (double)p->tokens / (p->seconds - p->open_seconds));
    print_group(p, "stages", stages, out);
    print_group(p, "flops", flops, out);
    em_buffer_puts(out, "}\n");
}

static void read_group(em_profile *p, const json_t *object, const field *fields) {
    for (const field *f = fields; f->key; f++)
        *number(p, f) = json_number_value(json_object_get(object, f->key));
}

bool em_profile_parse(const char *text, size_t n, em_profile *out, em_error *err) {
    json_error_t e;
    json_t *root = json_loadb(text, n, 0, &e);
    if (!root) return em_fail(err, EM_MACHINE, "a profile is no valid JSON: %s", e.text);
    const char *isa = json_string_value(json_object_get(root, "isa"));
    *out = (em_profile){.ranks = (int)json_integer_value(json_object_get(root, "ranks")),
                        .threads = (int)json_integer_value(json_object_get(root, "threads"))};
    snprintf(out->isa, sizeof out->isa, "%s", isa ? isa : "");
    read_group(out, root, times);
    for (const field *f = counts; f->key; f++)
        *count(out, f) = json_integer_value(json_object_get(root, f->key));
    read_group(out, json_object_get(root, "stages"), stages);
    read_group(out, json_object_get(root, "flops"), flops);
    json_decref(root);
    return true;
}

/* Of this program alone: what getrusage says may be of the one that started it. */
int64_t em_peak_memory(void) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long long kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lld kB", &kib) == 1) break;
    if (f) fclose(f);
    return kib * 1024;
}

double em_processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
