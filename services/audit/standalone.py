"""Verify one unit's bundle with nothing but Python: `python3 verify.py BUNDLE.json [--key VKEY] [--checkpoint NOTE]`.

It decides whether these events, all of them and in this order, are in the log that the publisher signed, and whether
the unit's points follow from them by the rulebook. It shares no code with the publisher's. Exit 0: all holds; 1: the
first failure is named (SAYS lists them); 2: the bundle or a key cannot be read. BUNDLE.json is one object; hashes are
hex, an `entry` is {"sequence", "recorded" (microseconds since 1970 UTC, 0 where a file was folded), "index" (of its
leaf), "raw" (base64, as sent), "proof": [hash]}; its leaf is sequence and recorded time, 8 bytes each, then the raw:
  version       "wuxing-bundle-2"; `unit`: the unit's code; `readings`: {name: value in force}, all
  checkpoint    the signed note: origin, size, root, and the lines units, results, rulebook, roster; `size`: its size
  keys          verifier keys name+id+key, of the log (type 1) and of witnesses (type 4); --key replaces them
  consistency   [{"checkpoint": an earlier note, "proof": [hash]}], may be empty
  events        every entry whose subject is the unit, in ledger order; `year_events`: whose subject is `assessment`
  held          entries of other units that first held a (source, id) which an entry above repeats; may be empty
  void_sequences  of `finalised` that were void, which only the publisher can know
  commitments   {"units": number of codes, "unit" and "assessment": {"count", "hash", "index", "proof"}}: the leaf is
                code, count and hash joined by newlines, hash the SHA-256 of the list's leaf hashes in order
  rulebook, roster  as signed: the line of that name is the SHA-256 of its JSON, keys sorted, no white space
  results       the whole published results, or null; the line `results` is their digest
  stated        {"items": {item: {"points", "state"}}, "parts": {part: points}, "final"}, of the unit
Points of an item that compares units need the others' values: they are taken as stated, and said to be so.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, Iterator  # noqa: UP035 - runs on Python 3.8 too

ZERO, COMPARES = Fraction(0), ("rank", "bands", "best", "level")
FOREVER = ("event.revoked", "assessment.opened", "unit.changed", "key.changed", "item.transferred")
ENTRIES, RATING, VETO = ("deduction.recorded", "bonus.recorded"), "rating.recorded", "veto.recorded"
SCORING = (*ENTRIES, RATING, "submission.recorded", "item.exempted", "item.closed")  # of an office that has the item
OF_UNIT = (*SCORING[:5], "fact.recorded", VETO, "approval.recorded")  # void of a unit that is not there
OPEN = (*SCORING, *OF_UNIT, "reading.adopted", "tie.resolved", "unit.changed", "item.transferred")  # not while final
REFER = {"event.revoked": "target", "appeal.filed": "target", "approval.recorded": "target", "appeal.decided": "appeal"}
SAYS = {  # first the failures; a name with ? is for the reader to judge
    "version": ("包的格式是 {}，需要 {}", "the bundle's format is {}, expected {}"),
    "signature": ("{} 没有可信的签名", "{} is without a signature that fits"),
    "log_truncated": ("应有 {} 个事件，这里只到 {}", "there are to be {} events, here it ends at {}"),
    "log_rewritten": ("日志不是 {} 个事件时的延续：有删改或截去", "the log does not continue that of {} events"),
    "consistency": ("包中没有对 {} 个事件的一致性证明", "no consistency proof from {} events; ask for one"),
    "event_changed": ("序号 {} 的事件与日志不符", "the event of sequence {} is not the one in the log"),
    "events_swapped": ("序号 {} 处是序号 {} 的事件", "in the place of sequence {} is that of {}"),
    "event_left_out": ("{} 应有 {} 个事件，包中 {} 个，缺序号 {}", "{} has {} events, here {}; missing: {}"),
    "commitment": ("{} 的清单与承诺不符", "the list of {} is not the one committed to"),
    "rulebook": ("考核细则 {} 不是签名或开考的那一部", "the rulebook {} is not the one signed, or opened with"),
    "roster": ("名单不是签名的那一份：{}", "the roster is not the one signed: {}"),
    "readings": ("{} 应为 {}，包中为 {}", "{}: expected {}, found {}"),
    "void": ("序号 {} 不能作废", "sequence {} cannot be void"),
    "points": ("{} 得 {} {}", "{} comes to {} {}"),
    "signed": ("{} 个事件，由 {} 签名", "{} events, signed by {}"),
    "result_forged": ("{} 公布为 {}，算得 {}", "{}: stated {}, found {}"),
    "key?": ("公钥取自本包，请与公示的核对：{}", "the keys are the bundle's own; compare with those published: {}"),
    "continues": ("延续了 {} 个事件时的检查点", "continues the checkpoint of {} events"),
    "complete": ("{} 的 {} 个事件齐全、有序、未改", "{}: all {} events, in order, unchanged"),
    "agrees": ("{} 与签名的内容相符", "{}: agrees with what is signed"),
    "word?": ("{} 取自发布方，未经证明", "{}: the publisher's word, not proved"),
}


class Failed(Exception):  # noqa: N818 - it is an answer, not an error
    """A check that does not hold: a name of SAYS, and what goes into its sentence."""


def _need(holds: object, *line: object) -> None:
    if not holds:
        raise Failed(*line)


def _sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _digest(value: Any) -> str:  # of JSON with sorted keys and no white space
    return _sha(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()).hex()


def _one(things: list[dict[str, Any]], code: str, key: str = "code") -> dict[str, Any]:
    return next(thing for thing in things if thing[key] == code)


class Ed25519:
    """Verifies signatures (RFC 8032, section 5.1.7); points are in extended coordinates, None is no point."""

    p, order = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
    d = -121665 * pow(121666, 2**255 - 21, 2**255 - 19) % (2**255 - 19)

    def _add(self, a: Any, b: Any) -> Any:
        low, high = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
        c, d = 2 * a[3] * b[3] * self.d, 2 * a[2] * b[2]
        e, f, g, h = high - low, d - c, d + c, high + low
        return (e * f % self.p, g * h % self.p, f * g % self.p, e * h % self.p)

    def _times(self, n: int, a: Any) -> Any:
        doubled = self._times(n >> 1, self._add(a, a)) if n else (0, 1, 1, 0)
        return self._add(doubled, a) if n & 1 else doubled

    def _point(self, raw: bytes) -> Any:
        p, number = self.p, int.from_bytes(raw, "little")
        y, sign = number & (2**255 - 1), number >> 255
        square = (y * y - 1) * pow(self.d * y * y + 1, p - 2, p) % p
        x = pow(square, (p + 3) // 8, p)
        x = x if (x * x - square) % p == 0 else x * pow(2, (p - 1) // 4, p) % p
        if y >= p or len(raw) != 32 or (x * x - square) % p or (x == 0 and sign):
            return None
        x = p - x if x & 1 != sign else x
        return (x, y, 1, x * y % p)

    def signed(self, public: bytes, message: bytes, signature: bytes) -> bool:
        """Whether these bytes are the signature of the public key over the message."""
        key, r, s = self._point(public), self._point(signature[:32]), int.from_bytes(signature[32:], "little")
        if key is None or r is None or len(signature) != 64 or s >= self.order:
            return False
        h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % self.order
        left, right = self._times(s, self._point(b"\x58" + b"\x66" * 31)), self._add(r, self._times(h, key))
        return all((left[k] * right[2] - right[k] * left[2]) % self.p == 0 for k in (0, 1))


def open_note(note: str, keys: list[str]) -> dict[str, Any]:
    """Check a checkpoint's signatures; its fields, and `who`: the log that signed, and witnesses with their times."""
    body, known, who = note.rpartition("\n\n")[0], {}, {1: [], 4: []}  # type: str, dict[Any, bytes], dict[int, list[str]]
    for name, _, key in (each.split("+", 2) for each in keys):
        public = base64.b64decode(key, validate=True)
        known[name, _sha(name.encode(), b"\n", public)[:4]] = public
    origin, size, *lines = body.split("\n")
    for dash, name, line in (each.split(" ") for each in note[len(body) + 2 :].splitlines()):
        raw = base64.b64decode(line, validate=True)
        public, time = known.get((name, raw[:4]), b"\0"), int.from_bytes(raw[4:12], "big")
        kind, signer = public[0], f"{name}+{raw[:4].hex()}"
        message = f"{body}\n" if kind == 1 else f"cosignature/v1\ntime {time}\n{body}\n"
        fits = not kind or Ed25519().signed(public[1:], message.encode(), raw[4 if kind == 1 else 12 :])
        _need(fits and dash == "\u2014", "signature", signer)
        who.get(kind if kind == 4 or name == origin else 0, []).append(signer if kind == 1 else f"{signer} @{time}")
    _need(who[1], "signature", origin)
    log: dict[str, Any] = dict(each.split(" ", 1) for each in lines[1:])
    root, units = (base64.b64decode(each, validate=True) for each in (lines[0], log["units"]))
    return {**log, "origin": origin, "size": int(size), "root": root, "units": units, "who": who[1] + who[4]}


