"""Shows a running machine to the rules, and gathers what they find.

It watches: exits through Machine.witness, events through its tape (`saw`). It changes nothing, so a run that is judged
is the run that was recorded. Findings depend on the run alone, from its first step on.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from pvtrace.divergence import following, following_state, rules
from pvtrace.divergence.gathered import Gathered
from pvtrace.divergence.native_view import NativeView
from pvtrace.divergence.outcomes import Outcome, call_effects, instruction_outcome, interrupt_outcome, port_outcome
from pvtrace.divergence.quiet_view import QuietView
from pvtrace.divergence.rules.rule import EventRule
from pvtrace.divergence.rules.transfers import is_low_gate
from pvtrace.divergence.scenes import Called, Executed, Faulted, Happened, Loaded
from pvtrace.divergence.sections import Ledger
from pvtrace.divergence.shadow import Image, Shadow
from pvtrace.divergence.table_watch import TableWatch
from pvtrace.divergence.tables import ENTRY_CALLS, entry_address, stores_nothing_new
from pvtrace.machine.calls import CALL_LENGTH, entry_point, made_through
from pvtrace.machine.machine import Machine
from pvtrace.model.events import Event, Kind
from pvtrace.model.exits import Exit, Fault, Halt, Hypercall, PortRead, PortWrite, Seen, Sensitive, SoftInt, Watchpoint
from pvtrace.model.findings import Finding, Section
from pvtrace.model.registers import Gpr, Seg
from pvtrace.model.step import Step
from pvtrace.vmi.call import Call
from pvtrace.x86.descriptors import USER_RING
from pvtrace.x86.disasm import LONGEST, Instruction, decode
from pvtrace.x86.operands import MASK32, code_bits
from pvtrace.x86.selector_operands import selectors
from pvtrace.x86.view import PageFault, View
from rom.layout import STUB_SIZE

_DIRECT: Final = (b"\xe8", b"\xe9")
"""CALL and JMP rel32."""
_PARAVIRTUAL: Final = 1 << 4
"""The bit of event MODE."""

_VIF: Final = 32
"""Of an event's flags (model.events.pack_flags)."""

_ENTRIES: Final = frozenset({Kind.EXCEPTION, Kind.INTERRUPT, Kind.SOFTWARE_INTERRUPT})
_FOLLOWED: Final = _ENTRIES | {Kind.RETURN}
_FOLLOWED_CALLS: Final = frozenset({"IRET"}) | following_state.CALLS
_SILENT: Final = frozenset({"SYSENTER", "SYSEXIT"}) | following_state.INSTRUCTIONS


Read = tuple[int, bytes, int]
"""An instruction that shows a value: its linear address, its bytes, and the value."""


