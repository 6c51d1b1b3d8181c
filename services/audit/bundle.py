"""The command `bundle`: one unit's proof, with the verifier beside it, for anybody who has nothing but Python.

The unit's events with their inclusion proofs, the rulebook, the roster, what is published of all units, and the signed
checkpoint; the format is that of the standalone verifier, and no bundle is written that does not pass it.
"""

import base64
import json
import os
import sys
import zipfile
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import duckdb
from cyclopts import Parameter

from schemas.raw import read as read_raw
from schemas.subjects import ASSESSMENT
from schemas.words import Both, _, _n
from services.audit import places, recount, standalone
from services.audit.recount import Failed
from services.process.ending import Exit, Stop
from services.process.settings import language
from services.proof import checkpoint, merkle, note, shown
from services.proof.note import NoteError
from services.snapshot import point, texts
from services.snapshot.make import PUBLISHED

VERSION = "wuxing-bundle-3"
#: The files of the verifier as they lie beside a bundle.
VERIFIER = {"verify.py": standalone, "recount.py": recount, "places.py": places}
README = "README.txt"
RATING = "rating.recorded.v1"
Many = Annotated[list[str], Parameter(negative=())]
Files = Annotated[list[Path], Parameter(negative=())]


def bundle(  # noqa: PLR0913 - each is an option of the command
    unit: str,
    out: Path,
    *,
    snapshot: Path | None = None,
    checkpoint: Files = [],  # noqa: B006 - read only
    witness: Many = [],  # noqa: B006 - as above
    whole: bool = False,
    sign: Path | None = None,
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Write one unit's bundle, with the verifier and a README beside it, or all three in a .zip.

    Example: wuxing bundle U042 U042.zip

    Parameters
    ----------
    unit
        The unit's code.
    out
        OUT.json, beside which verify.py and README.txt are put, or OUT.zip.
    snapshot
        The snapshot to take it from; the one published last without it.
    checkpoint
        A checkpoint that the reader holds: the proof that the log continues it goes into the bundle; one over the same
        text brings its cosignatures. May be given more than once.
    witness
        The verifier key of a witness whose cosignature the note bears; may be given more than once.
    whole
        Name the raters too, and show others' events that hold an id first: each byte is then proved. Without it a
        rating has a number for its rater, and its words are the publisher's.
    sign
        A key file, made at first use: signs the checkpoint of a snapshot that nobody signed, as `score` writes them.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    chosen = language(lang)
    if out.suffix not in (".json", ".zip"):
        raise Stop(Exit.USE, _("{out}: expected OUT.json or OUT.zip", out=out))
    with point.snapshot(snapshot) as con:
        made = Maker(con).make(unit, whole=whole, sign=sign, older=checkpoint, witnesses=witness)
    _check(made)
    _write(made, out)
    said = _n(
        "bundle of {unit}: {n} event, {out}; README.txt says how to check it",
        "bundle of {unit}: {n} events, {out}; README.txt says how to check it",
        len(made["events"]),
        unit=unit,
        out=out,
    )
    print(said.say(chosen), file=sys.stderr)
    return Exit.DONE


class Maker:
    """Makes the bundles of one snapshot; the tree is made once. Raises Stop where a snapshot has none to give."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con, self.meta = con, point.meta(con)
        self.leaves = checkpoint.leaves(con)
        self.tree = merkle.Tree(self.leaves.hashes)
        self.roster = [unit for (unit,) in con.execute("SELECT unit FROM roster ORDER BY unit").fetchall()]
        self.units = self.leaves.units(self.roster)
        self.documents = {name: checkpoint.held(con, f"{name}_json") for name in ("rulebook", "roster")}
        self.note = checkpoint.held(con) or ""
        self.columns = shown.columns(con, list(PUBLISHED))
        self.own = shown.digests(con, self.columns, private=True)
        public = [one for one, names in self.columns.items() if "seq" not in names]
        self.public = {one: shown.rows(con, one, self.columns[one], None) for one in public}
        self._check()

    def _check(self) -> None:
        """A bundle can only say what the log says: no readings put over it, and a checkpoint to be signed."""
        if not self.note or None in self.documents.values():
            raise Stop(Exit.FAILED, _("the snapshot carries no checkpoint: make it anew with this version"))
        if options := self.con.execute("SELECT name || '=' || value FROM reading_option ORDER BY name").fetchall():
            text = ", ".join(name for (name,) in options)
            raise Stop(
                Exit.NO,
                _("the snapshot was scored with readings that nobody adopted, so no log proves it: {text}", text=text),
            )

    def make(
        self, unit: str, *, whole: bool = False, sign: Path | None = None, older: list[Path] | None = None,
        witnesses: list[str] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """The bundle of a unit as the standalone verifier's docstring defines it."""
        if not self.con.execute("SELECT 1 FROM published_unit WHERE unit = ?", [unit]).fetchall():
            raise Stop(Exit.USE, _("{unit}: no unit of this snapshot", unit=unit))
        signed, keys = self._signed(sign)
        notes = [checkpoint.read(path) for path in older or []]
        for other in notes:
            signed = checkpoint.merged(signed, other) if checkpoint.body(other) == checkpoint.body(signed) else signed
        return {
            "version": VERSION, "synthetic": self.meta.get("synthetic") == "true", "unit": unit,
            "checkpoint": signed, "size": self.tree.size,
            "keys": [*keys, *(witnesses or [])],
            "consistency": [self._step(other, path) for other, path in zip(notes, older or [], strict=True)],
            "events": self._entries("unit = ?", unit, whole=whole),
            "year_events": self._entries("unit = ?", ASSESSMENT),
            "held": self._entries(_HELD, unit, unit, whole=whole),
            "commitments": {
                "units": len(self.units.sorted), "unit": self._commitment(unit),
                ASSESSMENT: self._commitment(ASSESSMENT),
            },
            **{name: json.loads(text or "null") for name, text in self.documents.items()},
            "published": self._published(unit),
            **self._texts(unit, whole=whole),
        }  # fmt: skip

    def _texts(self, unit: str, *, whole: bool) -> dict[str, Any]:
        """The texts that stand out of line of what is shown: no rater's, unless all is."""
        if not texts.there(self.con):
            return {}
        rows = self.con.execute(
            "SELECT DISTINCT token, salt, text FROM text t"
            " JOIN event e ON t.token = e.reason OR (? AND t.token = e.rater)"
            " WHERE e.unit IN (?, ?) AND t.text IS NOT NULL ORDER BY token",
            [whole, unit, ASSESSMENT],
        ).fetchall()
        return {"texts": {name: [salt, text] for name, salt, text in rows}}

    def _signed(self, sign: Path | None) -> tuple[str, list[str]]:
        """The note with its log's key; signed here where nobody has and a key is given."""
        if "\n\n" in self.note:
            return self.note, [self.meta["log_key"]] if "log_key" in self.meta else []
        if sign is None:
            raise Stop(
                Exit.NO, _("nobody signed this snapshot's checkpoint: take a published snapshot, or --sign KEYFILE")
            )
        signer = checkpoint.key(sign, checkpoint.parsed(self.note, "checkpoint").origin)
        return note.sign(self.note, signer), [str(signer.verifier)]

    def _published(self, unit: str) -> dict[str, Any]:
        """What is published as the checkpoint commits to it: all that all may see, the unit's and the year's words."""
        words = [one for one in self.columns if one not in self.public]
        own, year = (
            {one: shown.rows(self.con, one, self.columns[one], code) for one in words} for code in (unit, ASSESSMENT)
        )
        others = {*self.roster, *self.own, *(row[0] for row in self.con.execute(_SHOWN).fetchall())} - {
            unit,
            ASSESSMENT,
        }
        private = {code: shown.joined(self.own.get(code, {}), self.columns, private=True) for code in sorted(others)}
        return {"columns": self.columns, "all": self.public, "own": own, "year": year, "private": private}

    def _entries(self, where: str, *values: str, whole: bool = True) -> list[dict[str, Any]]:
        """Events in ledger order, each with its proof that it is in the log."""
        sql = f"SELECT seq, coalesce(epoch_us(recorded_at), 0), raw, type, unit FROM event WHERE {where} ORDER BY seq"
        raters: dict[str, str] = {}
        return [
            self._entry(seq, recorded, raw, None if whole else _told(raw, kind, raters, own=unit == values[0]))
            for seq, recorded, raw, kind, unit in self.con.execute(sql, values).fetchall()
        ]

    def _entry(self, seq: int, recorded: int, raw: bytes, told: dict[str, Any] | None) -> dict[str, Any]:
        at = bisect_left(self.leaves.sequences, seq)
        proof = [one.hex() for one in self.tree.inclusion(at)]
        shown: dict[str, Any] = {"raw": base64.b64encode(raw).decode()}
        shown = shown if told is None else {"leaf": self.leaves.hashes[at].hex(), "told": told}
        return {"sequence": seq, "recorded": recorded, "index": at, "proof": proof, **shown}

    def _commitment(self, code: str) -> dict[str, Any]:
        one, at, proof = self.units.of(code)
        return {"count": one.count, "hash": one.digest, "index": at, "proof": [each.hex() for each in proof]}

    def _step(self, text: str, path: Path) -> dict[str, Any]:
        """The proof that the log continues a checkpoint that the reader holds."""
        size = checkpoint.parsed(text, path).size
        if size > self.tree.size:
            raise Stop(
                Exit.NO,
                _(
                    "{path}: a checkpoint of {size} events, the snapshot has only {held}",
                    path=path,
                    size=size,
                    held=self.tree.size,
                ),
            )
        return {"checkpoint": text, "proof": [one.hex() for one in self.tree.consistency(size)]}


#: Events of others that first hold a (source, id) which the unit's or the year's list repeats.
_HELD = f"""seq IN (
  SELECT min(seq) FROM event
  WHERE (source, id) IN (SELECT (source, id) FROM event WHERE unit IN (?, '{ASSESSMENT}'))
  GROUP BY source, id
) AND unit NOT IN (?, '{ASSESSMENT}')"""
_SHOWN = " UNION ".join(f"SELECT unit FROM {one}" for one in ("published_unit", "published_item"))


def _told(raw: bytes, kind: str, raters: dict[str, str], *, own: bool) -> dict[str, Any] | None:
    """What is told of an event that is not shown: a rating with a number for its rater, of another's id and source."""
    body = read_raw(raw)
    if not own:
        return {"source": body["source"], "id": body["id"], "type": kind, "subject": "", "data": {}}
    if kind != RATING:
        return None
    rater = raters.setdefault(f"{body['data']['item']} {body['data']['rater']}", f"R{len(raters) + 1}")
    return {key: body[key] for key in ("source", "id", "type", "subject", "time")} | {
        "data": body["data"] | {"rater": rater}
    }


def _check(made: dict[str, Any]) -> None:
    """A bundle that its own verifier would not pass is never handed out."""
    try:
        for __ in standalone.Unit(json.loads(json.dumps(made)), [], []).check():
            pass
    except Failed as failed:
        name, *values = failed.args
        chinese, english = (text.format(*values) for text in standalone.SAYS[name])
        said = _("no bundle: the snapshot does not prove it: {name}: {why}", name=name, why=Both(english, chinese))
        raise Stop(Exit.NO, said) from None


def _write(made: dict[str, Any], out: Path) -> None:
    """The bundle, the verifier and the README, in one file or in one folder; a stranger's file is not overwritten."""
    parts = {
        "bundle.json": json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode() + b"\n",
        **{name: Path(str(one.__file__)).read_bytes() for name, one in VERIFIER.items()},
        README: readme(made, "bundle.json" if out.suffix == ".zip" else out.name).encode(),
    }
    if len(parts["bundle.json"]) > standalone.MOST:
        raise Stop(
            Exit.FAILED,
            _(
                "the bundle comes to {size} bytes, more than the {most} that are read",
                size=len(parts["bundle.json"]),
                most=standalone.MOST,
            ),
        )
    try:
        if out.suffix == ".zip":
            with _replacing(out) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as packed:
                for name, data in parts.items():
                    packed.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
            return
        for name in (*VERIFIER, README):
            _check_ours(out.with_name(name), parts[name])
        for name, data in parts.items():
            with _replacing(out if name == "bundle.json" else out.with_name(name)) as draft:
                draft.write_bytes(data)
    except OSError as error:
        raise Stop(Exit.FAILED, _("{out}: cannot be written: {error}", out=out, error=error.strerror)) from None


def _check_ours(path: Path, data: bytes) -> None:
    """Refuse to overwrite a file of this name that an earlier bundle did not leave: its first line is another."""
    if path.exists() and path.read_bytes().partition(b"\n")[0] != data.partition(b"\n")[0]:
        raise Stop(
            Exit.FAILED,
            _("{path}: there is a file of this name already; write to another folder, or to a .zip", path=path),
        )


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A draft beside a file that takes its place when it is whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def readme(made: dict[str, Any], name: str) -> str:
    """How to check a bundle, in both languages."""
    try:
        log = checkpoint.parsed(made["checkpoint"], "checkpoint")
    except NoteError:  # the bundle has passed its verifier
        raise AssertionError from None
    facts = {
        "unit": made["unit"],
        "origin": log.origin,
        "size": log.size,
        "root": log.root.hex(),
        "name": name,
        "keys": "\n".join(f"    {key}" for key in made["keys"]),
        "zh": "（合成数据：单位均为虚构）" if made["synthetic"] else "",
        "en": " (synthetic data: the units are made up)" if made["synthetic"] else "",
    }
    return _README.format(**facts)


_README = """\
单位考核证据包 / The proof of one unit's assessment

{unit} · {origin} · {size} 个事件{zh}
根 {root}

怎样核对：装有 Python 3.8 以上的任何电脑，断网亦可：
    python3 -I -S verify.py {name} --key 公示的公钥
    （不带 --key 则用包内自带的公钥，须与公示的核对：）
{keys}
手中若有较早的检查点：先请打包者加 --checkpoint 该文件 重新打包（wuxing bundle），再如此核对：
    verify.py {name} --checkpoint 该文件  可证明日志只增不改。
退出码 0：全部相符；1：写明第一处不符；2：无法读取。
它证明：这些事件都在签名的日志中，齐全、有序、未改；本单位各项得分由它们按考核细则算出；各单位的名次、等次由
已签名公布的得分和数据算出。标为“注意”的各行取自发布方，未经证明；以 --whole 打包则写明评分人。
verify.py 及旁边的 recount.py、places.py 不用任何第三方程序，可先读再用。

{unit} · {origin} · {size} events{en}
How to check it, on any computer with Python 3.8 or later, without a network:
    python3 -I -S verify.py {name} --lang en --key THE-KEY-PUBLISHED
    (without --key the bundle's own key is used, which stands above; compare it with the one published)
If you hold an earlier checkpoint, have the bundle made with it (wuxing bundle … --checkpoint FILE), then add
--checkpoint FILE here too: the log may have grown since, and not changed.
Exit 0: everything holds; 1: the first thing that does not is named; 2: it cannot be read.
It proves that these events are in the signed log, all of them, in order and unchanged, that the unit's points follow
from them by the rulebook, and everybody's places and grades from the points and values that were published and signed.
Lines marked "note" are the publisher's word; a bundle made with --whole names the raters. verify.py, with recount.py
and places.py beside it, needs nothing but Python; read them before you trust them.
"""
