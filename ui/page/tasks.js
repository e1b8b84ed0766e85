/** Pictures to try questions on, drawn here. */

/** @typedef {{name: string, width: number, height: number, draw: (pen: CanvasRenderingContext2D) => void}} Example */

/** Each has words `example_NAME` and `ask_example_NAME`. @type {Example[]} */
export const EXAMPLES = [
  { name: "shapes", width: 640, height: 480, draw: drawShapes },
  { name: "receipt", width: 640, height: 800, draw: drawReceipt },
  { name: "chart", width: 800, height: 520, draw: drawChart },
];

/** @param {Example} example @param {number} [scale] @returns {HTMLCanvasElement} */
export function drawn({ width, height, draw }, scale = 1) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.scale(scale, scale);
  draw(pen);
  return canvas;
}

/** @param {Example} example @returns {Promise<File>} a PNG */
export function fileOf(example) {
  return new Promise((resolve, reject) => {
    drawn(example).toBlob((blob) => {
      if (blob) resolve(new File([blob], `${example.name}.png`, { type: "image/png" }));
      else reject(new Error("This browser cannot write a PNG."));
    });
  });
}

/** @param {CanvasRenderingContext2D} pen */
function drawShapes(pen) {
  paper(pen, "#ffffff", 640, 480);
  pen.fillStyle = "#dc2626";
  pen.beginPath();
  pen.arc(170, 160, 100, 0, 2 * Math.PI);
  pen.fill();
  pen.fillStyle = "#2563eb";
  pen.fillRect(390, 250, 180, 180);
}

/** @param {CanvasRenderingContext2D} pen */
function drawReceipt(pen) {
  paper(pen, "#7c5a3c", 640, 800);
  pen.save();
  pen.translate(320, 400);
  pen.rotate(-0.05);
  pen.fillStyle = "#fdfcf7";
  pen.fillRect(-190, -350, 380, 700);
  pen.fillStyle = "#1f2937";
  pen.textAlign = "center";
  pen.font = "bold 34px ui-monospace, monospace";
  pen.fillText("NORDMARKT", 0, -285);
  pen.font = "19px ui-monospace, monospace";
  pen.fillText("14.03.2026   17:42", 0, -240);
  const rows = [["Milk 1 l", "1.19"], ["Rye bread", "3.49"], ["Coffee 500 g", "7.99"], ["Apples 1.2 kg", "2.87"], ["Olive oil", "8.49"], ["Yoghurt 4x", "1.99"]];
  rows.forEach(([name = "", price = ""], n) => pair(pen, name, price, -170 + 48 * n));
  pen.fillRect(-160, 130, 320, 3);
  pen.font = "bold 24px ui-monospace, monospace";
  pair(pen, "TOTAL EUR", "26.02", 180);
  for (let x = -120; x < 120; x += 6) pen.fillRect(x, 240, 1 + ((x * x) % 4), 64);
  pen.restore();
}

/** @param {CanvasRenderingContext2D} pen @param {string} left @param {string} right @param {number} y */
function pair(pen, left, right, y) {
  pen.textAlign = "left";
  pen.fillText(left, -160, y);
  pen.textAlign = "right";
  pen.fillText(right, 160, y);
}

/** @param {CanvasRenderingContext2D} pen */
function drawChart(pen) {
  paper(pen, "#ffffff", 800, 520);
  pen.fillStyle = "#1f2937";
  pen.font = "bold 26px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.fillText("Visitors per day", 400, 48);
  pen.font = "20px system-ui, sans-serif";
  const bars = [["Mon", 120], ["Tue", 95], ["Wed", 160], ["Thu", 210], ["Fri", 260]];
  bars.forEach(([day, n], i) => {
    const [x, height] = [90 + 132 * i, Number(n) * 1.35];
    pen.fillStyle = "#0f766e";
    pen.fillRect(x, 450 - height, 90, height);
    pen.fillStyle = "#1f2937";
    pen.fillText(String(day), x + 45, 484);
    pen.fillText(String(n), x + 45, 438 - height);
  });
  pen.fillRect(60, 450, 690, 2);
}

/** @param {CanvasRenderingContext2D} pen @param {string} colour @param {number} width @param {number} height */
function paper(pen, colour, width, height) {
  pen.fillStyle = colour;
  pen.fillRect(0, 0, width, height);
}
