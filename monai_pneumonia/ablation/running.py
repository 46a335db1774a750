"""Runs a queue's jobs side by side, and tells how far they are and how long it will take."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from monai_pneumonia.ablation.plan import PRETRAINING, Job
from monai_pneumonia.ablation.queue import Queue
from monai_pneumonia.ablation.work import TAKEN, Place, run_job

# Imported once, in a server that every job's process is forked from; nothing is computed there.
_PRELOADED = [
    "monai.bundle",
    "monai.bundle.scripts",
    "monai.engines",
    "monai.handlers",
    "torch.utils.tensorboard",
    "fire",
    "sklearn.model_selection",
    "monai_pneumonia.engines",
    "monai_pneumonia.handlers",
    "monai_pneumonia.evaluation",
    "monai_pneumonia.ablation.work",
    "monai_pneumonia.ablation.localization",
]
_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 10.0


class Follower(Protocol):
    """What is told of a run's progress."""

    def begun(self, running: Sequence[str]) -> None:
        """Which jobs run now."""

    def ended(self, job: Job, seconds: float, failure: str | None, left: float) -> None:
        """A job has ended; ``left`` are the seconds that the others will still take."""


@dataclass
class Outcome:
    """What became of a queue's jobs.

    Attributes:
        done: ids of those that are done, those of earlier runs included.
        failed: id to the reason and the log's last lines.
    """

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass
class _Running:
    job: Job
    process: BaseProcess
    started: float


class Runner:
    """Runs jobs in processes of their own, as many at once as there are workers.

    Args:
        place: where jobs find what they share.
        jobs: in the order in which to run them; a job waits for the one that it needs.
        workers: how many at once.
        follower: is told of the progress.
    """

    def __init__(self, place: Place, jobs: Sequence[Job], workers: int, follower: Follower | None = None) -> None:
        self.place = place
        self.queue = Queue(place.jobs)
        self.jobs = {job.id: job for job in jobs}
        self.workers = workers
        self.follower = follower
        self.outcome = Outcome()
        self._seconds: dict[str, list[float]] = {}
        self._waiting: list[Job] = []
        self._not_before: dict[str, float] = {}
        self._running: dict[Any, _Running] = {}

    def run(self) -> Outcome:
        """Runs all jobs that are not done. A job that fails does not stop the others.

        When it is interrupted it ends its processes first; the next run takes them up where they were.
        """
        for job in self.jobs.values():
            if self.queue.add(job).is_done():
                self.outcome.done.append(job.id)
                self._note_seconds(job, sum(self.queue.folder(job.id).result().values()))
            else:
                self._waiting.append(job)
        if not self._waiting:
            return self.outcome
        context = _forkserver()
        try:
            with _one_thread():
                while self._waiting or self._running:
                    self._start_ready(context)
                    self._collect()
        finally:
            self._stop()
        return self.outcome

    def _start_ready(self, context: Any) -> None:
        for job in [*self._waiting]:
            if len(self._running) >= self.workers:
                break
            if job.needs in self.outcome.failed:
                self._waiting.remove(job)
                self._end(job, 0.0, f"its pre-training {job.needs} failed")
            elif (job.needs is None or job.needs in self.outcome.done) and time.monotonic() >= self._not_before.get(job.id, 0.0):
                self._waiting.remove(job)
                process = context.Process(target=run_job, args=(self.place, job.id), name=job.id)
                process.start()
                self._running[process.sentinel] = _Running(job, process, time.monotonic())
        if self.follower:
            self.follower.begun([running.job.id for running in self._running.values()])

    def _collect(self) -> None:
        """Waits until a process ends, or a moment, and sees what became of its job."""
        if not self._running:
            time.sleep(_POLL_SECONDS)
            return
        for sentinel in wait(list(self._running), timeout=_POLL_SECONDS):
            running = self._running.pop(sentinel)
            running.process.join()
            job, folder = running.job, self.queue.folder(running.job.id)
            seconds = time.monotonic() - running.started
            if folder.is_done():
                self._note_seconds(job, seconds)
                self._end(job, seconds, None)
            elif running.process.exitcode == TAKEN:
                # Another run of this study, or what is left of one that was killed, is at it.
                self._not_before[job.id] = time.monotonic() + _PATIENCE_SECONDS
                self._waiting.append(job)
            else:
                if not folder.has_failed():
                    folder.fail(f"its process ended with code {running.process.exitcode} (killed, or out of memory)")
                self._end(job, seconds, folder.failure())

    def _end(self, job: Job, seconds: float, failure: str | None) -> None:
        if failure is None:
            self.outcome.done.append(job.id)
        else:
            self.outcome.failed[job.id] = failure
        if self.follower:
            self.follower.ended(job, seconds, failure, self.seconds_left())

    def _note_seconds(self, job: Job, seconds: float) -> None:
        self._seconds.setdefault(job.kind, []).append(seconds)

    def seconds_left(self) -> float:
        """How long the jobs that wait or run will still take, by those of their kind that are done."""
        known = [seconds for kind in self._seconds.values() for seconds in kind]
        if not known:
            return float("nan")

        def mean(kind: str) -> float:
            own = self._seconds.get(kind) or known
            return sum(own) / len(own)

        now = time.monotonic()
        left = sum(mean(job.kind) for job in self._waiting)
        left += sum(max(0.0, mean(running.job.kind) - (now - running.started)) for running in self._running.values())
        return left / self.workers

    def _stop(self) -> None:
        for running in self._running.values():
            running.process.terminate()
        for running in self._running.values():
            running.process.join(_PATIENCE_SECONDS)
            if running.process.is_alive():
                running.process.kill()
                running.process.join()
        self._running.clear()


def _forkserver() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started in the block compute with one thread each, and so come to the same bits whatever else runs."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class ProgressBar:
    """Shows a run's progress on standard error: a bar where that is a terminal, else a line for each job.

    Args:
        jobs: all jobs of the run.
        done: how many of them are done already.
    """

    def __init__(self, jobs: int, done: int) -> None:
        self.console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        self.total, self.done = jobs, done
        columns = (TextColumn("trainings"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self.progress = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.task = self.progress.add_task("", total=jobs, completed=done)
        self._left = ""

    def __enter__(self) -> ProgressBar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def begun(self, running: Sequence[str]) -> None:
        """Names what runs now."""
        names = ", ".join(name.rsplit("-", 1)[0] for name in running)
        self.progress.update(self.task, description=f"{self._left}  {names}")

    def ended(self, job: Job, seconds: float, failure: str | None, left: float) -> None:
        """Counts a job, and tells a failure at once."""
        self.done += 1
        self._left = "" if left != left else f"{duration(left)} left"
        self.progress.update(self.task, completed=self.done)
        if failure is not None:
            self.console.print(f"failed: {job.id}: {failure}")
        elif not self.console.is_terminal:
            kind = "pre-training" if job.kind == PRETRAINING else "training"
            self.console.print(f"{self.done} of {self.total}: {kind} {job.id} in {duration(seconds)}; {self._left or 'no estimate'}")


def duration(seconds: float) -> str:
    """Seconds as a reader takes them: ``42 s``, ``12 min``, ``1 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
