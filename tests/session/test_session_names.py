"""The names that a recording keeps are there for whoever walks in it."""

from pathlib import Path

from pvtrace.session.explore import exploring
from pvtrace.session.names import stored
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
from tests.machine.small import demo

HIGH = 0xC0000000


def test_names_from_files_beside_the_guest_and_of_the_roms(tmp_path: Path) -> None:
    guest, trace = tmp_path / "hello.elf", tmp_path / "hello.pvt"
    guest.write_bytes(demo("hello"))
    record(RecordOptions(guest, trace, console="null", symbols=(f"{guest}@{HIGH:x}",)))
    with exploring(trace) as walk:
        main = walk.symbols.address_of("main")
        assert main is not None
        assert walk.symbols.at(main + HIGH) == "main"
        entry = walk.symbols.address_of("VMI_IRET")
        assert entry is not None
        assert any(start <= entry < start + size for start, size in walk.roms)
        assert stored(walk.trace, roms=False).address_of("VMI_IRET") is None
