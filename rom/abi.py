"""The one table of VMI calls: names, numbers, families, operands, clobbers.

Only facts of the interface live here: no bytes of a ROM (see layout and build), and nothing of what a machine does to
serve a call. Every list of calls anywhere in this project is computed from CALLS.

Sources: the proposal of March 2006 (Appendix A), the 13.3 header, and the interface 3.0 of Linux 2.6.21 to 2.6.36.
"""

from collections.abc import Iterator, Mapping
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class Generation(IntEnum):
    """The API's major version. 3 is the younger one: the counter was reset when calls were pruned and renumbered."""

    V3 = 3
    V13 = 13


class Family(StrEnum):
    CORE = "core"
    INTERRUPTS = "interrupts"
    DESCRIPTORS = "descriptors"
    CONTROL = "control"
    TRANSITIONS = "transitions"
    IO = "io"
    APIC = "apic"
    TIME = "time"
    MMU = "mmu"


class Place(Enum):
    """Where an operand is when the entry point is reached: a register, or a word above the return address."""

    EAX = "eax"
    ECX = "ecx"
    EDX = "edx"
    EBX = "ebx"
    ESI = "esi"
    EDI = "edi"
    STACK1 = "[esp+4]"
    STACK2 = "[esp+8]"
    FLAGS = "flags"
    MEMORY = "memory"


class Operand(NamedTuple):
    """One 32-bit argument or result; a 64-bit one is two of them, named `..._low` and `..._high`.

    Attributes:
        place: the register or stack word that holds it.
        name: what it means, in snake_case. A name ending in `_pointer` is a linear address of guest memory.
    """

    place: Place
    name: str

    def __str__(self) -> str:
        return f"{self.place.value}={self.name}"


class CallInfo(NamedTuple):
    """One VMI call.

    Attributes:
        name: as in the specification, without a prefix.
        n13: its number in 13.x, which is also its slot: the entry point is at 32 * n13. None: not in that generation.
        n3: its number in 3.0, as given to the relocation query. None: not in that generation. Init and
            GetRelocationInfo have no number in 3.0; here they are INIT_3 and GET_RELOCATION_3.
        arguments, results: the operands in and out; memory behind pointers is not listed.
        clobbers: what the call may destroy or change beside its results.
        segments: how many segment registers must be flat: 4 = CS, SS, DS, ES; 2 = CS and SS alone.
        doc: what it does, in one sentence.
    """

    name: str
    n13: int | None
    n3: int | None
    family: Family
    arguments: tuple[Operand, ...]
    results: tuple[Operand, ...]
    clobbers: frozenset[Place]
    segments: int
    doc: str

    def number(self, generation: Generation) -> int | None:
        """The call's number in that generation, or None where it has no such call."""
        return self.n13 if generation is Generation.V13 else self.n3


INIT_3: Final = 128
GET_RELOCATION_3: Final = 136
"""3.0 numbers neither Init nor the relocation query: they are reached by jump slots. Their slots' offsets stand for
numbers; no call of 3.0 has a number that high."""

_STD: Final = frozenset({Place.EAX, Place.ECX, Place.EDX, Place.FLAGS})
_STD_MEMORY: Final = _STD | {Place.MEMORY}
_FLAGS: Final = frozenset({Place.FLAGS})
_MEMORY: Final = frozenset({Place.MEMORY})
_NONE: Final[frozenset[Place]] = frozenset()

_Row = tuple[str, int | None, int | None, str, str, frozenset[Place], str]
"""name, number in 13.x, number in 3.0, arguments and results as "PLACE name, PLACE name", clobbers, doc."""


def _operands(text: str) -> tuple[Operand, ...]:
    words = (item.split() for item in text.split(",") if item)
    return tuple(Operand(Place[place], name) for place, name in words)


def _family(family: Family, rows: tuple[_Row, ...], segments: int = 4) -> Iterator[CallInfo]:
    for name, n13, n3, arguments, results, clobbers, doc in rows:
        yield CallInfo(name, n13, n3, family, _operands(arguments), _operands(results), clobbers, segments, doc)


