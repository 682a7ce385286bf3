"""Control and debug registers: MOV CR, MOV DR, CLTS, LMSW, SMSW, and the instructions that go with paging and caches.

SDM volume 2 for each, volume 3 chapter 2.5 for the bits. A paravirtual kernel performs them all with native meaning
(trap and emulate), except that it cannot turn protection and paging off again.
"""

from dataclasses import replace
from typing import Final

from pvtrace.x86.disasm import Instruction
from pvtrace.x86.effects import Effect, Effects, FlushTlb, HaltCpu, Note, Raise, SetCr, SetGpr, SetSystem
from pvtrace.x86.exceptions import GP, UD
from pvtrace.x86.operands import advance, linear_address, may_use_privileged, read_rm16, store_rm16
from pvtrace.x86.results import Result
from pvtrace.x86.view import View

PE: Final = 1 << 0
MP: Final = 1 << 1
EM: Final = 1 << 2
TS: Final = 1 << 3
ET: Final = 1 << 4
NE: Final = 1 << 5
WP: Final = 1 << 16
AM: Final = 1 << 18
NW: Final = 1 << 29
CD: Final = 1 << 30
PG: Final = 1 << 31
CR0_DEFINED: Final = PE | MP | EM | TS | ET | NE | WP | AM | NW | CD | PG

TSD: Final = 1 << 2
DE: Final = 1 << 3
PSE: Final = 1 << 4
PAE: Final = 1 << 5
PGE: Final = 1 << 7
PCE: Final = 1 << 8
OSFXSR: Final = 1 << 9
OSXMMEXCPT: Final = 1 << 10
CR4_DEFINED: Final = TSD | DE | PSE | PAE | PGE | PCE | OSFXSR | OSXMMEXCPT
"""The bits of CR4 whose features CPUID reports; setting another is #GP(0)."""

_DR6_FIXED: Final = 0xFFFF0FF0
_DR6_WRITABLE: Final = 0x0000E00F
_DR7_FIXED: Final = 0x00000400
_DR7_WRITABLE: Final = 0xFFFF2BFF


def general_protection(mnemonic: str, operand: int | None = None, value: int | None = None) -> Result:
    return Result(mnemonic, (Raise(GP, 0),), operand=operand, value=value)


def write_cr0(view: View, value: int) -> Effects:
    """CR0 := value with the checks of MOV CR0; one Raise if they fail."""
    value = (value & CR0_DEFINED) | ET
    if (value & PG and not value & PE) or (value & NW and not value & CD):
        return (Raise(GP, 0),)
    kept = view.cr(0) & ~value & (PE | PG)
    if view.system.paravirtual and kept:
        return (
            SetCr(0, value | kept),
            Note("a paravirtual kernel cannot turn off protection or paging: CR0 keeps them"),
        )
    return (SetCr(0, value),)


def write_cr4(view: View, value: int) -> Effects:
    """CR4 := value; one Raise if a reserved bit is set."""
    if value & ~CR4_DEFINED:
        return (Raise(GP, 0),)
    if view.system.paravirtual and (value ^ view.cr(4)) & PAE:
        return (
            SetCr(4, value ^ PAE),
            Note("a paravirtual kernel cannot change the paging mode: CR4 keeps PAE as it is"),
        )
    return (SetCr(4, value),)


def write_cr(view: View, number: int, value: int) -> Effects:
    """CR0, CR2, CR3 or CR4 := value, by instruction or by call."""
    match number:
        case 0:
            return write_cr0(view, value)
        case 4:
            return write_cr4(view, value)
        case _:
            return (SetCr(number, value),)


def _finish(view: View, instruction: Instruction, effects: Effects) -> Effects:
    """The effects, and on to the next instruction unless they raise."""
    if isinstance(effects[-1], Raise):
        return effects
    return (*effects, advance(view, instruction))


