"""Where instructions take selectors from."""

import pytest

from pvtrace.x86.disasm import decode
from pvtrace.x86.selector_operands import NONE, Selectors, selectors
from tests.oracle.assembler import assemble
from tests.x86.flat_view import CODE, STACK, at_ring

POINTER = 0x5000

ROWS = (
    ("lar eax, cx", Selectors((1,))),
    ("lsl eax, [edi]", Selectors((), (POINTER,))),
    ("verr cx", Selectors((1,))),
    ("arpl dx, cx", Selectors((2, 1))),
    ("arpl [edi], cx", Selectors((1,), (POINTER,))),
    ("lldt dx", Selectors((2,))),
    ("ltr [edi + 2]", Selectors((), (POINTER + 2,))),
    ("mov ds, cx", Selectors((1,))),
    ("mov ss, [edi]", Selectors((), (POINTER,))),
    ("pop es", Selectors((), (STACK,))),
    ("lss esp, [edi]", Selectors((), (POINTER + 4,))),
    ("o16 lds cx, [edi]", Selectors((), (POINTER + 2,))),
    ("retf", Selectors((), (STACK + 4,))),
    ("o16 retf 8", Selectors((), (STACK + 2,))),
    ("jmp 0x10:0x1234", Selectors((), (CODE + 5,))),
    ("call far [edi]", Selectors((), (POINTER + 4,))),
    ("mov cx, ds", NONE),
    ("push ds", NONE),
    ("iret", NONE),
    ("mov eax, [edi]", NONE),
    ("lgdt [edi]", NONE),
)


@pytest.mark.parametrize(("source", "expected"), ROWS, ids=[source for source, _ in ROWS])
def test_selectors(source: str, expected: Selectors) -> None:
    view = at_ring(0)
    view.gprs[7] = POINTER
    assert selectors(view, decode(assemble(source, CODE))) == expected
