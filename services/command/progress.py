"""Progress of long work on stderr; nothing of it reaches stdout."""

import sys
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from schemas.refusals import Language
from services.process.plain import Screen


class Bar:
    """One bar; on no terminal it stays silent."""

    def __init__(self, lang: Language, en: str = "checking", zh: str = "检查") -> None:
        self._text = zh if lang == "zh" else en
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Screen(sys.stderr),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def step(self, done: int, total: int) -> None:
        """Show how much of how much is done."""
        if self._task is None:
            self._task = self._progress.add_task(self._text, total=total)
        self._progress.update(self._task, completed=done, total=total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
