"""What the machine did: the kinds of events, their columns, and the event value itself.

Kind numbers and column meanings are stored in traces and never change; a new meaning is a new kind. KINDS is the one
table from which the trace's own description, the views and the reports are made.
"""

from enum import IntEnum
from typing import NamedTuple, TypeVar

from pvtrace.model.step import Step


class Kind(IntEnum):
    HYPERCALL = 1
    EXCEPTION = 10
    INTERRUPT = 11
    SOFTWARE_INTERRUPT = 12
    SYSENTER = 13
    RETURN = 14
    FLAG_TRANSITION = 20
    FLAG_ATTEMPT = 21
    PORT_READ = 30
    PORT_WRITE = 31
    UNKNOWN_PORT = 32
    UNKNOWN_MEMORY = 33
    CONSOLE_OUT = 40
    CONSOLE_IN = 41
    KEYS_IN = 42
    EMULATED = 50
    MODE = 51
    HALT = 60
    WAKE = 61
    ALARM = 62
    STOLEN = 63
    NOTE = 70
    STOP = 71


class Outcome(IntEnum):
    """What became of an attempt on IF or IOPL (event kind FLAG_ATTEMPT, column outcome)."""

    TOOK_EFFECT = 0
    TRAPPED = 1  # trapped and emulated: the virtual flag changed, or it raised #GP in the guest
    SKIPPED = 2  # user CLI or STI at virtual IOPL 3: skipped without effect
    IGNORED = 3  # silently ignored by the hardware: no trap, no change
    FAULTED = 4  # #GP(0) went to the guest
    READ = 5  # PUSHF: shows flags, changes none
    NO_CHANGE = 6  # what was asked is what was already there


class Attempt(IntEnum):
    """The instruction of a FLAG_ATTEMPT (column instruction)."""

    CLI = 1
    STI = 2
    PUSHF = 3
    POPF = 4
    IRET = 5


class How(IntEnum):
    """What changed a flag (FLAG_TRANSITION, column how); a VMI call is 0x100 | its unified number, see vmi.table."""

    CLI = 1
    STI = 2
    PUSHF = 3
    POPF = 4
    IRET = 5
    DELIVERY = 6
    SYSENTER = 7
    SYSEXIT = 8
    TASK_SWITCH = 9
    GUEST_CODE = 10


class Event(NamedTuple):
    """One thing that happened.

    `step`: the step count after it. `pc`: linear address of the instruction (the call site for a VMI call; the pushed
    EIP for an entry). `flags`: see `pack_flags`. `args`: by the columns of KINDS[kind]; integers are 0..2^64-1, bytes
    for data; missing at the end = NULL. `cause`: index of the event that brought it about, counted from 0.
    """

    step: Step
    kind: Kind
    pc: int
    flags: int
    args: tuple[int | bytes | str | None, ...] = ()
    cause: int | None = None


T = TypeVar("T")


def without_trailing_none(args: tuple[T | None, ...]) -> tuple[T | None, ...]:
    """A missing argument and None are the same (see Event)."""
    while args and args[-1] is None:
        args = args[:-1]
    return args


def pack_flags(eflags: int, vif: bool, viopl: int, cpl: int) -> int:
    """Live EFLAGS in bits 0..31, virtual IF in 32, virtual IOPL in 33..34, CPL in 35..36."""
    return eflags | (int(vif) << 32) | (viopl << 33) | (cpl << 35)


class KindInfo(NamedTuple):
    name: str
    family: str
    columns: tuple[str, ...]
    doc: str


