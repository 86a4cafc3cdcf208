import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, GoogleGenAI } from '@google/genai';
import { collect, document, error, events, gateway, key, only, rejection, requests } from './harness.mjs';

const connect = (path = '', apiKey = key, apiVersion = undefined) =>
  new GoogleGenAI({ apiKey, apiVersion, vertexai: false, httpOptions: { baseUrl: gateway + path, timeout: 20_000 } });
const client = connect();

const model = 'gemini-2.5-flash';
const question = 'What is the capital of France? Ça va, 🗼?';
const contents = [{ parts: [{ text: question }], role: 'user' }];
const tools = [{ functionDeclarations: [{ name: 'get_weather', description: 'The weather.' }] }];
const weather = { city: 'Paris', unit: 'celsius' };
const counts = ({ promptTokenCount, candidatesTokenCount, thoughtsTokenCount }) =>
  [promptTokenCount, candidatesTokenCount, thoughtsTokenCount];

test('generate', async () => {
  const answer = await client.models.generateContent({ model, contents: question, config: { temperature: 0.5 } });
  assert.equal(answer.text, 'The capital of France is Paris.');
  assert.deepEqual(answer.candidates, document('gemini/generateContent.json').candidates);
  assert.deepEqual(counts(answer.usageMetadata), [12, 9, 25]);
  const sent = await only('gemini');
  assert.equal(sent.path, `/v1/models/${model}:generateContent`);
  assert.deepEqual(sent.body, { contents, generationConfig: { temperature: 0.5 } });
});

for (const [path, name] of [['/gemini', model], ['', `gemini/${model}`]]) {
  test(`as ${path}/ ${name}`, async () => {
    const answer = await connect(path).models.generateContent({ model: name, contents: question });
    assert.equal(answer.text, 'The capital of France is Paris.');
    assert.equal((await only('gemini')).path, `/v1/models/${model}:generateContent`);
  });
}

test('the older API version', async () => {
  const answer = await connect('', key, 'v1beta').models.generateContent({ model, contents: question });
  assert.equal(answer.text, 'The capital of France is Paris.');
  assert.equal((await only('gemini')).path, `/v1beta/models/${model}:generateContent`);
});

test('generate stream', async () => {
  const chunks = await collect(await client.models.generateContentStream({ model, contents: question }));
  assert.deepEqual(chunks.map((chunk) => chunk.text), ['The', ' capital', ' of', ' France', ' is', ' Paris', '.']);
  assert.deepEqual(counts(chunks.at(-1).usageMetadata), [1100, 8, 31]);
  assert.deepEqual((await only('gemini')).query, { alt: ['sse'] });
});

test('function call', async () => {
  const answer = await client.models.generateContent({ model, contents: question, config: { tools } });
  assert.deepEqual(answer.functionCalls, [{ name: 'get_weather', args: weather }]);
  assert.deepEqual((await only('gemini')).body.tools, tools);
});

test('function call stream', async () => {
  const chunks = await collect(
    await client.models.generateContentStream({ model, contents: question, config: { tools } }),
  );
  assert.deepEqual(chunks.flatMap((chunk) => chunk.functionCalls ?? []), [{ name: 'get_weather', args: weather }]);
  assert.equal(chunks.length, events('gemini/streamGenerateContent-tools.sse').length);
});

test('embeddings', async () => {
  const answer = await client.models.embedContent({ model: 'gemini-embedding-2', contents: 'Some text goes here' });
  assert.deepEqual(answer.embeddings, document('gemini/batchEmbedContents-gemini-embedding-2.json').embeddings);
});

test('count tokens', async () => {
  assert.equal((await client.models.countTokens({ model, contents: question })).totalTokens, 8);
  assert.deepEqual((await only('gemini')).body, { contents });
});

test('file upload', async () => {
  const file = new Blob(['a file, of some 24 bytes'], { type: 'text/plain' });
  const answer = await client.files.upload({ file, config: { displayName: 'notes.txt' } });
  assert.deepEqual([answer.name, answer.state], ['files/lyznmka9w110', 'ACTIVE']);
  const [start, data] = await requests();
  assert.equal(start.headers['x-goog-upload-header-content-length'], '24');
  assert.deepEqual(data.query, { upload_id: ['ABPtcPo1'], upload_protocol: ['resumable'] });
  assert.equal(data.body, 'a file, of some 24 bytes');
});

test('models', async () => {
  const listed = (await collect(await client.models.list())).map((entry) => entry.name);
  assert.ok(listed.includes(`models/${model}`), listed.join());
});

for (const status of [400, 429, 500]) {
  for (const method of ['generateContent', 'generateContentStream']) {
    test(`provider error ${status}, ${method}`, async () => {
      const asking = client.models[method]({ model: `gemini/fail-${status}`, contents: question });
      const caught = await rejection(asking, ApiError);
      assert.equal(caught.status, status);
      assert.deepEqual(JSON.parse(caught.message), error('gemini', status));
    });
  }
}

test('unknown model', async () => {
  const asking = client.models.generateContent({ model: 'no-such-model', contents: question });
  const caught = await rejection(asking, ApiError);
  assert.equal(caught.status, 404);
  assert.match(JSON.parse(caught.message).error.message, /no-such-model/);
  assert.deepEqual(await requests(), []);
});

test('wrong key', async () => {
  const asking = connect('', 'tg-not-a-key').models.generateContent({ model, contents: question });
  const caught = await rejection(asking, ApiError);
  assert.equal(caught.status, 401);
  assert.equal(JSON.parse(caught.message).error.status, 'UNAUTHENTICATED');
  assert.deepEqual(await requests(), []);
});
