/* What the runs of a bench say: medians, with the least and the most. */
#include <stdlib.h>
#include <string.h>

#include "eval/bench/bench_parts.h"

/* ---- figures of one run ---- */

typedef double figure(const em_bench_job *job, int run);

static double rate(const em_bench_job *j, int i) {
    return (double)j->runs[i].tokens / j->runs[i].seconds;
}
static double gflops(const em_bench_job *j, int i) {
    return em_flops_total(&j->runs[i].flops) / j->runs[i].seconds * 1e-9;
}
static double ceiling(const em_bench_job *j, int i) { return j->ceilings[i].rate; }
static double share(const em_bench_job *j, int i) {
    return 100 * gflops(j, i) / j->ceilings[i].rate;
}
/* Processor time counts what the loader's threads took, too. */
static double processor_share(const em_bench_job *j, int i) {
    const em_profile *p = &j->runs[i];
    return 1e-7 * em_flops_total(&p->flops) * p->threads / p->processor_seconds /
           j->ceilings[i].processor_rate;
}
/* By the device's events, embedding by the host's clock: without what it waited for, weights above
 * all. */
static double device_seconds(const em_bench_job *j, int i) {
    const em_stage_times *s = &j->runs[i].stages;
    return s->embed + s->qkv + s->attention + s->output + s->ffn + s->head;
}
static double device_share(const em_bench_job *j, int i) {
    return 1e-7 * em_flops_total(&j->runs[i].flops) / device_seconds(j, i) / j->ceilings[i].rate;
}
static double tflops(const em_bench_job *j, int i) { return 1e-3 * gflops(j, i); }
static double tera_ceiling(const em_bench_job *j, int i) { return 1e-3 * ceiling(j, i); }
static double device_peak(const em_bench_job *j, int i) {
    return (double)j->runs[i].peak_device_bytes / (1 << 20);
}
static double peak(const em_bench_job *j, int i) {
    return (double)j->runs[i].peak_memory_bytes / (1 << 20);
}
static double seconds(const em_bench_job *j, int i) { return j->runs[i].seconds; }
static double opening(const em_bench_job *j, int i) { return j->runs[i].open_seconds; }
static double reading(const em_bench_job *j, int i) { return j->runs[i].read_seconds; }
static double tokenizing(const em_bench_job *j, int i) { return j->runs[i].tokenize_seconds; }
static double waiting(const em_bench_job *j, int i) { return j->runs[i].wait_seconds; }
static double packing(const em_bench_job *j, int i) { return j->runs[i].stages.pack; }
static double embedding(const em_bench_job *j, int i) { return j->runs[i].stages.embed; }
static double qkv(const em_bench_job *j, int i) { return j->runs[i].stages.qkv; }
static double attention(const em_bench_job *j, int i) { return j->runs[i].stages.attention; }
static double output(const em_bench_job *j, int i) { return j->runs[i].stages.output; }
static double ffn(const em_bench_job *j, int i) { return j->runs[i].stages.ffn; }
static double head(const em_bench_job *j, int i) { return j->runs[i].stages.head; }

/* On a device weights come beside the rest: what of that it waited for is here. */
static double device_rest(const em_bench_job *j, int i) {
    return seconds(j, i) - opening(j, i) - waiting(j, i) - device_seconds(j, i);
}
static double rest(const em_bench_job *j, int i) { return device_rest(j, i) - packing(j, i); }

static double qkv_share(const em_bench_job *j, int i) {
    return 1e-7 * j->runs[i].flops.qkv / qkv(j, i) / j->ceilings[i].rate;
}
static double attention_share(const em_bench_job *j, int i) {
    return 1e-7 * j->runs[i].flops.attention / attention(j, i) / j->ceilings[i].rate;
}
static double output_share(const em_bench_job *j, int i) {
    return 1e-7 * j->runs[i].flops.output / output(j, i) / j->ceilings[i].rate;
}
static double ffn_share(const em_bench_job *j, int i) {
    return 1e-7 * j->runs[i].flops.ffn / ffn(j, i) / j->ceilings[i].rate;
}
static double head_share(const em_bench_job *j, int i) {
    return 1e-7 * j->runs[i].flops.head / head(j, i) / j->ceilings[i].rate;
}

/* ---- over all runs ---- */

typedef struct spread {
    double median, least, most;
} spread;

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static spread sorted(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, ascending);
    return (spread){(x[(n - 1) / 2] + x[n / 2]) / 2, x[0], x[n - 1]};
}

static spread over(const em_bench *b, const em_bench_job *job, figure *f) {
    double x[EM_MAX_LIST];
    for (int i = 0; i < b->repeat; i++) x[i] = f(job, i);
    return sorted(x, b->repeat);
}

