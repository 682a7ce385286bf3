/* Integer loops: sort a shuffled array by shells, sieve primes, hash the result. Long blocks, many plain stores. */

typedef unsigned int u32;

enum { LENGTH = 4096, PRIMES = 32768 };

static u32 values[LENGTH];
static unsigned char composite[PRIMES];

static u32 shuffle(u32 seed)
{
    for (u32 i = 0; i < LENGTH; i++) {
        seed = seed * 1664525 + 1013904223;
        values[i] = seed >> 8;
    }
    return seed;
}

static void sort(void)
{
    for (u32 gap = LENGTH / 2; gap > 0; gap /= 2)
        for (u32 i = gap; i < LENGTH; i++) {
            u32 value = values[i], j = i;

            for (; j >= gap && values[j - gap] > value; j -= gap)
                values[j] = values[j - gap];
            values[j] = value;
        }
}

static u32 sieve(void)
{
    u32 count = 0;

    for (u32 i = 0; i < PRIMES; i++)
        composite[i] = 0;
    for (u32 i = 2; i < PRIMES; i++) {
        if (composite[i])
            continue;
        count++;
        for (u32 j = 2 * i; j < PRIMES; j += i)
            composite[j] = 1;
    }
    return count;
}

u32 work(void)
{
    u32 hash = 2166136261u, seed = 1;

    for (u32 round = 0; round < ROUNDS; round++) {
        seed = shuffle(seed);
        sort();
        hash = (hash ^ sieve()) * 16777619;
        for (u32 i = 0; i < LENGTH; i++)
            hash = (hash ^ values[i]) * 16777619;
    }
    return hash;
}
