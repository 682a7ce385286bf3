/* timer.c: the interrupt controller (two 8259 PICs) and a periodic timer on its line 0. */
#include "traps.h"

#define MASTER 0x20 /* command port; the mask is one above */
#define SLAVE 0xA0
#define PIT_CHANNEL 0x40
#define PIT_COMMAND 0x43
#define PIT_HZ 1193182u

/* The lines' vectors are set to 32..47, out of the way of the exceptions. ICW1 announces ICW2 (first vector), ICW3
 * (which line the slave hangs on) and ICW4 (8086 mode). */
void pic_init(void)
{
    outb(MASTER, 0x11);
    outb(SLAVE, 0x11);
    outb(MASTER + 1, IRQ(0));
    outb(SLAVE + 1, IRQ(8));
    outb(MASTER + 1, 1 << 2);
    outb(SLAVE + 1, 2);
    outb(MASTER + 1, 1);
    outb(SLAVE + 1, 1);
    outb(MASTER + 1, 0xFF);
    outb(SLAVE + 1, 0xFF);
}

/* Lines 0 to 7 are enough for us. */
void irq_unmask(u32 line)
{
    outb(MASTER + 1, (u8)(inb(MASTER + 1) & ~(1u << line)));
}

void irq_done(u32 line)
{
    outb(MASTER, (u8)(0x60 | line)); /* end of this interrupt */
}

int irq_requested(u32 line)
{
    outb(MASTER, 0x0A); /* the next read shows the requests */
    return inb(MASTER) >> line & 1;
}

/* VMI's timer is an alarm on a counter: "raise IRQ 0 when it reaches `expiry`, and every `period` after that". It
 * comes beside the PIT, which may still be ticking as the BIOS left it: mode 5 waits for a trigger that never comes. */
void timer_start(u32 hz)
{
    if (pv.set_alarm) {
        u64 period = divide(pv.get_cycle_frequency(), hz);
        outb(PIT_COMMAND, 0x3A);
        pv.set_alarm(VMI_COUNTER_REAL | VMI_ALARM_PERIODIC, pv.get_cycle_counter(VMI_COUNTER_REAL) + period, period);
    } else {
        u32 divisor = PIT_HZ / hz; /* 16 bits */
        outb(PIT_COMMAND, 0x34);   /* channel 0, low and high byte, mode 2: a pulse each time it reaches 0 */
        outb(PIT_CHANNEL, (u8)divisor);
        outb(PIT_CHANNEL, (u8)(divisor >> 8));
    }
}

void timer_stop(void)
{
    if (pv.cancel_alarm)
        pv.cancel_alarm(VMI_COUNTER_REAL);
    outb(PIT_COMMAND, 0x3A);
}