_CPUID_OUT: Final = "EAX eax, EBX ebx, ECX ecx, EDX edx"
_VALUE_64: Final = "EAX value_low, EDX value_high"
_OLD_64: Final = "EAX old_low, EDX old_high"

# fmt: off
_CORE: Final[tuple[_Row, ...]] = (
    ("Init", 4, INIT_3, "", "EAX status", _STD, "Enters paravirtual mode on this CPU; status: 0 well, -1 failed."),
    ("GetRelocationInfo", 85, GET_RELOCATION_3, "EAX number", "EAX eip, EDX type", _STD,
     "Tells where a call's entry point is and how a site is to be patched; a pure query."),
    ("CPUID", 5, 0, "EAX leaf, ECX subleaf", _CPUID_OUT, _FLAGS, "As the instruction, less what the VM cannot do."),
    ("WRMSR", 6, 1, "ECX index, EAX value_low, EDX value_high", "", _STD_MEMORY, "As the instruction."),
    ("RDMSR", 7, 2, "ECX index", _VALUE_64, _STD, "As the instruction."),
    ("RDPMC", 32, 26, "ECX index", _VALUE_64, _STD, "As the instruction; how accurate is the implementation's choice."),
    ("RDTSC", 33, 27, "", _VALUE_64, _STD, "Reads the virtual time stamp counter."),
)

_INTERRUPT_FLAG: Final[tuple[_Row, ...]] = (
    ("EnableInterrupts", 35, 29, "", "", _FLAGS, "Sets virtual IF; what is pending comes before the next instruction."),
    ("DisableInterrupts", 36, 30, "", "", _FLAGS, "Clears virtual IF."),
    ("GetInterruptMask", 37, 31, "", "EAX mask", _FLAGS, "Returns virtual IF in bit 9, all else zero."),
    ("SetInterruptMask", 38, 32, "EAX mask", "", _FLAGS, "Virtual IF := bit 9 of mask, which may be a saved EFLAGS."),
)

_HALTS: Final[tuple[_Row, ...]] = (
    ("Pause", 41, None, "", "", _STD, "Hints that the CPU spins."),
    ("Halt", 42, 35, "", "", _STD, "Sets virtual IF, waits for an interrupt, delivers it, and returns."),
    ("Reboot", 43, 36, "EAX how", "", _STD, "Restarts: how 0 as an INIT message does, 1 as a system reset does."),
    ("Shutdown", 44, 37, "", "", _STD, "Switches this CPU off; on a single CPU, the machine."),
)

_DESCRIPTORS: Final[tuple[_Row, ...]] = (
    ("SetGDT", 8, 3, "EAX table_pointer", "", _STD_MEMORY, "LGDT, and reloads every segment register."),
    ("SetLDT", 9, 4, "EAX selector", "", _STD_MEMORY, "LLDT, and reloads every segment register; 0 is none."),
    ("SetIDT", 10, 5, "EAX table_pointer", "", _STD_MEMORY, "LIDT for the virtual IDT."),
    ("SetTR", 11, 6, "EAX selector", "", _STD_MEMORY, "As LTR."),
    ("GetGDT", 12, 7, "EAX buffer_pointer", "", _STD_MEMORY, "Stores the guest's own GDT limit and base, 6 bytes."),
    ("GetLDT", 13, 8, "", "EAX selector", _STD, "Returns the guest's LDT selector."),
    ("GetIDT", 14, 9, "EAX buffer_pointer", "", _STD_MEMORY, "Stores the guest's own IDT limit and base, 6 bytes."),
    ("GetTR", 15, 10, "", "EAX selector", _STD, "Returns the guest's TR selector."),
    ("WriteGDTEntry", 16, 11, "EAX table_pointer, EDX index, ECX low, STACK1 high", "", _STD_MEMORY,
     "Stores a GDT descriptor, adjusts its DPL and limit, and reloads the segment registers that use it."),
    ("WriteLDTEntry", 17, 12, "EAX table_pointer, EDX index, ECX low, STACK1 high", "", _STD_MEMORY,
     "Stores an LDT descriptor, adjusts its DPL and limit, and reloads the segment registers that use it."),
    ("WriteIDTEntry", 18, 13, "EAX table_pointer, EDX vector, ECX low, STACK1 high", "", _STD_MEMORY,
     "Stores a gate of the IDT."),
    ("UpdateKernelStack", 19, 14, "EAX stack, EDX esp0", "", _STD,
     "Sets the stack for entries from user mode; stack is the linear address of the TSS in 13.x, ss0 in 3.0."),
)

