/** The nonlinearities; they write into given arrays. */
export type Activation = 'sigmoid' | 'tanh' | 'relu';

/** h = f(y) */
export function activate(kind: Activation, h: Float32Array, y: Float32Array, length: number): void {
  if (kind === 'sigmoid') for (let i = 0; i < length; i++) h[i] = 1 / (1 + Math.exp(-y[i]!));
  else if (kind === 'tanh') for (let i = 0; i < length; i++) h[i] = Math.tanh(y[i]!);
  else for (let i = 0; i < length; i++) h[i] = Math.max(y[i]!, 0);
}

/** g *= f'(y), computed from h = f(y). */
export function differentiate(kind: Activation, g: Float32Array, h: Float32Array, length: number): void {
  if (kind === 'sigmoid') for (let i = 0; i < length; i++) g[i]! *= h[i]! * (1 - h[i]!);
  else if (kind === 'tanh') for (let i = 0; i < length; i++) g[i]! *= 1 - h[i]! * h[i]!;
  else for (let i = 0; i < length; i++) if (h[i] === 0) g[i] = 0;
}
