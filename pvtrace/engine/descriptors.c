/* Segment descriptors as answers read them. x86.descriptors is the specification; what that refuses with an exception
 * is not plain. */
#include "core.h"

enum { ENTRY = 8 /* bytes */, TABLE_INDICATOR = 4, BASE_BYTE_3 = 0xff000000, LIMIT_HIGH = 0xf0000 };

/* The descriptor that a selector names. False: there is none, or this is not the plain case. */
bool descriptor_fetch(struct core *c, uint32_t selector, struct descriptor *d)
{
    bool local = selector & TABLE_INDICATOR;
    const env_segment *table = local ? &c->env->ldt : &c->env->gdt;
    uint32_t offset = selector & 0xfff8;
    if ((local && descriptor_null(table->selector)) || (uint64_t)offset + ENTRY - 1 > table->limit)
        return false;
    const uint8_t *at = access_load(c, (uint32_t)table->base + offset, ENTRY, WALK_MARK, SUPERVISOR);
    if (at)
        memcpy(d, at, ENTRY);
    return at;
}

/* The segment register that loading it makes; no check of any kind. */
env_segment descriptor_segment(uint32_t selector, struct descriptor d)
{
    uint32_t limit = (d.low & 0xffff) | (d.high & LIMIT_HIGH);
    return (env_segment){
        .selector = selector,
        .base = d.low >> 16 | (d.high & 0xff) << 16 | (d.high & BASE_BYTE_3),
        .limit = d.high & DESCRIPTOR_GRANULAR ? limit << 12 | 0xfff : limit,
        .flags = d.high & DESCRIPTOR_ATTRIBUTES,
    };
}

/* Data that can be written, present, of 32 bits and growing up. */
bool descriptor_plain_stack(const env_segment *s)
{
    enum {
        WANTED = DESCRIPTOR_PRESENT | DESCRIPTOR_NOT_SYSTEM | DESCRIPTOR_WRITABLE | DESCRIPTOR_BIG,
        LOOKED_AT = WANTED | DESCRIPTOR_CODE | DESCRIPTOR_EXPAND_DOWN,
    };
    return (s->flags & LOOKED_AT) == WANTED;
}

/* A segment from 0 to the end of the guest's linear space. */
env_segment descriptor_flat_data(uint32_t selector, uint32_t level, uint64_t hole)
{
    enum { ACCESSED = 0x100 };
    return (env_segment){
        .selector = selector,
        .limit = (uint32_t)(hole - 1),
        .flags = DESCRIPTOR_GRANULAR | DESCRIPTOR_BIG | DESCRIPTOR_PRESENT | DESCRIPTOR_NOT_SYSTEM |
                 DESCRIPTOR_WRITABLE | ACCESSED | level << DESCRIPTOR_DPL_SHIFT,
    };
}

/* As a paravirtual guest must have it: kernel segments at KERNEL_RING, ending below `hole`. */
struct descriptor descriptor_deprivileged(struct descriptor d, uint64_t hole)
{
    if (!(d.high & DESCRIPTOR_NOT_SYSTEM) || !(d.high & DESCRIPTOR_PRESENT))
        return d;
    if (descriptor_dpl(d.high) < KERNEL_RING)
        d.high = descriptor_with_dpl(d.high, KERNEL_RING);
    if (hole >= NO_HOLE)
        return d;
    env_segment s = descriptor_segment(0, d);
    if (s.base >= hole) {
        d.high &= ~(uint32_t)DESCRIPTOR_PRESENT;
        return d;
    }
    uint64_t most = hole - 1 - s.base;
    if ((!(d.high & DESCRIPTOR_CODE) && d.high & DESCRIPTOR_EXPAND_DOWN) || s.limit <= most)
        return d;
    bool granular = d.high & DESCRIPTOR_GRANULAR;
    if (granular && most + 1 < PAGE) {
        d.high &= ~(uint32_t)DESCRIPTOR_PRESENT;
        return d;
    }
    uint32_t raw = (uint32_t)(granular ? ((most + 1) >> 12) - 1 : most);
    d.low = (d.low & 0xffff0000) | (raw & 0xffff);
    d.high = (d.high & ~(uint32_t)LIMIT_HIGH) | (raw & LIMIT_HIGH);
    return d;
}
