"""Each pane as text, at places of real recordings. Golden: PVTRACE_GOLDEN=write writes them anew."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvtrace.model.events import Event, Kind
from pvtrace.model.findings import Standing
from pvtrace.model.step import Step
from pvtrace.tui import frame
from pvtrace.tui.decoded import decoded, error_words
from pvtrace.tui.lines import Size, block, cells, text, width
from pvtrace.tui.messages import Entered, GoTo, OpenFinding, Said
from pvtrace.tui.panes import screen
from pvtrace.tui.panes.detail import flags
from pvtrace.tui.panes.table import PANES
from tests.tui.conftest import Golden
from tests.tui.models import Desk, desk

Recording = Callable[[str], Path]

BEFORE = "the last event before it:"

PLACES = {
    "a call": ("userland", 61_697),
    "an ignored POPF": ("userland", 69_759),
    "a fault": ("userland", 69_762),
    "a page fault": ("faults", 63_849),
    "the end": ("irqs", 1 << 40),
}
SHOWN = ("events", "detail", "disassembly", "registers", "stack", "memory", "console")
SIZES = (Size(38, 7), Size(90, 16))


def pane(at: Desk, name: str, size: Size) -> str:
    """Its content as it stands in a frame of this size."""
    lines = block(PANES[name].lines(replace(at.model, focus=name), at.record, size), size)
    return "".join(f"{text(item)}\n" for item in lines)


@pytest.mark.parametrize("name", SHOWN)
def test_panes(recording: Recording, golden: Golden, name: str) -> None:
    made = []
    for words, (file, step) in PLACES.items():
        with desk(recording(file)) as at:
            last = at.model.recording.last
            at.send(GoTo(Step(min(step, last))))
            for size in SIZES:
                made.append(f"== {words}, {size.width}x{size.height}: {PANES[name].title(at.model)}\n")
                made.append(pane(at, name, size))
    golden(f"pane-{name}.txt", "".join(made))


def test_the_help_is_what_there_is(recording: Recording, golden: Golden) -> None:
    with desk(recording("hello")) as at:
        golden("pane-help.txt", pane(at, "help", Size(80, 400)).rstrip() + "\n")


def test_panes_before_there_is_a_machine(recording: Recording) -> None:
    with desk(recording("userland")) as at:
        at.model = replace(at.model, picture=None)
        for name in SHOWN:
            assert pane(at, name, Size(60, 10))


def test_the_text_screen() -> None:
    rows = ("Booting", "", "login: _", *[""] * 22)
    shown = [text(item) for item in screen.draw(screen.Slice(rows), Size(80, 25))]
    assert shown[:3] == ["Booting", "", "login: _"]
    assert [text(item) for item in screen.draw(screen.Slice(rows), Size(80, 2))] == ["", "login: _"]


def test_memory_with_its_cursor_and_who_wrote_it(recording: Recording) -> None:
    with desk(recording("userland"), 69_759) as at:
        at.send(Entered(":", "memory 106fd0"))
        at.press("l", "W")
        shown = pane(at, "memory", Size(80, 10))
        assert "00106fd0  52 10 10 00" in shown
        assert "00106fd1 was written at step" in shown
        at.press(".")
        assert at.model.memory.address is None
        at.send(Entered(":", "memory f0000000"))
        assert "?? ??" in pane(at, "memory", Size(80, 10))


def test_what_is_looked_at_elsewhere_is_there_too(recording: Recording) -> None:
    with desk(recording("userland"), 69_759) as at:
        at.send(Entered(":", "code 1021bb"))
        assert "main:" in pane(at, "disassembly", Size(80, 10))
        at.press("j")
        assert at.model.code == 0x1021BC
        at.press("k")
        assert at.model.code == 0x1021BB
        at.send(Entered(":", "code f0000000"))
        assert "there is no memory" in pane(at, "disassembly", Size(80, 10))


def test_what_is_found_at_no_event_is_told_where_one_stands(recording: Recording) -> None:
    with desk(recording("userland"), judge=True) as at:
        number = next(n for n in at.model.telling if at.model.findings[n].event is None)
        found = at.model.findings[number]
        at.send(OpenFinding(number))
        assert f"here  ◆ {found.text}" in pane(at, "events", Size(90, 16))
        told = pane(at, "detail", Size(90, 16)).splitlines()
        assert told[:3] == [f"step {found.step:,}  no event", f"◆ {found.text}", BEFORE]
        at.press("s")
        assert found.text not in pane(at, "events", Size(90, 16)) + pane(at, "detail", Size(90, 16))
        at.press("j")
        assert BEFORE not in pane(at, "detail", Size(90, 16))


@pytest.mark.parametrize("width_", [80, 120, 200])
@pytest.mark.parametrize("step", [6, 61_685, 79_639, 150_000, 160_000, 165_241])
def test_the_ruler_always_says_where_one_is(recording: Recording, width_: int, step: int) -> None:
    with desk(recording("userland"), step) as at:
        lines = PANES["time"].lines(at.model, at.record, Size(width_, 8))
        assert {width(item) for item in lines} == {width_}
        ruler = text(lines[0])
        assert f"▼ {step:,}" in ruler or f"{step:,} ▼" in ruler
        assert {word.strip() for word in ruler.split(" ")} <= {"", "▼", f"{step:,}", "4", "165,241"}


def test_a_lane_shows_the_gravest_finding_of_each_column(recording: Recording) -> None:
    order = (Standing.PROVEN, Standing.HAZARD)
    with desk(recording("userland"), judge=True) as at:
        for size in (Size(80, 8), Size(120, 8), Size(200, 8)):
            shown = PANES["time"].read(at.model, at.record, size)
            for column, mark in enumerate(shown.found):
                there = [
                    item.standing
                    for item in at.model.findings
                    if shown.seen.column(item.step, len(shown.found)) == column and item.standing in order
                ]
                assert (mark is None) == (not there)
                assert mark is None or mark.proven == (Standing.PROVEN in there)
                assert mark is None or at.model.findings[mark.number].standing is min(there, key=order.index)


def test_an_image_of_eflags_says_what_differs_in_it(recording: Recording) -> None:
    with desk(recording("userland"), judge=True) as at:
        at.send(OpenFinding(next(n for n, item in enumerate(at.model.findings) if item.rule == "pushf")))
        at.press("D")
        split = pane(at, "divergence", Size(80, 20))
        assert "pushed image              IF=1 IOPL=3 00003" in split
        assert "│ IF=1 IOPL=0 00000" in split


def test_what_is_said_leaves_the_way_out_to_be_seen(recording: Recording) -> None:
    with desk(recording("hello")) as at:
        at.send(Said("something"))
        assert text(frame.last(at.model)).startswith(" something   ")
        assert text(frame.last(at.model)).endswith("   ? help q quit")
        at.send(Said("x" * 115))
        assert text(frame.last(at.model)).strip() == "x" * 115


@settings(max_examples=40, deadline=None)
@given(width_=st.integers(1, 220), height=st.integers(1, 70), step=st.sampled_from([6, 61_697, 69_762, 165_241]))
def test_the_screen_is_exactly_as_large_as_the_terminal(width_: int, height: int, step: int) -> None:
    with desk(Path(__file__).parents[2] / "traces" / "userland.pvt", step) as at:
        lines = frame.screen(replace(at.model, width=width_, height=height), at.record)
        assert len(lines) == height
        assert {width(item) for item in lines} == {width_}


def test_a_screen_of_20x5_says_what_is_missing(recording: Recording) -> None:
    with desk(recording("hello")) as at:
        lines = frame.screen(replace(at.model, width=20, height=5), at.record)
        assert " ".join(text(item) for item in lines).startswith("pvtrace needs 40x10; this terminal is 20x5.")


@pytest.mark.parametrize(
    ("vector", "error", "words"),
    [
        (14, 0x0, "page not present, read, at supervisor level"),
        (14, 0x7, "protection violation, write, at user level"),
        (14, 0x19, "protection violation, read, at supervisor level, reserved bit set, instruction fetch"),
        (13, 0x0, "no selector"),
        (13, 0x18, "selector 0018 of the GDT"),
        (13, 0x1D, "selector 001c of the LDT, while delivering an event"),
        (11, 0x402, "vector 80h of the IDT"),
        (17, 0x0, ""),
    ],
)
def test_error_codes_in_words(vector: int, error: int, words: str) -> None:
    assert error_words(vector, error) == words


@given(
    st.sampled_from(Kind),
    st.lists(st.none() | st.integers(0, 2**64 - 1) | st.binary(max_size=9) | st.text(max_size=9), max_size=6),
    st.integers(0, 2**37 - 1),
)
def test_any_event_can_be_taken_apart(kind: Kind, args: list[int | bytes | str | None], flags_: int) -> None:
    parts = decoded(Event(Step(1), kind, 0, flags_, tuple(args)))
    for room in (20, 50, 120):
        assert all(cells(text(item)) <= max(room, 60) for item in flags(parts.images, room))
