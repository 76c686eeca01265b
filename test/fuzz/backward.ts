/** A backward of a scenario: the call, and what it is held to. */
import { addGradientSums, type Floats, type Gradients, type Tensor } from '../../src/index.js';
import { distanceOf, ofD, ofGradients, SMALLEST } from './bounds.js';
import { copy, hold, holdClose, NOTHING, type Outcome, sameNumbers } from './laws.js';
import type { Placed } from './machine.js';
import { gradientsOf } from './oracle.js';
import type { Backward } from './scenario.js';
import type { Past, Subject } from './subject.js';

/** @param draw - dy for a forward */
export function backward(subject: Subject, step: Backward, draw: (past: Past) => Float64Array): Outcome {
  const { bn } = subject, past = subject.past.at(-1 - step.context);
  if (past === undefined) {
    if (subject.past.length > 0) return NOTHING;
    return subject.refused(() => bn.backward(subject.place([1, 1], [2, 1]).value as Float32Array), 'backward before forward');
  }
  const { shape } = past.batch.sizes, dy = draw(past), [n = 0, ...rest] = shape, cut = Math.ceil(n / 3), each = n === 0 ? 0 : dy.length / n;
  const ranges = past.contexts.length === 1 ? [[0, n]] as const : [[0, cut], [cut, n]] as const;
  const parts = ranges.map(([start, end]): Part => {
    const values = dy.subarray(start * each, end * each), own = [end - start, ...rest], placed = subject.place(values, own, 1);
    const given = step.out === 'given' ? subject.place(new Float64Array(values.length).fill(9), own) : null;
    return { from: start * each, dy: placed, out: step.out === 'dy' ? placed : given };
  });
  if (!past.kept) return subject.refused(() => run(subject, step, past, parts), 'backward of a forward that wrote over x');
  const all = run(subject, step, past, parts), { dweight, dbias } = all[0]!;
  for (const other of all) hold(sameNumbers(dweight, other.dweight) && sameNumbers(dbias, other.dbias), () => 'parts have the parameter gradients of the whole');
  const dx = copy(past.y)!, dresidual = past.step.residual ? copy(past.y) : null;
  all.forEach((gradients, i) => {
    const { from, dy: placed, out } = parts[i]!;
    hold(out === null || gradients.dx === out.value, () => 'out is returned');
    hold((gradients.dresidual !== null) === past.step.residual, () => 'dresidual is there where there was a residual');
    dx.set(subject.numbersOf(gradients.dx, out), from);
    if (gradients.dresidual) dresidual!.set(subject.numbersOf(gradients.dresidual, null), from);
    if (out !== placed) hold(sameNumbers(placed.read(), dy.subarray(from, from + placed.read().length)), () => 'dy is left as it is');
  });
  hold((dweight !== null) === (step.parameters && bn.weight !== null), () => 'dweight is there where it is asked for and there is a weight');
  hold((dbias !== null) === (step.parameters && bn.bias !== null), () => 'dbias is there where it is asked for and there is a bias');
  if (!subject.machine.tensors) checkGradients(subject, past, dy, { dx, dresidual, dweight, dbias });
  return { refused: null, numbers: [dx, dresidual, dweight, dbias] };
}

interface Part {
  readonly from: number;
  readonly dy: Placed;
  readonly out: Placed | null;
}

type Made = Gradients<Floats | Tensor, Floats | null, Floats | null>;

/** One backward, or those of two parts through the statistics of both. */
function run({ bn }: Subject, { parameters }: Backward, { contexts }: Past, parts: readonly Part[]): Made[] {
  const optionsOf = (i: number) => ({ context: contexts[i]!, parameters, ...(parts[i]!.out && { out: parts[i]!.out!.value as Float32Array }) });
  const valuesOf = ({ dy }: Part) => dy.value as Float32Array;
  if (parts.length === 1) return [bn.backward(valuesOf(parts[0]!), optionsOf(0)) as Made];
  const sums = addGradientSums(...parts.map((part, i) => bn.backwardSums(valuesOf(part), { context: contexts[i]! })));
  return parts.map((part, i) => bn.backwardWith(sums, valuesOf(part), optionsOf(i)) as Made);
}

function checkGradients(
  { layer: { dtype, activation } }: Subject, { batch, plan, y, weight }: Past, dy: Float64Array,
  { dx, dresidual, dweight, dbias }: Gradients<Floats, Floats | null, Floats | null>,
): void {
  const { sizes, mask, openPlaces, open } = batch, smallest = 100 * SMALLEST[dtype];
  sizes.places.forEach((own, c) => {
    const channel = plan.channels[c], places = openPlaces[c]!, x = open[c]!;
    if (mask) {
      own.forEach((place, m) => {
        if (mask[m] === 0) hold(dx[place] === 0 && (dresidual?.[place] ?? 0) === 0, () => 'what is masked has no gradient');
      });
    }
    if (!channel || !x.every(Number.isFinite)) return;
    // The sign of what the ReLU was given is that of y, whose rounding is not at issue here.
    const g = Float64Array.from(places, (place) => (activation === 'relu' && !(y[place]! > 0) ? 0 : dy[place]!));
    const close = ofGradients(dtype, plan.mode === 'batch' ? distanceOf(channel.mean, channel.variance) : 0);
    const expected = gradientsOf(channel, plan.mode, x, g, weight?.[c] ?? 1);
    places.forEach((place, i) => {
      if (dresidual) hold(dresidual[place] === g[i], () => `dresidual is dy behind the activation, ${g[i]}, got ${dresidual[place]}`);
      holdClose(() => `dx of channel ${c} (mean ${channel.mean}, variance ${channel.variance})`, dx[place]!, expected.dx[i]!, close * expected.scale[i]! + smallest);
    });
    if (dweight) holdClose(() => `dweight of channel ${c}`, dweight[c]!, expected.dweight, close * expected.dweightScale + ofD(dtype, channel) * expected.dbiasScale + smallest);
    if (dbias) holdClose(() => `dbias of channel ${c}`, dbias[c]!, expected.dbias, close * expected.dbiasScale + smallest);
  });
}
