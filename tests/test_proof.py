"""Proof: the Merkle tree, the signed note and checkpoint, and the verifier that anyone can run."""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.audit import bundle, standalone
from services.proof import merkle, note

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
CHECKPOINT = note.Checkpoint(
    "example.org/wuxing", 8, bytes.fromhex(ROOTS[8]), b"\7" * 32, b"\6" * 32, "0" * 64, "f" * 64, "a" * 64, "1.0"
)


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
        ("roster ", "rooster "),
        ("version 1.0\n", ""),
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


# -- The verifier that goes with a bundle, as files; what it says of bundles is test_verify's


def test_the_verifier_s_files_are_short_and_import_only_python_and_each_other():
    own = {Path(name).stem for name in bundle.VERIFIER}
    for name, module in bundle.VERIFIER.items():
        lines = Path(str(module.__file__)).read_text(encoding="utf-8").splitlines()
        words = [line.split()[1].lstrip(".").partition(".")[0] for line in map(str.strip, lines)
                 if line.startswith(("import ", "from "))]  # fmt: skip
        assert {*words} - {"__future__"} <= own | {*sys.stdlib_module_names}, name
        assert len(lines) < 500, name


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"version": "wuxing-bundle-3"}', "\udcff", "[" * 100_000])
def test_what_is_no_bundle_exits_2_without_a_traceback(text, tmp_path):
    (tmp_path / "bundle.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    for name, module in bundle.VERIFIER.items():
        shutil.copyfile(str(module.__file__), tmp_path / name)
    command = [sys.executable, "-I", "verify.py", "bundle.json", "--lang", "en"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith("cannot be read: ")


@settings(untimed, max_examples=30)
@given(st.binary(max_size=200), st.integers(0, 511))
def test_the_verifier_s_ed25519_agrees_with_the_library(message, bit):
    public, signature = PRIVATE.public_key().public_bytes_raw(), PRIVATE.sign(message)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert standalone.Ed25519().signed(public, message, signature)
    assert not standalone.Ed25519().signed(public, message, bytes(flipped))
    assert not standalone.Ed25519().signed(public, message + b"x", signature)
