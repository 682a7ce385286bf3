"""Guests for the laws of the CPU: small programs of every kind that an exact counter and a page walk can get wrong."""

from dataclasses import dataclass, field
from typing import Any, Final

from tests.oracle.assembler import assemble
from tests.oracle.guest import PAE, PG, PSE, WP, Guest

ORIGIN: Final = 0x10000
STACK: Final = 0x30800


@dataclass(frozen=True, slots=True)
class Program:
    """`source` at ORIGIN, HLT at the end."""

    name: str
    source: str
    origin: int = ORIGIN
    steps: int = 3000
    guest: dict[str, Any] = field(default_factory=dict)

    def build(self) -> Guest:
        code = assemble(self.source, self.origin)
        return Guest(((self.origin, code),), eip=self.origin, esp=STACK, ram=1 << 19, **self.guest)


FLAT: Final = (
    Program("loop", "mov ecx, 300\nl: add eax, ecx\nrol eax, 3\nxor ebx, eax\nadc edx, ebx\ndec ecx\njnz l\nhlt"),
    Program(
        "copy",
        "mov esi, 0x10000\nmov edi, 0x20000\nmov ecx, 200\nrep movsd\nmov edi, 0x20100\n"
        "mov ecx, 30\nrep stosb\nmov esi, 0x20000\nmov edi, 0x20001\nstd\nmov ecx, 9\n"
        "rep movsw\ncld\nmov ecx, 50\nrepe cmpsb\nmov ecx, 0\nrep lodsd\nmov al, 0x90\n"
        "mov ecx, 60\nrepne scasb\nhlt",
    ),
    Program(
        "recursion",
        "mov eax, 9\ncall fib\nhlt\nfib: cmp eax, 2\njb done\npush eax\ndec eax\ncall fib\n"
        "xchg eax, [esp]\nsub eax, 2\ncall fib\npop ecx\nadd eax, ecx\ndone: ret",
        steps=2000,
    ),
    Program(
        "interpreter",
        "mov esi, code\nmov ecx, 60\nnext: movzx eax, byte [esi]\ninc esi\n"
        "jmp [table + eax * 4]\no0: inc ebx\njmp next\no1: add ebx, ebx\njmp next\n"
        "o2: xor edx, ebx\njmp next\no3: dec ecx\njz end\nmov esi, code\njmp next\nend: hlt\n"
        "align 4\ntable: dd o0, o1, o2, o3\ncode: db 0, 1, 2, 0, 0, 2, 1, 3",
    ),
    Program(
        "floats",
        "fninit\nfld1\nfldpi\nmov ecx, 40\nl: fadd st1, st0\nfmul st0, st1\nfsqrt\n"
        "fst dword [0x20000]\nfist dword [0x20004]\nfsin\nfxch\nfcomi st0, st1\n"
        "fcmovb st0, st1\nfnstsw ax\nadd ebx, eax\ndec ecx\njnz l\nfsave [0x20100]\n"
        "frstor [0x20100]\nfxsave [0x20200]\nhlt",
    ),
    Program(
        "vectors",
        "mov eax, 3\ncvtsi2sd xmm0, eax\nmovapd xmm1, xmm0\nmov ecx, 40\nl: mulsd xmm1, xmm0\n"
        "sqrtsd xmm2, xmm1\ndivsd xmm1, xmm2\naddps xmm3, xmm2\npxor xmm4, xmm1\n"
        "pshufd xmm5, xmm4, 0x1b\nmovups [0x20003], xmm5\nucomisd xmm1, xmm2\n"
        "setc [0x20100 + ecx]\nmovd eax, xmm4\nmovdq2q mm0, xmm1\npaddb mm1, mm0\nemms\n"
        "dec ecx\njnz l\nldmxcsr [0x20200]\nhlt",
    ),
    Program("six hundred", "mov ecx, 3\nl:\n" + "add eax, ecx\nror eax, 1\n" * 300 + "dec ecx\njnz near l\nhlt"),
    Program("six hundred at a fault", "add eax, 3\n" * 400 + "div ebx\n" + "inc eax\n" * 200 + "hlt"),
    Program(
        "shadow",
        "mov ax, ss\nmov ecx, 5\nl: mov ss, ax\nmov ss, ax\npush ss\npop ss\nadd edx, ecx\n"
        "loop l\nmov ecx, 4\nmov edi, 0x20000\nmov ss, ax\nrep stosd\nhlt",
    ),
    Program(
        "bit tests",
        "mov ecx, 20\nl: add eax, 0x12345\nbt eax, ecx\nsetc [0x20000 + ecx]\n"
        "bts [0x20100], eax\nlahf\nadd ebx, eax\ncmp ebx, ecx\ncmpxchg8b [0x20200]\nlahf\n"
        "xor ebx, eax\nrcl dword [0x20300], 1\nloopne l\nlahf\nhlt",
    ),
)

