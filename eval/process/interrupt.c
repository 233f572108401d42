#include "eval/process/interrupt.h"

#include <stddef.h>

volatile sig_atomic_t em_interrupted;

static void on_interrupt(int signal_number) {
    (void)signal_number;
    em_interrupted = 1;
}

void em_catch_interrupt(void) {
    struct sigaction a = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}
