"""Agent expressions: the bytecode in which gdb sends the conditions of breakpoints (gdb manual F).

Pure: an expression reads registers and memory through two functions and gives a number. Opcodes of tracing, of
floating point and of trace variables have no meaning here and are refused when the expression is made.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gdbstub.errors import FAULT, INVALID, ProtocolError

ReadRegister = Callable[[int], int | None]
ReadMemory = Callable[[int, int], bytes]
Computed = Callable[[ReadRegister, ReadMemory], int]

_WORD: Final = 64
_MASK: Final = (1 << _WORD) - 1
_STEPS: Final = 100_000
"""An expression that takes longer is stopped: it loops."""

_DEEPEST: Final = 1024


def _signed(value: int) -> int:
    return value - (1 << _WORD) if value >> (_WORD - 1) else value


def _divide(a: int, b: int) -> int:
    """Truncates to zero, as C does."""
    if b == 0:
        raise ProtocolError(INVALID, "a condition divides by zero")
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _remainder(a: int, b: int) -> int:
    return a - b * _divide(a, b)


_BINARY: Final[dict[int, Callable[[int, int], int]]] = {
    0x02: lambda a, b: a + b,
    0x03: lambda a, b: a - b,
    0x04: lambda a, b: a * b,
    0x05: lambda a, b: _divide(_signed(a), _signed(b)),
    0x06: _divide,
    0x07: lambda a, b: _remainder(_signed(a), _signed(b)),
    0x08: _remainder,
    0x09: lambda a, b: a << b if b < _WORD else 0,
    0x0A: lambda a, b: _signed(a) >> min(b, _WORD),
    0x0B: lambda a, b: a >> b if b < _WORD else 0,
    0x0F: lambda a, b: a & b,
    0x10: lambda a, b: a | b,
    0x11: lambda a, b: a ^ b,
    0x13: lambda a, b: int(a == b),
    0x14: lambda a, b: int(_signed(a) < _signed(b)),
    0x15: lambda a, b: int(a < b),
}
"""By opcode: below the top, top -> result."""

_UNARY: Final[dict[int, Callable[[int], int]]] = {
    0x0E: lambda a: int(not a),
    0x12: lambda a: ~a,
}

_EXT, _ZERO_EXT = 0x16, 0x2A
_REFS: Final = {0x17: 1, 0x18: 2, 0x19: 4, 0x1A: 8}
_IF_GOTO, _GOTO = 0x20, 0x21
_CONSTANTS: Final = {0x22: 1, 0x23: 2, 0x24: 4, 0x25: 8}
_REG, _END, _DUP, _POP, _SWAP, _PICK, _ROT = 0x26, 0x27, 0x28, 0x29, 0x2B, 0x32, 0x33

_OPERANDS: Final = {
    **dict.fromkeys((*_BINARY, *_UNARY, *_REFS, _END, _DUP, _POP, _SWAP, _ROT), 0),
    **dict.fromkeys((_EXT, _ZERO_EXT, _PICK), 1),
    **dict.fromkeys((_IF_GOTO, _GOTO, _REG), 2),
    **_CONSTANTS,
}
"""By opcode: bytes of operand behind it."""


@dataclass(frozen=True, slots=True)
class Expression:
    """`code` is checked to hold known opcodes only, as they follow each other from its start."""

    code: bytes
    _straight: Computed | None = field(init=False, compare=False, repr=False, default=None)

    def __post_init__(self) -> None:
        at = 0
        while at < len(self.code):
            size = _OPERANDS.get(self.code[at])
            if size is None:
                raise ProtocolError(
                    INVALID, f"a condition uses opcode {self.code[at]:#04x}, which is not supported here"
                )
            at += 1 + size
        if at > len(self.code) or not self.code:
            raise ProtocolError(INVALID, "a condition is cut short")
        object.__setattr__(self, "_straight", straight(self.code))

    def value(self, register: ReadRegister, memory: ReadMemory) -> int:
        """0..2^64-1. Raises ProtocolError if it cannot be computed: memory that is not there, division by zero."""
        if self._straight is not None:
            return self._straight(register, memory)
        return _Run(self.code, register, memory).result()


def straight(code: bytes) -> Computed | None:
    """Code without jumps as one function, which is several times faster.

    None if it jumps, or leaves the stack in disorder.
    """
    stack: list[Computed] = []
    at = 0
    try:
        while (opcode := code[at]) != _END:
            operand = int.from_bytes(code[at + 1 : at + 1 + _OPERANDS[opcode]], "big")
            at += 1 + _OPERANDS[opcode]
            if opcode in _BINARY:
                top = stack.pop()
                stack.append(_binary(_BINARY[opcode], stack.pop(), top))
            elif opcode in _UNARY:
                stack.append(_unary(_UNARY[opcode], stack.pop()))
            elif opcode in _CONSTANTS:
                stack.append(_constant(operand))
            elif opcode in _REFS:
                stack.append(_reference(_REFS[opcode], stack.pop()))
            elif opcode in (_EXT, _ZERO_EXT):
                stack.append(_unary(partial(_extended, operand, opcode == _EXT), stack.pop()))
            elif opcode == _REG:
                stack.append(_register(operand))
            else:
                return None
        (result,) = stack
        return result
    except (IndexError, ValueError):
        return None


def _binary(operation: Callable[[int, int], int], below: Computed, top: Computed) -> Computed:
    return lambda register, memory: operation(below(register, memory), top(register, memory)) & _MASK


def _unary(operation: Callable[[int], int], operand: Computed) -> Computed:
    return lambda register, memory: operation(operand(register, memory)) & _MASK


def _constant(value: int) -> Computed:
    return lambda _register, _memory: value


def _register(number: int) -> Computed:
    return lambda register, _memory: _known(register(number))


def _reference(size: int, address: Computed) -> Computed:
    return lambda register, memory: _loaded(memory(address(register, memory), size), size)


def _known(value: int | None) -> int:
    if value is None:
        raise ProtocolError(INVALID, "a condition reads a register whose value is not known")
    return value & _MASK


def _loaded(data: bytes, size: int) -> int:
    if len(data) < size:
        raise ProtocolError(FAULT, "a condition reads memory that is not there")
    return int.from_bytes(data, "little")


def _extended(bits: int, signed: bool, value: int) -> int:
    if 0 < bits < _WORD:
        value &= (1 << bits) - 1
        if signed and value >> (bits - 1):
            value -= 1 << bits
    return value


class _Run:
    def __init__(self, code: bytes, register: ReadRegister, memory: ReadMemory) -> None:
        self._code = code
        self._register = register
        self._memory = memory
        self._stack: list[int] = []
        self._at = 0

    def result(self) -> int:
        for _ in range(_STEPS):
            opcode = self._operand(1)
            if opcode == _END:
                return self._pop()
            self._perform(opcode)
            if len(self._stack) > _DEEPEST:
                raise ProtocolError(INVALID, "a condition needs too much stack")
        raise ProtocolError(INVALID, "a condition does not end")

    def _operand(self, size: int) -> int:
        data = self._code[self._at : self._at + size]
        if len(data) < size:
            raise ProtocolError(INVALID, "a condition runs past its end")
        self._at += size
        return int.from_bytes(data, "big")

    def _pop(self, below: int = 0) -> int:
        """Take the value that is `below` the top."""
        if below >= len(self._stack):
            raise ProtocolError(INVALID, "a condition uses more stack than it has")
        return self._stack.pop(-1 - below)

    def _push(self, value: int) -> None:
        self._stack.append(value & _MASK)

    def _perform(self, opcode: int) -> None:
        if opcode in _BINARY:
            top = self._pop()
            self._push(_BINARY[opcode](self._pop(), top))
        elif opcode in _UNARY:
            self._push(_UNARY[opcode](self._pop()))
        elif opcode in _CONSTANTS:
            self._push(self._operand(_CONSTANTS[opcode]))
        elif opcode in _REFS:
            size = _REFS[opcode]
            self._push(_loaded(self._memory(self._pop(), size), size))
        elif opcode in (_EXT, _ZERO_EXT):
            self._push(_extended(self._operand(1), opcode == _EXT, self._pop()))
        elif opcode in (_IF_GOTO, _GOTO):
            goal = self._operand(2)
            if opcode == _GOTO or self._pop():
                self._at = goal
        elif opcode == _REG:
            self._push(_known(self._register(self._operand(2))))
        else:
            self._shuffle(opcode)

    def _shuffle(self, opcode: int) -> None:
        match opcode:
            case 0x28:  # dup
                self._push(self._peek(0))
            case 0x29:  # pop
                self._pop()
            case 0x2B:  # swap
                self._stack.append(self._pop(1))
            case 0x32:  # pick
                self._push(self._peek(self._operand(1)))
            case 0x33:  # rot: a b c -> c a b
                self._peek(2)
                self._stack.insert(-2, self._stack.pop())
            case _:
                raise ProtocolError(INVALID, f"a condition uses opcode {opcode:#04x} in the middle of another")

    def _peek(self, below: int) -> int:
        if below >= len(self._stack):
            raise ProtocolError(INVALID, "a condition uses more stack than it has")
        return self._stack[-1 - below]
