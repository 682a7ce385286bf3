"""What is typed, where a recording stops, and what the console and the screen showed: guests in real processes."""

import itertools
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pvtrace.tape.live import POLL_STEPS
from tests.cli.conftest import Pvtrace
from tests.machine.kernels import elf

ECHO = """
bits 32
org 0x100054
    mov esi, question
.ask:
    lodsb
    test al, al
    jz .wait
    mov dx, 0x3F8
    out dx, al
    jmp .ask
.wait:                          ; polls, and never halts
    mov dx, 0x3FD
    in al, dx
    test al, 1
    jz .wait
    mov dx, 0x3F8
    in al, dx
    out dx, al
    cmp al, 'q'
    jne .wait
    mov byte [0xB8000], 'Q'
    mov byte [0xB8001], 0x1E
    xor eax, eax
    out 0xF4, al
question:
    db "name? ", 0
"""

KEYS = """
bits 32
org 0x100054
.wait:
    in al, 0x64
    test al, 1
    jz .wait
    in al, 0x60
    mov dx, 0x3F8
    out dx, al
    cmp al, 0x9C                ; Enter is released
    jne .wait
    xor eax, eax
    out 0xF4, al
"""

HALT = b"\xfa\xb0\xff\xe6\x21\xe6\xa1\xfb\xf4\xeb\xfd"  # cli; mov al, ff; out 21, al; out a1, al; sti; hlt; jmp hlt
"""Halts with interrupts on and every line masked."""

Assemble = Callable[[str], Path]


@pytest.fixture
def assemble(require_tool: Callable[[str], Path], tmp_path: Path) -> Assemble:
    """Assembles the code of guest.elf."""

    def run(source: str) -> Path:
        file, out, guest = (tmp_path / name for name in ("s.asm", "s.bin", "guest.elf"))
        file.write_text(source)
        subprocess.run([require_tool("nasm"), "-fbin", "-o", out, file], check=True)
        guest.write_bytes(elf(out.read_bytes()))
        return guest

    return run


def test_a_script_waits_for_what_the_guest_says(pvtrace: Pvtrace, assemble: Assemble) -> None:
    guest = assemble(ECHO)
    script = ("--type", r"name? =>Ann\n", "--type", "Ann=>.", "--type", "q")
    done = pvtrace("record", guest, "--vmi", "none", *script)
    assert done.returncode == 0
    assert done.stdout == "name? Ann\n.q"
    assert pvtrace("replay").returncode == 0
    shown = pvtrace("console", "--steps").stdout
    assert [line.split(maxsplit=1)[1] for line in shown.splitlines()] == [
        r'< "Ann\n"',
        r'> "name? Ann\n"',
        '< "."',
        '< "q"',
        '> ".q"',
    ]
    assert pvtrace("console").stdout == done.stdout
    pieces = json.loads(pvtrace("console", "--json").stdout)
    assert [piece["text"] for piece in pieces if piece["direction"] == "in"] == ["Ann\n", ".", "q"]


def test_what_a_script_did_not_type_is_told(pvtrace: Pvtrace, assemble: Assemble) -> None:
    guest = assemble(ECHO)
    script = ("--type", r"name? =>Ann\n", "--type", r"Anne\n=>.", "--type", "q")
    done = pvtrace("record", guest, "--vmi", "none", "--until", "8M", *script)
    assert "not typed: 2 of --type; the first waits for 'Anne\\n'\n" in done.stderr
    done = pvtrace("record", guest, "--vmi", "none", "--until", "1", "-o", "early.pvt", "--type", "p", "--type", "q")
    assert "not typed: 1 of --type; the first is 'q'\n" in done.stderr
    done = pvtrace("record", guest, "--vmi", "none", "-o", "whole.pvt", "--type", "q")
    assert "not typed" not in done.stderr


def test_a_script_types_at_the_same_steps_each_time(pvtrace: Pvtrace, assemble: Assemble, tmp_path: Path) -> None:
    """Whatever the host's clock does: two pieces are so many steps apart, not so many milliseconds."""
    guest = assemble(ECHO)
    (tmp_path / "typed").write_text("a" * 300 + "q")
    scripts = (("--type", r"name? =>Ann\n", "--type", "Ann=>.", "--type", "q"), ("--input", "typed"))
    for script in scripts:
        shown = []
        for name in ("one.pvt", "two.pvt"):
            assert pvtrace("record", guest, "--vmi", "none", "-o", name, "--force", *script).returncode == 0
            shown.append(pvtrace("console", name, "--json").stdout)
        assert shown[0] == shown[1]
        typed = [piece["step"] for piece in json.loads(shown[0]) if piece["direction"] == "in"]
        assert {later - step for step, later in itertools.pairwise(typed)} == {POLL_STEPS}


