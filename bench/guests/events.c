/* One kind of event, ROUNDS times: EVENT names the function below that causes it. Under VMI; linked with the demo kit. */
#include "traps.h"

#define ABSENT 0x800000u /* linear addresses that nothing else uses */
#define SPARE 0x900000u

static volatile u32 sink;
static u32 gdt_like[16] __attribute__((aligned(8)));

/* The idiom of every critical section; three calls. */
static inline void section(void)
{
    u32 mask = pv.get_interrupt_mask();
    pv.disable_interrupts();
    pv.set_interrupt_mask(mask);
}

static inline void get_interrupt_mask(void) { sink = pv.get_interrupt_mask(); }
static inline void rdtsc(void) { sink = (u32)pv.rdtsc(); }
static inline void get_cycle_counter(void) { sink = (u32)pv.get_cycle_counter(VMI_COUNTER_REAL); }
static inline void get_cr2(void) { sink = pv.get_cr2(); }
static inline void set_cr3(void) { pv.set_cr3(pv.get_cr3()); }
static inline void inval_page(void) { pv.inval_page(SPARE); }
static inline void update_kernel_stack(void) { pv.update_kernel_stack(KERNEL_DS | 1, 0x7000); }
static inline void write_gdt_entry(void) { pv.write_gdt_entry(gdt_like, 1, 0x0000ffff, 0x00cfb300); }

/* An entry of a page that nobody uses. */
static inline void set_pxe(void)
{
    static u32 frame;
    extern u32 *bench_entry;
    pv.set_pxe((frame ^= 1 << 12) | PAGE_PRESENT, bench_entry, VMI_PAGE_PT | VMI_PAGE_CURRENT_AS | SPARE);
}

static inline void in(void) { sink = inb(0x3fd); }
static inline void out(void) { outb(0x80, 0); }
static inline void cli_sti(void) { __asm__ volatile("cli; sti"); }
static inline void pushf_popf(void) { __asm__ volatile("pushfl; popfl" : : : "cc", "memory"); }
static inline void cpuid(void)
{
    u32 leaf = 0;
    __asm__ volatile("cpuid" : "+a"(leaf) : : "ebx", "ecx", "edx");
}

/* A page fault, delivered and returned from. */
extern const char load_at[], load_behind[];
__asm__("load: movl %eax, %edx\nload_at: movl (%edx), %eax\nload_behind: ret");
VMICALL void load(u32 address);
static void on_page_fault(struct frame *frame) { trap_skip(frame, load_at, load_behind); }
static inline void page_fault(void) { load(ABSENT); }

/* A system call, entered and returned from. */
static void on_call(struct frame *frame) { frame->eax++; }
static inline void software_interrupt(void) { __asm__ volatile("int $0x80" : : "a"(0) : "memory"); }

u32 *bench_entry;

int main(void)
{
    paging_on();
    if (!vmi_start())
        return 1;
    paging_announce();
    trap_init();
    trap_handler(14, on_page_fault);
    trap_handler(SYSCALL_VECTOR, on_call);
    paging_set(ABSENT, 0);
    u32 directory;
    directory = pv.get_cr3();
    bench_entry = (u32 *)(((u32 *)directory)[SPARE >> 22] & ~0xfffu) + (SPARE >> 12 & 1023);
    pic_init(); /* all lines masked: the clock has no handler */
    pv.enable_interrupts();
    for (u32 i = 0; i < ROUNDS; i++)
        EVENT();
    return 0;
}
