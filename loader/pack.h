/* The stream cut into rows. The stream is every document's tokens one after another; a row is
 * T consecutive ones, and a row's window is the row and, where there is one, the token after
 * it (label schemes in which the caller shifts need it). Rows begin every `stride` tokens, until
 * one reaches the stream's end. */
#ifndef EM_LOADER_PACK_H
#define EM_LOADER_PACK_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "loader/loader.h"

/* The part of one document inside one window: tokens [start, end). */
typedef struct em_segment {
    int32_t start, end;
    int32_t group;           /* the document's, for em_loader_group_name */
    int64_t document;        /* its index */
    int64_t place;           /* of the segment's first token within the document's tokens */
    uint64_t document_bytes; /* of the whole document's text */
} em_segment;

typedef struct em_row {
    int64_t index;                  /* 0, 1, 2 … in the order of the stream */
    int64_t stream;                 /* stream index of the first token */
    int32_t tokens;                 /* of the row itself: T, or fewer in a short row */
    int32_t window;                 /* tokens in the arrays: tokens, or tokens + 1 */
    int32_t overlap;                /* tokens at its begin that the row before has too */
    int32_t scored_from, scored_to; /* positions whose predictions count: [0, T) for packed rows */
    int32_t n_segments;             /* they cover the window without a gap */
    int32_t *ids;                   /* [window] */
    uint32_t *bytes;                /* [window]: of the input text; 0 for added tokens */
    uint8_t *kind;                  /* [window]: em_token_kind */
    em_segment *segments;           /* [n_segments] */
} em_row;

/* One of zeros, with room for so many tokens and segments. */
em_row *em_row_new(int32_t window, int32_t n_segments, em_error *err);
void em_row_free(em_row *r); /* r may be NULL */

/* Index of the segment that holds token i of the window. Binary search. */
int32_t em_row_segment(const em_row *r, int32_t i);

typedef enum em_pack_mode {
    EM_PACK_STREAM, /* rows run across documents */
    EM_PACK_NONE    /* every document by itself: rows of T, its last one as short as it comes */
} em_pack_mode;

typedef struct em_pack_options {
    em_pack_mode mode;
    int32_t row_tokens; /* T */
    int32_t stride;     /* at most T; 0: T */
    int64_t max_tokens; /* the stream is cut after that many; 0: no limit */
} em_pack_options;

typedef struct em_packer em_packer;

em_packer *em_packer_open(em_loader *source, const em_pack_options *options, em_error *err);
/* 1: *out is the next row, the caller's to free; 0: end; -1: err. */
int em_packer_next(em_packer *p, em_row **out, em_error *err);
int64_t em_packer_tokens(const em_packer *p); /* stream tokens handed out in rows so far */
int64_t em_packer_bytes(const em_packer *p);  /* of text that the stream's tokens cover: less than
                                                 the documents' where it is cut */
int64_t em_packer_documents(const em_packer *p); /* documents that the cut leaves in the stream; one
                                                    without tokens is one */
void em_packer_close(em_packer *p);              /* the loader stays the caller's */

#endif
