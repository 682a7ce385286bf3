/* Events of what was answered here, as bytes, until Python takes them over. What machine.journal makes of the same is
 * the specification. */
#include "core.h"

enum { IF_BIT = 9, IOPL_BIT = 12, IF = 1 << IF_BIT, IOPL = 3 << IOPL_BIT };

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

static uint32_t virtual_flags(struct flags f)
{
    return (f.real & ~(uint32_t)(IF | IOPL)) | (uint32_t)f.vif << IF_BIT | (uint32_t)f.viopl << IOPL_BIT;
}

/* Journal.transitions: an event for each watched flag that has changed since `before`. */
void events_transitions(struct core *c, struct flags before, uint32_t pc, uint64_t how, uint64_t cause)
{
    static const struct {
        uint32_t mask;
        uint8_t bit;
    } flag[] = {{1 << 8, 8}, {IF, IF_BIT}, {IOPL, IOPL_BIT}, {1 << 14, 14}, {1 << 17, 17}, {1 << 18, 18}};
    struct flags after = events_flags(c);
    uint32_t old = virtual_flags(before), new = virtual_flags(after), changed = (old ^ new) | (before.real ^ after.real);
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
