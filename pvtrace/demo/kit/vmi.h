/* vmi.h: the VMI interface as a guest kernel sees it; and the two ways out, console and exit.
 *
 * VMI (VMware's Virtual Machine Interface, 2006) lets one kernel run well under a hypervisor. The hypervisor puts a
 * small piece of code, the VMI ROM, into the guest's memory. Instead of executing a privileged instruction, the kernel
 * calls into the ROM. On bare hardware there is no ROM, and the kernel executes the instruction itself.
 *
 * The trick is to decide this once. `pv` below is a table of function pointers, one for each privileged thing that a
 * kernel does. It starts out with native routines; vmi_start() replaces each by the ROM's entry point, if there is a
 * ROM. The rest of the kernel calls `pv.halt()` and never asks where it runs. (Linux calls this "paravirt ops".)
 *
 * After vmi_start() the kernel no longer runs at privilege level 0 but at 1, below the hypervisor:
 *  - the selectors in CS and SS end in 1: test for "kernel" with (cs & 3) != 3, never with == 0;
 *  - the interrupt flag of the CPU belongs to the hypervisor. Yours is virtual: read it by pv.get_interrupt_mask(),
 *    and never by PUSHF; change it by the calls, and never by POPF, which changes nothing and does not tell;
 *  - IN, OUT, RDMSR, HLT ... still work: they fault, and the hypervisor does what they ask for. It is only slower. */
#ifndef VMI_H
#define VMI_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

/* VMI calls take their arguments in EAX, EDX and ECX, then on the stack. GCC calls that regparm(3). */
#define VMICALL __attribute__((regparm(3)))

struct table_pointer {
    u16 limit;
    u32 base;
} __attribute__((packed));

struct pv_ops {
    /* These two do not return, and only assembly calls them, through pv_iret and pv_sysexit of entry.S. */
    void *iret;
    void *sysexit;

    /* The interrupt flag. A mask is 200h (enabled) or 0. An interrupt that is pending arrives inside the call. */
    void (VMICALL *enable_interrupts)(void);
    void (VMICALL *disable_interrupts)(void);
    u32 (VMICALL *get_interrupt_mask)(void);
    void (VMICALL *set_interrupt_mask)(u32 mask);
    void (VMICALL *halt)(void);         /* enables interrupts and waits for one, both in one step */
    void (VMICALL *shutdown)(void);     /* power off */

    /* Descriptor tables. The hypervisor may alter an entry (its DPL, its limit) while it stores it. */
    void (VMICALL *set_idt)(const struct table_pointer *table);
    void (VMICALL *set_tr)(u32 selector);
    void (VMICALL *write_gdt_entry)(void *gdt, u32 index, u32 low, u32 high);
    void (VMICALL *write_idt_entry)(void *idt, u32 vector, u32 low, u32 high);
    void (VMICALL *update_kernel_stack)(u32 ss, u32 esp);       /* used when ring 3 is interrupted */
    void (VMICALL *set_iopl_mask)(u32 mask);                    /* I/O privilege level of ring 3, << 12 */

    /* Memory. Page tables are announced before they are used; entries are stored by call. */
    u32 (VMICALL *get_cr2)(void);
    u32 (VMICALL *get_cr3)(void);
    void (VMICALL *set_cr3)(u32 value);
    void (VMICALL *set_pxe)(u32 value, u32 *entry, u32 flags);
    void (VMICALL *inval_page)(u32 address);
    void (VMICALL *allocate_page)(u32 frame, u32 flags, u32 source, u32 start, u32 count);
    void (VMICALL *set_linear_mapping)(u32 slot, u32 address, u32 pages, u32 first_frame);

    /* Time. The last five exist under VMI only, and are NULL on bare hardware. */
    u64 (VMICALL *rdtsc)(void);
    u64 (VMICALL *get_cycle_frequency)(void);                           /* Hz */
    u64 (VMICALL *get_cycle_counter)(u32 counter);                      /* cycles */
    void (VMICALL *set_alarm)(u32 flags, u64 expiry, u64 period);       /* cycles; expiry is absolute */
    u32 (VMICALL *cancel_alarm)(u32 counter);                           /* 1: it was armed */
    u64 (VMICALL *get_wallclock_time)(void);                            /* ns since 1970-01-01 UTC */
};

extern struct pv_ops pv;
extern int vmi_present; /* 1 after a vmi_start that found a ROM */

#define INTERRUPTS_ENABLED 0x200 /* the bit of a mask */

#define VMI_PAGE_PT 0x01         /* page types, for allocate_page and set_pxe */
#define VMI_PAGE_PD 0x02
#define VMI_PAGE_CURRENT_AS 0x10 /* set_pxe: the entry is in use now, and maps the address in bits 31:12 */

#define VMI_COUNTER_REAL 0       /* counters: time itself */
#define VMI_ALARM_PERIODIC 0x100 /* set_alarm: again every `period`. The alarm arrives as IRQ 0 */

/* Looks for a ROM, initializes it, and fills `pv`. Returns 1 under VMI and 0 on bare hardware. */
int vmi_start(void);

/* The console is the first serial port. print knows %s, %u (decimal), %x (8 hexadecimal digits) and %c. */
void console_init(void);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the machine. 0 means "all went well": it shuts down. Anything else goes to the debug exit port. */
__attribute__((noreturn)) void guest_exit(int code);

static inline void outb(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 inb(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* n / d, where C would call a routine of the compiler's library that a kernel does not have. */
static inline u64 divide(u64 n, u32 d)
{
    u32 high = (u32)(n >> 32), low = (u32)n, quotient_high = high / d, rest = high % d;
    __asm__("divl %2" : "+a"(low), "+d"(rest) : "rm"(d) : "cc");
    return (u64)quotient_high << 32 | low;
}

#endif
