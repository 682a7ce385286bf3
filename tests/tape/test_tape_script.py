import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvtrace.model.errors import UsageError
from pvtrace.model.inputs import InputKind
from pvtrace.tape.scan_codes import AT_A_TIME, KEYS, Slowly, at_the_keyboard, scan_codes
from pvtrace.tape.script import REMEMBERED, Either, Heard, Line, Script, parse, unescaped
from pvtrace.tape.terminal import Escapes


class Typed:
    """A keyboard on which these pieces are typed."""

    scripted = False

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    @property
    def open(self) -> bool:
        return bool(self._pieces)

    def wait(self, seconds: float | None) -> bool:
        del seconds
        return self.open

    def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def say(script: Script, text: bytes) -> None:
    for byte in text:
        script.heard(byte)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (r"ls\n", Line(b"", b"ls\n")),
        (r"login: =>root\r", Line(b"login: ", b"root\r")),
        ("=>a=>b", Line(b"", b"a=>b")),
        (r"\x24 =>\e[A\t\0\\", Line(b"$ ", b"\x1b[A\t\0\\")),
        ("é=>ü", Line("é".encode(), "ü".encode())),
    ],
)
def test_lines(text: str, line: Line) -> None:
    assert parse(text) == line


@pytest.mark.parametrize("text", ["", "wait=>", r"\q", "\\", r"\x4"])
def test_what_is_no_line(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


@given(st.text().filter(lambda text: "\\" not in text))
def test_text_without_escapes_is_itself(text: str) -> None:
    assert unescaped(text) == text.encode()


def test_a_script_goes_on_when_the_guest_does() -> None:
    script = Script([Line(b"login: ", b"root\n"), Line(b"# ", b"ls\n"), Line(b"", b"x")])
    assert script.open
    assert script.read() == b""
    say(script, b"# welcome # log")
    assert not script.wait(None)
    say(script, b"in: ")
    assert script.wait(None)
    assert script.read() == b"root\n"
    assert not script.wait(0)  # what was said before does not count again
    say(script, b"\n# ")
    assert script.read() == b"ls\n"
    assert script.read() == b"x"
    assert not script.open
    assert script.read() == b""


def test_what_follows_a_text_that_was_waited_for_counts() -> None:
    script = Script([Line(b"a", b"1"), Line(b"b", b"2")])
    say(script, b"xaxb")
    assert (script.read(), script.read()) == (b"1", b"2")


def test_a_text_is_found_in_a_long_stream() -> None:
    heard = Heard()
    for _ in range(3 * REMEMBERED):
        heard.byte(0x2E)
    for byte in b"end":
        heard.byte(byte)
    assert heard.ends_with(b".end")
    assert heard.pass_by(b"end")
    assert not heard.pass_by(b"end")


def test_a_person_may_type_beside_a_script() -> None:
    both = Either(Script([Line(b"", b"script"), Line(b"never", b"!")]), Typed(b"person"))
    assert both.wait(None)
    assert both.read() == b"script"
    assert both.wait(None)
    assert both.read() == b"person"
    assert both.open
    assert not both.wait(None)
    assert both.read() == b""


def test_ctrl_a_is_for_pvtrace() -> None:
    stopped = []
    keyboard = Escapes(Typed(b"ab\x01", b"a\x01\x01\x01cd\x01?", b"\x01x"), lambda: stopped.append(True))
    assert keyboard.read() == b"ab"
    assert keyboard.read() == b"\x01\x01\x03d"
    assert not stopped
    assert keyboard.read() == b""
    assert stopped == [True]
    assert not keyboard.open


def test_keys() -> None:
    assert scan_codes(b"a") == b"\x1e\x9e"
    assert scan_codes(b"A!") == b"\x2a\x1e\x9e\xaa\x2a\x02\x82\xaa"
    assert scan_codes(b"\x03") == b"\x1d\x2e\xae\x9d"
    assert scan_codes(b"\xff\x00") == b""
    assert {chr(byte) for byte in KEYS} >= {chr(code) for code in range(0x20, 0x7F)}
    item = at_the_keyboard(b"\n")
    assert (item.kind, item.data) == (InputKind.KEYS, b"\x1c\x9c")


@given(st.binary())
def test_every_key_that_is_pressed_is_released(text: bytes) -> None:
    down: list[int] = []
    for code in scan_codes(text):
        if code & 0x80:
            assert down.pop() == code & 0x7F
        else:
            down.append(code)
    assert not down


def test_keys_come_a_few_at_a_time() -> None:
    keyboard = Slowly(Typed(b"x" * 40))
    pieces = []
    while keyboard.open:
        assert keyboard.wait(None)
        pieces.append(keyboard.read())
    assert [len(piece) for piece in pieces] == [AT_A_TIME, AT_A_TIME, 8]
