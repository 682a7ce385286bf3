; A small kernel in the way of the in-tree clients of 3.0: licence and PCI header are checked, entry points come from the
; relocation query, sites are patched to calls and jumps from a table, and the rest is trapped.
%define MAJOR 3
%define PAGING
%include "common.inc"
%define WRITE_IDT 13

; Asked for before the patching, as such kernels do: what is not there stays native.
queries:
    db 0, 28, 25, 24, 19, 20, 21, 22, 15, 16, 17, 18, 31, 32, 30, 29, 23, 27, 6, 4, 3, 5, 7, 9, 10, 12, 11, 13, 14, 61
    db 65, 73, 47, 46, 38, 40, 44, 45, 48, 66, 67, 70, 71, 68, 69, 35
queries_end:

set_cr3:
    VMI_TAIL 17

; EAX value, EDX entry, ECX flags
set_entry:
    VMI_TAIL 38

start:
    mov esi, [rom]
    test esi, esi
    jz failed
    movzx eax, word [esi + 22]
    cmp dword [esi + eax], 'GPL'
    jne failed
    movzx eax, word [esi + 24]
    test eax, eax
    jz failed
    cmp dword [esi + eax], 'PCIR'
    jne failed
    cmp dword [esi + eax + 4], 0x080115AD
    jne failed
    cmp dword [esi + 16], 0xFC000000
    jne failed
    lea eax, [esi + 128]
    call eax
    test eax, eax
    jnz failed
    mov [kernel_ss], ss
    mov eax, cs
    and eax, 3
    mov [found.ring], eax
    mov edi, queries
.query:
    movzx eax, byte [edi]
    lea ecx, [esi + 136]
    call ecx
    cmp dl, 1
    jne failed
    inc edi
    cmp edi, queries_end
    jb .query
    mov ebx, sites
.patch:
    movzx eax, byte [ebx + 8]
    mov ecx, [rom]
    add ecx, 136
    call ecx
    cmp dl, 1
    jne failed
    call patch
    add ebx, 12
    cmp ebx, sites_end
    jb .patch

    push dword 0
    xor eax, eax
    xor edx, edx
    mov ecx, 0x400
    VMI 48                      ; SetLinearMapping
    xor eax, eax
    VMI 32                      ; SetInterruptMask
    mov dword [esp], 0
    push dword 0
    mov eax, DIRECTORY >> 12
    mov edx, 0x42
    xor ecx, ecx
    VMI 44                      ; AllocatePage, PD | ZEROED
    mov eax, TABLE >> 12
    mov edx, 0x41
    xor ecx, ecx
    VMI 44
    add esp, 8
    mov eax, TABLE + 7
    mov edx, DIRECTORY
    mov ecx, 2
    call set_entry
    mov eax, MEMORY + 0x67
    mov edx, TABLE + (SCRATCH >> 10)
    mov ecx, 1 | 0x10 | SCRATCH
    call set_entry
    mov dword [SCRATCH], PROOF
    mov dword [TABLE + (UNMAPPED >> 10)], 0
    mov eax, DIRECTORY
    call set_cr3
    mov eax, 3
    VMI 47                      ; FlushTLB
    mov eax, gdt_register
    VMI 3                       ; SetGDT
    mov eax, idt_register
    mov word [eax], 8 * 256 - 1
    VMI 5                       ; SetIDT
    VMI 22                      ; GetCR4
    VMI 18                      ; SetCR4
    mov eax, KDATA
    mov edx, STACK
    VMI 14                      ; UpdateKernelStack
    push dword 0x00008912
    mov eax, gdt
    mov edx, TSS_SELECTOR >> 3
    mov ecx, (TSS & 0xFFFF) << 16 | 0x67
    VMI 11                      ; WriteGDTEntry
    add esp, 4
    mov eax, TSS_SELECTOR
    VMI 6                       ; SetTR
    xor eax, eax
    VMI 4                       ; SetLDT
%assign number 0
%rep 8
    %if number < 4 || number > 5
        mov eax, number
        xor edx, edx
        VMI 24                  ; SetDR
    %endif
    %assign number number + 1
%endrep
    VMI 28                      ; CLTS
    WRITE_GATE 0x80, on_int80
    WRITE_GATE 14, on_fault
    WRITE_GATE 0x20, on_tick
    mov ecx, 0x174
    mov eax, KCODE
    xor edx, edx
    wrmsr
    inc ecx
    mov eax, STACK
    wrmsr
    inc ecx
    mov eax, on_sysenter
    wrmsr
    mov al, 0x3A
    out 0x43, al
    PIC 0xFE
    VMI 66                      ; GetCycleFrequency
    mov [found.tsc], eax
    mov [found.tsc + 4], edx
    xor edx, edx
    mov ecx, 100
    div ecx
    push dword 0
    push eax
    xor eax, eax
    VMI 67                      ; GetCycleCounter
    mov ecx, edx
    mov edx, eax
    mov eax, 0x100
    VMI 68                      ; SetAlarm, periodic, real, IRQ 0
    add esp, 8
    VMI 70                      ; GetWallclockTime
    mov eax, 2
    VMI 73                      ; SetLazyMode, as around a switch
    mov eax, DIRECTORY
    call set_cr3
    mov eax, KDATA
    mov edx, STACK
    VMI 14
    xor eax, eax
    VMI 73
    and dword [TABLE + (SCRATCH >> 10)], ~0x40
    mov eax, TABLE + (SCRATCH >> 10)
    mov edx, 1 | 0x10 | 0x20 | SCRATCH
    VMI 40                      ; UpdatePxE
    mov eax, SCRATCH
    VMI 46                      ; InvalPage
    push dword UDATA
    push dword USTACK
    push dword 0x202
    push dword UCODE
    push dword user
    mov ax, UDATA
    mov ds, ax
    mov es, ax
    VMI 33                      ; IRET

on_int80:
    inc dword [ss:found.int80]
    test eax, eax
    jz .exit
    VMI 33
.exit:
    mov ax, KDATA
    mov ds, ax
    mov es, ax
    VMI 35                      ; Halt, until the alarm
    VMI 30
    VMI 37                      ; Shutdown
on_sysenter:
    VMI 29
    inc dword [ss:found.sysenter]
    VMI 34                      ; SYSEXIT
on_tick:
    push eax
    inc dword [ss:found.ticks]
    mov al, 0x20
    out 0x20, al
    pop eax
    VMI 33
on_fault:
    pushad
    inc dword [ss:found.faults]
    VMI 20                      ; GetCR2
    shr eax, 12
    lea edx, [TABLE + 4 * eax]
    shl eax, 12
    lea ecx, [eax + 0x11]
    mov eax, MEMORY + 0x67
    call set_entry
    popad
    add esp, 4
    VMI 33
%include "skeleton_end.inc"
