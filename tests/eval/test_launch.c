/* How a process finds out that it is one of several. eval/cluster/launch.c is compiled here as in a
 * build without MPI. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/cluster/ranks.h"

static const char *const names[] = {
    "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE",
    "SLURM_STEP_NUM_TASKS"};

static int clear(void **state) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
    return 0;
}

static void alone(void **state) {
    em_error err = EM_ERROR_INIT;
    em_ranks *r = (em_ranks *)&err;
    assert_int_equal(em_launch_rank(), 0);
    assert_int_equal(em_launch_ranks(), 1);
    assert_true(em_ranks_open(&r, &err));
    assert_null(r);
}

/* What a batch script's shell has in its environment is no rank. */
static void inside_a_slurm_job(void **state) {
    setenv("SLURM_STEP_NUM_TASKS", "8", 1);
    alone(state);
}

static void expect(const char *rank, const char *size) {
    setenv(rank, "3", 1);
    setenv(size, "8", 1);
    assert_int_equal(em_launch_rank(), 3);
    assert_int_equal(em_launch_ranks(), 8);
}

static void by_mpirun(void **state) { expect("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"); }
static void by_srun_with_pmix(void **state) { expect("PMIX_RANK", "SLURM_STEP_NUM_TASKS"); }
static void by_hydra(void **state) { expect("PMI_RANK", "PMI_SIZE"); }

static void one_of_one(void **state) {
    setenv("OMPI_COMM_WORLD_RANK", "0", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
    alone(state);
}

static void several_without_mpi(void **state) {
    em_error err = EM_ERROR_INIT;
    em_ranks *r;
    by_mpirun(state);
    assert_false(em_ranks_open(&r, &err));
    assert_int_equal(err.status, EM_USAGE);
    assert_non_null(strstr(err.text, "8 processes were started, but this build has no MPI"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(alone, clear),
                                       cmocka_unit_test_setup(inside_a_slurm_job, clear),
                                       cmocka_unit_test_setup(by_mpirun, clear),
                                       cmocka_unit_test_setup(by_srun_with_pmix, clear),
                                       cmocka_unit_test_setup(by_hydra, clear),
                                       cmocka_unit_test_setup(one_of_one, clear),
                                       cmocka_unit_test_setup(several_without_mpi, clear)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
