/* paged_user: sorts, and sums up by a linked list, in pages of ring 3. */
#include "paged.h"

#define COUNT 20000

volatile unsigned ticks;
static unsigned value[COUNT], next[COUNT];

static void sort(unsigned *from, int count)
{
    while (count > 1) {
        unsigned pivot = from[count / 2];
        int low = 0, high = count - 1;
        while (low <= high) {
            while (from[low] < pivot)
                low++;
            while (from[high] > pivot)
                high--;
            if (low <= high) {
                unsigned kept = from[low];
                from[low++] = from[high];
                from[high--] = kept;
            }
        }
        sort(from, high + 1);
        from += low;
        count -= low;
    }
}

void user_main(void)
{
    unsigned seed = 1, sum = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            value[i] = seed = seed * 1664525 + 1013904223;
            next[i] = (i + 7919) % COUNT;
        }
        sort(value, COUNT);
        for (unsigned i = 0, at = 0; i < COUNT; i++, at = next[at])
            sum += value[at];
    }
    __asm__ volatile("int $0x80" : : "a"(sum));
}
