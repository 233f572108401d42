#include "eval/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/result.h"
#include "eval/shared.h"

/* ---- values ---- */

enum { NAME_BYTES = sizeof ((em_result *)0)->data_set - 1 };     /* a cut name could be another's */

/* NAME=PATH, unless the whole of it is a file's name. */
static bool named_path(const char *option, char *text, em_named_path *out, em_error *err) {
    char *equals = strchr(text, '=');
    *out = (em_named_path){NULL, text};
    if (!equals || equals == text || memchr(text, '/', (size_t)(equals - text)) || access(text, F_OK) == 0) return true;
    *equals = 0;
    *out = (em_named_path){text, equals + 1};
    return strlen(text) <= NAME_BYTES ||
           em_fail(err, EM_USAGE, "%s %s=: a name has at most %d bytes", option, text, NAME_BYTES);
}

static bool whole_number(const char *option, const char *text, int64_t least, int64_t most, int64_t *out, em_error *err) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || isspace((unsigned char)*text) || v < least || v > most) {
        if (most == INT64_MAX) return em_fail(err, EM_USAGE, "%s %s: give a whole number of at least %lld", option, text, (long long)least);
        return em_fail(err, EM_USAGE, "%s %s: give a whole number from %lld to %lld", option, text, (long long)least, (long long)most);
    }
    *out = v;
    return true;
}

/* "4G", "512M", "1.5GiB", "800000000": bytes, units of 1024. */
static bool byte_count(const char *option, const char *text, size_t *out, em_error *err) {
    char *end;
    double v = strtod(text, &end), unit = 1;
    if (end != text && *end) {
        const char *letters = "kmgt", *at = strchr(letters, tolower((unsigned char)*end));
        if (at) unit = (double)(1ULL << (10 * (at - letters + 1)));
        if (at && (!end[1] || !strcasecmp(end + 1, "b") || !strcasecmp(end + 1, "ib"))) end = "";
    }
    if (end == text || *end || !(v * unit >= 1) || v * unit > 1e18)
        return em_fail(err, EM_USAGE, "%s %s: give a size such as 800M or 4G", option, text);
    *out = (size_t)(v * unit);
    return true;
}

static bool too_many(const char *option, em_error *err) {
    return em_fail(err, EM_USAGE, "%s: at most %d values", option, EM_MAX_LIST);
}

/* One of the words; *out is its index. */
static bool choice(const char *option, const char *text, const char *const *words, int *out, em_error *err) {
    char list[160] = "";
    for (int i = 0; words[i]; i++) {
        if (!strcmp(words[i], text)) return *out = i, true;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", words[i]);
    }
    return em_fail(err, EM_USAGE, "%s %s: no such value; there are %s", option, text, list);
}

/* Calls add for every part of a comma-separated list. */
static bool each(em_settings *s, char *text, bool (*add)(em_settings *, char *, em_error *), em_error *err) {
    for (char *part = text, *comma; part; part = comma) {
        comma = strchr(part, ',');
        if (comma) *comma++ = 0;
        if (!add(s, part, err)) return false;
    }
    return true;
}

/* MASK or MASK@LABELS. */
static bool add_mask(em_settings *s, char *text, em_error *err) {
    em_mask m;
    const em_label_scheme *labels = NULL;
    char *at = strchr(text, '@');
    if (at) *at = 0;
    if (!em_mask_parse(text, &m, err) || (at && !(labels = em_labels_parse(at + 1, err)))) return false;
    for (int i = 0; i < s->n_masks; i++) {
        if (strcmp(s->masks[i].name, m.name)) continue;
        if (s->mask_labels[i] == labels) return true;
        if (!s->mask_labels[i] || !labels)
            return em_fail(err, EM_USAGE, "--mask %s: with all of --labels and with some of its own; say one of the two", m.name);
    }
    if (s->n_masks == EM_MAX_LIST) return too_many("--mask", err);
    s->mask_labels[s->n_masks] = labels;
    s->masks[s->n_masks++] = m;
    return true;
}

static bool add_labels(em_settings *s, char *text, em_error *err) {
    const em_label_scheme *l = em_labels_parse(text, err);
    if (!l) return false;
    for (int i = 0; i < s->n_labels; i++)
        if (s->labels[i] == l) return true;
    s->labels[s->n_labels++] = l;
    return true;
}

static bool add_pack(em_settings *s, char *text, em_error *err) {
    int p;
    if (!choice("--pack", text, (const char *const[]){"stream", "none", NULL}, &p, err)) return false;
    for (int i = 0; i < s->n_packs; i++)
        if (s->packs[i] == (em_pack_mode)p) return true;
    s->packs[s->n_packs++] = (em_pack_mode)p;
    s->pack = s->packs[0];
    return true;
}

static bool add_positions(em_settings *s, char *text, em_error *err) {
    int p;
    if (!choice("--positions", text, (const char *const[]){"auto", "continuous", "reset", NULL}, &p, err)) return false;
    for (int i = 0; i < s->n_positions; i++)
        if (s->positions[i] == (em_positions)p) return true;
    s->positions[s->n_positions++] = (em_positions)p;
    return true;
}

