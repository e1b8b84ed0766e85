/** Pixels in the browser: decode a file upright, cut a part out, make it smaller. */

/** @typedef {{x: number, y: number, width: number, height: number}} Rect in pixels */

const JPEG_QUALITY = 0.92;
/** A lossless file above this is a photograph, not a drawing or a screenshot. */
const MOST_LOSSLESS_BYTES = 1_500_000;

/**
 * @param {Blob} blob
 * @returns {Promise<ImageBitmap | null>} turned as its EXIF data says; null if this
 *   browser cannot decode it
 */
export async function decode(blob) {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
}

/**
 * A part of a picture in another size, on white, as a file.
 *
 * @param {ImageBitmap} bitmap
 * @param {Rect} part
 * @param {{width: number, height: number}} size
 * @param {boolean} isPhoto whether the file may be lossy
 * @returns {Promise<Blob>} JPEG or PNG
 */
export async function render(bitmap, part, { width, height }, isPhoto) {
  const { x, y } = part;
  // One step with a wide filter: a canvas that draws smaller loses thin lines.
  const scaled = await createImageBitmap(bitmap, x, y, part.width, part.height, {
    resizeWidth: width,
    resizeHeight: height,
    resizeQuality: "high",
  });
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(scaled, 0, 0, width, height);
  scaled.close();
  const lossless = isPhoto ? null : await encode(canvas, "image/png");
  if (lossless && lossless.size <= MOST_LOSSLESS_BYTES) return lossless;
  return encode(canvas, "image/jpeg");
}

/** @param {HTMLCanvasElement} canvas @param {string} type @returns {Promise<Blob>} */
function encode(canvas, type) {
  return new Promise((resolve, reject) => {
    const done = (/** @type {Blob | null} */ blob) =>
      blob ? resolve(blob) : reject(new Error("This browser could not write the picture."));
    canvas.toBlob(done, type, JPEG_QUALITY);
  });
}
