"""What an event costs: one kind of event, ROUNDS times, in two lengths (guests/events.c), recorded and replayed.

The difference of the two lengths, by event: microseconds on the wall, microseconds of all CPUs (the writer's thread
works beside the guest), and bytes of the recording with its indexes.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from measure import PVTRACE, Spent, compile_with_kit, spent

SMALL, BIG = 500, 20_500


class Kind(NamedTuple):
    """`what`: a function of guests/events.c; `times`: how many events of its kind it causes; `share`: how many of
    100,000 calls of a kernel's boot under VMI are of this kind, 0 for what is no call or no frequent one."""

    what: str
    name: str
    times: int
    share: int


KINDS: Final = (
    Kind("section", "call: interrupt mask, get, off and back", 3, 51_000),
    Kind("rdtsc", "call: RDTSC", 1, 7_700),
    Kind("set_pxe", "call: SetPxE", 1, 5_700),
    Kind("get_cycle_counter", "call: GetCycleCounter", 1, 1_012),
    Kind("write_gdt_entry", "call: WriteGDTEntry", 1, 2_600),
    Kind("get_cr2", "call: GetCR2", 1, 542),
    Kind("update_kernel_stack", "call: UpdateKernelStack", 1, 443),
    Kind("set_cr3", "call: GetCR3 and SetCR3", 2, 412),
    Kind("inval_page", "call: InvalPage", 1, 275),
    Kind("in", "IN", 1, 0),
    Kind("out", "OUT", 1, 0),
    Kind("cli_sti", "CLI, STI", 2, 0),
    Kind("pushf_popf", "PUSHF, POPF", 2, 0),
    Kind("cpuid", "CPUID", 1, 0),
    Kind("page_fault", "page fault, delivered and returned", 1, 0),
    Kind("software_interrupt", "INT 80h, delivered and returned", 1, 0),
)
"""The shares: a boot of Linux 2.6.32."""


class Cost(NamedTuple):
    """Of one event: microseconds while recording and while replaying, and bytes."""

    record: Spent
    replay: Spent
    size: float


def lines(rounds: int, folder: Path) -> Iterator[str]:
    """The table, and the mean of the calls by their shares."""
    yield f"{'us per event':44}{'record':>10}{'CPU':>8}{'replay':>10}{'CPU':>8}{'bytes':>8}"
    costs = {}
    for kind in KINDS:
        costs[kind] = measure(kind, rounds, folder)
        yield row(kind.name, costs[kind])
    yield row("mean over the calls of a boot", mean({kind: cost for kind, cost in costs.items() if kind.share}))


def row(name: str, cost: Cost) -> str:
    record, replay, size = cost
    return f"{name:44}{record.wall:10.1f}{record.cpu:8.1f}{replay.wall:10.1f}{replay.cpu:8.1f}{size:8.0f}"


def measure(kind: Kind, rounds: int, folder: Path) -> Cost:
    """Medians over the rounds."""
    elves = []
    for count in (SMALL, BIG):
        elf = folder / f"{kind.what}-{count}.elf"
        compile_with_kit(elf, {"EVENT": kind.what, "ROUNDS": str(count)}, "events.c")
        elves.append(elf)
    recorded: list[list[Spent]] = [[], []]
    replayed: list[list[Spent]] = [[], []]
    for _ in range(rounds):
        for index, elf in enumerate(elves):
            trace = str(elf.with_suffix(".pvt"))
            command = (*PVTRACE, "record", str(elf), "-o", trace, "--force", "--console", "null")
            recorded[index].append(spent(command))
            replayed[index].append(spent((*PVTRACE, "replay", trace)))
    small, big = (elf.with_suffix(".pvt").stat().st_size for elf in elves)
    events = (BIG - SMALL) * kind.times
    return Cost(difference(recorded, events), difference(replayed, events), (big - small) / events)


def difference(times: list[list[Spent]], events: int) -> Spent:
    """Microseconds of each event."""
    small, big = (Spent(median(t.wall for t in each), median(t.cpu for t in each)) for each in times)
    return Spent((big.wall - small.wall) / events * 1e6, (big.cpu - small.cpu) / events * 1e6)


def mean(costs: dict[Kind, Cost]) -> Cost:
    """Weighted by the shares."""
    total = sum(kind.share for kind in costs)

    def of(values: list[float]) -> float:
        return sum(kind.share * value for kind, value in zip(costs, values, strict=True)) / total

    return Cost(
        Spent(of([cost.record.wall for cost in costs.values()]), of([cost.record.cpu for cost in costs.values()])),
        Spent(of([cost.replay.wall for cost in costs.values()]), of([cost.replay.cpu for cost in costs.values()])),
        of([cost.size for cost in costs.values()]),
    )
