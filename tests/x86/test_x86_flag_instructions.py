"""CLI, STI, PUSHF, POPF at every level, in both worlds, against tables written from the manual and the VMI text."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvtrace.model.events import Attempt, Outcome
from pvtrace.x86 import eflags
from pvtrace.x86.effects import Note, Raise, SetSystem
from pvtrace.x86.privileged import execute
from pvtrace.x86.results import Result
from tests.x86.flat_view import STACK, FlatView, at_ring, v8086

CLI, STI, PUSHFD, POPFD, PUSHFW, POPFW = b"\xfa", b"\xfb", b"\x9c", b"\x9d", b"\x66\x9c", b"\x66\x9d"
STATES = list(itertools.product((0, 1, 3), (0, 1, 2, 3), (False, True)))
GP0 = (Raise(13, 0),)


def run(view: FlatView, code: bytes) -> Result:
    result = execute(view, code)
    if result.faulted is None:
        view.apply(result.effects)
    return result


@pytest.mark.parametrize(("cpl", "iopl", "before"), STATES)
@pytest.mark.parametrize("enable", [False, True])
def test_native_cli_sti(cpl: int, iopl: int, before: bool, enable: bool) -> None:
    view = at_ring(cpl, vif=before, viopl=iopl)
    result = run(view, STI if enable else CLI)
    assert result.attempt is not None
    assert result.attempt.instruction is (Attempt.STI if enable else Attempt.CLI)
    assert bool(result.attempt.asked & eflags.IF) is enable
    if cpl > iopl:
        assert result.effects == GP0
        assert result.attempt.outcome is Outcome.FAULTED
        return
    assert view.system.vif is enable
    assert bool(view.eflags & eflags.IF) is enable
    assert view.eip == 0x8001
    assert result.attempt.outcome is (Outcome.NO_CHANGE if before is enable else Outcome.TOOK_EFFECT)
    assert view.system.shadow == (view.step + 1 if enable and not before else 0)


# (kernel?, virtual IOPL) -> what becomes of CLI and STI in a paravirtual guest: VMI, "Interrupt flag" and "IOPL".
PARAVIRTUAL = {
    (True, 0): Outcome.TRAPPED,
    (True, 1): Outcome.TRAPPED,
    (True, 2): Outcome.TRAPPED,
    (True, 3): Outcome.TRAPPED,
    (False, 0): Outcome.FAULTED,
    (False, 1): Outcome.FAULTED,
    (False, 2): Outcome.FAULTED,
    (False, 3): Outcome.SKIPPED,
}


@pytest.mark.parametrize(("cpl", "iopl", "before"), [state for state in STATES if state[0]])
@pytest.mark.parametrize("enable", [False, True])
def test_paravirtual_cli_sti(cpl: int, iopl: int, before: bool, enable: bool) -> None:
    view = at_ring(cpl, vif=before, viopl=iopl, paravirtual=True)
    result = run(view, STI if enable else CLI)
    want = PARAVIRTUAL[cpl < 3, iopl]
    if want is Outcome.TRAPPED and before is enable:
        want = Outcome.NO_CHANGE
    assert result.attempt is not None
    assert result.attempt.outcome is want
    assert view.eflags & (eflags.IF | eflags.IOPL) == eflags.IF
    assert view.system.viopl == iopl
    if want is Outcome.FAULTED:
        assert result.effects == GP0
    else:
        assert view.eip == 0x8001
    assert view.system.vif is (enable if want is Outcome.TRAPPED else before)


@pytest.mark.parametrize(("iopl", "before"), list(itertools.product((0, 2, 3), (False, True))))
@pytest.mark.parametrize("enable", [False, True])
def test_user_code_that_owns_if(iopl: int, before: bool, enable: bool) -> None:
    """The alternative: as the hardware would, at virtual IOPL 3; PUSHF and POPF stay as they are."""
    view = at_ring(3, vif=before, viopl=iopl, paravirtual=True)
    view.user_if = True
    result = run(view, STI if enable else CLI)
    assert result.attempt is not None
    if iopl < 3:
        assert result.effects == GP0
        assert view.system.vif is before
        return
    assert view.system.vif is enable
    assert result.attempt.outcome is (Outcome.NO_CHANGE if before is enable else Outcome.TRAPPED)
    assert view.eflags & eflags.IF


@pytest.mark.parametrize(("before", "asked", "user_if"), list(itertools.product((False, True), repeat=3)))
def test_the_section_that_never_gets_its_interrupts_back(before: bool, asked: bool, user_if: bool) -> None:
    view = at_ring(3, vif=before, viopl=3, paravirtual=True)
    view.user_if = user_if
    view.put(STACK, 2 | eflags.IF * asked)
    effects = execute(view, POPFD).effects
    notes = [effect for effect in effects if isinstance(effect, Note)]
    assert len(notes) == int(user_if and asked and not before)
    view.apply(tuple(effect for effect in effects if effect not in notes))
    assert view.system.vif is before
    view.eip = 0x8000
    run(view, PUSHFD)
    assert view.get(view.gprs[4]) & eflags.IF


def expected_popf(cpl: int, iopl: int, *, guest: int, image: int, size: int, paravirtual: bool) -> int:
    """SDM volume 2, table 4-17, bit by bit: the flags after POPF; of a paravirtual guest at the hardware's IOPL 0."""
    result = guest
    for bit in range(32):
        flag = 1 << bit
        if size == 2 and bit > 15:
            continue
        if flag & (eflags.FIXED | eflags.VIF | eflags.VIP | eflags.VM) or not flag & eflags.DEFINED:
            continue
        if flag == eflags.RF:
            result &= ~flag
            continue
        if flag == eflags.IF and (paravirtual or cpl > iopl):
            continue
        if flag & eflags.IOPL and (paravirtual or cpl > 0):
            continue
        result = (result & ~flag) | (image & flag)
    return result


