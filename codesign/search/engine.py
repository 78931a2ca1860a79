"""Engines move work: in this process, or over Dask workers. The store keeps the truth."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from codesign.errors import CodesignError, InputError, ToolMissingError

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")
SURROUNDINGS = (InputError, ToolMissingError, OSError)
"""Errors that no design is to blame for (a full disk, a wrong option): they end the run, and the design stays open."""
START_TIMEOUT_S = 60
ALLOWED_WORKER_DEATHS = 3
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Outcome(Generic[ResultT]):
    """What became of one request: a result or a message."""

    position: int
    result: ResultT | None
    error: str | None


class Engine(Protocol):
    """Runs a function over requests; outcomes come in any order, and errors of the surroundings end the run."""

    def run(
        self, function: Callable[[RequestT], ResultT], requests: Sequence[RequestT], *, on_start: Callable[[int], None] | None = None
    ) -> Iterator[Outcome[ResultT]]:
        """Yield one outcome per request; ``on_start`` hears the position of each request before it may begin."""
        ...


class SerialEngine:
    """One request after the other, in this process."""

    def run(
        self, function: Callable[[RequestT], ResultT], requests: Sequence[RequestT], *, on_start: Callable[[int], None] | None = None
    ) -> Iterator[Outcome[ResultT]]:
        """See `Engine.run`."""
        for position, request in enumerate(requests):
            if on_start is not None:
                on_start(position)
            try:
                outcome = Outcome(position, function(request), None)
            except SURROUNDINGS:
                raise
            except Exception as error:  # noqa: BLE001  # one design's failure is a row in the store, not the end of the study
                outcome = Outcome[ResultT](position, None, describe(error))
            yield outcome


class DaskEngine:
    """Requests spread over the workers of a Dask cluster, one thread each."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(
        self, function: Callable[[RequestT], ResultT], requests: Sequence[RequestT], *, on_start: Callable[[int], None] | None = None
    ) -> Iterator[Outcome[ResultT]]:
        """See `Engine.run`."""
        from distributed import as_completed

        futures = {}
        for position, request in enumerate(requests):
            if on_start is not None:
                on_start(position)
            futures[self._client.submit(function, request, pure=False)] = position
        for future in as_completed(list(futures)):
            position = futures[future]
            if future.status == "finished":
                yield Outcome(position, future.result(), None)
                continue
            error = future.exception()
            if isinstance(error, SURROUNDINGS):
                raise error
            yield Outcome(position, None, describe(error))


def describe(error: BaseException | None) -> str:
    """One line about an exception: codesign's own message, or type and text."""
    if isinstance(error, CodesignError):
        return str(error)
    return f"{type(error).__name__}: {error}".splitlines()[0]


@contextmanager
def open_engine(jobs: int = 1, cluster: str | None = None) -> Iterator[Engine]:
    """The engine for ``jobs`` local processes, or for a running Dask cluster at ``cluster`` (``tcp://host:port``).

    Raises:
        InputError: fewer than one job, or nobody answers at ``cluster``.
    """
    if jobs < 1:
        raise InputError(f"{jobs} jobs", where="--jobs", remedy="Give at least 1")
    if cluster is None and jobs == 1:
        yield SerialEngine()
        return
    with _dask_client(jobs, cluster) as client:
        yield DaskEngine(client)


@contextmanager
def _dask_client(jobs: int, cluster: str | None) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    # Workers compute with one thread each, so that results do not depend on the number of jobs.
    threads = dict.fromkeys(THREAD_VARIABLES, "1")
    settings = {
        "distributed.scheduler.allowed-failures": ALLOWED_WORKER_DEATHS,
        "distributed.nanny.pre-spawn-environ": threads,
    }
    with dask.config.set(settings):
        if cluster is not None:
            try:
                client = Client(cluster, timeout=START_TIMEOUT_S)
            except (OSError, ValueError) as error:
                raise InputError(f"no Dask scheduler answers: {error}", where=f"--cluster {cluster}", remedy="Start one with `dask scheduler`") from None
            with client:
                yield client
            return
        workers = min(jobs, 4 * (os.cpu_count() or 1))
        # Any free port, and of this machine only: several studies may run side by side, and nobody else is to look in.
        with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50) as local, Client(local) as client:
            yield client
