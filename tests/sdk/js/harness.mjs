// What the JavaScript suites share: where the gateway is, what its providers saw and what they answer.
import { readFileSync } from 'node:fs';
import assert from 'node:assert/strict';
import { beforeEach } from 'node:test';

const env = (name) => {
  const value = process.env[name];
  assert.ok(value, `${name} is not set`);
  return value;
};
export const gateway = env('GATEWAY_URL');
export const key = env('GATEWAY_KEY');
const provider = env('PROVIDER_URL');

const read = (name) => readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8');
export const document = (name) => JSON.parse(read(name));
export const error = (name, status) => document(`${name}/errors.json`)[status];
export const events = (name) =>
  read(name)
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice(6)));

/** Everything that went up since the test began. */
export const requests = async () => (await fetch(`${provider}/__requests`)).json();

/** The one request that went up; it went to this provider. */
export const only = async (name) => {
  const seen = await requests();
  assert.deepEqual(seen.map((one) => one.provider), [name]);
  return seen[0];
};

/** All that an async iterable yields. */
export const collect = async (stream) => {
  const all = [];
  for await (const one of stream) all.push(one);
  return all;
};

/** What a promise was rejected with; it is an error of this class. */
export const rejection = async (promise, kind) => {
  const caught = await promise.then(() => assert.fail('nothing was thrown'), (reason) => reason);
  assert.ok(caught instanceof kind, caught);
  return caught;
};

beforeEach(async () => {
  await fetch(`${provider}/__reset`, { method: 'POST' });
});