_CONTROL: Final[tuple[_Row, ...]] = (
    ("SetCR0", 20, 15, "EAX value", "", _STD, "Writes virtual CR0; PE, PG and WP may stay on once they are."),
    ("SetCR2", 21, 16, "EAX value", "", _STD, "Writes virtual CR2."),
    ("SetCR3", 22, 17, "EAX value", "", _STD, "Switches the address space and flushes what is not global."),
    ("SetCR4", 23, 18, "EAX value", "", _STD, "Writes virtual CR4; PGE, PSE and PAE may stay on once they are."),
    ("GetCR0", 24, 19, "", "EAX value", _STD, "Returns virtual CR0."),
    ("GetCR2", 25, 20, "", "EAX value", _STD, "Returns virtual CR2."),
    ("GetCR3", 26, 21, "", "EAX value", _STD, "Returns virtual CR3."),
    ("GetCR4", 27, 22, "", "EAX value", _STD, "Returns virtual CR4."),
    ("INVD", 28, None, "", "", _NONE, "Declared, but invalid in a virtual machine."),
    ("WBINVD", 29, 23, "", "", _STD, "Writes the caches back; may do nothing."),
    ("SetDR", 30, 24, "EAX register, EDX value", "", _STD, "Writes a debug register."),
    ("GetDR", 31, 25, "EAX register", "EAX value", _STD, "Returns a debug register."),
    ("CLTS", 34, 28, "", "", _STD, "Clears TS in virtual CR0."),
)

_TRANSITIONS: Final[tuple[_Row, ...]] = (
    ("IRET", 39, 33, "", "", _NONE, "Returns through the frame above the return address; virtual IF := image's."),
    ("SYSEXIT", 40, 34, "EDX eip, ECX esp", "", _NONE, "Goes to user mode at eip with stack esp, and sets virtual IF."),
)

_STRING_IN: Final = "EDI buffer_pointer, EDX port, ECX count"
_STRING_OUT: Final = "ESI buffer_pointer, EDX port, ECX count"
_IN_END: Final = "EDI buffer_pointer, ECX count"
_OUT_END: Final = "ESI buffer_pointer, ECX count"

_IO: Final[tuple[_Row, ...]] = (
    ("IN", 59, 49, "EDX port", "EAX value", _MEMORY, "Reads 32 bits from a port."),
    ("INB", 60, 50, "EDX port", "EAX value", _MEMORY, "Reads 8 bits from a port."),
    ("INW", 61, 51, "EDX port", "EAX value", _MEMORY, "Reads 16 bits from a port."),
    ("INS", 62, 52, _STRING_IN, _IN_END, _MEMORY, "REP INSD: reads count times 32 bits from a port to ES:EDI."),
    ("INSB", 63, 53, _STRING_IN, _IN_END, _MEMORY, "REP INSB: reads count times 8 bits from a port to ES:EDI."),
    ("INSW", 64, 54, _STRING_IN, _IN_END, _MEMORY, "REP INSW: reads count times 16 bits from a port to ES:EDI."),
    ("OUT", 65, 55, "EAX value, EDX port", "", _NONE, "Writes 32 bits to a port."),
    ("OUTB", 66, 56, "EAX value, EDX port", "", _NONE, "Writes 8 bits to a port."),
    ("OUTW", 67, 57, "EAX value, EDX port", "", _NONE, "Writes 16 bits to a port."),
    ("OUTS", 68, 58, _STRING_OUT, _OUT_END, _NONE, "REP OUTSD: writes count times 32 bits from DS:ESI to a port."),
    ("OUTSB", 69, 59, _STRING_OUT, _OUT_END, _NONE, "REP OUTSB: writes count times 8 bits from DS:ESI to a port."),
    ("OUTSW", 70, 60, _STRING_OUT, _OUT_END, _NONE, "REP OUTSW: writes count times 16 bits from DS:ESI to a port."),
    ("SetIOPLMask", 71, 61, "EAX mask", "", _STD, "Virtual IOPL := bits 12-13 of mask; for user mode's ports."),
    ("IODelay", 78, 65, "", "", _STD, "Waits as a write to port 80h does; may do nothing."),
)

