#!/usr/bin/env python3
"""Verify one unit's bundle with nothing but Python: python3 verify.py BUNDLE.json [--key VKEY] [--checkpoint NOTE]

It decides whether these events, all of them and in this order, are in the log that the publisher signed, and whether
the unit's points follow from them by the rulebook. It shares no code with the publisher's. Exit 0: all holds; 1: the
first failure is named (SAYS lists them); 2: the bundle or a key cannot be read. BUNDLE.json is one object; hashes are
hex, an `entry` is {"sequence", "index" (leaf of the log, from 0), "raw" (base64 of the event as sent), "proof":
[hash]}, a `row` has "unit", "category" and "group":
  version       "wuxing-bundle-1"
  checkpoint    the signed note: origin, size, root, and the lines `units`, `results`, `rulebook`
  keys          verifier keys of the log (type 1) and of witnesses (type 4), name+id+key; --key replaces them
  consistency   [{"checkpoint": an earlier note, "proof": [hash]}], may be empty
  size          number of events in the log, as in the checkpoint
  unit, roster  the unit's code, and its row of the roster
  events        every entry whose subject is the unit, in ledger order
  year_events   every entry whose subject is `assessment`, in ledger order
  held          entries of other units that first held a (source, id) which an entry above repeats; may be empty
  void_sequences  sequences of `finalised` that were void, which only the publisher can know
  commitments   {"units": number of codes, "unit" and "assessment": {"count", "hash", "index", "proof"}}: the leaf is
                code, count and hash joined by newlines, hash the SHA-256 of the list's leaf hashes in order
  rulebook      as in the log; the line `rulebook` is the SHA-256 of its JSON, keys sorted, no white space
  readings      {name: value in force}, all of them
  cross_unit    {item: [row with "value"]}: the units with a standing value and no exemption, for items that compare
                units; taken from the publisher, and held against the signed results where these are carried
  results       the whole published results, or null; the line `results` is their digest
  stated        {"items": {item: {"points", "state"}}, "daily", "year_end", "final"}
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any, Iterator, Tuple

VERSION = "wuxing-bundle-1"
ROW = ("unit", "category", "group")
Line = Tuple[Any, ...]  # a name of SAYS, and what goes into its sentence
SAYS = {  # first the failures; a name with ? is for the reader to judge
    "version": ("包的格式是 {},需要 {}", "the bundle's format is {}, expected {}"),
    "signature": ("{} 没有可信的签名", "{} is without a signature that fits"),
    "log_truncated": ("应有 {} 个事件,这里只到 {}", "there are to be {} events, here it ends at {}"),
    "log_rewritten": ("日志不是 {} 个事件时的延续:有删改或截去", "the log does not continue that of {} events"),
    "consistency": ("包中没有对 {} 个事件的一致性证明", "the bundle has no consistency proof from {} events; ask for one"),
    "event_changed": ("序号 {} 的事件与日志不符", "the event of sequence {} is not the one in the log"),
    "events_swapped": ("序号 {} 处是序号 {} 的事件", "where sequence {} belongs stands the event of sequence {}"),
    "event_left_out": ("{} 应有 {} 个事件,包中 {} 个,缺序号 {}", "{} has {} events, the bundle {}; missing: sequence {}"),
    "commitment": ("{} 的清单与承诺不符", "the list of {} is not the one committed to"),
    "rulebook": ("考核细则 {} 不是签名或开考的那一部", "the rulebook {} is not the one signed, or opened with"),
    "roster": ("{} 的类别与分组和名单不符", "category and group of {} are not those of the roster"),
    "readings": ("{} 应为 {},包中为 {}", "{}: expected {}, found {}"),
    "void": ("序号 {} 不能作废", "sequence {} cannot be void"),
    "cross_unit": ("{}:{} 的数据与日志或公布结果不符", "{}: the value of {} fits not the log or the signed results"),
    "result_forged": ("{} 公布为 {},算得 {}", "{}: stated {}, found {}"),
    "signed": ("{} 个事件,由 {} 签名", "{} events, signed by {}"),
    "key?": ("公钥取自本包,请与公示的核对:{}", "the keys are the bundle's own; compare with those published: {}"),
    "continues": ("延续了 {} 个事件时的检查点", "continues the checkpoint of {} events"),
    "complete": ("{} 的 {} 个事件齐全、有序、未改", "{}: all {} events, in order, unchanged"),
    "rules": ("考核细则 {} 与检查点相符", "the rulebook {} is the signed one"),
    "roster?": ("{} 的类别与分组取自发布方", "category and group of {} are taken from the publisher"),
    "void?": ("定案事件 {} 中 {} 无效,取自发布方", "of the finalised events {}, that {} are void is taken from the publisher"),
    "units": ("{}:{} 个单位的数据与公布结果相符", "{}: the values of {} units fit the signed results"),
    "units?": ("{}:{} 个单位的数据取自发布方", "{}: the values of {} units are taken from the publisher"),
    "points": ("{} 得 {} {}", "{} comes to {} {}"),
    "results": ("{} 与签名的公布结果相符", "{} agrees with the signed results"),
    "results?": ("未附 {} 的公布结果,公布分取自发布方", "the results of {} are not carried: stated points are the publisher's word"),
}


class Failed(Exception):  # noqa: N818 - it is an answer, not an error
    """A check that does not hold: its arguments are a Line."""


def need(holds: object, *line: object) -> None:
    """Stop with a named failure unless the check holds."""
    if not holds:
        raise Failed(*line)


def sha(*parts: bytes) -> bytes:
    """SHA-256 of the parts, one after another."""
    return hashlib.sha256(b"".join(parts)).digest()


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no white space, as the digests want it."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def one(things: list[dict[str, Any]], code: str, key: str = "code") -> dict[str, Any]:
    """Return the thing with this code."""
    return next(thing for thing in things if thing[key] == code)


class Ed25519:
    """Verifies signatures (RFC 8032, section 5.1.7); points are in extended coordinates."""

    p = 2**255 - 19
    order = 2**252 + 27742317777372353535851937790883648493
    d = -121665 * pow(121666, p - 2, p) % p

    def add(self, a: Any, b: Any) -> Any:
        """Add two points."""
        p, c, d = self.p, 2 * a[3] * b[3] * self.d, 2 * a[2] * b[2]
        low, high = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
        e, f, g, h = high - low, d - c, d + c, high + low
        return (e * f % p, g * h % p, f * g % p, e * h % p)

    def times(self, n: int, a: Any) -> Any:
        """Multiply a point by a number."""
        doubled = self.times(n >> 1, self.add(a, a)) if n else (0, 1, 1, 0)
        return self.add(doubled, a) if n & 1 else doubled

    def point(self, raw: bytes) -> Any:
        """Decompress a point; None if the bytes are none."""
        p, number = self.p, int.from_bytes(raw, "little")
        y, sign = number & (2**255 - 1), number >> 255
        square = (y * y - 1) * pow(self.d * y * y + 1, p - 2, p) % p
        x = pow(square, (p + 3) // 8, p)
        if (x * x - square) % p:
            x = x * pow(2, (p - 1) // 4, p) % p
        if y >= p or sign > 1 or (x * x - square) % p or (x == 0 and sign):
            return None
        x = p - x if x & 1 != sign else x
        return (x, y, 1, x * y % p)

    def signed(self, public: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the 64 bytes are the signature of the public key of 32 bytes over the message."""
        key, r, s = self.point(public), self.point(signature[:32]), int.from_bytes(signature[32:], "little")
        if len(public) != 32 or len(signature) != 64 or key is None or r is None or s >= self.order:
            return False
        h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little")
        base = self.point(bytes([0x58]) + b"\x66" * 31)
        left, right = self.times(s, base), self.add(r, self.times(h % self.order, key))
        return all((left[k] * right[2] - right[k] * left[2]) % self.p == 0 for k in (0, 1))


