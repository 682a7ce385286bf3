"""Hardware task switches by JMP, CALL, task gates and IRET with NT, against the manual's tables (SDM volume 3, 7.3)."""

from struct import pack, unpack_from

import pytest

from pvtrace.model.registers import Seg
from pvtrace.model.stops import Why
from pvtrace.x86 import eflags
from pvtrace.x86.descriptors import SegmentFault
from pvtrace.x86.effects import Effects, End, Native, Raise, WriteMemory
from pvtrace.x86.exceptions import GP, NP, SS, TS
from pvtrace.x86.privileged import execute
from pvtrace.x86.task_switch import By, Switched, switch
from pvtrace.x86.view import PageFault
from tests.x86.flat_view import (
    CODE,
    GDT,
    KERNEL_CS,
    KERNEL_SS,
    LDT,
    LDT_SELECTOR,
    STACK,
    TSS,
    TSS_SELECTOR,
    USER_CS,
    USER_SS,
    FlatView,
    at_ring,
)

OTHER, OTHER_TSS = 0x60, 0x7000
GATE = 0x68
OTHER_GPRS = (0xA0, 0xA1, 0xA2, 0xA3, 0xB000, 0xA5, 0xA6, 0xA7)
ENTRY = 0x9000
MY_GPRS = (1, 2, 3, 4, STACK, 6, 7, 8)


def busy(view: FlatView, selector: int) -> bool:
    return bool(view.get(GDT + selector + 5, 1) & 2)


def other_task(view: FlatView, cs: int = KERNEL_CS, ss: int = KERNEL_SS, flags: int = 2, ldt: int = 0) -> None:
    tss = pack("<7I", 0, 0, 0, 0, 0, 0, 0) + pack("<I", 0x00123000) + pack("<II", ENTRY, flags)
    tss += pack("<8I", *OTHER_GPRS) + pack("<6I", ss, cs, ss, ss, 0, 0) + pack("<II", ldt, 104 << 16)
    view.memory[OTHER_TSS : OTHER_TSS + len(tss)] = tss


def world(cpl: int = 0, **how: int) -> FlatView:
    view = at_ring(cpl, flags=2 | eflags.CF)
    view.gprs[:] = MY_GPRS
    view.put(GDT + TSS_SELECTOR + 5, 0x8B, 1)
    view.put(GDT + OTHER, 0x0000890000000067 | OTHER_TSS << 16, 8)
    view.put(GDT + GATE, 0x0000850000000000 | OTHER << 16, 8)
    other_task(view, **how)
    return view


def done(view: FlatView, effects: Effects) -> Raise | None:
    """Apply a switch; returns the fault in the new task."""
    last = effects[-1]
    view.apply(effects[:-1] if isinstance(last, Raise) else effects)
    return last if isinstance(last, Raise) else None


def far(opcode: int, selector: int) -> bytes:
    return bytes([opcode]) + pack("<IH", 0xDEAD, selector)


def effects_of(view: FlatView, code: bytes) -> Effects:
    view.memory[CODE : CODE + len(code)] = code
    return execute(view, code).effects


def run(view: FlatView, code: bytes) -> Raise | None:
    return done(view, effects_of(view, code))


def is_other(view: FlatView) -> bool:
    return (view.eip, view.tr.selector, tuple(view.gprs)) == (ENTRY, OTHER, OTHER_GPRS)


@pytest.mark.parametrize("selector", [OTHER, GATE])
@pytest.mark.parametrize(("opcode", "nested"), [(0xEA, False), (0x9A, True)])
def test_jmp_and_call(opcode: int, nested: bool, selector: int) -> None:
    view = world()
    assert run(view, far(opcode, selector)) is None
    assert is_other(view)
    assert bool(view.eflags & eflags.NT) is nested
    assert busy(view, TSS_SELECTOR) is nested
    assert busy(view, OTHER)
    assert view.tr.attributes & 0x200
    assert view.get(OTHER_TSS, 2) == (TSS_SELECTOR if nested else 0)
    assert view.cr(0) & 8
    saved = unpack_from("<10I", view.memory, TSS + 0x20)
    assert saved == (CODE + 7, 2 | eflags.CF | eflags.IF, *MY_GPRS)
    assert unpack_from("<H", view.memory, TSS + 0x48 + 4 * Seg.CS) == (KERNEL_CS,)
    assert view.segments[Seg.CS].selector == KERNEL_CS
    assert view.segments[Seg.FS].selector == 0


def test_by_a_pointer_in_memory() -> None:
    view = world()
    view.put(0x5000, 0, 4)
    view.put(0x5004, OTHER, 2)
    assert run(view, b"\xff\x2d" + pack("<I", 0x5000)) is None
    assert is_other(view)


def test_there_and_back() -> None:
    view = world()
    run(view, far(0x9A, OTHER))
    view.gprs[0] = 0x1234
    result = execute(view, b"\xcf")
    assert result.task_switch
    assert result.returned is not None
    assert done(view, result.effects) is None
    assert (view.eip, tuple(view.gprs), view.tr.selector) == (CODE + 7, MY_GPRS, TSS_SELECTOR)
    assert view.eflags == 2 | eflags.CF | eflags.IF
    assert busy(view, TSS_SELECTOR)
    assert not busy(view, OTHER)
    assert view.get(OTHER_TSS + 0x28) == 0x1234
    assert not view.get(OTHER_TSS + 0x24) & eflags.NT


