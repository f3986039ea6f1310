// Node's own fetch against every plain endpoint: publishes, polls with ETag and 304, reads history and a stream.
// Exits with 1 and a sentence at the first surprise.
//
// usage: node fetch.mjs BASE
import assert from "node:assert/strict";

const base = process.argv[2];

async function publish(channel, body, headers = {}) {
  const answer = await fetch(`${base}/v1/publish${channel}`, { method: "POST", body, headers });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

// A place to start from.
const opening = await (await fetch(`${base}/v1/poll/fetch/a?wait=0`)).json();
assert.deepEqual(opening.events, []);

const first = await publish("/fetch/a", JSON.stringify({ n: 1 }), {
  "Content-Type": "application/json", "Halley-Event-Type": "tick", "Halley-Event-Id": "mine", "Halley-Header-Who": "me",
});
assert.deepEqual([first.channel, first.offset, first.duplicate], ["/fetch/a", 1, false]);
const text = { "Content-Type": "text/plain", "Idempotency-Key": "\"once\"" };
const second = await publish("/fetch/a", "héllo", text);
const again = await publish("/fetch/a", "héllo", text);
assert.deepEqual([again.offset, again.cursor, again.duplicate], [second.offset, second.cursor, true]);
await publish("/fetch/a", new Uint8Array([0, 255]), { "Content-Type": "application/octet-stream" });
const batch = await fetch(`${base}/v1/publish`, {
  method: "POST", headers: { "Content-Type": "application/json" },
  body: JSON.stringify([{ channel: "/fetch/a", data: 4 }, { channel: "no-slash", data: 5 }]),
});
assert.equal(batch.status, 200);
const [fourth, refused] = await batch.json();
assert.equal(fourth.offset, 4);
assert.equal(refused.error.code, "channel_invalid");

// Poll: everything since the opening cursor, then 304 with the same tag.
const poll = await fetch(`${base}/v1/poll/fetch/a?since=${opening.cursor}&wait=10`);
const { cursor, events } = await poll.json();
assert.equal(poll.headers.get("etag"), `"${cursor}"`);
assert.equal(poll.headers.get("cache-control"), "no-store");
assert.deepEqual(events.map((event) => event.offset), [1, 2, 3, 4]);
assert.deepEqual(
  [events[0].type, events[0].id, events[0].headers, events[0].data], ["tick", "mine", { who: "me" }, { n: 1 }]);
assert.deepEqual([events[1].data, events[1].content_type], ["héllo", "text/plain"]);
assert.deepEqual(events[2].data, { base64: "AP8=" });
const unchanged = await fetch(`${base}/v1/poll/fetch/a?wait=0`, {
  headers: { "If-None-Match": `W/"${cursor}"` }, cache: "no-store",
});
assert.equal(unchanged.status, 304);
assert.equal(unchanged.headers.get("etag"), `"${cursor}"`);
const data = await (await fetch(`${base}/v1/poll/fetch/a?since=last:1&format=data`)).json();
assert.deepEqual(data, [4]);

const history = await (await fetch(`${base}/v1/history/fetch/a?limit=2&consistency=linearizable`)).json();
assert.deepEqual(history.events.map((event) => event.offset), [1, 2]);

// A stream, read by hand.
const abort = new AbortController();
const stream = await fetch(`${base}/v1/sse/fetch/a?since=last:1`, { signal: abort.signal });
assert.equal(stream.headers.get("content-type"), "text/event-stream");
let said = "";
for await (const chunk of stream.body.pipeThrough(new TextDecoderStream())) {
  said += chunk;
  if (said.includes("\"offset\":4")) break;
}
assert.match(said, /^retry: ?\d+$/m);
assert.match(said, /^event: ?cursor$/m);
abort.abort();

const deleted = await fetch(`${base}/v1/channels/fetch/a`, { method: "DELETE" });
assert.equal(deleted.status, 204);
const problem = await fetch(`${base}/v1/poll/fetch/a?limit=0`);
assert.equal(problem.status, 400);
assert.equal(problem.headers.get("content-type"), "application/problem+json");
assert.equal((await problem.json()).type, "urn:halley:error:parameter_invalid");
process.stdout.write("fetch: all as documented\n");
