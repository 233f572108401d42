/* Text of others (names of files, groups, keys) where people read it: what would move the cursor,
 * set a terminal's colours or title, or turn the order of what is written round is shown as an
 * escape. */
#ifndef EM_COMMON_SHOWN_H
#define EM_COMMON_SHOWN_H

#include <stddef.h>

enum { EM_SHOWN_BYTES = 8 }; /* of one character at most, as it is shown, and the NUL */

/* One character of s, n > 0 bytes, as it is shown, into out with a NUL. A control character (C0,
 * DEL, C1), a separator of lines, a control of direction, U+FFFE or U+FFFF becomes \x1b or \u202e,
 * a byte that is no UTF-8 \xff, every other character itself. Returns how many bytes of s that was.
 */
size_t em_shown_character(const char *s, size_t n, char out[EM_SHOWN_BYTES]);
/* s, up to its NUL, as it is shown, into room bytes with a NUL; cut between characters where it
 * does not fit. em_buffer_shown is the same for a buffer. */
void em_show(char *out, size_t room, const char *s);

#endif
