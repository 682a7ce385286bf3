"""Two recordings held against each other: real guests, recorded by the session as users have it."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from pvtrace.demo.guests import GUESTS, USERLAND, Guest
from pvtrace.divergence.twin.comparison import CUT, INPUT, PROFILE, SETTINGS, Comparison, Difference, Reason
from pvtrace.divergence.twin.facts import Fact
from pvtrace.model.findings import Standing
from pvtrace.model.stops import Why
from pvtrace.session.options import RecordOptions
from pvtrace.session.record import record
from pvtrace.session.twin import compared, native_twin, twin_paths
from pvtrace.x86 import latitude
from pvtrace.x86.latitude import chosen
from tests.latitude.guests import COMMON, STACK32
from tests.machine.small import assemble

Recorded = Callable[..., Path]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Records a guest, given as a file or as its bytes, with these options; each combination once."""
    folder = tmp_path_factory.mktemp("diff")
    known: dict[object, Path] = {}

    def make(guest: Path | bytes, **options: object) -> Path:
        key = (guest, *sorted(options.items()))
        if key not in known:
            path = folder / f"{len(known)}.elf"
            path.write_bytes(guest if isinstance(guest, bytes) else guest.read_bytes())
            output = path.with_suffix(".pvt")
            typed = options.pop("typed_bytes", b"")
            assert isinstance(typed, bytes)
            if typed:
                (folder / f"{len(known)}.txt").write_bytes(typed)
                options["input"] = folder / f"{len(known)}.txt"
            record(RecordOptions(guest=path, output=output, console="null")._replace(**options))  # type: ignore[arg-type]
            known[key] = output
        return known[key]

    return make


def every(found: Comparison) -> list[Difference]:
    return [each for interval in found.intervals for each in interval.differences]


def facts(found: Comparison) -> Iterator[tuple[Fact | None, Fact | None]]:
    for each in every(found):
        yield (
            None if each.a is None else found.fact(found.a, each.a),
            None if each.b is None else found.fact(found.b, each.b),
        )


# ------------------------------------------------------------------------------------------------------- native or VMI


@pytest.mark.parametrize("guest", GUESTS, ids=lambda guest: guest.name)
def test_rules_explain_all_that_a_demo_does_otherwise_on_native_hardware(guest: Guest, recorded: Recorded) -> None:
    found = compared(
        recorded(guest.path, vmi="3.0", typed_bytes=guest.input),
        recorded(guest.path, vmi="none", typed_bytes=guest.input),
    )
    assert found.same
    assert found.explained
    assert found.intervals
    assert found.alike * 2 > len(found.a.course.facts.numbers)


def test_what_user_code_asked_in_vain_is_found_and_named(recorded: Recorded) -> None:
    """Each CLI, STI and POPF that the rules find without effect is a difference, and the rule is its reason."""
    found = compared(recorded(USERLAND.path, vmi="3.0"), recorded(USERLAND.path, vmi="none"))
    proven = {each.step for each in found.a.findings if each.rule == "user-iopl" and each.standing is Standing.PROVEN}
    by_rule = [each for each in every(found) if each.reason == Reason("user-iopl")]
    assert {found.a.course.facts.steps[each.a] for each in by_rule if each.a is not None} == proven
    assert len(proven) >= 6
    for each in by_rule:
        assert each.a is not None
        assert each.b is not None
        here, native = found.fact(found.a, each.a), found.fact(found.b, each.b)
        assert here.name in ("CLI", "POPF")
        assert here[:2] == native[:2]
        assert dict(here.answered)["IF"] == 1
        assert dict(native.answered)["IF"] == 0


def test_the_first_difference_is_one_of_the_machine(recorded: Recorded) -> None:
    """That a guest says which machine it found comes before, and is its own affair."""
    found = compared(recorded(USERLAND.path, vmi="3.0"), recorded(USERLAND.path, vmi="none"))
    assert found.first is not None
    _, first = found.first
    assert first.reason == Reason("pushf")
    assert first.a is not None
    assert first.b is not None
    assert dict(found.fact(found.a, first.a).answered) == {"IF": 1, "IOPL": 0}
    assert dict(found.fact(found.b, first.b).answered) == {"IF": 1, "IOPL": 3}
    assert every(found)[0].reason == Reason(PROFILE, follows=True)


