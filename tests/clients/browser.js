// A page of another origin in Chromium: node browser.js URL TOKEN, with a list of the ids as its output.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const [url, token] = process.argv.slice(2);
const pages = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<title>a page</title>"));
await new Promise((listening) => pages.listen(Number(process.env.PAGE_PORT), "127.0.0.1", listening));
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  // runs in the page
  const ask = async ([url, token]) => {
    try {
      const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}`, "X-Stainless-OS": "Linux" } });
      return { status: answer.status, tag: answer.headers.get("ETag"), body: await answer.json() };
    } catch (error) {
      return { error: error.name };
    }
  };
  const from = async (host, token) => {
    await page.goto(`http://${host}:${process.env.PAGE_PORT}/`);
    return page.evaluate(ask, [url, token]);
  };
  const list = await from("localhost", token);
  assert.equal(list.status, 200);
  assert.match(list.tag, /-gzip"$/);
  const refused = await from("localhost", "wrong");
  assert.deepEqual([refused.status, refused.body.code], [401, "token_malformed"]);
  // the same page at an origin that is not listed
  assert.deepEqual(await from("127.0.0.1", token), { error: "TypeError" });
  console.log(list.body.data.map((model) => model.id).join(" "));
} finally {
  await browser.close();
  pages.close();
}
