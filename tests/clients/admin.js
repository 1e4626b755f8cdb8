// The admin's page in Chromium: node admin.js URL CODE. It prints the number of clicks of a first morning.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [url, code] = process.argv.slice(2);
const axe = readFileSync("node_modules/axe-core/axe.min.js", "utf8");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  // the first morning, without JavaScript: from the code to an empty queue
  const morning = await browser.newContext({ javaScriptEnabled: false });
  const page = await morning.newPage();
  let clicks = 0;
  const click = async (locator) => (clicks++, locator.click());
  const choose = async (label, value) => ((clicks += 2), page.getByLabel(label, { exact: true }).selectOption(value));
  const press = (name) => click(page.getByRole("button", { name }));
  const decide = async (status, tier) => {
    await choose("Status", status);
    if (tier) await click(page.getByLabel(tier, { exact: true }));
    await press(/^Try all/);
    await press(/^Decide \d+ models$/);
    await page.getByText("Saved.").waitFor();
    await click(page.getByRole("link", { name: "Review" }));
  };
  await page.goto(url);
  await page.getByLabel("Code").fill(code);
  await press("Log in");
  await click(page.getByText("More filters"));
  await choose("Free of charge", "yes");
  await press("Filter");
  await decide("active", "free");
  await choose("Provider", "google");
  await press("Filter");
  await decide("active", "pro");
  await decide("inactive");
  await page.getByText("Nothing waits.").waitFor();
  assert.ok(clicks <= 30, `${clicks} clicks`);

  // every page, for axe-core, in both colour schemes, and on a telephone
  const storageState = await morning.storageState();
  const pages = ["", "?show=all&q=gemini", "model?id=google%2Fgemini-2.5-pro", "history", "sync", "user", "user?id=ada", "rules", "health"];
  for (const [colorScheme, width] of [["light", 1280], ["dark", 1280], ["light", 360]]) {
    const context = await browser.newContext({ storageState, colorScheme, viewport: { width, height: 800 } });
    const page = await context.newPage();
    for (const path of pages) {
      const where = `${colorScheme} ${width} /${path}`;
      await page.goto(url + path);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes[0].html]), [], where);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${where} is ${overflow} pixels too wide`);
      if (path !== "sync") await page.screenshot({ path: `admin-${colorScheme}-${width}-${path.replace(/\W.*/, "") || "review"}.png` });
    }
    await context.close();
  }

  // the keyboard alone: the skip link comes first, and focus is visible wherever it goes
  const context = await browser.newContext({ storageState, viewport: { width: 1280, height: 800 } });
  const keyboard = await context.newPage();
  await keyboard.goto(url + "?show=all&q=gemini");
  await keyboard.keyboard.press("Tab");
  assert.equal(await keyboard.evaluate(() => document.activeElement.textContent), "Skip to the content");
  for (let stop = 0; stop < 20; stop++) {
    const [name, outline] = await keyboard.evaluate(() => {
      const element = document.activeElement;
      return [element.outerHTML.slice(0, 80), getComputedStyle(element).outlineStyle];
    });
    assert.notEqual(outline, "none", name);
    await keyboard.keyboard.press("Tab");
  }
  console.log(clicks);
} finally {
  await browser.close();
}