static int ascending(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static bool add_row_tokens(em_settings *s, char *text, em_error *err) {
    int64_t from, to;
    char *dots = strstr(text, "..");
    if (dots) *dots = 0;
    if (!whole_number("-T", text, 2, 1 << 24, &from, err)) return false;
    if (dots && !strcmp(dots + 2, "limit")) return s->row_tokens_from = (int32_t)from, true;
    if (!dots) to = from;
    else if (!whole_number("-T", dots + 2, from, 1 << 24, &to, err)) return false;
    for (int64_t t = from; t <= to; t *= 2) {
        if (s->n_row_tokens == EM_MAX_LIST) return too_many("-T", err);
        s->row_tokens[s->n_row_tokens++] = (int32_t)t;
    }
    return true;
}

static bool add_depth(em_settings *s, char *text, em_error *err) {
    int64_t n;
    if (!strcmp(text, "all")) return s->all_depths = true;
    if (!whole_number("--depth", text, 0, 4096, &n, err)) return false;
    for (int i = 0; i < s->n_depths; i++)
        if (s->depths[i] == n) return true;
    if (s->n_depths == EM_MAX_LIST) return too_many("--depth", err);
    s->depths[s->n_depths++] = (int)n;
    return true;
}

/* ---- one setter an option ---- */

#define SETTER(name) static bool set_##name(em_settings *s, char *v, em_error *err)
#define WHOLE(name, option, field, least, most) \
    SETTER(name) { int64_t n; if (!whole_number(option, v, least, most, &n, err)) return false; s->field = n; return true; }

/* Read before the other options, which override it: see open_config. */
SETTER(config) { return true; }
SETTER(model) { return named_path("--model", v, &s->model, err); }
SETTER(tokenizer) { return s->tokenizer = v, true; }
SETTER(eos) { return s->eos = v, true; }
SETTER(bos) { return s->bos = v, true; }
SETTER(pad) { return s->pad = v, true; }
SETTER(text_key) { return s->text_key = v, true; }
SETTER(group_by) {
    if (!*v) return em_fail(err, EM_USAGE, "--group-by: give a key, such as meta.pile_set_name");
    return s->group_by = v, true;
}

SETTER(skip_bad) { return s->skip_bad_records = true; }
SETTER(no_special) { return s->no_special = true; }
SETTER(mixed) { return s->mixed = true; }
SETTER(quiet) { return s->quiet = true; }
SETTER(mask) { return each(s, v, add_mask, err); }
SETTER(labels) { return each(s, v, add_labels, err); }
SETTER(positions) { return each(s, v, add_positions, err); }
SETTER(pack) { return each(s, v, add_pack, err); }
SETTER(depth) { return each(s, v, add_depth, err); }
SETTER(common_vocab) { return s->common_vocab = true; }
SETTER(memory) { return byte_count("--memory", v, &s->memory, err); }
SETTER(baseline) { return s->baseline = v, true; }
SETTER(anyway) { return s->anyway = true; }

/* "0.01" nats, or "2se". */
SETTER(tolerance) {
    char *end;
    s->tolerance.value = strtod(v, &end);
    s->tolerance.standard_errors = end != v && !strcmp(end, "se");
    s->has_tolerance = true;
    if (end != v && (!*end || s->tolerance.standard_errors) && s->tolerance.value >= 0 && isfinite(s->tolerance.value)) return true;
    return em_fail(err, EM_USAGE, "--tolerance %s: give nats, such as 0.01, or paired standard errors, such as 2se", v);
}

SETTER(tokens) { return s->tokens_file = v, true; }
SETTER(journal) { return s->journal = v, true; }
WHOLE(journal_rows, "--journal-every", journal_rows, 1, 1 << 30)
SETTER(profile) { return s->profile_file = v, true; }
WHOLE(max_docs, "--max-docs", max_docs, 1, INT64_MAX)
WHOLE(max_tokens, "--max-tokens", max_tokens, 1, INT64_MAX)
WHOLE(batch, "-B", batch, 1, 1 << 20)
WHOLE(threads, "--threads", threads, 1, 1024)
WHOLE(zstd_window, "--zstd-window", zstd_window, 10, 31)
WHOLE(layers, "--layers", layers, 1, 4096)
WHOLE(window_layers, "--window-layers", window_layers, 1, 1 << 24)
WHOLE(row, "--row", row, 0, INT64_MAX)

/* Ascending, each once. */
SETTER(row_tokens) {
    if (!each(s, v, add_row_tokens, err)) return false;
    int n = 0;
    qsort(s->row_tokens, (size_t)s->n_row_tokens, sizeof *s->row_tokens, ascending);
    for (int i = 0; i < s->n_row_tokens; i++)
        if (!n || s->row_tokens[n - 1] != s->row_tokens[i]) s->row_tokens[n++] = s->row_tokens[i];
    s->n_row_tokens = n;
    return true;
}

SETTER(compare) {
    if (s->n_compare == EM_MAX_MODELS - 1) return em_fail(err, EM_USAGE, "--compare: at most %d models", EM_MAX_MODELS - 1);
    return named_path("--compare", v, &s->compare[s->n_compare++], err);
}

SETTER(adapter) {
    if (s->n_adapters == EM_MAX_MODELS - 1) return em_fail(err, EM_USAGE, "--adapter: at most %d", EM_MAX_MODELS - 1);
    return named_path("--adapter", v, &s->adapters[s->n_adapters++], err);
}

SETTER(alpha) { return em_alphas_parse(v, &s->alphas, err); }
WHOLE(seed, "--seed", seed, 0, INT64_MAX)

SETTER(data) {
    if (s->n_data == EM_MAX_LIST) return too_many("--data", err);
    return named_path("--data", v, &s->data[s->n_data++], err);
}

SETTER(packed) {
    if (s->n_packed == EM_MAX_LIST) return too_many("--packed", err);
    s->packed[s->n_packed++] = v;
    return true;
}

SETTER(subset) {
    if (s->n_subsets == EM_MAX_LIST) return too_many("--subset", err);
    s->subsets[s->n_subsets++] = v;
    return true;
}

static bool add_document(em_settings *s, char *text, em_error *err) {
    if (s->explore.n_documents == EM_MAX_DOCUMENTS) return em_fail(err, EM_USAGE, "--document: at most %d", EM_MAX_DOCUMENTS);
    return whole_number("--document", text, 0, INT64_MAX - 1, &s->explore.documents[s->explore.n_documents++], err);
}

SETTER(document) { return each(s, v, add_document, err); }

SETTER(output) {
    if (s->n_outputs == EM_MAX_LIST) return too_many("-o", err);
    s->outputs[s->n_outputs++] = v;
    return true;
}

#define CHOICE(name, option, field, type, ...) \
    SETTER(name) { int i; if (!choice(option, v, (const char *const[]){__VA_ARGS__, NULL}, &i, err)) return false; s->field = (type)i; return true; }

CHOICE(alpha_space, "--alpha-space", alpha_space, em_alpha_space, "logit", "weight")
CHOICE(markdown_style, "--markdown-style", markdown, em_markdown_style, "plain", "github")
CHOICE(window, "--window", window, em_window_mode, "next", "inside")
CHOICE(boundary, "--boundary", boundary, em_boundary, "keep", "drop")
CHOICE(tail, "--tail", tail, em_tail, "pad", "drop")

SETTER(shape) { return s->shape = v, true; }
SETTER(keep_model) { return s->keep_model = v, true; }
WHOLE(rows, "--rows", rows, 1, 1 << 30)
WHOLE(repeat, "--repeat", repeat, 1, EM_MAX_LIST)

SETTER(lengths) {
    int64_t n;
    if (!strcmp(v, "pile")) return s->length = 0, true;
    if (!whole_number("--lengths", v, 1, 1 << 24, &n, err)) return false;
    return s->length = (int32_t)n, true;
}

CHOICE(dtype, "--dtype", dtype, em_dtype_choice, "auto", "f32", "bf16", "f16")

/* cuda is cuda:0. */
SETTER(device) {
    static const char with_index[] = "cuda:";
    int i;
    s->device_given = true;
    if (!strncmp(v, with_index, sizeof with_index - 1)) {
        int64_t n;
        if (!whole_number("--device cuda:N", v + sizeof with_index - 1, 0, 1023, &n, err)) return false;
        s->device = EM_DEVICE_CUDA;
        return s->device_index = (int32_t)n, true;
    }
    if (!choice("--device", v, (const char *const[]){"auto", "cpu", "cuda", NULL}, &i, err)) return false;
    s->device = (em_device_choice)i;
    return true;
}

/* ---- the table ---- */

/* Beside its commands: an option that moves no figure and no output, so that a journal's run may go on with another value. */
#define FREE (1u << 31)

enum {
    DATA_COMMANDS = EM_RUN | EM_INSPECT | EM_AUDIT,
    WITH_PACKED = 1 << 16       /* an option of inspect that --packed leaves its meaning */
};

typedef struct option {
    const char *name;           /* without the dashes */
    char letter;                /* 0: none */
    const char *argument;       /* NULL: a flag */
    unsigned commands;
    bool (*set)(em_settings *, char *, em_error *);
    const char *help;
} option;

static const struct { const char *title; option options[20]; } groups[] = {
    {"The model", {
        {"model", 'm', "[NAME=]PATH", DATA_COMMANDS | EM_BENCH | WITH_PACKED, set_model,
         "a Hugging Face directory, a .bin made by convert, a llama2.c file, or ORG/NAME in the local Hugging Face cache; "
         "NAME=A,B,C: repeated trainings, a group"},
        {"compare", 'c', "[NAME=]PATH", EM_RUN | EM_BENCH, set_compare,
         "a further model over the same tokens, with paired differences to the others; may be given again"},
        {"adapter", 0, "[NAME=]DIR", EM_RUN, set_adapter,
         "a further model: the first one with this PEFT LoRA adapter; may be given again"},
        {"alpha", 0, "LIST", EM_RUN | EM_BENCH, set_alpha,
         "with one --compare or --adapter: losses of the logits (1+a)*after - a*before, such as --alpha=-2:2:0.5,3"},
        {"alpha-space", 0, "logit|weight", EM_RUN, set_alpha_space,
         "what alphas combine: the logits, all in one pass (default), or the weights, a pass for each"},
        {"depth", 0, "all|LIST", EM_RUN | EM_BENCH, set_depth,
         "losses with only the first N layers, final norm and head on what is left, all from one forward pass"},
        {"common-vocab", 0, NULL, EM_RUN, set_common_vocab,
         "every softmax over the ids that all models have, where their vocabularies differ in size"},
        {"tokenizer", 0, "PATH", DATA_COMMANDS | EM_TOKENIZE | EM_CONVERT | EM_BENCH | WITH_PACKED, set_tokenizer,
         "tokenizer.json, tokenizer.model, tok512.bin, or a model that holds one (default: the model's own)"},
        {"eos", 0, "ID|TOKEN|none", DATA_COMMANDS | WITH_PACKED, set_eos,
         "what ends every document (default: eos_token of tokenizer_config.json, else config.json's)"},
        {"bos", 0, "auto|ID|TOKEN|none", DATA_COMMANDS | WITH_PACKED, set_bos,
         "what begins every document (default auto: what the tokenizer adds by itself)"},
        {"pad", 0, "ID|TOKEN|none", EM_INSPECT | WITH_PACKED, set_pad,
         "with --packed: what fills rows up (default: pad_token of tokenizer_config.json)"},
        {0}}},
    {"The data", {
        {"data", 'd', "[NAME=]PATH", DATA_COMMANDS | EM_BENCH, set_data,
         "jsonl, jsonl.zst, jsonl.gz, txt, a directory of them, or - for stdin; several make one stream, each NAME "
         "a stream and a row of the table of its own (default: the bundled sample)"},
        {"packed", 0, "FILE", EM_INSPECT | WITH_PACKED, set_packed,
         "check rows that are packed already: JSON lines of input_ids and, where present, labels, position_ids, "
         "attention_mask, cu_seqlens; may be given again"},
        {"max-docs", 0, "N", DATA_COMMANDS, set_max_docs, "read the first N documents (of the subset) only"},
        {"max-tokens", 0, "N", DATA_COMMANDS, set_max_tokens, "cut the stream after N tokens"},
        {"subset", 0, "NAME", DATA_COMMANDS, set_subset, "only documents of this group; may be given again"},
        {"group-by", 0, "KEY[.KEY]", DATA_COMMANDS, set_group_by, "the group's key (default meta.pile_set_name)"},
        {"text-key", 0, "KEY", DATA_COMMANDS | EM_TOKENIZE, set_text_key, "the text's key (default text)"},
        {"skip-bad-records", 0, NULL, DATA_COMMANDS, set_skip_bad, "count broken records and go on, instead of stopping"},
        {"zstd-window", 0, "N", DATA_COMMANDS | EM_TOKENIZE | WITH_PACKED, set_zstd_window,
         "allow zstd windows of 2^N bytes, up to 31 (default 27)"},
        {0}}},
    {"The protocol", {
        {"config", 0, "FILE|NAME", EM_RUN | EM_INSPECT | WITH_PACKED, set_config,
         "options from a JSON file, or those of an installed experiment (evalmask help configs lists them); the options "
         "beside it override its own"},
        {"mask", 0, "LIST", DATA_COMMANDS | EM_BENCH, set_mask,
         "regular, doc, window:W, doc-window:W, prefix:N, full, doc-full, backward, doc-backward, flip0, flip0:M (default doc); "
         "MASK@LABELS measures a mask under one label scheme only"},
        {"labels", 0, "LIST", DATA_COMMANDS | EM_BENCH, set_labels,
         "unshifted (next token, as labels=input_ids in Hugging Face), shifted (the double shift), raw-shifted, "
         "raw-unshifted, backward (default unshifted)"},
        {"seq-len", 'T', "LIST", DATA_COMMANDS | EM_BENCH, set_row_tokens,
         "tokens in a row (default 1024, or the model's limit); a list, 128..2048 or 128..limit (doubled) measures each length"},
        {"batch", 'B', "N", EM_RUN | EM_INSPECT | EM_BENCH, set_batch, "rows in a batch (default 8)"},
        {"positions", 0, "LIST", DATA_COMMANDS, set_positions,
         "continuous, reset, or auto: reset at each document under the doc masks (default auto)"},
        {"window", 0, "next|inside", DATA_COMMANDS, set_window,
         "where the caller shifts labels: take them from the window of T+1 tokens, or from inside the row (default next)"},
        {"boundary", 0, "keep|drop", EM_RUN | EM_INSPECT, set_boundary,
         "count predictions of another document's token, or not (default keep)"},
        {"tail", 0, "pad|drop", EM_RUN | EM_INSPECT, set_tail, "score the last, incomplete batch, or drop it (default pad)"},
        {"pack", 0, "LIST", DATA_COMMANDS, set_pack,
         "stream: rows across documents; none: each document by itself; or both, one after the other (default stream)"},
        {"seed", 0, "N", EM_RUN, set_seed, "of the bootstrap intervals (default 0)"},
        {0}}},
    {"The engine", {
        {"device", 0, "auto|cpu|cuda[:N]", EM_RUN | EM_AUDIT, set_device,
         "what computes (default auto: the first CUDA device, else the CPU)"},
        {"dtype", 0, "auto|f32|bf16|f16", EM_RUN | EM_AUDIT | EM_BENCH, set_dtype, "inputs of matrix products (default auto: f32 on a CPU, the weights' own on a GPU; f16: on a GPU only)"},
        {"threads", 0, "N", DATA_COMMANDS | EM_BENCH | FREE, set_threads, "default: all cores; the figures do not depend on it"},
        {"memory", 0, "SIZE", EM_RUN | EM_AUDIT | EM_BENCH | FREE, set_memory,
         "resident memory to stay within, such as 4G (default: half of the machine's); the figures do not depend on it"},
        {"mixed", 0, NULL, EM_RUN, set_mixed,
         "under mpirun: ranks may differ in device and instruction set, which moves last digits and is recorded"},
        {0}}},
    {"Output", {
        {"output", 'o', "FILE", EM_RUN | EM_BENCH | EM_REPORT | EM_DIFF, set_output, "also write results: .json, .md, .html, .csv or .xml (JUnit) by the name; may be given again"},
        {"markdown-style", 0, "plain|github", EM_RUN | EM_REPORT | EM_DIFF, set_markdown_style,
         "plain: 80 columns, reads as text; github: alerts, long parts folded, tables whole (default plain)"},
        {"document", 0, "LIST", EM_EXPLORE, set_document,
         "documents of the page, by number from 0 (default: the first that has predictions); a run reads no further than the last"},
        {"tokens", 0, "FILE", EM_RUN, set_tokens, "write one line a prediction: .jsonl or .jsonl.zst"},
        {"baseline", 0, "FILE", EM_RUN, set_baseline,
         "results.json of an earlier run: exit 1 where a loss got worse than it by more than the tolerance"},
        {"tolerance", 0, "NATS|Nse", EM_RUN | EM_DIFF, set_tolerance,
         "what a loss may get worse by: nats, or N paired standard errors, such as 2se (default 0.01); diff: exit 1 beyond it"},
        {"anyway", 0, NULL, EM_DIFF, set_anyway, "compare results that measured different things all the same, marked"},
        {"profile", 0, "FILE", EM_RUN | FREE, set_profile, "write time by stage, rates and peak memory as JSON"},
        {"journal", 0, "FILE", EM_RUN | FREE, set_journal,
         "keep what is done in FILE, so that the same command goes on after a crash or Ctrl-C with the same results; removed at the end"},
        {"journal-every", 0, "ROWS", EM_RUN | FREE, set_journal_rows,
         "how much --journal may lose (default: what was done since some ten seconds ago)"},
        {"quiet", 'q', NULL, EM_RUN | EM_INSPECT | EM_AUDIT | EM_BENCH | WITH_PACKED | FREE, set_quiet, "no progress and no notes on stderr"},
        {"layers", 0, "N", EM_AUDIT, set_layers, "depth to audit (default: 1, 2 and the model's own)"},
        {"window-layers", 0, "W", EM_AUDIT, set_window_layers, "a sliding window of the model in every layer"},
        {"row", 0, "N", EM_INSPECT | WITH_PACKED, set_row, "the row to draw (default: the first that holds two documents)"},
        {"no-special", 0, NULL, EM_TOKENIZE, set_no_special, "without the tokens that the tokenizer adds by itself"},
        {0}}},
    {"The measurement", {
        {"shape", 0, "NAME", EM_BENCH, set_shape,
         "random weights in the shape of tiny-llama, smollm-135m, smollm-360m, llama-1b, llama-3b or llama-8b (default "
         "smollm-135m)"},
        {"lengths", 0, "pile|N", EM_BENCH, set_lengths, "tokens in a synthetic document: as in the Pile (default), or N in each"},
        {"rows", 0, "N", EM_BENCH, set_rows, "rows of T tokens in a run (default: some 3 TFLOP, or all of --data)"},
        {"repeat", 0, "N", EM_BENCH, set_repeat, "runs of which the median is reported (default 5)"},
        {"keep-model", 0, "FILE", EM_BENCH, set_keep_model, "write the random checkpoint there, or use it if it is there already"},
        {0}}},
};
enum { N_GROUPS = sizeof groups / sizeof *groups };

static const struct {
    const char *name;
    em_command command;
    const char *usage, *summary, *examples;
} commands[] = {
    {"", EM_RUN, "evalmask --model PATH [options]", "the loss of a model on data, under masks and label schemes",
     "  evalmask --model base.bin               # on the bundled sample, document mask\n"
     "  evalmask --model base.bin --data val.jsonl.zst --mask doc,regular\n"
     "  evalmask --model base.bin --labels unshifted,shifted   # the double shift\n"
     "  evalmask --model pythia/ --data pile.jsonl.zst -T 2048 --max-docs 500 \\\n"
     "           -o results.json\n"
     "  evalmask --model base.bin --compare tuned.bin --alpha=-2:2:0.5,3\n"
     "  evalmask --model base.bin --data pile.jsonl.zst -o r.json --journal r.journal\n"
     "                                          # killed? The same command goes on\n"
     "  zstdcat big.jsonl.zst | evalmask --model base.bin --data - --subset Wikipedia\n"
     "  evalmask --config base-vs-instruct      # a published experiment, as installed\n"
     "  mpirun -n 8 evalmask --model base.bin --data val.jsonl.zst  # same figures\n"},
    {"inspect", EM_INSPECT, "evalmask inspect [--model PATH | --tokenizer PATH] [options]", "how the data is packed: rows, EOS, positions, mask; with verdicts",
     "  evalmask inspect --model base.bin --data val.jsonl.zst\n"
     "  evalmask inspect --model base.bin --mask doc,regular -T 64 --row 3\n"
     "  evalmask inspect --tokenizer gpt2/ --packed rows.jsonl   # packed elsewhere\n"},
    {"audit", EM_AUDIT, "evalmask audit --mask LIST [options]", "can a position see its own label, directly or through layers?",
     "  evalmask audit --mask flip0 --labels unshifted -T 1024\n"
     "  evalmask audit --mask regular,full --labels unshifted,backward --layers 12\n"
     "  evalmask audit --mask flip0 --model base.bin         # proves it on the model\n"},
    {"convert", EM_CONVERT, "evalmask convert DIR OUT.bin [--tokenizer PATH]", "a whole model as one file: weights, config and tokenizer",
     "  evalmask convert models/tiny-llama-base base.bin\n"
     "  evalmask convert stories260K.bin stories.bin --tokenizer tok512.bin\n"},
    {"tokenize", EM_TOKENIZE, "evalmask tokenize --tokenizer PATH [FILE ...]", "records in, one line {\"ids\": [...]} out for each",
     "  evalmask tokenize --tokenizer gpt2/tokenizer.json val.jsonl.zst\n"
     "  evalmask tokenize --tokenizer base.bin --no-special - < val.jsonl\n"},
    {"report", EM_REPORT, "evalmask report RESULTS.json [-o FILE ...]", "any report from a results file: nothing is measured again",
     "  evalmask report results.json                  # the Markdown of the run\n"
     "  evalmask report results.json -o report.html -o results.csv -o junit.xml\n"
     "  evalmask report results.json --markdown-style github > comment.md\n"},
    {"explore", EM_EXPLORE, "evalmask explore TOKENS.jsonl.zst|--model PATH [options] -o PAGE.html",
     "documents with each token shaded by its loss or a difference",
     "  evalmask explore --model base.bin --compare tuned.bin --document 3,7 -o p.html\n"
     "  evalmask explore nll.jsonl.zst --document 12 -o p.html   # what --tokens wrote\n"},
    {"bench", EM_BENCH, "evalmask bench [--shape NAME | --model PATH] [options]", "how fast this machine runs it, against its own GEMM ceiling",
     "  evalmask bench                                # 135M parameters, T = 1024\n"
     "  evalmask bench --shape llama-1b -T 4096 --mask doc,regular --dtype bf16\n"
     "  evalmask bench --alpha=-2:2:0.5 --mask doc,regular    # against four runs\n"
     "  evalmask bench --model base.bin --data val.jsonl.zst\n"},
    {"diff", EM_DIFF, "evalmask diff BEFORE.json AFTER.json [-o FILE ...]", "two results files side by side, paired by document",
     "  evalmask diff base.json tuned.json\n"
     "  evalmask diff base.json tuned.json --tolerance 2se -o diff.md  # 1 where worse\n"},
    {"help", EM_HELP, "evalmask help [COMMAND|configs]", "this text, a command's, or the list of experiments for --config", ""},
    {"version", EM_VERSION_COMMAND, "evalmask version", "the version", ""},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

/* ---- parsing ---- */

static const option *find_option(const char *name, size_t n, char letter) {
    for (int g = 0; g < N_GROUPS; g++)
        for (const option *o = groups[g].options; o->name; o++)
            if (letter ? o->letter == letter : strlen(o->name) == n && !memcmp(o->name, name, n)) return o;
    return NULL;
}

/* Levenshtein distance, for "did you mean". Names are short. */
static int distance(const char *a, size_t n, const char *b) {
    int row[64];
    size_t m = strlen(b);
    if (n > 40 || m > 40) return 99;
    for (size_t j = 0; j <= m; j++) row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (up + 1 < best) best = up + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[m];
}

static bool unknown_option(const char *text, em_command command, em_error *err) {
    const char *name = text + (text[0] == '-') + (text[0] == '-' && text[1] == '-'), *best = NULL;
    size_t n = strcspn(name, "=");
    int least = 3;
    for (int g = 0; g < N_GROUPS; g++)
        for (const option *o = groups[g].options; o->name; o++) {
            int d = distance(name, n, o->name);
            if ((o->commands & command) && d < least) least = d, best = o->name;
        }
    if (best) return em_fail(err, EM_USAGE, "%s: no such option; did you mean --%s? (evalmask --help lists them)", text, best);
    return em_fail(err, EM_USAGE, "%s: no such option; evalmask --help lists them", text);
}

static const char *command_name(em_command c) {
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].command == c) return commands[i].name;
    return "";
}

