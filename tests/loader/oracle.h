/* The record scanner's reference: the same verdict from jansson, which is given what Python's json
 * writes beyond RFC 8259 as python_json.h makes it. Where the two differ by intent,
 * the oracle says so and the caller leaves the case out:
 * - nesting: ours ends at 512, jansson's at 2048;
 * - a number beyond a double's range: an error for jansson, skipped unread by ours;
 * - U+0000 in a key: an error for jansson.
 * A NUL byte, which JSON has nowhere, is bad without asking jansson: it loses one after a number or
 * word. */
#ifndef EM_TESTS_LOADER_ORACLE_H
#define EM_TESTS_LOADER_ORACLE_H

#include "loader/record.h"

typedef enum oracle_verdict {
    ORACLE_BAD,
    ORACLE_GOOD,
    ORACLE_UNREAD, /* good, if the half of a surrogate pair in it is not in what is read */
    ORACLE_DIFFERS
} oracle_verdict;

/* What jansson makes of a record; text and group in *out where it is good. */
oracle_verdict oracle_record(const char *line, size_t n, const em_record_keys *keys,
                             em_record *out);

/* Gives the line to both; NULL where they agree, else what they disagree about. */
const char *oracle_compare(const char *line, size_t n, const em_record_keys *keys);

#endif
