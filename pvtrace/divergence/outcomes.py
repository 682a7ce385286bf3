"""What an instruction would do, as values that can be compared: the machine's own handlers asked about a view.

`instruction_outcome` is pure where the view leaves no trace (quiet_view, native_view).
"""

from dataclasses import dataclass

from pvtrace.x86 import eflags
from pvtrace.x86.delivery import as_exception
from pvtrace.x86.effects import Effect, Effects, Raise, SetFlags
from pvtrace.x86.exceptions import mnemonic
from pvtrace.x86.privileged import execute
from pvtrace.x86.view import PageFault, View


@dataclass(frozen=True, slots=True)
class Outcome:
    """`flags`: the guest's EFLAGS afterwards; `raised`: the exception instead of anything else; `asked`: the EFLAGS
    image of an instruction that reaches for IF or IOPL."""

    effects: Effects
    flags: int
    raised: Raise | None
    asked: int | None

    @property
    def raised_words(self) -> str:
        """'#GP(0x60)'; empty if nothing was raised."""
        if self.raised is None:
            return ""
        return exception_words(self.raised.vector, self.raised.error)


def exception_words(vector: int, error: int | None) -> str:
    return mnemonic(vector) + ("" if error is None else f"({error:#x})")


def instruction_outcome(view: View, code: bytes) -> Outcome:
    """What the privileged or sensitive instruction at EIP does to the guest of this view."""
    try:
        result = execute(view, code)
    except PageFault as refused:
        return Outcome((), guest_eflags(view), as_exception(refused), None)
    last = result.effects[-1] if result.effects else None
    raised = last if isinstance(last, Raise) else None
    asked = result.attempt.asked if result.attempt is not None else None
    return Outcome(result.effects, flags_after(view, result.effects), raised, asked)


def guest_eflags(view: View) -> int:
    """The flags as the guest believes them."""
    return eflags.guest_flags(view.eflags, view.system)


def flags_after(view: View, effects: tuple[Effect, ...]) -> int:
    """The guest's EFLAGS when these effects are applied."""
    flags = guest_eflags(view)
    for effect in effects:
        match effect:
            case SetFlags(image, mask):
                flags = eflags.replace(flags, image, mask)
            case _:
                pass
    return flags
