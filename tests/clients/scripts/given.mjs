// What every script is given: the server, and pictures in the working folder.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const server = process.env.EDGE_SERVER;
export const baseURL = `${server}/v1`;
export const [circle, square, triangle] = [
  "red-circle.jpg",
  "blue-square.png",
  "green-triangle.png",
];
export const what = "What is in this picture?";
// Sentences that the bundled model can say inside JSON.
export const sentences = ["A red circle.", "A blue square.", "A green triangle."];

const mime = (picture) => (picture.endsWith("png") ? "image/png" : "image/jpeg");
export const read = (picture) => readFileSync(picture);
export const encoded = (picture) => read(picture).toString("base64");
export const dataUrl = (picture) => `data:${mime(picture)};base64,${encoded(picture)}`;

/** Throws for a wrong answer about a picture. */
export function check(answer, picture) {
  const words = picture.split(".")[0].split("-");
  assert.ok(words.every((word) => answer?.toLowerCase().includes(word)), `${answer}`);
}
