"""The Cpu protocol over the C core: exit codes become Exit values, nothing else.

What an instruction means is decided in x86; here it is only recognised (`recognise`) as far as the kinds of Exit need.
"""

import struct
from collections.abc import Sequence
from typing import Final

from pvtrace.engine import _core, library, mmio
from pvtrace.engine.intercepts import ONE_BYTE, SEEN_ONE_BYTE, SEEN_TWO_BYTE, TWO_BYTE
from pvtrace.model.errors import EngineError
from pvtrace.model.exits import (
    Arrived,
    Breakpoint,
    Exit,
    Fault,
    Halt,
    Hypercall,
    MmioRead,
    MmioWrite,
    PortRead,
    PortWrite,
    Sensitive,
    SoftInt,
    Watchpoint,
)
from pvtrace.model.registers import Gpr, Registers, Seg, Segment, TableRegister
from pvtrace.model.snapshot import PAGE
from pvtrace.model.step import Step

_LDTR, _TR, _GDTR, _IDTR = 6, 7, 8, 9
_DB: Final = 1
_OF: Final = 1 << 11
_VM: Final = 1 << 17
_BIG: Final = 1 << 22
_OPERAND_SIZE: Final = 0x66
_PREFIXES: Final = frozenset(b"\x66\x67\x2e\x36\x3e\x26\x64\x65\xf0\xf2\xf3")
_ARRIVED: Final = Arrived()


