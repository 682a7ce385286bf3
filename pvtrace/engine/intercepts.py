"""The instructions that stop before they run, at every privilege level and in every mode.

They are all that reads or writes system state (flags IF and IOPL, control and debug registers, descriptor tables, model
specific registers), all that leaves the program's flow through a gate or a far pointer, all port I/O, and all whose
result the host would decide (time, randomness, CPU identification). The emulated CPU itself therefore only ever runs
instructions that are the same on every machine at every privilege level.

A rule is a byte: 0 run it, 255 stop, anything else a bit for each value of ModRM.reg that stops.
"""

from typing import Final

EVERY: Final = 255
_PREFIXES: Final = b"\x66\x67\x2e\x36\x3e\x26\x64\x65\xf0\xf2\xf3"


def _table(rules: dict[int, int]) -> bytes:
    return bytes(rules.get(opcode, 0) for opcode in range(256))


def _regs(*values: int) -> int:
    return sum(1 << value for value in values)


ONE_BYTE: Final = _table(
    {
        0x6C: EVERY,  # INSB
        0x6D: EVERY,  # INSW, INSD
        0x6E: EVERY,  # OUTSB
        0x6F: EVERY,  # OUTSW, OUTSD
        0x9A: EVERY,  # CALL far
        0x9C: EVERY,  # PUSHF
        0x9D: EVERY,  # POPF
        0xCA: EVERY,  # RETF n
        0xCB: EVERY,  # RETF
        0xCC: EVERY,  # INT3
        0xCD: EVERY,  # INT n
        0xCE: EVERY,  # INTO
        0xCF: EVERY,  # IRET
        0xE4: EVERY,  # IN
        0xE5: EVERY,
        0xE6: EVERY,  # OUT
        0xE7: EVERY,
        0xEA: EVERY,  # JMP far
        0xEC: EVERY,  # IN
        0xED: EVERY,
        0xEE: EVERY,  # OUT
        0xEF: EVERY,
        0xF1: EVERY,  # INT1 (ICEBP)
        0xF4: EVERY,  # HLT
        0xFA: EVERY,  # CLI
        0xFB: EVERY,  # STI
        0xFF: _regs(3, 5),  # CALL, JMP far, by memory
    }
)
"""By opcode (SDM volume 2, table A-2)."""

TWO_BYTE: Final = _table(
    {
        0x00: _regs(0, 1, 2, 3),  # SLDT STR LLDT LTR
        0x01: EVERY,  # SGDT SIDT LGDT LIDT SMSW LMSW INVLPG VMCALL MONITOR MWAIT XGETBV ...
        0x05: EVERY,  # SYSCALL
        0x06: EVERY,  # CLTS
        0x07: EVERY,  # SYSRET
        0x08: EVERY,  # INVD
        0x09: EVERY,  # WBINVD
        0x20: EVERY,  # MOV from CR
        0x21: EVERY,  # MOV from DR
        0x22: EVERY,  # MOV to CR
        0x23: EVERY,  # MOV to DR
        0x30: EVERY,  # WRMSR
        0x31: EVERY,  # RDTSC
        0x32: EVERY,  # RDMSR
        0x33: EVERY,  # RDPMC
        0x34: EVERY,  # SYSENTER
        0x35: EVERY,  # SYSEXIT
        0x37: EVERY,  # GETSEC
        0xA2: EVERY,  # CPUID
        0xAA: EVERY,  # RSM
        0xC7: _regs(6, 7),  # RDRAND RDSEED (and VMX)
    }
)
"""By the second opcode byte after 0Fh (SDM volume 2, table A-3)."""

SEEN_ONE_BYTE: Final = _table(
    {
        0x06: EVERY,  # PUSH ES
        0x0E: EVERY,  # PUSH CS
        0x16: EVERY,  # PUSH SS
        0x1E: EVERY,  # PUSH DS
        0x63: EVERY,  # ARPL
        0x8C: EVERY,  # MOV r/m, Sreg
        **{opcode: rule for opcode, rule in enumerate(ONE_BYTE) if rule},
    }
)
SEEN_TWO_BYTE: Final = _table(
    {
        0x02: EVERY,  # LAR
        0x03: EVERY,  # LSL
        0xA0: EVERY,  # PUSH FS
        0xA8: EVERY,  # PUSH GS
        **{opcode: rule for opcode, rule in enumerate(TWO_BYTE) if rule},
        0x00: EVERY,  # SLDT STR LLDT LTR VERR VERW
    }
)
"""The same, and what a deprivileged CPU runs by itself and silently differently: it still runs it by itself, but
whoever watches the machine is shown it first."""


def is_shown_only(code: bytes) -> bool:
    """Whether the instruction is one that stops for whoever watches, and for nobody else."""
    opcode = code.lstrip(_PREFIXES)
    if opcode[:1] == b"\x0f":
        rule, modrm = TWO_BYTE[opcode[1]], opcode[2:3]
    else:
        rule, modrm = ONE_BYTE[opcode[0]], opcode[1:2]
    return rule != EVERY and not (modrm and rule >> (modrm[0] >> 3 & 7) & 1)
