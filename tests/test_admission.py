"""Admission by the language page, section 10: a few lines of history on the left, what admission made of them beside.

The year is that of the pinned events: its items W (entries of office a), M (a and b) and K (b); units U1 to U3.
"""

import json
from pathlib import Path

import pytest

from schemas.year import given
from services.ingest.check import Checker, opened_year
from services.scorer import file, rules, store

OPENING = (Path(__file__).parent / "golden" / "events.jsonl").read_bytes().splitlines()[0]
SHIPPED = given(None, None, None)
A, B, C = "/offices/a", "/offices/b", "/offices/c"


def event(source, kind, subject, **data):
    return source, kind + ".v1", subject, data


def late(unit="U1", office=A, **more):
    return event(office, "deduction.recorded", unit, **{
        "item": "W", "matter": "m", "ground": "late", "node": "plan", "reason": "r", **more})  # fmt: skip


def praise(unit="U1", office=A):
    return event(office, "bonus.recorded", unit, item="W", matter="m", ground="praise", node="plan", reason="r")


def speed(value="0.5", unit="U1", measure="speed"):
    return event(B, "rating.recorded", unit, item="M", value=value, rater="r", measure=measure, period="Q1")


def opinion(value="1", unit="U1"):
    return event(B, "rating.recorded", unit, item="K", value=value, rater="r", group="lead", case="c")


def fact(unit="U1"):
    return event(A, "fact.recorded", unit, attribute="staff", value="2", reason="r")


def veto(unit="U1"):
    return event(B, "veto.recorded", unit, veto="safety", reason="r")


def closing(item="W", office=A):
    return event(office, "item.closed", "assessment", item=item)


def on(line, source=A):
    """A reference to the event of a line."""
    return {"source": source, "id": f"e{line}"}


def revoke(line, source=A, subject="U1", target=None):
    return event(source, "event.revoked", subject, target=on(line, target or source), reason="r")


def approve(line, subject="U1", outcome="approved", target=A):
    return event(B, "approval.recorded", subject, target=on(line, target), outcome=outcome, reason="r")


def appeal(line, unit="U1", target=A):
    return event(f"/units/{unit}", "appeal.filed", unit, target=on(line, target), statement="s")


def decide(line, outcome="upheld", unit="U1", **points):
    about = on(line, f"/units/{unit}")
    return event(B, "appeal.decided", unit, appeal=about, outcome=outcome, reason="r", **points)


def change(unit, kind, **data):
    return event(C, "unit.changed", unit, change=kind, reason="r", **data)


def join(unit="U9"):
    return change(unit, "joined", name="n", category="P", group="g1", attributes={})


def transfer(item="W", before=A, after=B):
    offices = {"from": before.removeprefix("/offices/"), "to": after.removeprefix("/offices/")}
    return event(C, "item.transferred", "assessment", item=item, reason="r", **offices)


def stage(name):
    return event(C, "stage.reached", "assessment", stage=name)


def adopt():
    return event(C, "reading.adopted", "assessment", reading="matter_rule", value="sum", reason="r")


READY = [  # what makes the year final; the veto leaves no tie
    (adopt(), "-"), (stage("half"), "-"),
    *((event(office, "item.exempted", unit, item=item, reason="r"), "-")
      for unit in ("U1", "U2", "U3") for item, office in (("W", A), ("M", A), ("K", B))),
    (veto(), "-"), (stage("finalised"), "-"),
]  # fmt: skip

