from pvtrace.timeline.pace import RECORDING, WALKING


def test_slices_are_as_long_as_a_person_can_wait() -> None:
    for pace in (RECORDING, WALKING):
        assert pace.next(100_000, pace.seconds) == 100_000
        assert pace.next(10, 1.0) == pace.fewest
        assert pace.next(1000, 0.0) == pace.most
        assert pace.next(2_000_000, 0.001) == pace.most
