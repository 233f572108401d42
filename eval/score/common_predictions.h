/* Which predictions are scored at every row length of a run? Only those can be compared between
 * lengths. */
#ifndef EM_EVAL_COMMON_PREDICTIONS_H
#define EM_EVAL_COMMON_PREDICTIONS_H

#include "eval/score/feed.h"

typedef struct em_common_predictions {
    const em_protocol_settings *protocol;
    em_pack_mode pack;      /* of the data set */
    const int32_t *lengths; /* [n]: row lengths in tokens */
    int n;
    int64_t total;                             /* tokens of the stream, or EM_UNKNOWN_TOTAL */
    int64_t kept[EM_MAX_LIST][EM_MAX_SCHEMES]; /* [lengths, schemes]: rows that --tail leaves */
} em_common_predictions;

/* Where nothing is dropped, how long the stream is makes no difference. */
#define EM_UNKNOWN_TOTAL (INT64_MAX / 4)

/* For a data set packed so, at these row lengths, [n], ascending. protocol and lengths outlive it.
 * total: EM_UNKNOWN_TOTAL only where --tail drops nothing. */
void em_common_predictions_make(em_common_predictions *e, const em_protocol_settings *protocol,
                                em_pack_mode pack, const int32_t *lengths, int n, int64_t total);

/* Whether the scheme's prediction of the token at `label` (stream index; under --pack none its
 * place in the document) is scored at every length, where it is known to be scored at one. */
bool em_common_predictions_has(const em_common_predictions *e, int scheme, int64_t label);

#endif