_APIC: Final[tuple[_Row, ...]] = (
    ("SetInitialAPState", 75, 62, "EAX state_pointer, EDX apic_id", "", _STD,
     "Gives the state in which another CPU begins at its STARTUP message."),
    ("APICWrite", 76, 63, "EAX register, EDX value", "", _STD,
     "Writes a register of the local APIC; register is a linear address in 13.x, an offset in 3.0."),
    ("APICRead", 77, 64, "EAX register", "EAX value", _STD,
     "Reads a register of the local APIC; register is a linear address in 13.x, an offset in 3.0."),
)

_TIME: Final[tuple[_Row, ...]] = (
    ("GetCycleFrequency", 79, 66, "", "EAX hz_low, EDX hz_high", _STD, "Returns the rate of the cycle counters in Hz."),
    ("GetCycleCounter", 80, 67, "EAX counter", "EAX cycles_low, EDX cycles_high", _STD,
     "Returns a counter of cycles: 0 real, 1 available, 2 stolen."),
    ("SetAlarm", 81, 68, "EAX flags, EDX expiry_low, ECX expiry_high, STACK1 period_low, STACK2 period_high", "", _STD,
     "Arms an alarm at an absolute expiry; flags: bits 0-7 counter, 8 periodic, 16 by the local APIC, else IRQ 0."),
    ("CancelAlarm", 82, 69, "EAX flags", "EAX was_armed", _STD, "Disarms an alarm; bits 0-7 of flags: counter."),
    ("GetWallclockTime", 83, 70, "", "EAX ns_low, EDX ns_high", _STD, "Returns nanoseconds since 1970-01-01 UTC."),
    ("WallclockUpdated", 84, 71, "", "EAX updated", _STD, "Tells, once, that the wallclock jumped."),
)

_MMU: Final[tuple[_Row, ...]] = (
    ("SetPxE0", 45, None, "EAX entry_pointer, EDX value", "", _STD, "Stores a 32-bit page table entry (old form)."),
    ("GetPxE", 46, None, "EAX entry_pointer", "EAX value", _STD, "Reads a 32-bit page table entry."),
    ("SwapPxE", 47, None, "EAX entry_pointer, EDX value", "EAX old", _STD, "Exchanges a 32-bit entry atomically."),
    ("SetPxELong0", 48, None, "EAX value_low, EDX value_high, ECX entry_pointer", "", _STD,
     "Stores a 64-bit page table entry (old form)."),
    ("GetPxELong", 49, None, "EAX entry_pointer", _VALUE_64, _STD, "Reads a 64-bit page table entry."),
    ("SwapPxELongAtomic", 50, None, "EAX value_low, EDX value_high, ECX entry_pointer", _OLD_64, _STD,
     "Exchanges a 64-bit entry atomically."),
    ("TestAndSetPxEBit", 51, None, "EAX entry_pointer, EDX bit", "EAX old", _STD, "Sets one bit of an entry."),
    ("TestAndClearPxEBit", 52, None, "EAX entry_pointer, EDX bit", "EAX old", _STD, "Clears one bit of an entry."),
    ("AllocatePage", 53, 44, "EAX pfn, EDX flags, ECX source_pfn, STACK1 first, STACK2 count", "", _STD,
     "Announces a page as a page table before use; count entries from first on were copied from source_pfn."),
    ("ReleasePage", 54, 45, "EAX pfn, EDX flags", "", _STD, "Ends a page's use as a page table."),
    ("InvalPage", 55, 46, "EAX address", "", _STD, "As INVLPG; applies deferred updates of page tables."),
    ("FlushTLB", 56, 47, "EAX flags", "", _STD, "Flushes the TLB; flags: bit 0 always set, bit 1 global pages too."),
    ("FlushDeferredCalls", 57, None, "EAX flags", "EAX ignored", _STD,
     "Applies what was deferred; flags: bit 7 page tables, bit 6 CPU state."),
    ("SetLinearMapping", 58, 48, "EAX slot, EDX address, ECX pages, STACK1 pfn", "", _STD,
     "Hints which physical pages a range of linear addresses maps."),
    ("DeactivatePxELongAtomic", 72, None, "EAX entry_pointer", _OLD_64, _STD,
     "Clears a 64-bit entry, the present bit first."),
    ("TestAndSetPxELongBit", 73, None, "EAX entry_pointer, EDX bit", "EAX old", _STD, "Sets a bit of a 64-bit entry."),
    ("TestAndClearPxELongBit", 74, None, "EAX entry_pointer, EDX bit", "EAX old", _STD,
     "Clears a bit of a 64-bit entry."),
    ("SetPxE", 86, 38, "EAX value, EDX entry_pointer, ECX flags", "", _STD, "Stores a 32-bit page table entry."),
    ("SetPxELong", 87, 39, "EAX value_low, EDX value_high, ECX entry_pointer, STACK1 flags", "", _STD,
     "Stores a 64-bit page table entry."),
    ("UpdatePxE", None, 40, "EAX entry_pointer, EDX flags", "", _STD, "Tells that a 32-bit entry was changed."),
    ("UpdatePxELong", None, 41, "EAX entry_pointer, EDX flags", "", _STD,
     "Tells that a 64-bit entry was changed."),
    ("MachineToPhysical", None, 42, "EAX machine", "EAX physical", _STD, "Translates a machine page number."),
    ("PhysicalToMachine", None, 43, "EAX physical", "EAX machine", _STD, "Translates a physical page number."),
    ("SetCallbacks", None, 72, "", "", _STD, "A name alone; no text says what it does."),
    ("SetLazyMode", None, 73, "EAX mode", "", _STD, "Lets updates wait: 0 none (applies all), 1 page tables, 2 CPU."),
)
# fmt: on

