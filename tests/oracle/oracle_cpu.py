"""The slow engine: stock Unicorn with its own MMU, one instruction at a time, nothing cached from one to the next.

It exists to be compared with. Before each instruction the translated code and the TLB are dropped, and the block holds
this one instruction; so there is no stale translation, no prefetched page, no restart of self-modifying code and no
counting of blocks, and every rule of pvtrace.model.step is one visible statement here. Only what Unicorn cannot do by
its public interface (CPL, error code, the never cleared old_exception, one instruction) goes through its state.
"""

import ctypes
from dataclasses import dataclass
from typing import Final

import capstone
import unicorn
from unicorn import unicorn_const, x86_const

from pvtrace.engine.intercepts import ONE_BYTE, TWO_BYTE
from pvtrace.engine.recognise import recognise
from pvtrace.model.exits import Arrived, Exit, Fault
from pvtrace.model.registers import Registers, Seg, Segment, TableRegister
from pvtrace.model.step import Step
from tests.oracle.paging import Access, Paging, Translation, walk

PAGE: Final = 4096
LONGEST: Final = 15
MASK: Final = 0xFFFFFFFF
_PREFIXES: Final = frozenset(b"\x66\x67\x2e\x36\x3e\x26\x64\x65\xf0\xf2\xf3")
_VM: Final = 1 << 17
_INHIBIT: Final = 1 << 3
_ARITHMETIC: Final = 0x8D5
_TRAP: Final = 1
_CPL: Final = 3


