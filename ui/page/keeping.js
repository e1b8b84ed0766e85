/** Small choices that stay in this browser, or as long as this page where it keeps none. */

/** @type {Map<string, string>} */
const here = new Map();

/** @param {string} name @returns {string | null} */
export function kept(name) {
  try {
    return here.get(name) ?? localStorage.getItem(name);
  } catch {
    return null; // storage is blocked
  }
}

/** @param {string} name @param {string} value @returns {boolean} whether it outlives this page */
export function keep(name, value) {
  try {
    localStorage.setItem(name, value);
    here.delete(name);
    return true;
  } catch {
    here.set(name, value); // storage is full or blocked
    return false;
  }
}
