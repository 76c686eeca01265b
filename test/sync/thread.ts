/** A rank in a thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { broadcastGroup } from '../../src/sync/index.js';
import { train } from './training.js';

const { hang, ...options } = workerData as { run: string; rank: number; size: number; timeout: number; hang: boolean };
const group = await broadcastGroup(options);
try {
  const result = await train(group);
  if (hang) process.exit();
  await group.allGather(new Uint8Array(1));
  parentPort!.postMessage(result);
} catch (error) {
  parentPort!.postMessage((error as Error).message);
}
group.close();