def test_a_file_is_typed(pvtrace: Pvtrace, assemble: Assemble, tmp_path: Path) -> None:
    (tmp_path / "typed").write_text("abcq")
    done = pvtrace("record", assemble(ECHO), "--vmi", "none", "--input", "typed", stdin="zzzq")
    assert done.stdout == "name? abcq"
    assert pvtrace("replay").returncode == 0


def test_keys_of_the_pc(pvtrace: Pvtrace, assemble: Assemble, tmp_path: Path) -> None:
    done = pvtrace(
        "record", assemble(KEYS), "--vmi", "none", "--typing", "keyboard", "--type", r"aB\n", "--console", "keys"
    )
    assert done.returncode == 0
    assert (tmp_path / "keys").read_bytes() == bytes.fromhex("1e 9e 2a 30 b0 aa 1c 9c")
    assert pvtrace("replay").returncode == 0


def test_the_screen_at_any_step(pvtrace: Pvtrace, assemble: Assemble) -> None:
    assert pvtrace("record", assemble(ECHO), "--vmi", "none", "--type", "q").returncode == 0
    rows = json.loads(pvtrace("screen", "--json").stdout)["rows"]
    assert (len(rows), rows[0]) == (25, "Q")
    assert json.loads(pvtrace("screen", "--json", "--at", "3").stdout)["rows"][0] == ""
    beyond = pvtrace("screen", "--at", "1G")
    assert beyond.returncode == 2
    assert "is not among them" in beyond.stderr


def test_a_recording_ends_where_it_is_told(pvtrace: Pvtrace, assemble: Assemble) -> None:
    done = pvtrace("record", assemble(ECHO), "--vmi", "none", "--break-on", r"console me?\x20", "--type", "q")
    assert done.returncode == 0
    assert done.stdout == "name? "
    assert "stopped at --break-on console: 'me? '" in done.stderr
    assert pvtrace("replay").returncode == 0


def test_a_call_and_a_fault_and_a_function_end_it(pvtrace: Pvtrace, hello: Path) -> None:
    done = pvtrace("record", hello, "--break-on", "call GetInterruptMask", "--break-on", "call Shutdown")
    assert "stopped at --break-on call" in done.stderr
    assert "VMI GetInterruptMask()" in pvtrace("events").stdout.splitlines()[-1]
    done = pvtrace("record", hello, "--break-on", "main", "-o", "main.pvt")
    assert "stopped at --break-on main" in done.stderr
    for wanted, vector in (("fault", "#PF"), ("fault 13", "#GP")):
        done = pvtrace("record", hello.with_name("faults.elf"), "--break-on", wanted, "-o", "f.pvt", "--force")
        assert f"stopped at --break-on fault: {vector}" in done.stderr
        assert pvtrace("events", "f.pvt").stdout.splitlines()[-1].split("  ")[-1].strip().startswith(vector)
    assert pvtrace("replay", "main.pvt").returncode == 0


def test_more_names(pvtrace: Pvtrace, guest: Callable[[bytes], Path], tmp_path: Path) -> None:
    (tmp_path / "System.map").write_text("00000054 T begin\n00000055 T behind\n")
    done = pvtrace("record", guest(b"\x90\xe6\x80\xf4"), "--symbols", "System.map@100000", "--vmi", "none")
    assert done.returncode == 0, done.stderr
    assert " behind " in pvtrace("events", "--kind", "ports").stdout


def terminal(command: list[str], folder: Path, typed: bytes, until: bytes) -> tuple[int, bytes]:
    """Run a command on a terminal of its own; type something when it has printed `until`."""
    master, slave = pty.openpty()
    process = subprocess.Popen(command, cwd=folder, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    said = b""
    deadline = time.monotonic() + 30
    while until not in said and time.monotonic() < deadline:
        said += os.read(master, 4096)
    os.write(master, typed)
    try:
        while data := os.read(master, 4096):
            said += data
    except OSError:  # the other side is closed
        pass
    os.close(master)
    return process.wait(timeout=30), said


def test_a_prompt_is_seen_at_once_and_ctrl_a_x_stops(assemble: Assemble, tmp_path: Path) -> None:
    assemble(ECHO)
    command = [sys.executable, "-m", "pvtrace", "record", "guest.elf", "--vmi", "none"]
    code, said = terminal(command, tmp_path, b"hi\x01c\x01x", b"name? ")
    assert code == 130
    assert b"recorded guest.pvt" in said


def test_a_halt_that_nothing_can_end_ends_the_run_on_a_terminal_too(tmp_path: Path) -> None:
    (tmp_path / "guest.elf").write_bytes(elf(HALT))
    command = [sys.executable, "-m", "pvtrace", "record", "guest.elf", "--vmi", "none"]
    code, said = terminal(command, tmp_path, b"", b"MiB of RAM")
    assert code == 0
    assert b"idle for ever: nothing can wake it" in said
