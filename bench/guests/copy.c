/* Memory copies: the string instructions in several widths and alignments, and a plain copy loop. */

typedef unsigned int u32;
typedef unsigned char u8;

enum { WORDS = 32768 };

static u32 from[WORDS], to[WORDS];

static void move_words(void *target, const void *source, u32 count)
{
    __asm__ volatile("rep movsl" : "+D"(target), "+S"(source), "+c"(count) : : "memory");
}

static void move_bytes(void *target, const void *source, u32 count)
{
    __asm__ volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(count) : : "memory");
}

static void fill_words(void *target, u32 value, u32 count)
{
    __asm__ volatile("rep stosl" : "+D"(target), "+c"(count) : "a"(value) : "memory");
}

__attribute__((noinline)) static void copy_loop(volatile u32 *target, const u32 *source, u32 count)
{
    for (u32 i = 0; i < count; i++)
        target[i] = source[i];
}

u32 work(void)
{
    u32 sum = 0;

    for (u32 i = 0; i < WORDS; i++)
        from[i] = i * 2654435761u;
    for (u32 round = 0; round < ROUNDS; round++) {
        move_words(to, from + (round & 63), WORDS / 2);
        for (u32 piece = 0; piece < 128; piece++)
            move_bytes((u8 *)to + piece * 96 + 3, (u8 *)from + piece * 80 + 1, 64);
        fill_words(to + WORDS / 2, round, WORDS / 8);
        copy_loop(to + WORDS / 2 + WORDS / 8, from, WORDS / 4);
        sum = sum * 33 + to[round % WORDS];
    }
    return sum;
}
