"""What people put in front of gdb: an IDE speaks gdb/MI (here through pygdbmi), cgdb shows the source in a terminal."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pygdbmi.gdbcontroller import GdbController

from tests.gdb.conftest import TIMEOUT, Served

Serve = Callable[[str], Served]

LOOK_SECONDS = 0.1


class Ide:
    """A conversation in gdb/MI."""

    def __init__(self, served: Served) -> None:
        self._gdb = GdbController([str(served.gdb), "-nx", "-q", "--interpreter=mi3"])
        self.ask("-gdb-set mi-async off")
        self.ask(f"-target-select remote 127.0.0.1:{served.port}")

    def ask(self, command: str) -> dict[str, Any]:
        """The result of a command."""
        return self._until(command, "result")

    def go(self, command: str) -> dict[str, Any]:
        """Where the program stops behind it."""
        return self._until(command, "notify", "stopped")

    def _until(self, command: str, kind: str, message: str | None = None) -> dict[str, Any]:
        seen = self._gdb.write(command, timeout_sec=TIMEOUT, raise_error_on_timeout=False)
        deadline = time.monotonic() + TIMEOUT
        while True:
            for item in seen:
                assert item["message"] != "error", item
                if item["type"] == kind and message in (None, item["message"]):
                    payload = item["payload"]
                    return payload if isinstance(payload, dict) else {}
            assert time.monotonic() < deadline, f"{command} was not answered"
            seen = self._gdb.get_gdb_response(timeout_sec=LOOK_SECONDS, raise_error_on_timeout=False)

    def value(self, expression: str) -> str:
        value = self.ask(f"-data-evaluate-expression {expression}")["value"]
        assert isinstance(value, str)
        return value

    def close(self) -> None:
        self._gdb.exit()


@pytest.fixture
def ide(serve: Serve) -> Iterator[Ide]:
    opened = Ide(serve("irqs"))
    yield opened
    opened.close()


def test_an_ide_steps_forwards_and_backwards(ide: Ide) -> None:
    features = ide.ask("-list-target-features")["features"]
    assert "reverse" in features
    ide.ask("-break-insert main")
    stopped = ide.go("-exec-continue")
    assert stopped["reason"] == "breakpoint-hit"
    assert stopped["frame"]["func"] == "main"
    steps = [int(ide.value("$step"))]
    lines = [stopped["frame"]["line"]]
    for _ in range(3):
        stopped = ide.go("-exec-next")
        assert stopped["reason"] == "end-stepping-range"
        steps.append(int(ide.value("$step")))
        lines.append(stopped["frame"]["line"])
    assert steps == sorted(set(steps))
    for line in lines[-2::-1]:
        stopped = ide.go("-exec-next --reverse")
        steps.append(int(ide.value("$step")))
        assert stopped["frame"]["line"] == line
    assert steps[3:] == sorted(set(steps[3:]), reverse=True)
    ide.go("-exec-step-instruction")
    assert int(ide.value("$step")) > steps[-1]
    ide.go("-exec-step-instruction --reverse")
    assert int(ide.value("$step")) == steps[-1]
    ide.ask("-break-delete 1")
    assert ide.go("-exec-continue --reverse")["frame"]["func"] == "_start"
    registers = ide.ask("-data-list-register-names")["register-names"]
    assert {"eax", "eflags", "cr3", "vif", "step"} <= set(registers)
    assert ide.ask("-stack-list-frames")["stack"]


SIZE = ("-x", "120", "-y", "40")


@pytest.fixture
def terminal(tmp_path: Path, require_tool: Callable[[str], Path]) -> Iterator[Callable[..., str]]:
    """A terminal of its own: `terminal(*words)` runs tmux with these words."""
    program = require_tool("tmux")

    def tmux(*words: str) -> str:
        command = [str(program), "-S", str(tmp_path / "tmux"), "-f", "/dev/null", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT).stdout

    yield tmux
    subprocess.run([program, "-S", tmp_path / "tmux", "kill-server"], check=False, capture_output=True)


def test_cgdb_shows_where_it_is_forwards_and_backwards(
    serve: Serve, terminal: Callable[..., str], require_tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """Beside the guest's source, which it shows with an arrow at the line."""
    cgdb, served = require_tool("cgdb"), serve("irqs")
    sources = Path(__file__).parents[2] / "pvtrace" / "demo"
    gdb = f"-nx -q -ex 'set pagination off' -ex 'directory {sources}' -ex 'target remote 127.0.0.1:{served.port}'"
    terminal("new-session", "-d", "-s", "cgdb", *SIZE, f"HOME={tmp_path} {cgdb} -d {served.gdb} -- {gdb}")

    def until(wanted: str) -> str:
        """The first group of this expression, once it is on the screen."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            screen = terminal("capture-pane", "-p", "-t", "cgdb")
            found = re.search(wanted, screen, re.MULTILINE)
            if found is not None:
                return found[found.re.groups]
            assert time.monotonic() < deadline, screen
            time.sleep(LOOK_SECONDS)

    def type_(line: str) -> None:
        terminal("send-keys", "-t", "cgdb", "-l", line)
        terminal("send-keys", "-t", "cgdb", "Enter")

    until(r"_start.*\n(?:.*\n)*.*\(gdb\)")
    type_("break main")
    type_("continue")
    until(r"int main\(void\)\n(?:.*\n)*Breakpoint 1, main \(\)")
    type_("next")
    type_("next")
    type_('printf "there %d\\n", $step')
    there = until(r"^there (\d+)$")
    type_("next")
    type_("reverse-next")
    type_('printf "again %d\\n", $step')
    assert until(r"^again (\d+)$") == there
    type_("delete")
    until(r"Delete all breakpoints\?")
    type_("y")
    type_("reverse-continue")
    until("No more reverse-execution history")
