"""The Cpu protocol over the C core: exit codes become Exit values, nothing else.

Registers and memory are the core's own attributes and methods: a Python function around each would cost more than
what it does.
"""

import struct
from functools import lru_cache
from typing import Final

from pvtrace.engine import _core, library, mmio
from pvtrace.engine.intercepts import ONE_BYTE, SEEN_ONE_BYTE, SEEN_TWO_BYTE, TWO_BYTE, is_shown_only
from pvtrace.engine.recognise import code_at, code_bits, recognise
from pvtrace.model.answers import Facts, Ports, Taken
from pvtrace.model.errors import EngineError
from pvtrace.model.exits import Arrived, Breakpoint, Exit, Fault, MmioRead, MmioWrite, Seen, Sensitive, Watchpoint
from pvtrace.model.packed import Packed
from pvtrace.model.registers import Registers, Seg, Segment, TableRegister
from pvtrace.model.snapshot import PAGE
from pvtrace.model.step import Step

_LDTR, _TR, _GDTR, _IDTR = 6, 7, 8, 9
_DB: Final = 1
_ARRIVED: Final = Arrived()
_known_segment: Final = lru_cache(maxsize=256)(Segment)
"""Few are ever in use, and they are asked for at every exit."""


class UnicornCpu(_core.Core):
    """`ram` is the size of memory in bytes, a multiple of 4096, at most 3 GiB. `code_buffer` (bytes, 0 = Unicorn's own
    default) bounds the translated code; it changes speed only. `watchful`: also the sensitive instructions that the CPU
    runs by itself become exits first."""

    def __new__(cls, ram: int, code_buffer: int = 0, *, watchful: bool = False) -> "UnicornCpu":
        one, two = (SEEN_ONE_BYTE, SEEN_TWO_BYTE) if watchful else (ONE_BYTE, TWO_BYTE)
        return super().__new__(cls, library.path(), ram, one, two, code_buffer)

    def __init__(self, ram: int, code_buffer: int = 0, *, watchful: bool = False) -> None:
        del code_buffer
        self.ram = ram
        self._watchful = watchful
        self._seen = False  # the last exit was Seen
        self._pending: mmio.Access | None = None

    # ------------------------------------------------------------------ running

    def tell(self, facts: Facts) -> None:
        self.answer(*facts)

    def tell_ports(self, ports: Ports) -> None:
        self.answer_ports(*ports)

    def taken(self) -> Taken:
        data, total, first, last, vif, viopl, lazy, shadow, kernel_stack, entries, posted, written = self.take_answers()
        events = Packed(data, total, Step(first), Step(last))
        return Taken(events, vif, viopl, lazy, Step(shadow), kernel_stack, entries, posted, written)

    def run(self, until: Step) -> Exit:
        if self._pending is not None:
            return self._complete_access()
        code = self.run_core(until)
        if code == _core.INTERCEPT:
            return self._intercepted()
        if code == _core.ARRIVED:
            return _ARRIVED
        if code == _core.FAULT:
            return self._fault()
        if code == _core.BREAK:
            return Breakpoint()
        if code == _core.WATCH:
            return Watchpoint()
        if code == _core.MMIO:
            return self._begin_access()
        raise EngineError(f"the emulator stopped at {self.eip:08x} for no known reason; please report this guest")

    def _intercepted(self) -> Exit:
        exit_ = recognise(self)
        self._seen = self._watchful and isinstance(exit_, Sensitive) and is_shown_only(exit_.code)
        return Seen(exit_.code) if self._seen and isinstance(exit_, Sensitive) else exit_

    def run_native(self) -> Exit | None:
        self.steps = Step(self.steps - 1)  # its dispatch has been counted by the exit that brought us here
        code = self.step(_core.NATIVE)
        if code in (_core.ARRIVED, _core.WATCH):
            return None
        if code == _core.FAULT:
            return self._fault()
        if code == _core.MMIO and self._seen:
            return self._begin_access()
        if code == _core.MMIO:
            self.steps = Step(self.steps + 1)
            return Sensitive(code_at(self))
        raise EngineError(f"the emulator could not run the instruction at {self.eip:08x}; please report this guest")

    def _fault(self) -> Fault:
        vector, error, address = self.fault
        page_fault = 14
        return Fault(vector, None if error < 0 else error, address if vector == page_fault else None)

    # ------------------------------------------------------------------ device memory

    def _begin_access(self) -> Exit:
        """An access to what is not memory: the instruction has not begun. Loads are asked for, stores are performed on
        the scratch page and reported."""
        access = mmio.access(code_at(self), code_bits(self), self.mmio, self.mmio_store)
        self.scratch()[:] = self.read_physical(self.mmio & ~(PAGE - 1), PAGE)
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
        self.scratch()[offset : offset + access.width] = data[: PAGE - offset]

    def _complete_access(self) -> Exit:
        access = self._pending
        assert access is not None
        self._pending = None
        code = self.step(_core.DEVICE | _core.NATIVE)  # one that is shown only has been shown
        self.flush_tlb()  # the scratch page leaves the TLB
        fault = self._fault() if code == _core.FAULT else None
        trapped = fault is not None and fault.vector == _DB  # a trap: the instruction is complete
        if fault is not None and not (trapped and access.stores):
            return fault
        if access.stores:
            offset = access.address % PAGE
            value = int.from_bytes(self.scratch()[offset : offset + access.width], "little")
            return MmioWrite(access.address, access.width, value, trapped)
        return _ARRIVED

    # ------------------------------------------------------------------ registers

    def segment(self, register: int) -> Segment:
        return _known_segment(*self.core_segment(register))

    def set_segment(self, register: int, segment: Segment) -> None:
        self.set_core_segment(register, segment.selector, segment.base, segment.limit, segment.attributes)

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
        _, base, limit, _ = self.core_segment(_GDTR)
        return TableRegister(base, limit)

    @gdtr.setter
    def gdtr(self, table: TableRegister) -> None:
        self.set_core_segment(_GDTR, 0, table.base, table.limit, 0)

    @property
    def idtr(self) -> TableRegister:
        _, base, limit, _ = self.core_segment(_IDTR)
        return TableRegister(base, limit)

    @idtr.setter
    def idtr(self, table: TableRegister) -> None:
        self.set_core_segment(_IDTR, 0, table.base, table.limit, 0)

    def registers(self) -> Registers:
        return Registers(
            gprs=self.gprs(),
            eip=self.eip,
            eflags=self.eflags,
            segments=tuple(self.segment(n) for n in Seg),
            ldtr=self.ldtr,
            tr=self.tr,
            gdtr=self.gdtr,
            idtr=self.idtr,
            crs=tuple(self.cr(n) for n in range(5)),
            cpl=self.cpl,
        )

    # ------------------------------------------------------------------ memory and state

    def physical(self, address: int, write: bool = False, user: bool = False) -> int:
        return self.core_physical(address, 1 if write else 0, user)

    def look(self, address: int, write: bool = False, user: bool = False) -> int:
        """Physical address of a linear one as `physical`, but without setting accessed and dirty bits."""
        return self.core_physical(address, 1 if write else 0, user, False)

    def save(self) -> bytes:
        return struct.pack("<?", self.nxe) + struct.pack("<Q", self.hole) + self.save_core()

    def load(self, state: bytes, pages: dict[int, bytes]) -> None:
        for frame, data in pages.items():
            self.write_physical(frame * PAGE, data)
        self._pending = None
        self.load_core(state[9:])
        self.nxe = bool(state[0])
        self.hole = int.from_bytes(state[1:9], "little")
        self.flush_code()
