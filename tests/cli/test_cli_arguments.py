"""Quantities and kinds of events as people write them."""

import os
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.cli.arguments import Address, AddressRange, Call, Count, Kinds, Size, newest
from pvtrace.model.errors import InputError
from pvtrace.model.events import KINDS, Kind
from pvtrace.model.kind_names import kinds_named
from rom.abi import Generation, by_name, unified


@pytest.mark.parametrize(
    ("text", "value"), [("4096", 4096), ("64k", 65536), ("64M", 64 << 20), ("1G", 1 << 30), ("16MiB", 16 << 20)]
)
def test_sizes(text: str, value: int) -> None:
    assert Size().convert(text, None, None) == value


@pytest.mark.parametrize("text", ["", "M", "-1", "64X", "1.5M", "64 M"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size"):
        Size().convert(text, None, None)


@given(st.integers(min_value=0, max_value=1 << 40))
def test_a_size_in_kib_is_1024_times_as_many_bytes(count: int) -> None:
    assert Size().convert(f"{count}k", None, None) == 1024 * Size().convert(f"{count}", None, None)


@pytest.mark.parametrize(("text", "value"), [("5000000", 5_000_000), ("5_000_000", 5_000_000), ("5M", 5_000_000)])
def test_counts(text: str, value: int) -> None:
    assert Count().convert(text, None, None) == value


@pytest.mark.parametrize("text", ["", "_", "five", "-5", "5MB"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a number of steps"):
        Count().convert(text, None, None)


def test_a_count_may_have_a_least_value() -> None:
    assert Count(least=1).convert("1", None, None) == 1
    with pytest.raises(click.BadParameter, match="the least is 1"):
        Count(least=1).convert("0", None, None)


@pytest.mark.parametrize(("text", "value"), [("0x100000", 0x100000), ("C0101234", 0xC0101234), ("0", 0)])
def test_addresses(text: str, value: int) -> None:
    assert Address().convert(text, None, None) == value


@pytest.mark.parametrize("text", ["", "main", "-1", "0x100000000"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not an address"):
        Address().convert(text, None, None)


@given(st.sampled_from(Kind))
def test_a_kind_is_named_by_its_name_and_by_its_family(kind: Kind) -> None:
    info = KINDS[kind]
    assert kind in kinds_named(info.name)
    assert kind in kinds_named(info.family)
    assert kinds_named(f"{info.family}s") == kinds_named(info.family)
    assert {KINDS[other].family for other in kinds_named(f"{info.family}s")} == {info.family}


def test_kinds_are_listed_with_commas() -> None:
    assert Kinds().convert("calls,faults", None, None) == {Kind.HYPERCALL, Kind.EXCEPTION}
    assert Kinds().convert("all", None, None) == frozenset(Kind)
    with pytest.raises(click.BadParameter, match="'fault5' is no kind of event"):
        Kinds().convert("calls,fault5", None, None)


def test_ranges_of_addresses() -> None:
    assert AddressRange().convert("C0100000", None, None) == (0xC0100000, 0xC0100000)
    assert AddressRange().convert("0x1000-0x1fff", None, None) == (0x1000, 0x1FFF)
    with pytest.raises(click.BadParameter, match="is empty"):
        AddressRange().convert("2000-1000", None, None)


@pytest.mark.parametrize("text", ["SetInterruptMask", "setinterruptmask", "VMI_SetInterruptMask"])
def test_a_call_is_its_number_in_every_generation_that_has_it(text: str) -> None:
    call = by_name("SetInterruptMask")
    numbers = {unified(g, n) for g in Generation if (n := call.number(g)) is not None}
    assert Call().convert(text, None, None) == numbers
    assert len(numbers) == 2


def test_what_is_no_call_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="'SetEverything' is no VMI call"):
        Call().convert("SetEverything", None, None)


def test_the_last_kind_of_a_list_is_completed() -> None:
    context = click.Context(click.Command("x"))
    items = Kinds().shell_complete(context, click.Option(["--kind"]), "calls,flag_t")
    assert [item.value for item in items] == [CompletionItem("calls,flag_transition").value]


def test_the_newest_recording_is_the_one_written_last(tmp_path: Path) -> None:
    for name, when in (("b.pvt", 200), ("a.pvt", 300), ("c.pvt", 100), ("d.txt", 400)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (when, when))
    assert newest(tmp_path) == tmp_path / "a.pvt"


def test_without_a_recording_one_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no recording"):
        newest(tmp_path)
