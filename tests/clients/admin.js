// The admin's page in Chromium, in the order of an admin's days: node admin.js. tests/api/browser.rs starts what it needs.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gunzipSync } from "node:zlib";
import { chromium } from "playwright-core";

const { REPOSITORY, CLUSTER, CATALOGUES, PSQL, LOCAL_URL, PEOPLE_URL } = process.env;
const TOKENS = JSON.parse(process.env.TOKENS);
const IMAGES = `${REPOSITORY}/target/screenshots`;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDE = { width: 1100, height: 700 };
const HOSTILE = [
  `evil/"><script>document.title='owned'</script>`,
  `evil/' onfocus=alert(1) autofocus='`,
  "evil/../../logout?x=1&y=%2F%00#z",
  "evil/{{7*7}}{% raw %}",
  "evil/\u202etxt.exe",
  `evil/${"long".repeat(50)}`,
];

mkdirSync(IMAGES, { recursive: true });
const sql = (statement) =>
  execFileSync(PSQL, ["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", CLUSTER, "-U", "postgres", "-d", "postgres", "-c", statement]).toString().trim();
const server = (...action) =>
  execFileSync(`${REPOSITORY}/scripts/cluster`, ["ctl", CLUSTER, ...action], { stdio: ["ignore", "ignore", "inherit"] });
// the code that the program printed last
const code = () => readFileSync(process.env.CODES, "utf8").trim().split(" ").pop();
// what the upstream serves from now on: the catalogue of the last name
const publish = (name, data) => writeFileSync(`${CATALOGUES}/${name}.json`, JSON.stringify({ data }));
const hostile = () => HOSTILE.map((id) => ({ ...recorded()[0], id, name: id, description: id }));
const recorded = () => JSON.parse(gunzipSync(readFileSync(`${REPOSITORY}/tests/catalogues/eras/2026-08-22.json.gz`))).data;

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
let clicks = 0;

