#include "eval/run/outputs.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buffer.h"
#include "eval/process/step_summary.h"
#include "reports/formats/formats.h"

/* A file that is written at the end must be one that can be. */
static bool try_output(const char *path, em_error *err) {
    struct stat s;
    if (stat(path, &s) == 0 && !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode))
        return true; /* a pipe is opened once */
    em_output *out = em_output_open(path, err);
    em_output_abort(out);
    return out != NULL;
}

enum { MAX_PATHS = EM_MAX_LIST + 4 };

/* What the run writes; NULL where one of the first four is not asked for. */
static int list_paths(const em_outputs *o, const char *paths[MAX_PATHS]) {
    const em_output_settings *s = o->settings;
    paths[0] = s->tokens_file;
    paths[1] = s->profile_file;
    paths[2] = o->documents && !o->documents_unnamed ? o->documents_path : NULL;
    paths[3] = s->journal;
    memcpy(paths + 4, s->files, (size_t)s->n_files * sizeof *paths);
    return s->n_files + 4;
}

/* NAME.documents.jsonl.zst beside the first NAME.json of the reports, or "". */
static void sidecar_path(const em_output_settings *s, char *out, size_t room) {
    *out = 0;
    for (int i = 0; i < s->n_files && !*out; i++) {
        size_t n = strlen(s->files[i]);
        if (n > 5 && !strcmp(s->files[i] + n - 5, ".json"))
            snprintf(out, room, "%.*s.documents.jsonl.zst", (int)(n - 5), s->files[i]);
    }
}

bool em_outputs_apart(const em_output_settings *settings, const em_input_paths *given,
                      const em_setup *setup, em_error *err) {
    em_outputs o = {.settings = settings};
    em_inputs inputs = {0};
    const char *paths[MAX_PATHS];
    sidecar_path(settings, o.documents_path, sizeof o.documents_path);
    int n = list_paths(&o, paths);
    if (*o.documents_path) paths[2] = o.documents_path;
    bool good = em_inputs_of_run(&inputs, given, setup, err) &&
                em_inputs_apart(&inputs, paths, n, err);
    em_inputs_free(&inputs);
    return good;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool stat_folder(const char *path, struct stat *out) {
    char folder[4096];
    int n = (int)(base_name(path) - path);
    return n < (int)sizeof folder - 1 && snprintf(folder, sizeof folder, "%.*s.", n, path) > 0 &&
           stat(folder, out) == 0;
}

/* Whether both are one name in one folder. What lies there does not count: it is replaced. */
static bool same_name(const char *a, const char *b) {
    struct stat x, y;
    if (!strcmp(a, b)) return true;
    return !strcmp(base_name(a), base_name(b)) && stat_folder(a, &x) && stat_folder(b, &y) &&
           x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool written_once(const em_outputs *o, em_error *err) {
    const char *paths[MAX_PATHS];
    int n = list_paths(o, paths);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++)
            if (paths[i] && paths[k] && same_name(paths[i], paths[k]))
                return em_fail(err, EM_USAGE, "%s: two outputs would be written to this file",
                               paths[i]);
    return true;
}

/* By its name, or a pipe or device, whatever its name. */
static bool is_jsonl(const char *path) {
    struct stat s;
    const char *dot = strstr(path, ".jsonl");
    while (dot && strstr(dot + 1, ".jsonl")) dot = strstr(dot + 1, ".jsonl");
    return (dot && (!strcmp(dot, ".jsonl") || !strcmp(dot, ".jsonl.zst"))) ||
           (stat(path, &s) == 0 && !S_ISREG(s.st_mode));
}

/* A file that grows during the run. */
static em_output *open_growing(const char *path, const em_outputs_journal *journal,
                               em_output_mark mark, em_error *err) {
    struct stat st;
    if (!journal) return em_output_open(path, err);
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        em_fail(err, EM_USAGE,
                "%s: is no regular file, and a run with --journal must be able to go on with it",
                path);
        return NULL;
    }
    return em_output_resume(path, &(em_output_resumed){journal->id, mark, journal->complete}, err);
}

static bool any_html(const em_output_settings *s) {
    for (int i = 0; i < s->n_files; i++) {
        size_t n = strlen(s->files[i]);
        if (n > 5 && !strcmp(s->files[i] + n - 5, ".html")) return true;
    }
    return false;
}

/* An unnamed one could not be gone on with: with a journal, pages show documents where there is a
 * .json. */