static double median(const em_bench *b, figure *f) { return over(b, b->jobs, f).median; }

/* What the parts would take by that clock: each by itself and, for every further head that the job
 * asked for runs them through (one a depth), another head of theirs. */
static double apart(const em_bench *b, figure *clock, int i) {
    double total = 0, parts_heads = 0, head_flops = 0;
    for (int j = 1; j < b->n_jobs; j++) {
        total += clock(&b->jobs[j], i);
        parts_heads += head(&b->jobs[j], i);
        head_flops += b->jobs[j].runs[i].flops.head;
    }
    double heads = b->jobs->runs[i].flops.head / head_flops;
    return total + (heads > 1 ? heads - 1 : 0) * parts_heads;
}

static spread together(const em_bench *b, figure *clock) {
    double x[EM_MAX_LIST];
    for (int i = 0; i < b->repeat; i++) x[i] = clock(b->jobs, i) / apart(b, clock, i);
    return sorted(x, b->repeat);
}

/* ---- Markdown ---- */

static void figure_row(const em_bench *b, const char *name, int digits, const char *unit, figure *f,
                       em_buffer *out) {
    spread s = over(b, b->jobs, f);
    em_buffer_printf(out, "| %-29s | %10.*f%s | %10.*f%s | %10.*f%s |\n", name, digits, s.median,
                     unit, digits, s.least, unit, digits, s.most, unit);
}

static void device_figures(const em_bench *b, em_buffer *out) {
    figure_row(b, "TFLOP/s", 1, "", tflops, out);
    figure_row(b, "GEMM ceiling, TFLOP/s", 1, "", tera_ceiling, out);
    figure_row(b, "share of the ceiling, %", 1, "", share, out);
    figure_row(b, "the same by device's clock, %", 1, "", device_share, out);
    figure_row(b, "seconds, all included", 2, "", seconds, out);
    figure_row(b, "peak memory of device, MiB", 0, "", device_peak, out);
    figure_row(b, "peak memory of host, MiB", 0, "", peak, out);
}

static void host_figures(const em_bench *b, em_buffer *out) {
    figure_row(b, "GFLOP/s", 1, "", gflops, out);
    figure_row(b, "GEMM ceiling, GFLOP/s", 1, "", ceiling, out);
    figure_row(b, "share of the ceiling, %", 1, "", share, out);
    figure_row(b, "the same by processor time, %", 1, "", processor_share, out);
    figure_row(b, "seconds, all included", 2, "", seconds, out);
    figure_row(b, "peak memory, MiB", 0, "", peak, out);
}

static void figures(const em_bench *b, em_buffer *out) {
    em_buffer_puts(out,
                   "|                               |     Median |      Least |       Most |\n"
                   "|-------------------------------|-----------:|-----------:|-----------:|\n");
    figure_row(b, "tokens/s", 1, "", rate, out);
    (b->machine.cuda ? device_figures : host_figures)(b, out);
}

static void stage_row(const em_bench *b, const char *name, figure *f, figure *of_ceiling,
                      em_buffer *out) {
    double s = median(b, f);
    em_buffer_printf(out, "| %-29s | %10.3f | %10.1f %% |", name, s, 100 * s / median(b, seconds));
    if (of_ceiling) em_buffer_printf(out, " %13.1f %% |\n", median(b, of_ceiling));
    else em_buffer_puts(out, "                 |\n");
}

static void stages(const em_bench *b, em_buffer *out) {
    em_buffer_puts(
        out, "| Stage                         |    Seconds |   Of the run |  Of the ceiling |\n"
             "|-------------------------------|-----------:|-------------:|----------------:|\n");
    stage_row(b, "open model and tokenizer", opening, NULL, out);
    stage_row(b, "wait for documents", waiting, NULL, out);
    if (!b->machine.cuda) stage_row(b, "pack weights", packing, NULL, out);
    stage_row(b, "embedding", embedding, NULL, out);
    stage_row(b, "q, k, v", qkv, qkv_share, out);
    stage_row(b, "attention", attention, attention_share, out);
    stage_row(b, "attention output", output, output_share, out);
    stage_row(b, "feed-forward", ffn, ffn_share, out);
    stage_row(b, "head and loss", head, head_share, out);
    if (b->machine.cuda) {
        stage_row(b, "wait for weights, statistics", device_rest, NULL, out);
        stage_row(b, "beside: weights to the device", packing, NULL, out);
    } else {
        stage_row(b, "rows, statistics, the report", rest, NULL, out);
    }
    stage_row(b, "beside: read, parse", reading, NULL, out);
    stage_row(b, "beside: tokenize", tokenizing, NULL, out);
}

/* ---- what was run ---- */

