"""The key that signs receipts: an offices' proof, in any dispute, of what it sent and of what became of it."""

import base64
from pathlib import Path

import msgspec
import nkeys

from infra.rights import RECEIPT, key_file, public_keys
from schemas.receipts import Receipt
from services.ingest.signatures import canonical
from services.process.settings import Settings

#: The public half, as a public nkey, beside the log's among the published snapshots.
PUBLISHED = "receipt.pub"


class ReceiptKey:
    """Signs receipts, each over its RFC 8785 form without the signature (docs/spec/wire.md, "Proof")."""

    def __init__(self, settings: Settings) -> None:
        (settings.data / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
        self.public = public_keys(settings.data, (RECEIPT,))[RECEIPT]
        self._pair = nkeys.from_seed(bytearray(key_file(settings.data, RECEIPT).read_bytes().strip()))

    def publish(self, folder: Path) -> None:
        """Put the public half where everybody finds it who checks a receipt."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PUBLISHED).write_text(f"{self.public}\n", encoding="ascii")

    def sign(self, receipt: Receipt) -> bytes:
        """The receipt as it is sent, signed."""
        said = msgspec.to_builtins(receipt)
        del said["signature"]
        made = base64.b64encode(self._pair.sign(canonical(said))).decode()
        return msgspec.json.encode(said | {"signature": made})