/* Kept sorted by name, so that the order on the command line does not count; values of one option stay in theirs. */
static bool note_given(em_settings *s, const option *o, const char *value, em_error *err) {
    em_buffer line = {0}, rest = {0};
    em_buffer_printf(&line, "--%s\t", o->name);
    size_t key = line.length;
    if (value) em_buffer_json(&line, value, strlen(value));
    em_buffer_puts(&line, "\n");
    char *at = s->given.data ? s->given.data : "";
    while (*at && (strncmp(at, line.data, key) <= 0)) at += strcspn(at, "\n") + 1;
    em_buffer_puts(&rest, at);
    s->given.length -= rest.length;
    bool good = em_buffer_append(&s->given, line.data, line.length, err) && em_buffer_append(&s->given, rest.data, rest.length, err);
    em_buffer_free(&line);
    em_buffer_free(&rest);
    return good;
}

static bool apply(const option *o, em_settings *s, char *value, em_error *err) {
    return ((o->commands & FREE) || note_given(s, o, value, err)) && o->set(s, value, err);
}

/* An option and its value, as words of the command line. */
typedef struct words {
    const option *option;
    char *value;                /* NULL: a flag */
    int used;
} words;

/* --name value, --name=value, -x value, -xvalue. */
static bool split(char **argv, int left, em_command command, words *out, em_error *err) {
    char *text = argv[0];
    bool long_form = text[1] == '-';
    char *name = text + (long_form ? 2 : 1);
    size_t n = strcspn(name, "=");
    const option *o = long_form ? find_option(name, n, 0) : find_option(NULL, 0, name[0]);
    if (!o) return unknown_option(text, command, err);
    *out = (words){.option = o, .used = 1};
    if (long_form && name[n] == '=') out->value = name + n + 1;
    if (!long_form && name[1]) out->value = name + 1;
    if (!o->argument) return !out->value || em_fail(err, EM_USAGE, "--%s takes no value", o->name);
    if (out->value) return true;
    if (left < 2) return em_fail(err, EM_USAGE, "--%s wants a value: --%s %s", o->name, o->name, o->argument);
    out->value = argv[1];
    out->used = 2;
    return true;
}

