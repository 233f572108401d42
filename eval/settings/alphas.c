#include "eval/settings/alphas.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Decimals are whole multiples of 10^-PLACES. */
enum { PLACES = 9 };
#define UNIT INT64_C(1000000000)
#define LIMIT (1000000 * UNIT)

/* value * 10^power where that is a whole number within the limit. */
static bool scale(int64_t value, int power, int64_t *out) {
    for (; power < 0 && value; power++, value /= 10)
        if (value % 10) return false;
    for (; power > 0 && value; power--, value *= 10)
        if (value > LIMIT / 10) return false;
    *out = value;
    return value <= LIMIT;
}

/* [+-]digits after an e, all of [s, end). */
static bool parse_exponent(const char *s, const char *end, int *out) {
    bool negative = s < end && *s == '-';
    int value = 0;
    s += s < end && (*s == '-' || *s == '+');
    if (s == end) return false;
    for (; s < end; s++) {
        if (*s < '0' || *s > '9') return false;
        if (value < 1000) value = value * 10 + (*s - '0');
    }
    *out = negative ? -value : value;
    return true;
}

/* [+-]digits[.digits][e[+-]digits], exactly: a whole number of units of 10^-PLACES. */
static bool parse_decimal(const char *s, size_t n, int64_t *out) {
    const char *end = s + n;
    bool negative = n && *s == '-', point = false, any = false;
    int64_t value = 0;
    int power = PLACES, exponent = 0;
    for (s += n && (*s == '-' || *s == '+'); s < end && *s != 'e' && *s != 'E'; s++) {
        if (*s == '.' && !point) {
            point = true;
            continue;
        }
        if (*s < '0' || *s > '9' || value > INT64_MAX / 10 - 1) return false;
        any = true;
        value = value * 10 + (*s - '0');
        power -= point;
    }
    if (!any || (s < end && !parse_exponent(s + 1, end, &exponent))) return false;
    if (!scale(value, power + exponent, &value)) return false;
    *out = negative ? -value : value;
    return true;
}

static double nearest(int64_t decimal) {
    char text[48];
    int64_t size = decimal < 0 ? -decimal : decimal;
    snprintf(text, sizeof text, "%s%lld.%0*lld", decimal < 0 ? "-" : "", (long long)(size / UNIT),
             PLACES, (long long)(size % UNIT));
    return strtod(text, NULL);
}

static bool add(em_alphas *out, int64_t decimal, em_error *err) {
    double value = nearest(decimal);
    for (int i = 0; i < out->n; i++)
        if (out->values[i] == value) return true;
    if (out->n == EM_MAX_ALPHAS)
        return em_fail(err, EM_USAGE, "--alpha: at most %d values", EM_MAX_ALPHAS);
    out->values[out->n++] = value == 0 ? 0 : value;
    return true;
}

static bool bad_part(const char *part, size_t n, em_error *err) {
    return em_fail(err, EM_USAGE, "--alpha %.*s: give numbers or from:to:step, such as -2:2:0.5,3",
                   (int)n, part);
}

static bool add_range(em_alphas *out, const char *part, size_t n, em_error *err) {
    const char *to = memchr(part, ':', n),
               *step = to ? memchr(to + 1, ':', n - (size_t)(to + 1 - part)) : NULL;
    int64_t a, b, d;
    if (!step || !parse_decimal(part, (size_t)(to - part), &a) ||
        !parse_decimal(to + 1, (size_t)(step - to - 1), &b) ||
        !parse_decimal(step + 1, n - (size_t)(step + 1 - part), &d))
        return bad_part(part, n, err);
    if (d == 0 || (b > a) != (d > 0)) {
        if (a != b)
            return em_fail(
                err, EM_USAGE,
                "--alpha %.*s: the step does not lead from the first number to the second", (int)n,
                part);
        return add(out, a, err);
    }
    for (int64_t x = a; d > 0 ? x <= b : x >= b; x += d)
        if (!add(out, x, err)) return false;
    return true;
}

bool em_alphas_parse(const char *text, em_alphas *out, em_error *err) {
    for (const char *part = text;; part++) {
        part += strspn(part, " ");
        size_t whole = strcspn(part, ","), n = whole;
        int64_t value;
        while (n && part[n - 1] == ' ') n--;
        if (memchr(part, ':', n)) {
            if (!add_range(out, part, n, err)) return false;
        } else if (!parse_decimal(part, n, &value)) {
            return bad_part(part, n, err);
        } else if (!add(out, value, err)) {
            return false;
        }
        part += whole;
        if (!*part) return true;
    }
}
