/* Any bytes as a tokenizer (tokenizer.json, SentencePiece, tok*.bin); if they are one, a few texts.
 */
#include <stdlib.h>
#include <string.h>

#include "tokenize/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const em_tokenizer *t, em_tokenizer_scratch *s, const char *text, size_t n) {
    em_error err = EM_ERROR_INIT;
    em_tokens tokens = {0};
    if (em_tokenize(t, s, text, n, &tokens, &err)) {
        uint64_t sum = 0;
        for (size_t i = 0; i < tokens.n; i++) {
            char shown[32];
            if (tokens.ids[i] < 0 || tokens.ids[i] >= em_tokenizer_size(t)) abort();
            em_tokenizer_text(t, tokens.ids[i], shown, sizeof shown);
            sum += tokens.bytes[i];
        }
        if (tokens.n && sum != n) abort();
    }
    em_tokens_free(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const texts[] = {"It's a  test: 12345 caf\xc3\xa9 e\xcc\x81\n\n",
                                        "\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80 <s>a</s> <x> ab",
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa    \t\r\n"};
    em_error err = EM_ERROR_INIT;
    em_tokenizer *t = em_tokenizer_open("fuzz", data, size, NULL, 0, &err);
    if (!t) return 0;
    em_tokenizer_scratch *s = em_tokenizer_scratch_new(t, &err);
    for (int i = 0; s && i < 3; i++) encode(t, s, texts[i], strlen(texts[i]));
    if (s) encode(t, s, "a\0b", 3);
    em_tokenizer_scratch_free(s);
    em_tokenizer_close(t);
    return 0;
}
