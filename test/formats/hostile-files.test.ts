/** Files that are made to cost much: each is read or refused in bounded time and memory, with a short message. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import {
  BatchNorm, decodeMoments, layersFromCaffe, layersFromFlax, layersFromKeras, layersFromOnnx, layersFromSafetensors, layersFromTorch, loadSafetensors,
  readSafetensors,
} from '../../src/index.js';

/** Promised is one second, on a machine that does nothing else; the heap is held to what is promised. */
const SECONDS = 3, MEGABYTES = 100;
const MEGABYTE = 2 ** 20;

/** A safetensors file of a header that may be longer than a string can be joined in a hurry: a part again and again. */
function file(part: (i: number) => string, count: number, [start, end] = ['{', '}']): Uint8Array {
  const encoder = new TextEncoder(), chunks: Uint8Array[] = [];
  for (let i = 0; i < count; i += 1000) {
    const parts = Array.from({ length: Math.min(1000, count - i) }, (_, j) => part(i + j)).join(',');
    chunks.push(encoder.encode((i === 0 ? start : ',') + parts));
  }
  chunks.push(encoder.encode(end));
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0), bytes = new Uint8Array(8 + length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  let at = 8;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

const empty = (name: string) => `"${name}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`;
const long = 'x'.repeat(15 * MEGABYTE);

interface Cost {
  readonly message: string;
  readonly seconds: number;
}

/** Runs a call, and gives its message and its time. */
function costOf(call: () => unknown): Cost {
  const start = performance.now();
  let message = '';
  try {
    call();
  } catch (error) {
    ({ message } = error as Error);
  }
  return { message, seconds: (performance.now() - start) / 1000 };
}

/** Reads a file with the package as it ships, in a thread that dies where its heap grows beyond the promise. */
async function costOfReading(bytes: Uint8Array): Promise<Cost> {
  const code = `
    const { parentPort, workerData: { path, bytes } } = require('node:worker_threads');
    const { readSafetensors } = require(path);
    parentPort.postMessage((${costOf})(() => readSafetensors(bytes)));`;
  const path = fileURLToPath(new URL('../../dist/cjs/index.js', import.meta.url));
  const worker = new Worker(code, { eval: true, workerData: { path, bytes }, resourceLimits: { maxOldGenerationSizeMb: MEGABYTES } });
  const [cost] = await once(worker, 'message') as [Cost];
  await worker.terminate();
  return cost;
}

describe('a safetensors file', () => {
  it.each<[string, () => Uint8Array, RegExp]>([
    ['of a header of 100 MB with 1.8 million empty tensors', () => file((i) => empty(`t${i}`), 1_800_000), /^The header expected 16777216 bytes at most, got \d+$/],
    ['of as many empty tensors as fit', () => file((i) => empty(`t${i}`), 280_000), /^The header expected 262144 names at most, got more$/],
    ['of 65,536 empty tensors', () => file((i) => empty(`t${i}`), 65_536), /^$/],
    ['of two million names', () => file((i) => `"${i.toString(36)}":0`, 1_500_000), /^The header expected 262144 names at most, got more$/],
    ['of two million names in the metadata', () => file((i) => `"${i.toString(36)}":""`, 1_200_000, ['{"__metadata__":{', '}}']),
      /^The header expected 262144 names at most, got more$/],
    ['of eight million numbers in a shape', () => file(() => '1', 8_000_000, ['{"a":{"shape":[', ']}}']),
      /^The header expected 1048576 values at most, got more$/],
    ['of five million empty arrays', () => file(() => '[]', 5_000_000, ['{"a":[', ']}']), /^The header expected 1048576 values at most, got more$/],
    ['of a name of 15 MB, twice', () => file(() => empty(long.slice(0, 7 * MEGABYTE)), 2), /^The header expected every name once, got "x{100}\.\.\. \(7340032 characters\)" twice$/],
    ['of a name of 15 MB without a dtype', () => file(() => `"${long}":{}`, 1), /^"x{100}\.\.\. \(15728640 characters\)" expected a dtype, got undefined$/],
    ['of a dtype of 15 MB', () => file(() => `"a":{"dtype":"${long}"}`, 1), /^"a" expected a dtype of .*, got x{100}\.\.\. \(15728640 characters\)$/],
    ['of a shape of a million dimensions', () => file(() => '-1', 1_000_000, ['{"a":{"dtype":"F32","shape":[', ']}}']),
      /^"a": "shape" expected non-negative integers with a product below 2\^53, got \[-1, .{0,100}\.\.\. \(\d+ characters\)$/],
    ['of a header of 15 MB of brackets', () => file(() => '['.repeat(15 * MEGABYTE), 1), /^The header expected 64 levels at most, got more$/],
    ['of a header of 15 MB that is not JSON', () => file(() => long, 1), /^The header expected JSON in UTF-8, got .{1,140}$/],
    ['of 15 MB of metadata', () => file(() => `"a":"${long}"`, 1, ['{"__metadata__":{', '}}']), /^$/],
  ])('%s costs little', async (_, make, message) => {
    const cost = await costOfReading(make());
    expect(cost.message).toMatch(message);
    expect(cost.seconds).toBeLessThan(SECONDS);
  });

  it('that has been detached is named', () => {
    for (const bytes of [new ArrayBuffer(64), new Uint8Array(64)]) {
      const buffer = bytes instanceof ArrayBuffer ? bytes : bytes.buffer as ArrayBuffer;
      structuredClone(buffer, { transfer: [buffer] });
      for (const call of [readSafetensors, layersFromSafetensors, (of: typeof bytes) => loadSafetensors({}, of)]) {
        expect(() => call(bytes)).toThrow(TypeError);
        expect(() => call(bytes)).toThrow('"bytes" expected bytes, got a buffer that has been detached');
      }
    }
  });
});

describe('another file', () => {
  const detached = () => {
    const bytes = new Uint8Array(64);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    return bytes;
  };

  it.each<[string, () => unknown, string]>([
    ['moments', () => decodeMoments(detached()), '"bytes" expected bytes, got a buffer that has been detached'],
    ['weights of TensorFlow.js', () => layersFromKeras({ weightSpecs: [], weightData: detached() }), '"weightData" expected bytes, got a buffer that has been detached'],
  ])('of %s that has been detached is named', (_, call, message) => {
    expect(call).toThrow(message);
  });

  it.each<[string, () => unknown]>([
    ['PyTorch', () => layersFromTorch({ [long]: [1] })],
    ['PyTorch with a layer of a long name', () => layersFromTorch({ [`${long}.running_mean`]: [1], [`${long}.running_var`]: [-1] })],
    ['Keras', () => layersFromKeras({ [long]: [1] })],
    ['Flax', () => layersFromFlax({ batch_stats: { [long]: [1] } })],
    ['ONNX', () => layersFromOnnx({ node: [{ op_type: long }] })],
    ['Caffe', () => layersFromCaffe([{ type: long }])],
    ['a state dictionary', () => new BatchNorm(1).loadStateDict({ [long]: [1] })],
    ['an option', () => new BatchNorm(1, { [long]: 1 } as never)],
  ])('with a name of 15 MB is refused in few words: %s', (_, call) => {
    const { message, seconds } = costOf(call);
    expect(message).toMatch(/expected/);
    expect(message.length).toBeLessThan(700);
    expect(seconds).toBeLessThan(SECONDS);
  });

  it.each<[string, (deep: unknown) => unknown]>([
    ['Keras', (deep) => layersFromKeras(deep as never)],
    ['the model of Keras', (deep) => layersFromKeras({ a: [1] }, { model: deep })],
    ['Flax', (deep) => layersFromFlax(deep as never)],
  ])('with 100,000 levels is refused: %s', (_, call) => {
    let deep: unknown = [1];
    for (let i = 0; i < 100_000; i++) deep = { layers: [], config: { layers: [deep] }, a: deep };
    expect(() => call(deep)).toThrow(/expected 64 levels at most, got more$/);
  });

  it.each<[string, () => unknown]>([
    ['Caffe', () => layersFromCaffe(Array.from({ length: 100_000 }, (_, i) => ({ type: 'BatchNorm', name: `bn${i}`, top: ['same'], bottom: [`b${i}`] })))],
    ['Keras', () => {
      const layers = Array.from({ length: 30_000 }, (_, i) => ({ class_name: 'BatchNormalization', config: { name: `bn${i}` } }));
      const weights = Object.fromEntries(layers.map((_, i) => [`bn${i}/a`, [1]]));
      return layersFromKeras(weights, { model: { config: { layers } } });
    }],
  ])('of many layers takes time in proportion: %s', (_, call) => {
    const { message, seconds } = costOf(call);
    expect(message).toMatch(/expected/);
    expect(seconds).toBeLessThan(SECONDS);
  });
});
