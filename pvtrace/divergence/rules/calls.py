"""A VMI call against the instruction that it stands for: what it demands, how it fails, what it returns.

Judged by the call's event, or by that of the exception that it raised: calls are the hottest thing there is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from pvtrace.divergence.outcomes import exception_words
from pvtrace.divergence.rules.rule import EventRule
from pvtrace.divergence.scenes import Happened
from pvtrace.machine.calls import CALL_LENGTH
from pvtrace.machine.devices.apic_bus import Delivery, message
from pvtrace.model.events import Event, Kind
from pvtrace.model.findings import Finding, Standing
from pvtrace.model.registers import Seg, Segment
from pvtrace.vmi.apic import OFFSET
from pvtrace.vmi.table import unusable_segment
from pvtrace.x86.control_instructions import DE
from pvtrace.x86.descriptors import USER_RING, fetch, is_null, segment_from_descriptor
from pvtrace.x86.exceptions import GP
from pvtrace.x86.operands import MASK32
from pvtrace.x86.view import PageFault
from rom.abi import CallInfo, by_number, call_numbers, from_unified

ICR_LOW: Final = 0x300


def info_of(call: Event) -> CallInfo | None:
    """The call that a HYPERCALL event is of."""
    number = call.args[0]
    assert isinstance(number, int)
    return by_number(*from_unified(number))


def _argument(call: Event, column: int) -> int:
    value = call.args[column]
    assert isinstance(value, int)
    return value


# ---------------------------------------------------------------------- a call that raises an exception


def raised_by_call(scene: Happened) -> Iterator[Finding]:
    """An exception that a call has raised: was the call to blame, or only the EIP that it shows?"""
    call = scene.called
    if call is None or scene.event.cause is None or call.step != scene.event.step:
        return
    info = info_of(call)
    if info is None:
        return
    refused = _refused(scene, info)
    if refused is not None:
        yield from _not_flat(scene, call, info, refused)
    elif info.name != "IRET":  # rules.returns
        yield from _fault_in_call(scene, call, info)


def _refused(scene: Happened, info: CallInfo) -> Seg | None:
    """The segment register for which the call was refused. The handler has another CS; the caller's is on its stack."""
    vector, error = scene.event.args[:2]
    selector = _pushed_cs(scene)
    if (vector, error) != (GP, 0) or selector is None or selector & 3 == USER_RING:
        return None
    code = _descriptor(scene, selector)

    def segment(register: int) -> Segment:
        return code if register == Seg.CS and code is not None else scene.view.segment(register)

    return unusable_segment(info, segment, scene.view.system.hole)


def _pushed_cs(scene: Happened) -> int | None:
    """From the frame error code, EIP, CS."""
    esp = scene.event.args[5]
    assert isinstance(esp, int)
    try:
        return int.from_bytes(scene.view.read(esp + 8 & MASK32, 2), "little")
    except PageFault:
        return None


def _descriptor(scene: Happened, selector: int) -> Segment | None:
    try:
        image = fetch(scene.view, selector)
    except PageFault:
        return None
    return None if image is None else segment_from_descriptor(selector, *image)


_BY_DS: Final = frozenset(
    {
        *("SetGDT", "SetIDT", "GetGDT", "GetIDT", "WriteGDTEntry", "WriteLDTEntry", "WriteIDTEntry"),
        *("UpdateKernelStack", "APICRead", "APICWrite", "OUTS", "OUTSB", "OUTSW"),
        *("SetPxE", "SetPxE0", "SetPxELong", "SetPxELong0", "GetPxE", "GetPxELong", "SwapPxE", "SwapPxELongAtomic"),
        *("TestAndSetPxEBit", "TestAndClearPxEBit", "TestAndSetPxELongBit", "TestAndClearPxELongBit"),
        "DeactivatePxELongAtomic",
    }
)
_BY_ES: Final = frozenset({"INS", "INSB", "INSW"})
"""Calls whose native instructions reach for memory through that segment register, and fault natively if it is null."""


def _not_flat(scene: Happened, call: Event, info: CallInfo, register: Seg) -> Iterator[Finding]:
    reached = {Seg.DS: _BY_DS, Seg.ES: _BY_ES}.get(register, frozenset())
    faults_natively = info.name in reached and is_null(scene.view.segment(register).selector)
    needs = "flat DS and ES" if register in (Seg.DS, Seg.ES) else "flat 32-bit CS and SS"
    found = scene.finding(
        "call-flat-data" if register in (Seg.DS, Seg.ES) else "call-flat-stack",
        register.name.lower(),
        native=exception_words(GP, 0) if faults_natively else "is performed",
        paravirtual=exception_words(GP, 0),
        text=f"{info.name} raises {exception_words(GP, 0)} for its {register.name}: the call needs {needs}, the native "
        "instruction does not" + (", but reaches for memory through it and faults as well" if faults_natively else ""),
        standing=Standing.POTENTIAL if faults_natively else Standing.PROVEN,
    )
    yield at_site(scene, found, call)


def _fault_in_call(scene: Happened, call: Event, info: CallInfo) -> Iterator[Finding]:
    vector, error = scene.event.args[:2]
    assert isinstance(vector, int)
    assert error is None or isinstance(error, int)
    native, shown = call.pc, scene.event.pc
    same = native == shown
    what = "at the call site, as natively" if same else f"at {shown:08x}, natively at {native:08x}"
    found = scene.finding(
        "fault-in-call",
        "eip",
        native=native,
        paravirtual=shown,
        text=f"{exception_words(vector, error)} of {info.name} shows its EIP {what}",
        standing=Standing.POTENTIAL if same else Standing.PROVEN,
        setting="fault-eip=harsh" if not same and scene.view.latitude.fault_eip else "",
    )
    yield at_site(scene, found, call)


