/* echo: a guest that lives in the outside world.
 *
 * Everything that a guest computes follows from its first state, so a replay can compute it again. What comes from
 * outside cannot be computed, and must be recorded: here, the bytes that you type and the time of day. Type lines; each
 * comes back in capitals, with the time that passed since the start. "quit", or Ctrl-D on a line of its own, ends it.
 *
 *   pvtrace record echo.elf                   interactive
 *   printf 'one\ntwo\nquit\n' | pvtrace record echo.elf
 *   pvtrace replay                            the same bytes at the same instructions, and the same times
 *
 * The serial port (a 16550 UART) raises IRQ 4 when a byte has arrived; until then the guest sleeps in Halt. */
#include "traps.h"

#define COM1 0x3F8
#define RECEIVE_INTERRUPT 0x01 /* in the interrupt enable register, COM1+1 */
#define DATA_READY 0x01        /* in the line status register, COM1+5 */
#define CONTROL_D 4

/* A ring buffer between the handler, which puts bytes in, and main, which takes them out. Only the handler changes
 * `head` and only main changes `tail`. Unsigned arithmetic makes the counters wrap rightly. */
static volatile u8 ring[256];
static volatile u32 head, tail;

static void on_serial(struct frame *frame)
{
    (void)frame;
    while (inb(COM1 + 5) & DATA_READY) {
        u8 byte = inb(COM1);
        if (head - tail < sizeof ring)
            ring[head++ % sizeof ring] = byte;
    }
    irq_done(4);
}

/* The classic race: if the byte came between the test and the Halt, we would sleep although there is work to do. So
 * the test is made with interrupts off, and Halt turns them on and sleeps in one step. */
static u8 next_byte(void)
{
    pv.disable_interrupts();
    while (head == tail) {
        pv.halt();
        pv.disable_interrupts();
    }
    u8 byte = ring[tail++ % sizeof ring];
    pv.enable_interrupts();
    return byte;
}

/* VMI gives the time of day in nanoseconds, corrected when the host's clock is. Natively there is the time stamp
 * counter, which knows neither its own speed nor the date: we show it in millions. */
static u64 now(void)
{
    return pv.get_wallclock_time ? pv.get_wallclock_time() : pv.rdtsc();
}

/* The date of a day counted from 1970-01-01, for the years 1970 to 2099: there every fourth year is a leap year. */
static void print_date(u32 day)
{
    static const u8 lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    u32 year = 1970, month = 0;
    while (day >= 365u + (year % 4 == 0)) {
        day -= 365u + (year % 4 == 0);
        year++;
    }
    while (day >= lengths[month] + (u32)(month == 1 && year % 4 == 0)) {
        day -= lengths[month] + (u32)(month == 1 && year % 4 == 0);
        month++;
    }
    print("%u-%s%u-%s%u", year, month < 9 ? "0" : "", month + 1, day < 9 ? "0" : "", day + 1);
}

static void print_clock(u64 ns)
{
    u32 seconds = (u32)divide(ns, 1000000000), of_day = seconds % 86400;
    print_date(seconds / 86400);
    print(" %u:%s%u UTC", of_day / 3600, of_day / 60 % 60 < 10 ? "0" : "", of_day / 60 % 60);
}

static int is_quit(const char *line)
{
    return line[0] == 'Q' && line[1] == 'U' && line[2] == 'I' && line[3] == 'T' && line[4] == 0;
}

int main(void)
{
    char line[128];
    u32 length = 0, lines = 0;

    print("echo: %s\n", vmi_start() ? "paravirtual" : "native");
    trap_init();
    pic_init();
    trap_handler(IRQ(4), on_serial);
    irq_unmask(4);
    outb(COM1 + 1, RECEIVE_INTERRUPT);

    u64 start = now();
    if (pv.get_wallclock_time) {
        print("the clock says ");
        print_clock(start);
        print("\n");
    } else {
        print("there is no clock here but the time stamp counter\n");
    }

    for (;;) {
        u8 byte = next_byte();
        if (byte == CONTROL_D && length == 0)
            break;
        if (byte != '\n' && byte != '\r') {
            if (length < sizeof line - 1)
                line[length++] = (char)(byte >= 'a' && byte <= 'z' ? byte - 32 : byte);
            continue;
        }
        line[length] = 0;
        if (is_quit(line))
            break;
        lines++;
        print("[%u %s] %s\n", (u32)divide(now() - start, 1000000), pv.get_wallclock_time ? "ms" : "Mcycles", line);
        length = 0;
    }
    print("%u lines echoed\n", lines);
    return 0;
}
