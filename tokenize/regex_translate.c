/* Oniguruma (Ruby syntax) to PCRE2, construct by construct; what is not listed here is refused. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

#include "tokenize/regex.h"
#include "tokenize/unicode.h"

#define MAX_DEPTH 64

/* Members of classes, to stand between brackets. White_Space is spelled out: PCRE2's own \s
 * has U+180E, which left White_Space in Unicode 6.3. */
#define SPACES \
    "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}" \
    "\\x{3000}"
#define NOT_SPACES \
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x84\\x86-\\x9f\\xa1-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{" \
    "2027}" \
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"
/* Oniguruma's word characters beyond L, M, Nd, Nl and Pc. */
#define MORE_WORDS \
    "\\xb2\\xb3\\xb9\\xbc-\\xbe\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{" \
    "1f170}-\\x{1f189}"

typedef struct translator {
    const char *at, *end;
    em_buffer *out;
    em_error *err;
    size_t atom;              /* where the last atom begins in out */
    size_t groups[MAX_DEPTH]; /* where the open groups begin in out */
    int depth;
    bool can_repeat; /* the last thing was an atom */
} translator;

static bool refuse(translator *t, const char *what) {
    return em_fail(t->err, EM_INPUT, "%s is not supported", what);
}
static int peek(const translator *t, size_t i) {
    return (size_t)(t->end - t->at) > i ? (unsigned char)t->at[i] : -1;
}
static bool put(translator *t, const char *s) {
    return em_buffer_append(t->out, s, strlen(s), t->err);
}
static bool starts(const translator *t, const char *s) {
    return (size_t)(t->end - t->at) >= strlen(s) && !memcmp(t->at, s, strlen(s));
}

/* The utf8proc categories of \p{name} as a bit set, 0 where the name is none. */
static uint32_t category_set(const char *name) {
    static const char names[] = "LuLlLtLmLoMnMcMeNdNlNoPcPdPsPePiPfPoSmScSkSoZsZlZpCcCf";
    uint32_t set = 0;
    size_t n = strlen(name);
    if (n != 1 && n != 2) return 0;
    for (unsigned i = 0; i < sizeof names / 2; i++)
        if (names[2 * i] == name[0] && (n == 1 || names[2 * i + 1] == name[1])) set |= 2u << i;
    return name[0] == 'C' && n == 1 ? 0 : set; /* C would hold the unassigned ones */
}

/* Code points that came to the categories after PCRE2's version of Unicode. */
static bool put_later(translator *t, uint32_t set) {
    for (size_t i = 0; i < em_category_changes_count; i++) {
        const em_category_range *r = &em_category_changes[i];
        char range[40];
        if (!(set >> r->category & 1)) continue;
        snprintf(range, sizeof range, "\\x{%x}-\\x{%x}", (unsigned)r->first, (unsigned)r->last);
        if (!put(t, range)) return false;
    }
    return true;
}

static bool put_category(translator *t, const char *name) {
    return put(t, "\\p{") && put(t, name) && put(t, "}") && put_later(t, category_set(name));
}

static bool put_words(translator *t) {
    static const char *const parts[] = {"L", "M", "Nd", "Nl", "Pc"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!put_category(t, parts[i])) return false;
    return put(t, MORE_WORDS);
}

/* Scripts that these files use, with the characters that PCRE2 10.42 does not know yet. */
static const struct {
    const char *name, *later;
} scripts[] = {
    {"Han", "\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"},
    {"Hiragana", "\\x{1b132}"},
    {"Katakana", "\\x{1b155}"},
    {"Hangul", ""},
};

/* \p{...} at t->at (after the p): class members; *negative for \p{^...}. */
static bool property(translator *t, bool *negative) {
    char name[16];
    const char *close = memchr(t->at, '}', (size_t)(t->end - t->at));
    if (peek(t, 0) != '{' || !close) return refuse(t, "\\p without {name}");
    *negative = peek(t, 1) == '^';
    const char *from = t->at + (*negative ? 2 : 1);
    size_t n = (size_t)(close - from);
    t->at = close + 1;
    if (n >= sizeof name) return refuse(t, "this \\p{name}");
    memcpy(name, from, n);
    name[n] = 0;
    if (category_set(name)) return put_category(t, name);
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        if (!strcmp(scripts[i].name, name))
            return put(t, "\\p{") && put(t, name) && put(t, "}") && put(t, scripts[i].later);
    return em_fail(
        t->err, EM_INPUT,
        "\\p{%s} is not supported (general categories, Han, Hiragana, Katakana, Hangul are)", name);
}

