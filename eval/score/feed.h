/* Rows with what each label scheme makes of them: which batch they are in, and whether the tail
 * policy drops them. Under --tail drop a row waits until its batch is known to be complete: at
 * most B rows wait. */
#ifndef EM_EVAL_FEED_H
#define EM_EVAL_FEED_H

#include "eval/protocol/scored.h"
#include "eval/settings/settings.h"
#include "loader/pack.h"

typedef struct em_fed_row {
    em_row *row;                        /* owned */
    em_reading reading[EM_MAX_SCHEMES]; /* per label scheme; inputs 0: the scheme has no such row */
    int64_t batch[EM_MAX_SCHEMES];      /* number of its batch */
    bool dropped[EM_MAX_SCHEMES];       /* by the tail policy */
} em_fed_row;

void em_fed_row_free(em_fed_row *f); /* frees the row too; f may be NULL */
/* The positions that the scheme scores: none where it has no such row, or the row is dropped. The
 * row outlives the walk. */
em_scored_walk em_fed_row_scored(const em_fed_row *f, const em_protocol_settings *protocol,
                                 int scheme);

typedef struct em_feed em_feed;

/* Over the packer's rows of T = row_tokens, for the protocol's schemes, batch and tail. packer and
 * protocol stay the caller's and outlive it. NULL: EM_MACHINE, memory is out. */
em_feed *em_feed_open(em_packer *packer, const em_protocol_settings *protocol, int32_t row_tokens,
                      em_error *err);
/* 1: *out is the next row that some scheme has, the caller's to free; 0: end; -1: the packer's
 * error, or EM_MACHINE. */
int em_feed_next(em_feed *f, em_fed_row **out, em_error *err);
int64_t em_feed_rows(const em_feed *f); /* rows that came from the packer */
void em_feed_close(em_feed *f);         /* frees the rows that wait; f may be NULL */

#endif
