"""Guests of random instructions and calls, of the kernel and of user code in turn, that go on behind each fault."""

from functools import lru_cache
from random import Random
from typing import Final

from rom.abi import Generation, calls
from tests.differences.guests import assemble

SLOTS: Final = 24
SLOT: Final = 64
"""Bytes of a slot: what POPAD takes, EFLAGS of user code, then code, filled up with INT 30h, which ends it."""

_REGISTERS: Final = 32
_FLAGS: Final = 4
_CODE: Final = SLOT - _REGISTERS - _FLAGS
_END: Final = b"\xcd\x30"

_SOURCE: Final = f"""
start:
    CATCH next
    USER_IOPL 3
next:
    mov ebx, [slot]
    cmp ebx, slots_end
    jae finish
    add dword [slot], {SLOT}
    xor byte [level], 1
    jz user
    mov ecx, [ebx + {_REGISTERS}]
    mov [registers + 32], ecx
    add ebx, {_REGISTERS + _FLAGS}
    mov [registers + 36], ebx
    mov esi, [slot]
    sub esi, {SLOT}
    mov edi, registers
    mov ecx, 8
    rep movsd
    mov esp, registers
    popad
    mov esp, STACK - 64
    jmp [registers + 36]
user:
    push dword UDATA
    push dword USTACK - 64
    push dword [ebx + {_REGISTERS}]
    push dword UCODE
    lea eax, [ebx + {_REGISTERS + _FLAGS}]
    push eax
    mov esi, ebx
    mov edi, registers
    mov ecx, 8
    rep movsd
    mov [registers + 36], esp
    mov esp, registers
    popad
    mov esp, [registers + 36]
    SITE V_IRET, iretd
slot: dd slots
level: dd 0
registers: times 10 dd 0
    dd 0x51075107
slots: times {SLOTS * SLOT} db 0x90
slots_end:
"""
_MARK: Final = (0x51075107).to_bytes(4, "little")

_SELECTORS: Final = (0, 3, 8, 9, 0x10, 0x11, 0x1B, 0x23, 0x28, 0x30, 0x38, 0x39, 0x40, 0x41, 0x4B, 0x53, 0x58, 0x59)
_MORE_SELECTORS: Final = (0x60, 0x61, 0x68, 0x6B, 0x70, 0x71, 0x78, 0x79, 0x7C, 0xFFE8, 0xFFF0, 0xFFFF)
_ADDRESSES: Final = (0x100020, 0x120000, 0x121000, 0x124000, 0x127FC0, 0x130000, 0x131000, 0x138000, 0x138FFE)
_WILD: Final = (0, 0xC8000, 0x3FFFFE, 0x400000, 0xFBFFFFFE, 0xFC000000, 0xFC010000, 0xFFFFFFF0, 0xFFFFFFFF)
_NUMBERS: Final = (1, 2, 0x174, 0x200, 0x202, 0x3000, 0x3202, 0x20002, 0x20202, 0x80000011, 0x11, 0x60010033, 0x300)
_WORDS: Final = (*_SELECTORS, *_MORE_SELECTORS, *_ADDRESSES, *_WILD, *_NUMBERS)

_IMAGES: Final = (2, 0x202, 0x3002, 0x3202, 0x102, 0x302, 0x4002, 0x20202, 0x40202, 0x8D7, 0x200AD7)
_PREFIXES: Final = (b"", b"", b"", b"", b"\x66", b"\x67", b"\xf3", b"\xf2", b"\x2e", b"\x36", b"\x65", b"\xf0")
_ALONE: Final = """
    06 0e 16 1e 07 17 1f 0fa0 0fa1 0fa8 0fa9 9c 9d cf cb cc ce f4 fa fb 0f06 0f08 0f09 0f30 0f31 0f32 0f33 0f34 0f35
    0fa2 0faa ec ed ee ef 6c 6d 6e 6f a4 a5 ab ad 60 61 50 58 c9 c3
"""
_WITH_MODRM: Final = """
    0f00 0f01 0f02 0f03 0f20 0f21 0f22 0f23 0fb2 0fb4 0fb5 63 62 8c 8c 8e 8e c4 c5 ff 8b 89 c7 0fc7
"""
"""Opcodes: privileged and sensitive ones, loads of segment registers, and some that reach for memory."""

