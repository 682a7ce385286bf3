"""Law 6 for the real target: whatever comes over the wire, a recording answers it or says what is wrong with it."""

import random

from gdbstub.packet import LONGEST, encode
from gdbstub.session import Session
from pvtrace.gdb.target import RecordingTarget
from pvtrace.session.commands import Commands
from tests.gdbstub.talk import payloads, settle
from tests.gdbstub.test_session import hostile
from tests.timeline.recordings import walk

PACKETS = 10_000

COMMANDS = (
    *(
        "help",
        "when",
        "goto 150",
        "goto end",
        "goto 99999999999999999999",
        "goto -5",
        "events",
        "events nonsense",
        "calls",
    ),
    *(
        "next call",
        "prev interrupt",
        "lastwrite 100000",
        "lastwrite ffffffffffff",
        "lastwrite",
        "vmi",
        "info",
        "checkpoint",
    ),
    *(
        "what-if on",
        "what-if off",
        "what-if perhaps",
        "step-irq into",
        "step-irq skip",
        "step-rom into",
        "step-rom x",
        "",
    ),
)


def words(chance: random.Random) -> bytes:
    """A monitor command, a change, or what a hostile client sends."""
    match chance.randrange(8):
        case 0:
            return b"qRcmd," + chance.choice(COMMANDS).encode().hex().encode()
        case 1:
            return b"P%x=%b" % (chance.randrange(70), chance.randbytes(chance.choice((4, 8, 10, 16))).hex().encode())
        case 2:
            size = chance.choice((0, 1, 4, 5000))
            return b"M%x,%x:%b" % (chance.getrandbits(chance.choice((8, 20, 24, 32, 64))), size, b"00" * size)
        case 3:
            return chance.choice((b"s", b"bs", b"c", b"bc", b"vCont;s:1", b"vCont;r100000,100010:1", b"R00", b"vRun;"))
        case 4:
            kind, address = chance.randrange(6), chance.getrandbits(chance.choice((8, 21, 32, 33)))
            return b"%c%d,%x,%x" % (chance.choice(b"Zz"), kind, address, chance.choice((1, 4, 4096, 1 << 32)))
        case _:
            return hostile(chance)


def test_ten_thousand_hostile_packets() -> None:
    """Also in a branch and out of it again: the recording is walked to its end when all is over."""
    chance = random.Random(20062)
    notes: list[str] = []
    with walk("interrupts") as opened:
        target = RecordingTarget(opened, Commands(opened), notes.append)
        session = Session(target)
        for number in range(PACKETS):
            request = encode(words(chance))
            cut = chance.randrange(len(request))
            for piece in (request[:cut], request[cut:]):
                sent, ended = settle(session, session.receive(piece))
                assert all(len(payload) <= LONGEST for payload in payloads(sent))
            if ended or number % 500 == 499:
                session = Session(target)
        opened.timeline.rejoin()
        opened.timeline.seek(opened.timeline.last)
