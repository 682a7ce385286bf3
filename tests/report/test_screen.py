from pvtrace.report import screen


def memory(text: str, attribute: int = 7) -> bytes:
    cells = b"".join(bytes([code, attribute]) for code in text.encode("cp437"))
    return cells + b" \x07" * ((screen.SIZE - len(cells)) // 2)


def test_the_screen_as_text() -> None:
    rows = screen.rows(memory("Grüße ░▒▓"))
    assert len(rows) == 25
    assert rows[0] == "Grüße ░▒▓"
    assert set(rows[1:]) == {""}
    assert screen.rows(bytes(screen.SIZE)) == [""] * 25
    assert screen.rows(bytes([1, 7, 0x7F, 7, 0xFF, 7]) + bytes(screen.SIZE - 6))[0] == "☺⌂\xa0".rstrip()


def test_colours() -> None:
    """Light red on blue is 91 on 44 at a terminal: its colours are numbered the other way round."""
    rows = screen.coloured(memory("ab", 0x1C))
    assert rows[0].startswith("\x1b[0;91;44mab\x1b[0;37;40m ")
    assert rows[0].endswith("\x1b[0m")
    assert rows[1] == "\x1b[0;37;40m" + " " * 80 + "\x1b[0m"
