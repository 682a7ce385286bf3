"""VMI calls as text for people: the call with its arguments decoded, and its result.

Works from the numbers that a trace holds, without a machine. Operands and their names come from rom.abi; only what is
a word of flags, an enumeration or a descriptor is spelt out here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from pvtrace.vmi.init import Relocation
from pvtrace.vmi.time import BY_APIC, COUNTER_MASK, PERIODIC, Counter
from pvtrace.x86.descriptors import (
    SystemType,
    dpl,
    gate_from_descriptor,
    is_code,
    is_present,
    segment_from_descriptor,
    system_type,
)
from pvtrace.x86.eflags import IF, iopl
from pvtrace.x86.operands import MASK32
from rom.abi import Generation, Operand, Place, by_number, from_unified

Show = Callable[[int, Generation], str]
Bits = tuple[tuple[int, str], ...]

_PAGE_TYPES: Final[Bits] = ((1, "PT"), (2, "PD"), (4, "PDP"), (8, "PML4"))
_PAGE_USES: Final[Bits] = ((0x10, "PAE"), (0x20, "CLONE"), (0x40, "ZEROED"))
_CURRENT_AS: Final = 0x10
_ENTRY_USES: Final[Bits] = ((_CURRENT_AS, "CURRENT_AS"), (0x20, "DEFER"))
_ADDRESS: Final = 0xFFFFF000
_DEFERRED: Final[Bits] = ((0x80, "MMU"), (0x40, "CPU"))
_LAZY_MODES: Final = ("NONE", "MMU", "CPU")
_DECIMAL: Final = frozenset(
    {"bit", "count", "cycles", "expiry", "first", "hz", "ns", "pages", "period", "slot", "updated", "was_armed"}
)


def describe(call: int, eax: int, edx: int, ecx: int, stack: int) -> str:
    """'SetPxE(value=0x0010b067, entry=c0101234, flags=PT|CURRENT_AS va=c0404000)'.

    `call`: generation << 8 | number. `stack`: the two words above the return address, low word first. Operands in other
    registers are not shown. A number that is no call is shown as such.
    """
    places = {Place.EAX: eax, Place.EDX: edx, Place.ECX: ecx}
    places |= {Place.STACK1: stack & MASK32, Place.STACK2: stack >> 32}
    found = _find(call)
    if found is None:
        return f"unknown call {call:#x}"
    generation, name, arguments, _ = found
    shown = (f"{operand}={text}" for operand, text in _operands(name, generation, arguments, places))
    return f"{name}({', '.join(shown)})"


def describe_result(call: int, result: int | None) -> str:
    """The value alone if there is one result, else 'name=value name=value'; empty for a call without results.

    `result`: EDX:EAX.
    """
    found = _find(call)
    if found is None or result is None:
        return ""
    generation, name, _, results = found
    places = {Place.EAX: result & MASK32, Place.EDX: result >> 32}
    shown = list(_operands(name, generation, results, places))
    if len(shown) == 1:
        return shown[0][1]
    return " ".join(f"{operand}={text}" for operand, text in shown)


def _find(call: int) -> tuple[Generation, str, tuple[Operand, ...], tuple[Operand, ...]] | None:
    try:
        generation, number = from_unified(call)
    except ValueError:
        return None
    info = by_number(generation, number)
    return None if info is None else (generation, info.name, info.arguments, info.results)


def _operands(
    name: str, generation: Generation, operands: Iterable[Operand], places: Mapping[Place, int]
) -> Iterator[tuple[str, str]]:
    """(name, text) of the operands whose place is known; the two halves of a 64-bit one together."""
    values = {operand.name: places[operand.place] for operand in operands if operand.place in places}
    for operand, value in values.items():
        stem = operand.removesuffix("low")
        high = values.get(f"{stem}high") if stem != operand else None
        if high is not None:
            yield _wide(name, stem.removesuffix("_"), value, high)
        elif not (operand.endswith("high") and f"{operand.removesuffix('high')}low" in values):
            yield operand.removesuffix("_pointer"), _one(name, operand, value, generation)


def _wide(name: str, stem: str, low: int, high: int) -> tuple[str, str]:
    if not stem:
        return ("gate", gate_text(low, high)) if name == "WriteIDTEntry" else ("descriptor", descriptor_text(low, high))
    value = high << 32 | low
    return stem, str(value) if stem in _DECIMAL else f"{value:#018x}"


def _one(name: str, operand: str, value: int, generation: Generation) -> str:
    show = _SHOW.get((name, operand))
    if show is not None:
        return show(value, generation)
    if operand.endswith("_pointer") or operand in ("address", "eip", "esp", "esp0"):
        return f"{value:08x}"
    if operand in _DECIMAL:
        return str(value)
    if operand in ("port", "selector"):
        return f"{value & 0xFFFF:#06x}"
    return f"{value:#x}"


def _bits(value: int, names: Bits) -> str:
    """The set bits by name, joined by '|'; what has no name as one number; 0 for none."""
    known = [name for bit, name in names if value & bit]
    rest = value & ~sum(bit for bit, _ in names)
    return "|".join([*known, *([f"{rest:#x}"] if rest or not known else [])])


def _page_flags(value: int, generation: Generation) -> str:
    if generation is Generation.V13:
        return _bits(value, tuple((bit, "PDP/PAE" if bit == 4 else name) for bit, name in _PAGE_TYPES))
    return _bits(value, _PAGE_TYPES + _PAGE_USES)


def _entry_flags(value: int, _generation: Generation) -> str:
    if not value & _CURRENT_AS:
        return _bits(value, _PAGE_TYPES + _ENTRY_USES)
    return f"{_bits(value & ~_ADDRESS, _PAGE_TYPES + _ENTRY_USES)} va={value & _ADDRESS:08x}"


def _counter(value: int, _generation: Generation) -> str:
    return Counter(value).name if value in tuple(Counter) else f"{value:#x}"


def _alarm_flags(value: int, generation: Generation) -> str:
    kind = "PERIODIC" if value & PERIODIC else "ONE_SHOT"
    rest = value & ~(COUNTER_MASK | PERIODIC | BY_APIC)
    words = [_counter(value & COUNTER_MASK, generation), kind, "LVTT" if value & BY_APIC else "IRQ0"]
    return "|".join([*words, *([f"{rest:#x}"] if rest else [])])


def _lazy_mode(value: int, _generation: Generation) -> str:
    return _LAZY_MODES[value] if value < len(_LAZY_MODES) else f"{value:#x}"


def _number(value: int, generation: Generation) -> str:
    info = by_number(generation, value)
    return f"{value} ({info.name if info else 'no call'})"


def _relocation_type(value: int, _generation: Generation) -> str:
    return Relocation(value).name if value in tuple(Relocation) else f"{value:#x}"


def _flag(value: int, _generation: Generation) -> str:
    return "IF=1" if value & IF else "IF=0"


def _iopl(value: int, _generation: Generation) -> str:
    return f"IOPL={iopl(value)}"


def _decimal(value: int, _generation: Generation) -> str:
    return str(value)


def _signed(value: int, _generation: Generation) -> str:
    return str(value - (1 << 32) if value >> 31 else value)


_SHOW: Final[dict[tuple[str, str], Show]] = {
    ("Init", "status"): _signed,
    ("GetRelocationInfo", "number"): _number,
    ("GetRelocationInfo", "type"): _relocation_type,
    ("GetInterruptMask", "mask"): _flag,
    ("SetInterruptMask", "mask"): _flag,
    ("SetIOPLMask", "mask"): _iopl,
    ("Reboot", "how"): lambda value, _: "hard" if value else "soft",
    ("WriteGDTEntry", "index"): _decimal,
    ("WriteLDTEntry", "index"): _decimal,
    ("SetPxE", "flags"): _entry_flags,
    ("SetPxELong", "flags"): _entry_flags,
    ("UpdatePxE", "flags"): _entry_flags,
    ("UpdatePxELong", "flags"): _entry_flags,
    ("AllocatePage", "flags"): _page_flags,
    ("ReleasePage", "flags"): _page_flags,
    ("FlushTLB", "flags"): lambda value, _: "GLOBAL" if value & 2 else "LOCAL",
    ("FlushDeferredCalls", "flags"): lambda value, _: _bits(value, _DEFERRED),
    ("SetLazyMode", "mode"): _lazy_mode,
    ("GetCycleCounter", "counter"): _counter,
    ("SetAlarm", "flags"): _alarm_flags,
    ("CancelAlarm", "flags"): _alarm_flags,
}
"""Operands that are more than a number, by call and name."""

_SYSTEM_NAMES: Final = {
    SystemType.TSS16: "TSS16",
    SystemType.TSS16_BUSY: "busy TSS16",
    SystemType.LDT: "LDT",
    SystemType.TSS32: "TSS",
    SystemType.TSS32_BUSY: "busy TSS",
    SystemType.CALL_GATE16: "call gate 16",
    SystemType.CALL_GATE32: "call gate",
    SystemType.TASK_GATE: "task gate",
    SystemType.INTERRUPT_GATE16: "interrupt gate 16",
    SystemType.INTERRUPT_GATE32: "interrupt gate",
    SystemType.TRAP_GATE16: "trap gate 16",
    SystemType.TRAP_GATE32: "trap gate",
}
_GATES: Final = frozenset(kind for kind, name in _SYSTEM_NAMES.items() if "gate" in name)


def _kind(high: int) -> str:
    number = system_type(high)
    if number is None:
        return "code" if is_code(high) else "data"
    return _SYSTEM_NAMES[SystemType(number)] if number in tuple(SystemType) else f"type {number:#x}"


def descriptor_text(low: int, high: int) -> str:
    """'code base=00000000 limit=fbffffff dpl=1'; a gate as `gate_text` has it; 'null' for all zeroes."""
    if low | high == 0:
        return "null"
    if system_type(high) in _GATES:
        return gate_text(low, high)
    segment = segment_from_descriptor(0, low, high)
    absent = "" if is_present(high) else " not present"
    return f"{_kind(high)} base={segment.base:08x} limit={segment.limit:08x} dpl={dpl(high)}{absent}"


def gate_text(low: int, high: int) -> str:
    """'interrupt gate 0060:c0101234 dpl=3'."""
    gate = gate_from_descriptor(low, high)
    absent = "" if gate.present else " not present"
    return f"{_kind(high)} {gate.selector:04x}:{gate.offset:08x} dpl={gate.dpl}{absent}"