def top(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """Return the root an inclusion proof leads to (RFC 9162, section 2.1.3); nothing if it is not of this place."""
    if size <= 1 or not proof:
        return leaf if size == 1 and index == 0 and not proof else b""
    half = 1 << ((size - 1).bit_length() - 1)
    if index < half:
        return (inner := top(leaf, index, half, proof[:-1])) and _sha(b"\1", inner, proof[-1])
    return (inner := top(leaf, index - half, size - half, proof[:-1])) and _sha(b"\1", proof[-1], inner)


def tops(first: int, size: int, proof: list[bytes], old: bytes) -> tuple[bytes, bytes]:
    """Return the two roots a consistency proof leads to (section 2.1.4); `old` is known until a step to the right."""
    if not 0 < first < size or not proof:
        return (old or proof[0],) * 2 if first == size and len(proof) == (0 if old else 1) else (b"", b"")
    half, beside = 1 << ((size - 1).bit_length() - 1), proof[-1]
    if first <= half:
        a, b = tops(first, half, proof[:-1], old)
        return a, _sha(b"\1", b, beside)
    a, b = tops(first - half, size - half, proof[:-1], b"")
    return _sha(b"\1", beside, a), _sha(b"\1", beside, b)


def _half_up(number: Fraction, places: int = 6) -> Fraction:  # away from zero; 6 decimals of points, 9 of values
    size = int(abs(number) * 10**places + Fraction(1, 2))
    return Fraction(size if number > 0 else -size, 10**places)


def _text(number: Fraction, places: int = 6) -> str:
    whole, rest = divmod(int(abs(number) * 10**places), 10**places)
    return f"{'-' if number < 0 else ''}{whole}" + (f".{rest:0{places}d}" if places else "")


def _within(number: Fraction, low: Fraction | None, high: Fraction | None) -> Fraction:
    number = number if low is None else max(low, number)
    return number if high is None else min(high, number)


def _bound(table: dict[str, Any], name: str, default: Fraction | None) -> Fraction | None:
    text = table.get(name)
    return default if text is None else None if text == "none" else Fraction(text)


class Event:
    """One event of the log: what it says, and what later events did to it."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.raw, self.sequence = base64.b64decode(entry["raw"], validate=True), int(entry["sequence"])
        self.index, self.stamp = int(entry["index"]), int(entry["recorded"]).to_bytes(8, "big")
        self.leaf = self.leaf_at(self.sequence)
        self.proof, self.admitted, self.revoked = list(map(bytes.fromhex, entry["proof"])), False, False
        self.appeal: Event | None = None  # of what can be appealed: the appeal against it that was not withdrawn
        self.decision: Event | None = None  # of an appeal: the decision that stands
        self.approval: Event | None = None  # of an entry: the approval that stands
        self.target: Event | None = None  # of an appeal or approval: what it is about; of a decision: its appeal
        self.slot = ""  # the office of the rulebook whose place of the item the source had

    def leaf_at(self, sequence: int) -> bytes:
        """Return the leaf that it has, or would have at another sequence."""
        return _sha(b"\0", sequence.to_bytes(8, "big"), self.stamp, self.raw)

    def read(self) -> None:
        """Read the event, once its bytes are proved."""
        body = json.loads(self.raw, parse_int=str, parse_float=str)  # an attribute may be a number of any size
        self.source, self.id, self.data, self.subject = body["source"], body["id"], body["data"], body["subject"]
        self.office, self.type = self.source.rpartition("/")[2], body["type"].rpartition(".")[0]
        self.item, self.stage = self.data.get("item", ""), self.data.get("stage", "")

    def ruling(self) -> dict[str, Any]:
        """Return the data of the decision that stands on the appeal against it."""
        return self.appeal.decision.data if self.appeal and self.appeal.decision else {"outcome": ""}

    def stands(self) -> bool:
        """Whether it was admitted, and is neither revoked nor cancelled on appeal."""
        return self.admitted and not self.revoked and self.ruling()["outcome"] != "cancelled"


class Unit:
    """One unit's bundle: first the log, then which events stand, then what they come to by the rulebook."""

    def __init__(self, bundle: dict[str, Any], keys: list[str], older: list[str]) -> None:
        _need(bundle["version"] == "wuxing-bundle-2", "version", bundle["version"], "wuxing-bundle-2")
        self.bundle, self.keys, self.older = bundle, keys or bundle["keys"], older
        self.code, self.void, self.book = bundle["unit"], set(bundle["void_sequences"]), bundle["rulebook"]
        self.readings, self.items = bundle["readings"], {item["code"]: item for item in self.book["item"]}
        self.row: dict[str, Any] = next((row for row in bundle["roster"] if row["unit"] == self.code), {})
        self.there, self.log = bool(self.row), open_note(bundle["checkpoint"], self.keys)
        self.places = {code: [[office] for office in item["offices"]] for code, item in self.items.items()}
        self.own, self.year, self.other = ([Event(e) for e in bundle[k]] for k in ("events", "year_events", "held"))
        self.events = sorted([*self.own, *self.year, *self.other], key=lambda event: event.index)

    def check(self) -> Iterator[tuple[Any, ...]]:
        """Run every check, yielding what holds; raises Failed at the first that does not."""
        yield from [("key?", ", ".join(self.keys))] if self.keys is self.bundle["keys"] else []
        yield "signed", self.log["size"], ", ".join(self.log["who"])
        yield from self.check_log()
        yield from self.check_list(self.code, self.own, self.bundle["commitments"]["unit"])
        yield from self.check_list("assessment", self.year, self.bundle["commitments"]["assessment"])
        self.check_included(self.other)
        held: dict[tuple[str, str], Event] = {}
        for event in self.events:  # a (source, id) is held for ever: what repeats it is a duplicate or a conflict
            first = held.setdefault((event.source, event.id), event) is event
            event.admitted = first and event.subject in (self.code, "assessment") and self.admit(event, held)
        yield from self.check_rules()
        yield from self.check_stated()
        yield from self.check_results() if self.bundle["results"] else (("word?", "stated"),)

    def check_log(self) -> Iterator[tuple[Any, ...]]:
        """Check the size, and that the log continues what it was; a checkpoint held needs the bundle's proof."""
        size, root, here = self.log["size"], self.log["root"], self.bundle["size"]
        last = max((event.index + 1 for event in self.events), default=0)
        _need(here == size >= last, "log_truncated", max(here, size, last), min(here, size))
        roots = {size: root}
        steps = [(step["checkpoint"], list(map(bytes.fromhex, step["proof"]))) for step in self.bundle["consistency"]]
        for note, proof in [*steps, *((note, None) for note in self.older)]:
            n = (old := open_note(note, self.keys))["size"]
            _need(n <= size, "log_truncated", n, size)
            _need(proof is not None or n in roots, "consistency", n)
            ends = (roots[n], root) if proof is None else tops(n, size, proof, old["root"])
            _need((*ends, old["origin"]) == (old["root"], root, self.log["origin"]), "log_rewritten", n)
            roots[n] = old["root"]
            yield "continues", n

    def check_list(self, code: str, events: list[Event], stated: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        """Check that a list is all that the log has of its subject, in order, and say what happened to it if not."""
        leaf, proof = f"{code}\n{stated['count']}\n{stated['hash']}", list(map(bytes.fromhex, stated["proof"]))
        found = top(_sha(b"\0", leaf.encode()), stated["index"], self.bundle["commitments"]["units"], proof)
        _need(found == self.log["units"], "commitment", code)
        self.check_included(events)
        for a, b in ((events[n - 1], events[n]) for n in range(1, len(events))):
            _need(a.index < b.index and a.sequence < b.sequence, "events_swapped", a.sequence, b.sequence)
        results = self.bundle["results"] or {"entries": [], "events": []}
        lines = {line["seq"] for line in results["entries"] + results["events"] if line["unit"] == code}
        lost = sorted(lines - {event.sequence for event in events}) or "?"
        _need(len(events) >= stated["count"], "event_left_out", code, stated["count"], len(events), lost)
        same = _sha(*(event.leaf for event in events)).hex() == stated["hash"]
        _need(same and {event.subject for event in events} <= {code}, "commitment", code)
        yield "complete", code, len(events)

    def check_included(self, events: list[Event]) -> None:
        """Check each event's inclusion proof, or find whose place it was given; read it once its bytes are proved."""
        for event in events:
            fits = (n for n in [event, *events] if self._lies(event, n) or self._lies(event, n, event.proof))
            other = next(fits, None)
            _need(other, "event_changed", event.sequence)
            _need(other is event, "events_swapped", event.sequence, other and other.sequence)
            event.read()

    def _lies(self, event: Event, place: Event, proof: list[bytes] | None = None) -> bool:
        leaf = event.leaf_at(place.sequence)
        return bool(top(leaf, place.index, self.log["size"], proof or place.proof) == self.log["root"])

    def _standing(self, *kinds: str, item: str = "") -> list[Event]:
        return [e for e in self.events if e.type in kinds and e.stands() and item in ("", e.item)]

    def _closed(self, item: str) -> set[str]:
        return {event.office for event in self._standing("item.closed", item=item)}

    def admit(self, event: Event, held: dict[tuple[str, str], Event]) -> bool:
        """Whether an event is not void, by what precedes it; carries out what it does to others."""
        kind = event.type
        final = any(other.stage == "finalised" for other in self._standing("stage.reached"))
        if final and (kind in OPEN or event.stage not in ("", "finalised")):
            return False
        if (kind in OF_UNIT and not self.there) or (kind in SCORING and event.office in self._closed(event.item)):
            return False
        if kind in SCORING:
            event.slot = next(place[0] for place in self.places[event.item] if place[-1] == event.office)
        if kind in REFER:
            named = event.data[REFER[kind]]
            found = held.get((named["source"], named["id"]))
            return bool(found and found.subject == event.subject and found.stands() and self.refers(event, found))
        if kind in ("unit.changed", "item.transferred"):
            return self.change(event.data) if kind == "unit.changed" else self.transfer(event.data)
        return event.sequence not in self.void and (kind != "assessment.opened" or event.index == 0)

    def change(self, data: dict[str, Any]) -> bool:
        """Let a change of the unit take effect; False if it is void."""
        if fits := self.there != (data["change"] == "joined"):
            self.there = data["change"] != "left"
            self.row = {**self.row, **{key: data[key] for key in ("category", "group", "attributes") if key in data}}
        return bool(fits)

    def transfer(self, data: dict[str, Any]) -> bool:
        """Give an item's place to another office; False if it is void."""
        holders = [place[-1] for place in self.places[data["item"]]]
        if fits := data["from"] in holders and data["to"] not in holders:
            self.places[data["item"]][holders.index(data["from"])].append(data["to"])
        return bool(fits)

    def refers(self, event: Event, found: Event) -> bool:
        """Carry out a revocation, an appeal, a decision or an approval on what it names; False if it is void."""
        if event.type == "event.revoked":  # by its source, or by who has its item from there
            after = [place[place.index(found.office) + 1 :] for place in self.places.get(found.item, []) if
                     found.office in place]  # fmt: skip
            mine = found.source == event.source or any(event.office in heirs for heirs in after)
            found.revoked = mine and not found.decision and found.type not in FOREVER
            if found.revoked and found.target:  # an appeal is withdrawn, a decision or an approval undone
                found.target.appeal = found.target.decision = found.target.approval = None
            return found.revoked
        if event.type == "appeal.filed":  # against a standing entry, rating or veto that has none
            fits, old = found.type in (*ENTRIES, RATING, VETO), found.appeal
            found.appeal = event if fits and not old else old
        elif event.type == "approval.recorded":
            fits, old = found.type in ENTRIES and bool(self._ground(found).get("approval")), found.approval
            found.approval = event if fits and not old else old
        else:
            target, old, revised = found.target, found.decision, event.data["outcome"] == "revised"
            fits = found.type == "appeal.filed" and bool(target and target.stands())
            fits = fits and (not revised or bool(target and self._may_be(target, Fraction(event.data["points"]))))
            found.decision = event if fits and not old else old
        event.target = found
        return fits and not old

    def check_rules(self) -> Iterator[tuple[Any, ...]]:
        """Check rulebook, roster, readings and void events against what the log says."""
        book, rows, opened = self.book, self.bundle["roster"], self._standing("assessment.opened")
        same = all((book, rows) == (event.data["rulebook"], event.data["roster"]) for event in opened)
        _need(same and _digest(book) == self.log["rulebook"], "rulebook", book["id"])
        _need(_digest(rows) == self.log["roster"], "roster", self.code)
        yield from (("agrees", "rulebook"), ("agrees", "roster"))
        adopted = {event.data["reading"]: event.data["value"] for event in self._standing("reading.adopted")}
        for each in book.get("reading", []):
            expected, found = adopted.get(each["name"], each["values"][0]), self.readings.get(each["name"])
            _need(found == expected, "readings", each["name"], expected, found)
        final = {event.sequence for event in self.events if event.stage == "finalised"}
        _need(self.void <= final, "void", sorted(self.void - final))
        yield from [("word?", f"void_sequences {sorted(self.void)} / {sorted(final)}")] if final else []

    def _rule(self, table: dict[str, Any], name: str, default: str = "") -> str:
        value: str = table.get(name, default)
        return self.readings[value[1:]] if value.startswith("@") else value

    def _ground(self, event: Event) -> dict[str, Any]:
        return _one(self.items[event.item]["ground"], event.data["ground"])

    def _worth(self, event: Event, claimed: bool = False) -> Fraction:  # an entry's points, a rating's value
        data = event.data if claimed or event.ruling()["outcome"] != "revised" else event.ruling()
        return Fraction(data.get("value") or data.get("points") or self._ground(event)["points"])

    def _may_be(self, event: Event, points: Fraction) -> bool:  # what a decision may put in its place
        if event.type in (*ENTRIES, VETO):
            return event.type != VETO and 0 <= points <= self._worth(event, claimed=True)
        item, measure = self.items[event.item], event.data.get("measure")
        allowed = _one(item["measure"], measure) if measure else item["range"]
        low, high = Fraction(allowed.get("min", 0)), Fraction(allowed.get("max", 1))
        return low <= points <= high and (not allowed.get("binary") or points in (0, 1))

    def _attribute(self, code: str) -> Fraction:
        facts = [e.data["value"] for e in self._standing("fact.recorded") if e.data["attribute"] == code]
        given = self.row.get("attributes", {}).get(code, _one(self.book["attribute"], code).get("default"))
        return Fraction([given, *facts][-1])

    def _applies(self, node: dict[str, Any]) -> bool:
        rule, above = node.get("applies", {}), node.get("in")
        here = all(
            self.row[k] in rule.get(f, [self.row[k]]) for k, f in (("category", "categories"), ("group", "groups"))
        )
        return here and (not above or self._applies(_one(self.book["part"], above)))

    def entries(self, item: dict[str, Any]) -> Fraction:
        """Return the balance: the start, less and more what each entry adds to its matter, cut by caps and bounds."""
        mode, signs = self._rule(item, "matter", "each"), {ground.get("adds", False) for ground in item["ground"]}
        points, nodes = Fraction(item["points"]), {node["code"]: node for node in item.get("node", [])}
        start, deducts = (points, ZERO) if item.get("start") != "0" else (ZERO, -points * (False in signs))
        ends = _bound(item, "at_least", deducts), _bound(item, "at_most", points if start or True in signs else ZERO)
        purses = {"": (start, *ends)}
        if self._rule(item, "purse", "shared") == "separate":
            purses = {office: (Fraction(share), ZERO, Fraction(share)) for office, share in item["share"].items()}
        groups = {code: node.get("cap_group", code) for code, node in nodes.items()}
        caps = {(groups[c], adds): Fraction(n["cap"]) for c, n in nodes.items() if "cap" in n for adds in (True, False)}
        sums = dict.fromkeys(purses, ZERO)
        charges: dict[Any, dict[str, Fraction]] = {}
        for event in self._standing(*ENTRIES, item=item["code"]):
            ground, matter, needed = self._ground(event), event.data["matter"], self._ground(event).get("requires")
            if ground.get("approval") and not (event.approval and event.approval.data["outcome"] == "approved"):
                continue
            adds, cost, before = ground.get("adds", False), self._worth(event), charges.setdefault(matter, {})
            if mode != "each":
                charge = charges.setdefault((matter, adds), {})
                old, worth = self._charge(item, mode, charge), max(cost, charge.get(ground["code"], ZERO))
                charge.update({ground["code"]: worth} if not needed or needed in before else {})
                cost = self._charge(item, mode, charge) - old
            before[ground["code"]] = ZERO
            if cap := (groups[event.data["node"]], adds) if nodes else None:
                cost = min(cost, caps.get(cap, cost))
                caps.update({cap: caps[cap] - cost} if cap in caps else {})
            sums[event.slot if event.slot in purses else ""] += cost if adds else -cost
        return sum((_within(purses[p][0] + total, *purses[p][1:]) for p, total in sums.items()), ZERO)

    def _charge(self, item: dict[str, Any], mode: str, charge: dict[str, Fraction]) -> Fraction:
        branches: dict[str, Fraction] = {}
        for code, points in charge.items():
            branch = _one(item["ground"], code).get("branch", code)
            branches[branch] = branches.get(branch, ZERO) + points
        return sum(branches.values(), ZERO) if mode == "sum" else max(branches.values(), default=ZERO)

    def panel(self, item: dict[str, Any]) -> dict[str, dict[str, Fraction]]:
        """Return the value of each measure in each run: the latest rating of each rater, then means."""
        kind, latest = self._rule(item, "panel", "plain"), {}
        for event in self._standing(RATING, item=item["code"]):
            data = event.data
            run = data.get("period", data.get("case", ""))
            rater = "" if kind == "latest" else data["rater"]
            latest[run, data.get("measure", "value"), data.get("group", ""), rater] = self._worth(event)
        raters, found = [one["code"] for one in item.get("raters", [])] or [""], {}  # type: list[str], dict[str, dict[str, Fraction]]
        shares = self._rule(item, "weights").split("/") if "weights" in item else ["1"] * len(raters)
        weights = {code: Fraction(shares[n]) for n, code in enumerate(raters)}
        for run, measure in {key[:2] for key in latest}:
            means = {}
            for group in {key[2] for key in latest if key[:2] == (run, measure)}:
                values = sorted(value for key, value in latest.items() if key[:3] == (run, measure, group))
                values = values[1:-1] if kind == "trimmed" and len(values) >= 3 else values
                means[group] = _half_up(sum(values, ZERO) / len(values), 9)
            all_of = sum((weights[group] for group in means), ZERO)
            value = _half_up(sum((weights[group] * mean for group, mean in means.items()), ZERO) / all_of, 9)
            found.setdefault(run, {})[measure] = value
        return found

    def value(self, item: dict[str, Any], have: dict[str, Fraction]) -> Fraction | None:
        """Return what the measures of a run and the attributes come to by the formula; without one the value itself."""
        measures, codes = [m["code"] for m in item.get("measure", [])] or ["value"], self.book.get("attribute", [])

        def named(term: dict[str, str], key: str, default: str = "") -> Fraction | None:
            name = term.get(key, default)
            if name in measures or not name:
                return have.get(name)
            return self._attribute(name) if name in [a["code"] for a in codes] else Fraction(name)

        total = ZERO
        for term in item.get("formula", []):
            plus, less, times = named(term, "plus"), named(term, "less", "0"), named(term, "times", "1")
            ratio = named(term, "ratio_to", "1")
            if plus is None or less is None or times is None or ratio is None or ratio <= 0:
                continue
            came = _half_up(plus / ratio if "ratio_to" in term else (plus - less) * times, 9)
            ends = Fraction(term["within"]) if "within" in term else None
            total += _within(came, ends and -ends, ends)
        factor = self._attribute(item["factor"]) if "factor" in item else Fraction(1)
        return _half_up(total * factor, 9) if "formula" in item else have.get("value")

    def _needed(self, item: dict[str, Any]) -> set[str]:  # the measures that its value is made of
        named = {term.get(key) for term in item.get("formula", []) for key in ("plus", "less", "ratio_to")}
        own = {"value", *(measure["code"] for measure in item.get("measure", []))}
        return named & own if "formula" in item else {"value"}

    def _method(self, item: dict[str, Any]) -> dict[str, Any]:
        ways = item.get("method") or [{"kind": "direct" if "formula" in item else "scale"}]
        code = self._rule(item, "scoring")
        return next((way for way in ways if code and way.get("code") == code), ways[0])

    def _runs(self, item: dict[str, Any]) -> list[str]:  # the values of its period
        periods: list[dict[str, Any]] = self.book.get("period", [])
        return next((list(one["values"]) for one in periods if one["code"] == item.get("runs")), [])

    def _full(self, item: dict[str, Any]) -> Fraction:
        own = self._method(item).get("points") if item["input"] == "ratings" else None
        times = len(self._runs(item)) if item.get("over") == "sum" else 0
        return Fraction(own) * (times or 1) if own else Fraction(item["points"])

    def rated(self, item: dict[str, Any]) -> Fraction | None:
        """Return the points of an item that compares nobody: run by run, then over the runs; None without a value."""
        way, listed, runs = self._method(item), self._runs(item), self.panel(item) if self._needed(item) else {"": {}}
        times = len(listed) if item.get("over") == "sum" and listed else 1
        full = Fraction(way["points"]) if "points" in way else _half_up(Fraction(item["points"]) / times)
        low, high = _bound(item, "at_least", ZERO), _bound(item, "at_most", full)
        values = {run: self.value(item, have) for run, have in runs.items()}
        found = {
            r: _within(self.points(way, v, full, item, low), low, high) for r, v in values.items() if v is not None
        }
        counted, over = list(found.values()), item.get("over", "mean") if "runs" in item else "sum"
        if over == "latest" and found:
            return found[[run for run in listed if run in found][-1]]
        counted += [ZERO] * (len(listed) - len(counted) if item.get("missing") == "0" and counted else 0)
        total = sum(counted, ZERO)
        return None if not counted else _half_up(total / len(counted)) if over == "mean" else (
            max(counted) if over == "best" else total)  # fmt: skip

    def points(self, way: dict[str, Any], value: Fraction, full: Fraction, item: Any, low: Fraction | None) -> Fraction:
        """Return the points of a value by itself: direct, scale, table."""
        if way["kind"] == "direct":
            return _half_up(value)
        if way["kind"] == "scale":
            return _half_up(full * value / Fraction(way.get("of") or item.get("range", {}).get("max", 1)))
        rows = [(Fraction(x), Fraction(p)) for x, p in way["rows"]]
        below, above = [row for row in rows if row[0] <= value], [row for row in rows if row[0] > value]
        if way.get("between", "step") == "step":
            return below[-1][1] if below else low or ZERO
        if not below or not above:
            return (below or above)[-1 if below else 0][1]
        (x0, p0), (x1, p1) = below[-1], above[0]
        return p0 + _half_up((p1 - p0) * (value - x0) / (x1 - x0))

    def reckon(self, item: dict[str, Any], stated: Any) -> tuple[Fraction | None, str]:
        """Return an item's points, None without input, and its state; of one that compares the points as stated."""
        code, rates = item["code"], item["input"] == "ratings"
        runs, needed = (self.panel(item), self._needed(item)) if rates else ({}, set())
        rated = bool(self._standing(RATING, item=code))
        done = not needed or any(needed <= {*have} for have in runs.values()) or (
            item.get("missing") == "0" and not rated)  # fmt: skip
        closed = self._closed(code) >= {place[-1] for place in self.places[code]}
        state = "exempt" if self.exempt(item) else "scored" if closed and done else "pending"
        if rates and self._method(item)["kind"] in COMPARES and (state != "exempt" or not self.there):
            return None if stated is None else Fraction(stated), state
        if state == "exempt":
            return {"full": self._full(item), "start": ZERO}.get(self._exempt(item)), state
        points = self.rated(item) if rates else self.entries(item)
        points = ZERO if points is None and state == "scored" else points
        return None if points is None else _half_up(points, int(item.get("decimals", 6))), state

    def exempt(self, item: dict[str, Any]) -> bool:
        """Whether the item was declared not applicable to the unit."""
        return bool([e for e in self._standing("item.exempted", item=item["code"]) if e.subject == self.code])

    def _exempt(self, item: dict[str, Any]) -> str:  # what an exemption comes to
        entries = ("start" if item.get("start") == "0" else "full") if item["input"] == "entries" else "proportional"
        how: str = item.get("exempt", entries)
        return how

    def _under(self, part: str) -> list[dict[str, Any]]:
        below = [code for each in self.book["part"] if each.get("in") == part for code in self._under(each["code"])]
        return [item for item in self.items.values() if item.get("in") == part] + below

    def share(self, item: dict[str, Any], found: dict[str, Fraction | None]) -> Fraction:
        """Return the points of an exempted item by those of its part, or of the nearest part above that has some."""
        above = item.get("in")
        while above:
            pool = [o for o in self._under(above) if o["code"] in found and not self.exempt(o) and self._full(o)]
            pool = [other for other in pool if Fraction(other.get("weight", 1))]
            if full := sum(map(self._full, pool), ZERO):
                got = sum((found[other["code"]] or ZERO for other in pool), ZERO)
                return _half_up(_half_up(self._full(item) * got / full), int(item.get("decimals", 6)))
            above = _one(self.book["part"], above).get("in")
        return self._full(item)

    def check_stated(self) -> Iterator[tuple[Any, ...]]:
        """Check every item, then the parts over them, then the final."""
        stated, own = self.bundle["stated"], [item for item in self.items.values() if self._applies(item)]
        _need({*stated["items"]} == {item["code"] for item in own}, "result_forged", "items", "*", "*")
        reckoned = {i["code"]: self.reckon(i, stated["items"][i["code"]]["points"]) for i in own}
        found = {code: points for code, (points, _) in reckoned.items()}
        given = {event.data["veto"] for event in self._standing(VETO)}
        zero = {veto.get("zero") for veto in self.book.get("veto", []) if veto["code"] in given}
        for item in own:
            code, (came, state) = item["code"], reckoned[item["code"]]
            compares = item["input"] == "ratings" and self._method(item)["kind"] in COMPARES
            if state == "exempt" and self._exempt(item) == "proportional" and (self.there or not compares):
                came = self.share(item, found)
            out = state == "exempt" and self._exempt(item) == "out"
            came = ZERO if code in zero and not out else came
            mine, theirs = {"points": None if came is None else _text(came), "state": state}, stated["items"][code]
            _need(mine == theirs, "result_forged", code, theirs, mine)
            yield ("word?", code) if compares and state != "exempt" else ("points", code, *mine.values())
            reckoned[code] = (None if out else came or ZERO, state)
        values = {code: points for code, (points, _) in reckoned.items()}
        parts = {part["code"]: part for part in self.book.get("part", []) if self._under_applies(part)}
        tops = [self.tree(node, values, zero, parts) for node in [*parts.values(), *own] if not node.get("in")]
        total, formula = sum((w * p for w, p, _ in tops if p is not None), ZERO), self.book["final"]
        places = int(formula.get("decimals", 8))
        final = _text(_half_up(total * Fraction(formula.get("times", 1)), places), places)
        reached = {code: None if values[code] is None else _text(values[code] or ZERO) for code in parts}
        _need(reached == stated["parts"], "result_forged", "parts", stated["parts"], reached)
        _need(final == stated["final"], "result_forged", "final", stated["final"], final)
        yield "points", "final", final, ""

    def _under_applies(self, part: dict[str, Any]) -> bool:
        return any(self._applies(item) for item in self._under(part["code"]))

    def tree(self, node: Any, values: Any, zero: Any, parts: Any) -> tuple[Fraction, Fraction | None, Fraction]:
        """Return weight, points (None if out) and full points of a node; puts the parts' points into `values`."""
        weight = Fraction(node.get("weight", 1))
        if "input" in node:
            return weight, values[node["code"]], self._full(node)
        children = [self.tree(each, values, zero, parts) for each in [*parts.values(), *self.items.values()]
                    if each.get("in") == node["code"] and ("input" not in each or self._applies(each))]  # fmt: skip
        sums = [(w * p, w * full) for w, p, full in children if p is not None]
        whole, how = sum((full for _, full in sums), ZERO), node.get("combine", "sum")
        points, full = [p for p, _ in sums], whole if how == "sum" else Fraction(node["points"])
        values[node["code"]] = None
        if points and (how != "rescale" or whole):
            total = sum(points, ZERO)
            came = {"max": max(points), "mean": total / len(points), "sum": total}.get(how)
            came = Fraction(node["points"]) * total / whole if came is None else came
            came = _within(_half_up(came), _bound(node, "at_least", None), _bound(node, "at_most", None))
            values[node["code"]] = ZERO if node["code"] in zero else _half_up(came, int(node.get("decimals", 6)))
        return weight, values[node["code"]], full

    def check_results(self) -> Iterator[tuple[Any, ...]]:
        """Check the whole results, where they are carried, against their signed digest and what is stated."""
        body = {k: v for k, v in self.bundle["results"].items() if k not in ("digest", "as_of", "refused")}
        said = {n: [{k: v for k, v in x.items() if k != "why"} for x in body[n]] for n in ("entries", "events")}
        found, row = _digest({**body, **said}), _one(body["units"], self.code, "unit")
        _need(found == self.log["results"], "result_forged", "digest", found, self.log["results"])
        for key, expected in {**self.bundle["stated"], **{key: self.row[key] for key in ("category", "group")}}.items():
            _need(row[key] == expected, "result_forged", key, row[key], expected)
        yield "agrees", "results"
        if self.book["final"].get("order", ["final"]) == ["final"] and row["place"] is not None:
            rivals = [o for o in body["units"] if o["category"] == row["category"] and o["place"] is not None]
            place = 1 + sum(Fraction(other["final"]) > Fraction(row["final"]) for other in rivals)
            _need(place == row["place"], "result_forged", "place", row["place"], place)
            yield "points", "place", place, ""


def main() -> int:
    """Print one line a check; the exit code is the answer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--key", action="append", default=[], help="a verifier key you trust, instead of the bundle's")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="a checkpoint that you hold")
    parser.add_argument("--lang", choices=("zh", "en"), default="zh")
    options = parser.parse_args()
    en = options.lang == "en"

    def say(mark: str, name: str, *values: object) -> None:
        sys.stdout.write(f"{mark} {name}: {SAYS[name][en].format(*values).rstrip()}\n")

    try:
        older = [path.read_text(encoding="utf-8") for path in options.checkpoint]
        for line in Unit(json.loads(options.bundle.read_bytes()), options.key, older).check():
            say(("note" if en else "注意") if line[0].endswith("?") else "ok  " if en else "通过", *line)
    except Failed as failed:
        say("FAIL" if en else "不符", *failed.args)
        return 1
    except Exception as error:  # noqa: BLE001 - a bundle is a stranger's; whatever it breaks, it was not read
        sys.stdout.write(f"{'cannot be read' if en else '无法读取'}: {type(error).__name__}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