MODIFYING: Final = (
    Program("ahead in the block", "mov ecx, 9\nl: xor byte [x], 1 ^ 2\nnop\nnop\nx: add al, 1\ndec ecx\njnz l\nhlt"),
    Program("the last byte of itself", "mov ecx, 9\nl: xor byte [x - 1], 1\nx: inc ebx\nnop\ndec ecx\njnz l\nhlt"),
    Program(
        "behind in the block",
        "mov ecx, 9\nl: mov bl, 5\nx: add dl, bl\nxor byte [l + 1], 3\ninc eax\ndec ecx\njnz l\nhlt",
    ),
    Program(
        "alternating",
        "mov ecx, 12\nl: xor byte [x], 0x40 ^ 0x48\nx: inc eax\nxor byte [y], 0x43 ^ 0x4b\n"
        "jmp y\ny: inc ebx\nadd edx, ebx\ndec ecx\njnz l\nhlt",
    ),
    Program(
        "same size rewrite",
        "mov ecx, 6\nl: mov eax, [new]\nmov [x], eax\n"
        "xor dword [new], 0x40404040 ^ 0x90909090\ncall x\ndec ecx\njnz l\nhlt\nalign 16\n"
        "x: nop\nnop\nnop\nnop\nret\nalign 16\nnew: inc eax\ninc eax\ninc eax\ninc eax",
    ),
    Program("other length", "mov ecx, 8\nl: xor word [x], 0x9090 ^ 0xc383\nx: add ebx, 5\nnop\ndec ecx\njnz l\nhlt"),
    Program("string over itself", "mov ecx, 20\nmov edi, x\nmov al, 0x90\ncld\nx: rep stosb\nnop\nnop\ninc ebx\nhlt"),
    Program(
        "string over what follows",
        "mov ecx, 6\nmov edi, y\nmov al, 0x43\nrep stosb\ny: inc eax\ninc eax\ninc eax\ninc eax\ninc eax\ninc eax\nhlt",
    ),
    Program(
        "string from behind",
        "mov ecx, 3\nmov edi, x + 3\nmov eax, 0x90909090\nstd\nx: rep stosb\nnop\nnop\ncld\ninc ebx\nhlt",
    ),
    Program(
        "copied over itself",
        "mov ecx, y - x\nmov esi, y\nmov edi, x\nx: rep movsb\ninc eax\nhlt\ny: rep movsb\ninc ebx\nhlt",
    ),
    Program(
        "patch and call",
        "mov ecx, 50\nl: mov [f + 1], ecx\ncall f\nadd ebx, eax\ndec ecx\njnz l\nhlt\nf: mov eax, 0\nret",
    ),
    Program(
        "push onto itself",
        "mov ecx, 4\nmov ebp, esp\nl: mov esp, x + 4\npush 0x48484343\nx: dec eax\ndec eax\n"
        "dec eax\ndec eax\nmov esp, ebp\ndec ecx\njnz l\nhlt",
    ),
    Program(
        "carry into itself",
        "mov ecx, 6\nstc\nl: rcl byte [x + 1], 1\nx: mov al, 0x41\nadc eax, 0\nadd ebx, eax\nstc\ndec ecx\njnz l\nhlt",
    ),
    Program(
        "exchange",
        "mov ecx, 6\nmov al, 0x43\nl: xchg [x], al\nx: inc edx\nlock xadd [y], ah\ny: nop\n"
        "mov byte [y], 0x90\ndec ecx\njnz l\nhlt",
    ),
    Program(
        "across a page",
        "mov ecx, 7\nl: xor byte [x + 2], 1\nnop\nx: mov eax, 0x11223344\nadd ebx, eax\ndec ecx\njnz l\nhlt",
        origin=0x10FF0,
    ),
    Program(
        "many blocks",
        "mov ecx, 40\nl: inc byte [f + 2]\ncall f\nsub byte [g + 1], 2\njmp g\nf: add ebx, 1\n"
        "ret\ng: mov dl, 0\nadd esi, edx\ndec ecx\njnz l\nhlt",
    ),
)


