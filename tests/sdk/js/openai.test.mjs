import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI, { toFile } from 'openai';
import { collect, document, error, events, gateway, key, only, rejection, requests } from './harness.mjs';

const connect = (path = '/v1', apiKey = key) => new OpenAI({ baseURL: gateway + path, apiKey, maxRetries: 0, timeout: 20_000 });
const client = connect();

const asked = {
  model: 'gpt-4o-mini',
  messages: [{ role: 'user', content: 'What is the capital of France? Ça va, 🗼?' }],
  temperature: 0.1,
};
const parameters = { type: 'object', properties: { city: { type: 'string' }, unit: { type: 'string' } } };
const tools = [{ type: 'function', function: { name: 'get_weather', parameters } }];
const responseAsked = { model: 'gpt-5-mini', input: 'What is the capital of France?', store: false };
const responseTools = [{ type: 'function', name: 'get_weather', parameters, strict: false }];
const weather = { city: 'Paris', unit: 'celsius' };

/** The SDK adds conveniences to what it received; this is what was received. */
const received = ({ output_text, ...answer }) => answer;

test('chat', async () => {
  const answer = await client.chat.completions.create(asked);
  assert.deepEqual(answer, document('openai/chat.json'));
  assert.equal(answer._request_id, 'req_99f475d50b2c411eace09a3706a27f7a');
  const sent = await only('openai');
  assert.equal(sent.path, '/v1/chat/completions');
  assert.deepEqual(sent.body, asked);
});

test('chat stream, usage not asked for', async () => {
  const chunks = await collect(await client.chat.completions.create({ ...asked, stream: true }));
  assert.ok(chunks.every((chunk) => chunk.choices.length === 1 && !chunk.usage));
  const text = chunks.map((chunk) => chunk.choices[0].delta.content);
  const expected = events('openai/chat.sse').filter((chunk) => chunk.choices.length);
  assert.deepEqual(text, expected.map((chunk) => chunk.choices[0].delta.content));
  assert.deepEqual((await only('openai')).body, { ...asked, stream: true, stream_options: { include_usage: true } });
});

test('chat stream, usage asked for', async () => {
  const body = { ...asked, stream: true, stream_options: { include_usage: true } };
  const chunks = await collect(await client.chat.completions.create(body));
  assert.deepEqual(chunks, events('openai/chat.sse'));
  assert.deepEqual((await only('openai')).body, body);
});

test('chat tool call', async () => {
  const answer = await client.chat.completions.create({ ...asked, tools });
  assert.deepEqual(answer, document('openai/chat-tools.json'));
  assert.deepEqual((await only('openai')).body, { ...asked, tools });
});

test('chat tool call stream', async () => {
  const stream = client.chat.completions.stream({ ...asked, tools });
  const answer = await stream.finalChatCompletion();
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, 'get_weather');
  assert.deepEqual(JSON.parse(call.function.arguments), weather);
});

test('response', async () => {
  const answer = await client.responses.create(responseAsked);
  assert.equal(answer.output_text, 'The capital of France is Paris.');
  assert.deepEqual(received(answer), document('openai/responses.json'));
  const sent = await only('openai');
  assert.equal(sent.path, '/v1/responses');
  assert.deepEqual(sent.body, responseAsked);
});

test('response stream', async () => {
  const stream = await client.responses.create({ ...responseAsked, stream: true });
  assert.deepEqual(await collect(stream), events('openai/responses.sse'));
});

test('response tool call', async () => {
  const answer = await client.responses.create({ ...responseAsked, tools: responseTools });
  assert.deepEqual(received(answer), document('openai/responses-tools.json'));
});

test('response tool call stream', async () => {
  const stream = client.responses.stream({ ...responseAsked, tools: responseTools });
  const deltas = (await collect(stream)).filter((event) => event.type === 'response.function_call_arguments.delta');
  assert.deepEqual(JSON.parse(deltas.map((event) => event.delta).join('')), weather);
  assert.deepEqual(JSON.parse((await stream.finalResponse()).output.at(-1).arguments), weather);
});

test('embeddings', async () => {
  const answer = await client.embeddings.create({ model: 'text-embedding-3-small', input: ['one', 'two'] });
  assert.deepEqual(answer, document('openai/embeddings.json'));
});

test('file upload', async () => {
  const file = await toFile(Buffer.from('a file, of some 24 bytes'), 'notes.txt');
  assert.deepEqual(await client.files.create({ file, purpose: 'user_data' }), document('openai/files.json'));
  const sent = await only('openai');
  assert.equal(sent.path, '/v1/files');
  assert.match(sent.body, /filename="notes.txt"[^]*a file, of some 24 bytes/);
});

test('models', async () => {
  const listed = (await collect(client.models.list())).map((model) => model.id);
  assert.ok(listed.includes(asked.model), listed.join());
});

test('native prefixes', async () => {
  assert.deepEqual(await connect('/openai/v1').chat.completions.create(asked), document('openai/chat.json'));
  const groq = await connect('/groq/openai/v1').chat.completions.create({ ...asked, model: 'llama-3.3-70b-versatile' });
  assert.deepEqual(groq, document('groq/chat.json'));
  assert.deepEqual((await requests()).map((seen) => seen.path), ['/v1/chat/completions', '/openai/v1/chat/completions']);
});

for (const [status, kind] of [
  [400, OpenAI.BadRequestError],
  [429, OpenAI.RateLimitError],
  [500, OpenAI.InternalServerError],
]) {
  for (const stream of [false, true]) {
    test(`provider error ${status}, stream ${stream}`, async () => {
      const asking = client.chat.completions.create({ ...asked, model: `openai/fail-${status}`, stream });
      const caught = await rejection(asking, kind);
      assert.equal(caught.status, status);
      assert.deepEqual(caught.error, error('openai', status).error);
    });
  }
}

test('unknown model', async () => {
  const asking = client.chat.completions.create({ ...asked, model: 'no-such-model' });
  const caught = await rejection(asking, OpenAI.NotFoundError);
  assert.equal(caught.code, 'model_not_found');
  assert.match(caught.message, /no-such-model/);
  assert.deepEqual(await requests(), []);
});

test('wrong key', async () => {
  const asking = connect('/v1', 'tg-not-a-key').chat.completions.create(asked);
  const caught = await rejection(asking, OpenAI.AuthenticationError);
  assert.equal(caught.code, 'invalid_api_key');
  assert.deepEqual(await requests(), []);
});