#: sentence of the page: the lines after the opening, the first of them line 2, each with why it is void, or -.
CASES = {
    "an office closes its own part; its entries, ratings, exemptions and closings of the item are void after it": [
        (late(), "-"), (closing(), "-"), (late(), "closed"), (closing(), "closed"), (fact(), "-"),
        (closing("M", B), "-"), (speed(), "closed"), (event(A, "item.exempted", "U1", item="M", reason="r"), "-"),
        (event(B, "submission.recorded", "U1", item="K", characters=1), "-"), (closing("K", B), "-"),
        (event(B, "submission.recorded", "U1", item="K", characters=1), "closed"), (opinion(), "closed"),
    ],
    "events after a closing stay void when it is revoked; then the office's part is open again": [
        (closing(), "-"), (late(), "closed"), (revoke(2, subject="assessment"), "-"), (late(), "-"), (closing(), "-"),
        (late(), "closed"),
    ],
    "a transferred item is closed by the office that holds it, also where the former holder had closed": [
        (closing(), "-"), (transfer(), "-"), (late(office=B), "-"), (closing(office=B), "-"),
        (late(office=B), "closed"), (transfer("W", B, C), "-"), (late(office=C), "-"),
        (revoke(2, B, "assessment", A), "-"), (transfer("W", C, A), "-"), (late(), "-"),
    ],
    "a transfer from an office that does not hold the item, or to one that does, is void": [
        (transfer("W", B, C), "not_holder"), (transfer("M", A, B), "holder"), (transfer(), "-"),
        (transfer(), "not_holder"), (transfer("W", B, A), "-"), (late(), "-"),
    ],
    "a revocation's subject is its target's; what does not stand, or comes later, cannot be revoked": [
        (late(), "-"), (revoke(2, subject="U2"), "other_subject"), (revoke(9), "no_target"), (revoke(2), "-"),
        (revoke(2), "not_standing"), (closing(), "-"), (late(), "closed"), (revoke(8), "not_standing"),
        (revoke(10), "no_target"),
    ],
    "revocations, the opening and changes cannot be revoked": [
        (late(), "-"), (revoke(2), "-"), (revoke(3), "irrevocable"), (join(), "-"), (transfer(), "-"),
        (revoke(5, C, "U9"), "irrevocable"), (revoke(6, C, "assessment"), "irrevocable"),
        (event(C, "event.revoked", "assessment", target={"source": C, "id": "g0"}, reason="r"), "irrevocable"),
        (event(C, "key.changed", "assessment", party="a", key="KEY", reason="r"), "-"),
        (revoke(10, C, "assessment"), "irrevocable"),
    ],
    "the heir of an item revokes what was recorded of that item, also one before the present holder": [
        (late(), "-"), (fact(), "-"), (transfer(), "-"), (revoke(3, B, target=A), "not_owner"),
        (transfer("W", B, C), "-"), (revoke(2, B, target=A), "-"), (late(office=C), "-"),
        (revoke(8, C), "-"),
    ],
    "a later fact, veto or rating may be revoked, and so may a replaced one": [
        (fact(), "-"), (fact(), "-"), (revoke(3), "-"), (revoke(2), "-"), (opinion(), "-"), (opinion("2"), "-"),
        (revoke(6, B), "-"), (veto(), "-"), (revoke(9, B), "-"), (revoke(9, B), "not_standing"),
    ],
    "appealable is a standing entry, rating or veto of the unit, once": [
        (late(), "-"), (opinion(), "-"), (veto(), "-"), (fact(), "-"), (appeal(2), "-"), (appeal(3, target=B), "-"),
        (appeal(4, target=B), "-"), (appeal(5), "not_appealable"), (appeal(2), "appealed"),
        (appeal(2, "U2"), "other_subject"), (appeal(50), "no_target"), (late(), "-"), (revoke(13), "-"),
        (appeal(13), "not_standing"),
    ],
    "an appeal is withdrawn while undecided, and then there may be another": [
        (late(), "-"), (appeal(2), "-"), (revoke(3, "/units/U1"), "-"), (decide(3), "no_appeal"), (appeal(2), "-"),
        (decide(6), "-"), (revoke(6, "/units/U1"), "decided"), (decide(6), "decided"), (appeal(2), "appealed"),
    ],
    "a decision that is revoked reopens the appeal and undoes its effect": [
        (late(), "-"), (appeal(2), "-"), (decide(3, "cancelled"), "-"), (revoke(2), "not_standing"),
        (revoke(4, B), "-"), (revoke(2), "-"), (decide(3), "target_revoked"), (revoke(4, B), "not_standing"),
    ],
    "a decision is about its appeal's subject": [
        (late(), "-"), (appeal(2), "-"), (decide(2), "no_target"), (decide(3, unit="U2"), "no_target"),
        (event(B, "appeal.decided", "U2", appeal=on(3, "/units/U1"), outcome="upheld", reason="r"), "other_subject"),
        (event(B, "appeal.decided", "U1", appeal=on(2), outcome="upheld", reason="r"), "no_appeal"),
    ],
    "revised: an entry from 0 to the claimed, a rating in its own range, a veto not at all": [
        (late(ground="breach", points="3"), "-"), (appeal(2), "-"),
        (decide(3, "revised", points="3.000001"), "points_range"),
        (decide(3, "revised", points="-1"), "points_range"), (decide(3, "revised", points="3"), "-"),
        (late(), "-"), (appeal(7), "-"), (decide(8, "revised", points="40.5"), "points_range"),
        (decide(8, "revised", points="0"), "-"),
        (opinion(), "-"), (appeal(11, target=B), "-"), (decide(12, "revised", points="-10.1"), "points_range"),
        (decide(12, "revised", points="-10"), "-"),
        (speed("1", measure="open"), "-"), (appeal(15, target=B), "-"),
        (decide(16, "revised", points="0.5"), "points_range"), (decide(16, "revised", points="0.0"), "-"),
        (veto(), "-"), (appeal(19, target=B), "-"), (decide(20, "revised", points="0"), "points_range"),
        (decide(20, "revised", points="9" * 30), "points_range"), (decide(20, "cancelled"), "-"),
    ],
    "a standing entry on a ground with approval has at most one standing approval": [
        (praise(), "-"), (late(), "-"), (approve(3), "no_approval"), (approve(2, "U2"), "other_subject"),
        (approve(2), "-"), (approve(2, outcome="rejected"), "approved"), (revoke(6, B), "-"),
        (approve(2, outcome="rejected"), "-"), (closing(), "-"), (revoke(9, B), "-"), (approve(2), "-"),
        (revoke(2), "-"), (approve(2), "not_standing"), (veto(), "-"), (approve(15, target=B), "no_approval"),
    ],
    "what is recorded of a unit that left is void, but revocations, appeals and decisions": [
        (late(), "-"), (praise(), "-"), (change("U1", "left"), "-"), (late(), "left"), (opinion(), "left"),
        (fact(), "left"), (veto(), "left"), (approve(3), "left"), (appeal(2), "-"), (decide(10), "-"),
        (revoke(2), "-"), (late("U2"), "-"), (change("U1", "left"), "not_there"),
        (change("U1", "renamed", name="n"), "not_there"),
        (change("U1", "moved", category="Q", group="g2"), "not_there"),
        (join("U1"), "-"),
        (join("U1"), "there"), (join("U2"), "there"), (late(), "-"), (change("U1", "left"), "-"),
        (late(), "left"),
    ],
    "a unit that joins is there for what follows": [
        (late("U9"), "unknown_unit"), (join(), "-"), (late("U9"), "-"), (change("U9", "left"), "-"), (join(), "-"),
        (late("U9"), "-"),
    ],
    "while final stands all is void but appeals, decisions, revocations, keys and a new final": [
        *READY,
        (late(), "finalised"), (praise(), "finalised"), (opinion(), "finalised"), (fact(), "finalised"),
        (veto(), "finalised"), (closing(), "finalised"), (adopt(), "finalised"), (stage("half"), "finalised"),
        (join(), "finalised"), (transfer(), "finalised"), (change("U1", "left"), "finalised"),
        (event(C, "tie.resolved", "assessment", grade="good", units=["U1", "U2"], reason="r"), "finalised"),
        (event(B, "submission.recorded", "U1", item="K", characters=1), "finalised"),
        (event(A, "item.exempted", "U1", item="M", reason="r"), "finalised"),
        (event(C, "key.changed", "assessment", party="a", key="KEY", reason="r"), "-"), (stage("finalised"), "-"),
        (revoke(14, C, "assessment"), "-"), (late(), "finalised"), (revoke(30, C, "assessment"), "-"), (late(), "-"),
        (join(), "-"),
    ],
    "final is void while anything is in its way": [
        READY[0], *READY[2:-1], (stage("finalised"), "obstacles"), READY[1], (praise(), "-"),
        (stage("finalised"), "obstacles"), (revoke(15), "-"), (late(), "-"), (appeal(18), "-"),
        (stage("finalised"), "obstacles"), (decide(19), "-"), (stage("finalised"), "-"),
    ],
    "only the first event opens": [(late(), "-"), (None, "not_first")],
}  # fmt: skip


