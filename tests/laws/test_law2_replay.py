"""Law 2, replay: at every recorded digest the replay's digest is equal, and the event tables are equal row for row; in
another process, too."""

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from pvtrace.model.digest import digest
from pvtrace.model.packed import pack
from pvtrace.model.step import Step
from pvtrace.session import build
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
from pvtrace.session.replay import replay
from pvtrace.store.reader import TraceReader
from pvtrace.tape.replaying import ReplayingTape
from pvtrace.tape.scripted import ScriptedTape
from tests.machine.guests import GUESTS
from tests.machine.small import assemble

DEMOS = ("hello", "faults", "irqs", "echo", "userland", "timing")
DISTANCE = 5_000

MACHINE_OF = """
import hashlib
import sys
from pathlib import Path
from pvtrace.model.packed import pack
from pvtrace.session import build
from pvtrace.store.reader import TraceReader
from pvtrace.tape.scripted import ScriptedTape
from pvtrace.model.step import Step
with TraceReader(Path(sys.argv[1])) as trace:
    meta = trace.meta
    given = build.given_from(trace.files, meta.ram, meta.hz, meta.clock, meta.settings)
    tape = ScriptedTape(list(trace.inputs()))
    machine = build.machine(given, given.boot_image(), tape)
    for checkpoint in trace.checkpoints():
        machine.run(checkpoint.step)
        taken = machine.snapshot()
        print(checkpoint.step, taken.ram_digest.hex(), hashlib.blake2b(taken.state, digest_size=16).hexdigest())
    for event in tape.events:
        print(pack(event).hex())
"""


def demo_path(name: str) -> Path:
    path = resources.files("pvtrace.demo").joinpath(f"{name}.elf")
    assert isinstance(path, Path)
    return path


def recording(folder: Path, guest: Path, every: int = DISTANCE) -> Path:
    return record(RecordOptions(guest, folder / "trace.pvt", console="null", checkpoint_every=every)).path


@pytest.mark.parametrize("name", DEMOS)
def test_in_another_process(name: str, tmp_path: Path) -> None:
    """Another process, with other addresses and hash seeds, knows of the recording only what came from outside."""
    path = recording(tmp_path, demo_path(name))
    seed = {**os.environ, "PYTHONHASHSEED": "12345"}
    done = subprocess.run(
        [sys.executable, "-c", MACHINE_OF, path], capture_output=True, text=True, check=False, env=seed
    )
    assert done.returncode == 0, done.stderr
    with TraceReader(path) as trace:
        checkpoints = [
            f"{checkpoint.step} {checkpoint.ram_digest.hex()} {checkpoint.state.hex()}"
            for checkpoint in trace.checkpoints()
        ]
        events = [pack(event).hex() for event in trace.events()]
        assert len(checkpoints) > trace.last() // DISTANCE
    lines = done.stdout.splitlines()
    assert lines[: len(checkpoints)] == checkpoints
    assert lines[len(checkpoints) :] == events


@pytest.mark.parametrize("paravirtual", [False, True])
@pytest.mark.parametrize("name", GUESTS)
def test_small_guests(name: str, paravirtual: bool, tmp_path: Path) -> None:
    guest = tmp_path / "guest.elf"
    guest.write_bytes(assemble(GUESTS[name], paravirtual))
    path = recording(tmp_path, guest, every=400)
    result = replay(path)
    assert result.complete
    with TraceReader(path) as trace:
        assert result.events == trace.progress().mark.events
        assert len(trace.checkpoints()) > result.steps // 400


@pytest.mark.parametrize("name", ["irqs", "userland"])
def test_from_each_checkpoint_on(name: str, tmp_path: Path) -> None:
    """What is stored at a checkpoint is enough to go on from there, and comes to the same."""
    path = recording(tmp_path, demo_path(name), every=40_000)
    with TraceReader(path) as trace:
        meta = trace.meta
        given = build.given_from(trace.files, meta.ram, meta.hz, meta.clock, meta.settings)
        checkpoints = trace.checkpoints()
        for number, start in enumerate(checkpoints):
            tape = ReplayingTape(trace, start.mark)
            machine = build.machine(given, given.boot_image(), ScriptedTape())  # what its boot does is no news
            machine.tape = machine.journal.tape = tape
            stored = trace.snapshot(start)
            machine.restore(stored.state, stored.pages)
            for goal in checkpoints[number + 1 :]:
                machine.run(Step(goal.step))
                taken = machine.snapshot()
                got = (taken.ram_digest, digest(taken.state), tape.mark.counts)
                assert got == (goal.ram_digest, goal.state, goal.mark.counts)
