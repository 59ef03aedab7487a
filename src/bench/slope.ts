/** How something grows with the amount of data. */

/**
 * The exponent of the power of `sizes` that `values` follow, by least squares on both logarithms: 0 where they stay as they
 * are, 1 where they grow as the data does. Null with fewer than two different sizes.
 *
 * @param values - As many as sizes, above 0.
 */
export function slope(sizes: readonly number[], values: readonly number[]): number | null {
  const x = sizes.map(Math.log);
  const y = values.map(Math.log);
  const mean = (list: readonly number[]): number => list.reduce((sum, one) => sum + one, 0) / list.length;
  const [meanX, meanY] = [mean(x), mean(y)];
  const spreadX = x.reduce((sum, one) => sum + (one - meanX) ** 2, 0);
  if (x.length < 2 || spreadX === 0) return null;
  return x.reduce((sum, one, at) => sum + (one - meanX) * (y[at]! - meanY), 0) / spreadX;
}
