/* The exact step counter, the exact stop, and interception: one callback at the start of every translated block.
 *
 * The callback subtracts the block's size from the budget. Whatever needs a closer look (a new block, a block with an
 * intercepted instruction in it, one that would pass the budget) is made to overdraw it and comes to look_at(), which
 * either stops, or has Unicorn run just the first k instructions of the block: QEMU can be asked for a block of k
 * instructions (cflags_next_tb), which is how its own -icount and self-modifying-code logic work.
 *
 * Blocks that are left early are given back: a fault in the middle, and QEMU's restart of a store into its own block,
 * which is recognised by the one-instruction block that QEMU, not we, asked for. Where in the block it happened is
 * read from the table that QEMU keeps behind each block to restore EIP; nothing is decoded. */
#include "core.h"

#include <string.h>

enum { SLICE = (1 << 30) - 1, POOL_SPARE = 256 };

/* The callback's own state, in fixed places: it runs at every block. */
static int64_t budget;
static struct block *current;
static struct core *running;

static void look_at(struct block *b, uint32_t pc, uintptr_t host);

void counter_block(uc_engine *engine, uint64_t pc, uint32_t size, void *block)
{
    (void)engine, (void)size;
    struct block *b = block;
    int64_t rest = budget - b->cost;
    if (__builtin_expect(rest < 0, 0)) {
        look_at(b, (uint32_t)pc, (uintptr_t)__builtin_return_address(0));
        return;
    }
    budget = rest;
    current = b;
}

/* ------------------------------------------------------------------ new blocks */

/* Give Unicorn the record of the block that it will translate next. */
static void next_record(struct core *c)
{
    if (c->pool_used >= POOL - POOL_SPARE)
        c->flush_code = true;
    struct block *b = &c->pool[c->pool_used < POOL - 1 ? c->pool_used++ : POOL - 1];
    *b = (struct block){.cost = LOOK};
    *c->block_user_data = b;
}

void counter_edge(uc_engine *engine, void *now, void *before, void *core)
{
    (void)engine, (void)now, (void)before;
    next_record(core);
}

