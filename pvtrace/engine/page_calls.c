/* VMI calls that change an entry of a page table, or tell of one that was changed. vmi.mmu and vmi.page_types are the
 * specification; where they would tell something of a page that was never announced, the call is not plain. */
#include "core.h"

enum { SHIFT = 12, ENTRY_PRESENT = 1, ENTRY_LARGE = 1 << 7 };
#define FRAMES (((1ull << 52) - 1) >> SHIFT)

/* An entry, and what it becomes. */
struct entry {
    uint32_t pointer, size;
    uint64_t value;
};

static struct entry entry_of(const struct core *c, const struct answerable *call)
{
    const uint64_t *r = c->env->regs;
    uint32_t eax = (uint32_t)r[EAX], edx = (uint32_t)r[EDX], ecx = (uint32_t)r[ECX];
    switch (call->how) {
    case ANSWER_SET_PXE: return (struct entry){edx, 4, eax};
    case ANSWER_SET_PXE_0: return (struct entry){eax, 4, edx};
    case ANSWER_SET_PXE_LONG: return (struct entry){ecx, 8, eax | (uint64_t)edx << 32};
    default: return (struct entry){eax, 4, 0}; /* of an update, the value is read */
    }
}

static uint8_t announced(const struct core *c, uint64_t frame)
{
    return frame < c->ram_size / PAGE ? c->answering.announced[frame] : 0;
}

bool page_root_known(const struct core *c, uint32_t cr3)
{
    return announced(c, cr3 >> SHIFT);
}

/* Whether nothing is to be told of a change to `value` in this frame. */
static bool known(const struct core *c, uint64_t frame, uint64_t value)
{
    uint8_t types = announced(c, frame);
    bool table = types & TYPE_DIRECTORY && (value & (ENTRY_PRESENT | ENTRY_LARGE)) == ENTRY_PRESENT;
    return types && (!table || announced(c, value >> SHIFT & FRAMES));
}

/* Whether the call is plain. */
bool page_call_may(struct core *c, const struct answerable *call)
{
    struct entry e = entry_of(c, call);
    bool update = call->how == ANSWER_UPDATE_PXE;
    if (!update && !access_may_store(c, e.pointer, e.size, SUPERVISOR))
        return false;
    const uint8_t *at = access_load(c, e.pointer, e.size, WALK_MARK, SUPERVISOR);
    if (!at)
        return false;
    if (update) {
        uint32_t value;
        memcpy(&value, at, sizeof value);
        e.value = value;
    }
    return known(c, (uint64_t)(at - c->ram) >> SHIFT, e.value);
}

/* Store the entry. */
void page_call(struct core *c, const struct answerable *call)
{
    struct entry e = entry_of(c, call);
    access_store(c, e.pointer, &e.value, e.size, SUPERVISOR);
}