def read_key(text: str) -> tuple[tuple[str, bytes], tuple[int, bytes]]:
    """Split a verifier key into (name, id) and (type, public key); the id must be the key's own."""
    name, identity, key = text.split("+", 2)
    raw = base64.b64decode(key, validate=True)
    own = sha(name.encode(), b"\n", raw)[:4]
    if raw[0] not in (1, 4) or own.hex() != identity.lower():
        raise ValueError(f"key {text}: its id is {own.hex()}, or its type is neither 1 nor 4")
    return (name, own), (raw[0], raw[1:])


def open_note(note: str, keys: list[str]) -> dict[str, Any]:
    """Check a checkpoint's signatures; its fields, and `who`: the log that signed, then witnesses with their times."""
    body, known = note.rpartition("\n\n")[0], dict(map(read_key, keys))
    origin, size, root, *rest = body.split("\n")
    logs, witnesses = [], []
    for dash, name, raw in (line.split(" ") for line in note[len(body) + 2 :].splitlines()):
        blob = base64.b64decode(raw, validate=True)
        kind, key = known.get((name, blob[:4]), (0, b""))
        time, who = int.from_bytes(blob[4:12], "big"), f"{name}+{blob[:4].hex()}"
        message = f"{body}\n" if kind == 1 else f"cosignature/v1\ntime {time}\n{body}\n"
        fits = not kind or Ed25519().signed(key, message.encode(), blob[4 if kind == 1 else 12 :])
        need(fits and dash == "\u2014", "signature", who)
        if kind == 4:
            witnesses.append(f"{who} @{time}")
        elif kind and name == origin:
            logs.append(who)
    need(logs, "signature", origin)
    fields = dict(line.split(" ", 1) for line in rest)
    roots = [base64.b64decode(top, validate=True) for top in (root, fields.get("units", ""))]
    return {**fields, "origin": origin, "size": int(size), "root": roots[0], "units": roots[1], "who": logs + witnesses}


