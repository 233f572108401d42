/* Ranks that talk by MPI; only in a build that has it (EM_MPI). */
#ifndef EM_EVAL_RANKS_MPI_H
#define EM_EVAL_RANKS_MPI_H

#include "eval/cluster/ranks.h"

/* Starts MPI, which ends with the ranks' close. The caller owns them. Errors: EM_MACHINE where MPI
 * cannot be started as it is needed. */
em_ranks *em_ranks_mpi(em_error *err);

#endif
