; Runs guests one after another: each Multiboot module is copied to 1 MiB and entered as a boot loader does, and comes
; back through the address that is left at 7004h.
bits 32
org 0x200000
    jmp begin
align 4
header:
    dd 0x1BADB002, 0x10000, -(0x1BADB002 + 0x10000)
    dd header, 0x200000, 0, 0x202000, begin
align 8
gdt:
    dq 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF
gdt_register:
    dw 23
    dd gdt
idt_register:
    dw 0
    dd 0
left:
    dd 0
module:
    dd 0

begin:
    cli
    mov eax, [ebx + 20]
    mov [left], eax
    mov eax, [ebx + 24]
    mov [module], eax
    mov dword [0x7000], 'DRIV'
    mov dword [0x7004], next
next:
    cli
    cld
    mov eax, cr0
    and eax, 0x7FFEFFF1
    mov cr0, eax
    xor eax, eax
    mov cr3, eax
    mov cr4, eax
    lldt ax
    mov dr7, eax
    mov ecx, 0x174
    xor edx, edx
    wrmsr
    lgdt [gdt_register]
    lidt [idt_register]
    jmp 8:.flat
.flat:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x202000
    push dword 2
    popf
    mov al, 0xFF
    out 0x21, al
    out 0xA1, al
    cmp dword [left], 0
    je .end
    dec dword [left]
    mov edi, 0x100000
    mov ecx, 0x40000 / 4
    xor eax, eax
    rep stosd
    mov ebx, [module]
    add dword [module], 16
    mov esi, [ebx]
    mov ecx, [ebx + 4]
    sub ecx, esi
    mov edi, 0x100000
    rep movsb
    mov eax, 0x2BADB002
    push dword 0x100000
    ret
.end:
    mov al, 0
    out 0xF4, al
    hlt
