/* irqs: interrupts, and the flag that keeps them out.
 *
 * A device asks for attention by raising its line at the interrupt controller (PIC). The CPU answers between two
 * instructions, if its interrupt flag (IF) is set: it calls the handler for the line's vector, with IF cleared.
 *
 * Under VMI the real IF stays set for as long as the guest runs, or the hypervisor could not get a word in. The guest
 * has a virtual one. It is changed by calls, hot ones: a kernel disables and enables interrupts ten thousand times a
 * second. And two habits of the hardware are gone:
 *
 *   - EnableInterrupts has no delay. STI takes effect after the *next* instruction; the call delivers a waiting
 *     interrupt before it has returned, so to speak.
 *   - Halt always enables interrupts. "Halt with interrupts off" would sleep for ever; VMI has Shutdown for that.
 *
 * The timer here is a VMI alarm, or the PIT on bare hardware: see kit/timer.c. */
#include "traps.h"

#define TICKS_TO_SHOW 5
#define HZ 1000 /* ticks in a second */

static volatile u32 ticks;
static volatile u32 shown;

/* IRQ 0. The controller holds the line back until it is told that we are done. */
static void on_timer(struct frame *frame)
{
    ticks++;
    if (shown < TICKS_TO_SHOW) {
        shown++;
        /* The image on the stack shows the flag as it was, set; the operation shows what it is now. */
        print("tick %u: the interrupted code had IF=%u, the handler has IF=%u\n", shown, frame->eflags >> 9 & 1,
              pv.get_interrupt_mask() >> 9 & 1);
    }
    irq_done(0);
}

static void masks(void)
{
    /* The idiom of every critical section. Restoring the mask instead of enabling makes sections nest: the inner one
     * leaves interrupts as it found them, off. */
    u32 outer = pv.get_interrupt_mask();
    pv.disable_interrupts();
    u32 inner = pv.get_interrupt_mask();
    pv.disable_interrupts();
    pv.set_interrupt_mask(inner);
    u32 between = pv.get_interrupt_mask();
    pv.set_interrupt_mask(outer);
    print("masks: outer %x, inner %x, after the inner section %x, after both %x\n", outer, inner, between,
          pv.get_interrupt_mask());
}

/* With interrupts off, wait until the controller has a request that the CPU does not take; then see what `operation`
 * does about it. Asking the controller means two port accesses, each of them a fault under VMI: so not too often. */
static void pending(const char *name, void (*operation)(void))
{
    pv.disable_interrupts();
    u32 before = ticks;
    while (!irq_requested(0))
        for (volatile u32 i = 0; i < 10000; i++)
            ;
    u32 masked = ticks - before;
    operation();
    u32 after = ticks - before; /* the very next thing that the kernel does */
    pv.enable_interrupts();
    print("%s: %u ticks while masked, %s\n", name, masked,
          after ? "the pending one arrived inside the operation" : "still pending after it");
}

static void enable(void)
{
    pv.enable_interrupts();
}

static void restore(void)
{
    pv.set_interrupt_mask(INTERRUPTS_ENABLED);
}

static void halt(void)
{
    pv.halt(); /* nothing to wait for: the pending interrupt ends it at once */
}

static void still_masked(void)
{
    pv.set_interrupt_mask(0);
}

int main(void)
{
    print("irqs: %s", vmi_start() ? "paravirtual" : "native");
    print(", ticks by %s\n", pv.set_alarm ? "a VMI alarm" : "the PIT");
    trap_init();
    pic_init();
    trap_handler(IRQ(0), on_timer);
    irq_unmask(0);
    timer_start(HZ);

    /* Idle as every kernel idles. Time goes on while the CPU sleeps; when nothing else is to be done, a virtual clock
     * can simply jump to the alarm. */
    while (ticks < TICKS_TO_SHOW)
        pv.halt();

    pv.enable_interrupts();
    masks();
    pending("EnableInterrupts", enable);
    pending("SetInterruptMask(200)", restore);
    pending("SetInterruptMask(0)", still_masked);
    pending("Halt", halt);

    pv.disable_interrupts();
    timer_stop();

    /* An alarm can also ring just once. Cancelling tells whether it was still going to: 1 the first time. */
    if (pv.set_alarm) {
        u64 period = divide(pv.get_cycle_frequency(), HZ);
        u64 start = pv.get_cycle_counter(VMI_COUNTER_REAL);
        u32 before = ticks;
        pv.set_alarm(VMI_COUNTER_REAL, start + period, 0);
        pv.halt();
        print("one-shot alarm: %u tick, %s\n", ticks - before,
              pv.get_cycle_counter(VMI_COUNTER_REAL) - start >= period ? "in time" : "too early");
        pv.set_alarm(VMI_COUNTER_REAL, pv.get_cycle_counter(VMI_COUNTER_REAL) + period, 0);
        u32 first = pv.cancel_alarm(VMI_COUNTER_REAL);
        print("cancelled: %u, and again: %u\n", first, pv.cancel_alarm(VMI_COUNTER_REAL));
    }
    print("done\n");
    return 0;
}
