/* The C core: a CPU that counts every dispatch and stops exactly.
 *
 *   mmu.c      the guest's page tables, walked when Unicorn's TLB misses
 *   block.c    what a translated block holds
 *   counter.c  the block callback, the exact step counter, the run loop
 *   answers.c  what is answered here instead of in Python: which, and when
 *   calls.c    VMI calls among it
 *   page_calls.c   those about page tables
 *   instructions.c   trapped instructions among it
 *   flag_instructions.c   those that show or change flags
 *   entering.c, leaving.c   exceptions, INT n, and the call IRET
 *   fast_calls.c   SYSENTER and SYSEXIT
 *   descriptors.c   segment descriptors
 *   registers.c   registers, and what Unicorn derives from them
 *   access.c   the guest's memory as answers read and write it
 *   events.c   what they have done, as bytes
 *
 * The Python type around it is told in python_core.h.
 *
 * mmu.c, block.c and counter.c know x86 paging and counting, and no VMI call, no device, no event. */
#ifndef PVTRACE_CORE_H
#define PVTRACE_CORE_H

#include "../model/event_format.h"
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

/* Events that were made and not yet taken over; whole ones, one behind the other. */
enum { EVENTS_ROOM = 1 << 18, EVENTS_OF_ONE = 1 << 11 /* bytes of the events of one answer, at most */ };
enum { OPEN = 64 /* machine.journal.OPEN */ };

struct events {
    uint8_t bytes[EVENTS_ROOM];
    uint32_t size, count;
    uint64_t number; /* of the next event */
    uint64_t first, last; /* steps, if there are any */
    uint64_t open[OPEN];  /* entries that no return has ended: their events, the oldest first */
    uint32_t nopen;
    bool opened;          /* those have changed since they were told */
};

enum {
    CALLS = 1 << 12, /* unified numbers of calls are below it */
    STUB = 8,        /* bytes of an entry point */
    LEAVES = 16,     /* of CPUID, at most */
    STEADY = 16,     /* ports, at most */
    POSTED = 256,    /* bytes, at most */
    HELD = 4,        /* ports, at most */
    QUIET = 8,       /* rules, at most */
    WRITTEN = 64,    /* at most */
};

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
    ANSWER_WITNESSED = ANSWER_FLUSH, /* up to here a witness of exits need not see them */
    ANSWER_CR0,
    ANSWER_CR4,
    ANSWER_SET_CR3,
    ANSWER_RELOCATION,
    ANSWER_LAZY,
    ANSWER_SET_PXE,
    ANSWER_SET_PXE_0,
    ANSWER_SET_PXE_LONG,
    ANSWER_UPDATE_PXE,
    ANSWER_WRITE_IDT,
    ANSWER_WRITE_GDT,
    ANSWER_WRITE_LDT,
    ANSWER_KERNEL_STACK_3,
    ANSWER_KERNEL_STACK_13,
    ANSWER_IRET,
    ANSWER_SYSEXIT,
};

/* How calls are answered, and all that this depends on beside the CPU. */
struct answering {
    struct answerable {
        uint8_t how, segments, results, words; /* segments: how many must be flat, 2 or 4; words: arguments on the stack */
        uint16_t entry; /* offset of its entry point in the ROM */
        bool told;      /* by the relocation query */
    } call[CALLS];
    struct leaf {
        uint32_t leaf, eax, ebx, ecx, edx;
    } leaf[LEAVES]; /* of CPUID */
    uint32_t leaves;
    struct port_byte {
        uint16_t port;
        uint8_t value;
    } steady[STEADY], settled[STEADY]; /* what reading a port gives, and what writing to it changes nothing */
    uint32_t nsteady, nsettled;
    struct held { /* reads what was written last; a byte with all bits of `keeps` can be written */
        uint16_t port;
        uint8_t value, keeps;
    } held[HELD];
    struct quiet { /* what can be written, so many bytes at once: all of which `mask` leaves `match` */
        uint16_t port;
        uint8_t width;
        uint32_t mask, match;
    } quiet[QUIET];
    uint32_t nheld, nquiet;
    struct written { /* to those; their devices hear of it when Python takes over */
        uint16_t port;
        uint8_t width;
        uint32_t value;
    } written[WRITTEN];
    uint32_t nwritten;
    uint8_t *announced; /* by frame: types of a page table, and TOLD; see page_calls.c */
    uint32_t *announced_frames, nannounced;

