"""The one table of privileged and sensitive instructions: mnemonic to handler, and `execute`, which uses it.

A handler is a pure function of a View and the decoded instruction. The families live in their own files.
"""

from collections.abc import Callable, Mapping
from typing import Final

from pvtrace.x86 import (
    control_instructions,
    far_transfers,
    fast_calls,
    flag_instructions,
    machine_specific,
    returns,
    table_instructions,
)
from pvtrace.x86.disasm import BAD, Instruction, decode
from pvtrace.x86.effects import Native, Raise
from pvtrace.x86.exceptions import DB, UD
from pvtrace.x86.operands import advance, code_bits
from pvtrace.x86.results import Result
from pvtrace.x86.view import View

Handler = Callable[[View, Instruction], Result]

ABSENT: Final = (
    BAD,
    "CLAC",
    "CLGI",
    "GETSEC",
    "INVEPT",
    "INVLPGA",
    "INVPCID",
    "INVVPID",
    "MONITOR",
    "MONITORX",
    "MWAIT",
    "MWAITX",
    "RDFSBASE",
    "RDGSBASE",
    "RDPID",
    "RDPKRU",
    "RDRAND",
    "RDSEED",
    "RDTSCP",
    "RSM",
    "SKINIT",
    "STAC",
    "STGI",
    "SWAPGS",
    "SYSCALL",
    "SYSRET",
    "UD0",
    "UD1",
    "UD2",
    "VMCALL",
    "VMCLEAR",
    "VMFUNC",
    "VMLAUNCH",
    "VMLOAD",
    "VMMCALL",
    "VMPTRLD",
    "VMPTRST",
    "VMREAD",
    "VMRESUME",
    "VMRUN",
    "VMSAVE",
    "VMWRITE",
    "VMXOFF",
    "VMXON",
    "WRFSBASE",
    "WRGSBASE",
    "WRPKRU",
    "XABORT",
    "XBEGIN",
    "XEND",
    "XGETBV",
    "XRSTOR",
    "XSAVE",
    "XSETBV",
    "XTEST",
)
"""Instructions that this processor does not have, or that are undefined by definition."""


def undefined(_view: View, instruction: Instruction) -> Result:
    return Result(instruction.mnemonic, (Raise(UD),))


def icebp(view: View, instruction: Instruction) -> Result:
    """A trap: the handler of #DB sees the EIP behind it, and the gate's DPL does not matter."""
    return Result("ICEBP", (advance(view, instruction), Raise(DB)))


HANDLERS: Final[Mapping[str, Handler]] = {
    "CLI": flag_instructions.cli,
    "STI": flag_instructions.sti,
    "PUSHF": flag_instructions.pushf,
    "POPF": flag_instructions.popf,
    "IRET": returns.iret,
    "SYSENTER": fast_calls.sysenter,
    "SYSEXIT": fast_calls.sysexit,
    "MOV CR": control_instructions.mov_cr,
    "MOV DR": control_instructions.mov_dr,
    "CLTS": control_instructions.clts,
    "LMSW": control_instructions.lmsw,
    "SMSW": control_instructions.smsw,
    "INVLPG": control_instructions.invlpg,
    "INVD": control_instructions.cache_control,
    "WBINVD": control_instructions.cache_control,
    "HLT": control_instructions.hlt,
    "LGDT": table_instructions.lgdt,
    "LIDT": table_instructions.lidt,
    "SGDT": table_instructions.store_table,
    "SIDT": table_instructions.store_table,
    "LLDT": table_instructions.lldt,
    "LTR": table_instructions.ltr,
    "SLDT": table_instructions.store_selector,
    "STR": table_instructions.store_selector,
    "RDMSR": machine_specific.rdmsr,
    "WRMSR": machine_specific.wrmsr,
    "RDTSC": machine_specific.rdtsc,
    "RDPMC": machine_specific.rdpmc,
    "CPUID": machine_specific.cpuid_instruction,
    "ICEBP": icebp,
    "CALL FAR": far_transfers.far_transfer,
    "JMP FAR": far_transfers.far_transfer,
    **dict.fromkeys(ABSENT, undefined),
}
"""Every other instruction (RETF, segment loads, LAR, LSL, VERR, VERW, ARPL ...) runs on the CPU itself."""


def execute(view: View, code: bytes) -> Result:
    """What the privileged or sensitive instruction at EIP does; `code` begins with it.

    The single effect Native means that the CPU itself is to run it. May raise PageFault, as the instruction would.
    """
    instruction = decode(code, code_bits(view))
    handler = HANDLERS.get(instruction.mnemonic)
    if handler is None:
        return Result(instruction.mnemonic, (Native(),))
    if instruction.lock:
        return undefined(view, instruction)
    return handler(view, instruction)
