/** How large the model sees a picture. The same rule as edge/qwen3vl/preprocess.py. */

export const TOKEN_PX = 32;

/**
 * Rows and columns of image tokens, one of 32 x 32 pixels each.
 *
 * @param {number} width pixels
 * @param {number} height pixels
 * @param {number} minTokens
 * @param {number} maxTokens
 * @returns {{rows: number, columns: number}}
 */
export function grid(width, height, minTokens, maxTokens) {
  const tokens = (width * height) / TOKEN_PX ** 2;
  const sides = (/** @type {number} */ scale, /** @type {(x: number) => number} */ round) => ({
    rows: Math.max(1, round((height * scale) / TOKEN_PX)),
    columns: Math.max(1, round((width * scale) / TOKEN_PX)),
  });
  const nearest = sides(1, roundHalfToEven);
  const nTokens = nearest.rows * nearest.columns;
  if (nTokens < minTokens) return sides(Math.sqrt(minTokens / tokens), Math.ceil);
  if (nTokens <= maxTokens) return nearest;
  const { rows, columns } = sides(Math.sqrt(maxTokens / tokens), Math.floor);
  return { rows: Math.min(rows, maxTokens), columns: Math.min(columns, maxTokens) };
}

/** @param {number} x @returns {number} as Python rounds */
function roundHalfToEven(x) {
  const below = Math.floor(x);
  return x - below === 0.5 ? below + (below % 2) : Math.round(x);
}

/**
 * The size to which a picture is made smaller before it is sent; null if it keeps its
 * pixels, which the server then fits.
 *
 * @param {number} width pixels
 * @param {number} height pixels
 * @param {number} minTokens
 * @param {number} maxTokens
 * @returns {{width: number, height: number} | null}
 */
export function sentSize(width, height, minTokens, maxTokens) {
  if (width * height <= maxTokens * TOKEN_PX ** 2) return null;
  const { rows, columns } = grid(width, height, minTokens, maxTokens);
  return { width: columns * TOKEN_PX, height: rows * TOKEN_PX };
}