async function visitor(options) {
  const context = await browser.newContext({ viewport: WIDE, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(error));
  page.on("dialog", (dialog) => assert.fail(dialog.message()));
  return page;
}

const person = (name, options) => visitor({ baseURL: PEOPLE_URL, extraHTTPHeaders: { "X-Assertion": TOKENS[name] }, ...options });

async function click(locator) {
  clicks += 1;
  await locator.click();
}

// a click opens the list, and another one chooses
async function choose(page, label, value) {
  clicks += 2;
  await field(page, label).selectOption(value);
}

// presses Tab until the focus is there
async function tabTo(page, target) {
  for (let stop = 0; stop < 1000; stop += 1) {
    if (await target.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail("the keyboard does not reach it");
}

const button = (page, name) => page.getByRole("button", { name, exact: typeof name === "string" });
const link = (page, name) => page.getByRole("link", { name, exact: true });
const field = (page, label) => page.getByLabel(label, { exact: true });
const heading = (page) => page.locator("h1").textContent();

// What must be true of every page: no violation of axe-core, light and dark, wide and 360 pixels; nothing wider than
// the window; nothing that moved while it was loaded.
const seen = new Set();
async function check(page, name) {
  assert.ok(!seen.has(name), name);
  seen.add(name);
  const shifts = await page.evaluate(() => new Promise((resolve) => {
    const found = [];
    new PerformanceObserver((list) => found.push(...list.getEntries().map((entry) => entry.value)))
      .observe({ type: "layout-shift", buffered: true });
    requestAnimationFrame(() => setTimeout(() => resolve(found), 50));
  }));
  assert.deepEqual(shifts, [], `${name} moved while it was loaded`);
  assert.equal(await page.locator("script, [style]").count(), 0, name);
  await page.evaluate(AXE);
  for (const [colorScheme, width] of [["dark", WIDE.width], ["light", WIDE.width], ["light", 360]]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: WIDE.height });
    const violations = await page.evaluate(async () => (await axe.run()).violations.map(
      ({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`));
    assert.deepEqual(violations, [], `${name}, ${colorScheme}, ${width} pixels`);
    const [inner, all] = await page.evaluate(() => [document.documentElement.clientWidth, document.documentElement.scrollWidth]);
    assert.ok(all <= inner, `${name} is ${all} pixels wide in a window of ${width}`);
  }
  await page.setViewportSize(WIDE);
}

async function picture(page, name, size = { width: 1000, height: 520 }) {
  const path = `${IMAGES}/${name}.png`;
  await page.setViewportSize(size);
  await page.screenshot({ path });
  await page.setViewportSize(WIDE);
  assert.ok(statSync(path).size <= 100_000, `${name}.png has ${statSync(path).size} bytes`);
}

const scenes = {
  async "the first morning, without JavaScript: from no model to none waiting"() {
    const page = await visitor({ baseURL: LOCAL_URL, javaScriptEnabled: false });
    await page.goto("/");
    await field(page, "Code").fill(code());
    await button(page, "Log in").click();
    await click(link(page, "Run the first sync"));
    await click(button(page, "Run the sync now"));
    await click(link(page, "Go on to Review"));
    assert.equal(await heading(page), `Review: ${421 + HOSTILE.length} waiting`);
    assert.equal(sql("SELECT jsonb_array_length(unusable) FROM model_access_sync_log"), "1");

    // three rules: a ban, what is free, what is cheap
    await click(link(page, "Rules"));
    for (const [position, label, value, proposes] of [
      ["1", "Provider", "deepseek", "a ban"],
      ["2", "At most $/M", "0", "free"],
      ["3", "At most $/M", "5", "pro"],
    ]) {
      await click(field(page, "Position"));
      await page.keyboard.type(position);
      await tabTo(page, field(page, label));
      await page.keyboard.type(value);
      await click(field(page, proposes));
      await click(button(page, "Save"));
    }
    await click(link(page, "look and accept in Review"));
    await choose(page, "Decision", "accept");
    await click(button(page, /^Try all/));
    await click(button(page, /^Decide \d+ models?$/));
    assert.match(await heading(page), /^Decided: [1-9]\d+ models?$/);

    // all others are for enterprise, and what expires soon is not for anybody
    await click(link(page, "Review"));
    await choose(page, "Status", "active");
    await click(field(page, "enterprise"));
    await click(button(page, /^Try all/));
    await click(button(page, /^Decide \d+ models?$/));
    await click(link(page, "Review"));
    assert.match(await page.locator("tbody").textContent(), /^(\s*expiring)/);
    await choose(page, "Status", "inactive");
    await click(button(page, /^Try all/));
    await click(button(page, /^Decide \d+ models?$/));
    await click(link(page, "Review"));
    assert.equal(await heading(page), "Review: 0 waiting");
    assert.ok(clicks <= 30, `${clicks} clicks`);
    console.log(`  ${clicks} clicks`);
    assert.equal(sql("SELECT count(*) FROM model_access_review"), "0");
    await page.context().close();
  },

  async "a code that was used, and a wrong one"() {
    const page = await visitor({ baseURL: LOCAL_URL });
    await page.goto("/health");
    await check(page, "login without a code");
    await button(page, "Print a new code").click();
    await check(page, "login");
    await field(page, "Code").fill("AAAA-AAAA-AAAA");
    await button(page, "Log in").click();
    await check(page, "login with a wrong code");
    await field(page, "Code").fill(code());
    await button(page, "Log in").click();
    assert.equal(await heading(page), "Health", "the page that was asked for");
    await button(page, "Log out").click();
    assert.equal(await heading(page), "Log in");
    await page.context().close();
  },

  async "what upstream calls a model is only text"() {
    const page = await person("anna");
    for (const id of HOSTILE) {
      await page.goto("/?show=all");
      const row = field(page, id);
      await row.check();
      await field(page, "Note").fill(id);
      await button(page, "Try the ticked…").click();
      assert.equal(await page.locator("main li a").textContent(), id);
      await button(page, "Decide 1 model").click();
      await page.getByText("The models").click();
      await link(page, id).click();
      assert.equal(await heading(page), id);
      assert.ok((await page.locator("dl").textContent()).includes(id));
      await page.locator("table").last().locator("tbody a").first().click();
      assert.ok((await heading(page)).startsWith("Change of "));
      assert.equal(await page.locator("tbody th a").last().textContent(), id);
    }
    assert.equal(sql("SELECT count(*) FROM model_access WHERE model_id = note AND name = note"), String(HOSTILE.length));
    for (const id of [HOSTILE[0], HOSTILE[5]]) {
      await page.goto(`/model?id=${encodeURIComponent(id)}`);
      await check(page, `model ${id}`);
    }
    await page.context().close();
  },

  async "two admins on the same rows: the second is told"() {
    const [anna, ben] = [await person("anna"), await person("ben")];
    const ids = sql("SELECT model_id FROM model_access WHERE provider = 'anthropic' ORDER BY 1 LIMIT 3").split("\n");
    for (const page of [anna, ben]) await page.goto("/?show=all&provider=anthropic");
    for (const id of ids.slice(0, 2)) await field(anna, id).check();
    await field(anna, "Status").selectOption("disabled");
    await button(anna, "Try the ticked…").click();
    for (const id of ids) await field(ben, id).check();
    await field(ben, "Status").selectOption("active");
    await field(ben, "free").check();
    await button(ben, "Try the ticked…").click();
    assert.equal(await heading(ben), "Decide 3 models?");
    await check(anna, "decision that is tried");
    await button(anna, "Decide 2 models").click();
    await button(ben, "Decide 3 models").click();
    assert.equal(await heading(ben), "Decided: 1 model");
    const told = await ben.getByRole("alert").textContent();
    for (const id of ids.slice(0, 2)) assert.ok(told.includes(`${id}: it was changed by anna@id.example at `), told);
    await check(ben, "decision that leaves models out");
    assert.equal(sql("SELECT string_agg(status, ' ' ORDER BY model_id) FROM model_access WHERE model_id = ANY "
      + `('{${ids}}')`), "disabled disabled active");
    for (const page of [anna, ben]) await page.context().close();
  },

  async "an undo that is pressed twice"() {
    const page = await person("anna");
    await page.goto("/history");
    await check(page, "history");
    await page.locator("tr", { hasText: "disabled (2)" }).getByRole("link", { name: "look and undo" }).click();
    await check(page, "undo that is tried");
    await picture(page, "undo");
    const second = await page.context().newPage();
    await second.goto(page.url());
    await button(page, "Undo this change").click();
    assert.equal(await heading(page), "Undone");
    await check(page, "undo");
    const rows = sql("SELECT count(*) FROM model_access_history");
    await button(second, "Undo this change").click();
    assert.match(await second.getByRole("alert").textContent(), /^Nothing was done\..*it was undone before/);
    assert.equal(await button(second, "Undo this change").count(), 0);
    await check(second, "undo for the second time");
    assert.equal(sql("SELECT count(*) FROM model_access_history"), rows);
    await page.context().close();
  },

  async "a form whose database went away"() {
    const page = await person("anna");
    await page.goto(`/model?id=${encodeURIComponent("openai/gpt-4o")}`);
    const note = `kept: "quotes", <b> & a line`;
    await field(page, "Note").fill(note);
    await field(page, "Status").selectOption("disabled");
    server("stop", "-m", "fast");
    try {
      await button(page, "Try…").click();
      assert.match(await page.getByRole("alert").textContent(), /The database does not answer\./);
      await page.getByText("What you typed", { exact: true }).click();
      assert.ok((await page.locator("dl").textContent()).includes(note));
      await check(page, "database that went away");
    } finally {
      server("start");
    }
    await button(page, "Send the form again").click();
    await button(page, "Decide 1 model").click();
    assert.equal(sql("SELECT note FROM model_access WHERE model_id = 'openai/gpt-4o' AND status = 'disabled'"), note);
    await page.context().close();
  },

  async "who only looks has no buttons, and a forged form is refused"() {
    const page = await person("vera");
    for (const path of ["/", "/?show=all", "/sync", "/history", "/user?id=bob", "/rules", "/health"]) {
      await page.goto(path);
      assert.equal(await page.locator("form[method=post]").count(), 0, path);
    }
    await page.goto("/sync");
    await check(page, "sync of a viewer");
    await page.goto("/?show=all");
    await page.evaluate(() => {
      document.querySelector("main").innerHTML = `<form method="post" action="/"><input name="do" value="set">
        <input name="status" value="active"><input name="row" value="1::openai/gpt-4o"><input name="step" value="do">
        <button>forged</button></form>`;
    });
    await button(page, "forged").click();
    assert.match(await page.getByRole("alert").textContent(), /out of date/);
    await button(page, "Send the form again").click();
    assert.match(await page.getByRole("alert").textContent(), /permission denied .*SQLSTATE 42501/);
    await check(page, "form of a viewer");
    assert.equal(sql("SELECT status FROM model_access WHERE model_id = 'openai/gpt-4o'"), "disabled");
    const eve = await person("eve");
    await eve.goto("/");
    await check(eve, "somebody without a role");
    for (const one of [page, eve]) await one.context().close();
  },

  async "the keyboard is enough, and the focus is always seen"() {
    const page = await person("anna");
    await page.goto("/?show=all&provider=anthropic");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    for (const width of [WIDE.width, 360]) {
      await page.setViewportSize({ width, height: WIDE.height });
      await page.locator("main").focus();
      let stop = 0;
      for (; stop < 1000; stop += 1) {
        await page.keyboard.press("Tab");
        // after the last one
        if (await page.evaluate(() => document.activeElement === document.body)) break;
        const problem = await page.evaluate(() => {
          const element = document.activeElement;
          const { outlineStyle, outlineWidth } = getComputedStyle(element);
          const { left, top, width, height } = element.getClientRects()[0];
          const [x, y] = [left + Math.min(width / 2, 20), top + Math.min(height / 2, 20)];
          const above = document.elementFromPoint(x, y);
          const is = `${element.outerHTML.slice(0, 120)} at ${x}, ${y}`;
          if (outlineStyle === "none" || parseFloat(outlineWidth) < 2) return `no outline: ${is}`;
          return element.contains(above) || element === above ? "" : `covered by ${above?.outerHTML.slice(0, 80)}: ${is}`;
        });
        assert.equal(problem, "", `${width} pixels, stop ${stop}`);
      }
      assert.ok(stop > 50 && stop < 1000, `${stop} stops`);
    }
    await page.setViewportSize(WIDE);
    await page.goto("/?show=all&provider=anthropic");
    const id = sql("SELECT max(model_id) FROM model_access WHERE provider = 'anthropic'");
    await tabTo(page, field(page, id));
    await page.keyboard.press("Space");
    await tabTo(page, field(page, "Status"));
    await page.keyboard.type("inact");
    await tabTo(page, field(page, "Note"));
    await page.keyboard.type("by keyboard");
    await tabTo(page, button(page, "Try the ticked…"));
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => !url.search.includes("row"));
    await button(page, "Decide 1 model").waitFor();
    await page.keyboard.press("Enter");
    await page.getByText("Saved.").waitFor();
    assert.equal(sql(`SELECT status FROM model_access WHERE model_id = '${id}' AND note = 'by keyboard'`), "inactive");
    await page.context().close();
  },

  async "the next sync, and what moved meanwhile"() {
    const page = await person("anna");
    await page.goto("/sync");
    assert.match(await page.locator("main").textContent(), /Nothing has changed/);
    await check(page, "sync without changes");
    // the next list: one model left, one is new, one costs ten times as much, one name changed
    const list = recorded();
    const gone = list.splice(list.findIndex(({ id }) => id === "openai/gpt-4o-mini"), 1);
    const dear = list.find(({ id }) => id === "google/gemini-2.5-pro");
    dear.pricing = { ...dear.pricing, prompt: String(10 * dear.pricing.prompt) };
    list.find(({ id }) => id === "openai/o3").name = "OpenAI: o3, renamed";
    list.push({ ...list[0], id: "new/model", name: "A new model" });
    const all = [...list, ...hostile()];
    publish("2", all);
    await page.goto("/sync");
    await check(page, "sync with changes");
    await picture(page, "sync");
    // it moves once more
    publish("3", [...all, ...gone, { ...list[0], id: "new/other", name: "Another new model" }]);
    await button(page, "Run the sync now").click();
    const text = await page.locator("main").textContent();
    assert.match(text, /Run \d+: applied\..*What differs from the preview.*new\/other.*openai\/gpt-4o-mini/s);
    await check(page, "sync that differed");
    await page.goto("/");
    assert.equal(await heading(page), "Review: 3 waiting");
    await check(page, "review with reasons");
    await page.goto(`/model?id=${encodeURIComponent(dear.id)}`);
    // the price of the prompt moved, that of the completion did not
    assert.match(await page.locator("path.one").getAttribute("d"), /^M60\S* \S+H\S+V15\S*H630$/);
    assert.match(await page.locator("path.two").getAttribute("d"), /^M60\S* [\d.]+H630$/);
    await check(page, "model with a plot");
    await page.locator("h2", { hasText: "What it charges" }).evaluate((element) => element.scrollIntoView());
    await picture(page, "model", { width: 960, height: 680 });
    // half of the list, and then none
    publish("4", all.slice(0, 300));
    await page.goto("/sync");
    assert.match(await page.locator("main").textContent(), /withhold: \d+/);
    await check(page, "sync with removals that are withheld");
    publish("5", []);
    await page.goto("/sync");
    await check(page, "sync that would fail");
    publish("6", [...all, ...gone]);
    await page.context().close();
  },

  async "every other page"() {
    const page = await person("anna");
    sql("UPDATE model_access SET status = 'new', is_free = false, is_pro = false, is_enterprise = false");
    await page.goto("/");
    const { encodedBodySize } = await page.evaluate(() => performance.getEntriesByType("navigation")[0].toJSON());
    console.log(`  ${encodedBodySize} bytes for ${await page.locator("tbody tr").count()} rows`);
    assert.ok(encodedBodySize < 300_000, `${encodedBodySize} bytes`);
    await check(page, "review");
    await picture(page, "review", { width: 1000, height: 680 });
    await page.emulateMedia({ colorScheme: "dark" });
    await picture(page, "review-small", { width: 360, height: 640 });
    await page.goto("/user?id=bob");
    await field(page, "Model").fill("openai/gpt-4o-mini");
    await field(page, "Last day (UTC; empty: for ever)").fill("2099-12-31");
    await button(page, "Save").click();
    for (const [path, words] of [
      ["/?q=no-such-model", /No model matches/],
      ["/?max=much", /22P02/],
      ["/nothing", /There is no such page/],
      ["/model?id=no-such-model", /There is no model with this id/],
      ["/user", /Overrides of all users/],
      ["/user?id=bob&model=openai/gpt-4o-mini", /2100-01-01/],
      ["/user?id=nobody", /no such user/],
      ["/rules", /First|first rule/],
      ["/rules?position=3", /Rule 3/],
      ["/health", /last_success/],
      [`/history?at=${encodeURIComponent(sql("SELECT max(at) FROM model_access_history WHERE run_id IS NOT NULL"))}`, /sync, run/],
    ]) {
      await page.goto(path);
      assert.match(await page.locator("main").textContent(), words);
      await check(page, path);
      if (["/health", "/rules"].includes(path)) await picture(page, path.slice(1));
    }
    await page.goto("/rules");
    await field(page, "Position").fill("9");
    await field(page, "Id is LIKE").fill("openai/%");
    await field(page, "enterprise").check();
    await button(page, "Try…").click();
    assert.match(await page.getByRole("status").textContent(), /would propose something for \d+ models/);
    await check(page, "rule that is tried");
    await page.context().close();
  },
};

try {
  const wanted = process.argv.slice(2);
  // PostgreSQL cannot store the last one
  publish("1", [...recorded(), ...hostile(), { ...recorded()[0], id: "evil/\0" }]);
  for (const [name, scene] of Object.entries(scenes)) {
    if (wanted.length > 0 && !wanted.some((word) => name.includes(word))) continue;
    console.log(name);
    await scene().catch((error) => {
      process.exitCode = 1;
      console.log(`FAILED: ${error.stack}`);
    });
  }
} finally {
  await browser.close();
}
