"""Whatever a guest does, a run that is judged is the run itself, and nothing is raised."""

from collections.abc import Sequence
from dataclasses import fields
from random import Random
from typing import Final, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pvtrace.divergence.judge import Judge
from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.machine.boot import File, boot_image
from pvtrace.machine.machine import Machine, Settings
from pvtrace.model.events import Event
from pvtrace.model.findings import Finding, Section
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop
from pvtrace.session.build import LOADER, roms_of
from pvtrace.x86.latitude import Latitude
from tests.differences.guests import RAM
from tests.divergence.hostile_guests import image
from tests.divergence.judging import WatchedTape

LIMIT: Final = Step(40_000)
AS_A_RULE: Final = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


class Ran(NamedTuple):
    """All that can be told of a run, and what was found in it."""

    stop: Stop
    state: bytes
    ram: bytes
    events: Sequence[Event]
    found: Sequence[Finding] = ()
    sections: Sequence[Section] = ()

    @property
    def alone(self) -> "Ran":
        """Without what was found."""
        return self._replace(found=(), sections=())


def run(guest: bytes, seed: int, *, judged: bool, slices: int = LIMIT) -> Ran:
    """`seed`: of the settings; `slices`: steps that are run at a time."""
    chance, tape = Random(seed), WatchedTape()
    latitude = Latitude(**{each.name: chance.random() < 0.5 for each in fields(Latitude)})
    made = Settings(ram=RAM, hz=100_000_000, latitude=latitude, user_if=chance.random() < 0.5)
    machine = Machine(UnicornCpu(RAM, watchful=judged), tape, made)
    machine.boot(boot_image(File("guest.bin", guest), ram_size=RAM, roms=roms_of("13.3"), loader=LOADER))
    judge = tape.judge = Judge(machine) if judged else None
    stop = machine.run(Step(min(slices, LIMIT)))
    while machine.ended is None and machine.step < LIMIT:
        stop = machine.run(Step(min(machine.step + slices, LIMIT)))
    taken = machine.snapshot()
    found = () if judge is None else judge.found.all()
    sections = () if judge is None else judge.sections()
    return Ran(stop, taken.state, taken.ram_digest, tape.events, found, sections)


@AS_A_RULE
@given(seed=st.integers(0, 1 << 32))
def test_a_judged_run_is_the_run(seed: int) -> None:
    guest = image(seed)
    assert run(guest, seed, judged=True).alone == run(guest, seed, judged=False)


def test_the_guests_come_to_what_rules_are_about() -> None:
    found = {finding.rule for seed in range(40) for finding in run(image(seed), seed, judged=True).found}
    assert len(found) >= 20, sorted(found)


@settings(AS_A_RULE, max_examples=5)
@given(seed=st.integers(0, 1 << 32), slices=st.integers(1, 3000))
def test_findings_do_not_depend_on_where_the_run_is_cut(seed: int, slices: int) -> None:
    guest = image(seed)
    assert run(guest, seed, judged=True, slices=slices) == run(guest, seed, judged=True)


MAPPED: Final = "c705e014130007000080"
"""The page at 138000h becomes one that is no memory."""

SHOWN: Final = {
    "MOV from a segment register that there is none of": "8cf8",
    "LOCK and a MOV from a segment register": "f08c0500801300",
    "a sixth instruction of the group of VERR": "0f00f0",
    "a store of a selector to ROM": "8c0d00800c00",
    "a store of a selector to no memory": f"{MAPPED}8c0d00801300",
    "LAR of what no memory holds": f"{MAPPED}0f020500801300",
    "LAR of what the hypervisor holds": "0f0205000000fc",
    "PUSH to no memory": f"{MAPPED}bc04811300 0e",
}
"""Instructions that are shown to whoever watches and that the CPU then runs by itself, in ways that are rare."""


@pytest.mark.parametrize("code", SHOWN.values(), ids=SHOWN.keys())
def test_what_is_shown_alone_is_run_as_if_nobody_looked(code: str) -> None:
    guest = image(0, bytes.fromhex(code))
    assert run(guest, 0, judged=True).alone == run(guest, 0, judged=False)
