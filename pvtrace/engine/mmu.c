/* The guest's page tables (SDM volume 3, chapter 4), walked in Unicorn's TLB-fill hook.
 *
 * Three rules make what a guest sees independent of what the TLB happens to hold:
 *  - a frame that served as a page table is never mapped writable: the store is caught, done alone, and the TLB flushed,
 *    so that no translation is ever stale;
 *  - write permission is only granted once the entry's dirty bit is set;
 *  - a page entered for translation ahead of EIP is not marked accessed, and leaves the TLB at once (counter.c). */
#include "core.h"

#include <string.h>

#define P 1u
#define RW 2u
#define US 4u
#define A 0x20u
#define D 0x40u
#define PS 0x80u
#define NX (1ull << 63)

enum { E_PRESENT = 1, E_WRITE = 2, E_USER = 4, E_RESERVED = 8, E_FETCH = 16 };
enum { CR0_PG_BIT = 31, CR0_WP_BIT = 16, CR4_PSE_BIT = 4, CR4_PAE_BIT = 5 };
#define ADDRESS_BITS 0x000ffffffffff000ull
#define PAE_RESERVED 0x7fffff0000000000ull /* above the 40 bits of the physical addresses of Unicorn's processors */
#define PSE_RESERVED 0x00200000u /* bit 21 of a 4 MiB entry; bits 20..13 are address bits 39..32 (PSE-36) */

static uint64_t entry_at(const struct core *c, uint64_t physical, int size)
{
    if (physical + (uint64_t)size > c->ram_size)
        return 0; /* nothing there: not present */
    return size == 8 ? *(uint64_t *)(c->ram + physical) : *(uint32_t *)(c->ram + physical);
}

static void mark_entry(struct core *c, uint64_t physical, int size, uint64_t entry, uint64_t bits)
{
    if ((entry & bits) == bits)
        return;
    if (size == 8)
        *(uint64_t *)(c->ram + physical) = entry | bits;
    else
        *(uint32_t *)(c->ram + physical) = (uint32_t)(entry | bits);
    c->frames[physical >> 12] |= F_DIRTY;
}

struct level {
    uint64_t at, entry;
};

/* A translation is about to be cached that was read from these entries: from now on, stores to them are caught. */
static void watch_tables(struct core *c, const struct level *level, int levels)
{
    for (int i = 0; i < levels; i++)
        if (c->frames[level[i].at >> 12] & F_WRITABLE) {
            mmu_flush(c);
            break;
        }
    for (int i = 0; i < levels; i++) {
        uint32_t frame = (uint32_t)(level[i].at >> 12);
        if (!(c->frames[frame] & F_TABLE)) {
            c->frames[frame] |= F_TABLE;
            c->tables[c->ntables++] = frame;
        }
    }
}

