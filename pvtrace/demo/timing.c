/* timing: what CLI is worth to a program that wants to measure time undisturbed.
 *
 * X servers measured the clock of a graphics card by counting in a polling loop, and programs set the CMOS clock, with
 * interrupts off: iopl(3) lets ring 3 execute CLI. In the mail thread about VMI this was the example of code that breaks
 * under a hypervisor, where CLI of ring 3 does nothing. The answer was that one iteration never gives an accurate
 * timing, not even on hardware, and that the shortest of several does. This guest shows both. Its prober
 * (timing_user.c) times two loops, several times each; this file is the kernel below it:
 *
 *   - two programs, the prober and one that only computes, each with a kernel stack of its own;
 *   - a timer, at each of whose ticks the other one goes on. So a section into which a tick falls takes a whole tick
 *     longer: the time in which the other program ran;
 *   - iopl(), and INT 80h. */
#include "timing.h"
#include "traps.h"

#define IOPL_SHIFT 12
#define IOPL_MASK (3u << IOPL_SHIFT)
#define HZ 1000

#define STACK_WORDS 1024

struct task {
    u32 esp;  /* of its kernel stack, while it does not run */
    u32 iopl; /* its I/O privilege level, << IOPL_SHIFT */
    u32 kernel_stack[STACK_WORDS] __attribute__((aligned(16)));
};

static struct task prober, worker, *running = &prober;
static u8 user_stacks[2][4096] __attribute__((aligned(4096)));

/* Saves what a C function may not lose, changes the stack, and returns on the new one. */
void switch_stack(u32 *save, u32 load);
__asm__(".text\n"
        ".globl switch_stack\n"
        ".type switch_stack, @function\n"
        "switch_stack:\n\t"
        "movl 4(%esp), %eax\n\t"
        "movl 8(%esp), %edx\n\t"
        "pushl %ebp\n\t"
        "pushl %ebx\n\t"
        "pushl %esi\n\t"
        "pushl %edi\n\t"
        "movl %esp, (%eax)\n\t"
        "movl %edx, %esp\n\t"
        "popl %edi\n\t"
        "popl %esi\n\t"
        "popl %ebx\n\t"
        "popl %ebp\n\t"
        "ret\n\t"
        ".size switch_stack, . - switch_stack");

/* From now on an entry from ring 3 takes this task's stack. Natively IRET loads the IOPL from the image in its frame;
 * VMI's leaves the level alone, and the call sets it. */
static void becomes(struct task *next)
{
    running = next;
    pv.update_kernel_stack(KERNEL_DS, (u32)(next->kernel_stack + STACK_WORDS));
    pv.set_iopl_mask(next->iopl);
}

static void start_worker(void)
{
    enter_user((u32)worker_main, (u32)(user_stacks[1] + sizeof user_stacks[1]));
}

/* What switch_stack will find: four registers, and where to return to. */
static void prepare_worker(void)
{
    u32 *top = worker.kernel_stack + STACK_WORDS;
    *--top = 0; /* start_worker has nowhere to return to */
    *--top = (u32)start_worker;
    worker.esp = (u32)(top - 4);
}

static void on_timer(struct frame *frame)
{
    struct task *last = running;
    if (from_user(frame) && last == &prober && shared.in_section)
        shared.ticks_inside++;
    irq_done(0);
    becomes(last == &prober ? &worker : &prober);
    switch_stack(&last->esp, running->esp);
}

static u32 system_call(u32 number, u32 argument, struct frame *frame)
{
    switch (number) {
    case SYS_PRINT:
        print("%s", (const char *)argument);
        return 0;
    case SYS_NUMBER:
        print("%u", argument);
        return 0;
    case SYS_IOPL:
        if (argument > 3)
            return (u32)-1;
        running->iopl = argument << IOPL_SHIFT;
        frame->eflags = (frame->eflags & ~IOPL_MASK) | running->iopl;
        pv.set_iopl_mask(running->iopl);
        return 0;
    case SYS_EXIT:
        timer_stop();
        guest_exit((int)argument);
    default:
        return (u32)-1;
    }
}

static void on_int80(struct frame *frame)
{
    frame->eax = system_call(frame->eax, frame->ebx, frame);
}

int main(void)
{
    paging_on();
    print("timing: %s\n", vmi_start() ? "paravirtual" : "native");
    paging_announce();

    trap_init();
    trap_handler(SYSCALL_VECTOR, on_int80);
    paging_open_user_pages();
    for (u32 i = 0; i < 2; i++)
        paging_set((u32)user_stacks[i], (u32)user_stacks[i] | PAGE_USER | PAGE_WRITABLE | PAGE_PRESENT);

    pic_init();
    trap_handler(IRQ(0), on_timer);
    irq_unmask(0);
    timer_start(HZ);

    prepare_worker();
    becomes(&prober);
    enter_user((u32)prober_main, (u32)(user_stacks[0] + sizeof user_stacks[0]));
}
