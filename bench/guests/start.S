/* Entry of every benchmark guest: a Multiboot-1 header, a stack, work(), and the end of the run.
 *
 * Port F4h ends the run under pvtrace; port 604h powers the machine off under QEMU (PIIX4 power management). */

        .section .multiboot, "a"
        .align  4
        .long   0x1badb002, 0, -0x1badb002      /* magic, flags, checksum */

        .text
        .globl  _start
_start:
        mov     $stack_top, %esp
        cld
        call    work
        mov     %eax, result                    /* keeps the compiler from dropping the work */

        xor     %eax, %eax
        out     %al, $0xf4
        mov     $0x604, %dx
        mov     $0x2000, %ax
        out     %ax, %dx
1:      cli
        hlt
        jmp     1b

        .bss
        .lcomm  result, 4
        .lcomm  stack, 65536
        .set    stack_top, stack + 65536

        .section .note.GNU-stack, "", @progbits
