/* Calls: Takeuchi's function, which does nothing but call itself, and a table of functions called through pointers. */

typedef unsigned int u32;

__attribute__((noinline, noclone)) static int tak(int x, int y, int z)
{
    int a, b, c;

    if (y >= x)
        return z;
    a = tak(x - 1, y, z);
    b = tak(y - 1, z, x);
    c = tak(z - 1, x, y);
    __asm__ volatile("" : "+r"(a));     /* no tail call: each return comes back here */
    return tak(a, b, c);
}

__attribute__((noinline)) static u32 twist(u32 x) { return x * 5 + 1; }
__attribute__((noinline)) static u32 turn(u32 x) { return (x << 7) | (x >> 25); }
__attribute__((noinline)) static u32 fold(u32 x) { return x ^ (x >> 15); }

static u32 (*volatile const steps[])(u32) = { twist, turn, fold, turn };

u32 work(void)
{
    u32 sum = 0;

    for (u32 round = 0; round < ROUNDS; round++) {
        sum += tak(14, 9, 4);
        for (u32 i = 0; i < 4096; i++)
            sum = steps[i & 3](sum);
    }
    return sum;
}
