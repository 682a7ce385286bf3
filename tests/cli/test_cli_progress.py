"""The progress line: when it is drawn, and what it says."""

import io

import pytest

from pvtrace.cli.progress import ERASE, Progress, line, size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 30, "5.0 GiB")]
)
def test_size_in_words(count: int, text: str) -> None:
    assert size(count) == text


def test_the_line_says_how_far_and_how_fast() -> None:
    assert line("recording", 4_000_000, 12, 2048, 2.0) == "recording: 4,000,000 steps, 2.0 MIPS, 12 events, 2.0 KiB"
    assert line("replaying", 1, 0, 0, 1.0) == "replaying: 1 steps, 0.0 MIPS, 0 events"


def test_nothing_in_the_first_second_then_ten_a_second_and_nothing_left_behind() -> None:
    terminal, clock = Terminal(), Clock()
    progress = Progress("recording", terminal, clock=clock)
    clock.now += 0.9
    progress.show(1, 1, 1)
    progress.clear()
    assert terminal.getvalue() == ""
    clock.now += 0.2
    progress.show(1_100_000, 1, 1)
    progress.show(1_100_001, 1, 1)
    assert terminal.getvalue() == f"{ERASE}recording: 1,100,000 steps, 1.0 MIPS, 1 events, 1 B"
    progress.clear()
    progress.clear()
    assert terminal.getvalue().endswith(f"1 B{ERASE}")


@pytest.mark.parametrize(("stream", "wanted"), [(io.StringIO(), True), (Terminal(), False)])
def test_nothing_without_a_terminal_and_nothing_when_quiet(stream: io.StringIO, wanted: bool) -> None:
    clock = Clock()
    progress = Progress("recording", stream, wanted, clock)
    clock.now += 5
    progress.show(1, 1, 1)
    progress.clear()
    assert stream.getvalue() == ""
