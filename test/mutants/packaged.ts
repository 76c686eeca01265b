/** The kernel module of a trial, in place of the packaged one. */
import { workerData } from 'node:worker_threads';

const bytes: Uint8Array<ArrayBuffer> = workerData.kernels, compiled = new WebAssembly.Module(bytes);

export const packaged = () => compiled;
export const packagedBytes = () => bytes;
