#include "model/config/config.h"

#include <stdlib.h>

void em_config_free(em_config *c) {
    free(c->window);
    free(c->rope_of);
    *c = (em_config){0};
}

/* ---- for fingerprints ---- */

static void describe_rope(const em_config *c, int i, em_buffer *out) {
    static const char *const names[] = {"default", "linear",   "llama3",
                                        "yarn",    "longrope", "divided"};
    const em_rope_config *r = &c->rope[i];
    em_buffer_printf(out, "rope.%d=%s theta=%.17g partial=%.17g", i, names[r->type], r->theta,
                     r->partial);
    if (r->type != EM_ROPE_DEFAULT) em_buffer_printf(out, " factor=%.17g", r->factor);
    if (r->type == EM_ROPE_LLAMA3)
        em_buffer_printf(out, " original=%.17g low=%.17g high=%.17g", r->original, r->low_freq,
                         r->high_freq);
    if (r->type == EM_ROPE_YARN)
        em_buffer_printf(out,
                         " original=%.17g attention=%.17g fast=%.17g slow=%.17g mscale=%.17g "
                         "all=%.17g truncate=%d",
                         r->original, r->attention_factor, r->beta_fast, r->beta_slow, r->mscale,
                         r->mscale_all_dim, r->truncate);
    if (r->type == EM_ROPE_LONG)
        em_buffer_printf(out, " original=%.17g longest=%.17g attention=%.17g short=", r->original,
                         r->longest, r->attention_factor);
    if (r->type == EM_ROPE_DIVIDED) em_buffer_puts(out, " by=");
    for (int j = 0; j < r->n_factors; j++)
        em_buffer_printf(out, "%s%.17g", j ? "," : "", r->factors[j]);
    em_buffer_puts(out, "\n");
}

static void describe_layers(const em_config *c, em_buffer *out) {
    em_buffer_puts(out, "rope_of_layer=");
    for (int i = 0; i < c->layers; i++) em_buffer_printf(out, " %d", c->rope_of[i]);
    em_buffer_puts(out, "\nwindow_of_layer=");
    for (int i = 0; i < c->layers; i++) em_buffer_printf(out, " %d", c->window[i]);
    em_buffer_puts(out, "\n");
}

void em_config_describe(const em_config *c, em_buffer *out) {
    const em_form *f = &c->form;
    em_buffer_printf(out, "activation=%d\nattention_softcap=%.17g\n", c->activation,
                     c->attention_softcap);
    em_buffer_printf(out,
                     "embedding_scaled=%d\nffn=%d\ngated=%d\nhead_dim=%d\nhead_norm=%d\nheads=%"
                     "d\nhidden=%d\nkv_heads=%d\nlayers=%d\n",
                     f->scaled_embedding, c->ffn, f->gated, c->head_dim, f->head_norm, c->heads,
                     c->hidden, c->kv_heads, c->layers);
    em_buffer_printf(out,
                     "logit_softcap=%.17g\nnorm=%d\nnorm_eps=%.17g\nnorm_plus_one=%d\n%sparallel_"
                     "residual=%d\nquery_scale=%.17g\n",
                     c->logit_softcap, f->norm.kind, c->norm_eps, f->norm.plus_one,
                     f->norm.no_weight ? "norm_weight=0\n" : "", f->residual != EM_SEQUENTIAL,
                     c->query_scale);
    for (int i = 0; i < 2; i++)
        if (c->rope[i].theta != 0) describe_rope(c, i, out);
    em_buffer_printf(out, "rope_interleaved=%d\n", f->rope_interleaved);
    describe_layers(c, out);
    em_buffer_printf(out, "scale_attention=%d\nscale_by_layer=%d\ntied=%d\nvocab=%d\n",
                     c->scale_attention, c->scale_by_layer, f->tied, c->vocab);
}
