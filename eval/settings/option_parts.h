/* The inside of the command line, for the files that parse, check and describe it (options.h is
 * what others see).
 *
 * option_table.c has every option and command; option_words.c applies words to settings;
 * option_config.c applies a config's options; option_checks.c says what goes with what;
 * option_help.c prints the table; options.c conducts. */
#ifndef EM_EVAL_OPTION_PARTS_H
#define EM_EVAL_OPTION_PARTS_H

#include "eval/settings/options.h"

#define EM_DATA_COMMANDS (EM_RUN | EM_INSPECT | EM_AUDIT)

/* Beside its commands, what kind of option it is. */
#define EM_WITH_PACKED (1u << 16) /* of inspect, and means the same with --packed */
#define EM_AGAIN (1u << 17)       /* given again it adds to what was given; others keep one value */
#define EM_FREE \
    (1u << 31) /* moves no figure and no output: a journal's run may go on with another value */

typedef struct em_option {
    const char *name;     /* without the dashes */
    char letter;          /* 0: none */
    const char *argument; /* NULL: a flag */
    unsigned commands;
    bool (*set)(em_settings *, char *, em_error *);
    const char *help; /* {masks} and {labels} in it are lists that option_help.c fills in */
} em_option;

/* Both arrays are as long as their numbers say, or do not compile. */
enum { EM_OPTION_GROUPS = 6, EM_GROUP_OPTIONS = 20, EM_COMMAND_LINES = 11 };

typedef struct em_option_group {
    const char *title;
    em_option options[EM_GROUP_OPTIONS];
} em_option_group;
extern const em_option_group em_option_groups[EM_OPTION_GROUPS];

typedef struct em_command_line {
    const char *name; /* "": a run */
    em_command command;
    const char *usage, *summary, *examples;
} em_command_line;
extern const em_command_line em_command_lines[EM_COMMAND_LINES];

/* As it is given on the command line: "inspect"; "" of a run. */
const char *em_command_name(em_command c);

/* Of all options: whether the command line has given it. */
typedef bool em_given_options[EM_OPTION_GROUPS][EM_GROUP_OPTIONS];
/* Its place in `given`. */
bool *em_given_at(em_given_options given, const em_option *o);

/* By its name, [n] bytes, or by its letter where that is not 0; NULL: there is none. */
const em_option *em_option_find(const char *name, size_t n, char letter);

/* An option and its value, as words of the command line. */
typedef struct em_option_words {
    const em_option *option;
    char *value; /* NULL: a flag */
    int used;    /* words */
} em_option_words;

/* The option at argv[0], of `left` words: --name value, --name=value, -x value, -xvalue. Errors,
 * here and below: EM_USAGE. */
bool em_option_split(char **argv, int left, em_command command, em_option_words *out,
                     em_error *err);
/* Sets it, where it belongs to the command. */
bool em_option_use(const em_option_words *w, em_settings *s, em_error *err);

/* The value of --config among the words from argv[i] on, or NULL. */
const char *em_config_find(int argc, char **argv, int i, em_command command);
/* Reads it into s->experiment and takes its command; named_command: the user has said one. */
bool em_config_open(em_settings *s, const char *name, bool named_command, em_error *err);
/* Takes its options, but for those given, and its bundled models and data where the user names
 * none. */
bool em_config_use(em_settings *s, em_given_options given, em_error *err);

/* Fills in what was not given, and adds the schemes of MASK@LABELS to those of --labels. */
void em_options_set_defaults(em_settings *s);
/* Whether all goes together; defaults are set. EM_USAGE, naming the options that do not. */
bool em_options_check(const em_settings *s, em_error *err);

#endif
