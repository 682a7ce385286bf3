"""What a step is for a person: past a VMI call, past an interrupt, forwards and backwards alike, under the real gdb."""

import re
import shutil
import subprocess
from collections.abc import Callable
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest

from pvtrace.model.events import Kind
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
from pvtrace.store.reader import TraceReader
from tests.gdb.conftest import Served
from tests.gdb.test_gdb_sessions import Serve, numbers

LOOK = ("print $step", "print/x $eip")
TO_CALL = ("break *(enable+6)", "continue", "delete")


def test_stepi_and_reverse_stepi_over_a_vmi_call(serve: Serve) -> None:
    """The call delivers a pending interrupt as well, whose handler is no place to stop at either."""
    said = serve("irqs").script(*TO_CALL, *LOOK, "stepi", *LOOK, "reverse-stepi", *LOOK)
    call, at, after, behind, again, again_at = numbers(said)
    assert behind == at + 6
    assert after > call + 10
    assert (again, again_at) == (call, at)


def test_into_the_rom_and_out_of_it(serve: Serve) -> None:
    said = serve("irqs").script(
        *TO_CALL, *LOOK, "monitor step-rom into", "stepi", *LOOK, "x/i $pc", "reverse-stepi", *LOOK
    )
    call, at, in_rom, stub, back, back_at = numbers(said)
    assert in_rom == call + 1
    assert 0xC8000 <= stub < 0xE0000
    assert "vmcall" in said
    assert (back, back_at) == (call, at)


def test_a_breakpoint_in_a_stub_is_stopped_at_and_stepped_from(serve: Serve) -> None:
    into = serve("irqs").script(*TO_CALL, "monitor step-rom into", "stepi", "print/x $eip")
    (stub,) = numbers(into)
    said = serve("irqs").script(*TO_CALL, f"break *{stub}", "next", "print/x $eip", "stepi", "x/i $pc")
    assert numbers(said) == [stub]
    assert "<enable+12>" in said


WORK = r"""
#include "traps.h"

static volatile u32 ticks, sum;

static void on_timer(struct frame *frame)
{
    (void)frame;
    ticks++;
    irq_done(0);
}

static __attribute__((noinline)) void work(void)
{
    for (u32 i = 0; i < 400; i++) {
        sum += i;
        sum ^= i << 3;
        sum -= i >> 1;
    }
}

static __attribute__((noinline)) void calls(void)
{
    sum = 1;
    pv.disable_interrupts();
    sum = 2;
    pv.enable_interrupts();
    sum = 3;
}

int main(void)
{
    vmi_start();
    trap_init();
    pic_init();
    trap_handler(IRQ(0), on_timer);
    irq_unmask(0);
    timer_start(1000);
    pv.enable_interrupts();
    work();
    calls();
    return 0;
}
"""
"""A loop into which a timer interrupts, anywhere; then VMI calls, each on a line of its own."""

SLOW = 1_000_000
"""Steps in a virtual second: the timer interrupts every thousand."""


@pytest.fixture(scope="session")
def interrupted_work(tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[[str], Path]) -> Path:
    """A recording of it."""
    make, folder = require_tool("make"), tmp_path_factory.mktemp("work") / "kit"
    kit = resources.files("pvtrace.demo").joinpath("kit")
    assert isinstance(kit, Path)
    shutil.copytree(kit, folder)
    (folder / "work.c").write_text(WORK)
    subprocess.run([make, "-C", folder, "GUESTS=work.elf"], check=True, capture_output=True)
    return record(RecordOptions(folder / "work.elf", folder / "work.pvt", console="null", hz=SLOW)).path


def test_next_and_reverse_next_over_vmi_calls(interrupted_work: Path, served: Callable[[Path], Served]) -> None:
    said = served(interrupted_work).script(
        *("break calls", "continue", "delete", "next", "print sum", "print $step"),
        *(command for _ in range(4) for command in ("next", "print sum", "print $step")),
        *(command for _ in range(4) for command in ("reverse-next", "print sum", "print $step")),
        "bt 1",
    )
    sums, steps = numbers(said)[::2], numbers(said)[1::2]
    assert sums[1:5] == [1, 1, 2, 2]
    assert sums[5:] == sums[3::-1]
    assert steps[5:] == steps[3::-1]
    assert re.search(r"^#0 +calls \(\)", said, re.MULTILINE)


def test_next_and_reverse_next_over_an_interrupt(interrupted_work: Path, served: Callable[[Path], Served]) -> None:
    """A line of a loop, in the middle of which the timer interrupts: the handler is no place to stop at."""
    with TraceReader(interrupted_work) as trace:
        symbols = {symbol.name: symbol for symbol in trace.symbols}
        loop = range(symbols["work"].address, symbols["work"].address + symbols["work"].size)
        taken = [event.step for event in trace.events() if event.kind is Kind.INTERRUPT and event.pc in loop]
    assert len(taken) > 3
    look = ("print $step", "info symbol $pc")
    said = served(interrupted_work).script(
        *(f"monitor goto {taken[2] - 30}", "maintenance flush register-cache", *look),
        *(command for _ in range(10) for command in ("next", *look)),
        *(command for _ in range(10) for command in ("reverse-next", *look)),
    )
    steps = numbers(said)
    forwards, backwards = steps[:11], steps[11:]
    assert forwards == sorted(forwards)
    assert backwards == sorted(backwards, reverse=True)
    assert backwards[-1] < taken[2] < forwards[-1]
    assert {int(after) - int(before) for before, after in pairwise(forwards)} - set(range(9))  # one went past a handler
    assert set(re.findall(r"^(\w+)(?: \+ \d+)? in section", said, re.MULTILINE)) == {"work"}
