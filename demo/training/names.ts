/** The two networks of every comparison, in the order of measurements. */
export const NETWORK_NAMES = ['without', 'with'] as const;
export type NetworkName = (typeof NETWORK_NAMES)[number];
