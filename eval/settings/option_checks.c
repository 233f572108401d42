/* Options together: what is not given, and what does not go with what. */
#include <string.h>

#include "eval/settings/option_parts.h"

/* The schemes of MASK@LABELS stand behind those of --labels. */
static void add_bound_labels(em_settings *s) {
    for (int m = 0; m < s->protocol.n_masks; m++) {
        int l = 0;
        while (l < s->protocol.n_labels && s->protocol.labels[l] != s->protocol.mask_labels[m]) l++;
        if (!s->protocol.mask_labels[m] || l < s->protocol.n_labels) continue;
        s->protocol.only_bound[s->protocol.n_labels] = true;
        s->protocol.labels[s->protocol.n_labels++] = s->protocol.mask_labels[m];
    }
}

bool em_protocol_combine(const em_protocol_settings *s, int m, int l) {
    return s->mask_labels[m] ? s->mask_labels[m] == s->labels[l] : !s->only_bound[l];
}

static bool all_bound(const em_settings *s) {
    for (int m = 0; m < s->protocol.n_masks; m++)
        if (!s->protocol.mask_labels[m]) return false;
    return true;
}

void em_options_set_defaults(em_settings *s) {
    em_error none = EM_ERROR_INIT;
    if (!s->data.text_key) s->data.text_key = "text";
    if (!s->data.group_by) s->data.group_by = "meta.pile_set_name";
    if (!s->data.zstd_window) s->data.zstd_window = 27;
    if (!s->protocol.n_masks)
        em_mask_parse("doc", &s->protocol.masks[s->protocol.n_masks++], &none);
    if (!s->protocol.n_labels && !all_bound(s))
        s->protocol.labels[s->protocol.n_labels++] = em_labels_parse("unshifted", &none);
    add_bound_labels(s);
    if (!s->protocol.n_positions)
        s->protocol.positions[s->protocol.n_positions++] = EM_POSITIONS_AUTO;
    if (!s->protocol.batch) s->protocol.batch = 8;
    if (!s->output.has_tolerance) s->output.tolerance = EM_DEFAULT_TOLERANCE;
}

/* Each of --labels has a mask; only runs take lists of combinations and packings. */
static bool check_combinations(const em_settings *s, em_error *err) {
    for (int l = 0; l < s->protocol.n_labels; l++) {
        bool any = false;
        for (int m = 0; m < s->protocol.n_masks; m++)
            any |= em_protocol_combine(&s->protocol, m, l);
        if (!any)
            return em_fail(err, EM_USAGE,
                           "--labels %s: every mask of --mask names its own labels, and none these",
                           s->protocol.labels[l]->name);
    }
    if (s->command & (EM_RUN | EM_EXPLORE)) return true;
    for (int m = 0; m < s->protocol.n_masks; m++)
        if (s->protocol.mask_labels[m])
            return em_fail(err, EM_USAGE, "--mask %s@%s: %s takes every mask with all of --labels",
                           s->protocol.masks[m].name, s->protocol.mask_labels[m]->name,
                           em_command_name(s->command));
    return s->protocol.n_packs < 2 ||
           em_fail(err, EM_USAGE, "--pack: %s takes one of stream and none",
                   em_command_name(s->command));
}

/* Positions that are the same under a mask would be one result twice. */
static bool check_positions(const em_settings *s, em_error *err) {
    for (int m = 0; m < s->protocol.n_masks; m++)
        for (int q = 0; q < s->protocol.n_positions; q++)
            for (int p = 0; p < q; p++)
                if (em_positions_resolve(s->protocol.positions[p], &s->protocol.masks[m]) ==
                    em_positions_resolve(s->protocol.positions[q], &s->protocol.masks[m]))
                    return em_fail(
                        err, EM_USAGE,
                        "--positions: under %s, auto is what another one of the list says; "
                        "leave one of the two out",
                        s->protocol.masks[m].name);
    return true;
}

static bool check_inspect(const em_settings *s, em_error *err) {
    if (s->models.pad && !s->inspect.n_packed)
        return em_fail(err, EM_USAGE, "--pad belongs to inspect --packed FILE");
    if (s->inspect.n_packed && s->not_with_packed)
        return em_fail(err, EM_USAGE, "--%s does not go with --packed, whose rows are as they are",
                       s->not_with_packed);
    if (s->models.first.path || s->models.tokenizer) return true;
    if (!s->inspect.n_packed)
        return em_fail(err, EM_USAGE, "inspect wants --model PATH or --tokenizer PATH");
    return s->models.eos ||
           em_fail(
               err, EM_USAGE,
               "inspect --packed wants --eos ID, or --model or --tokenizer PATH to know it from");
}

