/* The hottest VMI calls, answered without leaving C.
 *
 * Why: two of three exits of a kernel that boots under VMI turn its interrupt flag or read a counter, and what such a
 * call does takes less time than it takes Python to begin. The Python handlers (machine/calls.py, and in vmi those of
 * the calls in machine/answers.py) remain the specification, and a test holds these answers equal to theirs.
 *
 * Only the plain case is answered: paravirtual, a kernel with flat segments, a stack that can be read and that nobody
 * watches. Anything else comes up as an exit, with nothing done, and an answer that lets an interrupt in ends the run
 * behind it. Each answer is kept in a ring from which Python makes the same events as the handlers do. */
#include "core.h"

#include <string.h>

enum { CPL_MASK = 3, CODE_SEGMENT = 0x800, EXPAND_DOWN = 0x400, BIG = 0x400000, CALL_LENGTH = 5 };
enum { ES, CS, SS, DS };
enum { EAX, ECX, EDX, ESP = 4 };

/* x86.guest_tables.is_flat */
static bool flat(const env_segment *s, uint64_t hole)
{
    bool expands_down = !(s->flags & CODE_SEGMENT) && s->flags & EXPAND_DOWN;
    return s->selector & 0xfffc && (uint32_t)s->base == 0 && !expands_down &&
           (int64_t)s->limit >= (int64_t)(hole / PAGE * PAGE) - 1;
}

/* vmi.table: the segments that a call must find flat; those of code and stack of 32 bits. */
static bool segments_fit(const struct core *c, int segments)
{
    const env_segment *s = c->env->segs;
    uint64_t hole = c->answering.hole;
    return flat(&s[CS], hole) && flat(&s[SS], hole) && s[CS].flags & BIG && s[SS].flags & BIG &&
           (segments == 2 || (flat(&s[DS], hole) && flat(&s[ES], hole)));
}

/* Up to a page end, from memory alone. */
static const uint8_t *bytes_at(struct core *c, uint32_t linear, uint32_t size, unsigned how)
{
    struct walk w;
    bool there = linear % PAGE <= PAGE - size && mmu_walk(c, linear, READ, false, how, &w) &&
                 w.physical + size <= c->ram_size;
    return there ? c->ram + w.physical : NULL;
}

/* Whether somebody watches one of the `size` bytes, which lie in one page. */
static bool watched(const struct core *c, uint32_t linear, uint64_t physical, uint32_t size)
{
    for (uint32_t i = 0; i < c->nwatches; i++) {
        uint64_t at = c->watches[i].physical ? physical : linear;
        if (at < c->watches[i].end && c->watches[i].start < at + size)
            return true;
    }
    return false;
}

/* The unified number of the call whose entry point is at EIP (rom.layout.stub), or -1. */
static int call_at(struct core *c)
{
    static const uint8_t trap[] = {0x0f, 0x01, 0xc1, 0xc3, 0x66, 0xb8};
    const uint8_t *code = bytes_at(c, (uint32_t)(c->env->eip + c->env->segs[CS].base), STUB, WALK_LOOK);
    return code && !memcmp(code, trap, sizeof trap) ? code[6] | code[7] << 8 : -1;
}

static uint64_t counter_value(const struct answering *a, uint32_t index, uint64_t ticks)
{
    enum { REAL, AVAILABLE, STOLEN };
    switch (index) {
    case REAL: return ticks - a->start;
    case AVAILABLE: return ticks - a->start - a->stolen;
    case STOLEN: return a->stolen;
    default: return 0;
    }
}

/* The call's result; what it does to virtual IF is done. `step` is the one behind the call. */
static uint64_t perform(struct core *c, enum answer_how how, uint64_t step)
{
    enum { IF = 0x200 };
    struct answering *a = &c->answering;
    const uint64_t *regs = c->env->regs;
    uint64_t ticks = a->ticks + step;
    switch (how) {
    case ANSWER_ENABLE: a->vif = true; return 0;
    case ANSWER_DISABLE: a->vif = false; return 0;
    case ANSWER_SET_MASK: a->vif = regs[EAX] & IF; return 0;
    case ANSWER_GET_MASK: return a->vif ? IF : 0;
    case ANSWER_TSC: return ticks + a->tsc;
    case ANSWER_COUNTER: return counter_value(a, (uint32_t)regs[EAX], ticks);
    case ANSWER_CR2: return (uint32_t)c->env->cr[2];
    case ANSWER_CR3: return (uint32_t)c->env->cr[3];
    case ANSWER_FLUSH: mmu_flush(c); return 0;
    default: return 0;
    }
}

/* An intercepted instruction is at EIP, its dispatch not yet counted. Whether it was a call that is now done. */
bool answer_call(struct core *c)
{
    struct answering *a = &c->answering;
    uint64_t *regs = c->env->regs;
    uint32_t cpl = c->env->hflags & CPL_MASK;
    if (!a->on || a->count == ANSWERS || cpl == 3)
        return false;
    int unified = call_at(c);
    if (unified < 0 || unified >= CALLS || !a->call[unified].how || !segments_fit(c, a->call[unified].segments))
        return false;
    const uint8_t *stack = bytes_at(c, (uint32_t)regs[ESP], sizeof(uint32_t), WALK_MARK);
    if (!stack || watched(c, (uint32_t)regs[ESP], (uint64_t)(stack - c->ram), sizeof(uint32_t)))
        return false;

    const struct answerable *call = &a->call[unified];
    uint32_t return_eip;
    memcpy(&return_eip, stack, sizeof return_eip);
    struct answer *answer = &a->ring[a->count++];
    *answer = (struct answer){.step = ++c->steps, .unified = (uint16_t)unified, .results = call->results,
                              .cpl = (uint8_t)cpl, .vif_before = a->vif, .site = return_eip - CALL_LENGTH,
                              .eax = (uint32_t)regs[EAX], .edx = (uint32_t)regs[EDX], .ecx = (uint32_t)regs[ECX]};
    answer->result = perform(c, call->how, c->steps);
    answer->vif = a->vif;
    if (call->results)
        regs[EAX] = (uint32_t)answer->result;
    if (call->results == 2)
        regs[EDX] = answer->result >> 32;
    regs[ESP] = (uint32_t)(regs[ESP] + sizeof return_eip);
    c->env->eip = return_eip;
    c->env->hflags &= ~(uint32_t)HF_INHIBIT;
    uint64_t eflags = 0;
    uc.reg_read(c->engine, UC_X86_REG_EFLAGS, &eflags);
    answer->eflags = (uint32_t)eflags;
    return true;
}

/* Whether the machine has to look here: an interrupt may be taken. */
bool answer_due(const struct core *c)
{
    return c->answering.vif && c->answering.pending;
}
