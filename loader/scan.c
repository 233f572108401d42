#include "loader/scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/utf8.h"

/* ---- portable: the reference ---- */

static bool stops_string(unsigned char c) { return c == '"' || c == '\\' || c < 0x20; }

static const char *string_portable(const char *p, const char *end) {
    while (p < end && !stops_string((unsigned char)*p)) p++;
    return p;
}

static size_t utf8_portable(const char *text, size_t n) {
    const unsigned char *s = (const unsigned char *)text;
    size_t i = 0, length;
    while (i < n && (length = em_utf8_character(s + i, n - i))) i += length;
    return i;
}

static const em_scan portable = {"portable", string_portable, utf8_portable};

#ifdef __x86_64__
#include <immintrin.h>

/* ---- SSE2: every x86-64 has it ---- */

static const char *string_sse2(const char *p, const char *end) {
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'),
                  control = _mm_set1_epi8(0x1f);
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)p);
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
        unsigned mask = (unsigned)_mm_movemask_epi8(stop);
        if (mask) return p + __builtin_ctz(mask);
    }
    return string_portable(p, end);
}

/* Skips ASCII by 16 bytes; the rest goes character by character. */
static size_t utf8_sse2(const char *text, size_t n) {
    const unsigned char *s = (const unsigned char *)text;
    size_t i = 0;
    while (n - i >= 16) {
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(s + i)));
        if (!mask) {
            i += 16;
            continue;
        }
        i += (size_t)__builtin_ctz(mask);
        do {
            size_t length = em_utf8_character(s + i, n - i);
            if (!length) return i;
            i += length;
        } while (i < n && s[i] >= 0x80);
    }
    return i + utf8_portable(text + i, n - i);
}

static const em_scan sse2 = {"sse2", string_sse2, utf8_sse2};

/* ---- AVX2 ---- */

#define AVX2 __attribute__((target("avx2")))

AVX2 static const char *string_avx2(const char *p, const char *end) {
    const __m256i quote = _mm256_set1_epi8('"'), backslash = _mm256_set1_epi8('\\');
    const __m256i control = _mm256_set1_epi8(0x1f);
    for (; end - p >= 32; p += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)p);
        __m256i stop = _mm256_or_si256(_mm256_cmpeq_epi8(v, quote),
                                       _mm256_cmpeq_epi8(v, backslash));
        stop = _mm256_or_si256(stop, _mm256_cmpeq_epi8(_mm256_min_epu8(v, control), v));
        unsigned mask = (unsigned)_mm256_movemask_epi8(stop);
        if (mask) return p + __builtin_ctz(mask);
    }
    return string_sse2(p, end);
}

/* Keiser and Lemire, "Validating UTF-8 in less than one instruction per byte" (2021): a byte and
 * the one before it are looked up by three half-bytes; the bits that all three tables share name
 * an error that a pair of bytes can show. TWO_CONTS is no error where a third or fourth byte is
 * due. */
enum {
    TOO_SHORT = 1 << 0,
    TOO_LONG = 1 << 1,
    OVERLONG_3 = 1 << 2,
    TOO_LARGE = 1 << 3,
    SURROGATE = 1 << 4,
    OVERLONG_2 = 1 << 5,
    OVERLONG_4 = 1 << 6,
    TOO_LARGE_1000 = 1 << 6,
    TWO_CONTS = 1 << 7,
    CARRY = TOO_SHORT | TOO_LONG | TWO_CONTS
};

#define BOTH_LANES(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)
#define B(x) ((char)(x))

AVX2 static inline __m256i high_half(__m256i v) {
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));
}

