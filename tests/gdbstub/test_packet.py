"""Law 6, wire: framing loses nothing, wherever it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbstub.errors import ProtocolError
from gdbstub.packet import (
    LONGEST,
    Damaged,
    Overlong,
    Packet,
    Reader,
    compress,
    decode,
    encode,
    escape,
    expand,
    unescape,
)

PAYLOADS = st.one_of(
    st.binary(max_size=300), st.lists(st.sampled_from([b"\0" * 200, b"}}}}", b"****", b"#$", b"a"])).map(b"".join)
)
NOISE = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"+", b"-", b"\x03", b"$", b"$#", b"#00", b"}", b"$}#7d", b"$g#67"])
)


@given(PAYLOADS, st.booleans())
def test_decode_undoes_encode(payload: bytes, compressed: bool) -> None:
    assert decode(encode(payload, compressed)) == payload


@given(PAYLOADS)
def test_run_lengths_are_undone_and_never_longer(payload: bytes) -> None:
    body = escape(payload)
    assert expand(compress(body)) == body
    assert len(compress(body)) <= len(body)
    assert unescape(body) == payload


@given(st.integers(1, 500))
def test_runs_use_no_forbidden_count(times: int) -> None:
    assert not set(compress(b"0" * times)) & set(b"$#+-")


@given(st.lists(st.one_of(PAYLOADS.map(encode), NOISE), max_size=8).map(b"".join), st.data())
def test_feeding_in_pieces_finds_the_same(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader, found = Reader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:end])
    assert found == Reader().feed(stream)


@given(PAYLOADS, st.binary(max_size=20).filter(lambda noise: b"$" not in noise))
def test_a_packet_is_found_behind_anything(payload: bytes, noise: bytes) -> None:
    assert Reader().feed(noise + encode(payload))[-1] == Packet(payload)


def test_a_dollar_begins_anew() -> None:
    assert Reader().feed(b"$abc$g#67") == [Packet(b"g")]


@pytest.mark.parametrize("size", [LONGEST + 1, LONGEST * 3])
def test_too_much_is_told_and_forgotten(size: int) -> None:
    reader = Reader()
    assert reader.feed(b"$" + b"a" * size) == []
    assert reader.feed(b"#00" + encode(b"g")) == [Overlong(), Packet(b"g")]
    assert Reader().feed(encode(b"a" * LONGEST)) == [Packet(b"a" * LONGEST)]


@pytest.mark.parametrize("frame", [b"$g#68", b"$g#xy", b"$a}#de"])
def test_damage_is_seen(frame: bytes) -> None:
    assert Reader().feed(frame) == [Damaged()]
    with pytest.raises(ProtocolError):
        decode(frame)


@pytest.mark.parametrize("frame", [b"", b"g", b"$g#", b"$*!#4b", b"$a*#8b", b"$$g#8b"])
def test_what_is_no_packet_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(frame)


def test_the_example_of_the_manual() -> None:
    assert expand(b"0* ") == b"0000"
    assert encode(b"g") == b"$g#67"
