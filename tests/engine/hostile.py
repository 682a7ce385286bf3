"""Guests that nobody would write, run for as long as they last. A program of its own, because the question is whether
the process survives: python hostile.py FIRST COUNT prints one line for each guest before it runs it."""

import sys
from random import Random
from typing import Final

from pvtrace.engine.unicorn_cpu import UnicornCpu
from pvtrace.model.errors import EngineError
from pvtrace.model.exits import Exit, Fault, Halt, MmioRead, MmioWrite, PortRead, PortWrite, Sensitive, SoftInt
from pvtrace.model.registers import Seg, Segment, TableRegister
from pvtrace.model.step import Step
from pvtrace.x86.view import PageFault

RAM: Final = 1 << 20
MASK: Final = 0xFFFFFFFF
EXITS: Final = 150
STEPS: Final = 20_000
_TYPES: Final = (
    0x9B,
    0x93,
    0xFB,
    0xF3,
    0x9F,
    0xDB,
    0xD3,
    0x97,
    0x89,
    0x8B,
    0x81,
    0x83,
    0x82,
    0x8C,
    0x84,
    0xEC,
    0xE4,
    0x85,
    0xE5,
    0x13,
)
_WORDS: Final = (
    "9a ea ca0800 cb cf ff1d ff2d 0f00d8 0f00d0 8ed0 8ed8 0fb205 07 17 0fa1 0f02c3 0f03c3 0f00e0 "
    "c405 0fae05 0fae0d dd25 dd35 0f34 0f35 0f05 0f07 0f23f8 0f23c0 0f22c0 0f22d8 0f22e0 0f30 0f32 "
    "0f01d8 0f01c1 0f0115 0f011d 0f0138 0faa 0f06 9d 9c f4 f1 cc 0fc7f0 0faef0 0fae25 0f01d1 0f1a05 "
    "0f1b05 c5f877 0f38f005 0fb8 0f37 0f24 62 d6 0f0d05 f0 6690 d9ff 9b "
)
_FAR: Final = tuple(bytes.fromhex(word) for word in _WORDS.split())
"""Far transfers, segment loads, system instructions, and opcodes that no processor of the time had."""


