/* Trapped instructions that are answered here: CPUID, RDTSC, and bytes to and from ports whose device has said what they do
 * (machine.pc.Platform). x86.machine_specific, x86.ports and machine.instructions are the specification. */
#include "core.h"

enum { BYTE = 1, DOUBLEWORD = 4 };

static void next(struct core *c, uint32_t length)
{
    registers_set_eip(c, (uint32_t)(c->env->eip + length));
}

static bool cpuid(struct core *c)
{
    uint64_t *r = c->env->regs;
    const struct leaf *leaf = c->answering.leaf;
    uint32_t left = c->answering.leaves, wanted = (uint32_t)r[EAX], pc = (uint32_t)c->env->eip;
    while (left && leaf->leaf != wanted)
        leaf++, left--;
    if (!left)
        return false;
    c->steps++;
    r[EAX] = leaf->eax;
    r[EBX] = leaf->ebx;
    r[ECX] = leaf->ecx;
    r[EDX] = leaf->edx;
    next(c, 2);
    events_put(c, &(struct event){.kind = KIND_EMULATED, .pc = pc, .text = "CPUID", .arguments = 2,
                                  .argument = {wanted, leaf->eax}});
    return true;
}

static bool rdtsc(struct core *c)
{
    enum { TSD = 1 << 2 };
    uint64_t *r = c->env->regs;
    uint32_t pc = (uint32_t)c->env->eip;
    if (c->env->cr[4] & TSD)
        return false;
    c->steps++;
    uint64_t value = c->answering.ticks + c->steps + c->answering.tsc;
    r[EAX] = (uint32_t)value;
    r[EDX] = value >> 32;
    next(c, 2);
    enum { OPERAND = 1 << 0 };
    events_put(c, &(struct event){.kind = KIND_EMULATED, .pc = pc, .text = "RDTSC", .arguments = 2, .nothing = OPERAND,
                                  .argument = {0, value}});
    return true;
}

/* ------------------------------------------------------------------ ports */

static const struct port_byte *find(const struct port_byte *at, uint32_t count, uint16_t port)
{
    while (count && at->port != port)
        at++, count--;
    return count ? at : NULL;
}

static struct held *find_held(struct answering *a, uint16_t port)
{
    for (uint32_t i = 0; i < a->nheld; i++)
        if (a->held[i].port == port)
            return &a->held[i];
    return NULL;
}

static bool is_quiet(const struct answering *a, uint16_t port, uint8_t width, uint32_t value)
{
    for (uint32_t i = 0; i < a->nquiet; i++) {
        const struct quiet *q = &a->quiet[i];
        if (q->port == port && q->width == width && (value & q->mask) == q->match)
            return true;
    }
    return false;
}

static bool in(struct core *c, uint16_t port, uint32_t length)
{
    struct answering *a = &c->answering;
    const struct port_byte *steady = find(a->steady, a->nsteady, port);
    const struct held *held = find_held(a, port);
    if (!steady && !held)
        return false;
    uint8_t value = held ? held->value : steady->value;
    c->steps++;
    events_put(c, &(struct event){.kind = KIND_PORT_READ, .pc = (uint32_t)c->env->eip, .arguments = 3,
                                  .argument = {port, BYTE, value}});
    c->env->regs[EAX] = (uint32_t)(c->env->regs[EAX] & ~0xffull) | value;
    next(c, length);
    return true;
}

static void wrote(struct core *c, uint16_t port, uint8_t width, uint32_t value, uint32_t length)
{
    c->steps++;
    events_put(c, &(struct event){.kind = KIND_PORT_WRITE, .pc = (uint32_t)c->env->eip, .arguments = 3,
                                  .argument = {port, width, value}});
    next(c, length);
}

/* To a port whose device hears of it later; whether it may. */
static bool out_later(struct core *c, uint16_t port, uint8_t width, uint32_t value, uint32_t length)
{
    struct answering *a = &c->answering;
    struct held *held = width == BYTE ? find_held(a, port) : NULL;
    if (a->nwritten == WRITTEN || !(held ? (value & held->keeps) == held->keeps : is_quiet(a, port, width, value)))
        return false;
    if (held)
        held->value = (uint8_t)value;
    a->written[a->nwritten++] = (struct written){port, width, value};
    wrote(c, port, width, value, length);
    return true;
}

static bool out(struct core *c, uint16_t port, uint32_t length)
{
    struct answering *a = &c->answering;
    uint8_t value = (uint8_t)c->env->regs[EAX];
    const struct port_byte *settled = find(a->settled, a->nsettled, port);
    bool posted = port == a->post_port && value != '\n' && a->nposted < a->post_room;
    if (!posted && !(settled && settled->value == value))
        return out_later(c, port, BYTE, value, length);
    if (posted)
        a->posted[a->nposted++] = value;
    wrote(c, port, BYTE, value, length);
    return true;
}

/* Whether `code`, two bytes at EIP, begins an instruction that is answered, and it is done. At the last step of a run
 * timers may be due, which devices have to hear of first. */
bool instruction_answer(struct core *c, const uint8_t *code, uint64_t until)
{
    enum { IN_IMMEDIATE = 0xe4, OUT_IMMEDIATE = 0xe6, IN_DX = 0xec, OUT_DX = 0xee, OUT_DX_EAX = 0xef };
    uint16_t dx = (uint16_t)c->env->regs[EDX];
    if (c->env->eflags & TF || !(c->env->segs[SEGMENT_CS].flags & DESCRIPTOR_BIG))
        return false;
    if (code[0] == 0x0f)
        return code[1] == 0xa2 ? cpuid(c) : code[1] == 0x31 ? rdtsc(c) : fast_call_answer(c, code[1]);
    if (flag_instruction_answer(c, code[0]) || entering_software(c, code) || leaving_answer(c, code[0]))
        return true;
    if (c->steps + 1 >= until || !answer_privileged(c)) /* who is needs no look at IOPL and the TSS */
        return false;
    switch (code[0]) {
    case IN_IMMEDIATE: return in(c, code[1], 2);
    case IN_DX: return in(c, dx, 1);
    case OUT_IMMEDIATE: return out(c, code[1], 2);
    case OUT_DX: return out(c, dx, 1);
    case OUT_DX_EAX: return out_later(c, dx, DOUBLEWORD, (uint32_t)c->env->regs[EAX], 1);
    default: return false;
    }
}
