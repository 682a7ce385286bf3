/* The guest's memory as answers read and write it: the plain case alone. Inside one page, in memory, allowed by the
 * page tables, watched by nobody. Whatever is not plain is left to Python, with nothing done. */
#include "core.h"

#include <string.h>

static bool inside(uint32_t linear, uint32_t size)
{
    return linear % PAGE <= PAGE - size;
}

/* Whether somebody watches one of the `size` bytes. */
static bool watched(const struct core *c, uint32_t linear, uint64_t physical, uint32_t size)
{
    for (uint32_t i = 0; i < c->nwatches; i++) {
        uint64_t at = c->watches[i].physical ? physical : linear;
        if (at < c->watches[i].end && c->watches[i].start < at + size)
            return true;
    }
    return false;
}

/* Where the bytes are; NULL: this is not the plain case. `how`: of mmu_walk; one that only looks is no access, which
 * nobody watches. */
const uint8_t *access_load(struct core *c, uint32_t linear, uint32_t size, unsigned how, bool user)
{
    struct walk w;
    if (!inside(linear, size) || !mmu_walk(c, linear, READ, user, how, &w) || w.physical + size > c->ram_size)
        return NULL;
    return how != WALK_LOOK && watched(c, linear, w.physical, size) ? NULL : c->ram + w.physical;
}

/* Nothing is marked yet. */
bool access_may_store(struct core *c, uint32_t linear, uint32_t size, bool user)
{
    struct walk w;
    return inside(linear, size) && mmu_walk(c, linear, WRITE, user, WALK_LOOK, &w) &&
           w.physical + size <= c->ram_size && !(c->frames[w.physical >> 12] & F_ROM) &&
           !watched(c, linear, w.physical, size);
}

/* As access_may_store, for several stores of a supervisor in a row: none of them changes how the next is translated. */
bool access_may_store_all(struct core *c, uint32_t linear, uint32_t size)
{
    struct walk w;
    return access_may_store(c, linear, size, SUPERVISOR) && mmu_walk(c, linear, WRITE, SUPERVISOR, WALK_CACHE, &w) &&
           !(c->frames[w.physical >> 12] & F_TABLE);
}

/* What access_may_store has allowed. */
void access_store(struct core *c, uint32_t linear, const void *data, uint32_t size, bool user)
{
    struct walk w;
    mmu_walk(c, linear, WRITE, user, WALK_MARK, &w);
    memcpy(c->ram + w.physical, data, size);
    mmu_stored(c, w.physical, size);
}
