"""The registers that gdb is shown: the i386's own, and those that only a kernel sees. Reading them changes nothing."""

from typing import Final

from gdbstub.arch.i386 import CORE, CR0_TYPE, CR3_TYPE, CR4_TYPE, EIP, SSE
from gdbstub.features import Description, Feature, Register
from pvtrace.machine.machine import Machine
from pvtrace.model.registers import Seg

SYSTEM: Final = Feature(
    "org.pvtrace.i386.sys",
    (
        Register("step", 64, "uint64"),
        Register("vif", 32, "uint32"),
        Register("viopl", 32, "uint32"),
        Register("cpl", 32, "uint32"),
        Register("cr0", 32, "i386_cr0"),
        Register("cr2", 32, "data_ptr"),
        Register("cr3", 32, "i386_cr3"),
        Register("cr4", 32, "i386_cr4"),
        *(Register(f"{name}_base", 32, "data_ptr") for name in ("cs", "ss", "ds", "es", "fs", "gs")),
        Register("gdtr_base", 32, "data_ptr"),
        Register("gdtr_limit", 32, "uint32"),
        Register("idtr_base", 32, "data_ptr"),
        Register("idtr_limit", 32, "uint32"),
        Register("ldtr", 32, "uint32"),
        Register("tr", 32, "uint32"),
    ),
    (CR0_TYPE, CR3_TYPE, CR4_TYPE),
)
"""`vif` and `viopl`: IF and IOPL as the guest believes them; eflags shows the real ones."""

DESCRIPTION: Final = Description("i386", (CORE, SSE, SYSTEM), EIP)

_SEGMENTS: Final = (Seg.CS, Seg.SS, Seg.DS, Seg.ES, Seg.FS, Seg.GS)
"""In gdb's order."""

GENERAL: Final = 8
"""How many general registers there are; they come first."""

_ST_BYTES: Final = 10


def values(machine: Machine) -> list[int]:
    """All of them, in the order of DESCRIPTION."""
    cpu = machine.cpu
    registers = cpu.registers()
    segments = [registers.segments[segment] for segment in _SEGMENTS]
    st, xmm, control = cpu.float_registers()
    sixteen = range(0, 128, 16)
    core = [*registers.gprs, registers.eip, registers.eflags, *(segment.selector for segment in segments)]
    stack = [int.from_bytes(st[at : at + _ST_BYTES], "little") for at in sixteen]
    vectors = [int.from_bytes(xmm[at : at + 16], "little") for at in sixteen]
    system = [
        machine.step,
        int(machine.system.vif),
        machine.system.viopl,
        registers.cpl,
        *(registers.crs[number] for number in (0, 2, 3, 4)),
        *(segment.base for segment in segments),
        registers.gdtr.base,
        registers.gdtr.limit,
        registers.idtr.base,
        registers.idtr.limit,
        registers.ldtr.selector,
        registers.tr.selector,
    ]
    return [*core, *stack, *control[:-1], *vectors, control[-1], *system]


def value_of(machine: Machine, number: int) -> int | None:
    """One of them; None for a number that is none. Quick for those that conditions of breakpoints use."""
    if number < GENERAL:
        return machine.cpu.gpr(number)
    if number == EIP:
        return machine.cpu.eip
    every = values(machine)
    return every[number] if number < len(every) else None