static bool belongs(const option *o, em_command command, em_error *err) {
    const char *c = command_name(command);
    if (o->commands & (unsigned)(command == EM_EXPLORE ? EM_EXPLORE | EM_RUN : command)) return true;
    return em_fail(err, EM_USAGE, "--%s does not belong to evalmask%s%s", o->name, *c ? " " : "", c);
}

/* Of all options of a settings: whether the command line has given it. */
typedef bool given_options[N_GROUPS][sizeof groups->options / sizeof *groups->options];

static bool *given_at(given_options given, const option *o) {
    int g = 0;
    while (o < groups[g].options || o >= groups[g].options + sizeof groups->options / sizeof *groups->options) g++;
    return &given[g][o - groups[g].options];
}

static bool use_option(const words *w, em_settings *s, em_error *err) {
    if (!belongs(w->option, s->command, err)) return false;
    if (!(w->option->commands & WITH_PACKED)) s->not_with_packed = w->option->name;
    return apply(w->option, s, w->value, err);
}

/* ---- the config ---- */

/* The value of --config on the command line, or NULL. A word that is no option is for the main parse to refuse. */
static const char *find_config(int argc, char **argv, int i, em_command command) {
    em_error none = EM_ERROR_INIT;
    const char *found = NULL;
    words w;
    for (; i < argc && strcmp(argv[i], "--"); i += w.used) {
        w = (words){.used = 1};
        if (argv[i][0] != '-' || !argv[i][1]) continue;
        if (!split(argv + i, argc - i, command, &w, &none)) return found;
        if (w.option->set == set_config) found = w.value;
    }
    return found;
}

