"""Instructions as frozen values, and as text for people. The only importer of Capstone.

`decode` never fails: bytes that are no instruction give one whose mnemonic is BAD. Nothing here looks at a machine.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import capstone
from capstone import x86 as cs_x86

from pvtrace.model.registers import Gpr, Seg
from pvtrace.x86 import eflags

BAD: Final = "(BAD)"
LONGEST: Final = 15
"""No instruction is longer (SDM volume 2, 2.3.11)."""

LOCK: Final = 0xF0
REPNE: Final = 0xF2
REP: Final = 0xF3
OPERAND_SIZE: Final = 0x66
ADDRESS_SIZE: Final = 0x67
SEGMENT_PREFIXES: Final = {
    0x26: Seg.ES,
    0x2E: Seg.CS,
    0x36: Seg.SS,
    0x3E: Seg.DS,
    0x64: Seg.FS,
    0x65: Seg.GS,
}
PREFIXES: Final = frozenset({LOCK, REPNE, REP, OPERAND_SIZE, ADDRESS_SIZE, *SEGMENT_PREFIXES})

_NUMBERS: Final[dict[str, int]] = {
    name: number
    for names in (
        ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"),
        ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di"),
        ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"),
        ("es", "cs", "ss", "ds", "fs", "gs"),
        tuple(f"cr{number}" for number in range(8)),
        tuple(f"dr{number}" for number in range(8)),
    )
    for number, name in enumerate(names)
}
_ALIASES: Final = {
    "IRETD": "IRET",
    "PUSHFD": "PUSHF",
    "POPFD": "POPF",
    "INSB": "INS",
    "INSW": "INS",
    "INSD": "INS",
    "OUTSB": "OUTS",
    "OUTSW": "OUTS",
    "OUTSD": "OUTS",
    "INT1": "ICEBP",
    "LCALL": "CALL FAR",
    "LJMP": "JMP FAR",
}
_FAR: Final = {3: "CALL FAR", 5: "JMP FAR"}
_MOV: Final = {0x8C: "MOV SREG", 0x8E: "MOV SREG"}
_MOV_0F: Final = {0x20: "MOV CR", 0x21: "MOV DR", 0x22: "MOV CR", 0x23: "MOV DR"}


class Register(NamedTuple):
    """A register operand: `name` as in assembly, `number` as in the encoding (of its own kind), `size` in bytes."""

    name: str
    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Memory:
    """The parts of a memory operand. `segment` is the one in force: the override, or the default of the base."""

    segment: Seg
    base: Gpr | None
    index: Gpr | None
    scale: int
    displacement: int


class Instruction(NamedTuple):
    """`mnemonic` is the manual's, in capitals and without size letter or REP: PUSHF, IRET, INS; moves to special
    registers are MOV CR, MOV DR and MOV SREG. Sizes in bytes. `modrm` is 0 for an instruction that has none."""

    mnemonic: str
    length: int
    operand_size: int
    address_size: int
    opcode: bytes
    modrm: int = 0
    rep: bool = False
    lock: bool = False
    override: Seg | None = None
    registers: tuple[Register, ...] = ()
    memory: Memory | None = None
    immediate: int | None = None

    @property
    def reg(self) -> int:
        """The reg field of the ModR/M byte."""
        return (self.modrm >> 3) & 7

    @property
    def rm(self) -> int:
        """The r/m field of the ModR/M byte."""
        return self.modrm & 7


def _engine(bits: int, detail: bool) -> capstone.Cs:
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32 if bits == 32 else capstone.CS_MODE_16)
    engine.detail = detail
    return engine


_DECODERS: Final = {bits: _engine(bits, True) for bits in (16, 32)}
_PRINTERS: Final = {bits: _engine(bits, False) for bits in (16, 32)}


def _prefixes(code: bytes) -> bytes:
    size = 0
    while size < len(code) and code[size] in PREFIXES:
        size += 1
    return code[:size]


def _mod_ignored(code: bytes, start: int) -> bytes:
    """MOV CR and MOV DR take registers whatever their mod field says (SDM volume 2, MOV); make it say so."""
    if len(code) > start + 2 and code[start] == 0x0F and code[start + 1] in _MOV_0F:
        return code[: start + 2] + bytes([code[start + 2] | 0xC0]) + code[start + 3 :]
    return code


def _mnemonic(name: str, opcode: bytes, reg: int) -> str:
    word = name.upper().split()[-1]
    if opcode[0] == 0xFF and reg in _FAR:  # Capstone names the form by its operand's size alone
        return _FAR[reg]
    if word == "MOV":
        return _MOV_0F.get(opcode[1], word) if opcode[0] == 0x0F else _MOV.get(opcode[0], word)
    return _ALIASES.get(word, word)


def _memory(engine_instruction: "capstone.CsInsn", operand: "cs_x86.X86Op", override: Seg | None) -> Memory:
    def gpr(register: int) -> Gpr | None:
        return Gpr(_NUMBERS[engine_instruction.reg_name(register)]) if register else None

    memory = operand.mem
    named = engine_instruction.reg_name(memory.segment) if memory.segment else None
    base = gpr(memory.base)
    if named is not None:
        segment = Seg(_NUMBERS[named])
    elif override is not None:
        segment = override
    else:
        segment = Seg.SS if base in (Gpr.ESP, Gpr.EBP) else Seg.DS
    return Memory(segment, base, gpr(memory.index), memory.scale, memory.disp)


@lru_cache(maxsize=8192)
def decode(code: bytes, bits: int = 32) -> Instruction:
    """The instruction at the start of `code` (at most 15 bytes count) in a code segment of 16 or 32 bits."""
    code = code[:LONGEST]
    prefixes = _prefixes(code)
    decoded = next(_DECODERS[bits].disasm(_mod_ignored(code, len(prefixes)), 0, count=1), None)
    wide = bits == 32
    operand_size = 4 if wide != (OPERAND_SIZE in prefixes) else 2
    address_size = 4 if wide != (ADDRESS_SIZE in prefixes) else 2
    overrides = [SEGMENT_PREFIXES[prefix] for prefix in prefixes if prefix in SEGMENT_PREFIXES]
    override = overrides[-1] if overrides else None
    opcode = code[len(prefixes) :][: 2 if code[len(prefixes) :][:1] == b"\x0f" else 1]
    lock = LOCK in prefixes
    rep = REP in prefixes or REPNE in prefixes
    if decoded is None:
        return Instruction(BAD, min(1, len(code)), operand_size, address_size, opcode, 0, rep, lock, override)
    registers: list[Register] = []
    memory: Memory | None = None
    immediate: int | None = None
    for operand in decoded.operands:
        if operand.type == cs_x86.X86_OP_REG:
            name = decoded.reg_name(operand.reg)
            registers.append(Register(name, _NUMBERS.get(name, -1), operand.size))
        elif operand.type == cs_x86.X86_OP_MEM:
            memory = memory or _memory(decoded, operand, override)
        elif operand.type == cs_x86.X86_OP_IMM:
            immediate = operand.imm & 0xFFFFFFFF
    return Instruction(
        _mnemonic(decoded.mnemonic, opcode, (decoded.modrm >> 3) & 7),
        decoded.size,
        operand_size,
        address_size,
        opcode,
        decoded.modrm,
        rep,
        lock,
        override,
        tuple(registers),
        memory,
        immediate,
    )


def text(code: bytes, address: int, bits: int = 32) -> str:
    """One instruction in Intel syntax, for people; '(bad)' for bytes that are none."""
    code = code[:LONGEST]
    for _, _, mnemonic, operands in _PRINTERS[bits].disasm_lite(code, address, count=1):
        return f"{mnemonic} {operands}".rstrip()
    return BAD.lower()


class MemoryAccess(NamedTuple):
    """What an instruction does at its explicit memory operand: `width` in bytes, and whether it loads, stores or both.
    Of the two operands of a string move each is one of them."""

    width: int
    loads: bool
    stores: bool
    both: bool


@lru_cache(maxsize=1024)
def memory_access(code: bytes, bits: int = 32) -> MemoryAccess | None:
    """None for an instruction without a memory operand."""
    decoded = next(_DECODERS[bits].disasm(code[:LONGEST], 0, count=1), None)
    operands = [op for op in decoded.operands if op.type == cs_x86.X86_OP_MEM] if decoded else []
    if not operands:
        return None
    loads = any(op.access & capstone.CS_AC_READ for op in operands)
    stores = any(op.access & capstone.CS_AC_WRITE for op in operands)
    return MemoryAccess(operands[0].size, loads, stores, loads and stores and len(operands) == 1)


class FlagUse(NamedTuple):
    """What an instruction does with the arithmetic flags, as masks of EFLAGS: those that it reads, before those that it
    writes (undefined ones included). `onward`: where control certainly goes on, in bytes from its start; None where
    that depends."""

    reads: int
    writes: int
    onward: int | None


_FLAG_BITS: Final = (
    (eflags.CF, cs_x86.X86_EFLAGS_TEST_CF, cs_x86.X86_EFLAGS_MODIFY_CF | cs_x86.X86_EFLAGS_RESET_CF),
    (eflags.CF, 0, cs_x86.X86_EFLAGS_UNDEFINED_CF | cs_x86.X86_EFLAGS_SET_CF),
    (eflags.PF, cs_x86.X86_EFLAGS_TEST_PF, cs_x86.X86_EFLAGS_MODIFY_PF | cs_x86.X86_EFLAGS_RESET_PF),
    (eflags.PF, 0, cs_x86.X86_EFLAGS_UNDEFINED_PF | cs_x86.X86_EFLAGS_SET_PF),
    (eflags.AF, cs_x86.X86_EFLAGS_TEST_AF, cs_x86.X86_EFLAGS_MODIFY_AF | cs_x86.X86_EFLAGS_RESET_AF),
    (eflags.AF, 0, cs_x86.X86_EFLAGS_UNDEFINED_AF | cs_x86.X86_EFLAGS_SET_AF),
    (eflags.ZF, cs_x86.X86_EFLAGS_TEST_ZF, cs_x86.X86_EFLAGS_MODIFY_ZF | cs_x86.X86_EFLAGS_RESET_ZF),
    (eflags.ZF, 0, cs_x86.X86_EFLAGS_UNDEFINED_ZF | cs_x86.X86_EFLAGS_SET_ZF),
    (eflags.SF, cs_x86.X86_EFLAGS_TEST_SF, cs_x86.X86_EFLAGS_MODIFY_SF | cs_x86.X86_EFLAGS_RESET_SF),
    (eflags.SF, 0, cs_x86.X86_EFLAGS_UNDEFINED_SF | cs_x86.X86_EFLAGS_SET_SF),
    (eflags.OF, cs_x86.X86_EFLAGS_TEST_OF, cs_x86.X86_EFLAGS_MODIFY_OF | cs_x86.X86_EFLAGS_RESET_0F),
    (eflags.OF, 0, cs_x86.X86_EFLAGS_UNDEFINED_OF | cs_x86.X86_EFLAGS_SET_OF | cs_x86.X86_EFLAGS_RESET_OF),
)
"""A flag, and Capstone's bits for reading and for writing it."""

