"""Proof: the Merkle tree, the signed checkpoint, and the bundle that anyone can verify."""

import base64
import copy
import csv
import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import rulebook
from services.audit import checkpoint, merkle, note, verifier
from tests import oracle
from tests.nasty import years
from tests.oracle import digest_of

# The reference inputs and roots of certificate-transparency (merkle/testonly/reference.go and merkle_tree_test.cc).
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = [  # leaf from 0, tree size, proof
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
EARLIER = [  # first size, second size, proof
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
LEAVES = [merkle.leaf_hash(bytes.fromhex(text)) for text in INPUTS]

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
leaves = st.integers(1, 70).map(lambda n: [merkle.leaf_hash(b"%d" % i) for i in range(n)])


def unhex(nodes):
    return [bytes.fromhex(node) for node in nodes]


@pytest.mark.parametrize("size", range(9))
def test_the_root_of_every_size_is_the_reference_root(size):
    frontier = merkle.Frontier()
    for leaf in LEAVES[:size]:
        frontier.append(leaf)
    found = [merkle.root(LEAVES[:size]), merkle.Tree(LEAVES[:size]).root, frontier.root()]
    assert [node.hex() for node in found] == [ROOTS[size]] * 3


@pytest.mark.parametrize(("index", "size", "proof"), PATHS)
def test_inclusion_proofs_are_the_reference_proofs(index, size, proof):
    assert merkle.Tree(LEAVES[:size]).inclusion(index) == unhex(proof)
    assert merkle.included(LEAVES[index], index, size, unhex(proof), bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("first", "second", "proof"), EARLIER)
def test_consistency_proofs_are_the_reference_proofs(first, second, proof):
    assert merkle.Tree(LEAVES[:second]).consistency(first) == unhex(proof)
    old, new = bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second])
    assert merkle.consistent(first, second, unhex(proof), old, new)


def test_a_leaf_is_never_a_node():
    left, right = LEAVES[:2]
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right) == sha256(b"\1" + left + right).digest()


@untimed
@given(leaves)
def test_every_inclusion_proof_verifies_and_no_other_leaf_does(hashes):
    tree, size = merkle.Tree(hashes), len(hashes)
    for index, leaf in enumerate(hashes):
        proof = tree.inclusion(index)
        assert merkle.included(leaf, index, size, proof, tree.root)
        other = hashes[(index + 1) % size]
        assert size == 1 or not merkle.included(other, index, size, proof, tree.root)
        assert size == 1 or not merkle.included(leaf, (index + 1) % size, size, proof, tree.root)
        assert not merkle.included(leaf, index, size, [*proof, leaf], tree.root)
        assert not merkle.included(leaf, index, size, proof, merkle.leaf_hash(tree.root))
        assert not proof or not merkle.included(leaf, index, size, proof[:-1], tree.root)


@untimed
@given(leaves)
def test_consistency_holds_between_all_sizes_and_a_wrong_root_never_verifies(hashes):
    size, tree = len(hashes), merkle.Tree(hashes)
    for first in range(size + 1):
        proof, old = tree.consistency(first), merkle.root(hashes[:first])
        wrong = merkle.leaf_hash(old)
        assert merkle.consistent(first, size, proof, old, tree.root)
        assert not merkle.consistent(first, size, proof, wrong, tree.root)
        assert first == 0 or not merkle.consistent(first, size, proof, old, wrong)
        assert not merkle.consistent(first, size, [*proof, old], old, tree.root)
        assert not merkle.consistent(size + 1, size, proof, old, tree.root)


@untimed
@given(leaves)
def test_the_frontier_has_the_root_of_every_size_and_one_peak_a_one_bit(hashes):
    frontier = merkle.Frontier()
    for size, leaf in enumerate(hashes, 1):
        frontier.append(leaf)
        assert (frontier.size, frontier.root()) == (size, merkle.root(hashes[:size]))
        assert len(frontier.peaks) == size.bit_count()


def test_proofs_outside_the_tree_are_refused():
    tree = merkle.Tree(LEAVES)
    for index in (-1, 8):
        with pytest.raises(IndexError):
            tree.inclusion(index)
    with pytest.raises(IndexError):
        tree.consistency(9)


