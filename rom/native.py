"""The transparent ROM: each call as the native instructions that it stands for, for a kernel on bare hardware.

A kernel that finds this ROM patches its call sites as it would under a hypervisor, and runs natively at CPL 0. What
needs a hypervisor to mean anything does nothing: announcing pages, deferring, and waiting for a lazy mode to end return
at once; the timer calls have no rate, no alarm and no wallclock to offer, as do SetInitialAPState, SetCallbacks and, in
3.0, the calls on the local APIC, whose linear address the ROM does not know. A 3.0 guest learns by the relocation query
that it should keep its native routines for these; one of 13.x takes nothing but an entry point for an answer.

Facts and bytes alone; where the routines go is `build`'s. Each keeps what its call has to keep (see abi). Assembly in
the syntax of nasm, 32 bits, with ';' between instructions.
"""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from rom.abi import GET_RELOCATION_3, INIT_3, Family, Generation, by_number, calls
from rom.layout import TABLE_3


class Routine(NamedTuple):
    """`asm` assembles to `code`, which may be anywhere."""

    asm: str
    code: bytes


def _routine(asm: str, code: str) -> Routine:
    return Routine(asm, bytes.fromhex(code))


_ROUTINES: Final[Mapping[str, Routine]] = {
    "Init": _routine("xor eax, eax; ret", "31c0c3"),
    "CPUID": _routine("cpuid; ret", "0fa2c3"),
    "WRMSR": _routine("wrmsr; ret", "0f30c3"),
    "RDMSR": _routine("rdmsr; ret", "0f32c3"),
    "RDPMC": _routine("rdpmc; ret", "0f33c3"),
    "RDTSC": _routine("rdtsc; ret", "0f31c3"),
    "EnableInterrupts": _routine("sti; ret", "fbc3"),
    "DisableInterrupts": _routine("cli; ret", "fac3"),
    "GetInterruptMask": _routine("pushfd; pop eax; and eax, 0x200; ret", "9c582500020000c3"),
    "SetInterruptMask": _routine("test eax, 0x200; jz .off; sti; ret; .off: cli; ret", "a9000200007402fbc3fac3"),
    "Pause": _routine("pause; ret", "f390c3"),
    "Halt": _routine("sti; hlt; ret", "fbf4c3"),
    "Reboot": _routine("mov al, 0xfe; out 0x64, al; cli; .stop: hlt; jmp .stop", "b0fee664faf4ebfd"),
    "Shutdown": _routine("cli; .stop: hlt; jmp .stop", "faf4ebfd"),
    "SetGDT": _routine("lgdt [eax]; ret", "0f0110c3"),
    "SetLDT": _routine("lldt ax; ret", "0f00d0c3"),
    "SetIDT": _routine("lidt [eax]; ret", "0f0118c3"),
    "SetTR": _routine("ltr ax; ret", "0f00d8c3"),
    "GetGDT": _routine("sgdt [eax]; ret", "0f0100c3"),
    "GetLDT": _routine("xor eax, eax; sldt ax; ret", "31c0660f00c0c3"),
    "GetIDT": _routine("sidt [eax]; ret", "0f0108c3"),
    "GetTR": _routine("xor eax, eax; str ax; ret", "31c0660f00c8c3"),
    "WriteGDTEntry": _routine(
        "mov [eax + edx * 8], ecx; mov ecx, [esp + 4]; mov [eax + edx * 8 + 4], ecx; ret",
        "890cd08b4c2404894cd004c3",
    ),
    "SetCR0": _routine("mov cr0, eax; ret", "0f22c0c3"),
    "SetCR2": _routine("mov cr2, eax; ret", "0f22d0c3"),
    "SetCR3": _routine("mov cr3, eax; ret", "0f22d8c3"),
    "SetCR4": _routine("mov cr4, eax; ret", "0f22e0c3"),
    "GetCR0": _routine("mov eax, cr0; ret", "0f20c0c3"),
    "GetCR2": _routine("mov eax, cr2; ret", "0f20d0c3"),
    "GetCR3": _routine("mov eax, cr3; ret", "0f20d8c3"),
    "GetCR4": _routine("mov eax, cr4; ret", "0f20e0c3"),
    "INVD": _routine("ret", "c3"),
    "WBINVD": _routine("wbinvd; ret", "0f09c3"),
    "SetDR": _routine(
        "and eax, 7; call .here; .here: pop ecx; lea ecx, [ecx + eax * 4 + .cases - .here]; jmp ecx; "
        ".cases: mov dr0, edx; ret; mov dr1, edx; ret; mov dr2, edx; ret; mov dr3, edx; ret; mov dr4, edx; "
        "ret; mov dr5, edx; ret; mov dr6, edx; ret; mov dr7, edx; ret",
        "83e007e800000000598d4c8107ffe10f23c2c30f23cac30f23d2c30f23dac30f23e2c30f23eac30f23f2c30f23fac3",
    ),
    "GetDR": _routine(
        "and eax, 7; call .here; .here: pop ecx; lea ecx, [ecx + eax * 4 + .cases - .here]; jmp ecx; "
        ".cases: mov eax, dr0; ret; mov eax, dr1; ret; mov eax, dr2; ret; mov eax, dr3; ret; mov eax, dr4; "
        "ret; mov eax, dr5; ret; mov eax, dr6; ret; mov eax, dr7; ret",
        "83e007e800000000598d4c8107ffe10f21c0c30f21c8c30f21d0c30f21d8c30f21e0c30f21e8c30f21f0c30f21f8c3",
    ),
    "CLTS": _routine("clts; ret", "0f06c3"),
    "IRET": _routine("add esp, 4; iretd", "83c404cf"),
    "SYSEXIT": _routine("sti; sysexit", "fb0f35"),
    "IN": _routine("in eax, dx; ret", "edc3"),
    "INB": _routine("xor eax, eax; in al, dx; ret", "31c0ecc3"),
    "INW": _routine("xor eax, eax; in ax, dx; ret", "31c066edc3"),
    "INS": _routine("rep insd; ret", "f36dc3"),
    "INSB": _routine("rep insb; ret", "f36cc3"),
    "INSW": _routine("rep insw; ret", "f3666dc3"),
    "OUT": _routine("out dx, eax; ret", "efc3"),
    "OUTB": _routine("out dx, al; ret", "eec3"),
    "OUTW": _routine("out dx, ax; ret", "66efc3"),
    "OUTS": _routine("rep outsd; ret", "f36fc3"),
    "OUTSB": _routine("rep outsb; ret", "f36ec3"),
    "OUTSW": _routine("rep outsw; ret", "f3666fc3"),
    "SetIOPLMask": _routine(
        "pushfd; and dword [esp], ~0x3000; and eax, 0x3000; or [esp], eax; popfd; ret",
        "9c812424ffcfffff25003000000904249dc3",
    ),
    "IODelay": _routine("out 0x80, al; ret", "e680c3"),
    "SetInitialAPState": _routine("ret", "c3"),
    "GetCycleFrequency": _routine("xor eax, eax; xor edx, edx; ret", "31c031d2c3"),
    "GetCycleCounter": _routine(
        "cmp eax, 2; jae .none; rdtsc; ret; .none: xor eax, eax; xor edx, edx; ret",
        "83f80273030f31c331c031d2c3",
    ),
    "SetAlarm": _routine("ret", "c3"),
    "CancelAlarm": _routine("xor eax, eax; ret", "31c0c3"),
    "GetWallclockTime": _routine("xor eax, eax; xor edx, edx; ret", "31c031d2c3"),
    "WallclockUpdated": _routine("xor eax, eax; ret", "31c0c3"),
    "SetPxE0": _routine("mov [eax], edx; ret", "8910c3"),
    "GetPxE": _routine("mov eax, [eax]; ret", "8b00c3"),
    "SwapPxE": _routine("xchg [eax], edx; mov eax, edx; ret", "871089d0c3"),
    "SetPxELong0": _routine("mov dword [ecx], 0; mov [ecx + 4], edx; mov [ecx], eax; ret", "c701000000008951048901c3"),
    "GetPxELong": _routine("mov edx, [eax + 4]; mov eax, [eax]; ret", "8b50048b00c3"),
    "SwapPxELongAtomic": _routine(
        "push ebx; push esi; mov esi, ecx; mov ebx, eax; mov ecx, edx; mov eax, [esi]; mov edx, [esi + 4]; "
        ".again: lock cmpxchg8b [esi]; jnz .again; pop esi; pop ebx; ret",
        "535689ce89c389d18b068b5604f00fc70e75fa5e5bc3",
    ),
    "TestAndSetPxEBit": _routine(
        "and edx, 31; lock bts [eax], edx; setc al; movzx eax, al; ret",
        "83e21ff00fab100f92c00fb6c0c3",
    ),
    "TestAndClearPxEBit": _routine(
        "and edx, 31; lock btr [eax], edx; setc al; movzx eax, al; ret",
        "83e21ff00fb3100f92c00fb6c0c3",
    ),
    "AllocatePage": _routine("ret", "c3"),
    "ReleasePage": _routine("ret", "c3"),
    "InvalPage": _routine("invlpg [eax]; ret", "0f0138c3"),
    "FlushTLB": _routine(
        "test al, 2; jz .local; mov ecx, cr4; mov edx, ecx; and dl, 0x7f; mov cr4, edx; mov cr4, ecx; ret; "
        ".local: mov eax, cr3; mov cr3, eax; ret",
        "a802740f0f20e189ca80e27f0f22e20f22e1c30f20d80f22d8c3",
    ),
    "FlushDeferredCalls": _routine("xor eax, eax; ret", "31c0c3"),
    "SetLinearMapping": _routine("ret", "c3"),
    "DeactivatePxELongAtomic": _routine(
        "xor ecx, ecx; xchg [eax], ecx; mov edx, [eax + 4]; mov dword [eax + 4], 0; mov eax, ecx; ret",
        "31c987088b5004c740040000000089c8c3",
    ),
    "SetPxE": _routine("mov [edx], eax; ret", "8902c3"),
    "UpdatePxE": _routine("ret", "c3"),
    "UpdatePxELong": _routine("ret", "c3"),
    "MachineToPhysical": _routine("ret", "c3"),
    "PhysicalToMachine": _routine("ret", "c3"),
    "SetCallbacks": _routine("ret", "c3"),
    "SetLazyMode": _routine("ret", "c3"),
}
_SAME: Final = {
    "WriteLDTEntry": "WriteGDTEntry",
    "WriteIDTEntry": "WriteGDTEntry",
    "SetPxELong": "SetPxELong0",
    "TestAndSetPxELongBit": "TestAndSetPxEBit",
    "TestAndClearPxELongBit": "TestAndClearPxEBit",
}
"""Calls that do what another does; a bit of a 64-bit entry is one of its low word."""

