/* A packed row read by jansson, slowly and with a T x T mask kept whole, to compare ours with. */
#ifndef PACKED_ORACLE_H
#define PACKED_ORACLE_H

#include <stddef.h>

/* NULL: the same verdict and the same values, or the two may differ (numbers beyond 64 bits, a key
 * twice). */
const char *packed_oracle_compare(const char *line, size_t n);

#endif
