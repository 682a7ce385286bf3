/* timing.h: what the kernel (timing.c) and its programs in ring 3 (timing_user.c) agree on. */
#ifndef TIMING_H
#define TIMING_H

/* System calls: number in EAX, argument in EBX, result in EAX. */
enum {
    SYS_PRINT,  /* argument: a string in the pages of ring 3 */
    SYS_NUMBER, /* argument: a number, to be printed in decimal */
    SYS_IOPL,   /* argument: the I/O privilege level to have, 0..3 */
    SYS_EXIT,   /* argument: the exit code */
    SYS_COUNT
};

/* One page of ring 3 that all write: a real kernel would not trust it, and ours only counts with it. */
struct shared {
    volatile unsigned in_section;   /* the prober sets it between its CLI and its STI */
    volatile unsigned ticks_inside; /* timer interrupts that came while it was set */
    volatile unsigned work;         /* what the other program does */
};
extern struct shared shared;

void prober_main(void); /* where the two programs begin */
void worker_main(void);

#endif
