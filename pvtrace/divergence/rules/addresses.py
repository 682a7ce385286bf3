"""Addresses that a paravirtual guest cannot reach as it would natively: the top of linear space, and ports.

The emulated CPU checks no limit of a data segment. What lies beyond a clipped limit is refused where it lies in the
hypervisor's part of linear space; an offset that wraps around below the segment's base passes.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from pvtrace.divergence.outcomes import exception_words
from pvtrace.divergence.rules.compared import raised
from pvtrace.divergence.rules.rule import FaultRule, InstructionRule
from pvtrace.divergence.scenes import Executed, Faulted
from pvtrace.model.findings import Finding
from pvtrace.model.registers import Gpr, Seg
from pvtrace.x86.delivery import as_exception
from pvtrace.x86.descriptors import is_writable_data
from pvtrace.x86.disasm import Instruction, memory_access
from pvtrace.x86.exceptions import GP
from pvtrace.x86.operands import MASK32, code_bits, effective_address, stack_mask, within
from pvtrace.x86.view import View


class Access(NamedTuple):
    """`width` bytes at an offset in a segment."""

    segment: Seg
    offset: int
    width: int
    store: bool


_SOURCES: Final = frozenset(b"\xa4\xa5\xa6\xa7\xac\xad")
_DESTINATIONS: Final = frozenset(b"\xa4\xa5\xa6\xa7\xaa\xab\xae\xaf")
_STORED_TO: Final = frozenset(b"\xa4\xa5\xaa\xab")
"""String instructions by opcode: what reads at ESI, uses EDI, and stores there."""

_PUSHES: Final = frozenset({"PUSH", "CALL", "PUSHAL", "PUSHAW", "ENTER"})
_POPS: Final = frozenset({"POP", "RET", "POPAL", "POPAW"})


def accesses(view: View, code: bytes, instruction: Instruction) -> Iterator[Access]:
    """What an ordinary instruction reads and writes, its own bytes first."""
    yield Access(Seg.CS, view.eip, instruction.length, store=False)
    opcode = instruction.opcode[0] if instruction.opcode else 0
    if opcode in _SOURCES | _DESTINATIONS:
        yield from _string(view, instruction, opcode)
    elif instruction.memory is not None:
        access = memory_access(code, code_bits(view))
        if access is not None:
            offset = effective_address(view, instruction.memory, instruction.address_size)
            yield Access(instruction.memory.segment, offset, access.width, access.stores)
    size, mask = instruction.operand_size, stack_mask(view.segment(Seg.SS))
    if instruction.mnemonic in _PUSHES:
        yield Access(Seg.SS, view.gpr(Gpr.ESP) - size & mask, size, store=True)
    elif instruction.mnemonic in _POPS:
        yield Access(Seg.SS, view.gpr(Gpr.ESP) & mask, size, store=False)


def _string(view: View, instruction: Instruction, opcode: int) -> Iterator[Access]:
    width = instruction.operand_size if opcode & 1 else 1
    mask = MASK32 if instruction.address_size == 4 else 0xFFFF
    if opcode in _SOURCES:
        segment = Seg.DS if instruction.override is None else instruction.override
        yield Access(segment, view.gpr(Gpr.ESI) & mask, width, store=False)
    if opcode in _DESTINATIONS:
        yield Access(Seg.ES, view.gpr(Gpr.EDI) & mask, width, opcode in _STORED_TO)


def reaches_hypervisor(scene: Faulted) -> Access | None:
    """The first access of an instruction that raised #GP(0) which reaches the hypervisor's part of linear space."""
    hole = scene.view.system.hole
    if scene.error != 0 or hole > MASK32:
        return None
    every = accesses(scene.view, scene.code, scene.instruction)
    return next((each for each in every if _linear(scene, each) + each.width > hole), None)


def _linear(scene: Faulted, access: Access) -> int:
    return scene.view.segment(access.segment).base + access.offset & MASK32


def refused(scene: Faulted) -> Iterator[Finding]:
    """The hypervisor's part of linear space is #GP(0) whatever the page tables say. Natively they decide."""
    access = reaches_hypervisor(scene)
    if access is None:
        return
    segment = scene.native.segment(access.segment)
    if not within(segment, access.offset, access.width) or (access.store and not is_writable_data(segment.attributes)):
        return  # natively the segment forbids it as well
    first = _linear(scene, access)
    ends = (scene.native.refusal(at & MASK32, write=access.store) for at in (first, first + access.width - 1))
    fault = next((each for each in ends if each is not None), None)
    native = "passes" if fault is None else exception_words(as_exception(fault).vector, fault.error)
    mine = exception_words(scene.vector, scene.error)
    address = max(first, scene.view.system.hole)
    what = f"offset {access.offset:#x} of {access.segment.name}" if segment.base else f"address {address:#010x}"
    yield scene.finding(
        "clipped-limit" if segment.base else "linear-top",
        "exception",
        native=native,
        paravirtual=mine,
        text=f"{scene.instruction.mnemonic} reaches {what}, which is the hypervisor's: {mine}; natively "
        + ("it passes" if fault is None else native),
    )


def user_port(scene: Executed) -> Iterator[Finding]:
    """User code at another IOPL than natively (rules `iret-iopl`, `popf`)."""
    each = raised(scene, "passes")
    if each is not None:
        yield scene.finding(
            "user-ports",
            each.what,
            native=each.native,
            paravirtual=each.mine,
            text=f"user {scene.instruction.mnemonic} at virtual IOPL {scene.view.system.viopl}: {each.mine}; natively "
            f"IOPL is {scene.shadow.iopl}: {each.native}",
        )


INSTRUCTIONS: Final[Mapping[str, tuple[InstructionRule, ...]]] = {
    "IN": (user_port,),
    "INS": (user_port,),
    "OUT": (user_port,),
    "OUTS": (user_port,),
}
FAULTS: Final[Mapping[int, tuple[FaultRule, ...]]] = {GP: (refused,)}
