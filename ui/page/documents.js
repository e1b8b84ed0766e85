/**
 * The pages of a PDF or TIFF as pictures. The server draws them: a browser gives a page no
 * reader of these.
 */

import { ApiError, call, lost } from "./api.js";
import { dataUrl } from "./data_url.js";
import { readEvents } from "./sse.js";
import { say } from "./words.js";

const HEADER_WITHIN = 1024; // bytes

/** Whether a file is a PDF, or a TIFF with several pages. @param {Blob} file */
export async function hasPages(file) {
  if ((await file.slice(0, HEADER_WITHIN).text()).includes("%PDF-")) return true;
  const header = await viewOf(file, 0, 8);
  if (!isTiff(header)) return false;
  // Source: TIFF 6.0, section 2: a page has 12 bytes for each entry, then where the next is.
  const isLittle = header.getUint8(0) === 0x49;
  const at = header.getUint32(4, isLittle);
  const count = await viewOf(file, at, 2);
  if (count.byteLength < 2) return false;
  const next = await viewOf(file, at + 2 + 12 * count.getUint16(0, isLittle), 4);
  return next.byteLength === 4 && next.getUint32(0, isLittle) > 0;
}

/** @param {DataView} header */
function isTiff(header) {
  return header.byteLength === 8 && [0x49492a00, 0x4d4d002a].includes(header.getUint32(0));
}

/** @param {Blob} file @param {number} at @param {number} n bytes */
async function viewOf(file, at, n) {
  return new DataView(await file.slice(at, at + n).arrayBuffer());
}

/**
 * Its first `most` pages, each as soon as it is drawn, as large as any task reads them;
 * `of` is the number of all.
 *
 * @param {File} file
 * @param {number} most
 * @returns {AsyncGenerator<{picture: File, page: number, of: number}, void>} throws ApiError
 */
export async function* pagesOf(file, most) {
  const sent = { filename: file.name, file_data: await dataUrl(file, "application/pdf"), detail: "high", pages: `1-${most}` };
  const response = await call("v1/pages", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ file: sent }),
  });
  for await (const data of eventsOf(response)) {
    const { page, n_pages: of, url, error } = JSON.parse(data);
    if (error) throw new ApiError(error);
    const name = of > 1 ? say("page_of", { name: file.name, n: page, of }) : file.name;
    yield { picture: new File([bytesOf(url)], name, { type: "image/png" }), page, of };
  }
}

/** @param {Response} response @returns {AsyncGenerator<string, void>} throws ApiError where it breaks off */
async function* eventsOf({ body }) {
  let reason;
  try {
    for await (const { data } of body ? readEvents(body) : []) {
      if (data === "[DONE]") return;
      if (data !== null) yield data;
    }
  } catch (error) {
    reason = error;
  }
  throw lost(reason);
}

/** @param {string} url of base64 */
function bytesOf(url) {
  return Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
}
