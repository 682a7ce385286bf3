"""Conversations, packet by packet; and whatever else may arrive."""

import random
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbstub import commands
from gdbstub.actions import Detach, Kill, Send, Work
from gdbstub.memory import crc
from gdbstub.packet import LONGEST, encode
from gdbstub.session import MOST_WAITING, Session
from gdbstub.stops import Halted, Signalled
from tests.gdbstub.talk import ask, payloads, settle
from tests.gdbstub.toy import AGAIN, BASE, DESCRIPTION, PROGRAM, STORE, Plain, Toy

HELLO = b"qSupported:swbreak+;hwbreak+;xmlRegisters=i386"


@pytest.fixture
def session() -> Session:
    opened = Session(Toy())
    ask(opened, HELLO)
    ask(opened, b"QStartNoAckMode")
    return opened


def test_what_is_told_is_what_is_offered() -> None:
    (rich,) = ask(Session(Toy()), HELLO)
    for word in (
        b"ReverseStep+",
        b"swbreak+",
        b"ConditionalBreakpoints+",
        b"qXfer:memory-map:read+",
        b"QStartNoAckMode+",
    ):
        assert word in rich.split(b";")
    (poor,) = ask(Session(Plain()), HELLO)
    assert poor.split(b";") == [
        b"PacketSize=%x" % LONGEST,
        b"QStartNoAckMode+",
        b"vContSupported+",
        b"qXfer:features:read+",
        b"qXfer:threads:read+",
    ]


@pytest.mark.parametrize(
    "packet",
    [b"bs", b"bc", b"Z0,1000,1", b"Z1,1000,1", b"Z2,1000,4", b"qRcmd,00", b"R00", b"vRun;", b"!", b"vFile:setfs:0"],
)
def test_what_is_not_offered_is_unknown(packet: bytes) -> None:
    assert ask(Session(Plain()), packet) == [b""]


@pytest.mark.parametrize(
    "packet", [b"vMustReplyEmpty", b"qOffsets", b"qTStatus", b"qSymbol::", b"vNonsense;1", b"", b"j", b"Z9,0,0"]
)
def test_unknown_packets_get_the_empty_reply(session: Session, packet: bytes) -> None:
    assert ask(session, packet) == [b""]


MALFORMED = [
    b"m",
    b"mzz,4",
    b"m0,4",
    b"m1000",
    b"m1000,4,4",
    b"M1000,4:00",
    b"M1000,1:0",
    b"X1000,4:a",
    b"p",
    b"pffff",
    b"P0",
    b"P0=00",
    b"G00",
    b"Hx0",
    b"Hg5",
    b"Hg",
    b"T2",
    b"Tq",
    b"vCont",
    b"vCont;",
    b"vCont;q",
    b"vCont;s:7",
    b"vCont;r1",
    b"Z0,1000",
    b"Z0,q,1",
    b"Z0,1000,1;X",
    b"Z0,1000,1;X2,22",
    b"Z0,1000,1;X1,ff",
    b"Z2,1000,0",
    b"Z3,1000,4",
    b"qCRC:0,4",
    b"qCRC:q",
    b"S",
    b"C",
    b"sq",
    b"qSearch:memory:0;4;x",
    b"qSearch:memory:1000;4;",
    b"qSearch:disk:1000;4;x",
    b"qRcmd,0",
    b"qThreadExtraInfo,9",
    b"qXfer:features:write:target.xml:0,1",
    b"qXfer:features:read:other.xml:0,1",
    b"qXfer:features:read:target.xml:0",
]


@pytest.mark.parametrize("packet", MALFORMED)
def test_malformed_arguments_get_an_error(session: Session, packet: bytes) -> None:
    (reply,) = ask(session, packet)
    assert reply[:1] == b"E"


def test_acknowledgements() -> None:
    opened = Session(Toy())
    assert opened.receive(b"$g#00") == [Send(b"-")]
    first = opened.receive(encode(b"?"))
    assert first == [Send(b"+"), Send(b"$T05thread:1;#d7")]
    assert opened.receive(b"-") == first[1:]
    assert opened.receive(b"+") == []
    assert opened.receive(encode(b"QStartNoAckMode"))[0] == Send(b"+")
    assert opened.receive(encode(b"?")) == first[1:]
    assert opened.receive(b"$g#00-") == []


