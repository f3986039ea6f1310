// A live stock ticker: one EventSource over a pattern, drawn once a frame. When its node is gone the page goes on with
// the next node that it was told of, from its own cursor.
// Everything shown is counted from what the events themselves say; nothing is asked from the server beside them.
"use strict";

const PATTERN = "/demo/stocks/*";
const COMPANIES = {
  GOOG: "Alphabet", AAPL: "Apple", MSFT: "Microsoft", AMZN: "Amazon",
  NVDA: "Nvidia", IBM: "IBM", ORCL: "Oracle", INTC: "Intel",
};
const POINTS = 60; // of a chart
const SAMPLES = 200; // of the medians
const READY_AFTER = 20; // quotes
const NOTICES = 50;
const RETRY_MS = 2000; // after a refusal, which an EventSource does not retry by itself, or when no node answers
const SVG = "http://www.w3.org/2000/svg";

const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;
const OWN = { name: meta("halley-node"), base: "" };
const NODES = meta("halley-nodes").split(" ").filter(Boolean).map((text) => {
  const at = text.indexOf("=");
  const name = text.slice(0, at);
  return name === OWN.name ? OWN : { name, base: `http://${text.slice(at + 1)}` };
});
if (!NODES.includes(OWN)) NODES.unshift(OWN);

const $ = (id) => document.getElementById(id);
const quotes = new Map(); // symbol -> card
const offsets = new Map(); // channel -> the last offset seen
const delays = [];
const brokerDelays = [];
const pending = []; // events since the last frame
let source = null;
let cursor = ""; // what this page has seen, in the broker's words
let openedAt = 0;
let wanted = true;
let retry = 0;
let node = OWN; // that serves this page now
let refusals = 0; // nodes in a row that did not open a stream
let moves = 0;
let shown = 0;
let missing = 0;
let repeated = 0;
let gaps = 0;
let frame = 0;
const recent = []; // moments of the last quotes, for the rate

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function svg(name, className) {
  const made = document.createElementNS(SVG, name);
  made.setAttribute("class", className);
  return made;
}

function card(symbol) {
  const known = quotes.get(symbol);
  if (known) return known;
  const root = element("li", "quote");
  const price = element("span", "price", "–");
  const change = element("span", "change", " ");
  const chart = svg("svg", "chart");
  chart.setAttribute("viewBox", "0 0 100 40");
  chart.setAttribute("preserveAspectRatio", "none");
  chart.setAttribute("role", "img");
  const area = svg("path", "area");
  const trace = svg("path", "trace");
  chart.append(area, trace);
  const meta = element("p", "meta");
  const offset = element("span", "offset", "offset –");
  const clock = element("span", "clock", "waiting");
  meta.append(offset, clock);
  root.append(element("h3", "", symbol), price, element("span", "company", COMPANIES[symbol] || ""), change, chart, meta);
  root.dataset.symbol = symbol;
  $("quotes").append(root);
  const made = { root, price, change, chart, area, trace, offset, clock, prices: [], first: null, stale: false };
  quotes.set(symbol, made);
  return made;
}

function drawChart(target, symbol) {
  const prices = target.prices;
  const low = Math.min(...prices);
  const high = Math.max(...prices);
  const span = high - low || 1;
  const step = 100 / (POINTS - 1);
  const start = 100 - (prices.length - 1) * step;
  const points = prices.map((price, index) =>
    `${(start + index * step).toFixed(2)} ${(37 - ((price - low) / span) * 34).toFixed(2)}`);
  target.trace.setAttribute("d", `M${points.join("L")}`);
  target.area.setAttribute("d", `M${points.join("L")}L100 40L${start.toFixed(2)} 40Z`);
  target.chart.setAttribute("aria-label", `${symbol}: the last ${prices.length} prices lie between ${low.toFixed(2)} and ${high.toFixed(2)}`);
}

// Every offset once and in order, or a gap that was told: this is what the page watches over.
function checkOffset(channel, offset) {
  const last = offsets.get(channel);
  if (last !== undefined && offset <= last) {
    repeated += 1;
    return false;
  }
  if (last !== undefined && offset > last + 1) missing += offset - last - 1;
  offsets.set(channel, offset);
  return true;
}

function show(event, now) {
  if (!checkOffset(event.channel, event.offset)) return;
  const quote = event.data;
  if (!quote || typeof quote.price !== "number" || typeof quote.symbol !== "string") return;
  const target = card(quote.symbol.toUpperCase());
  const before = target.prices.at(-1);
  target.prices.push(quote.price);
  if (target.prices.length > POINTS) target.prices.shift();
  target.first ??= quote.price;
  target.stale = true;
  target.event = event;
  target.tick = before === undefined || before === quote.price ? "" : quote.price > before ? "up" : "down";
  // Events from before this page opened took their time on purpose.
  if (quote.sent >= openedAt) {
    note(delays, now - quote.sent);
    note(brokerDelays, event.time - quote.sent);
  }
  recent.push(now);
  shown += 1;
}

function note(samples, value) {
  samples.push(Math.max(0, value));
  if (samples.length > SAMPLES) samples.shift();
}

function median(samples) {
  if (samples.length === 0) return "–";
  const sorted = [...samples].sort((a, b) => a - b);
  return String(Math.round(sorted[sorted.length >> 1]));
}

