/* Which device computes, and in what. */
#ifndef EM_EVAL_DEVICE_H
#define EM_EVAL_DEVICE_H

#include "eval/setup/setup.h"
#include "kernels/backend.h"

/* The backend that --device and --dtype ask for. --device auto takes the first CUDA device where
 * the build, the driver and the memory allow, and says on stderr why it uses the CPU instead.
 * --dtype auto is f32 on a CPU and the weights' own on a GPU (f32 where the models' differ).
 * Errors: EM_MACHINE where --device cuda is not to be had, EM_USAGE for a dtype that the device
 * does not compute in. Release: ops->close. */
em_backend *em_device_open_backend(const em_engine_settings *engine, bool quiet,
                                   const em_setup *setup, em_error *err);
/* What --dtype asks for on a CUDA device, or on the CPU. */
em_dtype em_device_compute(const em_engine_settings *engine, const em_setup *setup, bool cuda);
/* --device auto uses the CPU: the reason, on stderr, where someone wants to know. */
void em_device_tell_why_cpu(const em_engine_settings *engine, bool quiet, const em_error *why);
/* --dtype auto in words, for the protocol. */
const char *em_device_auto_dtype(const em_backend *b);

#endif
