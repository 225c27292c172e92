// From a request to pixels: latents, condition vectors, and the canvas.
"use strict";

const about = JSON.parse(document.getElementById("about").textContent);
const graph = JSON.parse(document.getElementById("graph").textContent);
unpack(graph, document.getElementById("weights").textContent);
const [HEIGHT, WIDTH, CHANNELS] = about.shape;
const {count: DRAWS, latents: LATENTS} = about.draws;
const draws = new Float32Array(
  Uint8Array.from(atob(about.z), (c) => c.charCodeAt(0)).buffer,
);

// The latents [Z] of a draw, some of them moved.
function latentsOf(draw, moved) {
  const z = draws.slice(draw * LATENTS, (draw + 1) * LATENTS);
  for (const [i, value] of Object.entries(moved)) z[i] = value;
  return z;
}

// The condition vector [A] of {name: value}; null is unknown.
function vectorOf(values) {
  const vector = new Float32Array(about.width);
  for (const {name, columns, bit, values: all, entries} of about.controls) {
    const value = values[name];
    if (value === null || value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) {
      entries[all.indexOf(one)].forEach((x, i) => (vector[columns[i]] += x));
    }
    if (bit !== null) vector[bit] = 1;
  }
  return vector;
}

// Images [B, H, W, C] of rows of latents and conditions, before cutting off.
function decode(zs, vectors) {
  const rows = (arrays) => {
    const width = arrays[0].length;
    const out = make([arrays.length, width]);
    arrays.forEach((array, i) => out.data.set(array, i * width));
    return out;
  };
  const inputs = [rows(zs)];
  if (graph.inputs.length > 1) inputs.push(rows(vectors));
  return run(graph, inputs);
}

// The same with guidance, cut off at [0, 1].
function images(zs, vectors, guidance) {
  const found = decode(zs, vectors);
  const data = Float32Array.from(found.data);
  if (guidance !== 1) {
    const free = decode(zs, vectors.map((v) => new Float32Array(v.length))).data;
    data.forEach((x, i) => (data[i] = free[i] + guidance * (x - free[i])));
  }
  data.forEach((x, i) => (data[i] = Math.min(Math.max(x, 0), 1)));
  return make(found.shape, data);
}

// Red, green or blue, 0 to 255, of a pixel's channels, as host/channels.py.
function byteOf(light, c) {
  let dark = 1;
  about.colours.forEach((colour, i) => (dark *= 1 - light[i] * colour[c]));
  return Math.round(255 * (1 - dark));
}

// One image of many as a canvas of its own size.
function canvasOf(found, index) {
  const size = HEIGHT * WIDTH;
  const pixels = new ImageData(WIDTH, HEIGHT);
  for (let i = 0; i < size; i++) {
    const from = (index * size + i) * CHANNELS;
    const light = found.data.subarray(from, from + CHANNELS);
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = byteOf(light, c);
    pixels.data[4 * i + 3] = 255;
  }
  const canvas = element("canvas", {width: WIDTH, height: HEIGHT});
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

const GAP = 4;
const HEAD = 30; // above a grid, for the settings' names
const enlarged = (wanted) => Math.max(1, Math.round(wanted / WIDTH));

// Prepare a canvas for a grid; returns a function that draws one row.
function grid(canvas, names, rows) {
  const scale = enlarged(84);
  const [width, height] = [WIDTH * scale, HEIGHT * scale];
  canvas.width = names.length * (width + GAP) - GAP;
  canvas.height = HEAD + rows * (height + GAP) - GAP;
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(document.body);
  pen.fillStyle = style.getPropertyValue("--card");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = style.color;
  pen.textAlign = "center";
  pen.font = "18px system-ui, sans-serif";
  names.forEach((name, i) =>
    pen.fillText(name, i * (width + GAP) + width / 2, 20, width),
  );
  pen.imageSmoothingEnabled = false;
  return (row, found) => {
    names.forEach((_, i) => {
      const place = [i * (width + GAP), HEAD + row * (height + GAP)];
      pen.drawImage(canvasOf(found, i), ...place, width, height);
    });
  };
}

// Which cell [row, column] of a grid is at a share of its canvas.
function cellAt(canvas, right, down) {
  const scale = enlarged(84);
  const row = (down * canvas.height - HEAD) / (HEIGHT * scale + GAP);
  const column = (right * canvas.width) / (WIDTH * scale + GAP);
  return [Math.floor(row), Math.floor(column)];
}

// A picture enlarged for a file, its pixels as squares.
function forFile(canvas, isGrid) {
  const scale = isGrid ? 1 : enlarged(280);
  const out = element("canvas", {
    width: canvas.width * scale, height: canvas.height * scale,
  });
  const pen = out.getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.drawImage(canvas, 0, 0, out.width, out.height);
  return out;
}
