/* Ctrl-C and SIGTERM: the first ends a run after what is at hand, a second one ends it at once. */
#ifndef EM_EVAL_INTERRUPT_H
#define EM_EVAL_INTERRUPT_H

#include <signal.h>

extern volatile sig_atomic_t
    em_interrupted; /* set by the signal, or by who ends the run for another reason */

/* From here on SIGINT and SIGTERM set em_interrupted, once each; the next one has its usual effect.
 */
void em_catch_interrupt(void);

#endif