/* Without a command's name, the config says which command it is for. */
static bool open_config(em_settings *s, const char *name, bool named_command, em_error *err) {
    if (!(s->experiment = em_experiment_open(name, err))) return false;
    em_command command = s->experiment->inspect ? EM_INSPECT : s->command == EM_EXPLORE ? EM_EXPLORE : EM_RUN;
    if (named_command && s->command != command)
        return em_fail(err, EM_USAGE, "--config %s is for evalmask%s, not for evalmask %s", name, s->experiment->inspect ? " inspect" : "",
                       command_name(s->command));
    s->command = command;
    return true;
}

static bool config_option(em_settings *s, const em_experiment_option *given, const option *o, em_error *err) {
    if (!o) return em_fail(err, EM_USAGE, "\"%s\": no such option; evalmask --help lists them", given->name);
    if (o->set == set_config) return em_fail(err, EM_USAGE, "\"config\": a config names no other");
    if (o->argument && !given->value) return em_fail(err, EM_USAGE, "\"%s\": give its value, %s", o->name, o->argument);
    if (!o->argument && given->value) return em_fail(err, EM_USAGE, "\"%s\": a flag is true, or left out", o->name);
    return use_option(&(words){o, given->value, 0}, s, err);
}

/* Rows that are packed already take of a config what has a meaning for them. */
static bool use_config(em_settings *s, given_options given, em_error *err) {
    for (int i = 0; i < s->experiment->n_options; i++) {
        em_experiment_option *c = &s->experiment->options[i];
        const option *o = find_option(c->name, strlen(c->name), 0);
        if (o && (*given_at(given, o) || (s->n_packed && !(o->commands & WITH_PACKED)))) continue;
        if (!config_option(s, c, o, err)) return em_error_place(err, s->experiment->path, 0, c->byte);
    }
    return true;
}

