"""Decides, without history, whether an event may enter the ledger: form, authority, roster, rulebook and ranges."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from schemas import roster as rosters
from schemas import soundness, subjects
from schemas.events import OPENED, SIZE_MAX, TYPES, Event, Evidence, Prose, Text, instant
from schemas.refusals import ABSENT, Phrase, Reason, Refusal, found, message, shortened
from schemas.roster import Unit
from schemas.rulebook import Applies, Rulebook
from schemas.texts import ATTRIBUTE, PATTERN
from schemas.words import Language
from schemas.year import Year
from services.ingest import signatures
from services.ingest.forms import Accept, Inside, bad
from services.ingest.kinds import Kind, chosen, data_fault, encode, envelope_fault, kind_of, wrong
from services.ingest.line import Fault, Wire, read
from services.ingest.shapes import BONUS, DEDUCTION, RATING, Shape, Shapes, bookless, fits, range_fault, sources_of

__all__ = ["Accept", "Checker", "Opening", "content", "opened", "opened_year"]


_BACKSLASH, _QUOTE = ord("\\"), ord('"')
#: A deduction or rating that passes because it is of a kind that has passed: the kind's number, the line, its instant.
Known = tuple[int, Any, str]


def _plain_decoder(book: Rulebook) -> Callable[[bytes], Any]:
    """Reads entries and ratings whose codes all exist and whose texts have a length that they may have."""

    def codes(values: Iterable[str]) -> Any:
        return Literal[tuple(dict.fromkeys(values)) or ("",)]

    def all_of(part: str) -> Any:
        return codes(one.code for item in book.item for one in getattr(item, part))

    texts: dict[str, Any]
    texts = {"matter": Text, "points": Text, "rater": Text, "case": Text, "value": Text, "reason": Prose}
    texts |= {name: Annotated[str, msgspec.Meta(pattern=PATTERN)] for name in book.out_of_line if name in texts}
    lists = {
        "ground": all_of("ground"),
        "node": all_of("node"),
        "group": all_of("raters"),
        "measure": all_of("measure"),
    }
    lists["period"] = codes(value for period in book.period for value in period.values)
    fields = {**lists, **texts, "evidence": Evidence}
    items = ("item", codes(item.code for item in book.item))
    optional = ((name, kind, None) for name, kind in fields.items())
    data = msgspec.defstruct("PlainData", [items, *optional], forbid_unknown_fields=True, gc=False)
    envelope = {
        "specversion": codes(["1.0"]), "id": Text, "source": codes(subjects.OFFICES + o.code for o in book.office),
        "type": codes([DEDUCTION, BONUS, RATING]), "subject": Text, "time": Text, "data": data,
    }  # fmt: skip
    return msgspec.json.Decoder(msgspec.defstruct("Plain", list(envelope.items()), gc=False)).decode


def _quotes_of(line: Any) -> int:
    """How many quotes a plain line has, but for its evidence; without a backslash no text has one."""
    *texts, _ = (getattr(line.data, name) for name in line.data.__struct_fields__)
    return 2 * (7 + 6) + 4 * sum(text is not None for text in texts)


def _came_on(line: Any, subject: str) -> bool:
    topic = subjects.read_intake(subject)
    return topic is not None and topic[1:] == (subjects.party_of(line.source), line.type, line.subject)


Place = tuple[str, str]
"""A unit's category and group."""


