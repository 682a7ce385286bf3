"""One event in words: the only place where an event becomes text for people.

The words leave out step, privilege level and place, which stand in columns of their own (report.table).
"""

from collections.abc import Callable, Iterator
from typing import Final, assert_never

from pvtrace.model import words
from pvtrace.model.events import Attempt, Event, Kind, Outcome
from pvtrace.vmi.describe import describe as describe_call
from pvtrace.vmi.describe import describe_result
from pvtrace.x86 import eflags, exceptions
from rom.abi import by_number, from_unified

Symbols = Callable[[int], str | None]
"""The name of a linear address: "main+0x12", or None (x86.elf.SymbolTable.at)."""

Value = int | bytes | str | None


def no_symbols(_address: int) -> str | None:
    return None


def place(address: int, symbols: Symbols = no_symbols) -> str:
    """'main+0x12', or '00101234' where there is no name."""
    return symbols(address) or f"{address:08x}"


def describe(event: Event, symbols: Symbols = no_symbols) -> str:
    """'POPF asked IF=0 IOPL=0: silently ignored (IF stays 1)'."""
    padded: tuple[Value, ...] = (*event.args, *(None,) * 6)
    a, b, c, d, e, f = padded[:6]
    match event.kind:
        case Kind.HYPERCALL:
            result = describe_result(_int(a), f if isinstance(f, int) else None)
            call = describe_call(_int(a), _int(b), _int(c), _int(d), _int(e))
            return f"VMI {call} = {result}" if result else f"VMI {call}"
        case Kind.EXCEPTION:
            return f"{_exception(_int(a), b, c)}, {_entry(d, e, symbols)}"
        case Kind.INTERRUPT:
            source = "interrupt" if b is None else f"IRQ {_int(b)} as interrupt"
            return f"{source} {_int(a):02X}h, {_entry(d, e, symbols)}"
        case Kind.SOFTWARE_INTERRUPT:
            return f"INT {_int(a):02X}h, {_entry(d, e, symbols)}"
        case Kind.SYSENTER:
            return f"SYSENTER, {_entry(d, e, symbols)}"
        case Kind.RETURN:
            return f"{_word(words.RETURN_BY, a)} to {_int(c):04x}:{place(_int(b), symbols)}, image {_flags(_int(d))}"
        case Kind.FLAG_TRANSITION:
            return _transition(_word(words.FLAG, a), (_int(b), _int(c)), (_int(d), _int(e)), _int(f))
        case Kind.FLAG_ATTEMPT:
            return attempt(_int(a), _int(b), _int(c), _int(d), _int(f))
        case Kind.PORT_READ:
            return f"IN{_size(b)} port {_int(a):#x} = {_int(c):#x}"
        case Kind.PORT_WRITE:
            return f"OUT{_size(b)} port {_int(a):#x}, {_int(c):#x}"
        case Kind.UNKNOWN_PORT:
            return f"{'OUT' if c else 'IN'}{_size(b)} port {_int(a):#x}: no device answers there"
        case Kind.UNKNOWN_MEMORY:
            return f"{'store' if c else 'load'}{_size(b)} at physical {_int(a):#x}: no device answers there"
        case Kind.CONSOLE_OUT:
            return f"console writes {quoted(a)}"
        case Kind.CONSOLE_IN:
            return f"console reads {quoted(a)}"
        case Kind.KEYS_IN:
            return f"keyboard sends {a.hex(' ') if isinstance(a, bytes) else ''}"
        case Kind.EMULATED:
            return _emulated(a, b, c, d)
        case Kind.MODE:
            return f"mode {words.mode(_int(a))} -> {words.mode(_int(b))}"
        case Kind.HALT:
            return f"halts at tick {_int(a):,}"
        case Kind.WAKE:
            return f"wakes at tick {_int(a):,}" + (f", {_int(b):,} later" if b else "")
        case Kind.ALARM:
            return f"alarm of counter {_int(a)}, due at tick {_int(b):,}, fires at tick {_int(c):,}"
        case Kind.STOLEN:
            return f"something else runs from tick {_int(a):,} on, for {_int(b):,}"
        case Kind.NOTE:
            return f"note: {_text(a)}"
        case Kind.STOP:
            code = f" with code {_int(b)}" if b else ""
            return f"ends: {_text(a)}{code}" + (f" ({_text(c)})" if c else "")
        case _:
            assert_never(event.kind)


