// The client of OpenAI for Node: node openai.js URL TOKEN, with a list of the ids as its output.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const models = [];
for await (const model of client.models.list()) {
  assert.equal(model.object, "model");
  assert.ok(model.created > 1_600_000_000 && model.owned_by !== undefined);
  models.push(model.id);
}
const one = await client.models.retrieve("google/gemini-2.5-pro");
assert.equal(one.owned_by, "google");
assert.ok(one.context_length > 0 && one.pricing.prompt);
await assert.rejects(client.models.retrieve("no/such"), { status: 404, code: "model_not_found" });
const stranger = new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 });
await assert.rejects(stranger.models.list(), { status: 401, code: "token_malformed", message: /not a well-formed JWT/ });
console.log(models.join(" "));
