"""What one key can do to everybody: raw frames on a real broker, with the services as processes of their own.

Whatever is stored is judged or refused by name, with its intake sequence, and nothing that one party sends, or that a
stolen service key writes, stops a service or costs another party's event.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from nats.aio.client import Client

from infra.client import Message, connected, publish_batch
from infra.connection import read_headers
from infra.streams import MAX_ACK_PENDING, stream
from services.ingest.app import INTAKE_SEQUENCE
from tests.faults.works import ASSESSMENT, SERVICES, Works, good, year

INTAKE = f"intake.{ASSESSMENT}".encode()
DUCHA = INTAKE + b".ducha.deduction-recorded-v1."
U001 = DUCHA + b"U001"


def frame(subject: bytes, body: bytes, headers: bytes = b"", reply: bytes = b"") -> bytes:
    """A message as it goes over the wire; nothing of it is checked here."""
    words = b" ".join(filter(None, (subject, reply)))
    if not headers:
        return b"PUB %s %d\r\n%s\r\n" % (words, len(body), body)
    return b"HPUB %s %d %d\r\n%s%s\r\n" % (words, len(headers), len(headers) + len(body), headers, body)


def block(*lines: bytes) -> bytes:
    return b"\r\n".join((b"NATS/1.0", *lines, b"", b""))


async def sent(works: Works, party: str, frames: Sequence[bytes]) -> None:
    """Write frames on the connection of a party, and wait until the server has read them."""
    async with connected(works.server.url, party, works.data) as client:
        await written(client, frames)


async def written(client: Client, frames: Sequence[bytes]) -> None:
    for n in range(0, len(frames), 500):
        await client._send_command(b"".join(frames[n : n + 500]))  # noqa: SLF001 - the wire itself
        await client._flush_pending()  # noqa: SLF001
        await client.flush()


def appeal(identifier: str) -> bytes:
    return json.dumps({
        "specversion": "1.0", "id": identifier, "source": "/units/U001", "type": "appeal.filed.v1", "subject": "U001",
        "time": "2013-12-30T09:30:00+08:00",
        "data": {"target": {"source": "/offices/ducha", "id": "before"}, "statement": "情况不实"},
    }).encode()  # fmt: skip


class Hostile(NamedTuple):
    """A frame, by whom, and what must become of it: accepted, or refused with this reason and path."""

    name: str
    party: str
    frame: bytes
    outcome: tuple[str, str | None] | None


def hostile() -> Iterator[Hostile]:
    long = b"traceparent: 00-" + b"a" * 65_000  # headers of more than 64 KiB are refused by the server
    yield Hostile("64 KiB traceparent", "U001", frame(INTAKE + b".U001.appeal-filed-v1.U001", appeal("long"),
                                                      block(long)), None)  # fmt: skip
    for n, token in enumerate((b"U!042", b"\xff\xfe", b"U" * 200, "主体".encode(), b"U001\x00", b"$JS")):
        yield Hostile(f"subject {token!r:.20}", "ducha", frame(DUCHA + token, good(f"token-{n}")),
                      ("bad_field", "subject"))  # fmt: skip
    for n, token in enumerate((b"deduction!", b"\xff\xfe", b"-" * 70)):
        yield Hostile(f"type {token!r:.20}", "ducha", frame(INTAKE + b".ducha." + token + b".U001", good(f"type-{n}")),
                      ("bad_field", "type"))  # fmt: skip
    headers = {
        "Status: 404": block(b"Status: 404"),
        "Status: 503": block(b"Status: 503", b"Description: No Responders"),
        "Status: 100": block(b"Status: 100", b"Description: Idle Heartbeat"),
        "status line": b"NATS/1.0 404 No Messages\r\n\r\n",
        "the broker's own": block(b"Nats-Sequence: 1", b"Nats-Stream: X", b"Nats-Subject: y", b"Nats-Time-Stamp: z",
                                  b"Nats-Num-Pending: 0", b"Nats-Last-Sequence: x"),
        "ingest's own": block(INTAKE_SEQUENCE.encode() + b": 1"),
        "not decimal": block(INTAKE_SEQUENCE.encode() + b": \xd9\xa1"),
        "marker": block(b"Nats-Marker-Reason: Purge"),
        "api level": block(b"Nats-Required-Api-Level: 0"),
        "content type": block(b"content-type: application/json", b"correlation_id: x"),
        "no end": b"NATS/1.0\r\nfoo",
        "no beginning": b"garbage\xff\xfe",
        "two blocks": block(b"a: b", b"", b"c: d"),
        "no colon": block(b"\xff\xfe\x00", b": empty", b"x"),
        "many": block(*(b"h%d: x" % n for n in range(4000))),
        "two traceparents": block(b"traceparent: x", b"traceparent: 00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"),
    }  # fmt: skip
    for n, (name, lines) in enumerate(headers.items()):
        yield Hostile(name, "ducha", frame(U001, good(f"header-{n}"), lines), None)
    bodies = (b"[" * 5000, b'{"a":' * 5000, b"-", b"\xff\xfe", b"\xef\xbb\xbf{}", b"9" * 5000, b"1e400", b"\x00")
    for body in bodies:
        for kind in (b"", block(b"content-type: application/json"), block(b"content-type: text/plain")):
            reason = "not_cloudevent" if body[:1] in b"91" else "not_json"
            yield Hostile(f"body {body!r:.12} {kind!r:.40}", "ducha", frame(U001, body, kind), (reason, None))
    yield Hostile("empty", "ducha", frame(U001, b""), ("not_json", None))
    yield Hostile("empty with status", "ducha", frame(U001, b"", block(b"Status: 404")), ("not_json", None))
    replies = (b"$JS.API.STREAM.PURGE.LEDGER-" + ASSESSMENT.encode(), b"_INBOX_ingest.x", b"\xff\xfe", U001)
    for n, reply in enumerate(replies):
        yield Hostile(f"reply {reply!r:.20}", "ducha", frame(U001, good(f"reply-{n}"), reply=reply), None)


TABLE = tuple(hostile())


def refusals(works: Works) -> dict[int, tuple[str, str | None]]:
    """Intake sequence -> reason and path, of what was refused."""
    told = [json.loads(one.data) for one in works.stored("REFUSED")]
    return {one["line"]: (one["reason"], one["path"]) for one in told}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    """Works whose ledger is opened and has one deduction, with ingest running."""
    with Works(tmp_path_factory.mktemp("hostile"), year()) as works:
        works.until_started(works.start("ingest"))
        asyncio.run(works.publish(works.year.lines[:1]))
        asyncio.run(sent(works, "ducha", [frame(U001, good("before"))]))
        works.until("the opening", lambda seen: seen.last["LEDGER"] == 2 and not seen.messages["INTAKE"])
        yield works


async def interleaved(works: Works, again: int) -> None:
    """Each message of the table, and after it a good one."""
    async with (
        connected(works.server.url, "ducha", works.data) as ducha,
        connected(works.server.url, "U001", works.data) as unit,
    ):
        for n, one in enumerate(TABLE):
            await written(unit if one.party == "U001" else ducha, [one.frame])
            await written(ducha, [frame(U001, good(f"between-{again}-{n}"))])


def test_whatever_is_stored_is_judged_or_refused_with_its_intake_sequence(opened: Works) -> None:
    """Every message of the table before a good one; and once more to an ingest that finds them at its start."""
    for again in range(2):
        before = opened.seen().last["INTAKE"]
        ledger = len(opened.ledger())
        if again:
            opened.services[-1].end()
        asyncio.run(interleaved(opened, again))
        if again:
            opened.start("ingest")
        opened.until("an empty intake", lambda seen: not seen.messages["INTAKE"] and not seen.waiting["ingest"])
        found = refusals(opened)
        expected = {before + 1 + 2 * n: one.outcome for n, one in enumerate(TABLE)}
        assert {one: found.get(sequence) for sequence, one in zip(expected, TABLE, strict=True)} == {
            one: one.outcome for one in TABLE
        }
        assert len(opened.ledger()) - ledger == len(TABLE) + sum(one.outcome is None for one in TABLE)
    accepted = [told for _, told in opened.receipts() if told.outcome == "accepted"]
    assert [told.sequence for told in accepted] == list(range(1, len(accepted) + 1))


def test_the_ledger_carries_no_header_but_its_own_and_a_traceparent(opened: Works) -> None:
    async def headers() -> list[dict[str, str]]:
        async with connected(opened.server.url, "provisioner", opened.data) as client:
            js = client.jetstream()
            last = (await js.stream_info(stream("LEDGER", ASSESSMENT))).state.last_seq
            found = [await js.get_msg(stream("LEDGER", ASSESSMENT), seq) for seq in range(1, last + 1)]
            return [dict(one.headers or {}) for one in found]

    own = {INTAKE_SEQUENCE, "Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit"}
    own |= {"Nats-Expected-Last-Sequence", "Nats-Request-Info"}
    found = asyncio.run(headers())
    assert {name for one in found for name in one} - own == {"traceparent"}
    assert {one["traceparent"] for one in found if "traceparent" in one} == {f"00-{'0' * 32}-{'0' * 16}-01"}
    sequences = [int(one[INTAKE_SEQUENCE]) for one in found]
    assert sequences == sorted({*sequences})


@pytest.mark.long
def test_ten_thousand_messages_that_look_like_the_broker_s_answers_leave_nobody_deaf(opened: Works) -> None:
    before = opened.seen().last["INTAKE"]
    asyncio.run(sent(opened, "ducha", [frame(U001, b"{}", block(b"Status: 404"))] * (MAX_ACK_PENDING + 100)))
    asyncio.run(sent(opened, "ducha", [frame(U001, good("after the flood"))]))
    opened.until("an empty intake", lambda seen: not seen.messages["INTAKE"] and not seen.waiting["ingest"])
    assert opened.ledger()[-1] == good("after the flood")
    found = refusals(opened)
    assert {found[before + n] for n in range(1, MAX_ACK_PENDING + 101)} == {("not_cloudevent", "specversion")}


# Stolen service keys


def junk() -> list[Message]:
    """What a thief of ingest's key may write into the ledger, each with what it says it came from."""
    subject = f"ledger.{ASSESSMENT}.ducha.U001"
    bodies = [b"", b"{}", b"\xff\xfe", b"[" * 5000, good("forged"), b'{"specversion":"1.0"}', b"null"]
    came = ["", "x", "-1", "0", "1", "99999999999999999999", "9" * 18, "1.5"]
    named = [Message(subject, body, {INTAKE_SEQUENCE: text}) for body, text in zip(bodies * 2, came * 2, strict=False)]
    bare = [Message(subject, body) for body in bodies]
    odd = [Message(f"ledger.{ASSESSMENT}.{rest}", b"{}") for rest in ("x", "a.b.c.d", "U!042.\u4e3b", "_._")]
    status = [Message(subject, b"{}", {"Status": "404"}), Message(subject, b"", {"Status": "503"})]
    return [*named, *bare, *odd, *status]


