/* Leaving the kernel, or an inner handler: the VMI call IRET, and natively the instruction, answered here.
 * vmi.transitions and x86.returns are the specification. Plain is a return by a kernel to protected-mode code through
 * stacks of 32 bits; under VMI to user code with IF set in its image. */
#include "core.h"

enum { USER_RING = 3, SLOT = 4, INNER = 3 * SLOT, OUTER = 2 * SLOT /* bytes of the frame's parts */ };
enum { PROTECTED = 1 /* CR0.PE */ };

static uint32_t cpl(const struct core *c)
{
    return c->env->hflags & HF_CPL;
}

static bool find_segment(struct core *c, uint32_t selector, uint32_t level, env_segment *s)
{
    const struct answering *a = &c->answering;
    struct descriptor d;
    if (descriptor_null(selector) || !descriptor_fetch(c, selector, &d))
        return false;
    *s = descriptor_segment(selector, a->paravirtual ? descriptor_deprivileged(d, a->hole) : d);
    return descriptor_dpl(s->flags) == level;
}

/* `to->cs` with the level as its RPL. */
static bool find_code(struct core *c, struct leaving *to)
{
    enum {
        WANTED = DESCRIPTOR_PRESENT | DESCRIPTOR_NOT_SYSTEM | DESCRIPTOR_CODE,
        LOOKED_AT = WANTED | DESCRIPTOR_CONFORMING,
    };
    return find_segment(c, (to->cs & 0xfffcu) | to->level, to->level, &to->code) && to->eip <= to->code.limit &&
           (to->code.flags & LOOKED_AT) == WANTED;
}

static bool find_stack(struct core *c, struct leaving *to)
{
    return (to->ss & 3) == to->level && find_segment(c, to->ss, to->level, &to->stack) &&
           descriptor_plain_stack(&to->stack);
}

/* What every frame holds, at this linear address. */
static bool read_inner(struct core *c, uint32_t linear, struct leaving *to)
{
    uint32_t words[INNER / SLOT];
    const uint8_t *at = access_load(c, linear, INNER, WALK_MARK, SUPERVISOR);
    if (!at)
        return false;
    memcpy(words, at, INNER);
    *to = (struct leaving){.eip = words[0], .cs = (uint16_t)words[1], .image = words[2]};
    return !(to->image & VM);
}

/* What a frame holds besides, if the return is to an outer level. */
static bool read_outer(struct core *c, uint32_t linear, struct leaving *to)
{
    uint32_t words[OUTER / SLOT];
    const uint8_t *at = access_load(c, linear, OUTER, WALK_MARK, SUPERVISOR);
    if (!at)
        return false;
    memcpy(words, at, OUTER);
    to->esp = words[0];
    to->ss = (uint16_t)words[1];
    return true;
}

static void keep_stack(struct core *c, uint32_t esp, struct leaving *to)
{
    to->esp = esp;
    to->ss = (uint16_t)c->env->segs[SEGMENT_SS].selector;
}

/* Whether the frame above the return address can be returned through; where to, then. Only reading has marked. */
bool leaving_may(struct core *c, struct leaving *to)
{
    uint32_t frame = (uint32_t)c->env->regs[ESP] + SLOT;
    if (!read_inner(c, frame, to))
        return false;
    to->by = BY_VMI_IRET;
    to->outer = (to->cs & 3) == USER_RING;
    to->level = to->outer ? USER_RING : KERNEL_RING;
    if (to->outer)
        return read_outer(c, frame + INNER, to) && to->image & IF && find_code(c, to) && find_stack(c, to);
    keep_stack(c, frame + INNER, to);
    return find_code(c, to);
}

/* Data segments that are too privileged for the outer level become null. */
static void null_data_segments(struct core *c, uint32_t level)
{
    enum { CONFORMING_CODE = DESCRIPTOR_NOT_SYSTEM | DESCRIPTOR_CODE | DESCRIPTOR_CONFORMING };
    for (int i = 0; i < SEGMENTS_LOADED; i++) {
        const env_segment *s = &c->env->segs[i];
        bool conforming = (s->flags & CONFORMING_CODE) == CONFORMING_CODE;
        if (i != SEGMENT_CS && i != SEGMENT_SS && !descriptor_null(s->selector) && descriptor_dpl(s->flags) < level &&
            !conforming)
            registers_set_segment(c, i, (env_segment){0});
    }
}

/* What leaving_may or fast_exit_may has allowed. */
void leaving(struct core *c, const struct leaving *to)
{
    struct answering *a = &c->answering;
    uint32_t mask = UNPRIVILEGED | (a->paravirtual ? 0 : IF | IOPL | VIF | VIP);
    a->vif = to->image & IF;
    if (mask & IOPL)
        a->viopl = (to->image & IOPL) >> IOPL_SHIFT;
    registers_set_flags(c, (registers_flags(c) & ~mask) | (to->image & mask));
    registers_set_segment(c, SEGMENT_CS, to->code);
    if (to->outer) {
        registers_set_segment(c, SEGMENT_SS, to->stack);
        if (!to->keeps_data)
            null_data_segments(c, to->level);
    }
    c->env->regs[ESP] = to->esp;
    registers_set_eip(c, to->eip);
}

/* The return ends the last entry that has not ended. Its event's number. */
uint64_t leaving_tell(struct core *c, uint32_t pc, const struct leaving *to)
{
    struct event event = {
        .kind = KIND_RETURN, .pc = pc, .arguments = 6,
        .argument = {to->by, to->eip, to->outer ? to->cs : to->code.selector, to->image, to->esp, to->ss},
    };
    event.caused = events_left(c, &event.cause);
    return events_put(c, &event);
}

/* ------------------------------------------------------------------ the instruction */

/* As leaving_may, but by BY_IRET, of the frame at the top of a native kernel's stack. */
static bool native_may(struct core *c, struct leaving *to)
{
    const env_segment *s = &c->env->segs[SEGMENT_SS];
    uint32_t esp = (uint32_t)c->env->regs[ESP], linear = (uint32_t)s->base + esp;
    if (!descriptor_plain_stack(s) || (uint64_t)esp + INNER - 1 > s->limit || !read_inner(c, linear, to))
        return false;
    to->level = to->cs & 3;
    to->outer = to->level > 0;
    if (!find_code(c, to))
        return false;
    if (to->outer)
        return (uint64_t)esp + INNER + OUTER - 1 <= s->limit && read_outer(c, linear + INNER, to) && find_stack(c, to);
    keep_stack(c, esp + INNER, to);
    return true;
}

/* Whether the one-byte instruction `opcode`, at EIP in a 32-bit segment, is IRETD, and it was answered. */
bool leaving_answer(struct core *c, uint8_t opcode)
{
    enum { IRETD = 0xcf };
    struct leaving to;
    uint32_t pc = (uint32_t)c->env->eip;
    if (opcode != IRETD || c->answering.paravirtual || cpl(c) != 0 || !(c->env->cr[0] & PROTECTED) ||
        c->env->eflags & (VM | NT) || !native_may(c, &to))
        return false;
    struct flags before = events_flags(c);
    bool wanted = (to.image ^ events_virtual(before)) & (IF | IOPL);
    c->steps++;
    leaving(c, &to);
    events_attempt(c, HOW_IRET, before, pc, to.image, wanted ? TOOK_EFFECT : NO_CHANGE);
    events_transitions(c, before, pc, HOW_IRET, leaving_tell(c, pc, &to));
    return true;
}
