"""Sends one event to a wuxing site and waits for its receipt. Needs nats-py with nkeys: pip install "nats-py[nkeys]".

python agency.py EVENT.json    with NATS_URL, WUXING_ASSESSMENT, WUXING_PARTY and WUXING_KEY (a file) in the environment
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import nats
from nats.errors import TimeoutError as NobodyAnswers

ASSESSMENT, PARTY = os.environ["WUXING_ASSESSMENT"], os.environ["WUXING_PARTY"]
API = "JSC.API"  # what a party's account calls $JS.API
PATIENCE = 60  # seconds


async def main(raw: bytes) -> int:
    """Send the event, print its receipt; 1 where it was refused."""
    event = json.loads(raw)
    client = await nats.connect(os.environ["NATS_URL"], nkeys_seed=os.environ["WUXING_KEY"])
    js = client.jetstream(prefix=API)
    try:
        stored = await publish(js, event, raw)
        print(f"stored: intake sequence {stored}")
        receipt = await receipt_of(js, event)
    finally:
        await client.close()
    print(json.dumps(receipt, ensure_ascii=False))
    return 0 if receipt["outcome"] != "refused" else 1


async def publish(js: nats.js.JetStreamContext, event: dict, raw: bytes) -> int:
    """Publish until the broker says that it is stored. The same bytes may be sent again and again: they count once."""
    subject = f"intake.{ASSESSMENT}.{PARTY}.{event['type'].replace('.', '-')}.{event['subject']}"
    until = time.monotonic() + PATIENCE
    while True:
        try:
            answer = await js.publish(subject, raw)
        except NobodyAnswers:
            if time.monotonic() > until:
                raise
            continue
        if not answer.duplicate:  # else it was not stored: another party's Nats-Msg-Id; none is sent here
            return answer.seq


async def receipt_of(js: nats.js.JetStreamContext, event: dict) -> dict:
    """The next receipt of this event. Receipts wait in the party's durable, 90 days, also for who was not connected."""
    waiting = await js.pull_subscribe_bind(consumer=PARTY, stream=f"RECEIPT-{ASSESSMENT}")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            batch = await waiting.fetch(100, timeout=5)
        except NobodyAnswers:
            continue
        for message in batch:
            receipt = json.loads(message.data)
            await message.ack_sync()
            if (receipt["source"], receipt["id"]) == (event["source"], event["id"]):
                return receipt
    raise SystemExit(f"no receipt within {PATIENCE} s: is the site's ingest running? The event is stored all the same.")


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]).read_bytes())))