@pytest.mark.long
def test_junk_in_the_ledger_is_passed_over_and_stops_nobody(tmp_path: Path) -> None:
    """While all run: the fence stops ingest at its next event, once, and it goes on from what it finds then."""
    with Works(tmp_path, year()) as works:

        async def write(after: int) -> None:
            async with connected(works.server.url, "ingest", works.data) as thief:
                await publish_batch(thief, junk(), after)

        for name in SERVICES:
            works.start(name).kept = True
        asyncio.run(works.publish(works.year.lines[:1]))
        works.until_ranked(1)
        expected = [1]
        for n in range(2):
            asyncio.run(write(expected[-1]))
            works.until_ranked(expected[-1] + len(junk()))
            asyncio.run(sent(works, "ducha", [frame(U001, good(f"after-{n}"))]))
            expected.append(expected[-1] + len(junk()) + 1)
            works.until_ranked(expected[-1])
        accepted = [told.sequence for _, told in works.receipts() if told.outcome == "accepted"]
        assert accepted == expected
        assert [works.ledger()[sequence - 1] for sequence in expected[1:]] == [good("after-0"), good("after-1")]
        assert (works.data / "logs" / "ingest.log").read_text().count("entry.passed_over") >= 2 * len(junk())


def rankings() -> list[bytes]:
    """What a thief of the ranker's key may publish: no ranking, and a ranking that nobody signed."""
    forged = {"assessment": ASSESSMENT, "sequence": 10**12, "digest": "x", "snapshot": "../../keys/log.key",
              "sha256": "x", "root": "zz", "state": "running", "units": []}  # fmt: skip
    named = {**forged, "snapshot": f"{ASSESSMENT}-{10**12}.duckdb", "root": "0" * 64}
    return [b"", b"\xff", b"[]", b'{"sequence":1}', json.dumps(forged).encode(), json.dumps(named).encode()]


