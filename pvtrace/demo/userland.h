/* userland.h: what the kernel (userland.c) and the program in ring 3 (userland_user.c) agree on. */
#ifndef USERLAND_H
#define USERLAND_H

/* System calls: number in EAX, argument in EBX, result in EAX. */
enum {
    SYS_PRINT,       /* argument: a string in the pages of ring 3 */
    SYS_PRINT_FLAGS, /* argument: EFLAGS as PUSHF showed them */
    SYS_IOPL,        /* argument: the I/O privilege level to have, 0..3 */
    SYS_EXIT,        /* argument: the exit code */
    SYS_COUNT
};

/* One page of ring 3 that both write: a real kernel would not trust it, and ours only counts with it. */
struct shared {
    volatile unsigned ticks;          /* timer interrupts so far */
    volatile unsigned in_section;     /* the program sets it between its CLI and its STI */
    volatile unsigned ticks_inside;   /* timer interrupts that came while it was set */
    volatile unsigned skipped;        /* CLI and STI that faulted, and that the kernel skipped */
};
extern struct shared shared;

void user_main(void);          /* where ring 3 begins */
void user_sysenter_return(void); /* where SYSEXIT comes back to */

#endif
