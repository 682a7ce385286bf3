/* The C core: a CPU that counts every dispatch and stops exactly.
 *
 *   mmu.c      the guest's page tables, walked when Unicorn's TLB misses
 *   block.c    what a translated block holds
 *   counter.c  the block callback, the exact step counter, the run loop
 *   answers.c  the few VMI calls that are answered here
 *
 * The Python type around it is told in python_core.h.
 *
 * It knows x86 paging and counting. It knows no VMI call but those of answers.c, no device, no event. */
#ifndef PVTRACE_CORE_H
#define PVTRACE_CORE_H

#include "unicorn_abi.h"

enum { PAGE = 4096, LONGEST_INSTRUCTION = 15, POOL = 1 << 18 /* records of blocks */ };

/* What is known of a frame of guest memory. All but F_DIRTY and F_ROM are caches of what Unicorn holds. */
enum {
    F_FETCHED = 1, /* code of it may be translated: stores must go through Unicorn's slow path */
    F_DIRTY = 2,   /* written since take_dirty */
    F_TABLE = 4,   /* a page table that cached translations were read from: stores are caught */
    F_WRITABLE = 8, /* Unicorn's TLB may hold a writable translation to it */
    F_ROM = 16,
};

enum exit_code {
    EXIT_NONE,
    EXIT_ARRIVED,
    EXIT_FAULT,     /* vector, error, address */
    EXIT_INTERCEPT, /* an instruction of the intercept table is at EIP */
    EXIT_MMIO,      /* address: physical; the access is refused */
    EXIT_BREAK,     /* a breakpoint is at EIP; nothing was dispatched */
    EXIT_WATCH,     /* the instruction that has just completed touched something watched */
    EXIT_BROKEN,    /* the emulator returned something we do not know: a bug of ours */
};

/* One translated block, found by the callback without a search: Unicorn passes its address. */
struct block {
    int32_t cost; /* what the callback subtracts: n, or more than any budget if the block needs a look first */
    int32_t n;    /* instructions in the block */
    int32_t runnable; /* instructions from its start that may run unlooked-at */
    bool intercepted, fragile; /* its first instruction; see block.c */
    translation_block *tb; /* NULL: not yet executed */
};

/* How a single instruction is run (counter_step); flags. */
enum mode {
    MODE_PLAIN = 0,
    MODE_NATIVE = 1, /* not intercepted */
    MODE_TABLE = 2,  /* may store into page tables */
    MODE_MMIO = 4,   /* device memory is replaced by the scratch page */
    MODE_WATCH = 8,  /* may access pages with something watched */
};

struct refusal { /* the last refused TLB fill */
    enum { REFUSED_NOTHING, REFUSED_PAGING, REFUSED_HOLE, REFUSED_TABLE, REFUSED_MMIO, REFUSED_WATCH } why;
    int access; /* UC_MEM_* */
    uint32_t page;
    uint32_t error;
    uint64_t physical; /* of the page */
};

struct watch { /* bytes whose accesses are looked for */
    uint64_t start, end; /* end not included */
    bool physical;       /* the addresses are physical, else linear */
    bool loads;
    bool stores; /* all of them, else those that change a byte */
};

enum { MOST_WATCHES = 64 };

struct touch { /* the first access since take_touch that a watch is interested in */
    bool is;
    bool store;
    uint32_t address, eip; /* linear */
    uint64_t near, changed; /* bit i: it may have been to watch i; it changed a byte of watch i */
};

/* A call that was answered, as its events need it. */
struct answer {
    uint64_t step, result;
    uint32_t site, eflags, eax, edx, ecx;
    uint16_t unified;
    uint8_t results, cpl; /* results: 0 none, 1 EAX, 2 EDX:EAX */
    bool vif_before, vif;
};

enum { CALLS = 1 << 12 /* unified numbers of calls are below it */, ANSWERS = 1 << 10, STUB = 8 };

enum answer_how { /* model.answers.Answer */
    ANSWER_NOT,
    ANSWER_NOTHING, /* the call has no effect */
    ANSWER_ENABLE,
    ANSWER_DISABLE,
    ANSWER_GET_MASK,
    ANSWER_SET_MASK,
    ANSWER_TSC,
    ANSWER_COUNTER,
    ANSWER_CR2,
    ANSWER_CR3,
    ANSWER_FLUSH,
};

