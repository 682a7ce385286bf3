"""Law 8, native: for every VMI call without a declared allowance, the native and the paravirtual outcome are equal for
all generated states.

Native is what the call stands for: an instruction that x86.privileged or x86.ports performs at CPL 0, or a store. What
may differ, for every call or for one, is in two tables with the reason, and nowhere else.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from struct import pack
from typing import Any, Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pvtrace.model.exits import PortRead, PortWrite
from pvtrace.model.registers import Gpr, Seg, Segment
from pvtrace.vmi.effects import transfers_control
from pvtrace.x86 import descriptors as d
from pvtrace.x86 import eflags
from pvtrace.x86.effects import Effects, Raise, SetSystem, WriteMemory
from pvtrace.x86.exceptions import PF
from pvtrace.x86.ports import port_read, port_write
from pvtrace.x86.privileged import execute
from pvtrace.x86.view import PageFault
from rom.abi import CALLS, Generation, Place, by_name
from tests.vmi.vmi_flat import DATA, GDT, HOLE, IDT, LDT, LDT_SELECTOR, SITE, STACK, TSS, TSS_SELECTOR, Guest, paravirtual

V3, V13 = Generation.V3, Generation.V13
Outcome = dict[str, Any]
Native = Callable[[Guest, Mapping[str, int], Generation], None]

EVERYWHERE: Final = {
    "the ring of kernel selectors and descriptors, and limits that reach into the hypervisor": (
        "the kernel runs at privilege level 1, below the hypervisor; `normal` and `tables` take them out"
    ),
    "EIP": "a site of the native instruction is as long as the instruction, one of the call is five bytes",
}
"""What may differ whatever the call."""

NO_NATIVE: Final = {
    "Init": "there is no hypervisor natively",
    "GetRelocationInfo": "there is no ROM natively",
    "INVD": "natively it loses memory; a paravirtual guest is terminated",
    "Reboot": "a platform's own ports do this natively",
    "Shutdown": "a platform's own ports do this natively",
    "SetInitialAPState": "the processor starts in real mode natively",
    "APICRead": "a load from device memory natively, which no handler sees",
    "APICWrite": "a store to device memory natively, which no handler sees",
    "GetCycleFrequency": "the hypervisor's clock",
    "GetCycleCounter": "the hypervisor's clock",
    "SetAlarm": "the hypervisor's clock",
    "CancelAlarm": "the hypervisor's clock",
    "GetWallclockTime": "the hypervisor's clock",
    "WallclockUpdated": "the hypervisor's clock",
    "SetCallbacks": "no text says what it does",
}
"""Calls that nothing native stands for."""

ALLOWED: Final[dict[str, dict[str, str]]] = {
    "SetGDT": {"segments": "a live segment is loaded anew at once; natively it keeps its hidden part"},
    "SetLDT": {"segments": "a live segment is loaded anew at once; natively it keeps its hidden part"},
    "WriteGDTEntry": {"segments": "a live segment is loaded anew at once; natively it keeps its hidden part"},
    "WriteLDTEntry": {"segments": "a live segment is loaded anew at once; natively it keeps its hidden part"},
    "SetCR0": {"cr0": "protection and paging cannot be turned off"},
    "SetCR4": {"cr4": "the paging mode cannot be changed"},
    "UpdatePxE": {"fault": "the hypervisor reads the entry, natively nobody does"},
    "UpdatePxELong": {"fault": "the hypervisor reads the entry, natively nobody does"},
    "EnableInterrupts": {"shadow": "a pending interrupt is delivered before the next instruction"},
    "SYSEXIT": {"shadow": "a pending interrupt is delivered before the next instruction"},
    "Halt": {"shadow": "a pending interrupt is delivered before the next instruction"},
    "INB": {"eax": "the result is zero-extended; the instruction keeps the bits above", "ax": "the same"},
    "INW": {"eax": "the result is zero-extended; the instruction keeps the bits above"},
    "IRET": {
        "IOPL": "virtual IOPL stays, whatever the image says",
        "IF": "user mode runs with interrupts on, whatever the image says",
        "msrs": "entering virtual-8086 mode clears SYSENTER_CS",
        "esp": "all of ESP is loaded for a 16-bit stack of user mode, natively its lower half",
    },
}
"""What of the outcome may differ for one call, and why. Everything else must be equal."""

NOT_GENERATED: Final = {
    "GetDR": "DR4 and DR5 are aliases whatever CR4.DE says, and a number that is no register reads 0",
    "SetDR": "DR4 and DR5 are aliases whatever CR4.DE says, and a number that is no register is ignored",
    "SetGDT": "a table without the live CS or SS ends the run",
    "WriteGDTEntry": "an entry that makes the live CS or SS invalid ends the run",
    "IRET": "selectors of privilege level 1, which a native kernel does not have",
    "SYSEXIT": "SYSENTER_CS of 0: natively STI has been executed when SYSEXIT faults, the call is undone as a whole",
    "OUTS": "the descriptor tables for a buffer, which hold the rewritten descriptors",
}
"""States and operands that are left out, because the outcome is another by another rule."""


def ran(guest: Guest, effects: Effects) -> bool:
    """Apply what an instruction does. Returns False, with the fault as the outcome, if it raises."""
    if effects and isinstance(effects[-1], Raise):
        raise _Faulted(effects[-1])
    guest.apply(effects)
    return True


class _Faulted(Exception):
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
    if generation is V3:
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

# ------------------------------------------------------------------ states

WORD = st.integers(0, 0xFFFFFFFF)
POINTER = st.sampled_from((DATA, DATA + 1, DATA + 0xFFD, GDT, STACK - 0x100, 0x7FFFF000, 0xFFFFFFFC))
SELECTOR = st.sampled_from((0, 3, 8, 9, 0x10, 0x1B, 0x23, TSS_SELECTOR, LDT_SELECTOR, 0x34, 0x38, 0x1000))
SPECIAL: Final[dict[str, st.SearchStrategy[int]]] = {
    "selector": SELECTOR,
    "count": st.integers(0, 6),
    "index": st.sampled_from((3, 4, 5, 6, 7)),
    "vector": st.integers(0, 255),
    "counter": st.integers(0, 3),
    "mode": st.integers(0, 2),
    "register": st.sampled_from((0, 1, 2, 3, 6, 7)),
    "stack": st.sampled_from((0x10, 0x11)),
    "leaf": st.sampled_from((0, 1, 2, 0x80000000, 0x80000001, 77)),
    "table_pointer": POINTER,
    "buffer_pointer": POINTER,
    "entry_pointer": POINTER,
}
MSR = st.one_of(st.sampled_from((0x10, 0x1B, 0x174, 0x175, 0x176, 0x1A0, 0x277, 0xC0000080)), st.integers(0, 0x200))
FRAME = st.tuples(
    st.sampled_from((0x8100, 0x12345678)),
    st.sampled_from((8, 0x1B, 0x18, 0x10, 0, 0x23, 0x33, 0x1008)),
    st.integers(0, 0x3FFFF).map(lambda flags: flags & ~eflags.NT | eflags.FIXED),
    WORD,
    st.sampled_from((0x23, 0x20, 0x10, 0, 0x1B, 0x3B)),
    *(st.integers(0, 0xFFFF),) * 4,
)
"""EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS."""

STATE = st.fixed_dictionaries(
    {
        "gprs": st.lists(WORD, min_size=8, max_size=8),
        "flags": st.integers(0, 0xFFFF).map(lambda flags: flags & (eflags.ARITHMETIC | eflags.DF) | eflags.FIXED),
        "vif": st.booleans(),
        "viopl": st.integers(0, 3),
        "cr0": st.integers(0, 15).map(lambda bits: 0x80010011 | bits << 1 & 0x2E),
        "cr2": WORD,
        "cr3": st.integers(0, 0xFFFFF).map(lambda frame: frame << 12),
        "cr4": st.sampled_from((0, 0x10, 0x90, 0x8, 0x104, 0x600)),
        "drs": st.lists(WORD, min_size=4, max_size=4),
        "sysenter": st.sampled_from((0, 8, 9)),
        "ldt": st.booleans(),
        "limit": st.sampled_from((0x17, 0x2F, 0x3F, 0x40)),
        "data": st.binary(min_size=32, max_size=32),
        "ports": st.lists(WORD, min_size=8, max_size=8),
        "ticks": st.integers(2000, 1 << 40),
        "frame": FRAME,
    }
)


def set_up(guest: Guest, state: Mapping[str, Any]) -> Guest:
    """Put the guest into the state: natively as it is, paravirtually as the guest believes it to be."""
    stack = guest.gprs[Gpr.ESP]
    guest.gprs = [*state["gprs"]]
    guest.gprs[Gpr.ESP] = stack - 0x40
    virtual = (eflags.IF if state["vif"] else 0) | state["viopl"] << 12
    guest.eflags = state["flags"] | (eflags.IF if guest.system.paravirtual else virtual)
    guest.crs = [state["cr0"], 0, state["cr2"], state["cr3"], state["cr4"]]
    drs = (*state["drs"], 0, 0, 0xFFFF0FF0, 0x400)
    system = replace(guest.system, vif=state["vif"], viopl=state["viopl"], drs=drs)
    guest.system = replace(system, msrs=system.with_msr(0x174, state["sysenter"]))
    if state["ldt"]:
        guest.ldtr = d.segment_from_descriptor(LDT_SELECTOR, *guest.entry(LDT_SELECTOR))
    guest.memory[DATA : DATA + 32] = state["data"]
    guest.memory[DATA + 8 : DATA + 14] = pack("<HI", state["limit"], GDT)
    guest.memory[stack - 0x40 : stack - 0x40 + 36] = pack("<9I", *state["frame"])
    guest.ports = [*state["ports"]]
    guest.ticks = state["ticks"]
    return guest


def normal(segment: Segment) -> tuple[int, ...]:
    """A segment register without what EVERYWHERE allows."""
    if d.is_null(segment.selector):
        return (segment.selector & 3,)
    low, high = d.deprivileged(*d.encode_segment(segment), HOLE)
    return (segment.selector & ~3 | (3 if segment.rpl == 3 else 0), low, high)


def tables(memory: bytearray) -> bytes:
    """Memory with every descriptor of GDT and LDT as a paravirtual table must hold it."""
    made = bytearray(memory)
    for table, size in ((GDT, 0x40), (LDT, 0x40)):
        for at in range(table, table + size, 8):
            low, high = int.from_bytes(memory[at : at + 4], "little"), int.from_bytes(memory[at + 4 : at + 8], "little")
            made[at : at + 8] = pack("<II", *d.deprivileged(low, high, HOLE))
    made[TSS + 4 : TSS + 12] = bytes(8)
    made[SITE : SITE + 8] = bytes(8)
    return bytes(made)


def without_write(fault: Raise) -> int | None:
    """The error code; the flat memory of these guests does not tell loads and stores apart."""
    return fault.error & ~2 if fault.vector == PF and fault.error is not None else fault.error


def outcome(guest: Guest, fault: Raise | None) -> Outcome:
    """All that the guest can know of itself."""
    flags = eflags.guest_flags(guest.eflags, guest.system)
    stack = guest.system.kernel_stack or (guest.word(TSS + 8), guest.word(TSS + 4))
    found: Outcome = {
        "fault": fault and (fault.vector, without_write(fault), fault.address),
        "IF": flags & eflags.IF,
        "IOPL": flags & eflags.IOPL,
        "flags": flags & ~(eflags.IF | eflags.IOPL),
        "segments": [normal(segment) for segment in guest.segments],
        "ldtr": normal(guest.ldtr),
        "tr": normal(guest.tr),
        "gdtr": guest.gdtr,
        "idtr": guest.idtr,
        "memory": tables(guest.memory),
        "msrs": [pair for pair in guest.system.msrs if pair[1]],
        "drs": guest.system.drs,
        "shadow": guest.system.shadow,
        "kernel stack": (stack[0] & ~3, stack[1]),
        "written": guest.written,
        "halted": guest.halted,
        "returned": guest.returned and (guest.returned.eip, guest.returned.cs & ~3, guest.returned.ss & ~3),
        **{f"cr{number}": guest.crs[number] for number in (0, 2, 3, 4)},
        **{register.name.lower(): guest.gprs[register] for register in Gpr},
    }
    found |= {"ax": found["eax"] & 0xFFFF, "al": found["eax"] & 0xFF}
    return found


def natively(name: str, state: Mapping[str, Any], operands: Mapping[str, int], generation: Generation) -> Outcome:
    guest = set_up(Guest(), state)
    for operand in by_name(name).arguments:
        if operand.place not in (Place.STACK1, Place.STACK2):
            guest.gprs[Gpr[operand.place.name]] = operands[operand.name]
    fault = None
    try:
        NATIVE[name](guest, operands, generation)
    except _Faulted as raised:
        fault = raised.raised
    except PageFault as refused:
        fault = Raise(PF, refused.error, refused.address)
    return outcome(guest, fault)


def by_call(name: str, state: Mapping[str, Any], operands: Mapping[str, int], generation: Generation) -> Outcome:
    guest = set_up(paravirtual(generation), state)
    esp = guest.gprs[Gpr.ESP]
    fault = None
    effects = guest.call(name, generation, **operands)
    if effects and isinstance(effects[-1], Raise):
        fault, effects = effects[-1], effects[:-1]
    try:
        guest.apply(effects)
    except PageFault as refused:
        fault = Raise(PF, refused.error, refused.address)
        guest.gprs[Gpr.ESP] = esp
    else:
        if fault is None and not transfers_control(effects):
            guest.gprs[Gpr.ESP] += 4
    return outcome(guest, fault)


CASES = [
    (call.name, generation) for call in CALLS for generation in Generation if call.number(generation) is not None and call.name in NATIVE
]


def operands_of(name: str, generation: Generation) -> st.SearchStrategy[dict[str, int]]:
    chosen: dict[str, st.SearchStrategy[int]] = {}
    for operand in by_name(name).arguments:
        chosen[operand.name] = SPECIAL.get(operand.name, WORD)
    if name in ("RDMSR", "WRMSR"):
        chosen["index"] = MSR
    if name == "WRMSR":
        chosen["value_high"] = st.sampled_from((0, 1))
    if name == "SetGDT":
        chosen["table_pointer"] = st.sampled_from((DATA + 8, 0x7FFFF000))
    if name == "RDPMC":
        chosen["index"] = st.integers(0, 3)
    if name == "WriteIDTEntry":
        chosen["table_pointer"] = st.sampled_from((IDT, DATA, 0x7FFFF000))
    if name in ("WriteGDTEntry", "WriteLDTEntry"):
        chosen["table_pointer"] = st.sampled_from((GDT, LDT, 0x7FFFF000))
    if name in ("OUTS", "OUTSB", "OUTSW"):
        chosen["buffer_pointer"] = st.sampled_from((DATA, DATA + 1, DATA + 0xFFD, 0x7FFFF000))
    if name == "UpdateKernelStack" and generation is V13:
        chosen["stack"] = st.just(TSS)
    return st.fixed_dictionaries(chosen)


@pytest.mark.parametrize(("name", "generation"), CASES)
@settings(max_examples=15, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(data=st.data(), state=STATE)
def test_equal(name: str, generation: Generation, data: st.DataObject, state: Mapping[str, Any]) -> None:
    operands = data.draw(operands_of(name, generation))
    if name == "SYSEXIT":
        state = {**state, "sysenter": state["sysenter"] or 8}
    native = natively(name, state, operands, generation)
    call = by_call(name, state, operands, generation)
    allowed = ALLOWED.get(name, {})
    different = {part for part in native if native[part] != call[part]} - allowed.keys()
    assert not different, {part: (native[part], call[part]) for part in different}


def test_every_call_has_its_native_meaning_or_a_reason_for_having_none() -> None:
    names = {call.name for call in CALLS}
    assert NATIVE.keys() | NO_NATIVE.keys() == names
    assert not NATIVE.keys() & NO_NATIVE.keys()
    assert ALLOWED.keys() <= NATIVE.keys()
