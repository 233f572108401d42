#include "eval/settings/option_values.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "reports/results/results.h"

enum { NAME_BYTES = sizeof((em_result *)0)->data_set - 1 }; /* a cut name could be another's */

/* NAME=PATH, unless the whole of it is a file's name. */
bool em_value_named_path(const char *option, char *text, em_named_path *out, em_error *err) {
    char *equals = strchr(text, '=');
    *out = (em_named_path){NULL, text};
    if (!equals || equals == text || memchr(text, '/', (size_t)(equals - text)) ||
        access(text, F_OK) == 0)
        return true;
    *equals = 0;
    *out = (em_named_path){text, equals + 1};
    return strlen(text) <= NAME_BYTES ||
           em_fail(err, EM_USAGE, "%s %s=: a name has at most %d bytes", option, text, NAME_BYTES);
}

bool em_value_whole_number(const char *option, const char *text, int64_t least, int64_t most,
                           int64_t *out, em_error *err) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || isspace((unsigned char)*text) || v < least || v > most) {
        if (most == INT64_MAX)
            return em_fail(err, EM_USAGE, "%s %s: give a whole number of at least %lld", option,
                           text, (long long)least);
        return em_fail(err, EM_USAGE, "%s %s: give a whole number from %lld to %lld", option, text,
                       (long long)least, (long long)most);
    }
    *out = v;
    return true;
}

/* "4G", "512M", "1.5GiB", "800000000": bytes, units of 1024. */
bool em_value_byte_count(const char *option, const char *text, size_t *out, em_error *err) {
    char *end;
    double v = strtod(text, &end), unit = 1;
    if (end != text && *end) {
        const char *letters = "kmgt", *at = strchr(letters, tolower((unsigned char)*end));
        if (at) unit = (double)(1ULL << (10 * (at - letters + 1)));
        if (at && (!end[1] || !strcasecmp(end + 1, "b") || !strcasecmp(end + 1, "ib"))) end = "";
    }
    if (end == text || *end || !(v * unit >= 1) || v * unit > 1e18)
        return em_fail(err, EM_USAGE, "%s %s: give a size such as 800M or 4G", option, text);
    *out = (size_t)(v * unit);
    return true;
}

int em_word_distance(const char *a, size_t n, const char *b) {
    int row[64];
    size_t m = strlen(b);
    if (n > 40 || m > 40) return 99;
    for (size_t j = 0; j <= m; j++) row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (up + 1 < best) best = up + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[m];
}

/* One of the words; *out is its index. */
bool em_value_choice(const char *option, const char *text, const char *const *words, int *out,
                     em_error *err) {
    char list[160] = "", nearest[64] = "";
    int least = 3;
    for (int i = 0; words[i]; i++) {
        if (!strcmp(words[i], text)) return *out = i, true;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", words[i]);
        int d = em_word_distance(text, strlen(text), words[i]);
        if (d < least && d < (int)strlen(words[i])) {
            least = d;
            snprintf(nearest, sizeof nearest, "; did you mean %s?", words[i]);
        }
    }
    return em_fail(err, EM_USAGE, "%s %s: no such value; there are %s%s", option, text, list,
                   nearest);
}
