/* userland_user: the program in ring 3. The kernel below it, and what this is about, is in userland.c.
 *
 * Each experiment reads EFLAGS by PUSHF right after its attempt, and only afterwards prints them: the system call that
 * prints would itself change what we look at. Whatever an experiment did to IF, it ends with STI.
 *
 * Under VMI, every line that follows an attempt says IF=1 IOPL=0: the real flags, which the program cannot change. */
#include "userland.h"

struct shared shared;

/* The ordinary system call: a software interrupt. */
static int int80(int number, unsigned argument)
{
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(argument) : "memory");
    return result;
}

/* The fast one. SYSENTER forgets where it came from, so the stack pointer goes along in ECX, and SYSEXIT comes back to
 * the one place that the kernel knows. It destroys ECX and EDX. */
static int sysenter(int number, unsigned argument)
{
    int result;
    __asm__ volatile("call user_sysenter" : "=a"(result) : "a"(number), "b"(argument) : "ecx", "edx", "memory");
    return result;
}

__asm__(".text\n"
        ".globl user_sysenter_return\n"
        ".type user_sysenter, @function\n"
        "user_sysenter:\n\t"
        "movl %esp, %ecx\n\t"
        "sysenter\n"
        "user_sysenter_return:\n\t"
        "ret\n\t"
        ".size user_sysenter, . - user_sysenter");

static void say(const char *text)
{
    int80(SYS_PRINT, (unsigned)text);
}

static void show(const char *attempt, unsigned eflags)
{
    say(attempt);
    int80(SYS_PRINT_FLAGS, eflags);
}

#define READ_FLAGS "pushfl; popl %0"
#define INTERRUPT_FLAG "$0x200"

/* The attempts, alone. */
static unsigned try_nothing(void)
{
    unsigned eflags;
    __asm__ volatile(READ_FLAGS : "=r"(eflags));
    return eflags;
}

static unsigned try_cli(void)
{
    unsigned eflags;
    __asm__ volatile("cli; " READ_FLAGS "; sti" : "=r"(eflags));
    return eflags;
}

static unsigned try_sti(void)
{
    unsigned eflags;
    __asm__ volatile("sti; " READ_FLAGS : "=r"(eflags));
    return eflags;
}

static unsigned try_popf(void) /* with an image whose IF is clear */
{
    unsigned eflags;
    __asm__ volatile("pushfl; andl $~0x200, (%%esp); popfl; " READ_FLAGS "; sti" : "=r"(eflags) : : "cc");
    return eflags;
}

/* And nested. The first is the idiom of a critical section, PUSHF; CLI; ...; POPF: does POPF bring back IF=1? */
static unsigned try_section(void)
{
    unsigned eflags;
    __asm__ volatile("pushfl; cli; popfl; " READ_FLAGS "; sti" : "=r"(eflags) : : "cc");
    return eflags;
}

/* A section inside a section: behind the inner POPF, the outer CLI should still hold. */
static unsigned try_nested(void)
{
    unsigned eflags;
    __asm__ volatile("pushfl; cli; pushfl; cli; popfl; " READ_FLAGS "; popfl; sti" : "=r"(eflags) : : "cc");
    return eflags;
}

static void attempts(void)
{
    static const struct {
        const char *name;
        unsigned (*attempt)(void);
    } all[] = {
        {"  nothing tried:            ", try_nothing}, {"  CLI:                      ", try_cli},
        {"  STI:                      ", try_sti},     {"  POPF with IF=0:           ", try_popf},
        {"  PUSHF CLI POPF:           ", try_section}, {"  PUSHF CLI PUSHF CLI POPF: ", try_nested},
    };
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        unsigned before = shared.skipped;
        show(all[i].name, all[i].attempt());
        if (shared.skipped != before)
            say("    (CLI and STI faulted: the kernel skipped them)\n");
    }
}

/* The long loop, after `cli`: it ends when a timer interrupt came, or after far more time than between two. */
#define PATIENCE 5000000

static void section(void)
{
    __asm__ volatile("cli" : : : "memory");
    unsigned before = shared.ticks;
    shared.in_section = 1;
    for (unsigned i = 0; i < PATIENCE && shared.ticks == before; i++)
        ;
    shared.in_section = 0;
    __asm__ volatile("sti" : : : "memory");
    say(shared.ticks_inside ? "a timer interrupt came inside the section: it protects nothing\n"
                            : "no timer interrupt came inside the section\n");
    shared.ticks_inside = 0;
}

void user_main(void)
{
    say("ring 3 speaks, by INT 80h\n");
    sysenter(SYS_PRINT, (unsigned)"and by SYSENTER\n");

    say("IOPL 0\n");
    attempts();

    say(int80(SYS_IOPL, 3) == 0 ? "iopl(3)\n" : "iopl(3) failed\n");
    attempts();

    say("cli; a long loop; sti\n");
    section();

    int80(SYS_EXIT, 0);
}
