"""The PC: its devices, at which ports and addresses they answer, on which interrupt lines, and which end a halt.

The buses and the devices know nothing of each other; all wiring is here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pvtrace.machine.bus import PortBus, Region
from pvtrace.machine.devices.acpi_power import AcpiPower
from pvtrace.machine.devices.ata import Ata
from pvtrace.machine.devices.cmos import Cmos
from pvtrace.machine.devices.debug_console import DebugConsole, DelayPort
from pvtrace.machine.devices.device import Device, EndRun, State, Timer
from pvtrace.machine.devices.disk_image import FIRST_FRAME, DiskImage
from pvtrace.machine.devices.exit_port import DebugExit
from pvtrace.machine.devices.fw_cfg import FwCfg
from pvtrace.machine.devices.keyboard import Keyboard
from pvtrace.machine.devices.pci import DISK_FUNCTIONS, Pci
from pvtrace.machine.devices.pic import Pic
from pvtrace.machine.devices.pit import Pit
from pvtrace.machine.devices.port61 import Port61
from pvtrace.machine.devices.uart import Uart
from pvtrace.machine.devices.vga import Vga
from pvtrace.machine.interrupt_controller import TIMER_IRQ, InterruptController
from pvtrace.machine.memory_bus import APIC_BASE, IO_APIC_BASE, MemoryBus
from pvtrace.model.answers import Held, Quiet
from pvtrace.model.stops import Why
from pvtrace.x86.machine_specific import APIC_GLOBAL_ENABLE

CONSOLE: Final = 0x3F8
"""The first port of the console's UART."""

PC_REGIONS: Final = (
    Region(0x020, 2, "pic", 0),
    Region(0x040, 4, "pit"),
    Region(0x060, 1, "keyboard", 0),
    Region(0x061, 1, "port61"),
    Region(0x064, 1, "keyboard", 1),
    Region(0x070, 2, "cmos"),
    Region(0x080, 1, "delay"),
    Region(0x0A0, 2, "pic", 2),
    Region(0x0E9, 1, "debug_console"),
    Region(0x0F4, 4, "debug_exit"),
    Region(0x3C0, 16, "vga", 0x00),
    Region(0x3D4, 2, "vga", 0x14),
    Region(0x3DA, 1, "vga", 0x1A),
    Region(CONSOLE, 8, "uart"),
    Region(0x4D0, 2, "pic", 4),
    Region(0x510, 2, "fw_cfg"),
    Region(0x600, 12, "power"),
    Region(0xCF8, 8, "pci"),
)
"""The machine's port map."""

SLOW_PORTS: Final = frozenset({0x61, 0x80})
"""Where an access takes virtual time, as on an ISA bus: the ports by which kernels wait, and measure the time."""

ISA_CYCLE_NS: Final = 1_000
"""What it takes."""

DISK_REGIONS: Final = (Region(0x1F0, 8, "disk"), Region(0x3F6, 1, "disk", 8))
"""What is added to it with a disk."""

KEYBOARD_IRQ, UART_IRQ, RTC_IRQ, MOUSE_IRQ, DISK_IRQ = 1, 4, 8, 12, 14

PIC_MASKS: Final = (0x21, 0xA1)
PIC_QUIET: Final = tuple(Quiet(port, 1, *end) for port in (0x20, 0xA0) for end in ((0xFF, 0x20), (0xF8, 0x60)))
"""OCW2 that ends the interrupt in service, or a named one, without rotation."""
PCI_ADDRESS: Final = Quiet(0xCF8, 4, 0, 0)

APIC_PAGE: Final = 0xFFFFF000
"""The address in IA32_APIC_BASE, as far as a 32-bit machine has addresses."""


class Wake(NamedTuple):
    """A timer, and whether what it raises would get through to the CPU now."""

    timer: Timer
    admitted: Callable[[], bool]


