/* Files that are installed with the program. */
#ifndef EM_EVAL_INSTALLED_H
#define EM_EVAL_INSTALLED_H

#include <stddef.h>

/* Path of share/evalmask/NAME, found from where the program lies, so that a prefix can be moved;
 * run from the build folder, that of data/NAME or NAME in the sources. Writes it to out, [n] bytes;
 * NULL where there is none. */
const char *em_installed_file(const char *name, char *out, size_t n);

#endif
