// The models of other dialects that are played for these suites, and what they are asked.
import assert from 'node:assert/strict';
import { requests } from './harness.mjs';

/** What they are asked, by scenario, and each model: its name, its provider, its seals and its usage. */
export const { questions, targets, otherKey, keys } = JSON.parse(process.env.TARGETS);
export const answer = 'The capital of France is Paris.';
export const weather = { Paris: '18 degrees', Rome: '23 degrees' };

/** The key of an organisation of which the gateway remembers nothing. */
export const freshKey = () => keys.pop() ?? assert.fail('there are more conversations than keys');

/** The conversation of the last request. */
export const told = async () => {
  const { conversation } = (await requests()).at(-1);
  const kept = conversation.filter((one) => one.kind !== 'thought' && one.role !== 'system');
  return kept.map((one) => [one.kind, one.text ?? one.data ?? one.args]);
};

/** The last request of a loop of tools tells the target everything, with its own seals. */
export const looped = async (target) => {
  const turns = Object.entries(weather).map(([city, degrees], at) => [
    ['seal', target.seals[at]],
    ['call', { city }],
    ['result', degrees],
  ]);
  assert.deepEqual(await told(), [['text', questions.think], ...turns.flat()]);
};
