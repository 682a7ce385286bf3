"""EFLAGS: the names of its bits, what the guest believes is in it, and which bits POPF and IRET may change.

Pure functions over integers; no View, no effects (SDM volume 1, 3.4.3).
"""

from typing import Final

from pvtrace.x86.state import System

CF: Final = 1 << 0
FIXED: Final = 1 << 1  # always 1
PF: Final = 1 << 2
AF: Final = 1 << 4
ZF: Final = 1 << 6
SF: Final = 1 << 7
TF: Final = 1 << 8
IF: Final = 1 << 9
DF: Final = 1 << 10
OF: Final = 1 << 11
IOPL: Final = 3 << 12
IOPL_SHIFT: Final = 12
NT: Final = 1 << 14
RF: Final = 1 << 16
VM: Final = 1 << 17
AC: Final = 1 << 18
VIF: Final = 1 << 19
VIP: Final = 1 << 20
ID: Final = 1 << 21

ARITHMETIC: Final = CF | PF | AF | ZF | SF | OF
DEFINED: Final = ARITHMETIC | TF | IF | DF | IOPL | NT | RF | VM | AC | VIF | VIP | ID

UNPRIVILEGED: Final = ARITHMETIC | TF | DF | NT | AC | ID
"""The bits that POPF and IRET load at every privilege level (SDM volume 2, table 4-17)."""

NAMES: Final[tuple[tuple[int, str], ...]] = (
    (CF, "CF"),
    (PF, "PF"),
    (AF, "AF"),
    (ZF, "ZF"),
    (SF, "SF"),
    (TF, "TF"),
    (IF, "IF"),
    (DF, "DF"),
    (OF, "OF"),
    (NT, "NT"),
    (RF, "RF"),
    (VM, "VM"),
    (AC, "AC"),
    (VIF, "VIF"),
    (VIP, "VIP"),
    (ID, "ID"),
)
"""Every one-bit flag with its name, lowest first. IOPL has two bits and is not here."""


def iopl(eflags: int) -> int:
    return (eflags & IOPL) >> IOPL_SHIFT


def guest_flags(eflags: int, system: System) -> int:
    """The flags as the guest believes them: IF and IOPL replaced by the virtual ones."""
    real = eflags & ~(IF | IOPL)
    return real | (IF if system.vif else 0) | (system.viopl << IOPL_SHIFT)


def replace(eflags: int, image: int, mask: int) -> int:
    """`eflags` with the bits of `mask` taken from `image`."""
    return (eflags & ~mask) | (image & mask)


def words(eflags: int) -> str:
    """The set flags by name and the IOPL, for people: 'CF ZF IF IOPL=3'."""
    names = [name for bit, name in NAMES if eflags & bit]
    return " ".join([*names, f"IOPL={iopl(eflags)}"])


def letters(eflags: int) -> str:
    """One column for each flag, OF DF IF TF SF ZF AF PF CF, a dot for a clear one: '..I..Z.P.'."""
    columns = ((OF, "O"), (DF, "D"), (IF, "I"), (TF, "T"), (SF, "S"), (ZF, "Z"), (AF, "A"), (PF, "P"), (CF, "C"))
    return "".join(letter if eflags & bit else "." for bit, letter in columns)


def _sized(mask: int, operand_size: int) -> int:
    return mask if operand_size == 4 else mask & 0xFFFF


def popf_mask(cpl: int, current_iopl: int, operand_size: int) -> int:
    """The bits that POPF may load outside virtual-8086 mode (SDM volume 2, table 4-17; CPL 0 in real mode).

    RF is cleared by the 32-bit form; the caller's image must have it clear.
    """
    mask = UNPRIVILEGED | RF
    if cpl == 0:
        mask |= IF | IOPL
    elif cpl <= current_iopl:
        mask |= IF
    return _sized(mask, operand_size)


def iret_mask(cpl: int, current_iopl: int, operand_size: int) -> int:
    """The bits that a protected-mode IRET loads; `cpl` is the level before the return (SDM volume 2, IRET).

    RF is left out: it only holds back instruction breakpoints for one instruction, and this CPU raises none.
    """
    mask = UNPRIVILEGED
    if cpl <= current_iopl:
        mask |= IF
    if cpl == 0:
        mask |= IOPL | VIF | VIP
    return _sized(mask, operand_size)


def v8086_mask(operand_size: int) -> int:
    """The bits that POPF and IRET load in virtual-8086 mode, where both need IOPL = 3."""
    return _sized(UNPRIVILEGED | IF, operand_size)


def v8086_return_mask() -> int:
    """The bits that IRET at CPL 0 loads when it returns to virtual-8086 mode."""
    return UNPRIVILEGED | IF | IOPL | VM | VIF | VIP


def pushed(eflags: int) -> int:
    """The image that PUSHF stores: VM and RF show as 0 (SDM volume 2, PUSHF)."""
    return eflags & ~(VM | RF)
