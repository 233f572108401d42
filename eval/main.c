/* evalmask: the loss of a language model on data, and exactly what was measured. */
#include <signal.h>
#include <stdio.h>

#include "eval/commands.h"

static int help(const em_settings *s) {
    if (s->help_as_man) em_options_man(stdout);
    else em_options_help(stdout, s->help_for);
    return fflush(stdout) ? EM_MACHINE : EM_OK;
}

static int dispatch(const em_settings *s, em_error *err) {
    switch (s->command) {
    case EM_RUN: return em_command_run(s, err);
    case EM_INSPECT: return em_command_inspect(s, err);
    case EM_AUDIT: return em_command_audit(s, err);
    case EM_CONVERT: return em_command_convert(s, err);
    case EM_TOKENIZE: return em_command_tokenize(s, err);
    case EM_HELP: return help(s);
    case EM_VERSION_COMMAND: return puts("evalmask " EM_VERSION) < 0 || fflush(stdout) ? EM_MACHINE : EM_OK;
    }
    return EM_USAGE;
}

int main(int argc, char **argv) {
    em_settings settings;
    em_error err = EM_ERROR_INIT;
    signal(SIGPIPE, SIG_IGN);       /* a closed pipe is an error of the write, with a message and exit code 4 */
    if (!em_options_parse(argc, argv, &settings, &err)) {
        fprintf(stderr, "evalmask: %s\n", err.text);
        return err.status;
    }
    int code = dispatch(&settings, &err);
    if (err.status != EM_OK) {
        char line[1280];
        fprintf(stderr, "evalmask: %s\n", em_error_line(&err, line, sizeof line));
    }
    return code;
}
