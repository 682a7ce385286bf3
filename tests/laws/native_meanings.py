"""What each VMI call stands for natively: the instruction or the store that a kernel of CPL 0 has in its place."""

from collections.abc import Callable, Mapping
from struct import pack
from typing import Any, Final

from pvtrace.model.exits import PortRead, PortWrite
from pvtrace.model.registers import Gpr
from pvtrace.x86 import eflags
from pvtrace.x86.effects import Effects, Raise, WriteMemory
from pvtrace.x86.ports import port_read, port_write
from pvtrace.x86.privileged import execute
from rom.abi import Generation
from tests.vmi.vmi_flat import SITE, TSS, Guest

Native = Callable[[Guest, Mapping[str, int], Generation], None]


def ran(guest: Guest, effects: Effects) -> bool:
    """Apply what an instruction does. Returns False, with the fault as the outcome, if it raises."""
    if effects and isinstance(effects[-1], Raise):
        raise Faulted(effects[-1])
    guest.apply(effects)
    return True


class Faulted(Exception):
    def __init__(self, raised: Raise) -> None:
        super().__init__()
        self.raised = raised


def instruction(*codes: str) -> Native:
    """One instruction after another, in hexadecimal."""

    def run(guest: Guest, _operands: Mapping[str, int], _generation: Generation) -> None:
        for code in codes:
            result = execute(guest, bytes.fromhex(code))
            ran(guest, result.effects)
            guest.returned = result.returned or guest.returned

    return run


def nothing(_guest: Guest, _operands: Mapping[str, int], _generation: Generation) -> None:
    """The call only tells the hypervisor something that hardware finds by itself."""


def flags_by_popf(mask: int) -> Native:
    """PUSHF, the bits of `mask` changed to those of the operand, POPF."""

    def run(guest: Guest, operands: Mapping[str, int], _generation: Generation) -> None:
        guest.apply(execute(guest, b"\x9c").effects)
        top = guest.gprs[Gpr.ESP]
        guest.put(top, guest.word(top) & ~mask | operands["mask"] & mask)
        ran(guest, execute(guest, b"\x9d").effects)
        guest.put(top, 0)

    return run


def interrupt_mask(guest: Guest, _operands: Mapping[str, int], _generation: Generation) -> None:
    guest.apply(execute(guest, b"\x9c").effects)
    top = guest.gprs[Gpr.ESP]
    guest.gprs[Gpr.EAX] = guest.word(top) & eflags.IF
    guest.put(top, 0)
    guest.gprs[Gpr.ESP] += 4


def debug_register(store: bool) -> Native:
    """MOV to or from the register that the call names."""

    def run(guest: Guest, operands: Mapping[str, int], generation: Generation) -> None:
        number = operands["register"] & 7
        code = f"0f23{0xC0 | number << 3 | 2:02x}" if store else f"0f21{0xC0 | number << 3:02x}"
        instruction(code)(guest, operands, generation)

    return run


def port_in(width: int) -> Native:
    def run(guest: Guest, operands: Mapping[str, int], _generation: Generation) -> None:
        value = guest.ports.pop(0) & (1 << 8 * width) - 1
        result = port_read(guest, PortRead(operands["port"] & 0xFFFF, width, 1))
        assert not isinstance(result.effects[-1], Raise)
        guest.gprs[Gpr.EAX] = guest.gprs[Gpr.EAX] & ~((1 << 8 * width) - 1) | value

    return run


def port_out(width: int) -> Native:
    def run(guest: Guest, operands: Mapping[str, int], _generation: Generation) -> None:
        value = operands["value"] & (1 << 8 * width) - 1
        ran(guest, port_write(guest, PortWrite(operands["port"] & 0xFFFF, width, value, 1)).effects)

    return run


def port_string(code: str, width: int, perform: Callable[..., Any], exit_: Callable[..., Any]) -> Native:
    """REP INS or REP OUTS: an iteration for each element, and one that finds ECX = 0."""

    def run(guest: Guest, operands: Mapping[str, int], _generation: Generation) -> None:
        raw = bytes.fromhex(code)
        guest.memory[SITE : SITE + len(raw)] = raw
        guest.eip = SITE
        extra = (0,) if exit_ is PortWrite else ()
        while guest.gprs[Gpr.ECX]:
            stop = exit_(operands["port"] & 0xFFFF, width, *extra, len(raw), string=True, rep=True)
            ran(guest, perform(guest, stop).effects)
            guest.eip = SITE
        guest.memory[SITE : SITE + len(raw)] = bytes(len(raw))

    return run


def store(address: Callable[[Mapping[str, int]], int], *words: str) -> Native:
    """Plain stores of operands, as a kernel makes them natively: all of them or none."""

    def run(guest: Guest, operands: Mapping[str, int], _generation: Generation) -> None:
        data = pack(f"<{len(words)}I", *(operands[word] for word in words))
        guest.apply((WriteMemory(address(operands) & 0xFFFFFFFF, data),))

    return run


def entry(operands: Mapping[str, int]) -> int:
    return operands["entry_pointer"]


def table_entry(index: str) -> Callable[[Mapping[str, int]], int]:
    return lambda operands: operands["table_pointer"] + 8 * operands[index]


def exchange(size: int, new: tuple[str, ...]) -> Native:
    """XCHG or CMPXCHG8B of an entry; without new words it becomes zero."""

    def run(guest: Guest, operands: Mapping[str, int], _generation: Generation) -> None:
        old = int.from_bytes(guest.read(entry(operands), size), "little")
        data = pack("<2I", *(operands[word] for word in new), *(0,) * (2 - len(new)))[:size]
        guest.apply((WriteMemory(entry(operands), data),))
        loaded(guest, old, size)

    return run


