// Beside conversations: counts of tokens, embeddings, and lists of models, across dialects.
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { collect, document, gateway, key, only, requests } from './harness.mjs';
import { questions, targets } from './played.mjs';

const openai = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: key, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: gateway, apiKey: key, maxRetries: 0 });
const genai = new GoogleGenAI({ apiKey: key, vertexai: false, httpOptions: { baseUrl: gateway } });

const counts = {
  responses: async (model, input) => (await openai.responses.inputTokens.count({ model, input })).input_tokens,
  messages: async (model, content) =>
    (await anthropic.messages.countTokens({ model, messages: [{ role: 'user', content }] })).input_tokens,
  gemini: async (model, contents) => (await genai.models.countTokens({ model, contents })).totalTokens,
};
// What each target counts.
const counted = { messages: 17, gemini: 8, responses: 11 };

for (const [client, count] of Object.entries(counts)) {
  for (const [dialect, expected] of Object.entries(counted).filter(([dialect]) => dialect !== client)) {
    test(`${client} to ${dialect}: a count that the provider makes`, async () => {
      assert.equal(await count(targets[dialect].name, questions.text), expected);
      const [{ conversation }] = await requests();
      assert.deepEqual(conversation.map((one) => one.text), [questions.text]);
    });
  }

  test(`${client} to chat: a count that is estimated`, async () => {
    const [short, long] = [
      await count(targets.chat.name, questions.text),
      await count(targets.chat.name, questions.text.repeat(10)),
    ];
    assert.ok(short > 8 && long - short > 8 * 9 && long - short < 20 * 9, `${short}, ${long}`);
    assert.deepEqual(await requests(), []);
  });
}

test('openai embeddings of gemini', async () => {
  const answer = await openai.embeddings.create({ model: 'gemini/gemini-embedding-001', input: ['one', 'two'] });
  const [{ values }] = document('gemini/batchEmbedContents.json').embeddings;
  for (const { embedding } of answer.data) {
    assert.equal(embedding.length, values.length);
    assert.ok(embedding.every((value, at) => Math.abs(value - values[at]) < 1e-6), embedding.join());
  }
  assert.equal(answer.data.length, 2);
});

test('genai embeddings of openai', async () => {
  const model = 'openai/text-embedding-3-small';
  const config = { outputDimensionality: 4 };
  const { embeddings } = await genai.models.embedContent({ model, contents: ['one', 'two'], config });
  const vectors = document('openai/embeddings.json').data.map((one) => one.embedding);
  assert.deepEqual(embeddings.map((one) => one.values), vectors);
  assert.deepEqual((await only('openai')).body.input, ['one', 'two']);
});

const limits = {
  'claude-sonnet-5': [1_000_000, 128_000],
  'gpt-5-mini': [272_000, 128_000],
  'gemini-3-flash-preview': [1_048_576, 65_536],
};
const listings = {
  openai: async () =>
    (await collect(openai.models.list())).map((one) => [one.id, [one.context_length, one.max_output_tokens]]),
  anthropic: async () =>
    (await collect(anthropic.models.list())).map((one) => [one.id, [one.max_input_tokens, one.max_tokens]]),
  genai: async () =>
    (await collect(await genai.models.list())).map((one) => [
      one.name.replace('models/', ''),
      [one.inputTokenLimit, one.outputTokenLimit],
    ]),
};

for (const [name, list] of Object.entries(listings)) {
  test(`${name} lists the models of every provider`, async () => {
    const listed = Object.fromEntries(await list());
    assert.deepEqual(Object.fromEntries(Object.keys(limits).map((model) => [model, listed[model]])), limits);
    assert.ok(Object.keys(listed).length > 100);
    assert.deepEqual(await requests(), []);
  });
}