_CALLS: Final = tuple(
    number for number, info in sorted(calls(Generation.V13).items()) if not info.name.startswith(("INS", "OUTS"))
)
"""Those of string I/O take as long as a random count is large."""


def image(seed: int, first: bytes = b"") -> bytes:
    """A Multiboot kernel for a seed; the same each time. `first`: what it begins with, in the kernel and as a user."""
    chance = Random(seed)
    guest = _template()
    at = guest.index(_MARK) + len(_MARK)
    begins = [_slot(chance, first) for _ in range(2 if first else 0)]
    slots = b"".join([*begins, *(_slot(chance) for _ in range(SLOTS - len(begins)))])
    return guest[:at] + slots + guest[at + len(slots) :]


@lru_cache(maxsize=1)
def _template() -> bytes:
    return assemble(_SOURCE, ("PAGING",))


def _slot(chance: Random, code: bytes = b"") -> bytes:
    registers = b"".join(_word(chance).to_bytes(4, "little") for _ in range(8))
    flags = chance.choice(_IMAGES).to_bytes(4, "little")
    if not code:
        code = b"".join(_piece(chance) for _ in range(4))[:_CODE]
    return registers + flags + code + (_END * _CODE)[: _CODE - len(code)]


def _word(chance: Random) -> int:
    return chance.choice(_WORDS) if chance.random() < 0.8 else chance.getrandbits(32)


def _piece(chance: Random) -> bytes:
    match chance.randrange(8):
        case 0:
            return chance.randbytes(chance.randrange(1, 8))
        case 1 | 2:
            return chance.choice(_PREFIXES) + _opcode(chance, _ALONE)
        case 3 | 4:
            code = chance.choice(_PREFIXES) + _opcode(chance, _WITH_MODRM) + _operand(chance)
            return code + chance.randbytes(4) if b"\xc7" in code[:3] else code
        case 5:
            return b"\x68" + _word(chance).to_bytes(4, "little")
        case 6:
            return _far(chance)
        case _:
            return _call(chance)


def _opcode(chance: Random, opcodes: str) -> bytes:
    return bytes.fromhex(chance.choice(opcodes.split()))


def _operand(chance: Random) -> bytes:
    reg = chance.randrange(8) << 3
    if chance.random() < 0.4:
        return bytes((0xC0 | reg | chance.randrange(8),))
    if chance.random() < 0.5:
        return bytes((reg | 5,)) + _word(chance).to_bytes(4, "little")
    return bytes((reg | chance.choice((0, 1, 2, 3, 6, 7)),))


def _far(chance: Random) -> bytes:
    """INT n, RETF n, far JMP and CALL."""
    kind = chance.randrange(3)
    if kind == 0:
        return bytes((0xCD, chance.choice((0, 3, 8, 13, 14, 0x20, 0x31, 0x3F, 0x80))))
    if kind == 1:
        return b"\xca" + chance.choice((0, 4, 0xFFFF)).to_bytes(2, "little")
    pointer = _word(chance).to_bytes(4, "little") + chance.choice((*_SELECTORS, *_MORE_SELECTORS)).to_bytes(2, "little")
    return bytes((chance.choice((0x9A, 0xEA)),)) + pointer


def _call(chance: Random) -> bytes:
    """A VMI call by way of a register: MOV EBP, entry; CALL EBP."""
    entry = 0xC8000 + 32 * chance.choice(_CALLS)
    return b"\xbd" + entry.to_bytes(4, "little") + b"\xff\xd5"