static void add_word(em_buffer *out, int *column, const char *option, const char *value) {
    int n = (int)(strlen(option) + 1 + strlen(value));
    if (*column + 1 + n > 78) {
        em_buffer_puts(out, " \\\n       ");
        *column = 7;
    }
    em_buffer_printf(out, " %s %s", option, value);
    *column += 1 + n;
}

static void add_number(em_buffer *out, int *column, const char *option, int64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    add_word(out, column, option, text);
}

static void add_masks(em_buffer *out, int *column, const em_settings *s) {
    em_buffer list = {0};
    for (int i = 0; i < s->protocol.n_masks; i++)
        em_buffer_printf(&list, "%s%s", i ? "," : "", s->protocol.masks[i].name);
    add_word(out, column, "--mask", list.data);
    em_buffer_free(&list);
}

static void add_alphas(em_buffer *out, int *column, const em_alphas *a) {
    em_buffer list = {0};
    for (int i = 0; i < a->n; i++) {
        if (i) em_buffer_puts(&list, ",");
        em_buffer_double(&list, a->values[i]);
    }
    if (a->n) add_word(out, column, "--alpha", list.data);
    em_buffer_free(&list);
}

static void add_depths(em_buffer *out, int *column, const em_settings *s) {
    em_buffer list = {0};
    for (int i = 0; i < s->models.n_depths; i++)
        em_buffer_printf(&list, "%s%d", i ? "," : "", s->models.depths[i]);
    if (s->models.all_depths) em_buffer_puts(&list, s->models.n_depths ? ",all" : "all");
    if (list.length) add_word(out, column, "--depth", list.data);
    em_buffer_free(&list);
}

/* With every default spelt out: the same measurement on another machine. */
static void command(const em_bench *b, em_buffer *out) {
    const em_settings *s = b->settings;
    int column = 18;
    em_buffer_puts(out, "    evalmask bench");
    add_word(out, &column, b->shape ? "--shape" : "--model",
             b->shape ? b->shape : s->models.first.path);
    for (int i = 0; i < s->models.n_compare && !b->shape; i++)
        add_word(out, &column, "--compare", s->models.compare[i].path);
    for (int i = 0; i < s->data.n_sets && b->length < 0; i++)
        add_word(out, &column, "--data", s->data.sets[i].path);
    if (b->length == 0) add_word(out, &column, "--lengths", "pile");
    if (b->length > 0) add_number(out, &column, "--lengths", b->length);
    if (b->rows) add_number(out, &column, "--rows", b->rows);
    add_number(out, &column, "-T", b->setup.row_tokens);
    add_number(out, &column, "-B", s->protocol.batch);
    add_masks(out, &column, s);
    add_alphas(out, &column, &s->models.alphas);
    add_depths(out, &column, s);
    char device[24];
    snprintf(device, sizeof device, b->machine.cuda ? "cuda:%d" : "cpu", b->machine.device);
    add_word(out, &column, "--device", device);
    add_word(out, &column, "--dtype", em_dtype_name(b->machine.options.compute));
    add_number(out, &column, "--threads", b->setup.threads);
    if (s->engine.memory) add_number(out, &column, "--memory", (int64_t)s->engine.memory);
    add_number(out, &column, "--repeat", b->repeat);
    em_buffer_puts(out, "\n\n");
}

static void describe_model(const em_bench *b, em_buffer *out) {
    const em_model_spec *m = em_model_spec_of(b->setup.model);
    em_buffer_printf(
        out,
        "- Model: %s; %.1f M parameters,\n  %d layers, hidden %d, heads %d/%d, vocabulary %d.\n",
        b->model_name, (double)m->parameters * 1e-6, m->layers, m->hidden, m->heads, m->kv_heads,
        m->vocab);
    if (b->settings->models.n_compare)
        em_buffer_printf(out, "- %d models over the same tokens, %d alphas.\n",
                         b->settings->models.n_compare + 1, b->settings->models.alphas.n);
}

static void describe_data(const em_bench *b, em_buffer *out) {
    const em_settings *s = b->settings;
    em_buffer_printf(out, "- Data: %lld tokens", (long long)b->jobs->runs->tokens);
    if (b->length < 0) em_buffer_printf(out, " of %s.\n", s->data.sets[0].path);
    else em_buffer_printf(out, ", %lld synthetic documents, ", (long long)b->documents);
    if (b->length == 0) em_buffer_puts(out, "lengths as in the Pile.\n");
    if (b->length > 0) em_buffer_printf(out, "%d tokens each.\n", b->length);
    em_buffer_printf(out, "- Rows: T = %d, B = %d, mask ", b->setup.row_tokens, s->protocol.batch);
    for (int i = 0; i < s->protocol.n_masks; i++)
        em_buffer_printf(out, "%s%s", i ? ", " : "", s->protocol.masks[i].name);
    em_buffer_puts(out, ".\n");
}