def mov_cr(view: View, instruction: Instruction) -> Result:
    number, register = instruction.reg, instruction.rm
    store = instruction.opcode[1] & 2
    if number not in (0, 2, 3, 4):
        return Result("MOV CR", (Raise(UD),), operand=number)
    if not may_use_privileged(view):
        return general_protection("MOV CR", number)
    if not store:
        value = view.cr(number)
        return Result("MOV CR", (SetGpr(register, value), advance(view, instruction)), operand=number, value=value)
    value = view.gpr(register)
    effects = _finish(view, instruction, write_cr(view, number, value))
    return Result("MOV CR", effects, operand=number, value=value)


def read_dr(view: View, number: int) -> int:
    """DR0..DR3, DR6, DR7; 4 and 5 are other names of the last two."""
    return view.system.drs[number + 2 if number in (4, 5) else number]


def write_dr(view: View, number: int, value: int) -> Effect:
    number = number + 2 if number in (4, 5) else number
    if number == 6:
        value = (value & _DR6_WRITABLE) | _DR6_FIXED
    elif number == 7:
        value = (value & _DR7_WRITABLE) | _DR7_FIXED
    drs = view.system.drs
    return SetSystem(replace(view.system, drs=(*drs[:number], value, *drs[number + 1 :])))


def mov_dr(view: View, instruction: Instruction) -> Result:
    """DR4 and DR5 are #UD with CR4.DE. General detect (DR7.GD) is not modelled."""
    number, register = instruction.reg, instruction.rm
    if number in (4, 5) and view.cr(4) & DE:
        return Result("MOV DR", (Raise(UD),), operand=number)
    if not may_use_privileged(view):
        return general_protection("MOV DR", number)
    if instruction.opcode[1] & 2:
        value = view.gpr(register)
        return Result(
            "MOV DR", (write_dr(view, number, value), advance(view, instruction)), operand=number, value=value
        )
    value = read_dr(view, number)
    return Result("MOV DR", (SetGpr(register, value), advance(view, instruction)), operand=number, value=value)


def clts(view: View, instruction: Instruction) -> Result:
    if not may_use_privileged(view):
        return general_protection("CLTS")
    value = view.cr(0) & ~TS
    return Result("CLTS", (SetCr(0, value), advance(view, instruction)), operand=0, value=value)


def lmsw(view: View, instruction: Instruction) -> Result:
    """Loads PE, MP, EM and TS; it can set PE but not clear it. The operand is read after the privilege check."""
    if not may_use_privileged(view):
        return general_protection("LMSW")
    word = read_rm16(view, instruction)
    old = view.cr(0)
    value = (old & ~(MP | EM | TS)) | (word & (PE | MP | EM | TS))
    return Result("LMSW", _finish(view, instruction, write_cr0(view, value)), operand=0, value=word)


def smsw(view: View, instruction: Instruction) -> Result:
    """Not privileged, and never traps: the real CR0 at every level."""
    value = view.cr(0)
    return Result("SMSW", (store_rm16(view, instruction, value), advance(view, instruction)), operand=0, value=value)


def invlpg(view: View, instruction: Instruction) -> Result:
    if instruction.memory is None:
        return Result("INVLPG", (Raise(UD),))
    if not may_use_privileged(view):
        return general_protection("INVLPG")
    address = linear_address(view, instruction.memory, instruction.address_size)
    return Result("INVLPG", (FlushTlb(), advance(view, instruction)), operand=address)


def cache_control(view: View, instruction: Instruction) -> Result:
    """INVD and WBINVD: there is no cache to flush, memory is always coherent."""
    if not may_use_privileged(view):
        return general_protection(instruction.mnemonic)
    return Result(instruction.mnemonic, (advance(view, instruction),))


def hlt(view: View, instruction: Instruction) -> Result:
    """Waits whatever IF is; with IF = 0 that may be for ever."""
    if not may_use_privileged(view):
        return general_protection("HLT")
    return Result("HLT", (advance(view, instruction), HaltCpu()))
