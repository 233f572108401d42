/* Which results of two files belong together, and what is said where none does. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "reports/diff/pairing.h"

typedef struct file {
    em_results r;
    em_result x[8];
    em_key_value lines[4];
} file;

/* Data and protocol: one letter each is enough of a fingerprint. */
static em_result *add(file *f, const char *model, const char *mask, const char *data,
                      const char *protocol) {
    em_result *x = &f->x[f->r.n_results++];
    *x = (em_result){
        .depth = EM_NO_DEPTH, .seq_len = 128, .batch = 3, .predictions = 10, .documents = 2};
    strcpy(x->model, model);
    strcpy(x->mask, mask);
    strcpy(x->labels, "unshifted");
    strcpy(x->positions, "continuous");
    strcpy(x->compute_dtype, "f32");
    strcpy(x->logit_dtype, "f32");
    strcpy(x->fingerprints.data, data);
    strcpy(x->fingerprints.protocol, protocol);
    f->r.results = f->x;
    return x;
}

static void line(file *f, const char *key, char *value) {
    em_key_value *l = &f->lines[f->r.n_protocol++];
    strcpy(l->key, key);
    l->value = value;
    f->r.protocol = f->lines;
}

/* "0-1= 1-0d 2-2!" and the lonely ones: "|3|" of before, "|4" of after. */
static void assert_pairs(const file *a, const file *b, const char *expected) {
    em_pairing p;
    em_error err = EM_ERROR_INIT;
    em_buffer text = {0};
    assert_true(em_pairing_make(&p, &a->r, &b->r, &err));
    for (int i = 0; i < p.n_pairs; i++)
        em_buffer_printf(&text, "%d-%d%c ", p.pairs[i].before, p.pairs[i].after,
                         "=d!"[p.pairs[i].likeness]);
    em_buffer_puts(&text, "|");
    for (int i = 0; i < p.n_before_alone; i++) em_buffer_printf(&text, "%d", p.before_alone[i]);
    em_buffer_puts(&text, "|");
    for (int i = 0; i < p.n_after_alone; i++) em_buffer_printf(&text, "%d", p.after_alone[i]);
    assert_string_equal(text.data, expected);
    em_buffer_free(&text);
    em_pairing_free(&p);
}

static char *differences(const file *a, const file *b) {
    static char text[512];
    em_pairing p;
    em_error err = EM_ERROR_INIT;
    em_buffer out = {0};
    assert_true(em_pairing_make(&p, &a->r, &b->r, &err));
    assert_int_equal(p.n_pairs, 1);
    em_pair_differences(&p, &p.pairs[0], &out);
    snprintf(text, sizeof text, "%s", out.data ? out.data : "");
    em_buffer_free(&out);
    em_pairing_free(&p);
    return text;
}

static void one_checkpoint_and_another(void **state) {
    file a = {0}, b = {0};
    add(&a, "base", "doc", "d", "p");
    add(&a, "base", "regular", "d", "q");
    add(&b, "tuned", "regular", "d", "q");
    add(&b, "tuned", "doc", "d", "p");
    assert_pairs(&a, &b, "0-1= 1-0= ||");
}

static void names_decide_where_several_share_a_measure(void **state) {
    file a = {0}, b = {0};
    add(&a, "before", "doc", "d", "p");
    add(&a, "after", "doc", "d", "p");
    add(&b, "after", "doc", "d", "p");
    add(&b, "before", "doc", "d", "p");
    assert_pairs(&a, &b, "0-1= 1-0= ||");
    strcpy(b.x[0].model, "third"); /* nothing says that it is the successor of "after" */
    assert_pairs(&a, &b, "0-1= |1|0");
}

static void alphas_and_depths_have_partners_of_their_own(void **state) {
    file a = {0}, b = {0};
    for (int i = 0; i < 3; i++) {
        em_result *x = add(&a, "amplified", "doc", "d", "p"),
                  *y = add(&b, "amplified", "doc", "d", "p");
        x->has_alpha = y->has_alpha = true;
        x->alpha = i;
        y->alpha = 2 - i;
    }
    assert_pairs(&a, &b, "0-2= 1-1= 2-0= ||");
    b.x[0].depth = 4;
    assert_pairs(&a, &b, "0-2= 1-1= |2|0");
}

static void data_sets_of_the_same_documents(void **state) {
    file a = {0}, b = {0};
    strcpy(add(&a, "base", "doc", "d", "p")->data_set, "x");
    strcpy(add(&a, "base", "doc", "d", "p")->data_set, "y");
    strcpy(add(&b, "tuned", "doc", "d", "p")->data_set, "y");
    strcpy(add(&b, "tuned", "doc", "d", "p")->data_set, "x");
    assert_pairs(&a, &b, "0-1= 1-0= ||");
}

