/* Words of the command line, and those of a config, become settings. */
#include <string.h>

#include "common/buffer.h"
#include "eval/settings/option_parts.h"
#include "eval/settings/option_values.h"

const em_option *em_option_find(const char *name, size_t n, char letter) {
    for (int g = 0; g < EM_OPTION_GROUPS; g++)
        for (const em_option *o = em_option_groups[g].options; o->name; o++)
            if (letter ? o->letter == letter : strlen(o->name) == n && !memcmp(o->name, name, n))
                return o;
    return NULL;
}

/* What other programs call ours. */
static const char *other_name(const char *name, size_t n) {
    static const struct {
        const char *theirs, *ours;
    } names[] = {
        {"limit", "max-docs"},     {"batch_size", "batch"},         {"batch-size", "batch"},
        {"output_path", "output"}, {"output-path", "output"},       {"output_dir", "output"},
        {"max_length", "seq-len"}, {"max-length", "seq-len"},       {"seq_length", "seq-len"},
        {"block_size", "seq-len"}, {"model_name_or_path", "model"}, {"tokenizer_name", "tokenizer"},
        {"dataset", "data"},       {"dataset_name", "data"},        {"peft", "adapter"},
        {"torch_dtype", "dtype"},  {"baseline_path", "baseline"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].theirs) == n && !memcmp(names[i].theirs, name, n)) return names[i].ours;
    return NULL;
}

static bool unknown_option(const char *text, em_command command, em_error *err) {
    const char *name = text + (text[0] == '-') + (text[0] == '-' && text[1] == '-'), *best = NULL;
    size_t n = strcspn(name, "=");
    const em_option *other = text[1] == '-' ? NULL
                                            : em_option_find(NULL, 0, (char)(name[0] ^ 0x20));
    int least = 3;
    for (int g = 0; g < EM_OPTION_GROUPS; g++)
        for (const em_option *o = em_option_groups[g].options; o->name; o++) {
            int d = em_word_distance(name, n, o->name);
            if ((o->commands & command) && d < least) least = d, best = o->name;
        }
    const char *ours = other_name(name, n);
    const em_option *known = ours ? em_option_find(ours, strlen(ours), 0) : NULL;
    if (known && (known->commands & command)) best = ours;
    if (other && (other->commands & command))
        return em_fail(err, EM_USAGE,
                       "%s: no such option; did you mean -%c, --%s? (evalmask --help lists them)",
                       text, other->letter, other->name);
    if (best)
        return em_fail(err, EM_USAGE,
                       "%s: no such option; did you mean --%s? (evalmask --help lists them)", text,
                       best);
    return em_fail(err, EM_USAGE, "%s: no such option; evalmask --help lists them", text);
}

const char *em_command_name(em_command c) {
    for (int i = 0; i < EM_COMMAND_LINES; i++)
        if (em_command_lines[i].command == c) return em_command_lines[i].name;
    return "";
}

/* Kept sorted by name, so that the order on the command line does not count; values of one option
 * stay in theirs. */
static bool note_given(em_settings *s, const em_option *o, const char *value, em_error *err) {
    em_buffer line = {0}, rest = {0};
    em_buffer_printf(&line, "--%s\t", o->name);
    size_t key = line.length;
    if (value) em_buffer_json(&line, value, strlen(value));
    em_buffer_puts(&line, "\n");
    char *at = s->given.data ? s->given.data : "";
    while (*at && (strncmp(at, line.data, key) <= 0)) at += strcspn(at, "\n") + 1;
    em_buffer_puts(&rest, at);
    s->given.length -= rest.length;
    bool good = em_buffer_append(&s->given, line.data, line.length, err) &&
                em_buffer_append(&s->given, rest.data, rest.length, err);
    em_buffer_free(&line);
    em_buffer_free(&rest);
    return good;
}

static bool apply(const em_option *o, em_settings *s, char *value, em_error *err) {
    return ((o->commands & EM_FREE) || note_given(s, o, value, err)) && o->set(s, value, err);
}

bool em_option_split(char **argv, int left, em_command command, em_option_words *out,
                     em_error *err) {
    char *text = argv[0];
    bool long_form = text[1] == '-';
    char *name = text + (long_form ? 2 : 1);
    size_t n = strcspn(name, "=");
    const em_option *o = long_form ? em_option_find(name, n, 0) : em_option_find(NULL, 0, name[0]);
    if (!o) return unknown_option(text, command, err);
    *out = (em_option_words){.option = o, .used = 1};
    if (long_form && name[n] == '=') out->value = name + n + 1;
    if (!long_form && name[1]) out->value = name + 1;
    if (!o->argument) return !out->value || em_fail(err, EM_USAGE, "--%s takes no value", o->name);
    if (out->value) return true;
    if (left < 2)
        return em_fail(err, EM_USAGE, "--%s wants a value: --%s %s", o->name, o->name, o->argument);
    out->value = argv[1];
    out->used = 2;
    return true;
}

static bool belongs(const em_option *o, em_command command, em_error *err) {
    const char *c = em_command_name(command);
    if (o->commands & (unsigned)(command == EM_EXPLORE ? EM_EXPLORE | EM_RUN : command))
        return true;
    return em_fail(err, EM_USAGE, "--%s does not belong to evalmask%s%s", o->name, *c ? " " : "",
                   c);
}

bool *em_given_at(em_given_options given, const em_option *o) {
    int g = 0;
    while (o < em_option_groups[g].options || o >= em_option_groups[g].options + EM_GROUP_OPTIONS)
        g++;
    return &given[g][o - em_option_groups[g].options];
}

bool em_option_use(const em_option_words *w, em_settings *s, em_error *err) {
    if (!belongs(w->option, s->command, err)) return false;
    if (!(w->option->commands & EM_WITH_PACKED)) s->not_with_packed = w->option->name;
    return apply(w->option, s, w->value, err);
}