CALLS: Final[tuple[CallInfo, ...]] = (
    *_family(Family.CORE, _CORE),
    *_family(Family.INTERRUPTS, _INTERRUPT_FLAG, segments=2),
    *_family(Family.INTERRUPTS, _HALTS),
    *_family(Family.DESCRIPTORS, _DESCRIPTORS),
    *_family(Family.CONTROL, _CONTROL),
    *_family(Family.TRANSITIONS, _TRANSITIONS, segments=2),
    *_family(Family.IO, _IO),
    *_family(Family.APIC, _APIC),
    *_family(Family.TIME, _TIME),
    *_family(Family.MMU, _MMU),
)
"""Every call of both generations, by family."""


def _numbered(generation: Generation) -> Mapping[int, CallInfo]:
    pairs = ((call.number(generation), call) for call in CALLS)
    return MappingProxyType(dict(sorted((number, call) for number, call in pairs if number is not None)))


_BY_NUMBER: Final = {generation: _numbered(generation) for generation in Generation}
_BY_NAME: Final = {call.name: call for call in CALLS}


def calls(generation: Generation) -> Mapping[int, CallInfo]:
    """The calls of a generation by number, ascending."""
    return _BY_NUMBER[generation]


def by_number(generation: Generation, number: int) -> CallInfo | None:
    """The call with that number, or None where the generation defines none."""
    return _BY_NUMBER[generation].get(number)


def by_name(name: str) -> CallInfo:
    """The call of that name. Raises KeyError for a name that is no call."""
    return _BY_NAME[name]


def unified(generation: Generation, number: int) -> int:
    """One number for a call of either generation: generation << 8 | number, as recorded in events."""
    return generation << 8 | number


def from_unified(value: int) -> tuple[Generation, int]:
    """The inverse of `unified`. Raises ValueError where bits 8 and up are no generation."""
    return Generation(value >> 8), value & 0xFF


def call_numbers(name: str) -> frozenset[int]:
    """The numbers (see `unified`) of a VMI call in the generations that have it; none for what is no call."""
    wanted = name.removeprefix("VMI_").lower()
    return frozenset(
        unified(generation, number)
        for generation in Generation
        for number, call in calls(generation).items()
        if call.name.lower() == wanted
    )
