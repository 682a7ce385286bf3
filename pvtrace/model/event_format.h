/* The bytes of an event: what digests are over (model/packed.py tells the format). Little endian, as every machine that
 * this runs on; the widths are those of the format, not of the host. */
#ifndef PVTRACE_EVENT_FORMAT_H
#define PVTRACE_EVENT_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    EVENT_ARGUMENTS = 6, /* at most */
    EVENT_HEAD = 8 + 2 + 8 + 8 + 8 + 1,
    EVENT_WORD = 1 + 8,
    EVENT_LONGEST_PLAIN = EVENT_HEAD + EVENT_ARGUMENTS * EVENT_WORD, /* of an event without text or bytes */
};

enum { TAG_INTEGER = 'i', TAG_NOTHING = 'n', TAG_TEXT = 's', TAG_BYTES = 'b' };

#define NO_CAUSE (-1)

/* The kinds that C makes, and what changed a flag: model.events.Kind and How. A test holds them to it. */
enum event_kind {
    KIND_HYPERCALL = 1,
    KIND_EXCEPTION = 10,
    KIND_INTERRUPT = 11,
    KIND_SOFTWARE_INTERRUPT = 12,
    KIND_SYSENTER = 13,
    KIND_RETURN = 14,
    KIND_FLAG_TRANSITION = 20,
    KIND_FLAG_ATTEMPT = 21,
    KIND_PORT_READ = 30,
    KIND_PORT_WRITE = 31,
    KIND_EMULATED = 50,
};

static inline uint8_t *put(uint8_t *at, const void *value, size_t size)
{
    memcpy(at, value, size);
    return at + size;
}

static inline uint8_t *put_head(uint8_t *at, uint64_t step, uint16_t kind, uint64_t pc, uint64_t flags, int64_t cause,
                                uint8_t arguments)
{
    at = put(at, &step, sizeof step);
    at = put(at, &kind, sizeof kind);
    at = put(at, &pc, sizeof pc);
    at = put(at, &flags, sizeof flags);
    at = put(at, &cause, sizeof cause);
    return put(at, &arguments, sizeof arguments);
}

/* An integer, or the length of the text or bytes that follow. */
static inline uint8_t *put_word(uint8_t *at, char tag, uint64_t value)
{
    *at = (uint8_t)tag;
    return put(at + 1, &value, sizeof value);
}

static inline uint8_t *put_nothing(uint8_t *at)
{
    *at = TAG_NOTHING;
    return at + 1;
}

/* ------------------------------------------------------------------ reading */

struct record {
    uint64_t step, pc, flags;
    int64_t cause;
    uint16_t kind;
    uint8_t count;
    struct {
        char tag;
        uint64_t number; /* the value, or the length */
        const char *data;
    } argument[EVENT_ARGUMENTS];
};

struct cursor {
    const uint8_t *at, *end;
};

static inline bool get(struct cursor *c, void *value, size_t size)
{
    if ((size_t)(c->end - c->at) < size)
        return false;
    memcpy(value, c->at, size);
    c->at += size;
    return true;
}

static inline bool get_argument(struct cursor *c, struct record *r, int i)
{
    char tag;
    if (!get(c, &tag, 1))
        return false;
    r->argument[i].tag = tag;
    if (tag == TAG_NOTHING)
        return true;
    uint64_t number;
    if (!get(c, &number, sizeof number))
        return false;
    r->argument[i].number = number;
    if (tag == TAG_INTEGER)
        return true;
    if ((tag != TAG_TEXT && tag != TAG_BYTES) || (uint64_t)(c->end - c->at) < number)
        return false;
    r->argument[i].data = (const char *)c->at;
    c->at += number;
    return true;
}

/* The event at the cursor, which goes behind it; false if there is no whole one. */
static inline bool get_event(struct cursor *c, struct record *r)
{
    bool whole = get(c, &r->step, sizeof r->step) && get(c, &r->kind, sizeof r->kind) && get(c, &r->pc, sizeof r->pc) &&
                 get(c, &r->flags, sizeof r->flags) && get(c, &r->cause, sizeof r->cause) &&
                 get(c, &r->count, sizeof r->count) && r->count <= EVENT_ARGUMENTS;
    for (int i = 0; whole && i < r->count; i++)
        whole = get_argument(c, r, i);
    return whole;
}

#endif
