// Opens the stock demo in a headless Chromium and watches it for a while; prints what the page itself counted.
//
// usage: node stocks.mjs URL PROFILE_FOLDER [SCREENSHOT]     (HALLEY_TEST_CLIENTS names the folder with node_modules)
// With HALLEY_TEST_KILLS, a JSON object of process numbers by node name, the nodes that serve the page are killed, each
// once, while it watches.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.HALLEY_TEST_CLIENTS}/`);
const { chromium } = require("playwright-core");
const [url, profile, screenshot] = process.argv.slice(2);
const PATIENCE = 60_000;
const kills = new Map(Object.entries(JSON.parse(process.env.HALLEY_TEST_KILLS || "{}")));
// What a browser says by itself of a node that is gone.
const GONE = /ERR_(CONNECTION_REFUSED|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)/;

const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.HALLEY_TEST_CHROMIUM,
  headless: true,
  viewport: { width: 1280, height: 900 },
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
const faults = [];
const page = browser.pages()[0] ?? await browser.newPage();
page.on("pageerror", (error) => faults.push(String(error)));
page.on("console", (message) => {
  if (message.type() === "error" && !(kills.size > 0 && GONE.test(message.text()))) faults.push(message.text());
});

const prices = () => page.$$eval(".quote", (cards) => Object.fromEntries(
  cards.map((card) => [card.dataset.symbol, [
    card.querySelector(".price").textContent, card.querySelector(".offset").textContent]])));
const moved = (before, now) =>
  Object.keys(now).filter((symbol) => before[symbol][0] !== now[symbol][0] && before[symbol][1] !== now[symbol][1]);

await page.goto(url, { waitUntil: "domcontentloaded" });
await page.waitForFunction(() => document.body.dataset.ready === "1", null, { timeout: PATIENCE });
const before = await prices();
const seen = new Set();
const late = Date.now() + PATIENCE;
while (seen.size < Object.keys(before).length && Date.now() < late) {
  await page.waitForTimeout(100);
  for (const symbol of moved(before, await prices())) seen.add(symbol);
}

// The page goes away and comes back with its cursor: it must miss nothing.
const shown = () => page.$eval("#shown", (output) => Number(output.textContent));
await page.keyboard.press("d");
await page.waitForFunction(() => document.getElementById("state").dataset.state === "off", null, { timeout: PATIENCE });
await page.waitForTimeout(1_000);
const paused = await shown();
await page.keyboard.press("d");
const more = (count) => page.waitForFunction(
  (least) => Number(document.getElementById("shown").textContent) > least, count, { timeout: PATIENCE });
await more(paused + 20);

const text = (id) => page.$eval(`#${id}`, (output) => output.textContent);
const killed = [];
for (let serving = await text("node"); kills.has(serving) && !killed.includes(serving); serving = await text("node")) {
  const count = await shown();
  process.kill(kills.get(serving), "SIGKILL");
  killed.push(serving);
  await page.waitForFunction(
    (name) => document.getElementById("node").textContent !== name, serving, { timeout: PATIENCE });
  await more(count + 20);
}

if (screenshot) {
  // Full charts look better, and show that the page keeps up.
  await page.waitForFunction(() => Number(document.getElementById("shown").textContent) > 400, null, { timeout: PATIENCE });
  await page.screenshot({ path: screenshot });
}
const report = {
  node: await text("node"), missing: await text("missing"), repeated: await text("repeated"), gaps: await text("gaps"),
  delay: await text("delay"), shown: await shown(), symbols: Object.keys(before), moved: [...seen].sort(), killed, faults,
};
process.stdout.write(`${JSON.stringify(report)}\n`);
await browser.close();
