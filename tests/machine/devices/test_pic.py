import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.machine.devices.pic import Chip, Pic

MASTER, MASTER_DATA, SLAVE, SLAVE_DATA, ELCR, ELCR2 = range(6)
EOI = 0x20


def write(pic: Pic, *pairs: tuple[int, int]) -> None:
    for offset, value in pairs:
        pic.write(offset, 1, value, 0)


def read(pic: Pic, offset: int) -> int:
    return pic.read(offset, 1, 0)


def remapped(icw4: int = 0x01) -> Pic:
    """As most kernels program it: vectors 20h and 28h, nothing masked."""
    pic = Pic.left_by_bios()
    for command, base, cascade in ((MASTER, 0x20, 4), (SLAVE, 0x28, 2)):
        write(pic, (command, 0x11), (command + 1, base), (command + 1, cascade), (command + 1, icw4))
    return pic


def pulse(pic: Pic, irq: int) -> None:
    line = pic.line(irq)
    line(True)
    line(False)


def test_the_bios_left_it_programmed() -> None:
    pic = Pic.left_by_bios()
    assert (read(pic, MASTER_DATA), read(pic, SLAVE_DATA)) == (0xB8, 0x8E)
    pulse(pic, 0)
    assert pic.acknowledge() == 0x08
    write(pic, (MASTER, EOI))
    pulse(pic, 8)
    assert pic.acknowledge() == 0x70


def test_a_latched_edge_survives_the_drop_of_its_line() -> None:
    pic = remapped()
    pulse(pic, 3)
    assert pic.pending()
    assert read(pic, MASTER) == 0x08
    assert pic.acknowledge() == 0x23
    assert not pic.pending()
    write(pic, (MASTER, 0x0B))
    assert read(pic, MASTER) == 0x08
    write(pic, (MASTER, EOI), (MASTER, 0x0A))
    assert read(pic, MASTER) == 0


def test_an_edge_line_that_stays_high_interrupts_once() -> None:
    pic = remapped()
    pic.line(4)(True)
    assert pic.acknowledge() == 0x24
    write(pic, (MASTER, EOI))
    pic.line(4)(True)
    assert not pic.pending()


def test_a_level_line_interrupts_until_it_drops() -> None:
    pic = remapped()
    write(pic, (ELCR, 0xFF), (ELCR2, 0xFF))
    assert (read(pic, ELCR), read(pic, ELCR2)) == (0xF8, 0xDE)
    pic.line(11)(True)
    assert pic.acknowledge() == 0x2B
    write(pic, (SLAVE, EOI), (MASTER, EOI))
    assert pic.acknowledge() == 0x2B
    pic.line(11)(False)
    write(pic, (SLAVE, EOI), (MASTER, EOI))
    assert not pic.pending()


def test_priority_and_nesting() -> None:
    pic = remapped()
    pulse(pic, 5)
    pulse(pic, 1)
    assert pic.acknowledge() == 0x21
    assert not pic.pending()
    pulse(pic, 0)
    assert pic.acknowledge() == 0x20
    write(pic, (MASTER, EOI))  # ends 0, the highest in service
    assert not pic.pending()
    write(pic, (MASTER, 0x61))  # specific, of 1
    assert pic.acknowledge() == 0x25


def test_the_cascade_needs_two_ends_of_interrupt() -> None:
    pic = remapped()
    pulse(pic, 14)
    pulse(pic, 15)
    assert pic.acknowledge() == 0x2E
    write(pic, (SLAVE, EOI))
    assert not pic.pending()
    write(pic, (MASTER, EOI))
    assert pic.acknowledge() == 0x2F


def test_special_fully_nested_mode_lets_a_better_slave_request_through() -> None:
    plain, special = remapped(), remapped(icw4=0x11)
    for pic in (plain, special):
        pulse(pic, 12)
        assert pic.acknowledge() == 0x2C
        pulse(pic, 9)
    assert not plain.pending()
    assert special.acknowledge() == 0x29


def test_masking_hides_a_request_on_either_chip() -> None:
    pic = remapped()
    pulse(pic, 9)
    write(pic, (SLAVE_DATA, 0x02))
    assert not pic.pending()
    write(pic, (SLAVE_DATA, 0), (MASTER_DATA, 0x04))
    assert not pic.pending()
    assert not pic.admits(9)
    write(pic, (MASTER_DATA, 0))
    assert pic.admits(10)
    assert pic.acknowledge() == 0x29
    assert not pic.admits(10)
    assert pic.admits(1)


def test_nothing_pending_gives_the_spurious_vector_and_leaves_nothing_in_service() -> None:
    pic = remapped()
    assert pic.acknowledge() == 0x27
    write(pic, (MASTER, 0x0B))
    assert read(pic, MASTER) == 0
    chip = Chip(base=0x28)
    assert chip.acknowledge() == 7
    assert chip.isr == 0


