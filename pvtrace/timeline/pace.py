"""How far a machine runs between two looks at the clock, at Ctrl-C, at a person who waits."""

from typing import Final, NamedTuple


class Pace(NamedTuple):
    """Slices of a run: of `fewest` to `most` steps each, and so that one lasts about so many `seconds` of the host. A
    guest that causes many exits makes few steps in that time."""

    fewest: int
    most: int
    seconds: float

    def next(self, steps: int, seconds: float) -> int:
        """Steps of the next slice, when the last one made `steps` and took `seconds`."""
        wanted = self.most if seconds <= 0 else int(steps * self.seconds / seconds)
        return max(self.fewest, min(self.most, wanted))


WALKING: Final = Pace(5_000, 250_000, 0.02)
"""Where a person waits for the answer."""

RECORDING: Final = Pace(5_000, 2_000_000, 0.05)