class UnicornCpu:
    """`ram` is the size of memory in bytes, a multiple of 4096, at most 3 GiB. `code_buffer` (bytes, 0 = Unicorn's own
    default) bounds the translated code; it changes speed only. `watchful`: also the sensitive instructions that the CPU
    runs by itself become exits first."""

    def __init__(self, ram: int, code_buffer: int = 0, *, watchful: bool = False) -> None:
        one, two = (SEEN_ONE_BYTE, SEEN_TWO_BYTE) if watchful else (ONE_BYTE, TWO_BYTE)
        self._core = _core.Core(library.path(), ram, one, two, code_buffer)
        self._scratch = self._core.scratch()
        self._pending: mmio.Access | None = None
        self.ram = ram
        self.gpr = self._core.gpr
        self.set_gpr = self._core.set_gpr
        self.cr = self._core.cr
        self.set_cr = self._core.set_cr
        self.read = self._core.read
        self.peek = self._core.peek
        self.write = self._core.write
        self.read_physical = self._core.read_physical
        self.write_physical = self._core.write_physical
        self.protect = self._core.protect
        self.flush_tlb = self._core.flush_tlb
        self.set_breakpoints = self._core.set_breakpoints
        self.set_watches = self._core.set_watches
        self.take_touch = self._core.take_touch
        self.float_registers = self._core.float_registers

    # ------------------------------------------------------------------ running

    @property
    def steps(self) -> Step:
        return Step(self._core.steps)

    @property
    def touched(self) -> bool:
        return bool(self._core.touched)

    def run(self, until: Step) -> Exit:
        core = self._core
        if self._pending is not None:
            return self._complete_access()
        code = core.run(until)
        if code == _core.ARRIVED:
            return _ARRIVED
        if code == _core.INTERCEPT:
            return self._recognise()
        if code == _core.FAULT:
            return self._fault()
        if code == _core.BREAK:
            return Breakpoint()
        if code == _core.WATCH:
            return Watchpoint()
        if code == _core.MMIO:
            return self._begin_access()
        raise EngineError(f"the emulator stopped at {core.eip:08x} for no known reason; please report this guest")

    def run_native(self) -> Exit | None:
        core = self._core
        core.steps -= 1  # its dispatch has been counted by the exit that brought us here
        code = core.step(_core.NATIVE)
        if code in (_core.ARRIVED, _core.WATCH):
            return None
        if code == _core.FAULT:
            return self._fault()
        if code == _core.MMIO:
            core.steps += 1
            return Sensitive(self._code())
        raise EngineError(f"the emulator could not run the instruction at {core.eip:08x}; please report this guest")

    def _fault(self) -> Fault:
        vector, error, address = self._core.fault
        page_fault = 14
        return Fault(vector, None if error < 0 else error, address if vector == page_fault else None)

    def _code(self) -> bytes:
        core = self._core
        longest = 15
        return core.peek((core.eip + core.segment(Seg.CS)[1]) & 0xFFFFFFFF, longest)

    def _recognise(self) -> Exit:
        code = self._code()
        start = 0
        rep = wide = False
        while code[start] in _PREFIXES:
            rep |= code[start] in b"\xf2\xf3"
            wide |= code[start] == _OPERAND_SIZE
            start += 1
        return self._by_opcode(code[start], code, start + 1, rep, 2 if self._sixteen() != wide else 4)

    def _sixteen(self) -> bool:
        """Whether the code segment is a 16-bit one."""
        core = self._core
        return not core.cr(0) & 1 or bool(core.eflags & _VM) or not core.segment(Seg.CS)[3] & _BIG

    def _by_opcode(self, opcode: int, code: bytes, length: int, rep: bool, size: int) -> Exit:
        core = self._core
        port = core.gpr(Gpr.EDX) & 0xFFFF
        width = size if opcode & 1 else 1
        match opcode:
            case 0xE4 | 0xE5:
                return PortRead(code[length], width, length + 1)
            case 0xEC | 0xED:
                return PortRead(port, width, length)
            case 0xE6 | 0xE7:
                return PortWrite(code[length], width, core.gpr(Gpr.EAX) & ((1 << 8 * width) - 1), length + 1)
            case 0xEE | 0xEF:
                return PortWrite(port, width, core.gpr(Gpr.EAX) & ((1 << 8 * width) - 1), length)
            case 0x6C | 0x6D:
                return PortRead(port, width, length, string=True, rep=rep)
            case 0x6E | 0x6F:
                return PortWrite(port, width, 0, length, string=True, rep=rep)
            case 0xCC:
                return SoftInt(3, length)
            case 0xCD:
                return SoftInt(code[length], length + 1)
            case 0xCE if core.eflags & _OF:
                return SoftInt(4, length)
            case 0xF4:
                return Halt(length)
            case 0x0F if code[length : length + 2] == b"\x01\xc1":
                return Hypercall(length + 2)
            case _:
                return Sensitive(code)

    # ------------------------------------------------------------------ device memory

    def _begin_access(self) -> Exit:
        """An access to what is not memory: the instruction has not begun. Loads are asked for, stores are performed on
        the scratch page and reported."""
        core = self._core
        access = mmio.access(self._code(), 16 if self._sixteen() else 32, core.mmio, core.mmio_store)
        self._scratch[:] = core.read_physical(core.mmio & ~(PAGE - 1), PAGE)
        self._pending = access
        if access.loads:
            return MmioRead(access.address, access.width)
        return self._complete_access()

    def supply(self, value: int) -> None:
        access = self._pending
        if access is None or not access.loads:
            raise EngineError("a value was supplied, but no load from device memory is pending")
        offset = access.address % PAGE
        data = (value & ((1 << 8 * access.width) - 1)).to_bytes(access.width, "little")
        self._scratch[offset : offset + access.width] = data[: PAGE - offset]

    def _complete_access(self) -> Exit:
        core, access = self._core, self._pending
        assert access is not None
        self._pending = None
        code = core.step(_core.DEVICE)
        core.flush_tlb()  # the scratch page leaves the TLB
        fault = self._fault() if code == _core.FAULT else None
        trapped = fault is not None and fault.vector == _DB  # a trap: the instruction is complete
        if fault is not None and not (trapped and access.stores):
            return fault
        if access.stores:
            offset = access.address % PAGE
            value = int.from_bytes(self._scratch[offset : offset + access.width], "little")
            return MmioWrite(access.address, access.width, value, trapped)
        return _ARRIVED

    # ------------------------------------------------------------------ registers

    @property
    def eip(self) -> int:
        return self._core.eip

    @eip.setter
    def eip(self, value: int) -> None:
        self._core.eip = value

    @property
    def eflags(self) -> int:
        return self._core.eflags

    @eflags.setter
    def eflags(self, value: int) -> None:
        self._core.eflags = value

    @property
    def cpl(self) -> int:
        return self._core.cpl

    @property
    def shadowed(self) -> bool:
        return self._core.shadowed

    @property
    def nxe(self) -> bool:
        return self._core.nxe

    @nxe.setter
    def nxe(self, value: bool) -> None:
        self._core.nxe = value
        self._core.flush_tlb()

    @property
    def hole(self) -> int:
        return self._core.hole

    @hole.setter
    def hole(self, value: int) -> None:
        self._core.hole = value

    def segment(self, register: int) -> Segment:
        return Segment(*self._core.segment(register))

    def set_segment(self, register: int, segment: Segment) -> None:
        self._core.set_segment(register, segment.selector, segment.base, segment.limit, segment.attributes)

    @property
    def ldtr(self) -> Segment:
        return self.segment(_LDTR)

    @ldtr.setter
    def ldtr(self, segment: Segment) -> None:
        self.set_segment(_LDTR, segment)

    @property
    def tr(self) -> Segment:
        return self.segment(_TR)

    @tr.setter
    def tr(self, segment: Segment) -> None:
        self.set_segment(_TR, segment)

    @property
    def gdtr(self) -> TableRegister:
        _, base, limit, _ = self._core.segment(_GDTR)
        return TableRegister(base, limit)

    @gdtr.setter
    def gdtr(self, table: TableRegister) -> None:
        self._core.set_segment(_GDTR, 0, table.base, table.limit, 0)

    @property
    def idtr(self) -> TableRegister:
        _, base, limit, _ = self._core.segment(_IDTR)
        return TableRegister(base, limit)

    @idtr.setter
    def idtr(self, table: TableRegister) -> None:
        self._core.set_segment(_IDTR, 0, table.base, table.limit, 0)

    def registers(self) -> Registers:
        core = self._core
        return Registers(
            gprs=core.gprs(),
            eip=core.eip,
            eflags=core.eflags,
            segments=tuple(self.segment(n) for n in Seg),
            ldtr=self.ldtr,
            tr=self.tr,
            gdtr=self.gdtr,
            idtr=self.idtr,
            crs=tuple(core.cr(n) for n in range(5)),
            cpl=core.cpl,
        )

    # ------------------------------------------------------------------ memory and state

    def physical(self, address: int, write: bool = False, user: bool = False) -> int:
        return self._core.physical(address, 1 if write else 0, user)

    def look(self, address: int, write: bool = False, user: bool = False) -> int:
        """Physical address of a linear one as `physical`, but without setting accessed and dirty bits."""
        return self._core.physical(address, 1 if write else 0, user, False)

    def take_dirty(self) -> Sequence[int]:
        return self._core.take_dirty()

    def save(self) -> bytes:
        return struct.pack("<?", self._core.nxe) + struct.pack("<Q", self._core.hole) + self._core.save()

    def load(self, state: bytes, pages: dict[int, bytes]) -> None:
        for frame, data in pages.items():
            self._core.write_physical(frame * PAGE, data)
        self._pending = None
        self._core.load(state[9:])
        self._core.nxe = bool(state[0])
        self._core.hole = int.from_bytes(state[1:9], "little")
        self._core.flush_code()
