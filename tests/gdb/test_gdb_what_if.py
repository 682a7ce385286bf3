"""What would have been, under the real gdb: nothing is changed by accident, and the recording is not touched."""

import hashlib
import re

from pvtrace.session.replay import replay
from tests.gdb.test_gdb_sessions import Serve, numbers

TO_MAIN = ("break main", "continue", "delete")


def test_changes_are_refused_until_what_if_is_on(serve: Serve) -> None:
    served = serve("irqs")
    said = served.script(*TO_MAIN, "print $eax = 5", "monitor what-if", "monitor what-if on", "print $eax = 5")
    assert 'Could not write register "eax"' in said
    assert "what-if off: this is the recording" in said
    assert re.search(r"what-if on since step [\d,]+: registers and memory can be changed", said)
    assert "$1 = 5" in said


def test_a_variable_is_changed_and_the_recording_is_not(serve: Serve) -> None:
    served = serve("irqs")
    before = hashlib.sha256(served.recording.read_bytes()).digest()
    said = served.script(
        *TO_MAIN,
        "monitor what-if on",
        "set var ticks = 1000",
        "print ticks",
        "break on_timer",
        "continue",
        "print ticks",
        "reverse-stepi 20",
        "print ticks",
        "monitor what-if off",
        "maintenance flush register-cache",
        "print ticks",
        "continue",
        "print ticks",
    )
    assert numbers(said) == [1000, 1000, 1000, 0, 0]
    assert hashlib.sha256(served.recording.read_bytes()).digest() == before
    replay(served.recording)


def test_functions_of_the_guest_can_be_called(serve: Serve) -> None:
    said = serve("userland").script(
        "break try_popf", "continue", "monitor what-if on", "print $step", 'print strlen("hello")', "print $eip"
    )
    if "No symbol" in said:
        said = serve("irqs").script("break enable", "continue", "monitor what-if on", "call still_masked()", "bt 1")
        assert "enable ()" in said
        return
    assert numbers(said)[1] == 5


def test_going_back_before_the_branch_is_the_recording_again(serve: Serve) -> None:
    said = serve("irqs").script(
        *TO_MAIN,
        "print $step",
        "monitor what-if on",
        "print $eax = 77",
        "stepi 3",
        "reverse-stepi 3",
        "print $eax",
        "reverse-stepi",
        "print $step",
        "monitor what-if",
        "stepi",
        "print $eax == 77",
    )
    begun, set_to, still, back, then = numbers(said)
    assert (set_to, still) == (77, 77)
    assert back < begun
    assert "back in the recording" in said
    assert "what-if off: this is the recording" in said
    assert then == 0


def test_the_guest_goes_on_beyond_the_end_of_the_recording(serve: Serve) -> None:
    """Its last call, which shuts the machine down, is not made."""
    served = serve("irqs")
    said = served.script(
        "monitor goto end",
        "maintenance flush register-cache",
        "print $step",
        "reverse-stepi",
        "monitor what-if on",
        "print $step",
        "set var $eip = _start",
        "stepi 50",
        "print $step",
    )
    end, before, beyond = numbers(said)
    assert before < end < beyond
