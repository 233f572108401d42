#include "tokenize/unicode.h"

#include <string.h>
#include <utf8proc.h>

#include "common/utf8.h"

enum {
    LU = UTF8PROC_CATEGORY_LU,
    LL = UTF8PROC_CATEGORY_LL,
    LM = UTF8PROC_CATEGORY_LM,
    LO = UTF8PROC_CATEGORY_LO,
    MN = UTF8PROC_CATEGORY_MN,
    MC = UTF8PROC_CATEGORY_MC,
    ND = UTF8PROC_CATEGORY_ND,
    NO = UTF8PROC_CATEGORY_NO,
    PD = UTF8PROC_CATEGORY_PD,
    PO = UTF8PROC_CATEGORY_PO,
    SM = UTF8PROC_CATEGORY_SM,
    SO = UTF8PROC_CATEGORY_SO,
    CF = UTF8PROC_CATEGORY_CF
};

/* Differences of UnicodeData.txt 14.0 and 16.0, by tests/tokenize/unicode_ranges.py. */
const em_category_range em_category_changes[] = {
    {0x897, 0x897, MN},     {0xcf3, 0xcf3, MC},     {0xece, 0xece, MN},     {0x1b4e, 0x1b4f, PO},
    {0x1b7f, 0x1b7f, PO},   {0x1c89, 0x1c89, LU},   {0x1c8a, 0x1c8a, LL},   {0x2427, 0x2429, SO},
    {0x2ffc, 0x2fff, SO},   {0x31e4, 0x31e5, SO},   {0x31ef, 0x31ef, SO},   {0xa7cb, 0xa7cc, LU},
    {0xa7cd, 0xa7cd, LL},   {0xa7da, 0xa7da, LU},   {0xa7db, 0xa7db, LL},   {0xa7dc, 0xa7dc, LU},
    {0x105c0, 0x105f3, LO}, {0x10d40, 0x10d49, ND}, {0x10d4a, 0x10d4d, LO}, {0x10d4e, 0x10d4e, LM},
    {0x10d4f, 0x10d4f, LO}, {0x10d50, 0x10d65, LU}, {0x10d69, 0x10d6d, MN}, {0x10d6e, 0x10d6e, PD},
    {0x10d6f, 0x10d6f, LM}, {0x10d70, 0x10d85, LL}, {0x10d8e, 0x10d8f, SM}, {0x10ec2, 0x10ec4, LO},
    {0x10efc, 0x10eff, MN}, {0x1123f, 0x11240, LO}, {0x11241, 0x11241, MN}, {0x11380, 0x11389, LO},
    {0x1138b, 0x1138b, LO}, {0x1138e, 0x1138e, LO}, {0x11390, 0x113b5, LO}, {0x113b7, 0x113b7, LO},
    {0x113b8, 0x113ba, MC}, {0x113bb, 0x113c0, MN}, {0x113c2, 0x113c2, MC}, {0x113c5, 0x113c5, MC},
    {0x113c7, 0x113ca, MC}, {0x113cc, 0x113cd, MC}, {0x113ce, 0x113ce, MN}, {0x113cf, 0x113cf, MC},
    {0x113d0, 0x113d0, MN}, {0x113d1, 0x113d1, LO}, {0x113d2, 0x113d2, MN}, {0x113d3, 0x113d3, LO},
    {0x113d4, 0x113d5, PO}, {0x113d7, 0x113d8, PO}, {0x113e1, 0x113e2, MN}, {0x116d0, 0x116e3, ND},
    {0x1171e, 0x1171e, MC}, {0x11b00, 0x11b09, PO}, {0x11bc0, 0x11be0, LO}, {0x11be1, 0x11be1, PO},
    {0x11bf0, 0x11bf9, ND}, {0x11f00, 0x11f01, MN}, {0x11f02, 0x11f02, LO}, {0x11f03, 0x11f03, MC},
    {0x11f04, 0x11f10, LO}, {0x11f12, 0x11f33, LO}, {0x11f34, 0x11f35, MC}, {0x11f36, 0x11f3a, MN},
    {0x11f3e, 0x11f3f, MC}, {0x11f40, 0x11f40, MN}, {0x11f41, 0x11f41, MC}, {0x11f42, 0x11f42, MN},
    {0x11f43, 0x11f4f, PO}, {0x11f50, 0x11f59, ND}, {0x11f5a, 0x11f5a, MN}, {0x1342f, 0x1342f, LO},
    {0x13439, 0x1343f, CF}, {0x13440, 0x13440, MN}, {0x13441, 0x13446, LO}, {0x13447, 0x13455, MN},
    {0x13460, 0x143fa, LO}, {0x16100, 0x1611d, LO}, {0x1611e, 0x16129, MN}, {0x1612a, 0x1612c, MC},
    {0x1612d, 0x1612f, MN}, {0x16130, 0x16139, ND}, {0x16d40, 0x16d42, LM}, {0x16d43, 0x16d6a, LO},
    {0x16d6b, 0x16d6c, LM}, {0x16d6d, 0x16d6f, PO}, {0x16d70, 0x16d79, ND}, {0x18cff, 0x18cff, LO},
    {0x1b132, 0x1b132, LO}, {0x1b155, 0x1b155, LO}, {0x1cc00, 0x1ccef, SO}, {0x1ccf0, 0x1ccf9, ND},
    {0x1cd00, 0x1ceb3, SO}, {0x1d2c0, 0x1d2d3, NO}, {0x1df25, 0x1df2a, LL}, {0x1e030, 0x1e06d, LM},
    {0x1e08f, 0x1e08f, MN}, {0x1e4d0, 0x1e4ea, LO}, {0x1e4eb, 0x1e4eb, LM}, {0x1e4ec, 0x1e4ef, MN},
    {0x1e4f0, 0x1e4f9, ND}, {0x1e5d0, 0x1e5ed, LO}, {0x1e5ee, 0x1e5ef, MN}, {0x1e5f0, 0x1e5f0, LO},
    {0x1e5f1, 0x1e5fa, ND}, {0x1e5ff, 0x1e5ff, PO}, {0x1f6dc, 0x1f6dc, SO}, {0x1f774, 0x1f776, SO},
    {0x1f77b, 0x1f77f, SO}, {0x1f7d9, 0x1f7d9, SO}, {0x1f8b2, 0x1f8bb, SO}, {0x1f8c0, 0x1f8c1, SO},
    {0x1fa75, 0x1fa77, SO}, {0x1fa87, 0x1fa89, SO}, {0x1fa8f, 0x1fa8f, SO}, {0x1faad, 0x1faaf, SO},
    {0x1fabb, 0x1fabf, SO}, {0x1fac6, 0x1fac6, SO}, {0x1face, 0x1facf, SO}, {0x1fada, 0x1fadc, SO},
    {0x1fadf, 0x1fadf, SO}, {0x1fae8, 0x1fae9, SO}, {0x1faf7, 0x1faf8, SO}, {0x1fbcb, 0x1fbef, SO},
    {0x2b739, 0x2b739, LO}, {0x2ebf0, 0x2ee5d, LO}, {0x31350, 0x323af, LO},
};
const size_t em_category_changes_count = sizeof em_category_changes / sizeof *em_category_changes;

