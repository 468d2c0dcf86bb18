"""An experiment in words: what a line promises, what a fault does, and all that would happen, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chaos.experiment.model import Experiment, Fault, Line, ProcessFault, Ready, Workload, toxic_of

DELIVERED = "every accepted report is at the server, byte for byte"


def told_in_words(experiment: Experiment, path: Path) -> str:
    """Return what would happen, one step a line. Nothing is started, no file is made."""
    return "\n".join([f"{path}: what would happen", *_steps(experiment)]) + "\n"


def promise(line: Line) -> str:
    """Return what a line of the steady state promises."""
    if line.server is not None:
        return DELIVERED if line.server.delivered else "each report takes effect at the server once"
    if line.http is not None:
        fast = f", 99 of 100 within {line.http.p99 * 1000:g} ms" if line.http.p99 is not None else ""
        return f"{line.http.url or 'the URL of readiness'} answers {line.http.status}{fast}"
    if line.folder is not None:
        return ", ".join(
            f"{name} is empty" if wanted == "empty" else f"{name} has {wanted} files"
            for name, wanted in line.folder.items()
        )
    if line.log is not None:
        return f"the log says {line.log.says!r}" if line.log.says else f"the log never says {line.log.never!r}"
    if line.process is not None:
        is_empty = line.process.leaves is not None
        return "nothing of it is left after the stop" if is_empty else f"it ends with exit code {line.process.exit}"
    return f"`{' '.join(line.command or ())}` ends with exit code 0"


def deed(fault: Fault) -> str:
    """Return what a fault does."""
    if fault.process is not None:
        return _process_deed(fault.process)
    if fault.server == "down":
        return f"switch the server off for {fault.lasts or 1:g} s"
    lasting = f", and {fault.lasts:g} s longer" if fault.lasts else ""
    often = "once" if fault.times == 1 else f"{fault.times} times"
    if fault.proxy is not None:
        toxic = toxic_of(fault.proxy)
        details = {**toxic.attributes, "stream": str(toxic.stream)}
        words = ", ".join(f"{name} {value}" for name, value in details.items())
        return f"put {toxic.type} ({words}) on the way to the server until it has fired {often}{lasting}"
    assert isinstance(fault.server, dict), "a rule is a table"
    words = ", ".join(f"{name} {value}" for name, value in fault.server.items() if name != "action")
    details_of_rule = f" ({words})" if words else ""
    return f"let the server do {fault.server['action']}{details_of_rule} {often}{lasting}"


def _process_deed(told: ProcessFault) -> str:
    whom = f"what has {told.of!r} in its command line" if told.of else "the subject"
    if told.pause is not None:
        return f"let {whom} stand still for {told.pause:g} s"
    sent = "SIGKILL" if told.kill is not None else told.signal
    return f"send {sent} to {whom}" + (", and start it again" if told.restart else "")


def _steps(experiment: Experiment) -> Iterator[str]:
    subject, workload = experiment.subject, experiment.workload
    yield "before"
    yield f"  start `{' '.join(subject.start)}` in a folder of the run, with a WATS server of our own"
    if experiment.has_proxy:
        yield "  put a fault proxy between it and the server"
    yield f"  wait until {_readiness(subject.ready)}, {subject.ready.within:g} s at most"
    if workload.run is None:
        yield f"  {_handing(workload, workload.before)}"
    yield f"  see within {workload.within:g} s that the steady state holds (if not, no fault is injected):"
    yield from (f"    {name}: {promise(line)}" for name, line in experiment.steady_state.items() if not line.process)
    yield "during"
    yield f"  {_handing(workload, workload.reports)}"
    yield from (f"  {fault.at}: {deed(fault)}" for fault in experiment.fault)
    watched = [name for name, line in experiment.steady_state.items() if line.during]
    yield f"  look all the time at: {', '.join(watched) or 'nothing'}"
    yield "after"
    yield "  undo every fault that is still there; start the subject again if a fault has ended it"
    yield f"  see within {workload.within:g} s that the steady state holds again"
    yield f"  send {subject.stop} and wait for its end, {subject.stop_within:g} s at most"
    ended = [(name, line) for name, line in experiment.steady_state.items() if line.process]
    yield from (f"    {name}: {promise(line)}" for name, line in ended)
    yield "in any case, also after Ctrl-C"
    yield from (f"  run `{' '.join(part.run)}`" for part in experiment.rollback)
    yield "  end every process of the run with its descendants, remove its folder"


def _readiness(ready: Ready) -> str:
    if ready.http is not None:
        return f"{ready.http} answers 2xx"
    if ready.tcp is not None:
        return f"{ready.tcp} takes connections"
    return f"{ready.file} is there" if ready.file is not None else f"it says {ready.says!r}"


def _handing(workload: Workload, count: int) -> str:
    if workload.run is not None:
        return f"run `{' '.join(workload.run)}`, {workload.within:g} s at most"
    where = f"into the folder {workload.into}" if workload.into is not None else f"to {workload.post}"
    pace = f", one every {workload.every * 1000:g} ms" if workload.every and count > 1 else ""
    return f"hand over {count} sample report{'s' if count > 1 else ''} {where}{pace}"
