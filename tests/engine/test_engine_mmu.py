"""The page walk in C against the stock MMU: error codes, accessed and dirty bits, WP, PSE, PAE, NX, reserved bits."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.model.exits import Exit
from pvtrace.x86.view import PageFault
from tests.oracle.assembler import assemble
from tests.oracle.guest import PAE, PG, PSE, WP, Guest, play, state
from tests.oracle.oracle_cpu import NoMemory
from tests.oracle.paging import Access, Paging, Translation, walk
from tests.oracle.workloads import entries, identity, two_level

TARGET = 0x00C05FF8
"""Linear: directory entry 3, page 5 (two-level); directory entry 6, page 5 (PAE)."""

USED = 0x20
"""A directory entry is accessed already: stock Unicorn marks it also if the walk then fails below it, we do not, and
the architecture allows both."""

FRAMES = st.sampled_from((0x20000, 0x21000, 0x22000))
FLAGS = st.integers(0, 0xFF).map(lambda bits: bits & ~0x18)
HIGH = st.sampled_from((0, 0, 0, 1 << 63, 1 << 52, 1 << 40, 1 << 39, 1 << 62))
INSTRUCTIONS = {
    "load": f"mov eax, [{TARGET:#x}]",
    "store": f"mov [{TARGET:#x}], eax",
    "store over the page end": f"mov [{TARGET + 6:#x}], eax",
    "load over the page end": f"mov eax, [{TARGET + 6:#x}]",
    "read and write": f"inc dword [{TARGET:#x}]",
    "jump": f"jmp {TARGET:#x}",
}


def stop(_cpu: object, _found: Exit | NoMemory) -> bool:
    return False


def compare(guest: Guest) -> None:
    oracle = play(guest.oracle(), stop, 2, (1,))
    fast = play(guest.fast(), stop, 2, (1,))
    assert fast == oracle


def settings_of(cpl: int, wp: bool) -> Guest:
    return Guest((), eip=0x10000, esp=0x30800, ram=1 << 19, cpl=cpl, cr0=0x11 | PG | (WP if wp else 0), cr3=0x1000)


@given(
    st.sampled_from(sorted(INSTRUCTIONS)),
    st.sampled_from((0, 1, 3)),
    st.booleans(),
    st.sampled_from((0, PSE)),
    st.one_of(st.just(0x3007), st.builds(lambda flags, bits: flags | bits << 12, FLAGS, st.integers(0, 0x3FF))),
    st.tuples(FRAMES, FLAGS).map(sum),
    st.tuples(FRAMES, FLAGS).map(sum),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_two_levels(name: str, cpl: int, wp: bool, cr4: int, directory: int, page: int, next_page: int) -> None:
    if not directory & 0x80 or not cr4:
        directory = 0x6000 | USED | directory & 0xFFF
    tables = two_level(identity()) + entries(0x1000, (3, directory)) + entries(0x6000, (5, page), (6, next_page))
    code = assemble(INSTRUCTIONS[name], 0x10000)
    compare(replace(settings_of(cpl, wp), images=(*tables, (0x10000, code + b"\x90\xf4")), cr4=cr4))


@given(
    st.sampled_from(sorted(INSTRUCTIONS)),
    st.sampled_from((0, 1, 3)),
    st.booleans(),
    st.booleans(),
    st.tuples(st.sampled_from((0x7001, 0x7001, 0x7001, 0x7000)), HIGH).map(sum),
    st.tuples(st.sampled_from((0x8000, 0x8000, 0, 0x200000, 0x2000)), FLAGS, HIGH).map(sum),
    st.tuples(FRAMES, FLAGS, HIGH).map(sum),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_pae(name: str, cpl: int, wp: bool, nxe: bool, pointer: int, directory: int, page: int) -> None:
    if not directory & 0x80:
        directory = 0x8000 | USED | directory & ~0xFFFFF000
    tables = (
        *entries(0x1000, (0, pointer), size=8),
        *entries(0x7000, (0, 0x9007), (6, directory), size=8),
        *entries(0x8000, (5, page), (6, 0x21007), size=8),
        *entries(0x9000, *identity().items(), size=8),
    )
    code = assemble(INSTRUCTIONS[name], 0x10000)
    guest = replace(settings_of(cpl, wp), images=(*tables, (0x10000, code + b"\x90\xf4")), cr4=PAE, nxe=nxe)
    compare(guest)


@given(
    st.sampled_from((0, PSE, PAE)),
    st.booleans(),
    st.booleans(),
    st.sampled_from(Access),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 0x7F), st.integers(0, 0x7F), FLAGS), max_size=20),
    st.integers(0, 0xFFFFFF),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_machine_walks_as_the_guest(
    cr4: int, wp: bool, nxe: bool, access: Access, user: bool, pages: list[tuple[int, int, int]], address: int
) -> None:
    """`physical`, `read` and `write` of the machine, against the plain walk of the tests."""
    cpu = UnicornCpu(1 << 19)
    for image in two_level({page: frame << 12 | flags for page, frame, flags in pages}):
        cpu.write_physical(*image)
    cpu.set_cr(4, cr4)
    cpu.set_cr(3, 0x1000)
    cpu.nxe = nxe
    cpu.set_cr(0, 0x11 | PG | (WP if wp else 0))
    if access is Access.FETCH:
        access = Access.READ
    memory = bytearray(cpu.read_physical(0, cpu.ram))

    def read(at: int, size: int) -> int:
        return int.from_bytes(memory[at : at + size], "little") if at + size <= len(memory) else 0

    expected = walk(read, Paging(cpu.cr(0), cpu.cr(3), cpu.cr(4), nxe), address, access, user)
    if isinstance(expected, int):
        with pytest.raises(PageFault) as raised:
            cpu.physical(address, access is Access.WRITE, user)
        assert (raised.value.address, raised.value.error) == (address, expected)
    else:
        assert isinstance(expected, Translation)
        for at, size, value in expected.marks:
            memory[at : at + size] = value.to_bytes(size, "little")
        assert cpu.physical(address, access is Access.WRITE, user) == expected.physical
    assert cpu.read_physical(0, cpu.ram) == memory


def test_a_write_over_two_pages_is_all_or_nothing() -> None:
    guest = replace(settings_of(0, True), images=two_level(identity((0x21, 0x21005))))
    cpu = guest.fast()
    with pytest.raises(PageFault) as raised:
        cpu.write(0x20FFE, b"\x11" * 8)
    assert (raised.value.address, raised.value.error) == (0x21000, 3)
    assert cpu.read_physical(0x20FF0, 0x20) == bytes(0x20)


def test_looking_marks_nothing() -> None:
    cpu = replace(settings_of(0, True), images=two_level(identity())).fast()
    before = state(cpu)
    assert cpu.peek(0x20000, 0x100000) == bytes(0x60000)
    assert cpu.look(0x21234) == 0x21234
    assert state(cpu) == before


def test_a_page_read_ahead_is_not_accessed() -> None:
    """Translation reaches into the next page; the guest never does."""
    code = assemble("jmp over\nnop\nover: mov eax, [0x2000 + 4 * 0x11]\nhlt\n" + "nop\n" * 20, 0x10FF2)
    guest = replace(settings_of(0, True), images=(*two_level(identity()), (0x10FF2, code)), eip=0x10FF2)
    cpu = guest.fast()
    play(cpu, stop, 100)
    assert cpu.gpr(0) == 0x11007
    assert cpu.read_physical(0x2000 + 4 * 0x11, 4) == b"\x07\x10\x01\x00"


@pytest.mark.parametrize("bit", [1, 2, 5, 6, 7, 8])
def test_reserved_bits_of_a_page_directory_pointer(bit: int) -> None:
    """Stock Unicorn does not look at these; a processor refuses them when CR3 is loaded (SDM volume 3, 4.4.1)."""
    cpu = replace(settings_of(0, True), images=entries(0x1000, (0, 0x7001 | 1 << bit), size=8), cr4=PAE).fast()
    with pytest.raises(PageFault) as raised:
        cpu.read(0x1234, 1)
    assert raised.value.error == 9