def test_from_the_other_side_it_is_the_same(recorded: Recorded) -> None:
    one, other = recorded(USERLAND.path, vmi="3.0"), recorded(USERLAND.path, vmi="none")
    found, mirrored = compared(one, other), compared(other, one)
    assert {(each.b, each.a, each.reason) for each in every(mirrored)} == {*every(found)}


@pytest.mark.parametrize("vmi", ["3.0", "13.3", "none"])
def test_a_recording_and_itself(vmi: str, recorded: Recorded) -> None:
    path = recorded(USERLAND.path, vmi=vmi)
    found = compared(path, path)
    assert found.intervals == ()
    assert found.explained
    assert found.first is None
    assert found.alike == len(found.a.course.facts.numbers) > 100


SECTION: Final = """
start:
    INIT
    mov eax, 0x200
    push eax
    popfd
    {middle}
    pushfd
    pop eax
    shr eax, 9
    and al, 1
    out 0x92, al
    EXIT 0
"""


def test_an_ignored_popf_of_the_kernel(recorded: Recorded) -> None:
    """Loads IF by instruction, which a paravirtual kernel does in vain; and then acts on what it reads."""
    source = SECTION.format(middle="push dword 2\n popfd")
    guest = assemble(source)
    native = assemble(source, False)
    found = compared(recorded(guest, vmi="13.3"), recorded(native, vmi="none"))
    assert not found.same  # two files: what it does then is not explained by what it was answered
    names = [each.reason for each in every(found) if each.a is not None and each.b is not None]
    assert Reason("popf") in names


# ------------------------------------------------------------------------------------------------------ another kernel

LOOP: Final = """
start:
    mov ecx, 200
again:
    in al, 0x21
    mov al, cl
    out 0x92, al
    cmp cl, 77
    jne next
    {changed}
next:
    loop again
    EXIT 0
"""


@pytest.mark.parametrize(
    ("before", "after", "only"),
    [
        ("nop", "out 0x93, al", (None, 0x93)),
        ("out 0x93, al", "nop", (0x93, None)),
        ("out 0x93, al", "out 0x94, al", (0x93, 0x94)),
    ],
)
def test_one_place_was_changed(
    before: str, after: str, only: tuple[int | None, int | None], recorded: Recorded
) -> None:
    """The first difference is there, it is the only one, and no rule explains it."""
    a, b = (recorded(assemble(LOOP.format(changed=each), False), vmi="none") for each in (before, after))
    found = compared(a, b)
    assert not found.explained
    (interval,) = found.intervals
    assert interval.unexplained
    ports = [tuple(fact and fact.about[0] for fact in pair) for pair in facts(found)]
    assert ports == ([only] if None in only else [(only[0], None), (None, only[1])])
    assert found.first == (interval, interval.differences[0])
    # what comes before it: the turns 200 to 78 whole, and the first two facts of turn 77
    assert interval.gap.a == 2 * (200 - 77) + 2


def test_a_changed_value_is_one_difference(recorded: Recorded) -> None:
    a, b = (
        recorded(assemble(LOOP.format(changed=f"mov al, {value}\n out 0x93, al"), False), vmi="none")
        for value in (1, 2)
    )
    ((one, other),) = facts(compared(a, b))
    assert one == Fact("OUT", (0x93,), (1,), (("width", 1),))
    assert other == Fact("OUT", (0x93,), (2,), (("width", 1),))


KERNEL: Final = """
    .intel_syntax noprefix
    .globl _start, padding, handler, work
    .type _start, @function; .type padding, @function; .type handler, @function; .type work, @function
_start:
    lea eax, handler
    mov word ptr [idt + 24], ax
    mov word ptr [idt + 26], cs
    mov word ptr [idt + 28], 0x8e00
    shr eax, 16
    mov word ptr [idt + 30], ax
    lidt [register]
    call padding
    call work
    mov al, 0
    out 0xf4, al
    .size _start, . - _start
padding:
    {padding}
    ret
    .size padding, . - padding
work:
    int3
    mov al, {value}
    out 0x92, al
    ret
    .size work, . - work
handler:
    iretd
    .size handler, . - handler
    .data
register: .word 63; .long idt
idt: .fill 64, 1, 0
"""


