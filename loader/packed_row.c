#include "loader/packed_row.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/size.h"
#include "loader/json.h"

void em_packed_row_free(em_packed_row *r) {
    em_ints *const all[] = {&r->ids, &r->labels, &r->positions, &r->mask, &r->lo, &r->hi, &r->cu};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]->v);
    *r = (em_packed_row){0};
}

/* What stands under a key. */
typedef struct field {
    const char *key;
    size_t offset; /* of its em_ints in em_packed_row */
    int64_t extra; /* the one negative value allowed, or 0 */
    bool is_mask;  /* true and false count as 1 and 0; two dimensions are possible */
} field;

static const field fields[] = {
    {"input_ids", offsetof(em_packed_row, ids), 0, false},
    {"labels", offsetof(em_packed_row, labels), EM_LABEL_IGNORED, false},
    {"position_ids", offsetof(em_packed_row, positions), 0, false},
    {"attention_mask", offsetof(em_packed_row, mask), 0, true},
    {"cu_seqlens", offsetof(em_packed_row, cu), 0, false},
    {"cu_seq_lens_q", offsetof(em_packed_row, cu), 0, false},
};

typedef struct parser {
    em_json json;
    em_packed_row *out;
    const field *field; /* whose value is read */
    bool batched;       /* input_ids is an array of arrays: fields are rows, of which one is read */
    size_t index, rows; /* that row; rows of the batch */
    em_buffer key;      /* a key that holds escapes */
} parser;

static em_ints *ints_of(em_packed_row *r, const field *f) {
    return (em_ints *)((char *)r + f->offset);
}

static bool push(em_ints *to, int32_t x, em_error *err) {
    if (to->n == to->capacity &&
        !em_grow(&to->v, &to->capacity, to->n + 1, sizeof *to->v, "a packed row", err))
        return false;
    to->v[to->n++] = x;
    return true;
}

/* ---- numbers ---- */

/* The digits at p, which are more than an int32_t holds from 10 on; what follows an integer
 * follows. */
static bool read_digits(parser *s, const char *at, int64_t *out) {
    em_json *j = &s->json;
    const char *first = j->p;
    *out = 0;
    for (; j->p < j->end && em_json_is_digit(*j->p); j->p++)
        if (*out <= INT32_MAX) *out = 10 * *out + (*j->p - '0');
    if (j->p == first) return em_json_expected(j, "a whole number");
    if (*first == '0' && j->p - first > 1)
        return EM_JSON_FAIL(j, at, "%s: a number that begins with 0", s->field->key);
    if (j->p < j->end && (*j->p == '.' || *j->p == 'e' || *j->p == 'E'))
        return EM_JSON_FAIL(j, at, "%s: a number that is not written as a whole one",
                            s->field->key);
    return true;
}

/* true or false, as torch writes a mask of booleans. */
static bool read_word(em_json *j, int32_t *out) {
    static const char *const words[] = {"false", "true"};
    for (int32_t i = 0; i < 2; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(j->end - j->p) < n || memcmp(j->p, words[i], n)) continue;
        j->p += n;
        *out = i;
        return true;
    }
    return em_json_expected(j, "0, 1, true or false");
}

static bool read_value(parser *s, size_t index, int32_t *out) {
    em_json *j = &s->json;
    const char *at = j->p;
    if (j->p < j->end && (*j->p == 't' || *j->p == 'f') && s->field->is_mask)
        return read_word(j, out);
    if (j->p < j->end && memchr("\"{[tfnNI", *j->p, 8))
        return EM_JSON_FAIL(j, at, "%s[%zu] is %s, not a whole number", s->field->key, index,
                            em_json_kind(*j->p));
    bool negative = em_json_take(j, '-');
    int64_t x;
    if (!read_digits(s, at, &x)) return false;
    if (negative) x = -x;
    if (x < 0 && x != s->field->extra)
        return EM_JSON_FAIL(j, at, "%s[%zu] is %.*s: %s", s->field->key, index,
                            (int)(j->p - at < 24 ? j->p - at : 24), at,
                            s->field->extra ? "no label is negative but -100"
                                            : "it cannot be negative");
    if (x > INT32_MAX)
        return EM_JSON_FAIL(j, at, "%s[%zu] is %.*s, beyond 2^31 - 1", s->field->key, index,
                            (int)(j->p - at < 24 ? j->p - at : 24), at);
    *out = (int32_t)x;
    return true;
}

/* ---- arrays ---- */

/* After an element: 1: a further one follows, 0: the array is closed, -1: neither. */
static int next_element(em_json *j) {
    em_json_space(j);
    if (em_json_take(j, ']')) return 0;
    if (!em_json_take(j, ',')) return em_json_expected(j, "',' or ']'"), -1;
    em_json_space(j);
    return 1;
}

static bool check_count(parser *s, size_t n) {
    return n < EM_PACKED_TOKENS_MAX ||
           EM_JSON_FAIL(&s->json, s->json.p, "%s has more than %zu entries", s->field->key,
                        EM_PACKED_TOKENS_MAX);
}