@pytest.mark.parametrize("paravirtual", [False, True])
@pytest.mark.parametrize(("cpl", "iopl", "before"), STATES)
@pytest.mark.parametrize("size", [2, 4])
@settings(max_examples=20, deadline=None)
@given(image=st.integers(0, 0xFFFFFFFF), old=st.integers(0, 0x3FFFFF))
def test_popf(*, paravirtual: bool, cpl: int, iopl: int, before: bool, size: int, image: int, old: int) -> None:
    if paravirtual and cpl == 0:
        return
    old &= eflags.DEFINED & ~eflags.VM
    view = at_ring(cpl, vif=before, viopl=iopl, paravirtual=paravirtual, flags=old)
    view.put(STACK, image)
    guest = eflags.guest_flags(view.eflags, view.system)
    result = run(view, POPFD if size == 4 else POPFW)
    after = eflags.guest_flags(view.eflags, view.system)
    want = expected_popf(cpl, iopl, guest=guest, image=image, size=size, paravirtual=paravirtual)
    assert after == want
    assert view.gprs[4] == STACK + size
    assert view.eip == 0x8001 + (size == 2)
    assert result.attempt is not None
    both = eflags.IF | eflags.IOPL
    if after & both != guest & both:
        outcome = Outcome.TOOK_EFFECT
    else:
        outcome = Outcome.NO_CHANGE if (image ^ guest) & both == 0 else Outcome.IGNORED
    assert result.attempt.outcome is outcome
    if paravirtual:
        assert view.eflags & both == eflags.IF


@pytest.mark.parametrize("paravirtual", [False, True])
@pytest.mark.parametrize(("cpl", "iopl", "before"), STATES)
def test_pushf(paravirtual: bool, cpl: int, iopl: int, before: bool) -> None:
    if paravirtual and cpl == 0:
        return
    view = at_ring(cpl, vif=before, viopl=iopl, paravirtual=paravirtual, flags=eflags.CF | eflags.RF | eflags.AC | 2)
    result = run(view, PUSHFD)
    shown = view.get(STACK - 4)
    assert shown & ~(eflags.IF | eflags.IOPL) == eflags.CF | eflags.AC | 2
    if paravirtual:
        assert shown & (eflags.IF | eflags.IOPL) == eflags.IF
    else:
        assert shown & (eflags.IF | eflags.IOPL) == eflags.IF * before | iopl << 12
    assert view.gprs[4] == STACK - 4
    assert result.attempt is not None
    assert (result.attempt.outcome, result.attempt.asked) == (Outcome.READ, shown)


def test_pushfw_stores_two_bytes() -> None:
    view = at_ring(0)
    view.put(STACK - 4, 0xAAAAAAAA)
    run(view, PUSHFW)
    assert view.get(STACK - 4) == 0x0202AAAA


@pytest.mark.parametrize("iopl", [0, 1, 2, 3])
@pytest.mark.parametrize("code", [CLI, STI, b"\x9c", b"\x9d", b"\xcf"])
def test_v8086_needs_iopl_3(iopl: int, code: bytes) -> None:
    view = v8086(viopl=iopl)
    result = execute(view, code)
    assert (result.effects == GP0) is (iopl < 3)


def test_v8086_popf_changes_if_but_not_iopl() -> None:
    view = v8086(viopl=3)
    view.put(0xA000, eflags.CF, 2)
    run(view, b"\x9d")
    assert eflags.guest_flags(view.eflags, view.system) == 2 | eflags.CF | eflags.VM | eflags.IOPL


def test_the_shadow_comes_before_the_flag() -> None:
    """SetSystem replaces the whole state, so it must not undo SetFlags."""
    view = at_ring(0, vif=False)
    effects = execute(view, STI).effects
    assert isinstance(effects[0], SetSystem)
    view.apply(effects)
    assert view.system.vif


def test_stack_limits() -> None:
    """#SS(0) on a 16-bit stack that ends below the pointer."""
    view = at_ring(0)
    stack = view.segments[2]
    view.segments[2] = type(stack)(stack.selector, 0, STACK - 5, stack.attributes)
    assert execute(view, PUSHFD).effects == (Raise(12, 0),)
    assert execute(view, POPFD).effects == (Raise(12, 0),)
    attempt = execute(view, POPFD).attempt
    assert attempt is not None
    assert attempt.outcome is Outcome.FAULTED