def kernel(folder: Path, gcc: Path, name: str, *, padding: str = "nop", value: int = 1, names: bool = True) -> Path:
    """An ELF file with names, or without."""
    source, path = folder / f"{name}.s", folder / f"{name}.elf"
    source.write_text(KERNEL.format(padding=padding, value=value))
    flags = ["-m32", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x100000", "-Wl,--build-id=none"]
    subprocess.run([gcc, *flags, *([] if names else ["-s"]), "-o", path, source], check=True)
    return path


def test_another_build_moves_the_code(tmp_path: Path, require_tool: Callable[[str], Path], recorded: Recorded) -> None:
    """The exception and the return are at other addresses, in the same functions."""
    gcc = require_tool("gcc")
    a = recorded(kernel(tmp_path, gcc, "a"), vmi="none")
    b = recorded(kernel(tmp_path, gcc, "b", padding=".fill 100, 1, 0x90"), vmi="none")
    found = compared(a, b)
    assert not found.same
    assert found.intervals == ()
    assert [fact.name for fact in found.vocabulary.facts].count("INT") == 1


def test_without_names_places_are_addresses(
    tmp_path: Path, require_tool: Callable[[str], Path], recorded: Recorded
) -> None:
    gcc = require_tool("gcc")
    a = recorded(kernel(tmp_path, gcc, "a", names=False), vmi="none")
    b = recorded(kernel(tmp_path, gcc, "b", padding=".fill 100, 1, 0x90", names=False), vmi="none")
    changed = [tuple(fact and fact.name for fact in pair) for pair in facts(compared(a, b))]
    assert changed == [("INT", "INT"), ("return", None), (None, "return")]


def test_another_build_that_does_something_else(
    tmp_path: Path, require_tool: Callable[[str], Path], recorded: Recorded
) -> None:
    gcc = require_tool("gcc")
    a = recorded(kernel(tmp_path, gcc, "a"), vmi="none")
    b = recorded(kernel(tmp_path, gcc, "b", padding=".fill 100, 1, 0x90", value=2), vmi="none")
    found = compared(a, b)
    ((one, other),) = facts(found)
    assert one is not None
    assert other is not None
    assert (one.chosen, other.chosen) == ((1,), (2,))
    assert not found.explained


# ------------------------------------------------------------------------------------------------------------- and time

TICKS: Final = """
start:
    INIT
    LOAD_IDT
    GATE 0x20, tick
    PIC 0xFE
    PIT {count}
    sti
    mov ecx, 50
again:
    mov al, cl
    out 0x92, al
    mov edx, 2000
delay:
    dec edx
    jnz delay
    loop again
    cli
    EXIT 0
tick:
    push eax
    {handler}
    EOI
    pop eax
    RETURN
"""


def test_where_interrupts_land_is_no_difference(recorded: Recorded) -> None:
    a, b = (recorded(assemble(TICKS.format(count=count, handler=""), False), vmi="none") for count in (60, 91))
    found = compared(a, b)
    assert {one and one.about for one, _ in facts(found)} == {(0x40,)}  # the count itself
    assert found.apart.alike > 5
    assert found.apart.only_a > 5
    assert found.apart.only_b == 0
    assert found.apart.new == ()


def test_what_a_handler_does_is_one(recorded: Recorded) -> None:
    a, b = (
        recorded(assemble(TICKS.format(count=60, handler=each), False), vmi="none") for each in ("", "out 0x95, al")
    )
    found = compared(a, b)
    assert found.intervals == ()
    assert not found.explained
    assert {each.a is None for each in found.apart.new} == {True, False}
    assert all(each.reason is None for each in found.apart.new)


def test_another_clock_alone(recorded: Recorded) -> None:
    """The same guest; its time goes faster."""
    guest = assemble(TICKS.format(count=60, handler=""), False)
    found = compared(recorded(guest, vmi="none"), recorded(guest, vmi="none", hz=50_000_000))
    assert found.same
    assert found.explained
    assert found.intervals == ()
    assert found.apart.only_a or found.apart.only_b


def test_something_else_was_typed(recorded: Recorded) -> None:
    echo = next(guest for guest in GUESTS if guest.name == "echo")
    a, b = (recorded(echo.path, vmi="none", typed_bytes=typed) for typed in (b"one\nquit\n", b"two\nquit\n"))
    found = compared(a, b)
    assert found.explained
    assert {each.reason and each.reason.name for each in every(found)} == {INPUT}


def test_other_settings_explain_what_a_guest_does_otherwise(recorded: Recorded) -> None:
    found = compared(recorded(USERLAND.path, vmi="3.0"), recorded(USERLAND.path, vmi="3.0", user_if=True))
    assert found.explained
    reasons = {each.reason for each in every(found)}
    assert Reason("user-iopl") in reasons
    assert Reason(PROFILE, follows=True) not in reasons
    assert reasons <= {*(Reason(each.rule) for each in found.a.findings), *REASONS_OF_SETTINGS}


REASONS_OF_SETTINGS: Final = {
    Reason(SETTINGS, follows=True),
    *(Reason(name, follows=True) for name in ("user-iopl", "pushf", "interrupted", "not-restored")),
}


# ---------------------------------------------------------------------------------------------------- hard to swallow


def test_a_recording_of_nothing(recorded: Recorded) -> None:
    """Nothing has happened yet: there is no fact to differ, and the rest of the other is not held against it."""
    empty, whole = recorded(USERLAND.path, vmi="none", until="1"), recorded(USERLAND.path, vmi="none")
    found = compared(empty, whole)
    assert found.alike == 0
    assert found.explained
    assert {each.reason for each in every(found)} == {Reason(CUT)}
    assert compared(empty, empty).intervals == ()


@pytest.mark.parametrize("until", ["35000", "70000", "100000"])
def test_a_prefix(until: str, recorded: Recorded) -> None:
    prefix, whole = recorded(USERLAND.path, vmi="3.0", until=until), recorded(USERLAND.path, vmi="3.0")
    for found in (compared(prefix, whole), compared(whole, prefix)):
        assert found.explained
        assert {each.reason for each in every(found)} == {Reason(CUT)}
        assert found.alike == min(len(found.a.course.facts.numbers), len(found.b.course.facts.numbers))


def test_two_guests_that_have_nothing_to_do_with_each_other(recorded: Recorded) -> None:
    faults = next(guest for guest in GUESTS if guest.name == "faults")
    found = compared(recorded(USERLAND.path, vmi="none"), recorded(faults.path, vmi="none"))
    assert not found.same
    assert not found.explained
    assert {each.reason for each in every(found)} == {None}


def test_an_end_that_the_machine_brings_is_never_the_guests_choice(recorded: Recorded) -> None:
    """The same guest at both ends of a latitude: one hypervisor terminates it, by a rule that its finding names."""
    guest = assemble(COMMON + STACK32)
    dying, living = (
        recorded(guest, vmi="13.3", latitude=chosen({"stack32": end})) for end in (latitude.HARSH, latitude.KIND)
    )
    found = compared(dying, living)
    assert found.same
    (end,) = (each for each in every(found) if each.a is not None and found.fact(found.a, each.a).name == "end")
    assert end.a is not None
    assert found.fact(found.a, end.a).answered == (("why", Why.TERMINATED.value),)
    assert end.reason == Reason("stack-32")


# -------------------------------------------------------------------------------------------------------- record --twin


def test_where_twins_go(tmp_path: Path) -> None:
    options = RecordOptions(guest=USERLAND.path)
    assert twin_paths(options, tmp_path) == (tmp_path / "userland.pvt", tmp_path / "userland.native.pvt")
    assert twin_paths(options._replace(output=tmp_path / "x.pvt"), tmp_path)[1] == tmp_path / "x.native.pvt"


def test_what_was_typed_is_typed_again(recorded: Recorded, tmp_path: Path) -> None:
    echo = next(guest for guest in GUESTS if guest.name == "echo")
    typed = recorded(echo.path, vmi="3.0", typed_bytes=echo.input)
    options = RecordOptions(guest=echo.path, vmi="3.0")
    with native_twin(options, typed, tmp_path / "twin.pvt") as again:
        assert again.input is not None
        assert again.input.read_bytes() == echo.input
        assert (again.vmi, again.console) == ("none", "null")
        record(again)
    assert compared(typed, tmp_path / "twin.pvt").explained
