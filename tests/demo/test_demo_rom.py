"""The guests' side of VMI on a real (emulated) CPU: probe, relocation queries, and where the arguments go.

The ROM, native_rom.asm, is written from the specification's tables and does natively what each call asks for, so a
guest must behave as it does without a ROM; the letters it writes tell which calls were made.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from pvtrace.demo.guests import FAULTS, HELLO, IRQS, USERLAND, Guest, says

SOURCE = Path(__file__).with_name("native_rom.asm")
Run = Callable[..., tuple[int, bytes]]
Assemble = Callable[..., bytes]


@pytest.fixture
def assemble(nasm: Callable[..., bytes]) -> Assemble:
    """The ROM, with the last byte such that all add up to 0: as any BIOS, QEMU's drops an option ROM that does not."""

    def build(**defines: int) -> bytes:
        content = nasm(SOURCE, **defines)
        return content[:-1] + bytes([-sum(content[:-1]) & 0xFF])

    return build


@pytest.fixture(params=[3, 13], ids=["3.0", "13.3"])
def rom(assemble: Assemble, request: pytest.FixtureRequest) -> bytes:
    return assemble(MAJOR=request.param)


def run(qemu: Run, guest: Guest, folder: Path, *roms: bytes) -> tuple[str, str]:
    """The console and the letters of the calls, from Init on."""
    calls = folder / "calls"
    options = ["-debugcon", f"file:{calls}"]
    for number, image in enumerate(roms):
        path = folder / f"{number}.rom"
        path.write_bytes(image)
        options += ["-option-rom", str(path)]
    code, console = qemu(guest.path, options=options)
    assert code == 0
    text = calls.read_text("ascii", "replace")
    return console.decode(), text[text.find("I") :] if "I" in text else ""


def as_paravirtual(guest: Guest) -> str:
    """What the guest prints if it found a ROM, but everything else is native."""
    return guest.native_console.replace(": native", ": paravirtual").replace(
        "a breakpoint", "RDMSR of a register that does not exist\na breakpoint"
    )


def test_hello_calls_init_and_shuts_down_by_call(qemu: Run, rom: bytes, tmp_path: Path) -> None:
    console, calls = run(qemu, HELLO, tmp_path, rom)
    assert "VMI_Init returned 0" in console
    assert "CS was 00000008 and is 00000008 now" in console
    assert calls == "IgS"


@pytest.mark.parametrize("guest", [FAULTS, IRQS, USERLAND], ids=lambda guest: guest.name)
def test_native_calls_change_nothing(qemu: Run, rom: bytes, tmp_path: Path, guest: Guest) -> None:
    console, calls = run(qemu, guest, tmp_path, rom)
    assert says(as_paravirtual(guest), console.encode()), console
    assert "!" not in calls, "an argument is in the wrong place"
    assert calls.startswith("I" + "W" * 49 + "TWR"), "49 gates, then the IDT, the TSS descriptor and TR"


def test_every_fault_returns_by_call(qemu: Run, rom: bytes, tmp_path: Path) -> None:
    _, calls = run(qemu, FAULTS, tmp_path, rom)
    after_setup = calls.partition("TWR")[2]
    # three pages set; two page faults, divide, selector; #PF in #DE in #BP; interrupts on; a page fault; the end
    assert after_setup == "pvpvpv" + "ccpvi" * 2 + "ii" + "ccpviii" + "e" + "pv" + "ccpvi" + "gS"


def test_both_ways_back_to_ring_3_are_calls(qemu: Run, rom: bytes, tmp_path: Path) -> None:
    _, calls = run(qemu, USERLAND, tmp_path, rom)
    assert calls.count("x") == 1, "SYSEXIT after the one SYSENTER"
    assert calls.count("i") > 20, "IRET into ring 3, and after each INT 80h and fault"


@pytest.mark.parametrize("version", [(2, 0), (4, 0), (13, 2)])
def test_passes_over_another_version_and_finds_the_next(
    qemu: Run, rom: bytes, assemble: Assemble, tmp_path: Path, version: tuple[int, int]
) -> None:
    major, minor = version
    other = assemble(MAJOR=major, MINOR=minor)
    console, calls = run(qemu, HELLO, tmp_path, other)
    assert says(HELLO.native_console, console.encode()), console
    assert calls == ""
    console, calls = run(qemu, HELLO, tmp_path, other, rom)
    assert "VMI_Init returned 0" in console
    assert calls == "IgS"


def test_prefers_3_0_where_13_3_comes_first(qemu: Run, assemble: Assemble, tmp_path: Path) -> None:
    failing = assemble(MAJOR=13, INIT_RESULT=-1)
    console, _ = run(qemu, HELLO, tmp_path, failing, assemble())
    assert "VMI_Init returned 0" in console


def test_carries_on_natively_if_init_fails(qemu: Run, assemble: Assemble, tmp_path: Path) -> None:
    console, calls = run(qemu, HELLO, tmp_path, assemble(INIT_RESULT=-1))
    assert says(HELLO.native_console, console.encode()), console
    assert calls == "I"