_BY_GENERATION: Final[Mapping[tuple[Generation, str], Routine]] = {
    (Generation.V13, "UpdateKernelStack"): _routine("mov [eax + 4], edx; ret", "895004c3"),
    (Generation.V3, "UpdateKernelStack"): _routine(
        "push ebx; sub esp, 8; sgdt [esp]; mov ecx, [esp + 2]; add esp, 8; xor ebx, ebx; str bx; "
        "add ecx, ebx; mov ebx, [ecx + 4]; and ebx, 0xff000000; mov ecx, [ecx + 2]; and ecx, 0xffffff; "
        "or ebx, ecx; mov [ebx + 4], edx; mov [ebx + 8], ax; pop ebx; ret",
        "5383ec080f0104248b4c240283c40831db660f00cb01d98b590481e3000000ff8b490281e1ffffff0009cb895304668943085bc3",
    ),
    (Generation.V13, "APICWrite"): _routine("mov [eax], edx; ret", "8910c3"),
    (Generation.V13, "APICRead"): _routine("mov eax, [eax]; ret", "8b00c3"),
    (Generation.V3, "APICWrite"): _routine("ret", "c3"),
    (Generation.V3, "APICRead"): _routine("xor eax, eax; ret", "31c0c3"),
}
"""Calls that take other arguments in each generation: 13.x gives the TSS and the linear address of an APIC register."""

