/* --config: an experiment's options beside those of the command line. */
#include <stdlib.h>
#include <string.h>

#include "eval/settings/option_parts.h"
#include "eval/process/installed.h"

/* A word that is no option is for the main parse to refuse. */
const char *em_config_find(int argc, char **argv, int i, em_command command) {
    em_error none = EM_ERROR_INIT;
    const char *found = NULL;
    em_option_words w;
    for (; i < argc && strcmp(argv[i], "--"); i += w.used) {
        w = (em_option_words){.used = 1};
        if (argv[i][0] != '-' || !argv[i][1]) continue;
        if (!em_option_split(argv + i, argc - i, command, &w, &none)) return found;
        if (!strcmp(w.option->name, "config")) found = w.value;
    }
    return found;
}

/* Without a command's name, the config says which command it is for. */
bool em_config_open(em_settings *s, const char *name, bool named_command, em_error *err) {
    if (!(s->experiment = em_experiment_open(name, err))) return false;
    em_command command = s->experiment->inspect     ? EM_INSPECT
                         : s->command == EM_EXPLORE ? EM_EXPLORE
                                                    : EM_RUN;
    if (named_command && s->command != command)
        return em_fail(err, EM_USAGE, "--config %s is for evalmask%s, not for evalmask %s", name,
                       s->experiment->inspect ? " inspect" : "", em_command_name(s->command));
    s->command = command;
    return true;
}

/* again: the value before it was of the same option. */
static bool config_option(em_settings *s, const em_experiment_option *given, const em_option *o,
                          bool again, em_error *err) {
    if (!o)
        return em_fail(err, EM_USAGE, "\"%s\": no such option; evalmask --help lists them",
                       given->name);
    if (!strcmp(o->name, "config"))
        return em_fail(err, EM_USAGE, "\"config\": a config names no other");
    if (o->argument && !given->value)
        return em_fail(err, EM_USAGE, "\"%s\": give its value, %s", o->name, o->argument);
    if (again && !(o->commands & EM_AGAIN))
        return em_fail(err, EM_USAGE, "\"%s\": one value, not a list", o->name);
    if (!o->argument && given->value)
        return em_fail(err, EM_USAGE, "\"%s\": a flag is true, or left out", o->name);
    return em_option_use(&(em_option_words){o, given->value, 0}, s, err);
}

/* Rows that are packed already take of a config what has a meaning for them. */
static bool use_options(em_settings *s, em_given_options given, em_error *err) {
    for (int i = 0; i < s->experiment->n_options; i++) {
        em_experiment_option *c = &s->experiment->options[i];
        const em_option *o = em_option_find(c->name, strlen(c->name), 0);
        if (o &&
            (*em_given_at(given, o) || (s->inspect.n_packed && !(o->commands & EM_WITH_PACKED))))
            continue;
        bool again = i > 0 && !strcmp(c->name, c[-1].name);
        if (!config_option(s, c, o, again, err))
            return em_error_place(err, s->experiment->path, 0, c->byte);
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
        char *copied = em_installed_file(o->value, found, sizeof found) ? strdup(found) : NULL;
        if (!copied)
            return em_fail_at(err, EM_USAGE, s->experiment->path, 0, o->byte, "%s is not installed",
                              o->value);
        free(o->value);
        *path = o->value = copied;
    }
    return true;
}

/* All of the bundled models, or none: the user's own are not mixed with them. */
static bool use_bundled_models(em_settings *s, em_error *err) {
    static const char *const kinds[] = {"model", "compare", "adapter"};
    const em_experiment *x = s->experiment;
    bool pair = bundled(x, "compare") || bundled(x, "adapter"),
         second = s->models.n_compare || s->models.n_adapters, own = s->models.first.path;
    if (pair && s->models.first.path && !second)
        return em_fail(
            err, EM_USAGE,
            "--config %s is about two models: beside --model say --compare PATH or --adapter DIR",
            x->path);
    if (bundled(x, "model") && second && !s->models.first.path)
        return em_fail(err, EM_USAGE,
                       "--compare and --adapter want --model PATH too: the config's bundled model "
                       "is not mixed with yours");
    for (int i = 0; i < 3 && !own; i++) {
        char *path = NULL;
        if (!find_bundled(s, kinds[i], &path, err)) return false;
        if (path && !em_option_find(kinds[i], strlen(kinds[i]), 0)->set(s, path, err)) return false;
        s->models.bundled |= path != NULL;
    }
    return true;
}

static bool use_bundled(em_settings *s, em_error *err) {
    if (!s->data.n_sets) s->data.bundled = bundled(s->experiment, "data");
    return use_bundled_models(s, err);
}

/* Nothing bundled with --packed: the bundled model's EOS need not be that of the user's rows. */
bool em_config_use(em_settings *s, em_given_options given, em_error *err) {
    return use_options(s, given, err) && (s->inspect.n_packed || use_bundled(s, err));
}