/* \x41, \x{1f600}, \u00e9 at t->at (after the letter). */
static bool code_point(translator *t, int letter) {
    char digits[9], text[20];
    size_t n = 0, most = letter == 'u' ? 4 : 2;
    bool braces = letter == 'x' && peek(t, 0) == '{';
    if (braces) {
        t->at++;
        most = 8;
    }
    while (n < most && isxdigit(peek(t, 0))) digits[n++] = *t->at++;
    digits[n] = 0;
    if (!n || (braces && peek(t, 0) != '}') || (letter == 'u' && n != 4))
        return refuse(t, "a malformed \\x or \\u");
    t->at += braces;
    unsigned c;
    sscanf(digits, "%x", &c);
    if (letter == 'x' && !braces && c > 127) return refuse(t, "\\x of a byte above 7f");
    snprintf(text, sizeof text, "\\x{%x}", c);
    return put(t, text);
}

/* An escape that stands for one character, inside brackets or outside. letter is behind t->at. */
static bool simple_escape(translator *t, int letter) {
    char text[3] = {'\\', (char)letter, 0};
    if (letter == 'x' || letter == 'u') return code_point(t, letter);
    if (letter == 'v') return put(t, "\\x0b");
    if (letter > 0 && letter < 128 && (strchr("nrtfae", letter) || !isalnum(letter)))
        return put(t, text);
    return em_fail(t->err, EM_INPUT, "the escape \\%c is not supported", letter > 0 ? letter : ' ');
}

/* Members of the class \letter (d, s, w, p and their opposites); *negative for the opposites. */
static bool class_members(translator *t, int letter, bool *negative) {
    bool inner = false, ok = letter == 'd' || letter == 'D'   ? put_category(t, "Nd")
                             : letter == 's' || letter == 'S' ? put(t, SPACES)
                             : letter == 'w' || letter == 'W' ? put_words(t)
                                                              : property(t, &inner);
    *negative = (isupper(letter) != 0) != inner;
    return ok;
}

/* Outside brackets. The sign of a class is known only after its name is read: a byte is kept for
 * it. */
static bool class_atom(translator *t, int letter) {
    size_t start = t->out->length;
    bool negative;
    if (!put(t, "[ ") || !class_members(t, letter, &negative)) return false;
    if (negative) t->out->data[start + 1] = '^';
    else {
        memmove(t->out->data + start + 1, t->out->data + start + 2, t->out->length - start - 2);
        t->out->length--;
    }
    return put(t, "]");
}

static bool word_boundary(translator *t, bool negative) {
    const char *const around[2][4] = {{"(?:(?<=[", "])(?![", "])|(?<![", "])(?=["},
                                      {"(?:(?<=[", "])(?=[", "])|(?<![", "])(?!["}};
    for (int i = 0; i < 4; i++)
        if (!put(t, around[negative][i]) || !put_words(t)) return false;
    return put(t, "]))");
}

static bool escape(translator *t) {
    int letter = peek(t, 1);
    if (letter < 0) return refuse(t, "a backslash at the end");
    t->at += 2;
    t->can_repeat = letter != 'b' && letter != 'B' && letter != 'A' && letter != 'z';
    if (strchr("dDsSwWpP", letter)) return class_atom(t, letter);
    if (letter == 'b' || letter == 'B') return word_boundary(t, letter == 'B');
    if (letter == 'A' || letter == 'z') return put(t, letter == 'A' ? "\\A" : "\\z");
    return simple_escape(t, letter);
}

static bool bracket_escape(translator *t) {
    int letter = peek(t, 1);
    bool negative = false;
    if (letter < 0) return refuse(t, "a bracket without its end");
    t->at += 2;
    if (letter == 'S') return put(t, NOT_SPACES);
    if (!strchr("dDswWpP", letter)) return simple_escape(t, letter);
    if (!class_members(t, letter, &negative)) return false;
    return negative ? refuse(t, "a negated class (other than \\S) inside brackets") : true;
}

static bool bracket(translator *t) {
    t->at++;
    t->can_repeat = true;
    if (!put(t, "[")) return false;
    if (peek(t, 0) == '^') {
        t->at++;
        if (!put(t, "^")) return false;
    }
    if (peek(t, 0) == ']') return refuse(t, "an empty bracket or one that begins with ]");
    for (int c; (c = peek(t, 0)) != ']';) {
        if (c < 0) return refuse(t, "a bracket without its end");
        if (c == '[') return refuse(t, "a bracket inside brackets");
        if (c == '&' && peek(t, 1) == '&') return refuse(t, "&& inside brackets");
        if (c == '\\') {
            if (!bracket_escape(t)) return false;
        } else if (!em_buffer_append(t->out, t->at++, 1, t->err)) return false;
    }
    t->at++;
    return put(t, "]");
}

