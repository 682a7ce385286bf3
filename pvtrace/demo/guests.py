"""The demo guests: what each shows, what it is fed, and what it must say.

The ELF files lie beside their sources; `make -C pvtrace/demo` builds them anew.
"""

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Guest:
    """One demo guest.

    Attributes:
        name: what `pvtrace demo NAME` calls it.
        summary: what it shows, in a few words.
        console: the whole text it prints under VMI; a `*` stands for any characters of one line.
        native_console: the same on a machine without a VMI ROM.
        input: what to type on its console.
    """

    name: str
    summary: str
    console: str
    native_console: str
    input: bytes = b""

    @property
    def path(self) -> Path:
        """The built ELF file."""
        return Path(str(files("pvtrace.demo") / f"{self.name}.elf"))

    @property
    def source(self) -> Path:
        return self.path.with_suffix(".c")


def says(expected: str, console: bytes) -> bool:
    """Whether a console's output is the expected text, in which a `*` stands for any characters of one line."""
    pattern = ".*".join(map(re.escape, expected.split("*")))
    return re.fullmatch(pattern, console.decode("ascii", "replace")) is not None


HELLO: Final = Guest(
    "hello",
    "probe for the ROM, VMI_Init, console, shutdown",
    console="""\
hello: looking for a VMI ROM
VMI_Init returned 0: this is a paravirtual machine
CS was 00000008 and is 00000009 now
interrupts: PUSHF says 1, the operation says 0
goodbye
""",
    native_console="""\
hello: looking for a VMI ROM
there is none: this is bare hardware
CS was 00000008 and is 00000008 now
interrupts: PUSHF says 0, the operation says 0
goodbye
""",
)

_PAGE_FAULTS: Final = """\
a read of an absent page
  vector 14 page fault, error code 00000000, EFLAGS 00000047, CR2 00c00000
the retry read 0
a write to a page that is read-only, even for the kernel (CR0.WP)
  vector 14 page fault, error code 00000003, EFLAGS 00000046, CR2 00c02000
the page holds 42
a division by zero
  vector 0 divide error, error code 00000000, EFLAGS 00000046
a selector beyond the end of the descriptor table
  vector 13 general protection, error code 00000058, EFLAGS 00000046
"""

_NESTED_FAULTS: Final = """\
a breakpoint whose handler divides by zero, whose handler touches an absent page
  vector 3 breakpoint, error code 00000000, EFLAGS 00000046
    vector 0 divide error, error code 00000000, EFLAGS 00000046
      vector 14 page fault, error code 00000002, EFLAGS 00000046, CR2 00c01000
  vector 3 breakpoint, unharmed, error code 00000000, EFLAGS 00000046
with interrupts enabled
  vector 14 page fault, error code 00000002, EFLAGS 00000246, CR2 00c00000
interrupts are on again
"""

FAULTS: Final = Guest(
    "faults",
    "page faults, general protection, divide error, faults inside handlers",
    console=f"""\
faults: paravirtual
{_PAGE_FAULTS}\
RDMSR of a register that does not exist
  vector 13 general protection, error code 00000000, EFLAGS 00000046
{_NESTED_FAULTS}""",
    native_console=f"faults: native\n{_PAGE_FAULTS}{_NESTED_FAULTS}",
)

_IRQS: Final = """\
tick 1: the interrupted code had IF=1, the handler has IF=0
tick 2: the interrupted code had IF=1, the handler has IF=0
tick 3: the interrupted code had IF=1, the handler has IF=0
tick 4: the interrupted code had IF=1, the handler has IF=0
tick 5: the interrupted code had IF=1, the handler has IF=0
masks: outer 00000200, inner 00000000, after the inner section 00000000, after both 00000200
EnableInterrupts: 0 ticks while masked, the pending one arrived inside the operation
SetInterruptMask(200): 0 ticks while masked, the pending one arrived inside the operation
SetInterruptMask(0): 0 ticks while masked, still pending after it
Halt: 0 ticks while masked, the pending one arrived inside the operation
"""

