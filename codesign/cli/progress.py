"""Progress of long work: a bar on a terminal, a line a step elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from codesign.cli.output import SETTINGS, console

if TYPE_CHECKING:
    from rich.progress import TaskID

    from codesign.search.study import Progress


class ProgressDisplay:
    """Listens to a study's progress between ``with`` and its end."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._console = console()
        self._tasks: dict[str, TaskID] = {}
        self._bars: Bars | None = None
        if self._console.is_terminal and not SETTINGS.quiet:
            columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            self._bars = Bars(*columns, TextColumn("{task.fields[message]}", markup=False), console=self._console)

    def __enter__(self) -> ProgressDisplay:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.stop()

    def listen(self, progress: Progress) -> None:
        """Show one step."""
        if self._bars is None:
            self._console.print(f"{progress.stage} {progress.done}/{progress.total}: {progress.message}", markup=False)
            return
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bars.add_task(progress.stage, total=progress.total, message="")
        self._bars.update(self._tasks[progress.stage], completed=progress.done, message=progress.message)