KINDS: dict[Kind, KindInfo] = {
    Kind.HYPERCALL: KindInfo(
        "hypercall",
        "call",
        ("call", "eax", "edx", "ecx", "stack", "result"),
        "a VMI call; call: generation << 8 | number; stack: the two stack arguments, low word first; "
        "result: EDX:EAX or EAX, NULL for a call that gives none",
    ),
    Kind.EXCEPTION: KindInfo(
        "exception",
        "fault",
        ("vector", "error", "cr2", "image", "handler", "esp"),
        "a fault or trap entered its handler; image: EFLAGS as pushed; the row's flags are the live ones at entry",
    ),
    Kind.INTERRUPT: KindInfo(
        "interrupt",
        "interrupt",
        ("vector", "irq", "shadowed", "image", "handler", "esp"),
        "an external interrupt entered its handler",
    ),
    Kind.SOFTWARE_INTERRUPT: KindInfo(
        "software_interrupt",
        "interrupt",
        ("vector", "unused", "unused2", "image", "handler", "esp"),
        "INT n, INT3 or INTO entered its handler",
    ),
    Kind.SYSENTER: KindInfo(
        "sysenter", "interrupt", ("unused", "eip", "cs", "image", "handler", "esp"), "SYSENTER entered the kernel"
    ),
    Kind.RETURN: KindInfo(
        "return",
        "return",
        ("by", "eip", "cs", "image", "esp", "ss"),
        "return from an entry; by: 0 IRET, 1 VMI_IRET, 2 SYSEXIT, 3 VMI_SYSEXIT",
    ),
    Kind.FLAG_TRANSITION: KindInfo(
        "flag_transition",
        "flag",
        ("flag", "virtual_before", "virtual_after", "real_before", "real_after", "how"),
        "IF, IOPL, VM, NT, TF or AC changed; flag: its bit number (9, 12, 17, 14, 8, 18); how: see model.events.How",
    ),
    Kind.FLAG_ATTEMPT: KindInfo(
        "flag_attempt",
        "flag",
        ("instruction", "asked", "virtual_before", "virtual_after", "real_before", "outcome"),
        "an attempt on IF or IOPL, also one that changes nothing; full EFLAGS images; the row's flags are those after",
    ),
    Kind.PORT_READ: KindInfo("port_read", "port", ("port", "width", "value"), "IN, INS or a VMI port call"),
    Kind.PORT_WRITE: KindInfo("port_write", "port", ("port", "width", "value"), "OUT, OUTS or a VMI port call"),
    Kind.UNKNOWN_PORT: KindInfo(
        "unknown_port", "port", ("port", "width", "write"), "first use of a port that no device answers"
    ),
    Kind.UNKNOWN_MEMORY: KindInfo(
        "unknown_memory",
        "port",
        ("address", "width", "write"),
        "first use of a page of physical addresses at which neither memory nor a device answers",
    ),
    Kind.CONSOLE_OUT: KindInfo("console_out", "console", ("data",), "bytes the guest wrote to the serial console"),
    Kind.CONSOLE_IN: KindInfo("console_in", "console", ("data",), "bytes that arrived at the serial console"),
    Kind.KEYS_IN: KindInfo(
        "keys_in", "console", ("data",), "keys were pressed or released: scan codes (set 1) at the keyboard controller"
    ),
    Kind.EMULATED: KindInfo(
        "emulated",
        "instruction",
        ("mnemonic", "operand", "value", "faulted"),
        "a privileged or sensitive instruction that the machine performed; faulted: vector raised in the guest",
    ),
    Kind.MODE: KindInfo(
        "mode",
        "mode",
        ("before", "after"),
        "mode changed; bits: 0 protected, 1 paging, 2 PAE, 3 write protect, 4 paravirtual",
    ),
    Kind.HALT: KindInfo("halt", "time", ("ticks",), "the CPU halted at this virtual time"),
    Kind.WAKE: KindInfo("wake", "time", ("ticks", "jumped"), "it woke; jumped: ticks that virtual time skipped"),
    Kind.ALARM: KindInfo("alarm", "time", ("counter", "expiry", "ticks"), "a VMI alarm fired"),
    Kind.STOLEN: KindInfo(
        "stolen", "time", ("ticks", "length"), "the guest was ready, but something else ran, from here on; in ticks"
    ),
    Kind.NOTE: KindInfo("note", "note", ("text",), "something that people should know of this moment"),
    Kind.STOP: KindInfo("stop", "note", ("why", "code", "detail"), "the guest ended"),
}
