; A VMI ROM, of 3.0 or (with -DMAJOR=13) of 13.3, for a machine without a hypervisor: each call is the native instruction, written from the tables of
; registers and stack words of the specification. It runs at CPL 0 in QEMU, so that a guest's probe, its relocation
; queries and the places of its arguments can be tried without pvtrace.
;
; Calls print one letter each to the debug console (port E9h). Shutdown writes 0 to the debug exit port.

        bits    32
        org     0

%ifndef MAJOR
%define MAJOR 3
%endif
%ifndef MINOR
%define MINOR (MAJOR == 13) * 3
%endif
%define CALLS 88
%ifndef INIT_RESULT
%define INIT_RESULT 0
%endif

rom:    db      0x55, 0xAA
        db      (rom_end - rom) / 512
        db      0xCB, 0, 0, 0           ; the 16-bit entry: RETF
        db      0
        db      "cVmi"
        db      MINOR, MAJOR            ; version
        db      2, 0
        times   128 - ($ - rom) db 0
        jmp     near init
        times   136 - ($ - rom) db 0
        jmp     near get_reloc
%if MAJOR == 13                         ; slots of 32 bytes: number 85 is the relocation query
        times   85 * 32 - ($ - rom) db 0
        jmp     near get_reloc
        times   88 * 32 - ($ - rom) db 0
%endif

%macro letter 1                         ; keeps everything but flags, as the calls on the interrupt flag must
        push    eax
        mov     al, %1
        out     0xE9, al
        pop     eax
%endmacro

init:   letter  'I'
        mov     eax, INIT_RESULT
        ret

; EAX = call number -> EAX = address, EDX = type: 1 CALL, 0 NONE
get_reloc:
        push    ebx
        call    .here
.here:  pop     ebx
        sub     ebx, .here - rom        ; where the ROM is
        xor     edx, edx
        cmp     eax, CALLS
        jae     .none
        movzx   eax, word [ebx + eax * 2 + table - rom]
        test    eax, eax
        jz      .none
        add     eax, ebx
        inc     edx
        pop     ebx
        ret
.none:  xor     eax, eax
        pop     ebx
        ret

set_idt:
        letter  'T'
        lidt    [eax]
        jmp     clobber

; EAX = table, EDX = index, ECX = low dword, [ESP+4] = high dword
write_entry:
        letter  'W'
        push    ebx
        mov     ebx, [esp + 8]
        mov     [eax + edx * 8], ecx
        mov     [eax + edx * 8 + 4], ebx
        pop     ebx
        jmp     clobber

set_tr: letter  'R'
        ltr     ax
        jmp     clobber

enable: letter  'e'
        sti
        ret

disable:
        letter  'd'
        cli
        ret

get_mask:
        letter  'g'
        pushfd
        pop     eax
        and     eax, 0x200
        ret

set_mask:
        letter  's'
        test    eax, 0x200
        jz      disable
        sti
        ret

; called: the return address is dropped
iret_call:
        letter  'i'
        add     esp, 4
        iretd

sysexit_call:
        letter  'x'
        add     esp, 4
        sti
        sysexit

halt:   letter  'h'
        sti
        hlt
        jmp     clobber

shutdown:
        letter  'S'
        xor     eax, eax
        out     0xF4, al
        cli
        hlt

get_cr2:
        letter  'c'
        mov     eax, cr2
        ret

; EAX = value, EDX -> entry, ECX = flags: the page is in bits 31:12, if bit 4 is set
set_pxe:
        letter  'p'
        test    cl, 0x10
        jz      .wrong
        test    cl, 1
        jz      .wrong
        mov     [edx], eax
        jmp     clobber
.wrong: letter  '!'
        ret

inval_page:
        letter  'v'
        invlpg  [eax]

clobber:                                ; what a C-kind call may destroy, it does destroy
        mov     eax, 0xDEADBEEF
        mov     ecx, eax
        mov     edx, eax
        ret

update_kernel_stack:
%if MAJOR == 13                         ; EAX -> TSS, EDX = ESP: both are in it already
        cmp     [eax + 4], edx
        jne     .wrong
        cmp     word [eax + 8], 0x10
        je      clobber
%else                                   ; EAX = SS, EDX = ESP. Where the TSS is, only TR and the GDT know
        cmp     eax, 0x10
        jne     .wrong
        sub     esp, 8
        sgdt    [esp]
        mov     ecx, [esp + 2]
        add     esp, 8
        push    ebx
        xor     ebx, ebx
        str     bx
        add     ecx, ebx
        mov     ebx, [ecx + 2]
        and     ebx, 0xFFFFFF
        mov     [ebx + 4], edx
        mov     [ebx + 8], eax
        pop     ebx
        jmp     clobber
%endif
.wrong: letter  '!'
        ret

%macro entry 3                          ; number in 3.0, number in 13, routine: in ascending order of both
%if MAJOR == 13
        times   table + %2 * 2 - $ db 0
%else
        times   table + %1 * 2 - $ db 0
%endif
        dw      %3 - rom
%endmacro

        align   4, db 0
table:
        entry   5, 10, set_idt
        entry   6, 11, set_tr
        entry   11, 16, write_entry
        entry   13, 18, write_entry
        entry   14, 19, update_kernel_stack
        entry   20, 25, get_cr2
        entry   29, 35, enable
        entry   30, 36, disable
        entry   31, 37, get_mask
        entry   32, 38, set_mask
        entry   33, 39, iret_call
        entry   34, 40, sysexit_call
        entry   35, 42, halt
        entry   37, 44, shutdown
%if MAJOR == 13
        entry   46, 55, inval_page
        entry   38, 86, set_pxe
%else
        entry   38, 86, set_pxe
        entry   46, 55, inval_page
%endif
        times   table + CALLS * 2 - $ db 0

        align   512, db 0
        times   511 db 0
        db      0                       ; the test puts the checksum here
rom_end:
