/* hello: the smallest guest that speaks VMI.
 *
 * VMI (VMware's Virtual Machine Interface, 2006) is an agreement between a kernel and a hypervisor. Its idea: the
 * same kernel file runs on bare hardware and, well, under a hypervisor. It happens in four steps, all of them here:
 *
 *   1. probe     The hypervisor has put an option ROM, a block of code, between C0000h and DFFFFh. The kernel looks
 *                for its signature. No ROM means bare hardware.
 *   2. Init      The kernel calls the ROM's first entry point. It returns 0, and from this instruction on the kernel
 *                runs at privilege level 1: below the hypervisor, above its own programs.
 *   3. relocate  The kernel asks the second entry point, once for each call it means to use: where is it?
 *   4. use       Instead of executing CLI, HLT, MOV CR3 ... the kernel calls.
 *
 * Steps 1 to 3 are vmi_start() in kit/vmi.c, forty lines worth reading. This file shows what they change.
 *
 * Try:  pvtrace demo hello                  and see each call with its arguments
 *       pvtrace record hello.elf --vmi none  the same file on bare hardware */
#include "vmi.h"

static u32 code_selector(void)
{
    u32 cs;
    __asm__ volatile("movl %%cs, %0" : "=r"(cs));
    return cs;
}

/* PUSHF is one of the instructions that make the x86 hard to virtualize: at privilege level 1 it does not fault, it
 * tells the truth about the real CPU instead - where the hypervisor keeps interrupts on at all times. */
static u32 pushf_interrupt_flag(void)
{
    u32 eflags;
    __asm__ volatile("pushfl; popl %0" : "=r"(eflags));
    return eflags >> 9 & 1;
}

int main(void)
{
    u32 before = code_selector();

    print("hello: looking for a VMI ROM\n");
    if (vmi_start())
        print("VMI_Init returned 0: this is a paravirtual machine\n");
    else
        print("there is none: this is bare hardware\n");

    /* The low two bits of CS are the privilege level. crt.S loaded 08h, level 0. */
    print("CS was %x and is %x now\n", before, code_selector());

    /* Two ways to ask whether interrupts are on. Natively both say 0, since the loader started us that way. Under VMI
     * only the call knows: the kernel's interrupt flag is a variable of the hypervisor. */
    print("interrupts: PUSHF says %u, the operation says %u\n", pushf_interrupt_flag(),
          pv.get_interrupt_mask() >> 9 & 1);

    /* This very text goes out by OUT instructions. At level 1 each of them faults, and the hypervisor does what was
     * asked for: that is always the fallback, correct but slow. The calls are there for what must be fast. */
    print("goodbye\n");

    pv.shutdown(); /* does not return: VMI_Shutdown is "power off" */
    return 1;
}
