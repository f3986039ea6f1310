// Follows a channel with the npm package `eventsource` until COUNT events have come; prints one JSON line for each
// thing that happens. Reconnects as the package does by itself, with the last event id that it remembers.
//
// usage: node eventsource.mjs URL COUNT        (HALLEY_TEST_CLIENTS names the folder with node_modules)
import { createRequire } from "node:module";

const require = createRequire(`${process.env.HALLEY_TEST_CLIENTS}/`);
const { EventSource } = require("eventsource");
const [url, count] = process.argv.slice(2);

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
let left = Number(count);
const source = new EventSource(url);

function take(kind, message) {
  say({ kind, id: message.lastEventId, data: JSON.parse(message.data) });
  left -= 1;
  if (left === 0) {
    source.close();
    process.exit(0);
  }
}

source.onopen = () => say({ kind: "open" });
source.onerror = () => {
  say({ kind: source.readyState === EventSource.CLOSED ? "closed" : "reconnecting" });
  if (source.readyState === EventSource.CLOSED) process.exit(1);
};
source.onmessage = (message) => take("message", message);
source.addEventListener("tick", (message) => take("tick", message));
source.addEventListener("cursor", (message) => say({ kind: "cursor", id: message.lastEventId }));
source.addEventListener("gap", (message) => {
  say({ kind: "gap", data: JSON.parse(message.data) });
  process.exit(1);
});
