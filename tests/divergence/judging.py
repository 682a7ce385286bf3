"""A tiny guest of tests.differences, run on a machine that the rules watch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pvtrace.divergence.judge import Judge
from pvtrace.divergence.shadow import Shadow
from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.machine.boot import File, boot_image
from pvtrace.machine.machine import Machine, Settings
from pvtrace.model.events import Event, Kind
from pvtrace.model.findings import Finding, Section, Standing
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop
from pvtrace.session.build import LOADER, roms_of
from pvtrace.tape.scripted import ScriptedTape
from pvtrace.x86.latitude import DEFAULT, Latitude
from rom.abi import call_numbers
from tests.differences.guests import LIMIT, RAM, REPORT_PORT, Case, assemble, reports


class WatchedTape(ScriptedTape):
    """Shows each event to a judge as well."""

    judge: Judge | None = None

    def saw(self, event: Event) -> None:
        super().saw(event)
        if self.judge is not None:
            self.judge.saw(event)


@dataclass(frozen=True, slots=True)
class Judged:
    """A guest at its end. `findings` in order; `init`: the step of VMI Init; `shadow`: as it is at the end."""

    machine: Machine
    stop: Stop
    reports: tuple[int, ...]
    events: Sequence[Event]
    findings: Sequence[Finding]
    init: Step
    sections: Sequence[Section]
    shadow: Shadow

    def of(self, rule: str, standing: Standing | None = None) -> list[Finding]:
        """Those of one rule that the guest brought about after Init."""
        found = [each for each in self.findings if each.rule == rule and each.step > self.init]
        return [each for each in found if standing is None or each.standing is standing]

    def at_init(self, rule: str) -> list[Finding]:
        return [each for each in self.findings if each.rule == rule and each.step == self.init]


_INIT: Final = call_numbers("Init")


def judged(case: Case, latitude: Latitude = DEFAULT, *, user_if: bool = False, profile: str = "13.3") -> Judged:
    tape = WatchedTape()
    settings = Settings(ram=RAM, hz=100_000_000, latitude=latitude, user_if=user_if)
    machine = Machine(UnicornCpu(RAM, watchful=True), tape, settings)
    guest = File(f"{case.name}.bin", assemble(case.source, case.options))
    machine.boot(boot_image(guest, ram_size=RAM, roms=roms_of(profile), loader=LOADER))
    judge = tape.judge = Judge(machine)
    stop = machine.run(LIMIT)
    written = [event.args for event in tape.events if event.kind is Kind.PORT_WRITE]
    sent = bytes(value for port, _, value in written if port == REPORT_PORT and isinstance(value, int))
    calls = [event for event in tape.events if event.kind is Kind.HYPERCALL]
    init = next((event.step for event in calls if event.args[0] in _INIT), Step(0))
    return Judged(
        machine, stop, reports(sent)[0], tape.events, list(judge.found.all()), init, judge.sections(), judge.shadow
    )
