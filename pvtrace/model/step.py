"""The one coordinate of time.

A *step* is one dispatch of an instruction since reset:

* an instruction that completes is one step;
* an instruction that faults is one step as well (its dispatch), so that the state before a fault and the state at the
  entry of its handler have different step numbers; executing it again after the handler is a further step;
* an instruction that the machine emulates (a VMI call, a privileged or a sensitive instruction, port I/O) is one step;
* a string instruction with REP is one step for each iteration, and one more for the dispatch that finds ECX = 0;
* delivering an external interrupt is not a step: it belongs to the step after which it is taken.

The state *at* step s is the state after s dispatches and after everything due at s has been delivered; it is unique.
"""

from typing import Final, NewType

Step = NewType("Step", int)

NEVER: Final = Step(1 << 62)
"""A step that no run reaches; 'no limit'."""

RESET: Final = Step(0)
