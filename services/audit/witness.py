"""The command `witness`: cosigns a checkpoint once the log's signature holds and the log continues what was cosigned.

A witness remembers, beside its key, each log's key and the checkpoint that it cosigned last, so that it never cosigns
two histories (c2sp.org/tlog-witness). As a service it does so with every checkpoint that is published.
"""

import contextlib
import signal
import sys
import threading
import time
from pathlib import Path

import msgspec
import structlog

from schemas.subjects import CODE
from schemas.words import Language, _
from services.command.options import Lang
from services.process import log as logs
from services.process import metrics, settings
from services.process.ending import Exit, Stop
from services.process.files import replacing
from services.process.settings import Settings, language
from services.proof import checkpoint, merkle, note
from services.proof.checkpoint import Leaves
from services.proof.note import Checkpoint, NoteError, Signer, Verifier
from services.snapshot import point
from services.snapshot.make import latest

LOOK_SECONDS = 5.0


class Seen(msgspec.Struct, frozen=True):
    """What a witness remembers of a log: its key, and the note cosigned last."""

    log: str
    note: str


def witness(  # noqa: PLR0913 - each is an option of the command
    note: Path | None = None,
    *,
    name: str | None = None,
    key: Path | None = None,
    previous: Path | None = None,
    log: str | None = None,
    snapshot: Path | None = None,
    follow: bool = False,
    lang: Lang = None,
) -> int:
    """Cosign a checkpoint: prints the note with the cosignature added, once the log is known to have only grown.

    Example: wuxing witness checkpoint.txt --name U042.example.org --key U042.key > cosigned.txt

    Parameters
    ----------
    note
        The checkpoint as the log signed it; that beside the snapshots without it.
    name
        The witness's name, needed when its key is made.
    key
        The witness's key file, made at first use; keys/witness.key of the data folder without it.
    previous
        A checkpoint that the log must continue; the one cosigned last without it.
    log
        The log's verifier key; the one seen first, or the snapshot's own, without it.
    snapshot
        The snapshot that holds the events, for the consistency proof; the one published last without it.
    follow
        Go on until told to stop: cosign each checkpoint of the site as it is published, into a file beside the key.
    """
    chosen = language(lang)
    path = key or settings.read().data / "keys" / "witness.key"
    try:
        signer = _signer(path, name)
        if follow:
            if note or previous or snapshot:
                raise Stop(Exit.USE, _("--follow takes what is published, and no file besides"))
            return _follow(path, signer, log)
        text = checkpoint.read(note or settings.read().snapshots / checkpoint.NAME)
        before = checkpoint.read(previous) if previous else None
        first = not before and _seen(path, text) is None
        made, trusted, cosigned = _cosign(path, signer, text, snapshot, log, before)
    except NoteError as error:
        raise Stop(Exit.NO, _("not cosigned: {error}", error=error)) from None
    sys.stdout.write(cosigned)
    sys.stdout.flush()
    _say(signer, trusted, made, chosen, first=first)
    return Exit.DONE


def _cosign(  # noqa: PLR0913, PLR0917 - what a witness goes by
    path: Path, signer: Signer, text: str, snapshot: Path | None, log: str | None, before: str | None = None
) -> tuple[Checkpoint, Verifier, str]:
    """Cosign a checkpoint that continues what was cosigned, and remember it; raises NoteError."""
    seen = _seen(path, text)
    with point.snapshot(snapshot) as con:
        leaves, stated = checkpoint.leaves(con), point.meta(con).get("log_key")
    trusted = _log_key(log, seen, stated)
    made = verified(text, trusted)
    for other in (each for each in (before, seen.note if seen else None) if each):
        check_continues(verified(other, trusted), made, leaves)
    cosigned = _cosigned(text, signer)
    _remember(path, text, Seen(str(trusted), cosigned))
    return made, trusted, cosigned


def _follow(path: Path, signer: Signer, log: str | None) -> int:
    """Cosign what is published, of all assessments that the settings name, until told to stop.

    What it cannot cosign is an alarm: it is not ready, says why, and cosigns nothing more until that is over.
    """
    stop, log_of = threading.Event(), logs.configure(settings.several()[0], "witness")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    log_of.info("witness.started", key=str(signer.verifier))
    against: dict[str, str] = {}
    with metrics.serve_metrics(["witness"]) or contextlib.nullcontext():
        while not stop.is_set():
            for known in settings.several():
                said = _look(path, signer, known, log, log_of)
                if said and said != against.get(known.assessment):
                    log_of.error("checkpoint.not_cosigned", assessment=known.assessment, error=said)
                against[known.assessment] = said or ""
            metrics.started("witness", lambda: next(filter(None, against.values()), None))
            stop.wait(LOOK_SECONDS)
    return Exit.DONE


