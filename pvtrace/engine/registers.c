/* Registers of Unicorn's CPU and what it derives from them: nobody else sets one that something hangs on. */
#include "core.h"

enum { CR0_PE = 1, EFLAGS_VM = 0x20000 };

/* Operand, stack and address sizes, as QEMU keeps them beside CS, SS, CR0 and EFLAGS. */
static void hidden_flags(env_state *env)
{
    uint32_t h = env->hflags & ~(uint32_t)(HF_CS32 | HF_SS32 | HF_ADDSEG);
    if (env->segs[SEGMENT_CS].flags & DESCRIPTOR_BIG)
        h |= HF_CS32;
    if (env->segs[SEGMENT_SS].flags & DESCRIPTOR_BIG)
        h |= HF_SS32;
    if (!(env->cr[0] & CR0_PE) || env->eflags & EFLAGS_VM || !(h & HF_CS32) ||
        (env->segs[SEGMENT_DS].base | env->segs[SEGMENT_ES].base | env->segs[SEGMENT_SS].base))
        h |= HF_ADDSEG;
    env->hflags = h;
}

uint32_t registers_flags(struct core *c)
{
    uint64_t value = 0;
    uc.reg_read(c->engine, UC_X86_REG_EFLAGS, &value);
    return (uint32_t)value;
}

void registers_set_flags(struct core *c, uint32_t flags)
{
    uint64_t value = flags;
    uc.reg_write(c->engine, UC_X86_REG_EFLAGS, &value);
    hidden_flags(c->env);
}

/* An instruction is complete: its shadow has passed. */
void registers_set_eip(struct core *c, uint32_t eip)
{
    c->env->eip = eip;
    c->env->hflags &= ~(uint32_t)HF_INHIBIT;
}

/* One of the six that a program can load. */
void registers_set_segment(struct core *c, int number, env_segment segment)
{
    env_state *env = c->env;
    env->segs[number] = segment;
    if (number == SEGMENT_SS) /* CPL is the DPL of SS */
        env->hflags = (env->hflags & ~(uint32_t)HF_CPL) | (segment.flags >> 13 & HF_CPL);
    hidden_flags(env);
}

/* 0, 2, 3 or 4; false for another one. */
bool registers_set_cr(struct core *c, int number, uint32_t value)
{
    switch (number) {
    case 0: uc.update_cr0(c->env, value); break;
    case 2: c->env->cr[2] = value; return true;
    case 3: uc.update_cr3(c->env, value); break;
    case 4: uc.update_cr4(c->env, value); break;
    default: return false;
    }
    hidden_flags(c->env);
    mmu_flush(c);
    return true;
}
