import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic, { toFile } from '@anthropic-ai/sdk';
import { collect, document, error, events, gateway, key, only, rejection, requests } from './harness.mjs';

const connect = (path = '', apiKey = key) => new Anthropic({ baseURL: gateway + path, apiKey, maxRetries: 0, timeout: 20_000 });
const client = connect();

const asked = {
  model: 'claude-sonnet-5',
  max_tokens: 1024,
  system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
  messages: [{ role: 'user', content: 'What is the capital of France? Ça va, 🗼?' }],
};
const tools = [{ name: 'get_weather', input_schema: { type: 'object', properties: {} } }];
const weather = { city: 'Paris', unit: 'celsius' };
const withoutPings = (stream) => stream.filter((event) => event.type !== 'ping');

test('message', async () => {
  const answer = await client.messages.create(asked);
  assert.deepEqual(answer, document('anthropic/messages.json'));
  assert.equal(answer._request_id, 'req_011CXyFyWU4ACDSuMoZCT2Po');
  const sent = await only('anthropic');
  assert.equal(sent.path, '/v1/messages');
  assert.match(sent.headers['anthropic-version'], /^20\d\d-\d\d-\d\d$/);
  assert.deepEqual(sent.body, asked);
});

test('native prefix', async () => {
  assert.deepEqual(await connect('/anthropic').messages.create(asked), document('anthropic/messages.json'));
  assert.equal((await only('anthropic')).path, '/v1/messages');
});

test('message stream', async () => {
  const stream = await client.messages.create({ ...asked, stream: true });
  assert.deepEqual(withoutPings(await collect(stream)), withoutPings(events('anthropic/messages.sse')));
  assert.deepEqual((await only('anthropic')).body, { ...asked, stream: true });
});

test('accumulated stream', async () => {
  const texts = [];
  const stream = client.messages.stream(asked).on('text', (text) => texts.push(text));
  const answer = await stream.finalMessage();
  assert.deepEqual(texts, ['The', ' capital', ' of', ' France', ' is', ' Paris', '.']);
  assert.deepEqual([answer.usage.cache_read_input_tokens, answer.usage.output_tokens], [900, 15]);
});

test('tool use', async () => {
  const answer = await client.messages.create({ ...asked, tools });
  assert.deepEqual(answer, document('anthropic/messages-tools.json'));
  assert.deepEqual((await only('anthropic')).body, { ...asked, tools });
});

test('tool use stream', async () => {
  const answer = await client.messages.stream({ ...asked, tools }).finalMessage();
  const block = answer.content.at(-1);
  assert.deepEqual([block.type, block.name, block.input], ['tool_use', 'get_weather', weather]);
  assert.equal(answer.stop_reason, 'tool_use');
});

test('count tokens', async () => {
  const { max_tokens, ...counted } = asked;
  assert.equal((await client.messages.countTokens(counted)).input_tokens, 17);
  const sent = await only('anthropic');
  assert.equal(sent.path, '/v1/messages/count_tokens');
  assert.deepEqual(sent.body, counted);
});

test('file upload', async () => {
  const file = await toFile(Buffer.from('a file, of some 24 bytes'), 'notes.txt', { type: 'text/plain' });
  const answer = await (client.files ?? client.beta.files).upload({ file });
  assert.deepEqual(answer, document('anthropic/files.json'));
  const sent = await only('anthropic');
  assert.equal(sent.path, '/v1/files');
  assert.match(sent.body, /filename="notes.txt"[^]*a file, of some 24 bytes/);
});

test('models', async () => {
  const listed = (await collect(client.models.list())).map((model) => model.id);
  assert.ok(listed.includes(asked.model), listed.join());
});

for (const [status, kind] of [
  [400, Anthropic.BadRequestError],
  [429, Anthropic.RateLimitError],
  [500, Anthropic.InternalServerError],
]) {
  for (const stream of [false, true]) {
    test(`provider error ${status}, stream ${stream}`, async () => {
      const asking = client.messages.create({ ...asked, model: `anthropic/fail-${status}`, stream });
      const caught = await rejection(asking, kind);
      assert.equal(caught.status, status);
      assert.deepEqual(caught.error, error('anthropic', status));
    });
  }
}

test('unknown model', async () => {
  const asking = client.messages.create({ ...asked, model: 'no-such-model' });
  const caught = await rejection(asking, Anthropic.NotFoundError);
  assert.equal(caught.error.error.type, 'not_found_error');
  assert.match(caught.message, /no-such-model/);
  assert.deepEqual(await requests(), []);
});

test('wrong key', async () => {
  const caught = await rejection(connect('', 'tg-not-a-key').messages.create(asked), Anthropic.AuthenticationError);
  assert.equal(caught.error.error.type, 'authentication_error');
  assert.deepEqual(await requests(), []);
});
