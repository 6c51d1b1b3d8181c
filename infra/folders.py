"""The folders of a site and of its assessments, and who has rights in each: what every command may need to know."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.told import Told
from schemas.words import _

ASSESSMENTS = "assessments"
"""The folder of a site that holds the folders of its assessments, all but one that lies in the site's own."""
COLLECTOR = "chuangjian"
"""The office that opens the assessment and collects (创建办), unless the rulebook says otherwise."""


class PartyRefused(Told):
    """The codes of the assessment, offices and units cannot all be told apart, or are not codes."""


@dataclass(frozen=True)
class Parties:
    """Who has rights in an assessment; of `keys` the public halves that parties handed in, all in force.

    `texts`: its rulebook has texts out of line, so there is a stream of them.
    """

    assessment: str
    offices: tuple[str, ...]
    units: tuple[str, ...]
    collector: str = COLLECTOR
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: bool = False


def site(data: Path) -> Path:
    """The folder of the broker that an assessment's data folder lies in, under `assessments`; else the same one."""
    return data.parent.parent if data.parent.name == ASSESSMENTS else data


def folders(root: Path) -> list[Path]:
    """The data folders of a site: its own, and those of its other assessments."""
    return [root, *sorted(path for path in (root / ASSESSMENTS).glob("*") if path.is_dir())]


def parties(data: Path) -> Parties | None:
    """Who has rights in the assessment of a folder; null where nothing was configured."""
    try:
        held = json.loads((data / "parties.json").read_bytes())
        lists = {name: tuple(held[name]) for name in ("offices", "units")}
        keys = {party: tuple(some) for party, some in held["keys"].items()}
        return Parties(
            held["assessment"], collector=held["collector"], keys=keys, texts=held.get("texts", False), **lists
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        path = data / "parties.json"
        raise PartyRefused(_("{path} cannot be read: restore it from the backup.", path=path)) from None