/* The elements of an array that is not empty, its bracket taken. */
static bool read_list(parser *s, em_ints *to) {
    for (int more = 1; more;) {
        int32_t x;
        if (!check_count(s, to->n) || !read_value(s, to->n, &x) || !push(to, x, s->json.err))
            return false;
        more = next_element(&s->json);
        if (more < 0) return false;
    }
    return true;
}

/* One query of a T x T mask, its bracket taken: *width entries. */
static bool read_query(parser *s, size_t *width) {
    em_packed_row *r = s->out;
    int32_t lo = 0, hi = 0, seen = 0;
    size_t n = 0;
    for (int more = 1; more; n++) {
        int32_t x;
        const char *at = s->json.p;
        if (!check_count(s, n) || !read_value(s, n, &x)) return false;
        if (x > 1)
            return EM_JSON_FAIL(
                &s->json, at,
                "attention_mask[%zu][%zu] is %d: a mask of two dimensions holds 0 and 1", r->lo.n,
                n, x);
        if (x && !seen++) lo = (int32_t)n;
        if (x) hi = (int32_t)n + 1;
        more = next_element(&s->json);
        if (more < 0) return false;
    }
    if (seen != hi - lo) lo = hi = -1;
    *width = n;
    return push(&r->lo, lo, s->json.err) && push(&r->hi, hi, s->json.err);
}

static bool read_matrix(parser *s) {
    em_json *j = &s->json;
    size_t first = 0, width = 0;
    for (int more = 1; more;) {
        size_t i = s->out->lo.n;
        const char *at = j->p;
        if (!em_json_take(j, '[')) return em_json_expected(j, "'[', as in the mask's first line");
        em_json_space(j);
        if (!check_count(s, i) || !read_query(s, &width)) return false;
        if (i == 0) first = width;
        if (width != first)
            return EM_JSON_FAIL(j, at,
                                "attention_mask[%zu] has %zu entries, attention_mask[0] has %zu", i,
                                width, first);
        more = next_element(j);
        if (more < 0) return false;
    }
    if (s->out->lo.n != first)
        return EM_JSON_FAIL(j, j->p, "attention_mask is %zu x %zu: give T entries, or T x T",
                            s->out->lo.n, first);
    s->out->lo.given = s->out->hi.given = true;
    return true;
}

static void forget_field(parser *s) {
    em_ints *to = ints_of(s->out, s->field);
    to->n = 0;
    to->given = false;
    if (!s->field->is_mask) return;
    s->out->lo.n = s->out->hi.n = 0;
    s->out->lo.given = s->out->hi.given = false;
}

/* The field of one row. */
static bool read_one(parser *s) {
    em_json *j = &s->json;
    const char *at = j->p;
    if (j->p < j->end && *j->p == 'n') return em_json_skip(j, 1);
    if (!em_json_take(j, '['))
        return j->p == j->end ? em_json_expected(j, "an array")
                              : EM_JSON_FAIL(j, at, "%s is %s, not an array", s->field->key,
                                             em_json_kind(*at));
    em_json_space(j);
    em_ints *to = ints_of(s->out, s->field);
    if (j->p < j->end && *j->p == '[') {
        if (s->field->is_mask) return read_matrix(s);
        return s->batched
                   ? EM_JSON_FAIL(j, at, "%s has three dimensions where a batch of rows has two",
                                  s->field->key)
                   : EM_JSON_FAIL(j, at, "%s is an array of arrays, input_ids is not",
                                  s->field->key);
    }
    to->given = true;
    return em_json_take(j, ']') || read_list(s, to);
}

/* Whether the next value is an array of arrays. */
static bool is_nested(const em_json *json) {
    em_json j = *json;
    if (!em_json_take(&j, '[')) return false;
    em_json_space(&j);
    return em_json_take(&j, '[');
}

/* The field of row s->index of a batch; the other rows' are passed over. */
static bool read_batch(parser *s) {
    em_json *j = &s->json;
    const char *at = j->p;
    size_t n = 0;
    em_json_take(j, '[');
    em_json_space(j);
    for (int more = 1; more; n++) {
        if (!(n == s->index ? read_one(s) : em_json_skip(j, 2))) return false;
        more = next_element(j);
        if (more < 0) return false;
    }
    return n == s->rows ||
           EM_JSON_FAIL(j, at, "%s has %zu rows, input_ids has %zu", s->field->key, n, s->rows);
}

static bool read_field(parser *s) {
    em_json *j = &s->json;
    forget_field(s);
    if (s->batched && is_nested(j)) return read_batch(s);
    bool flat = s->batched && j->p < j->end && *j->p == '[' &&
                (s->field->offset != offsetof(em_packed_row, cu) || s->rows > 1);
    if (flat)
        return EM_JSON_FAIL(j, j->p, "%s is one row, input_ids is a batch of %zu", s->field->key,
                            s->rows);
    return read_one(s);
}

/* ---- the row ---- */

