/* Handlers are entered here: of exceptions that the CPU has raised, and of INT n, INT3 and INTO. x86.delivery and
 * machine.entry are the specification. Plain is a 32-bit interrupt or trap gate to a kernel, and a stack of 32 bits
 * that holds the frame; where a check fails, nothing has been changed but what reading the tables marks, and Python
 * marks that again. */
#include "core.h"

enum { PROTECTED = 1 /* CR0.PE */ };
enum { SLOT = 4, FRAME = 6 /* slots, at most */, RESERVE = 32 /* x86.delivery.RESERVE */ };
enum { BREAKPOINT = 3, OVERFLOW = 4, PAGE_FAULT = 14, EXCEPTIONS = 32 };
/* All exceptions but #DB, NMI, #BP, #OF, #DF and #MC return to the instruction itself (x86.exceptions). */
enum { NO_FAULTS = 1 << 1 | 1 << 2 | 1 << BREAKPOINT | 1 << OVERFLOW | 1 << 8 | 1 << 18 };

/* What brings the handler about. */
struct cause {
    uint8_t vector;
    bool software;
    bool has_error;
    uint32_t error, address; /* address: of a page fault */
    uint32_t return_eip;
};

/* What entering changes. */
struct entry {
    env_segment code, stack;
    bool inner;      /* the stack is a new one */
    bool interrupts; /* stay as they are: a trap gate */
    uint32_t eip, esp, image;
    uint32_t frame[FRAME], slots; /* from ESP up */
};

static uint32_t level(const struct core *c)
{
    return c->env->hflags & HF_CPL;
}

/* The privilege level at which a segment of this DPL runs. */
static uint32_t ring(const struct core *c, uint32_t dpl)
{
    return c->answering.paravirtual && dpl < 3 ? KERNEL_RING : dpl;
}

/* ------------------------------------------------------------------ the gate and the handler's code */

static bool find_gate(struct core *c, const struct cause *cause, struct descriptor *gate)
{
    enum { ENTRY = 8, TYPE = 0x1f00 /* the S bit with it */, INTERRUPT_GATE = 0xe00, TRAP_GATE = 0xf00 };
    const env_segment *idt = &c->env->idt;
    uint32_t offset = cause->vector * (uint32_t)ENTRY;
    if (offset + ENTRY - 1 > idt->limit)
        return false;
    const uint8_t *at = access_load(c, (uint32_t)idt->base + offset, ENTRY, WALK_MARK, SUPERVISOR);
    if (!at)
        return false;
    memcpy(gate, at, ENTRY);
    uint32_t type = gate->high & TYPE, cpl = c->answering.paravirtual && level(c) < 3 ? 0 : level(c);
    return (type == INTERRUPT_GATE || type == TRAP_GATE) && gate->high & DESCRIPTOR_PRESENT &&
           !(cause->software && descriptor_dpl(gate->high) < cpl);
}

static bool find_code(struct core *c, struct descriptor gate, struct entry *e)
{
    enum { KIND = DESCRIPTOR_PRESENT | DESCRIPTOR_NOT_SYSTEM | DESCRIPTOR_CODE | DESCRIPTOR_CONFORMING };
    uint32_t selector = gate.low >> 16;
    struct descriptor d;
    if (descriptor_null(selector) || !descriptor_fetch(c, selector, &d))
        return false;
    uint32_t to = ring(c, descriptor_dpl(d.high));
    e->eip = (gate.low & 0xffff) | (gate.high & 0xffff0000);
    e->code = descriptor_segment((selector & 0xfffc) | to, d);
    e->code.flags = descriptor_with_dpl(e->code.flags, to);
    return (d.high & KIND) == (KIND & ~DESCRIPTOR_CONFORMING) && to <= level(c) && to < 3 && e->eip <= e->code.limit;
}

/* ------------------------------------------------------------------ the stack */