def written(lines):
    """The file of a history: the opening, then each event under the number of its line."""
    rows = [OPENING]
    for n, (one, _) in enumerate(lines, 2):
        if one is None:
            rows.append(OPENING.replace(b'"g0"', b'"g0b"'))
            continue
        source, kind, subject, data = one
        whole = {"specversion": "1.0", "id": f"e{n}", "source": source, "type": kind, "subject": subject,
                 "time": "2013-05-06T09:30:00+08:00", "data": data}  # fmt: skip
        rows.append(json.dumps(whole).encode().replace(b'"KEY"', json.dumps(NKEY).encode()))
    return b"\n".join(rows)


NKEY = json.loads(OPENING)["data"]["keys"]["U1"]


def judged(path):
    """Why each line is void, refused or a duplicate, or `-`."""
    folded = file.fold(path, SHIPPED)
    return said(folded.con, folded.refused)


def said(con, refused):
    rows = con.execute("SELECT seq, admission, void_reason FROM event ORDER BY seq").fetchall()
    found = {seq: void or ("-" if admission == "admitted" else admission) for seq, admission, void in rows}
    return found | {one.line: str(one.reason) for one in refused}


@pytest.mark.parametrize("sentence", CASES)
def test_what_stands_and_what_is_void(sentence, tmp_path):
    lines = CASES[sentence]
    (tmp_path / "events.jsonl").write_bytes(written(lines))
    found = judged(tmp_path / "events.jsonl")
    assert [(n, why) for n, (_, why) in enumerate(lines, 2)] == [(n, found[n]) for n in range(2, len(lines) + 2)]
    assert found[1] == "-"


