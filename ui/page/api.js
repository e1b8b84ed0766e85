/** Calls of the public API. All addresses are relative to the page. */

/**
 * Why the API refused a request. `code` "offline" and
 * "unreachable" are ours: there was no response.
 * @typedef {object} ApiFailure
 * @property {string} code
 * @property {string} message
 * @property {string | null} [param]
 * @property {number} [retry_after_s]
 * @property {number} [status] of HTTP
 */

export class ApiError extends Error {
  /** @param {ApiFailure} failure */
  constructor(failure) {
    super(failure.message);
    this.failure = failure;
  }
}

const CANCEL_MS = 5000;

/** @typedef {RequestInit & {headers?: Record<string, string>}} Request */

/**
 * The response to a request, also where it is a refusal.
 * @param {string} path "v1/..."
 * @param {Request} [options]
 * @returns {Promise<Response>}
 */
export function send(path, options = {}) {
  return fetch(path, { ...options, headers: { ...options.headers, ...csrf() } });
}

/**
 * The response to a request that was accepted.
 * @param {string} path "v1/..."
 * @param {Request} [options]
 * @returns {Promise<Response>}
 * @throws {ApiError} and AbortError
 */
export async function call(path, options = {}) {
  let response;
  try {
    response = await send(path, options);
  } catch (error) {
    throw options.signal?.aborted ? error : lost(error);
  }
  if (!response.ok) throw new ApiError(await failureOf(response));
  return response;
}

/**
 * Ends a job, also of a page that is being closed; one that has ended stays as it is.
 * @param {string} name
 * @returns {Promise<boolean>} whether the server has no such job any more
 */
export async function cancelJob(name) {
  const signal = AbortSignal.timeout(CANCEL_MS);
  const asked = send(`v1/jobs/${name}`, { method: "DELETE", keepalive: true, signal });
  const response = await asked.catch(() => null);
  return response !== null && (response.ok || response.status === 404);
}

/** Of a response that did not come, or not to its end. @param {unknown} error @returns {ApiError} */
export function lost(error) {
  const code = navigator.onLine ? "unreachable" : "offline";
  return new ApiError({ code, message: String(error) });
}

/**
 * @param {string} path
 * @param {Request} [options]
 * @returns {Promise<any>}
 * @throws {ApiError} and AbortError
 */
export async function callJson(path, options) {
  const response = await call(path, options);
  try {
    return await response.json();
  } catch (error) {
    throw options?.signal?.aborted ? error : lost(error); // it broke off
  }
}

/**
 * The failure in a response that is not ok: the API's JSON, or a proxy's page.
 * @param {Response} response
 * @returns {Promise<ApiFailure>}
 */
export async function failureOf(response) {
  const status = response.status;
  const retry = Number(response.headers.get("retry-after")) || undefined;
  try {
    const { error } = await response.json();
    return { retry_after_s: retry, ...error, status };
  } catch {
    const code = status >= 502 && status <= 504 ? "unreachable" : "internal_error";
    return { code, message: `HTTP ${status}`, retry_after_s: retry, status };
  }
}

/**
 * Proves that a page of this server asks: the cookie of a login, sent back.
 * @returns {Record<string, string>}
 */
function csrf() {
  const found = /(?:^|; )edge_csrf=([^;]+)/.exec(document.cookie);
  return found ? { "x-csrf-token": /** @type {string} */ (found[1]) } : {};
}
