"""Verify one unit's bundle with nothing but Python: `python3 verify.py BUNDLE.json [--key VKEY] [--checkpoint NOTE]`.

It decides whether these events, all of them and in this order, are in the log that the publisher signed, which of them
stand, and whether what is published is what was signed; recount.py and places.py, beside it, whether points, places and
grades follow from them by the rulebook. It shares no code with the publisher's. Exit 0: all holds; 1: the first failure
is named (SAYS lists them); 2: the bundle or a key cannot be read. BUNDLE.json is one object; hashes are hex, an `entry`
is {"sequence", "recorded" (microseconds since 1970 UTC, 0 where a file was folded), "index" (of its leaf), "raw"
(base64, as sent), "proof": [hash]}; its leaf is sequence and recorded time, 8 bytes each, then the raw. Without "raw"
it has the "leaf", and in "told" what the publisher says of it: a rating whose rater is not named, or of a `held` event
its source and id alone:
  version       "wuxing-bundle-3"; `unit`: the unit's code
  checkpoint    the signed note: origin, size, root, and the lines units, shown, rulebook, roster …; `size`: its size
  keys          verifier keys name+id+key, of the log (type 1) and of witnesses (type 4); --key replaces them
  consistency   [{"checkpoint": an earlier note, "proof": [hash]}], may be empty
  events        every entry whose subject is the unit, in ledger order; `year_events`: whose subject is `assessment`
  held          entries of other units that first held a (source, id) which an entry above repeats; may be empty
  commitments   {"units": number of codes, "unit" and "assessment": {"count", "hash", "index", "proof"}}: the leaf is
                code, count and hash joined by newlines, hash the SHA-256 of the list's leaf hashes in order
  rulebook, roster  as signed: the line of that name is the SHA-256 of its JSON, keys sorted, no white space
  published     what the line `shown` commits to: {"columns": {table: names}, "all": {table: rows} that all may see, of
                those with a sequence "own" of the unit and "year" of the year, "private": {code: digest} of others'}.
                A leaf is a code, the digest of its public tables and of its own joined by newlines; that of tables the
                SHA-256 of "table digest" a line; of a table that of its rows, sorted; a row is its columns as
                length:text, or -, joined by commas
  texts         may be left out: {token: [salt, text]} of what the events above have out of line
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Iterator, Sequence  # noqa: UP035 - runs on Python 3.8 too

try:
    from .places import Everybody
    from .recount import ENTRIES, RATING, VETO, Event, Failed, Recount, Rules, need, number, one
except ImportError:  # as a file, with the two beside it
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from places import Everybody  # type: ignore[import-not-found,no-redef]
    from recount import (  # type: ignore[import-not-found,no-redef]
        ENTRIES,
        RATING,
        VETO,
        Event,
        Failed,
        Recount,
        Rules,
        need,
        number,
        one,
    )  # fmt: skip

FOREVER = ("event.revoked", "assessment.opened", "unit.changed", "key.changed", "item.transferred", "text.erased")
SCORING = (*ENTRIES, RATING, "submission.recorded", "item.exempted", "item.closed")  # of an office that has the item
OF_UNIT = (*SCORING[:5], "fact.recorded", VETO, "approval.recorded")  # void of a unit that is not there
OPEN = (*SCORING, *OF_UNIT, "reading.adopted", "tie.resolved", "unit.changed", "item.transferred")  # not while final
REFER = {"event.revoked": "target", "appeal.filed": "target", "approval.recorded": "target", "appeal.decided": "appeal"}
MOST = 2**25  # bytes of a bundle that is read: what they may come to in memory is some 25 times that
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
    "published": ("公布的内容不是签名所承诺的：{}", "what is published is not what is signed: {}"),
    "words": ("序号 {} 公布为 {}，应为 {}", "sequence {}: published as {}, found {}"),
    "told": ("{} 有评分以外的事件隐去了内容", "{}: events other than ratings are without their bytes"),
    "too_large": ("超过 {} 字节，未读取", "over {} bytes: not read"),
    "number": ("{} 不是数", "{} is no number"),
    "cross_unit": ("{}：{} 的数据与公布的结果不符", "{}: what is published of {} does not fit"),
    "place": ("{} 的名次应为 {}，公布为 {}", "the place of {}: found {}, published {}"),
    "grade": ("{}：应为 {}，公布为 {}", "{}: found {}, published {}"),
    "compared": ("{} 由 {} 个单位已签名的数据算出", "{} follows from the values of {} units, as signed"),
    "placed": ("名次 {}，由 {} 个单位已签名的得分算出", "place {}, from the points of {} units, as signed"),
    "graded": ("等次 {}，名额与各单位等次均重算相符", "grades {}; quotas and everybody's grades recomputed"),
    "told?": (
        "{} 份评分隐去评分人，内容取自发布方",
        "{} ratings are without their raters: their words are the publisher's",
    ),
    "held?": (
        "{} 个标识先为他单位事件所用，取自发布方",
        "that {} ids were held by others' events is the publisher's word",
    ),
    "points": ("{} 得 {} {}", "{} comes to {} {}"),
    "signed": ("{} 个事件，由 {} 签名", "{} events, signed by {}"),
    "result_forged": ("{} 公布为 {}，算得 {}", "{}: stated {}, found {}"),
    "key?": ("公钥取自本包，请与公示的核对：{}", "the keys are the bundle's own; compare with those published: {}"),
    "continues": ("延续了 {} 个事件时的检查点", "continues the checkpoint of {} events"),
    "complete": ("{} 的 {} 个事件齐全、有序、未改", "{}: all {} events, in order, unchanged"),
    "agrees": ("{} 与签名的内容相符", "{}: agrees with what is signed"),
    "text": ("标记 {} 的文本不是原文，或不属于这些事件", "the text of {} is another, or of none of these events"),
    "texts": ("{} 份行外文本与标记相符", "{} texts out of line are those of their tokens"),
    "texts?": ("{} 份行外文本不在包中：已删除或未提供", "{} texts out of line are not here: erased, or not given"),
    "word?": ("{} 取自发布方，未经证明", "{}: the publisher's word, not proved"),
}
#: The state of an item, as it is said.
STATES = {"scored": ("", ""), "pending": ("待定", "pending"), "exempt": ("不适用", "exempt")}


def said(name: str, values: Sequence[object], en: bool) -> str:
    """What is said of a check; an item without points has a dash for them."""
    if name == "points":
        code, points, state = values
        values = (code, "-" if points is None else points, STATES.get(str(state), (state, state))[en])
    return SAYS[name][en].format(*values).rstrip()


def _sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _digest(value: Any) -> str:  # of JSON with sorted keys and no white space
    return _sha(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()).hex()


def _is_cell(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_sequence(text: str | None) -> bool:
    return bool(text and len(text) < 20 and text.isascii() and text.isdecimal())  # more digits than an int64 has


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
        need(fits and dash == "\u2014", "signature", signer)
        who.get(kind if kind == 4 or name == origin else 0, []).append(signer if kind == 1 else f"{signer} @{time}")
    need(who[1], "signature", origin)
    log: dict[str, Any] = dict(each.split(" ", 1) for each in lines[1:])
    tops = (base64.b64decode(each, validate=True) for each in (lines[0], log["units"], log["shown"]))
    root, units, shown = tops
    return {**log, "origin": origin, "size": int(size), "root": root, "units": units, "shown": shown,
            "who": who[1] + who[4]}  # fmt: skip


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


class Entry(Event):
    """An event with its place in the log, and the proof of that."""

    def __init__(self, entry: dict[str, Any]) -> None:
        super().__init__(int(entry["sequence"]))
        self.index, self.stamp = int(entry["index"]), int(entry["recorded"]).to_bytes(8, "big")
        self.proof, self.told, self.repeats = list(map(bytes.fromhex, entry["proof"])), entry.get("told"), False
        self.raw = b"" if self.told else base64.b64decode(entry["raw"], validate=True)
        self.leaf = bytes.fromhex(entry["leaf"]) if self.told else self.leaf_at(self.sequence)

    def leaf_at(self, sequence: int) -> bytes:
        """Return the leaf that it has, or would have at another sequence."""
        return self.leaf if self.told else _sha(b"\0", sequence.to_bytes(8, "big"), self.stamp, self.raw)

    def read(self) -> None:
        """Read the event, once its leaf is proved; an attribute may be a number of any size."""
        self.says(self.told or json.loads(self.raw, parse_int=str, parse_float=str))


class Unit:
    """One unit's bundle: first the log and what is signed, then which events stand, then what they come to."""

    def __init__(self, bundle: dict[str, Any], keys: list[str], older: list[str]) -> None:
        need(bundle["version"] == "wuxing-bundle-3", "version", bundle["version"], "wuxing-bundle-3")
        self.bundle, self.keys, self.older = bundle, keys or bundle["keys"], older
        self.code, self.rules, self.log = (
            bundle["unit"],
            Rules(bundle["rulebook"]),
            open_note(bundle["checkpoint"], self.keys),
        )
        self.row: dict[str, Any] = next((row for row in bundle["roster"] if row["unit"] == self.code), {})
        self.there, self.tables, self.words = bool(self.row), {}, {}  # type: bool, dict[str, list[Any]], dict[int, Any]
        self.places = {code: [[office] for office in item["offices"]] for code, item in self.rules.items.items()}
        self.own, self.year, self.other = ([Entry(e) for e in bundle[k]] for k in ("events", "year_events", "held"))
        self.events = sorted([*self.own, *self.year, *self.other], key=lambda event: event.index)

    def check(self) -> Iterator[tuple[Any, ...]]:
        """Run every check, yielding what holds; raises Failed at the first that does not."""
        yield from [("key?", ", ".join(self.keys))] if self.keys is self.bundle["keys"] else []
        yield "signed", self.log["size"], ", ".join(self.log["who"])
        yield from self.check_log()
        yield from self.check_published()
        yield from self.check_list(self.code, self.own, self.bundle["commitments"]["unit"])
        yield from self.check_list("assessment", self.year, self.bundle["commitments"]["assessment"])
        self.check_included(self.other)
        held: dict[tuple[str, str], Entry] = {}
        for event in self.events:  # a (source, id) is held for ever: what repeats it is a duplicate or a conflict
            event.repeats = held.setdefault((event.source, event.id), event) is not event
            here = not event.repeats and event.subject in (self.code, "assessment")
            event.admitted = here and self.admit(event, held)
        yield from self.check_rules()
        yield from self.check_words()
        yield from self.check_texts()
        unit = {"code": self.code, "row": self.row, "there": self.there, "places": self.places}
        yield from Everybody(self.tables, Recount(self.rules, unit, [*self.events])).check()

    def check_log(self) -> Iterator[tuple[Any, ...]]:
        """Check the size, and that the log continues what it was; a checkpoint held needs the bundle's proof."""
        size, root, here = self.log["size"], self.log["root"], self.bundle["size"]
        last = max((event.index + 1 for event in self.events), default=0)
        need(here == size >= last, "log_truncated", max(here, size, last), min(here, size))
        roots = {size: root}
        steps = [(step["checkpoint"], list(map(bytes.fromhex, step["proof"]))) for step in self.bundle["consistency"]]
        for note, proof in [*steps, *((note, None) for note in self.older)]:
            n = (old := open_note(note, self.keys))["size"]
            need(n <= size, "log_truncated", n, size)
            need(proof is not None or n in roots, "consistency", n)
            ends = (roots[n], root) if proof is None else tops(n, size, proof, old["root"])
            need((*ends, old["origin"]) == (old["root"], root, self.log["origin"]), "log_rewritten", n)
            roots[n] = old["root"]
            yield "continues", n

    def check_list(self, code: str, events: list[Entry], stated: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        """Check that a list is all that the log has of its subject, in order, and say what happened to it if not."""
        leaf, proof = f"{code}\n{stated['count']}\n{stated['hash']}", list(map(bytes.fromhex, stated["proof"]))
        found = top(_sha(b"\0", leaf.encode()), stated["index"], self.bundle["commitments"]["units"], proof)
        need(found == self.log["units"], "commitment", code)
        self.check_included(events)
        for a, b in ((events[n - 1], events[n]) for n in range(1, len(events))):
            need(a.index < b.index and a.sequence < b.sequence, "events_swapped", a.sequence, b.sequence)
        lines = {sequence for sequence, word in self.words.items() if word["unit"] == code}
        lost = sorted(lines - {event.sequence for event in events}) or "?"
        need(len(events) >= stated["count"], "event_left_out", code, stated["count"], len(events), lost)
        same = _sha(*(event.leaf for event in events)).hex() == stated["hash"]
        need(same and {event.subject for event in events} <= {code}, "commitment", code)
        told = [event for event in events if event.told]
        need({event.type for event in told} <= {RATING} and not (told and code == "assessment"), "told", code)
        yield "complete", code, len(events)
        yield from [("told?", len(told))] if told else []

    def check_included(self, events: list[Entry]) -> None:
        """Check each event's inclusion proof, or find whose place it was given; read it once its bytes are proved."""
        for event in events:
            fits = (n for n in [event, *events] if self._lies(event, n) or self._lies(event, n, event.proof))
            other = next(fits, None)
            need(other, "event_changed", event.sequence)
            need(other is event, "events_swapped", event.sequence, other and other.sequence)
            event.read()

    def _lies(self, event: Entry, place: Entry, proof: list[bytes] | None = None) -> bool:
        leaf = event.leaf_at(place.sequence)
        return bool(top(leaf, place.index, self.log["size"], proof or place.proof) == self.log["root"])

    def _standing(self, *kinds: str, item: str = "") -> list[Event]:
        return [e for e in self.events if e.type in kinds and e.stands() and item in ("", e.item)]

    def _closed(self, item: str) -> set[str]:
        return {event.office for event in self._standing("item.closed", item=item)}

    def admit(self, event: Entry, held: dict[tuple[str, str], Entry]) -> bool:
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
        if kind == "text.erased":
            target = held.get((event.data["target"]["source"], event.data["target"]["id"]))
            return target is not None and target is not event and target.subject == event.subject
        if kind in ("unit.changed", "item.transferred"):
            return self.change(event.data) if kind == "unit.changed" else self.transfer(event.data)
        void = event.stage == "finalised" and self.words.get(event.sequence, {}).get("disposition") == "void"
        return not void and (kind != "assessment.opened" or event.index == 0)

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
            fits, old = found.type in ENTRIES and bool(self.rules.ground(found).get("approval")), found.approval
            found.approval = event if fits and not old else old
        else:
            target, old, revised = found.target, found.decision, event.data["outcome"] == "revised"
            fits = found.type == "appeal.filed" and bool(target and target.stands())
            fits = fits and (not revised or bool(target and self.rules.may_be(target, number(event.data["points"]))))
            found.decision = event if fits and not old else old
        event.target = found
        return fits and not old

    def check_rules(self) -> Iterator[tuple[Any, ...]]:
        """Check rulebook, roster and readings against what the log says and what is published."""
        book, rows, opened = self.rules.book, self.bundle["roster"], self._standing("assessment.opened")
        same = all((book, rows) == (event.data["rulebook"], event.data["roster"]) for event in opened)
        need(same and _digest(book) == self.log["rulebook"], "rulebook", book["id"])
        need(_digest(rows) == self.log["roster"], "roster", self.code)
        shown, mine = one(self.tables["published_unit"], self.code, "unit"), (self.row["category"], self.row["group"])
        need((shown["category"], shown["unit_group"]) == mine, "roster", self.code)
        yield from (("agrees", "rulebook"), ("agrees", "roster"))
        adopted = {event.data["reading"]: event.data["value"] for event in self._standing("reading.adopted")}
        self.rules.readings.update({name: adopted[name] for name in self.rules.readings if name in adopted})
        found = {row["name"]: row["value"] for row in self.tables["published_reading"] if row["is_reading"] == "true"}
        for name in sorted({*found, *self.rules.readings}):
            expected = self.rules.readings.get(name)
            need(found.get(name) == expected, "readings", name, expected, found.get(name))

    def check_published(self) -> Iterator[tuple[Any, ...]]:
        """Check that all that is published, and the words of this unit and the year, are what is signed."""
        published, rows = self.bundle["published"], {}  # type: dict[str, Any], dict[tuple[str, str], list[str]]
        columns, private = published["columns"], published["private"]
        for where, whose in (("all", ""), ("own", self.code), ("year", "assessment")):
            for table, lines in published[where].items():
                for line in lines:
                    need(len(line) == len(columns[table]) and all(map(_is_cell, line)), "published", table)
                    row = dict(zip(columns[table], line))  # noqa: B905 - Python 3.8
                    unit = row.get("unit", "assessment")
                    fits = whose in ("", unit) and ("seq" in row) == bool(whose) and unit is not None
                    need(fits and (not whose or _is_sequence(row["seq"])), "published", table)
                    self.tables.setdefault(table if where == "all" else f"{where} {table}", []).append(row)
                    self.words.update({int(row["seq"]): row} if whose else {})
                    texts = ("-" if each is None else f"{len(each.encode())}:{each}" for each in line)
                    rows.setdefault((unit, table), []).append(",".join(texts))
        for table in columns:
            self.tables.setdefault(f"own {table}" if "seq" in columns[table] else table, [])
        need(not {*private} & {self.code, "assessment"}, "published", self.code)
        digests = {key: _sha("\n".join(sorted(lines)).encode()).hex() for key, lines in rows.items()}

        def half(code: str, own: bool) -> str:
            of = [
                f"{t} {digests.get((code, t), _sha().hex())}" for t in sorted(columns) if ("seq" in columns[t]) == own
            ]
            return private[code] if own and code in private else _sha("\n".join(of).encode()).hex()

        codes = sorted({*private, *(unit for unit, _ in rows), self.code, "assessment"})
        leaves = [_sha(b"\0", f"{code}\n{half(code, False)}\n{half(code, True)}".encode()) for code in codes]
        while len(leaves) > 1:
            pairs = [leaves[n : n + 2] for n in range(0, len(leaves), 2)]
            leaves = [_sha(b"\1", *pair) if len(pair) == 2 else pair[0] for pair in pairs]
        need(leaves[0] == self.log["shown"], "published", "*")
        yield "agrees", "published"

    def check_words(self) -> Iterator[tuple[Any, ...]]:
        """Check that what is published of each event is of that event, and whether it is void or stands."""
        words = dict(self.words)
        for event in [*self.own, *self.year]:
            said = words.pop(event.sequence, None)
            if said or not event.repeats:  # a conflict is not published
                expected = "duplicate" if event.repeats else "void" if not event.admitted else (
                    "revoked" if not event.stands() else "")  # fmt: skip
                mine, theirs = (event.source, event.id, event.type, expected), None
                if said:
                    named = said["disposition"] if said["disposition"] in ("duplicate", "void", "revoked") else ""
                    theirs = (said["source"], said["id"], said["type"].rpartition(".")[0], named)
                need(mine == theirs, "words", event.sequence, theirs, mine)
        need(not words, "words", *([*words][:1] or "-"), "-", "-")
        yield "agrees", "words"
        final = [event.sequence for event in self.year if event.stage == "finalised"]
        yield from [("word?", f"finalised: {', '.join(map(str, final))}")] if final else []
        yield from [("held?", len(self.other))] if any(event.told for event in self.other) else []

    def check_texts(self) -> Iterator[tuple[Any, ...]]:
        """Check that each text that stands out of line is that of a token in an event shown here."""
        names, given = self.rules.book.get("out_of_line", []), self.bundle.get("texts", {})
        shown = [event for event in [*self.own, *self.year] if event.type != "text.erased" and not event.told]
        tokens = {event.data[name] for event in shown for name in names if name in event.data}
        for token, (salt, text) in given.items():
            fits = f"sha256:{_sha(bytes.fromhex(salt), text.encode()).hex()}" == token
            need(token in tokens and fits, "text", token)
        yield from [("texts", len(given))] if given else []
        yield from [("texts?", len(tokens) - len(given))] if len(tokens) > len(given) else []


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
        sys.stdout.write(f"{mark} {name}: {said(name, values, en)}\n")

    try:
        older = [path.read_text(encoding="utf-8") for path in options.checkpoint]
        with options.bundle.open("rb") as file:
            data = file.read(MOST + 1)
        need(len(data) <= MOST, "too_large", MOST)
        for line in Unit(json.loads(data), options.key, older).check():
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
