/* crt.S: the first instructions of the guest.
 *
 * A Multiboot-1 loader (pvtrace, QEMU's -kernel, GRUB) looks for the header below, copies the ELF segments to their
 * addresses, and jumps to _start in 32-bit protected mode: paging off, interrupts off, CPL 0, EBX -> information.
 * It promises flat segments, but not that its descriptor table stays where it is: so we load our own at once. */

        .set    MAGIC, 0x1BADB002
        .set    FLAGS, 0x00000003               /* align modules to pages; tell us the size of memory */

        .section .boot, "ax"
        .align  4
        .long   MAGIC
        .long   FLAGS
        .long   -(MAGIC + FLAGS)                /* the three words add up to 0 */

        .globl  _start
        .type   _start, @function
_start: cld
        lgdt    gdt_pointer
        ljmp    $0x08, $1f                      /* a far jump is what reloads CS */
1:      movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        xorl    %eax, %eax                      /* a NULL selector: nobody uses FS and GS here */
        movw    %ax, %fs
        movw    %ax, %gs
        movl    $stack_top, %esp
        xorl    %ebp, %ebp                      /* debuggers stop their backtraces here */
        call    console_init
        call    main
        movzbl  %al, %eax                       /* what main returns is the exit code; 0 is good */
        pushl   %eax
        call    guest_exit
        .size   _start, . - _start

/* The descriptor table. VMI_Init raises the privilege level of the kernel's two segments from 0 to 1 and cuts their
 * limits below the hypervisor, in this very table. The order of the first four is what SYSENTER and SYSEXIT expect.
 * A table that begins on a page of its own can be shared with the hypervisor, says the VMI specification. */
        .data
        .align  4096
        .globl  gdt
gdt:    .quad   0
        .quad   0x00CF9B000000FFFF              /* 08h kernel code: base 0, limit 4 GB, DPL 0 */
        .quad   0x00CF93000000FFFF              /* 10h kernel data and stack */
        .quad   0x00CFFB000000FFFF              /* 18h user code: DPL 3 */
        .quad   0x00CFF3000000FFFF              /* 20h user data and stack */
        .quad   0                               /* 28h the TSS, filled in by trap_init */
gdt_end:

        .align  4
        .word   0                               /* aligns the base below */
        .globl  gdt_pointer
gdt_pointer:
        .word   gdt_end - gdt - 1
        .long   gdt

        .bss
        .align  4096
        .skip   16384
        .globl  stack_top
stack_top:

        .section .note.GNU-stack, "", @progbits