# The example of the format's first implementation (golang.org/x/mod/sumdb/note).
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
EXAMPLE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
CHECKPOINT = note.Checkpoint("example.org/wuxing", 8, bytes.fromhex(ROOTS[8]), b"\7" * 32, "0" * 64, "f" * 64)


@pytest.fixture
def signer(tmp_path):
    return note.Signer.generate(tmp_path / "log.key", "example.org/wuxing")


@pytest.fixture
def witness(tmp_path):
    return note.Signer.generate(tmp_path / "witness.key", "U042.example.org", note.COSIGNATURE)


def test_the_note_of_the_format_s_first_implementation_verifies():
    verifier = note.Verifier.parse(PETER)
    text, [signature] = note.verify(EXAMPLE, [verifier])
    assert (signature.verifier, signature.time, text) == (verifier, None, EXAMPLE.partition("\n\n")[0] + "\n")
    assert str(verifier) == PETER
    with pytest.raises(note.NoteError, match="does not fit"):
        note.verify(EXAMPLE.replace("answer", "answar"), [verifier])


def test_a_key_file_is_its_owner_s_alone_and_never_overwritten(tmp_path, signer):
    path = tmp_path / "log.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert note.Signer.load(path).verifier == signer.verifier
    with pytest.raises(note.NoteError, match="never overwritten"):
        note.Signer.generate(path, "example.org/wuxing")
    path.chmod(0o644)
    with pytest.raises(note.NoteError, match="expected 0600"):
        note.Signer.load(path)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\u2003b", "a\nb"])
def test_key_names_with_spaces_or_plus_are_refused(tmp_path, name):
    with pytest.raises(note.NoteError, match="key name"):
        note.Signer.generate(tmp_path / "key", name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER.replace("+AR", "+BR"),
        PETER.replace("+c74f20a3", "+c74f20a"),
        PETER[:-4],
        PETER.replace("q/L", "*/L"),
        PETER.replace("Peter", "peter"),
    ],
)
def test_a_verifier_key_that_is_not_one_is_refused(text):
    with pytest.raises(note.NoteError):
        note.Verifier.parse(text)


def test_a_checkpoint_is_signed_and_read_back(signer):
    signed = note.sign(CHECKPOINT.text(), signer)
    text, [signature] = note.verify(signed, [signer.verifier])
    assert note.Checkpoint.parse(text) == CHECKPOINT
    assert text.split("\n")[:3] == ["example.org/wuxing", "8", "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="]
    assert signature == note.Signature(signer.verifier, None)


def test_witnesses_cosign_with_their_time_and_strangers_are_passed_over(signer, witness):
    signed = note.cosign(note.sign(CHECKPOINT.text(), signer), witness, 1_388_500_000)
    _, found = note.verify(signed, [signer.verifier, witness.verifier])
    assert [one.time for one in found] == [None, 1_388_500_000]
    assert [one.verifier for one in note.verify(signed, [witness.verifier])[1]] == [witness.verifier]
    with pytest.raises(note.NoteError, match="none of the known keys"):
        note.verify(signed, [note.Verifier.parse(PETER)])
    with pytest.raises(note.NoteError, match="witness's key"):
        note.cosign(signed, signer, 0)


def test_a_known_key_s_wrong_signature_spoils_the_note(signer, witness):
    signed = note.cosign(note.sign(CHECKPOINT.text(), signer), witness, 7)
    with pytest.raises(note.NoteError, match="does not fit"):
        note.verify(signed.replace("wuxing\n8\n", "wuxing\n9\n"), [witness.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "text\n\n",
        "text\n\n- name AAAA\n",
        "text\n\n\u2014 name AAAA",
        "text\n\n\u2014 name *\n",
        "a\tb\n\n\u2014 n AA==\n",
    ],
)
def test_what_is_not_a_signed_note_is_refused(text, signer):
    with pytest.raises(note.NoteError):
        note.verify(text, [signer.verifier])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n8\n", "\n08\n"),
        ("\n8\n", "\n-8\n"),
        ("XcnaeacG", "XcnaeacGAAAA"),
        ("units ", "unit "),
        ("results 0", "results 0a"),
        ("rulebook f", "rulebook F"),
        ("units ", "\nunits "),
        ("results", "units"),
        ("example.org/wuxing\n8\n", ""),
    ],
)
def test_what_is_not_a_checkpoint_is_refused(old, new):
    with pytest.raises(note.NoteError):
        note.Checkpoint.parse(CHECKPOINT.text().replace(old, new, 1))


