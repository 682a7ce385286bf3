/* paging.c: page tables for the first 16 MB, each page at its own address. */
#include "traps.h"

#define TABLES 4 /* of 1024 pages: 4 MB each */

static u32 directory[1024] __attribute__((aligned(4096)));
static u32 tables[TABLES][1024] __attribute__((aligned(4096)));

extern u8 user_text_start[], user_text_end[], user_data_start[], user_data_end[]; /* guest.ld */

/* A hypervisor takes over the page tables that it finds at VMI_Init. So paging is turned on before, natively. */
void paging_on(void)
{
    for (u32 page = 1; page < TABLES * 1024; page++) /* page 0 stays absent, to catch NULL pointers */
        tables[page / 1024][page % 1024] = page << 12 | PAGE_WRITABLE | PAGE_PRESENT;
    for (u32 i = 0; i < TABLES; i++) /* a page is open to ring 3 only if both levels say so */
        directory[i] = (u32)tables[i] | PAGE_USER | PAGE_WRITABLE | PAGE_PRESENT;

    u32 cr0;
    __asm__ volatile("movl %0, %%cr3" : : "r"(directory) : "memory");
    __asm__ volatile("movl %%cr0, %0" : "=r"(cr0));
    cr0 |= 0x80010000; /* PG, and WP: the kernel obeys read-only pages too */
    __asm__ volatile("movl %0, %%cr0" : : "r"(cr0) : "memory");
}

/* The hypervisor wants to know every page that serves as a page table, and how to find them in linear memory. A flag
 * word says of what kind each is. */
void paging_announce(void)
{
    pv.set_linear_mapping(0, 0, TABLES * 1024, 0);
    pv.allocate_page((u32)directory >> 12, VMI_PAGE_PD, 0, 0, 0);
    for (u32 i = 0; i < TABLES; i++)
        pv.allocate_page((u32)tables[i] >> 12, VMI_PAGE_PT, 0, 0, 0);
}

/* The CPU keeps translations in a cache, and must be told to forget the old one. */
void paging_set(u32 address, u32 entry)
{
    u32 page = address >> 12;
    pv.set_pxe(entry, &tables[page / 1024][page % 1024], VMI_PAGE_PT | VMI_PAGE_CURRENT_AS | (page << 12));
    pv.inval_page(address);
}

void paging_open_user_pages(void)
{
    for (u32 page = (u32)user_text_start; page < (u32)user_text_end; page += 4096)
        paging_set(page, page | PAGE_USER | PAGE_PRESENT);
    for (u32 page = (u32)user_data_start; page < (u32)user_data_end; page += 4096)
        paging_set(page, page | PAGE_USER | PAGE_WRITABLE | PAGE_PRESENT);
}