static bool check_arguments(const em_settings *s, em_error *err) {
    if (s->command == EM_CONVERT && s->n_arguments != 2)
        return em_fail(err, EM_USAGE, "convert wants two paths: evalmask convert DIR OUT.bin");
    if (s->command == EM_CONVERT &&
        (s->models.n_adapters > 1 || (s->models.n_adapters && s->models.adapters[0].name)))
        return em_fail(
            err, EM_USAGE,
            "convert --adapter wants one directory, without a name: its weights go into OUT.bin");
    if (s->command == EM_EXPLORE && s->output.n_files != 1)
        return em_fail(err, EM_USAGE, "explore wants one page: -o PAGE.html");
    if (s->command == EM_EXPLORE && s->output.journal && !s->output.tokens_file)
        return em_fail(err, EM_USAGE,
                       "--journal: explore goes on with a file of tokens; say --tokens FILE too");
    if (s->command == EM_EXPLORE && s->n_arguments + (s->models.first.path != NULL) != 1)
        return em_fail(
            err, EM_USAGE,
            "explore wants one file of --tokens, or --model PATH with the options of a run");
    if (s->command == EM_REPORT && s->n_arguments != 1)
        return em_fail(err, EM_USAGE,
                       "report wants one results file: evalmask report results.json -o report.md");
    if (s->command == EM_DIFF && s->n_arguments != 2)
        return em_fail(err, EM_USAGE,
                       "diff wants two results files: evalmask diff before.json after.json");
    if (s->command == EM_RUN && s->output.has_tolerance && !s->output.baseline)
        return em_fail(err, EM_USAGE,
                       "--tolerance wants --baseline FILE: the results that losses are held to");
    if (s->output.journal_rows && !s->output.journal)
        return em_fail(err, EM_USAGE, "--journal-every wants --journal FILE");
    if (s->command == EM_TOKENIZE && !s->models.tokenizer)
        return em_fail(err, EM_USAGE,
                       "tokenize wants --tokenizer PATH: tokenizer.json, tokenizer.model, "
                       "tok512.bin or a model");
    if (s->command & EM_DATA_COMMANDS && s->n_arguments)
        return em_fail(err, EM_USAGE,
                       "%s: what is this? Data is given as --data %s, a model as --model %s",
                       s->arguments[0], s->arguments[0], s->arguments[0]);
    if (s->command == EM_RUN && !s->models.first.path)
        return em_fail(err, EM_USAGE,
                       "which model? Give --model PATH; evalmask --help shows examples");
    if (s->command != EM_RUN && (s->protocol.n_row_tokens > 1 || s->protocol.row_tokens_from))
        return em_fail(err, EM_USAGE, "-T: %s takes one row length", em_command_name(s->command));
    if (s->protocol.row_tokens_from && s->protocol.n_row_tokens)
        return em_fail(err, EM_USAGE, "-T: %d..limit stands alone, without other lengths",
                       s->protocol.row_tokens_from);
    if (s->command == EM_BENCH && s->n_arguments)
        return em_fail(err, EM_USAGE,
                       "%s: what is this? A shape is given as --shape, a model as --model",
                       s->arguments[0]);
    if (s->command == EM_BENCH && s->models.first.path && (s->bench.shape || s->bench.keep_model))
        return em_fail(err, EM_USAGE,
                       "--model or a random one (--shape, --keep-model): one of them");
    if (s->command == EM_BENCH && !s->models.first.path) {
        if (s->models.n_compare)
            return em_fail(
                err, EM_USAGE,
                "--compare wants --model PATH too; --alpha brings a second random model by itself");
        return true;
    }
    if (s->models.alpha_space == EM_ALPHA_WEIGHT && !s->models.alphas.n)
        return em_fail(err, EM_USAGE, "--alpha-space weight wants --alpha LIST");
    if (s->models.alphas.n && s->models.n_compare + s->models.n_adapters != 1)
        return em_fail(err, EM_USAGE,
                       "--alpha wants one --compare PATH or --adapter DIR: alphas lie on the line "
                       "through two models");
    if (s->protocol.stride && (s->protocol.n_row_tokens > 1 || s->protocol.row_tokens_from))
        return em_fail(err, EM_USAGE,
                       "--stride with several row lengths: give one -T, which it goes with");
    if (s->models.alphas.n && (s->models.all_depths || s->models.n_depths))
        return em_fail(err, EM_USAGE,
                       "--alpha with --depth: alphas are of whole models; run them apart");
    return s->command != EM_INSPECT || check_inspect(s, err);
}

em_row_rules em_protocol_row_rules(const em_protocol_settings *p, int32_t row_tokens) {
    return (em_row_rules){
        .window = p->window, .pack = p->pack, .row_tokens = row_tokens, .score = p->score};
}

bool em_options_check(const em_settings *s, em_error *err) {
    return check_arguments(s, err) && check_combinations(s, err) && check_positions(s, err);
}

static bool any_caller_shifts(const em_settings *s) {
    for (int l = 0; l < s->protocol.n_labels; l++)
        if (s->protocol.labels[l]->caller_shifts) return true;
    return false;
}

/* Two models, or two masks or kinds of positions under the same labels. */
static bool any_comparison(const em_settings *s) {
    if (s->models.n_compare || s->models.n_adapters || s->protocol.n_positions > 1) return true;
    for (int l = 0; l < s->protocol.n_labels; l++) {
        int masks = 0;
        for (int m = 0; m < s->protocol.n_masks; m++)
            masks += em_protocol_combine(&s->protocol, m, l);
        if (masks > 1) return true;
    }
    return false;
}

void em_settings_notes(const em_settings *s) {
    if (s->output.quiet) return;
    if (s->protocol.window == EM_WINDOW_INSIDE && !any_caller_shifts(s))
        fputs(
            "--window inside moves nothing here: under none of the labels does the caller shift\n",
            stderr);
    bool one_length = s->protocol.n_row_tokens < 2 && !s->protocol.row_tokens_from;
    if (s->protocol.seed_given && (one_length || !any_comparison(s)))
        fputs("--seed moves nothing here: it is for intervals of growth, which takes a comparison "
              "and several row lengths\n",
              stderr);
}
