/* SentencePiece behind C: everything that is C++ stays in sentencepiece.cc, and no exception
 * leaves it. */
#ifndef EM_TOKENIZE_SENTENCEPIECE_H
#define EM_TOKENIZE_SENTENCEPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct em_spm em_spm;

/* A serialized ModelProto. NULL and a line in why where it is none. */
em_spm *em_spm_open(const void *data, size_t size, char *why, size_t why_n);
void em_spm_close(em_spm *m);

/* Gives each piece's id and the byte of the text where it ends; push returns false to stop.
 * false: why says what went wrong ("" where push stopped). Threads may share m. */
typedef bool em_spm_push(void *context, int32_t id, uint32_t end);
bool em_spm_encode(const em_spm *m, const char *text, size_t n, em_spm_push *push, void *context,
                   char *why, size_t why_n);

int32_t em_spm_size(const em_spm *m);
int32_t em_spm_bos(const em_spm *m); /* -1: none */
int32_t em_spm_eos(const em_spm *m);
int32_t em_spm_id(const em_spm *m, const char *piece); /* -1: there is no such piece */
bool em_spm_is_byte(const em_spm *m,
                    int32_t id); /* <0xNN>: one byte of a character without a piece */
const char *em_spm_piece(const em_spm *m, int32_t id); /* valid while m lives */

#ifdef __cplusplus
}
#endif
#endif
