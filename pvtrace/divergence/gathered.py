"""What was found until now. Findings that claim something are all kept; potential ones once for a place, counted."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pvtrace.divergence.sections import NOT_RESTORED
from pvtrace.model.findings import Finding, Standing


class Gathered:
    """By index, which is what Finding.opened_by means."""

    def __init__(self) -> None:
        self._found: list[Finding] = []
        self._potential: dict[tuple[str, int, str], int] = {}  # index by rule, address and what differs
        self._times: Counter[int] = Counter()  # how often it was seen after the first time, by index

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: int) -> Finding:
        """`times` is 1; see `all`."""
        return self._found[index]

    def all(self) -> tuple[Finding, ...]:
        """In the order in which they were found, which is that of their steps."""
        found = list(self._found)
        for index, times in self._times.items():
            found[index] = replace(found[index], times=1 + times)
        return tuple(found)

    def again(self, index: int) -> None:
        """This one was seen once more."""
        self._times[index] += 1

    def add(self, findings: Iterable[Finding]) -> range:
        """The indices of those that are new."""
        start = len(self._found)
        for finding in findings:
            if finding.standing is Standing.POTENTIAL and self._is_known(finding):
                continue
            self._found.append(finding)
        return range(start, len(self._found))

    def _is_known(self, finding: Finding) -> bool:
        """Counts it, too."""
        index = self._potential.setdefault((finding.rule, finding.pc, finding.what), len(self._found))
        if index == len(self._found):
            return False
        self.again(index)
        return True

    def shown_by(self, indices: Iterable[int], event: int) -> None:
        """The event with this number shows them."""
        for index in indices:
            self._found[index] = replace(self._found[index], event=event)

    def opening(self, indices: Sequence[int]) -> int | None:
        """The one of these since which native IF is another; what was not restored there follows from it."""
        opened = next((index for index in indices if opens(self._found[index])), None)
        for index in indices:
            finding = self._found[index]
            if finding.rule == NOT_RESTORED and finding.opened_by is None:
                self._found[index] = replace(finding, opened_by=opened)
        return opened


def opens(finding: Finding) -> bool:
    """Whether native IF is another since then."""
    return finding.what == "eflags.IF" and finding.standing is Standing.PROVEN