def test_the_units_commit_to_count_and_order_also_without_events():
    found = note.unit_commitments([("U2", LEAVES[0]), ("U1", LEAVES[1]), ("U2", LEAVES[2])], ["U3", "assessment"])
    assert [(one.unit, one.count) for one in found.sorted] == [("U1", 1), ("U2", 2), ("U3", 0), ("assessment", 0)]
    for unit in ("U1", "U2", "U3", "assessment"):
        one, at, proof = found.of(unit)
        assert merkle.included(one.leaf(), at, 4, proof, found.root)
    assert found.of("U2")[0].digest == sha256(LEAVES[0] + LEAVES[2]).hexdigest()


# -- A bundle made by hand over the worked example, and what the verifier says of it

EXAMPLE_DIR = Path(__file__).parent / "regulation" / "worked-example"
LINES = (EXAMPLE_DIR / "events.jsonl").read_bytes().splitlines()
ROSTER = {row["unit"]: row for row in csv.DictReader((EXAMPLE_DIR / "roster.csv").open(encoding="utf-8"))}
BOOK = rulebook.plain(rulebook.load(rulebook.SHIPPED / "rulebook.toml"))
READINGS = {each["name"]: each["values"][0] for each in BOOK["reading"]}
POINTS = {
    "1.1": "1.000000",
    "1.2": "4.000000",
    "1.3": "17.950000",
    "1.4": "4.500000",
    "1.5": "3.000000",
    "2.1": "4.300000",
    "2.2": "4.500000",
    "2.3": "4.320000",
    "2.4": "4.000000",
    "3.1": "8.600000",
    "3.2": "4.400000",
    "3.3": "4.700000",
    "4.1": "17.500000",
    "5.1": "18.200000",
    "Y.1": "109.500000",
}
STATED = {
    "items": {code: {"points": points, "state": "scored"} for code, points in POINTS.items()},
    "daily": "100.970000",
    "year_end": "109.500000",
    "final": "10.35290000",
}


