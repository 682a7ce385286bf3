# Start of a bare i386 kernel for gdb's own test programs: a stack, main, and the debug exit port with its result.

        .code32

        .section .multiboot, "a"
        .long   0x1BADB002, 0, -0x1BADB002

        .text
        .globl  _start, _exit, exit, abort
_start: mov     $stack_end, %esp
        xor     %ebp, %ebp
        call    main
_exit:
exit:
abort:
        movw    $0xf4, %dx
        outl    %eax, %dx
1:      hlt
        jmp     1b

        .bss
        .skip   16384
stack_end:

        .section .note.GNU-stack, "", @progbits
