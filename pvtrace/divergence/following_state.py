"""How the shadow follows what is neither IF nor IOPL: descriptors, control registers, the MSR SYSENTER_CS.

Pure functions, asked before the machine performs the instruction or call.
"""

from dataclasses import replace
from typing import Final

from pvtrace.divergence.scenes import Called, Executed
from pvtrace.divergence.shadow import Shadow
from pvtrace.divergence.tables import (
    ENTRY_CALLS,
    TABLE_CALLS,
    TABLE_INSTRUCTIONS,
    remembered,
    rewritten,
    stored_by_call,
)
from pvtrace.model.registers import Gpr
from pvtrace.vmi.effects import VmiEffects, transfers_control
from pvtrace.x86.control_instructions import write_cr
from pvtrace.x86.effects import Effects, SetCr
from pvtrace.x86.eflags import VM
from pvtrace.x86.fast_calls import SYSENTER_CS

CR_CALLS: Final = {"SetCR0": 0, "SetCR4": 4}
CALLS: Final = frozenset({*CR_CALLS, *ENTRY_CALLS, *TABLE_CALLS})
INSTRUCTIONS: Final = frozenset({*TABLE_INSTRUCTIONS, "MOV CR", "LMSW", "WRMSR"})


def instruction(scene: Executed) -> Shadow:
    """The shadow after one of INSTRUCTIONS."""
    shadow, name, effects = scene.shadow, scene.instruction.mnemonic, scene.here.effects
    if scene.here.raised is not None:
        return shadow
    if name == "WRMSR":
        return wrote_msr(shadow, scene.view.gpr(Gpr.ECX))
    if name in TABLE_INSTRUCTIONS:
        return shadow.with_tables(remembered(shadow, scene.view, effects, rewritten(shadow, scene.view, effects)))
    return _wrote_cr(shadow, effects, scene.natively.effects)


def call(scene: Called) -> Shadow:
    """The shadow after one of CALLS."""
    shadow, made = scene.shadow, scene.call
    if made.info.name not in CALLS or transfers_control(scene.here):
        return shadow
    if made.info.name in CR_CALLS:
        return _wrote_cr(shadow, scene.here, native_cr_write(scene))
    stored = stored_by_call(made, shadow, scene.view, scene.here)
    return shadow.with_tables(remembered(shadow, scene.view, scene.here, stored))


def wrote_msr(shadow: Shadow, index: int) -> Shadow:
    """An MSR was written: both machines hold the same in it."""
    return replace(shadow, sysenter_cs=None) if index == SYSENTER_CS else shadow


def returned_by_call(scene: Called, image: int) -> Shadow:
    """VMI IRET to virtual-8086 mode clears SYSENTER_CS; natively it stays."""
    if not image & VM:
        return scene.shadow
    return replace(scene.shadow, sysenter_cs=scene.native.system.msr(SYSENTER_CS) or None)


def native_cr_write(made: Called) -> Effects:
    """What MOV CR would do natively where one of CR_CALLS is made."""
    return write_cr(made.native, CR_CALLS[made.call.info.name], made.call.eax)


def written_cr(effects: VmiEffects) -> tuple[int, int] | None:
    """Number and value of the control register that these effects write; None if they write none."""
    return next(((effect.number, effect.value) for effect in effects if isinstance(effect, SetCr)), None)


def _wrote_cr(shadow: Shadow, here: VmiEffects, natively: VmiEffects) -> Shadow:
    mine, native = written_cr(here), written_cr(natively)
    if mine is None or native is None:
        return shadow
    match mine[0]:
        case 0:
            return replace(shadow, cr0=mine[1] ^ native[1])
        case 4:
            return replace(shadow, cr4=mine[1] ^ native[1])
        case _:
            return shadow
