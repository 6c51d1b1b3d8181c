"""Seats 名额: what each grade gives to a line of blocks, and through which block its cut goes. language.md 7."""

from __future__ import annotations

from dataclasses import dataclass, field

Line = list[list[str]]  # blocks of equal keys, best first


@dataclass
class Block:
    """Units of equal keys: the seats they hold, and those of them that a cut went through and who still wait."""

    units: list[str]
    holds: int = 0
    owed: set[str] = field(default_factory=set)


@dataclass
class Grade:
    """What one grade gave, in line, and the block through which its cut went."""

    given: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)


class Seating:
    """One pool of one scheme, grade by grade."""

    def __init__(self, line: Line, tie: str) -> None:
        self.blocks, self.tie = [Block(units) for units in line], tie
        self.graded: set[str] = set()
        self.undecided: set[str] = set()

    def grade(self, quota: int | None, open_to: set[str]) -> Grade:
        """Serve the line until a block is not served; quota None is unbounded."""
        found = Grade()
        left = sum(len(block.units) for block in self.blocks) * 2 if quota is None else quota
        for block in self.blocks:
            fresh = [unit for unit in block.units if unit in open_to and unit not in self.graded | self.undecided]
            taking = set(fresh) if self.tie == "exclude" else set(fresh) | block.owed
            if not taking:
                continue
            if left <= 0 and block.holds == 0:
                break  # it is served while a seat is left, or it holds some; behind it nobody is
            needs = len(taking) - block.holds
            if needs > left:
                self.cut(block, found, left, fresh, taking)
                break  # the grade is full
            left -= max(0, needs)
            self.serve(block, found, fresh)
        return found

    def serve(self, block: Block, found: Grade, fresh: list[str]) -> None:
        """A seat for each of its units; once those that waited are served it holds none."""
        block.owed -= set(fresh)
        if self.tie != "exclude" or not block.owed:
            block.holds, block.owed = 0, set()
        found.given += fresh
        self.graded |= set(fresh)

    def cut(self, block: Block, found: Grade, left: int, fresh: list[str], taking: set[str]) -> None:
        """It holds what is left and stays in line for what it still needs."""
        block.holds += left
        block.owed |= taking
        found.cut = sorted(taking)
        if self.tie == "undecided":
            self.undecided |= taking
        if self.tie == "include":
            found.given += fresh
            self.graded |= set(fresh)


def seats(line: Line, quotas: list[int | None], open_to: list[set[str]], tie: str) -> list[Grade]:
    """Grade by grade, best first."""
    seating = Seating(line, tie)
    return [seating.grade(quota, units) for quota, units in zip(quotas, open_to, strict=True)]


def resolved_line(line: Line, resolutions: list[list[str]]) -> Line:
    """The line after the resolutions that count, earliest first: the latest stands in front, the rest are a block."""
    found: Line = []
    for block in line:
        order: list[str] = []
        for named in reversed(resolutions):
            order += [unit for unit in named if unit in block and unit not in order]
        rest = [unit for unit in block if unit not in order]
        found += [[unit] for unit in order] + ([rest] if rest else [])
    return found
