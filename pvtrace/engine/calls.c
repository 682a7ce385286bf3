/* VMI calls that are answered here: machine.answers.HOW says which, the handlers in vmi what they do. A call is plain
 * if it comes from a kernel with flat segments, through a stack that can be read, and succeeds. */
#include "core.h"

enum { CALL_LENGTH = 5, HOW_CALL = 0x100 /* machine.calls.HOW_CALL */, ENTRY = 8 /* bytes of a descriptor */ };
enum { LAZY_MODES = 3, RELOCATION_CALL = 1, TSS_SS0 = 8 };

/* x86.guest_tables.is_flat */
bool calls_flat(const env_segment *s, uint64_t hole)
{
    bool expands_down = !(s->flags & DESCRIPTOR_CODE) && s->flags & DESCRIPTOR_EXPAND_DOWN;
    return !descriptor_null(s->selector) && (uint32_t)s->base == 0 && !expands_down &&
           (int64_t)s->limit >= (int64_t)(hole / PAGE * PAGE) - 1;
}

/* vmi.table: the segments that a call must find flat; those of code and stack of 32 bits. */
static bool segments_fit(const struct core *c, int segments)
{
    const env_segment *s = c->env->segs;
    uint64_t hole = c->answering.hole;
    return calls_flat(&s[SEGMENT_CS], hole) && calls_flat(&s[SEGMENT_SS], hole) && s[SEGMENT_CS].flags & DESCRIPTOR_BIG &&
           s[SEGMENT_SS].flags & DESCRIPTOR_BIG &&
           (segments == 2 || (calls_flat(&s[SEGMENT_DS], hole) && calls_flat(&s[SEGMENT_ES], hole)));
}

