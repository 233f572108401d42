/* Several processes that share a run. Rank 0 does all that a single process does; what is spread is
 * the arithmetic: every rank opens the same models and turns rows into digests. Rank 0 counts these
 * in the order of the rows, as it counts its own, so results are the same bytes whatever the ranks.
 * docs/cluster.md */
#ifndef EM_EVAL_RANKS_H
#define EM_EVAL_RANKS_H

#include <signal.h>

#include "common/buffer.h"
#include "eval/score/job.h"
#include "eval/cluster/rank_info.h"

/* What the launcher (mpirun, srun) made of this process: its rank, and how many there are; 0 and 1
 * where there is none. */
int em_launch_rank(void);
/* How many processes the launcher started; 1 where there is none. */
int em_launch_ranks(void);

typedef struct em_ranks em_ranks;

typedef struct em_ranks_ops {
    /* Every rank brings its info, an error of its opening in it. Fails on all ranks with the same
     * error where one of them failed or they do not go together. info->capacity and job: the least
     * of all; devices: see em_rank_infos_check. */
    bool (*agree)(em_ranks *r, em_rank_info *info, bool mixed, em_buffer *devices, em_error *err);

    /* Of rank 0: the job is run by whichever rank is free, rank 0 among them, and then *done is
     * set. Until then it stays as it is; jobs may end in another order. */
    bool (*start)(em_ranks *r, const em_tools *tools, em_error *err);
    bool (*give)(em_ranks *r, em_job *j, bool *done, em_error *err);
    /* Moves what can be moved now. Fails where a rank failed, with its error. */
    bool (*poll)(em_ranks *r, em_error *err);
    /* After a signal, which a launcher also sends when a rank has died: EM_MACHINE names a rank
     * that does not answer. */
    bool (*check)(em_ranks *r, em_error *err);

    /* Of the other ranks: runs what it is given until rank 0 has no more. Sets *stop for its
     * networks then. */
    bool (*work)(em_ranks *r, const em_tools *tools, volatile sig_atomic_t *stop, em_error *err);

    /* Ends the others' work; on them, says so to rank 0. */
    void (*close)(em_ranks *r);
} em_ranks_ops;

struct em_ranks {
    const em_ranks_ops *ops;
    int rank, n;
    int node_rank, node_n; /* among the ranks of its node: it takes the device of that number */
    int threads;           /* its share of the cores that it may run on */
};

/* *out NULL: this process is alone. EM_USAGE where there are several and the build has no MPI. */
bool em_ranks_open(em_ranks **out, em_error *err);

#endif
