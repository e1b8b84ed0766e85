/**
 * What a chosen file is, read from its first bytes before anything decodes it: format,
 * size, and whether it is complete. Sources: ITU-T T.81 annex B (JPEG), W3C PNG 3rd
 * edition, GIF89a, Google's "WebP Container Specification", ISO/IEC 14496-12 (brands).
 */

/** @typedef {"jpeg" | "png" | "webp" | "gif" | "heif" | "avif" | "bmp" | "tiff" | "pdf"} Format */
/** @typedef {{format: Format, width: number, height: number, isComplete: boolean, hasFrames?: boolean}} Claim */

const MOST_SEGMENTS = 4096;

/**
 * @param {Uint8Array} bytes a whole file
 * @returns {Claim | null} width and height are 0 where they are not near the start
 */
export function claimOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (/** @type {number} */ at, /** @type {number} */ n) =>
    String.fromCharCode(...bytes.subarray(at, at + n));
  const whole = { isComplete: true };
  if (bytes.length < 30) return null;
  if (text(0, 2) === "\xff\xd8") return jpeg(bytes, view);
  if (text(0, 8) === "\x89PNG\r\n\x1a\n") {
    const isComplete = text(bytes.length - 8, 4) === "IEND" || contains(bytes, "IEND");
    const hasFrames = contains(bytes.subarray(0, 256), "acTL");
    return { format: "png", width: view.getUint32(16), height: view.getUint32(20), isComplete, hasFrames };
  }
  if (text(0, 4) === "GIF8") {
    const [width, height] = [view.getUint16(6, true), view.getUint16(8, true)];
    return { format: "gif", width, height, ...whole, hasFrames: isMoving(bytes) };
  }
  if (text(0, 4) === "RIFF" && text(8, 4) === "WEBP") {
    const isComplete = bytes.length >= view.getUint32(4, true) + 8;
    const hasFrames = text(12, 4) === "VP8X" && (view.getUint8(20) & 2) > 0;
    return { format: "webp", ...webpSize(text(12, 4), view), isComplete, hasFrames };
  }
  const format = otherFormat(text);
  return format && { format, width: 0, height: 0, ...whole };
}

/** @param {(at: number, n: number) => string} text @returns {Format | null} */
function otherFormat(text) {
  if (text(4, 4) === "ftyp") {
    const brand = text(8, 4);
    if (/^avi[fs]$/.test(brand)) return "avif";
    if (/^(hei[cxms]|hev[cxms]|mif1|msf1)$/.test(brand)) return "heif";
  }
  if (text(0, 2) === "BM") return "bmp";
  if (text(0, 4) === "II*\0" || text(0, 4) === "MM\0*") return "tiff";
  return text(0, 5) === "%PDF-" ? "pdf" : null;
}

/** @param {Uint8Array} bytes @param {DataView} view @returns {Claim} */
function jpeg(bytes, view) {
  let [width, height, at] = [0, 0, 2];
  for (let n = 0; n < MOST_SEGMENTS && at + 9 < bytes.length && bytes[at] === 0xff; n++) {
    const marker = bytes[at + 1];
    if (marker === 0xda) break;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) [height, width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  // Behind the start of a scan an end marker is one; before it, it may be a thumbnail's.
  return { format: "jpeg", width, height, isComplete: contains(bytes.subarray(at), "\xff\xd9") };
}

/** @param {string} kind @param {DataView} view */
function webpSize(kind, view) {
  if (kind === "VP8X") {
    const triple = (/** @type {number} */ at) =>
      view.getUint16(at, true) + (view.getUint8(at + 2) << 16) + 1;
    return { width: triple(24), height: triple(27) };
  }
  if (kind === "VP8L") {
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
}

/** Whether a second picture follows the first of a GIF. @param {Uint8Array} gif */
function isMoving(gif) {
  const table = (/** @type {number} */ flags) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  let at = 13 + table(gif[10] ?? 0);
  for (let n = 0; at < gif.length; at++) {
    if (gif[at] === 0x2c) {
      if (++n === 2) return true;
      at += 11 + table(gif[at + 9] ?? 0);
    } else if (gif[at] === 0x21) at += 2;
    else return false;
    while (gif[at]) at += 1 + (gif[at] ?? 0); // blocks, up to an empty one
  }
  return false;
}

/** @param {Uint8Array} bytes @param {string} text @returns {boolean} searched from the end */
function contains(bytes, text) {
  for (let at = bytes.length; (at = bytes.lastIndexOf(text.charCodeAt(0), at - 1)) >= 0; ) {
    let n = 1;
    while (n < text.length && bytes[at + n] === text.charCodeAt(n)) n++;
    if (n === text.length) return true;
    if (at === 0) return false;
  }
  return false;
}
