"""Shows a running machine to the rules, and gathers what they find.

It watches: exits through Machine.witness, events through its tape (`saw`). It changes nothing, so a run that is judged
is the run that was recorded. Findings depend on the run alone, from its first step on.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pvtrace.divergence import following, rules
from pvtrace.divergence.native_view import NativeView
from pvtrace.divergence.outcomes import instruction_outcome
from pvtrace.divergence.quiet_view import QuietView
from pvtrace.divergence.scenes import Called, Executed, Faulted, Happened
from pvtrace.divergence.shadow import Shadow
from pvtrace.machine.machine import Machine
from pvtrace.model.events import Event, Kind
from pvtrace.model.exits import Exit, Fault, Halt, Hypercall, Sensitive
from pvtrace.model.findings import Finding, Standing
from pvtrace.model.registers import Gpr, Seg
from pvtrace.model.step import Step
from pvtrace.vmi.call import Call
from pvtrace.x86.disasm import LONGEST, decode
from pvtrace.x86.operands import MASK32, code_bits
from pvtrace.x86.view import PageFault
from rom.abi import Operand, Place, by_number
from rom.layout import STUB_SIZE, identify

CALL_LENGTH: Final = 5
_PARAVIRTUAL: Final = 1 << 4
"""The bit of event MODE."""

_ENTRIES: Final = frozenset({Kind.EXCEPTION, Kind.INTERRUPT, Kind.SOFTWARE_INTERRUPT})
_FOLLOWED_CALLS: Final = frozenset({"IRET"})
_SILENT: Final = frozenset({"SYSENTER", "SYSEXIT"})


class Judge:
    """Watches one machine from where it stands, which must be its first step. `findings`: all until now, in order."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.findings: list[Finding] = []
        self.shadow = Shadow()
        self._view = QuietView(machine)
        self._potential: dict[tuple[str, int, str], int] = {}
        self._events = machine.journal.count
        self._fresh: list[int] = []  # findings of the present moment, which the next event shows
        self._call: Call | None = None
        self._called: Event | None = None  # the last call's event: the cause of an exception
        machine.witness = self.witness

    # ------------------------------------------------------------------ what it is shown

    def witness(self, exit_: Exit) -> None:
        """An exit is about to be reacted to."""
        self._fresh.clear()
        self._call = None
        self._settle()
        match exit_:
            case Sensitive(code):
                self._executed(code)
            case Halt():
                self._executed(b"\xf4")
            case Hypercall():
                self._hypercall()
            case Fault():
                self._faulted(exit_)
            case _:
                pass

    def saw(self, event: Event) -> None:
        """An event was logged."""
        number, self._events = self._events, self._events + 1
        for index in self._fresh:
            self.findings[index] = replace(self.findings[index], event=number)
        self._fresh.clear()
        if event.kind is Kind.MODE:
            self._mode(event)
        if not self.machine.system.paravirtual:
            return
        if event.kind is Kind.HYPERCALL:
            self._called = event
        interested = rules.EVENTS.get(event.kind, ())
        if interested or event.kind is Kind.HYPERCALL or event.kind in _ENTRIES:
            place = self._place(event.step, event.pc)
            scene = Happened(*place, event=event, number=number, called=self._called, call=self._call)
            for rule in interested:
                self._found(replace(each, event=number) for each in rule(scene))
            self.shadow = following.event(scene)
            self._settle()

    # ------------------------------------------------------------------ scenes

    def _executed(self, code: bytes) -> None:
        machine = self.machine
        if not machine.system.paravirtual:
            return
        view = self._view
        instruction = decode(code, code_bits(view))
        name = instruction.mnemonic
        interested = rules.INSTRUCTIONS.get(name, ())
        if not interested and name not in _SILENT:
            return
        step, pc, _, _, native, shadow = self._place(machine.step, None)
        here, natively = instruction_outcome(view, code), instruction_outcome(native, code)
        scene = Executed(
            step,
            pc,
            code[: instruction.length],
            view,
            native,
            shadow,
            instruction=instruction,
            natively=natively,
            here=here,
        )
        opened = self._judge(each for rule in interested for each in rule(scene))
        self.shadow = following.instruction(scene, opened)

    def _hypercall(self) -> None:
        call = self._call_here()
        if call is None:
            return
        name = call.info.name
        interested = (*rules.CALLS.get(name, ()), *rules.EVERY_CALL)
        if not interested and name not in _FOLLOWED_CALLS:
            return
        self._call = call
        scene = Called(*self._place(self.machine.step, call.site), call=call, vmi=self.machine.vmi)
        opened = self._judge(each for rule in interested for each in rule(scene))
        self.shadow = following.call(scene, opened)

    def _call_here(self) -> Call | None:
        """The VMI call that this VMCALL is; None if it is none, or one that no rule is shown before."""
        view = self._view
        entry = (view.eip + view.segment(Seg.CS).base) & MASK32
        try:
            found = identify(view.read(entry, STUB_SIZE))
            info = by_number(*found) if found else None
            if found is None or info is None:
                return None
            esp = view.gpr(Gpr.ESP)
            words = view.read(esp, 12) if _has_stack(info.arguments) else view.read(esp, 4) + bytes(8)
        except PageFault:
            return None
        generation, number = found
        back, first, second = (int.from_bytes(words[at : at + 4], "little") for at in (0, 4, 8))
        return Call(
            generation=generation,
            number=number,
            info=info,
            eax=view.gpr(Gpr.EAX),
            edx=view.gpr(Gpr.EDX),
            ecx=view.gpr(Gpr.ECX),
            stack=(first, second),
            site=(back - CALL_LENGTH) & MASK32,
            return_eip=back,
            esp=esp,
        )

    def _faulted(self, exit_: Fault) -> None:
        if not self.machine.system.paravirtual or not rules.FAULTS:
            return
        place = self._place(self.machine.step, None)
        scene = Faulted(
            *place,
            vector=exit_.vector,
            error=exit_.error,
            address=exit_.address,
            instruction=decode(place[2], code_bits(self._view)),
        )
        self._judge(each for rule in rules.FAULTS for each in rule(scene))

    def _place(self, step: Step, pc: int | None) -> tuple[Step, int, bytes, QuietView, NativeView, Shadow]:
        """The fields of Scene."""
        view = self._view
        at = (view.eip + view.segment(Seg.CS).base) & MASK32 if pc is None else pc
        code = self.machine.cpu.peek(at, LONGEST)
        return step, at, code, view, NativeView(self.machine, self.shadow), self.shadow

    # ------------------------------------------------------------------ what is found

    def _judge(self, found: Iterable[Finding]) -> int | None:
        """Keep what the rules found; the index of the finding since which native IF is another."""
        start = len(self.findings)
        self._found(found)
        self._fresh.extend(range(start, len(self.findings)))
        for index in range(start, len(self.findings)):
            finding = self.findings[index]
            if finding.what == "eflags.IF" and finding.standing is Standing.PROVEN:
                return index
        return None

    def _found(self, found: Iterable[Finding]) -> None:
        """Potential findings are kept once for each place, and counted."""
        for finding in found:
            if finding.standing is not Standing.POTENTIAL:
                self.findings.append(finding)
                continue
            key = (finding.rule, finding.pc, finding.what)
            known = self._potential.setdefault(key, len(self.findings))
            if known == len(self.findings):
                self.findings.append(finding)
            else:
                self.findings[known] = replace(self.findings[known], times=self.findings[known].times + 1)

    def _mode(self, event: Event) -> None:
        before, after = event.args[:2]
        assert isinstance(before, int)
        assert isinstance(after, int)
        if after & ~before & _PARAVIRTUAL:
            system = self.machine.system
            self.shadow = Shadow(vif=system.vif, iopl=system.viopl)

    def _settle(self) -> None:
        """Where the native IF and the machine's are one again, no finding is to blame."""
        if self.shadow.section is not None and self.shadow.vif == self.machine.system.vif:
            self.shadow = replace(self.shadow, section=None)


def _has_stack(arguments: Iterable[Operand]) -> bool:
    """Whether a call has arguments above the return address."""
    return any(operand.place in (Place.STACK1, Place.STACK2) for operand in arguments)