def entries(first: int, *pairs: tuple[int, int], size: int = 4) -> tuple[tuple[int, bytes], ...]:
    """(index, entry) pairs of a table at `first`, as images."""
    return tuple((first + size * index, entry.to_bytes(size, "little")) for index, entry in pairs)


def identity(*flags: tuple[int, int]) -> dict[int, int]:
    """Page entries 0..7Fh for themselves with rights 7, but for the given (page, entry) ones."""
    return {page: page << 12 | 7 for page in range(0x80)} | dict(flags)


def two_level(pages: dict[int, int], directory: int = 0x1000, table: int = 0x2000) -> tuple[tuple[int, bytes], ...]:
    return entries(directory, (0, table | 7)) + entries(table, *pages.items())


HANDLERS: Final = 0x4000
"""Where the test's own deliverer (kernel.py) looks for the 256 handlers."""

KERNEL: Final = """
    jmp start
fault:                      ; page fault: map the page, count
    push eax
    push ebx
    mov eax, cr2
    shr eax, 12
    mov ebx, [esp + 8]
    add [0x5000], ebx
    or dword [0x2000 + eax * 4], 7
    pop ebx
    pop eax
    add esp, 4
    iret
call:                       ; INT 80h
    inc dword [0x5004]
    add eax, [0x5000]
    iret
other:                      ; #UD, #DE: behind a two-byte instruction
    add dword [esp], 2
    iret
start:
"""
"""Handlers at ORIGIN + 2; `start` is the guest's own code."""


def _kernel_program(user: str, cr0: int = 0) -> Guest:
    labels = KERNEL + user + "\nalign 4\ntable: dd fault, call, other\n"
    code = assemble(labels, ORIGIN)
    fault, call, other = (int.from_bytes(code[n : n + 4 or None], "little") for n in (-12, -8, -4))
    handlers = entries(HANDLERS, (0, other), (6, other), (14, fault), (0x80, call))
    absent = [(page, page << 12) for page in range(0x40, 0x60)] + [(page, page << 12 | 5) for page in range(0x60, 0x68)]
    return Guest(
        images=(*two_level(identity(*absent)), *handlers, (ORIGIN, code)),
        eip=ORIGIN,
        esp=STACK,
        ram=1 << 19,
        cpl=3,
        cr0=0x11 | PG | cr0,
        cr3=0x1000,
    )


def kernel_guests() -> dict[str, Guest]:
    """Ring 3 under a kernel: faults, calls, demand paging. The deliverer of kernel.py is their processor."""
    demand = """
        mov ecx, 20
        mov edi, 0x40ff0
    l:  mov [edi], ecx
        add eax, [edi + 0xffd]
        push eax
        add edi, 0x554
        mov edx, 0
        inc dword [edi + 0x9fd]
        loop l
        hlt"""
    calls = """
        mov ecx, 30
    l:  mov eax, ecx
        int 0x80
        add ebx, eax
        ud2
        xor edx, edx
        mov esi, 0
        div esi
        dec ecx
        jnz l
        hlt"""
    strings = """
        mov edi, 0x40f00
        mov ecx, 0x100
        mov eax, 0x55aa55aa
        rep stosd
        mov esi, 0x40f02
        mov edi, 0x44e01
        mov ecx, 0x200
        rep movsb
        mov esi, 0x40f02
        mov edi, 0x45f01
        mov ecx, 0x1000
        repe cmpsb
        hlt"""
    jump = """
        mov edi, 0x60ffc
        mov dword [edi], 0x90909090
        mov dword [edi + 4], 0xc3434343
        call edi
        mov edi, 0x61fff
        mov byte [edi], 0xb8
        mov dword [edi + 1], 0x11223344
        mov byte [edi + 5], 0xc3
        call edi
        and dword [0x2000 + 4 * 0x62], ~5
        call edi
        mov ecx, 3
    l:  mov byte [0x60fff], 0x43
        and dword [0x2000 + 4 * 0x61], ~3
        call 0x60ffc
        loop l
        hlt"""
    carry = """
        mov ecx, 20
        mov edi, 0x61000
    l:  stc
        rcl dword [edi], 1
        cmp ecx, 5
        setb [edi + 0x1000]
        adc [edi + 0x2000], eax
        stc
        rcr byte [edi + 0x3000], 1
        adc eax, eax
        and dword [0x2000 + 4 * 0x61], ~2
        and dword [0x2000 + 4 * 0x62], ~2
        and dword [0x2000 + 4 * 0x64], ~2
        loop l
        hlt"""
    tables = """
        mov ecx, 20
    l:  and dword [0x2000 + 4 * 0x40], ~0x67
        mov eax, [0x40010]
        inc eax
        mov [0x40010], eax
        mov edx, [0x2000 + 4 * 0x40]
        add ebx, edx
        xor dword [0x2000 + 4 * 0x41], 0x42000 ^ 0x43000
        or dword [0x2000 + 4 * 0x41], 7
        add [0x41000], ecx
        loop l
        hlt"""
    return {
        "demand paging": _kernel_program(demand),
        "calls": _kernel_program(calls),
        "strings into absent pages": _kernel_program(strings),
        "code over page ends": _kernel_program(jump, cr0=WP),
        "flags over faults": _kernel_program(carry, cr0=WP),
        "stores into live tables": _kernel_program(tables, cr0=WP),
    }


