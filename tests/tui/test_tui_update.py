"""What keys and lines do, on a real recording and its machine, without a terminal."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pvtrace.model.events import KINDS, Kind
from pvtrace.model.findings import Finding, Judgement, Standing
from pvtrace.model.step import Step
from pvtrace.store.reader import TraceReader
from pvtrace.tui import frame, typed
from pvtrace.tui.effects import Choose, Copy, Export, Interrupt, Seek
from pvtrace.tui.keys import KEYS
from pvtrace.tui.lines import Size, text
from pvtrace.tui.messages import Arrived, Doing, Entered, Focused, GoTo, Judged, OpenFinding, Pressed, Resized, Wheel
from pvtrace.tui.model import Model
from pvtrace.tui.panes.table import PANES
from pvtrace.tui.update import live_keys, update
from tests.tui.models import desk

Recording = Callable[[str], Path]

POPF = 69_759


def test_down_and_up_go_through_the_events(recording: Recording) -> None:
    with desk(recording("userland")) as at, TraceReader(recording("userland")) as trace:
        events = list(trace.events())
        for number in range(1, 30):
            model = at.press("j")
            assert model.here == (events[number].step, number)
            assert model.picture is not None
            assert model.fresh
        for number in range(28, -1, -1):
            assert at.press("k").here == (events[number].step, number)
        assert at.press("k").here == (events[0].step, 0)
        assert at.press("G").here == (events[-1].step, len(events) - 1)
        assert at.press("j").here.event == len(events) - 1
        assert at.press("g").here.event == 0


def test_a_page_is_what_the_list_shows(recording: Recording) -> None:
    with desk(recording("userland"), size=(80, 24)) as at:
        first = at.model.here.event
        assert first is not None
        moved = at.press("pagedown").here.event
        assert moved is not None
        assert 4 <= moved - first <= 12
        assert at.press("pageup").here.event == first


def test_the_filter_lists_these_alone(recording: Recording) -> None:
    with desk(recording("userland")) as at, TraceReader(recording("userland")) as trace:
        at.send(Entered(":", "filter faults"))
        assert at.model.kinds == frozenset({Kind.EXCEPTION})
        faults = [number for number, event in enumerate(trace.events()) if event.kind is Kind.EXCEPTION]
        assert [at.press("j").here.event for _ in faults] == faults
        assert at.send(Entered(":", "filter")).kinds is None
        without = at.send(Entered(":", "filter -port -console")).kinds
        assert without == frozenset(kind for kind in Kind if KINDS[kind].family not in ("port", "console"))
        assert at.send(Entered(":", "filter")).kinds is None
        at.press("X")
        assert at.model.kinds == frozenset({Kind.EXCEPTION})
        at.press("x")
        assert at.model.kinds == frozenset({Kind.EXCEPTION})
        at.send(Entered(":", "filter"))
        assert at.press("x").kinds == frozenset(Kind) - {Kind.EXCEPTION}
        at.send(Entered(":", "filter"))
        assert at.send(Entered(":", "filter nonsense")).note is not None
        assert at.model.kinds is None


def test_alike_is_the_same_call_and_the_same_exception(recording: Recording) -> None:
    with desk(recording("userland")) as at, TraceReader(recording("userland")) as trace:
        events = list(trace.events())
        at.send(Entered(":", "filter calls"), Pressed("j"), Pressed("j"))
        number = at.model.here.event
        assert number is not None
        call = events[number].args[0]
        following = [n for n, e in enumerate(events) if e.kind is Kind.HYPERCALL and e.args[0] == call and n > number]
        assert at.press("J").here.event == following[0]
        assert at.press("K").here.event == number


def test_stepping_and_coming_back_is_the_same_place(recording: Recording) -> None:
    with desk(recording("userland"), POPF) as at:
        there = at.model
        assert at.press("S").here.step == POPF - 1
        assert at.model.picture is not None
        assert at.model.picture.eip == 0x101019
        assert at.press("s").picture == there.picture
        assert at.model.here == there.here


def test_what_changed_depends_on_the_place_alone(recording: Recording) -> None:
    with desk(recording("userland"), POPF) as at:
        straight = at.model.picture
        at.press("G", "g")
        assert at.send(GoTo(Step(POPF))).picture == straight


def test_over_a_call_and_back_over_it(recording: Recording) -> None:
    with desk(recording("userland")) as at:
        at.send(Entered(":", "run main"))
        start = at.model.here.step
        while True:  # to the first call of main
            picture = at.model.picture
            assert picture is not None
            if picture.peek(picture.eip, 1) == b"\xe8":
                break
            at.press("s")
        call = at.model.here.step
        behind = picture.eip + 5
        after = at.press("o")
        assert after.picture is not None
        assert after.picture.eip == behind
        assert after.here.step > call + 1
        assert at.press("O").here.step == call
        assert call >= start


def test_out_of_a_function(recording: Recording) -> None:
    with desk(recording("userland")) as at:
        at.send(Entered(":", "run console_init"))
        assert at.model.picture is not None
        esp = at.model.picture.esp
        back = int.from_bytes(at.model.picture.peek(esp, 4), "little")
        out = at.press("f").picture
        assert out is not None
        assert (out.eip, out.esp) == (back, esp + 4)


def test_breakpoints_stop_both_ways(recording: Recording) -> None:
    with desk(recording("userland"), POPF) as at:
        at.press("B")
        assert at.model.breaks == {0x10101A}
        at.press("g", "c")
        assert at.model.here.step == POPF
        second = at.press("c").here.step
        assert second > POPF
        assert at.press("C").here.step == POPF
        at.press("B")
        assert not at.model.breaks
        assert at.press("C").here.step == at.model.recording.first


@pytest.mark.parametrize(
    ("word", "step"),
    [
        ("69759", POPF),
        ("69,759", POPF),
        ("+10", 79_649),
        ("-10", 79_629),
        ("50%", 82_622),
        ("#565", POPF),
        ("begin", 4),
        ("end", 165_241),
        ("0.000697590s", 69_759),
        ("697.59us", 69_759),
        ("9999999999", 165_241),
    ],
)
def test_places_by_their_names(recording: Recording, word: str, step: int) -> None:
    with desk(recording("userland"), 79_639) as at:
        here = at.send(Entered(":", f"goto {word}")).here.step
        if word.endswith("s"):  # time may have jumped where the machine halted
            picture = at.model.picture
            assert picture is not None
            assert picture.ticks >= 69_759
            return
        assert here == step


def test_goto_a_symbol_runs_to_its_next_entry(recording: Recording) -> None:
    with desk(recording("userland")) as at:
        model = at.send(Entered(":", "goto try_popf"))
        assert model.picture is not None
        assert at.record.place(model.picture.eip) == "try_popf"
        assert at.send(Entered(":", "goto nowhere")).note is not None


def test_goto_a_symbol_that_is_past_goes_back(recording: Recording) -> None:
    with desk(recording("userland"), 100_000) as at:
        here = at.send(Entered(":", "goto try_popf")).here.step
        assert at.model.picture is not None
        assert at.record.place(at.model.picture.eip) == "try_popf"
        assert at.model.note is not None
        assert "not reached again" in at.model.note.text
        assert 79_000 < here < 80_000
        assert at.send(Entered(":", "goto vmi_start")).here.step < here
        last = at.model.recording.last
        assert at.send(Entered(":", "run vmi_start")).here.step == last


def test_goto_a_symbol_that_is_never_reached_stays(recording: Recording) -> None:
    with desk(recording("userland"), POPF) as at:
        reached = {at.record.place(event.pc).partition("+")[0] for event in at.record.trace.events()}
        never = next(s.name for s in at.record.symbols.symbols if s.name == "user_stack" and s.name not in reached)
        model = at.send(Entered(":", f"goto {never}"))
        assert model.here.step == POPF
        assert model.note is not None
        assert model.note.text == f"{never} is never reached"


def test_what_is_longer_than_the_screen_is_scrolled_to_its_end_and_no_further(recording: Recording) -> None:
    with desk(recording("hello")) as at:
        assert at.press("?").over == "help"
        at.press("G")
        end, seen = at.model.scroll, frame.screen(at.model, at.record)
        assert end > 0
        assert at.press("space", "j").scroll == end
        assert at.press("k").scroll == end - 1
        assert frame.screen(at.model, at.record) != seen
        assert at.press("g").scroll == 0


def test_marks_bookmarks_and_the_jump_list(recording: Recording) -> None:
    with desk(recording("userland"), POPF) as at:
        at.press("m", "a")
        at.send(Entered(":", "bookmark here what was ignored"))
        at.send(Entered(":", "goto 100"))
        assert at.press("'", "a").here.step == POPF
        assert at.press("<").here.step == 100
        assert at.press(">").here.step == POPF
        at.press("g")
        assert at.press("u").here.step == POPF
        at.press("G")
        assert at.press("U").here.step == POPF
        assert [(item.name, item.note) for item in at.model.bookmarks] == [("here", "what was ignored")]
        assert at.press("'", "z").note is not None


def test_cause_and_consequence_lead_back(recording: Recording) -> None:
    with desk(recording("userland")) as at, TraceReader(recording("userland")) as trace:
        events = list(trace.events())
        number = next(n for n, event in enumerate(events) if event.cause is not None and event.cause != n)
        at.send(GoTo(events[number].step, number))
        cause = events[number].cause
        assert at.press("h").here.event == cause
        assert at.press("l").here.event == next(n for n, event in enumerate(events) if event.cause == cause)


def test_searching_events_both_ways(recording: Recording) -> None:
    with desk(recording("userland")) as at:
        words = [number for number, event in at.record.after(0, 2000) if "POPF asked" in at.record.words(event)]
        at.send(Entered("/", "popf asked"))
        assert at.model.here.event == words[0]
        assert at.press("n").here.event == words[1]
        assert at.press("N").here.event == words[0]
        assert at.send(Entered("/", "there is no such text")).note is not None
        assert at.model.here.event == words[0]


def test_searching_the_console_and_the_code(recording: Recording) -> None:
    with desk(recording("userland")) as at:
        at.press("8")
        model = at.send(Entered("/", "iopl"))
        assert model.here.event is not None
        found = at.record.event(model.here.event)
        assert found is not None
        assert found.kind is Kind.CONSOLE_OUT
        at.send(GoTo(Step(POPF)))
        at.press("4")
        model = at.send(Entered("/", "sti"))
        assert model.code == 0x10101C
        assert at.press("escape").code is None


def test_who_wrote_the_byte(recording: Recording) -> None:
    with desk(recording("userland"), POPF) as at:
        model = at.press("W")
        assert model.here.step == POPF
        assert model.note is not None
        assert "was written at step" in model.note.text
        there = at.press("w")
        assert there.here.step < POPF
        assert f"step {there.here.step:,}" in model.note.text
        assert at.press("<").here.step == POPF


def test_sql_is_answered_and_its_rows_jump(recording: Recording) -> None:
    with desk(recording("userland")) as at:
        model = at.send(Entered(";", "SELECT step, place FROM flag_attempt WHERE outcome = 'silently ignored'"))
        assert model.over == "answer"
        assert model.answer is not None
        assert model.answer.steps[0] == POPF
        assert at.press("enter").here.step == POPF
        wrong = at.send(Entered(";", "SELEKT"))
        assert wrong.note is not None
        assert wrong.note.wrong


def test_the_commands_of_the_session_are_there(recording: Recording) -> None:
    with desk(recording("userland"), POPF) as at:
        assert at.send(Entered(":", "vmi")).over == "text"
        assert "IF 1, IOPL 0 as the guest believes; CPL 3" in at.model.text[1]
        at.press("q")
        moved = at.send(Entered(":", "next fault"))
        assert moved.here.step > POPF
        assert at.send(Entered(":", "nonsense")).note is not None


def test_what_would_have_been_is_said(recording: Recording) -> None:
    with desk(recording("userland"), POPF) as at:
        at.send(Entered(":", "what-if on"))
        assert "what-if since 69,759" in text(frame.bar(at.model, at.record))
        at.press("s")
        assert at.model.picture is not None
        assert (at.model.picture.step, at.model.picture.branched) == (POPF + 1, POPF)
        at.send(Entered(":", "what-if off"))
        assert "what-if" not in text(frame.bar(at.model, at.record))


FINDINGS = tuple(
    Finding("popf", Step(step), 0x101019, standing, "eflags.IF", 1, 0, 1, f"at {step}", event=event)
    for step, standing, event in (
        (POPF, Standing.PROVEN, 565),
        (75_000, Standing.POTENTIAL, None),
        (79_639, Standing.PROVEN, 1218),
        (79_639, Standing.HAZARD, 1218),
    )
)


def test_divergences_one_after_the_other(recording: Recording) -> None:
    with desk(recording("userland")) as at:
        assert at.press("e").note is not None
        at.send(Judged(Judgement(Step(165_241), "x", FINDINGS)))
        found = [at.press("e").finding for _ in range(4)]
        assert found == [0, 2, 3, 3]
        assert at.model.here == (79_639, 1218)
        assert [at.press("E").finding for _ in range(3)] == [2, 0, 0]
        at.press("]", "d")
        assert at.model.finding == 2
        assert at.press("D").over == "divergence"
        assert at.press("q").over is None
        assert at.send(OpenFinding(0)).here == (POPF, 565)
        assert at.press("enter").over == "divergence"


# ---------------------------------------------------------------------------- without a machine


@pytest.fixture
def model(recording: Recording) -> Model:
    with desk(recording("hello")) as at:
        return at.model


def test_moves_ask_and_do_not_wait(model: Model) -> None:
    moved, effects = update(model, Pressed("s"))
    assert moved.here.step == model.here.step + 1
    assert moved.picture is model.picture
    assert not moved.fresh
    assert Seek(moved.here.step, model.wishes + 1) in effects
    assert update(moved, Pressed("c-c"))[1] == (Interrupt(),)
    idle, nothing = update(model, Pressed("c-c"))
    assert (nothing, idle.note is not None) == ((), True)


def test_the_screen_is_where_the_machine_is_unless_it_was_sent_on(model: Model) -> None:
    assert model.picture is not None
    elsewhere = replace(model.picture, step=Step(100))
    assert update(model, Arrived(elsewhere, wish=model.wishes))[0].here.step == 100
    sent, _ = update(model, Pressed("s"))
    late, _ = update(sent, Arrived(elsewhere, "interrupted", model.wishes))
    assert late.here == sent.here
    assert late.note is None


def test_a_key_that_does_nothing_says_so(model: Model) -> None:
    said, effects = update(model, Pressed("Y"))
    assert effects == ()
    assert said.note is not None
    assert "?" in said.note.text
    waiting, _ = update(model, Pressed("]"))
    assert waiting.pending == ("]",)
    assert update(waiting, Pressed("x"))[0].pending == ()
    assert update(waiting, Pressed("escape"))[0].pending == ()


def test_no_key_of_a_table_is_there_twice() -> None:
    for table in (KEYS, *(pane.keys for pane in PANES.values())):
        names = [name for key in table for name in key.names]
        assert len(names) == len(set(names))


def test_every_live_key_is_in_the_help(recording: Recording) -> None:
    with desk(recording("hello")) as at:
        shown = "".join(text(item) for item in PANES["help"].lines(at.model, at.record, Size(200, 1000)))
        for pane in PANES:
            for key in live_keys(replace(at.model, focus=pane)):
                assert key.words[:40] in shown or pane in ("help", "text")


def test_commands_have_one_name_each() -> None:
    assert len(typed.names()) == len(set(typed.names()))
    assert {"goto", "lastwrite", "vmi", "filter", "export"} <= set(typed.names())


def test_the_wheel_turns_what_is_under_it(model: Model) -> None:
    assert update(model, Wheel("events", 1))[1] == (Choose(model.here.event or 0, 3, None),)
    over, _ = update(model, Pressed("?"))
    scrolled, effects = update(over, Wheel("help", 1))
    assert (scrolled.scroll, effects) == (3, ())


def test_copy_and_export(model: Model) -> None:
    path = model.recording.path
    assert update(model, Pressed("y"))[1] == (Copy(f"pvtrace replay {path} --tui --at {model.here.step}"),)
    assert update(model, Entered(":", "export a.svg"))[1] == (Export("a.svg"),)
    assert update(model, Entered(":", "export a.doc"))[0].note is not None


def test_focus_zoom_and_closing(model: Model) -> None:
    zoomed, _ = update(update(model, Focused("memory"))[0], Pressed("z"))
    assert (zoomed.focus, zoomed.zoomed) == ("memory", True)
    plain, _ = update(zoomed, Pressed("q"))
    assert not plain.zoomed
    assert not plain.leaving
    assert update(plain, Pressed("q"))[0].leaving
    assert update(model, Resized(81, 25))[0].width == 81
    busy, _ = update(model, Doing("going there", Step(3)))
    assert busy.busy == ("going there", 3)
    assert update(busy, Doing(""))[0].busy is None
