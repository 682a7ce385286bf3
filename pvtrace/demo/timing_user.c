/* timing_user: the two programs in ring 3. The kernel below them, and what this is about, is in timing.c.
 *
 * The prober runs two loops of the kind that programs with iopl(3) had, and measures each by RDTSC: between CLI and STI,
 * ROUNDS times. Nothing is printed before all is measured. */
#include "timing.h"

#define ROUNDS 8

struct shared shared;

static int int80(int number, unsigned argument)
{
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(argument) : "memory");
    return result;
}

static void say(const char *text)
{
    int80(SYS_PRINT, (unsigned)text);
}

static unsigned clock(void) /* the lower half is enough for the difference of two */
{
    unsigned low;
    __asm__ volatile("rdtsc" : "=a"(low) : : "edx");
    return low;
}

/* Ports of old devices, on a slow bus: a port access of hardware takes microseconds, and ours no time. */
static void bus_delay(void)
{
    unsigned turns = 400;
    __asm__ volatile("1: decl %0; jnz 1b" : "+r"(turns) : : "cc");
}

static void output(unsigned short port, unsigned char value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
    bus_delay();
}

static unsigned char input(unsigned short port)
{
    unsigned char value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    bus_delay();
    return value;
}

static unsigned enter_section(void)
{
    __asm__ volatile("cli" : : : "memory");
    shared.in_section = 1;
    return clock();
}

static unsigned leave_section(unsigned start)
{
    unsigned length = clock() - start;
    shared.in_section = 0;
    __asm__ volatile("sti" : : : "memory");
    return length;
}

/* How X probed a dot clock: poll the status of the display, and see how the picture is drawn meanwhile. */
#define DISPLAY_STATUS 0x3DA
#define POLLS 25

static unsigned dot_clock(void)
{
    unsigned drawn = 0, start = enter_section();
    for (unsigned i = 0; i < POLLS; i++)
        drawn += !(input(DISPLAY_STATUS) & 1);
    return leave_section(start);
}

/* How the time of day was read: not while the chip updates it, and before it does so again. */
#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define UPDATING 0x80 /* of register 10 */

static unsigned char cmos(unsigned char index)
{
    output(CMOS_INDEX, index);
    return input(CMOS_DATA);
}

static unsigned cmos_update(void)
{
    static const unsigned char fields[] = {0, 2, 4, 7, 8, 9}; /* seconds, minutes, hours; day, month, year */
    unsigned char time[sizeof fields];
    unsigned start = enter_section();
    while (cmos(10) & UPDATING)
        ;
    for (unsigned i = 0; i < sizeof fields; i++)
        time[i] = cmos(fields[i]);
    __asm__ volatile("" : : "r"(time) : "memory");
    return leave_section(start);
}

static void measure(const char *name, unsigned (*section)(void))
{
    unsigned length[ROUNDS], shortest = ~0u, longest = 0;
    shared.ticks_inside = 0;
    for (unsigned i = 0; i < ROUNDS; i++)
        length[i] = section();
    unsigned ticks = shared.ticks_inside;

    say(name);
    for (unsigned i = 0; i < ROUNDS; i++) {
        say(" ");
        int80(SYS_NUMBER, length[i]);
        shortest = length[i] < shortest ? length[i] : shortest;
        longest = length[i] > longest ? length[i] : longest;
    }
    say("\n  shortest ");
    int80(SYS_NUMBER, shortest);
    say(", longest ");
    int80(SYS_NUMBER, longest);
    say(ticks ? "; timer interrupts came inside\n" : "; no timer interrupt came inside\n");
}

void prober_main(void)
{
    int80(SYS_IOPL, 3);
    measure("dot clock:", dot_clock);
    measure("CMOS:", cmos_update);
    int80(SYS_EXIT, 0);
}

void worker_main(void)
{
    for (;;)
        shared.work++;
}
