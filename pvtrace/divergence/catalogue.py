"""Every rule by its id: what it is about, where it is written, how it shows. The one list; what a rule compares is in
rules/, what people are told of it in pages/ (one Markdown file for each id).

Sources are the VMI proposal of March 2006 ("differences" is its list of architectural differences, "appendix C" its
list of sensitive instructions) and, where it is silent, the Intel manual (SDM).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from types import MappingProxyType
from typing import Final


class Severity(Enum):
    """How a difference shows to the guest."""

    SILENT = "silent"  # another value or state, and nothing tells
    LOUD = "loud"  # an exception, or the end, where native hardware goes on
    ALLOWED = "allowed"  # the interface says so, and its guests must live with it


@dataclass(frozen=True, slots=True)
class Rule:
    """`modelled`: whether it can come about in this machine, which has one processor."""

    id: str
    title: str
    source: str
    severity: Severity
    modelled: bool = True

    @property
    def page(self) -> str:
        """What `pvtrace explain` prints: Markdown."""
        return resources.files(__package__).joinpath("pages", f"{self.id}.md").read_text(encoding="utf-8")


_SILENT, _LOUD, _ALLOWED = Severity.SILENT, Severity.LOUD, Severity.ALLOWED

_RULES: Final = (
    # the ten listed differences
    Rule("fault-flags", "live flags at a handler's entry are not those of the image", "differences, 1", _ALLOWED),
    Rule("flat-trap-stack", "the kernel's trap stack counts as flat", "differences, 2", _SILENT),
    Rule("stack-32", "a handler needs 32 free bytes of stack", "differences, 3", _LOUD),
    Rule("call-flat-stack", "VMI calls need flat 32-bit CS and SS", "differences, 4", _LOUD),
    Rule("call-flat-data", "most VMI calls need flat DS and ES", "differences, 5", _LOUD),
    Rule("user-if-on", "user code runs with interrupts on", "differences, 6", _SILENT),
    Rule("user-iopl", "IOPL 3 gives user code ports, not IF", "differences, 7", _SILENT),
    Rule("fault-in-call", "a fault inside a call shows another EIP", "differences, 8", _ALLOWED),
    Rule("v8086-sysenter", "entering virtual-8086 mode clears SYSENTER_CS", "differences, 9", _ALLOWED),
    Rule("stack-16", "16-bit user stacks are not supported", "differences, 10", _SILENT),
    Rule("iret-fault", "an IRET that faults is not completely handled", "differences, 10", _LOUD),
    # stated elsewhere in the proposal
    Rule("init-selectors", "live selectors change their RPL at Init", "privilege model", _ALLOWED),
    Rule("descriptor-image", "a descriptor reads back otherwise than it was written", "descriptor tables", _ALLOWED),
    Rule("clipped-limit", "an offset beyond the clipped limit faults", "segment truncation", _LOUD),
    Rule("segment-reload", "a live segment follows its changed descriptor", "no irreversible segments", _SILENT),
    Rule("segment-null", "a live segment whose descriptor went becomes null", "no irreversible segments", _SILENT),
    Rule("linear-top", "the top of linear space is the hypervisor's", "memory model", _LOUD),
    Rule("cr-bits", "control bits that cannot be switched off", "SetCR0, SetCR4", _SILENT),
    Rule("no-sti-shadow", "EnableInterrupts has no shadow", "interrupt model", _ALLOWED),
    Rule("iret-iopl", "VMI IRET leaves IOPL alone", "IRET, SetIOPLMask", _SILENT),
    Rule("deferred-pte", "a page-table update may wait", "lazy modes, DEFER", _ALLOWED),
    Rule("cross-cpu-cache", "another processor may see an update late", "lazy modes", _ALLOWED, modelled=False),
    Rule("no-nmi", "no non-maskable interrupt is delivered", "interrupt model", _SILENT),
    Rule("user-ports", "user port accesses go by virtual IOPL and bitmap", "I/O model", _ALLOWED),
    Rule("ap-start", "a second processor begins at a given state", "SetInitialAPState", _ALLOWED),
    Rule("halt-if", "Halt switches interrupts on", "Halt", _ALLOWED),
    Rule(
        "other-cpu-table", "another processor's tables may not be written", "descriptor tables", _SILENT, modelled=False
    ),
    # sensitive instructions, in the kernel unless their page says otherwise
    Rule("arpl", "ARPL sees the kernel's raised RPL", "appendix C", _SILENT),
    Rule("iret", "IRET by instruction keeps IF and IOPL, or faults", "appendix C", _SILENT),
    Rule("lar", "LAR shows raised privilege levels", "appendix C", _SILENT),
    Rule("lsl", "LSL shows clipped limits", "appendix C", _SILENT),
    Rule("load-ss", "loading SS with RPL 0 faults", "appendix C: LSS, MOV SS, POP SS", _LOUD),
    Rule("mov-sreg", "a selector that is read has the kernel's raised RPL", "appendix C", _SILENT),
    Rule("push-sreg", "a selector that is pushed has the kernel's raised RPL", "appendix C", _SILENT),
    Rule("popf", "POPF by instruction leaves IF and IOPL alone", "appendix C", _SILENT),
    Rule("pushf", "PUSHF shows the hardware's IF and IOPL", "appendix C", _SILENT),
    Rule("sgdt", "SGDT shows the hypervisor's table", "appendix C", _SILENT),
    Rule("sidt", "SIDT shows the hypervisor's table", "appendix C", _SILENT),
    Rule("sldt", "SLDT shows the hypervisor's selector", "appendix C", _SILENT),
    Rule("str", "STR shows the hypervisor's selector", "appendix C", _SILENT),
    Rule("cpuid", "CPUID by instruction shows the hardware", "processor information", _SILENT),
    Rule("tsc", "RDTSC and RDPMC by instruction read the hardware", "timer model", _ALLOWED),
    Rule("smsw", "SMSW shows the hardware's CR0", "SDM volume 2, SMSW", _SILENT),
    Rule("verr-verw", "VERR and VERW judge by changed descriptors", "SDM volume 2, VERR", _SILENT),
    Rule("retf", "RETF to RPL 0 faults", "SDM volume 2, RET", _LOUD),
    Rule("far-transfer", "a far JMP or CALL leaves another CS", "SDM volume 2, JMP", _SILENT),
    Rule("load-data-segment", "loading a segment of DPL 0 faults", "SDM volume 2, MOV", _LOUD),
    Rule("int-gate", "INT n through a gate of DPL 0 faults", "SDM volume 2, INT n", _LOUD),
    # calls against the instructions that they stand for
    Rule("call-registers", "a call may destroy registers that the instruction keeps", "register contract", _ALLOWED),
    Rule("debug-alias", "debug registers 4 and 5 by call", "GetDR, SetDR", _ALLOWED),
    # what follows from a difference, and what is just the same natively
    Rule(
        "interrupted",
        "an interrupt where native hardware would hold it back",
        "follows from an earlier difference",
        _SILENT,
    ),
    Rule("not-restored", "a saved IF comes back otherwise", "follows from an earlier difference", _SILENT),
    Rule("rescheduled", "another task runs inside a section without interrupts", "SDM volume 3, 6.8.1", _SILENT),
    Rule("fault-in-section", "a fault inside a section without interrupts", "SDM volume 3, 6.8.1", _SILENT),
    Rule("sysenter-if", "SYSENTER with interrupts off returns with them on", "SDM volume 2, SYSENTER", _SILENT),
)

RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.id: rule for rule in _RULES})
"""By id, in the order of the list."""

NOT_MODELLED: Final = frozenset(rule.id for rule in _RULES if not rule.modelled)
"""They need a second processor; they are explained, and never found."""