/* The unified number of the call whose entry point is at EIP (rom.layout.stub), or -1. */
static int call_of(const uint8_t *stub)
{
    static const uint8_t trap[] = {0x0f, 0x01, 0xc1, 0xc3, 0x66, 0xb8};
    int unified = stub[6] | stub[7] << 8;
    return !memcmp(stub, trap, sizeof trap) && unified < CALLS ? unified : -1;
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

/* ------------------------------------------------------------------ descriptors */

/* A call that stores a descriptor: where, and what of its arguments is in the table's register. */
struct descriptor_call {
    uint32_t table, index; /* EAX, EDX */
    struct descriptor image; /* ECX, STACK1 */
};

static struct descriptor_call descriptor_call(struct core *c, const uint32_t *stack)
{
    const uint64_t *r = c->env->regs;
    return (struct descriptor_call){(uint32_t)r[EAX], (uint32_t)r[EDX], {(uint32_t)r[ECX], stack[1]}};
}

/* Whether a store into the table that `live` is can have something loaded anew. */
static bool may_reload(const struct core *c, const env_segment *live, struct descriptor_call call, uint32_t indicator)
{
    uint64_t last = (uint64_t)ENTRY * call.index + ENTRY - 1;
    if (live->base != call.table || last > live->limit || (indicator && !(live->selector & 0xfffc)))
        return false;
    for (int i = 0; i < SEGMENTS_LOADED; i++) {
        uint32_t selector = c->env->segs[i].selector & 0xfffc;
        if (selector && selector == (uint32_t)(ENTRY * call.index | indicator))
            return true;
    }
    return false;
}

static bool descriptor_call_may(struct core *c, enum answer_how how, struct descriptor_call *call)
{
    if (how == ANSWER_WRITE_GDT && may_reload(c, &c->env->gdt, *call, 0))
        return false;
    if (how == ANSWER_WRITE_LDT && may_reload(c, &c->env->ldt, *call, 4))
        return false;
    if (how != ANSWER_WRITE_IDT)
        call->image = descriptor_deprivileged(call->image, c->answering.hole);
    return access_may_store(c, call->table + ENTRY * call->index, ENTRY, SUPERVISOR);
}

static void descriptor_store(struct core *c, const struct descriptor_call *call)
{
    access_store(c, call->table + ENTRY * call->index, &call->image, sizeof call->image, SUPERVISOR);
}

/* ------------------------------------------------------------------ a call */

/* Whether the call is plain. Nothing is changed but what reading its arguments marks, which Python marks again. */
static bool may(struct core *c, const struct answerable *call, struct descriptor_call *descriptor, uint64_t until)
{
    struct answering *a = &c->answering;
    const uint64_t *r = c->env->regs;
    switch (call->how) {
    case ANSWER_RELOCATION: return true;
    case ANSWER_LAZY: return a->at_once && r[EAX] < LAZY_MODES && c->steps + 1 < until; /* timers are looked at anew */
    case ANSWER_SET_CR3: return a->at_once && page_root_known(c, (uint32_t)r[EAX]);
    case ANSWER_SET_PXE:
    case ANSWER_SET_PXE_0:
    case ANSWER_SET_PXE_LONG:
    case ANSWER_UPDATE_PXE: return a->at_once && page_call_may(c, call);
    case ANSWER_WRITE_GDT:
    case ANSWER_WRITE_LDT:
    case ANSWER_WRITE_IDT: return a->at_once && descriptor_call_may(c, call->how, descriptor);
    case ANSWER_KERNEL_STACK_3: return a->at_once;
    case ANSWER_KERNEL_STACK_13:
        return a->at_once && access_load(c, (uint32_t)r[EAX] + TSS_SS0, sizeof(uint16_t), WALK_MARK, SUPERVISOR);
    default: return true;
    }
}

/* The same of a call that does not return to its caller. */
static bool may_leave(struct core *c, const struct answerable *call, struct leaving *to)
{
    if (call->how == ANSWER_IRET)
        return leaving_may(c, to);
    if (!fast_exit_may(c, to))
        return false;
    to->by = BY_VMI_SYSEXIT;
    to->image |= IF; /* it is STI; SYSEXIT in one */
    return true;
}

static void set_kernel_stack(struct core *c, uint16_t ss)
{
    c->answering.has_kernel_stack = true;
    c->answering.kernel_ss = (uint16_t)((ss & ~3) | KERNEL_RING);
    c->answering.kernel_esp = (uint32_t)c->env->regs[EDX];
}

/* vmi.init.get_relocation_info */
static uint64_t relocation(const struct core *c, const struct answerable *call, int unified)
{
    uint32_t wanted = (uint32_t)c->env->regs[EAX];
    const struct answerable *to = &c->answering.call[(unified & ~0xff) | (int)(wanted & 0xff)];
    if (wanted > 0xff || !to->told)
        return 0;
    return (uint32_t)(c->env->eip - call->entry + to->entry) | (uint64_t)RELOCATION_CALL << 32;
}

/* The result. */
static uint64_t perform(struct core *c, const struct answerable *call, int unified, const struct descriptor_call *write)
{
    struct answering *a = &c->answering;
    const uint64_t *r = c->env->regs;
    uint64_t ticks = a->ticks + c->steps;
    switch (call->how) {
    case ANSWER_ENABLE: a->vif = true; return 0;
    case ANSWER_DISABLE: a->vif = false; return 0;
    case ANSWER_SET_MASK: a->vif = r[EAX] & IF; return 0;
    case ANSWER_GET_MASK: return a->vif ? IF : 0;
    case ANSWER_TSC: return ticks + a->tsc;
    case ANSWER_COUNTER: return counter_value(a, (uint32_t)r[EAX], ticks);
    case ANSWER_CR0: return (uint32_t)c->env->cr[0];
    case ANSWER_CR2: return (uint32_t)c->env->cr[2];
    case ANSWER_CR3: return (uint32_t)c->env->cr[3];
    case ANSWER_CR4: return (uint32_t)c->env->cr[4];
    case ANSWER_SET_CR3: registers_set_cr(c, 3, (uint32_t)r[EAX]); return 0;
    case ANSWER_FLUSH: mmu_flush(c); return 0;
    case ANSWER_RELOCATION: return relocation(c, call, unified);
    case ANSWER_LAZY: a->lazy = (uint8_t)r[EAX]; return 0;
    case ANSWER_SET_PXE:
    case ANSWER_SET_PXE_0:
    case ANSWER_SET_PXE_LONG: page_call(c, call); return 0;
    case ANSWER_WRITE_GDT:
    case ANSWER_WRITE_LDT:
    case ANSWER_WRITE_IDT: descriptor_store(c, write); return 0;
    case ANSWER_KERNEL_STACK_3: set_kernel_stack(c, (uint16_t)r[EAX]); return 0;
    case ANSWER_KERNEL_STACK_13: {
        uint16_t ss;
        memcpy(&ss, access_load(c, (uint32_t)r[EAX] + TSS_SS0, sizeof ss, WALK_LOOK, SUPERVISOR), sizeof ss);
        set_kernel_stack(c, ss);
        return 0;
    }
    default: return 0;
    }
}

/* What a call was made with; an argument on the stack that it has not is 0. */
struct made {
    uint32_t eax, edx, ecx, stack[3]; /* stack: return address, arguments */
};

/* `to`: where a call went that does not return, else NULL. */
static void tell(struct core *c, int unified, const struct answerable *call, const struct made *made,
                 struct flags before, const struct leaving *to)
{
    const uint64_t *r = c->env->regs;
    uint64_t result = (uint32_t)r[EAX] | (call->results == 2 ? (uint64_t)(uint32_t)r[EDX] << 32 : 0);
    uint32_t site = made->stack[0] - CALL_LENGTH;
    uint64_t number = events_put(c, &(struct event){
        .kind = KIND_HYPERCALL, .pc = site, .arguments = 6,
        .argument = {(uint64_t)unified, made->eax, made->edx, made->ecx,
                     made->stack[1] | (uint64_t)made->stack[2] << 32, result},
        .nothing = (uint8_t)((call->words ? 0 : 1 << 4) | (call->results ? 0 : 1 << 5)),
    });
    if (to)
        leaving_tell(c, site, to);
    events_transitions(c, before, site, (uint64_t)(HOW_CALL | unified), number);
}

/* Whether `stub`, the bytes at EIP, is the entry point of a call, and it is done. `until`: as of answer(). */
bool calls_answer(struct core *c, const uint8_t *stub, uint64_t until)
{
    struct answering *a = &c->answering;
    uint64_t *r = c->env->regs;
    int unified = call_of(stub);
    const struct answerable *call = &a->call[unified < 0 ? 0 : unified];
    if (unified < 0 || call->how == ANSWER_NOT || (c->env->hflags & HF_CPL) == 3)
        return false;
    if (!a->all && call->how > ANSWER_WITNESSED)
        return false;
    if (a->paravirtual ? !segments_fit(c, call->segments) : call->how != ANSWER_RELOCATION)
        return false;
    struct made made = {(uint32_t)r[EAX], (uint32_t)r[EDX], (uint32_t)r[ECX], {0}};
    uint32_t size = (uint32_t)sizeof(uint32_t) * (1 + call->words);
    const uint8_t *stack = access_load(c, (uint32_t)r[ESP], size, WALK_MARK, SUPERVISOR);
    if (!stack)
        return false;
    memcpy(made.stack, stack, size);
    struct descriptor_call descriptor = descriptor_call(c, made.stack);
    struct leaving to;
    bool leaves = call->how == ANSWER_IRET || call->how == ANSWER_SYSEXIT;
    if (leaves ? !may_leave(c, call, &to) : !may(c, call, &descriptor, until))
        return false;

    struct flags before = events_flags(c);
    c->steps++;
    if (leaves) {
        leaving(c, &to);
        tell(c, unified, call, &made, before, &to);
        return true;
    }
    uint64_t result = perform(c, call, unified, &descriptor);
    if (call->results)
        r[EAX] = (uint32_t)result;
    if (call->results == 2)
        r[EDX] = result >> 32;
    r[ESP] = (uint32_t)(r[ESP] + sizeof(uint32_t));
    registers_set_eip(c, made.stack[0]);
    tell(c, unified, call, &made, before, NULL);
    return true;
}
