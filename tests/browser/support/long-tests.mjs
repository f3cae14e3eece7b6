/** Whether long tests run at full length; set by `scripts/test.sh long`. */
export const LONG = process.env.SORTIE_LONG === '1';