def paging_guests() -> dict[str, Guest]:
    """One instruction of each kind against entries of each kind, in the paging modes; the faults are skipped."""
    touch = "".join(
        f"mov eax, [{page << 12:#x}]\nmov [{page << 12 | 8:#x}], ecx\ncall {page << 12 | 16:#x}\n"
        for page in range(0x40, 0x50)
    )
    code = assemble("mov ecx, 7\n" + touch + "hlt", ORIGIN)
    kinds = {page: page << 12 | page & 7 | (page & 8) << 3 for page in range(0x40, 0x50)}
    returns = tuple((page << 12 | 16, b"\xc3") for page in kinds)
    small = two_level(identity(*kinds.items()))
    large = entries(0x1000, (0, 0x2007), (1, 0x87), (2, 0x200087), (3, 0x85)) + entries(0x2000, *identity().items())
    touch_large = assemble(
        "".join(f"mov eax, [{n << 22 | 0x2345:#x}]\nmov [{n << 22 | 0x52340:#x}], eax\n" for n in range(5)) + "hlt",
        ORIGIN,
    )
    pae_kinds = {page: entry | (1 << 63 if page & 4 else 0) for page, entry in kinds.items()}
    pae_kinds[0x48] |= 1 << 52
    pae = (
        *entries(0x6000, (0, 0x7001), (1, 0x8001), size=8),
        *entries(0x7000, (0, 0x9007), (1, 0x87), (2, 0x2087), (3, 1 << 63 | 0x87), size=8),
        *entries(0x9000, *(identity() | pae_kinds).items(), size=8),
    )
    touch_pae = assemble(
        "".join(f"mov eax, [{n << 21 | 0x2345:#x}]\nmov [{n << 21 | 0x52340:#x}], eax\n" for n in range(5))
        + "mov eax, [0x40000000]\nmov eax, [0x80000000]\n" + touch + "hlt",
        ORIGIN,
    )  # fmt: skip
    guests = {}
    for cpl in (0, 1, 3):
        for wp in (0, WP):
            common: dict[str, Any] = {"eip": ORIGIN, "esp": STACK, "ram": 1 << 19, "cpl": cpl, "cr0": 0x11 | PG | wp}
            name = f"at ring {cpl}{' with WP' if wp else ''}"
            guests[f"4 KiB {name}"] = Guest((*small, *returns, (ORIGIN, code)), cr3=0x1000, **common)
            guests[f"4 MiB {name}"] = Guest((*large, (ORIGIN, touch_large)), cr3=0x1000, cr4=PSE, **common)
            for nxe in (False, True):
                guests[f"PAE {name}{', NX' if nxe else ''}"] = Guest(
                    (*pae, *returns, (ORIGIN, touch_pae)), cr3=0x6000, cr4=PAE, nxe=nxe, **common
                )
    return guests
