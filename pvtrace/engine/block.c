/* What a translated block holds: where its instructions begin, and which of them must not simply run.
 *
 * The addresses are read from the table that QEMU keeps behind each block to restore EIP; no lengths are decoded. */
#include "core.h"

static int64_t sleb128(const uint8_t **p)
{
    int64_t value = 0;
    int shift = 0;
    uint8_t byte;
    do {
        byte = *(*p)++;
        value |= (int64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    if (shift < 64 && byte & 0x40)
        value |= -(int64_t)1 << shift;
    return value;
}

/* Iterates over the linear addresses of a block's instructions. */
struct walker {
    const uint8_t *p;
    uint64_t pc;
};

static struct walker walk_block(const translation_block *tb) { return (struct walker){tb->tc.ptr + tb->tc.size, tb->pc}; }

static uint32_t next_instruction(struct walker *w)
{
    w->pc += (uint64_t)sleb128(&w->p);
    for (int i = 1; i < INSN_START_WORDS; i++)
        sleb128(&w->p);
    sleb128(&w->p); /* host offset */
    return (uint32_t)w->pc;
}

/* Index of the instruction at `pc`, or -1. */
int block_index(const translation_block *tb, uint32_t pc)
{
    struct walker w = walk_block(tb);
    for (int i = 0; i < tb->icount; i++)
        if (next_instruction(&w) == pc)
            return i;
    return -1;
}

static bool is_prefix(uint8_t b)
{
    return b == 0x66 || b == 0x67 || b == 0x2e || b == 0x36 || b == 0x3e || b == 0x26 || b == 0x64 || b == 0x65 ||
           b == 0xf0 || b == 0xf2 || b == 0xf3;
}

static uint8_t code_byte(const struct core *c, const translation_block *tb, uint32_t pc)
{
    uint64_t first = tb->page_addr[0] & ~(uint64_t)0xfff, second = tb->page_addr[1];
    bool same = ((uint32_t)tb->pc ^ pc) < PAGE && !(((uint32_t)tb->pc ^ pc) & ~0xfffu);
    uint64_t page = same ? first : second;
    return page == UINT64_MAX || page >= c->ram_size ? 0 : c->ram[page + (pc & 0xfff)];
}

/* LEADING and FRAGILE instructions are those with whose flags Unicorn is not exact, each found by comparing with single
 * steps. A LEADING one must begin a block, for what Unicorn makes of it depends on the instructions in front of it:
 *  - BT, BTS, BTR, BTC: which values the undefined flags get;
 *  - LOOPE, LOOPNE: at ECX = 0 the flags are left as they were at the start of the block;
 *  - CMPXCHG8B computes the flags by the rule of an earlier instruction than the last.
 * A FRAGILE one has changed the flags when its store is refused: it runs alone, with the flags remembered:
 *  - SETcc, RCL and RCR with a memory operand. */
enum nature { ORDINARY, INTERCEPTED, LEADING, FRAGILE };

static enum nature one_byte_nature(uint8_t opcode, uint8_t modrm)
{
    bool shift = (opcode & 0xfc) == 0xd0 || (opcode & 0xfe) == 0xc0, through_carry = (modrm & 0x30) == 0x10;
    if (shift && through_carry && modrm < 0xc0)
        return FRAGILE;
    return (opcode & 0xfe) == 0xe0 ? LEADING : ORDINARY;
}

static enum nature two_byte_nature(uint8_t opcode, uint8_t modrm)
{
    switch (opcode) {
    case 0xa3: case 0xab: case 0xb3: case 0xba: case 0xbb: /* BT and so on */
    case 0xc7: /* CMPXCHG8B */
        return LEADING;
    default: /* SETcc */
        return (opcode & 0xf0) == 0x90 && modrm < 0xc0 ? FRAGILE : ORDINARY;
    }
}

static enum nature nature_of(const struct core *c, const translation_block *tb, uint32_t pc)
{
    int i = 0;
    while (i < LONGEST_INSTRUCTION - 1 && is_prefix(code_byte(c, tb, pc)))
        pc++, i++;
    uint8_t opcode = code_byte(c, tb, pc);
    bool two = opcode == 0x0f;
    if (two)
        opcode = code_byte(c, tb, ++pc);
    uint8_t rule = two ? c->intercept_two[opcode] : c->intercept_one[opcode], modrm = code_byte(c, tb, pc + 1);
    if (rule == 255 || rule >> (modrm >> 3 & 7) & 1)
        return INTERCEPTED;
    return two ? two_byte_nature(opcode, modrm) : one_byte_nature(opcode, modrm);
}

bool block_breakpoint(const struct core *c, uint32_t pc)
{
    for (uint32_t i = 0; i < c->nbreakpoints; i++)
        if (c->breakpoints[i] == pc)
            return true;
    return false;
}

void block_learn(struct core *c, struct block *b, translation_block *tb)
{
    /* Unicorn flushes a full buffer by itself, and then forgets that a store into its own block is to be restarted, or
     * that we asked for a block of k instructions: never let it get that far. */
    if (!c->code_start || tb->tc.ptr < c->code_start)
        c->code_start = tb->tc.ptr;
    if ((uint64_t)(tb->tc.ptr - c->code_start) > c->code_size - c->code_size / 4)
        c->flush_code = true;
    b->tb = tb;
    b->n = tb->icount;
    b->runnable = b->n;
    struct walker w = walk_block(tb);
    uint32_t pc = next_instruction(&w);
    bool crosses = tb->page_addr[1] != UINT64_MAX;
    uint32_t second_page = (uint32_t)((tb->pc & ~(uint64_t)0xfff) + PAGE);
    for (int i = 0; i < b->n; i++) {
        uint32_t next = i + 1 < b->n ? next_instruction(&w) : (uint32_t)(tb->pc + tb->size);
        enum nature nature = nature_of(c, tb, pc);
        if (next - pc > LONGEST_INSTRUCTION)
            nature = ORDINARY; /* Unicorn raises #GP */
        if (i == 0) {
            b->intercepted = nature == INTERCEPTED;
            b->fragile = nature == FRAGILE;
        }
        bool beyond = crosses && next - (uint32_t)tb->pc > second_page - (uint32_t)tb->pc;
        if (nature == INTERCEPTED || beyond || block_breakpoint(c, pc) || (i > 0 && nature != ORDINARY)) {
            b->runnable = i;
            break;
        }
        if (nature == FRAGILE) {
            b->runnable = 1;
            break;
        }
        pc = next;
    }
    bool whole = b->runnable == b->n && (tb->cflags & CF_COUNT_MASK) != 1 && !b->fragile;
    b->cost = whole ? b->n : LOOK;
}
