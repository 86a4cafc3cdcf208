// The loops of tools that the SDKs run themselves, with models of other dialects.
import Anthropic from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { GoogleGenAI } from '@google/genai';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { z } from 'zod';
import { gateway } from './harness.mjs';
import { answer, freshKey, looped, questions, targets, weather } from './played.mjs';

const name = 'get_weather';
const description = 'Says how warm it is in a city.';
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const messages = [{ role: 'user', content: questions.think }];
const others = (dialect) => Object.entries(targets).filter(([other]) => other !== dialect);

for (const [dialect, target] of others('chat')) {
  for (const stream of [false, true]) {
    test(`openai runTools to ${dialect}, stream ${stream}`, async () => {
      const client = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: freshKey(), maxRetries: 0 });
      const tool = { name, description, parameters, parse: JSON.parse, function: ({ city }) => weather[city] };
      const runner = client.chat.completions.runTools({
        model: target.name,
        messages,
        stream,
        reasoning_effort: 'medium',
        tools: [{ type: 'function', function: tool }],
      });
      assert.equal(await runner.finalContent(), answer);
      await looped(target);
    });
  }
}

for (const [dialect, target] of others('messages')) {
  for (const stream of [false, true]) {
    test(`anthropic toolRunner to ${dialect}, stream ${stream}`, async () => {
      const client = new Anthropic({ baseURL: gateway, apiKey: freshKey(), maxRetries: 0 });
      const inputSchema = z.object({ city: z.string() });
      const run = ({ city }) => weather[city];
      const final = await client.beta.messages
        .toolRunner({
          model: target.name,
          max_tokens: 4096,
          messages,
          stream,
          thinking: { type: 'enabled', budget_tokens: 2048 },
          tools: [betaZodTool({ name, description, inputSchema, run })],
        })
        .runUntilDone();
      assert.equal(final.content.at(-1).text, answer);
      await looped(target);
    });
  }
}

for (const [dialect, target] of others('gemini')) {
  test(`genai calls functions itself, to ${dialect}`, async () => {
    const client = new GoogleGenAI({ apiKey: freshKey(), vertexai: false, httpOptions: { baseUrl: gateway } });
    const tool = {
      tool: async () => ({ functionDeclarations: [{ name, description, parametersJsonSchema: parameters }] }),
      callTool: async (calls) =>
        calls.map(({ args }) => ({ functionResponse: { name, response: { output: weather[args.city] } } })),
    };
    const config = { tools: [tool], thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } };
    const chat = client.chats.create({ model: target.name, config });
    assert.equal((await chat.sendMessage({ message: questions.think })).text, answer);
    await looped(target);
  });
}
