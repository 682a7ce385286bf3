"""An IDE channel with one ATA disk on it, device 0: registers, the commands of a disk without DMA, and the interrupt.

Registers by offset: 0 data, 1 error (read) and features, 2 sector count, 3-5 LBA 0-23 or sector and cylinder, 6 device,
7 status (read) and command, 8 alternate status (read) and device control. A command is done when it is written: the
disk is never busy but while software resets it. What the disk's commands mean to its sectors is here; what it says of
itself is in ata_identity.py. Source: ATA/ATAPI-5 (T13/1321D), chapters 7 to 9.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from pvtrace.machine.devices.ata_identity import MOST_MULTIPLE, MOST_SECTORS, Geometry, geometry, identity
from pvtrace.machine.devices.device import Line, State
from pvtrace.machine.devices.disk_image import SECTOR, DiskImage

DATA, ERROR, COUNT, LOW, MIDDLE, HIGH, DEVICE, STATUS, CONTROL = range(9)
FEATURES, COMMAND = ERROR, STATUS  # written

BUSY, READY, SEEK_DONE, REQUEST, FAILED = 0x80, 0x40, 0x10, 0x08, 0x01  # status
ABORTED, NOT_FOUND = 0x04, 0x10  # error
PASSED: Final = 0x01  # error register after a reset: device 0 is well, and there is no device 1
LBA, SECOND = 0x40, 0x10  # device
FIXED: Final = 0xA0  # device: bits that are always set
NO_INTERRUPT, RESET = 0x02, 0x04  # device control

DIAGNOSE: Final = 0x90
ENABLED: Final = frozenset({0x02, 0x03, 0x55, 0x66, 0x82, 0xAA, 0xCC})
"""Features that can be set: write cache, transfer mode, read ahead, what a reset leaves. All but the mode change
nothing that shows."""

TRANSFER_MODE: Final = 0x03
PIO_MODES: Final = frozenset({0x00, 0x01, *range(0x08, 0x0D)})
ACTIVE: Final = 0xFF  # CHECK POWER MODE


@dataclass(slots=True)
class Registers:
    """`buffer`: what is being transferred, and `at`: bytes of it that were; `writing`: to the disk. `left`: sectors
    of the command not yet transferred, from `sector` on; `block`: how many go in a piece. `multiple`: the sectors of a
    block of READ and WRITE MULTIPLE, 0 before they are set; `heads`, `sectors`: the translation in use."""

    error: int
    count: int
    low: int
    middle: int
    high: int
    device: int
    heads: int
    sectors: int
    features: int = 0
    status: int = READY | SEEK_DONE
    control: int = 0
    requested: bool = False
    buffer: bytes = b""
    at: int = 0
    writing: bool = False
    sector: int = 0
    left: int = 0
    block: int = 1
    multiple: int = 0


def after_reset(sectors: int) -> Registers:
    """The signature of an ATA disk (ATA/ATAPI-5, chapter 9)."""
    default = geometry(sectors)
    return Registers(PASSED, 1, 1, 0, 0, FIXED, default.heads, default.sectors)


class Ata:
    """`line`: IRQ 14 for the first channel."""

    width = 4

    def __init__(self, image: DiskImage, line: Line) -> None:
        self._image = image
        self._line = line
        self._now = after_reset(image.sectors)
        self._commands: dict[int, Callable[[], None]] = {
            **dict.fromkeys(range(0x10, 0x20), self._done),  # RECALIBRATE
            **dict.fromkeys((0x20, 0x21), lambda: self._start(writing=False, block=1)),  # READ SECTORS
            **dict.fromkeys((0x30, 0x31), lambda: self._start(writing=True, block=1)),  # WRITE SECTORS
            **dict.fromkeys((0x40, 0x41), self._verify),  # READ VERIFY SECTORS
            **dict.fromkeys(range(0x70, 0x80), self._done),  # SEEK
            DIAGNOSE: self._diagnose,
            0x91: self._set_geometry,  # INITIALIZE DEVICE PARAMETERS
            0xC4: lambda: self._start_multiple(writing=False),
            0xC5: lambda: self._start_multiple(writing=True),
            0xC6: self._set_multiple,
            **dict.fromkeys((0x94, 0x95, 0x96, 0x97, 0xE0, 0xE1, 0xE2, 0xE3), self._done),  # STANDBY, IDLE
            **dict.fromkeys((0x98, 0xE5), self._power),  # CHECK POWER MODE
            0xE7: self._done,  # FLUSH CACHE
            0xEC: self._identify,
            0xEF: self._set_features,
        }

    # ------------------------------------------------------------------ registers

    def read(self, offset: int, width: int, _now: int) -> int:
        if offset == DATA:
            return self._read_data(width)
        return sum(self._register(offset + byte) << 8 * byte for byte in range(width))

    def write(self, offset: int, width: int, value: int, _now: int) -> None:
        if offset == DATA:
            self._write_data(value.to_bytes(width, "little"))
            return
        for byte in range(width):
            self._set_register(offset + byte, value >> 8 * byte & 0xFF)

    def save(self) -> State:
        return {**asdict(self._now), "buffer": self._now.buffer.hex()}

    def load(self, state: State) -> None:
        self._now = Registers(**{**state, "buffer": bytes.fromhex(state["buffer"])})

    def _register(self, offset: int) -> int:
        now = self._now
        match offset:
            case 1:
                return now.error
            case 2:
                return now.count
            case 3:
                return now.low
            case 4:
                return now.middle
            case 5:
                return now.high
            case 6:
                return now.device
            case 7:
                status = self._status()
                self._acknowledge()
                return status
            case _:
                return self._status()

    def _set_register(self, offset: int, value: int) -> None:
        now = self._now
        match offset:
            case 1:
                now.features = value
            case 2:
                now.count = value
            case 3:
                now.low = value
            case 4:
                now.middle = value
            case 5:
                now.high = value
            case 6:
                now.device = value | FIXED
                self._drive()
            case 7:
                self._command(value)
            case _:
                self._control(value)

    def _status(self) -> int:
        """Device 0 answers for the device 1 that is not there: with zeros (ATA/ATAPI-5, chapter 9)."""
        return 0 if self._now.device & SECOND else self._now.status

    def _acknowledge(self) -> None:
        self._now.requested = False
        self._drive()

    def _interrupt(self) -> None:
        self._now.requested = True
        self._drive()

    def _drive(self) -> None:
        now = self._now
        self._line(now.requested and not now.control & NO_INTERRUPT and not now.device & SECOND)

    # ------------------------------------------------------------------ commands

    def _control(self, value: int) -> None:
        """Device control: software reset works as long as its bit is set (ATA/ATAPI-5, chapter 9)."""
        now = self._now
        if value & RESET:
            self._now = after_reset(self._image.sectors)
            self._now.status = BUSY
        elif now.control & RESET:
            now.status = READY | SEEK_DONE
        self._now.control = value
        self._drive()

    def _command(self, code: int) -> None:
        """A command for device 1 is nobody's, but for the one that both obey."""
        now = self._now
        if now.status & BUSY or (now.device & SECOND and code != DIAGNOSE):
            return
        now.status, now.error, now.requested = READY | SEEK_DONE, 0, False
        now.buffer, now.at, now.left = b"", 0, 0
        self._drive()
        self._commands.get(code, self._abort)()

    def _done(self) -> None:
        self._interrupt()

    def _abort(self) -> None:
        self._fail(ABORTED)

    def _fail(self, error: int) -> None:
        now = self._now
        now.status, now.error = READY | SEEK_DONE | FAILED, error
        now.buffer, now.at, now.left = b"", 0, 0
        self._interrupt()

    def _diagnose(self) -> None:
        kept = self._now.control
        self._now = after_reset(self._image.sectors)
        self._now.control = kept
        self._interrupt()

    def _set_geometry(self) -> None:
        now = self._now
        if not now.count:
            self._abort()
            return
        now.heads, now.sectors = (now.device & 15) + 1, now.count
        self._done()

    def _set_multiple(self) -> None:
        now = self._now
        if now.count > MOST_MULTIPLE or now.count & now.count - 1:
            now.multiple = 0
            self._abort()
            return
        now.multiple = now.count
        self._done()

    def _power(self) -> None:
        self._now.count = ACTIVE
        self._done()

    def _set_features(self) -> None:
        now = self._now
        mode = now.features != TRANSFER_MODE or now.count in PIO_MODES
        if now.features in ENABLED and mode:
            self._done()
        else:
            self._abort()

    def _identify(self) -> None:
        now = self._now
        cylinders = min(self._image.sectors // (now.heads * now.sectors), 0xFFFF)
        self._offer(identity(self._image.sectors, Geometry(cylinders, now.heads, now.sectors), now.multiple))

    # ------------------------------------------------------------------ sectors

    def _address(self) -> int:
        """The first sector of the command; one that no disk has where the registers name none."""
        now = self._now
        cylinder, head = now.high << 8 | now.middle, now.device & 15
        if now.device & LBA:
            return head << 24 | cylinder << 8 | now.low
        if head >= now.heads or not 1 <= now.low <= now.sectors:
            return MOST_SECTORS + 1
        return (cylinder * now.heads + head) * now.sectors + now.low - 1

    def _show(self, sector: int, left: int) -> None:
        """The registers tell how far a command came: `left` sectors short, at this one."""
        now = self._now
        now.count = left & 0xFF
        if now.device & LBA:
            head, cylinder, now.low = sector >> 24 & 15, sector >> 8 & 0xFFFF, sector & 0xFF
        else:
            track, at = divmod(sector, now.sectors)
            (cylinder, head), now.low = divmod(track, now.heads), at + 1
        now.middle, now.high = cylinder & 0xFF, cylinder >> 8 & 0xFF
        now.device = now.device & ~15 | head

    def _verify(self) -> None:
        first, count = self._address(), self._now.count or 256
        end = min(first + count, self._image.sectors)
        if end < first + count:
            if first < end:
                self._show(end, first + count - end)
            self._fail(NOT_FOUND)
            return
        self._show(end - 1, 0)
        self._done()

    def _start_multiple(self, *, writing: bool) -> None:
        if self._now.multiple:
            self._start(writing=writing, block=self._now.multiple)
        else:
            self._abort()

    def _start(self, *, writing: bool, block: int) -> None:
        now = self._now
        now.sector, now.left, now.block, now.writing = self._address(), now.count or 256, block, writing
        self._next_piece(asks=not writing)

    def _next_piece(self, *, asks: bool) -> None:
        """Get ready for the next piece of the command. `asks`: the disk interrupts when it is (the first piece of a
        write is asked for by REQUEST alone). Raises no error before the last sector that exists has gone."""
        now, image = self._now, self._image
        size = min(now.block, now.left, max(image.sectors - now.sector, 0))
        if size == 0:
            self._show(now.sector, now.left)
            self._fail(NOT_FOUND)
            return
        if now.writing:
            now.buffer = bytes(size * SECTOR)
        else:
            now.buffer = b"".join(image.read(now.sector + at) for at in range(size))
        now.at = 0
        now.status |= REQUEST
        if asks:
            self._interrupt()

    def _piece_done(self) -> None:
        """The host has transferred all of the buffer."""
        now = self._now
        size = len(now.buffer) // SECTOR
        if now.writing:
            for at in range(size):
                self._image.write(now.sector + at, now.buffer[at * SECTOR : (at + 1) * SECTOR])
        now.buffer, now.at = b"", 0
        now.status &= ~REQUEST
        if now.left:
            now.sector, now.left = now.sector + size, now.left - size
            if now.left:
                self._next_piece(asks=True)
                return
            self._show(now.sector - 1, 0)
        if now.writing:
            self._interrupt()

    def _offer(self, data: bytes) -> None:
        """Data that is no sector of the disk."""
        now = self._now
        now.buffer, now.at, now.left, now.writing = data, 0, 0, False
        now.status |= REQUEST
        self._interrupt()

    def _read_data(self, width: int) -> int:
        now = self._now
        if not now.status & REQUEST or now.writing or now.device & SECOND:
            return (1 << 8 * width) - 1
        value = int.from_bytes(now.buffer[now.at : now.at + width], "little")
        self._moved(width)
        return value

    def _write_data(self, data: bytes) -> None:
        now = self._now
        if not now.status & REQUEST or not now.writing or now.device & SECOND:
            return
        now.buffer = now.buffer[: now.at] + data + now.buffer[now.at + len(data) :]
        self._moved(len(data))

    def _moved(self, size: int) -> None:
        self._now.at += size
        if self._now.at >= len(self._now.buffer):
            self._piece_done()
