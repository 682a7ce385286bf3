import pytest

from pvtrace.machine.landmarks import landmark


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"Linux version 2.6.32 (me@here) #1\r\n", "Linux version 2.6.32 (me@here) #1"),
        (b"[    0.000000] Booting paravirtualized kernel on vmi\n", "Booting paravirtualized kernel on vmi"),
        (b"<0>[   12.345678] Kernel panic - not syncing: init died!", "Kernel panic - not syncing: init died!"),
        (b"<0>Kernel panic - not syncing: VFS", "Kernel panic - not syncing: VFS"),
        (b"BUG: unable to handle kernel NULL pointer", "BUG: unable to handle kernel NULL pointer"),
        (b"Oops: 0002 [#1] \xff", "Oops: 0002 [#1] \\xff"),
        (b"debug: Kernel panic is what I do not say\n", None),
        (b"Linux version\n", None),
        (b"", None),
    ],
)
def test_lines_that_mark_a_moment(line: bytes, said: str | None) -> None:
    assert landmark(line) == said