def test_a_packet_that_is_too_long_gets_an_error(session: Session) -> None:
    sent, _ = settle(session, session.receive(b"$" + b"m" * 200_000 + b"#00"))
    assert payloads(sent) == [b"E.this packet is too long"]


def test_registers(session: Session) -> None:
    (before,) = ask(session, b"g")
    assert len(before) == 2 * sum(register.size for register in DESCRIPTION.registers)
    assert b"xx" in before
    assert ask(session, b"P0=78563412") == [b"OK"]
    assert ask(session, b"p0") == [b"78563412"]
    assert ask(session, b"p10") == [b"xx" * 10]
    assert ask(session, b"P1=00000000") == [b"E.only eax and eip can be written"]
    (after,) = ask(session, b"g")
    assert ask(session, b"G" + before.replace(b"x", b"0")) == [b"OK"]
    assert ask(session, b"g") == [before]
    assert after != before


def test_memory(session: Session) -> None:
    assert ask(session, b"m1000,5") == [PROGRAM[:5].hex().encode()]
    assert ask(session, b"m2ff0,100") == [b"00" * 16]
    assert ask(session, b"X1100,0:") == [b"OK"]
    assert ask(session, b"X1100,4:\x03#$}") == [b"OK"]
    assert ask(session, b"m1100,4") == [b"0323247d"]
    assert ask(session, b"M1100,2:abcd") == [b"OK"]
    assert ask(session, b"m1100,2") == [b"abcd"]
    assert ask(session, b"m1000,ffffffffffffffff") == [ask(session, b"m1000,2000")[0]]


def test_search_and_checksum(session: Session) -> None:
    assert ask(session, b"qSearch:memory:1000;1000;\x90\xeb") == [b"1,%x" % (BASE + 11)]
    assert ask(session, b"qSearch:memory:1000;1000;\x90\x90") == [b"0"]
    assert crc(iter([b"123456789"])) == 0x0376E6E7  # CRC-32/MPEG-2
    assert ask(session, b"qCRC:1000,e") == [b"C%x" % crc(iter([PROGRAM[:5], PROGRAM[5:]]))]


def test_steps_and_breakpoints(session: Session) -> None:
    assert ask(session, b"vCont?") == [b"vCont;c;C;s;S;r"]
    assert ask(session, b"s") == [b"T05thread:1;"]
    assert ask(session, b"Z0,%x,1" % STORE) == [b"OK"]
    assert ask(session, b"c") == [b"T05thread:1;swbreak:;"]
    assert ask(session, b"z0,%x,1" % STORE) == [b"OK"]
    assert ask(session, b"Z1,%x,1" % AGAIN) == [b"OK"]
    assert ask(session, b"vCont;c:p1.-1") == [b"T05thread:1;hwbreak:;"]
    assert ask(session, b"vCont;s:1;c") == [b"T05thread:1;"]
    assert ask(session, b"vCont;r%x,%x:1" % (STORE, STORE + 6)) == [b"T05thread:1;"]
    assert ask(session, b"bc") == [b"T05thread:1;hwbreak:;"]
    assert ask(session, b"z1,%x,1" % AGAIN) == [b"OK"]
    assert ask(session, b"bc") == [b"T05thread:1;replaylog:begin;"]
    assert ask(session, b"bs") == [b"T05thread:1;replaylog:begin;"]


def test_reasons_are_only_told_to_who_knows_them() -> None:
    opened = Session(Toy())
    ask(opened, b"qSupported:multiprocess+")
    ask(opened, b"Z0,%x,1" % STORE)
    assert ask(opened, b"c") == [b"T05thread:1;"]


def test_watchpoints_in_both_directions(session: Session) -> None:
    assert ask(session, b"Z2,2000,4") == [b"OK"]
    assert ask(session, b"c") == [b"T05thread:1;watch:2000;"]
    assert ask(session, b"m2000,4") == [b"04000000"]
    assert ask(session, b"c") == [b"T05thread:1;watch:2000;"]
    assert ask(session, b"bc") == [b"T05thread:1;watch:2000;"]
    assert ask(session, b"m2000,4") == [b"04000000"]
    assert ask(session, b"z2,2000,4") == [b"OK"]