/* x86.tss.inner_stack, of a 32-bit TSS */
static bool stack_of_task(struct core *c, uint32_t to, uint16_t *ss, uint32_t *esp)
{
    enum { TYPE = 0x1d00 /* busy or not */, TSS32 = 0x900, FIRST = 4, EACH = 8, SIZE = 6 };
    const env_segment *tr = &c->env->tr;
    uint32_t offset = to * EACH + FIRST;
    if ((tr->flags & TYPE) != TSS32 || offset + SIZE - 1 > tr->limit)
        return false;
    const uint8_t *at = access_load(c, (uint32_t)tr->base + offset, SIZE, WALK_MARK, SUPERVISOR);
    if (!at)
        return false;
    memcpy(esp, at, sizeof *esp);
    memcpy(ss, at + sizeof *esp, sizeof *ss);
    return true;
}

static bool inner_stack(struct core *c, uint32_t to, struct entry *e)
{
    const struct answering *a = &c->answering;
    uint16_t ss = a->kernel_ss;
    e->esp = a->kernel_esp;
    if (!(a->paravirtual && a->has_kernel_stack) && !stack_of_task(c, a->paravirtual ? 0 : to, &ss, &e->esp))
        return false;
    if (descriptor_null(ss))
        return false;
    if (a->paravirtual) {
        e->stack = descriptor_flat_data((ss & 0xfffcu) | to, to, a->hole);
        return true;
    }
    struct descriptor d;
    if (!descriptor_fetch(c, ss, &d))
        return false;
    e->stack = descriptor_segment(ss, d);
    return (ss & 3u) == to && descriptor_dpl(d.high) == to && descriptor_plain_stack(&e->stack);
}

/* The stack of an entry that stays on its level; a paravirtual kernel's counts as flat. */
static bool current_stack(const struct core *c, struct entry *e)
{
    e->stack = c->env->segs[SEGMENT_SS];
    e->esp = (uint32_t)c->env->regs[ESP];
    if (!c->answering.paravirtual)
        return descriptor_plain_stack(&e->stack);
    e->stack.base = 0;
    e->stack.limit = (uint32_t)(c->answering.hole - 1);
    e->stack.flags |= DESCRIPTOR_BIG;
    return descriptor_plain_stack(&e->stack);
}

static void push(struct entry *e, uint32_t value)
{
    e->frame[FRAME - ++e->slots] = value;
}

static void push_all(const struct core *c, const struct cause *cause, struct entry *e)
{
    const env_segment *s = c->env->segs;
    e->slots = 0;
    if (e->inner) {
        push(e, s[SEGMENT_SS].selector);
        push(e, (uint32_t)c->env->regs[ESP]);
    }
    push(e, e->image);
    push(e, s[SEGMENT_CS].selector);
    push(e, cause->return_eip);
    if (cause->has_error)
        push(e, cause->error);
}

static const uint32_t *frame_of(const struct entry *e)
{
    return e->frame + FRAME - e->slots;
}

/* Whether the bytes below the frame can be written that a paravirtual guest must have free. */
static bool has_room(struct core *c, uint32_t esp, unsigned how)
{
    struct walk w;
    uint32_t first = esp - RESERVE, last = esp - 1;
    return mmu_walk(c, first & ~(PAGE - 1u), WRITE, SUPERVISOR, how, &w) &&
           ((first ^ last) < PAGE || mmu_walk(c, last & ~(PAGE - 1u), WRITE, SUPERVISOR, how, &w));
}

static uint32_t top(const struct entry *e)
{
    return (uint32_t)e->stack.base + e->esp;
}

/* Whether there is a stack that holds the frame. */
static bool find_stack(struct core *c, const struct cause *cause, struct entry *e)
{
    uint32_t to = e->code.selector & 3;
    e->inner = to < level(c);
    if (!(e->inner ? inner_stack(c, to, e) : current_stack(c, e)))
        return false;
    push_all(c, cause, e);
    uint32_t size = e->slots * SLOT;
    if (e->esp < size || e->esp - 1 > e->stack.limit)
        return false;
    e->esp -= size;
    bool reserved = c->answering.paravirtual && c->answering.reserves;
    return (!reserved || has_room(c, e->esp, WALK_LOOK)) && access_may_store_all(c, top(e), size);
}

