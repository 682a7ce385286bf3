"""From the events of a recording to what its guest did: facts that are the same natively and under VMI if the guest
does the same. Pure.

A VMI call and the instruction that it stands for are one fact; calls that natively are stores to memory (page tables,
descriptors) or nothing at all are none. Nor is what time alone decides: reads of counters and of status registers that
are polled, and the moments of external interrupts and halts, which are kept apart from the rest.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

from pvtrace.divergence.twin.facts import Course, Fact, Place, Value, Vocabulary
from pvtrace.divergence.twin.gathering import Gathering
from pvtrace.model.events import Attempt, Event, Kind, Outcome
from pvtrace.model.stops import Why
from pvtrace.x86 import eflags
from rom.abi import by_number, from_unified

# ------------------------------------------------------------------------------------------------- what time decides

_POLLED: Final = frozenset({0x20, 0xA0, 0x40, 0x41, 0x42, 0x43, 0x61, 0x64, 0x71, 0x3DA, *range(0x3F9, 0x400)})
"""Ports whose reads show how far a device or time is: interrupt controllers, timer, keyboard, clock, VGA, UART."""

_SELECTS: Final = frozenset({0x70, 0x80})
"""Ports whose writes choose what a read will show, or take up time."""

_INPUT: Final = frozenset({0x60, 0x3F8})
"""Ports at which a read gives what somebody typed."""

_TIMER_CONTROL: Final = 0x43
_TIMER_ACCESS: Final = 0x30
"""Bits of a timer command that are 0 when it latches a count (Intel 8254 data sheet, counter latch command)."""

_UART: Final = 0x3F8
_LINE_CONTROL: Final = 0x3FB
_DIVISOR_ACCESS: Final = 0x80
_TSC: Final = 0x10
_PGE: Final = 1 << 7
_TS: Final = 1 << 3
_RPL: Final = 3
_GP: Final = 13
_USER: Final = 3
_SYSEXIT: Final = (2, 3)
_SHOWN_TO_USERS: Final = 0x240DD5
"""CF, PF, AF, ZF, SF, TF, DF, OF, AC and ID: what of EFLAGS is the user program's own (SDM volume 1, 3.4.3). Behind an
exception it is what it was; a system call may leave the kernel's."""

OPEN: Final = 64
"""Exceptions whose return is awaited, at most (as machine.journal)."""

_SAME_CALL: Final = {
    "GetTR": "STR",
    "GetLDT": "SLDT",
    "SetTR": "LTR",
    "SetLDT": "LLDT",
    "SetGDT": "LGDT",
    "SetIDT": "LIDT",
    "SetDR": "DR",
    "GetDR": "DR",
    "GetCR0": "CR0",
    "SetCR0": "CR0",
    "GetCR4": "CR4",
    "SetCR4": "CR4",
    "GetCR3": "CR3",
    "SetCR3": "CR3",
}


def course(
    events: Iterable[Event], vocabulary: Vocabulary, place: Place, *, complete: bool, native: bool = False
) -> Course:
    """The facts of a recording, from all its events. `native`: it has no VMI ROMs."""
    reader = _Reader(vocabulary, place, native)
    for number, event in enumerate(events):
        reader.read(number, event)
    return reader.finish(complete)


