// Reads cut streams with the official SDKs: a list of {base, kind} comes on standard input (test_endings.py).

import assert from "node:assert";
import { readFileSync } from "node:fs";

import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

const key = { apiKey: "k", maxRetries: 0 };
const messages = [{ role: "user", content: "hi" }];

async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

const checks = {
  async OpenaiChat(baseURL) {
    const client = new OpenAI({ baseURL, ...key });
    const chunks = await all(await client.chat.completions.create({ model: "m", messages, stream: true }));
    const reasons = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason));
    assert(reasons.includes("length"));
    assert.equal(chunks.at(-1).usage.total_tokens, 42);
    // Some providers name no role at all, which the helper insists on, whether or not the stream was cut.
    if (!chunks.some((chunk) => chunk.choices.some((choice) => choice.delta.role))) return;
    const helper = client.chat.completions.stream({ model: "m", messages });
    const completion = await helper.finalChatCompletion();
    assert(completion.choices.some((choice) => choice.finish_reason === "length"));
  },
  async Completions(baseURL) {
    const client = new OpenAI({ baseURL, ...key });
    const chunks = await all(await client.completions.create({ model: "m", prompt: "hi", stream: true }));
    assert(chunks.some((chunk) => chunk.choices[0]?.finish_reason === "length"));
  },
  async OpenaiResponses(baseURL) {
    const client = new OpenAI({ baseURL, ...key });
    const last = (await all(await client.responses.create({ model: "m", input: "hi", stream: true }))).at(-1);
    assert.equal(last.response.status, "incomplete");
    const response = await client.responses.stream({ model: "m", input: "hi" }).finalResponse();
    assert.equal(response.incomplete_details.reason, "max_output_tokens");
  },
  async Anthropic(baseURL) {
    const client = new Anthropic({ baseURL, ...key });
    const message = await client.messages.stream({ model: "m", max_tokens: 9, messages }).finalMessage();
    assert.equal(message.stop_reason, "max_tokens");
    assert.equal(message.usage.output_tokens, 12);
  },
  async Gemini(baseUrl) {
    const client = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl } });
    const chunks = await all(await client.models.generateContentStream({ model: "m", contents: "hi" }));
    assert.equal(chunks.at(-1).candidates[0].finishReason, "MAX_TOKENS");
    assert.equal(chunks.at(-1).usageMetadata.totalTokenCount, 42);
  },
};

let read = 0;
const failures = {};
for (const { base, kind } of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    await checks[kind](base);
    read += 1;
  } catch (error) {
    const what = `${kind}: ${String(error.message).slice(0, 150)}`;
    failures[what] ??= [];
    failures[what].push(base.split("/").at(-1));
  }
}
for (const [what, where] of Object.entries(failures)) console.log(where.length, what, where.slice(0, 5));
console.log(`${read} read`);
process.exitCode = Object.keys(failures).length ? 1 : 0;
