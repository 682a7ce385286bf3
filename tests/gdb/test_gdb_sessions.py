"""Scripted sessions with the real gdb: attach, go forwards and backwards, look, leave, and come again."""

import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gdbstub.packet import encode, expand
from pvtrace.divergence.catalogue import RULES
from pvtrace.gdb.serve import SCRIPT
from pvtrace.session.judging import judged
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
from tests.gdb.conftest import TIMEOUT, Served
from tests.machine.small import assemble

Serve = Callable[[str], Served]

PATIENCE = 3.0
"""Seconds until Ctrl-C is answered, on a busy machine."""

NO_MORE = "No more reverse-execution history."


def numbers(said: str) -> list[int]:
    """The values that `print` showed, in order."""
    return [int(value, 0) for value in re.findall(r"^\$\d+ = (\S+)$", said, re.MULTILINE)]


def test_attach_without_a_file_finds_the_symbols(serve: Serve) -> None:
    said = serve("userland").script("info registers", "x/2i $pc", "info symbol $pc", "print $step")
    assert "_start () at" in said
    assert "_start in section .boot" in said
    assert "cld" in said
    assert re.search(r"^eflags +0x2 +\[ .*IOPL=0 \]$", said, re.MULTILINE)
    assert re.search(r"^cr0 +0x11 +\[ PE ET \]$", said, re.MULTILINE)
    assert re.search(r"^vif +0x0 ", said, re.MULTILINE)
    assert "error" not in said.lower()


def test_break_continue_and_reverse_continue_meet_at_the_same_places(serve: Serve) -> None:
    go = ["continue", "print $step"]
    back = ["reverse-continue", "print $step"]
    said = serve("userland").script("break try_popf", *go, *go, *go, *back, *back, *back)
    first, second, end, second_again, first_again, begin = numbers(said)
    assert first < second < end
    assert (second_again, first_again) == (second, first)
    assert begin < first
    assert said.count(NO_MORE) == 2


def test_backtrace_in_a_kernel(serve: Serve) -> None:
    said = serve("userland").script("break try_popf", "continue", "bt")
    assert re.search(r"#0 +try_popf \(\).*\n#1 +0x[0-9a-f]+ in attempts \(\).*\n#2 +0x[0-9a-f]+ in user_main", said)


def test_a_thousand_steps_and_back(serve: Serve) -> None:
    """Every register is what it was, and a thousand steps back are a thousand steps."""
    look = ["print $step", "print/x $eip", "print/x $esp", "print/x $eax", "p $eflags"]
    said = serve("userland").script(
        "break try_popf", "continue", *look, "stepi 1000", "print $step", "reverse-stepi 1000", *look
    )
    values = re.findall(r"^\$\d+ = (.*)$", said, re.MULTILINE)
    assert values[:5] == values[6:]
    assert int(values[5]) >= int(values[0]) + 1000


def test_stepping_skips_interrupts_unless_told_otherwise(serve: Serve) -> None:
    """In a loop that timer interrupts break into, no step is seen in a handler, but with `step-irq into` some are."""
    served = serve("irqs")
    to_interrupt = ["monitor next interrupt", "maintenance flush register-cache", "print $step", "print/x $eip"]
    handler_at, handler = numbers(served.script(*to_interrupt))
    rom, goto, flush = "monitor step-rom into", f"monitor goto {handler_at - 1}", "maintenance flush register-cache"
    look = ["print $step", "print/x $eip"]
    there_and_back = [rom, goto, flush, *look, "stepi", *look, "reverse-stepi", *look]
    skipped = numbers(served.script(*there_and_back))
    into = numbers(served.script("monitor step-irq into", *there_and_back))
    assert into[2:4] == [handler_at, handler]
    assert into[4:] == into[:2]
    assert skipped[2] > handler_at
    assert skipped[3] != handler
    assert skipped[4:] == skipped[:2]


def test_a_watchpoint_stops_behind_the_write_and_in_front_of_it(serve: Serve) -> None:
    served = serve("irqs")
    symbol = "ticks"
    said = served.script(
        f"print &{symbol}",
        f"watch -l *(int*)&{symbol}",
        "continue",
        "continue",
        "print $step",
        "reverse-continue",
        "print $step",
    )
    forward = re.findall(r"Old value = (\S+)\nNew value = (\S+)", said)
    assert forward[0][1] == forward[1][0]
    assert forward[2] == forward[1][::-1]
    behind, front = numbers(said)[-2:]
    assert front == behind - 1


