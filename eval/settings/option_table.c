/* The options: a setter each, and the table of all. */
#include "eval/settings/option_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/settings/option_values.h"

/* ---- lists ---- */

static bool too_many(const char *option, em_error *err) {
    return em_fail(err, EM_USAGE, "%s: at most %d values", option, EM_MAX_LIST);
}

/* Without the spaces around it. */
static char *trim(char *text) {
    text += strspn(text, " ");
    size_t n = strlen(text);
    while (n && text[n - 1] == ' ') text[--n] = 0;
    return text;
}

/* Calls add for every part of a list: commas, and spaces around them. */
static bool each(em_settings *s, char *text, bool (*add)(em_settings *, char *, em_error *),
                 em_error *err) {
    for (char *part = text, *comma; part; part = comma) {
        comma = strchr(part, ',');
        if (comma) *comma++ = 0;
        if (!add(s, trim(part), err)) return false;
    }
    return true;
}

/* MASK or MASK@LABELS. */
static bool add_mask(em_settings *s, char *text, em_error *err) {
    em_mask m;
    const em_label_scheme *labels = NULL;
    char *at = strchr(text, '@');
    if (at) *at = 0;
    if (!em_mask_parse(text, &m, err) || (at && !(labels = em_labels_parse(at + 1, err))))
        return false;
    for (int i = 0; i < s->protocol.n_masks; i++) {
        if (strcmp(s->protocol.masks[i].name, m.name)) continue;
        if (s->protocol.mask_labels[i] == labels) return true;
        if (!s->protocol.mask_labels[i] || !labels)
            return em_fail(
                err, EM_USAGE,
                "--mask %s: with all of --labels and with some of its own; say one of the two",
                m.name);
    }
    if (s->protocol.n_masks == EM_MAX_LIST) return too_many("--mask", err);
    s->protocol.mask_labels[s->protocol.n_masks] = labels;
    s->protocol.masks[s->protocol.n_masks++] = m;
    return true;
}

static bool add_labels(em_settings *s, char *text, em_error *err) {
    const em_label_scheme *l = em_labels_parse(text, err);
    if (!l) return false;
    for (int i = 0; i < s->protocol.n_labels; i++)
        if (s->protocol.labels[i] == l) return true;
    s->protocol.labels[s->protocol.n_labels++] = l;
    return true;
}

static bool add_pack(em_settings *s, char *text, em_error *err) {
    int p;
    if (!em_value_choice("--pack", text, (const char *const[]){"stream", "none", NULL}, &p, err))
        return false;
    for (int i = 0; i < s->protocol.n_packs; i++)
        if (s->protocol.packs[i] == (em_pack_mode)p) return true;
    s->protocol.packs[s->protocol.n_packs++] = (em_pack_mode)p;
    s->protocol.pack = s->protocol.packs[0];
    return true;
}

static bool add_positions(em_settings *s, char *text, em_error *err) {
    int p;
    if (!em_value_choice("--positions", text,
                         (const char *const[]){"auto", "continuous", "reset", NULL}, &p, err))
        return false;
    for (int i = 0; i < s->protocol.n_positions; i++)
        if (s->protocol.positions[i] == (em_positions)p) return true;
    s->protocol.positions[s->protocol.n_positions++] = (em_positions)p;
    return true;
}

