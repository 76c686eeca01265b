/** The gradient of max pooling. NHWC. */
import type { Window } from './window.js';

/**
 * dx of x [N, H, W, C] and dy: what each window gives goes to the first of its largest values, in rows from left to right. A loop,
 * since operations of tfjs would need about ten passes for every place in the window.
 *
 * @param shape - of x
 */
export function maxPoolGradient(x: Float32Array, dy: Float32Array, shape: readonly number[], [rows, columns]: Window): Float32Array {
  const [samples, height, width, channels] = shape as [number, number, number, number];
  const dx = new Float32Array(x.length), largest = new Float32Array(channels), places = new Int32Array(channels);
  let output = 0;
  for (let sample = 0; sample < samples; sample++) {
    for (let row = 0; row < rows.outputs; row++) {
      const top = row * rows.stride - rows.before, bottom = Math.min(height, top + rows.taps);
      for (let column = 0; column < columns.outputs; column++) {
        const left = column * columns.stride - columns.before, right = Math.min(width, left + columns.taps);
        largest.fill(Number.NEGATIVE_INFINITY);
        places.fill(-1);
        for (let i = Math.max(0, top); i < bottom; i++) {
          for (let j = Math.max(0, left); j < right; j++) {
            const start = ((sample * height + i) * width + j) * channels;
            for (let c = 0; c < channels; c++) {
              const value = x[start + c]!;
              if (!(value > largest[c]!)) continue;
              largest[c] = value;
              places[c] = start + c;
            }
          }
        }
        for (let c = 0; c < channels; c++, output++) if (places[c]! >= 0) dx[places[c]!]! += dy[output]!;
      }
    }
  }
  return dx;
}
