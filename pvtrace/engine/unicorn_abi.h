/* What the C core knows of Unicorn 2.1.4: the functions it calls and the layout of the state it touches.
 *
 * Declared here, found at run time in the library that the Python package brings; no header of Unicorn is needed to
 * build. Everything that is not the public API is listed in this file and nowhere else, and unicorn_abi.c refuses a
 * library in which it is not as written here. */
#ifndef PVTRACE_UNICORN_ABI_H
#define PVTRACE_UNICORN_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNICORN_VERSION_REQUIRED 0x02010400u /* 2.1.4: major, minor, patch, extra */

/* ---- public constants (unicorn.h, x86.h) */
enum { UC_ARCH_X86 = 4, UC_MODE_32 = 1 << 2, UC_CPU_X86_QEMU32 = 4 };
enum { UC_PROT_READ = 1, UC_PROT_WRITE = 2, UC_PROT_EXEC = 4, UC_PROT_ALL = 7 };
enum { UC_MEM_READ = 16, UC_MEM_WRITE = 17, UC_MEM_FETCH = 18 };
enum { UC_ERR_OK = 0, UC_ERR_EXCEPTION = 21 };
enum {
    UC_HOOK_INTR = 1 << 0,
    UC_HOOK_BLOCK = 1 << 3,
    UC_HOOK_INSN_INVALID = 1 << 14,
    UC_HOOK_EDGE_GENERATED = 1 << 15,
    UC_HOOK_TLB_FILL = 1 << 17,
};
enum { UC_CTL_UC_MODE = 0, UC_CTL_UC_USE_EXITS = 4, UC_CTL_CPU_MODEL = 7, UC_CTL_TB_FLUSH = 10 };
enum { UC_CTL_TLB_TYPE = 12, UC_CTL_TCG_BUFFER_SIZE = 13 };
enum { UC_TLB_CPU = 0, UC_TLB_VIRTUAL = 1 };
#define UC_CTL_WRITE(type, args) ((type) | ((args) << 26) | (1u << 30))
enum { UC_X86_REG_EFLAGS = 25 };
enum { UC_X86_REG_ST0 = 114, UC_X86_REG_XMM0 = 122, UC_X86_REG_MXCSR = 249 };
enum { UC_X86_REG_FPCW = 246, UC_X86_REG_FPSW = 31, UC_X86_REG_FPTAG = 247, UC_X86_REG_FOP = 258 };
enum { UC_X86_REG_FIP = 254, UC_X86_REG_FCS = 255, UC_X86_REG_FDP = 256, UC_X86_REG_FDS = 257 };

typedef struct uc_struct uc_engine;
typedef size_t uc_hook;

typedef struct {
    uint64_t paddr;
    uint32_t perms;
} uc_tlb_entry;

/* ---- CPUX86State, 64-bit build: every register is 8 bytes wide */
typedef struct {
    uint32_t selector, pad;
    uint64_t base;
    uint32_t limit, flags;
} env_segment;

typedef struct {
    uint64_t regs[16], eip, eflags, cc_dst, cc_src, cc_src2;
    uint32_t cc_op;
    int32_t df;
    uint32_t hflags, hflags2;
    env_segment segs[6], ldt, tr, gdt, idt;
    uint64_t cr[9];
} env_state;

enum {
    HF_CPL = 3u,
    HF_INHIBIT = 1u << 3,
    HF_CS32 = 1u << 4,
    HF_SS32 = 1u << 5,
    HF_ADDSEG = 1u << 6,
};
#define ENV_EFER 592           /* uint64_t */
#define ENV_KEPT_START 600     /* start_init_save: FPU, SSE and MSRs as far as INIT resets them */
#define ENV_FPSTT 604          /* uint32_t: which of the eight registers ST0 is */
#define ENV_FP_STATUS 776      /* float_status of the FPU, of 3DNow, of SSE: */
#define ENV_MMX_STATUS 800
#define ENV_SSE_STATUS 808
#define STATUS_ROUNDING 1      /* uint8_t: MOST_ROUNDING or less */
#define STATUS_PRECISION 3     /* uint8_t: 80 in a fresh engine's ENV_FP_STATUS */
#define ENV_KEPT_END 5328      /* end_init_save */
#define ENV_ERROR_CODE 5384    /* int */
#define ENV_EXCEPTION_IS_INT 5388 /* int */
#define ENV_DR 5400            /* uint64_t[8] */
#define ENV_OLD_EXCEPTION 5496 /* int */