@pytest.mark.long
def test_junk_on_the_ranking_s_subject_is_passed_over_and_the_next_ranking_is_published(tmp_path: Path) -> None:
    with Works(tmp_path, year()) as works:

        async def write(bodies: list[bytes]) -> None:
            async with connected(works.server.url, "ranker", works.data) as thief:
                for body in bodies:
                    for headers in (None, {"Status": "404"}, {"Wuxing-Signature": "x"}):
                        await thief.request(f"ranking.{ASSESSMENT}", body, 10, headers=headers)

        asyncio.run(write(rankings()[:-1]))  # before there is a key that could have signed any
        for name in SERVICES:
            works.start(name)
        asyncio.run(works.publish(works.year.lines[:3]))
        works.until("a ranking", lambda seen: not seen.messages["INTAKE"] and newest(works) > 0)
        before = works.ranking()
        asyncio.run(write(rankings()))
        asyncio.run(sent(works, "ducha", [frame(U001, good("after"))]))
        works.until(
            "a ranking of it", lambda seen: seen.last["LEDGER"] > before.sequence and newest(works) > before.sequence
        )
        assert "LogRewritten" not in works.services[-1].words()


def newest(works: Works) -> int:
    """The sequence of the newest ranking if it reads."""
    try:
        sequence = works.ranking().sequence
    except (msgspec.MsgspecError, AssertionError):
        return 0
    return sequence if sequence < 10**12 else 0