class Judge:
    """Watches one machine from where it stands, which must be its first step. `found`: all until now, in order."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.found = Gathered()
        self.shadow = Shadow()
        self._reads: dict[Read, int] = {}  # reads of a value that natively is another: the index of the first finding
        self._when_returned = {
            call: asked for call, asked in rules.RETURNED.items() if machine.latitude.defer or call not in rules.WAITING
        }
        self._entries: dict[int, Image] = {}  # what the last call that wrote a descriptor was given, by address
        self._twins = (self.shadow, self.shadow)  # two that differ in IF alone
        self._ledger = Ledger()
        self._view = QuietView(machine)
        self._tables = TableWatch(machine)
        self._read_back = False  # the instruction that last read a table was found to read another one natively
        self._events = machine.journal.count
        self._fresh: Sequence[int] = ()  # findings of the present moment, which the next event shows
        self._call: Call | None = None
        self._vif = machine.system.vif  # the guest's, behind the last event
        self._vif_before = self._vif  # and before the last call
        self._called: Event | None = None  # the last call's event: the cause of an exception
        machine.witness = self.witness

    def sections(self) -> tuple[Section, ...]:
        """The critical sections until now, in the order in which they began."""
        return self._ledger.sections(self.found.all(), self.machine.step, self.machine.ticks)

    # ------------------------------------------------------------------ what it is shown

    def witness(self, exit_: Exit) -> None:
        """An exit is about to be reacted to."""
        self._fresh = ()
        self._call = None
        self._settle(self.machine.system.vif)
        match exit_:
            case Sensitive(code) | Seen(code):
                self._executed(code, lambda view: instruction_outcome(view, code))
            case Halt():
                self._executed(b"\xf4", lambda view: instruction_outcome(view, b"\xf4"))
            case SoftInt():
                self._interrupt(exit_)
            case PortRead() | PortWrite():
                self._port(exit_)
            case Hypercall():
                self._hypercall()
            case Fault():
                self._faulted(exit_)
            case Watchpoint():
                self._loaded()
            case _:
                pass

    def saw(self, event: Event) -> None:
        """An event was logged."""
        number, self._events = self._events, self._events + 1
        self._see(event, number)
        self._vif = bool(event.flags >> _VIF & 1)

    def _see(self, event: Event, number: int) -> None:
        if self._fresh:
            self.found.shown_by(self._fresh, number)
            self._fresh = ()
        if event.kind is Kind.MODE:
            self._mode(event)
        if not self.machine.system.paravirtual:
            return
        if event.kind is Kind.HYPERCALL:
            self._returned(event, number)
            return
        if event.kind is Kind.STOLEN:
            self._stolen(event)
        elif event.kind is Kind.RETURN and not self.shadow.left:
            return  # to whom is of interest only to those who wait
        scene = self._asked_after(event, number, rules.EVENTS.get(event.kind, ()))
        if scene is not None and event.kind in _FOLLOWED:
            self._follow(following.event(scene), ended=event.kind not in _ENTRIES)
            self._settle(self.machine.system.vif)

    def _returned(self, event: Event, number: int) -> None:
        """A VMI call is done. The CPU answers some of them by itself and tells of them later, so only the event is of
        that moment."""
        self._called, self._vif_before = event, self._vif
        call = following.call_number(event)
        interested = self._when_returned.get(call)
        if interested:
            self._asked_after(event, number, interested)
        vif = following.if_behind(call, event)
        shadow = following.called(self.shadow, call, event) if vif is None else self._with_if(vif)
        if shadow is not self.shadow:
            self._follow(shadow, at=event.step)
        self._settle(bool(event.flags >> _VIF & 1), at=event.step)

    def _with_if(self, vif: bool) -> Shadow:
        """The shadow with this native IF. A kernel turns it on and off all the time: the last two are kept."""
        shadow = self.shadow
        if shadow.vif == vif:
            return shadow
        if not any(shadow is twin for twin in self._twins):
            self._twins = (shadow, replace(shadow, vif=vif))
        one, other = self._twins
        return other if shadow is one else one

    def _asked_after(self, event: Event, number: int, interested: Sequence[EventRule]) -> Happened | None:
        """Ask rules about an event; what they were shown, None if nobody wants to see it."""
        if not interested and event.kind not in _FOLLOWED:
            return None
        scene = Happened(
            *self._place(event.step, event.pc),
            event=event,
            number=number,
            called=self._called,
            call=self._call,
            vif_before=self._vif_before,
            vmi=self.machine.vmi,
        )
        for rule in interested:
            self.found.shown_by(self.found.add(rule(scene)), number)
        return scene

    # ------------------------------------------------------------------ scenes

    def _interrupt(self, exit_: SoftInt) -> None:
        """User code is refused by the same gates on both machines; a kernel can be by those of a low level alone."""
        if self._view.cpl != USER_RING and is_low_gate(self._view, exit_.vector):
            self._executed(self._code(), lambda view: interrupt_outcome(view, exit_))

    def _port(self, exit_: PortRead | PortWrite) -> None:
        """A kernel may access every port on both machines, and the bitmap is one: only IOPL can differ."""
        if self._view.cpl == USER_RING and self.shadow.iopl != self.machine.system.viopl:
            self._executed(self._code(), lambda view: port_outcome(view, exit_))

    def _patched(self, site: int) -> bytes:
        """The bytes of a call site; none where the guest calls some other way, as through a register: then the call
        does not begin there."""
        code = self.machine.cpu.peek(site, CALL_LENGTH)
        return code if code[:1] in _DIRECT else b""

    def _code(self) -> bytes:
        """The bytes at EIP."""
        return self.machine.cpu.peek((self._view.eip + self._view.segment(Seg.CS).base) & MASK32, LONGEST)

    def _executed(self, code: bytes, outcome: Callable[[View], Outcome]) -> None:
        machine = self.machine
        if not machine.system.paravirtual:
            return
        view = self._view
        instruction = decode(code, code_bits(view))
        name = instruction.mnemonic
        interested = rules.INSTRUCTIONS.get(name, ())
        if not interested and name not in _SILENT:
            return
        pc = view.eip + view.segment(Seg.CS).base & MASK32
        read: Read | None = None
        if name in rules.READS:
            value = rules.READS[name](view, instruction)
            read = None if value is None else (pc, code[: instruction.length], value)
            if read is None or self._is_known(read):
                return
        native = self._native_at(instruction)
        here, natively = outcome(view), outcome(native)
        scene = Executed(
            machine.step,
            pc,
            code[: instruction.length],
            view,
            native,
            self.shadow,
            instruction=instruction,
            natively=natively,
            here=here,
        )
        opened = self._judge(each for rule in interested for each in rule(scene))
        if read is not None and self._fresh:
            self._reads[read] = self._fresh[0]
        self._follow(following.instruction(scene, opened))

    def _native_at(self, instruction: Instruction) -> NativeView:
        """The machine as it would be natively, just before an instruction."""
        view = self._view
        if instruction.mnemonic != "IRET":
            return NativeView(self.machine, self.shadow, selectors=selectors(view, instruction))
        return self._native_at_frame(view.segment(Seg.SS).base + view.gpr(Gpr.ESP) & MASK32)

    def _native_at_frame(self, frame: int, call: Call | None = None) -> NativeView:
        """The same, before IRET or the VMI call for it takes the frame at this linear address."""
        self._follow(following.without_stale_frame(self.shadow, self._view, frame), ended=False)
        return NativeView(self.machine, self.shadow, call=call, frame=frame)

    def _is_known(self, read: Read) -> bool:
        """Counts it, too. Handlers save selectors each time, and nobody wants to see each."""
        index = self._reads.get(read)
        if index is not None:
            self.found.again(index)
        return index is not None

    def _hypercall(self) -> None:
        machine, view = self.machine, self._view
        entry = machine.cpu.peek((view.eip + view.segment(Seg.CS).base) & MASK32, STUB_SIZE)
        point = entry_point(entry)
        if point is None:
            return
        name = point.info.name
        interested = rules.CALLS.get(name, ())
        if not interested and name not in _FOLLOWED_CALLS:
            return
        try:
            call = made_through(point, view)
        except PageFault:
            return
        if name in ENTRY_CALLS and self._is_written(call):
            return
        self._call = call
        if name == "IRET":
            native = self._native_at_frame(call.esp + 4 & MASK32, call)
        else:
            native = NativeView(machine, self.shadow, call=call)
        code, here = self._patched(call.site), call_effects(call, view, machine.vmi)
        scene = Called(machine.step, call.site, code, view, native, self.shadow, call=call, vmi=machine.vmi, here=here)
        opened = self._judge(each for rule in interested for each in rule(scene))
        self._follow(following.call(scene, opened))

    def _is_written(self, call: Call) -> bool:
        """Whether a descriptor is written that is there already; the next time it may be."""
        address = entry_address(call)
        before = self._entries.get(address)
        self._entries[address] = (call.ecx, call.stack[0])
        return stores_nothing_new(call, before, self._view)

    def _faulted(self, exit_: Fault) -> None:
        interested = rules.FAULTS.get(exit_.vector, ())
        if not self.machine.system.paravirtual or not interested:
            return
        step, pc, code, view, _, shadow = self._place(self.machine.step, None)
        instruction = decode(code, code_bits(view))
        scene = Faulted(
            step,
            pc,
            code[: instruction.length],
            view,
            NativeView(self.machine, shadow, selectors=selectors(view, instruction)),
            shadow,
            vector=exit_.vector,
            error=exit_.error,
            address=exit_.address,
            instruction=instruction,
        )
        self._judge(each for rule in interested for each in rule(scene))

    def _loaded(self) -> None:
        """The guest may have read a descriptor that the machine has rewritten."""
        read = self._tables.taken()
        if read is None or (read.again and self._read_back):
            return
        machine, shadow = self.machine, self.shadow
        scene = Loaded(
            machine.step,
            read.pc,
            read.code,
            self._view,
            NativeView(machine, shadow),
            shadow,
            address=read.address,
            width=read.width,
            instruction=read.instruction,
        )
        self._read_back = bool(
            self.found.add(each for rule in rules.LOADS for each in rule(scene))
        )  # no event shows it

    def _place(self, step: Step, pc: int | None) -> tuple[Step, int, bytes, QuietView, NativeView, Shadow]:
        """The fields of Scene."""
        view = self._view
        at = (view.eip + view.segment(Seg.CS).base) & MASK32 if pc is None else pc
        code = self.machine.cpu.peek(at, LONGEST)
        return step, at, code, view, NativeView(self.machine, self.shadow), self.shadow

    # ------------------------------------------------------------------ what is found

    def _judge(self, found: Iterable[Finding]) -> int | None:
        """Keep what the rules found; the index of the finding since which native IF is another."""
        self._fresh = self.found.add(found)
        return self.found.opening(self._fresh)

    def _mode(self, event: Event) -> None:
        before, after = event.args[:2]
        assert isinstance(before, int)
        assert isinstance(after, int)
        if after & ~before & _PARAVIRTUAL:
            system = self.machine.system
            self._follow(replace(self.shadow, vif=system.vif, iopl=system.viopl))

    def _follow(self, shadow: Shadow, *, at: Step | None = None, ended: bool = True) -> None:
        """`at`: the step of the moment, where that is not the machine's."""
        before, self.shadow = self.shadow, shadow
        if shadow is before:
            return
        if shadow.tables is not before.tables:
            self._tables.follow(shadow.tables)
        step = self.machine.step if at is None else at
        self._ledger.moved(before, shadow, step, self.machine.clock.ticks(step), ended=ended)

    def _settle(self, vif: bool, *, at: Step | None = None) -> None:
        """Where the native IF and the machine's are one again, no finding is to blame; and they are one unless a
        finding says why not. `vif`: the machine's."""
        shadow = self.shadow
        if shadow.section is not None and shadow.vif == vif:
            self._follow(replace(shadow, section=None), at=at)
        elif shadow.section is None and shadow.vif != vif:
            self._follow(self._with_if(vif), at=at)

    def _stolen(self, event: Event) -> None:
        _, ticks = event.args[:2]
        assert isinstance(ticks, int)
        self._ledger.stolen(ticks)
