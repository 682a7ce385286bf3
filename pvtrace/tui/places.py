"""How people name a place in time: a step, a way from here, an event, a time, a name. Pure.

69759  69,759     a step
+100  -100        so many steps from here
25%               of the recording
#1234             the event with this number
0.5s 12ms 300us   virtual time
begin  end
try_popf  NAME    a bookmark; else where the function is entered next
"""

import re
from typing import Final

from pvtrace.model.step import Step
from pvtrace.tui.effects import Choose, SeekName, SeekTime
from pvtrace.tui.model import Model
from pvtrace.tui.moves import Outcome, jump, remembered, said

UNITS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_NUMBER: Final = re.compile(r"([+-]?)(\d[\d,_]*)")
_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)%")
_TIME: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(s|ms|us|ns)")


def go_to(model: Model, word: str) -> Outcome:
    """To the place of this name."""
    recording = model.recording
    if number := _NUMBER.fullmatch(word):
        sign, digits = number.groups()
        steps = int(digits.replace(",", "").replace("_", ""))
        return jump(model, Step(steps if not sign else model.here.step + (steps if sign == "+" else -steps)))
    if share := _SHARE.fullmatch(word):
        length = recording.last - recording.first
        return jump(model, Step(recording.first + round(length * min(100.0, float(share[1])) / 100)))
    if word.startswith("#") and word[1:].isdecimal():
        if int(word[1:]) >= recording.events:
            return said(model, f"events are numbered from 0 to {recording.events - 1:,}", wrong=True)
        return remembered(model), (Choose(int(word[1:]), 0, None),)
    if time := _TIME.fullmatch(word):
        return remembered(model), (SeekTime(float(time[1]) * UNITS[time[2]]),)
    if word in ("begin", "end"):
        return jump(model, recording.first if word == "begin" else recording.last)
    return remembered(model), (SeekName(word, anywhere=True),)


def is_place(word: str) -> bool:
    """Whether it can be nothing else: no name, which may be anything."""
    return bool(_NUMBER.fullmatch(word) or _SHARE.fullmatch(word) or _TIME.fullmatch(word) or word.startswith("#"))
