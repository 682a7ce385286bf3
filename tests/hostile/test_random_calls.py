"""Random registers in every call of both generations: the machine survives whatever a guest does, says how it ends, and
does the same a second time."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pvtrace.model.events import Kind
from pvtrace.model.step import Step
from pvtrace.model.stops import Why
from rom.abi import Generation, by_name, calls
from tests.calls.scripts import PROFILES, AwaitTimer, Do, StepOf, image, run

LIMIT = Step(40_000)
MEMORY = 0x138000
GDT_LIKE, IDT, TSS = 0x100020, 0x120000, 0x121000
ADDRESSES = (
    0,
    1,
    MEMORY,
    MEMORY + 0xFFF,
    IDT,
    TSS,
    GDT_LIKE,
    0x130000,
    0x131000,
    0x3FFFFF,
    0x400000,
    0xC8000,
    0xFC000000,
    0xFFFFFFFF,
)
SMALL = (
    0,
    1,
    2,
    3,
    4,
    8,
    0x10,
    0x1B,
    0x23,
    0x28,
    0x30,
    0x58,
    0x68,
    0x100,
    0x174,
    0x200,
    0x3000,
    0x10000,
)
INTERESTING = (*ADDRESSES, *SMALL, 0x11, 0x80000011, 0xFFFF, 0x7FFFFFFF)
WORD = st.one_of(st.sampled_from(INTERESTING), st.integers(0, 0xFFFFFFFF))
FLAGS = st.sampled_from((2, 0x402, 0x8D7, 0x202, 0x40002))
SELECTOR = st.sampled_from((0x10, 0x10, 0x10, 0x23, 0, 0x40, 0x70))
NAMES = {generation: sorted({info.name for info in calls(generation).values()}) for generation in Generation}
ENDING = ("Reboot", "Shutdown", "INVD", "SetCallbacks")
"""These end the run at once and are left out."""


@st.composite
def scripts(draw: st.DrawFn, generation: Generation) -> list[StepOf]:
    steps: list[StepOf] = [Do("Init")]
    for name in draw(
        st.lists(
            st.sampled_from([name for name in NAMES[generation] if name not in ENDING]),
            min_size=4,
            max_size=14,
        )
    ):
        words = tuple(draw(st.lists(WORD, min_size=0, max_size=9)))
        arguments = {operand.name: draw(WORD) for operand in by_name(name).arguments}
        if "count" in arguments and "port" in arguments:
            arguments |= {
                "count": arguments["count"] & 0x1FF,
                "port": draw(st.sampled_from((0x21, 0x60, 0x80, 0x3F8, 0x71))),
            }
        steps.append(Do(name, arguments, words, draw(FLAGS), draw(SELECTOR), draw(SELECTOR)))
        if draw(st.integers(0, 9)) == 0:
            steps.append(AwaitTimer())
    return steps


@pytest.mark.slow
@pytest.mark.parametrize("generation", Generation)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.reuse, Phase.generate),
)
@given(data=st.data())
def test_survives_and_repeats(generation: Generation, data: st.DataObject) -> None:
    steps = data.draw(scripts(generation))
    first = run(generation, steps, paging=True, limit=LIMIT)
    second = run(generation, steps, paging=True, limit=LIMIT)
    assert first.stop == second.stop
    assert first.events == second.events
    assert first.machine.snapshot().state == second.machine.snapshot().state
    if first.stop.why is not Why.ARRIVED:
        assert first.events[-1].kind is Kind.STOP
        assert first.events[-1].args[0] == first.stop.why.value
    if first.stop.why in (Why.TERMINATED, Why.UNSUPPORTED, Why.TRIPLE_FAULT, Why.IDLE):
        assert first.stop.detail


def random_script(generation: Generation, seed: int) -> list[StepOf]:
    """As `scripts`, from a seed alone."""
    chance = random.Random(seed)

    def word() -> int:
        return chance.choice(INTERESTING) if chance.random() < 0.7 else chance.getrandbits(32)

    steps: list[StepOf] = [Do("Init")]
    for _ in range(12):
        name = chance.choice(NAMES[generation])
        arguments = {operand.name: word() for operand in by_name(name).arguments}
        if "port" in arguments and "count" in arguments:
            arguments["count"] &= 0x1FF
        steps.append(Do(name, arguments, tuple(word() for _ in range(chance.randrange(9)))))
    return steps


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("generation", Generation)
def test_records_and_replays_in_processes_of_their_own(generation: Generation, seed: int, tmp_path: Path) -> None:
    guest, trace = tmp_path / "guest.bin", tmp_path / "guest.pvt"
    guest.write_bytes(image(generation, random_script(generation, seed), paging=True))
    program = [sys.executable, "-c", "from pvtrace.cli.main import main; main()"]
    options = [
        "--vmi",
        PROFILES[generation],
        "--console",
        "null",
        "--until",
        str(LIMIT),
        "-o",
        str(trace),
    ]
    recorded = subprocess.run(
        [*program, "record", str(guest), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in recorded.stderr
    assert trace.exists(), recorded.stderr
    replayed = subprocess.run([*program, "replay", str(trace)], capture_output=True, text=True, check=False)
    assert "Traceback" not in replayed.stderr
    assert "iverged" not in replayed.stderr
    assert replayed.returncode == recorded.returncode, replayed.stderr
