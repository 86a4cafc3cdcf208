// Responses that are remembered, with models whose providers remember nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { collect, gateway, key, rejection } from './harness.mjs';
import { answer, looped, otherKey, questions, targets, told, weather } from './played.mjs';

const connect = (apiKey) => new OpenAI({ baseURL: `${gateway}/v1`, apiKey, maxRetries: 0 });
const client = connect(key);
const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
const tools = [{ type: 'function', name: 'get_weather', parameters, strict: true }];

/** For this client there is no such response. */
const isUnknown = async (someone, id, model) => {
  await rejection(someone.responses.retrieve(id), OpenAI.NotFoundError);
  await rejection(collect(someone.responses.inputItems.list(id)), OpenAI.NotFoundError);
  const caught = await rejection(
    someone.responses.create({ model, input: 'And of Italy?', previous_response_id: id }),
    OpenAI.BadRequestError,
  );
  assert.equal(caught.code, 'previous_response_not_found');
};

for (const [dialect, { name: model, ...target }] of Object.entries(targets).filter(([name]) => name !== 'responses')) {
  for (const streamed of [false, true]) {
    const create = async (asked) =>
      streamed
        ? client.responses.stream({ model, ...asked }).finalResponse()
        : client.responses.create({ model, ...asked });
    const check = (what, body) => test(`${dialect}: ${what}, ${streamed ? 'streamed' : 'plain'}`, body);

    check('three turns', async () => {
      const first = await create({ input: questions.text });
      const second = await create({ input: 'And of Italy?', previous_response_id: first.id });
      const third = await create({ input: 'And of Spain?', previous_response_id: second.id });
      assert.equal(third.previous_response_id, second.id);
      const texts = [questions.text, answer, 'And of Italy?', answer, 'And of Spain?'];
      assert.deepEqual(await told(), texts.map((text) => ['text', text]));
    });

    check('loop of tools', async () => {
      const asked = { tools, reasoning: { effort: 'medium', summary: 'auto' } };
      let last = await create({ ...asked, input: questions.think });
      for (const output of Object.values(weather)) {
        const { call_id } = last.output.find((item) => item.type === 'function_call');
        const input = [{ type: 'function_call_output', call_id, output }];
        last = await create({ ...asked, input, previous_response_id: last.id });
      }
      assert.equal(last.output_text, answer);
      await looped(target);
    });

    check('retrieve, input items, delete', async () => {
      const { id } = await create({ input: questions.text, metadata: { a: 'b' } });
      const found = await client.responses.retrieve(id);
      assert.deepEqual([found.id, found.output_text, found.metadata], [id, answer, { a: 'b' }]);
      const items = await collect(client.responses.inputItems.list(id));
      assert.deepEqual(items.map((item) => item.content[0].text), [questions.text]);
      await isUnknown(connect(otherKey), id, model);
      await client.responses.delete(id);
      await isUnknown(client, id, model);
    });

    check('what is not to be stored', async () => {
      const { id, output_text } = await create({ input: questions.text, store: false });
      assert.equal(output_text, answer);
      await isUnknown(client, id, model);
    });
  }
}
