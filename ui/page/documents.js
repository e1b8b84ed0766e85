/**
 * The pages of a PDF as pictures. The server draws them: a browser gives a page no reader
 * of PDFs.
 */

import { ApiError, call } from "./api.js";
import { readEvents } from "./sse.js";
import { say } from "./words.js";

const HEADER_WITHIN = 1024; // bytes

/** @param {Blob} file */
export async function isPdf(file) {
  return (await file.slice(0, HEADER_WITHIN).text()).includes("%PDF-");
}

/**
 * Its pages, each as soon as it is drawn; `of` is their number.
 *
 * @param {File} file
 * @param {string} [detail] of pictures
 * @returns {AsyncGenerator<{picture: File, page: number, of: number}, void>} throws ApiError
 */
export async function* pagesOf(file, detail = "auto") {
  const sent = { filename: file.name, file_data: await dataUrl(file), detail };
  const response = await call("v1/pages", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ file: sent }),
  });
  if (!response.body) return;
  for await (const { data } of readEvents(response.body)) {
    if (data === null) continue;
    if (data === "[DONE]") return;
    const { page, n_pages: of, url, error } = JSON.parse(data);
    if (error) throw new ApiError(error);
    const name = of > 1 ? say("page_of", { name: file.name, n: page, of }) : file.name;
    yield { picture: new File([bytesOf(url)], name, { type: "image/png" }), page, of };
  }
}

/** @param {Blob} file @returns {Promise<string>} */
function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^data:[^;,]*/, "data:application/pdf"));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/** @param {string} url of base64 */
function bytesOf(url) {
  return Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
}
