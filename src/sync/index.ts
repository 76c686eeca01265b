/**
 * One batch over many processes, tabs and machines: batch norm with the statistics of the whole batch.
 *
 * @module batchnorm-wasm/sync
 */
export type { SyncBackwardOptions } from './backward.js';
export { syncBackward, syncBackwardBlocking } from './backward.js';
export { broadcastGroup } from './broadcast.js';
export type { Channel, GroupOptions } from './channel.js';
export type { SyncForwardOptions } from './forward.js';
export { syncForward, syncForwardBlocking } from './forward.js';
export type { Group } from './group.js';
export { messageGroup } from './message-group.js';
export type { Koffi, KoffiLibrary } from './mpi.js';
export { mpiGroup } from './mpi.js';
export type { NatsConnection, NatsSubscription } from './nats.js';
export { natsGroup } from './nats.js';
export type { RedisClient } from './redis.js';
export { redisGroup } from './redis.js';
export { syncStep } from './step.js';
export { gatherNumbers, sumOver } from './sums.js';
