"""The calls that mean what one instruction means: the instruction, executed where the call stands.

Most VMI calls replace one privileged instruction that takes the same operands in the same registers. What such an
instruction does is written once, in pvtrace.x86; here it is looked at from the call site, before the CALL.
"""

from dataclasses import dataclass

from pvtrace.model.registers import Gpr, Segment, TableRegister
from pvtrace.model.step import Step
from pvtrace.vmi.call import MASK32, Call, fault
from pvtrace.vmi.effects import VmiEffects
from pvtrace.x86.effects import Effects, Raise, SetEip
from pvtrace.x86.privileged import execute
from pvtrace.x86.state import System
from pvtrace.x86.view import View


@dataclass(frozen=True, slots=True)
class AtSite:
    """A View as it was before the CALL: EIP at the call site, ESP above the return address; `eax` as given."""

    below: View
    eip: int
    esp: int
    eax: int

    @property
    def step(self) -> Step:
        return self.below.step

    @property
    def eflags(self) -> int:
        return self.below.eflags

    @property
    def cpl(self) -> int:
        return self.below.cpl

    @property
    def gdtr(self) -> TableRegister:
        return self.below.gdtr

    @property
    def idtr(self) -> TableRegister:
        return self.below.idtr

    @property
    def ldtr(self) -> Segment:
        return self.below.ldtr

    @property
    def tr(self) -> Segment:
        return self.below.tr

    @property
    def system(self) -> System:
        return self.below.system

    @property
    def ticks(self) -> int:
        return self.below.ticks

    @property
    def hz(self) -> int:
        return self.below.hz

    def wallclock(self) -> int:
        return self.below.wallclock()

    def gpr(self, register: int) -> int:
        match register:
            case Gpr.EAX:
                return self.eax
            case Gpr.ESP:
                return self.esp
            case _:
                return self.below.gpr(register)

    def segment(self, register: int) -> Segment:
        return self.below.segment(register)

    def cr(self, number: int) -> int:
        return self.below.cr(number)

    def read(self, address: int, size: int, user: bool = False) -> bytes:
        return self.below.read(address, size, user)

    def physical(self, address: int) -> int:
        return self.below.physical(address)

    def writable(self, address: int, size: int) -> bool:
        return self.below.writable(address, size)


def at_site(call: Call, view: View, eax: int | None = None) -> AtSite:
    """The view from the call site; `eax`: look at this value in EAX instead of the call's."""
    return AtSite(view, call.site, call.esp + 4 & MASK32, call.eax if eax is None else eax)


def as_instruction(call: Call, view: View, code: bytes, eax: int | None = None) -> VmiEffects:
    """What the instruction `code` does at the call site, less its own step to the next instruction."""
    return at_call(call, execute(at_site(call, view, eax), code).effects)


def at_call(call: Call, effects: Effects) -> VmiEffects:
    """An instruction's effects as those of the call: an exception points at the site, EIP moves by returning."""
    match effects:
        case (*_, Raise(vector, error, address)):
            return fault(call, vector, error, address)
        case _:
            return tuple(effect for effect in effects if not isinstance(effect, SetEip))