static const field *find_field(const char *key, size_t n) {
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strlen(fields[i].key) == n && !memcmp(fields[i].key, key, n)) return &fields[i];
    return NULL;
}

/* Past the members and the closing brace, the opening one taken. */
static bool read_members(parser *s) {
    em_json *j = &s->json;
    const char *key;
    size_t n;
    em_json_space(j);
    if (em_json_take(j, '}')) return true;
    for (;;) {
        em_json_space(j);
        if (!em_json_take(j, '"')) return em_json_expected(j, "a key in quotes");
        if (!em_json_key(j, &s->key, &key, &n)) return false;
        s->field = find_field(key, n);
        if (!(s->field ? read_field(s) : em_json_skip_unread(j, 1))) return false;
        em_json_space(j);
        if (em_json_take(j, '}')) return true;
        if (!em_json_take(j, ',')) return em_json_expected(j, "',' or '}'");
    }
}

/* Elements of an array, its bracket taken. false: the form is broken. */
static bool count_elements(em_json *j, size_t *n) {
    *n = 0;
    em_json_space(j);
    if (em_json_take(j, ']')) return true;
    for (int more = 1; more > 0; ++*n) {
        if (!em_json_skip_unread(j, 2)) return false;
        more = next_element(j);
        if (more < 0) return false;
    }
    return true;
}

/* Whether the line is a batch, and of how many rows: looked at first, since a mask may stand before
 * input_ids and means another thing in a batch. What is broken is said when it is read. */
static void find_batch(parser *s) {
    em_json j = s->json;
    em_error ignored = EM_ERROR_INIT;
    const char *key;
    size_t n;
    j.err = &ignored;
    em_json_space(&j);
    s->rows = 1;
    if (!em_json_take(&j, '{')) return;
    do {
        em_json_space(&j);
        if (!em_json_take(&j, '"') || !em_json_key(&j, &s->key, &key, &n)) return;
        const field *f = find_field(key, n);
        bool ids = f && f->offset == offsetof(em_packed_row, ids);
        if (ids) s->batched = is_nested(&j), s->rows = 1;
        if (ids && s->batched ? !em_json_take(&j, '[') || !count_elements(&j, &s->rows)
                              : !em_json_skip_unread(&j, 1))
            return;
        em_json_space(&j);
    } while (em_json_take(&j, ','));
}

static bool read_row(parser *s) {
    em_json *j = &s->json;
    em_json_space(j);
    if (!em_json_take(j, '{')) return em_json_expected(j, "'{', since a row is a JSON object");
    if (!read_members(s)) return false;
    em_json_space(j);
    return j->p == j->end || em_json_expected(j, "nothing more after the row's '}'");
}

static bool check_cu(const em_packed_row *r, em_error *err) {
    const em_ints *cu = &r->cu;
    if (!cu->given) return true;
    if (cu->n < 2 || cu->v[0] != 0)
        return em_fail(err, EM_INPUT,
                       "cu_seqlens holds %zu numbers%s: it is 0, then the end of every document",
                       cu->n, cu->n ? cu->v[0] ? ", the first of them not 0" : "" : "");
    for (size_t i = 1; i < cu->n; i++) {
        if (cu->v[i] < cu->v[i - 1])
            return em_fail(err, EM_INPUT, "cu_seqlens[%zu] is %d after %d: it must not descend", i,
                           cu->v[i], cu->v[i - 1]);
        if (cu->v[i] > r->tokens)
            return em_fail(err, EM_INPUT, "cu_seqlens[%zu] is %d, input_ids has %d entries", i,
                           cu->v[i], r->tokens);
    }
    return true;
}

static bool check_lengths(em_packed_row *r, em_error *err) {
    if (!r->ids.given)
        return em_fail(err, EM_INPUT,
                       "no \"input_ids\": a packed row is {\"input_ids\": [...], ...}");
    if (!r->ids.n) return em_fail(err, EM_INPUT, "input_ids is empty");
    r->tokens = (int32_t)r->ids.n;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const em_ints *x = ints_of(r, &fields[i]);
        if (x != &r->cu && x->given && x->n != r->ids.n)
            return em_fail(err, EM_INPUT, "%s has %zu entries, input_ids has %zu", fields[i].key,
                           x->n, r->ids.n);
    }
    if (r->lo.given && r->lo.n != r->ids.n)
        return em_fail(err, EM_INPUT, "attention_mask is %zu x %zu, input_ids has %zu entries",
                       r->lo.n, r->lo.n, r->ids.n);
    return check_cu(r, err);
}

bool em_packed_row_parse(const char *line, size_t n, size_t index, em_packed_row *out,
                         em_error *err) {
    parser s = {.out = out, .index = index};
    em_json_begin(&s.json, line, n, err);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        s.field = &fields[i];
        forget_field(&s);
    }
    bool good = em_json_utf8(&s.json);
    if (good) find_batch(&s);
    out->batch = s.rows;
    good = good && read_row(&s) && check_lengths(out, err);
    em_buffer_free(&s.key);
    return good;
}
