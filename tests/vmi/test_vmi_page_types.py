"""Page tables that were never announced, or that were released: told once for each page."""

from dataclasses import replace

import pytest

from pvtrace.vmi.page_types import entry_changed, root_loaded
from pvtrace.x86.effects import Note
from tests.vmi.vmi_flat import DATA, STACK, Guest, paravirtual

FRAME = DATA >> 12
PD, PT = 2, 1


def told(g: Guest, name: str, **operands: int) -> int:
    before = len(g.notes)
    g.do(name, **operands)
    return len(g.notes) - before


def test_an_entry_in_a_page_that_was_not_announced() -> None:
    g = paravirtual()
    assert told(g, "SetPxE", value=0x1067, entry_pointer=DATA, flags=1) == 1
    assert f"{FRAME:#x}" in g.notes[-1]
    assert told(g, "SetPxE", value=0x1067, entry_pointer=DATA + 4, flags=1) == 0
    assert told(g, "UpdatePxE", entry_pointer=DATA + 8, flags=1) == 0


def test_an_announced_page_is_no_news_until_it_is_released() -> None:
    g = paravirtual()
    assert told(g, "AllocatePage", pfn=FRAME, flags=PT | 0x40) == 0
    assert told(g, "SetPxE", value=0x1067, entry_pointer=DATA, flags=1) == 0
    assert told(g, "ReleasePage", pfn=FRAME, flags=PT) == 0
    assert told(g, "UpdatePxE", entry_pointer=DATA, flags=1) == 1
    assert told(g, "AllocatePage", pfn=FRAME, flags=PT) == 0
    assert told(g, "ReleasePage", pfn=FRAME, flags=PT) == 0
    assert told(g, "UpdatePxE", entry_pointer=DATA, flags=1) == 1


@pytest.mark.parametrize(("value", "news"), [(0x55000 | 1, 1), (0x55000, 0), (0x400000 | 0x81, 0)])
def test_a_directory_that_names_a_table(value: int, news: int) -> None:
    """Present and no large page."""
    g = paravirtual()
    g.do("AllocatePage", pfn=FRAME, flags=PD)
    assert told(g, "SetPxE", value=value, entry_pointer=DATA, flags=PD) == news


def test_the_root() -> None:
    g = paravirtual()
    (note, change) = root_loaded(g.vmi, 0x123018)
    assert isinstance(note, Note)
    assert "0x123" in note.text
    g.apply((change,))
    assert root_loaded(g.vmi, 0x123000) == ()
    announced = replace(g.vmi, page_types=((0x123, PD),), told=())
    assert root_loaded(announced, 0x123000) == ()


def test_the_root_is_released() -> None:
    g = paravirtual()
    g.crs[3] = 0x123000
    assert told(g, "ReleasePage", pfn=0x123, flags=PD) == 1
    assert told(g, "ReleasePage", pfn=0x124, flags=PD) == 0


def test_a_pointer_to_nowhere_is_no_page() -> None:
    g = paravirtual()
    g.absent = {STACK >> 12}
    assert entry_changed(g, g.vmi, STACK, 0) == ()
