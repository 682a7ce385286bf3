/* CLI, STI, PUSHFD and POPFD of 32-bit code, answered here. x86.flag_instructions is the specification; CLI and STI of
 * a paravirtual guest's user mode, which are its business, are not plain. */
#include "core.h"

enum { SLOT = 4 };

static uint32_t level(const struct core *c)
{
    return c->env->hflags & HF_CPL;
}

/* The attempt that was made, and what became of the flags. */
static void tell(struct core *c, enum how by, struct flags before, uint32_t pc, uint32_t asked, enum outcome outcome)
{
    events_transitions(c, before, pc, by, events_attempt(c, by, before, pc, asked, outcome));
}

static bool change_if(struct core *c, bool enable)
{
    struct answering *a = &c->answering;
    uint32_t pc = (uint32_t)c->env->eip;
    if (a->paravirtual ? level(c) == 3 : level(c) > a->viopl)
        return false;
    struct flags before = events_flags(c);
    uint32_t asked = (events_virtual(before) & ~(uint32_t)IF) | (enable ? IF : 0);
    enum outcome outcome = a->vif == enable ? NO_CHANGE : a->paravirtual ? TRAPPED : TOOK_EFFECT;
    c->steps++;
    if (outcome != NO_CHANGE) {
        a->vif = enable;
        if (enable)
            a->shadow = c->steps + 1;
        if (!a->paravirtual)
            registers_set_flags(c, (before.real & ~(uint32_t)IF) | (enable ? IF : 0));
    }
    registers_set_eip(c, pc + 1);
    tell(c, enable ? HOW_STI : HOW_CLI, before, pc, asked, outcome);
    return true;
}

/* Whether a doubleword at this offset in the stack segment is all there is to look at. */
static bool stack_fits(const struct core *c, uint32_t offset)
{
    const env_segment *s = &c->env->segs[SEGMENT_SS];
    bool expands_down = !(s->flags & DESCRIPTOR_CODE) && s->flags & DESCRIPTOR_EXPAND_DOWN;
    return s->flags & DESCRIPTOR_BIG && !expands_down && (uint64_t)offset + SLOT - 1 <= s->limit;
}

static uint32_t in_stack(const struct core *c, uint32_t offset)
{
    return (uint32_t)c->env->segs[SEGMENT_SS].base + offset;
}

static bool pushfd(struct core *c)
{
    uint32_t pc = (uint32_t)c->env->eip, esp = (uint32_t)c->env->regs[ESP] - SLOT;
    bool user = level(c) == 3;
    if (!stack_fits(c, esp) || !access_may_store(c, in_stack(c, esp), SLOT, user))
        return false;
    struct flags before = events_flags(c);
    uint32_t shown = c->answering.paravirtual ? before.real : events_virtual(before);
    uint32_t image = (shown & ~(uint32_t)(VM | RF)) | FIXED;
    c->steps++;
    access_store(c, in_stack(c, esp), &image, SLOT, user);
    c->env->regs[ESP] = esp;
    registers_set_eip(c, pc + 1);
    tell(c, HOW_PUSHF, before, pc, image, READ_ONLY);
    return true;
}

static bool popfd(struct core *c)
{
    struct answering *a = &c->answering;
    uint32_t pc = (uint32_t)c->env->eip, esp = (uint32_t)c->env->regs[ESP], cpl = level(c), asked;
    if (!stack_fits(c, esp) || (a->paravirtual && cpl == 3 && !a->vif))
        return false;
    const uint8_t *top = access_load(c, in_stack(c, esp), SLOT, WALK_MARK, cpl == 3);
    if (!top)
        return false;
    memcpy(&asked, top, SLOT);
    struct flags before = events_flags(c);
    uint32_t mask = UNPRIVILEGED | RF;
    if (!a->paravirtual)
        mask |= cpl == 0 ? IF | IOPL : cpl <= a->viopl ? IF : 0;
    uint32_t wanted = (asked ^ events_virtual(before)) & (IF | IOPL);
    c->steps++;
    if (mask & IF)
        a->vif = asked & IF;
    if (mask & IOPL)
        a->viopl = (asked & IOPL) >> IOPL_SHIFT;
    registers_set_flags(c, (before.real & ~mask) | (asked & ~(uint32_t)RF & mask));
    c->env->regs[ESP] = esp + SLOT;
    registers_set_eip(c, pc + 1);
    tell(c, HOW_POPF, before, pc, asked, wanted & mask ? TOOK_EFFECT : wanted ? IGNORED : NO_CHANGE);
    return true;
}

/* Whether the one-byte instruction `opcode` at EIP was answered. */
bool flag_instruction_answer(struct core *c, uint8_t opcode)
{
    switch (opcode) {
    case 0x9c: return pushfd(c);
    case 0x9d: return popfd(c);
    case 0xfa: return change_if(c, false);
    case 0xfb: return change_if(c, true);
    default: return false;
    }
}
