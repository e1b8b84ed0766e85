/** Gives the marks of an answer to the person as a file. */

/** @import { Kind, Measured } from "./marks_file.js" */
/** @import { Mark } from "./overlay.js" */
/** @import { PictureStore } from "./picture_store.js" */
/** @import { PictureRef } from "./records.js" */
import { download } from "./download.js";
import { marksFile } from "./marks_file.js";
import { decode } from "./raster.js";

/** @param {Kind} kind @param {Mark[]} marks @param {PictureRef[]} pictures @param {PictureStore} store */
export async function saveMarks(kind, marks, pictures, store) {
  /** @type {Measured[]} */
  const measured = [];
  for (const ref of pictures) {
    const file = await store.readLargest(ref);
    const bitmap = file && (await decode(file));
    if (bitmap) measured.push({ sha256: ref.sha256, name: ref.name, width: bitmap.width, height: bitmap.height });
    bitmap?.close();
  }
  download(marksFile(kind, marks, measured), kind === "coco" ? "coco" : "boxes", kind === "csv" ? "csv" : "json");
}
