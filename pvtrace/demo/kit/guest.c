/* guest.c: your guest. It prints three ticks of the clock and shuts down; make it yours. */
#include "traps.h"
#include "vmi.h"

static volatile u32 ticks;

static void on_timer(struct frame *frame)
{
    (void)frame;
    ticks++;
    irq_done(0);
}

int main(void)
{
    print("Hello from %s.\n", vmi_start() ? "privilege level 1, under VMI" : "privilege level 0, bare hardware");

    trap_init();
    pic_init();
    trap_handler(IRQ(0), on_timer);
    irq_unmask(0);
    timer_start(100);
    for (u32 seen = 0; seen < 3;) {
        pv.halt(); /* enables interrupts and sleeps until one came */
        pv.disable_interrupts();
        if (ticks > seen)
            print("tick %u\n", ++seen);
    }
    timer_stop();
    return 0;
}
