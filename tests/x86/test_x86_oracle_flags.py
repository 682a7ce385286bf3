"""POPF, CLI, STI and IRET against a real emulated processor at CPL 0, 1 and 3 with every IOPL.

The processor gets to its level by its own IRET; then one instruction runs, and the flags are compared. At CPL 1 and 3
with IOPL 0 it is exactly the hardware under a paravirtual guest.
"""

import pytest
import unicorn as uc
from hypothesis import given, settings
from hypothesis import strategies as st
from unicorn import x86_const as x86

from pvtrace.x86 import eflags
from pvtrace.x86.privileged import execute
from tests.x86.flat_view import CODE, GDT, GDT_ENTRIES, RINGS, STACK, at_ring

USER_STACK = 0x9000
SAFE = eflags.DEFINED & ~(eflags.VM | eflags.TF | eflags.RF | eflags.NT | eflags.VIF | eflags.VIP)


def hardware(cpl: int, flags: int, code: bytes, stack: bytes) -> int | None:
    """EFLAGS after `code` at this level, starting from `flags`; None if it faults."""
    cpu = uc.Uc(uc.UC_ARCH_X86, uc.UC_MODE_32)
    cpu.mem_map(0, 0x20000)
    for selector, entry in GDT_ENTRIES.items():
        cpu.mem_write(GDT + (selector & ~7), entry.to_bytes(8, "little"))
    cpu.reg_write(x86.UC_X86_REG_GDTR, (0, GDT, 0x7F, 0))
    cpu.reg_write(x86.UC_X86_REG_CR0, 0x11)
    cpu.reg_write(x86.UC_X86_REG_CS, 0x08)
    cpu.reg_write(x86.UC_X86_REG_SS, 0x10)
    cs, ss = RINGS[cpl]
    frame = [CODE, cs, flags] + ([USER_STACK, ss] if cpl else [])
    top = STACK if cpl else USER_STACK - 12
    cpu.mem_write(top, b"".join(each.to_bytes(4, "little") for each in frame))
    cpu.mem_write(USER_STACK, stack)
    cpu.reg_write(x86.UC_X86_REG_ESP, top)
    cpu.mem_write(0x7000, b"\xcf")
    cpu.mem_write(CODE, code + b"\x90" * 16)
    try:
        cpu.emu_start(0x7000, CODE + len(code), count=2)
    except uc.UcError:
        return None
    return int(cpu.reg_read(x86.UC_X86_REG_EFLAGS))


def ours(cpl: int, flags: int, code: bytes, stack: bytes, paravirtual: bool) -> int | None:
    view = at_ring(cpl, vif=bool(flags & eflags.IF), viopl=eflags.iopl(flags), paravirtual=paravirtual, flags=flags)
    view.gprs[4] = USER_STACK
    view.memory[USER_STACK : USER_STACK + len(stack)] = stack
    result = execute(view, code)
    if result.faulted is not None:
        return None
    view.apply(result.effects)
    return view.eflags


def words(*values: int) -> bytes:
    return b"".join(each.to_bytes(4, "little") for each in values)


@pytest.mark.parametrize("cpl", [0, 1, 3])
@pytest.mark.parametrize(
    "code", [b"\x9d", b"\x66\x9d", b"\xfa", b"\xfb", b"\xcf"], ids=["popfd", "popf", "cli", "sti", "iretd"]
)
@settings(max_examples=25, deadline=None)
@given(flags=st.integers(0, 0x3FFFFF), image=st.integers(0, 0x3FFFFF))
def test_native(cpl: int, code: bytes, flags: int, image: int) -> None:
    flags, image = flags & SAFE | 2, image & SAFE | 2
    stack = words(CODE + 1, RINGS[cpl][0], image) if code == b"\xcf" else words(image)
    assert ours(cpl, flags, code, stack, paravirtual=False) == hardware(cpl, flags, code, stack)


@pytest.mark.parametrize("cpl", [1, 3])
@pytest.mark.parametrize("code", [b"\x9d", b"\x66\x9d", b"\xcf"], ids=["popfd", "popf", "iretd"])
@settings(max_examples=25, deadline=None)
@given(flags=st.integers(0, 0x3FFFFF), image=st.integers(0, 0x3FFFFF))
def test_paravirtual_is_hardware_at_iopl_0(cpl: int, code: bytes, flags: int, image: int) -> None:
    flags, image = flags & SAFE & ~eflags.IOPL | eflags.IF | 2, image & SAFE | 2
    stack = words(CODE + 1, RINGS[cpl][0], image) if code == b"\xcf" else words(image)
    assert ours(cpl, flags, code, stack, paravirtual=True) == hardware(cpl, flags, code, stack)


@pytest.mark.parametrize("selector", [0x08, 0x0B, 0x10, 0x00, 0x18, 0x19, 0x1B, 0x2B, 0x38, 0x78, 0x80, 0x59, 0x5B])
@pytest.mark.parametrize("cpl", [1, 3])
def test_iret_selector_checks(cpl: int, selector: int) -> None:
    """The same selectors pass, and the same fault."""
    stack = words(CODE + 1, selector, 0x202, USER_STACK + 0x100, 0x33)
    assert ours(cpl, 0x202, b"\xcf", stack, paravirtual=True) == hardware(cpl, 0x202, b"\xcf", stack)