enum { MOST_ROUNDING = 3 };     /* RC of the control words */

/* ---- CPUState */
#define CPU_CFLAGS_NEXT_TB 0x18 /* uint32_t; -1 = none */
#define CPU_ENV_PTR 0x128       /* CPUX86State * */
#define CPU_TLB_DESC 0x81e0     /* CPUTLBDesc[MMU_MODES] */
#define TLB_DESC_SIZE 696
#define TLB_WINDOW_BEGIN 16     /* int64_t, ns of the host */
#define CPU_TLB_FAST 0x8a10     /* CPUTLBDescFast[MMU_MODES]: mask, table */
#define TLB_FAST_SIZE 16
#define TLB_INITIAL_MASK (255u << 6)
enum { MMU_MODES = 3 };

/* ---- struct uc_struct */
#define UC_CPU 0x1b8             /* CPUState * */
#define UC_TCG_CTX 0x300         /* TCGContext * */
#define UC_INVALID_ADDR 0x588    /* uint64_t: linear address of the last refused access */
#define UC_NO_EXIT_REQUEST 0x7f2 /* bool: no exit check behind every load and store */

/* ---- TranslationBlock */
typedef struct {
    uint64_t pc, cs_base;
    uint32_t flags;
    uint16_t size, icount;
    uint32_t cflags, trace_vcpu_dstate;
    struct {
        uint8_t *ptr;
        size_t size;
    } tc;
    void *orig_tb;
    uintptr_t page_next[2];
    uint64_t page_addr[2]; /* RAM offset of the pages that hold the code; -1 = none */
} translation_block;

#define CF_COUNT_MASK 0x7fffu
#define INSN_START_WORDS 2 /* columns of the search data in front of the host offset: pc, cc_op */

/* ---- struct hook: what uc_hook_add returns is its address */
#define HOOK_USER_DATA 48 /* void *, read at each translation */

/* ---- the functions */
typedef struct {
    unsigned (*version)(unsigned *, unsigned *);
    int (*open)(int, int, uc_engine **);
    int (*close)(uc_engine *);
    const char *(*strerror)(int);
    int (*emu_start)(uc_engine *, uint64_t, uint64_t, uint64_t, size_t);
    int (*emu_stop)(uc_engine *);
    int (*mem_map_ptr)(uc_engine *, uint64_t, uint64_t, uint32_t, void *);
    int (*hook_add)(uc_engine *, uc_hook *, int, void *, void *, uint64_t, uint64_t, ...);
    int (*ctl)(uc_engine *, unsigned, ...);
    int (*reg_read)(uc_engine *, int, void *);
    int (*reg_write)(uc_engine *, int, const void *);
    /* exported, not public */
    translation_block *(*tb_lookup)(void *tcg_ctx, uintptr_t host_pc);
    void (*loop_exit)(void *cpu) __attribute__((noreturn));
    void (*tlb_flush)(void *cpu);
    void (*tlb_flush_page)(void *cpu, uint64_t address);
    void (*tb_invalidate)(uc_engine *, uint64_t start, uint64_t end);
    void (*update_cr0)(void *env, uint32_t);
    void (*update_cr3)(void *env, uint64_t);
    void (*update_cr4)(void *env, uint32_t);
} unicorn_api;

extern unicorn_api uc;

/* Find the functions in the library at `path`. Returns NULL, or one sentence that says what is wrong. */
const char *unicorn_load(const char *path);

/* Check that a fresh engine looks as this file says. Returns NULL, or one sentence. */
const char *unicorn_check(uc_engine *engine);

static inline uint8_t *field(void *base, size_t offset) { return (uint8_t *)base + offset; }
static inline void *pointer_at(void *base, size_t offset) { return *(void **)field(base, offset); }

#endif
