"""Two small kernels in the way of their time, from the probe for a ROM to shut-down, recorded and replayed."""

import struct
from functools import lru_cache
from pathlib import Path

import pytest

from pvtrace.machine.boot import File
from pvtrace.machine.machine import Settings
from pvtrace.model.events import Event, Kind, without_trailing_none
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.session import build
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
from pvtrace.session.replay import replay
from pvtrace.store.reader import TraceReader
from pvtrace.tape.scripted import ScriptedTape
from rom.abi import Generation, by_number, from_unified
from tests.differences.guests import nasm

HERE = Path(__file__).parent
SOURCES = {Generation.V13: "v13.asm", Generation.V3: "v3.asm"}
PROOF = 0x5AFE5AFE
RAM = 8 << 20
HZ = 100_000_000
both = pytest.mark.parametrize("generation", list(SOURCES), ids=list(SOURCES.values()))
CALLS = {
    Generation.V13: {
        *("Init", "GetRelocationInfo", "AllocatePage", "SetLinearMapping", "SetPxE", "FlushDeferredCalls", "InvalPage"),
        *(
            "FlushTLB",
            "GetCR0",
            "SetCR0",
            "GetCR2",
            "RDTSC",
            "CPUID",
            "SetIDT",
            "WriteIDTEntry",
            "UpdateKernelStack",
            "WRMSR",
            "INB",
        ),
        *("OUTB", "IRET", "SYSEXIT", "EnableInterrupts", "DisableInterrupts", "Halt", "Shutdown"),
    },
    Generation.V3: {
        *("Init", "GetRelocationInfo", "SetLinearMapping", "SetInterruptMask", "AllocatePage", "SetPxE", "SetCR3"),
        *("FlushTLB", "SetGDT", "SetIDT", "GetCR4", "SetCR4", "GetCR2", "UpdateKernelStack", "WriteGDTEntry", "SetTR"),
        *("SetLDT", "SetDR", "CLTS", "WriteIDTEntry", "GetCycleFrequency", "GetCycleCounter", "SetAlarm"),
        *("GetWallclockTime", "SetLazyMode", "UpdatePxE", "InvalPage", "IRET", "SYSEXIT", "EnableInterrupts"),
        *("DisableInterrupts", "Halt", "Shutdown"),
    },
}


@lru_cache(maxsize=2)
def guest(generation: Generation) -> bytes:
    source = (HERE / SOURCES[generation]).read_text(encoding="ascii").replace("common.inc", str(HERE / "common.inc"))
    return nasm(source)


def straight(generation: Generation) -> tuple[Stop, list[Event], tuple[int, ...]]:
    """How it ends, what happened, and what its program found out."""
    settings = Settings(ram=RAM, hz=HZ)
    file = File("guest.bin", guest(generation))
    given = build.Given(file, (), build.roms_of("both"), "", settings)
    tape = ScriptedTape()
    machine = build.machine(given, given.boot_image(), tape)
    stop = machine.run(Step(5_000_000))
    image = guest(generation)
    (at,) = struct.unpack_from("<I", image, image.index(b"ADDR") + 4)
    return stop, tape.events, struct.unpack("<8I", machine.cpu.read_physical(at, 32))


@both
def test_from_probe_to_user_mode_and_shut_down(generation: Generation) -> None:
    stop, events, found = straight(generation)
    assert stop.why is Why.SHUTDOWN, stop
    int80, sysenter, faults, ticks, read, ring, low, high = found
    assert (int80, sysenter, faults, read, ring) == (2, 1, 1, PROOF, 1)
    assert ticks >= 1
    assert (low | high << 32) == HZ if generation is Generation.V3 else low > 0
    assert not [event for event in events if event.kind is Kind.NOTE]
    assert {event.flags >> 35 & 3 for event in events} == {0, 1, 3}


@both
def test_every_call_goes_through_its_own_rom(generation: Generation) -> None:
    _, events, _ = straight(generation)
    numbers = [from_unified(int(event.args[0] or 0)) for event in events if event.kind is Kind.HYPERCALL]
    assert {generation for generation, _ in numbers} == {generation}
    infos = [by_number(*number) for number in numbers]
    assert {info.name for info in infos if info is not None} == CALLS[generation]


def test_the_query_of_13_answers_a_call_for_every_number() -> None:
    _, events, _ = straight(Generation.V13)
    queries = [event.args for event in events if event.kind is Kind.HYPERCALL and event.args[0] == 13 << 8 | 85]
    assert [args[1] for args in queries] == list(range(4, 88))
    assert {int(args[5] or 0) >> 32 for args in queries} == {1}


@both
def test_record_and_replay_are_identical(generation: Generation, tmp_path: Path) -> None:
    file = tmp_path / "guest.bin"
    file.write_bytes(guest(generation))
    path = record(RecordOptions(file, tmp_path / "trace.pvt", console="null", checkpoint_every=500, ram=RAM)).path
    result = replay(path)
    assert result.complete
    assert result.stop is not None
    assert result.stop.why is Why.SHUTDOWN
    with TraceReader(path) as trace:
        assert len(trace.checkpoints()) > 5
        recorded, ran = [plain(event) for event in trace.events()], straight(generation)[1]
        assert recorded == [plain(event) for event in ran]


def plain(event: Event) -> Event:
    """An event as a trace gives it back: None at the end of its arguments is nothing."""
    return event._replace(args=without_trailing_none(event.args))
