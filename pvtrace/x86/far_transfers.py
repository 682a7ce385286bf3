"""Far JMP and CALL, as far as they reach another task. To code, by a call gate too, the CPU itself goes.

In a paravirtual guest a task's TSS would be the hypervisor's; the run ends there with a sentence.
"""

from pvtrace.model.registers import Seg
from pvtrace.model.stops import Why
from pvtrace.x86 import descriptors
from pvtrace.x86.descriptors import SegmentFault, SystemType
from pvtrace.x86.disasm import Instruction
from pvtrace.x86.effects import End, Native, Raise
from pvtrace.x86.exceptions import GP, NP
from pvtrace.x86.operands import MASK32, is_protected, is_user, linear_address, next_eip
from pvtrace.x86.results import Result
from pvtrace.x86.task_switch import By, is_task, switch
from pvtrace.x86.view import View


def far_transfer(view: View, instruction: Instruction) -> Result:
    """May raise PageFault while it reads the pointer, the tables or a TSS."""
    name = instruction.mnemonic
    native = Result(name, (Native(),))
    if not is_protected(view):
        return native
    selector = _selector(view, instruction)
    entry = None if descriptors.is_null(selector) else descriptors.fetch(view, selector)
    if entry is None or not is_task(entry[1]):
        return native
    by = By.CALL if name.startswith("CALL") else By.JUMP
    try:
        tss = _task(view, selector, entry)
        if view.system.paravirtual:
            detail = f"{name} to another task (selector {selector:04x}) at {view.eip:08x} ends a paravirtual guest"
            return Result(name, (End(Why.UNSUPPORTED, 0, detail),), operand=selector)
        outcome = switch(view, tss, by, return_eip=next_eip(view, instruction.length))
    except SegmentFault as refused:
        return Result(name, (Raise(refused.vector, refused.error),), operand=selector)
    if isinstance(outcome, End):
        return Result(name, (outcome,), operand=selector)
    return Result(name, outcome.effects, operand=selector, task_switch=True)


def _selector(view: View, instruction: Instruction) -> int:
    """The selector of the far pointer: behind the offset, in memory or in the instruction itself."""
    if instruction.memory is None:
        last = (view.segment(Seg.CS).base + view.eip + instruction.length - 2) & MASK32
        return int.from_bytes(view.read(last, 2, is_user(view)), "little")
    address = linear_address(view, instruction.memory, instruction.address_size) + instruction.operand_size
    return int.from_bytes(view.read(address & MASK32, 2, is_user(view)), "little")


def _task(view: View, selector: int, entry: tuple[int, int]) -> int:
    """The selector of the TSS that is meant, after the checks on privilege and on a task gate (SDM volume 2, JMP)."""
    error = selector & 0xFFFC
    high = entry[1]
    if descriptors.dpl(high) < max(view.cpl, selector & 3):
        raise SegmentFault(GP, error)
    if descriptors.system_type(high) != SystemType.TASK_GATE:
        return selector
    if not descriptors.is_present(high):
        raise SegmentFault(NP, error)
    return descriptors.gate_from_descriptor(*entry).selector
