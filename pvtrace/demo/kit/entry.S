/* entry.S: the way into the kernel and out of it. */

/* One stub of 16 bytes for each of the vectors 0..47, and one for the system call. The CPU (or the hypervisor, which
 * builds exactly the same frame) pushes EFLAGS, CS, EIP and, for some exceptions, an error code; a stub pushes 0 in
 * its place for the others, and then the vector. */
        .macro  stub vector
        .align  16
        .if     (\vector == 8) | ((\vector >= 10) & (\vector <= 14)) | (\vector == 17)
        .else
        pushl   $0
        .endif
        pushl   $\vector
        jmp     trap_common
        .endm

        .text
        .globl  trap_stubs
        .align  16
trap_stubs:
        .set    n, 0
        .rept   48
        stub    n
        .set    n, n + 1
        .endr
        stub    0x80

        .type   trap_common, @function
trap_common:
        pushal
        pushl   %ds
        pushl   %es
        movl    $0x10, %eax             /* ring 3 may have left anything in DS and ES */
        movl    %eax, %ds
        movl    %eax, %es
        cld
        pushl   %esp                    /* the argument: struct frame * */
        call    trap_dispatch
        addl    $4, %esp
        popl    %es
        popl    %ds
        popal
        addl    $8, %esp                /* vector and error code */
        call    pv_iret
        .size   trap_common, . - trap_common

/* Return to an interrupted context. Never a plain IRET: at privilege level 1 it would silently leave the interrupt
 * flag alone. The call to here is the five bytes that a patching kernel would put in place of the instruction. */
        .globl  pv_iret
        .type   pv_iret, @function
pv_iret:
        jmp     *pv + 0                 /* struct pv_ops: iret */
        .size   pv_iret, . - pv_iret

        .globl  pv_sysexit
        .type   pv_sysexit, @function
pv_sysexit:
        jmp     *pv + 4                 /* sysexit */
        .size   pv_sysexit, . - pv_sysexit

/* enter_user(eip, esp): into ring 3, by returning from an interrupt that never was. The stack of the kernel begins
 * anew with the next trap. */
        .globl  enter_user
        .type   enter_user, @function
enter_user:
        movl    4(%esp), %edx
        movl    8(%esp), %ecx
        movl    $0x23, %eax
        movl    %eax, %ds
        movl    %eax, %es
        pushl   $0x23                   /* SS: user data */
        pushl   %ecx                    /* ESP */
        pushl   $0x202                  /* EFLAGS: interrupts on, as they must be in ring 3 under VMI */
        pushl   $0x1B                   /* CS: user code */
        pushl   %edx                    /* EIP */
        call    pv_iret
        .size   enter_user, . - enter_user

        .section .note.GNU-stack, "", @progbits