/* Case folding beyond one character ("ss" and U+00DF) differs between the two libraries. */
static bool check_caseless(translator *t) {
    static const char *const folds[] = {"ss", "st", "ff", "fi", "fl"};
    for (const char *p = t->at; p < t->end; p++) {
        if ((unsigned char)*p >= 128) return refuse(t, "(?i) with letters beyond ASCII");
        for (size_t i = 0; i < sizeof folds / sizeof *folds && t->end - p >= 2; i++)
            if (tolower(p[0]) == folds[i][0] && tolower(p[1]) == folds[i][1])
                return refuse(t, "(?i) with ss, st, ff, fi or fl");
    }
    return true;
}

static bool group(translator *t) {
    static const char *const heads[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"};
    const char *head = "(";
    bool whole = starts(t, "(?i)");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (starts(t, heads[i])) head = heads[i];
    if (whole && t->out->length) return refuse(t, "(?i) other than at the start");
    if (whole) head = "(?i)";
    if (head[1] == 0 && (peek(t, 1) == '?' || peek(t, 1) == '*'))
        return refuse(t, "this kind of group");
    if (strstr(head, "?i") && !check_caseless(t)) return false;
    t->at += strlen(head);
    t->can_repeat = false;
    if (!whole) {
        if (t->depth == MAX_DEPTH) return refuse(t, "nesting beyond 64 groups");
        t->groups[t->depth++] = t->out->length;
    }
    return put(t, head);
}

static bool close_group(translator *t) {
    if (!t->depth) return refuse(t, "a ) without its (");
    t->atom = t->groups[--t->depth];
    t->at++;
    t->can_repeat = true;
    return put(t, ")");
}

/* Wraps what is in out from `from` on, so that it can be repeated as a whole. */
static bool wrap(translator *t, size_t from) {
    if (!put(t, "(?:)")) return false;
    memmove(t->out->data + from + 3, t->out->data + from, t->out->length - 4 - from);
    memcpy(t->out->data + from, "(?:", 3);
    t->out->data[t->out->length - 1] = ')';
    return true;
}

/* {n}, {n,}, {,m}, {n,m} at t->at: its length, or 0 where the brace is an ordinary character. */
static size_t interval(const translator *t) {
    size_t i = 1, digits = 0;
    while (isdigit(peek(t, i))) i++, digits++;
    if (peek(t, i) == ',')
        for (i++; isdigit(peek(t, i));) i++, digits++;
    return digits && digits < 8 && peek(t, i) == '}' ? i + 1 : 0;
}

static bool repeat(translator *t) {
    size_t n = *t->at == '{' ? interval(t) : 1;
    bool braces = *t->at == '{', exact = braces && !memchr(t->at, ',', n);
    if (!t->can_repeat)
        return refuse(t, "a repetition of nothing, of an assertion or of a repetition");
    if (braces && peek(t, 1) == ',' && !put(t, "{0")) return false;
    size_t skip = braces && peek(t, 1) == ',' ? 1 : 0;
    if (!em_buffer_append(t->out, t->at + skip, n - skip, t->err)) return false;
    t->at += n;
    t->can_repeat = false;
    int next = peek(t, 0);
    if (next == '?' && exact) return refuse(t, "{n}?");
    if (next != '?' && next != '+') return true;
    t->at++;
    if (next == '+' && braces && !wrap(t, t->atom))
        return false; /* Ruby: the interval again and again */
    return put(t, next == '?' ? "?" : "+");
}

static bool literal(translator *t) {
    unsigned n = em_utf8_length((unsigned char)*t->at);
    if ((*t->at == '{' || *t->at == '}' || *t->at == ']') && !put(t, "\\")) return false;
    if (n > (size_t)(t->end - t->at)) return refuse(t, "invalid UTF-8");
    t->can_repeat = true;
    t->at += n;
    return em_buffer_append(t->out, t->at - n, n, t->err);
}

static bool item(translator *t) {
    int c = peek(t, 0);
    bool repeats = c == '*' || c == '+' || c == '?' || (c == '{' && interval(t));
    if (repeats) return repeat(t);
    if (c == ')') return close_group(t);
    t->atom = t->out->length;
    if (c == '(') return group(t);
    if (c == '[') return bracket(t);
    if (c == '\\') return escape(t);
    if (c != '^' && c != '$' && c != '|') return literal(t);
    t->at++;
    t->can_repeat = false;
    return put(t, c == '^' ? "(?m:^)" : c == '$' ? "(?m:$)" : "|");
}

bool em_regex_translate(const char *pattern, size_t n, em_buffer *out, em_error *err) {
    translator t = {.at = pattern, .end = pattern + n, .out = out, .err = err};
    if (em_utf8_check(pattern, n) != n) return em_fail(err, EM_INPUT, "it is not valid UTF-8");
    if (n > 1 << 16) return em_fail(err, EM_INPUT, "it is longer than 64 KiB");
    while (t.at < t.end)
        if (!item(&t)) return false;
    return t.depth ? refuse(&t, "a ( without its )") : true;
}
