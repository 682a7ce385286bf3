"""Where an instruction takes selectors from: general registers, and linear addresses of 16-bit words. Pure.

Only selectors that the program supplies: not those that are in segment registers already, and not the frame of IRET.
"""

from typing import Final, NamedTuple

from pvtrace.model.registers import Gpr, Seg
from pvtrace.x86.disasm import Instruction
from pvtrace.x86.operands import MASK32, linear_address, stack_mask
from pvtrace.x86.segment_instructions import LOAD, POINTED, POPPED
from pvtrace.x86.view import View

_IN_RM: Final = frozenset({"LAR", "LSL", "VERR", "VERW", "ARPL", "LLDT", "LTR"})
_FAR: Final = frozenset({"JMP FAR", "CALL FAR"})


class Selectors(NamedTuple):
    registers: tuple[int, ...] = ()
    addresses: tuple[int, ...] = ()


NONE: Final = Selectors()


def selectors(view: View, instruction: Instruction) -> Selectors:
    name = instruction.mnemonic
    if name in _IN_RM or instruction.opcode == LOAD:
        source = (instruction.reg,) if name == "ARPL" else ()
        if instruction.memory is None:
            return Selectors((instruction.rm, *source))
        return Selectors(source, (linear_address(view, instruction.memory, instruction.address_size),))
    if name in _FAR and instruction.memory is None:
        return Selectors(addresses=(view.segment(Seg.CS).base + view.eip + instruction.length - 2 & MASK32,))
    if name in _FAR or instruction.opcode in POINTED:
        if instruction.memory is None:
            return NONE
        pointer = linear_address(view, instruction.memory, instruction.address_size)
        return Selectors(addresses=(pointer + instruction.operand_size & MASK32,))
    if instruction.opcode in POPPED:
        return Selectors(addresses=(_on_stack(view, 0),))
    if name == "RETF":
        return Selectors(addresses=(_on_stack(view, instruction.operand_size),))
    return NONE


def _on_stack(view: View, offset: int) -> int:
    stack = view.segment(Seg.SS)
    return stack.base + (view.gpr(Gpr.ESP) + offset & stack_mask(stack)) & MASK32
