"""Each sensitive instruction that the proposal lists (catalogue, third table): what it shows at CPL 1 and IOPL 0."""

from typing import Final

from tests.differences.guests import UNSEEN, Case
from tests.differences.ten import CAUGHT

VIRTUAL_IF: Final = """
; The guest's own IF, in bit 9 of EAX.
%macro NATIVE_MASK 0
    pushf
    pop eax
%endmacro
%macro REPORT_IF 0
    SITE V_GETMASK, NATIVE_MASK
    and eax, 0x200
    REPORT eax
%endmacro
"""


def with_site(code: str) -> str:
    """Code with a label `site`, where a fault is expected; at its beginning if none is."""
    return code if "site:" in code else f"site:\n{code}"


def to_user(code: str, iopl: int = 0) -> str:
    """A guest whose user mode runs `code`, in which the label `site` may stand, and which then ends."""
    return f"""
start:
    CATCH caught
    USER_IOPL {iopl}
    TO_USER user, {0x202 | iopl << 12}
user:
{with_site(code)}
    int 0x31
{CAUGHT}"""


NOT_CAUGHT: Final = (UNSEEN,) * 3

SENSITIVE: Final = (
    Case(
        "ARPL",
        """
start:
    mov ax, 0x10
    mov cx, cs
    arpl ax, cx
    setz cl
    movzx eax, ax
    movzx ecx, cl
    REPORT eax
    REPORT ecx
    FINISH
""",
        native=(0x10, 0),
        vmi=(0x11, 1),
    ),
    Case(
        "IRET to privilege level 0",
        """
start:
    CATCH caught
    push dword 2
    push dword KCODE
    push dword there
site:
    iretd
there:
    REPORT 1
    FINISH
"""
        + CAUGHT,
        native=(1, *NOT_CAUGHT),
        vmi=(UNSEEN, 13, 8, 0),
    ),
    Case(
        "IRET leaves IF alone",
        VIRTUAL_IF
        + """
start:
    SITE V_ENABLE, sti
    push dword 2
    push cs
    push dword there
    iretd
there:
    REPORT_IF
    FINISH
""",
        native=(0,),
        vmi=(0x200,),
    ),
    Case(
        "IRET from a handler that was entered with IF set",
        VIRTUAL_IF
        + """
start:
    GATE 6, handler
    SITE V_ENABLE, sti
    ud2
    REPORT_IF
    FINISH
handler:
    add dword [esp], 2
    iretd
""",
        native=(0x200,),
        vmi=(0,),
    ),
    Case(
        "LAR of the kernel's data",
        """
start:
    mov ecx, KDATA
    lar eax, ecx
    and eax, 0xF0FF00
    REPORT eax
    FINISH
""",
        native=(0xC09300,),
        vmi=(0xC0B300,),
    ),
    Case(
        "LAR of a system descriptor with DPL 0",
        """
start:
    mov ecx, TSS_SELECTOR
    lar eax, ecx
    setz al
    movzx eax, al
    REPORT eax
    FINISH
""",
        native=(1,),
        vmi=(0,),
    ),
    Case(
        "LSL of flat data",
        """
start:
    mov ecx, KDATA
    lsl eax, ecx
    REPORT eax
    FINISH
""",
        native=(0xFFFFFFFF,),
        vmi=(0xFBFFFFFF,),
    ),
    Case(
        "LSS with RPL 0",
        """
start:
    CATCH caught
    mov dword [MEMORY], STACK
    mov dword [MEMORY + 4], KDATA
site:
    lss esp, [MEMORY]
    REPORT 1
    FINISH
"""
        + CAUGHT,
        native=(1, *NOT_CAUGHT),
        vmi=(UNSEEN, 13, 0x10, 0),
    ),
    Case(
        "MOV from CS",
        """
start:
    mov eax, cs
    and eax, 3
    REPORT eax
    FINISH
""",
        native=(0,),
        vmi=(1,),
    ),
    Case(
        "MOV to SS with RPL 0",
        """
start:
    CATCH caught
    mov eax, KDATA
site:
    mov ss, ax
    REPORT 1
    FINISH
"""
        + CAUGHT,
        native=(1, *NOT_CAUGHT),
        vmi=(UNSEEN, 13, 0x10, 0),
    ),
    Case(
        "POP SS with RPL 0",
        """
start:
    CATCH caught
    push dword KDATA
site:
    pop ss
    REPORT 1
    FINISH
"""
        + CAUGHT,
        native=(1, *NOT_CAUGHT),
        vmi=(UNSEEN, 13, 0x10, 0),
    ),
    Case(
        "POPF leaves IF alone",
        VIRTUAL_IF
        + """
start:
    SITE V_DISABLE, cli
    push dword 0x202
    popf
    REPORT_IF
    FINISH
""",
        native=(0x200,),
        vmi=(0,),
    ),
    Case(
        "POPF leaves IOPL alone",
        """
start:
    push dword 0x3002
    popf
    pushf
    pop eax
    and eax, 0x3000
    REPORT eax
    FINISH
""",
        native=(0x3000,),
        vmi=(0,),
    ),
    Case(
        "PUSH CS",
        """
start:
    push cs
    pop eax
    and eax, 3
    REPORT eax
    FINISH
""",
        native=(0,),
        vmi=(1,),
    ),
    Case(
        "PUSHF shows IF set",
        """
start:
    SITE V_DISABLE, cli
    pushf
    pop eax
    and eax, 0x200
    REPORT eax
    FINISH
""",
        native=(0,),
        vmi=(0x200,),
    ),
    Case(
        "PUSHF of user mode shows no IOPL",
        to_user("    pushf\n    pop eax\n    and eax, 0x3000\n    REPORT eax", iopl=3),
        native=(0x3000, *NOT_CAUGHT),
        vmi=(0, *NOT_CAUGHT),
    ),
    *(
        Case(
            f"{name} {where}",
            source,
            native=(limit, base, *rest),
            vmi=(other_limit, other_base, *rest),
        )
        for name, limit, base, other_limit, other_base in (
            ("SGDT", 0x7F, 0, 0xFFFF, 0xFC000000),
            ("SIDT", 0x1FF, 0x120000, 0x7FF, 0xFC010000),
        )
        for code in (
            f"""
    {name.lower()} [MEMORY]
    movzx eax, word [MEMORY]
    REPORT eax
    mov eax, [MEMORY + 2]
    cmp eax, gdt
    jne .other
    xor eax, eax
.other:
    REPORT eax
""",
        )
        for where, source, rest in (
            ("of the kernel", f"start:\n{code}\n    FINISH\n", ()),
            ("of user mode", to_user(code), NOT_CAUGHT),
        )
    ),
    *(
        Case(f"{name} {where}", source, native=(native, *rest), vmi=(vmi, *rest))
        for name, native, vmi in (("SLDT", 0x30, 0xFFE8), ("STR", 0x28, 0xFFF0))
        for code in (f"    {name.lower()} ax\n    movzx eax, ax\n    REPORT eax\n",)
        for load in ("    mov eax, LDT_SELECTOR\n    SITE V_SETLDT, lldt ax\n",)
        for where, source, rest in (
            ("of the kernel", f"start:\n{load}{code}\n    FINISH\n", ()),
            ("of user mode", to_user(code).replace("start:", f"start:\n{load}", 1), NOT_CAUGHT),
        )
    ),
    Case(
        "LAR and LSL of user mode see the user's segments",
        to_user("""
    mov ecx, UDATA
    lar eax, ecx
    and eax, 0xF0FF00
    REPORT eax
    lsl eax, ecx
    REPORT eax
    mov ecx, KDATA
    lar eax, ecx
    setz al
    movzx eax, al
    REPORT eax
"""),
        native=(0xC0F300, 0xFFFFFFFF, 0, *NOT_CAUGHT),
        vmi=(0xC0F300, 0xFBFFFFFF, 0, *NOT_CAUGHT),
    ),
)
