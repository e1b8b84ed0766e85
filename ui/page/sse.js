/** Server-Sent Events out of the body of a response. Source: the HTML standard, 9.2. */

/**
 * One event, or one comment, which this server uses for progress. `data` is null in a
 * comment, `comment` in an event; `id` is the last one that came.
 *
 * @typedef {{id: string, data: string | null, comment: string | null}} ServerEvent
 */

/**
 * Events as they come. A stream that breaks throws what `fetch` throws; a last event
 * without its end is left out.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<ServerEvent, void>}
 */
export async function* readEvents(body) {
  let rest = "";
  let id = "";
  /** @type {string[]} */
  let data = [];
  for await (const text of pieces(body)) {
    const lines = (rest + text).split(/\r\n|\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (data.length) yield { id, data: data.join("\n"), comment: null };
        data = [];
      } else if (line.startsWith(":")) {
        yield { id, data: null, comment: line.slice(1).trim() };
      } else {
        const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
        if (field === "data") data.push(value ?? "");
        if (field === "id") id = value ?? "";
      }
    }
  }
}

/** @param {ReadableStream<Uint8Array>} body @returns {AsyncGenerator<string, void>} */
async function* pieces(body) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    reader.cancel().catch(() => {}); // a loop that was left needs no more
  }
}
