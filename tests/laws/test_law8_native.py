"""Law 8, native: for every VMI call without a declared allowance, the native and the paravirtual outcome are equal for
all generated states.

Native is what the call stands for: an instruction that x86.privileged or x86.ports performs at CPL 0, or a store. What
may differ, for every call or for one, is in two tables with the reason, and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import replace
from struct import pack
from typing import Any, Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pvtrace.model.registers import Gpr, Segment
from pvtrace.vmi.effects import transfers_control
from pvtrace.x86 import descriptors as d
from pvtrace.x86 import eflags
from pvtrace.x86.effects import Raise
from pvtrace.x86.exceptions import PF
from pvtrace.x86.view import PageFault
from rom.abi import CALLS, Generation, Place, by_name
from tests.examples import examples
from tests.laws.native_meanings import NATIVE, Faulted
from tests.vmi.vmi_flat import (
    DATA,
    GDT,
    HOLE,
    IDT,
    LDT,
    LDT_SELECTOR,
    SITE,
    STACK,
    TSS,
    TSS_SELECTOR,
    Guest,
    paravirtual,
)

V3, V13 = Generation.V3, Generation.V13
Outcome = dict[str, Any]

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
    except Faulted as raised:
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
    (call.name, generation)
    for call in CALLS
    for generation in Generation
    if call.number(generation) is not None and call.name in NATIVE
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
@settings(max_examples=examples(15), deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
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