def test_reverse_finish_and_next(serve: Serve) -> None:
    said = serve("userland").script(
        "break try_popf",
        "continue",
        "print $step",
        "reverse-finish",
        "print $step",
        "info symbol $pc",
        "delete",
        "next",
        "print $step",
    )
    entered, called, over = numbers(said)
    assert called < entered < over
    assert "attempts" in said


def test_conditions_are_tested_here(serve: Serve) -> None:
    """A breakpoint with a condition is hit as often as the condition holds, without gdb being asked each time."""
    said = serve("userland").script("break try_popf if $step > 75000", "continue", "print $step", "continue")
    assert numbers(said)[0] > 75000
    assert NO_MORE in said


def test_changing_anything_is_refused(serve: Serve) -> None:
    served = serve("hello")
    assert "this is a recording" in served.script("print $eax = 5")
    said = served.script("set var *(int*)0x100000 = 1", "print/x *(int*)0x100000", "print 1 + 1")
    assert "Cannot access memory" in said


def test_both_ends(serve: Serve) -> None:
    served = serve("hello")
    said = served.script("reverse-stepi", "reverse-continue", "continue", "stepi", "continue")
    assert said.count(NO_MORE) == 5


def test_clients_one_after_the_other_and_kill(serve: Serve) -> None:
    served = serve("userland")
    first = numbers(served.script("break try_popf", "continue", "print $step"))
    second = numbers(served.script("print $step"))
    assert first == second
    again = served.script("stepi", "disconnect", f"target remote 127.0.0.1:{served.port}", "print $step")
    assert numbers(again)[0] > first[0]
    assert served.server.poll() is None
    served.script("kill")
    assert served.server.wait(TIMEOUT) == 0


def test_run_is_restart(serve: Serve) -> None:
    served = serve("userland")
    said = served.script(
        f"target extended-remote 127.0.0.1:{served.port}",
        "break try_popf",
        "continue",
        "run",
        "print $step",
        attach=False,
    )
    assert len(re.findall(r"^Breakpoint 1, try_popf", said, re.MULTILINE)) == 2


def test_search_and_compare(serve: Serve) -> None:
    said = serve("hello").script("compare-sections .text", "find /b1 0x100000, +0x2000, 0x02, 0xb0, 0xad, 0x1b")
    assert re.search(r"Section .text, range .*: matched", said)
    assert "1 pattern found" in said or "pattern found" in said


LONG = """
start:
    mov ecx, 60000000
.again:
    loop .again
    EXIT 0
"""


