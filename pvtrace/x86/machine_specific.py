"""Model-specific registers, the time-stamp counter, performance counters and CPUID as instructions.

The known registers are one table; another index is #GP(0), as kernels that probe expect (SDM volume 4).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from pvtrace.model.registers import Gpr
from pvtrace.x86.control_instructions import PCE, TSD, general_protection
from pvtrace.x86.cpuid import cpuid
from pvtrace.x86.disasm import Instruction
from pvtrace.x86.effects import Effect, Effects, Raise, SetGpr, SetSystem
from pvtrace.x86.exceptions import GP
from pvtrace.x86.fast_calls import SYSENTER_CS, SYSENTER_EIP, SYSENTER_ESP
from pvtrace.x86.operands import MASK32, advance, may_use_privileged
from pvtrace.x86.results import Result
from pvtrace.x86.state import System
from pvtrace.x86.view import View

MASK64: Final = (1 << 64) - 1
TSC: Final = 0x10
APIC_BASE: Final = 0x1B
APIC_GLOBAL_ENABLE: Final = 1 << 11
MISC_ENABLE: Final = 0x1A0
PAT: Final = 0x277
EFER: Final = 0xC0000080
EFER_NXE: Final = 1 << 11


class Msr(NamedTuple):
    """`reset`: its value after reset; System keeps the difference to it by exclusive or, so that absent means reset.
    `writable`: the bits that WRMSR may change; `ignored`: bits that it may set without effect. Others are #GP(0)."""

    name: str
    reset: int = 0
    writable: int = 0
    ignored: int = 0


MSRS: Final[Mapping[int, Msr]] = {
    TSC: Msr("IA32_TIME_STAMP_COUNTER", writable=MASK64),
    0x17: Msr("IA32_PLATFORM_ID"),
    APIC_BASE: Msr("IA32_APIC_BASE", reset=0xFEE00900, writable=0xFFFFFF800),
    0x2A: Msr("EBL_CR_POWERON", ignored=MASK64),
    0x79: Msr("IA32_BIOS_UPDT_TRIG", ignored=MASK64),
    0x8B: Msr("IA32_BIOS_SIGN_ID", ignored=MASK64),
    0xFE: Msr("IA32_MTRRCAP"),
    SYSENTER_CS: Msr("IA32_SYSENTER_CS", writable=MASK32),
    SYSENTER_ESP: Msr("IA32_SYSENTER_ESP", writable=MASK32),
    SYSENTER_EIP: Msr("IA32_SYSENTER_EIP", writable=MASK32),
    MISC_ENABLE: Msr("IA32_MISC_ENABLE", reset=1, writable=MASK64),
    PAT: Msr("IA32_PAT", reset=0x0007040600070406, writable=0x0707070707070707),
    EFER: Msr("IA32_EFER", writable=EFER_NXE),
}


def tsc(view: View) -> int:
    """The time-stamp counter: virtual time, moved by what the guest has written to it."""
    return (view.ticks + view.system.msr(TSC)) & MASK64


def apic_base(system: System) -> int:
    """IA32_APIC_BASE: the local APIC's address, and in bit 11 whether it is there at all."""
    return MSRS[APIC_BASE].reset ^ system.msr(APIC_BASE)


def has_apic(system: System) -> bool:
    """Whether the local APIC is switched on."""
    return bool(apic_base(system) & APIC_GLOBAL_ENABLE)


def read_msr(view: View, index: int) -> int | None:
    """The register's value; None for one that does not exist."""
    known = MSRS.get(index)
    if known is None:
        return None
    return tsc(view) if index == TSC else known.reset ^ view.system.msr(index)


def write_msr(view: View, index: int, value: int) -> Effect | None:
    """The effect of WRMSR; None if it is #GP(0). Used by instruction and by call."""
    known = MSRS.get(index)
    if known is None:
        return None
    if index == TSC:
        stored = (value - view.ticks) & MASK64
    else:
        changed = (value ^ known.reset) & ~known.ignored
        if changed & ~known.writable:
            return None
        stored = changed & known.writable
    return SetSystem(replace(view.system, msrs=view.system.with_msr(index, stored)))


def _pair(value: int) -> Effects:
    return (SetGpr(Gpr.EAX, value & MASK32), SetGpr(Gpr.EDX, (value >> 32) & MASK32))


def rdmsr(view: View, instruction: Instruction) -> Result:
    index = view.gpr(Gpr.ECX)
    value = read_msr(view, index) if may_use_privileged(view) else None
    if value is None:
        return general_protection("RDMSR", index)
    return Result("RDMSR", (*_pair(value), advance(view, instruction)), operand=index, value=value)


def wrmsr(view: View, instruction: Instruction) -> Result:
    index = view.gpr(Gpr.ECX)
    value = view.gpr(Gpr.EAX) | (view.gpr(Gpr.EDX) << 32)
    effect = write_msr(view, index, value) if may_use_privileged(view) else None
    if effect is None:
        return general_protection("WRMSR", index, value)
    return Result("WRMSR", (effect, advance(view, instruction)), operand=index, value=value)


def rdtsc(view: View, instruction: Instruction) -> Result:
    if view.cr(4) & TSD and not may_use_privileged(view):
        return general_protection("RDTSC")
    value = tsc(view)
    return Result("RDTSC", (*_pair(value), advance(view, instruction)), value=value)


def rdpmc(view: View, instruction: Instruction) -> Result:
    """Two counters as on the P6; they are never programmed, and stay at zero."""
    index = view.gpr(Gpr.ECX)
    if index > 1 or (not view.cr(4) & PCE and not may_use_privileged(view)):
        return Result("RDPMC", (Raise(GP, 0),), operand=index)
    return Result("RDPMC", (*_pair(0), advance(view, instruction)), operand=index, value=0)


def cpuid_instruction(view: View, instruction: Instruction) -> Result:
    leaf = view.gpr(Gpr.EAX)
    eax, ebx, ecx, edx = cpuid(leaf, apic=has_apic(view.system))
    effects = (
        SetGpr(Gpr.EAX, eax),
        SetGpr(Gpr.EBX, ebx),
        SetGpr(Gpr.ECX, ecx),
        SetGpr(Gpr.EDX, edx),
        advance(view, instruction),
    )
    return Result("CPUID", effects, operand=leaf, value=eax)
