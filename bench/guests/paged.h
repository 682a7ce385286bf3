/* What the kernel (paged.c) and the program in ring 3 (paged_user.c) share. */
#ifndef PAGED_H
#define PAGED_H

extern volatile unsigned ticks; /* timer interrupts so far; in the program's own page */

void user_main(void);

#endif