void counter_flush_code(struct core *c)
{
    uc.ctl(c->engine, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
    c->flush_code = false;
    c->pool_used = 0;
    next_record(c);
}

/* ------------------------------------------------------------------ a block that needs a look */

static void stop(struct core *c, enum exit_code code)
{
    c->stop = code;
    uc.emu_stop(c->engine);
}

/* Leave the callback for good and have Unicorn run the first k instructions of this block. */
static void run_first(struct core *c, int k)
{
    c->splits++;
    c->asked = k;
    *c->cflags_next = (uint32_t)k;
    uc.loop_exit(c->cpu);
}

enum { CC_OP_EFLAGS = 1, ARITHMETIC_FLAGS = 0x8d5 };

/* Unicorn keeps the flags as the operands of the instruction that set them: compute and remember them. */
static void settle_flags(struct core *c)
{
    uint64_t flags = 0;
    uc.reg_read(c->engine, UC_X86_REG_EFLAGS, &flags);
    c->flags_before = (uint32_t)flags & ARITHMETIC_FLAGS;
    c->env->cc_src = c->flags_before;
    c->env->cc_op = CC_OP_EFLAGS;
}

/* The instruction at `pc` of the current block did not complete: take back what was counted for it and for those behind
 * it, and what it did to the flags. */
static void take_back(struct core *c, uint32_t pc)
{
    if (!current)
        return;
    int done = block_index(current->tb, pc);
    if (done < 0)
        return;
    budget += current->n - done;
    if (current->fragile) {
        c->env->cc_src = c->flags_before;
        c->env->cc_op = CC_OP_EFLAGS;
        c->env->eflags = (c->env->eflags & ~(uint64_t)ARITHMETIC_FLAGS) | c->flags_before; /* if Unicorn has returned */
    }
}

static void look_at(struct block *b, uint32_t pc, uintptr_t host)
{
    struct core *c = running;
    if (!b->tb) {
        translation_block *tb = uc.tb_lookup(pointer_at(c->engine, UC_TCG_CTX), host);
        if (!tb) {
            stop(c, EXIT_BROKEN);
            return;
        }
        block_learn(c, b, tb);
        if (*c->block_user_data == b) /* the first block of an engine is not announced */
            next_record(c);
    }
    translation_block *tb = b->tb;
    bool single = (tb->cflags & CF_COUNT_MASK) == 1;
    if (single && c->asked != 1 && current) { /* QEMU restarts a store into its own block */
        take_back(c, pc);
        c->restarts++;
    }
    c->asked = c->tries = 0;
    if (c->prefetched) {
        uc.tlb_flush_page(c->cpu, c->prefetched_page);
        c->prefetched = false;
    }
    if (budget == 0) {
        stop(c, EXIT_ARRIVED);
        return;
    }
    if (c->flush_code) {
        stop(c, EXIT_NONE);
        return;
    }
    int limit = b->runnable;
    if (limit == 0) {
        bool crosses = tb->page_addr[1] != UINT64_MAX;
        if (block_breakpoint(c, (uint32_t)tb->pc) && c->mode == MODE_PLAIN && budget != c->passing) {
            stop(c, EXIT_BREAK);
            return;
        }
        if (b->intercepted && !(c->mode & MODE_NATIVE)) {
            stop(c, EXIT_INTERCEPT);
            return;
        }
        if (b->n == 1 && crosses) { /* now the second page is really executed */
            struct walk w;
            mmu_walk(c, (uint32_t)((tb->pc & ~(uint64_t)0xfff) + PAGE), FETCH, (c->env->hflags & HF_CPL) == 3,
                     WALK_MARK, &w);
        }
        limit = 1;
    }
    if (limit > budget)
        limit = (int)budget;
    if (limit < b->n)
        run_first(c, limit);
    budget -= b->n;
    current = b;
    if (b->fragile)
        settle_flags(c);
}

/* ------------------------------------------------------------------ exceptions */

void counter_exception(uc_engine *engine, uint32_t vector, void *core)
{
    (void)engine;
    struct core *c = core;
    *(int32_t *)field(c->env, ENV_OLD_EXCEPTION) = -1; /* Unicorn never clears it: the next one would be a #DF */
    c->vector = (int)vector;
    c->error = *(int32_t *)field(c->env, ENV_ERROR_CODE);
    c->has_error = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
    stop(c, *(int32_t *)field(c->env, ENV_EXCEPTION_IS_INT) ? EXIT_BROKEN : EXIT_FAULT);
}

bool counter_undefined(uc_engine *engine, void *core)
{
    (void)engine;
    struct core *c = core;
    *(int32_t *)field(c->env, ENV_OLD_EXCEPTION) = -1;
    c->vector = 6;
    c->has_error = false;
    stop(c, EXIT_FAULT);
    return true;
}

/* ------------------------------------------------------------------ the run loop */

/* The instruction at EIP did not complete. */
static void give_back(struct core *c)
{
    take_back(c, (uint32_t)(c->env->eip + c->env->segs[1].base));
    current = NULL;
}

static enum exit_code fault(struct core *c, int vector, bool has_error, int error, uint32_t address)
{
    c->vector = vector;
    c->has_error = has_error;
    c->error = error;
    c->address = address;
    return EXIT_FAULT;
}

static enum exit_code run_one(struct core *c, unsigned mode);

/* How far from the first byte that it accesses in a page an instruction may access others: PUSHA goes down by 32 bytes,
 * FXSAVE up by 512. */
enum { BELOW = 32, ABOVE = 512 };

/* The watched bytes around an access. */
struct around {
    uint64_t at; /* physical */
    uint32_t size;
    const struct watch *watch;
    uint8_t before[BELOW + ABOVE];
};

static bool look_around(struct core *c, const struct watch *w, uint32_t linear, uint64_t physical, struct around *a)
{
    uint64_t at = w->physical ? physical : linear, page = at & ~(uint64_t)0xfff;
    uint64_t from = at - page < BELOW ? page : at - BELOW, to = at - page > PAGE - ABOVE ? page + PAGE : at + ABOVE;
    from = w->start > from ? w->start : from;
    to = w->end < to ? w->end : to;
    if (from >= to)
        return false;
    a->watch = w;
    a->at = physical - at + from;
    a->size = (uint32_t)(to - from);
    memcpy(a->before, c->ram + a->at, a->size);
    return true;
}

/* An instruction accesses a page in which something is watched: run it alone, and see what it did. */
static enum exit_code watched(struct core *c, struct refusal r, uint32_t address, uint32_t eip)
{
    struct around around[MOST_WATCHES];
    uint32_t n = 0;
    uint64_t physical = r.physical | (address & 0xfff), near = 0, changed = 0;
    bool store = r.access == UC_MEM_WRITE;
    for (uint32_t i = 0; i < c->nwatches; i++)
        n += look_around(c, &c->watches[i], address, physical, &around[n]);
    int64_t rest = budget - 1;
    enum exit_code code = run_one(c, c->mode | MODE_WATCH);
    budget = code == EXIT_ARRIVED ? rest : rest + 1;
    mmu_flush(c);
    for (uint32_t i = 0; i < n; i++) {
        const struct around *a = &around[i];
        bool differs = memcmp(a->before, c->ram + a->at, a->size);
        uint64_t bit = 1ull << (a->watch - c->watches);
        changed |= differs ? bit : 0;
        near |= differs || a->watch->loads || (store && a->watch->stores) ? bit : 0;
    }
    if (near)
        mmu_note(c, (struct touch){true, store || changed, address, eip, near, changed});
    if (code == EXIT_ARRIVED)
        return c->touch.is ? EXIT_WATCH : EXIT_NONE;
    return code;
}

/* A TLB fill was refused. EXIT_NONE: dealt with, go on. */
static enum exit_code refused(struct core *c)
{
    struct refusal r = c->refusal;
    uint32_t eip = (uint32_t)(c->env->eip + c->env->segs[1].base);
    uint32_t address = (uint32_t)*(uint64_t *)field(c->engine, UC_INVALID_ADDR);
    if (r.access == UC_MEM_FETCH) {
        /* Translation reads ahead: unless this was a block of one instruction, it may never get there. */
        if ((eip & ~0xfffu) != r.page && c->tries < 2) { /* twice: a full code buffer may swallow a request */
            c->tries++;
            c->asked = 1;
            *c->cflags_next = 1;
            c->splits++;
            return EXIT_NONE;
        }
        current = NULL;
        address = (eip & ~0xfffu) == r.page ? eip : r.page;
    } else {
        give_back(c);
    }
    if (budget == 0)
        return EXIT_ARRIVED; /* that instruction is not to be begun */
    switch (r.why) {
    case REFUSED_PAGING:
        return fault(c, 14, true, (int)r.error, address);
    case REFUSED_HOLE:
        return fault(c, 13, true, 0, address);
    case REFUSED_TABLE: {
        c->table_stores++;
        int64_t rest = budget - 1;
        enum exit_code code = run_one(c, c->mode | MODE_TABLE);
        budget = code == EXIT_ARRIVED ? rest : rest + 1;
        mmu_flush(c);
        return code == EXIT_ARRIVED ? EXIT_NONE : code;
    }
    case REFUSED_WATCH:
        return watched(c, r, address, eip);
    case REFUSED_MMIO:
        if (r.access == UC_MEM_FETCH) { /* the bus gives FF FF where nothing is, which is no instruction */
            struct walk w;
            mmu_walk(c, r.page, FETCH, (c->env->hflags & HF_CPL) == 3, WALK_MARK, &w);
            return fault(c, 6, false, 0, 0);
        }
        c->address = address;
        c->physical = r.physical | (address & 0xfff);
        return EXIT_MMIO;
    default:
        return EXIT_BROKEN;
    }
}

/* Run until the budget is spent or something happens. The dispatch that causes an exit is not yet counted here. */
static enum exit_code go(struct core *c)
{
    for (;;) {
        if (c->flush_code) {
            counter_flush_code(c);
            current = NULL;
        }
        c->stop = EXIT_NONE;
        c->refusal.why = REFUSED_NOTHING;
        int error = uc.emu_start(c->engine, (uint32_t)c->env->eip, 0, 0, 0);
        enum exit_code code = c->stop;
        if (code == EXIT_FAULT) {
            if (c->vector != 1) /* a trap: its instruction is complete and counted */
                give_back(c);
            else
                budget++, current = NULL; /* the caller counts it */
        } else if (code == EXIT_NONE && error == UC_ERR_EXCEPTION && c->refusal.why != REFUSED_NOTHING) {
            code = refused(c);
        } else if (code == EXIT_NONE && !(error == UC_ERR_OK && c->flush_code)) {
            code = EXIT_BROKEN;
        }
        if (code != EXIT_NONE) {
            *c->cflags_next = UINT32_MAX;
            c->asked = c->tries = 0;
            current = NULL;
            return code;
        }
    }
}

static enum exit_code run_one(struct core *c, unsigned mode)
{
    unsigned before = c->mode;
    c->mode = mode;
    c->asked = 1;
    *c->cflags_next = 1;
    budget = 1;
    current = NULL;
    enum exit_code code = go(c);
    c->mode = before;
    return code;
}

/* The dispatch that causes an exit is counted; an access to device memory has not been dispatched yet. */
static enum exit_code finish(struct core *c, enum exit_code code)
{
    if (code != EXIT_ARRIVED && code != EXIT_MMIO && code != EXIT_BREAK && code != EXIT_WATCH)
        c->steps++;
    c->broke_at = code == EXIT_BREAK ? c->steps : UINT64_MAX;
    return code;
}

/* Whether a breakpoint stops the run right here. To translate what is behind it would mark its page accessed, which a run
 * that ends here by its steps does not do. What cannot be fetched is a fault first. */
static bool breaks_here(struct core *c)
{
    uint32_t linear = (uint32_t)(c->env->eip + c->env->segs[1].base);
    struct walk w;
    return c->nbreakpoints && c->broke_at != c->steps && block_breakpoint(c, linear) && linear < c->hole &&
           mmu_walk(c, linear, FETCH, (c->env->hflags & HF_CPL) == 3, WALK_LOOK, &w) && w.physical < c->ram_size;
}

enum exit_code counter_run(struct core *c, uint64_t until)
{
    running = c;
    enum exit_code code = EXIT_ARRIVED;
    while (code == EXIT_ARRIVED && c->steps < until) {
        if (breaks_here(c)) {
            code = EXIT_BREAK;
            break;
        }
        int64_t slice = until - c->steps < SLICE ? (int64_t)(until - c->steps) : SLICE;
        budget = slice;
        current = NULL;
        c->passing = c->broke_at == c->steps ? budget : -1;
        code = go(c);
        c->passing = -1;
        c->steps += (uint64_t)(slice - budget);
        if (answer(c, code, until)) {
            code = EXIT_ARRIVED;
            if (answer_due(c))
                break;
        }
    }
    return finish(c, code);
}

/* Run exactly one instruction. */
enum exit_code counter_step(struct core *c, unsigned mode)
{
    running = c;
    enum exit_code code = run_one(c, mode);
    c->steps += (uint64_t)(1 - budget);
    return finish(c, code);
}