def test_conditions(session: Session) -> None:
    """eax == 9, in the bytecode that gdb sends."""
    assert ask(session, b"Z0,%x,1;X7,26000022091327" % STORE) == [b"OK"]
    assert ask(session, b"c") == [b"T05thread:1;swbreak:;"]
    assert ask(session, b"p0") == [b"09000000"]


def test_the_end_is_told_with_its_message() -> None:
    opened = Session(Toy(end=5))
    assert ask(opened, b"c") == [b"O" + b"this is the end\n".hex().encode(), b"T05thread:1;replaylog:end;"]
    assert ask(opened, b"s") == [b"T05thread:1;replaylog:end;"]


def test_monitor(session: Session) -> None:
    assert ask(session, b"qRcmd," + b"hello".hex().encode()) == [b"O" + b"you said hello\n".hex().encode(), b"OK"]
    assert ask(session, b"qRcmd," + b"nothing".hex().encode()) == [b"OK"]
    much = ask(session, b"qRcmd," + b"much".hex().encode())
    assert b"".join(bytes.fromhex(piece[1:].decode()) for piece in much[:-1]) == b"you said much\n" * 1000


def test_interrupt_while_running(session: Session) -> None:
    (work,) = session.receive(encode(b"c"))
    assert isinstance(work, Work)
    assert session.receive(b"\x03" + encode(b"?")) == []
    sent, _ = settle(session, [work])
    assert payloads(sent) == [b"T02thread:1;", b"T05thread:1;"]
    assert not session.interrupted
    assert session.receive(b"\x03") == []
    assert not session.interrupted


def test_detach_kill_and_run_again(session: Session) -> None:
    assert settle(session, session.receive(encode(b"D;1")))[1] == [Detach()]
    assert settle(session, session.receive(encode(b"k"))) == (b"", [Kill()])
    assert settle(session, session.receive(encode(b"vKill;1")))[1] == [Kill()]
    other = Session(Toy())
    assert ask(other, b"!") == [b"OK"]
    ask(other, b"s")
    assert ask(other, b"vKill;1") == [b"OK"]
    assert ask(other, b"?") == [b"W00"]
    assert ask(other, b"g") == [b"E.the program is not being run"]
    assert ask(other, b"vRun;") == [b"T05thread:1;"]
    assert ask(other, b"p8") == [struct.pack("<I", BASE).hex().encode()]
    ask(other, b"s")
    assert ask(other, b"R00") == []
    assert ask(other, b"p8") == [struct.pack("<I", BASE).hex().encode()]


def test_threads(session: Session) -> None:
    assert ask(session, b"qfThreadInfo") == [b"m1"]
    assert ask(session, b"qsThreadInfo") == [b"l"]
    assert ask(session, b"qC") == [b"QC1"]
    assert ask(session, b"qAttached") == [b"1"]
    for thread in (b"0", b"-1", b"1", b"p1.1", b"p1.-1", b"p0.0"):
        assert ask(session, b"Hg" + thread) == [b"OK"]
    assert ask(session, b"T1") == [b"OK"]
    assert ask(session, b"qThreadExtraInfo,1") == [b"toy".hex().encode()]


def test_objects_come_in_pieces(session: Session) -> None:
    whole, at = b"", 0
    while True:
        (piece,) = ask(session, b"qXfer:features:read:target.xml:%x,100" % at)
        whole += piece[1:]
        at += len(piece) - 1
        if piece[:1] == b"l":
            break
    assert whole == DESCRIPTION.xml.encode()
    assert ask(session, b"qXfer:exec-file:read::0,1000") == [b"l/toy.elf"]
    assert b'<memory type="ram" start="0x1000" length="0x2000"/>' in ask(session, b"qXfer:memory-map:read::0,1000")[0]
    assert b'<thread id="1"' in ask(session, b"qXfer:threads:read::0,1000")[0]
    assert ask(session, b"qXfer:siginfo:read::0,1000") == [b""]