typedef struct range {
    int32_t first, last;
} range;

/* Combining marks and compatibility characters that are younger than the normalizers' tables. */
static const range unnormalized[] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},
    {0xa82c, 0xa82c},   {0xab69, 0xab69},   {0x10781, 0x10785}, {0x10787, 0x107b0},
    {0x107b2, 0x107ba}, {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10efd, 0x10eff},
    {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x1133b, 0x1133b},
    {0x1145e, 0x1145e}, {0x11839, 0x1183a}, {0x11938, 0x11938}, {0x1193d, 0x1193e},
    {0x11943, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34}, {0x11a47, 0x11a47},
    {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97},
    {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1}, {0x1e030, 0x1e06d}, {0x1e08f, 0x1e08f},
    {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef},
    {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9},
};

/* Punctuation younger than the tables of the Punctuation pre-tokenizer (unicode_categories, Unicode
 * 8). */
static const range later_punctuation[] = {
    {0x61d, 0x61d},     {0x9fd, 0x9fd},     {0xa76, 0xa76},     {0xc77, 0xc77},
    {0xc84, 0xc84},     {0x1b4e, 0x1b4f},   {0x1b7d, 0x1b7f},   {0x2e43, 0x2e4f},
    {0x2e52, 0x2e5d},   {0x10d6e, 0x10d6e}, {0x10ead, 0x10ead}, {0x10f55, 0x10f59},
    {0x10f86, 0x10f89}, {0x113d4, 0x113d5}, {0x113d7, 0x113d8}, {0x1144b, 0x1144f},
    {0x1145a, 0x1145b}, {0x1145d, 0x1145d}, {0x11660, 0x1166c}, {0x116b9, 0x116b9},
    {0x1183b, 0x1183b}, {0x11944, 0x11946}, {0x119e2, 0x119e2}, {0x11a3f, 0x11a46},
    {0x11a9a, 0x11a9c}, {0x11a9e, 0x11aa2}, {0x11b00, 0x11b09}, {0x11be1, 0x11be1},
    {0x11c41, 0x11c45}, {0x11c70, 0x11c71}, {0x11ef7, 0x11ef8}, {0x11f43, 0x11f4f},
    {0x11fff, 0x11fff}, {0x12ff1, 0x12ff2}, {0x16d6d, 0x16d6f}, {0x16e97, 0x16e9a},
    {0x16fe2, 0x16fe2}, {0x1e5ff, 0x1e5ff}, {0x1e95e, 0x1e95f},
};