def say(line: str) -> None:
    """At once: the next guest may be the last."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def segment(r: Random) -> Segment:
    limit = r.choice((MASK, 0xFFFF, 0, r.getrandbits(20), r.getrandbits(32)))
    base = r.choice((0, 0, 0, 0x1000, r.getrandbits(20), r.getrandbits(32)))
    kind = r.choice(_TYPES) << 8 | r.choice((0xC00000, 0x400000, 0, 0x200000))
    return Segment(
        r.choice((8, 16, 0x1B, 0x23, 0, r.getrandbits(16))),
        base,
        limit,
        kind if r.random() < 0.9 else r.getrandbits(24),
    )


def table(r: Random, entries: int) -> bytes:
    """Descriptors and gates, most of them of some known kind."""
    data = bytearray(r.randbytes(8 * entries))
    for n in range(entries):
        if r.random() < 0.85:
            base, limit = r.choice((0, 0, 0x2000, r.getrandbits(20))), r.choice((0xFFFFF, 0x67, 0x2B, 0xFFFF))
            gate = r.random() < 0.3
            low = (r.choice((8, 16, 0x1B, 8 * n)) << 16 if gate else (base & 0xFFFF) << 16) | limit & 0xFFFF
            high = (
                r.choice(_TYPES) << 8
                | (r.randrange(32) if gate else base >> 16 & 0xFF)
                | r.choice((0xCF0000, 0x4F0000, 0x0F0000))
            )
            data[8 * n : 8 * n + 8] = low.to_bytes(4, "little") + high.to_bytes(4, "little")
    return bytes(data)


def code(r: Random) -> bytes:
    parts = []
    for _ in range(60):
        match r.randrange(4):
            case 0:
                parts.append(r.randbytes(r.randrange(1, 9)))
            case 1:
                parts.append(
                    r.choice((b"", b"\x66", b"\xf3", b"\x2e"))
                    + r.choice(_FAR)
                    + r.getrandbits(19).to_bytes(4, "little")
                )
            case 2:  # stores into the neighbourhood
                parts.append(b"\xc7\x05" + r.randrange(0x10000, 0x10300).to_bytes(4, "little") + r.randbytes(4))
            case _:
                parts.append(
                    bytes((r.choice((0x50, 0x58, 0x60, 0x61, 0xC3, 0xE8, 0xEB, 0x40, 0xAB, 0xA5)),))
                    + r.randbytes(r.randrange(2))
                )
    return b"".join(parts)


def page_tables(r: Random) -> list[tuple[int, bytes]]:
    def entry(page: int) -> int:
        flags = r.choice((7, 7, 7, 5, 6, 0x67, 0x87, 3, 1))
        return (page << 12 if r.random() < 0.9 else r.getrandbits(20) << 12) & MASK | flags

    wide = r.choice((4, 8))
    leaves = b"".join(entry(page).to_bytes(wide, "little") for page in range(4096 // wide))
    if wide == 4:
        return [(0x1000, (0x2007).to_bytes(4, "little") + r.randbytes(64)), (0x2000, leaves)]
    return [
        (0x1000, (0x4001).to_bytes(8, "little") + r.randbytes(24)),
        (0x4000, (0x2007).to_bytes(8, "little") + r.randbytes(64)),
        (0x2000, leaves),
    ]


def control(r: Random, cpu: UnicornCpu) -> None:
    number = r.choice((0, 0, 3, 4))
    values = {
        0: (0x11, 0x80000011, 0x80010011, 0x10, r.getrandbits(32)),
        3: (0x1000, 0x1000, r.getrandbits(32)),
        4: (0x200, 0x210, 0x220, 0x230, r.getrandbits(11)),
    }
    value = r.choice(values[number])
    cpu.set_cr(number, value)


def disturb(r: Random, cpu: UnicornCpu) -> None:
    match r.randrange(12):
        case 0:
            cpu.set_segment(r.randrange(6), segment(r))
        case 1:
            cpu.set_segment(r.choice((6, 7, 8, 9)), segment(r))
        case 2:
            control(r, cpu)
        case 3:
            cpu.eflags = r.choice((2, 0x202, 0x20002, 0x23202, 0x102, 0x4002, r.getrandbits(22) | 2))
        case 4:
            cpu.write_physical(r.randrange(0x10000, 0x10400), r.randbytes(r.randrange(1, 64)))
        case 5:
            cpu.flush_tlb()
        case 6:
            cpu.load(cpu.save(), {r.randrange(RAM // 4096): r.randbytes(4096)})
        case 7:
            cpu.gdtr = TableRegister(r.choice((0x3000, 0x3000, r.getrandbits(32))), r.choice((0xFF, 0xFFFF, 7)))
        case 8:
            cpu.take_dirty()
        case 9:
            cpu.hole = r.choice((1 << 32, 0xFC000000, 0x80000))
        case 10:
            cpu.protect(r.randrange(RAM >> 12) << 12, 4096)
        case _:
            cpu.set_gpr(r.randrange(8), r.choice((0x20000, 0x10080, r.getrandbits(32))))


def recover(r: Random, cpu: UnicornCpu) -> None:
    """Back to a state in which instructions run."""
    level = r.choice((0, 0, 1, 3)) << 13
    for register in Seg:
        cpu.set_segment(
            register, Segment(8 | level >> 13, 0, MASK, (0xC09B00 if register == Seg.CS else 0xC09300) | level)
        )
    cpu.set_cr(4, r.choice((0x200, 0x210)))
    cpu.set_cr(3, 0x1000)
    cpu.hole = 1 << 32
    cpu.set_gpr(4, 0x21000)
    cpu.eip = 0x10000 + r.randrange(0x100)


def react(r: Random, cpu: UnicornCpu, found: Exit) -> None:
    match found:
        case Sensitive() if r.random() < 0.5:
            cpu.run_native()
        case SoftInt(_, length) | PortRead(_, _, length) | PortWrite(_, _, _, length) | Halt(length):
            cpu.eip = cpu.eip + length & MASK
        case MmioRead():
            cpu.supply(r.getrandbits(32))
        case MmioWrite():
            pass
        case Fault(1):
            pass
        case _:
            cpu.eip = r.choice((cpu.eip + 1, cpu.eip + r.randrange(16), 0x10000 + r.randrange(0x200))) & MASK
    if r.random() < 0.25:
        disturb(r, cpu)
    elif r.random() < 0.2:
        recover(r, cpu)


def start(r: Random) -> UnicornCpu:
    cpu = UnicornCpu(RAM, r.choice((0, 1 << 20)))
    for address, data in (
        *page_tables(r),
        (0x3000, table(r, 32)),
        (0x5000, r.randbytes(0x200)),
        (0x10000, code(r)),
        (0x20000, r.randbytes(4096)),
    ):
        cpu.write_physical(address, data)
    recover(r, cpu)
    cpu.gdtr = TableRegister(0x3000, 0xFF)
    cpu.set_segment(6, Segment(0x28, 0x3000, 0xFF, 0x8200))
    cpu.set_segment(7, Segment(0x30, 0x5000, r.choice((0x67, 0x1FF, 0)), r.choice((0x8900, 0x8B00, 0x8100, 0))))
    cpu.set_cr(4, r.choice((0x200, 0x210, 0x220)))
    cpu.set_cr(3, 0x1000)
    cpu.nxe = r.random() < 0.3
    cpu.set_cr(0, r.choice((0x11, 0x80000011, 0x80010011)))
    cpu.eflags = r.choice((2, 2, 2, 0x202, 0x3202, 0x20002, 0x102))
    for register in range(8):
        cpu.set_gpr(register, r.choice((0x20000, 0x20800, 0x10040, r.getrandbits(32))))
    cpu.set_gpr(4, 0x21000)
    cpu.eip = 0x10000
    return cpu


def run(seed: int) -> int:
    """Steps made. Only a clear refusal may end a guest early."""
    r = Random(seed)
    cpu = start(r)
    for _ in range(EXITS):
        if cpu.steps >= STEPS:
            break
        try:
            found = cpu.run(Step(cpu.steps + r.choice((1, 3, 100, 2000))))
            react(r, cpu, found)
        except PageFault:  # the test's own access
            cpu.eip = 0x10000
        except EngineError as error:
            say(f"refused {seed} {error}")
            break
    return cpu.steps


if __name__ == "__main__":
    first, count = (int(argument) for argument in sys.argv[1:])
    for number in range(first, first + count):
        say(str(number))
        run(number)
    say("survived")
