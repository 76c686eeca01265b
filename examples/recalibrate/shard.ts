/** Statistics of one shard of the training images, by a network whose parameters are frozen. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { encodeMoments, momentsOf } from 'batchnorm-wasm';
import { partOf } from '../data-parallel/batches.js';
import { Network } from '../data-parallel/network.js';
import { type Dataset, readDataset } from '../mnist/dataset.js';

const BATCH = 60;

/** The network that is recalibrated, and how its data set is divided. Written by the coordinator, read by every worker. */
export interface Plan {
  readonly images: number;
  readonly shards: number;
  /** Where the parameters are. */
  readonly file: string;
}

export function saveNetwork(network: Network, file: string): void {
  writeFileSync(file, Buffer.concat(network.state().map(({ buffer }) => new Uint8Array(buffer))));
}

export function loadNetwork(file: string): Network {
  const network = new Network('float32'), bytes = Uint8Array.from(readFileSync(file));
  let offset = 0;
  for (const array of network.state()) {
    array.set(new Float32Array(bytes.buffer, offset, array.length));
    offset += array.byteLength;
  }
  return network;
}

/** What a worker does for a shard: one pass over its batches gives the moments of all layers, a row for each batch. */
export function workerOf({ images, shards, file }: Plan): (shard: number) => Uint8Array {
  const network = loadNetwork(file), dataset: Dataset = readDataset('train');
  return (shard) => {
    const start = Math.floor((images * shard) / shards), end = Math.floor((images * (shard + 1)) / shards);
    const rows = [];
    for (let from = start; from < end; from += BATCH) {
      const batch = Uint32Array.from({ length: Math.min(BATCH, end - from) }, (_, i) => from + i);
      network.observe(partOf(dataset, batch, 'float32').images);
      rows.push(network.norms.map((bn) => momentsOf(bn.context!)));
    }
    return encodeMoments(rows);
  };
}

/** Of all parameters and running statistics. */
export function hashOf(network: Network): string {
  const hash = createHash('sha256');
  for (const array of network.state()) hash.update(array);
  return hash.digest('hex').slice(0, 16);
}
