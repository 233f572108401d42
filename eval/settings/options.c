#include "eval/settings/options.h"

#include <string.h>
#include <unistd.h>

#include "eval/settings/option_parts.h"
#include "eval/settings/option_values.h"

static bool parse_command(int argc, char **argv, em_settings *s, int *next) {
    s->command = EM_RUN;
    *next = 1;
    if (argc < 2) return s->command = EM_HELP, s->help_for = EM_RUN, true;
    for (int i = 1; i < EM_COMMAND_LINES; i++)
        if (!strcmp(argv[1], em_command_lines[i].name))
            return s->command = em_command_lines[i].command, *next = 2, true;
    return argv[1][0] == '-';
}

/* What one takes for a command may be a model, or a command misspelt. */
static bool no_command(const char *word, em_error *err) {
    const char *best = NULL;
    int least = 3;
    if (access(word, F_OK) == 0)
        return em_fail(err, EM_USAGE, "%s: no such command; a model is given as --model %s", word,
                       word);
    for (int i = 1; i < EM_COMMAND_LINES; i++) {
        int d = em_word_distance(word, strlen(word), em_command_lines[i].name);
        if (d < least) least = d, best = em_command_lines[i].name;
    }
    if (best)
        return em_fail(err, EM_USAGE,
                       "%s: no such command; did you mean %s? (evalmask --help lists them)", word,
                       best);
    return em_fail(
        err, EM_USAGE,
        "%s: no such command; evalmask --help lists them (a run has none: evalmask --model PATH)",
        word);
}

static bool parse_help(int argc, char **argv, em_settings *s, em_error *err) {
    s->help_for = EM_RUN;
    for (int i = 2; i < argc; i++) {
        bool found = false;
        if (!strcmp(argv[i], "--man")) found = s->help_as_man = true;
        if (!strcmp(argv[i], "configs")) found = s->help_configs = true;
        for (int c = 1; c < EM_COMMAND_LINES; c++)
            if (!strcmp(argv[i], em_command_lines[c].name))
                s->help_for = em_command_lines[c].command, found = true;
        if (!found)
            return em_fail(err, EM_USAGE, "help %s: no such command; evalmask help lists them",
                           argv[i]);
    }
    return true;
}

/* The words from argv[i] on. A help or version option ends it with that command. */
static bool parse_words(int argc, char **argv, int i, em_settings *s, em_given_options given,
                        em_error *err) {
    bool options = true;
    em_option_words w;
    for (; i < argc; i += w.used) {
        char *a = argv[i];
        w = (em_option_words){.used = 1};
        if (options && (!strcmp(a, "--help") || !strcmp(a, "-h")))
            return s->help_for = s->command, s->command = EM_HELP, true;
        if (options && !strcmp(a, "--version")) return s->command = EM_VERSION_COMMAND, true;
        if (options && !strcmp(a, "--")) {
            options = false;
        } else if (options && a[0] == '-' && a[1]) {
            if (!em_option_split(argv + i, argc - i, s->command, &w, err) ||
                !em_option_use(&w, s, err))
                return false;
            *em_given_at(given, w.option) = true;
        } else {
            if (s->n_arguments == EM_MAX_LIST)
                return em_fail(err, EM_USAGE, "at most %d paths", EM_MAX_LIST);
            s->arguments[s->n_arguments++] = a;
        }
    }
    return true;
}

bool em_options_parse(int argc, char **argv, em_settings *s, em_error *err) {
    int i;
    em_given_options given = {{false}};
    *s = (em_settings){.inspect.row = -1};
    if (!parse_command(argc, argv, s, &i)) return no_command(argv[1], err);
    if (s->command == EM_HELP) return argc < 2 || parse_help(argc, argv, s, err);
    const char *config = em_config_find(argc, argv, i, s->command);
    if (config && !em_config_open(s, config, i > 1, err)) return false;
    if (!parse_words(argc, argv, i, s, given, err)) return false;
    if (s->command == EM_HELP || s->command == EM_VERSION_COMMAND) return true;
    if (s->experiment && !em_config_use(s, given, err)) return false;
    em_options_set_defaults(s);
    return em_options_check(s, err);
}

void em_settings_free(em_settings *s) {
    em_experiment_free(s->experiment);
    s->experiment = NULL;
    em_buffer_free(&s->given);
}