static const char *bundled(const em_experiment *c, const char *name) {
    for (int i = 0; i < c->n_bundled; i++)
        if (!strcmp(c->bundled[i].name, name)) return c->bundled[i].value;
    return NULL;
}

/* Replaces a bundled file's name by its path. */
static bool find_bundled(em_settings *s, const char *name, char **path, em_error *err) {
    char found[4096];
    for (int i = 0; i < s->experiment->n_bundled; i++) {
        em_experiment_option *o = &s->experiment->bundled[i];
        if (strcmp(o->name, name)) continue;
        char *copied = em_shared_file(o->value, found, sizeof found) ? strdup(found) : NULL;
        if (!copied) return em_fail_at(err, EM_USAGE, s->experiment->path, 0, o->byte, "%s is not installed", o->value);
        free(o->value);
        *path = o->value = copied;
    }
    return true;
}

/* All of the bundled models, or none: the user's own are not mixed with them. */
static bool use_bundled_models(em_settings *s, em_error *err) {
    static const struct { const char *name; bool (*set)(em_settings *, char *, em_error *); } kinds[] = {
        {"model", set_model}, {"compare", set_compare}, {"adapter", set_adapter}};
    const em_experiment *x = s->experiment;
    bool pair = bundled(x, "compare") || bundled(x, "adapter"), second = s->n_compare || s->n_adapters, own = s->model.path;
    if (pair && s->model.path && !second)
        return em_fail(err, EM_USAGE, "--config %s is about two models: beside --model say --compare PATH or --adapter DIR", x->path);
    if (bundled(x, "model") && second && !s->model.path)
        return em_fail(err, EM_USAGE, "--compare and --adapter want --model PATH too: the config's bundled model is not mixed with yours");
    for (int i = 0; i < 3 && !own; i++) {
        char *path = NULL;
        if (!find_bundled(s, kinds[i].name, &path, err) || (path && !kinds[i].set(s, path, err))) return false;
        s->bundled_models |= path != NULL;
    }
    return true;
}

/* Not with --packed: the bundled model's EOS need not be that of the user's rows. */
static bool use_bundled(em_settings *s, em_error *err) {
    if (s->n_packed) return true;
    if (!s->n_data) s->bundled_data = bundled(s->experiment, "data");
    return use_bundled_models(s, err);
}

/* ---- together ---- */

static bool parse_command(int argc, char **argv, em_settings *s, int *next) {
    s->command = EM_RUN;
    *next = 1;
    if (argc < 2) return s->command = EM_HELP, s->help_for = EM_RUN, true;
    for (int i = 1; i < N_COMMANDS; i++)
        if (!strcmp(argv[1], commands[i].name)) return s->command = commands[i].command, *next = 2, true;
    return argv[1][0] == '-';
}

static bool parse_help(int argc, char **argv, em_settings *s, em_error *err) {
    s->help_for = EM_RUN;
    for (int i = 2; i < argc; i++) {
        bool found = false;
        if (!strcmp(argv[i], "--man")) found = s->help_as_man = true;
        if (!strcmp(argv[i], "configs")) found = s->help_configs = true;
        for (int c = 1; c < N_COMMANDS; c++)
            if (!strcmp(argv[i], commands[c].name)) s->help_for = commands[c].command, found = true;
        if (!found) return em_fail(err, EM_USAGE, "help %s: no such command; evalmask help lists them", argv[i]);
    }
    return true;
}

/* The schemes of MASK@LABELS stand behind those of --labels. */
static void add_bound_labels(em_settings *s) {
    for (int m = 0; m < s->n_masks; m++) {
        int l = 0;
        while (l < s->n_labels && s->labels[l] != s->mask_labels[m]) l++;
        if (!s->mask_labels[m] || l < s->n_labels) continue;
        s->only_bound[s->n_labels] = true;
        s->labels[s->n_labels++] = s->mask_labels[m];
    }
}

