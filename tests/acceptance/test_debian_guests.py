"""Kernels of Debian's packages, which nobody here wrote: they run, and their recordings replay identically.

`.ci/debian-guests` fetches them into a folder outside the repository. Without them a test is skipped, but fails in CI.
"""

import os
import re
from pathlib import Path
from typing import Final

import pytest

from pvtrace.cli.main import main
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import RecordResult, record
from tests.acceptance.conftest import identical
from tests.acceptance.initramfs import archive, init

FOLDER: Final = Path(
    os.environ.get("PVTRACE_GUESTS")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pvtrace" / "guests"
)


def kernel(name: str) -> Path:
    path = FOLDER / name
    if not path.exists():
        why = f"{path} is not there; .ci/debian-guests fetches it"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return path


def recorded(options: RecordOptions) -> RecordResult:
    result = record(options)
    identical(result.path)
    return result


def screen(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["screen", str(path)]) == 0
    return capsys.readouterr().out


def console(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["console", str(path)]) == 0
    return capsys.readouterr().out


def test_the_example_kernel_of_multiboot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints all that it was told, and draws a diagonal of backslashes over it where it is given a text screen."""
    guest, output = kernel("multiboot-example"), tmp_path / "out.pvt"
    module = tmp_path / "module"
    module.write_bytes(b"data")
    recorded(RecordOptions(guest, output, modules=(f"{module} one two",), append="three", console="null"))
    lines = screen(output, capsys).splitlines()
    diagonal = [line[number : number + 1] for number, line in enumerate(lines)]
    assert diagonal == ["\\"] * len(lines)
    told = [line[:number] + line[number + 1 :] for number, line in enumerate(lines)]  # a letter is lost in each
    assert told[0].startswith("lags = 0x")
    assert told[1] == "mm_lower = 639KB, mem_upper = 64512KB"
    assert told[2] == "cmline = multiboot-example three"
    assert any("one two" in line for line in told)
    assert any("0x000100000, length = 0x003f00000, type = 0x1" in line for line in told)


def test_memtest86_for_20_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Virtual ones, of a slow machine: it waits by reading the time again and again."""
    output = tmp_path / "out.pvt"
    recorded(RecordOptions(kernel("memtest86+"), output, hz=1_000_000, until="20s", console="null"))
    shown = screen(output, capsys)
    assert "Memtest86+ v" in shown
    assert "64MB" in shown
    assert "Status: Testing" in shown
    assert re.search(r"Errors: +0\b", shown)


@pytest.mark.slow
def test_linux_to_an_init(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unpacks itself, finds the PC by ACPI and by probing, runs user code, and switches the machine off.

    Left out are the kernel's tests of its own ciphers, and two waits: these alone take ten times as long.
    """
    initrd, output = tmp_path / "initramfs", tmp_path / "out.pvt"
    initrd.write_bytes(archive(init(tmp_path)))
    line = "console=ttyS0 cryptomgr.notests noisapnp tsc_early_khz=100000"
    options = RecordOptions(
        kernel("linux-686"), output, vmi="none", ram=128 << 20, initrd=initrd, append=line, console="null"
    )
    result = recorded(options)
    said = console(output, capsys)
    assert "Linux version" in said
    assert "Run /init as init process" in said
    for text in ("init: pages touched", "init: the child", "init: it left with 7"):
        assert text in said
    assert "reboot: Power down" in said
    assert result.stop.well
