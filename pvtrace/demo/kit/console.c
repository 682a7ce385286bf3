/* console.c: text on the first serial port, and the end of the machine. */
#include "vmi.h"

#define COM1 0x3F8

/* 16550 registers, as offsets from the port: 0 data, 1 interrupt enable, 2 FIFO control, 3 line control,
 * 4 modem control, 5 line status. While line control has bit 7 set, 0 and 1 hold the divisor of the baud rate. */
void console_init(void)
{
    outb(COM1 + 1, 0x00); /* no interrupts */
    outb(COM1 + 3, 0x80);
    outb(COM1 + 0, 1);    /* 115200 baud */
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 0x03); /* 8 bits, no parity, 1 stop bit */
    outb(COM1 + 2, 0x07); /* FIFOs on, and empty */
    outb(COM1 + 4, 0x0B); /* ready; bit 3 connects the interrupt line */
}

static void put(char c)
{
    static u8 room; /* the transmit FIFO takes 16 bytes once it is empty (line status bit 5) */
    if (room == 0) {
        while (!(inb(COM1 + 5) & 0x20))
            ;
        room = 16;
    }
    room--;
    outb(COM1, (u8)c);
}

static void put_number(u32 value, u32 base, int digits)
{
    char text[10];
    int n = 0;
    do {
        text[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value || n < digits);
    while (n)
        put(text[--n]);
}

void print(const char *format, ...)
{
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        switch (*++format) {
        case 's':
            for (const char *s = __builtin_va_arg(arguments, const char *); *s; s++)
                put(*s);
            break;
        case 'u':
            put_number(__builtin_va_arg(arguments, u32), 10, 1);
            break;
        case 'x':
            put_number(__builtin_va_arg(arguments, u32), 16, 8);
            break;
        case 'c':
            put((char)__builtin_va_arg(arguments, int));
            break;
        default:
            put(*format);
        }
    }
    __builtin_va_end(arguments);
}

void guest_exit(int code)
{
    if (code == 0)
        pv.shutdown();
    outb(0xF4, (u8)code);
    for (;;)
        __asm__ volatile("cli; hlt"); /* for machines that have no such port */
}
