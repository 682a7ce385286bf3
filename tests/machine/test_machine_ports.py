"""Ports whose value goes to memory: nothing is taken from a device for a store that faults."""

from pvtrace.model.events import Kind
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.step import Step
from pvtrace.model.stops import Why
from tests.machine.small import run

INS = """
start:
    LOAD_IDT
    GATE 14, on_fault
    mov edi, MEMORY
    mov dword [edi], MEMORY + 0x1003
    mov ecx, 1023                       ; all but the last page of 4 MiB
    mov eax, 3
    lea edx, [edi + 0x1000]
.map:
    mov [edx], eax
    add eax, 0x1000
    add edx, 4
    loop .map
    mov cr3, edi
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    INIT
    mov dx, 0x3F8
    mov edi, 0x3FEFFF
    mov ecx, 3
    rep insb
    EXIT 0
on_fault:
    or dword [MEMORY + 0x1000 + 4 * 0x3FF], 0x3FF003
    add esp, 4
    RETURN
"""


def test_ins_into_a_page_that_is_not_there_loses_no_byte() -> None:
    for paravirtual in (False, True):
        found = run(INS, paravirtual=paravirtual, inputs=[Input(Step(100), InputKind.CONSOLE, data=b"abc")])
        assert (found.stop.why, found.stop.code) == (Why.EXIT, 0), found.stop
        assert found.vectors == [14]
        assert found.machine.cpu.read_physical(0x3FEFFF, 3) == b"abc"
        reads = [row["value"] for row in found.of(Kind.PORT_READ) if row["port"] == 0x3F8]
        assert bytes(value for value in reads if isinstance(value, int)) == b"abc"