_UNTOLD_READS: Final = {
    **dict.fromkeys(("RCL", "RCR", "CMC", "SALC", "FCMOVB", "FCMOVNB"), eflags.CF),
    **dict.fromkeys(("DAA", "DAS"), eflags.CF | eflags.AF),
    **dict.fromkeys(("AAA", "AAS"), eflags.AF),
    **dict.fromkeys(("FCMOVE", "FCMOVNE"), eflags.ZF),
    **dict.fromkeys(("FCMOVBE", "FCMOVNBE"), eflags.CF | eflags.ZF),
    **dict.fromkeys(("FCMOVU", "FCMOVNU"), eflags.PF),
    "LAHF": eflags.ARITHMETIC & ~eflags.OF,
    "INTO": eflags.OF,
    "PUSHF": eflags.ARITHMETIC,
}
"""What Capstone does not say (SDM volume 1, appendix A). Of an x87 instruction it says nothing of EFLAGS."""

_FLOAT_COMPARES: Final = frozenset({"FCOMI", "FCOMPI", "FCOMIP", "FUCOMI", "FUCOMPI", "FUCOMIP"})
_LEAVING: Final = frozenset({"HLT", "SYSENTER", "SYSEXIT", "UD0", "UD1", "UD2", "VMCALL", "VMMCALL", BAD})
_TRANSFERS: Final = (
    capstone.CS_GRP_JUMP,
    capstone.CS_GRP_CALL,
    capstone.CS_GRP_RET,
    capstone.CS_GRP_INT,
    capstone.CS_GRP_IRET,
    capstone.CS_GRP_BRANCH_RELATIVE,
)


