; Performs the calls of a script, each with all of its registers given, through a call site of five bytes, and puts
; down all registers as they are behind it. The test appends the script, and reads the results from memory.
;
; One entry of the script, in doublewords:
;   0 what to do: 0 end, 1 call, 2 wait until IRQ 0 is pending, 3 store [2] at [1]
;   1 number of the call in the ROM's generation
;   2 EAX ECX EDX EBX ESI EDI EBP        9 EFLAGS
;   10 DS   11 ES                        12 count of stack words   13 the words, the last-pushed one first
; One result, in doublewords:
;   0 how: 1 returned, 2 came to `landed`, 3 came to `user_landed`, 4 not called: no such entry point, 5 faulted
;   1 EAX ECX EDX EBX ESI EDI EBP ESP    9 EFLAGS   10 ES CS SS DS FS GS
;   16 address and type of the entry point
;   18 ESP ES CS SS DS FS GS before      25 vector, error code and EIP of a fault
%include "skeleton.inc"

%define RESULT 0x200000
%define ENTRY_SIZE 96
%define RESULT_SIZE 128

section .text
    db 'ADDR'
    dd script, site, landed, user_landed, irqs, irq_eip, gdt, iret_entry
entry:
    dd script
result:
    dd RESULT
irqs:
    dd 0
irq_eip:
    dd 0
iret_entry:
    dd 0
saved:
    times 16 dd 0

start:
    PIC 0xFE
    GATE 0x20, on_irq
    CATCH faulted
%if MAJOR = 13
    mov eax, [rom]
    add eax, 32 * V_IRET
%else
    mov eax, 33
    mov ecx, [rom]
    add ecx, 136
    call ecx
%endif
    mov [iret_entry], eax

again:
    mov esp, STACK
    mov ax, KDATA
    mov ds, ax
    mov es, ax
    mov [kernel_ss], ss
    mov esi, [entry]
    mov edi, [result]
    mov eax, [esi]
    cmp eax, 1
    je perform
    cmp eax, 2
    je await
    cmp eax, 3
    je store
    FINISH

await:
    PIT_ONCE
    AWAIT_PIT
    jmp done
store:
    mov eax, [esi + 4]
    mov ecx, [esi + 8]
    mov [eax], ecx
done:
    add dword [entry], ENTRY_SIZE
    jmp again

perform:
    mov eax, [esi + 4]
%if MAJOR = 13
    shl eax, 5
    add eax, [rom]
    mov dword [edi + 68], 1
%else
    cmp eax, 128
    jae .slot
    mov ecx, [rom]
    add ecx, 136
    call ecx
    mov [edi + 68], edx
    cmp dl, 1
    je .found
    mov dword [edi], 4
    jmp next
.slot:
    add eax, [rom]
    mov dword [edi + 68], 1
.found:
%endif
    mov [edi + 64], eax
    sub eax, site + 5
    mov [site + 1], eax
    mov ecx, [esi + 48]
.push:
    jecxz .pushed
    push dword [esi + 48 + 4 * ecx]
    dec ecx
    jmp .push
.pushed:
    mov ds, [esi + 40]
    mov es, [ss:esi + 44]
    mov [ss:edi + 72], esp
%assign at 76
%rep 6
    %if at = 76
        mov eax, es
    %elif at = 80
        mov eax, cs
    %elif at = 84
        mov eax, ss
    %elif at = 88
        mov eax, ds
    %elif at = 92
        mov eax, fs
    %else
        mov eax, gs
    %endif
    mov [ss:edi + at], eax
    %assign at at + 4
%endrep
    push dword [ss:esi + 36]
    popf
    mov eax, [ss:esi + 8]
    mov ecx, [ss:esi + 12]
    mov edx, [ss:esi + 16]
    mov ebx, [ss:esi + 20]
    mov edi, [ss:esi + 28]
    mov ebp, [ss:esi + 32]
    mov esi, [ss:esi + 24]
site:
    db 0xE8
    dd 0
    mov dword [ss:saved], 1
    jmp came_back
landed:
    mov dword [ss:saved], 2
    jmp came_back
user_landed:
    mov dword [ss:saved], 3
came_back:
    mov [ss:saved + 4], eax
    mov [ss:saved + 8], ecx
    mov [ss:saved + 12], edx
    mov [ss:saved + 16], ebx
    mov [ss:saved + 20], esi
    mov [ss:saved + 24], edi
    mov [ss:saved + 28], ebp
    mov [ss:saved + 32], esp
    pushf
    pop dword [ss:saved + 36]
    cld
    mov eax, es
    mov [ss:saved + 40], eax
    mov eax, cs
    mov [ss:saved + 44], eax
    mov eax, ss
    mov [ss:saved + 48], eax
    mov eax, ds
    mov [ss:saved + 52], eax
    mov eax, fs
    mov [ss:saved + 56], eax
    mov eax, gs
    mov [ss:saved + 60], eax
    mov eax, ss
    mov ds, ax
    mov es, ax
    mov esi, saved
    mov edi, [result]
    mov ecx, 16
    rep movsd
    cmp dword [saved], 3
    je in_user
next:
    add dword [result], RESULT_SIZE
    jmp done
in_user:
    int 0x31

faulted:
    mov edi, [result]
    mov dword [edi], 5
    mov eax, [trap.vector]
    mov [edi + 100], eax
    mov eax, [trap.error]
    mov [edi + 104], eax
    mov eax, [trap.eip]
    mov [edi + 108], eax
    jmp next

on_irq:
    push eax
    inc dword [ss:irqs]
    mov eax, [esp + 4]
    mov [ss:irq_eip], eax
    mov al, 0x20
    out 0x20, al
    pop eax
    call [ss:iret_entry]

%include "skeleton_end.inc"
section .script follows=.sites align=4
    dd 0                        ; something, so that the file reaches to the label
script:
