/* evalmask convert DIR OUT.bin: a whole model as one file, checked by opening it again. */
#include <errno.h>
#include <omp.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buffer.h"
#include "common/output.h"
#include "eval/cli/commands.h"
#include "eval/setup/inputs.h"
#include "model/compose.h"

static const char *fingerprint(em_model *m) {
    int layers = em_model_spec_of(m)->layers;
    for (int part = -1; part <= layers; part++) {
        em_model_will_need(m, part);
        em_model_hash_part(m, part);
        em_model_done_with(m, part);
    }
    return em_model_fingerprint(m);
}

static bool has_tokenizer(const em_model *m) {
    const char *name;
    const void *data, *config;
    size_t size, config_size;
    return em_model_tokenizer(m, &name, &data, &size, &config, &config_size);
}

/* merged: of what; NULL: it has no adapter. same: its weights are the stored ones of the source. */
static void report(const em_model *m, const char *path, int64_t file_bytes, const char *merged,
                   bool same, em_buffer *out) {
    const em_model_spec *s = em_model_spec_of(m);
    const em_bundle *b = em_model_bundle(m);
    int64_t bytes = 0;
    for (int64_t i = 0; i < em_bundle_tensors(b); i++)
        bytes += (int64_t)em_bundle_tensor_at(b, i)->bytes;
    em_buffer_printf(out, "%s: %lld bytes\n", path, (long long)file_bytes);
    em_buffer_printf(out, "  %s, %d layers, %lld parameters\n", s->family, s->layers,
                     (long long)s->parameters);
    em_buffer_printf(out, "  %lld tensors, %lld bytes, mostly %s\n",
                     (long long)em_bundle_tensors(b), (long long)bytes,
                     em_dtype_name(s->weight_dtype));
    em_buffer_printf(out, "  %s\n",
                     has_tokenizer(m) ? "tokenizer inside"
                                      : "no tokenizer: runs will want --tokenizer PATH");
    if (merged)
        em_buffer_printf(out, "  with the adapter %s in its weights, f32 where it changes them\n",
                         merged);
    em_buffer_printf(out, "  model fingerprint %s%s\n", em_model_fingerprint(m),
                     same ? ", the same as the source's" : "");
}

static bool same_weights(em_model *source, em_model *written, const char *path, em_error *err) {
    const char *hash = fingerprint(written);
    return !strcmp(hash, fingerprint(source)) ||
           em_fail_at(
               err, EM_MACHINE, path, 0, -1,
               "reads back with fingerprint %s, the source has %s: the disk or the source changed "
               "meanwhile; convert again",
               hash, em_model_fingerprint(source));
}

/* Opens what was written and compares it with the source, weight by weight. */
static bool check(em_model *source, const char *path, const char *merged, em_error *err) {
    struct stat st;
    em_model *written = em_model_open(path, err);
    if (!written) return false;
    em_buffer out = {0};
    bool same = !merged && !em_model_is_remade(source);
    bool good = !same ? *fingerprint(written) != 0 : same_weights(source, written, path, err);
    if (good && stat(path, &st))
        good = em_fail_at(err, EM_MACHINE, path, 0, -1, "%s", strerror(errno));
    if (good) {
        report(written, path, st.st_size, merged, same, &out);
        good = em_print(out.data, out.length, err) == 0;
    }
    em_buffer_free(&out);
    em_model_close(written);
    return good;
}

static bool may_add_tokenizer(const em_settings *s, const em_model *source, em_error *err) {
    return !s->models.tokenizer || !has_tokenizer(source) ||
           em_fail(err, EM_USAGE,
                   "--tokenizer %s: %s has a tokenizer of its own, which goes into %s; leave "
                   "--tokenizer out, or give it to "
                   "the runs",
                   s->models.tokenizer, s->arguments[0], s->arguments[1]);
}

/* What is read is mapped while the model is written. */
static bool writes_apart(const em_settings *s, const em_model *source, const char *to,
                         em_error *err) {
    em_inputs inputs = {0};
    bool good = em_inputs_add(&inputs, em_model_path(source), "its source", err) &&
                (!s->models.n_adapters ||
                 em_inputs_add(&inputs, s->models.adapters[0].path, "its adapter", err)) &&
                (!s->models.tokenizer ||
                 em_inputs_add(&inputs, s->models.tokenizer, "its tokenizer", err)) &&
                em_inputs_apart(&inputs, &to, 1, err);
    em_inputs_free(&inputs);
    return good;
}

int em_command_convert(const em_settings *settings, em_error *err) {
    const char *to = settings->arguments[1],
               *adapter = settings->models.n_adapters ? settings->models.adapters[0].path : NULL;
    em_model *source = em_model_open(settings->arguments[0], err);
    em_model *merged = source && adapter ? em_model_with_adapter(source, adapter, err) : NULL;
    if (source && !settings->output.quiet) em_notes_print(em_model_notes(source));
    bool good = source && (!adapter || merged) && writes_apart(settings, source, to, err) &&
                may_add_tokenizer(settings, source, err) &&
                em_convert(merged ? merged : source, settings->models.tokenizer,
                           omp_get_num_procs(), to, err) &&
                check(source, to, adapter, err);
    em_model_close(merged);
    em_model_close(source);
    return good ? EM_OK : err->status;
}