def test_files(session: Session) -> None:
    def named(name: bytes, flags: int = 0) -> bytes:
        return ask(session, b"vFile:open:%s,%x,0" % (name.hex().encode(), flags))[0]

    assert ask(session, b"vFile:setfs:0") == [b"F0"]
    assert named(b"just probing") == b"F-1,2"
    assert named(b"/toy.bin", 1) == b"F-1,1e"
    assert named(b"/toy.bin") == b"F3"
    assert ask(session, b"vFile:pread:3,100,1") == [b"Fd;" + PROGRAM[1:]]
    assert ask(session, b"vFile:pread:3,100,100") == [b"F0;"]
    (stat,) = ask(session, b"vFile:fstat:3")
    assert stat[:4] == b"F40;"
    assert len(stat) == 4 + 64
    assert int.from_bytes(stat[4 + 28 : 4 + 36], "big") == len(PROGRAM)
    assert ask(session, b"vFile:close:3") == [b"F0"]
    for packet in (b"vFile:close:3", b"vFile:pread:3,1,0", b"vFile:fstat:3"):
        assert ask(session, packet) == [b"F-1,9"]
    for packet in (b"vFile:open:zz,0,0", b"vFile:open", b"vFile:pread:q", b"vFile:pread:3,-1,0"):
        assert ask(session, packet)[0][:3] == b"F-1"
    assert ask(session, b"vFile:teleport:3") == [b""]


WORDS = [command.name for command in commands.TABLE]
TAILS = [
    b"",
    b"0",
    b"1000,4",
    b":",
    b";",
    b",",
    b"1000,4:00000000",
    b"p1.1",
    b"\xff\x00",
    b";X3,222727",
    b"-1,-1",
    b"1000,ffffffffffffffff",
]


def hostile(chance: random.Random) -> bytes:
    """A packet that looks more or less like one."""
    match chance.randrange(4):
        case 0:
            return chance.randbytes(chance.randrange(60))
        case 1:
            return chance.choice(WORDS) + chance.randbytes(chance.randrange(20))
        case 2:
            return chance.choice(WORDS) + b"".join(chance.choices(TAILS, k=chance.randrange(4)))
        case _:
            return chance.choice(WORDS) + chance.choice([b",", b":", b";", b""]) + b"".join(chance.choices(TAILS, k=2))


def test_a_hundred_thousand_hostile_packets() -> None:
    """Each gets replies that are packets, or is a reason to leave; nothing raises, nothing hangs."""
    chance = random.Random(20061)
    session = Session(Toy(end=300))
    for number in range(100_000):
        if number % 1000 == 0:
            session = Session(Toy(end=300))
        request = encode(hostile(chance))
        whole = chance.random() > 0.02
        if not whole:
            request = request[: chance.randrange(len(request))] + b"$g#67"
        sent, ends = settle(session, session.receive(request))
        assert not session.busy
        if ends:
            session = Session(Toy(end=300))
        elif whole and not request.startswith(b"$R"):
            assert sent, request


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([b"g", b"c", b"s", b"?", b"bc", b"m1000,10", b"Z0,1006,1", b"QStartNoAckMode"])), st.data()
)
def test_cuts_do_not_matter(requests: Sequence[bytes], data: st.DataObject) -> None:
    stream = b"".join(encode(request) + data.draw(st.sampled_from([b"", b"+", b"\x03", b"-"])) for request in requests)
    cut = data.draw(st.integers(0, len(stream)))
    one, two = Session(Toy(end=50)), Session(Toy(end=50))
    whole = one.receive(stream)
    pieces = two.receive(stream[:cut]) + two.receive(stream[cut:])
    assert [type(action) for action in whole] == [type(action) for action in pieces]
    assert one.interrupted == two.interrupted
    assert settle(one, whole) == settle(two, pieces)


def test_work_may_fail(session: Session) -> None:
    (work,) = session.receive(encode(b"qCRC:0,10"))
    assert isinstance(work, Work)
    sent, _ = settle(session, [work])
    assert payloads(sent) == [b"E0e"]
    assert session.done(Halted(Signalled())) != []


def test_what_floods_in_while_the_target_runs_is_not_kept_without_end() -> None:
    session = Session(Toy())
    (_, work) = session.receive(encode(b"c"))
    assert isinstance(work, Work)
    for _ in range(5 * MOST_WAITING):
        assert not session.receive(encode(b"?"))
    sent, _ = settle(session, session.done(Halted(Signalled())))
    assert len(payloads(sent)) <= MOST_WAITING + 1
