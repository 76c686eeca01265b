/** The property that the fuzzer looks for a counterexample to: a scenario on every machine. */
import { everything } from '../setup.js';
import { backward } from './backward.js';
import { type Batch, batchOf, drawn } from './data.js';
import { forward } from './forward.js';
import { Broken, copy, hold, NOTHING, type Outcome, sameOutcome } from './laws.js';
import { MACHINES, type Machine } from './machine.js';
import { make } from './mistakes.js';
import type { Backward, Forward, Scenario, Step } from './scenario.js';
import { type Past, Subject } from './subject.js';

/** @throws {Broken} a law does not hold, with the machine that it does not hold on. */
export function check(scenario: Scenario): void {
  const data = dataOf(scenario), traces = MACHINES.map((machine) => {
    try {
      return run(scenario, data, machine);
    } catch (error) {
      throw error instanceof Broken ? new Broken(`${machine.name}: ${error.message}`) : error;
    }
  });
  MACHINES.forEach(({ name }, i) => {
    traces[i]!.forEach((outcome, s) => {
      const step = scenario.steps[s]!.call;
      if (i % 2 === 1) hold(sameOutcome(traces[i - 1]![s]!, outcome), () => `${name}: ${step} gives the same bits as with arrays`);
      hold(outcome.refused === traces[0]![s]!.refused, () => `${name}: ${step} is refused where ${MACHINES[0]!.name} refuses it, and by the same kind of error`);
    });
  });
}

/** Data of the steps, made once for all machines. */
interface Data {
  batch(step: Forward): Batch;
  dy(step: Backward, past: Past): Float64Array;
}

function dataOf({ layer }: Scenario): Data {
  const batches = new Map<Forward, Batch>(), gradients = new Map<Backward, Map<Forward, Float64Array>>();
  const remembered = <K, V>(map: Map<K, V>, key: K, create: () => V): V => {
    if (!map.has(key)) map.set(key, create());
    return map.get(key)!;
  };
  return {
    batch: (step) => remembered(batches, step, () => batchOf(layer, step)),
    dy: (step, past) => remembered(remembered(gradients, step, () => new Map()), past.step, () => drawn(layer.dtype, step.family, step.seed, past.batch.sizes)),
  };
}

function run({ layer, steps }: Scenario, data: Data, machine: Machine): Outcome[] {
  const inUse = machine.runtime.bytesInUse, subject = new Subject(layer, machine);
  try {
    return steps.map((step) => take(subject, step, data));
  } finally {
    subject.end();
    hold(machine.runtime.bytesInUse === inUse, () => 'all memory comes back');
  }
}

function take(subject: Subject, step: Step, data: Data): Outcome {
  const { bn } = subject;
  switch (step.call) {
    case 'forward': return forward(subject, step, data.batch(step));
    case 'backward': return backward(subject, step, (past) => data.dy(step, past));
    case 'wrong': return subject.refused(() => make(step.mistake, bn, subject.machine), step.mistake);
    case 'train': case 'eval': case 'unfreeze': bn[step.call](); return NOTHING;
    case 'freeze':
      if (bn.runningMean === null) return subject.refused(() => bn.freeze(), 'freeze without running statistics');
      bn.freeze();
      return NOTHING;
    case 'reset':
      bn.resetRunningStats();
      return { refused: null, numbers: [copy(bn.runningMean), copy(bn.runningVar), [bn.numBatchesTracked]] };
    case 'reload': return unchanged(subject, () => bn.loadStateDict(bn.stateDict()), 'a state dictionary is what was saved');
    case 'undo': return unchanged(subject, () => {
      const before = bn.snapshot();
      bn.resetRunningStats();
      bn.restore(before);
    }, 'restore brings a snapshot back');
  }
}

function unchanged(subject: Subject, call: () => unknown, law: string): Outcome {
  const before = everything(subject.bn);
  call();
  subject.unchanged(before, () => law);
  return NOTHING;
}