class _Reader:
    """Goes through the events of a recording once."""

    def __init__(self, vocabulary: Vocabulary, place: Place, native: bool) -> None:
        self._gathering = Gathering(vocabulary)
        self._native = native
        self._place = place
        self._exceptions: deque[tuple[int, int]] = deque(maxlen=OPEN)  # number, and EFLAGS as pushed
        self._line = b""
        self._divisor = False  # the UART's data port is that of its divisor
        self._crs: dict[str, int] = {}

    def read(self, number: int, event: Event) -> None:
        args = (*event.args, *(None,) * (6 - len(event.args)))
        match event.kind:
            case Kind.PORT_WRITE:
                self._out(number, event, *_ints(args[:3]))
            case Kind.PORT_READ:
                port, width, value = _ints(args[:3])
                if port not in _POLLED:
                    given = "input" if port in _INPUT else "value"
                    self._put(number, event, Fact("IN", (port,), (), ((given, value), ("width", width))))
            case Kind.CONSOLE_OUT:
                self._console(number, event)
            case Kind.HYPERCALL:
                self._call(number, event, args)
            case Kind.EXCEPTION:
                self._exception(number, event, args)
            case Kind.INTERRUPT:
                self._gathering.enter(Fact("interrupt", (args[0],)), event.step, number)
            case Kind.SOFTWARE_INTERRUPT:
                self._put(number, event, Fact("INT", (args[0],), (self._place(event.pc),)))
            case Kind.SYSENTER:
                self._put(number, event, Fact("SYSENTER", (), (self._place(event.pc),)))
            case Kind.RETURN:
                self._return(number, event, args)
            case Kind.FLAG_ATTEMPT:
                self._attempt(number, event, args)
            case Kind.EMULATED:
                self._emulated(number, event, args)
            case Kind.HALT:
                self._gathering.drop("set IF", event.step)
                self._gathering.put_apart(Fact("halt", (), (), (("IF", event.flags >> 32 & 1),)), event.step, number)
            case Kind.STOP:
                self._stop(number, event, args)
            case _:
                pass  # how it came about, or time

    def finish(self, complete: bool) -> Course:
        return self._gathering.finish(complete)

    def _put(self, number: int, event: Event, fact: Fact) -> None:
        self._gathering.put(fact, event.step, number)

    # ------------------------------------------------------------------------------------------------------ by kind

    def _out(self, number: int, event: Event, port: int, width: int, value: int) -> None:
        if port == _LINE_CONTROL:
            self._divisor = bool(value & _DIVISOR_ACCESS)
        said = port == _UART and not self._divisor
        latched = port == _TIMER_CONTROL and (not value & _TIMER_ACCESS or value >> 6 == 3)
        if not said and not latched and port not in _SELECTS:
            self._put(number, event, Fact("OUT", (port,), (value,), (("width", width),)))

    def _console(self, number: int, event: Event) -> None:
        """Whole lines: where a line is cut into events is a matter of time."""
        data = event.args[0]
        assert isinstance(data, bytes)
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._put(number, event, Fact("console", (), (line + b"\n",)))

    def _exception(self, number: int, event: Event, args: Sequence[Value]) -> None:
        vector, error, address = args[:3]
        provoked = self._gathering.answer(event.cause, ("fault", vector))
        place = self._place(event.pc)
        cr2 = None if address is None else self._place(_int(address))
        about = (vector,) if provoked else (vector, place)
        self._put(number, event, Fact("exception", about, (cr2,), (("error", error),), own=not provoked))
        self._exceptions.append((number, _int(args[3])))

    def _return(self, number: int, event: Event, args: Sequence[Value]) -> None:
        by, eip, image = _int(args[0]), _int(args[1]), _int(args[3])
        if self._gathering.leave(event.cause, event.step):
            return
        if by in _SYSEXIT:
            self._gathering.drop("set IF", event.step)
        to_user = event.flags >> 35 & 3 == _USER
        answered = _flags_now(event)
        pushed = next((flags for number, flags in self._exceptions if number == event.cause), None)
        if to_user and pushed is not None:
            answered = (*answered, ("flags kept", int((image ^ pushed) & _SHOWN_TO_USERS == 0)))
        about = ("user" if to_user else "kernel", self._place(eip))
        self._put(number, event, Fact("return", about, (), answered))

    def _attempt(self, number: int, event: Event, args: Sequence[Value]) -> None:
        instruction, asked, before, after, _, outcome = _ints(args)
        if instruction == Attempt.IRET:
            return  # its return is the fact
        if outcome == Outcome.FAULTED:
            self._put(number, event, Fact(Attempt(instruction).name, (self._place(event.pc),), (), (("fault", _GP),)))
        elif event.flags >> 35 & 3 == _USER:
            image = asked if instruction == Attempt.PUSHF else after
            chosen = (_if(asked),) if instruction == Attempt.POPF else ()
            answered = ("IF", _if(image)), ("IOPL", eflags.iopl(image))
            self._put(number, event, Fact(Attempt(instruction).name, (self._place(event.pc),), chosen, answered))
        else:
            if instruction == Attempt.PUSHF:
                fact = _shows_if(event, _if(asked))
            elif instruction == Attempt.POPF and eflags.iopl(asked) != eflags.iopl(before):
                fact = _sets_iopl(eflags.iopl(asked), eflags.iopl(after))
            else:
                fact = _sets_if(_if(asked), _if(after))
            # before Init a kernel has not yet made calls of its instructions
            stays = self._native or event.flags >> 35 & 3
            self._put(number, event, fact._replace(place=self._place(event.pc) if stays else None))

    def _emulated(self, number: int, event: Event, args: Sequence[Value]) -> None:
        mnemonic, operand, value, faulted = args[:4]
        assert isinstance(mnemonic, str)
        if mnemonic.startswith("MOV "):
            mnemonic = f"{mnemonic[4:]}{_int(operand)}" if mnemonic == "MOV CR" else mnemonic[4:]
        if mnemonic == "HLT":
            self._gathering.drop("set IF", event.step)
        self._instruction(number, event, mnemonic, operand, value, faulted)

    def _instruction(
        self, number: int, event: Event, name: str, operand: Value, value: Value, faulted: Value = None
    ) -> None:
        """A privileged or sensitive instruction, or the call that stands for it."""
        about: tuple[Value, ...] = ()
        chosen: tuple[Value, ...] = ()
        answered: tuple[tuple[str, Value], ...] = ()
        match name:
            case "CR0" | "CR3" | "CR4" | "CLTS":
                if faulted is None and not self._changes(name, value):
                    return
                chosen = () if name == "CLTS" else (self._place(_int(value)) if name == "CR3" else value,)
            case "DR" | "LMSW":
                about, chosen = (operand,), (value,)
            case "WRMSR":
                about, chosen = (operand,), (value,)
            case "RDMSR" | "CPUID":
                if operand == _TSC and name == "RDMSR":
                    return
                about, answered = (operand,), (("value", value),)
            case "LLDT" | "LTR":
                chosen = (_int(operand) & ~_RPL,)
            case "SLDT" | "STR":
                answered = (("selector", operand),)
            case "SGDT" | "SIDT":
                answered = (("base", operand), ("limit", value))
            case "SMSW":
                answered = (("value", value),)
            case "IN" | "OUT" | "INS" | "OUTS":
                about, chosen = (operand,), () if name[:2] == "IN" else (value,)
                name = name.rstrip("S")
            case "LGDT" | "LIDT":
                pass  # a call shows the operand's address alone
            case _:
                return
        self._put(number, event, Fact(name, about, chosen, answered if faulted is None else (("fault", faulted),)))

    def _changes(self, name: str, value: Value) -> bool:
        """Whether a control register is now known to be another. Else it was read, or loaded to flush the TLB."""
        register = "CR0" if name == "CLTS" else name
        known = self._crs.get(register)
        if name == "CLTS":
            now = known & ~_TS if known is not None else None
        else:
            now = _int(value) & ~_PGE if name == "CR4" else _int(value)
        if now is not None:
            self._crs[register] = now
        return name == "CLTS" or now != known

    def _call(self, number: int, event: Event, args: Sequence[Value]) -> None:
        call, eax, edx, ecx = _ints(args[:4])
        result = None if args[5] is None else _int(args[5])
        name = _call_name(call)
        vif = event.flags >> 32 & 1
        match name:
            case "DisableInterrupts" | "EnableInterrupts":
                self._put(number, event, _sets_if(int(name == "EnableInterrupts"), vif))
            case "SetInterruptMask":
                self._put(number, event, _sets_if(_if(eax), vif))
            case "GetInterruptMask":
                self._put(number, event, _shows_if(event, _if(result or 0)))
            case "SetIOPLMask":
                self._put(number, event, _sets_iopl(eflags.iopl(eax), event.flags >> 33 & 3))
            case "CLTS" | "SetGDT" | "SetIDT" | "SetCR0" | "SetCR3" | "SetCR4":
                self._instruction(number, event, _SAME_CALL.get(name, name), None, eax)
            case "GetCR0" | "GetCR3" | "GetCR4":
                self._instruction(number, event, _SAME_CALL[name], None, result)
            case "SetTR" | "SetLDT":
                self._instruction(number, event, _SAME_CALL[name], eax, None)
            case "GetTR" | "GetLDT":
                self._instruction(number, event, _SAME_CALL[name], _int(result) & 0xFFFF, None)
            case "SetDR":
                self._instruction(number, event, "DR", eax, edx)
            case "GetDR":
                self._instruction(number, event, "DR", eax, result)
            case "WRMSR":
                self._instruction(number, event, name, ecx, eax | edx << 32)
            case "RDMSR":
                self._instruction(number, event, name, ecx, result)
            case "CPUID":
                self._instruction(number, event, name, eax, _int(result) & 0xFFFFFFFF)
            case _:
                pass  # its return, its port access or its halt is the fact; or natively it is none

    def _stop(self, number: int, event: Event, args: Sequence[Value]) -> None:
        """A debug exit and a shutdown are one: the guest ended as it wished to."""
        why, code = args[:2]
        self._gathering.drop("OUT", event.step)
        if self._line:
            self._put(number, event, Fact("console", (), (self._line,)))
        own = why not in _WISHED
        self._put(number, event, Fact("end", (), (code,), (("why", why if own else "wished"),), own))


