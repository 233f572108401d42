/* The table as help and as a man page. */
#include <ctype.h>
#include <string.h>

#include "common/buffer.h"
#include "eval/settings/option_parts.h"

/* What the table of options leaves to other tables. */
static const struct {
    const char *name;
    void (*put)(em_buffer *);
} lists[] = {{"{masks}", em_mask_list}, {"{labels}", em_labels_help}};

/* The option's help with the lists that it names; the caller frees it. */
static em_buffer help_text(const em_option *o) {
    em_buffer text = {0};
    for (const char *rest = o->help; *rest;) {
        size_t i = 0, count = sizeof lists / sizeof *lists;
        while (i < count && strncmp(rest, lists[i].name, strlen(lists[i].name))) i++;
        if (i < count) lists[i].put(&text);
        else em_buffer_printf(&text, "%c", *rest);
        rest += i < count ? strlen(lists[i].name) : 1;
    }
    return text;
}

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

static void help_option(FILE *out, const em_option *o) {
    int n = fprintf(out, "  %c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                    o->letter ? "," : " ", o->name, o->argument ? " " : "",
                    o->argument ? o->argument : "");
    if (n > 26) {
        fputc('\n', out);
        n = 0;
    }
    em_buffer text = help_text(o);
    wrap(out, text.data, 28, n);
    em_buffer_free(&text);
}

void em_options_help(FILE *out, em_command command) {
    for (int c = 0; c < EM_COMMAND_LINES; c++) {
        if (em_command_lines[c].command != command) continue;
        fprintf(out, "%s\n  %s\n", em_command_lines[c].usage, em_command_lines[c].summary);
        if (*em_command_lines[c].examples)
            fprintf(out, "\nExamples:\n%s", em_command_lines[c].examples);
    }
    if (command == EM_RUN) {
        fprintf(out, "\nCommands (evalmask help COMMAND):\n");
        for (int c = 1; c < EM_COMMAND_LINES; c++)
            fprintf(out, "  %-10s %s\n", em_command_lines[c].name, em_command_lines[c].summary);
    }
    for (int g = 0; g < EM_OPTION_GROUPS; g++) {
        bool any = false;
        for (const em_option *o = em_option_groups[g].options; o->name; o++) {
            if (!(o->commands & (unsigned)command)) continue;
            if (!any) fprintf(out, "\n%s:\n", em_option_groups[g].title);
            any = true;
            help_option(out, o);
        }
    }
    if (command == EM_RUN)
        fprintf(
            out,
            "\nAn option that takes a LIST adds to what was given before it; of the others, but\n"
            "those that may be given again, the last one counts.\n"
            "\nThe report goes to stdout as Markdown, notes and progress to stderr. Exit codes:\n"
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
    fprintf(out,
            ".TH EVALMASK 1 \"\" \"evalmask %s\" \"User Commands\"\n.SH NAME\n"
            "evalmask \\- a language model's loss on data, and exactly what was measured\n.SH "
            "SYNOPSIS\n",
            EM_VERSION);
    for (int c = 0; c < EM_COMMAND_LINES; c++) {
        man_text(out, em_command_lines[c].usage);
        fputs("\n.br\n", out);
    }
    fputs(".SH DESCRIPTION\nevalmask packs documents into rows as training does, runs a checkpoint "
          "over them under attention "
          "masks and label schemes that are stated, and reports the loss with the protocol that "
          "produced it.\n",
          out);
    fputs(".SH COMMANDS\n", out);
    for (int c = 0; c < EM_COMMAND_LINES; c++) {
        fprintf(out, ".TP\n.B evalmask%s%s\n", *em_command_lines[c].name ? " " : "",
                em_command_lines[c].name);
        man_text(out, em_command_lines[c].summary);
        fputs("\n", out);
    }
    for (int g = 0; g < EM_OPTION_GROUPS; g++) {
        fprintf(out, ".SH OPTIONS: ");
        for (const char *t = em_option_groups[g].title; *t; t++)
            fputc(toupper((unsigned char)*t), out);
        fputs("\n", out);
        for (const em_option *o = em_option_groups[g].options; o->name; o++) {
            fprintf(out, ".TP\n.B ");
            if (o->letter) fprintf(out, "\\-%c, ", o->letter);
            fprintf(out, "\\-\\-");
            man_text(out, o->name);
            if (o->argument) fprintf(out, " \\fI%s\\fR", o->argument);
            fputs("\n", out);
            em_buffer text = help_text(o);
            man_text(out, text.data);
            em_buffer_free(&text);
            fputs("\n", out);
        }
    }
    fputs(".SH EXAMPLES\n.nf\n", out);
    for (int c = 0; c < EM_COMMAND_LINES; c++) man_text(out, em_command_lines[c].examples);
    fputs(".fi\n.SH EXIT STATUS\n0 fine; 1 a check failed; 2 usage; 3 bad input; 4 the machine "
          "(memory, disk); "
          "130 interrupted.\n",
          out);
}
