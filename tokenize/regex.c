#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenize/regex.h"

#include <pcre2.h>
#include <stdlib.h>

#include "common/size.h"

/* A word of many megabytes needs a deep stack in patterns like (a|b)*; beyond this the
 * interpreter takes over, whose limits end in an error. */
#define JIT_STACK_START (64 * 1024)
#define JIT_STACK_MAX (16 * 1024 * 1024)

struct em_regex {
    pcre2_code *code;
};

struct em_regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static bool compile(em_regex *r, const em_buffer *p, em_error *err) {
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) return em_fail_memory(err, 0, "a regular expression");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, 100);
    int code;
    PCRE2_SIZE place;
    r->code = pcre2_compile((PCRE2_SPTR)p->data, p->length,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &place,
                            context);
    pcre2_compile_context_free(context);
    if (!r->code) {
        char why[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        return em_fail(err, EM_INPUT, "%s", why);
    }
    uint32_t empty = 0;
    pcre2_pattern_info(r->code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty)
        return em_fail(err, EM_INPUT, "patterns that may match an empty text are not supported");
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* where it cannot, the interpreter runs */
    return true;
}

em_regex *em_regex_new(const char *pattern, size_t n, em_error *err) {
    em_error why = EM_ERROR_INIT;
    em_buffer translated = {0};
    em_regex *r = em_alloc(1, sizeof *r, "a regular expression", err);
    if (!r) return NULL;
    bool ok = em_regex_translate(pattern, n, &translated, &why) && compile(r, &translated, &why);
    em_buffer_free(&translated);
    if (ok) return r;
    em_fail(err, why.status, "regular expression \"%.200s\": %s", pattern, why.text);
    em_regex_free(r);
    return NULL;
}

void em_regex_free(em_regex *r) {
    if (r) pcre2_code_free(r->code);
    free(r);
}

em_regex_scratch *em_regex_scratch_new(em_error *err) {
    em_regex_scratch *s = em_alloc(1, sizeof *s, "regular expressions", err);
    if (!s) return NULL;
    s->data = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
    if (s->data && s->context) {
        if (s->stack) pcre2_jit_stack_assign(s->context, NULL, s->stack);
        return s;
    }
    em_fail_memory(err, JIT_STACK_START, "regular expressions");
    em_regex_scratch_free(s);
    return NULL;
}

void em_regex_scratch_free(em_regex_scratch *s) {
    if (!s) return;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    free(s);
}

int em_regex_next(const em_regex *r, em_regex_scratch *s, const char *text, size_t n, size_t from,
                  size_t *start, size_t *end, em_error *err) {
    PCRE2_SPTR subject = (PCRE2_SPTR)(n ? text : "");
    int rc = pcre2_match(r->code, subject, n, from, PCRE2_NO_UTF_CHECK, s->data, s->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(r->code, subject, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->data,
                         s->context);
    if (rc == PCRE2_ERROR_NOMATCH) return 0;
    if (rc < 0) {
        char why[128] = "";
        pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
        em_fail(err, EM_INPUT,
                "the tokenizer's regular expression fails at byte %zu of the text: %s", from, why);
        return -1;
    }
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s->data);
    *start = at[0];
    *end = at[1];
    if (at[0] < at[1]) return 1;
    em_fail(err, EM_INPUT,
            "the tokenizer's regular expression matches nothing at byte %zu of the text", at[0]);
    return -1;
}
