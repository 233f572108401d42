/* A row with what the label schemes make of it, as bytes and back: what one process sends to
 * another to be scored. */
#ifndef EM_EVAL_ROW_MESSAGE_H
#define EM_EVAL_ROW_MESSAGE_H

#include "common/state.h"
#include "eval/score/feed.h"

/* Writes *row, or reads it: then *row is a new one, the caller's also where this fails (NULL, or in
 * part), and everything in it lies within the row. False: io's error. */
bool em_row_message(em_fed_row **row, const em_protocol_settings *protocol, em_state *io);

#endif