class _Segment(ctypes.Structure):
    _fields_ = (
        ("selector", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
        ("base", ctypes.c_uint64),
        ("limit", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    )


class _Env(ctypes.Structure):
    """Unicorn 2.1.4's CPU state; the same facts as pvtrace/engine/unicorn_abi.h."""

    _fields_ = (
        ("regs", ctypes.c_uint64 * 16),
        ("eip", ctypes.c_uint64),
        ("eflags", ctypes.c_uint64),
        ("cc_dst", ctypes.c_uint64),
        ("cc_src", ctypes.c_uint64),
        ("cc_src2", ctypes.c_uint64),
        ("cc_op", ctypes.c_uint32),
        ("df", ctypes.c_int32),
        ("hflags", ctypes.c_uint32),
        ("hflags2", ctypes.c_uint32),
        ("segs", _Segment * 10),
        ("cr", ctypes.c_uint64 * 9),
        ("_to_efer", ctypes.c_uint8 * (592 - 496)),
        ("efer", ctypes.c_uint64),
        ("kept", ctypes.c_uint8 * (5328 - 600)),
        ("_to_error", ctypes.c_uint8 * (5384 - 5328)),
        ("error_code", ctypes.c_int32),
        ("exception_is_int", ctypes.c_int32),
        ("_to_old", ctypes.c_uint8 * (5496 - 5392)),
        ("old_exception", ctypes.c_int32),
    )


@dataclass(frozen=True, slots=True)
class NoMemory:
    """An access to a physical address without memory; what the fast engine calls MmioRead or MmioWrite."""


class OracleCpu:
    """The part of machine.cpu.Cpu that is needed to compare."""

    def __init__(self, ram: int) -> None:
        self.ram = ram
        buffer = (ctypes.c_uint8 * ram)()
        self.memory = memoryview(buffer).cast("B")
        self.uc = uc = unicorn.Uc(unicorn_const.UC_ARCH_X86, unicorn_const.UC_MODE_32, cpu=x86_const.UC_CPU_X86_QEMU32)
        uc.mem_map_ptr(0, ram, unicorn_const.UC_PROT_ALL, ctypes.addressof(buffer))
        uc.ctl_exits_enabled(True)
        uc.reg_write(x86_const.UC_X86_REG_EAX, 0x1BADB002)
        cpu = ctypes.c_uint64.from_address(uc._uch.value + 0x1B8).value
        self.env = _Env.from_address(ctypes.c_uint64.from_address(cpu + 0x128).value)
        assert self.env.regs[0] == 0x1BADB002
        self.env.regs[0] = 0
        self.env.segs[7].flags = 0x8900
        uc.hook_add(unicorn_const.UC_HOOK_CODE, self._before)
        uc.hook_add(unicorn_const.UC_HOOK_INTR, self._raised)
        uc.hook_add(unicorn_const.UC_HOOK_INSN_INVALID, self._undefined)
        self._decoders = {
            mode: capstone.Cs(capstone.CS_ARCH_X86, mode) for mode in (capstone.CS_MODE_16, capstone.CS_MODE_32)
        }
        self._steps = 0
        self._cr2 = 0
        self._nxe = False
        self._next_block = ctypes.c_uint32.from_address(cpu + 0x18)  # cflags_next_tb: its size
        self._exit_now = ctypes.c_uint32.from_address(cpu + 0x81B8)  # tcg_exit_req
        self._exit_at_block = ctypes.c_uint32.from_address(cpu + 0x8A40)  # icount_decr
        self._fault: tuple[int, int | None, int | None] | None = None

    # ------------------------------------------------------------------ one instruction

    def _before(self, uc: unicorn.Uc, _address: int, _size: int, _data: object) -> None:
        """Called before the instruction: stop behind it. (uc_emu_stop alone would stop here, before it; what is left of
        it ends Unicorn's loop before the next block is even looked up.)"""
        uc.emu_stop()
        self._exit_now.value = self._exit_at_block.value = 0

    def _raised(self, _uc: object, vector: int, _data: object) -> None:
        self.env.old_exception = -1
        has_error = vector in (8, 10, 11, 12, 13, 14, 17)
        self._fault = (vector, self.env.error_code if has_error else None, self.env.cr[2] if vector == 14 else None)
        self.uc.emu_stop()

    def _undefined(self, _uc: object, _data: object) -> bool:
        self.env.old_exception = -1
        self._fault = (6, None, None)
        self.uc.emu_stop()
        return True

    def _translate(self, linear: int, access: Access, user: bool, mark: bool) -> Translation | int:
        def read(at: int, size: int) -> int:
            return int.from_bytes(self.memory[at : at + size], "little") if at + size <= self.ram else 0

        paging = Paging(self.env.cr[0], self.env.cr[3] & MASK, self.env.cr[4], self._nxe)
        found = walk(read, paging, linear & MASK, access, user)
        if mark and isinstance(found, Translation):
            for at, size, value in found.marks:
                self.memory[at : at + size] = value.to_bytes(size, "little")
        return found

    def _linear_eip(self) -> int:
        return int((self.eip + self.env.segs[1].base) & MASK)

    def _fetch(self) -> bytes:
        """What can be fetched at EIP, at most 15 bytes, without marking a page."""
        start, code = self._linear_eip(), b""
        while len(code) < LONGEST:
            at = (start + len(code)) & MASK
            found = self._translate(at, Access.FETCH, self.cpl == 3, mark=False)
            if isinstance(found, int) or found.physical >= self.ram:
                break
            size = min(LONGEST - len(code), PAGE - at % PAGE)
            code += bytes(self.memory[found.physical : found.physical + size])
        return code

    def _complete(self, code: bytes) -> bool:
        """Whether all of the instruction can be fetched."""
        big = self.env.segs[1].flags & 0x400000 and not self.env.eflags & _VM
        decoder = self._decoders[capstone.CS_MODE_32 if big else capstone.CS_MODE_16]
        return len(code) == LONGEST or any(True for _ in decoder.disasm(code, self._linear_eip(), 1))

    @staticmethod
    def _intercepted(code: bytes) -> bool:
        opcode = code.lstrip(bytes(_PREFIXES))
        if not opcode:
            return False
        rule = ONE_BYTE[opcode[0]]
        if opcode[0] == 0x0F and len(opcode) > 1:
            rule, opcode = TWO_BYTE[opcode[1]], opcode[1:]
        if rule in (0, 255):
            return rule == 255
        return len(opcode) > 1 and bool(rule >> (opcode[1] >> 3 & 7) & 1)

    def _one(self, native: bool = False) -> Exit | NoMemory | None:
        code = self._fetch()
        if not native and self._intercepted(code) and self._complete(code):
            self._translate(self._linear_eip(), Access.FETCH, self.cpl == 3, mark=True)
            self._steps += 1
            return recognise(self)
        return self._emulate()

    def _emulate(self) -> Exit | NoMemory | None:
        self._fault = None
        self.uc.ctl_flush_tb()
        self.flush_tlb()
        self._next_block.value = 1  # instruction
        start, flags = self.eip, self.eflags
        self._settle_flags(flags)
        try:
            self.uc.emu_start(start, 0)
        except unicorn.UcError as error:
            if error.errno != unicorn_const.UC_ERR_FETCH_UNMAPPED:
                return NoMemory()
            self._steps += 1  # nothing answers with FF FF, which is no instruction; or it is what follows a jump
            return Fault(6, None, None) if self.eip == start else None
        self._steps += 1
        if self._fault is None or (self._fault[0] != _TRAP and self.eip != start):
            return None  # a fault elsewhere is that of fetching what follows an indirect jump: not begun yet
        if self._fault[0] != _TRAP:
            self._settle_flags(flags)
        return Fault(*self._fault)

    def _settle_flags(self, flags: int) -> None:
        """No instruction changes the flags and then faults; some of Unicorn's do."""
        self.env.cc_src = flags & _ARITHMETIC
        self.env.cc_op = 1  # CC_OP_EFLAGS: they are in cc_src
        self.env.eflags = self.env.eflags & ~_ARITHMETIC | flags & _ARITHMETIC

    # ------------------------------------------------------------------ the protocol

    def run(self, until: Step) -> Exit | NoMemory:
        if self._steps >= until:
            return Arrived()
        while self._steps < until:
            stopped = self._one()
            if stopped is not None:
                return stopped
        self._translate(self._linear_eip(), Access.FETCH, self.cpl == 3, mark=True)  # where it stops it has fetched
        return Arrived()

    def run_native(self) -> Exit | NoMemory | None:
        self._steps -= 1
        return self._one(native=True)

    @property
    def steps(self) -> Step:
        return Step(self._steps)

    @property
    def eip(self) -> int:
        return int(self.env.eip & MASK)

    @eip.setter
    def eip(self, value: int) -> None:
        self.env.eip = value
        self.env.hflags &= ~_INHIBIT

    @property
    def eflags(self) -> int:
        return int(self.uc.reg_read(x86_const.UC_X86_REG_EFLAGS))

    @eflags.setter
    def eflags(self, value: int) -> None:
        self.uc.reg_write(x86_const.UC_X86_REG_EFLAGS, value)
        self._hidden_flags()

    @property
    def cpl(self) -> int:
        return int(self.env.hflags & _CPL)

    @property
    def shadowed(self) -> bool:
        return bool(self.env.hflags & _INHIBIT)

    @property
    def nxe(self) -> bool:
        return self._nxe

    @nxe.setter
    def nxe(self, value: bool) -> None:
        self._nxe = value
        self.env.efer = self.env.efer & ~0x800 | (0x800 if value else 0)

    def gpr(self, register: int) -> int:
        return int(self.env.regs[register] & MASK)

    def set_gpr(self, register: int, value: int) -> None:
        self.env.regs[register] = value

    def gprs(self) -> tuple[int, ...]:
        return tuple(value & MASK for value in self.env.regs[:8])

    def cr(self, number: int) -> int:
        return self._cr2 if number == 2 else self.env.cr[number] & MASK

    def set_cr(self, number: int, value: int) -> None:
        if number == 2:
            self._cr2 = value
            return
        name = {0: x86_const.UC_X86_REG_CR0, 3: x86_const.UC_X86_REG_CR3, 4: x86_const.UC_X86_REG_CR4}[number]
        self.uc.reg_write(name, value)
        self._hidden_flags()

    def _hidden_flags(self) -> None:
        """CS32, SS32 and ADDSEG as cpu_x86_load_seg_cache computes them."""
        segs, env = self.env.segs, self.env
        flags = env.hflags & ~0x70
        flags |= 0x10 if segs[1].flags & 0x400000 else 0
        flags |= 0x20 if segs[2].flags & 0x400000 else 0
        flat = not (segs[3].base | segs[0].base | segs[2].base)
        if not env.cr[0] & 1 or env.eflags & _VM or not flags & 0x10 or not flat:
            flags |= 0x40
        env.hflags = flags

    def segment(self, register: int) -> Segment:
        found = self.env.segs[register]
        return Segment(found.selector, found.base & MASK, found.limit, found.flags & 0x00F0FF00)

    def set_segment(self, register: int, segment: Segment) -> None:
        found = self.env.segs[register]
        found.selector, found.base, found.limit = segment.selector, segment.base, segment.limit
        found.flags = segment.attributes & ~0x200 | 0x8100 if register == 7 else segment.attributes
        if register == Seg.SS:
            self.env.hflags = self.env.hflags & ~_CPL | segment.dpl
        self._hidden_flags()

    @property
    def gdtr(self) -> TableRegister:
        return TableRegister(self.env.segs[8].base, self.env.segs[8].limit)

    @gdtr.setter
    def gdtr(self, table: TableRegister) -> None:
        self.env.segs[8].base, self.env.segs[8].limit = table.base, table.limit

    @property
    def idtr(self) -> TableRegister:
        return TableRegister(self.env.segs[9].base, self.env.segs[9].limit)

    @idtr.setter
    def idtr(self, table: TableRegister) -> None:
        self.env.segs[9].base, self.env.segs[9].limit = table.base, table.limit

    def registers(self) -> Registers:
        return Registers(
            gprs=self.gprs(),
            eip=self.eip,
            eflags=self.eflags,
            segments=tuple(self.segment(n) for n in Seg),
            ldtr=self.segment(6),
            tr=self.segment(7),
            gdtr=self.gdtr,
            idtr=self.idtr,
            crs=tuple(self.cr(n) for n in range(5)),
            cpl=self.cpl,
        )

    def floating(self) -> bytes:
        """The FPU, SSE and model-specific state, as it lies in a saved state."""
        return bytes(self.env.kept)

    def flush_tlb(self) -> None:
        self.uc.ctl(unicorn_const.UC_CTL_TLB_FLUSH, unicorn_const.UC_CTL_IO_WRITE)

    def read_physical(self, address: int, size: int) -> bytes:
        return bytes(self.memory[address : address + size]).ljust(size, b"\xff")

    def write_physical(self, address: int, data: bytes) -> None:
        data = data[: max(self.ram - address, 0)]
        self.memory[address : address + len(data)] = data

    def peek(self, address: int, size: int) -> bytes:
        data = b""
        for offset in range(size):
            found = self._translate(address + offset, Access.READ, user=False, mark=False)
            if isinstance(found, int):
                break
            data += self.read_physical(found.physical, 1)
        return data

    def _linear(self, address: int, access: Access) -> int:
        found = self._translate(address, access, user=False, mark=True)
        assert isinstance(found, Translation), f"the test itself touched {address:08x}, which is not mapped"
        return found.physical

    def read(self, address: int, size: int) -> bytes:
        return b"".join(self.read_physical(self._linear(address + i, Access.READ), 1) for i in range(size))

    def write(self, address: int, data: bytes) -> None:
        for offset, byte in enumerate(data):
            self.write_physical(self._linear(address + offset, Access.WRITE), bytes((byte,)))
