/* SYSENTER and SYSEXIT, and the VMI call SYSEXIT, answered here. x86.fast_calls and vmi.transitions are the
 * specification. Plain is protected mode with the MSR SYSENTER_CS set, and a SYSEXIT by a kernel. */
#include "core.h"

enum { PROTECTED = 1 /* CR0.PE */, USER_RING = 3, LENGTH = 2 };
enum { KERNEL_STACK = 8, USER_CODE = 16, USER_STACK = 24 /* behind SYSENTER_CS */ };

static bool plain(const struct core *c)
{
    return c->env->cr[0] & PROTECTED && !(c->env->eflags & VM) && c->answering.sysenter_cs;
}

/* A segment `behind` the selector in SYSENTER_CS. `kind`: DESCRIPTOR_CODE, or 0 for data. */
static env_segment segment(const struct core *c, uint32_t behind, uint32_t level, uint32_t kind)
{
    const struct answering *a = &c->answering;
    uint16_t selector = (uint16_t)(a->sysenter_cs + behind);
    env_segment s = descriptor_flat_data(selector | level, level, a->paravirtual ? a->hole : NO_HOLE);
    s.flags |= kind;
    return s;
}

static bool sysenter(struct core *c)
{
    struct answering *a = &c->answering;
    uint32_t pc = (uint32_t)c->env->eip, from = c->env->segs[SEGMENT_CS].selector, ring = a->paravirtual ? KERNEL_RING : 0;
    if (!plain(c))
        return false;
    struct flags before = events_flags(c);
    c->steps++;
    a->vif = false;
    registers_set_flags(c, before.real & ~(uint32_t)(VM | RF | (a->paravirtual ? 0 : IF)));
    registers_set_segment(c, SEGMENT_CS, segment(c, 0, ring, DESCRIPTOR_CODE));
    registers_set_segment(c, SEGMENT_SS, segment(c, KERNEL_STACK, ring, 0));
    c->env->regs[ESP] = a->sysenter_esp;
    registers_set_eip(c, a->sysenter_eip);
    enum { UNUSED = 1 << 0 };
    uint64_t number = events_put(c, &(struct event){
        .kind = KIND_SYSENTER, .pc = pc, .arguments = 6, .nothing = UNUSED,
        .argument = {0, pc + LENGTH, from, events_virtual(before), a->sysenter_eip, a->sysenter_esp},
    });
    events_entered(c, number);
    events_transitions(c, before, pc, HOW_SYSENTER, number);
    return true;
}

/* Whether a kernel can leave by SYSEXIT; where to, then. */
bool fast_exit_may(struct core *c, struct leaving *to)
{
    if (!plain(c) || !answer_privileged(c))
        return false;
    env_segment code = segment(c, USER_CODE, USER_RING, DESCRIPTOR_CODE), stack = segment(c, USER_STACK, USER_RING, 0);
    *to = (struct leaving){
        .by = BY_SYSEXIT, .code = code, .stack = stack, .outer = true, .keeps_data = true, .level = USER_RING,
        .eip = (uint32_t)c->env->regs[EDX], .esp = (uint32_t)c->env->regs[ECX],
        .image = events_virtual(events_flags(c)), .cs = (uint16_t)code.selector, .ss = (uint16_t)stack.selector,
    };
    return true;
}

static bool sysexit(struct core *c)
{
    uint32_t pc = (uint32_t)c->env->eip;
    struct leaving to;
    if (!fast_exit_may(c, &to))
        return false;
    struct flags before = events_flags(c);
    c->steps++;
    leaving(c, &to);
    events_transitions(c, before, pc, HOW_SYSEXIT, leaving_tell(c, pc, &to));
    return true;
}

/* Whether the instruction 0F `opcode` at EIP, in a 32-bit segment, was answered. */
bool fast_call_answer(struct core *c, uint8_t opcode)
{
    switch (opcode) {
    case 0x34: return sysenter(c);
    case 0x35: return sysexit(c);
    default: return false;
    }
}