_WISHED: Final = frozenset({Why.SHUTDOWN.value, Why.EXIT.value})
"""Ends that a guest chooses."""


@cache
def _call_name(number: int) -> str:
    try:
        found = by_number(*from_unified(number))
    except ValueError:
        return ""
    return "" if found is None else found.name


def _int(value: Value) -> int:
    return value if isinstance(value, int) else 0


def _ints(values: Sequence[Value]) -> tuple[int, ...]:
    return tuple(value if isinstance(value, int) else 0 for value in values)


def _if(image: int) -> int:
    return image >> 9 & 1


def _sets_if(asked: int, now: int) -> Fact:
    """The kernel switches interrupts on or off: CLI, STI, POPF, or a call."""
    return Fact("set IF", (), (asked,), (("IF", now),))


def _shows_if(event: Event, shown: int) -> Fact:
    """The kernel asks whether they are on: PUSHF, or a call. It has set them itself, so that the question is whether
    they are shown as they are."""
    return Fact("get IF", (event.flags >> 32 & 1,), (), (("IF", shown),))


def _sets_iopl(asked: int, now: int) -> Fact:
    return Fact("set IOPL", (), (asked,), (("IOPL", now),))


def _flags_now(event: Event) -> tuple[tuple[str, Value], ...]:
    """The guest's own IF and IOPL behind an event."""
    return ("IF", event.flags >> 32 & 1), ("IOPL", event.flags >> 33 & 3)
