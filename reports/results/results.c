#include "reports/results/results.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"

static void *grown(void *p, int n, size_t size) {
    p = realloc(p, ((size_t)n + 1) * size);
    if (p) return p;
    fputs("evalmask: out of memory while gathering results\n", stderr);
    exit(EM_MACHINE);
}

static char *formatted(const char *format, va_list args) {
    char *text;
    if (vasprintf(&text, format, args) >= 0) return text;
    text = grown(NULL, 0, 1);
    *text = 0;
    return text;
}

void em_results_note(em_results *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = formatted(format, args);
    va_end(args);
    r->notes = grown(r->notes, r->n_notes, sizeof *r->notes);
    r->notes[r->n_notes++] = text;
}

em_gate *em_results_gate(em_results *r, bool passed, const char *name, const char *message_format,
                         ...) {
    va_list args;
    va_start(args, message_format);
    char *message = formatted(message_format, args), *copy = grown(NULL, (int)strlen(name), 1);
    va_end(args);
    strcpy(copy, name);
    r->gates = grown(r->gates, r->n_gates, sizeof *r->gates);
    em_gate *gate = &r->gates[r->n_gates++];
    *gate = (em_gate){.name = copy,
                      .passed = passed,
                      .message = message,
                      .baseline = NAN,
                      .current = NAN,
                      .difference = NAN,
                      .tolerance = NAN};
    return gate;
}

void em_results_protocol(em_results *r, const char *key, const char *format, ...) {
    r->protocol = grown(r->protocol, r->n_protocol, sizeof *r->protocol);
    em_key_value *line = &r->protocol[r->n_protocol++];
    snprintf(line->key, sizeof line->key, "%s", key);
    va_list args;
    va_start(args, format);
    line->value = formatted(format, args);
    va_end(args);
}

double em_slice_loss(const em_slice *s) {
    return s->predictions ? s->nll / (double)s->predictions : NAN;
}

double em_slice_bits_per_byte(const em_slice *s) {
    return s->text_bytes ? s->text_nll / (EM_LN2 * (double)s->text_bytes) : NAN;
}

const char *em_results_version(const em_results *r) {
    return *r->version ? r->version : EM_VERSION;
}

static void slices_free(em_slice *subsets, int n, em_slice *by_position) {
    for (int i = 0; i < n; i++) free(subsets[i].name);
    free(subsets);
    free(by_position);
}

void em_results_free(em_results *r) {
    for (int i = 0; i < r->n_results; i++)
        slices_free(r->results[i].subsets, r->results[i].n_subsets, r->results[i].by_position);
    for (int i = 0; i < r->n_comparisons; i++)
        slices_free(r->comparisons[i].subsets, r->comparisons[i].n_subsets,
                    r->comparisons[i].by_position);
    free(r->comparisons);
    for (int i = 0; i < r->n_notes; i++) free(r->notes[i]);
    for (int i = 0; i < r->n_protocol; i++) free(r->protocol[i].value);
    for (int i = 0; i < r->n_gates; i++) {
        free(r->gates[i].name);
        free(r->gates[i].message);
    }
    free(r->gates);
    free(r->notes);
    free(r->protocol);
    free(r->data_sets);
    free(r->results);
    free(r->means);
    *r = (em_results){0};
}
