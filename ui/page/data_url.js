/** Files as text, in Base64. */

/** @param {Blob} blob @param {string} [type] which it has for the reader @returns {Promise<string>} */
export function dataUrl(blob, type = blob.type) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob.slice(0, blob.size, type));
  });
}