def top(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """Return the root an inclusion proof leads to (RFC 9162, section 2.1.3); nothing if it is not of this place."""
    if size <= 1 or not proof:
        return leaf if size == 1 and index == 0 and not proof else b""
    half, right = 1 << ((size - 1).bit_length() - 1), index >= 1 << ((size - 1).bit_length() - 1)
    inner = top(leaf, index - half if right else index, size - half if right else half, proof[:-1])
    return inner and (sha(b"\1", proof[-1], inner) if right else sha(b"\1", inner, proof[-1]))


def tops(first: int, size: int, proof: list[bytes], old: bytes) -> tuple[bytes, bytes]:
    """Return the two roots a consistency proof leads to (section 2.1.4); `old` is known until a step to the right."""
    if first == size and len(proof) == (0 if old else 1):
        return (old or proof[0],) * 2
    if not 0 < first < size or not proof:
        return b"", b""
    half, beside = 1 << ((size - 1).bit_length() - 1), proof[-1]
    if first <= half:
        a, b = tops(first, half, proof[:-1], old)
        return a, sha(b"\1", b, beside)
    a, b = tops(first - half, size - half, proof[:-1], b"")
    return sha(b"\1", beside, a), sha(b"\1", beside, b)


SCORING = ("deduction.recorded", "rating.recorded", "submission.recorded", "item.exempted", "item.closed")


class Event:
    """One event of the log: what it says, and what later events did to it."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.raw = base64.b64decode(entry["raw"], validate=True)
        self.sequence, self.index, self.leaf = int(entry["sequence"]), int(entry["index"]), sha(b"\0", self.raw)
        self.proof = [bytes.fromhex(node) for node in entry["proof"]]
        self.admitted, self.revoked = False, False
        self.appeal: Event | None = None  # of a deduction or rating: the appeal against it that was not withdrawn
        self.decision: Event | None = None  # of an appeal: the decision that stands
        self.target: Event | None = None  # of an appeal: what it is against; of a decision: its appeal

    def read(self) -> None:
        """Read the event, once its bytes are proved."""
        body = json.loads(self.raw)
        self.source, self.id, self.data, self.subject = body["source"], body["id"], body["data"], body["subject"]
        self.office, self.type = self.source.rpartition("/")[2], body["type"].rpartition(".")[0]
        self.content = canonical([body["type"], body["subject"], body["time"], body["data"]])
        self.item, self.stage = self.data.get("item", ""), self.data.get("stage", "")

    def ruling(self) -> dict[str, Any]:
        """Return the data of the decision that stands on the appeal against it."""
        return self.appeal.decision.data if self.appeal and self.appeal.decision else {"outcome": ""}

    def stands(self) -> bool:
        """Whether it was admitted, and is neither revoked nor cancelled on appeal."""
        return self.admitted and not self.revoked and self.ruling()["outcome"] != "cancelled"


class Fold:
    """Judges duplicate, conflict and void in ledger order, each event by what precedes it."""

    def __init__(self, events: list[Event], own: set[str], void: set[int], rules: Rules) -> None:
        self.held: dict[tuple[str, str], Event] = {}
        self.rules, self.void, self.events = rules, void, sorted(events, key=lambda event: event.index)
        for event in self.events:
            first = self.held.setdefault((event.source, event.id), event) is event
            event.admitted = first and event.subject in own and self.admit(event)

    def standing(self, kind: str, item: str = "") -> list[Event]:
        """Return the standing events of a type (and an item), in ledger order."""
        return [event for event in self.events if event.type == kind and event.item == item and event.stands()]

    def admit(self, event: Event) -> bool:
        """Whether an event that is the first of its (source, id) is not void; carries out what it does to others."""
        if event.type in SCORING:
            final = any(other.stage == "finalised" for other in self.standing("stage.reached"))
            return not final and event.office not in {e.office for e in self.standing("item.closed", event.item)}
        if event.type in ("event.revoked", "appeal.filed", "appeal.decided"):
            named = event.data["appeal" if event.type == "appeal.decided" else "target"]
            found = self.held.get((named["source"], named["id"]))
            same = found and found.subject == event.subject and found.admitted and not found.revoked
            return bool(found and same and self.refers(event, found))
        return event.sequence not in self.void and (event.type != "assessment.opened" or event.index == 0)

    def refers(self, event: Event, found: Event) -> bool:
        """Carry out a revocation, an appeal or a decision on what it names, or find it void."""
        if event.type == "event.revoked":  # takes out what stands; an appeal only while it is undecided
            if not found.stands() or found.decision or found.type in ("event.revoked", "assessment.opened"):
                return False
            found.revoked = True
            if found.target:  # an appeal is withdrawn, or a decision undone
                found.target.appeal = found.target.decision = None
        elif event.type == "appeal.filed":  # against a standing deduction or rating that has none
            if not found.stands() or found.appeal or found.type not in SCORING[:2]:
                return False
            found.appeal, event.target = event, found
        else:  # decides an undecided appeal whose target was not revoked, within the range of what it revises
            points = Fraction(event.data["points"]) if event.data["outcome"] == "revised" else None
            if found.type != "appeal.filed" or found.decision or not found.target or found.target.revoked:
                return False
            if points is not None and not self.rules.may_be(found.target, points):
                return False
            found.decision, event.target = event, found
        return True


def half_up(number: Fraction, places: int) -> Fraction:
    """Round half up; points are never negative."""
    return Fraction(floor(number * 10**places + Fraction(1, 2)), 10**places)


def text(number: Fraction, places: int = 6) -> str:
    """Write a number with so many decimals."""
    whole, rest = divmod(int(half_up(number, places) * 10**places), 10**places)
    return f"{whole}.{rest:0{places}d}"


class Rules:
    """The rulebook under the readings in force; points are Fractions, rounded once where an item is done."""

    def __init__(self, book: dict[str, Any], readings: dict[str, str]) -> None:
        self.book, self.readings = book, readings
        self.items = {item["code"]: item for item in book["item"]}

    def rule(self, item: dict[str, Any], name: str) -> str:
        """Return a rule of an item, its reading resolved."""
        value: str = item.get("rules", {}).get(name, "")
        return self.readings[value[1:]] if value.startswith("@") else value

    def full(self, item: dict[str, Any]) -> Fraction:
        """Return the basic points of an item (基本分); the year-end's follow its scale."""
        return Fraction(self.rule(item, "scale") or item["points"]["value"])

    def claimed(self, event: Event) -> Fraction:
        """Return what a deduction claimed: its own points, or its ground's."""
        return Fraction(event.data.get("points") or one(self.items[event.item]["ground"], event.data["ground"])["points"])

    def worth(self, event: Event) -> Fraction:
        """Return the points of a deduction or the value of a rating, as revised on appeal."""
        if event.ruling()["outcome"] == "revised":
            return Fraction(event.ruling()["points"])
        return self.claimed(event) if event.type == "deduction.recorded" else Fraction(event.data["value"])

    def may_be(self, event: Event, points: Fraction) -> bool:
        """Whether a decision may put these points in place of an event's."""
        item = self.items[event.item]
        if event.type == "deduction.recorded":
            return points <= self.claimed(event)
        if item["method"] == "checklist":
            return points in (0, 1) or (points < 1 and not one(item["component"], event.data["component"]).get("binary"))
        return Fraction(item["value"]["min"]) <= points <= Fraction(item["value"]["max"])

    def charge(self, item: dict[str, Any], seen: dict[str, Fraction]) -> Fraction:
        """Return a matter's charge: its dearest chain of grounds, or the sum of all."""
        chains: dict[str, Fraction] = {}
        for ground in item["ground"]:
            chain = ground.get("branch", "all") if self.rule(item, "matter") == "chain" else ""
            chains[chain] = chains.get(chain, Fraction(0)) + seen.get(ground["code"], 0)
        return max(chains.values())

    def deduct(self, item: dict[str, Any], events: list[Event]) -> Fraction:
        """Return what is left after each line's increase of its matter's charge, cut by cap, then by balance."""
        each, separate = self.rule(item, "matter") == "each", self.rule(item, "pool") == "separate"
        balance = {o: Fraction(p) for o, p in item["share"].items()} if separate else {"": self.full(item)}
        matters: dict[Any, dict[str, Fraction]] = {}
        used: dict[str, Fraction] = {}
        for event in events:
            ground = one(item["ground"], event.data["ground"])
            seen = matters.setdefault(event.index if each else event.data["matter"], {})
            if ground.get("requires") and ground["requires"] not in seen:
                continue
            before = self.charge(item, seen)
            seen[ground["code"]] = max(seen.get(ground["code"], Fraction(0)), self.worth(event))
            cost = self.charge(item, seen) - before
            if item.get("node"):
                node = one(item["node"], event.data["node"])
                cost = min(cost, Fraction(node["cap"]) - used.get(node["cap_group"], 0))
                used[node["cap_group"]] = used.get(node["cap_group"], Fraction(0)) + cost
            purse = event.office if separate else ""
            balance[purse] -= min(cost, balance[purse])
        return sum(balance.values(), Fraction(0))

    def rated(self, item: dict[str, Any], events: list[Event]) -> dict[tuple[str, str], Fraction]:
        """Return the values that count, by (case, group or component) and rater: the latest standing one of each."""
        panel, latest = item["method"] in ("mean", "weighted_mean"), {}
        for event in events:
            part = next((event.data[key] for key in ("case", "group", "component") if key in event.data), "")
            latest[part, event.data["rater"] if panel else ""] = self.worth(event)
        return latest

    def mean(self, item: dict[str, Any], values: list[Fraction]) -> Fraction:
        """Return the mean of a panel, trimmed where the reading says so."""
        values = sorted(values)[1:-1] if self.rule(item, "mean") == "trimmed" and len(values) >= 3 else values
        return sum(values, Fraction(0)) / len(values)

    def alone(self, item: dict[str, Any], values: dict[tuple[str, str], Fraction]) -> Fraction:
        """Return the points of a rated item that needs no other unit."""
        parts = {part: self.mean(item, [v for (p, _), v in values.items() if p == part]) for part, _ in values}
        if item["method"] == "checklist":
            return sum((Fraction(c["points"]) * parts.get(c["code"], 0) for c in item["component"]), Fraction(0))
        best = max(parts.values())
        if item["method"] == "weighted_mean":
            shares = self.rule(item, "weights").split("/")
            weights = {g["code"]: Fraction(shares[k]) for k, g in enumerate(item["group"]) if g["code"] in parts}
            best = sum((weight * parts[p] for p, weight in weights.items()), Fraction(0)) / sum(weights.values())
        return best * self.full(item) / Fraction(item["value"]["max"])

    def compares(self, item: dict[str, Any]) -> bool:
        """Whether an item compares units: bands, rank steps, and the scaled item whose order is ranked."""
        return item["method"] in ("bands", "rank_step") or self.rule(item, "order") == "ranked"

    def compared(self, item: dict[str, Any], rows: list[Any], row: Any) -> Fraction:
        """Return the points that a unit's place among the units of its pool gives."""
        keys = ROW[1:] if item["method"] == "rank_step" else ROW[1:2] if self.rule(item, "pool") == "category" else ()
        pool = [Fraction(other["value"]) for other in rows if all(other[key] == row[key] for key in keys)]
        place, tied = 1 + sum(v > Fraction(row["value"]) for v in pool), pool.count(Fraction(row["value"]))
        if item["method"] == "bands":
            ends = self.ends(item, len(pool))
            return next(Fraction(band["points"]) for k, band in enumerate(item["band"]) if place <= ends[k])
        if item["method"] == "scaled":
            return max(Fraction(0), self.full(item) - Fraction(self.rule(item, "step")) * (place - 1))
        step, shared = Fraction(item["step"]["value"]), tied if self.rule(item, "ties") == "average" else 1
        geometric = self.rule(item, "step") == "geometric"
        steps = [(1 - step) ** n if geometric else max(Fraction(0), 1 - step * n) for n in range(place - 1, place - 1 + shared)]
        return self.full(item) * sum(steps, Fraction(0)) / shared

    def ends(self, item: dict[str, Any], count: int) -> list[int]:
        """Return the last place of each band."""
        shares, rounding = [count * Fraction(band["share"]) for band in item["band"]], self.rule(item, "rounding")
        half = Fraction(1 if rounding == "cumulative_half_up" else 0, 2)
        if rounding != "largest_remainder":
            return [floor(sum(shares[: k + 1]) + half) for k in range(len(shares))]
        quotas = [floor(share) for share in shares]
        for k in sorted(range(len(shares)), key=lambda k: (quotas[k] - shares[k], k))[: count - sum(quotas)]:
            quotas[k] += 1
        return [sum(quotas[: k + 1]) for k in range(len(quotas))]

    def rescaled(self, code: str, found: dict[str, Any]) -> Fraction:
        """Return what an exempted rated item gets: its share of the points of its part, or of the daily items."""
        year_end = {part["code"] for part in self.book["part"] if part.get("year_end")}
        left = [item for item in self.book["item"] if found[item["code"]][1] != "exempt"]
        part = [item for item in left if item["part"] == self.items[code]["part"]]
        pool = [item["code"] for item in part or left if part or item["part"] not in year_end]
        points = sum((found[each][0] or Fraction(0) for each in pool), Fraction(0))
        full = sum((self.full(self.items[each]) for each in pool), Fraction(0))
        return half_up(self.full(self.items[code]) * points / full, 6) if pool else self.full(self.items[code])


def check_log(bundle: dict[str, Any], keys: list[str], older: list[str]) -> Iterator[Line]:
    """Check the signatures, the size, and that the log continues what it was."""
    log = open_note(bundle["checkpoint"], keys)
    yield "signed", log["size"], ", ".join(log["who"])
    need(bundle["size"] == log["size"], "log_truncated", bundle["size"], log["size"])
    roots = {log["size"]: log["root"]}
    steps = [(step["checkpoint"], [bytes.fromhex(node) for node in step["proof"]]) for step in bundle["consistency"]]
    for note, proof in [*steps, *((note, None) for note in older)]:
        old = open_note(note, keys)
        n = old["size"]
        need(n <= log["size"], "log_truncated", n, log["size"])
        need(proof is not None or n in roots, "consistency", n)
        ends = (roots[n], log["root"]) if proof is None else tops(n, log["size"], proof, old["root"])
        need((*ends, log["origin"]) == (old["root"], log["root"], old["origin"]), "log_rewritten", n)
        roots[n] = old["root"]
        yield "continues", n


def check_included(events: list[Event], log: dict[str, Any]) -> None:
    """Check each event's inclusion proof, and say what happened to the first that fails."""
    size, root = log["size"], log["root"]
    for event in events:
        need(event.index < size, "log_truncated", event.index + 1, size)
        for other in events if top(event.leaf, event.index, size, event.proof) != root else []:
            swapped = root in (top(event.leaf, other.index, size, proof) for proof in (event.proof, other.proof))
            need(not swapped, "events_swapped", event.sequence, other.sequence)
        need(top(event.leaf, event.index, size, event.proof) == root, "event_changed", event.sequence)
        event.read()


def check_list(bundle: dict[str, Any], code: str, events: list[Event], log: dict[str, Any]) -> Iterator[Line]:
    """Check that a list is all that the log has of its subject, in order."""
    stated = bundle["commitments"]["assessment" if code == "assessment" else "unit"]
    leaf = sha(b"\0", f"{code}\n{stated['count']}\n{stated['hash']}".encode())
    proof = [bytes.fromhex(node) for node in stated["proof"]]
    need(top(leaf, stated["index"], bundle["commitments"]["units"], proof) == log["units"], "commitment", code)
    check_included(events, log)
    for a, b in ((events[n - 1], events[n]) for n in range(1, len(events))):
        need(a.index < b.index and a.sequence < b.sequence, "events_swapped", a.sequence, b.sequence)
    lines = [*bundle["results"]["deductions"], *bundle["results"]["events"]] if bundle["results"] else []
    lost = {line["seq"] for line in lines if line["unit"] == code} - {event.sequence for event in events}
    need(len(events) >= stated["count"], "event_left_out", code, stated["count"], len(events), sorted(lost) or "?")
    need(sha(*(event.leaf for event in events)).hex() == stated["hash"], "commitment", code)
    need({event.subject for event in events} <= {code}, "commitment", code)
    yield "complete", code, len(events)


def check_rules(bundle: dict[str, Any], log: dict[str, Any], fold: Fold) -> Iterator[Line]:
    """Check rulebook, roster row, readings and void events against what the log says."""
    book, row, opened = bundle["rulebook"], bundle["roster"], [e.data for e in fold.standing("assessment.opened")]
    same = all(book == data["rulebook"] for data in opened) and sha(canonical(book)).hex() == log["rulebook"]
    need(same, "rulebook", book["id"])
    yield "rules", book["id"]
    rows = [[each[key] for key in ROW] for data in opened for each in data["roster"]] or [[row[key] for key in ROW]]
    need(row["unit"] == bundle["unit"] and [row[key] for key in ROW] in rows, "roster", bundle["unit"])
    yield from () if opened else (("roster?", bundle["unit"]),)
    adopted = {event.data["reading"]: event.data["value"] for event in fold.standing("reading.adopted")}
    for name, values in ((each["name"], each["values"]) for each in book["reading"]):
        expected, found = adopted.get(name, values[0]), bundle["readings"].get(name)
        need(found == expected, "readings", name, expected, found)
    final = {event.sequence for event in fold.events if event.stage == "finalised"}
    need(fold.void <= final, "void", sorted(fold.void - final))
    yield from (("void?", sorted(final), sorted(fold.void)),) if final else ()


def reckon(bundle: dict[str, Any], fold: Fold, rules: Rules) -> dict[str, tuple[Fraction | None, str]]:
    """Reckon each item from its events: (points, or None without input; state)."""
    found: dict[str, tuple[Fraction | None, str]] = {}
    for code, item in rules.items.items():
        values = rules.rated(item, fold.standing("rating.recorded", code))
        closed = {event.office for event in fold.standing("item.closed", code)} >= set(item["offices"])
        done, points = len(values) >= len(item.get("component", [0])), None
        if item["method"] == "deduct":
            points, done = rules.deduct(item, fold.standing("deduction.recorded", code)), True
        elif not values and closed and rules.rule(item, "cases") == "best":
            points, done = Fraction(0), True
        elif values and not rules.compares(item):
            points = rules.alone(item, values)
        elif values:
            row = one(bundle["cross_unit"][code], bundle["unit"], "unit") if not fold.standing("item.exempted", code) else None
            points = rules.compared(item, bundle["cross_unit"][code], row) if row else None
        found[code] = points if points is None else half_up(points, 6), "scored" if closed and done else "pending"
        if fold.standing("item.exempted", code):
            found[code] = rules.full(item), "exempt"
    shares = {code: rules.rescaled(code, found) for code, (_, state) in found.items()
              if state == "exempt" and rules.items[code]["method"] != "deduct"}
    return {**found, **{code: (points, "exempt") for code, points in shares.items()}}


def check_units(bundle: dict[str, Any], fold: Fold, rules: Rules) -> Iterator[Line]:
    """Check the values of all units, where units are compared, against this unit's own and the signed results."""
    units = {row["unit"]: row for row in bundle["results"]["units"]} if bundle["results"] else {}
    for code, item in ((code, item) for code, item in rules.items.items() if rules.compares(item)):
        rows = [{**row, "value": number(row["value"])} for row in bundle["cross_unit"][code]]
        values = {} if fold.standing("item.exempted", code) else rules.rated(item, fold.standing("rating.recorded", code))
        mine = [([row[key] for key in ROW], row["value"]) for row in rows if row["unit"] == bundle["unit"]]
        own = [([bundle["roster"][key] for key in ROW], value) for value in values.values()]
        need(mine == own, "cross_unit", code, bundle["unit"])
        items = {name: row["items"][code] for name, row in units.items()}
        valued = [name for name, each in items.items() if each["points"] and each["state"] != "exempt"]
        need(not units or valued == sorted(row["unit"] for row in rows), "cross_unit", code, "*")
        for row in rows if units else []:
            fits = all(units[row["unit"]][key] == row[key] for key in ROW)
            came = text(rules.compared(item, rows, row))
            need(fits and came == items[row["unit"]]["points"], "cross_unit", code, row["unit"])
        yield "units" if units else "units?", code, len(rows)


def check_stated(bundle: dict[str, Any], rules: Rules, found: dict[str, Any]) -> Iterator[Line]:
    """Check the stated points of every item, and the totals that follow from them."""
    stated, total = bundle["stated"], rules.book["total"]
    for code, (points, state) in found.items():
        mine, theirs = (points if points is None else text(points), state), stated["items"][code]
        need(mine == (theirs["points"], theirs["state"]), "result_forged", code, (theirs["points"], theirs["state"]), mine)
        yield ("points", code, *mine)
    late = {part["code"] for part in rules.book["part"] if part.get("year_end")}
    daily, year_end = (sum((points for code, (points, _) in found.items() if points
                            and (rules.items[code]["part"] in late) == which), Fraction(0)) for which in (False, True))
    weights = [Fraction(total[key]["value"]) for key in ("daily_weight", "year_end_weight", "scale")]
    final = (daily * weights[0] + year_end * weights[1]) * weights[2]
    for name, came in (("daily", text(daily)), ("year_end", text(year_end)), ("final", text(final, 8))):
        need(stated[name] == came, "result_forged", name, stated[name], came)
        yield "points", name, came, ""


def check_results(bundle: dict[str, Any], log: dict[str, Any]) -> Iterator[Line]:
    """Check the whole results, where they are carried, against their signed digest and what is stated."""
    body = {k: v for k, v in bundle["results"].items() if k not in ("digest", "as_of", "refused")}
    for name in ("deductions", "events"):
        body[name] = [{key: value for key, value in line.items() if key != "why"} for line in body[name]]
    found, row = sha(canonical(body)).hex(), one(body["units"], bundle["unit"], "unit")
    need(found == log["results"], "result_forged", "digest", found, log["results"])
    for key, value in {**bundle["stated"], **{key: bundle["roster"][key] for key in ROW}}.items():
        need(row[key] == value, "result_forged", key, row[key], value)
    yield "results", bundle["unit"]


def verify(bundle: dict[str, Any], keys: list[str], older: list[str]) -> Iterator[Line]:
    """Run every check, yielding what holds; raises Failed at the first that does not."""
    need(bundle["version"] == VERSION, "version", bundle["version"], VERSION)
    yield from () if keys else (("key?", ", ".join(key.rpartition("+")[0] for key in bundle["keys"])),)
    keys = keys or bundle["keys"]
    yield from check_log(bundle, keys, older)
    log, unit = open_note(bundle["checkpoint"], keys), bundle["unit"]
    own, year, held = ([Event(entry) for entry in bundle[name]] for name in ("events", "year_events", "held"))
    yield from check_list(bundle, unit, own, log)
    yield from check_list(bundle, "assessment", year, log)
    check_included(held, log)
    rules = Rules(bundle["rulebook"], bundle["readings"])
    fold = Fold([*own, *year, *held], {unit, "assessment"}, set(bundle["void_sequences"]), rules)
    yield from check_rules(bundle, log, fold)
    yield from check_units(bundle, fold, rules)
    yield from check_stated(bundle, rules, reckon(bundle, fold, rules))
    yield from check_results(bundle, log) if bundle["results"] else (("results?", unit),)


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
        for line in verify(json.loads(options.bundle.read_bytes()), options.key, older):
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
