/* Synthetic documents: random words that the tokenizer knows as one token each, so that a document
 * has as many tokens as it should. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "eval/bench/bench_parts.h"

/* Document lengths in tokens at the middles of 32 equal shares of the Pile's documents, by its
 * Table 1 (Gao et al. 2020, arXiv 2101.00027): 22 components with their weights and mean sizes,
 * lengths within a component log-normal with sigma 1 (an assumption; the table has means only),
 * 0.29335 tokens a byte (the same paper). Their mean is 1378; books and chat logs, beyond the last
 * share, are left out. */
static const int32_t pile_lengths[32] = {
    45,  78,  106, 133, 159, 186,  214,  244,  274,  307,  342,  379,  419,  462,  509,  560,
    617, 679, 749, 827, 916, 1018, 1137, 1279, 1450, 1663, 1938, 2311, 2857, 3756, 5618, 12871};

/* Document k's share: the golden ratio's multiples fill the unit interval evenly at any number of
 * documents. */
static int32_t pile_length(int64_t k) {
    double u = (double)(k + 1) * 0.6180339887498949;
    return pile_lengths[(int)((u - (double)(int64_t)u) * 32)];
}

typedef struct words {
    char **items;
    int n;
    const char *lead; /* before a text's first word */
} words;

static bool is_word(const char *text, size_t n) {
    if (n < 3 || n > 12) return false;
    for (size_t i = 0; i < n; i++)
        if (!islower((unsigned char)text[i])) return false;
    return true;
}

/* Tokens of "word word word" behind the lead; -1 where the tokenizer fails. */
static int64_t tokens_of(const em_setup *s, em_tokenizer_scratch *scratch, const char *lead,
                         const char *word) {
    char text[64];
    em_tokens tokens = {0};
    em_error ignored = EM_ERROR_INIT;
    int n = snprintf(text, sizeof text, "%s%s %s %s", lead, word, word, word);
    bool good = em_tokenize(s->tokenizer, scratch, text, (size_t)n, &tokens, &ignored);
    int64_t count = good ? (int64_t)tokens.n : -1;
    em_tokens_free(&tokens);
    return count;
}

static void words_free(words *w) {
    for (int i = 0; i < w->n; i++) free(w->items[i]);
    free(w->items);
}

enum { MOST_WORDS = 4096, LEAST_WORDS = 16 };

/* Words that are one token wherever they stand: with or without a space at the text's start, by the
 * tokenizer. */
static bool find_words(const em_setup *s, em_tokenizer_scratch *scratch, const char *lead, words *w,
                       em_error *err) {
    *w = (words){.items = em_alloc(MOST_WORDS, sizeof *w->items, "words", err), .lead = lead};
    for (int32_t id = 0; w->items && id < em_tokenizer_size(s->tokenizer) && w->n < MOST_WORDS;
         id++) {
        char text[32];
        size_t n = em_tokenizer_text(s->tokenizer, id, text, sizeof text);
        if (*text != ' ' || !is_word(text + 1, n - 1) || tokens_of(s, scratch, lead, text + 1) != 3)
            continue;
        if (!(w->items[w->n] = strdup(text + 1))) return em_fail_memory(err, n, "words");
        w->n++;
    }
    return w->items != NULL;
}

static bool usable_words(const em_setup *s, words *w, em_error *err) {
    em_tokenizer_scratch *scratch = em_tokenizer_scratch_new(s->tokenizer, err);
    bool good = scratch && find_words(s, scratch, "", w, err);
    if (good && w->n < LEAST_WORDS) {
        words_free(w);
        good = find_words(s, scratch, " ", w, err);
    }
    em_tokenizer_scratch_free(scratch);
    if (good && w->n < LEAST_WORDS)
        good = em_fail_at(err, EM_INPUT, s->tokenizer_source, 0, -1,
                          "has too few words that are one token: give other data "
                          "with --data, or another tokenizer with --tokenizer");
    return good;
}

int64_t em_bench_text(const em_setup *setup, int32_t length, int64_t tokens, em_buffer *out,
                      em_error *err) {
    words w = {0};
    int64_t documents = 0, around = setup->n_before + setup->n_after;
    uint64_t state = 1;
    bool good = usable_words(setup, &w, err);
    while (good && tokens > 0) {
        int64_t n = (length ? length : pile_length(documents)) - around;
        if (n < 1) n = 1;
        em_buffer_printf(out, "{\"text\": \"%s", w.lead);
        for (int64_t i = 0; i < n; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            em_buffer_printf(out, "%s%s", i ? " " : "", w.items[(state >> 33) % (uint64_t)w.n]);
        }
        em_buffer_puts(out, "\", \"meta\": {\"pile_set_name\": \"synthetic\"}}\n");
        tokens -= n + around;
        documents++;
    }
    words_free(&w);
    return good ? documents : -1;
}
