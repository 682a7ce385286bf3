/* faults: a kernel that catches its own faults.
 *
 * When an instruction cannot be completed, the CPU calls a handler of the kernel: it looks the exception's number (the
 * vector) up in the interrupt descriptor table, and pushes EFLAGS, CS, EIP and, for some, an error code. Under VMI the
 * fault goes to the hypervisor first, which then does to the guest exactly what the CPU would have done. So the table,
 * the frame on the stack and IRET look the same; three things differ:
 *
 *   - the table is written and loaded by calls (trap_init in kit/traps.c), and IRET is a call (kit/entry.S);
 *   - CR2, the address of a page fault, is read by a call;
 *   - only the *pushed* EFLAGS are right. The live ones in the handler belong to the hypervisor.
 *
 * Each fault below is caused on purpose by a few instructions of assembly, so that you know which one it is. The
 * handlers report what they see and repair it: by filling in the missing page, or by going on behind the instruction.
 */
#include "traps.h"

#define DEMAND_PAGE 0x00C00000   /* 12 MB: absent until it is touched */
#define NESTED_PAGE 0x00C01000   /* likewise, touched by a handler */
#define READ_ONLY_PAGE 0x00C02000

static u32 depth; /* of handlers that are active now */

/* A fault pushes EFLAGS with RF (bit 16) set, so that a debugger's breakpoint is not hit again on the retry. Many
 * emulators leave it out, and it says nothing about the guest: it is not shown. */
static void report(const struct frame *frame, const char *name)
{
    for (u32 i = 0; i < depth; i++)
        print("  ");
    print("vector %u %s, error code %x, EFLAGS %x", frame->vector, name, frame->error, frame->eflags & ~0x10000u);
    if (frame->vector == 14)
        print(", CR2 %x", pv.get_cr2());
    print("\n");
}

/* Vector 14. The error code tells why: bit 0 = the page is present (so the access was not allowed), bit 1 = a write,
 * bit 2 = from ring 3. "Demand paging" is no more than this: give the page its memory when it is first used, and let
 * the instruction run again. */
static void on_page_fault(struct frame *frame)
{
    depth++;
    report(frame, "page fault");
    u32 address = pv.get_cr2();
    u32 page = address & ~0xFFFu;
    if (page != DEMAND_PAGE && page != NESTED_PAGE && page != READ_ONLY_PAGE) {
        print("nothing belongs there\n");
        guest_exit(1);
    }
    paging_set(page, page | PAGE_WRITABLE | PAGE_PRESENT);
    depth--;
}

/* For the others there is nothing to repair. A label before the instruction and one behind it tell the handler where
 * to go on; Linux calls a list of such pairs its exception table. These are ours, in the assembly below. */
extern const char divide_at[], divide_after[], selector_at[], selector_after[], msr_at[], msr_after[];
extern const char nested_at[], nested_after[];

static void skip(struct frame *frame)
{
    if (trap_skip(frame, divide_at, divide_after) || trap_skip(frame, nested_at, nested_after) ||
        trap_skip(frame, selector_at, selector_after) || trap_skip(frame, msr_at, msr_after))
        return;
    print("an unexpected fault at %x\n", frame->eip);
    guest_exit(1);
}

/* Vector 13, general protection: whatever is forbidden and has no vector of its own. If a selector is to blame, the
 * error code names it. */
static void on_general_protection(struct frame *frame)
{
    depth++;
    report(frame, "general protection");
    skip(frame);
    depth--;
}

/* Vector 0. In the nested case, this handler runs inside the breakpoint's, and faults in its turn: nothing special
 * about that, the frames just pile up on the stack. */
static void on_divide_error(struct frame *frame)
{
    depth++;
    report(frame, "divide error");
    if (frame->eip == (u32)nested_at)
        *(volatile u32 *)NESTED_PAGE = 1;
    skip(frame);
    depth--;
}

