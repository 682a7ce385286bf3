"""`--break-on divergence`: the rules watch a recording as it is made. It is loaded when somebody asks for it, since
recording needs nothing of them."""

from pvtrace.divergence.judge import Judge
from pvtrace.machine.machine import Machine
from pvtrace.model.events import Event
from pvtrace.model.findings import Standing


class DivergenceWatch:
    """Judges the machine while it runs; pauses it when the first proven difference has come, with its sentence."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._judge = Judge(machine)
        self._seen = 0
        self._stopped = False

    def event(self, event: Event) -> None:
        """The machine did this."""
        self._judge.saw(event)
        found = self._judge.found
        while self._seen < len(found) and not self._stopped:
            finding, self._seen = found[self._seen], self._seen + 1
            if finding.standing is Standing.PROVEN:
                self._machine.pause(f"stopped at --break-on divergence: {finding.rule}: {finding.text}")
                self._stopped = True