function drawQuote(symbol, target) {
  const { data, offset, time } = target.event;
  const moved = data.price - target.first;
  const percent = ((moved / target.first) * 100).toFixed(2);
  target.price.textContent = data.price.toFixed(2);
  target.change.textContent = moved === 0 ? "unchanged" : `${moved > 0 ? "▲ +" : "▼ "}${percent} %`;
  target.root.dataset.way = moved >= 0 ? "up" : "down";
  target.offset.textContent = `offset ${offset}`;
  target.clock.textContent = new Date(time).toLocaleTimeString();
  target.price.classList.remove("tick-up", "tick-down");
  if (target.tick) {
    void target.price.offsetWidth; // begins the animation anew
    target.price.classList.add(`tick-${target.tick}`);
  }
  drawChart(target, symbol);
  target.stale = false;
}

function draw() {
  frame = 0;
  const now = Date.now();
  for (const event of pending.splice(0)) show(event, now);
  for (const [symbol, target] of quotes) if (target.stale) drawQuote(symbol, target);
  drawFigures(now);
  if (shown >= READY_AFTER) document.body.dataset.ready = "1";
}

function drawFigures(now) {
  while (recent.length > 0 && recent[0] < now - 5000) recent.shift();
  $("delay").textContent = median(delays);
  $("broker").textContent = median(brokerDelays);
  $("shown").textContent = String(shown);
  $("rate").textContent = recent.length > 0 ? `${(recent.length / 5).toFixed(1)}/s` : "";
  figure("missing", missing);
  figure("repeated", repeated);
  $("gaps").textContent = String(gaps);
}

function figure(id, value) {
  const output = $(id);
  output.textContent = String(value);
  output.toggleAttribute("data-bad", value > 0);
}

// Hidden tabs get no frames: there a timer keeps the page's counts true.
function schedule() {
  if (frame !== 0) return;
  frame = document.hidden ? setTimeout(draw, 250) : requestAnimationFrame(draw);
}

function tell(text, kind) {
  const item = element("li");
  if (kind) item.dataset.kind = kind;
  const now = new Date();
  const time = element("time", "", now.toLocaleTimeString());
  time.dateTime = now.toISOString();
  item.append(time, element("span", "", text));
  const list = $("notices");
  list.prepend(item);
  while (list.children.length > NOTICES) list.lastChild.remove();
}

function state(name, text) {
  if ($("state").dataset.state !== name || $("state-text").textContent !== text) {
    $("state").dataset.state = name;
    $("state-text").textContent = text;
    tell(text);
  }
}

function onQuote(message) {
  cursor = message.lastEventId;
  pending.push(JSON.parse(message.data));
  schedule();
}

function onGap(message) {
  for (const event of pending.splice(0)) show(event, Date.now()); // a gap stands in its place
  cursor = message.lastEventId;
  gaps += 1;
  const { gap } = JSON.parse(message.data);
  const subject = gap.channel || gap.pattern;
  if (gap.next === undefined) {
    offsets.clear(); // what comes is a new beginning
  } else {
    offsets.set(subject, gap.next - 1);
  }
  tell(`Gap in ${subject}: ${gap.reason}${gap.next === undefined ? "" : `, goes on at offset ${gap.next}`}`, "gap");
  schedule();
}

function connect() {
  clearTimeout(retry);
  state("connecting", `Connecting to ${node.name}`);
  openedAt = Date.now();
  const query = new URLSearchParams({ channel: PATTERN });
  if (cursor) query.set("lastEventId", cursor);
  else query.set("since", "last:160");
  source = new EventSource(`${node.base}/v1/sse?${query}`);
  source.onopen = () => {
    $("node").textContent = node.name;
    state("live", "Live");
  };
  source.onerror = NODES.length > 1 ? moveOn : lost;
  // A stream may open only to say that its node has to go: it serves from its first word on.
  source.addEventListener("cursor", (message) => { cursor = message.lastEventId; refusals = 0; });
  source.addEventListener("quote", onQuote);
  source.addEventListener("message", onQuote);
  source.addEventListener("gap", onGap);
}

// Alone, its node is worth waiting for: an EventSource comes back by itself unless it was refused.
function lost() {
  if (source.readyState === EventSource.CLOSED) moveOn();
  else state("connecting", "Reconnecting");
}

// To the next node, at once; once round, after a pause.
function moveOn() {
  source.close();
  refusals += 1;
  node = NODES[(NODES.indexOf(node) + 1) % NODES.length];
  if (NODES.length > 1) moves += 1;
  $("moves").textContent = String(moves);
  state("connecting", `Connecting to ${node.name}`);
  retry = setTimeout(connect, refusals < NODES.length ? 0 : RETRY_MS);
}

function disconnect() {
  clearTimeout(retry);
  source.close();
  state("off", "Disconnected");
}

function toggle() {
  wanted = !wanted;
  $("toggle").textContent = wanted ? "Disconnect" : "Reconnect";
  if (wanted) connect();
  else disconnect();
}

for (const symbol of Object.keys(COMPANIES)) card(symbol);
$("toggle").addEventListener("click", toggle);
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "d" && !event.ctrlKey && !event.metaKey && !event.altKey) toggle();
});
document.addEventListener("visibilitychange", () => {
  // A frame that was asked for may never come in a hidden tab.
  if (frame !== 0) { cancelAnimationFrame(frame); clearTimeout(frame); frame = 0; }
  schedule();
});
connect();
