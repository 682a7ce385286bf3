"""The registers of a VGA adapter in text mode 3: they read back what was written, and the retrace comes and goes.

Registers by offset from the first port (3C0h). Text memory is plain memory of the machine; a palette or a graphics mode
is kept in the registers and shown to nobody. Source: IBM VGA technical reference; a frame is 1/70 of a second.
"""

from typing import Final

from pvtrace.machine.devices.device import State

ATTRIBUTE, ATTRIBUTE_READ, MISC_WRITE, SEQUENCER, PEL_MASK = 0x0, 0x1, 0x2, 0x4, 0x6
DAC_READ_INDEX, DAC_WRITE_INDEX, DAC_DATA, FEATURE_READ, MISC_READ = 0x7, 0x8, 0x9, 0xA, 0xC
GRAPHICS, CRTC, INPUT_STATUS_1 = 0xE, 0x14, 0x1A

FRAMES: Final = 70
LINES: Final = 449  # in a frame, 400 of them visible
RETRACE_FROM, RETRACE_LINES = 412, 2
DISPLAY_DISABLED, VERTICAL_RETRACE = 0x01, 0x08

MODE_3: Final[dict[str, bytes]] = {
    "sequencer": bytes.fromhex("0300030002"),
    "graphics": bytes.fromhex("0000000000100e00ff"),
    "attribute": bytes.fromhex("000102030405140738393a3b3c3d3e3f0c000f0800"),
    "crtc": bytes.fromhex("5f4f50825581bf1f004f0d0e00000000 9c8e8f281f96b9a3ff"),
}
"""The indexed registers after the BIOS has set mode 3 (80 by 25 characters)."""

CURSOR_START, CURSOR_HIGH, CURSOR_LOW = 0x0A, 0x0E, 0x0F
PROTECT: Final = 0x11
PROTECTED: Final = 0x80
"""Bit 7 of CRTC 11h makes CRTC 0-7 read-only."""

MISC: Final = 0x67
_PALETTE: Final = 256 * 3


class Vga:
    """`hz`: ticks in a second of virtual time."""

    width = 1

    def __init__(self, hz: int) -> None:
        self._hz = hz
        self._indexed = {name: bytearray(values) for name, values in MODE_3.items()}
        self._index = dict.fromkeys(MODE_3, 0)
        self._index["attribute"] = 0x20  # the palette belongs to the display
        self._attribute_data = False  # what the attribute port takes next
        self._misc = MISC
        self._mask = 0xFF
        self._dac = 0  # component that is written or read next
        self._palette = bytearray(_PALETTE)

    @property
    def cursor(self) -> int:
        """The character cell of the cursor, counted from the start of text memory."""
        crtc = self._indexed["crtc"]
        return crtc[CURSOR_HIGH] << 8 | crtc[CURSOR_LOW]

    def read(self, offset: int, _width: int, now: int) -> int:
        indexed = _INDEXED.get(offset & ~1)
        if indexed is not None:
            return self._get(indexed) if offset & 1 else self._index[indexed]
        match offset:
            case 0x0:
                return self._index["attribute"]
            case 0x1:
                return self._get("attribute")
            case 0x6:
                return self._mask
            case 0x8:
                return self._dac // 3
            case 0x9:
                value = self._palette[self._dac]
                self._dac = (self._dac + 1) % _PALETTE
                return value
            case 0xC:
                return self._misc
            case 0x1A:
                self._attribute_data = False
                return self._status(now)
            case _:
                return 0

    def write(self, offset: int, _width: int, value: int, _now: int) -> None:
        indexed = _INDEXED.get(offset & ~1)
        if indexed is not None and offset & 1:
            self._set(indexed, value)
        elif indexed is not None:
            self._index[indexed] = value
        else:
            self._write_plain(offset, value)

    def save(self) -> State:
        return {
            "indexed": {name: values.hex() for name, values in self._indexed.items()},
            "index": dict(self._index),
            "attribute_data": self._attribute_data,
            "misc": self._misc,
            "mask": self._mask,
            "dac": self._dac,
            "palette": self._palette.hex(),
        }

    def load(self, state: State) -> None:
        self._indexed = {name: bytearray.fromhex(values) for name, values in state["indexed"].items()}
        self._index = dict(state["index"])
        self._attribute_data = state["attribute_data"]
        self._misc, self._mask, self._dac = state["misc"], state["mask"], state["dac"]
        self._palette = bytearray.fromhex(state["palette"])

    def _write_plain(self, offset: int, value: int) -> None:
        match offset:
            case 0x0:
                if self._attribute_data:
                    self._set("attribute", value)
                else:
                    self._index["attribute"] = value & 0x3F
                self._attribute_data = not self._attribute_data
            case 0x2:
                self._misc = value
            case 0x6:
                self._mask = value
            case 0x7 | 0x8:
                self._dac = value * 3
            case 0x9:
                self._palette[self._dac] = value & 0x3F
                self._dac = (self._dac + 1) % _PALETTE
            case _:
                pass

    def _get(self, name: str) -> int:
        """The selected register of a group; one that does not exist reads 0."""
        values, index = self._indexed[name], self._index[name] & 0x1F
        return values[index] if index < len(values) else 0

    def _set(self, name: str, value: int) -> None:
        values, index = self._indexed[name], self._index[name] & 0x1F
        locked = name == "crtc" and index < 8 and values[PROTECT] & PROTECTED
        if index < len(values) and not locked:
            values[index] = value

    def _status(self, now: int) -> int:
        """Input status 1: where the beam is."""
        line = now * FRAMES * LINES // self._hz % LINES
        retrace = VERTICAL_RETRACE * (RETRACE_FROM <= line < RETRACE_FROM + RETRACE_LINES)
        return retrace | DISPLAY_DISABLED * (line >= 400)


_INDEXED: Final = {SEQUENCER: "sequencer", GRAPHICS: "graphics", CRTC: "crtc"}
