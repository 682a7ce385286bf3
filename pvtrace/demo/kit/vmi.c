/* vmi.c: finds the VMI ROM and fills the table of operations; the native routines for when there is none. */
#include "vmi.h"

/* ---- The native routines: what each operation is on bare hardware. ---- */

static VMICALL void native_enable_interrupts(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static VMICALL void native_disable_interrupts(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static VMICALL u32 native_get_interrupt_mask(void)
{
    u32 eflags;
    __asm__ volatile("pushfl; popl %0" : "=r"(eflags));
    return eflags & INTERRUPTS_ENABLED;
}

static VMICALL void native_set_interrupt_mask(u32 mask)
{
    if (mask & INTERRUPTS_ENABLED)
        native_enable_interrupts();
    else
        native_disable_interrupts();
}

static VMICALL void native_halt(void)
{
    /* STI takes effect one instruction late, so no interrupt can slip in between the two. */
    __asm__ volatile("sti; hlt" : : : "memory");
}

static VMICALL void native_shutdown(void)
{
    outb(0xF4, 0); /* the debug exit port: pvtrace and QEMU's isa-debug-exit end here */
    for (;;)
        __asm__ volatile("cli; hlt");
}

static VMICALL void native_set_idt(const struct table_pointer *table)
{
    __asm__ volatile("lidt %0" : : "m"(*table));
}

static VMICALL void native_set_tr(u32 selector)
{
    __asm__ volatile("ltr %w0" : : "r"(selector) : "memory");
}

static VMICALL void native_write_entry(void *table, u32 index, u32 low, u32 high)
{
    volatile u32 *entry = (u32 *)table + 2 * index;
    entry[0] = low;
    entry[1] = high;
}

extern u32 tss[]; /* traps.c */

static VMICALL void native_update_kernel_stack(u32 ss, u32 esp)
{
    tss[1] = esp; /* esp0 and ss0 of the task state segment */
    tss[2] = ss;
}

static VMICALL void native_set_iopl_mask(u32 mask)
{
    __asm__ volatile("pushfl; andl $~0x3000, (%%esp); orl %0, (%%esp); popfl" : : "r"(mask) : "cc", "memory");
}

static VMICALL u32 native_get_cr2(void)
{
    u32 value;
    __asm__ volatile("movl %%cr2, %0" : "=r"(value));
    return value;
}

static VMICALL u32 native_get_cr3(void)
{
    u32 value;
    __asm__ volatile("movl %%cr3, %0" : "=r"(value));
    return value;
}

static VMICALL void native_set_cr3(u32 value)
{
    __asm__ volatile("movl %0, %%cr3" : : "r"(value) : "memory");
}

static VMICALL void native_set_pxe(u32 value, u32 *entry, u32 flags)
{
    (void)flags;
    *(volatile u32 *)entry = value;
}

static VMICALL void native_inval_page(u32 address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static VMICALL void native_allocate_page(u32 frame, u32 flags, u32 source, u32 start, u32 count)
{
    (void)frame, (void)flags, (void)source, (void)start, (void)count; /* hardware need not be told */
}

static VMICALL void native_set_linear_mapping(u32 slot, u32 address, u32 pages, u32 first_frame)
{
    (void)slot, (void)address, (void)pages, (void)first_frame;
}

static VMICALL u64 native_rdtsc(void)
{
    u64 value;
    __asm__ volatile("rdtsc" : "=A"(value));
    return value;
}

/* IRET and SYSEXIT are *called*, so both must first drop the return address. */
void native_iret(void);
void native_sysexit(void);
__asm__("native_iret: addl $4, %esp; iret");
__asm__("native_sysexit: addl $4, %esp; sti; sysexit");

struct pv_ops pv = {
    .iret = native_iret,
    .sysexit = native_sysexit,
    .enable_interrupts = native_enable_interrupts,
    .disable_interrupts = native_disable_interrupts,
    .get_interrupt_mask = native_get_interrupt_mask,
    .set_interrupt_mask = native_set_interrupt_mask,
    .halt = native_halt,
    .shutdown = native_shutdown,
    .set_idt = native_set_idt,
    .set_tr = native_set_tr,
    .write_gdt_entry = native_write_entry,
    .write_idt_entry = native_write_entry,
    .update_kernel_stack = native_update_kernel_stack,
    .set_iopl_mask = native_set_iopl_mask,
    .get_cr2 = native_get_cr2,
    .get_cr3 = native_get_cr3,
    .set_cr3 = native_set_cr3,
    .set_pxe = native_set_pxe,
    .inval_page = native_inval_page,
    .allocate_page = native_allocate_page,
    .set_linear_mapping = native_set_linear_mapping,
    .rdtsc = native_rdtsc,
};

/* ---- The ROM. ---- */

/* Which call fills which operation. There are two generations of the interface, each with numbers of its own that never
 * change: 3.0, which Linux speaks from 2.6.21 on, and before it, despite its number, 13. */
static const struct {
    u32 number_3, number_13;
    void *operation;
} calls[] = {
    {5, 10, &pv.set_idt},
    {6, 11, &pv.set_tr},
    {11, 16, &pv.write_gdt_entry},
    {13, 18, &pv.write_idt_entry},
    {14, 19, &pv.update_kernel_stack},
    {17, 22, &pv.set_cr3},
    {20, 25, &pv.get_cr2},
    {21, 26, &pv.get_cr3},
    {27, 33, &pv.rdtsc},
    {29, 35, &pv.enable_interrupts},
    {30, 36, &pv.disable_interrupts},
    {31, 37, &pv.get_interrupt_mask},
    {32, 38, &pv.set_interrupt_mask},
    {33, 39, &pv.iret},
    {34, 40, &pv.sysexit},
    {35, 42, &pv.halt},
    {37, 44, &pv.shutdown},
    {38, 86, &pv.set_pxe},
    {44, 53, &pv.allocate_page},
    {46, 55, &pv.inval_page},
    {48, 58, &pv.set_linear_mapping},
    {61, 71, &pv.set_iopl_mask},
    {66, 79, &pv.get_cycle_frequency},
    {67, 80, &pv.get_cycle_counter},
    {68, 81, &pv.set_alarm},
    {69, 82, &pv.cancel_alarm},
    {70, 83, &pv.get_wallclock_time},
};

int vmi_present;

/* An option ROM begins with 55 AA and its length in units of 512 bytes; a VMI ROM has "cVmi" at offset 8 and its
 * version at 12 (minor) and 13 (major). The bytes of every good option ROM add up to 0. There may be several ROMs, so
 * one of another version is passed over. */
static u8 *find_rom(u8 major, u8 minor)
{
    for (u8 *rom = (u8 *)0xC0000; rom < (u8 *)0xE0000; rom += 2048) {
        u8 sum = 0;
        if (*(u16 *)rom != 0xAA55 || *(u32 *)(rom + 8) != 0x696D5663 || rom[13] != major || rom[12] < minor)
            continue;
        for (u32 i = 0; i < rom[2] * 512u; i++)
            sum += rom[i];
        if (sum == 0)
            return rom;
    }
    return 0;
}

/* The one call above whose arguments differ: 13 wants the TSS itself where 3.0 wants the selector of the stack. */
static void (VMICALL *update_kernel_stack_13)(void *tss, u32 esp);

static VMICALL void update_kernel_stack_by_tss(u32 ss, u32 esp)
{
    native_update_kernel_stack(ss, esp);
    update_kernel_stack_13(tss, esp);
}

int vmi_start(void)
{
    u32 query = 136; /* where a ROM of 3.0 has its second entry point */
    u8 *rom = find_rom(3, 0);
    if (!rom) {
        query = 85 * 32; /* where 13.3 has it */
        rom = find_rom(13, 3);
    }
    if (!rom)
        return 0;

    /* A ROM has two fixed entry points. Init, at 128, returns 0 if all is well - and returns to a kernel that now
     * runs at privilege level 1. Should it fail, nothing has changed, and we carry on natively. */
    int (VMICALL *init)(void) = (void *)(rom + 128);
    if (init() != 0)
        return 0;
    vmi_present = 1;

    /* The other tells where each call is. EAX is the address, and the low byte of EDX says what to do with it: 1 =
     * call it, 0 = the ROM does not have it, 3 = nothing needs to be done (then the native routine would be wrong, but
     * none of the calls above is of that kind). */
    u64 (VMICALL *relocation)(u32 call) = (void *)(rom + query);
    for (u32 i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        u64 answer = relocation(rom[13] == 3 ? calls[i].number_3 : calls[i].number_13);
        if ((u8)(answer >> 32) == 1)
            *(u32 *)calls[i].operation = (u32)answer;
    }
    if (rom[13] == 13) {
        update_kernel_stack_13 = (void *)pv.update_kernel_stack;
        pv.update_kernel_stack = update_kernel_stack_by_tss;
    }
    return 1;
}
