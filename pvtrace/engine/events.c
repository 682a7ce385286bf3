/* Events of what was answered here, as bytes, until Python takes them over. What machine.journal makes of the same is
 * the specification. */
#include "core.h"

enum { IF_BIT = 9 };

/* Whether the events of one more answer do. */
bool events_fit(const struct core *c)
{
    return EVENTS_ROOM - c->events.size >= EVENTS_OF_ONE;
}

struct flags events_flags(struct core *c)
{
    return (struct flags){registers_flags(c), c->answering.vif, c->answering.viopl};
}

uint64_t events_put(struct core *c, const struct event *event)
{
    struct events *e = &c->events;
    struct flags now = events_flags(c);
    uint64_t flags = now.real | (uint64_t)now.vif << 32 | (uint64_t)now.viopl << 33 |
                     (uint64_t)(c->env->hflags & HF_CPL) << 35; /* model.events.pack_flags */
    uint8_t count = event->arguments;
    while (count && event->nothing >> (count - 1) & 1)
        count--;
    uint8_t *at = put_head(e->bytes + e->size, c->steps, event->kind, event->pc, flags,
                           event->caused ? (int64_t)event->cause : NO_CAUSE, count + (event->text != NULL));
    if (event->text) {
        size_t size = strlen(event->text);
        at = put(put_word(at, TAG_TEXT, size), event->text, size);
    }
    for (int i = 0; i < count; i++)
        at = event->nothing >> i & 1 ? put_nothing(at) : put_word(at, TAG_INTEGER, event->argument[i]);
    e->size = (uint32_t)(at - e->bytes);
    if (!e->count++)
        e->first = c->steps;
    e->last = c->steps;
    return e->number++;
}

/* x86.eflags.guest_flags */
uint32_t events_virtual(struct flags f)
{
    return (f.real & ~(uint32_t)(IF | IOPL)) | (uint32_t)f.vif << IF_BIT | (uint32_t)f.viopl << IOPL_SHIFT;
}

/* An attempt on IF or IOPL: machine.instructions._attempt. */
uint64_t events_attempt(struct core *c, enum how by, struct flags before, uint32_t pc, uint32_t asked,
                        enum outcome outcome)
{
    struct flags after = events_flags(c);
    return events_put(c, &(struct event){
        .kind = KIND_FLAG_ATTEMPT, .pc = pc, .arguments = 6,
        .argument = {by, asked, events_virtual(before), events_virtual(after), before.real, outcome},
    });
}

/* Journal.transitions: an event for each watched flag that has changed since `before`. */
void events_transitions(struct core *c, struct flags before, uint32_t pc, uint64_t how, uint64_t cause)
{
    static const struct {
        uint32_t mask;
        uint8_t bit;
    } flag[] = {{1 << 8, 8}, {IF, IF_BIT}, {IOPL, IOPL_SHIFT}, {1 << 14, 14}, {1 << 17, 17}, {1 << 18, 18}};
    struct flags after = events_flags(c);
    uint32_t old = events_virtual(before), new = events_virtual(after), changed = (old ^ new) | (before.real ^ after.real);
    for (size_t i = 0; i < sizeof flag / sizeof *flag; i++) {
        uint32_t mask = flag[i].mask;
        uint8_t bit = flag[i].bit;
        if (changed & mask)
            events_put(c, &(struct event){
                .kind = KIND_FLAG_TRANSITION, .pc = pc, .arguments = 6, .caused = true, .cause = cause,
                .argument = {bit, (old & mask) >> bit, (new & mask) >> bit, (before.real & mask) >> bit,
                             (after.real & mask) >> bit, how},
            });
    }
}

/* Journal.entered */
void events_entered(struct core *c, uint64_t number)
{
    struct events *e = &c->events;
    if (e->nopen == OPEN)
        memmove(e->open, e->open + 1, --e->nopen * sizeof *e->open);
    e->open[e->nopen++] = number;
    e->opened = true;
}

/* Journal.left: whether there is an entry that a return ends. */
bool events_left(struct core *c, uint64_t *number)
{
    struct events *e = &c->events;
    if (!e->nopen)
        return false;
    *number = e->open[--e->nopen];
    e->opened = true;
    return true;
}