/* Each byte's class of error, seen from the byte before it (before) and itself (v). */
AVX2 static inline __m256i pair_errors(__m256i v, __m256i before) {
    const __m256i first_high = BOTH_LANES(
        TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG,
        B(TWO_CONTS), B(TWO_CONTS), B(TWO_CONTS), B(TWO_CONTS), TOO_SHORT | OVERLONG_2, TOO_SHORT,
        TOO_SHORT | OVERLONG_3 | SURROGATE, TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4);
    const __m256i first_low = BOTH_LANES(
        B(CARRY | OVERLONG_3 | OVERLONG_2 | OVERLONG_4), B(CARRY | OVERLONG_2), B(CARRY), B(CARRY),
        B(CARRY | TOO_LARGE), B(CARRY | TOO_LARGE | TOO_LARGE_1000),
        B(CARRY | TOO_LARGE | TOO_LARGE_1000), B(CARRY | TOO_LARGE | TOO_LARGE_1000),
        B(CARRY | TOO_LARGE | TOO_LARGE_1000), B(CARRY | TOO_LARGE | TOO_LARGE_1000),
        B(CARRY | TOO_LARGE | TOO_LARGE_1000), B(CARRY | TOO_LARGE | TOO_LARGE_1000),
        B(CARRY | TOO_LARGE | TOO_LARGE_1000), B(CARRY | TOO_LARGE | TOO_LARGE_1000 | SURROGATE),
        B(CARRY | TOO_LARGE | TOO_LARGE_1000), B(CARRY | TOO_LARGE | TOO_LARGE_1000));
    const __m256i second_high = BOTH_LANES(
        TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
        B(TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4),
        B(TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE),
        B(TOO_LONG | OVERLONG_2 | TWO_CONTS | SURROGATE | TOO_LARGE),
        B(TOO_LONG | OVERLONG_2 | TWO_CONTS | SURROGATE | TOO_LARGE), TOO_SHORT, TOO_SHORT,
        TOO_SHORT, TOO_SHORT);
    __m256i a = _mm256_shuffle_epi8(first_high, high_half(before));
    __m256i b = _mm256_shuffle_epi8(first_low, _mm256_and_si256(before, _mm256_set1_epi8(0x0f)));
    __m256i c = _mm256_shuffle_epi8(second_high, high_half(v));
    return _mm256_and_si256(_mm256_and_si256(a, b), c);
}

/* Non-zero where v (with the block before it) breaks a rule. */
AVX2 static inline __m256i block_errors(__m256i v, __m256i previous) {
    __m256i carried = _mm256_permute2x128_si256(previous, v, 0x21);
    __m256i before1 = _mm256_alignr_epi8(v, carried, 15),
            before2 = _mm256_alignr_epi8(v, carried, 14),
            before3 = _mm256_alignr_epi8(v, carried, 13);
    __m256i third = _mm256_subs_epu8(before2, _mm256_set1_epi8(0xe0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(before3, _mm256_set1_epi8(0xf0 - 0x80));
    __m256i due = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(B(0x80)));
    return _mm256_xor_si256(due, pair_errors(v, before1));
}

/* Non-zero where the block ends inside a character. */
AVX2 static inline __m256i unfinished(__m256i v) {
    const __m256i most = _mm256_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                          -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                          -1, B(0xf0 - 1), B(0xe0 - 1), B(0xc0 - 1));
    return _mm256_subs_epu8(v, most);
}

AVX2 static bool valid_avx2(const char *s, size_t n) {
    __m256i error = _mm256_setzero_si256(), previous = error, open = error;
    char rest[32] = {0};
    size_t i = 0;
    for (bool last = false; !last;) {
        __m256i v;
        last = n - i < 32;
        if (last) {
            memcpy(rest, s + i, n - i); /* zeros behind: they close, or show, a cut character */
            v = _mm256_loadu_si256((const __m256i *)rest);
        } else {
            v = _mm256_loadu_si256((const __m256i *)(s + i));
        }
        if (!_mm256_movemask_epi8(v)) {
            error = _mm256_or_si256(error, open);
            open = _mm256_setzero_si256();
        } else {
            error = _mm256_or_si256(error, block_errors(v, previous));
            open = unfinished(v);
        }
        previous = v;
        i += 32;
    }
    error = _mm256_or_si256(error, open);
    return _mm256_testz_si256(error, error);
}

static size_t utf8_avx2(const char *s, size_t n) {
    return valid_avx2(s, n) ? n : utf8_portable(s, n);
}

static const em_scan avx2 = {"avx2", string_avx2, utf8_avx2};

static const em_scan *const scans[] = {&portable, &sse2, &avx2};
static size_t usable(void) { return __builtin_cpu_supports("avx2") ? 3 : 2; }

#else

static const em_scan *const scans[] = {&portable};
static size_t usable(void) { return 1; }

#endif

const em_scan *const *em_scans(size_t *n) {
    *n = usable();
    return scans;
}

const em_scan *em_scan_best(void) { return scans[usable() - 1]; }
