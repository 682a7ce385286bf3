"""The machine's state as canonical bytes, and back; and the state that a boot loader leaves.

Layout of a saved state: length of the CPU's part (4 bytes, little-endian), the CPU's part, then JSON with sorted keys
for everything that is ours: System, VmiState, the clock, the journal, the devices.
"""

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from pvtrace.machine.boot import BootImage
from pvtrace.machine.clock import Clock
from pvtrace.machine.cpu import Cpu
from pvtrace.model.errors import TraceError
from pvtrace.model.registers import Seg
from pvtrace.model.snapshot import PAGE
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.vmi.state import Alarm, Held, LinearMapping, VmiState
from pvtrace.x86.machine_specific import apic_base
from pvtrace.x86.state import System
from rom.abi import Generation

if TYPE_CHECKING:
    from pvtrace.machine.machine import Machine

DIGEST: Final = 16


def boot(cpu: Cpu, image: BootImage) -> None:
    """Load the registers."""
    cpu.set_cr(0, image.cr0)
    cpu.set_cr(3, 0)
    cpu.set_cr(4, 0)
    cpu.gdtr = image.gdtr
    for register in Seg:
        cpu.set_segment(register, image.segments[register])
    for number, value in enumerate(image.gprs):
        cpu.set_gpr(number, value)
    cpu.eflags = image.eflags
    cpu.eip = image.eip


def _ours(machine: "Machine") -> dict[str, Any]:
    return {
        "system": asdict(machine.system),
        "vmi": asdict(machine.vmi),
        "clock": asdict(machine.clock),
        "journal": machine.journal.save(),
        "devices": machine.platform.save(),
        "ended": None if machine.ended is None else [machine.ended.why.value, machine.ended.code, machine.ended.detail],
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def save(machine: "Machine") -> bytes:
    cpu = machine.cpu.save()
    return len(cpu).to_bytes(4, "little") + cpu + _json(_ours(machine))


def load(machine: "Machine", saved: bytes, pages: dict[int, bytes]) -> None:
    """Put a saved state back; `pages` are all the frames that differ from now. Raises TraceError for damaged bytes."""
    size = int.from_bytes(saved[:4], "little")
    try:
        ours = json.loads(saved[4 + size :])
        machine.system = _system(ours["system"])
        machine.vmi = _vmi(ours["vmi"])
        machine.clock = Clock(**{**ours["clock"], "base_step": Step(ours["clock"]["base_step"])})
        machine.journal.load(ours["journal"])
        machine.platform.locate_apic(apic_base(machine.system))
        machine.platform.load(ours["devices"])
        ended = ours["ended"] and (Why(ours["ended"][0]), *ours["ended"][1:])
    except (ValueError, KeyError, TypeError) as error:
        raise TraceError(f"the trace holds a machine state that cannot be understood ({error})") from None
    machine.cpu.load(saved[4 : 4 + size], machine.platform.load_pages(pages))
    machine.ended = Stop(machine.cpu.steps, *ended) if ended else None


def page(machine: "Machine", frame: int) -> bytes:
    """The bytes of a frame, of memory or of the disk, as snapshots have them."""
    of_disk = machine.platform.page(frame)
    return machine.cpu.read_physical(frame * PAGE, PAGE) if of_disk is None else of_disk


def digests(machine: "Machine") -> dict[str, bytes]:
    """16-byte digests of the parts of the state: cpu, devices, vmi (with System, clock and journal)."""
    ours = _ours(machine)
    devices = ours.pop("devices")
    parts = {"cpu": machine.cpu.save(), "devices": _json(devices), "vmi": _json(ours)}
    return {name: hashlib.blake2b(data, digest_size=DIGEST).digest() for name, data in parts.items()}


def _system(saved: dict[str, Any]) -> System:
    stack = saved["kernel_stack"]
    return System(
        **{
            **saved,
            "shadow": Step(saved["shadow"]),
            "kernel_stack": None if stack is None else tuple(stack),
            "msrs": tuple((index, value) for index, value in saved["msrs"]),
            "drs": tuple(saved["drs"]),
        }
    )


def _held(saved: dict[str, Any]) -> Held:
    return Held(**{**saved, "generation": Generation(saved["generation"]), "stack": tuple(saved["stack"])})


def _vmi(saved: dict[str, Any]) -> VmiState:
    generation = saved["generation"]
    real, available = (None if alarm is None else Alarm(**alarm) for alarm in saved["alarms"])
    return VmiState(
        **{
            **saved,
            "generation": None if generation is None else Generation(generation),
            "alarms": (real, available),
            "mappings": tuple(None if mapping is None else LinearMapping(**mapping) for mapping in saved["mappings"]),
            "ap_states": tuple((apic_id, data) for apic_id, data in saved["ap_states"]),
            "page_types": tuple((pfn, kind) for pfn, kind in saved["page_types"]),
            "told": tuple(saved["told"]),
            "held": tuple(_held(waiting) for waiting in saved["held"]),
        }
    )