/* Returns false for a page fault. */
bool mmu_walk(struct core *c, uint32_t linear, enum access access, bool user, unsigned how, struct walk *w)
{
    const env_state *env = c->env;
    uint32_t cr0 = (uint32_t)env->cr[0], cr4 = (uint32_t)env->cr[4];
    w->error = 0;
    if (!(cr0 >> CR0_PG_BIT)) {
        w->physical = linear;
        w->writable = true;
        return true;
    }
    bool pae = cr4 >> CR4_PAE_BIT & 1, protect = cr0 >> CR0_WP_BIT & 1, nx = pae && c->nxe;
    int size = pae ? 8 : 4, levels = 0;
    struct level level[3];
    uint64_t rights = RW | US, executable = 1, reserved = 0;
    uint64_t offset_mask = 0xfff;

    w->error = (access == WRITE ? E_WRITE : 0) | (user ? E_USER : 0) | (access == FETCH && nx ? E_FETCH : 0);
    uint64_t table;
    if (pae) {
        uint64_t at = (env->cr[3] & 0xffffffe0u) + ((linear >> 30) << 3);
        uint64_t pdpte = entry_at(c, at, 8);
        if (!(pdpte & P))
            return false;
        level[levels++] = (struct level){at, pdpte}; /* has no accessed bit and no rights */
        if (pdpte & (PAE_RESERVED | NX | 0x1e6)) {
            w->error |= E_PRESENT | E_RESERVED;
            return false;
        }
        table = pdpte & ADDRESS_BITS;
    } else {
        table = env->cr[3] & 0xfffff000u;
    }
    int first = levels;
    for (int shift = pae ? 21 : 22;; shift = 12) {
        uint32_t index = linear >> shift & (pae ? 511 : 1023);
        uint64_t at = table + (uint64_t)(index * (uint32_t)size), entry = entry_at(c, at, size);
        if (!(entry & P))
            return false;
        level[levels++] = (struct level){at, entry};
        rights &= entry;
        if (pae) {
            executable &= !(entry & NX);
            reserved |= entry & PAE_RESERVED;
            reserved |= nx ? 0 : entry & NX;
        }
        bool large = shift != 12 && entry & PS && (pae || cr4 >> CR4_PSE_BIT & 1);
        if (large) {
            offset_mask = (1u << shift) - 1;
            reserved |= pae ? entry & 0x1fe000 : entry & PSE_RESERVED;
            table = pae ? entry & ADDRESS_BITS & ~offset_mask
                        : (entry & 0xffc00000u) | (entry & 0x1fe000) << (32 - 13);
            break;
        }
        table = pae ? entry & ADDRESS_BITS : entry & 0xfffff000u;
        if (shift == 12 || reserved)
            break;
    }
    if (reserved) {
        w->error |= E_PRESENT | E_RESERVED;
        return false;
    }
    bool may_write = rights & RW || (!user && !protect);
    if ((user && !(rights & US)) || (access == WRITE && !may_write) || (access == FETCH && nx && !executable)) {
        w->error |= E_PRESENT;
        return false;
    }
    uint64_t leaf = level[levels - 1].entry;
    if (how & WALK_CACHE)
        watch_tables(c, level, levels);
    if (how & WALK_MARK) {
        for (int i = first; i < levels - 1; i++)
            mark_entry(c, level[i].at, size, level[i].entry, A);
        uint64_t bits = A | (access == WRITE ? D : 0);
        mark_entry(c, level[levels - 1].at, size, leaf, bits);
        leaf |= bits;
    }
    w->physical = table | (linear & offset_mask);
    w->writable = may_write && leaf & D;
    return true;
}

/* Whether the instruction at EIP reads descriptors by itself, with supervisor rights at any CPL (SDM volume 3, 4.6). */
static bool reads_descriptors(struct core *c)
{
    uint32_t eip = (uint32_t)(c->env->eip + c->env->segs[1].base);
    uint8_t code[8] = {0};
    struct walk w;
    for (int i = 0; i < 8; i++)
        if (mmu_walk(c, eip + (uint32_t)i, FETCH, false, WALK_LOOK, &w) && w.physical < c->ram_size)
            code[i] = c->ram[w.physical];
    int i = 0;
    for (; i < 5; i++) {
        uint8_t b = code[i];
        if (b != 0x66 && b != 0x67 && b != 0x2e && b != 0x36 && b != 0x3e && b != 0x26 && b != 0x64 && b != 0x65 &&
            (b & 0xfe) != 0xf2 && b != 0xf0)
            break;
    }
    uint8_t reg = code[i + 1] >> 3 & 7;
    switch (code[i]) {
    case 0x07: case 0x17: case 0x1f: /* POP ES, SS, DS */
    case 0x8e:                       /* MOV Sreg */
    case 0x9a: case 0xea: case 0xca: case 0xcb: case 0xcf: /* far CALL, JMP, RET; IRET */
    case 0xc4: case 0xc5:                                   /* LES, LDS */
        return true;
    case 0xff:
        return reg == 3 || reg == 5;
    case 0x0f:
        switch (code[i + 1]) {
        case 0x00: case 0x02: case 0x03: /* VERR, VERW; LAR; LSL */
        case 0xa1: case 0xa9:            /* POP FS, GS */
        case 0xb2: case 0xb4: case 0xb5: /* LSS, LFS, LGS */
            return true;
        }
    }
    return false;
}