@dataclass(slots=True)
class Platform:
    """The PC's devices: behind `bus` and `memory`; and those that the machine has other business with."""

    bus: PortBus
    memory: MemoryBus
    interrupts: InterruptController
    uart: Uart
    keyboard: Keyboard
    pci: Pci
    cmos: Cmos
    wakes: tuple[Wake, ...]
    disk: DiskImage | None = None

    @property
    def pic(self) -> Pic:
        return self.interrupts.pic

    def steady(self) -> list[tuple[int, int]]:
        """Ports, and the byte that each reads, any number of times without any effect, until `uart.changes` does."""
        return [(CONSOLE + offset, value) for offset, value in self.uart.steady().items()]

    def settled(self) -> list[tuple[int, int]]:
        """Ports, and the byte whose writing has no effect, until `uart.changes` does."""
        return [(CONSOLE + offset, value) for offset, value in self.uart.settled().items()]

    def held(self) -> list[Held]:
        """The masks of the 8259 pair, as long as they concern nobody else."""
        masks = self.pic.calm_masks()
        return [Held(port, *each) for port, each in zip(PIC_MASKS, masks, strict=True)] if masks else []

    def quiet(self) -> list[Quiet]:
        """Ends of interrupts, as long as none waits behind them, and the address of PCI configuration space."""
        return [*PIC_QUIET, PCI_ADDRESS] if self.pic.calm_masks() else [PCI_ADDRESS]

    @property
    def posting(self) -> int | None:
        """The port where a byte that is written goes to the console and changes nothing; None: none now."""
        uart = self.uart
        return CONSOLE if uart.posts and (not uart.asks or self.interrupts.latched(UART_IRQ)) else None

    def next_wake(self, now: int) -> int | None:
        """When a timer will interrupt a CPU that halts now; None if none of them gets through."""
        times = (wake.timer.next_event(now) for wake in self.wakes if wake.admitted())
        return min((due for due in times if due is not None), default=None)

    def input_wakes(self) -> bool:
        """Whether a byte that arrives at the console, or a key, would interrupt a CPU that halts now."""
        by_console = self.uart.listens and self.interrupts.admits(UART_IRQ)
        return by_console or (self.keyboard.listens and self.interrupts.admits(KEYBOARD_IRQ))

    def locate_apic(self, base: int) -> None:
        """IA32_APIC_BASE has this value: where the local APIC answers, and whether it does."""
        present = bool(base & APIC_GLOBAL_ENABLE)
        self.interrupts.apic.switch(present)
        self.memory.move("apic", base & APIC_PAGE if present else None)

    def attach_disk(self, content: bytes) -> None:
        """Put a disk of so many bytes, whole sectors, on the first IDE channel. Before the machine runs."""
        self.disk = DiskImage(content)
        self.bus.add("disk", Ata(self.disk, self.interrupts.line(DISK_IRQ)), DISK_REGIONS)
        self.pci.add(DISK_FUNCTIONS)
        self.cmos.add_disk()

    def take_pages(self) -> dict[int, bytes]:
        """The frames of the disk (see disk_image.py) that were written since this was last asked."""
        return {} if self.disk is None else self.disk.take_frames()

    def page(self, frame: int) -> bytes | None:
        """A frame of the disk, as `take_pages` gives it; None for one that is not of the disk."""
        return None if self.disk is None or frame < FIRST_FRAME else self.disk.frame(frame)

    def load_pages(self, pages: dict[int, bytes]) -> dict[int, bytes]:
        """Put those frames back that are of the disk; returns the others, which are of memory."""
        if self.disk is None:
            return pages
        self.disk.load_frames({frame: data for frame, data in pages.items() if frame >= FIRST_FRAME})
        return {frame: data for frame, data in pages.items() if frame < FIRST_FRAME}

    def save(self) -> dict[str, Any]:
        """All devices; canonical, as of PortBus."""
        return {"devices": self.bus.save(), "memory": self.memory.save(), "interrupts": self.interrupts.save()}

    def load(self, state: State) -> None:
        """After `locate_apic`: what that resets is put back here."""
        self.bus.load(state["devices"])
        self.memory.load(state["memory"])
        self.interrupts.load(state["interrupts"])


def pc_platform(
    *,
    hz: int,
    ram_size: int,
    wallclock: Callable[[int], int],
    transmitted: Callable[[int], None],
    end: EndRun,
) -> Platform:
    """A PC in the state that its BIOS leaves: PIC vectors 08h and 70h with masks B8h and 8Eh, PIT at 18.2 Hz.

    `hz`: ticks per second; `ram_size`: bytes; `wallclock`: nanoseconds since 1970 at a time in ticks; `transmitted`:
    gets each byte written to the console; `end`: called when a device wants the run to end.
    """
    interrupts = InterruptController(lambda: end(Why.REBOOT, 0))
    pit = Pit.left_by_bios(hz, interrupts.line(TIMER_IRQ))
    uart = Uart(interrupts.line(UART_IRQ), transmitted)
    keyboard = Keyboard(interrupts.line(KEYBOARD_IRQ), interrupts.line(MOUSE_IRQ), end)
    pci = Pci(end)
    cmos = Cmos(wallclock, ram_size, hz, interrupts.line(RTC_IRQ))
    apic = interrupts.apic
    devices: dict[str, Device] = {
        "pic": interrupts.pic,
        "apic": apic,
        "io_apic": interrupts.io_apic,
        "pit": pit,
        "keyboard": keyboard,
        "port61": Port61(pit),
        "cmos": cmos,
        "delay": DelayPort(),
        "debug_console": DebugConsole(transmitted),
        "debug_exit": DebugExit(end),
        "uart": uart,
        "power": AcpiPower(hz, end),
        "vga": Vga(hz),
        "fw_cfg": FwCfg(ram_size),
        "pci": pci,
    }
    return Platform(
        bus=PortBus(devices, PC_REGIONS, timers=(pit, cmos, apic)),
        memory=MemoryBus(devices, {"apic": APIC_BASE, "io_apic": IO_APIC_BASE}),
        interrupts=interrupts,
        uart=uart,
        keyboard=keyboard,
        pci=pci,
        cmos=cmos,
        wakes=(
            Wake(pit, lambda: interrupts.admits(TIMER_IRQ)),
            Wake(cmos, lambda: interrupts.admits(RTC_IRQ)),
            Wake(apic, lambda: apic.admits_timer),
        ),
    )
