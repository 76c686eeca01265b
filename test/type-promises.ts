/** What the declarations promise: code that must compile, strictly and with every TypeScript from 5.0 on. */

/** The start of each: `same` takes true where two types are one. */
const HEAD = `import { BatchNorm, type BatchNormOptions, type BatchNormWith, diagnose, foldInto, recalibrate, writeSafetensors } from 'batchnorm-wasm';
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;
declare function same<A, B>(yes: Equal<A, B>): void;
type F32 = ReturnType<typeof Float32Array.of>;
type F64 = ReturnType<typeof Float64Array.of>;
declare const x: Float32Array, options: BatchNormOptions, runtime: import('batchnorm-wasm').Runtime;
`;

/** Errors that must come are marked with @ts-expect-error. */
const PROMISES = {
  'a layer has a Float32Array for each parameter and statistic where its options say nothing else': `
    const bn = new BatchNorm(3), other = new BatchNorm(3, { eps: 1e-3, momentum: null, layout: 'channels-last' });
    same<typeof bn.weight, F32>(true);
    same<typeof bn.bias, F32>(true);
    same<typeof bn.runningMean, F32>(true);
    same<typeof bn.runningVar, F32>(true);
    same<typeof bn.dtype, 'float32'>(true);
    same<typeof bn.renorm, null>(true);
    same<typeof bn, typeof other>(true);`,
  'a layer of float64 has Float64Arrays': `
    const bn = new BatchNorm(3, { dtype: 'float64' });
    same<typeof bn.weight, F64>(true);
    same<typeof bn.runningVar, F64>(true);
    same<typeof bn.dtype, 'float64'>(true);`,
  'what a layer does not have is null': `
    const bn = new BatchNorm(3, { weight: false, trackRunningStats: false });
    same<typeof bn.weight, null>(true);
    same<typeof bn.bias, F32>(true);
    same<typeof bn.runningMean, null>(true);
    same<typeof bn.runningVar, null>(true);
    const plain = new BatchNorm(3, { bias: false });
    same<typeof plain.weight, F32>(true);
    same<typeof plain.bias, null>(true);`,
  'limits of renormalization are there where they were given': `
    const bn = new BatchNorm(1, { renorm: { rMax: 1, dMax: 0 } });
    bn.renorm.dMax = 5;`,
  'a layer of options that are not known may have any array, or none': `
    const bn = new BatchNorm(3, options);
    same<typeof bn.weight, F32 | F64 | null>(true);
    same<typeof bn.runningMean, F32 | F64 | null>(true);
    const either = new BatchNorm(3, { dtype: Math.random() > 0.5 ? 'float64' : 'float32', weight: Math.random() > 0.5 });
    same<typeof either.weight, F32 | F64 | null>(true);
    same<typeof either.bias, F32 | F64>(true);
    const sometimes = Math.random() > 0.5 ? {} : { weight: false }, maybe = new BatchNorm(3, sometimes);
    same<typeof maybe.weight, F32 | null>(true);
    const make = (given?: BatchNormOptions) => new BatchNorm(3, given).weight;
    same<ReturnType<typeof make>, F32 | F64 | null>(true);
    const spread = new BatchNorm(3, { ...options, dtype: 'float64' });
    same<typeof spread.weight, F64 | null>(true);`,
  'BatchNorm without type arguments is every layer': `
    const layers = [
      new BatchNorm(3), new BatchNorm(3, { weight: false }), new BatchNorm(3, options),
      new BatchNorm(3, { dtype: 'float64', trackRunningStats: false }), new BatchNorm(1, { renorm: { rMax: 1, dMax: 0 } }),
    ] as const;
    let bn: BatchNorm = layers[0];
    for (bn of layers) same<typeof bn.weight, typeof bn.weight>(true);
    bn = layers[1]; bn = layers[2]; bn = layers[3]; bn = layers[4];
    const list: BatchNorm[] = [...layers], named: Record<string, BatchNorm> = { a: layers[0], b: layers[1] };
    const weightOf = (bn: BatchNorm) => bn.weight;
    same<ReturnType<typeof weightOf>, F32 | F64 | null>(true);
    weightOf(layers[0]); weightOf(layers[1]); weightOf(layers[2]); weightOf(layers[3]);
    list.push(layers[2]); writeSafetensors(named);`,
  'functions that work with a layer take every one': `
    const none = new BatchNorm(3, { weight: false }), double = new BatchNorm(3, { dtype: 'float64' });
    recalibrate(none, []); foldInto(double, { weight: x }); diagnose(none, x, [3, 3]); writeSafetensors({ none, double });`,
  'a layer does not stand for one that has more': `
    let bn = new BatchNorm(3);
    bn = new BatchNorm(3, { weight: true, eps: 1 });
    // @ts-expect-error: no weight
    bn = new BatchNorm(3, { weight: false });
    // @ts-expect-error: another dtype
    bn = new BatchNorm(3, { dtype: 'float64' });
    // @ts-expect-error: nothing is known
    bn = new BatchNorm(3, options);`,
  'a known layer has a type that can be written': `
    const bn: BatchNormWith<{}> = new BatchNorm(3), plain: BatchNormWith<{ weight: false }> = new BatchNorm(3, { weight: false });
    class Net { readonly bn: BatchNormWith<{ dtype: 'float64' }> = new BatchNorm(3, { dtype: 'float64', eps: 0 }); }
    same<Net['bn']['weight'], F64>(true);
    same<typeof plain.weight, null>(true);
    same<typeof bn.weight, F32>(true);`,
  'a class can extend BatchNorm, and instanceof finds one': `
    class Mine extends BatchNorm { twice() { return 2 * this.channels; } }
    const mine = new Mine(3), value: unknown = mine;
    same<typeof mine.weight, F32>(true);
    if (value instanceof BatchNorm) same<typeof value.weight, F32 | F64 | null>(true);`,
  'methods that return the layer keep what is known of it': `
    const bn = new BatchNorm(3).train().eval().freeze().unfreeze();
    same<typeof bn.weight, F32>(true);`,
  'an unknown option is an error, beside known ones too': `
    // @ts-expect-error
    new BatchNorm(3, { epsilon: 1e-3 });
    // @ts-expect-error
    new BatchNorm(3, { momentum: 0.1, epsilon: 1e-3 });
    // @ts-expect-error
    new BatchNorm(3, { dtype: 'float16' });
    // @ts-expect-error
    new BatchNorm(3, { weight: 1, bias: false });`,
  'forward returns what it makes, or out itself': `
    const bn = new BatchNorm(3), y = bn.forward(x, [1, 3], { residual: x, mask: Uint8Array.of(1), updateStats: false });
    same<typeof y, F32>(true);
    const double = new BatchNorm(3, { dtype: 'float64' }).forward(new Float64Array(3), [1, 3]);
    same<typeof double, F64>(true);
    const out = bn.forward(x, [1, 3], { out: x });
    same<typeof out, Float32Array>(true);
    const tensor = bn.forward(runtime.tensor([1, 3]), { out: runtime.tensor([1, 3]) });
    same<typeof tensor, import('batchnorm-wasm').Tensor>(true);
    const inParts = bn.forwardWith({ count: 1, mean: new Float64Array(3), m2: new Float64Array(3) }, x, [1, 3]);
    same<typeof inParts, F32>(true);`,
  'forward takes no shape with a tensor, and none but numbers': `
    const bn = new BatchNorm(3);
    // @ts-expect-error
    bn.forward(runtime.tensor([1, 3]), [1, 3]);
    // @ts-expect-error
    bn.forward(x, '1, 3');
    // @ts-expect-error: of another dtype
    bn.forward(x, [1, 3], { residual: new Float64Array(3) });`,
  'backward returns the gradients that there are': `
    const bn = new BatchNorm(3), { dx, dweight, dbias, dresidual } = bn.backward(x);
    same<typeof dx, F32>(true);
    same<typeof dweight, F32>(true);
    same<typeof dbias, F32>(true);
    same<typeof dresidual, F32 | null>(true);
    const plain = new BatchNorm(3, { weight: false }).backward(x);
    same<typeof plain.dweight, null>(true);
    same<typeof plain.dbias, F32>(true);
    const out = bn.backward(x, { out: x, parameters: false });
    same<typeof out.dx, Float32Array>(true);
    same<typeof out.dweight, null>(true);
    const asked = bn.backward(x, { parameters: Math.random() > 0.5 });
    same<typeof asked.dweight, F32 | null>(true);
    const tensor = bn.backward(runtime.tensor([1, 3]));
    same<typeof tensor.dweight, F32>(true);
    const whole = bn.backwardWith(bn.backwardSums(x), x);
    same<typeof whole.dbias, F32>(true);
    const unknown = new BatchNorm(3, options).backward(x);
    same<typeof unknown.dweight, F32 | F64 | null>(true);`,
  'parameters() has arrays of the dtype': `
    for (const { name, value, gradient } of new BatchNorm(3, { dtype: 'float64' }).parameters()) {
      same<typeof name, 'weight' | 'bias'>(true);
      same<typeof value, F64>(true);
      same<typeof gradient, F64 | null>(true);
    }`,
  'momentum and the counter can be written, to a number or null, and nothing else of a layer': `
    const bn = new BatchNorm(3);
    bn.momentum = 0.5;
    bn.momentum = null;
    bn.numBatchesTracked = 3;
    // @ts-expect-error
    bn.momentum = 'abc';
    // @ts-expect-error
    bn.eps = 1;
    // @ts-expect-error
    bn.weight = x;
    // @ts-expect-error
    bn.training = false;`,
};

/** Each promise, with the name of the file that has its code. */
export const CASES = Object.keys(PROMISES).map((promise, i) => [promise, `promise-${i}.mts`] as const);

export const FILES = Object.fromEntries(Object.values(PROMISES).map((code, i) => [`promise-${i}.mts`, `${HEAD}${code}\nexport {};\n`]));
