"""A call that replaces one instruction does what that instruction does, for any operand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.registers import Gpr
from pvtrace.vmi.effects import VmiEffects
from pvtrace.x86.effects import Raise, SetEip, SetGpr
from pvtrace.x86.privileged import execute
from tests.vmi.vmi_cases import guest
from tests.vmi.vmi_flat import SITE, STACK, Guest

INSTRUCTIONS = {
    "CPUID": "0fa2",
    "RDTSC": "0f31",
    "RDPMC": "0f33",
    "RDMSR": "0f32",
    "WRMSR": "0f30",
    "SetCR0": "0f22c0",
    "SetCR2": "0f22d0",
    "SetCR3": "0f22d8",
    "SetCR4": "0f22e0",
    "GetCR0": "0f20c0",
    "GetCR2": "0f20d0",
    "GetCR3": "0f20d8",
    "GetCR4": "0f20e0",
    "CLTS": "0f06",
    "WBINVD": "0f09",
    "SetTR": "0f00d8",
    "DisableInterrupts": "fa",
}
"""Machine code whose operands are in the registers of the call."""

interesting = st.sampled_from([0, 1, 0x28, 0x30, 0x174, 0x175, 0x1B, 0x10, 0x80010011, 0x80000001, 0x690])
words = interesting | st.integers(0, 0xFFFFFFFF)


def at_site(effects: VmiEffects) -> VmiEffects:
    """An instruction's effects as those of the call that replaced it."""
    last = effects[-1]
    if isinstance(last, Raise):
        return (SetEip(SITE), SetGpr(Gpr.ESP, STACK), last)
    return tuple(effect for effect in effects if not isinstance(effect, SetEip))


def make(eax: int, ecx: int, edx: int) -> Guest:
    made = guest()
    made.gprs[Gpr.EAX], made.gprs[Gpr.ECX], made.gprs[Gpr.EDX] = eax, ecx, edx
    made.system = replace(made.system, msrs=((0x174, 0x60),))
    return made


@pytest.mark.parametrize("name", INSTRUCTIONS)
@given(eax=words, ecx=words, edx=words)
def test_the_call_is_the_instruction(name: str, eax: int, ecx: int, edx: int) -> None:
    made = make(eax, ecx, edx)
    wanted = at_site(execute(made, bytes.fromhex(INSTRUCTIONS[name])).effects)
    assert made.call(name) == wanted


@given(number=st.integers(0, 7), value=words)
def test_the_debug_registers(number: int, value: int) -> None:
    made = make(number, 0, value)
    write, read = (bytes((0x0F, opcode, 0xC0 | number << 3 | 2)) for opcode in (0x23, 0x21))
    assert made.call("SetDR") == at_site(execute(made, write).effects)
    made = make(number, 0, value)
    into_edx = at_site(execute(made, read).effects)
    (result,) = into_edx
    assert isinstance(result, SetGpr)
    assert made.call("GetDR") == (SetGpr(Gpr.EAX, result.value),)
