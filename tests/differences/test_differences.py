"""Each difference of the catalogue on both machines: paravirtual behaviour under VMI, the native one without, and the
native one in QEMU as well."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from pvtrace.model.stops import Why
from tests.differences.also_sensitive import ALSO_SENSITIVE
from tests.differences.guests import Case, in_qemu, run
from tests.differences.sensitive import SENSITIVE
from tests.differences.stated import STATED
from tests.differences.ten import TEN
from tests.differences.trapping import TRAPPING, USER_FLAGS

CASES = (*TEN, *STATED, *SENSITIVE, *ALSO_SENSITIVE, *TRAPPING, *USER_FLAGS)
COMPARED = tuple(case for case in CASES if not case.not_in_qemu)

every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def check(case: Case, profile: str, wanted: tuple[int, ...] | Why) -> None:
    outcome = run(case, profile)
    if isinstance(wanted, Why):
        assert outcome.stop.why is wanted, outcome.stop
        assert outcome.stop.detail
    else:
        assert (outcome.stop.why, outcome.stop.code) == (Why.EXIT, 0), (outcome.stop, outcome.notes())
        assert list(map(hex, outcome.reports)) == list(map(hex, wanted)), outcome.notes()


@every_case
def test_under_vmi(case: Case) -> None:
    check(case, "13.3", case.vmi)


@every_case
def test_natively(case: Case) -> None:
    check(case, "none", case.native)


@lru_cache(maxsize=1)
def qemu() -> dict[str, tuple[int, ...]]:
    return {case.name: found for case, found in zip(COMPARED, in_qemu(COMPARED), strict=False)}


@pytest.mark.parametrize("case", COMPARED, ids=[case.name for case in COMPARED])
def test_in_qemu(case: Case, require_tool: Callable[[str], Path]) -> None:
    require_tool("qemu-system-i386")
    assert case.name in qemu(), f"QEMU did not come back from {COMPARED[len(qemu())].name}"
    native = case.native
    assert isinstance(native, tuple), "a guest that ends the run is not compared"
    assert list(map(hex, qemu()[case.name])) == list(map(hex, native))