/* How calls are answered, and all that this depends on beside the CPU. */
struct answering {
    struct answerable {
        uint8_t how, segments, results; /* segments: how many must be flat, 2 or 4 */
    } call[CALLS];
    bool on;
    bool vif;
    bool pending;   /* an interrupt waits for virtual IF */
    uint8_t viopl;
    uint64_t hole;  /* first linear address of the hypervisor */
    uint64_t ticks; /* virtual time at step 0, modulo 2^64 */
    uint64_t tsc;   /* time-stamp counter minus virtual time */
    uint64_t start, stolen; /* of the cycle counters */
    uint32_t count;
    struct answer ring[ANSWERS];
};

struct core {
    uc_engine *engine;
    void *cpu;
    env_state *env;
    uint32_t *cflags_next;
    uint8_t *ram, *scratch, *frames;
    uint64_t ram_size;

    uint64_t steps;
    int asked;  /* size of the block we asked Unicorn for, 0 none */
    int tries;  /* how often fetching a single instruction was refused */
    unsigned mode;
    enum exit_code stop; /* decided in a callback */
    int vector, error;
    bool has_error;
    uint32_t address;
    uint64_t physical;
    struct refusal refusal;
    uint32_t flags_before; /* of the fragile instruction that is running */
    bool prefetched; /* prefetched_page was entered into the TLB for translation only, ahead of EIP */
    uint32_t prefetched_page;

    uint64_t hole; /* first linear address the guest may not touch */
    bool nxe;

    uint8_t intercept_one[256], intercept_two[256]; /* by opcode: 0 no, 255 yes, else bit r: if modrm.reg = r */

    const uint32_t *breakpoints; /* linear addresses */
    uint32_t nbreakpoints;
    uint64_t broke_at; /* steps at which a breakpoint stopped the last run: the next one goes past it */
    int64_t passing;   /* the budget with which no breakpoint stops, or -1 */
    struct watch *watches;
    uint32_t nwatches;
    struct touch touch;

    struct block *pool; /* POOL of them */
    uint32_t pool_used;
    uint64_t code_size; /* of Unicorn's buffer for translated code */
    uint8_t *code_start; /* lowest address seen there */
    bool flush_code;
    void **block_user_data; /* where Unicorn takes the record of the next translation from */

    uint32_t *tables, *writables; /* frames that have F_TABLE, F_WRITABLE */
    uint32_t ntables, nwritables;

    struct answering answering;

    uint64_t restarts, splits, table_stores; /* for the curious */
};

/* ---- mmu.c */
enum access { READ, WRITE, FETCH };
struct walk {
    uint64_t physical;
    uint32_t error;   /* page-fault error code if refused */
    bool writable;    /* a store needs no further walk: allowed, and the dirty bit is set */
};
enum { WALK_LOOK = 0, WALK_MARK = 1 /* set accessed and dirty bits */, WALK_CACHE = 2 /* it goes into the TLB */ };
bool mmu_walk(struct core *c, uint32_t linear, enum access access, bool user, unsigned how, struct walk *w);
bool mmu_fill(uc_engine *engine, uint64_t address, int type, uc_tlb_entry *entry, void *core);
void mmu_flush(struct core *c);
void mmu_stored(struct core *c, uint64_t physical, uint64_t size);
void mmu_note(struct core *c, struct touch touch);
void mmu_touched(struct core *c, uint32_t linear, uint64_t physical, uint32_t size, bool store, const uint8_t *data);

/* ---- block.c */
enum { LOOK = 1 << 30 }; /* a cost that always overdraws; budgets are handed out in slices below it */
void block_learn(struct core *c, struct block *b, translation_block *tb);
int block_index(const translation_block *tb, uint32_t pc);
bool block_breakpoint(const struct core *c, uint32_t pc);

/* ---- answers.c */
bool answer_call(struct core *c);
bool answer_due(const struct core *c);

/* ---- counter.c */
void counter_block(uc_engine *engine, uint64_t pc, uint32_t size, void *block);
void counter_edge(uc_engine *engine, void *current, void *previous, void *core);
void counter_exception(uc_engine *engine, uint32_t vector, void *core);
bool counter_undefined(uc_engine *engine, void *core);
enum exit_code counter_run(struct core *c, uint64_t until);
enum exit_code counter_step(struct core *c, unsigned mode);
void counter_flush_code(struct core *c);

#endif
