"""The part of the guest's CPU state that pvtrace keeps itself, because the emulated hardware must not hold it.

Frozen; replaced whole by the effect SetSystem. The rest of the CPU state (general registers, segments, CR0-CR4, GDTR,
IDTR, LDTR, TR, FPU) lives in the Cpu.
"""

from dataclasses import dataclass

from pvtrace.model.step import RESET, Step

DR_RESET = (0, 0, 0, 0, 0, 0, 0xFFFF0FF0, 0x00000400)
"""DR0..DR7 after reset (SDM volume 3, table 10-1). DR4 and DR5 are aliases of DR6 and DR7 and stay 0 here."""


@dataclass(frozen=True, slots=True)
class System:
    """`vif` and `viopl` are what the guest believes, in every mode.

    Natively (paravirtual False) they equal the IF and IOPL of the real EFLAGS. After VMI_Init the real EFLAGS hold
    IF = 1 and IOPL = 0 for as long as guest code runs, and these are the only place where the guest's own are kept.
    """

    paravirtual: bool = False
    vif: bool = False
    viopl: int = 0
    shadow: Step = RESET  # no external interrupt is taken before step shadow (STI and MOV SS, SDM volume 3, 7.8.3)
    kernel_stack: tuple[int, int] | None = None  # (SS selector, ESP) from UpdateKernelStack; None: the TSS's
    msrs: tuple[tuple[int, int], ...] = ()  # (index, 64 bits as machine_specific keeps them), sorted; absent means 0
    drs: tuple[int, ...] = DR_RESET
    hole: int = 1 << 32  # first linear address that belongs to the hypervisor; 2^32: none

    def msr(self, index: int) -> int:
        for known, value in self.msrs:
            if known == index:
                return value
        return 0

    def with_msr(self, index: int, value: int) -> tuple[tuple[int, int], ...]:
        """The msrs field with one register changed."""
        rest = [(known, old) for known, old in self.msrs if known != index]
        return tuple(sorted([*rest, (index, value)]))
