/** Calls that must be refused. */
import { BatchNorm, type Floats } from '../../src/index.js';
import type { Machine, Placed } from './machine.js';

export const MISTAKES = [
  'x shorter', 'x of the other dtype', 'x null', 'x that is a proxy', 'x that is detached when an option is read', 'rank 1', 'fraction in shape',
  'other channels', 'mask shorter', 'mask of floats', 'unknown option', 'out shorter', 'overlapping out', 'residual shorter', 'updateStats 1',
  'dy longer', 'context of another layer', 'state without a name', 'state with a variance below 0', 'momentum for train',
] as const;
export type Mistake = (typeof MISTAKES)[number];

/** Makes the mistake. Its arguments are right but for one. */
export function make(mistake: Mistake, bn: BatchNorm, { tensors, place, runtime }: Machine): unknown {
  const { channels, dtype } = bn, shape = [3, channels], size = 3 * channels, placed: Placed[] = [];
  const values = (n = size, type = dtype, of = n === size ? shape : [n]) => {
    const made = place(type, new Float64Array(n).fill(0.5), of);
    placed.push(made);
    return made.value as Float32Array;
  };
  const forward = (x: unknown, options: object = {}, of: unknown = shape) =>
    tensors ? bn.forward(x as never, options as never) : bn.forward(x as never, of as never, options as never);
  const plain = () => new (dtype === 'float32' ? Float32Array : Float64Array)(size);
  try {
    switch (mistake) {
      case 'x shorter': return forward(values(size - 1));
      case 'x of the other dtype': return forward(values(size, dtype === 'float32' ? 'float64' : 'float32'));
      case 'x null': return bn.forward(null as never, shape);
      case 'x that is a proxy': return bn.forward(new Proxy(values(), {}), shape);
      case 'x that is detached when an option is read': {
        const x = plain() as Float32Array;
        return bn.forward(x, shape, { get updateStats() {
          structuredClone(x.buffer, { transfer: [x.buffer] });
          return true;
        } });
      }
      case 'rank 1': return forward(values(size, dtype, [size]), {}, [size]);
      case 'fraction in shape': return tensors ? runtime.tensor([1.5, 2]) : forward(values(), {}, [1.5, channels]);
      case 'other channels': return forward(values(3 * channels + 3, dtype, [3, channels + 1]), {}, [3, channels + 1]);
      case 'mask shorter': return forward(values(), { mask: new Uint8Array(2) });
      case 'mask of floats': return forward(values(), { mask: new Float32Array(3) });
      case 'unknown option': return forward(values(), { inplace: true });
      case 'out shorter': return forward(values(), { out: values(size - 1) });
      case 'overlapping out': {
        const whole = new (dtype === 'float32' ? Float32Array : Float64Array)(size + 1);
        return bn.forward(whole.subarray(0, size) as Float32Array, shape, { out: whole.subarray(1) as Float32Array });
      }
      case 'residual shorter': return forward(values(), { residual: values(size - 1) });
      case 'updateStats 1': return forward(values(), { updateStats: 1 });
      case 'dy longer': return bn.backward(values((bn.context?.mean.length ?? 1) * 7919));
      case 'context of another layer': {
        const other = new BatchNorm(channels, { dtype, runtime }), x = values();
        other.forward(x as never, (tensors ? { out: x } : shape) as never);
        return bn.backward(values(), { context: other.context! });
      }
      case 'state without a name': return bn.loadStateDict({ ...bn.stateDict(), stranger: [1] });
      case 'state with a variance below 0': {
        const state: Record<string, Floats | number> = bn.stateDict();
        return bn.loadStateDict({ ...state, running_var: new Float64Array(channels).fill(-1) });
      }
      case 'momentum for train': return bn.train(0.1 as never);
    }
  } finally {
    for (const one of placed) one.release();
  }
}