def digest(value):
    return sha256(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def event(kind, subject, source, name, /, **data):
    body = {"specversion": "1.0", "id": name, "source": source, "type": f"{kind}.v1", "subject": subject}
    return json.dumps({**body, "time": "2013-05-06T09:30:00+08:00", "data": data}, ensure_ascii=False).encode()


class Publisher:
    """A log with its key: makes checkpoints at any size, and the bundle of one unit."""

    def __init__(self, key, raws, *, roster=ROSTER, sequences=None, results=None, readings=READINGS, book=BOOK):
        self.key, self.raws, self.roster, self.results, self.readings = key, list(raws), roster, results, readings
        self.sequences, self.book = sequences or range(1, len(self.raws) + 1), book
        self.leaves = [merkle.leaf_hash(raw) for raw in self.raws]
        self.bodies = [json.loads(raw, parse_int=str) for raw in self.raws]
        self.subjects = [body["subject"] for body in self.bodies]
        self.units = note.unit_commitments(zip(self.subjects, self.leaves, strict=True), [*roster, "assessment"])
        self.tree = merkle.Tree(self.leaves)

    def checkpoint(self, size=None):
        n = len(self.raws) if size is None else size
        top = merkle.root(self.leaves[:n])
        digests = digest_of(self.results) if self.results else "0" * 64, digest(self.book)
        return note.sign(note.Checkpoint("example.org/wuxing", n, top, self.units.root, *digests).text(), self.key)

    def entry(self, at):
        raw, proof = base64.b64encode(self.raws[at]).decode(), [node.hex() for node in self.tree.inclusion(at)]
        return {"sequence": self.sequences[at], "index": at, "raw": raw, "proof": proof}

    def entries(self, code):
        return [self.entry(at) for at, subject in enumerate(self.subjects) if subject == code]

    def held(self, unit):
        """Events of other units that first held what an event of this list repeats."""
        first = {}
        for at, body in enumerate(self.bodies):
            first.setdefault((body["source"], body["id"]), at)
        listed = [body for body in self.bodies if body["subject"] in (unit, "assessment")]
        holders = {first[body["source"], body["id"]] for body in listed}
        return [self.entry(at) for at in sorted(holders) if self.subjects[at] not in (unit, "assessment")]

    def commitment(self, code):
        one, at, proof = self.units.of(code)
        return {"count": one.count, "hash": one.digest, "index": at, "proof": [node.hex() for node in proof]}

    def values(self, item):
        rated = [body for body in self.bodies if body["type"] == "rating.recorded.v1" and body["data"]["item"] == item]
        return self.rows({body["subject"]: body["data"]["value"] for body in rated})

    def rows(self, values):
        return [{**self.row(unit), "value": value} for unit, value in sorted(values.items())]

    def row(self, unit):
        return {key: self.roster[unit][key] for key in ("unit", "category", "group")}

    def bundle(self, unit="U042", stated=STATED, **changes):
        parts = {"unit": self.commitment(unit), "assessment": self.commitment("assessment")}
        return {
            "version": "wuxing-bundle-1",
            "checkpoint": self.checkpoint(),
            "keys": [str(self.key.verifier)],
            "consistency": [],
            "size": self.tree.size,
            "unit": unit,
            "roster": self.row(unit),
            "events": self.entries(unit),
            "year_events": self.entries("assessment"),
            "held": self.held(unit),
            "void_sequences": [],
            "commitments": {"units": len(self.units.sorted), **parts},
            "rulebook": self.book,
            "readings": self.readings,
            "cross_unit": {code: self.values(code) for code in ("1.5", "5.1")} if "cross_unit" not in changes else {},
            "results": self.results,
            "stated": copy.deepcopy(stated),
            **changes,
        }


@pytest.fixture
def publisher(signer):
    return Publisher(signer, LINES)


def found(bundle, keys=(), older=()):
    """The name of the first failure with what it names, or None when all holds."""
    try:
        list(verifier.Unit(json.loads(json.dumps(bundle)), list(keys), list(older)).check())
    except verifier.Failed as failed:
        return failed.args
    return None


def run(tmp_path, bundle, *options):
    """Run a copy of the file alone, as a stranger does: no packages, no environment."""
    (tmp_path / "bundle.json").write_text(json.dumps(bundle), encoding="utf-8")
    (tmp_path / "verify.py").write_bytes(Path(verifier.__file__).read_bytes())
    command = [sys.executable, "-I", "-S", "verify.py", "bundle.json", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_worked_example_s_unit_verifies_to_its_final(publisher, tmp_path):
    code, said = run(tmp_path, publisher.bundle(), "--lang", "en")
    assert (code, said.splitlines()[-1]) == (0, "ok   points: final comes to 10.35290000")
    assert "ok   points: 5.1 comes to 18.200000 scored" in said
    assert "note word?: cross_unit 5.1 (105): the publisher's word, not proved" in said
    code, said = run(tmp_path, publisher.bundle())
    assert (code, "通过 points: final 得 10.35290000" in said) == (0, True)


def test_the_verifier_is_one_short_file_that_imports_only_python():
    lines = Path(verifier.__file__).read_text(encoding="utf-8").splitlines()
    imports = {line.split()[1].partition(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert len(lines) < 500
    assert imports - {"__future__"} <= set(sys.stdlib_module_names)


def test_one_changed_byte_is_named(publisher):
    bundle = publisher.bundle()
    raw = base64.b64decode(bundle["events"][4]["raw"]).replace(b'"0.80"', b'"0.70"')
    bundle["events"][4]["raw"] = base64.b64encode(raw).decode()
    assert found(bundle) == ("event_changed", 5)


def test_an_event_left_out_is_named(publisher):
    bundle = publisher.bundle()
    del bundle["events"][2]
    assert found(bundle) == ("event_left_out", "U042", 35, 34, "?")
    bundle = publisher.bundle()
    del bundle["year_events"][-1]
    assert found(bundle) == ("event_left_out", "assessment", 18, 17, "?")


def test_two_swapped_events_are_named_however_they_are_swapped(publisher):
    bundle = publisher.bundle()
    events = bundle["events"]
    events[0], events[1] = events[1], events[0]
    assert found(bundle) == ("events_swapped", 2, 1)
    for keys in (["raw"], ["raw", "proof"], ["raw", "proof", "index"]):
        bundle = publisher.bundle()
        a, b = bundle["events"][:2]
        for key in keys:
            a[key], b[key] = b[key], a[key]
        assert found(bundle)[0] == "events_swapped"


def test_a_truncated_log_is_named(publisher, signer, tmp_path):
    whole, short = publisher.checkpoint(), Publisher(signer, LINES[:255])
    assert found(publisher.bundle(size=260)) == ("log_truncated", 261, 260)
    assert found(publisher.bundle(size=300)) == ("log_truncated", 300, 261)
    for cut in (short.checkpoint(), publisher.checkpoint(255)):
        assert found(publisher.bundle(checkpoint=cut, size=255)) == ("log_truncated", 261, 255)
    assert found(short.bundle(), older=[whole]) == ("log_truncated", 261, 255)
    (tmp_path / "held").write_text(whole, encoding="utf-8")
    code, said = run(tmp_path, short.bundle(), "--checkpoint", "held", "--lang", "en")
    assert (code, said.splitlines()[-1]) == (1, "FAIL log_truncated: there are to be 261 events, here it ends at 255")


def test_a_log_that_was_rewritten_is_named_and_one_that_grew_holds(publisher, signer):
    early = Publisher(signer, LINES[:200]).checkpoint()
    other = Publisher(signer, [LINES[1], LINES[0], *LINES[2:200]]).checkpoint()
    proof = [node.hex() for node in merkle.Tree(publisher.leaves).consistency(200)]
    grown = publisher.bundle(consistency=[{"checkpoint": early, "proof": proof}])
    assert found(grown) is None
    assert found(grown, older=[early, publisher.checkpoint()]) is None
    assert found(grown, older=[other]) == ("log_rewritten", 200)
    assert found(publisher.bundle(), older=[early]) == ("consistency", 200)
    assert found(publisher.bundle(consistency=[{"checkpoint": other, "proof": proof}])) == ("log_rewritten", 200)


@pytest.mark.parametrize("code", POINTS)
def test_a_forged_item_is_named(publisher, code):
    for key, value in (("points", "5.000001"), ("points", None), ("state", "pending")):
        bundle = publisher.bundle()
        bundle["stated"]["items"][code][key] = value
        assert found(bundle)[:2] == ("result_forged", code)


@pytest.mark.parametrize("total", ["daily", "year_end", "final"])
def test_a_forged_total_is_named(publisher, total):
    bundle = publisher.bundle()
    bundle["stated"][total] = "12.00000000"
    assert found(bundle) == ("result_forged", total, "12.00000000", STATED[total])


def scored(data, roster):
    """A publisher of what the oracle accepts of a file, with the oracle's results; and the bundles' other parts."""
    lines = oracle.split_lines(data)
    book = oracle.read_book(lines, oracle.Book(oracle.Ledger([dict(row) for row in roster]), "a", "r", [], 0), set())
    results = oracle.score(data, roster=roster)
    conflicts = [row["line"] for row in book.refused if row["reason"] == "conflict"]
    sequences = sorted([*(each.seq for each in book.ledger.events), *conflicts])
    key = note.Signer("example.org/wuxing", note.ED25519, PRIVATE)
    raws, units = [lines[n - 1] for n in sequences], {row["unit"]: row for row in roster}
    publisher = Publisher(key, raws, roster=units, sequences=sequences, results=results, readings=results["readings"])
    void = [each.seq for each in book.ledger.events if each.void and each.data.get("stage") == "finalised"]
    year = oracle.Year(book.ledger, {})
    compared = {code: year.ranked_values(code) for code in ("1.5", "3.1", "5.1")}
    shown = {code: {unit: oracle.show(each, 6) for unit, each in values.items()} for code, values in compared.items()}
    cross = {code: publisher.rows(values) for code, values in shown.items()}
    return publisher, {"void_sequences": void, "cross_unit": cross}


def stated_of(results, unit):
    row = next(row for row in results["units"] if row["unit"] == unit)
    return {key: row[key] for key in ("items", "daily", "year_end", "final")}


@settings(untimed, max_examples=25)
@given(years(units=8, events=200), st.data())
def test_in_any_year_a_unit_s_bundle_comes_to_what_the_oracle_says(year, data):
    publisher, parts = scored(*year)
    for unit in data.draw(st.lists(st.sampled_from(sorted(publisher.roster)), min_size=1, max_size=3, unique=True)):
        bundle = publisher.bundle(unit, stated_of(publisher.results, unit), **parts)
        assert found(bundle) is None
        assert found({**bundle, "results": None}) is None
        if len(bundle["events"]) > 1:
            assert found({**bundle, "events": bundle["events"][:-1]})[0] == "event_left_out"


def worked():
    """The worked example with the whole results carried."""
    publisher, parts = scored((EXAMPLE_DIR / "events.jsonl").read_bytes(), list(ROSTER.values()))
    return publisher.bundle(**parts)


def test_with_the_whole_results_the_event_left_out_and_the_forged_row_are_named():
    assert found(worked()) is None
    bundle = worked()
    del bundle["events"][2]
    assert found(bundle) == ("event_left_out", "U042", 35, 34, [3])
    bundle = worked()
    bundle["results"]["units"][41]["final"] = "11.00000000"
    assert found(bundle)[:2] == ("result_forged", "digest")
    bundle = worked()
    bundle["stated"]["final"] = "11.00000000"
    assert found(bundle)[:2] == ("result_forged", "final")


@pytest.mark.parametrize("unit", ["U042", "U001", "U105"])
def test_the_values_of_other_units_are_held_against_the_signed_results(unit):
    bundle = worked()
    row = next(row for row in bundle["cross_unit"]["5.1"] if row["unit"] == unit)
    row["value"] = "99.5"
    assert found(bundle)[:2] == ("cross_unit", "5.1")
    bundle["cross_unit"]["5.1"].remove(row)
    assert found(bundle)[:2] == ("cross_unit", "5.1")


def test_what_the_checkpoint_does_not_say_is_named(publisher, signer, witness):
    bundle = publisher.bundle()
    other = {**BOOK, "name": {"zh": "x", "en": "x"}}
    assert found({**bundle, "rulebook": other}) == ("rulebook", BOOK["id"])
    geometric = {**READINGS, "step": "geometric"}
    assert found({**bundle, "readings": geometric}) == ("readings", "step", "linear", "geometric")
    assert found({**bundle, "void_sequences": [244]}) == ("void", [244])
    assert found({**bundle, "version": "1"})[0] == "version"
    stranger = publisher.bundle(checkpoint=publisher.checkpoint().replace("wuxing\n261", "wuxing\n262"))
    assert found(stranger)[0] == "signature"
    assert found(bundle, keys=[str(witness.verifier)]) == ("signature", "example.org/wuxing")
    assert found(bundle, keys=[str(signer.verifier)]) is None
    forged = copy.deepcopy(bundle)
    forged["commitments"]["unit"]["count"] = 34
    del forged["events"][-1]
    assert found(forged) == ("commitment", "U042")


def test_witnesses_are_listed_with_their_time(publisher, signer, witness):
    keys = [str(signer.verifier), str(witness.verifier)]
    bundle = publisher.bundle(checkpoint=note.cosign(publisher.checkpoint(), witness, 1_388_500_000), keys=keys)
    [signers] = [line[2] for line in verifier.Unit(bundle, [], []).check() if line[0] == "signed"]
    assert signers.endswith(f", {witness.name}+{witness.verifier.id.hex()} @1388500000")
    body, _, lines = bundle["checkpoint"].rpartition("\n\n")
    assert found({**bundle, "checkpoint": f"{body}\n\n{lines.replace('AAAA', 'AAAB')}"})[0] == "signature"


def test_what_assessment_opened_says_of_rulebook_and_roster_must_agree(signer):
    data = {"assessment": "a", "rulebook": BOOK, "roster": list(ROSTER.values())}
    opened = event("assessment.opened", "assessment", "/offices/chuangjian", "open", **data)
    publisher = Publisher(signer, [opened, *LINES])
    assert found(publisher.bundle()) is None
    moved = {**ROSTER["U042"], "group": "B9"}
    cross = {code: publisher.values(code) for code in ("1.5", "5.1")}
    assert found(publisher.bundle(roster=moved, cross_unit=cross)) == ("roster", "U042")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"version": "wuxing-bundle-1"}', "\udcff", "[" * 100_000])
def test_what_is_no_bundle_exits_2_without_a_traceback(text, tmp_path):
    (tmp_path / "bundle.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    command = [sys.executable, "-I", verifier.__file__, "bundle.json", "--lang", "en"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith("cannot be read: ")


@untimed
@given(st.binary(max_size=200), st.integers(0, 511))
def test_the_verifier_s_ed25519_agrees_with_the_library(message, bit):
    public, signature = PRIVATE.public_key().public_bytes_raw(), PRIVATE.sign(message)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert verifier.Ed25519().signed(public, message, signature)
    assert not verifier.Ed25519().signed(public, message, bytes(flipped))
    assert not verifier.Ed25519().signed(public, message + b"x", signature)


def test_an_event_whose_id_another_unit_s_event_holds_is_a_conflict_and_the_holder_is_proved(signer):
    def said(subject, matter):
        about = {"item": "1.1", "matter": matter, "ground": "criticised", "reason": "r"}
        return event("deduction.recorded", subject, "/offices/ducha", "same", **about)

    publisher = Publisher(signer, [said("U001", "M7"), said("U042", "M8"), *LINES])
    assert found(publisher.bundle()) is None
    assert [entry["sequence"] for entry in publisher.bundle()["held"]] == [1]
    assert found(publisher.bundle(held=[]))[:2] == ("result_forged", "1.1")
    forged = publisher.bundle()
    forged["held"][0]["raw"] = base64.b64encode(said("U001", "M9")).decode()
    assert found(forged) == ("event_changed", 1)


def test_a_number_of_any_size_in_an_extension_attribute_spoils_no_bundle(signer):
    """Python refuses to read integers of over 4,300 digits; the contract keeps unknown attributes as they are."""
    long = LINES[0].replace(b'"specversion"', b'"extra": %s, "specversion"' % (b"9" * 5001))
    assert found(Publisher(signer, [long, *LINES[1:]]).bundle()) is None


# The log's key --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_the_log_s_key_is_made_once_and_its_loss_is_named(tmp_path: Path, where: str) -> None:
    """Where something signed with it was published: in the folder of snapshots here, or on the broker."""
    made = checkpoint.log_key(tmp_path, "y", begun=False)
    path = tmp_path / "keys" / "log.key"
    assert checkpoint.log_key(tmp_path, "y", begun=True).verifier == made.verifier
    assert (path.stat().st_mode & 0o777, [one.name for one in path.parent.iterdir()]) == (0o600, ["log.key"])
    path.unlink()
    if where == "here":
        (tmp_path / "snapshots").mkdir()
        (tmp_path / "snapshots" / checkpoint.KEY_NAME).write_text(f"{made.verifier}\n")
    with pytest.raises(note.NoteError, match=r"log's key .* is missing"):
        checkpoint.log_key(tmp_path, "y", begun=where == "elsewhere")
    assert not path.exists()
    path.write_bytes(b"")  # as a power cut left it
    path.chmod(0o600)
    with pytest.raises(note.NoteError, match="PRIVATE"):
        checkpoint.log_key(tmp_path, "y", begun=False)
