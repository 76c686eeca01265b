import { describe, expect, it } from 'vitest';
import { type Group, messageGroup } from '../../src/sync/index.js';
import { decodeMessage, encodeMessage } from '../../src/sync/message.js';
import { normal, random } from '../setup.js';
import { Bus, bytes, groupsOf, outcomes, wait } from './bus.js';

const gather = (groups: readonly Group[], from = 0) => Promise.all(groups.map((group, rank) => group.allGather(bytes(from + rank, rank))));
/** What all ranks say, which must be one thing. */
async function saying(promises: readonly Promise<unknown>[]): Promise<unknown> {
  const all = new Set(await outcomes(promises));
  expect([...all]).toHaveLength(1);
  return [...all][0];
}

describe('a group over messages', () => {
  it('gives all ranks what each has given, in rank order, of any lengths', async () => {
    for (const size of [1, 2, 3, 5]) {
      const groups = await groupsOf(size);
      for (let round = 0; round < 3; round++) {
        const parts = groups.map((_, rank) => Uint8Array.from(normal(rank * 100 * round, rank, 100)));
        const results = await Promise.all(groups.map((group, rank) => group.allGather(parts[rank]!)));
        for (const result of results) expect(result).toEqual(parts);
      }
      expect(groups.map(({ rank }) => rank)).toEqual(groups.map((_, rank) => rank));
    }
  });

  it('gives copies, of what was given at the time', async () => {
    const groups = await groupsOf(2), mine = bytes(1, 2), results = groups.map((group) => group.allGather(mine));
    mine.fill(9);
    for (const [first, second] of await Promise.all(results)) {
      expect([first, second]).toEqual([bytes(1, 2), bytes(1, 2)]);
      expect(first!.buffer).not.toBe(second!.buffer);
    }
  });

  it('resolves collectives that overlap in the order of calls, in whatever order messages arrive', async () => {
    const bus = new Bus(), groups = await groupsOf(3, {}, bus), uniform = random(7);
    bus.fault = ({ kind }) => (kind === 'part' ? { after: Math.floor(uniform() * 20) } : undefined);
    const order: string[] = [];
    await Promise.all(groups.flatMap((group, rank) => Array.from({ length: 20 }, async (_, i) => {
      expect(await group.allGather(bytes(rank, i))).toEqual([0, 1, 2].map((from) => bytes(from, i)));
      order.push(`${rank}:${i}`);
    })));
    for (const rank of [0, 1, 2]) expect(order.filter((each) => each.startsWith(`${rank}:`))).toEqual(Array.from({ length: 20 }, (_, i) => `${rank}:${i}`));
  });

  it('does not mind a message that comes twice, late, or not as one of its own', async () => {
    const bus = new Bus(), groups = await groupsOf(3, {}, bus);
    bus.fault = () => ({ times: 2 });
    expect(await gather(groups)).toHaveLength(3);
    bus.fault = () => undefined;
    for (const old of [...bus.sent]) bus.deliver(old);
    bus.deliver(bytes(1, 2, 3));
    for (let i = 0; i < 200; i++) bus.deliver(Uint8Array.from(normal(60, i, 100, 50)));
    expect((await gather(groups, 5))[0]).toEqual([bytes(5, 0), bytes(6, 1), bytes(7, 2)]);
  });

  it('takes no part of an earlier run with the same name, not even while it forms', async () => {
    const bus = new Bus(), first = await groupsOf(2, {}, bus);
    await gather(first);
    const old = [...bus.sent];
    for (const group of first) group.close();
    const forming = groupsOf(2, {}, bus);
    for (const message of old) bus.deliver(message);
    const groups = await forming;
    for (const message of old) bus.deliver(message);
    expect(await gather(groups, 40)).toEqual(groups.map(() => [bytes(40, 0), bytes(41, 1)]));
  });

  it('cuts what is longer than a message may be, and puts it together from fragments in any order, twice or not', async () => {
    const bus = new Bus(), groups = await groupsOf(2, {}, bus, () => ({ maximum: 100 })), part = Uint8Array.from(normal(1000, 1, 100));
    bus.fault = ({ fragment }) => ({ times: 2, after: 1 + (fragment % 3) });
    for (const result of await Promise.all(groups.map((group) => group.allGather(part)))) expect(result).toEqual([part, part]);
    expect(Math.max(...bus.sent.map(({ length }) => length))).toBe(100);
  });

  it.each(Array.from({ length: 12 }, (_, i) => i))('forms where ranks come at any time and messages of its beginning get lost, seed %i', async (seed) => {
    const bus = new Bus(), uniform = random(seed);
    bus.fault = ({ kind }) => (kind !== 'part' && uniform() < 0.4 ? { times: 0 } : undefined);
    const groups = await Promise.all([0, 1, 2, 3].map(async (rank) => {
      await wait(uniform() * 60);
      const group = await messageGroup(bus.channel(), { rank, size: 4, timeout: 30_000, joinTimeout: 30_000 });
      // At once, when others may not be through.
      expect((await group.allGather(bytes(rank))).map(([first]) => first)).toEqual([0, 1, 2, 3]);
      return group;
    }));
    expect(groups).toHaveLength(4);
  });

  it.each([
    ['nobody else', 1, 'rank 0 has waited 0.1 s for the group: no word from ranks 1 and 2'],
    ['all but one', 2, 'no word from rank 2'],
  ] as const)('names who has not come: %s', async (_, count, message) => {
    const bus = new Bus(), promises = Array.from({ length: count }, (_, rank) => messageGroup(bus.channel(), { rank, size: 3, joinTimeout: 100 }));
    for (const outcome of await outcomes(promises)) expect(outcome).toContain(message);
    expect(bus.listening).toBe(0);
  });

  it('names ranks that cannot hear all others', async () => {
    const bus = new Bus();
    bus.fault = (_, from, to) => (from === 2 && to === 1 ? { times: 0 } : undefined);
    const results = await outcomes([0, 1, 2].map((rank) => messageGroup(bus.channel(), { rank, size: 3, joinTimeout: 150 })));
    expect(results[0]).toContain('rank 1 cannot hear all others');
    expect(results[1]).toContain('no word from rank 2');
  });

  it.each([
    ['a size of another', [{ rank: 0, size: 2 }, { rank: 1, size: 3 }], /ranks disagree on the size of the group: (3 on rank 1, 2 on rank 0|2 on rank 0, 3 on rank 1)/],
    ['two processes of one rank', [{ rank: 0, size: 3 }, { rank: 1, size: 3 }, { rank: 1, size: 3 }], /two processes say that they are rank 1/],
  ] as const)('refuses %s', async (_, members, message) => {
    const bus = new Bus();
    for (const outcome of await outcomes(members.map((member) => messageGroup(bus.channel(), { ...member, joinTimeout: 3000 })))) expect(outcome).toMatch(message);
  });

  it('names a rank that starts again, and a second process that comes late', async () => {
    const bus = new Bus(), groups = await groupsOf(2, {}, bus);
    const late = messageGroup(bus.channel(), { rank: 1, size: 2, joinTimeout: 300 }), waiting = groups[0]!.allGather(bytes(1));
    const results = await outcomes<unknown>([waiting, late]);
    expect(results[0]).toMatch(/rank 1 has started again, or two processes say that they are rank 1|two processes say that they are rank 1/);
    expect(results[1]).toMatch(/has waited 0.3 s for the group|two processes say that they are rank 1/);
  });

  it('names a message that was lost, on all ranks, once a later one has come', async () => {
    const bus = new Bus(), groups = await groupsOf(3, { timeout: 20_000 }, bus), start = performance.now();
    bus.fault = ({ kind, sequence }, from, to) => (kind === 'part' && from === 1 && to === 0 && sequence === 1 ? { times: 0 } : undefined);
    const results = groups.map(async (group, rank) => { for (let i = 0; i < 3; i++) await Promise.all([group.allGather(bytes(rank)), group.allGather(bytes(rank))]); });
    expect(await saying(results)).toBe('rank 0 has lost collective 1 of rank 1');
    expect(performance.now() - start).toBeLessThan(4000);
  });

  it('names who is missing at the time-out, when it was last heard, and throws the same ever after', async () => {
    const bus = new Bus(), groups = await groupsOf(3, { timeout: 150 }, bus);
    await gather(groups);
    const message = await saying([0, 2].map((rank) => groups[rank]!.allGather(bytes(rank))));
    expect(message).toMatch(/^rank 1 is missing in collective 1 after 0.15 s \(rank 1 last heard 0\.\d s ago\)$/);
    expect(await saying(groups.map((group) => group.allGather(bytes(1))))).toBe(message);
    expect(bus.listening).toBe(0);
  });

  it('names who is gone as soon as the engine knows, and only them', async () => {
    const alive = new Set([0, 1, 2]), gone = (list: readonly number[]) => Promise.resolve(list.filter((rank) => !alive.has(rank)));
    const groups = await groupsOf(3, { timeout: 20_000 }, new Bus(), () => ({ gone })), start = performance.now();
    alive.delete(2);
    expect(await saying([0, 1].map((rank) => groups[rank]!.allGather(bytes(rank))))).toBe('rank 2 is gone in collective 0');
    expect(performance.now() - start).toBeLessThan(3000);
  });

  it('waits for a rank that computes, however often the engine is asked', async () => {
    let asked = 0;
    const groups = await groupsOf(2, { timeout: 20_000 }, new Bus(), () => ({ gone: async () => { asked++; throw new Error('no answer'); } }));
    const first = groups[0]!.allGather(bytes(0));
    await wait(1300);
    const second = groups[1]!.allGather(bytes(1));
    expect(await Promise.all([first, second])).toHaveLength(2);
    expect(asked).toBeGreaterThan(0);
  });

  it('aborts for all, with the reason as the cause on the rank that had it', async () => {
    const groups = await groupsOf(3), reason = new RangeError('the loss is NaN'), waiting = [0, 1].map((rank) => groups[rank]!.allGather(bytes(rank)));
    groups[2]!.abort(reason);
    expect(await saying([...waiting, groups[2]!.allGather(bytes(2))])).toBe('rank 2 has aborted: the loss is NaN');
    await expect(groups[2]!.allGather(bytes(1))).rejects.toMatchObject({ cause: reason });
  });

  it('lets a rank leave without breaking collectives that it has given to, and ends later ones at once', async () => {
    const bus = new Bus(), groups = await groupsOf(3, { timeout: 20_000 }, bus), start = performance.now();
    bus.fault = (_, from) => (from === 1 ? { after: 30 } : undefined);
    const last = groups.map(async (group, rank) => {
      const result = group.allGather(bytes(rank));
      if (rank === 0) group.close();
      return (await result).length;
    });
    expect(await Promise.all(last)).toEqual([3, 3, 3]);
    expect(await saying([1, 2].map((rank) => groups[rank]!.allGather(bytes(rank))))).toMatch('rank 0 left the group before collective 1');
    await expect(groups[0]!.allGather(bytes(0))).rejects.toThrow('rank 0 has left the group');
    expect(performance.now() - start).toBeLessThan(1500);
    expect(bus.listening).toBe(0);
  });

  it('ends with its connection, and with its signal', async () => {
    let lose = () => {};
    const closed = new Promise<void>((resolve) => { lose = resolve; }), groups = await groupsOf(2, {}, new Bus(), (rank) => (rank === 1 ? { closed } : {}));
    const waiting = groups[1]!.allGather(bytes(1));
    lose();
    await expect(waiting).rejects.toThrow('rank 1 has lost its connection');
    const controller = new AbortController(), others = await groupsOf(2, { signal: controller.signal });
    const stopped = others[0]!.allGather(bytes(1));
    controller.abort(new Error('stop'));
    await expect(stopped).rejects.toThrow(/rank \d has aborted: stop/);
    const alone = messageGroup(new Bus().channel(), { rank: 0, size: 2, signal: AbortSignal.timeout(30) });
    await expect(alone).rejects.toThrow('rank 0 has aborted');
    await expect(messageGroup(new Bus().channel(), { rank: 0, size: 2, signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
  });

  it('fails where its engine cannot send', async () => {
    let broken = false;
    const bus = new Bus(), groups = await groupsOf(2, {}, bus, () => {
      const channel = bus.channel();
      return { ...channel, publish: (message: Uint8Array) => { if (broken) throw new Error('no socket'); channel.publish(message); } };
    });
    broken = true;
    await expect(groups[0]!.allGather(bytes(1))).rejects.toThrow('rank 0 cannot send: no socket');
  });

  it.each([
    ['no channel', TypeError, undefined, {}, '"channel" expected { publish, subscribe }, got undefined'],
    ['a rank of the size', RangeError, new Bus().channel(), { rank: 2, size: 2 }, '"rank" expected a number below the size of 2, got 2'],
    ['no size', TypeError, new Bus().channel(), { rank: 0 }, '"size" expected a number, got undefined'],
    ['a negative rank', RangeError, new Bus().channel(), { rank: -1, size: 2 }, '"rank" expected a non-negative integer'],
    ['a timeout of 0', RangeError, new Bus().channel(), { rank: 0, size: 2, timeout: 0 }, '"timeout" expected'],
    ['a misspelt option', TypeError, new Bus().channel(), { rank: 0, size: 2, timeOut: 3 }, 'got "timeOut"'],
  ] as const)('refuses %s', async (_, error, channel, options, message) => {
    const promise = messageGroup(channel as never, options as never);
    await expect(promise).rejects.toThrow(error);
    await expect(promise).rejects.toThrow(message);
  });

  it('writes messages that it reads, and reads nothing else', () => {
    const message = { kind: 'part', rank: 2, size: 3, incarnation: 2 ** 52 + 1, session: 7, sequence: 2 ** 40, fragment: 1, fragments: 2, payload: bytes(1, 2, 3) } as const;
    expect(decodeMessage(encodeMessage(message))).toEqual(message);
    for (let length = 0; length < 48; length++) expect(decodeMessage(encodeMessage(message).subarray(0, length))).toBeNull();
    expect(decodeMessage(encodeMessage({ ...message, rank: 3 }))).toBeNull();
    expect(decodeMessage(encodeMessage({ ...message, fragment: 2 }))).toBeNull();
  });
});