@lru_cache(maxsize=8192)
def flag_use(code: bytes, bits: int = 32) -> FlagUse:
    """Of the instruction at the start of `code`."""
    decoded = next(_DECODERS[bits].disasm(code[:LONGEST], 0, count=1), None)
    name = decode(code[:LONGEST], bits).mnemonic
    if decoded is None:
        return FlagUse(0, 0, None)
    if cs_x86.X86_GRP_FPU in decoded.groups:
        writes = eflags.ARITHMETIC if name in _FLOAT_COMPARES else 0
        return FlagUse(_UNTOLD_READS.get(name, 0), writes, decoded.size)
    reads, writes = _UNTOLD_READS.get(name, 0), 0
    for bit, read, written in _FLAG_BITS:
        reads |= bit if decoded.eflags & read else 0
        writes |= bit if decoded.eflags & written else 0
    return FlagUse(reads, writes, _onward(decoded, name, bits))


def _onward(decoded: "capstone.CsInsn", name: str, bits: int) -> int | None:
    if name in ("JMP", "CALL") and decoded.operands[0].type == cs_x86.X86_OP_IMM:
        sign = 1 << bits - 1
        return (int(decoded.operands[0].imm) & 2 * sign - 1 ^ sign) - sign
    if name in _LEAVING or any(group in decoded.groups for group in _TRANSFERS):
        return None
    return int(decoded.size)
