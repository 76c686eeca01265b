/** tfjs with both backends, and batch norm over any axis as an oracle in f64. */
import * as core from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { differentiate, normalise } from '../oracle.js';
import { sizeOf } from '../setup.js';

/** The folder of the backend's wasm files, which Node reads and a browser fetches. */
const here = import.meta.url, files = new URL('../../node_modules/@tensorflow/tfjs-backend-wasm/dist/', here);
setWasmPaths(files.protocol === 'file:' ? decodeURIComponent(files.pathname) : files.href);

/** What users pass: both namespaces in one. */
export const tf = { ...core, ...layers };

export const BACKENDS = ['wasm', 'cpu'] as const;

/** The indices of the values of each channel along an axis. */
export function placesOn(shape: readonly number[], axis: number): number[][] {
  const at = axis < 0 ? axis + shape.length : axis, channels = shape[at]!;
  const inner = sizeOf(shape.slice(at + 1));
  const places: number[][] = Array.from({ length: channels }, () => []);
  for (let i = 0; i < sizeOf(shape); i++) places[Math.floor(i / inner) % channels]!.push(i);
  return places;
}

export interface Case {
  readonly shape: readonly number[];
  readonly axis: number;
  readonly eps: number;
  readonly x: ArrayLike<number>;
  readonly gamma?: ArrayLike<number> | undefined;
  readonly beta?: ArrayLike<number> | undefined;
  readonly mean?: ArrayLike<number> | undefined;
  readonly variance?: ArrayLike<number> | undefined;
}

/** y, mean, variance and, for a dy, all gradients. */
export function oracle({ shape, axis, eps, x, gamma, beta, mean, variance }: Case, dy?: ArrayLike<number>) {
  const places = placesOn(shape, axis), size = sizeOf(shape);
  const result = {
    y: new Array<number>(size), mean: [] as number[], variance: [] as number[],
    dx: new Array<number>(size), dgamma: [] as number[], dbeta: [] as number[],
  };
  places.forEach((own, c) => {
    const values = own.map((place) => x[place]!), weight = gamma?.[c] ?? 1;
    const given = mean && variance ? { mean: mean[c]!, variance: variance[c]! } : undefined;
    const channel = normalise(values, weight, beta?.[c] ?? 0, eps, given);
    result.mean.push(channel.mean);
    result.variance.push(channel.variance);
    own.forEach((place, i) => { result.y[place] = channel.y[i]!; });
    if (!dy) return;
    const dys = own.map((place) => dy[place]!), mode = given ? 'running' : 'batch';
    const back = differentiate(dys, values, weight, channel.mean, channel.variance, eps, mode);
    own.forEach((place, i) => { result.dx[place] = back.dx[i]!; });
    result.dgamma.push(back.dweight);
    result.dbeta.push(back.dbias);
  });
  return result;
}
