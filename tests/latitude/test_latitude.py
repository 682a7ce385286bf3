"""Each freedom of the proposal, from both ends: a guest that lives with the kind one, and is hurt by the harsh one."""

import pytest

from pvtrace.model.events import Kind
from pvtrace.model.registers import Gpr
from pvtrace.model.stops import Why
from pvtrace.x86.latitude import ALL, DEFAULT, HARSH, KIND, NAMES, chosen, to_words
from tests.latitude import guests
from tests.latitude.guests import COMMON, HURT
from tests.machine.small import Ran, run

ENDED = ("stack32", "iret-fault")
"""Whose harsh end terminates the guest."""


def ran(source: str, profile: str = "13.3", **ends: str) -> Ran:
    words = {name.replace("_", "-"): end for name, end in ends.items()}
    return run(COMMON + source, profile=profile, latitude=chosen(words))


def test_there_is_a_guest_for_each() -> None:
    assert tuple(HURT) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_lives_with_the_kind_end(name: str) -> None:
    """Also if all other ends are harsh."""
    for others in (KIND, HARSH):
        stop = ran(HURT[name], **{ALL: others, name: KIND}).stop
        assert (stop.why, stop.code) == (Why.EXIT, 0), (others, stop)


@pytest.mark.parametrize("name", NAMES)
def test_the_harsh_end_hurts(name: str) -> None:
    for others in (KIND, HARSH):
        stop = ran(HURT[name], **{ALL: others, name: HARSH}).stop
        if name in ENDED:
            assert stop.why is Why.TERMINATED, stop
            assert stop.detail
        else:
            assert (stop.why, stop.code) == (Why.EXIT, 1), (others, stop)


def test_the_defaults() -> None:
    assert to_words(DEFAULT) == {
        "flags": HARSH,
        "stack32": HARSH,
        "fault-eip": KIND,
        "stack16": KIND,
        "iret-fault": KIND,
        "defer": KIND,
    }


@pytest.mark.parametrize("name", NAMES)
def test_words_and_back(name: str) -> None:
    latitude = chosen({ALL: HARSH, name: KIND})
    assert chosen(to_words(latitude)) == latitude
    assert to_words(latitude)[name] == KIND


@pytest.mark.parametrize("words", [{"flags": "soft"}, {"flag": KIND}, {"": KIND}, {"fault_eip": KIND}])
def test_bad_words_are_refused(words: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"can be kind or harsh|is no latitude"):
        chosen(words)


def test_the_fault_of_a_call_shows_the_rom_and_the_return_address() -> None:
    found = ran(HURT["fault-eip"], fault_eip=HARSH)
    (fault,) = found.of(Kind.EXCEPTION)
    assert 0xC8000 <= fault["pc"] < 0xCA000  # type: ignore[operator]
    assert fault["vector"] == 13
    kind = ran(HURT["fault-eip"]).of(Kind.EXCEPTION)[0]
    assert fault["esp"] == int(kind["esp"] or 0) - 4


def test_a_16_bit_stack_with_the_kernels_upper_half_is_noted() -> None:
    assert not ran(HURT["stack16"]).notes
    assert len(ran(HURT["stack16"], stack16=HARSH).notes) == 1


@pytest.mark.parametrize("source", guests.DEFER_FLUSHED.values(), ids=guests.DEFER_FLUSHED.keys())
@pytest.mark.parametrize("end", [KIND, HARSH])
def test_what_makes_a_deferred_update_visible(source: str, end: str) -> None:
    stop = ran(source, defer=end).stop
    assert (stop.why, stop.code) == (Why.EXIT, 0), stop


def test_another_pages_invalidation_does_not() -> None:
    assert ran(guests.DEFER_OTHER, defer=KIND).stop.code == 0
    assert ran(guests.DEFER_OTHER, defer=HARSH).stop.code == 1


@pytest.mark.parametrize(("end", "entry"), [(KIND, 0x3F2003), (HARSH, 0)])
def test_a_page_fault_ends_the_waiting_and_is_none(end: str, entry: int) -> None:
    found = ran(guests.LAZY_MMU, "3.0", defer=end)
    assert (found.stop.why, found.stop.code) == (Why.EXIT, 0), found.stop
    assert not found.vectors
    assert found.gpr(Gpr.EBX) == entry


def test_segments_wait_in_lazy_mode_cpu() -> None:
    assert ran(guests.LAZY_CPU, "3.0", defer=KIND).stop.code == 0
    assert ran(guests.LAZY_CPU, "3.0", defer=HARSH).stop.code == 1
    assert ran(guests.LAZY_CPU_ENDED, "3.0", defer=HARSH).stop.code == 0