static bool open_sidecar(em_outputs *o, const em_outputs_journal *journal, em_error *err) {
    const em_output_settings *s = o->settings;
    for (int i = 0; i < s->n_files; i++) {
        size_t n = strlen(s->files[i]);
        if (n < 6 || strcmp(s->files[i] + n - 5, ".json")) continue;
        if (o->documents)
            return em_fail(err, EM_USAGE, "-o %s: one .json a run is enough, copy it", s->files[i]);
        snprintf(o->documents_path, sizeof o->documents_path, "%.*s.documents.jsonl.zst",
                 (int)(n - 5), s->files[i]);
        if (!(o->documents = open_growing(o->documents_path, journal,
                                          journal ? journal->point.documents : (em_output_mark){0},
                                          err)))
            return false;
    }
    if (o->documents || journal || !any_html(s)) return true;
    o->documents_unnamed = true;
    return (o->documents = em_output_open_temporary(err)) != NULL;
}

static bool open_baseline(em_outputs *o, em_error *err) {
    const char *paths[MAX_PATHS];
    int n = list_paths(o, paths);
    return em_baseline_open(&o->baseline, o->settings, paths, n, err);
}

bool em_outputs_open(em_outputs *o, const em_output_settings *s, const em_outputs_journal *journal,
                     em_error *err) {
    *o = (em_outputs){.settings = s, .verdict = EM_ERROR_INIT};
    for (int i = 0; i < s->n_files; i++)
        if (!em_report_format_of(s->files[i], err)) return false;
    for (int i = 0; i < s->n_files; i++)
        if (!try_output(s->files[i], err)) return false;
    if (s->profile_file && !try_output(s->profile_file, err)) return false;
    if (s->tokens_file && !is_jsonl(s->tokens_file))
        return em_fail(err, EM_USAGE, "--tokens %s: the name must end in .jsonl or .jsonl.zst",
                       s->tokens_file);
    if (s->tokens_file &&
        !(o->tokens = open_growing(s->tokens_file, journal,
                                   journal ? journal->point.tokens : (em_output_mark){0}, err)))
        return false;
    return open_sidecar(o, journal, err) && written_once(o, err) && open_baseline(o, err);
}

static bool commit(em_output **o, em_error *err) {
    em_output *out = *o;
    *o = NULL;
    return !out || em_output_commit(out, err);
}

/* The run's own sidecar is read again, so it is written first. */
bool em_outputs_judge(em_outputs *o, em_results *results, em_error *err) {
    if (!o->baseline.path) return true;
    if (results->partial)
        return em_results_note(results, "The run was interrupted: it is not held to its baseline."),
               true;
    bool documents = o->documents && !o->documents_unnamed;
    if (documents && !commit(&o->documents, err)) return false;
    em_baseline_judge(&o->baseline, o->settings, results, documents ? o->documents_path : NULL,
                      &o->verdict);
    return true;
}

/* Where a page can read the sidecar; NULL: there is none. false with err. */
static bool documents_for_pages(em_outputs *o, const char **path, em_error *err) {
    *path = NULL;
    if (!any_html(o->settings)) return true;
    if (o->documents) return (*path = em_output_readable(o->documents, err)) != NULL;
    if (*o->documents_path) *path = o->documents_path; /* committed for the baseline */
    return true;
}

static bool write_files(em_outputs *o, const em_results *results, em_error *err) {
    em_report_options options = {.markdown = o->settings->markdown};
    bool good = documents_for_pages(o, &options.documents, err);
    for (int i = 0; good && i < o->settings->n_files; i++)
        good = em_report_write(results, &options, o->settings->files[i], err);
    return good;
}

/* GitHub shows what is written for it, whatever stdout gets. */
static void write_step_summary(const em_outputs *o, const em_results *results) {
    em_buffer text = {0};
    em_report_markdown(results, EM_MARKDOWN_GITHUB, &text);
    em_step_summary(text.data, text.length, o->settings->quiet);
    em_buffer_free(&text);
}

bool em_outputs_write(em_outputs *o, const em_results *results, em_error *err) {
    em_buffer text = {0};
    write_step_summary(o, results);
    em_report_markdown(results, o->settings->markdown, &text);
    bool good = em_print(text.data, text.length, err) == 0;
    em_buffer_free(&text);
    return good && (results->partial || write_files(o, results, err));
}

bool em_outputs_commit(em_outputs *o, em_error *err) {
    if (o->documents_unnamed) em_output_abort(o->documents), o->documents = NULL;
    return commit(&o->documents, err) && commit(&o->tokens, err);
}

bool em_outputs_sync(em_outputs *o, em_outputs_point *out, em_error *err) {
    *out = (em_outputs_point){0};
    return (!o->tokens || em_output_sync(o->tokens, &out->tokens, err)) &&
           (!o->documents || em_output_sync(o->documents, &out->documents, err));
}

void em_outputs_close(em_outputs *o) {
    void (*end)(em_output *) = o->keep ? em_output_leave : em_output_abort;
    end(o->tokens);
    end(o->documents);
    o->tokens = o->documents = NULL;
    em_baseline_close(&o->baseline);
}
