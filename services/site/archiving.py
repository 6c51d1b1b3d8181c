"""The command `archive`: ends a year for ever and writes all that proves it into one file."""

import asyncio
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from infra.client import connected, jetstream
from infra.rights import PROVISIONER
from infra.streams import seal, stream
from schemas.receipts import Ranking
from schemas.words import SEMICOLON, Language, _, several
from services.audit import archive as archives
from services.audit import verify
from services.audit.export import Stored, of_broker
from services.command.options import Lang
from services.command.progress import Bar
from services.process import settings as configuration
from services.process.ending import Exit, Stop
from services.process.files import replacing
from services.process.settings import Settings
from services.proof import checkpoint
from services.proof.receipts import site_key
from services.ranker import announced
from services.site.asking import agreed
from services.site.years import archived
from services.snapshot import point, texts

FINAL = "finalised"


def archive(file: Path, *, unfinished: bool = False, yes: bool = False, lang: Lang = None) -> int:
    """Seal the ledger of a final year for ever, and write ledger, last snapshot, checkpoint, rules and keys to a file.

    Example: wuxing archive wenzhou-2013.zip

    Parameters
    ----------
    file
        The archive, a plain zip; `wuxing verify` proves it anywhere. Told again, it is written again.
    unfinished
        Archive a year that is not final, such as one that was given up.
    yes
        Do not ask before the ledger is sealed.
    """
    chosen = configuration.language(lang)
    known = configuration.read()
    stands = asyncio.run(_stands(known))
    _check(known, stands, unfinished=unfinished)
    if not stands.sealed:
        print(_told(known, stands, chosen), file=sys.stderr)
        if not yes and not agreed(chosen):
            return Exit.NO
    with replacing(file) as draft:
        _write(known, stands, draft, chosen)
        asyncio.run(_sealed(known, stands))
        digest = hashlib.sha256(draft.read_bytes()).hexdigest()
    said = {"assessment": known.assessment, "sequence": stands.last, "state": stands.state, "sha256": digest}
    archived(known.data).write_text(json.dumps(said | {"file": str(file.absolute())}) + "\n", encoding="utf-8")
    print(json.dumps(said | {"file": str(file)}, ensure_ascii=False))
    return Exit.DONE


class Stands(NamedTuple):
    """Where a year stands at the broker."""

    last: int
    waiting: int
    sealed: bool
    ranking: Ranking | None

    @property
    def state(self) -> str:
        """The state of the last ranking."""
        return self.ranking.state if self.ranking else "-"


async def _stands(known: Settings) -> Stands:
    async with connected(known.nats_url, "audit", known.data) as client:
        js = jetstream(client)
        ledger, intake = [await js.stream_info(stream(kind, known.assessment)) for kind in ("LEDGER", "INTAKE")]
        ranking = await announced.last(client, known.assessment)
        return Stands(ledger.state.last_seq, intake.state.messages, bool(ledger.config.sealed), ranking)


def _check(known: Settings, stands: Stands, *, unfinished: bool) -> None:
    """Raise Stop where there is more to come, or the year is not final and nobody said so."""
    ranked = stands.ranking.sequence if stands.ranking else 0
    if (stands.waiting and not stands.sealed) or ranked != stands.last or not stands.ranking:
        raise Stop(
            Exit.FAILED,
            _(
                "{assessment}: {waiting} messages wait for ingest, the ledger ends at {last}, ranked is "
                "{ranked}. Let the services come to the end, and run this again.",
                assessment=known.assessment,
                waiting=stands.waiting,
                last=stands.last,
                ranked=ranked,
            ),
        )
    if stands.state != FINAL and not unfinished and not stands.sealed:
        raise Stop(
            Exit.NO,
            _(
                "{assessment} is {state} and not {final}: what is archived can never change. Finalise it "
                "(wuxing readiness says what is missing), or archive it as it is with --unfinished.",
                assessment=known.assessment,
                state=stands.state,
                final=FINAL,
            ),
        )


def _told(known: Settings, stands: Stands, lang: Language) -> str:
    said = _(
        "The ledger of {assessment} ({state}) will end at sequence {last}."
        " It is sealed for ever: nothing more is taken.",
        assessment=known.assessment,
        state=stands.state,
        last=stands.last,
    )
    with point.snapshot(known.snapshots / stands.ranking.snapshot if stands.ranking else None) as con:
        if not texts.there(con):
            return said.say(lang)
        [held] = con.execute("SELECT count(text), count(erased_by) FROM text").fetchall()
    lie = _(
        "{stand} texts out of line will be in the archive, {gone} are erased: after this no order can erase one.",
        stand=held[0],
        gone=held[1],
    )
    return f"{said.say(lang)} {lie.say(lang)}"


def _write(known: Settings, stands: Stands, target: Path, lang: Language) -> None:
    """Write the archive and prove it; raises Stop where it does not hold, and then nothing is sealed."""
    assert stands.ranking
    begun = (known.snapshots / checkpoint.KEY_NAME).exists()
    signer = checkpoint.log_key(known.data, known.assessment, begun=begun)
    with tempfile.TemporaryDirectory(prefix="wuxing-", dir=target.parent) as place:
        folder = Path(place)
        with Bar(lang, _("exporting")) as bar, (folder / archives.LEDGER).open("wb") as ledger:

            def take(batch: list[Stored] | tuple[Stored, ...]) -> None:
                ledger.writelines(map(archives.ledger_line, batch))

            of_broker(known, take, bar.step, stands.last)  # type: ignore[arg-type]
        shutil.copyfile(known.snapshots / stands.ranking.snapshot, folder / archives.SNAPSHOT)
        keys = {"log": signer.verifier, "receipts": site_key(known.data, known.assessment).verifier}
        archives.fill(folder, _checkpoint(known, folder / archives.SNAPSHOT), keys)
        archives.write(folder, target, known.assessment, stands.last, stands.state, signer)
    given = verify.Given([signer.verifier])
    if wrong := [one for one in verify.of_archive(target, given) if one.mark == "fail"]:
        raise Stop(
            Exit.FAILED,
            _(
                "The archive would not hold, so nothing was sealed or written: {wrong}. `wuxing replay` says more.",
                wrong=several((verify.said(one) for one in wrong[:5]), SEMICOLON),
            ),
        )


def _checkpoint(known: Settings, snapshot: Path) -> str:
    """The checkpoint of a snapshot, with the cosignatures that the published one has."""
    with point.snapshot(snapshot) as con:
        text = checkpoint.held(con) or ""
    published = known.snapshots / checkpoint.NAME
    if published.exists() and checkpoint.body(other := checkpoint.read(published)) == checkpoint.body(text):
        text = checkpoint.merged(text, other)
    return text


async def _sealed(known: Settings, stands: Stands) -> None:
    """Seal the ledger; raises Stop where something came in since it was written."""
    async with connected(known.nats_url, PROVISIONER, known.data) as client:
        await seal(client, known.assessment)
    if (now := await _stands(known)).last != stands.last:
        raise Stop(
            Exit.FAILED,
            _(
                "The ledger is sealed at {last}, and {written} was written: an event came in between. "
                "When it is ranked, run this again.",
                last=now.last,
                written=stands.last,
            ),
        )