static void only_the_dtype_differs(void **state) {
    file a = {0}, b = {0};
    add(&a, "base", "doc", "d", "p");
    strcpy(add(&b, "base", "doc", "d", "q")->compute_dtype, "bf16");
    assert_pairs(&a, &b, "0-0d ||");
    assert_string_equal(differences(&a, &b), "protocol fingerprint (compute dtype: f32 -> bf16)");
    line(&a, "boundary", "keep");
    line(&b, "boundary", "drop");
    assert_pairs(&a, &b, "0-0! ||");
    b.lines[0].value = "keep";
    strcpy(b.x[0].fingerprints.data, "e");
    assert_pairs(&a, &b, "0-0! ||");
}

/* The files' lines say how windows were cut where labels were shifted, and these are not. */
static void a_window_of_other_labels(void **state) {
    file a = {0}, b = {0};
    line(&a, "window", "next");
    line(&b, "window", "inside");
    add(&a, "base", "doc", "d", "p");
    em_result *x = add(&b, "base", "doc", "d", "q");
    strcpy(x->compute_dtype, "bf16");
    assert_pairs(&a, &b, "0-0d ||");
    strcpy(a.x[0].window, "next");
    strcpy(x->window, "inside");
    assert_pairs(&a, &b, "0-0! ||");
    assert_string_equal(
        differences(&a, &b),
        "protocol fingerprint (window: next -> inside; compute dtype: f32 -> bf16)");
}

static void each_packing_is_its_own(void **state) {
    file a = {0}, b = {0};
    strcpy(add(&a, "base", "doc", "d", "p")->pack, "stream");
    strcpy(add(&a, "base", "doc", "e", "q")->pack, "none");
    em_result *x = add(&b, "base", "doc", "e", "r");
    strcpy(x->pack, "none");
    strcpy(x->compute_dtype, "bf16");
    line(&a, "pack", "stream, none");
    line(&b, "pack", "none");
    assert_pairs(&a, &b, "1-0d |0|");
}

static void the_batch_counts_where_it_moves_figures(void **state) {
    file a = {0}, b = {0};
    add(&a, "base", "doc", "d", "p");
    em_result *x = add(&b, "base", "doc", "d", "q");
    strcpy(x->compute_dtype, "bf16");
    x->batch = 4;
    line(&a, "tail", "pad");
    line(&b, "tail", "pad");
    assert_pairs(&a, &b, "0-0d ||");
    a.lines[0].value = b.lines[0].value = "drop";
    assert_pairs(&a, &b, "0-0! ||");
}

static void what_differs_is_named(void **state) {
    file a = {0}, b = {0};
    add(&a, "base", "doc", "d", "p");
    em_result *x = add(&b, "base", "regular", "e", "q");
    x->seq_len = 64;
    x->predictions = 12;
    line(&b, "max_docs", "20");
    assert_string_equal(differences(&a, &b),
                        "protocol fingerprint (mask: doc -> regular; seq_len: 128 -> 64), "
                        "data fingerprint (max_docs: none -> 20; predictions: 10 -> 12)");
    file c = {0}, d = {0};
    add(&c, "base", "doc", "d", "p");
    add(&d, "base", "doc", "e", "p");
    assert_string_equal(differences(&c, &d),
                        "data fingerprint (nothing that the files name differs)");
    assert_string_equal(differences(&c, &c), "");
}

/* A common vocabulary's size is that of the smallest model. */
static void common_vocabularies(void **state) {
    file a = {0}, b = {0};
    add(&a, "base", "doc", "d", "p");
    strcpy(add(&b, "base", "doc", "d", "q")->compute_dtype, "bf16");
    a.r.n_models = b.r.n_models = 2;
    a.r.models[0].vocab = b.r.models[0].vocab = 100;
    a.r.models[1].vocab = 90;
    b.r.models[1].vocab = 80;
    assert_pairs(&a, &b, "0-0d ||");
    line(&a, "common_vocab", "yes");
    line(&b, "common_vocab", "yes");
    assert_pairs(&a, &b, "0-0! ||");
}

static void strangers_stay_alone(void **state) {
    file a = {0}, b = {0}, none = {0};
    add(&a, "base", "doc", "d", "p");
    add(&a, "base", "regular", "d", "q");
    add(&b, "base", "doc", "d", "p");
    add(&b, "base", "full", "d", "r");
    add(&b, "base", "flip0", "d", "s");
    assert_pairs(&a, &b, "0-0= |1|12");
    assert_pairs(&a, &none, "|01|");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_checkpoint_and_another),
        cmocka_unit_test(names_decide_where_several_share_a_measure),
        cmocka_unit_test(alphas_and_depths_have_partners_of_their_own),
        cmocka_unit_test(data_sets_of_the_same_documents),
        cmocka_unit_test(only_the_dtype_differs),
        cmocka_unit_test(a_window_of_other_labels),
        cmocka_unit_test(each_packing_is_its_own),
        cmocka_unit_test(the_batch_counts_where_it_moves_figures),
        cmocka_unit_test(what_differs_is_named),
        cmocka_unit_test(common_vocabularies),
        cmocka_unit_test(strangers_stay_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
