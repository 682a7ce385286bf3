"""What the hypervisor under a paravirtual guest keeps for itself, as far as a guest can see it.

SGDT, SIDT, SLDT and STR do not trap, so a paravirtual guest reads the hypervisor's own registers with them: fixed
values inside the hole at the top of linear space, and selectors behind those that guests use.
"""

from typing import Final

from pvtrace.model.registers import TableRegister

GDTR: Final = TableRegister(0xFC000000, 0xFFFF)
IDTR: Final = TableRegister(0xFC010000, 0x7FF)
LDTR_SELECTOR: Final = 0xFFE8
TR_SELECTOR: Final = 0xFFF0
