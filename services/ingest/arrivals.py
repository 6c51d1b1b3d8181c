"""What the broker wrote down beside INTAKE of each message it stored there, held against what INTAKE has.

INTAKE's last block can lose its end while nobody looks: a server that finds it damaged goes on from what it can read,
says nothing, and gives the numbers of what is gone to what comes next. So the broker repeats the number and the time of
each message into a stream of its own, ARRIVED, whose blocks are others (infra/decisions/010-second-record.md).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from infra.client import Arrival

Taken = Callable[[int, int], bool]
"""Whether the message of an intake sequence and a time, in microseconds since 1970, is known to be taken."""


class Arrivals:
    """What arrived and was not taken yet, as far as ARRIVED was read."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        """The sequence of ARRIVED up to which it was read."""
        self.waiting: deque[Arrival] = deque()

    @property
    def last(self) -> int:
        """The greatest intake sequence that arrived and was not taken; 0 where all were."""
        return self.waiting[-1].intake if self.waiting else 0

    def settled(self, taken: Taken) -> int:
        """Forget what was taken; the sequence of ARRIVED up to which everything was."""
        while self.waiting and taken(self.waiting[0].intake, self.waiting[0].recorded_at):
            self.waiting.popleft()
        return self.waiting[0].at - 1 if self.waiting else self.at

    def arrived(self, one: Arrival, taken: Taken) -> Iterable[int]:
        """Note one more; the sequences of those that must be gone, for their numbers are given anew."""
        self.at = one.at
        if taken(one.intake, one.recorded_at) or (self.waiting and one[1:] == self.waiting[-1][1:]):
            return ()
        gone = self.beyond(one.intake - 1)
        self.waiting.append(one)
        return gone

    def beyond(self, last: int) -> list[int]:
        """Forget what arrived after an intake sequence, and give their sequences."""
        gone: list[int] = []
        while self.last > last:
            gone.append(self.waiting.pop().intake)
        return gone[::-1]


def runs(sequences: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The first and last of each run of sequences that follow on each other."""
    first = last = 0
    for one in sequences:
        if one != last + 1 or not last:
            if last:
                yield first, last
            first = one
        last = one
    if last:
        yield first, last