def _look(
    path: Path, signer: Signer, known: Settings, log: str | None, log_of: structlog.typing.FilteringBoundLogger
) -> str | None:
    """Cosign the newest checkpoint of an assessment, where it is another than the last; why that cannot be."""
    newest, out = known.snapshots / checkpoint.NAME, path.with_name(f"{known.assessment}.txt")
    if not newest.exists():
        return None  # nothing is published yet
    try:
        text = checkpoint.read(newest)
        seen = _seen(path, text)
        if seen and checkpoint.body(seen.note) == checkpoint.body(text) and out.exists():
            return None
        made, __, cosigned = _cosign(path, signer, text, latest(known.snapshots), log)
        with replacing(out) as draft:
            draft.write_text(cosigned, "utf-8")
    except (NoteError, Stop, OSError) as error:
        return str(error)
    log_of.info("checkpoint.cosigned", assessment=known.assessment, events=made.size, file=str(out))
    return None


def verified(text: str, log: Verifier) -> Checkpoint:
    """The checkpoint of a note that the log has signed; raises NoteError."""
    body, __ = note.verify(text, [log])
    made = Checkpoint.parse(body)
    if made.origin != log.name:
        raise NoteError(_("the checkpoint is of {origin}, the key of {log}", origin=made.origin, log=log.name))
    return made


def check_continues(old: Checkpoint, new: Checkpoint, leaves: Leaves) -> None:
    """Raise NoteError unless the events prove that the old checkpoint's log is a beginning of the new one's."""
    if new.size > leaves.size or leaves.root(new.size) != new.root:
        raise NoteError(
            _("the snapshot's events are not those of the checkpoint of {size}; name the right one", size=new.size)
        )
    if old.size > new.size:
        raise NoteError(
            _(
                "log_truncated: a checkpoint of {size} events was cosigned, this one has {now}",
                size=old.size,
                now=new.size,
            )
        )
    proof = merkle.Tree(leaves.hashes[: new.size]).consistency(old.size)
    if not merkle.consistent(old.size, new.size, proof, old.root, new.root):
        raise NoteError(_("log_rewritten: the log does not continue the checkpoint of {size} events", size=old.size))


def _memory(path: Path, text: str) -> Path:
    """Where a witness remembers the log that a checkpoint says it is of."""
    code = Checkpoint.parse(checkpoint.body(text)).origin.rpartition("/")[2]
    if not CODE.fullmatch(code):
        raise NoteError(_("the checkpoint names no assessment, but {code}", code=repr(code)))
    return path.with_name(f"{path.name}.{code}.seen")


def _seen(path: Path, text: str) -> Seen | None:
    """What this witness cosigned last of a checkpoint's log; a memory that cannot be read is not passed over."""
    file = _memory(path, text)
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=Seen)
    except (OSError, msgspec.DecodeError) as error:
        raise NoteError(_("{file}: what was cosigned last cannot be read: {error}", file=file, error=error)) from None


def _remember(path: Path, text: str, seen: Seen) -> None:
    with replacing(_memory(path, text)) as draft:
        draft.write_bytes(msgspec.json.encode(seen))


def _signer(path: Path, name: str | None) -> Signer:
    """The witness's key, made under its name at first use."""
    if not path.exists():
        if name is None:
            raise Stop(
                Exit.USE, _("{path}: there is no key yet; give the witness's name with --name to make it", path=path)
            )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Signer.generate(path, name, note.COSIGNATURE)
    signer = Signer.load(path)
    if signer.kind != note.COSIGNATURE or name not in (None, signer.name):
        raise NoteError(
            _(
                "key file {path}: it is the key of {signer}, type {kind}; expected {name}, type 4",
                path=path,
                signer=signer.name,
                kind=signer.kind,
                name=name,
            )
        )
    return signer


def _log_key(log: str | None, seen: Seen | None, stated: str | None) -> Verifier:
    """The log's key: the one given, else the one seen first, else the snapshot's own; a changed one is refused."""
    text = log or (seen.log if seen else None) or stated
    if text is None:
        raise NoteError(_("no key of the log is known: give it with --log"))
    if seen and text != seen.log:
        raise NoteError(
            _(
                "the log's key was {log}, now {text}; ask the publisher why, then start with a new key",
                log=seen.log,
                text=text,
            )
        )
    return Verifier.parse(text)


def _cosigned(text: str, signer: Signer) -> str:
    """The note with this witness's cosignature, once."""
    if any(line[0] == signer.name and line[1][:4] == signer.verifier.id for line in note.split(text)[1]):
        note.verify(text, [signer.verifier])
        return text
    return note.cosign(text, signer, int(time.time()))


def _say(signer: Signer, log: Verifier, made: Checkpoint, lang: Language, *, first: bool) -> None:
    """What was cosigned, and the key to give to those who check it."""
    said = (
        _("cosigned {size} events; the first, with nothing earlier to compare\nwitness key {witness}\nlog key {log}")
        if first
        else _("cosigned {size} events\nwitness key {witness}\nlog key {log}")
    )
    print(said.of(size=made.size, witness=signer.verifier, log=log).say(lang), file=sys.stderr)
