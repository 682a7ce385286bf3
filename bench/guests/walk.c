/* Rounds of a mixture of loads, stores and arithmetic, about a hundred steps each; places to go back to. */

typedef unsigned int u32;

#define NOINLINE __attribute__((noipa, regparm(1)))

enum { LENGTH = 16384, INNER = 6 };

static u32 values[LENGTH];

/* In every round, with its number in EAX. */
NOINLINE void often(u32 round)
{
    values[round % LENGTH] ^= round;
    __asm__ volatile("" ::: "memory");
}

/* Once, at the beginning. */
NOINLINE void far(u32 round)
{
    values[0] = round + 1;
    __asm__ volatile("" ::: "memory");
}

/* Once, BACK rounds before the end. */
NOINLINE void near(u32 round)
{
    values[1] = round + 1;
    __asm__ volatile("" ::: "memory");
}

/* Once, at the end. */
NOINLINE void last(u32 round)
{
    values[2] = round + 1;
    __asm__ volatile("" ::: "memory");
}

u32 work(void)
{
    u32 hash = 1;

    __asm__ volatile("outb %b0, $0x21" : : "a"(0xFF)); /* the interrupt controller: nothing is wanted of it */
    far(0);
    for (u32 round = 0; round < ROUNDS; round++) {
        for (u32 i = 0; i < INNER; i++) {
            hash = hash * 1664525 + 1013904223;
            values[hash >> 18] += hash ^ i;
            hash ^= values[(hash >> 3) % LENGTH];
        }
        often(round);
        if (round == ROUNDS - BACK)
            near(round);
    }
    last(0);
    return hash;
}
