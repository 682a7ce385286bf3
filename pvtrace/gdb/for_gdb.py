"""Commands for gdb: `pvtrace goto 1000`, `pvtrace next fault`, and so on, with completion.

Runs inside gdb, whose Python knows nothing of the package: load it with `source`, or use `pvtrace gdb`. Each command
is the monitor command of the same name, and gdb then looks at the new place by itself.
"""

import gdb

KINDS = ("call", "fault", "interrupt", "return", "flag", "port", "console", "instruction", "mode", "time", "note")

GOALS = ("divergence", *KINDS)

COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "when": ("Where you are: step and virtual time.", ()),
    "goto": ("Go to a step, a bookmark, begin or end.", ("begin", "end")),
    "events": ("What happened around here.", KINDS),
    "calls": ("VMI calls around here.", ()),
    "divergences": ("Differences from native hardware around here.", ()),
    "explain": ("What the difference here is, or all about a rule.", ()),
    "next": ("Go to the next event of a kind, or the next divergence.", GOALS),
    "prev": ("Go to the last event of a kind before here, or the last divergence.", GOALS),
    "lastwrite": ("Go to the instruction that wrote a byte last.", ()),
    "vmi": ("What the guest believes: virtual IF, IOPL, tables.", ()),
    "info": ("What is recorded, and how much of it was verified.", ()),
    "bookmark": ("Keep this place under a name, or list those kept.", ()),
    "checkpoint": ("Make coming back here quick.", ()),
    "step-irq": ("Whether stepping skips the handlers of interrupts.", ("skip", "into")),
    "step-rom": ("Whether stepping skips the stubs of a VMI ROM.", ("skip", "into")),
    "what-if": ("Leave the recording here, to change things; or come back.", ("on", "off")),
}


class Prefix(gdb.Command):
    """Walk in a pvtrace recording."""

    def __init__(self) -> None:
        super().__init__("pvtrace", gdb.COMMAND_RUNNING, prefix=True)


class Walking(gdb.Command):
    """One of COMMANDS."""

    def __init__(self, name: str, doc: str, words: tuple[str, ...]) -> None:
        self.__doc__ = doc
        self._name = name
        self._words = words
        super().__init__(f"pvtrace {name}", gdb.COMMAND_RUNNING)

    def complete(self, text: str, word: str) -> list[str]:
        del text
        return [choice for choice in self._words if choice.startswith(word)]

    def invoke(self, argument: str, from_tty: bool) -> None:
        if self._name == "lastwrite" and argument:
            argument = hex(int(gdb.parse_and_eval(argument)) & 0xFFFFFFFF)
        before = _step()
        text = gdb.execute(f"monitor {self._name} {argument}", to_string=True)
        gdb.write("".join(line for line in text.splitlines(True) if not line.startswith("(for gdb to see it")))
        gdb.execute("maintenance flush register-cache", to_string=True)
        gdb.execute("maintenance flush dcache", to_string=True)
        if before != _step() and from_tty:
            gdb.execute("frame")


def _step() -> int:
    return int(gdb.parse_and_eval("(unsigned long long)$step"))


Prefix()
for _name, (_doc, _words) in COMMANDS.items():
    Walking(_name, _doc, _words)
