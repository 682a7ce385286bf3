"""Where the VMI proposal leaves freedom: the ends between which a hypervisor may choose, one bit for each.

"May not match", "may be terminated", "not fully tested": a guest must live with either end. Values and words alone live
here; what each end does is where the rule is. A View shows the machine's choice to the handlers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

KIND: Final = "kind"
HARSH: Final = "harsh"
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Latitude:
    """True is harsh. By default harsh where the proposal warns its readers, kind where its authors had work to do.

    flags: the live arithmetic flags at a handler's entry are those of the pushed image; harsh: inverted.
    stack32: less than 32 bytes of stack below the frame is enough; harsh: it terminates the guest.
    fault_eip: a fault within a call shows the call site; harsh: an EIP inside the ROM, the return address on the stack.
    stack16: VMI_IRET to a 16-bit stack loads all of ESP; harsh: SP alone, the upper half stays the kernel's.
    iret_fault: a VMI_IRET that faults does so at its site with ESP at its frame; harsh: it terminates the guest.
    defer: updates of page tables and of the CPU's state are applied at once; harsh: as late as the interface allows.
    """

    flags: bool = True
    stack32: bool = True
    fault_eip: bool = False
    stack16: bool = False
    iret_fault: bool = False
    defer: bool = False


DEFAULT: Final = Latitude()
NAMES: Final = tuple(field.name.replace("_", "-") for field in fields(Latitude))
"""As people write them."""


def chosen(words: Mapping[str, str]) -> Latitude:
    """The latitude with some ends chosen: name to `kind` or `harsh`, in this order; the name `all` means each.

    Raises ValueError, with a sentence, for another name or word.
    """
    ends = to_words(DEFAULT)
    for name, end in words.items():
        if end not in (KIND, HARSH):
            raise ValueError(f"{name} can be {KIND} or {HARSH}, not {end!r}")
        if name not in (ALL, *NAMES):
            raise ValueError(f"{name!r} is no latitude; there are {ALL}, {', '.join(NAMES)}")
        ends |= dict.fromkeys(NAMES, end) if name == ALL else {name: end}
    return Latitude(**{name.replace("-", "_"): end == HARSH for name, end in ends.items()})


def to_words(latitude: Latitude) -> dict[str, str]:
    """The inverse of `chosen`: the end of every name."""
    ends = {name: getattr(latitude, name.replace("-", "_")) for name in NAMES}
    return {name: HARSH if harsh else KIND for name, harsh in ends.items()}
