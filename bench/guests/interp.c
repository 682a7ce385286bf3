/* An interpreter: a register machine with eight registers runs Euclid's algorithm over many pairs. Indirect jumps. */

typedef unsigned int u32;

enum op { SET, ADD, REM, MOVE, STORE, LOAD, IF_ZERO, IF_LESS, GOTO, END };

struct instruction {
    u32 op, a, b, target;
};

/* r0, r1: the pair; r2: one operand of the remainder; r3: outer counter; r4: 1; r5: sum; r6: limit; r7: inner counter */
static const struct instruction program[] = {
    /*  0 */ { SET, 3, 1, 0 },
    /*  1 */ { SET, 4, 1, 0 },
    /*  2 */ { SET, 5, 0, 0 },
    /*  3 */ { SET, 6, 96, 0 },
    /*  4 */ { SET, 7, 1, 0 },          /* next row */
    /*  5 */ { MOVE, 0, 3, 0 },         /* next pair */
    /*  6 */ { MOVE, 1, 7, 0 },
    /*  7 */ { IF_ZERO, 1, 0, 12 },     /* while r1: r0, r1 = r1, r0 % r1 */
    /*  8 */ { MOVE, 2, 0, 0 },
    /*  9 */ { REM, 2, 1, 0 },
    /* 10 */ { MOVE, 0, 1, 0 },
    /* 11 */ { MOVE, 1, 2, 7 },
    /* 12 */ { ADD, 5, 0, 0 },
    /* 13 */ { STORE, 5, 7, 0 },
    /* 14 */ { LOAD, 2, 7, 0 },
    /* 15 */ { ADD, 7, 4, 0 },
    /* 16 */ { IF_LESS, 7, 6, 5 },
    /* 17 */ { ADD, 3, 4, 0 },
    /* 18 */ { IF_LESS, 3, 6, 4 },
    /* 19 */ { END, 0, 0, 0 },
};

static u32 memory[256];

__attribute__((noinline)) static u32 interpret(u32 seed)
{
    u32 r[8] = { 0 }, pc = 0;

    memory[0] = seed;
    for (;;) {
        const struct instruction *i = &program[pc++];

        switch (i->op) {
        case SET: r[i->a] = i->b; break;
        case ADD: r[i->a] += r[i->b]; break;
        case REM: r[i->a] %= r[i->b]; break;
        case MOVE: r[i->a] = r[i->b]; if (i->target) pc = i->target; break;
        case STORE: memory[r[i->b] & 255] = r[i->a]; break;
        case LOAD: r[i->a] = memory[r[i->b] & 255]; break;
        case IF_ZERO: if (!r[i->a]) pc = i->target; break;
        case IF_LESS: if (r[i->a] < r[i->b]) pc = i->target; break;
        case GOTO: pc = i->target; break;
        default: return r[5] ^ memory[0];
        }
    }
}

u32 work(void)
{
    u32 sum = 0;

    for (u32 round = 0; round < ROUNDS; round++)
        sum = sum * 31 + interpret(round);
    return sum;
}
