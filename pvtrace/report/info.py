"""What a trace is, as text and as plain values for JSON: where it is from, how far it goes, and its digests."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pvtrace.report.table import columns
from pvtrace.store.listing import input_bytes, table_sizes
from pvtrace.store.meta import Meta
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import Checkpoint, Ending, Progress


@dataclass(frozen=True, slots=True)
class Info:
    """`size` in bytes; `files`: role, name and SHA-256; `input_size`: bytes that came from outside; `rows` by table."""

    path: str
    size: int
    meta: Meta
    files: tuple[tuple[str, str, str], ...]
    progress: Progress
    ending: Ending | None
    finished: bool
    last_checkpoint: Checkpoint | None
    input_size: int
    rows: Mapping[str, int]


def info(trace: TraceReader) -> Info:
    """Raises TraceError if the trace is damaged."""
    progress = trace.progress()
    return Info(
        path=str(trace.path),
        size=trace.path.stat().st_size,
        meta=trace.meta,
        files=tuple((file.role, file.name, hashlib.sha256(file.data).hexdigest()) for file in trace.files),
        progress=progress,
        ending=trace.ending(),
        finished=trace.finished,
        last_checkpoint=trace.checkpoint_before(progress.step),
        input_size=input_bytes(trace),
        rows=table_sizes(trace),
    )


def text(found: Info) -> Iterator[str]:
    """Aligned lines."""
    yield from columns(list(_pairs(found)))


def _pairs(found: Info) -> Iterator[tuple[str, str]]:
    meta, (step, mark) = found.meta, found.progress
    yield "trace", f"{found.path}, {found.size:,} bytes"
    yield "recorded", f"{meta.recorded_at} by pvtrace {meta.pvtrace} with {meta.engine} {meta.engine_version}"
    yield "command", " ".join(meta.command_line)
    for role, name, sha256 in found.files:
        yield role, f"{name}, SHA-256 {sha256}"
    yield "machine", f"{meta.ram >> 20:,} MiB of memory, {meta.hz:,} Hz, {meta.clock} clock, VMI {meta.vmi}"
    yield "end", _end(found)
    yield "events", f"{mark.events:,}"
    yield "input log", _inputs(found)
    yield "checkpoints", f"{found.rows['checkpoint']:,} with {found.rows['checkpoint_page']:,} pages"
    if found.last_checkpoint is not None:
        yield from _digests(found.last_checkpoint, step)
    else:
        yield "digest of events", mark.event_digest.hex()


def _end(found: Info) -> str:
    step = f"step {found.progress.step:,}"
    if found.ending is None:
        return f"{step}; the recording goes on, or was cut short: it can be replayed until there"
    _, why, code, detail, _ = found.ending
    return f"{step}: {why.value}" + (f", code {code}" if code else "") + (f" ({detail})" if detail else "")


def _inputs(found: Info) -> str:
    count = found.progress.mark.inputs
    if not count:
        return "empty: a silent guest, nothing came from outside"
    return f"{count:,} inputs, {found.input_size:,} bytes"


def _digests(checkpoint: Checkpoint, last: int) -> Iterator[tuple[str, str]]:
    step, mark, state, ram, whole = checkpoint
    at = "" if step == last else f" (at step {step:,}, the last checkpoint)"
    yield "digest", whole.hex() + at
    yield "  of RAM", ram.hex()
    yield "  of CPU, devices, VMI state", state.hex()
    yield "  of events", mark.event_digest.hex()
    yield "  of inputs", mark.input_digest.hex()


def plain(found: Info) -> Mapping[str, object]:
    """For JSON; digests in hexadecimal."""
    meta, ending, checkpoint = found.meta, found.ending, found.last_checkpoint
    return {
        "path": found.path,
        "size": found.size,
        "pvtrace": meta.pvtrace,
        "engine": meta.engine,
        "engine_version": meta.engine_version,
        "recorded_at": meta.recorded_at,
        "command_line": list(meta.command_line),
        "files": [{"role": role, "name": name, "sha256": sha256} for role, name, sha256 in found.files],
        "ram": meta.ram,
        "hz": meta.hz,
        "clock": meta.clock,
        "vmi": meta.vmi,
        "settings": dict(meta.settings),
        "step": found.progress.step,
        "finished": found.finished,
        "ending": ending and {"why": ending.why.value, "code": ending.code, "detail": ending.detail},
        "events": found.progress.mark.events,
        "inputs": found.progress.mark.inputs,
        "input_bytes": found.input_size,
        "rows": dict(found.rows),
        "digest": checkpoint
        and {
            "step": checkpoint.step,
            "all": checkpoint.digest.hex(),
            "ram": checkpoint.ram_digest.hex(),
            "state": checkpoint.state.hex(),
            "events": checkpoint.mark.event_digest.hex(),
            "inputs": checkpoint.mark.input_digest.hex(),
        },
    }
