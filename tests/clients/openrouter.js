// The client of OpenRouter: node openrouter.js URL TOKEN, with a list of the ids as its output.
import assert from "node:assert/strict";
import { OpenRouter } from "@openrouter/sdk";

const [serverURL, apiKey] = process.argv.slice(2);
const read = async (request, client = new OpenRouter({ serverURL, apiKey, retryConfig: { strategy: "none" } })) => {
  const ids = [];
  let total;
  for await (const page of await client.models.list(request)) {
    total = page.result.totalCount;
    for (const model of page.result.data) {
      assert.ok(model.name && model.pricing.prompt && model.created > 1_600_000_000);
      ids.push(model.id);
    }
  }
  assert.equal(ids.length, total);
  return ids;
};
const ids = await read();
// it asks for a page after each page that is full
assert.deepEqual(await read({ limit: 7 }), ids);
assert.ok((await read({ q: "gemini", outputModalities: "all" })).length < ids.length);
const stranger = new OpenRouter({ serverURL, apiKey: "wrong", retryConfig: { strategy: "none" } });
await assert.rejects(read(undefined, stranger), (error) => {
  assert.equal(error.statusCode, 401);
  assert.match(error.body, /"code":"token_malformed"/);
  return true;
});
console.log(ids.join(" "));
