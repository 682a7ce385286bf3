; A small kernel in the way of 13.3: every privileged thing is a call through a slot of 32 bytes.
%define MAJOR 13
%define PAGING
%include "common.inc"
%define WRITE_IDT 18

; One page mapped as such kernels do it: the entry's page announced, the entry set, the queue flushed. EAX entry's
; value, EDX its address, ECX 2 for a directory's entry, 1 for a table's.
set_entry:
    push ecx
    push edx
    push eax
    mov ecx, edx
    shr ecx, 12
    push ecx
    mov ecx, 1
    and edx, ~0xFFF
    xor eax, eax
    VMI 58                      ; SetLinearMapping(0, page, 1, frame)
    add esp, 4
    pop eax
    pop edx
    pop ecx
    VMI 86                      ; SetPxE
    mov eax, 0xC0
    VMI 57                      ; FlushDeferredCalls
    ret

; AL to the serial port, when it is ready.
put:
    push eax
.wait:
    mov edx, 0x3FD
    VMI 60
    test al, 0x20
    jz .wait
    pop eax
    mov edx, 0x3F8
    VMI 66
    ret

start:
    cmp dword [rom], 0
    je failed
    mov eax, [rom]
    add eax, 0x80
    call eax
    test eax, eax
    js failed
    mov [kernel_ss], ss
    mov eax, cs
    and eax, 3
    mov [found.ring], eax
    mov esi, 4
.query:
    mov eax, esi
    mov ecx, [rom]
    add ecx, 32 * 85
    call ecx
    cmp dl, 1
    jne failed
    mov ecx, esi
    shl ecx, 5
    add ecx, [rom]
    cmp eax, ecx
    jne failed
    inc esi
    cmp esi, 87
    jbe .query
    mov ebx, sites
.patch:
    movzx eax, byte [ebx + 8]
    shl eax, 5
    add eax, [rom]
    call patch
    add ebx, 12
    cmp ebx, sites_end
    jb .patch

    pushfd                      ; by instruction, as they are left in places
    popfd
    mov dword [TABLE + (UNMAPPED >> 10)], 0
    push dword 0
    push dword 0
    mov eax, DIRECTORY >> 12
    mov edx, 3
    xor ecx, ecx
    VMI 53                      ; AllocatePage, as directory and table
    mov eax, TABLE >> 12
    mov edx, 1
    xor ecx, ecx
    VMI 53
    add esp, 8
    mov eax, MEMORY + 0x67
    mov edx, TABLE + (SCRATCH >> 10)
    mov ecx, 1
    call set_entry
    mov dword [SCRATCH], PROOF
    mov eax, SCRATCH
    VMI 55                      ; InvalPage
    mov eax, 1
    VMI 56                      ; FlushTLB
    VMI 24                      ; GetCR0
    VMI 20                      ; SetCR0
    VMI 33                      ; RDTSC
    mov [found.tsc], eax
    mov [found.tsc + 4], edx
    xor eax, eax
    xor ecx, ecx
    VMI 5                       ; CPUID
    mov eax, idt_register
    mov word [eax], 8 * 256 - 1
    VMI 10                      ; SetIDT
    WRITE_GATE 0x80, on_int80
    WRITE_GATE 14, on_fault
    WRITE_GATE 0x20, on_tick
    mov eax, TSS
    mov edx, STACK
    VMI 19                      ; UpdateKernelStack
    mov ecx, 0x174
    mov eax, [found.ring]
    or eax, KCODE
    xor edx, edx
    VMI 6                       ; WRMSR
    mov ecx, 0x175
    mov eax, STACK
    xor edx, edx
    VMI 6
    mov ecx, 0x176
    mov eax, on_sysenter
    xor edx, edx
    VMI 6
    mov al, 'o'
    call put
    mov al, 'k'
    call put
    mov al, 10
    call put
    PIC 0xFE
    TO_USER user

on_int80:
    inc dword [ss:found.int80]
    test eax, eax
    jz .exit
    VMI 39
.exit:
    mov ax, KDATA
    mov ds, ax
    mov es, ax
    VMI 42                      ; Halt, until the timer
    VMI 36                      ; DisableInterrupts
    VMI 44                      ; Shutdown
on_sysenter:
    VMI 35
    inc dword [ss:found.sysenter]
    VMI 40                      ; SYSEXIT
on_tick:
    push eax
    push ecx
    push edx
    inc dword [ss:found.ticks]
    mov eax, 0x20
    mov edx, 0x20
    VMI 66
    pop edx
    pop ecx
    pop eax
    VMI 39
on_fault:
    pushad
    inc dword [ss:found.faults]
    VMI 25                      ; GetCR2
    shr eax, 12
    lea edx, [TABLE + 4 * eax]
    mov eax, MEMORY + 0x67
    mov ecx, 1
    call set_entry
    popad
    add esp, 4
    VMI 39
%include "skeleton_end.inc"
