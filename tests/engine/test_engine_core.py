"""What the C core refuses from Python: no size is cut down in silence, and nothing takes the process down."""

import gc
import struct
from collections.abc import Callable

import pytest

from pvtrace.engine import library
from pvtrace.engine._core import Core
from pvtrace.engine.intercepts import ONE_BYTE, TWO_BYTE
from pvtrace.model.errors import EngineError

RAM = 1 << 20
GIB = 1 << 30
KEPT = 320  # where Unicorn's own bytes begin in a saved state


def core(ram: int = RAM, code_buffer: int = 0) -> Core:
    return Core(library.path(), ram, ONE_BYTE, TWO_BYTE, code_buffer)


@pytest.mark.parametrize("ram", [0, -4096, 5, 4 * GIB])
def test_the_size_of_memory_is_checked(ram: int) -> None:
    with pytest.raises(ValueError, match=f"not {ram} bytes"):
        core(ram)


@pytest.mark.parametrize("code_buffer", [-1, 4 * GIB])
def test_the_size_of_the_code_buffer_is_checked(code_buffer: int) -> None:
    with pytest.raises(ValueError, match=f"not {code_buffer} bytes"):
        core(code_buffer=code_buffer)


def test_there_is_no_core_without_an_engine() -> None:
    with pytest.raises(TypeError):
        Core.__new__(Core)  # type: ignore[call-arg]
    with pytest.raises(EngineError, match="cannot load the Unicorn library /nowhere"):
        Core("/nowhere", RAM, ONE_BYTE, TWO_BYTE)


@pytest.mark.parametrize("size", [-1, 4 * GIB + 1])
def test_sizes_are_not_cut_to_32_bits(size: int) -> None:
    made = core()
    for read in (made.read, made.peek, made.read_physical):
        with pytest.raises(ValueError, match="not a number of bytes"):
            read(0, size)


def test_addresses_wrap() -> None:
    made = core()
    made.write(0xFFFFFFFE, b"abcd")
    assert made.read(-2, 4) == b"\xff\xffcd"
    assert made.read_physical(RAM - 1, 2) == b"\0\xff"


@pytest.mark.parametrize("register", [-1, 10])
def test_there_are_no_other_registers(register: int) -> None:
    made = core()
    calls: tuple[Callable[[], object], ...] = (
        lambda: made.gpr(register),
        lambda: made.set_gpr(register, 0),
        lambda: made.cr(register),
        lambda: made.set_cr(register, 0),
        lambda: made.core_segment(register),
        lambda: made.set_core_segment(register, 0, 0, 0, 0),
    )
    for call in calls:
        with pytest.raises(IndexError):
            call()


def test_a_register_is_a_number_and_stays() -> None:
    made = core()
    with pytest.raises(TypeError):
        made.gpr("eax")  # type: ignore[arg-type]
    for name in ("eip", "eflags", "hole"):
        with pytest.raises(AttributeError):
            delattr(made, name)


def test_every_page_that_a_protected_range_touches_is_protected() -> None:
    made = core()
    made.protect(0x1800, 0x1000)
    made.protect(RAM - 1, (1 << 64) - 1)
    made.protect(0x5001, 0)
    for page in range(RAM >> 12):
        made.write(page << 12, b"x")
    kept = [page for page in range(RAM >> 12) if made.read(page << 12, 1) == b"\0"]
    assert kept == [1, 2, (RAM >> 12) - 1]


def test_the_scratch_page_outlives_its_core() -> None:
    scratch = core().scratch()
    gc.collect()
    scratch[:] = b"a" * 4096
    assert scratch.tobytes() == b"a" * 4096


def test_a_list_that_changes_while_it_is_read() -> None:
    class Emptying:
        def __bool__(self) -> bool:
            watches.clear()
            return True

    watches: list[tuple[int, int, bool, bool, bool]] = []
    watches += [(0x1000, 0x1004, Emptying(), False, False), (0x2000, 0x2004, False, False, False)]  # type: ignore[list-item]
    core().set_watches(watches)
    assert not watches


@pytest.mark.parametrize(
    ("offset", "value"),
    [(604, struct.pack("<I", 8)), (604, b"\xff\xff\xff\x3f"), (777, b"\x04"), (801, b"\xff"), (809, b"\x7f")],
)
def test_a_saved_state_that_unicorn_would_not_survive_is_refused(offset: int, value: bytes) -> None:
    made = core()
    made.set_gpr(0, 1)
    state = bytearray(made.save_core())
    state[KEPT + offset - 600 : KEPT + offset - 600 + len(value)] = value
    made.set_gpr(0, 2)
    with pytest.raises(EngineError, match="FPU"):
        made.load_core(bytes(state))
    assert made.gpr(0) == 2