bool em_settings_combine(const em_settings *s, int m, int l) {
    return s->mask_labels[m] ? s->mask_labels[m] == s->labels[l] : !s->only_bound[l];
}

static bool all_bound(const em_settings *s) {
    for (int m = 0; m < s->n_masks; m++)
        if (!s->mask_labels[m]) return false;
    return true;
}

static void set_defaults(em_settings *s) {
    em_error none = EM_ERROR_INIT;
    if (!s->text_key) s->text_key = "text";
    if (!s->group_by) s->group_by = "meta.pile_set_name";
    if (!s->zstd_window) s->zstd_window = 27;
    if (!s->n_masks) em_mask_parse("doc", &s->masks[s->n_masks++], &none);
    if (!s->n_labels && !all_bound(s)) s->labels[s->n_labels++] = em_labels_parse("unshifted", &none);
    add_bound_labels(s);
    if (!s->n_positions) s->positions[s->n_positions++] = EM_POSITIONS_AUTO;
    if (!s->batch) s->batch = 8;
    if (!s->has_tolerance) s->tolerance = EM_DEFAULT_TOLERANCE;
}

/* Each of --labels has a mask; only runs take lists of combinations and packings. */
static bool check_combinations(const em_settings *s, em_error *err) {
    for (int l = 0; l < s->n_labels; l++) {
        bool any = false;
        for (int m = 0; m < s->n_masks; m++) any |= em_settings_combine(s, m, l);
        if (!any) return em_fail(err, EM_USAGE, "--labels %s: every mask of --mask names its own labels, and none these", s->labels[l]->name);
    }
    if (s->command & (EM_RUN | EM_EXPLORE)) return true;
    for (int m = 0; m < s->n_masks; m++)
        if (s->mask_labels[m]) return em_fail(err, EM_USAGE, "--mask %s@%s: %s takes every mask with all of --labels", s->masks[m].name,
                                              s->mask_labels[m]->name, command_name(s->command));
    return s->n_packs < 2 || em_fail(err, EM_USAGE, "--pack: %s takes one of stream and none", command_name(s->command));
}

/* Positions that are the same under a mask would be one result twice. */
static bool check_positions(const em_settings *s, em_error *err) {
    for (int m = 0; m < s->n_masks; m++)
        for (int q = 0; q < s->n_positions; q++)
            for (int p = 0; p < q; p++)
                if (em_positions_resolve(s->positions[p], &s->masks[m]) == em_positions_resolve(s->positions[q], &s->masks[m]))
                    return em_fail(err, EM_USAGE, "--positions: under %s, auto is what another one of the list says; "
                                   "leave one of the two out", s->masks[m].name);
    return true;
}

static bool check_inspect(const em_settings *s, em_error *err) {
    if (s->pad && !s->n_packed) return em_fail(err, EM_USAGE, "--pad belongs to inspect --packed FILE");
    if (s->n_packed && s->not_with_packed)
        return em_fail(err, EM_USAGE, "--%s does not go with --packed, whose rows are as they are", s->not_with_packed);
    if (s->model.path || s->tokenizer) return true;
    if (!s->n_packed) return em_fail(err, EM_USAGE, "inspect wants --model PATH or --tokenizer PATH");
    return s->eos || em_fail(err, EM_USAGE, "inspect --packed wants --eos ID, or --model or --tokenizer PATH to know it from");
}

static bool check_arguments(const em_settings *s, em_error *err) {
    if (s->command == EM_CONVERT && s->n_arguments != 2)
        return em_fail(err, EM_USAGE, "convert wants two paths: evalmask convert DIR OUT.bin");
    if (s->command == EM_EXPLORE && s->n_outputs != 1)
        return em_fail(err, EM_USAGE, "explore wants one page: -o PAGE.html");
    if (s->command == EM_EXPLORE && s->journal && !s->tokens_file)
        return em_fail(err, EM_USAGE, "--journal: explore goes on with a file of tokens; say --tokens FILE too");
    if (s->command == EM_EXPLORE && s->n_arguments + (s->model.path != NULL) != 1)
        return em_fail(err, EM_USAGE, "explore wants one file of --tokens, or --model PATH with the options of a run");
    if (s->command == EM_REPORT && s->n_arguments != 1)
        return em_fail(err, EM_USAGE, "report wants one results file: evalmask report results.json -o report.md");
    if (s->command == EM_DIFF && s->n_arguments != 2)
        return em_fail(err, EM_USAGE, "diff wants two results files: evalmask diff before.json after.json");
    if (s->command == EM_RUN && s->has_tolerance && !s->baseline)
        return em_fail(err, EM_USAGE, "--tolerance wants --baseline FILE: the results that losses are held to");
    if (s->journal_rows && !s->journal) return em_fail(err, EM_USAGE, "--journal-every wants --journal FILE");
    if (s->command == EM_TOKENIZE && !s->tokenizer)
        return em_fail(err, EM_USAGE, "tokenize wants --tokenizer PATH: tokenizer.json, tokenizer.model, tok512.bin or a model");
    if (s->command & DATA_COMMANDS && s->n_arguments)
        return em_fail(err, EM_USAGE, "%s: what is this? Data is given as --data %s, a model as --model %s",
                       s->arguments[0], s->arguments[0], s->arguments[0]);
    if (s->command == EM_RUN && !s->model.path)
        return em_fail(err, EM_USAGE, "which model? Give --model PATH; evalmask --help shows examples");
    if (s->command != EM_RUN && (s->n_row_tokens > 1 || s->row_tokens_from))
        return em_fail(err, EM_USAGE, "-T: %s takes one row length", command_name(s->command));
    if (s->command == EM_BENCH && s->n_arguments)
        return em_fail(err, EM_USAGE, "%s: what is this? A shape is given as --shape, a model as --model", s->arguments[0]);
    if (s->command == EM_BENCH && s->model.path && (s->shape || s->keep_model))
        return em_fail(err, EM_USAGE, "--model or a random one (--shape, --keep-model): one of them");
    if (s->command == EM_BENCH && !s->model.path) {
        if (s->n_compare) return em_fail(err, EM_USAGE, "--compare wants --model PATH too; --alpha brings a second random model by itself");
        return true;
    }
    if (s->alpha_space == EM_ALPHA_WEIGHT && !s->alphas.n)
        return em_fail(err, EM_USAGE, "--alpha-space weight wants --alpha LIST");
    if (s->alphas.n && s->n_compare + s->n_adapters != 1)
        return em_fail(err, EM_USAGE, "--alpha wants one --compare PATH or --adapter DIR: alphas lie on the line through two models");
    if (s->alphas.n && (s->all_depths || s->n_depths))
        return em_fail(err, EM_USAGE, "--alpha with --depth: alphas are of whole models; run them apart");
    return s->command != EM_INSPECT || check_inspect(s, err);
}