static bool in_table(uint32_t address, const env_segment *table)
{
    uint32_t page = address & ~0xfffu, base = (uint32_t)table->base;
    return page >= (base & ~0xfffu) && page <= base + table->limit;
}

static bool refuse(struct core *c, int why, int access, uint32_t page, uint32_t error, uint64_t physical)
{
    c->refusal = (struct refusal){why, access, page, error, physical};
    return false;
}

/* Whether something in this page is watched for such accesses. */
static bool watched_page(const struct core *c, uint32_t linear, uint64_t physical, bool store)
{
    for (uint32_t i = 0; i < c->nwatches; i++) {
        const struct watch *w = &c->watches[i];
        uint64_t page = w->physical ? physical & ~(uint64_t)0xfff : linear & ~0xfffu;
        if (w->start < page + PAGE && w->end > page && (store || w->loads))
            return true;
    }
    return false;
}

/* Of several accesses until take_touch the first one is described, and all that they changed is told. */
void mmu_note(struct core *c, struct touch touch)
{
    touch.near |= c->touch.near;
    touch.changed |= c->touch.changed;
    if (c->touch.is) {
        c->touch.near = touch.near;
        c->touch.changed = touch.changed;
    } else {
        c->touch = touch;
    }
}

/* The machine itself reads `size` bytes within a page, or is about to store `data` there. */
void mmu_touched(struct core *c, uint32_t linear, uint64_t physical, uint32_t size, bool store, const uint8_t *data)
{
    uint64_t near = 0, changed = 0;
    for (uint32_t i = 0; i < c->nwatches; i++) {
        const struct watch *w = &c->watches[i];
        uint64_t at = w->physical ? physical : linear;
        uint64_t from = w->start > at ? w->start : at, to = w->end < at + size ? w->end : at + size;
        if (from >= to || physical + size > c->ram_size)
            continue;
        bool differs = store && memcmp(c->ram + physical + (from - at), data + (from - at), to - from);
        changed |= (uint64_t)differs << i;
        near |= (uint64_t)(differs || w->loads || (store && w->stores)) << i;
    }
    if (near)
        mmu_note(c, (struct touch){true, store, linear, (uint32_t)(c->env->eip + c->env->segs[1].base), near, changed});
}