IRQS: Final = Guest(
    "irqs",
    "alarm interrupts, the interrupt mask, Halt, one-shot alarms",
    console=f"""\
irqs: paravirtual, ticks by a VMI alarm
{_IRQS}\
one-shot alarm: 1 tick, in time
cancelled: 1, and again: 0
done
""",
    native_console=f"irqs: native, ticks by the PIT\n{_IRQS}done\n",
)

ECHO: Final = Guest(
    "echo",
    "console input and the wall clock: what a recording must hold",
    input=b"a paravirtual guest\nrecorded once, replayed for ever\nquit\n",
    console="""\
echo: paravirtual
the clock says * UTC
[* ms] A PARAVIRTUAL GUEST
[* ms] RECORDED ONCE, REPLAYED FOR EVER
2 lines echoed
""",
    native_console="""\
echo: native
there is no clock here but the time stamp counter
[* Mcycles] A PARAVIRTUAL GUEST
[* Mcycles] RECORDED ONCE, REPLAYED FOR EVER
2 lines echoed
""",
)

_IOPL_0: Final = """\
ring 3 speaks, by INT 80h
and by SYSENTER
IOPL 0
  nothing tried:            PUSHF shows IF=1 IOPL=0
  CLI:                      PUSHF shows IF=1 IOPL=0
    (CLI and STI faulted: the kernel skipped them)
  STI:                      PUSHF shows IF=1 IOPL=0
    (CLI and STI faulted: the kernel skipped them)
  POPF with IF=0:           PUSHF shows IF=1 IOPL=0
    (CLI and STI faulted: the kernel skipped them)
  PUSHF CLI POPF:           PUSHF shows IF=1 IOPL=0
    (CLI and STI faulted: the kernel skipped them)
  PUSHF CLI PUSHF CLI POPF: PUSHF shows IF=1 IOPL=0
    (CLI and STI faulted: the kernel skipped them)
iopl(3)
"""

USERLAND: Final = Guest(
    "userland",
    "ring 3: system calls, IOPL 3, and CLI, STI and POPF that are ignored",
    console=f"""\
userland: paravirtual
{_IOPL_0}\
  nothing tried:            PUSHF shows IF=1 IOPL=0
  CLI:                      PUSHF shows IF=1 IOPL=0
  STI:                      PUSHF shows IF=1 IOPL=0
  POPF with IF=0:           PUSHF shows IF=1 IOPL=0
  PUSHF CLI POPF:           PUSHF shows IF=1 IOPL=0
  PUSHF CLI PUSHF CLI POPF: PUSHF shows IF=1 IOPL=0
cli; a long loop; sti
a timer interrupt came inside the section: it protects nothing
the program ends with code 0
""",
    native_console=f"""\
userland: native
{_IOPL_0}\
  nothing tried:            PUSHF shows IF=1 IOPL=3
  CLI:                      PUSHF shows IF=0 IOPL=3
  STI:                      PUSHF shows IF=1 IOPL=3
  POPF with IF=0:           PUSHF shows IF=0 IOPL=3
  PUSHF CLI POPF:           PUSHF shows IF=1 IOPL=3
  PUSHF CLI PUSHF CLI POPF: PUSHF shows IF=0 IOPL=3
cli; a long loop; sti
no timer interrupt came inside the section
the program ends with code 0
""",
)

_MEASURED: Final = "* * * * * * * *\n  shortest *, longest *"

TIMING: Final = Guest(
    "timing",
    "ring 3 with IOPL 3: what a section of CLI and STI measures, and how the shortest of several is right",
    console=f"""\
timing: paravirtual
dot clock: {_MEASURED}; timer interrupts came inside
CMOS: {_MEASURED}; timer interrupts came inside
""",
    native_console=f"""\
timing: native
dot clock: {_MEASURED}; no timer interrupt came inside
CMOS: {_MEASURED}; no timer interrupt came inside
""",
)

GUESTS: Final[tuple[Guest, ...]] = (HELLO, FAULTS, IRQS, ECHO, USERLAND, TIMING)
"""In the order in which they are best read."""
