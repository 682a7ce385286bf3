"""Taking a picture of a machine. It only looks: nothing that a guest could notice is touched."""

from collections.abc import Iterator
from typing import Final

from pvtrace.machine.machine import Machine
from pvtrace.model.registers import Gpr, Registers, Seg
from pvtrace.tui.picture import TOP, Belief, Frame, Picture, Stretch, Wanted
from pvtrace.x86.eflags import guest_flags

CODE: Final = (600, 1200)
"""Bytes of code in front of EIP and from there on."""

STACK: Final = (256, 1024)
MEMORY: Final = (1024, 2048)
DEEPEST: Final = 32
"""Frames of a backtrace."""

SCREEN: Final = (0xB8000, 80 * 25 * 2)
"""The VGA's text memory: physical address and bytes."""

_PAGE: Final = 4096


def seen(machine: Machine) -> tuple[Registers, Belief]:
    """What a later picture needs of this step, to tell what changed."""
    registers = machine.cpu.registers()
    generation = machine.vmi.generation
    believed = guest_flags(registers.eflags, machine.system)
    return registers, Belief(believed, None if generation is None else generation.name)


def picture(machine: Machine, wanted: Wanted, before: tuple[Registers, Belief] | None) -> Picture:
    """`before`: what was seen one step earlier."""
    registers, belief = seen(machine)
    eip = (registers.eip + registers.segments[Seg.CS].base) % TOP
    esp = (registers.gprs[Gpr.ESP] + registers.segments[Seg.SS].base) % TOP
    places = [(eip, CODE), (esp, STACK)]
    if wanted.code is not None:
        places.append((wanted.code, CODE))
    if wanted.memory is not None:
        places.append((wanted.memory, MEMORY))
    return Picture(
        step=machine.step,
        ticks=machine.ticks,
        hz=machine.settings.hz,
        registers=registers,
        belief=belief,
        before=before[0] if before else None,
        belief_before=before[1] if before else None,
        frames=tuple(frames(machine, registers, eip)),
        memory=tuple(piece for at, around in places for piece in stretches(machine, at, *around)),
        screen=machine.cpu.read_physical(*SCREEN),
        wanted=wanted,
    )


def stretches(machine: Machine, address: int, before: int, behind: int) -> Iterator[Stretch]:
    """What is mapped around an address: the piece that it is in, and the one in front of that page if it is another."""
    first = max(0, address - before)
    size = min(before, address) + min(behind, TOP - address)
    data = machine.cpu.peek(first, size)
    if first + len(data) > address:
        yield Stretch(first, data)
        return
    if data:
        yield Stretch(first, data)
    page = max(first, address - address % _PAGE)
    yield Stretch(page, machine.cpu.peek(page, first + size - page))


def frames(machine: Machine, registers: Registers, eip: int) -> Iterator[Frame]:
    """Here, and as far as EBP leads from frame to frame. Code that keeps no frames has anything in EBP, so each frame
    must lie above the one before."""
    base = registers.segments[Seg.SS].base
    pointer = (registers.gprs[Gpr.EBP] + base) % TOP
    yield Frame(eip, pointer)
    lowest = (registers.gprs[Gpr.ESP] + base) % TOP
    for _ in range(DEEPEST):
        words = machine.cpu.peek(pointer, 8) if lowest <= pointer <= TOP - 8 else b""
        if len(words) < 8:
            return
        back, caller = int.from_bytes(words[:4], "little"), int.from_bytes(words[4:], "little")
        if not caller or not machine.cpu.peek(caller, 1):
            return
        lowest, pointer = pointer + 8, (back + base) % TOP
        yield Frame(caller, pointer)
