"""From a guest's file to memory and CPU at its first instruction: one file for each family of boot protocols.

Pure, all of it. The names that other packages use are these.
"""

from pvtrace.machine.boot.boot import boot_image
from pvtrace.machine.boot.image import BootImage, File
from pvtrace.machine.boot.layout import ROM_ALIGNMENT, ROM_AREA, memory_map

__all__ = ["ROM_ALIGNMENT", "ROM_AREA", "BootImage", "File", "boot_image", "memory_map"]
