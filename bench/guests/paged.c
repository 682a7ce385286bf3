/* paged: a kernel with paging and a timer, and the work in ring 3. Linked with the demo kit; ROUNDS times the work.
 *
 * Run without a ROM, so that QEMU and pvtrace execute the same instructions. */
#include "paged.h"
#include "traps.h"

static u8 user_stack[4096] __attribute__((aligned(4096)));

static void on_timer(struct frame *frame)
{
    (void)frame;
    ticks++;
    irq_done(0);
}

/* The only system call: port F4h ends the run under pvtrace, port 604h powers the machine off under QEMU. */
static void on_exit(struct frame *frame)
{
    (void)frame;
    outb(0xf4, 0);
    __asm__ volatile("outw %w0, %w1" : : "a"(0x2000), "Nd"(0x604));
    for (;;)
        __asm__ volatile("cli; hlt");
}

int main(void)
{
    paging_on();
    vmi_start();
    paging_announce();
    trap_init();
    trap_handler(SYSCALL_VECTOR, on_exit);
    paging_open_user_pages();
    paging_set((u32)user_stack, (u32)user_stack | PAGE_USER | PAGE_WRITABLE | PAGE_PRESENT);
    pic_init();
    trap_handler(IRQ(0), on_timer);
    irq_unmask(0);
    timer_start(1000);
    enter_user((u32)user_main, (u32)(user_stack + sizeof user_stack));
}
