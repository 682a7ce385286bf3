"""What a BIOS does with an option ROM before it boots: it calls the ROM's initialisation entry in real mode."""

from typing import TYPE_CHECKING, Final

from pvtrace.model.events import Kind
from pvtrace.model.exits import Arrived, Halt
from pvtrace.model.registers import Gpr, Seg, Segment
from pvtrace.model.step import Step

if TYPE_CHECKING:
    from pvtrace.machine.machine import Machine

ENTRY: Final = 3
"""Offset of the entry in the ROM (PnP BIOS specification 1.0A, section 3.1)."""

PATIENCE: Final = 100_000
"""Steps that an initialisation may take."""

RETURN_TO: Final = 0x500
"""Where the entry returns to: free memory behind the BIOS data area, which holds a HLT for the time of the call."""

STACK: Final = 0x7C00
_CR0_REAL: Final = 0x10
_CR0_PROTECTED: Final = 0x11
_HLT: Final = b"\xf4"
_CODE, _DATA = 0x9B00, 0x9300


def initialise(machine: "Machine", address: int) -> None:
    """Far-call the entry of the ROM at a physical address. A ROM that does not come back is left alone, with a note."""
    cpu = machine.cpu
    cpu.set_cr(0, _CR0_REAL)
    for register in Seg:
        cpu.set_segment(register, Segment(0, 0, 0xFFFF, _DATA))
    cpu.set_segment(Seg.CS, Segment(address >> 4, address, 0xFFFF, _CODE))
    cpu.write_physical(RETURN_TO, _HLT)
    cpu.write_physical(STACK - 4, RETURN_TO.to_bytes(4, "little"))
    cpu.set_gpr(Gpr.ESP, STACK - 4)
    cpu.eip = ENTRY
    came_back = False
    until = Step(cpu.steps + PATIENCE)
    while not came_back and machine.ended is None and cpu.steps < until:
        exit_ = cpu.run(until)
        came_back = isinstance(exit_, Halt) and cpu.segment(Seg.CS).base + cpu.eip == RETURN_TO
        if not came_back and not isinstance(exit_, Arrived):
            machine.react(exit_)
    cpu.write_physical(RETURN_TO, bytes(1))
    cpu.write_physical(STACK - 4, bytes(4))
    cpu.set_cr(0, _CR0_PROTECTED)
    if not came_back:
        text = f"the initialisation entry of the ROM at {address:05X}h did not return"
        machine.journal.saw(Kind.NOTE, machine.system, address + ENTRY, text)
