# Runs of many processes (docs/cluster.md) where MPI is; EVALMASK_MPI=OFF builds without it.
option(EVALMASK_MPI "runs of many processes, where MPI is found" ON)
if(EVALMASK_MPI)
  find_package(MPI QUIET COMPONENTS C)
endif()
if(MPI_C_FOUND)
  message(STATUS "MPI: standard ${MPI_C_VERSION}, runs of many processes are built")
elseif(EVALMASK_MPI)
  message(STATUS "MPI: skipped, none was found (Debian: libopenmpi-dev); mpirun evalmask will refuse to run")
else()
  message(STATUS "MPI: skipped, EVALMASK_MPI is OFF")
endif()

add_test(NAME configure-without-mpi
  COMMAND ${CMAKE_COMMAND} -S ${PROJECT_SOURCE_DIR} -B ${PROJECT_BINARY_DIR}/without-mpi -G ${CMAKE_GENERATOR} -DEVALMASK_MPI=OFF)
set_tests_properties(configure-without-mpi PROPERTIES TIMEOUT 1800
  PASS_REGULAR_EXPRESSION "MPI: skipped, EVALMASK_MPI is OFF.*Build files have been written")
