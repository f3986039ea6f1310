// Publish-to-browser latency: a headless Chromium follows one channel by EventSource on each node given,
// this script publishes numbered events over HTTP, the page notes when each one reached its listener.
//
// usage: node latency.mjs <events> <per second> <publish base URL> <name>=<base URL>…
// prints one JSON line per node: {"node":…,"events":…,"p50_ms":…,"p99_ms":…}
import { createRequire } from "node:module";

const require = createRequire(`${process.env.HALLEY_TEST_CLIENTS}/`);
const { chromium } = require("playwright-core");

const [events, rate, publish, ...nodes] = process.argv.slice(2);
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: flags });

async function follow(base) {
  const page = await browser.newPage();
  await page.goto(`${base}/demo/stocks`);
  await page.evaluate((base) => new Promise((opened) => {
    globalThis.delays = [];
    const source = new EventSource(`${base}/v1/sse/bench/latency`);
    source.addEventListener("cursor", opened, { once: true });
    source.onmessage = ({ data }) => {
      globalThis.delays.push(performance.timeOrigin + performance.now() - JSON.parse(data).data.sent);
    };
  }), base);
  return page;
}

const pages = new Map();
for (const node of nodes) {
  const [name, base] = node.split("=");
  pages.set(name, await follow(base));
}
for (let number = 0; number < Number(events); number += 1) {
  const started = performance.now();
  const sent = performance.timeOrigin + started;
  const answer = await fetch(`${publish}/v1/publish/bench/latency`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ number, sent }),
  });
  if (!answer.ok) throw new Error(`publish: ${answer.status} ${await answer.text()}`);
  const pause = 1000 / Number(rate) - (performance.now() - started);
  await new Promise((resume) => setTimeout(resume, Math.max(0, pause)));
}
for (const [node, page] of pages) {
  await page.waitForFunction((count) => globalThis.delays.length >= count, Number(events), { timeout: 60_000 });
  const delays = (await page.evaluate(() => globalThis.delays)).sort((a, b) => a - b);
  const at = (share) => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))].toFixed(2);
  console.log(JSON.stringify({ node, events: delays.length, p50_ms: at(0.5), p99_ms: at(0.99) }));
}
await browser.close();
