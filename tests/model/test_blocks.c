/* Every block type against what ggml's own to_float gives, bit for bit: tests/model/gguf/types.gguf
 * holds a tensor of each, T, and its values, T.f32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/blocks.h"
#include "model/gguf.h"
#include "model/mapping.h"
#include "model/stored.h"

typedef struct file {
    em_mapping mapping;
    em_gguf gguf;
    em_tensors tensors;
} file;

static void open_file(file *f) {
    em_error err = EM_ERROR_INIT;
    char line[1200];
    *f = (file){0};
    if (!em_mapping_open(&f->mapping, EM_TEST_DATA "/model/gguf/types.gguf", &err) ||
        !em_gguf_read(f->mapping.data, f->mapping.size, f->mapping.path, &f->gguf, &f->tensors,
                      &err) ||
        !em_tensors_sort(&f->tensors, &err))
        fail_msg("%s", em_error_line(&err, line, sizeof line));
}

static void close_file(file *f) {
    em_tensors_free(&f->tensors);
    em_gguf_free(&f->gguf);
    em_mapping_close(&f->mapping);
}

static void every_type_gives_ggmls_bits(void **state) {
    file f;
    int n = 0;
    open_file(&f);
    for (size_t i = 0; i < f.tensors.n; i++) {
        const em_tensor *t = &f.tensors.items[i];
        char name[64];
        snprintf(name, sizeof name, "%s.f32", t->name);
        const em_tensor *values = em_tensors_find(&f.tensors, name);
        if (!values || !em_tensor_is_read(t)) continue;
        assert_string_equal(t->type, t->name);
        assert_int_equal(t->shape[0], 5);
        assert_int_equal(t->shape[1], 512);
        float *one = malloc(5 * 512 * sizeof *one), *three = malloc(5 * 512 * sizeof *three);
        em_tensor_values(t, 1, one);
        em_tensor_values(t, 3, three);
        if (memcmp(one, values->data, 5 * 512 * sizeof *one)) fail_msg("%s differs", t->name);
        assert_memory_equal(one, three, 5 * 512 * sizeof *one);
        free(one);
        free(three);
        n++;
    }
    assert_int_equal(n, 18);
    close_file(&f);
}

/* A type that is known and not read is none of the others by mistake. */
static void types_are_told_apart(void **state) {
    char list[256];
    assert_string_equal(em_block_type_of(12)->name, "Q4_K");
    assert_ptr_equal(em_block_type_named("Q4_K"), em_block_type_of(12));
    assert_null(em_block_type_of(4));
    assert_null(em_block_type_of(31));
    assert_null(em_block_type_of(41));
    assert_null(em_block_type_of(17)->values);
    assert_non_null(strstr(em_block_type_list(list, sizeof list), "Q4_K"));
    assert_null(strstr(list, "IQ2_XS"));
}

static void check_layout(em_layout layout, int heads, const float *expected) {
    static const float rows[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    float out[12];
    em_tensor t = {.name = "T",
                   .type = "F32",
                   .n_dims = 1,
                   .shape = {12},
                   .data = rows,
                   .bytes = sizeof rows,
                   .layout = layout,
                   .heads = heads};
    em_tensor_values(&t, 1, out);
    assert_memory_equal(out, expected, sizeof out);
    t.n_dims = 2; /* the same as a matrix of one column */
    t.shape[1] = 1;
    if (layout != EM_LAYOUT_PLUS_ONE) {
        em_tensor_values(&t, 2, out);
        assert_memory_equal(out, expected, sizeof out);
    }
}

/* By hand: two heads of [3, 2] pairs; [3, 2, 2] thirds. */
static void rows_go_where_they_belong(void **state) {
    check_layout(EM_LAYOUT_PAIRS, 2, (float[12]){0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11});
    check_layout(EM_LAYOUT_THIRDS, 2, (float[12]){0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11});
    check_layout(EM_LAYOUT_PLUS_ONE, 0, (float[12]){-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    static const float stored[6] = {0, 1, 2, 3, 4, 5}; /* [out 2, in 3] */
    float out[6];
    em_tensor t = {.name = "T",
                   .type = "F32",
                   .n_dims = 2,
                   .shape = {3, 2},
                   .data = stored,
                   .bytes = sizeof stored,
                   .layout = EM_LAYOUT_TRANSPOSED};
    em_tensor_values(&t, 2, out);
    assert_memory_equal(out, ((float[6]){0, 3, 1, 4, 2, 5}), sizeof out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_type_gives_ggmls_bits),
                                       cmocka_unit_test(types_are_told_apart),
                                       cmocka_unit_test(rows_go_where_they_belong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
