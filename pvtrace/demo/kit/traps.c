/* traps.c: the interrupt descriptor table, the task state segment, and the dispatch of what arrives. */
#include "traps.h"

/* Hardware would reserve 256 entries; ours are in use up to the system call. On a page of its own, like the GDT. */
static u32 idt[2 * (SYSCALL_VECTOR + 1)] __attribute__((aligned(4096)));

/* The task state segment is used for one thing only: words 1 and 2 are the stack to switch to when ring 3 is
 * interrupted. Under VMI the hypervisor owns the real one, and pv.update_kernel_stack tells it the stack. */
u32 tss[26] __attribute__((aligned(128)));

extern u32 gdt[];              /* crt.S */
extern u8 stack_top[];         /* crt.S */
extern u8 trap_stubs[];        /* entry.S: 16 bytes each */

static void (*handlers[SYSCALL_VECTOR + 1])(struct frame *);

#define TSS_SELECTOR 0x28
#define INTERRUPT_GATE 0x8E00 /* present, DPL 0, 32 bits: interrupts are off in the handler */
#define DPL_3 0x6000          /* ring 3 may INT there */

static void set_gate(u32 vector, const u8 *entry, u32 kind)
{
    u32 cs;
    __asm__("movl %%cs, %0" : "=r"(cs)); /* 08h natively; 09h, privilege level 1, under VMI */
    pv.write_idt_entry(idt, vector, cs << 16 | ((u32)entry & 0xFFFF), ((u32)entry & 0xFFFF0000) | kind);
}

void trap_init(void)
{
    static const struct table_pointer pointer = {sizeof idt - 1, (u32)idt};

    for (u32 vector = 0; vector < 48; vector++)
        set_gate(vector, trap_stubs + 16 * vector, INTERRUPT_GATE);
    set_gate(SYSCALL_VECTOR, trap_stubs + 16 * 48, INTERRUPT_GATE | DPL_3);
    pv.set_idt(&pointer);

    u32 base = (u32)tss;
    tss[25] = sizeof tss << 16; /* the I/O permission bitmap begins behind the limit: there is none */
    pv.write_gdt_entry(gdt, TSS_SELECTOR / 8, base << 16 | (sizeof tss - 1), (base & 0xFF000000) | 0x8900 | (base >> 16 & 0xFF));
    pv.set_tr(TSS_SELECTOR);
    pv.update_kernel_stack(KERNEL_DS, (u32)stack_top);
}

void trap_handler(u32 vector, void (*handler)(struct frame *))
{
    handlers[vector] = handler;
}

void trap_dispatch(struct frame *frame)
{
    if (handlers[frame->vector]) {
        handlers[frame->vector](frame);
        return;
    }
    print("unexpected vector %u, error %x, at %x, cr2 %x\n", frame->vector, frame->error, frame->eip, pv.get_cr2());
    guest_exit(1);
}