/* ------------------------------------------------------------------ entering */

static bool find(struct core *c, const struct cause *cause, struct entry *e)
{
    const env_state *env = c->env;
    struct descriptor gate;
    if (!(env->cr[0] & PROTECTED) || env->eflags & VM || c->touch.is)
        return false;
    e->image = events_virtual(events_flags(c)) | FIXED | (cause->software ? 0 : RF);
    if (!find_gate(c, cause, &gate) || !find_code(c, gate, e))
        return false;
    e->interrupts = gate.high & 0x100;
    return find_stack(c, cause, e);
}

static void set_flags(struct core *c, uint32_t real, const struct entry *e)
{
    struct answering *a = &c->answering;
    uint32_t cleared = TF | NT | RF | VM;
    if (!e->interrupts) {
        a->vif = false;
        cleared |= a->paravirtual ? 0 : IF;
    }
    real &= ~cleared;
    if (a->paravirtual && a->inverts) /* the live ones are not those of the image */
        real = (real & ~(uint32_t)ARITHMETIC) | (~e->image & ARITHMETIC);
    registers_set_flags(c, real);
}

static void tell(struct core *c, const struct cause *cause, const struct entry *e, struct flags before)
{
    enum { ERROR = 1 << 1, ADDRESS = 1 << 2 };
    bool faulted = cause->vector == PAGE_FAULT && !cause->software;
    uint64_t number = events_put(c, &(struct event){
        .kind = cause->software ? KIND_SOFTWARE_INTERRUPT : KIND_EXCEPTION, .pc = cause->return_eip, .arguments = 6,
        .argument = {cause->vector, cause->error, cause->address, e->image, e->eip, e->esp},
        .nothing = (uint8_t)((cause->has_error ? 0 : ERROR) | (faulted ? 0 : ADDRESS)),
    });
    events_entered(c, number);
    events_transitions(c, before, cause->return_eip, HOW_DELIVERY, number);
}

static void enter(struct core *c, const struct cause *cause, const struct entry *e)
{
    env_state *env = c->env;
    struct flags before = events_flags(c);
    c->steps++;
    if (cause->vector == PAGE_FAULT && !cause->software)
        env->cr[2] = cause->address;
    if (c->answering.paravirtual && c->answering.reserves)
        has_room(c, e->esp, WALK_MARK);
    access_store(c, top(e), frame_of(e), e->slots * SLOT, SUPERVISOR);
    if (e->inner)
        registers_set_segment(c, SEGMENT_SS, e->stack);
    env->regs[ESP] = e->esp;
    set_flags(c, before.real, e);
    registers_set_segment(c, SEGMENT_CS, e->code);
    registers_set_eip(c, e->eip);
    tell(c, cause, e, before);
}

static bool answered(struct core *c, const struct cause *cause)
{
    struct entry entry;
    if (!find(c, cause, &entry))
        return false;
    enter(c, cause, &entry);
    return true;
}

/* Whether the handler of the exception that the CPU has raised was entered. */
bool entering_exception(struct core *c)
{
    if (c->vector >= EXCEPTIONS || NO_FAULTS >> c->vector & 1)
        return false;
    return answered(c, &(struct cause){
        .vector = (uint8_t)c->vector, .has_error = c->has_error, .error = (uint32_t)c->error, .address = c->address,
        .return_eip = (uint32_t)c->env->eip,
    });
}

/* Whether `code`, two bytes at EIP in a 32-bit segment, is a software interrupt, and its handler was entered. */
bool entering_software(struct core *c, const uint8_t *code)
{
    enum { INT3 = 0xcc, INT = 0xcd, INTO = 0xce };
    struct cause cause = {.software = true, .return_eip = (uint32_t)c->env->eip + 1};
    switch (code[0]) {
    case INT3:
        cause.vector = BREAKPOINT;
        break;
    case INT:
        cause.vector = code[1];
        cause.return_eip++;
        break;
    case INTO:
        cause.vector = OVERFLOW;
        if (!(events_flags(c).real & OF))
            return false;
        break;
    default:
        return false;
    }
    return answered(c, &cause);
}
