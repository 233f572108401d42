/* The files beside a tokenizer: tokenizer_config.json, added_tokens.json, special_tokens_map.json.
 * They add tokens to the tokenizer's own file, and may contradict it; docs/model.md has the rule.
 */
#ifndef EM_TOKENIZE_BESIDE_H
#define EM_TOKENIZE_BESIDE_H

#include "tokenize/engine.h"

/* Applies what the files say to t, which em_open_… has filled in, and notes in t->notes what they
 * and the tokenizer's file disagree on. Errors: EM_INPUT where a file is broken, or where it and
 * another cannot both be followed; EM_MACHINE. */
bool em_beside_apply(em_tokenizer *t, const em_tokenizer_files *files, em_error *err);

#endif