def test_an_event_pushes_its_error_code_on_the_new_stack() -> None:
    view = world()
    outcome = switch(view, OTHER, By.EVENT, return_eip=0x8123, error=0x55, external=1)
    assert isinstance(outcome, Switched)
    assert done(view, outcome.effects) is None
    assert view.gprs[4] == OTHER_GPRS[4] - 4 == outcome.esp
    assert view.get(view.gprs[4]) == 0x55
    assert view.eflags & eflags.NT
    assert view.get(TSS + 0x20) == 0x8123


def test_to_user_mode_and_to_virtual_8086_mode() -> None:
    view = world(cs=USER_CS, ss=USER_SS)
    assert run(view, far(0xEA, OTHER)) is None
    assert view.cpl == 3
    view = world(cs=0x800, ss=0x900, flags=2 | eflags.VM)
    assert run(view, far(0xEA, OTHER)) is None
    assert (view.cpl, view.segments[Seg.CS].base) == (3, 0x8000)


def test_cr3_is_loaded_with_paging_on() -> None:
    view = world()
    view.crs[0] |= 1 << 31
    run(view, far(0xEA, OTHER))
    assert view.crs[3] == 0x00123000


def test_the_ldt_of_the_new_task_counts() -> None:
    view = world(ss=0xC, ldt=LDT_SELECTOR)
    view.put(LDT + 8, 0x00CF93000000FFFF, 8)
    assert run(view, far(0xEA, OTHER)) is None
    assert (view.ldtr.base, view.segments[Seg.SS].selector) == (LDT, 0xC)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda view: view.put(GDT + OTHER + 5, 0x8B, 1), Raise(GP, OTHER)),  # busy
        (lambda view: view.put(GDT + OTHER + 5, 0x09, 1), Raise(NP, OTHER)),
        (lambda view: view.put(GDT + OTHER, 0x66, 2), Raise(TS, OTHER)),
    ],
)
@pytest.mark.parametrize("selector", [OTHER, GATE])
def test_what_is_wrong_with_the_tss_is_the_old_tasks(change: object, wanted: Raise, selector: int) -> None:
    view = world()
    change(view)  # type: ignore[operator]
    assert effects_of(view, far(0xEA, selector)) == (wanted,)


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({"cs": 0}, Raise(TS, 0)),
        ({"cs": KERNEL_SS}, Raise(TS, KERNEL_SS)),
        ({"cs": USER_CS & ~3}, Raise(TS, USER_CS & ~3)),
        ({"cs": 0xFFF8}, Raise(TS, 0xFFF8)),
        ({"ss": 0}, Raise(TS, 0)),
        ({"ss": USER_SS}, Raise(TS, USER_SS & ~3)),
        ({"ss": KERNEL_CS}, Raise(TS, KERNEL_CS)),
        ({"ldt": KERNEL_SS}, Raise(TS, KERNEL_SS)),
        ({"ss": 0x70}, Raise(SS, 0x70)),
        ({"cs": 0x78}, Raise(NP, 0x78)),
    ],
)
def test_what_is_wrong_with_its_segments_is_the_new_tasks(how: dict[str, int], wanted: Raise) -> None:
    view = world(**how)
    view.put(GDT + 0x70, 0x00CF13000000FFFF, 8)
    view.put(GDT + 0x78, 0x00CF1B000000FFFF, 8)
    assert run(view, far(0xEA, OTHER)) == wanted
    assert is_other(view)


@pytest.mark.parametrize("selector", [OTHER, GATE])
def test_user_code_needs_the_privilege(selector: int) -> None:
    view = world(cpl=3)
    assert execute(view, b"\xff\x2d" + pack("<I", 0x5000)).effects == (Native(),)
    view.put(0x5004, selector, 2)
    assert execute(view, b"\xff\x2d" + pack("<I", 0x5000)).effects == (Raise(GP, selector),)


def test_iret_to_a_task_that_is_not_busy() -> None:
    view = world()
    view.eflags |= eflags.NT
    view.put(TSS, OTHER, 2)
    assert execute(view, b"\xcf").effects == (Raise(TS, OTHER),)


def test_a_store_to_a_tss_that_would_fault_is_a_fault_before_any_change() -> None:
    view = world()
    view.unmapped = frozenset({OTHER_TSS >> 12})
    with pytest.raises(PageFault):
        effects_of(view, far(0xEA, OTHER))
    view.unmapped = frozenset({TSS >> 12})
    with pytest.raises(PageFault) as refused:
        switch(view, OTHER, By.JUMP, return_eip=0)
    assert refused.value.error & 2


def test_stores_come_first() -> None:
    view = world()
    outcome = switch(view, OTHER, By.CALL, return_eip=0)
    assert isinstance(outcome, Switched)
    kinds = [isinstance(effect, WriteMemory) for effect in outcome.effects]
    assert kinds == sorted(kinds, reverse=True)


def test_16_bit_tasks_and_paravirtual_guests_end() -> None:
    view = world()
    view.put(GDT + OTHER + 5, 0x81, 1)
    end = switch(view, OTHER, By.JUMP, return_eip=0)
    assert isinstance(end, End)
    guest = at_ring(1, paravirtual=True)
    guest.put(GDT + OTHER, 0x0000E90000000067, 8)
    (ended,) = effects_of(guest, far(0xEA, OTHER))
    assert isinstance(ended, End)
    assert ended.why is end.why is Why.UNSUPPORTED


def test_a_selector_that_names_no_tss() -> None:
    for selector in (0, 4, KERNEL_CS):
        with pytest.raises(SegmentFault):
            switch(world(), selector, By.EVENT, return_eip=0)