_ABSENT: Final = frozenset({"SetInitialAPState", "SetCallbacks", "APICRead", "APICWrite"})
"""What, with all of the family TIME, 3.0 is told to do natively."""


def routine(generation: Generation, number: int, at: int) -> bytes:
    """The routine of a call, to be placed at offset `at` of the ROM."""
    info = by_number(generation, number)
    assert info is not None, "only calls have routines"
    if info.name == "GetRelocationInfo":
        return _relocation_query(generation, at)
    found = _BY_GENERATION.get((generation, info.name)) or _ROUTINES[_SAME.get(info.name, info.name)]
    return found.code


def routines() -> Mapping[str, Routine]:
    """Every routine but that of the relocation query, by a name of its own."""
    special = {f"{name} of {generation}.x": found for (generation, name), found in _BY_GENERATION.items()}
    return {**_ROUTINES, **special}


def offered(generation: Generation) -> frozenset[int]:
    """The numbers for which the relocation query gives an entry point."""
    numbers = set()
    for number, info in calls(generation).items():
        absent = info.family is Family.TIME or info.name in _ABSENT or number in (INIT_3, GET_RELOCATION_3)
        if generation is Generation.V13 or not absent:
            numbers.add(number)
    return frozenset(numbers)


RELOCATION_ASM: Final = (
    "cmp eax, strict dword {count}; jae .none; call .here; .here: pop edx; sub edx, strict dword {here}; "
    "bt [dword edx + {bitmap}], eax; jnc .none; shl eax, {shift}; lea eax, [dword eax + edx + {table}]; "
    "xor edx, edx; inc edx; ret; .none: xor eax, eax; xor edx, edx; ret"
)
"""EAX = number -> EDX:EAX = 1 (CALL) << 32 | address, or 0; the base of the ROM is where the code finds itself."""

_HERE: Final = 12
"""Offset of `.here` in it."""
_SIZE: Final = 47


def _relocation_query(generation: Generation, at: int) -> bytes:
    numbers = offered(generation)
    shift, table = (5, 0) if generation is Generation.V13 else (4, TABLE_3)
    parts = (
        "3d",
        _dword(max(numbers) + 1),
        "7323e8000000005a81ea",
        _dword(at + _HERE),
        "0fa382",
        _dword(at + _SIZE),
        f"730ec1e0{shift:02x}8d8410",
        _dword(table),
        "31d242c331c031d2c3",
    )
    return bytes.fromhex("".join(parts)) + _bitmap(numbers)


def _dword(value: int) -> str:
    return value.to_bytes(4, "little").hex()


def _bitmap(numbers: Collection[int]) -> bytes:
    """A bit for each number, in whole doublewords."""
    size = max(numbers) // 32 * 4 + 4
    return sum(1 << number for number in numbers).to_bytes(size, "little")
