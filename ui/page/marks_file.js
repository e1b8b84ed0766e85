/**
 * The marks of an answer as a file for programs, in pixels of the chosen pictures, whose size is
 * told: a browser that is short of room keeps smaller ones. Pure.
 */

/** @import { Mark } from "./overlay.js" */
import { csv } from "./csv.js";

/** @typedef {{sha256: string, name: string, width: number, height: number}} Measured upright */
/** @typedef {"json" | "csv" | "coco"} Kind */

/**
 * @param {Kind} kind
 * @param {Mark[]} marks
 * @param {Measured[]} pictures
 * @returns {Blob} marks on other pictures are left out
 */
export function marksFile(kind, marks, pictures) {
  const placed = marks.flatMap((mark) => {
    const picture = pictures.find(({ sha256 }) => sha256 === mark.sha256);
    return picture ? [{ mark, picture, ...inPixels(mark, picture) }] : [];
  });
  if (kind === "csv") {
    const rows = placed.map(({ mark, picture, x, y, width, height }) => [picture.name, mark.label, x, y, x + width, y + height, picture.width, picture.height]);
    const names = ["picture", "label", "left", "top", "right", "bottom", "width", "height"];
    return new Blob([csv([names, ...rows]), "\r\n"], { type: "text/csv" });
  }
  const labels = [...new Set(placed.map(({ mark }) => mark.label))];
  const body =
    kind === "coco"
      ? {
          images: pictures.map(({ name, width, height }, n) => ({ id: n + 1, file_name: name, width, height })),
          categories: labels.map((name, n) => ({ id: n + 1, name })),
          annotations: placed.map(({ mark, picture, x, y, width, height }, n) => ({
            id: n + 1,
            image_id: pictures.indexOf(picture) + 1,
            category_id: labels.indexOf(mark.label) + 1,
            bbox: [x, y, width, height],
            area: width * height,
            iscrowd: 0,
          })),
        }
      : placed.map(({ mark, picture, x, y, width, height }) => ({
          picture: picture.name,
          size: [picture.width, picture.height],
          label: mark.label,
          ...(mark.width ? { box: [x, y, x + width, y + height] } : { point: [x, y] }),
        }));
  return new Blob([JSON.stringify(body, null, 2)], { type: "application/json" });
}

/** @param {Mark} mark @param {Measured} picture a point has no size */
function inPixels(mark, picture) {
  const [x, y] = [Math.round(mark.x * picture.width), Math.round(mark.y * picture.height)];
  const right = Math.round((mark.x + (mark.width ?? 0)) * picture.width);
  const bottom = Math.round((mark.y + (mark.height ?? 0)) * picture.height);
  return { x, y, width: right - x, height: bottom - y };
}
