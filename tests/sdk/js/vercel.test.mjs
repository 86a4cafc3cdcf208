// The Vercel AI SDK with models of other dialects: a loop of tools, a stream, and an object.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { collect, gateway } from './harness.mjs';
import { answer, freshKey, looped, questions, targets, weather } from './played.mjs';

const tools = {
  get_weather: tool({ inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => weather[city] }),
};

const connection = () => ({ baseURL: `${gateway}/v1`, apiKey: freshKey() });
const chat = (model) => createOpenAI(connection()).chat(model);
const responses = (model) => createOpenAI(connection()).responses(model);
const anthropic = (model) => createAnthropic(connection())(model);
const thinking = { type: 'enabled', budgetTokens: 2048 };
const encrypted = {
  openai: {
    reasoningEffort: 'medium',
    reasoningSummary: 'auto',
    store: false,
    include: ['reasoning.encrypted_content'],
    forceReasoning: true,
  },
};
const cases = [
  ['openai chat', chat, 'messages', { openai: { reasoningEffort: 'medium', forceReasoning: true } }],
  ['openai chat', chat, 'gemini', { openai: { reasoningEffort: 'medium', forceReasoning: true } }],
  ['openai responses', responses, 'messages', encrypted],
  ['openai responses', responses, 'gemini', encrypted],
  ['anthropic', anthropic, 'gemini', { anthropic: { thinking } }],
  ['anthropic', anthropic, 'responses', { anthropic: { thinking } }],
];

for (const [name, model, dialect, providerOptions] of cases) {
  const target = targets[dialect];
  const asked = () => ({ model: model(target.name), maxRetries: 0, providerOptions });

  test(`${name} to ${dialect}: loop of tools`, async () => {
    const { text, steps } = await generateText({
      ...asked(),
      prompt: questions.think,
      tools,
      stopWhen: stepCountIs(5),
    });
    assert.deepEqual([text, steps.length], [answer, 3]);
    await looped(target);
  });

  test(`${name} to ${dialect}: stream`, async () => {
    const failures = [];
    const stream = streamText({
      ...asked(),
      prompt: questions.think,
      tools,
      stopWhen: stepCountIs(5),
      onError: ({ error }) => failures.push(error),
    });
    const pieces = await collect(stream.textStream);
    assert.deepEqual(failures, []);
    assert.equal(pieces.join(''), answer);
    assert.ok(pieces.length > 3, pieces);
    const usage = await stream.usage;
    assert.deepEqual([usage.inputTokens, usage.outputTokens], target.tokens[1]);
    await looped(target);
  });

  test(`${name} to ${dialect}: object`, async () => {
    const schema = z.object({ city: z.string(), country: z.string() });
    const { output } = await generateText({ ...asked(), prompt: questions.object, output: Output.object({ schema }) });
    assert.deepEqual(output, { city: 'Paris', country: 'France' });
  });
}