enum { O = EM_CHAR_OTHER, L = EM_CHAR_LETTER, N = EM_CHAR_NUMBER, S = EM_CHAR_SPACE };

const uint8_t em_ascii_class[128] = {
    O, O, O, O, O, O, O, O, O, S, S, S, S, S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
};

size_t em_utf8_check(const char *s, size_t n) {
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        if (n - i >= 8 && (memcpy(&eight, s + i, 8), (eight & 0x8080808080808080u) == 0)) {
            i += 8;
            continue;
        }
        size_t length = em_utf8_character((const unsigned char *)s + i, n - i);
        if (!length) return i;
        i += length;
    }
    return n;
}

int32_t em_utf8_before(const char *s, size_t end, size_t *start) {
    unsigned length;
    do end--;
    while (end && ((unsigned char)s[end] & 0xc0) == 0x80);
    *start = end;
    return em_utf8_at(s + end, &length);
}

unsigned em_utf8_put(int32_t c, char out[4]) {
    return (unsigned)utf8proc_encode_char(c, (utf8proc_uint8_t *)out);
}

int em_category(int32_t c) {
    int category = utf8proc_category(c);
    if (category != UTF8PROC_CATEGORY_CN) return category;
    size_t low = 0, high = em_category_changes_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (em_category_changes[middle].last < c) low = middle + 1;
        else high = middle;
    }
    bool inside = low < em_category_changes_count && em_category_changes[low].first <= c;
    return inside ? em_category_changes[low].category : category;
}

bool em_is_space(int32_t c) {
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

em_char_class em_char_class_wide(int32_t c) {
    int category = em_category(c);
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) return EM_CHAR_LETTER;
    if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) return EM_CHAR_NUMBER;
    return em_is_space(c) ? EM_CHAR_SPACE : EM_CHAR_OTHER;
}

/* Alphabetic, M, Nd, Pc and Join_Control; Other_Alphabetic beyond those is the enclosed letters. */
bool em_is_word(int32_t c) {
    int category = em_category(c);
    bool listed = (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) ||
                  category == UTF8PROC_CATEGORY_PC;
    bool enclosed = (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
                    (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
    return listed || enclosed || c == 0x200c || c == 0x200d;
}

static bool in_ranges(const range *ranges, size_t n, int32_t c) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges[middle].last < c) low = middle + 1;
        else high = middle;
    }
    return low < n && ranges[low].first <= c;
}

bool em_is_punctuation(int32_t c) {
    if (c < 128) return c > 32 && c < 127 && em_ascii_class[c] == EM_CHAR_OTHER;
    int category = em_category(c);
    bool now = category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
    bool then = c == 0x166d || c == 0x111c9; /* that have left the category since */
    return then || (now && !in_ranges(later_punctuation,
                                      sizeof later_punctuation / sizeof *later_punctuation, c));
}

/* Unicode 17: the two blocks of digits that it added. */
bool em_is_numeric(int32_t c) {
    return em_char_class_of(c) == EM_CHAR_NUMBER || (c >= 0x11de0 && c <= 0x11de9) ||
           (c >= 0x16ff4 && c <= 0x16ff6);
}

bool em_normalizes(int32_t c) {
    return !in_ranges(unnormalized, sizeof unnormalized / sizeof *unnormalized, c);
}
