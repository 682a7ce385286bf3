"""SYSENTER and SYSEXIT (SDM volume 2), with the segments that they make out of nothing.

A paravirtual guest's kernel is at KERNEL_RING: SYSENTER is reflected to it with selectors of that level, and its
SYSEXIT by instruction traps and is performed with its native meaning.
"""

from typing import Final

from pvtrace.model.registers import Gpr, Seg
from pvtrace.x86 import eflags
from pvtrace.x86.descriptors import KERNEL_RING, flat
from pvtrace.x86.disasm import Instruction
from pvtrace.x86.effects import Raise, SetEip, SetFlags, SetGpr, SetSegment
from pvtrace.x86.exceptions import GP
from pvtrace.x86.operands import MASK32, is_protected, may_use_privileged, next_eip
from pvtrace.x86.results import Entered, Result, Returned
from pvtrace.x86.state import System
from pvtrace.x86.view import View

SYSENTER_CS: Final = 0x174
SYSENTER_ESP: Final = 0x175
SYSENTER_EIP: Final = 0x176


def entry(system: System) -> tuple[int, int, int]:
    """Of the MSRs: the selector without its RPL, 0 if there is none to enter by; ESP; EIP."""
    return system.msr(SYSENTER_CS) & 0xFFFC, system.msr(SYSENTER_ESP) & MASK32, system.msr(SYSENTER_EIP) & MASK32


def _behind(selector: int, distance: int) -> int:
    return selector + distance & 0xFFFF


def sysenter(view: View, instruction: Instruction) -> Result:
    system = view.system
    selector, esp, handler = entry(system)
    if not view.cr(0) & 1 or selector == 0:
        return Result("SYSENTER", (Raise(GP, 0),))
    ring, hole = (KERNEL_RING, system.hole) if system.paravirtual else (0, 1 << 32)
    image = eflags.guest_flags(view.eflags, system)
    effects = (
        SetFlags(0, eflags.VM | eflags.IF | eflags.RF),
        SetSegment(Seg.CS, flat(selector | ring, ring, code=True, hole=hole)),
        SetSegment(Seg.SS, flat(_behind(selector, 8) | ring, ring, code=False, hole=hole)),
        SetGpr(Gpr.ESP, esp),
        SetEip(handler),
    )
    old = view.segment(Seg.CS).selector
    entered = Entered(next_eip(view, instruction.length), old, image, handler, esp)
    return Result("SYSENTER", effects, entered=entered)


def sysexit(view: View, instruction: Instruction) -> Result:
    """User code at EDX with stack ECX. IF is not touched: kernels write STI; SYSEXIT."""
    system = view.system
    selector, _, _ = entry(system)
    if not is_protected(view) or selector == 0 or not may_use_privileged(view):
        return Result(instruction.mnemonic, (Raise(GP, 0),))
    hole = system.hole if system.paravirtual else 1 << 32
    code = flat(_behind(selector, 16) | 3, 3, code=True, hole=hole)
    stack = flat(_behind(selector, 24) | 3, 3, code=False, hole=hole)
    eip, esp = view.gpr(Gpr.EDX), view.gpr(Gpr.ECX)
    effects = (SetSegment(Seg.CS, code), SetSegment(Seg.SS, stack), SetGpr(Gpr.ESP, esp), SetEip(eip))
    image = eflags.guest_flags(view.eflags, system)
    return Result(instruction.mnemonic, effects, returned=Returned(eip, code.selector, image, esp, stack.selector))