/* The words from argv[i] on. A help or version option ends it with that command. */
static bool parse_words(int argc, char **argv, int i, em_settings *s, given_options given, em_error *err) {
    bool options = true;
    words w;
    for (; i < argc; i += w.used) {
        char *a = argv[i];
        w = (words){.used = 1};
        if (options && (!strcmp(a, "--help") || !strcmp(a, "-h"))) return s->help_for = s->command, s->command = EM_HELP, true;
        if (options && !strcmp(a, "--version")) return s->command = EM_VERSION_COMMAND, true;
        if (options && !strcmp(a, "--")) {
            options = false;
        } else if (options && a[0] == '-' && a[1]) {
            if (!split(argv + i, argc - i, s->command, &w, err) || !use_option(&w, s, err)) return false;
            *given_at(given, w.option) = true;
        } else {
            if (s->n_arguments == EM_MAX_LIST) return em_fail(err, EM_USAGE, "at most %d paths", EM_MAX_LIST);
            s->arguments[s->n_arguments++] = a;
        }
    }
    return true;
}

bool em_options_parse(int argc, char **argv, em_settings *s, em_error *err) {
    int i;
    given_options given = {{false}};
    *s = (em_settings){.row = -1};
    if (!parse_command(argc, argv, s, &i))
        return em_fail(err, EM_USAGE, "%s: no such command; evalmask --help lists them", argv[1]);
    if (s->command == EM_HELP) return argc < 2 || parse_help(argc, argv, s, err);
    const char *config = find_config(argc, argv, i, s->command);
    if (config && !open_config(s, config, i > 1, err)) return false;
    if (!parse_words(argc, argv, i, s, given, err)) return false;
    if (s->command == EM_HELP || s->command == EM_VERSION_COMMAND) return true;
    if (s->experiment && (!use_config(s, given, err) || !use_bundled(s, err))) return false;
    set_defaults(s);
    return check_arguments(s, err) && check_combinations(s, err) && check_positions(s, err);
}

void em_settings_free(em_settings *s) {
    em_experiment_free(s->experiment);
    s->experiment = NULL;
    em_buffer_free(&s->given);
}

/* ---- help ---- */

/* Prints text in lines of at most 80 columns, indented; the first line starts at column `at`. */
static void wrap(FILE *out, const char *text, int indent, int at) {
    while (*text) {
        size_t n = strcspn(text, " ");
        if (at > indent && at + 1 + (int)n > 80) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            fputc(' ', out);
            at++;
        } else if (at < indent) {
            fprintf(out, "%*s", indent - at, "");
            at = indent;
        }
        fprintf(out, "%.*s", (int)n, text);
        at += (int)n;
        text += n + strspn(text + n, " ");
    }
    fputc('\n', out);
}

static void help_option(FILE *out, const option *o) {
    int n = fprintf(out, "  %c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ', o->letter ? "," : " ",
                    o->name, o->argument ? " " : "", o->argument ? o->argument : "");
    if (n > 26) {
        fputc('\n', out);
        n = 0;
    }
    wrap(out, o->help, 28, n);
}

void em_options_help(FILE *out, em_command command) {
    for (int c = 0; c < N_COMMANDS; c++) {
        if (commands[c].command != command) continue;
        fprintf(out, "%s\n  %s\n", commands[c].usage, commands[c].summary);
        if (*commands[c].examples) fprintf(out, "\nExamples:\n%s", commands[c].examples);
    }
    if (command == EM_RUN) {
        fprintf(out, "\nCommands (evalmask help COMMAND):\n");
        for (int c = 1; c < N_COMMANDS; c++) fprintf(out, "  %-10s %s\n", commands[c].name, commands[c].summary);
    }
    for (int g = 0; g < N_GROUPS; g++) {
        bool any = false;
        for (const option *o = groups[g].options; o->name; o++) {
            if (!(o->commands & (unsigned)command)) continue;
            if (!any) fprintf(out, "\n%s:\n", groups[g].title);
            any = true;
            help_option(out, o);
        }
    }
    if (command == EM_RUN)
        fprintf(out, "\nThe report goes to stdout as Markdown, notes and progress to stderr. Exit codes:\n"
                     "0 fine, 1 a check failed, 2 usage, 3 bad input, 4 the machine, 130 interrupted.\n");
}

static void man_text(FILE *out, const char *text) {
    if (*text == '.' || *text == '\'') fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\') fputs("\\e", out);
        else if (*text == '-') fputs("\\-", out);
        else fputc(*text, out);
        if (*text == '\n' && (text[1] == '.' || text[1] == '\'')) fputs("\\&", out);
    }
}

void em_options_man(FILE *out) {
    fprintf(out, ".TH EVALMASK 1 \"\" \"evalmask %s\" \"User Commands\"\n.SH NAME\n"
                 "evalmask \\- a language model's loss on data, and exactly what was measured\n.SH SYNOPSIS\n", EM_VERSION);
    for (int c = 0; c < N_COMMANDS; c++) {
        man_text(out, commands[c].usage);
        fputs("\n.br\n", out);
    }
    fputs(".SH DESCRIPTION\nevalmask packs documents into rows as training does, runs a checkpoint over them under attention "
          "masks and label schemes that are stated, and reports the loss with the protocol that produced it.\n", out);
    fputs(".SH COMMANDS\n", out);
    for (int c = 0; c < N_COMMANDS; c++) {
        fprintf(out, ".TP\n.B evalmask%s%s\n", *commands[c].name ? " " : "", commands[c].name);
        man_text(out, commands[c].summary);
        fputs("\n", out);
    }
    for (int g = 0; g < N_GROUPS; g++) {
        fprintf(out, ".SH OPTIONS: ");
        for (const char *t = groups[g].title; *t; t++) fputc(toupper((unsigned char)*t), out);
        fputs("\n", out);
        for (const option *o = groups[g].options; o->name; o++) {
            fprintf(out, ".TP\n.B ");
            if (o->letter) fprintf(out, "\\-%c, ", o->letter);
            fprintf(out, "\\-\\-");
            man_text(out, o->name);
            if (o->argument) fprintf(out, " \\fI%s\\fR", o->argument);
            fputs("\n", out);
            man_text(out, o->help);
            fputs("\n", out);
        }
    }
    fputs(".SH EXAMPLES\n.nf\n", out);
    for (int c = 0; c < N_COMMANDS; c++) man_text(out, commands[c].examples);
    fputs(".fi\n.SH EXIT STATUS\n0 fine; 1 a check failed; 2 usage; 3 bad input; 4 the machine (memory, disk); "
          "130 interrupted.\n", out);
}