bool mmu_fill(uc_engine *engine, uint64_t address, int type, uc_tlb_entry *out, void *core)
{
    (void)engine;
    struct core *c = core;
    uint32_t linear = (uint32_t)address;
    enum access access = type == UC_MEM_WRITE ? WRITE : type == UC_MEM_FETCH ? FETCH : READ;
    bool user = (c->env->hflags & HF_CPL) == 3;
    struct walk w;

    if (linear >= c->hole)
        return refuse(c, REFUSED_HOLE, type, linear, 0, 0);
    uint32_t eip_page = (uint32_t)(c->env->eip + c->env->segs[1].base) & ~0xfffu;
    bool ahead = access == FETCH && linear != eip_page;
    if (ahead) {
        if (c->prefetched && c->prefetched_page != linear)
            uc.tlb_flush_page(c->cpu, c->prefetched_page);
        c->prefetched = true;
        c->prefetched_page = linear;
    }
    bool present = mmu_walk(c, linear, access, user, WALK_CACHE, &w);
    if (!present && user && w.error & E_PRESENT && access != FETCH &&
        (in_table(linear, &c->env->gdt) || in_table(linear, &c->env->ldt)) && reads_descriptors(c)) {
        user = false;
        present = mmu_walk(c, linear, access, user, WALK_CACHE, &w);
    }
    if (!present)
        return refuse(c, REFUSED_PAGING, type, linear, w.error, 0);

    /* What is refused here is run again in another mode, and must not find its own accessed and dirty bits. */
    uint64_t physical = w.physical & ~(uint64_t)0xfff;
    bool rom = physical < c->ram_size && c->frames[physical >> 12] & F_ROM;
    bool device = physical >= c->ram_size || (access == WRITE && rom);
    if (device && (!(c->mode & MODE_MMIO) || access == FETCH))
        return refuse(c, REFUSED_MMIO, type, linear, 0, physical);
    bool free = !c->nwatches || c->mode & MODE_WATCH;
    if (!device && !free && access != FETCH && watched_page(c, linear, physical, access == WRITE))
        return refuse(c, REFUSED_WATCH, type, linear, 0, physical);
    if (!device && access == WRITE && c->frames[physical >> 12] & F_TABLE && !(c->mode & MODE_TABLE))
        return refuse(c, REFUSED_TABLE, type, linear, 0, physical);

    unsigned how = ahead ? WALK_CACHE : WALK_CACHE | WALK_MARK;
    mmu_walk(c, linear, access, user, how, &w);
    if (device) {
        out->paddr = 1ull << 32; /* the scratch page */
        out->perms = UC_PROT_READ | UC_PROT_WRITE;
        return true;
    }
    uint32_t frame = (uint32_t)(physical >> 12);
    uint8_t *flags = &c->frames[frame];
    if (access == WRITE)
        *flags |= F_DIRTY;
    if (access == FETCH && !(*flags & F_FETCHED)) {
        mmu_flush(c); /* no fast store may remain to a frame that becomes code */
        *flags |= F_FETCHED;
        mmu_walk(c, linear, access, user, how, &w); /* the flush forgot the tables of this very walk */
    }
    bool writable = w.writable && *flags & F_DIRTY && !(*flags & F_ROM) &&
                    (!(*flags & F_TABLE) || c->mode & MODE_TABLE) &&
                    (free || !watched_page(c, linear, physical, true));
    if (writable && !(*flags & F_WRITABLE)) {
        *flags |= F_WRITABLE;
        c->writables[c->nwritables++] = frame;
    }
    out->paddr = physical;
    bool readable = free || !watched_page(c, linear, physical, false);
    out->perms = (readable ? UC_PROT_READ : 0) | (*flags & F_FETCHED ? UC_PROT_EXEC : 0) |
                 (writable ? UC_PROT_WRITE : 0);
    return true;
}

void mmu_flush(struct core *c)
{
    /* Unicorn halves a TLB that was little used for 100 ms of the host's time. Ours is emptied often, so it would become
     * far too small for the next loop over much memory: keep that window from ever ending. */
    for (size_t mode = 0; mode < MMU_MODES; mode++)
        *(int64_t *)field(c->cpu, CPU_TLB_DESC + mode * TLB_DESC_SIZE + TLB_WINDOW_BEGIN) = INT64_MAX / 2;
    uc.tlb_flush(c->cpu);
    for (uint32_t i = 0; i < c->ntables; i++)
        c->frames[c->tables[i]] &= (uint8_t)~F_TABLE;
    for (uint32_t i = 0; i < c->nwritables; i++)
        c->frames[c->writables[i]] &= (uint8_t)~F_WRITABLE;
    c->ntables = c->nwritables = 0;
}

/* The machine itself changed memory: forget what was derived from it. */
void mmu_stored(struct core *c, uint64_t physical, uint64_t size)
{
    bool table = false;
    for (uint64_t frame = physical >> 12; frame <= (physical + size - 1) >> 12; frame++) {
        uint8_t flags = c->frames[frame];
        c->frames[frame] |= F_DIRTY;
        table |= flags & F_TABLE;
        if (flags & F_FETCHED)
            uc.tb_invalidate(c->engine, physical, physical + size);
    }
    if (table)
        mmu_flush(c);
}