def test_automatic_end_of_interrupt_loses_no_slave_request() -> None:
    pic = remapped(icw4=0x03)
    for irq in (8, 9, 3):
        pulse(pic, irq)
    assert [pic.acknowledge() for _ in range(3)] == [0x28, 0x29, 0x23]
    assert not pic.pending()


def test_rotation() -> None:
    pic = remapped()
    pulse(pic, 4)
    assert pic.acknowledge() == 0x24
    write(pic, (MASTER, 0xA0))  # rotate on non-specific EOI: 4 becomes the lowest
    pulse(pic, 4)
    pulse(pic, 5)
    assert pic.acknowledge() == 0x25
    write(pic, (MASTER, 0xE5))  # rotate on specific EOI: 5 becomes the lowest
    pulse(pic, 5)
    assert pic.acknowledge() == 0x24
    write(pic, (MASTER, EOI), (MASTER, 0xC4))  # set priority: 5 is the highest again
    pulse(pic, 6)
    assert pic.acknowledge() == 0x25


def test_rotation_with_automatic_end_of_interrupt() -> None:
    pic = remapped(icw4=0x03)
    write(pic, (MASTER, 0x80))
    pulse(pic, 3)
    assert pic.acknowledge() == 0x23
    pulse(pic, 3)
    pulse(pic, 6)
    assert pic.acknowledge() == 0x26
    write(pic, (MASTER, 0x00))
    pulse(pic, 5)
    assert pic.acknowledge() == 0x23
    assert pic.acknowledge() == 0x25


def test_special_mask_mode_ignores_a_masked_interrupt_in_service() -> None:
    pic = remapped()
    pulse(pic, 1)
    assert pic.acknowledge() == 0x21
    pulse(pic, 6)
    write(pic, (MASTER_DATA, 0x02))
    assert not pic.pending()
    write(pic, (MASTER, 0x68))
    assert pic.acknowledge() == 0x26
    write(pic, (MASTER, EOI), (MASTER, 0x0B))
    assert read(pic, MASTER) == 0x02


def test_poll_acknowledges() -> None:
    pic = remapped()
    write(pic, (MASTER, 0x0C))
    assert read(pic, MASTER) == 0
    pulse(pic, 10)
    write(pic, (MASTER, 0x0C), (SLAVE, 0x0C))
    assert read(pic, MASTER) == 0x82
    assert read(pic, SLAVE) == 0x82
    assert not pic.pending()
    assert read(pic, MASTER_DATA) == 0


def test_initialisation_without_icw4_and_with_a_line_that_is_high() -> None:
    pic = remapped()
    pic.line(6)(True)
    write(pic, (MASTER, 0x10), (MASTER_DATA, 0x47), (MASTER_DATA, 0x04), (MASTER_DATA, 0x0F))
    assert read(pic, MASTER_DATA) == 0x0F
    write(pic, (MASTER_DATA, 0))
    assert not pic.pending()
    pulse(pic, 6)  # the line was high: only its next rise counts
    assert not pic.pending()
    pulse(pic, 6)
    assert pic.acknowledge() == 0x46
    assert pic.irq_of(0x46) == 6
    assert pic.irq_of(0x2A) == 10
    assert pic.irq_of(0x80) is None


@pytest.mark.parametrize("irq", [-1, 2, 16])
def test_lines_that_do_not_exist(irq: int) -> None:
    with pytest.raises(ValueError, match="interrupt line"):
        Pic().line(irq)


@given(irr=st.integers(0, 255), imr=st.integers(0, 255), isr=st.integers(0, 255), lowest=st.integers(0, 7))
def test_priority_against_a_plain_search(irr: int, imr: int, isr: int, lowest: int) -> None:
    """Reference: walk from the highest priority down; the first in service ends the search, the first request wins."""
    expected = None
    for distance in range(1, 9):
        irq = (lowest + distance) % 8
        if isr >> irq & 1:
            break
        if irr & ~imr & 0xFF & 1 << irq:
            expected = irq
            break
    assert Chip(irr=irr, imr=imr, isr=isr, lowest=lowest).request() == expected


actions = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 5), st.integers(0, 255)),
    st.tuples(st.just("read"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("drive"), st.sampled_from([0, 1, *range(3, 16)]), st.integers(0, 1)),
    st.tuples(st.just("acknowledge"), st.just(0), st.just(0)),
)


def perform(pic: Pic, action: tuple[str, int, int]) -> object:
    match action:
        case ("write", offset, value):
            pic.write(offset, 1, value, 0)
        case ("read", offset, _):
            return read(pic, offset)
        case ("drive", irq, level):
            pic.line(irq)(bool(level))
        case _:
            return pic.pending(), pic.acknowledge()
    return None


@given(st.lists(actions, max_size=40), st.lists(actions, max_size=20))
def test_a_saved_state_is_all_there_is(before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]) -> None:
    pic, copy = remapped(), Pic()
    for action in before:
        perform(pic, action)
    copy.load(json.loads(json.dumps(pic.save())))
    for action in after:
        assert perform(pic, action) == perform(copy, action)
    assert pic.save() == copy.save()
