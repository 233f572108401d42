/* How this process was started: by itself, or as one of several. */
#include <stdlib.h>

#include "eval/cluster/ranks.h"
#ifdef EM_MPI
#include "eval/cluster/ranks_mpi.h"
#endif

/* Open MPI's mpirun; srun with pmix; Hydra and srun with pmi2. */
static const char *const rank_names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", NULL};
static const char *const size_names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS",
                                         NULL};

static const char *first_of(const char *const *names) {
    for (; *names; names++)
        if (getenv(*names)) return getenv(*names);
    return NULL;
}

int em_launch_rank(void) {
    const char *rank = first_of(rank_names);
    return rank ? atoi(rank) : 0;
}

/* SLURM_STEP_NUM_TASKS alone says nothing: a batch script's own shell has it too. */
int em_launch_ranks(void) {
    const char *ranks = first_of(rank_names) ? first_of(size_names) : NULL;
    return ranks ? atoi(ranks) : 1;
}

bool em_ranks_open(em_ranks **out, em_error *err) {
    int n = em_launch_ranks();
    *out = NULL;
    if (n < 2) return true;
#ifdef EM_MPI
    return (*out = em_ranks_mpi(err)) != NULL;
#else
    return em_fail(err, EM_USAGE,
                   "%d processes were started, but this build has no MPI and each would do the "
                   "whole run: build it where "
                   "CMake finds MPI (Debian: libopenmpi-dev), or start one",
                   n);
#endif
}