def load(size: int) -> Native:
    def run(guest: Guest, operands: Mapping[str, int], _generation: Generation) -> None:
        loaded(guest, int.from_bytes(guest.read(entry(operands), size), "little"), size)

    return run


def loaded(guest: Guest, value: int, size: int) -> None:
    guest.gprs[Gpr.EAX] = value & 0xFFFFFFFF
    if size == 8:
        guest.gprs[Gpr.EDX] = value >> 32


def bit(change: Callable[[int, int], int]) -> Native:
    """BTS or BTR of an entry's low word."""

    def run(guest: Guest, operands: Mapping[str, int], _generation: Generation) -> None:
        mask = 1 << (operands["bit"] & 31)
        old = int.from_bytes(guest.read(entry(operands), 4), "little")
        guest.apply((WriteMemory(entry(operands), pack("<I", change(old, mask))),))
        guest.gprs[Gpr.EAX] = int(bool(old & mask))

    return run


def kernel_stack(guest: Guest, operands: Mapping[str, int], generation: Generation) -> None:
    """Stores to the TSS: its ss0, which 13.x leaves alone, and esp0."""
    if generation is Generation.V3:
        guest.put(TSS + 8, operands["stack"] & 0xFFFF)
    guest.put(TSS + 4, operands["esp0"])


def identity(operand: str) -> Native:
    def run(guest: Guest, operands: Mapping[str, int], _generation: Generation) -> None:
        guest.gprs[Gpr.EAX] = operands[operand]

    return run


def deferred(guest: Guest, _operands: Mapping[str, int], _generation: Generation) -> None:
    guest.gprs[Gpr.EAX] = 0


NATIVE: Final[dict[str, Native]] = {
    "CPUID": instruction("0fa2"),
    "WRMSR": instruction("0f30"),
    "RDMSR": instruction("0f32"),
    "RDPMC": instruction("0f33"),
    "RDTSC": instruction("0f31"),
    "EnableInterrupts": instruction("fb"),
    "DisableInterrupts": instruction("fa"),
    "GetInterruptMask": interrupt_mask,
    "SetInterruptMask": flags_by_popf(eflags.IF),
    "Pause": nothing,
    "Halt": instruction("fb", "f4"),
    "SetGDT": instruction("0f0110"),
    "SetLDT": instruction("0f00d0"),
    "SetIDT": instruction("0f0118"),
    "SetTR": instruction("0f00d8"),
    "GetGDT": instruction("0f0100"),
    "GetLDT": instruction("0f00c0"),
    "GetIDT": instruction("0f0108"),
    "GetTR": instruction("0f00c8"),
    "WriteGDTEntry": store(table_entry("index"), "low", "high"),
    "WriteLDTEntry": store(table_entry("index"), "low", "high"),
    "WriteIDTEntry": store(table_entry("vector"), "low", "high"),
    "UpdateKernelStack": kernel_stack,
    **{f"SetCR{number}": instruction(f"0f22{0xC0 | number << 3:02x}") for number in (0, 2, 3, 4)},
    **{f"GetCR{number}": instruction(f"0f20{0xC0 | number << 3:02x}") for number in (0, 2, 3, 4)},
    "WBINVD": instruction("0f09"),
    "SetDR": debug_register(store=True),
    "GetDR": debug_register(store=False),
    "CLTS": instruction("0f06"),
    "IRET": instruction("cf"),
    "SYSEXIT": instruction("fb", "0f35"),
    "IN": port_in(4),
    "INB": port_in(1),
    "INW": port_in(2),
    "OUT": port_out(4),
    "OUTB": port_out(1),
    "OUTW": port_out(2),
    "INS": port_string("f36d", 4, port_read, PortRead),
    "INSB": port_string("f36c", 1, port_read, PortRead),
    "INSW": port_string("66f36d", 2, port_read, PortRead),
    "OUTS": port_string("f36f", 4, port_write, PortWrite),
    "OUTSB": port_string("f36e", 1, port_write, PortWrite),
    "OUTSW": port_string("66f36f", 2, port_write, PortWrite),
    "SetIOPLMask": flags_by_popf(eflags.IOPL),
    "IODelay": nothing,
    "SetPxE0": store(entry, "value"),
    "SetPxE": store(entry, "value"),
    "SetPxELong0": store(entry, "value_low", "value_high"),
    "SetPxELong": store(entry, "value_low", "value_high"),
    "GetPxE": load(4),
    "GetPxELong": load(8),
    "SwapPxE": exchange(4, ("value",)),
    "SwapPxELongAtomic": exchange(8, ("value_low", "value_high")),
    "DeactivatePxELongAtomic": exchange(8, ()),
    **dict.fromkeys(("TestAndSetPxEBit", "TestAndSetPxELongBit"), bit(lambda old, mask: old | mask)),
    **dict.fromkeys(("TestAndClearPxEBit", "TestAndClearPxELongBit"), bit(lambda old, mask: old & ~mask)),
    "AllocatePage": nothing,
    "ReleasePage": nothing,
    "InvalPage": instruction("0f0138"),
    "FlushTLB": nothing,
    "FlushDeferredCalls": deferred,
    "SetLinearMapping": nothing,
    "UpdatePxE": nothing,
    "UpdatePxELong": nothing,
    "MachineToPhysical": identity("machine"),
    "PhysicalToMachine": identity("physical"),
    "SetLazyMode": nothing,
}