CHANGING = "what is recorded of a unit that left is void, but revocations, appeals and decisions"


def test_on_all_cores_changes_take_effect_on_what_follows_them_too(tmp_path, monkeypatch):
    (tmp_path / "events.jsonl").write_bytes(written(CASES[CHANGING]))
    alone = judged(tmp_path / "events.jsonl")
    monkeypatch.setattr(file, "CHUNK", 700)
    assert judged(tmp_path / "events.jsonl") == alone


def test_a_change_whose_type_is_spelled_with_escapes_is_one(tmp_path):
    history = [(change("U1", "left"), "-"), (late(), "left"), (join("U1"), "-"), (late(), "-"), (late("U9"), "-")]
    raw = written([*history[:4], (join(), "-"), history[4]])
    (tmp_path / "events.jsonl").write_bytes(raw.replace(b"unit.changed", b"unit.ch\\u0061nged"))
    assert [*judged(tmp_path / "events.jsonl").values()] == ["-", "-", "left", "-", "-", "-", "-"]


@pytest.mark.parametrize("sentence", [CHANGING, "a unit that joins is there for what follows"])
def test_the_services_road_judges_as_the_file_s_road(sentence, tmp_path):
    raw = written(CASES[sentence])
    (tmp_path / "events.jsonl").write_bytes(raw)
    first, *rest = [(n, None, line) for n, line in enumerate(raw.split(b"\n"), 1)]
    year, con = opened_year(first[2]), store.fresh()
    assert year is not None
    rules.load_rulebook(con, year.rulebook, year.roster)
    checker = Checker(year.rulebook, year.roster, keys=year.keys)
    found = [store.take(con, checker, part)[1] for part in ([first], rest[:4], rest[4:])]
    assert judged(tmp_path / "events.jsonl") == said(con, [one for part in found for one in part])


def test_the_first_accepted_event_holds_its_source_and_id_for_ever(tmp_path):
    one, other = (written([(late(matter=matter), "")]).splitlines()[1] for matter in "mn")
    spaced = json.dumps(json.loads(one), indent=None, separators=(" , ", " : "), sort_keys=True).encode()
    gone = written([(late("U8"), "")]).splitlines()[1]
    rows = [OPENING, gone, one, spaced, other, written([(late(), ""), (revoke(2), "")]).splitlines()[2], one, other]
    rows += [OPENING, written([(change("U1", "left"), "")] * 8).splitlines()[8], one, other]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(rows))
    assert list(judged(tmp_path / "events.jsonl").items()) == sorted({
        1: "-", 2: "unknown_unit", 3: "-", 4: "duplicate", 5: "conflict", 6: "-", 7: "duplicate", 8: "conflict",
        9: "duplicate", 10: "-", 11: "duplicate", 12: "conflict",
    }.items(), key=lambda pair: (pair[1] == "unknown_unit", pair[0]))  # fmt: skip
