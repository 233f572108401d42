/* What a run cost: --profile's JSON, written and read back. */
#ifndef EM_EVAL_PROFILE_H
#define EM_EVAL_PROFILE_H

#include <stddef.h>
#include <stdint.h>
#include "common/buffer.h"
#include "kernels/backend.h"
#include "model/flops.h"

typedef struct em_profile {
    int ranks, threads; /* threads, stages, flops and memory are those of rank 0 */
    char isa[64];
    double seconds, open_seconds; /* of the whole run; until the data was first asked for a row */
    double processor_seconds;     /* of all threads */
    double read_seconds, tokenize_seconds; /* of the loader's threads' processor time: beside the
                                              rest, not part of it */
    double wait_seconds;                   /* that the run waited for the loader */
    int64_t tokens, padded_tokens; /* of the stream; that went through a model, in whole tiles */
    int64_t peak_memory_bytes;     /* resident, mapped files included */
    int64_t peak_device_bytes; /* of a device's memory, without what its driver and libraries take;
                                  0: on the CPU */
    em_stage_times stages;     /* seconds */
    em_flops flops;
} em_profile;

/* Appends it to *out as JSON. */
void em_profile_print(const em_profile *p, em_buffer *out);
/* Reads back [n] bytes of what em_profile_print wrote. EM_MACHINE: they are not. */
bool em_profile_parse(const char *text, size_t n, em_profile *out, em_error *err);

/* The largest resident size that this program has had; 0 where the system does not say. */
int64_t em_peak_memory(void);
/* That this program's threads have taken so far. */
double em_processor_seconds(void);

#endif
