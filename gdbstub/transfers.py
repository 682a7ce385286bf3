"""Packets that carry whole objects: qXfer (descriptions, the memory map, the program's name) and vFile."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import quoteattr

from gdbstub.arguments import THREAD, numbers
from gdbstub.errors import INVALID, ProtocolError
from gdbstub.packet import LONGEST
from gdbstub.target import Target

if TYPE_CHECKING:
    from gdbstub.session import Session


def _description(target: Target, annex: bytes) -> bytes | None:
    return target.description.xml.encode() if annex == b"target.xml" else None


def _memory_map(target: Target, _: bytes) -> bytes:
    regions = "".join(
        f'<memory type="{region.kind.value}" start="{region.start:#x}" length="{region.size:#x}"/>'
        for region in target.memory_map or ()
    )
    doctype = '<!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN" "gdb-memory-map.dtd">'
    return f'<?xml version="1.0"?>{doctype}<memory-map>{regions}</memory-map>'.encode()


def _executable(target: Target, _: bytes) -> bytes:
    return (target.executable or "").encode("utf-8", "surrogateescape")


def _threads(target: Target, _: bytes) -> bytes:
    name = quoteattr(target.thread_name)
    return f'<?xml version="1.0"?><threads><thread id="{THREAD:x}" core="0" name={name}/></threads>'.encode()


_OBJECTS: Final[dict[bytes, tuple[Callable[[Target], bool], Callable[[Target, bytes], bytes | None]]]] = {
    b"features": (lambda _: True, _description),
    b"memory-map": (lambda target: target.memory_map is not None, _memory_map),
    b"exec-file": (lambda target: target.executable is not None, _executable),
    b"threads": (lambda _: True, _threads),
}
"""By name: whether the target offers it, and its content for an annex (None: no such annex)."""


def told(target: Target) -> list[bytes]:
    """The words of qSupported."""
    return [b"qXfer:%b:read+" % name for name, (offered, _) in _OBJECTS.items() if offered(target)]


def transfer(session: "Session", arguments: bytes) -> bytes:
    """OBJECT:read:ANNEX:OFFSET,LENGTH -> m and more to come, or l and the last of it"""
    name, _, rest = arguments.partition(b":")
    entry = _OBJECTS.get(name)
    if entry is None or not entry[0](session.target):
        return b""
    operation, _, rest = rest.partition(b":")
    annex, _, place = rest.rpartition(b":")
    if operation != b"read":
        raise ProtocolError(INVALID)
    offset, length = numbers(place, 2)
    content = entry[1](session.target, annex)
    if content is None:
        raise ProtocolError(0)
    piece = content[offset : offset + min(length, LONGEST // 2 - 64)]
    return (b"l" if offset + len(piece) >= len(content) else b"m") + piece


def file(session: "Session", arguments: bytes) -> bytes:
    assert session.files is not None
    return session.files.answer(arguments)