def at_site(scene: Happened, finding: Finding, call: Event) -> Finding:
    """A finding about the call, not about the place that its exception shows."""
    return replace(finding, pc=call.pc, code=_code(scene, call.pc))


def _code(scene: Happened, site: int) -> bytes:
    try:
        return scene.view.read(site, CALL_LENGTH)
    except PageFault:
        return b""


# ---------------------------------------------------------------------- what a call returns, and when it acts

_WIDTHS: Final = {"INB": 1, "INW": 2}


def call_registers(scene: Happened) -> Iterator[Finding]:
    """INB and INW give all of EAX, where IN keeps the bits above the port's width."""
    info = info_of(scene.event)
    before, result = _argument(scene.event, 1), _argument(scene.event, 5)
    if info is None:
        return
    low = (1 << 8 * _WIDTHS[info.name]) - 1
    native = before & ~low | result & low
    kept = f"natively EAX would be {native:#x}" if native != result else "they were 0 before"
    yield scene.finding(
        "call-registers",
        "eax",
        before=before,
        native=native,
        paravirtual=result,
        text=f"{info.name} by call clears the bits of EAX above the port's {8 * _WIDTHS[info.name]}: {kept}",
        standing=Standing.PROVEN if native != result else Standing.POTENTIAL,
    )


def debug_alias(scene: Happened) -> Iterator[Finding]:
    """DR4 and DR5 are #UD natively while CR4.DE is set."""
    info, number = info_of(scene.event), _argument(scene.event, 1)
    if info is None or number not in (4, 5):
        return
    undefined = bool(scene.native.cr(4) & DE)
    yield scene.finding(
        "debug-alias",
        f"dr{number}",
        native="#UD" if undefined else f"dr{number + 2}",
        paravirtual=f"dr{number + 2}",
        text=f"{info.name} takes debug register {number} for {number + 2}"
        + ("; natively MOV DR raises #UD, since CR4.DE is set" if undefined else ", as MOV DR does without CR4.DE"),
        standing=Standing.PROVEN if undefined else Standing.POTENTIAL,
    )


def ap_start(scene: Happened) -> Iterator[Finding]:
    """A start-up message by APICWrite. With one processor nothing starts on either machine."""
    register, value = _argument(scene.event, 1), _argument(scene.event, 2)
    if register & OFFSET != ICR_LOW:
        return
    sent = message(value, 0)
    if sent.delivery is not Delivery.STARTUP:
        return
    given = "at the state of SetInitialAPState" if scene.vmi.ap_states else "not at all: no state was set"
    yield scene.finding(
        "ap-start",
        "processor",
        native=f"real mode, {sent.vector << 8:04x}:0000",
        paravirtual=given,
        text=f"a start-up message with vector {sent.vector:02x}h: natively the processor begins in real mode at "
        f"{sent.vector << 12:05x}, under VMI {given} (there is one processor here, and none starts)",
        standing=Standing.POTENTIAL,
    )


def deferred_pte(scene: Happened) -> Iterator[Finding]:
    """An update of a page table that waits. What the guest's accesses see until it is applied is not known."""
    if not scene.view.latitude.defer or not scene.vmi.held:
        return
    last = scene.vmi.held[-1]
    if last.site != scene.event.pc or (last.eax, last.edx, last.ecx) != scene.event.args[1:4]:
        return
    long = last.number in _LONG
    entry = last.ecx if long else last.edx
    new = (last.edx << 32 | last.eax).to_bytes(8, "little") if long else last.eax.to_bytes(4, "little")
    try:
        old = scene.view.read(entry, len(new))
    except PageFault:
        return
    if old == new:
        return
    yield scene.finding(
        "deferred-pte",
        "pte",
        native=int.from_bytes(new, "little"),
        paravirtual=int.from_bytes(old, "little"),
        text=f"the entry at {entry:08x} stays {int.from_bytes(old, 'little'):#x} for now, to become "
        f"{int.from_bytes(new, 'little'):#x}: until a flush, accesses may go by either",
        standing=Standing.POTENTIAL,
        setting="defer=harsh",
    )


_LONG: Final = frozenset(number & 0xFF for number in call_numbers("SetPxELong"))
_BY_NAME: Final[Mapping[str, EventRule]] = {
    "INB": call_registers,
    "INW": call_registers,
    "GetDR": debug_alias,
    "SetDR": debug_alias,
    "APICWrite": ap_start,
    "SetPxE": deferred_pte,
    "SetPxELong": deferred_pte,
}


def _if_returned(rule: EventRule) -> EventRule:
    """A call that was refused neither returns nor does anything."""

    def rule_of_returned(scene: Happened) -> Iterator[Finding]:
        if scene.view.eip == scene.event.pc + CALL_LENGTH & MASK32:
            yield from rule(scene)

    return rule_of_returned


RETURNED: Final[Mapping[int, tuple[EventRule, ...]]] = {
    number: (_if_returned(rule),) for name, rule in _BY_NAME.items() for number in call_numbers(name)
}
WAITING: Final = call_numbers("SetPxE") | call_numbers("SetPxELong")
"""Of these: only where updates may wait (Latitude.defer)."""

EVENTS: Final[Mapping[Kind, tuple[EventRule, ...]]] = {Kind.EXCEPTION: (raised_by_call,)}
