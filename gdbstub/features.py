"""Descriptions of registers: the XML that gdb reads (gdb manual G), and the layout of the `g` packet. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from xml.sax.saxutils import quoteattr


@dataclass(frozen=True, slots=True)
class Field:
    """Bits `start` to `end` of a flags type, both included. `type`: None for one bit that is on or off."""

    name: str
    start: int
    end: int
    type: str | None = None

    def xml(self) -> str:
        kind = f" type={quoteattr(self.type)}" if self.type else ""
        return f'<field name={quoteattr(self.name)} start="{self.start}" end="{self.end}"{kind}/>'


@dataclass(frozen=True, slots=True)
class Flags:
    """A register of named bits; `size` in bytes."""

    name: str
    size: int
    fields: tuple[Field, ...]

    def xml(self) -> str:
        fields = "".join(field.xml() for field in self.fields)
        return f'<flags id={quoteattr(self.name)} size="{self.size}">{fields}</flags>'


@dataclass(frozen=True, slots=True)
class Vector:
    """`count` elements of another type."""

    name: str
    type: str
    count: int

    def xml(self) -> str:
        return f'<vector id={quoteattr(self.name)} type={quoteattr(self.type)} count="{self.count}"/>'


@dataclass(frozen=True, slots=True)
class Union:
    """One value seen as several types: (name, type)."""

    name: str
    members: tuple[tuple[str, str], ...]

    def xml(self) -> str:
        fields = "".join(f"<field name={quoteattr(name)} type={quoteattr(kind)}/>" for name, kind in self.members)
        return f"<union id={quoteattr(self.name)}>{fields}</union>"


Type = Flags | Vector | Union


@dataclass(frozen=True, slots=True)
class Register:
    """`bits` is a multiple of 8; `type` is one of gdb's own or of the feature's."""

    name: str
    bits: int = 32
    type: str = "int"
    group: str | None = None

    @property
    def size(self) -> int:
        """In bytes."""
        return self.bits // 8

    def xml(self) -> str:
        group = f" group={quoteattr(self.group)}" if self.group else ""
        return f'<reg name={quoteattr(self.name)} bitsize="{self.bits}" type={quoteattr(self.type)}{group}/>'


@dataclass(frozen=True, slots=True)
class Feature:
    """A set of registers that gdb knows by `name`, or that is ours."""

    name: str
    registers: tuple[Register, ...]
    types: tuple[Type, ...] = ()

    def xml(self) -> str:
        body = "".join(item.xml() for item in (*self.types, *self.registers))
        return f"<feature name={quoteattr(self.name)}>{body}</feature>"


@dataclass(frozen=True)
class Description:
    """`counter`: the number of the program counter."""

    architecture: str
    features: tuple[Feature, ...]
    counter: int

    @cached_property
    def registers(self) -> tuple[Register, ...]:
        """All of them; a register's number is its place here."""
        return tuple(register for feature in self.features for register in feature.registers)

    @cached_property
    def xml(self) -> str:
        features = "".join(feature.xml() for feature in self.features)
        return (
            '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">'
            f'<target version="1.0"><architecture>{self.architecture}</architecture>{features}</target>'
        )


def to_hex(register: Register, value: int | None) -> str:
    """A value as it is sent, little-endian; unknown bytes are `xx`."""
    if value is None:
        return "xx" * register.size
    return (value & ((1 << register.bits) - 1)).to_bytes(register.size, "little").hex()


def all_to_hex(registers: Iterable[Register], values: Sequence[int | None]) -> str:
    """The reply to `g`."""
    return "".join(to_hex(register, value) for register, value in zip(registers, values, strict=True))
