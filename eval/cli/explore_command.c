/* evalmask explore: documents with their tokens shaded, from a file of --tokens or from a run that
 * writes one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/output.h"
#include "common/temporary.h"
#include "eval/cli/commands.h"
#include "eval/setup/inputs.h"
#include "eval/run/run.h"
#include "reports/explore/explore.h"

/* Whether the page is none of the files that are read, as far as they are named. */
static bool writes_apart(const em_settings *s, const char *tokens, em_error *err) {
    em_inputs inputs = {0};
    bool good = !tokens || em_inputs_add(&inputs, tokens, "its tokens", err);
    for (int i = 0; good && i < s->data.n_sets; i++)
        good = em_inputs_add(&inputs, s->data.sets[i].path, "its data", err);
    if (good && s->models.first.path)
        good = em_inputs_add(&inputs, s->models.first.path, "its model", err);
    good = good && em_inputs_apart(&inputs, s->output.files, 1, err);
    em_inputs_free(&inputs);
    return good;
}

static bool write_page(const em_settings *s, const char *tokens, em_error *err) {
    em_buffer text = {0};
    em_output *out = em_explore_html(tokens, &s->explore, &text, err)
                         ? em_output_open(s->output.files[0], err)
                         : NULL;
    bool good = out && em_output_write(out, text.data, text.length, err);
    em_buffer_free(&text);
    if (good) return em_output_commit(out, err);
    em_output_abort(out);
    return false;
}

/* The run's report goes to stdout, as ever; its data ends with the last document of the page. */
static int run_and_write(const em_settings *s, const char *tokens, em_error *err) {
    em_settings run = *s, page = *s;
    run.command = EM_RUN;
    run.output.n_files = 0;
    run.output.tokens_file = tokens;
    for (int i = 0; i < s->explore.n_documents && s->data.max_docs == 0; i++)
        if (run.data.max_docs <= s->explore.documents[i])
            run.data.max_docs = s->explore.documents[i] + 1;
    int code = em_command_run(&run, err);
    if (code != EM_OK) return code;
    page.explore.source = s->data.n_sets == 1 ? s->data.sets[0].path : "the data";
    return write_page(&page, tokens, err) ? EM_OK : (int)err->status;
}

static int run_with_scratch(const em_settings *s, em_error *err) {
    char folder[EM_TEMPORARY_PATH], tokens[EM_TEMPORARY_PATH + 32];
    if (!em_temporary_folder("/tmp", folder, err)) return err->status;
    snprintf(tokens, sizeof tokens, "%s/tokens.jsonl.zst", folder);
    int code = run_and_write(s, tokens, err);
    unlink(tokens);
    rmdir(folder);
    return code;
}

int em_command_explore(const em_settings *s, em_error *err) {
    const char *end = strrchr(s->output.files[0], '.');
    if (!end || end == s->output.files[0] || strcmp(end, ".html"))
        return em_fail(err, EM_USAGE, "-o %s: explore writes a page; the name must end in .html",
                       s->output.files[0]),
               err->status;
    if (!writes_apart(s, s->n_arguments ? s->arguments[0] : NULL, err)) return err->status;
    if (s->n_arguments) return write_page(s, s->arguments[0], err) ? EM_OK : err->status;
    return s->output.tokens_file ? run_and_write(s, s->output.tokens_file, err)
                                 : run_with_scratch(s, err);
}
