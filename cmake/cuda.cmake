# EVALMASK_CUDA (the cuda preset): a CUDA toolchain is required and checked. This version computes
# on the CPU only, so the check is all that it does, and the configure step says so.
option(EVALMASK_CUDA "require a CUDA toolchain (nvcc)" OFF)
if(EVALMASK_CUDA)
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    message(FATAL_ERROR "EVALMASK_CUDA: no working nvcc was found. Name it with CUDACXX=/usr/local/cuda/bin/nvcc, "
                        "or use the release preset.")
  endif()
  enable_language(CUDA)
  message(WARNING "nvcc ${CMAKE_CUDA_COMPILER_VERSION} works, but evalmask ${PROJECT_VERSION} has no CUDA kernels: "
                  "this build computes on the CPU, as the release preset does.")
endif()