static int ascending(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static bool keep_row_tokens(em_settings *s, int32_t t, em_error *err) {
    if (s->protocol.n_row_tokens == EM_MAX_LIST) return too_many("-T", err);
    s->protocol.row_tokens[s->protocol.n_row_tokens++] = t;
    return true;
}

static bool set_row_tokens_from(em_settings *s, int32_t from, em_error *err) {
    if (s->protocol.row_tokens_from && s->protocol.row_tokens_from != from)
        return em_fail(err, EM_USAGE, "-T: %d..limit and %d..limit; say one of the two",
                       s->protocol.row_tokens_from, from);
    s->protocol.row_tokens_from = from;
    return true;
}

/* N; FROM..TO: doubled from FROM on, and TO; FROM..limit: the same, once the limit is known. */
static bool add_row_tokens(em_settings *s, char *text, em_error *err) {
    int64_t from, to;
    char *dots = strstr(text, "..");
    if (dots) *dots = 0;
    if (!em_value_whole_number("-T", text, 2, 1 << 24, &from, err)) return false;
    if (dots && !strcmp(dots + 2, "limit")) return set_row_tokens_from(s, (int32_t)from, err);
    if (!dots) to = from;
    else if (!em_value_whole_number("-T", dots + 2, from, 1 << 24, &to, err)) return false;
    for (int64_t t = from; t < to; t *= 2)
        if (!keep_row_tokens(s, (int32_t)t, err)) return false;
    return keep_row_tokens(s, (int32_t)to, err);
}

static bool add_depth(em_settings *s, char *text, em_error *err) {
    int64_t n;
    if (!strcmp(text, "all")) return s->models.all_depths = true;
    if (!em_value_whole_number("--depth", text, 0, 4096, &n, err)) return false;
    for (int i = 0; i < s->models.n_depths; i++)
        if (s->models.depths[i] == n) return true;
    if (s->models.n_depths == EM_MAX_LIST) return too_many("--depth", err);
    s->models.depths[s->models.n_depths++] = (int)n;
    return true;
}

/* ---- one setter an option ---- */

#define SETTER(name) static bool set_##name(em_settings *s, char *v, em_error *err)
#define WHOLE(name, option, field, least, most) \
    SETTER(name) { \
        int64_t n; \
        if (!em_value_whole_number(option, v, least, most, &n, err)) return false; \
        s->field = n; \
        return true; \
    }

/* Read before the other options, which override it: see option_config.c. */
SETTER(config) { return true; }
SETTER(model) { return em_value_named_path("--model", v, &s->models.first, err); }
SETTER(tokenizer) { return s->models.tokenizer = v, true; }
SETTER(eos) { return s->models.eos = v, true; }
SETTER(bos) { return s->models.bos = v, true; }
SETTER(pad) { return s->models.pad = v, true; }
SETTER(text_key) { return s->data.text_key = v, true; }
SETTER(group_by) {
    if (!*v) return em_fail(err, EM_USAGE, "--group-by: give a key, such as meta.pile_set_name");
    return s->data.group_by = v, true;
}

SETTER(skip_bad) { return s->data.skip_bad_records = true; }
SETTER(no_special) { return s->no_special = true; }
SETTER(mixed) { return s->engine.mixed = true; }
SETTER(quiet) { return s->output.quiet = true; }
SETTER(mask) { return each(s, v, add_mask, err); }
SETTER(labels) { return each(s, v, add_labels, err); }
SETTER(positions) { return each(s, v, add_positions, err); }
SETTER(pack) { return each(s, v, add_pack, err); }
SETTER(depth) { return each(s, v, add_depth, err); }
SETTER(common_vocab) { return s->models.common_vocab = true; }
SETTER(memory) { return em_value_byte_count("--memory", v, &s->engine.memory, err); }
SETTER(baseline) { return s->output.baseline = v, true; }
SETTER(anyway) { return s->anyway = true; }

/* "0.01" nats, or "2se". */
SETTER(tolerance) {
    char *end;
    s->output.tolerance.value = strtod(v, &end);
    s->output.tolerance.standard_errors = end != v && !strcmp(end, "se");
    s->output.has_tolerance = true;
    if (end != v && (!*end || s->output.tolerance.standard_errors) &&
        s->output.tolerance.value >= 0 && isfinite(s->output.tolerance.value))
        return true;
    return em_fail(
        err, EM_USAGE,
        "--tolerance %s: give nats, such as 0.01, or paired standard errors, such as 2se", v);
}

SETTER(tokens) { return s->output.tokens_file = v, true; }
SETTER(journal) { return s->output.journal = v, true; }
WHOLE(journal_rows, "--journal-every", output.journal_rows, 1, 1 << 30)
SETTER(profile) { return s->output.profile_file = v, true; }
WHOLE(max_docs, "--max-docs", data.max_docs, 1, INT64_MAX)
WHOLE(max_tokens, "--max-tokens", data.max_tokens, 1, INT64_MAX)
WHOLE(batch, "-B", protocol.batch, 1, 1 << 20)
WHOLE(stride, "--stride", protocol.stride, 1, 1 << 24)
SETTER(score) {
    em_score_rule *rule = &s->protocol.score;
    int64_t n = 0;
    *rule = (em_score_rule){.kind = !strcmp(v, "half") ? EM_SCORE_HALF : EM_SCORE_ALL};
    if (!strcmp(v, "all") || !strcmp(v, "half")) return true;
    if (strncmp(v, "last:", 5))
        return em_fail(err, EM_USAGE, "--score %s: say all, half or last:N", v);
    if (!em_value_whole_number("--score last", v + 5, 1, 1 << 24, &n, err)) return false;
    *rule = (em_score_rule){.kind = EM_SCORE_LAST, .last = (int32_t)n};
    return true;
}
WHOLE(threads, "--threads", engine.threads, 1, 1024)
WHOLE(zstd_window, "--zstd-window", data.zstd_window, 10, 31)
WHOLE(layers, "--layers", audit.layers, 1, 4096)
WHOLE(window_layers, "--window-layers", audit.window_layers, 1, 1 << 24)
WHOLE(row, "--row", inspect.row, 0, INT64_MAX)

/* Ascending, each once. */
SETTER(row_tokens) {
    if (!each(s, v, add_row_tokens, err)) return false;
    int n = 0;
    qsort(s->protocol.row_tokens, (size_t)s->protocol.n_row_tokens, sizeof *s->protocol.row_tokens,
          ascending);
    for (int i = 0; i < s->protocol.n_row_tokens; i++)
        if (!n || s->protocol.row_tokens[n - 1] != s->protocol.row_tokens[i])
            s->protocol.row_tokens[n++] = s->protocol.row_tokens[i];
    s->protocol.n_row_tokens = n;
    return true;
}

SETTER(compare) {
    if (s->models.n_compare == EM_MAX_MODELS - 1)
        return em_fail(err, EM_USAGE, "--compare: at most %d models", EM_MAX_MODELS - 1);
    return em_value_named_path("--compare", v, &s->models.compare[s->models.n_compare++], err);
}

SETTER(adapter) {
    if (s->models.n_adapters == EM_MAX_MODELS - 1)
        return em_fail(err, EM_USAGE, "--adapter: at most %d", EM_MAX_MODELS - 1);
    return em_value_named_path("--adapter", v, &s->models.adapters[s->models.n_adapters++], err);
}

SETTER(alpha) { return em_alphas_parse(v, &s->models.alphas, err); }
SETTER(seed) {
    return s->protocol.seed_given = true,
           em_value_whole_number("--seed", v, 0, INT64_MAX, &s->protocol.seed, err);
}

SETTER(data) {
    if (s->data.n_sets == EM_MAX_LIST) return too_many("--data", err);
    return em_value_named_path("--data", v, &s->data.sets[s->data.n_sets++], err);
}

SETTER(packed) {
    if (s->inspect.n_packed == EM_MAX_LIST) return too_many("--packed", err);
    s->inspect.packed[s->inspect.n_packed++] = v;
    return true;
}

SETTER(subset) {
    if (s->data.n_subsets == EM_MAX_LIST) return too_many("--subset", err);
    s->data.subsets[s->data.n_subsets++] = v;
    return true;
}

static bool add_document(em_settings *s, char *text, em_error *err) {
    if (s->explore.n_documents == EM_MAX_DOCUMENTS)
        return em_fail(err, EM_USAGE, "--document: at most %d", EM_MAX_DOCUMENTS);
    return em_value_whole_number("--document", text, 0, INT64_MAX - 1,
                                 &s->explore.documents[s->explore.n_documents++], err);
}

SETTER(document) { return each(s, v, add_document, err); }

SETTER(output) {
    if (s->output.n_files == EM_MAX_LIST) return too_many("-o", err);
    s->output.files[s->output.n_files++] = v;
    return true;
}

#define CHOICE(name, option, field, type, ...) \
    SETTER(name) { \
        int i; \
        if (!em_value_choice(option, v, (const char *const[]){__VA_ARGS__, NULL}, &i, err)) \
            return false; \
        s->field = (type)i; \
        return true; \
    }

CHOICE(alpha_space, "--alpha-space", models.alpha_space, em_alpha_space, "logit", "weight")
CHOICE(markdown_style, "--markdown-style", output.markdown, em_markdown_style, "plain", "github")
CHOICE(window, "--window", protocol.window, em_window_mode, "next", "inside")
CHOICE(boundary, "--boundary", protocol.boundary, em_boundary, "keep", "drop")
CHOICE(tail, "--tail", protocol.tail, em_tail, "pad", "drop")

SETTER(shape) { return s->bench.shape = v, true; }
SETTER(keep_model) { return s->bench.keep_model = v, true; }
WHOLE(rows, "--rows", bench.rows, 1, 1 << 30)
WHOLE(repeat, "--repeat", bench.repeat, 1, EM_MAX_LIST)

SETTER(lengths) {
    int64_t n;
    if (!strcmp(v, "pile")) return s->bench.length = 0, true;
    if (!em_value_whole_number("--lengths", v, 1, 1 << 24, &n, err)) return false;
    return s->bench.length = (int32_t)n, true;
}

CHOICE(dtype, "--dtype", engine.dtype, em_dtype_choice, "auto", "f32", "bf16", "f16")

/* cuda is cuda:0. */
SETTER(device) {
    static const char with_index[] = "cuda:";
    int i;
    s->engine.device_given = true;
    if (!strncmp(v, with_index, sizeof with_index - 1)) {
        int64_t n;
        if (!em_value_whole_number("--device cuda:N", v + sizeof with_index - 1, 0, 1023, &n, err))
            return false;
        s->engine.device = EM_DEVICE_CUDA;
        return s->engine.device_index = (int32_t)n, true;
    }
    if (!em_value_choice("--device", v, (const char *const[]){"auto", "cpu", "cuda", NULL}, &i,
                         err))
        return false;
    s->engine.device = (em_device_choice)i;
    return true;
}

/* ---- the table ---- */

const em_option_group em_option_groups[] = {
    {"The model",
     {{"model", 'm', "[NAME=]PATH", EM_DATA_COMMANDS | EM_BENCH | EM_WITH_PACKED, set_model,
       "a Hugging Face directory, a .bin made by convert, a llama2.c file, or ORG/NAME in the "
       "local Hugging Face cache; "
       "NAME=A,B,C: repeated trainings, a group"},
      {"compare", 'c', "[NAME=]PATH", EM_RUN | EM_BENCH | EM_AGAIN, set_compare,
       "a further model over the same tokens, with paired differences to the others; may be given "
       "again"},
      {"adapter", 0, "[NAME=]DIR", EM_RUN | EM_CONVERT | EM_AGAIN, set_adapter,
       "a further model: the first one with this PEFT LoRA adapter; may be given again. convert: "
       "merged into the weights"},
      {"alpha", 0, "LIST", EM_RUN | EM_BENCH | EM_AGAIN, set_alpha,
       "with one --compare or --adapter: losses of the logits (1+a)*after - a*before, such as "
       "--alpha=-2:2:0.5,3"},
      {"alpha-space", 0, "logit|weight", EM_RUN, set_alpha_space,
       "what alphas combine: the logits, all in one pass (default), or the weights, a pass for "
       "each"},
      {"depth", 0, "all|LIST", EM_RUN | EM_BENCH | EM_AGAIN, set_depth,
       "losses with only the first N layers, final norm and head on what is left, all from one "
       "forward pass"},
      {"common-vocab", 0, NULL, EM_RUN, set_common_vocab,
       "every softmax over the ids that all models have, where their vocabularies differ in size"},
      {"tokenizer", 0, "PATH",
       EM_DATA_COMMANDS | EM_TOKENIZE | EM_CONVERT | EM_BENCH | EM_WITH_PACKED, set_tokenizer,
       "tokenizer.json, tokenizer.model, tok512.bin, or a model that holds one (default: the "
       "model's own)"},
      {"eos", 0, "ID|TOKEN|none", EM_DATA_COMMANDS | EM_WITH_PACKED, set_eos,
       "what ends every document (default: eos_token of tokenizer_config.json, else "
       "config.json's)"},
      {"bos", 0, "auto|ID|TOKEN|none", EM_DATA_COMMANDS | EM_WITH_PACKED, set_bos,
       "what begins every document (default auto: what the tokenizer adds by itself)"},
      {"pad", 0, "ID|TOKEN|none", EM_INSPECT | EM_WITH_PACKED, set_pad,
       "with --packed: what fills rows up (default: pad_token of tokenizer_config.json)"},
      {0}}},
    {"The data",
     {{"data", 'd', "[NAME=]PATH", EM_DATA_COMMANDS | EM_BENCH | EM_AGAIN, set_data,
       "jsonl, jsonl.zst, jsonl.gz, txt, a directory of them, or - for stdin; several make one "
       "stream, each NAME "
       "a stream and a row of the table of its own (default: the bundled sample)"},
      {"packed", 0, "FILE", EM_INSPECT | EM_WITH_PACKED | EM_AGAIN, set_packed,
       "check rows that are packed already: JSON lines of input_ids and, where present, labels, "
       "position_ids, "
       "attention_mask, cu_seqlens; may be given again"},
      {"max-docs", 0, "N", EM_DATA_COMMANDS, set_max_docs,
       "read the first N documents (of the subset) only"},
      {"max-tokens", 0, "N", EM_DATA_COMMANDS, set_max_tokens, "cut the stream after N tokens"},
      {"subset", 0, "NAME", EM_DATA_COMMANDS | EM_AGAIN, set_subset,
       "only documents of this group; may be given again"},
      {"group-by", 0, "KEY[.KEY]", EM_DATA_COMMANDS, set_group_by,
       "the group's key (default meta.pile_set_name)"},
      {"text-key", 0, "KEY", EM_DATA_COMMANDS | EM_TOKENIZE, set_text_key,
       "the text's key (default text)"},
      {"skip-bad-records", 0, NULL, EM_DATA_COMMANDS, set_skip_bad,
       "count broken records and go on, instead of stopping"},
      {"zstd-window", 0, "N", EM_DATA_COMMANDS | EM_TOKENIZE | EM_WITH_PACKED, set_zstd_window,
       "allow zstd windows of 2^N bytes, up to 31 (default 27)"},
      {0}}},
    {"The protocol",
     {{"config", 0, "FILE|NAME", EM_RUN | EM_INSPECT | EM_WITH_PACKED, set_config,
       "options from a JSON file, or those of an installed experiment (evalmask help configs lists "
       "them); the options "
       "beside it override its own"},
      {"mask", 0, "LIST", EM_DATA_COMMANDS | EM_BENCH | EM_AGAIN, set_mask,
       "{masks} (default doc); "
       "MASK@LABELS measures a mask under one label scheme only"},
      {"labels", 0, "LIST", EM_DATA_COMMANDS | EM_BENCH | EM_AGAIN, set_labels,
       "{labels} (default unshifted)"},
      {"seq-len", 'T', "LIST", EM_DATA_COMMANDS | EM_BENCH | EM_AGAIN, set_row_tokens,
       "tokens in a row (default 1024, or the model's limit); a list, 128..2048 or 128..limit "
       "(doubled) measures each length"},
      {"stride", 0, "N", EM_RUN, set_stride,
       "rows begin every N tokens, until one reaches the end, and score what no row before has "
       "scored (default T)"},
      {"score", 0, "all|half|last:N", EM_RUN, set_score,
       "which positions of a row count: all, those from T/2 on, or the last N (default all)"},
      {"batch", 'B', "N", EM_RUN | EM_INSPECT | EM_BENCH, set_batch, "rows in a batch (default 8)"},
      {"positions", 0, "LIST", EM_DATA_COMMANDS | EM_AGAIN, set_positions,
       "continuous, reset, or auto: reset at each document under the doc masks (default auto)"},
      {"window", 0, "next|inside", EM_DATA_COMMANDS, set_window,
       "where the caller shifts labels: take them from the window of T+1 tokens, or from inside "
       "the row (default next)"},
      {"boundary", 0, "keep|drop", EM_RUN | EM_INSPECT, set_boundary,
       "count predictions of another document's token, or not (default keep)"},
      {"tail", 0, "pad|drop", EM_RUN | EM_INSPECT, set_tail,
       "score the last, incomplete batch, or drop it (default pad)"},
      {"pack", 0, "LIST", EM_DATA_COMMANDS | EM_AGAIN, set_pack,
       "stream: rows across documents; none: each document by itself; or both, one after the other "
       "(default stream)"},
      {"seed", 0, "N", EM_RUN, set_seed, "of intervals of growth over row lengths (default 0)"},
      {0}}},
    {"The engine",
     {{"device", 0, "auto|cpu|cuda[:N]", EM_RUN | EM_AUDIT | EM_BENCH, set_device,
       "what computes (default auto: the first CUDA device, else the CPU)"},
      {"dtype", 0, "auto|f32|bf16|f16", EM_RUN | EM_AUDIT | EM_BENCH, set_dtype,
       "inputs of matrix products (default auto: f32 on a CPU, the weights' own on a GPU; f16: on "
       "a GPU only)"},
      {"threads", 0, "N", EM_DATA_COMMANDS | EM_BENCH | EM_FREE, set_threads,
       "default: all cores; the figures do not depend on it"},
      {"memory", 0, "SIZE", EM_RUN | EM_AUDIT | EM_BENCH | EM_FREE, set_memory,
       "resident memory to stay within, such as 4G (default: half of the machine's); the figures "
       "do not depend on it"},
      {"mixed", 0, NULL, EM_RUN, set_mixed,
       "under mpirun: ranks may differ in device and instruction set, which moves last digits and "
       "is recorded"},
      {0}}},
    {"Output",
     {{"output", 'o', "FILE", EM_RUN | EM_BENCH | EM_REPORT | EM_DIFF | EM_AGAIN, set_output,
       "also write results: .json, .md, .html, .csv or .xml (JUnit) by the name; may be given "
       "again"},
      {"markdown-style", 0, "plain|github", EM_RUN | EM_REPORT | EM_DIFF, set_markdown_style,
       "plain: 80 columns, reads as text; github: alerts, long parts folded, tables whole (default "
       "plain)"},
      {"document", 0, "LIST", EM_EXPLORE | EM_AGAIN, set_document,
       "documents of the page, by number from 0 (default: the first that has predictions); a run "
       "reads no further than the last"},
      {"tokens", 0, "FILE", EM_RUN, set_tokens,
       "write one line a prediction: .jsonl or .jsonl.zst"},
      {"baseline", 0, "FILE", EM_RUN, set_baseline,
       "results.json of an earlier run: exit 1 where a loss got worse than it by more than the "
       "tolerance"},
      {"tolerance", 0, "NATS|Nse", EM_RUN | EM_DIFF, set_tolerance,
       "what a loss may get worse by: nats, or N paired standard errors, such as 2se (default "
       "0.01); diff: exit 1 beyond it"},
      {"anyway", 0, NULL, EM_DIFF, set_anyway,
       "compare results that measured different things all the same, marked"},
      {"profile", 0, "FILE", EM_RUN | EM_FREE, set_profile,
       "write time by stage, rates and peak memory as JSON"},
      {"journal", 0, "FILE", EM_RUN | EM_FREE, set_journal,
       "keep what is done in FILE, so that the same command goes on after a crash or Ctrl-C with "
       "the same results; removed at the end"},
      {"journal-every", 0, "ROWS", EM_RUN | EM_FREE, set_journal_rows,
       "how much --journal may lose (default: what was done since some ten seconds ago)"},
      {"quiet", 'q', NULL, EM_RUN | EM_INSPECT | EM_AUDIT | EM_BENCH | EM_WITH_PACKED | EM_FREE,
       set_quiet, "no progress and no notes on stderr"},
      {"layers", 0, "N", EM_AUDIT, set_layers,
       "depth to audit (default: 1, 2 and the model's own)"},
      {"window-layers", 0, "W", EM_AUDIT, set_window_layers,
       "a sliding window of the model in every layer"},
      {"row", 0, "N", EM_INSPECT | EM_WITH_PACKED, set_row,
       "the row to draw (default: the first that holds two documents)"},
      {"no-special", 0, NULL, EM_TOKENIZE, set_no_special,
       "without the tokens that the tokenizer adds by itself"},
      {0}}},
    {"The measurement",
     {{"shape", 0, "NAME", EM_BENCH, set_shape,
       "random weights in the shape of tiny-llama, smollm-135m, smollm-360m, llama-1b, llama-3b or "
       "llama-8b (default "
       "smollm-135m)"},
      {"lengths", 0, "pile|N", EM_BENCH, set_lengths,
       "tokens in a synthetic document: as in the Pile (default), or N in each"},
      {"rows", 0, "N", EM_BENCH, set_rows,
       "rows of T tokens in a run (default: some 3 TFLOP, on a device some 8 seconds of its "
       "ceiling; or all of --data)"},
      {"repeat", 0, "N", EM_BENCH, set_repeat, "runs of which the median is reported (default 5)"},
      {"keep-model", 0, "FILE", EM_BENCH, set_keep_model,
       "write the random checkpoint there, or use it if it is there already"},
      {0}}},
};
const em_command_line em_command_lines[] = {
    {"", EM_RUN, "evalmask --model PATH [options]",
     "the loss of a model on data, under masks and label schemes",
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
    {"inspect", EM_INSPECT, "evalmask inspect [--model PATH | --tokenizer PATH] [options]",
     "how the data is packed: rows, EOS, positions, mask; with verdicts",
     "  evalmask inspect --model base.bin --data val.jsonl.zst\n"
     "  evalmask inspect --model base.bin --mask doc,regular -T 64 --row 3\n"
     "  evalmask inspect --tokenizer gpt2/ --packed rows.jsonl   # packed elsewhere\n"},
    {"audit", EM_AUDIT, "evalmask audit --mask LIST [options]",
     "can a position see its own label, directly or through layers?",
     "  evalmask audit --mask flip0 --labels unshifted -T 1024\n"
     "  evalmask audit --mask regular,full --labels unshifted,backward --layers 12\n"
     "  evalmask audit --mask flip0 --model base.bin         # proves it on the model\n"},
    {"convert", EM_CONVERT, "evalmask convert DIR OUT.bin [--tokenizer PATH] [--adapter DIR]",
     "a whole model as one file: weights, config and tokenizer",
     "  evalmask convert models/tiny-llama-base base.bin\n"
     "  evalmask convert models/tiny-llama-base bard.bin --adapter bard-lora/\n"
     "  evalmask convert stories260K.bin stories.bin --tokenizer tok512.bin\n"},
    {"tokenize", EM_TOKENIZE, "evalmask tokenize --tokenizer PATH [FILE ...]",
     "records in, one line {\"ids\": [...]} out for each",
     "  evalmask tokenize --tokenizer gpt2/tokenizer.json val.jsonl.zst\n"
     "  evalmask tokenize --tokenizer base.bin --no-special - < val.jsonl\n"},
    {"report", EM_REPORT, "evalmask report RESULTS.json [-o FILE ...]",
     "any report from a results file: nothing is measured again",
     "  evalmask report results.json                  # the Markdown of the run\n"
     "  evalmask report results.json -o report.html -o results.csv -o junit.xml\n"
     "  evalmask report results.json --markdown-style github > comment.md\n"},
    {"explore", EM_EXPLORE, "evalmask explore TOKENS.jsonl.zst|--model PATH [options] -o PAGE.html",
     "documents with each token shaded by its loss or a difference",
     "  evalmask explore --model base.bin --compare tuned.bin --document 3,7 -o p.html\n"
     "  evalmask explore nll.jsonl.zst --document 12 -o p.html   # what --tokens wrote\n"},
    {"bench", EM_BENCH, "evalmask bench [--shape NAME | --model PATH] [options]",
     "how fast this machine runs it, against its own GEMM ceiling",
     "  evalmask bench                                # 135M parameters, T = 1024\n"
     "  evalmask bench --shape llama-1b -T 4096 --mask doc,regular --dtype bf16\n"
     "  evalmask bench --shape llama-8b --device cuda   # against cuBLASLt's ceiling\n"
     "  evalmask bench --alpha=-2:2:0.5 --mask doc,regular    # against four runs\n"
     "  evalmask bench --model base.bin --data val.jsonl.zst\n"},
    {"diff", EM_DIFF, "evalmask diff BEFORE.json AFTER.json [-o FILE ...]",
     "two results files side by side, paired by document",
     "  evalmask diff base.json tuned.json\n"
     "  evalmask diff base.json tuned.json --tolerance 2se -o diff.md  # 1 where worse\n"},
    {"help", EM_HELP, "evalmask help [COMMAND|configs]",
     "this text, a command's, or the list of experiments for --config", ""},
    {"version", EM_VERSION_COMMAND, "evalmask version", "the version", ""},
};