    bool on;          /* anything is answered */
    bool all;         /* else only what changes nothing that a witness of exits has to see */
    bool paravirtual;
    bool at_once;     /* no call waits (x86.latitude, defer) */
    bool inverts;     /* arithmetic flags at the entry of handlers (flags) */
    bool reserves;    /* handlers need bytes below their frame (stack32) */
    bool vif;
    bool pending;     /* an interrupt waits for virtual IF */
    uint8_t viopl, lazy;
    uint64_t shadow;  /* no interrupt is taken before this step: STI */
    uint64_t hole;    /* first linear address of the hypervisor */
    uint64_t ticks;   /* virtual time at step 0, modulo 2^64 */
    uint64_t tsc;     /* time-stamp counter minus virtual time */
    uint64_t start, stolen; /* of the cycle counters */
    bool has_kernel_stack;
    uint16_t kernel_ss;
    uint32_t kernel_esp;
    uint16_t sysenter_cs; /* of the MSRs; without the RPL */
    uint32_t sysenter_esp, sysenter_eip;
    int32_t post_port; /* a byte written there only leaves the machine; -1: there is none */
    uint32_t post_room;
    uint8_t posted[POSTED];
    uint32_t nposted;
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
    struct events events;

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

/* ---- registers.c */
enum { /* EFLAGS: x86.eflags */
    FIXED = 1 << 1,
    TF = 1 << 8,
    IF = 1 << 9,
    OF = 1 << 11,
    IOPL_SHIFT = 12,
    IOPL = 3 << IOPL_SHIFT,
    NT = 1 << 14,
    RF = 1 << 16,
    VM = 1 << 17,
    VIF = 1 << 19,
    VIP = 1 << 20,
    ARITHMETIC = 0x8d5,                                                    /* CF PF AF ZF SF OF */
    UNPRIVILEGED = ARITHMETIC | TF | 1 << 10 | NT | 1 << 18 | 1 << 21, /* those, TF DF NT AC ID */
};
enum { SEGMENT_ES, SEGMENT_CS, SEGMENT_SS, SEGMENT_DS, SEGMENTS_LOADED = 6 };
enum { EAX, ECX, EDX, EBX, ESP };
uint32_t registers_flags(struct core *c);
void registers_set_flags(struct core *c, uint32_t flags);
void registers_set_eip(struct core *c, uint32_t eip);
void registers_set_segment(struct core *c, int number, env_segment segment);
bool registers_set_cr(struct core *c, int number, uint32_t value);

/* ---- descriptors.c */
enum { /* of the second doubleword */
    DESCRIPTOR_WRITABLE = 0x200,
    DESCRIPTOR_CONFORMING = 0x400,  /* of code */
    DESCRIPTOR_EXPAND_DOWN = 0x400, /* of data */
    DESCRIPTOR_CODE = 0x800,
    DESCRIPTOR_NOT_SYSTEM = 0x1000,
    DESCRIPTOR_DPL = 0x6000,
    DESCRIPTOR_DPL_SHIFT = 13,
    DESCRIPTOR_PRESENT = 0x8000,
    DESCRIPTOR_BIG = 0x400000,
    DESCRIPTOR_GRANULAR = 0x800000,
    DESCRIPTOR_ATTRIBUTES = 0x00f0ff00,
};
enum { KERNEL_RING = 1 /* of a paravirtual guest */ };
#define NO_HOLE (1ull << 32)
struct descriptor {
    uint32_t low, high;
};
bool descriptor_fetch(struct core *c, uint32_t selector, struct descriptor *d);
env_segment descriptor_segment(uint32_t selector, struct descriptor d);
env_segment descriptor_flat_data(uint32_t selector, uint32_t level, uint64_t hole);
struct descriptor descriptor_deprivileged(struct descriptor d, uint64_t hole);
bool descriptor_plain_stack(const env_segment *s);
static inline bool descriptor_null(uint32_t selector) { return !(selector & 0xfffc); }
static inline uint32_t descriptor_dpl(uint32_t high) { return high >> DESCRIPTOR_DPL_SHIFT & 3; }
static inline uint32_t descriptor_with_dpl(uint32_t high, uint32_t level)
{
    return (high & ~(uint32_t)DESCRIPTOR_DPL) | level << DESCRIPTOR_DPL_SHIFT;
}

/* ---- access.c */
enum { SUPERVISOR = false, USER = true };
const uint8_t *access_load(struct core *c, uint32_t linear, uint32_t size, unsigned how, bool user);
bool access_may_store(struct core *c, uint32_t linear, uint32_t size, bool user);
bool access_may_store_all(struct core *c, uint32_t linear, uint32_t size);
void access_store(struct core *c, uint32_t linear, const void *data, uint32_t size, bool user);

/* ---- events.c */
enum how { /* model.events.How, and Attempt */
    HOW_CLI = 1, HOW_STI, HOW_PUSHF, HOW_POPF, HOW_IRET, HOW_DELIVERY, HOW_SYSENTER, HOW_SYSEXIT,
};
enum outcome { TOOK_EFFECT, TRAPPED, IGNORED = 3, READ_ONLY = 5, NO_CHANGE }; /* model.events.Outcome */
struct event {
    enum event_kind kind;
    uint32_t pc;
    const char *text; /* the first argument; NULL: it has none of text */
    uint64_t argument[EVENT_ARGUMENTS];
    uint8_t arguments, nothing; /* how many beside the text; bit i: argument i is None */
    bool caused;
    uint64_t cause;
};
struct flags { /* machine.journal.Flags */
    uint32_t real;
    bool vif;
    uint8_t viopl;
};
bool events_fit(const struct core *c);
uint64_t events_put(struct core *c, const struct event *event); /* its number */
struct flags events_flags(struct core *c);
uint32_t events_virtual(struct flags flags); /* the guest's own */
uint64_t events_attempt(struct core *c, enum how by, struct flags before, uint32_t pc, uint32_t asked,
                        enum outcome outcome); /* its number */
void events_transitions(struct core *c, struct flags before, uint32_t pc, uint64_t how, uint64_t cause);
void events_entered(struct core *c, uint64_t number);
bool events_left(struct core *c, uint64_t *number);

/* ---- answers.c */
bool answer(struct core *c, enum exit_code code, uint64_t until);
bool answer_due(const struct core *c);
bool answer_privileged(const struct core *c);

/* ---- calls.c */
bool calls_answer(struct core *c, const uint8_t *stub, uint64_t until);
bool calls_flat(const env_segment *s, uint64_t hole);

/* ---- page_calls.c */
enum { TYPE_DIRECTORY = 2, TYPE_TOLD = 0x80 }; /* vmi.page_types */
bool page_call_may(struct core *c, const struct answerable *call);
void page_call(struct core *c, const struct answerable *call);
bool page_root_known(const struct core *c, uint32_t cr3);

/* ---- instructions.c */
bool instruction_answer(struct core *c, const uint8_t *code, uint64_t until);

/* ---- flag_instructions.c */
bool flag_instruction_answer(struct core *c, uint8_t opcode);

/* ---- entering.c */
bool entering_exception(struct core *c);
bool entering_software(struct core *c, const uint8_t *code);

/* ---- leaving.c */
enum returned_by { BY_IRET, BY_VMI_IRET, BY_SYSEXIT, BY_VMI_SYSEXIT }; /* model.words.RETURN_BY */
struct leaving { /* where a return goes */
    enum returned_by by;
    env_segment code, stack;
    bool outer;      /* to a less privileged level, with a stack of its own */
    bool keeps_data; /* too privileged data segments stay, which else become null */
    uint32_t level;  /* that privilege level */
    uint32_t eip, image, esp;
    uint16_t cs, ss;
};
bool leaving_may(struct core *c, struct leaving *to);
void leaving(struct core *c, const struct leaving *to);
uint64_t leaving_tell(struct core *c, uint32_t pc, const struct leaving *to);
bool leaving_answer(struct core *c, uint8_t opcode);

/* ---- fast_calls.c */
bool fast_exit_may(struct core *c, struct leaving *to);
bool fast_call_answer(struct core *c, uint8_t opcode);

/* ---- counter.c */
void counter_block(uc_engine *engine, uint64_t pc, uint32_t size, void *block);
void counter_edge(uc_engine *engine, void *current, void *previous, void *core);
void counter_exception(uc_engine *engine, uint32_t vector, void *core);
bool counter_undefined(uc_engine *engine, void *core);
enum exit_code counter_run(struct core *c, uint64_t until);
enum exit_code counter_step(struct core *c, unsigned mode);
void counter_flush_code(struct core *c);

#endif