def attempt(instruction: int, asked: int, before: int, after: int, outcome: int) -> str:
    """An attempt on IF or IOPL, from its EFLAGS images: what was asked, what became of it, and what the flags are."""
    name = words.ATTEMPT.get(instruction, f"instruction {instruction}")
    result = words.OUTCOME.get(outcome, f"outcome {outcome}")
    match instruction:
        case Attempt.CLI | Attempt.STI:
            wish, fields = f"asked IF={_if(asked)}", _FLAGS[:1]
        case Attempt.PUSHF:
            return f"{name} shows {_flags(asked)}" + ("" if outcome == Outcome.READ else f": {result}")
        case _:
            wish, fields = f"asked {_flags(asked)}", _FLAGS
    now = [_change(flag, of(before), of(after)) for flag, of in fields if not of(asked) == of(before) == of(after)]
    return f"{name} {wish}: {result}" + (f" ({', '.join(now)})" if now else "")


def quoted(data: Value) -> str:
    """Bytes or text as one line in quotes, as in C."""
    text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else _text(data)
    return '"' + "".join(_escaped(text)) + '"'


_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"'}


def _escaped(text: str) -> Iterator[str]:
    for letter in text:
        yield _ESCAPES.get(letter) or (letter if letter.isprintable() else f"\\x{ord(letter):02x}")


def _int(value: Value) -> int:
    return value if isinstance(value, int) else 0


def _text(value: Value) -> str:
    return "" if value is None else str(value)


def _word(table: dict[int, str], value: Value) -> str:
    return table.get(_int(value), _text(value))


def _if(image: int) -> int:
    return int(bool(image & eflags.IF))


_FLAGS: Final[tuple[tuple[str, Callable[[int], int]], ...]] = (("IF", _if), ("IOPL", eflags.iopl))


def _flags(image: int) -> str:
    return f"IF={_if(image)} IOPL={eflags.iopl(image)}"


def _call(number: int) -> str:
    try:
        found = by_number(*from_unified(number))
    except ValueError:
        found = None
    return found.name if found else f"call {number:#x}"


def _entry(image: Value, handler: Value, symbols: Symbols) -> str:
    return f"enters {place(_int(handler), symbols)}, pushes {_flags(_int(image))}"


def _exception(vector: int, error: Value, address: Value) -> str:
    name = exceptions.mnemonic(vector)
    if error is None:
        return name
    if vector != exceptions.PF:
        return f"{name} error {_int(error):#x}"
    code = _int(error)
    who = "user" if code & 4 else "kernel"
    what = "fetch from" if code & 16 else "write to" if code & 2 else "read of"
    why = "reserved bit" if code & 8 else "protection" if code & 1 else "not present"
    return f"{name} {who} {what} {_int(address):08x}: {why}, error {code:#x}"


def _transition(flag: str, virtual: tuple[int, int], real: tuple[int, int], how: int) -> str:
    """`virtual` and `real`: the flag before and after."""
    by = f"VMI {_call(how)}" if how >= 0x100 else _word(words.HOW, how)
    beside = "" if virtual == real else f" (real {_change(flag, *real)})"
    return f"{_change(flag, *virtual)} by {by}{beside}"


def _change(flag: str, before: int, after: int) -> str:
    return f"{flag} stays {after}" if before == after else f"{flag} {before} -> {after}"


def _size(width: Value) -> str:
    return {1: "B", 2: "W", 4: "D"}.get(_int(width), "")


def _emulated(mnemonic: Value, operand: Value, value: Value, faulted: Value) -> str:
    shown = [f"{item:#x}" if isinstance(item, int) else item for item in (operand, value) if item is not None]
    text = " ".join(["emulated", _text(mnemonic), ", ".join(_text(item) for item in shown)]).rstrip()
    return text if faulted is None else f"{text}: {exceptions.mnemonic(_int(faulted))} in the guest"