@pytest.mark.slow
def test_ctrl_c_in_both_directions(tmp_path: Path) -> None:
    """On a breakpoint that is never hit, over 60 million steps: the answer comes soon, and then the rest goes on."""
    guest = tmp_path / "long.elf"
    guest.write_bytes(assemble(LONG, paravirtual=False))
    path = record(RecordOptions(guest, tmp_path / "long.pvt", vmi="none", console="null")).path
    command = [sys.executable, "-m", "pvtrace", "replay", str(path), "--gdb", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().rpartition("127.0.0.1:")[2].split(";")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
            assert ask(client, b"QStartNoAckMode") == b"OK"
            assert ask(client, b"Z0,deadbeef,1") == b"OK"
            for run in (b"c", b"bc"):
                if run == b"bc":
                    assert b"replaylog:end" in ask(client, b"c")
                client.sendall(encode(run))
                time.sleep(0.1)
                begun = time.monotonic()
                client.sendall(b"\x03")
                reply = receive(client)
                assert time.monotonic() - begun < PATIENCE
                assert reply.startswith(b"T02")
            assert b"replaylog:begin" in ask(client, b"bc")
            client.sendall(encode(b"k"))
        assert server.wait(TIMEOUT) == 0


def ask(client: socket.socket, request: bytes) -> bytes:
    """One request and its reply."""
    client.sendall(encode(request))
    return receive(client)


def receive(client: socket.socket) -> bytes:
    """The next packet."""
    data = b""
    while True:
        while not (packet := re.search(rb"\$([^#]*)#..", data)):
            data += client.recv(4096)
        data = data[packet.end() :]
        payload = expand(packet[1])
        if not payload.startswith(b"O") or payload == b"OK":  # else how far it is, for the person
            return payload


def test_monitor_commands(serve: Serve) -> None:
    served = serve("userland")
    said = served.script(
        *("monitor help", "monitor when", "monitor info", "monitor vmi", "monitor nonsense", "monitor goto nowhere"),
        f"monitor goto {'9' * 5000}",
    )
    for word in ("lastwrite ADDRESS", "step 4,", "verified up to step", "native: VMI_Init was not called"):
        assert word in said
    assert "there is no command 'nonsense'" in said
    assert "'nowhere' is no step" in said
    assert "9' is no step" in said
    kept = served.script("monitor goto 70000", "monitor bookmark here a note", "monitor bookmark")
    assert re.search(r"70,000 +here +a note", kept)
    assert "step 70,000" in served.script("monitor goto begin", "monitor goto here")
    assert "step 165,241" in served.script("monitor goto end", "monitor when")
    moved = served.script(
        "monitor goto begin", "monitor next call", "monitor prev fault", "monitor calls", "monitor events fault"
    )
    assert "VMI " in moved
    assert "---- here" in moved
    assert "there is none" in moved


def test_divergences(serve: Serve, recorded: Callable[[str], Path]) -> None:
    """They are read, not looked for: until somebody has, the person is told how."""
    served = serve("userland")
    assert "nobody has looked for divergences here yet: pvtrace divergences " in served.script("monitor divergences")
    found = judged(recorded("userland")).findings
    first, last = (pick(found, key=lambda finding: finding.step) for pick in (min, max))
    said = served.script(
        *("monitor next divergence", "monitor when", "monitor divergences", "monitor explain", "monitor explain popf"),
        *("monitor goto end", "monitor prev divergence", "monitor when", "monitor explain nonsense"),
    )
    assert f"step {first.step:,}," in said
    assert f"step {last.step:,}," in said
    assert re.search(rf"^ +{first.step:,}  .*  {first.rule}: ", said, re.MULTILINE)
    assert f"explain {first.rule} says more" in said
    assert RULES["popf"].page.rstrip() in said
    assert "there is no rule 'nonsense'" in said


def test_who_wrote_this(serve: Serve) -> None:
    said = serve("irqs").script(
        "monitor goto end", "monitor lastwrite ticks", "maintenance flush register-cache", "x/i $pc"
    )
    assert re.search(r"step [\d,]+, .* at ", said)
    assert "at on_timer" in said


def test_commands_for_gdb(serve: Serve) -> None:
    said = serve("userland").script(
        f"source {SCRIPT}",
        "pvtrace goto 70000",
        "print $step",
        "pvtrace next fault",
        "print $step",
        "complete pvtrace next fa",
        "complete pvtrace next div",
        "complete pvtrace what-if o",
        "help pvtrace",
    )
    assert numbers(said)[0] == 70000
    assert numbers(said)[1] > 70000
    assert "pvtrace next fault" in said
    assert "pvtrace next divergence" in said
    assert "pvtrace what-if on" in said
    assert "pvtrace lastwrite" in said
    assert "flush register-cache" not in said


def test_interrupting_the_server_ends_it(serve: Serve) -> None:
    served = serve("hello")
    time.sleep(0.2)
    served.server.send_signal(signal.SIGINT)
    assert served.server.wait(TIMEOUT) == 130


def test_gdb_is_told_why_there_is_no_more(serve: Serve) -> None:
    said = serve("userland").script("continue", "continue")
    assert said.count("the guest has ended: the guest shut down (VMI Shutdown)") == 2


def test_a_recording_that_is_damaged_in_the_middle(
    served: Callable[[Path], Served], recorded: Callable[[str], Path], tmp_path: Path
) -> None:
    """gdb is told, and is still served, where the events end that are whole."""
    damaged = tmp_path / "damaged.pvt"
    shutil.copyfile(recorded("userland"), damaged)
    with sqlite3.connect(damaged) as connection:
        connection.execute("DELETE FROM event WHERE seq BETWEEN 600 AND 700")
    said = served(damaged).script("continue", "monitor when", "kill")
    assert "is damaged" in said
    assert re.search(r"^step [1-9][\d,]+, \S+ s, at put", said.partition("is damaged")[2], re.MULTILINE)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:99999", "ports go from 0 to 65535;"),
        ("nosuchhost.invalid:1", "this host's address is not known;"),
        ("192.0.2.1:1", "Cannot assign requested address;"),
    ],
)
def test_an_address_that_cannot_be(address: str, why: str, recorded: Callable[[str], Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pvtrace", "replay", str(recorded("hello")), "--gdb", address],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 2
    assert f"cannot listen at {address}: {why} --gdb PORT chooses another port\n" in done.stderr
