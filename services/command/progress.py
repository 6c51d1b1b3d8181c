"""Progress of long work on stderr; nothing of it reaches stdout."""

import sys
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from schemas.words import Language, Text, _
from services.process.plain import Screen

CHECKING = _("checking")


class Bar:
    """One bar; on no terminal it stays silent."""

    def __init__(self, lang: Language, said: Text = CHECKING) -> None:
        self._text = said.say(lang)
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