static void describe_runs(const em_bench *b, em_buffer *out) {
    const em_profile *p = b->jobs->runs;
    em_buffer_printf(out,
                     "- Machine: %s, %d threads, products of %s. The ceiling is a\n  %d-cube by "
                     "%s, measured beside each run.\n",
                     p->isa, p->threads, em_dtype_name(b->machine.options.compute),
                     b->jobs->ceilings->cube,
                     b->machine.cuda ? "cuBLASLt" : "oneDNN on all threads");
    em_buffer_printf(out, "- Median of %d runs, each a process from its start to its end.\n",
                     b->repeat);
}

void em_bench_markdown(const em_bench *b, em_buffer *out) {
    em_buffer_puts(out, "# evalmask bench\n\n");
    command(b, out);
    describe_model(b, out);
    describe_data(b, out);
    describe_runs(b, out);
    em_buffer_puts(out, "\n");
    figures(b, out);
    em_buffer_puts(out, "\n");
    stages(b, out);
    if (b->n_jobs == 1) return;
    spread s = together(b, seconds);
    bool depths = b->settings->models.all_depths || b->settings->models.n_depths;
    em_buffer_puts(out, "\nTogether over apart (");
    if (b->n_jobs == 2) em_buffer_puts(out, "a run at the whole depth");
    else em_buffer_printf(out, "%d runs of one model under one mask each", b->n_jobs - 1);
    em_buffer_printf(out, "%s; alternated):\n%.3f times the seconds (%.3f to %.3f).\n",
                     depths ? ",\nand a head a depth" : "", s.median, s.least, s.most);
    if (!b->machine.cuda) return;
    s = together(b, device_seconds);
    em_buffer_printf(out, "By the device's clock: %.3f times (%.3f to %.3f).\n", s.median, s.least,
                     s.most);
}

/* ---- JSON ---- */

static void json_spread(const char *name, spread s, em_buffer *out) {
    em_buffer_printf(out, ",\n  \"%s\": {\"median\": %.6g, \"least\": %.6g, \"most\": %.6g}", name,
                     s.median, s.least, s.most);
}

static void json_job(const em_bench *b, const em_bench_job *job, em_buffer *out) {
    em_buffer_puts(out, "{\"model\": ");
    em_buffer_json(out, job->settings.models.first.path, strlen(job->settings.models.first.path));
    em_buffer_puts(out, ", \"masks\": [");
    for (int i = 0; i < job->settings.protocol.n_masks; i++)
        em_buffer_printf(out, "%s\"%s\"", i ? ", " : "", job->settings.protocol.masks[i].name);
    em_buffer_puts(out, "]");
    json_spread("tokens_per_second", over(b, job, rate), out);
    json_spread("gflops", over(b, job, gflops), out);
    json_spread("ceiling_gflops", over(b, job, ceiling), out);
    json_spread("share_of_ceiling_percent", over(b, job, share), out);
    if (b->machine.cuda)
        json_spread("share_by_device_time_percent", over(b, job, device_share), out);
    else json_spread("share_by_processor_time_percent", over(b, job, processor_share), out);
    json_spread("seconds", over(b, job, seconds), out);
    em_buffer_puts(out, ",\n  \"runs\": [");
    for (int i = 0; i < b->repeat; i++) {
        if (i) em_buffer_puts(out, ",\n");
        em_profile_print(&job->runs[i], out);
    }
    em_buffer_puts(out, "]}");
}

void em_bench_json(const em_bench *b, em_buffer *out) {
    em_buffer_puts(out, "{\"evalmask\": \"" EM_VERSION "\", \"model\": ");
    em_buffer_json(out, b->model_name, strlen(b->model_name));
    em_buffer_printf(out,
                     ", \"dtype\": \"%s\", \"seq_len\": %d, \"batch\": %d, \"rows\": %lld, "
                     "\"documents\": %lld, \"repeat\": %d",
                     em_dtype_name(b->machine.options.compute), b->setup.row_tokens,
                     b->settings->protocol.batch, (long long)b->rows, (long long)b->documents,
                     b->repeat);
    if (b->n_jobs > 1) json_spread("together_over_apart", together(b, seconds), out);
    if (b->n_jobs > 1 && b->machine.cuda)
        json_spread("together_over_apart_by_device_time", together(b, device_seconds), out);
    em_buffer_puts(out, ",\n \"jobs\": [");
    for (int i = 0; i < b->n_jobs; i++) {
        if (i) em_buffer_puts(out, ",\n ");
        json_job(b, &b->jobs[i], out);
    }
    em_buffer_puts(out, "]}\n");
}
