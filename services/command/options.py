"""The options that commands share: each is written, and explained to its user, once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from schemas.words import Language
from services.process.settings import language

Lang = Annotated[
    Literal["zh", "en"] | None, Parameter(help="Language of texts: zh or en; without it WUXING_LANG's or the locale's.")
]
SnapshotFile = Annotated[Path | None, Parameter(help="A published snapshot; without it the latest one.")]
FactsUntil = Annotated[str | None, Parameter(help="Only what had occurred by this time.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class At:
    """Which snapshot, at which point on both axes of time, in which language."""

    snapshot: SnapshotFile = None
    as_of: Annotated[
        str | None, Parameter(help="A sequence of the ledger, or a time: the state as it was recorded then.")
    ] = None
    facts_until: FactsUntil = None
    lang: Lang = None

    @property
    def language(self) -> Language:
        """The language that was chosen, else that of the environment."""
        return language(self.lang)


#: The latest snapshot as it is, in the language of the environment.
LATEST = At()
