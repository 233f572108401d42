/* The emulator's streams: see streams.cc. */
#ifndef EM_TESTS_KERNELS_STREAMS_H
#define EM_TESTS_KERNELS_STREAMS_H

#ifdef __cplusplus
#include <functional>
void em_emulator_give(void *stream, std::function<void()> work);
extern "C" {
#endif

/* Streams that do their work at once, by the order in which they were opened: bit 0, bit 1 … */
extern unsigned em_emulator_prompt;

/* work(data) in its turn. */
void em_emulator_give_c(void *stream, void (*work)(void *), void *data);
/* Everything that any stream was given, as freeing memory of a device has to. */
void em_emulator_finish(void);

#ifdef __cplusplus
}
#endif

#endif
