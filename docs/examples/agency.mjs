// Sends one event to a wuxing site and waits for its receipt. Needs Node 18 or newer, and: npm install nats@2
//
// node agency.mjs EVENT.json    with NATS_URL, WUXING_ASSESSMENT, WUXING_PARTY and WUXING_KEY (a file) in the environment

import { readFileSync } from "node:fs";
import { connect, ErrorCode, nkeyAuthenticator } from "nats";

const { NATS_URL, WUXING_ASSESSMENT: assessment, WUXING_PARTY: party, WUXING_KEY } = process.env;
const PATIENCE = 60_000; // milliseconds

const raw = readFileSync(process.argv[2]);
const event = JSON.parse(raw.toString("utf8"));
const seed = new TextEncoder().encode(readFileSync(WUXING_KEY, "utf8").trim());
const client = await connect({ servers: NATS_URL, authenticator: nkeyAuthenticator(seed) });
const js = client.jetstream({ apiPrefix: "JSC.API" }); // what a party's account calls $JS.API

/** Publish until the broker says that it is stored. The same bytes may be sent again and again: they count once. */
async function publish() {
  const subject = `intake.${assessment}.${party}.${event.type.replaceAll(".", "-")}.${event.subject}`;
  for (const until = Date.now() + PATIENCE; ; ) {
    try {
      const answer = await js.publish(subject, raw);
      if (!answer.duplicate) return answer.seq; // else it was not stored: another party's Nats-Msg-Id; none is sent here
    } catch (error) {
      const silent = error.code === ErrorCode.Timeout || error.code === ErrorCode.NoResponders;
      if (!silent || Date.now() > until) throw error;
    }
  }
}

/** The next receipt of this event. Receipts wait in the party's durable, 90 days, also for who was not connected. */
async function receiptOf() {
  const waiting = await js.consumers.get(`RECEIPT-${assessment}`, party);
  for (const until = Date.now() + PATIENCE; Date.now() < until; ) {
    for await (const message of await waiting.fetch({ max_messages: 100, expires: 5_000 })) {
      const receipt = message.json();
      await message.ackAck();
      if (receipt.source === event.source && receipt.id === event.id) return receipt;
    }
  }
  throw new Error(`no receipt within ${PATIENCE} ms: is the site's ingest running? The event is stored all the same.`);
}

try {
  console.log(`stored: intake sequence ${await publish()}`);
  const receipt = await receiptOf();
  console.log(JSON.stringify(receipt));
  process.exitCode = receipt.outcome === "refused" ? 1 : 0;
} finally {
  await client.close();
}
