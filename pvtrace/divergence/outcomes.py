"""What an instruction would do, as values that can be compared: the machine's own handlers asked about a view.

`instruction_outcome` and `call_effects` are pure where the view leaves no trace (quiet_view, native_view).
"""

from collections.abc import Callable
from dataclasses import dataclass

from pvtrace.model.exits import PortRead, PortWrite, SoftInt
from pvtrace.vmi import deferral
from pvtrace.vmi.call import Call
from pvtrace.vmi.effects import VmiEffects, transfers_control
from pvtrace.vmi.state import VmiState
from pvtrace.vmi.table import perform, perform_held
from pvtrace.x86 import code_transfers, eflags, segment_instructions
from pvtrace.x86.delivery import Delivered, Refused, as_exception, software_interrupt
from pvtrace.x86.disasm import Instruction, decode
from pvtrace.x86.effects import Effect, Effects, End, Native, Raise, SetFlags
from pvtrace.x86.exceptions import mnemonic
from pvtrace.x86.operands import code_bits
from pvtrace.x86.ports import port_read, port_write
from pvtrace.x86.privileged import execute
from pvtrace.x86.results import Result
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


Handler = Callable[[View, Instruction], Result]


def instruction_outcome(view: View, code: bytes) -> Outcome:
    """What the instruction at EIP does to the guest of this view: a privileged or sensitive one, or a segment load."""

    def perform() -> Result:
        result = execute(view, code)
        if result.effects != (Native(),):
            return result
        instruction = decode(code, code_bits(view))
        handler = by_the_cpu(instruction)
        return result if handler is None else handler(view, instruction)

    return _outcome(view, perform)


def by_the_cpu(instruction: Instruction) -> Handler | None:
    """Says what an instruction does that the CPU runs itself; None for those that are the same everywhere."""
    return code_transfers.HANDLERS.get(instruction.mnemonic) or segment_instructions.handler(instruction)


def port_outcome(view: View, exit_: PortRead | PortWrite) -> Outcome:
    """What IN, OUT, or one iteration of INS or OUTS does."""
    if isinstance(exit_, PortRead):
        return _outcome(view, lambda: port_read(view, exit_))
    return _outcome(view, lambda: port_write(view, exit_))


def interrupt_outcome(view: View, exit_: SoftInt) -> Outcome:
    """What INT n, INT3 or INTO does."""

    def perform() -> Result:
        entered = software_interrupt(view, exit_.vector, exit_.length)
        match entered:
            case Delivered(effects):
                return Result("INT", effects)
            case Refused(cause):
                return Result("INT", (cause,))
            case End():
                return Result("INT", (entered,))
            case _:
                return Result("INT", ())

    return _outcome(view, perform)


def _outcome(view: View, perform: Callable[[], Result]) -> Outcome:
    try:
        result = perform()
    except PageFault as refused:
        return Outcome((), guest_eflags(view), as_exception(refused), None)
    last = result.effects[-1] if result.effects else None
    raised = last if isinstance(last, Raise) else None
    asked = result.attempt.asked if result.attempt is not None else None
    return Outcome(result.effects, flags_after(view, result.effects), raised, asked)


def call_effects(call: Call, view: View, state: VmiState) -> VmiEffects:
    """What a VMI call does; one that may wait does at some time what it would do now."""
    effects = perform(call, view, state)
    if deferral.may_wait(call, view, state) and not transfers_control(effects):
        return perform_held(deferral.held(call), view, state)
    return effects


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