class Checker:
    """Checks events by one rulebook and roster; messages are in `lang`. Without a rulebook only an opening passes.

    `apply` lets an admitted change of a unit, an item's office or a key take effect on what follows. `assessment` is
    the code that an opening must have, null where any will do; `accept` reads its rulebook; `began` says that what is
    checked comes after the opening, if there is one.

    Entries and ratings come by the million, and of few kinds. When one has passed, its kind is known to pass, and of
    the next of that kind only what differs is looked at; whatever is not found in order there is checked in full.
    """

    def __init__(  # noqa: PLR0913 - what a year is, and how it is spoken to
        self,
        rulebook: Rulebook | None,
        roster: Iterable[Unit],
        lang: Language = "en",
        *,
        keys: Mapping[str, str] | None = None,
        accept: Accept = soundness.read,
        assessment: str | None = None,
        began: bool = True,
    ) -> None:
        self.rulebook = rulebook
        self.lang = lang
        self._began = began
        self._inside = inside = Inside(accept, assessment, lang)
        inside.attributes = frozenset(one.code for one in rulebook.attribute) if rulebook else None
        shapes = Shapes(rulebook, inside, self._party) if rulebook else None
        self._offices = shapes.offices if shapes else frozenset()
        #: Of each category and group, by number, the items that do not apply to its units.
        self._barred: list[frozenset[str]] = []
        self._places: dict[Place, int] = {}
        self._units = {unit.unit: self._place(unit.category, unit.group) for unit in roster}
        self._kinds = {name: kind_of(name, shapes.of(name) if shapes else bookless(name, inside)) for name in TYPES}
        self._plain = _plain_decoder(rulebook) if rulebook and rulebook.signatures != "required" else None
        self._keys = dict(keys or {})
        self._signed = rulebook is not None and rulebook.signatures == "required"
        self._apart = (ATTRIBUTE,) if rulebook and rulebook.out_of_line else ()
        items = rulebook.item if rulebook else ()
        self._holders: dict[str, list[list[str]]] = {item.code: [[office] for office in item.offices] for item in items}
        self._owners = {code: sources_of(last for *_, last in places) for code, places in self._holders.items()}
        self._heirs: set[tuple[str, str]] = set()
        self._passed: dict[tuple[Any, ...], tuple[int, int, bool, bool, Shape]] = {}
        self.kinds: list[Event] = []
        """The first event of each kind that has passed, by the kind's number."""

    def apply(self, change: Event) -> None:
        """Let an admitted `unit.changed`, `item.transferred` or `key.changed` take effect on what follows."""
        if change.type == "key.changed.v1":
            self._keys[change.party or ""] = change.party_key or ""
        elif change.type == "item.transferred.v1":
            self._transfer(change.item or "", change.from_office or "", change.to_office or "")
        elif change.category is not None:
            self._units[change.subject] = self._place(change.category, change.unit_group or "")

    def _place(self, category: str, group: str) -> int:
        """The number of a category and group; those to which the same items apply have one."""
        found_ = self._places.get((category, group))
        if found_ is None:
            barred = _not_of(self.rulebook, category, group)
            if barred not in self._barred:
                self._barred.append(barred)
            found_ = self._places[category, group] = self._barred.index(barred)
        return found_

    def _transfer(self, item: str, holder: str, heir: str) -> None:
        """An office's place of an item goes to another, which may revoke what any holder of that place recorded."""
        place = next(place for place in self._holders[item] if place[-1] == holder)
        self._heirs.update((subjects.OFFICES + before, subjects.OFFICES + heir) for before in place)
        place.append(heir)
        self._owners[item] = sources_of(last for *_, last in self._holders[item])
        self._passed.clear()

    def check(self, raw: bytes, subject: str | None = None) -> Event | Refusal:
        """The event of a line, or why it is refused; with `subject`, the intake subject it came on is checked too."""
        known = self.known(raw)
        if known is None or not (subject is None or _came_on(known[1], subject)):
            return self.full(raw, subject)
        _, w, occurred = known
        d = w.data
        return Event(
            w.source, w.id, w.type, w.subject, w.time, occurred, d.item, d.matter, d.ground, d.node, d.points,
            d.rater, d.group, d.measure, d.case, d.period, d.value, reason=d.reason,
        )  # fmt: skip

    def known(self, raw: bytes) -> Known | None:
        """A line of a kind that has passed; null where it must be checked in full.

        A field too many, a repeated key, an attribute that the decoder skips leave quotes that are not accounted for.
        """
        plain = self._plain
        if plain is None or _BACKSLASH in raw or len(raw) > SIZE_MAX:
            return None
        try:
            line = plain(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        d = line.data
        key = (  # all that the check hangs on but the instant, one number and which texts are there
            line.type, line.source, self._units.get(line.subject), d.item, d.ground, d.node, d.group, d.measure,
            d.period,
        )  # fmt: skip
        passed = self._passed.get(key)
        if passed is None:
            return self._first(raw, line, key)
        kind, quotes, rates, more, shape = passed
        if rates:
            number = d.value
            whole = number is not None and d.rater is not None and (d.case is not None) is more and d.evidence is None
        else:
            number = d.points
            whole = d.matter is not None and d.reason is not None and (number is not None) is more
            if d.evidence is not None:
                quotes += 2 + 2 * len(d.evidence)
        if not whole or quotes != raw.count(_QUOTE):
            return None
        if number is not None and not (shape.within.get(number) or fits(shape, number)):
            return None
        occurred = instant(line.time)
        return None if occurred is None else (kind, line, occurred)

    def _first(self, raw: bytes, line: Any, key: tuple[Any, ...]) -> Known | None:
        """Check the first of a kind in full, and know the kind from then on if it passes."""
        event = self.full(raw)
        if not isinstance(event, Event):
            return None
        shape = chosen(self._kinds[line.type], msgspec.structs.asdict(line.data))
        rates = line.type == RATING
        more = (line.data.case if rates else line.data.points) is not None
        self._passed[key] = len(self.kinds), _quotes_of(line), rates, more, shape
        self.kinds.append(event)
        return self.known(raw)

    def full(self, raw: bytes, subject: str | None = None) -> Event | Refusal:
        """The same, looking at everything."""
        wire = read(raw)
        if wire.__class__ is Fault:
            return self.refusal(wire, None, None)
        topic = None if subject is None else subjects.read_intake(subject) or subjects.Intake("", "", "", "")
        result = self._event(wire, topic, raw)
        if result.__class__ is Fault:
            return self.refusal(result, wire.source, wire.id)
        return result  # type: ignore[no-any-return]  # _event gives nothing else

    def refusal(self, fault: Any, source: Any, id_: Any) -> Refusal:
        """A Fault in words; source and id are the strings found there."""
        reason, path, expected, seen = fault
        words = message(reason, path, expected, seen, self.lang)
        source, id_ = (text if text.__class__ is str else None for text in (source, id_))
        return Refusal(None, source, id_, reason, path, words)

    def _event(self, wire: Wire, topic: subjects.Intake | None, raw: bytes) -> Any:
        """The event of a line that is a JSON object, or its Fault."""
        kind = self._kinds.get(wire.type) if wire.type.__class__ is str else None
        occurred = instant(wire.time) if wire.time.__class__ is str else None
        fault = envelope_fault(wire, kind, topic) or self._reserved(wire)
        if fault is not None:
            return fault
        assert kind is not None
        if occurred is None:
            return bad("time", ("time",), wire.time)
        if wire.data.__class__ is not dict:
            return bad("data", ("object",), wire.data)
        data: dict[str, Any] = wire.data
        shape = chosen(kind, data)
        fault = data_fault(kind, shape, data, self._inside) or self._standing(kind, shape, wire, topic, raw)
        if fault is not None:
            return fault
        return kind.flat(wire, occurred)

    def _reserved(self, wire: Wire) -> Fault | None:
        """A unit that joins may have no code that means something else."""
        if wire.type != "unit.changed.v1" or wire.data.__class__ is not dict or wire.data.get("change") != "joined":
            return None
        if wire.subject == subjects.ASSESSMENT or subjects.OFFICES + wire.subject in self._offices:
            return bad("subject", ("new_unit",), wire.subject)
        return None

    def _standing(
        self, kind: Kind, shape: Shape, wire: Wire, topic: subjects.Intake | None, raw: bytes
    ) -> Fault | None:
        """Whether the year is open; authority; what the roster and the rulebook do not have; then ranges."""
        if self.rulebook is None and kind.name != OPENED:
            return Fault(Reason.NOT_OPEN, "type", ("open",), found(kind.name))
        joins = kind.name == "unit.changed.v1" and wire.data["change"] == "joined"
        known = joins or wire.subject in self._units or (wire.subject == subjects.ASSESSMENT and kind.assessment)
        fault = self._authority(kind, shape, wire, topic, known=known) or self._signature(wire, raw)
        if fault is not None:
            return fault
        if not known:
            return Fault(Reason.UNKNOWN_UNIT, "subject", ("roster",), found(wire.subject))
        data: dict[str, Any] = wire.data
        if "units" in shape.names:
            for n, unit in enumerate(data["units"]):
                if unit not in self._units:
                    return Fault(Reason.UNKNOWN_UNIT, f"data.units[{n}]", ("roster",), found(unit))
        return self._of_rulebook(kind, shape, wire)

    def _of_rulebook(self, kind: Kind, shape: Shape, wire: Wire) -> Fault | None:
        """What the rulebook has not, or not for this unit, and what is out of its ranges."""
        data: dict[str, Any] = wire.data
        if shape.fault is not None and shape.fault[0] is Reason.UNKNOWN_ITEM:
            return wrong(kind, shape.fault, data)
        if not kind.year and shape.item is not None and shape.item in self._barred[self._units[wire.subject]]:
            return Fault(Reason.NOT_APPLICABLE, "data.item", ("applies",), found(shape.item))
        if shape.fault is not None:
            return wrong(kind, shape.fault, data)
        return None if shape.limit is None else range_fault(shape, shape.limit, data[shape.limit.name])

    def _party(self, value: Any, path: str, _: Any) -> Fault | None:
        """The form of a party: an office, or a unit that is or was on the roster."""
        if value.__class__ is str and (value in self._units or subjects.OFFICES + value in self._offices):
            return None
        return bad(path, ("office_or_unit",), value)

    def _authority(
        self, kind: Kind, shape: Shape, wire: Wire, topic: subjects.Intake | None, *, known: bool
    ) -> Fault | None:
        """Whose the event is; what concerns a unit that does not exist is nobody's, so any known office will do."""
        source = wire.source
        if topic is not None and subjects.party_of(source) != topic.party:
            return Fault(Reason.SOURCE_NOT_AUTHORISED, "source", ("owner", topic.party), found(source))
        unit = subjects.UNITS + wire.subject
        expected: Phrase
        if kind.owner == "unit":
            own, expected = source == unit, ("only", shortened(unit).strip('"'))
        elif kind.owner == "target":
            target = wire.data["target"]["source"]
            own = source in self._offices or (wire.subject != subjects.ASSESSMENT and source == unit)
            own = own and (not known or source == target or (target, source) in self._heirs)
            expected = ("target",)
        else:
            sources = self._sources(kind, shape) if known else self._offices
            own, expected = source in sources, ("only", ", ".join(sorted(sources)) or "-")
        return None if own else Fault(Reason.SOURCE_NOT_AUTHORISED, "source", expected, found(source))

    def _sources(self, kind: Kind, shape: Shape) -> frozenset[str]:
        """The sources of a shape: those it has, the offices that hold its item, or any, where there is no such item."""
        if kind.name == OPENED:
            assert self._inside.book is not None
            return sources_of([self._inside.book.roles.collector])
        if shape.item is not None:
            return self._owners[shape.item]
        return shape.sources if shape.sources is not None else self._offices

    def _signature(self, wire: Wire, raw: bytes) -> Fault | None:
        """A signature by the party's key in force; nothing is signed before the year is open."""
        if wire.type == OPENED and not self._began:
            return None
        party = subjects.party_of(wire.source) or ""
        key = self._keys.get(party)
        if key is None:
            return Fault(Reason.NOT_SIGNED, "signature", ("key", party), ("nothing",)) if self._signed else None
        if wire.signature is ABSENT and not self._signed:
            return None
        if wire.signature is not ABSENT and signatures.holds(raw, key, self._apart):
            return None
        return Fault(Reason.NOT_SIGNED, "signature", ("signature", party), found(wire.signature))


def _not_of(book: Rulebook | None, category: str, group: str) -> frozenset[str]:
    """The items that do not apply, or that are under a part which does not apply, to a category and group."""
    parts = {part.code: part for part in book.part} if book else {}

    def applies(node: Any) -> bool:
        own = node.applies is None or _among(node.applies, category, group)
        return own and (node.inside is None or applies(parts[node.inside]))

    return frozenset(item.code for item in (book.item if book else ()) if not applies(item))


def _among(applies: Applies, category: str, group: str) -> bool:
    return (not applies.categories or category in applies.categories) and (
        not applies.groups or group in applies.groups
    )


def content(raw: bytes) -> bytes:
    """What duplicates and conflicts are told by: type, subject, time and data of an event that passed, by value.

    Order of keys, spacing and escapes do not matter; "1" and "1.0" differ.
    """
    wire = read(raw)
    return encode((wire.type, wire.subject, wire.time, wire.data))


class Opening(NamedTuple):
    """What an `assessment.opened` fixes: the fields of a year."""

    assessment: str
    rulebook: Rulebook
    roster: tuple[Unit, ...]
    synthetic: bool = False
    keys: Mapping[str, str] = {}


def opened(raw: bytes) -> Opening:
    """What an `assessment.opened` event that passed the check opens."""
    data: dict[str, Any] = read(raw).data
    book, units = soundness.read(data["rulebook"]), rosters.read(data["roster"])
    return Opening(data["assessment"], book, units, data.get("synthetic", False), data.get("keys", {}))


def opened_year(raw: bytes, assessment: str | None = None) -> Year | None:
    """The year that a ledger's first event opens, null when it is no opening."""
    event = Checker(None, (), assessment=assessment).check(raw)
    return Year(*opened(raw)) if isinstance(event, Event) else None
