/* evalmask convert DIR OUT.bin: a whole model as one file, opened again to see that it is one. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/buffer.h"
#include "eval/commands.h"
#include "model/model.h"

static bool say(const em_model *m, const char *path, em_error *err) {
    const em_model_spec *s = em_model_spec_of(m);
    const char *name;
    const void *data, *config;
    size_t size, config_size;
    struct stat st = {0};
    stat(path, &st);
    bool tokenizer = em_model_tokenizer(m, &name, &data, &size, &config, &config_size);
    em_buffer b = {0};
    em_buffer_printf(&b, "%s: %s, %.1f M parameters in %" PRId64 " tensors, %s, %.1f MB\n", path, s->family,
                     (double)s->parameters / 1e6, em_bundle_tensors(em_model_bundle(m)),
                     tokenizer ? name : "no tokenizer (give one with --tokenizer)", (double)st.st_size / 1e6);
    bool good = em_print(b.data, b.length, err) == 0;
    em_buffer_free(&b);
    return good;
}

int em_command_convert(const em_settings *settings, em_error *err) {
    const char *from = settings->arguments[0], *to = settings->arguments[1];
    em_model *model = em_model_open(from, err);
    bool good = model && em_convert(em_model_bundle(model), settings->tokenizer, to, err);
    em_model_close(model);
    if (!good) return err->status;
    model = em_model_open(to, err);
    good = model && say(model, to, err);
    em_model_close(model);
    return good ? EM_OK : err->status;
}
