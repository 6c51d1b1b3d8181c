"""Verify one unit's bundle with nothing but Python: `python3 verify.py BUNDLE.json [--key VKEY] [--checkpoint NOTE]`.

It decides whether these events, all of them and in this order, are in the log that the publisher signed, and whether
the unit's points follow from them by the rulebook. It shares no code with the publisher's. Exit 0: all holds; 1: the
first failure is named (SAYS lists them); 2: the bundle or a key cannot be read. BUNDLE.json is one object; hashes are
hex, an `entry` is {"sequence", "recorded" (µs since 1970 UTC, 0 in a file), "index" (leaf, from 0), "raw" (base64, as
sent), "proof": [hash]}; a leaf is over sequence and recorded, 8 bytes each, and the bytes:
  version       "wuxing-bundle-2"; `unit`: the unit's code; `roster`: its row; `readings`: {name: value in force}, all
  checkpoint    the signed note: origin, size, root, the lines `units`, `shown`, `results`, …; `size`: its size
  keys          verifier keys name+id+key, of the log (type 1) and of witnesses (type 4); --key replaces them
  consistency   [{"checkpoint": an earlier note, "proof": [hash]}], may be empty
  events        every entry whose subject is the unit, in ledger order; `year_events`: whose subject is `assessment`
  held          entries of other units that first held a (source, id) which an entry above repeats; may be empty
  void_sequences  of `finalised` that were void, which only the publisher can know
  commitments   {"units": number of codes, "unit" and "assessment": {"count", "hash", "index", "proof"}}: the leaf is
                code, count and hash joined by newlines, hash the SHA-256 of the list's leaf hashes in order
  rulebook      as in the log; the line `rulebook` is the SHA-256 of its JSON, keys sorted, no white space
  published     what is published, as the line `shown` commits to it: {"columns": {table: names}, "own": {table: rows}
                of the unit's own words, "year": the same of the year, "all": {table: rows} that all may see, "private":
                {code: digest} of the other units' own}; of a table without `unit` the rows are the year's
  stated        {"items": {item: {"points", "state"}}, "daily", "year_end", "final"}
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

ROW, ZERO = ("unit", "category", "group"), Fraction(0)
FOREVER = ("event.revoked", "assessment.opened")
SCORING = ("deduction.recorded", "rating.recorded", "submission.recorded", "item.exempted", "item.closed")
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
    "roster": ("{} 的类别与分组和名单不符", "category and group of {} are not those of the roster"),
    "readings": ("{} 应为 {}，包中为 {}", "{}: expected {}, found {}"),
    "void": ("序号 {} 不能作废", "sequence {} cannot be void"),
    "points": ("{} 得 {} {}", "{} comes to {} {}"),
    "signed": ("{} 个事件，由 {} 签名", "{} events, signed by {}"),
    "cross_unit": ("{}：{} 的数据与日志或公布结果不符", "{}: the value of {} does not fit log or results"),
    "published": ("公布的内容不是签名所承诺的", "what is published is not what is signed"),
    "place": ("{} 的名次应为 {}，公布为 {}", "the place of {}: found {}, published {}"),
    "award": ("{}：{} 的获奖与名次或名额不符", "{}: the award of {} does not fit places or quota"),
    "placed": ("名次 {}，由同类{}个单位的得分算出", "place {}, by the finals of {} units of the category"),
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
    root, units, shown = (base64.b64decode(each, validate=True) for each in (lines[0], log["units"], log["shown"]))
    tops = {"root": root, "units": units, "shown": shown}
    return {**log, **tops, "origin": origin, "size": int(size), "who": who[1] + who[4]}


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


def _half_up(number: Fraction) -> Fraction:  # to 6 decimals; points are never negative
    return Fraction(int(number * 10**6 + Fraction(1, 2)), 10**6)


def _text(number: Fraction, places: int = 6) -> str:
    return "{}.{:0{}d}".format(*divmod(int(number * 10**places), 10**places), places)


class Event:
    """One event of the log: what it says, and what later events did to it."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.raw = base64.b64decode(entry["raw"], validate=True)
        self.sequence, self.index, recorded = (int(entry[key]) for key in ("sequence", "index", "recorded"))
        self.head = b"\0" + self.sequence.to_bytes(8, "big") + recorded.to_bytes(8, "big", signed=True)
        self.leaf = _sha(self.head, self.raw)
        self.proof, self.admitted, self.revoked = list(map(bytes.fromhex, entry["proof"])), False, False
        self.appeal: Event | None = None  # of a deduction or rating: the appeal against it that was not withdrawn
        self.decision: Event | None = None  # of an appeal: the decision that stands
        self.target: Event | None = None  # of an appeal: what it is against; of a decision: its appeal

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
        self.code, self.roster, self.void = bundle["unit"], bundle["roster"], set(bundle["void_sequences"])
        self.book, self.readings = bundle["rulebook"], bundle["readings"]
        self.items = {item["code"]: item for item in self.book["item"]}
        self.log, ways = open_note(bundle["checkpoint"], self.keys), ("bands", "rank_step")
        self.compares = {c for c, i in self.items.items() if i["method"] in ways or self._rule(i, "order") == "ranked"}
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
        yield from self.check_published()
        yield from self.check_places()
        yield from self.check_units()
        yield from self.check_stated()

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
        tables = self.bundle["published"]["own" if code == self.code else "year"]
        lines = {int(line["seq"]) for table in tables for line in self._lines(table, tables[table])}
        lost = sorted(lines - {event.sequence for event in events}) or "?"
        _need(len(events) >= stated["count"], "event_left_out", code, stated["count"], len(events), lost)
        same = _sha(*(event.leaf for event in events)).hex() == stated["hash"]
        _need(same and {event.subject for event in events} <= {code}, "commitment", code)
        yield "complete", code, len(events)

    def check_included(self, events: list[Event]) -> None:
        """Check each event's inclusion proof, or find whose place it was given; read it once its bytes are proved."""
        for event in events:
            own, size, root = (event.index, event.proof), self.log["size"], self.log["root"]
            places = [(event, *own)]
            places += [(n, at, p) for n in events for at in (n.index, own[0]) for p in (own[1], n.proof)]
            fits = (n for n, at, p in places if top(_sha(n.head, event.raw), at, size, p) == root)
            other = next(fits, None)
            _need(other, "event_changed", event.sequence)
            _need(other is event, "events_swapped", event.sequence, other and other.sequence)
            event.read()

    def _standing(self, kind: str, item: str = "") -> list[Event]:
        return [event for event in self.events if event.type == kind and event.item == item and event.stands()]

    def admit(self, event: Event, held: dict[tuple[str, str], Event]) -> bool:
        """Whether an event is not void, by what precedes it; carries out what it does to others."""
        if event.type in SCORING:
            final = any(other.stage == "finalised" for other in self._standing("stage.reached"))
            return not final and event.office not in {e.office for e in self._standing("item.closed", event.item)}
        if event.type in ("event.revoked", "appeal.filed", "appeal.decided"):
            named = event.data["appeal" if event.type == "appeal.decided" else "target"]
            found = held.get((named["source"], named["id"]))
            same = found and found.subject == event.subject and found.admitted and not found.revoked
            return bool(found and same and self.refers(event, found))
        return event.sequence not in self.void and (event.type != "assessment.opened" or event.index == 0)

    def refers(self, event: Event, found: Event) -> bool:
        """Carry out a revocation, an appeal or a decision on what it names; False if it is void."""
        if event.type == "event.revoked":  # takes out what stands, an appeal only while it is undecided
            found.revoked = found.stands() and not found.decision and found.type not in FOREVER
            if found.revoked and found.target:  # an appeal is withdrawn, or a decision undone
                found.target.appeal = found.target.decision = None
            return found.revoked
        if event.type == "appeal.filed":  # against a standing deduction or rating that has none
            if fits := found.stands() and not found.appeal and found.type in SCORING[:2]:
                found.appeal, event.target = event, found
            return fits
        target, revised = found.target, event.data["outcome"] == "revised"
        if found.type != "appeal.filed" or found.decision or not target or target.revoked:
            return False
        if fits := not revised or self._may_be(target, Fraction(event.data["points"])):
            found.decision, event.target = event, found
        return fits

    def check_rules(self) -> Iterator[tuple[Any, ...]]:
        """Check rulebook, roster row, readings and void events against what the log says."""
        book, opened = self.book, [event.data for event in self._standing("assessment.opened")]
        same = all(book == data["rulebook"] for data in opened)
        _need(same and _digest(book) == self.log["rulebook"], "rulebook", book["id"])
        row = [self.code, *(self.roster[key] for key in ROW[1:])]
        rows = [[each[key] for key in ROW] for data in opened for each in data["roster"]] if opened else [row]
        _need(self.roster["unit"] == self.code and row in rows, "roster", self.code)
        yield from (("agrees", "rulebook"), ("agrees" if opened else "word?", "roster"))
        adopted = {event.data["reading"]: event.data["value"] for event in self._standing("reading.adopted")}
        for each in book["reading"]:
            expected, found = adopted.get(each["name"], each["values"][0]), self.readings.get(each["name"])
            _need(found == expected, "readings", each["name"], expected, found)
        final = {event.sequence for event in self.events if event.stage == "finalised"}
        _need(self.void <= final, "void", sorted(self.void - final))
        yield from [("word?", f"void_sequences {sorted(self.void)} / {sorted(final)}")] if final else []

    def _rule(self, item: dict[str, Any], name: str) -> str:
        value: str = item.get("rules", {}).get(name, "")
        return self.readings[value[1:]] if value.startswith("@") else value

    def _full(self, item: dict[str, Any]) -> Fraction:  # the basic points (基本分); the year-end's follow its scale
        return Fraction(self._rule(item, "scale") or item["points"]["value"])

    def _worth(self, event: Event, claimed: bool = False) -> Fraction:  # a deduction's points, a rating's value
        data = event.data if claimed or event.ruling()["outcome"] != "revised" else event.ruling()
        points = data.get("value") or data.get("points")
        return Fraction(points or _one(self.items[event.item]["ground"], data["ground"])["points"])

    def _may_be(self, event: Event, points: Fraction) -> bool:  # what a decision may put in its place
        item = self.items[event.item]
        if item["method"] == "deduct":
            return points <= self._worth(event, claimed=True)
        least, most = (Fraction(item.get("value", {"min": 0, "max": 1})[end]) for end in ("min", "max"))
        binary = item["method"] == "checklist" and _one(item["component"], event.data["component"]).get("binary")
        return points in (0, 1) if binary else least <= points <= most

    def deduct(self, item: dict[str, Any]) -> Fraction:
        """Return what is left after each line's increase of the matter's dearest chain, cut by cap and balance."""
        mode, separate = self._rule(item, "matter"), self._rule(item, "pool") == "separate"
        balance = {o: Fraction(p) for o, p in item["share"].items()} if separate else {"": self._full(item)}
        caps = {node["cap_group"]: Fraction(node["cap"]) for node in item.get("node", [])}
        matters: dict[Any, dict[str, dict[str, Fraction]]] = {}
        for event in self._standing("deduction.recorded", item["code"]):
            ground, purse = _one(item["ground"], event.data["ground"]), event.office if separate else ""
            chains = matters.setdefault(event.index if mode == "each" else event.data["matter"], {})
            seen = chains.setdefault(ground.get("branch", "all") if mode == "chain" else "", {})
            if ground.get("requires") and not any(ground["requires"] in chain for chain in chains.values()):
                continue
            before = max(sum(chain.values(), ZERO) for chain in chains.values())
            seen[ground["code"]] = max(seen.get(ground["code"], ZERO), self._worth(event))
            cost = max(sum(chain.values(), ZERO) for chain in chains.values()) - before
            if caps:
                group = _one(item["node"], event.data["node"])["cap_group"]
                cost = min(cost, caps[group])
                caps[group] -= cost
            balance[purse] -= min(cost, balance[purse])
        return sum(balance.values(), ZERO)

    def rated(self, item: dict[str, Any]) -> dict[tuple[str, str], Fraction]:
        """Return the values that count, by (case, group or component) and rater: the latest standing one of each."""
        panel, latest = item["method"] in ("mean", "weighted_mean"), {}
        for event in self._standing("rating.recorded", item["code"]):
            part = next((event.data[key] for key in ("case", "group", "component") if key in event.data), "")
            latest[part, event.data["rater"] if panel else ""] = self._worth(event)
        return latest

    def _alone(self, item: dict[str, Any], values: dict[tuple[str, str], Fraction]) -> Fraction:
        parts: dict[str, Fraction] = {}
        for part in {part for part, _ in values}:
            panel = sorted(value for (p, _), value in values.items() if p == part)
            panel = panel[1:-1] if self._rule(item, "mean") == "trimmed" and len(panel) >= 3 else panel
            parts[part] = sum(panel, ZERO) / len(panel)
        if item["method"] == "checklist":
            return sum((Fraction(c["points"]) * parts.get(c["code"], ZERO) for c in item["component"]), ZERO)
        best = max(parts.values())
        if item["method"] == "weighted_mean":
            shares = self._rule(item, "weights").split("/")
            weights = {g["code"]: Fraction(shares[k]) for k, g in enumerate(item["group"]) if g["code"] in parts}
            best = sum((weight * parts[p] for p, weight in weights.items()), ZERO) / sum(weights.values(), ZERO)
        return best * self._full(item) / Fraction(item["value"]["max"])

    def _compared(self, item: dict[str, Any], row: Any) -> Fraction:
        """Return the points that a unit's place among the units of its pool gives."""
        keys = ROW[1:] if item["method"] == "rank_step" else ROW[1:2] if self._rule(item, "pool") == "category" else ()
        rows, value = self.valued(item["code"]), Fraction(row["value"])
        pool = [Fraction(other["value"]) for other in rows if all(other[key] == row[key] for key in keys)]
        above = sum(other > value for other in pool)
        if item["method"] == "bands":
            rounding, shares = self._rule(item, "rounding"), [len(pool) * Fraction(b["share"]) for b in item["band"]]
            half, quotas = Fraction(rounding == "cumulative_half_up", 2), [int(share) for share in shares]
            for k in sorted(range(len(shares)), key=lambda k: quotas[k] - shares[k])[: len(pool) - sum(quotas)]:
                quotas[k] += 1
            sizes = quotas if rounding == "largest_remainder" else shares
            bands = [(int(sum(sizes[: k + 1]) + half), band["points"]) for k, band in enumerate(item["band"])]
            return next(Fraction(points) for end, points in bands if above < end)
        if item["method"] == "scaled":
            return max(ZERO, self._full(item) - Fraction(self._rule(item, "step")) * above)
        step, linear = Fraction(item["step"]["value"]), self._rule(item, "step") == "linear"
        places = range(above, above + (pool.count(value) if self._rule(item, "ties") == "average" else 1))
        table = [_half_up(self._full(item) * (max(ZERO, 1 - step * n) if linear else (1 - step) ** n)) for n in places]
        return sum(table, ZERO) / len(table)

    def reckon(self, item: dict[str, Any]) -> tuple[Fraction | None, str]:
        """Return an item's points, None without input, and its state; of an exempted rated item not yet its share."""
        code, values = item["code"], self.rated(item)
        closed = {event.office for event in self._standing("item.closed", code)} >= set(item["offices"])
        none = closed and self._rule(item, "cases") == "best"  # no case was submitted: 0
        done = none or item["method"] == "deduct" or len(values) >= len(item.get("component", [0]))
        if self._standing("item.exempted", code):
            return self._full(item), "exempt"
        points = self.deduct(item) if item["method"] == "deduct" else ZERO if none else None
        if values:
            row = {**self.roster, "value": next(iter(values.values()))}
            points = _half_up(self._compared(item, row) if code in self.compares else self._alone(item, values))
        return points, "scored" if closed and done else "pending"

    def check_stated(self) -> Iterator[tuple[Any, ...]]:
        """Check every item, the exempted rated ones by their share of part or daily items, and the totals."""
        stated, formula, sums = self.bundle["stated"], self.book["total"], {True: ZERO, False: ZERO}
        late = {part["code"] for part in self.book["part"] if part.get("year_end")}
        found = {code: self.reckon(item) for code, item in self.items.items()}
        left = [item for code, item in self.items.items() if found[code][1] != "exempt"]
        for code, (points, state) in found.items():
            item, came = self.items[code], points
            pool = [each for each in left if each["part"] == item["part"]] or [e for e in left if e["part"] not in late]
            if state == "exempt" and item["method"] != "deduct" and pool:
                got = sum((found[each["code"]][0] or ZERO for each in pool), ZERO)
                came = _half_up(self._full(item) * got / sum(map(self._full, pool), ZERO))
            mine, theirs = {"points": None if came is None else _text(came), "state": state}, stated["items"][code]
            _need(mine == theirs, "result_forged", code, theirs, mine)
            yield ("points", code, *mine.values())
            sums[item["part"] in late] += came or 0
        daily, year_end, scale = (Fraction(formula[k]["value"]) for k in ("daily_weight", "year_end_weight", "scale"))
        final = _text((sums[False] * daily + sums[True] * year_end) * scale, 8)
        for name, total in (("daily", _text(sums[False])), ("year_end", _text(sums[True])), ("final", final)):
            _need(stated[name] == total, "result_forged", name, stated[name], total)
            yield "points", name, total, ""

    def _lines(self, table: str, rows: list[list[Any]]) -> list[dict[str, Any]]:
        return [dict(zip(self.bundle["published"]["columns"][table], row)) for row in rows]  # noqa: B905 - Python 3.8

    def valued(self, code: str) -> list[dict[str, Any]]:
        """Return the units with a standing value of an item, where units are compared, with category and group."""
        tables = self.bundle["published"]["all"]
        units = {row["unit"]: row for row in self._lines("published_unit", tables["published_unit"])}
        found = []
        for row in self._lines("published_value", tables["published_value"]):
            if row["item"] == code:
                unit = units[row["unit"]]
                found.append({"unit": row["unit"], "category": unit["category"], "group": unit["unit_group"], **row})
        return found

    def check_units(self) -> Iterator[tuple[Any, ...]]:
        """Check the values of all units, where units are compared, against this unit's own and the published points."""
        points = {(row["unit"], row["item"]): row for row in self._all("published_item")}
        for code in sorted(self.compares):
            item, rows = self.items[code], self.valued(code)
            values = [] if self._standing("item.exempted", code) else list(self.rated(item).values())
            mine = [Fraction(row["value"]) for row in rows if row["unit"] == self.code]
            _need(mine == values, "cross_unit", code, self.code)
            valued = sorted(
                unit
                for (unit, name), row in points.items()
                if name == code and row["state"] != "exempt" and row["points"]
            )
            _need(valued == sorted(row["unit"] for row in rows), "cross_unit", code, "*")
            for row in rows:
                came = _text(_half_up(self._compared(item, row)))
                _need(came == points[row["unit"], code]["points"], "cross_unit", code, row["unit"])
            yield "agrees", f"cross_unit {code} ({len(rows)})"

    def _all(self, table: str) -> list[dict[str, Any]]:
        return self._lines(table, self.bundle["published"]["all"][table])

    def check_published(self) -> Iterator[tuple[Any, ...]]:
        """Check that what is published of all, and of this unit alone, is what is signed, and what is stated that."""
        published, nothing = self.bundle["published"], _sha().hex()
        columns = published["columns"]
        rows: dict[tuple[str, str], list[str]] = {}
        groups = ((published["all"], ""), (published["own"], self.code), (published["year"], "assessment"))
        for table, row, whose in ((t, r, code) for tables, code in groups for t in tables for r in tables[t]):
            unit = dict(zip(columns[table], row)).get("unit", "assessment")  # noqa: B905 - as above
            _need(whose in ("", unit) and ("seq" in columns[table]) == bool(whose), "published")
            texts = ("-" if each is None else f"{len(each.encode())}:{each}" for each in row)
            rows.setdefault((unit, table), []).append(",".join(texts))
        digest = {key: _sha("\n".join(sorted(lines)).encode()).hex() for key, lines in rows.items()}
        leaves = []
        for code in sorted({*published["private"], *(unit for unit, _ in rows), self.code, "assessment"}):
            of = [
                "\n".join(
                    f"{t} {digest.get((code, t), nothing)}" for t in sorted(columns) if ("seq" in columns[t]) == own
                )
                for own in (False, True)
            ]
            halves = [_sha(each.encode()).hex() for each in of]
            if code in published["private"]:
                _need(code not in (self.code, "assessment"), "published")
                halves[1] = published["private"][code]
            leaves.append(_sha(b"\0", "\n".join([code, *halves]).encode()))
        while len(leaves) > 1:
            pairs = [leaves[n : n + 2] for n in range(0, len(leaves), 2)]
            leaves = [_sha(b"\1", *pair) if len(pair) == 2 else pair[0] for pair in pairs]
        _need(leaves[0] == self.log["shown"], "published")
        yield "agrees", "published"

    def check_places(self) -> Iterator[tuple[Any, ...]]:
        """Check what is stated against the unit's published row, and every place and award against the finals."""
        units, stated = {row["unit"]: row for row in self._all("published_unit")}, self.bundle["stated"]
        row = units[self.code]
        for key in (each for each in stated if each in row):
            _need(row[key] == stated[key], "result_forged", key, stated[key], row[key])
        items = {each["item"]: each for each in self._all("published_item") if each["unit"] == self.code}
        for code, item in stated["items"].items():
            same = all(items[code][key] == item[key] for key in ("points", "state"))
            _need(same, "result_forged", code, item["points"], items[code]["points"])
        _need(
            [row["category"], row["unit_group"]] == [self.roster["category"], self.roster["group"]], "roster", self.code
        )
        pool = [each for each in units.values() if each["category"] == row["category"]]
        for each in pool:
            place = 1 + sum(Fraction(other["final"]) > Fraction(each["final"]) for other in pool)
            _need(str(place) == each["place"], "place", each["unit"], place, each["place"])
        yield "placed", row["place"], len(pool)
        won: dict[str, str] = {}
        for award in self._all("published_award"):
            winners = [code for code in award["units"].strip("[]").replace("'", "").split(", ") if code]
            finals = [Fraction(units[code]["final"]) for code in winners]
            fits = finals == sorted(finals, reverse=True) and len(winners) <= int(award["quota"])
            _need(fits and not {*winners} & {*won}, "award", award["award"], ", ".join(winners))
            won.update(dict.fromkeys(winners, award["award"]))
        for each in units.values():
            _need(each["award"] == won.get(each["unit"]), "award", each["award"], each["unit"])
        yield "agrees", "award {}".format(row["award"] or "-")


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
