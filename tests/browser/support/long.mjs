/**
 * Whether what takes its time is to take all of it: `scripts/test.sh long` says so, and every other run is content
 * with less.
 */
export const LONG = process.env.SORTIE_LONG === '1';