def test_a_question_for_a_cut_that_is_none_costs_the_next_one_nothing(tmp_path: Path) -> None:
    with Works(tmp_path, year()) as works:
        works.start("ingest")
        works.until_started(works.start("scorer"))
        asyncio.run(works.publish(works.year.lines[:1]))
        works.until("it to be folded", lambda seen: seen.last["LEDGER"] == 1 and not seen.waiting["scorer"])

        async def ask() -> dict[str, Any]:
            async with connected(works.server.url, "ranker", works.data) as ranker:
                for body in (b"", b"x", b"\xff\xfe", b"-1e400", b"9" * 400, b'"0"', b"null", b"[0]", b"[" * 5000):
                    for headers in (None, {"content-type": "text/plain"}, {"Status": "503"}, {"reply_to": "x"}):
                        await ranker.publish(f"cut.{ASSESSMENT}", body, headers=headers, reply=ranker.new_inbox())
                answer = await ranker.request(f"cut.{ASSESSMENT}", b"0", 30)
                found: dict[str, Any] = json.loads(answer.data)
                return found

        assert asyncio.run(ask())["sequence"] == 1


# What the parts are made of


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"NATS/1.0 404 No Messages\r\n\r\n", {"Status": "404", "Description": "No Messages"}),
        (b"NATS/1.0 100 Idle\r\nNats-Last-Stream: 7\r\n\r\n",
         {"Status": "100", "Description": "Idle", "Nats-Last-Stream": "7"}),
        (b"NATS/1.0\r\nA: 1\r\nA: 2\r\nno colon\r\n\r\nB:3", {"A": "2", "B": "3"}),
        (b"\xff\xfe", {}),
        (b"", {}),
    ],
)  # fmt: skip
def test_of_a_repeated_header_the_last_counts_and_what_is_none_is_nothing(raw: bytes, found: dict[str, str]) -> None:
    assert read_headers(raw) == found