/* Vector 3. A trap, not a fault: the pushed EIP is already behind the INT3, so there is nothing to skip. */
static void on_breakpoint(struct frame *frame)
{
    depth++;
    report(frame, "breakpoint");
    __asm__ volatile("xorl %%ecx, %%ecx\n"
                     "nested_at:\n\t"
                     "divl %%ecx\n"
                     "nested_after:" : : "a"(1), "d"(0) : "ecx", "cc");
    report(frame, "breakpoint, unharmed");
    depth--;
}

/* The instruction before each fault sets the arithmetic flags, so that the pushed EFLAGS are the same everywhere: an
 * XOR of a register with itself gives ZF and PF (46h), STC adds the carry (47h). */
static void page_faults(void)
{
    u32 value;
    print("a read of an absent page\n");
    __asm__ volatile("xorl %0, %0; stc; movl (%1), %0" : "=&r"(value) : "r"(DEMAND_PAGE) : "cc", "memory");
    print("the retry read %u\n", value);

    print("a write to a page that is read-only, even for the kernel (CR0.WP)\n");
    __asm__ volatile("xorl %%ecx, %%ecx; movl $42, (%0)" : : "r"(READ_ONLY_PAGE) : "ecx", "cc", "memory");
    print("the page holds %u\n", *(volatile u32 *)READ_ONLY_PAGE);
}

static void divide_error(void)
{
    print("a division by zero\n");
    __asm__ volatile("xorl %%ecx, %%ecx\n"
                     "divide_at:\n\t"
                     "divl %%ecx\n"
                     "divide_after:" : : "a"(1), "d"(0) : "ecx", "cc");
}

static void general_protection(void)
{
    print("a selector beyond the end of the descriptor table\n");
    __asm__ volatile("xorl %%ecx, %%ecx\n\t"
                     "movl $0x58, %%eax\n"
                     "selector_at:\n\t"
                     "movl %%eax, %%fs\n"
                     "selector_after:" : : : "eax", "ecx", "cc");

    /* RDMSR is privileged. At level 1 it faults whatever register it names; the hypervisor looks at the name, and
     * only for one that does not exist it passes the fault on to us. (Natively, some emulators read such registers
     * as 0, so we leave it out.) */
    if (vmi_present) {
        print("RDMSR of a register that does not exist\n");
        __asm__ volatile("movl $0xDEAD, %%ecx\n\t"
                         "xorl %%eax, %%eax\n"
                         "msr_at:\n\t"
                         "rdmsr\n"
                         "msr_after:" : : : "eax", "ecx", "edx", "cc");
    }
}

static void nested(void)
{
    print("a breakpoint whose handler divides by zero, whose handler touches an absent page\n");
    __asm__ volatile("xorl %%ecx, %%ecx; int3" : : : "ecx", "cc");
}

int main(void)
{
    paging_on();
    print("faults: %s\n", vmi_start() ? "paravirtual" : "native");
    paging_announce();

    trap_init();
    trap_handler(0, on_divide_error);
    trap_handler(3, on_breakpoint);
    trap_handler(13, on_general_protection);
    trap_handler(14, on_page_fault);

    paging_set(DEMAND_PAGE, 0);
    paging_set(NESTED_PAGE, 0);
    paging_set(READ_ONLY_PAGE, READ_ONLY_PAGE | PAGE_PRESENT);

    page_faults();
    divide_error();
    general_protection();
    nested();

    /* The same once more with interrupts enabled: now bit 9 is set in the pushed image, though the handler runs with
     * interrupts off. IRET puts it back. */
    print("with interrupts enabled\n");
    pic_init(); /* all lines masked: nothing will come */
    pv.enable_interrupts();
    paging_set(DEMAND_PAGE, 0);
    __asm__ volatile("xorl %%ecx, %%ecx; movl $1, (%0)" : : "r"(DEMAND_PAGE) : "ecx", "cc", "memory");
    print("interrupts are %s again\n", pv.get_interrupt_mask() ? "on" : "off");
    return 0;
}
