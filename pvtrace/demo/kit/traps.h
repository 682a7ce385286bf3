/* traps.h: exceptions, interrupts and system calls; the interrupt controller and the timer; pages. */
#ifndef TRAPS_H
#define TRAPS_H

#include "vmi.h"

/* What entry.S has on the stack when it calls a handler, lowest address first. A handler may change it: the guest
 * goes on with what is in here. The last two are there only if ring 3 was interrupted. */
struct frame {
    u32 es, ds;
    u32 edi, esi, ebp, esp_of_pusha, ebx, edx, ecx, eax;
    u32 vector, error; /* error is 0 for the vectors that have no error code */
    u32 eip, cs, eflags;
    u32 user_esp, user_ss;
};

#define KERNEL_DS 0x10 /* selectors of crt.S */
#define USER_CS (0x18 | 3)
#define USER_DS (0x20 | 3)

#define SYSCALL_VECTOR 0x80
#define IRQ(line) (32 + (line)) /* vectors 32..47: where pic_init puts the interrupt lines */

/* A kernel runs at privilege level 0 natively and at 1 under VMI, so "not 3" is the question to ask. */
static inline int from_user(const struct frame *frame)
{
    return (frame->cs & 3) == 3;
}

void trap_init(void); /* IDT and TSS. Vectors without a handler end the guest with a message */
void trap_handler(u32 vector, void (*handler)(struct frame *));

/* For code that is expected to fault: inside a handler, goes on at `label` if the fault was at `at`. */
static inline int trap_skip(struct frame *frame, const char *at, const char *label)
{
    if (frame->eip != (u32)at)
        return 0;
    frame->eip = (u32)label;
    return 1;
}

void enter_user(u32 eip, u32 esp) __attribute__((noreturn)); /* entry.S */

void pic_init(void); /* all lines masked */
void irq_unmask(u32 line);
void irq_done(u32 line); /* a handler's last act: lets the next one come */
int irq_requested(u32 line); /* it waits, because interrupts are off */

void timer_start(u32 hz); /* IRQ 0, again and again: a VMI alarm, or the PIT on bare hardware. At least 19 */
void timer_stop(void);

/* The first 16 MB mapped to themselves in pages of 4 KB; page 0 absent. Call it before vmi_start. */
void paging_on(void);
void paging_announce(void);                   /* after vmi_start: tells the hypervisor which pages are page tables */
void paging_set(u32 address, u32 entry);      /* entry = frame address | PAGE_ bits; 0 = absent */
void paging_open_user_pages(void);            /* what guest.ld took from *user.c */

#define PAGE_PRESENT 1
#define PAGE_WRITABLE 2
#define PAGE_USER 4

#endif
