"""What the rules take for native, against the same guest run natively: segment registers, control registers, tables."""

from typing import Final

import pytest

from pvtrace.divergence.native_view import NativeView
from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.machine.boot import File, boot_image
from pvtrace.machine.machine import Machine, Settings
from pvtrace.model.registers import Seg, Segment
from pvtrace.model.stops import Why
from pvtrace.session.build import LOADER, roms_of
from pvtrace.tape.scripted import ScriptedTape
from pvtrace.x86.descriptors import ACCESSED
from pvtrace.x86.fast_calls import SYSENTER_CS
from tests.differences.also_sensitive import ALSO_SENSITIVE
from tests.differences.guests import LIMIT, RAM, Case, assemble
from tests.differences.sensitive import SENSITIVE
from tests.differences.stated import ENTRY, STATED
from tests.differences.ten import TEN
from tests.differences.trapping import TRAPPING
from tests.divergence.judging import judged

READ_BACK: Final = Case(
    "a descriptor that was read back is changed and written again",
    ENTRY
    + """
start:
    push dword [gdt + SPARE + 4]
    mov ecx, [gdt + SPARE]
    or ecx, 0x20000000          ; another base
    mov eax, gdt
    mov edx, SPARE >> 3
    SITE V_WRITEGDT, STORE_ENTRY
    add esp, 4
    FINISH
""",
    (),
    (),
)
COPIED: Final = Case(
    "a table is copied and loaded, and one of its entries changed",
    ENTRY
    + """
start:
    mov esi, gdt
    mov edi, MEMORY
    mov ecx, (gdt_end - gdt) / 4
    rep movsd
    mov word [MEMORY + 0x800], gdt_end - gdt - 1
    mov dword [MEMORY + 0x802], MEMORY
    mov eax, MEMORY + 0x800
    SITE V_SETGDT, lgdt [eax]
    or byte [MEMORY + SPARE + 3], 0x10
    push dword 0x0040F300
    mov eax, MEMORY
    mov edx, FREE >> 3
    mov ecx, 0x12345678
    SITE V_WRITEGDT, STORE_ENTRY
    add esp, 4
    FINISH
""",
    (),
    (),
)
LOADED_AGAIN: Final = Case(
    "SYSENTER_CS is written again behind virtual-8086 mode",
    next(case.source for case in TEN if case.name.startswith("9 ")).replace(
        "    mov ecx, 0x174\n    SITE V_RDMSR", "    mov ecx, 0x174\n    mov eax, 0x70\n    wrmsr\n    SITE V_RDMSR"
    ),
    (),
    (),
)
KEPT: Final = {
    "M4 a live segment changes with its descriptor": Seg.FS,
    "M4 SetGDT loads all segment registers anew": Seg.FS,
    "M5 a live segment whose descriptor goes becomes null": Seg.GS,
}
"""Segment registers that natively keep what their descriptor was, which nothing remembers behind the finding."""

CASES: Final = (
    *(case for case in (*TEN, *STATED, *SENSITIVE, *ALSO_SENSITIVE, *TRAPPING)),
    *(READ_BACK, COPIED, LOADED_AGAIN),
)
ENDING: Final = [case for case in CASES if not isinstance(case.native, Why) and not isinstance(case.vmi, Why)]


def natively(case: Case) -> Machine:
    """The guest at its end on a machine without VMI."""
    machine = Machine(UnicornCpu(RAM), ScriptedTape(), Settings(ram=RAM, hz=100_000_000))
    image = File("guest", assemble(case.source, case.options))
    machine.boot(boot_image(image, ram_size=RAM, roms=roms_of("none"), loader=LOADER))
    assert machine.run(LIMIT).why is Why.EXIT
    return machine


def loaded(segment: Segment) -> tuple[int, int, int, int]:
    return segment.selector, segment.base, segment.limit, segment.attributes | ACCESSED


@pytest.mark.parametrize("case", ENDING, ids=[case.name for case in ENDING])
def test_the_native_view_is_the_native_machine(case: Case) -> None:
    done, native = judged(case), natively(case)
    assert done.stop.why is Why.EXIT
    view = NativeView(done.machine, done.shadow)
    for register in Seg:
        if KEPT.get(case.name) is not register:
            assert loaded(view.segment(register)) == loaded(native.cpu.segment(register)), register.name
    for number in (0, 2, 3, 4):
        assert view.cr(number) == native.cpu.cr(number)
    assert view.system.msr(SYSENTER_CS) == native.system.msr(SYSENTER_CS)
    assert (view.system.vif, view.system.viopl) == (native.system.vif, native.system.viopl)
    assert view.gdtr == native.cpu.gdtr
    for address in range(view.gdtr.base + 8, view.gdtr.base + view.gdtr.limit, 8):
        assert view.read(address, 8).hex() == native.cpu.read_physical(address, 8).hex(), f"{address:08x}"


def test_this_is_not_what_the_machine_itself_holds() -> None:
    done, native = judged(COPIED), natively(COPIED)
    base = native.cpu.gdtr.base
    assert done.machine.cpu.gdtr.base == base
    assert done.machine.cpu.peek(base + 8, 8) != native.cpu.peek(base + 8, 8)
