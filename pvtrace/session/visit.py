"""Going to a step of a recording: the checkpoint before it, and a replay from there."""

from pvtrace.machine.machine import Machine
from pvtrace.model.errors import UsageError
from pvtrace.model.step import RESET, Step
from pvtrace.session import build
from pvtrace.session.stored import lawful, materials
from pvtrace.store.reader import TraceReader
from pvtrace.tape.replaying import ReplayingTape


def machine_at(trace: TraceReader, step: Step) -> Machine:
    """The machine of a recording as it was at `step`, which the recording must reach.

    Everything on the way is compared with the record. Raises UsageError for a step that it does not have, TraceError
    for a trace that this program cannot run, Diverged if the machine does something else.
    """
    lawful(trace)
    last = trace.last()
    if not RESET <= step <= last:
        raise UsageError(f"{trace.path} goes from step 0 to step {last:,}, and {step:,} is not among them")
    given, image = materials(trace)
    checkpoint = trace.checkpoint_before(step)
    if checkpoint is None:
        machine = build.machine(given, image, ReplayingTape(trace))
    else:
        machine = build.bare(given, ReplayingTape(trace, checkpoint.mark))
        snapshot = trace.snapshot(checkpoint)
        machine.restore(snapshot.state, snapshot.pages)
        for address, size in image.roms:
            machine.cpu.protect(address, size)
    machine.run(step)
    return machine
