"""What a recording is to stop at, beside steps and times: a fault, a VMI call, a difference from native hardware, an
address, a text on the console.

It watches and asks the machine to pause; the guest does not notice, and the recording is the same until there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pvtrace.model.errors import UsageError
from pvtrace.model.events import Event, Kind
from pvtrace.tape.script import Heard, unescaped
from pvtrace.x86.exceptions import EXCEPTIONS, mnemonic
from rom.abi import call_numbers

VECTORS: Final = {info.mnemonic.lstrip("#").lower(): info.vector for info in EXCEPTIONS}


@dataclass(frozen=True, slots=True)
class Breaks:
    """Any of these ends the recording. `vectors`: exceptions; `calls`: numbers of VMI calls (rom.abi.unified);
    `addresses`: linear, with the names that they were asked for by; `texts`: bytes on the console; `divergence`: the
    first proven difference from native hardware."""

    vectors: frozenset[int] = frozenset()
    calls: frozenset[int] = frozenset()
    addresses: dict[int, str] = field(default_factory=dict)
    texts: tuple[bytes, ...] = ()
    divergence: bool = False


def parse(texts: Sequence[str], address_of: Callable[[str], int | None]) -> Breaks:
    """Each is "fault", "fault PF", "fault 14", "call SetPxE", "divergence", "console TEXT" (with escapes) or a symbol
    of the guest.

    Raises UsageError.
    """
    found = Breaks()
    vectors, numbers, addresses, console = set(found.vectors), set(found.calls), {}, list(found.texts)
    divergence = False
    for text in texts:
        word, _, rest = text.partition(" ")
        rest = rest.strip() if word != "console" else rest
        match word:
            case "fault":
                vectors |= _vectors(rest, text)
            case "call" if call_numbers(rest):
                numbers |= call_numbers(rest)
            case "call" if rest:
                raise UsageError(f"--break-on {text}: {rest} is no VMI call")
            case "console" if rest:
                console.append(unescaped(rest))
            case "divergence" if not rest:
                divergence = True
            case _:
                address = address_of(text)
                if address is None:
                    wanted = "fault, call NAME, divergence, console TEXT"
                    raise UsageError(f"--break-on {text}: not {wanted}, and the guest has no such symbol")
                addresses[address] = text
    return Breaks(frozenset(vectors), frozenset(numbers), addresses, tuple(console), divergence)


def _vectors(rest: str, text: str) -> frozenset[int]:
    if not rest:
        return frozenset(range(len(EXCEPTIONS)))
    vector = VECTORS.get(rest.lstrip("#").lower(), int(rest) if rest.isdecimal() else len(EXCEPTIONS))
    if vector >= len(EXCEPTIONS):
        raise UsageError(f"--break-on {text}: {rest} is no exception; write for example PF, or 14")
    return frozenset({vector})


class Watch:
    """Watches for them while the machine runs; calls `pause` with one sentence when the first has come."""

    def __init__(self, breaks: Breaks, pause: Callable[[str], None]) -> None:
        self._breaks = breaks
        self._pause = pause
        self._console = Heard()

    def event(self, event: Event) -> None:
        """The machine did this."""
        if event.kind is Kind.EXCEPTION and event.args[0] in self._breaks.vectors:
            vector = event.args[0]
            assert isinstance(vector, int)
            self._pause(f"stopped at --break-on fault: {mnemonic(vector)}")
        elif event.kind is Kind.HYPERCALL and event.args[0] in self._breaks.calls:
            self._pause("stopped at --break-on call")

    def byte(self, byte: int) -> None:
        """The guest wrote this to the console."""
        self._console.byte(byte)
        for text in self._breaks.texts:
            if self._console.ends_with(text):
                self._pause(f"stopped at --break-on console: {text.decode(errors='backslashreplace')!r}")
