"""What other systems rely on: bytes that still read the same, documents that are current, subjects that read back."""

import json
from pathlib import Path

import msgspec
import pytest

from schemas import documents, soundness, subjects
from schemas.events import TYPES, YEAR, Envelope, Event
from schemas.receipts import Ranking, Receipt
from schemas.refusals import Reason, Refusal
from schemas.rulebook import plain
from services.ingest.check import Checker, opened
from services.ingest.texts import Apart, taken

GOLDEN = Path(__file__).parent / "golden"
LINES = (GOLDEN / "events.jsonl").read_bytes().splitlines()
APART = (GOLDEN / "apart.jsonl").read_bytes().splitlines()
YEAR_ = opened(LINES[0])
CHECKER = Checker(YEAR_.rulebook, YEAR_.roster, keys=YEAR_.keys)


def flat(event):
    columns = msgspec.structs.asdict(event)
    return {name: list(value) if name == "units" else value for name, value in columns.items() if value is not None}


def test_the_golden_events_still_read_the_same():
    expected = json.loads((GOLDEN / "events.json").read_text(encoding="utf-8"))
    assert expected == [flat(CHECKER.check(line)) for line in LINES]


def test_there_is_a_golden_event_of_every_type():
    assert set(TYPES) == {json.loads(line)["type"] for line in (*LINES, *APART)}


def test_golden_events_of_a_year_with_texts_out_of_line_still_read_the_same():
    book = soundness.read({**plain(YEAR_.rulebook), "out_of_line": ["rater", "reason", "statement"]})
    checker, expected = Checker(book, YEAR_.roster), json.loads((GOLDEN / "apart.json").read_text(encoding="utf-8"))
    assert expected == [flat(checker.check(line)) for line in APART]
    found = taken(APART[0], book.out_of_line)
    assert isinstance(found, Apart)
    assert list(found.texts) == [expected[0]["reason"]]
    assert APART[0].startswith(found.raw[:-1] + b',"texts":')


@pytest.mark.parametrize("line", LINES, ids=lambda line: json.loads(line)["type"])
def test_what_intake_accepts_the_declared_structs_accept(line):
    kind = json.loads(line)["type"]
    event = msgspec.json.decode(line, type=Envelope[TYPES[kind]])  # type: ignore[valid-type]
    assert json.loads(line) == json.loads(msgspec.json.encode(event))


def test_the_columns_of_an_event_are_pinned():
    assert " ".join(Event.__struct_fields__) == (
        "source id type subject time occurred item matter ground node points rater rater_group measure case_name "
        "period value target_source target_id outcome grade units reading reading_value stage characters attribute "
        "veto change name category unit_group attributes from_office to_office party party_key reason"
    )


def test_the_reasons_are_in_the_order_of_the_contract():
    assert " ".join(Reason) == (
        "too_large not_json not_cloudevent unknown_type bad_field unknown_field not_open source_not_authorised "
        "not_signed unknown_unit unknown_item not_applicable wrong_kind unknown_ground points_out_of_range "
        "value_out_of_range conflict"
    )


def test_receipts_refusals_and_rankings_have_the_keys_of_the_contract():
    keys = {struct: ",".join(struct.__struct_fields__) for struct in (Receipt, Refusal, Ranking)}
    assert keys == {
        Receipt: "source,id,outcome,sequence,sha256,reason,path,message,disposition,why,signature",
        Refusal: "line,source,id,reason,path,message",
        Ranking: "assessment,sequence,digest,snapshot,sha256,root,state,units,moved",
    }


@pytest.mark.parametrize("name", documents.documents())
def test_the_checked_in_documents_are_current(name):
    found = (documents.GENERATED / f"{name}.json").read_text(encoding="utf-8")
    assert documents.text(documents.documents()[name]) == found, "run python -m schemas.documents"


def test_no_other_documents_are_checked_in():
    assert {f"{name}.json" for name in documents.documents()} == {path.name for path in documents.GENERATED.iterdir()}


@pytest.mark.parametrize("name", documents.documents())
def test_every_reference_of_a_document_leads_somewhere(name):
    document = json.loads((documents.GENERATED / f"{name}.json").read_text(encoding="utf-8"))

    def references(value):
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, one in pairs:
            yield from [one] if key == "$ref" else references(one)

    for reference in references(document):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_year_events_say_in_their_schema_that_their_subject_is_the_assessment():
    defs = documents.documents()["events"]["$defs"]
    assert {name for name in TYPES if "const" in defs[name]["properties"]["subject"]} == YEAR
    assert [{"const": name} for name in TYPES] == [defs[name]["properties"]["type"] for name in TYPES]


def test_subjects_read_back_what_was_put_in():
    made = subjects.intake("w-2013", "ducha", "deduction.recorded.v1", "U042")
    assert made == "intake.w-2013.ducha.deduction-recorded-v1.U042"
    assert subjects.Intake("w-2013", "ducha", "deduction.recorded.v1", "U042") == subjects.read_intake(made)
    assert subjects.Ledger("w", "ducha", "U042") == subjects.read_ledger(subjects.ledger("w", "ducha", "U042"))
    assert subjects.refused("w", "ducha") == "refused.w.ducha"
    assert subjects.receipt("w", "ducha") == "receipt.w.ducha"
    assert (subjects.ranking("w"), subjects.cut("w")) == ("ranking.w", "cut.w")


@pytest.mark.parametrize("source", ["/offices/_a", "/units/-a", "/offices/a.b", "/units/"])
def test_a_party_begins_with_a_letter_or_digit(source):
    assert subjects.party_of(source) is None


@pytest.mark.parametrize("token", ["", "a.b", "a b", "*", ">", "单位", "a" * 65, "a\n"])
def test_what_is_no_code_makes_no_subject(token):
    with pytest.raises(ValueError, match="no token"):
        subjects.ledger("w", "ducha", token)
    assert subjects.read_ledger(f"ledger.w.ducha.{token}") is None
    assert subjects.read_intake(f"intake.w.{token}.deduction-recorded-v1.U042") is None
    assert subjects.party_of(f"/offices/{token}") is None
