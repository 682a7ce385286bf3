/* userland: a kernel with one program in ring 3, and the question of who owns the interrupt flag there.
 *
 * The x86 has two fields in EFLAGS that a kernel guards: IF, which keeps interrupts out, and IOPL, the lowest privilege
 * that may use ports - and, since one field serves both, CLI and STI. A program that was given IOPL 3 by iopl(3), as X
 * servers were, can therefore do this on bare hardware:
 *
 *         iopl(3);  cli;  a long loop;  sti;
 *
 * and nothing interrupts the loop. When VMI was proposed to the Linux kernel in 2006, the mail thread asked: and under
 * a hypervisor? The answer was no. VMI's IOPL gives ports and nothing else; CLI and STI of ring 3 do nothing (and do
 * not fault), and POPF never touches IF. A program that relies on it is wrong without any sign of it. The program,
 * userland_user.c, tries all of it; this file is the kernel below it:
 *
 *   - two ways in, INT 80h and SYSENTER, and two ways back, IRET and SYSEXIT, both calls under VMI;
 *   - a timer, so that one can see whether a section was interrupted;
 *   - iopl(), by VMI_SetIOPLMask;
 *   - a handler for the faults that CLI and STI cause when IOPL is 0. */
#include "userland.h"
#include "traps.h"

#define IOPL_SHIFT 12
#define IOPL_MASK (3u << IOPL_SHIFT)

static u8 user_stack[4096] __attribute__((aligned(4096)));
static u8 sysenter_stack[4096] __attribute__((aligned(16)));

/* The frame is NULL for a call by SYSENTER, which leaves none. */
static u32 system_call(u32 number, u32 argument, struct frame *frame)
{
    switch (number) {
    case SYS_PRINT:
        print("%s", (const char *)argument);
        return 0;
    case SYS_PRINT_FLAGS:
        print("PUSHF shows IF=%u IOPL=%u\n", argument >> 9 & 1, argument >> IOPL_SHIFT & 3);
        return 0;
    case SYS_IOPL:
        /* Natively the level is in the EFLAGS that IRET will load, so the image on the stack must change. VMI's IRET
         * leaves the level alone, whatever the image says: there only the call does it. Doing both is right on both. */
        if (!frame || argument > 3)
            return (u32)-1;
        frame->eflags = (frame->eflags & ~IOPL_MASK) | argument << IOPL_SHIFT;
        pv.set_iopl_mask(argument << IOPL_SHIFT);
        return 0;
    case SYS_EXIT:
        pv.disable_interrupts();
        timer_stop();
        print("the program ends with code %u\n", argument);
        guest_exit((int)argument);
    default:
        return (u32)-1;
    }
}

static void on_int80(struct frame *frame)
{
    frame->eax = system_call(frame->eax, frame->ebx, frame);
}

/* SYSENTER saves nothing: the program has put its stack pointer into ECX, and the way back is always the same place.
 * The CPU loads CS, EIP and ESP from three registers (174h, 175h, 176h) and turns interrupts off. SYSEXIT returns to
 * EDX with the stack ECX, in the two segments behind the kernel's, and with interrupts on. */
__attribute__((used)) static u32 on_sysenter(u32 number, u32 argument)
{
    return system_call(number, argument, 0);
}

void sysenter_entry(void);
__asm__(".text\n"
        ".globl sysenter_entry\n"
        ".type sysenter_entry, @function\n"
        "sysenter_entry:\n\t"
        "pushl %ecx\n\t"                        /* the program's stack pointer */
        "pushl %ebx\n\t"                        /* argument and number, for on_sysenter */
        "pushl %eax\n\t"
        "call on_sysenter\n\t"
        "addl $8, %esp\n\t"
        "popl %ecx\n\t"
        "movl $user_sysenter_return, %edx\n\t"
        "call pv_sysexit\n\t"
        ".size sysenter_entry, . - sysenter_entry");

static void write_msr(u32 index, u32 value)
{
    __asm__ volatile("wrmsr" : : "c"(index), "a"(value), "d"(0));
}

static void sysenter_init(void)
{
    write_msr(0x174, 0x08); /* kernel CS; kernel SS, user CS and user SS are the next three in the GDT */
    write_msr(0x175, (u32)(sysenter_stack + sizeof sysenter_stack));
    write_msr(0x176, (u32)sysenter_entry);
}

/* A timer interrupt while the program believes that it has turned interrupts off. */
static void on_timer(struct frame *frame)
{
    shared.ticks++;
    if (from_user(frame) && shared.in_section)
        shared.ticks_inside++;
    irq_done(0);
}

/* CLI (FAh) and STI (FBh) fault if the level is below 3. A real kernel would end the program; ours counts, skips the
 * one byte, and lets it go on to the next experiment. */
static void on_general_protection(struct frame *frame)
{
    u8 opcode = *(const u8 *)frame->eip;
    if (!from_user(frame) || (opcode != 0xFA && opcode != 0xFB)) {
        print("general protection at %x, error code %x\n", frame->eip, frame->error);
        guest_exit(1);
    }
    shared.skipped++;
    frame->eip++;
}

int main(void)
{
    paging_on();
    print("userland: %s\n", vmi_start() ? "paravirtual" : "native");
    paging_announce();

    trap_init();
    trap_handler(13, on_general_protection);
    trap_handler(SYSCALL_VECTOR, on_int80);
    sysenter_init();

    paging_open_user_pages();
    paging_set((u32)user_stack, (u32)user_stack | PAGE_USER | PAGE_WRITABLE | PAGE_PRESENT);

    pic_init();
    trap_handler(IRQ(0), on_timer);
    irq_unmask(0);
    timer_start(1000); /* Hz */

    enter_user((u32)user_main, (u32)(user_stack + sizeof user_stack));
}
