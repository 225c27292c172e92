// Convolutions and pooling of maps [B, C, H, W], as ONNX defines them.
"use strict";

// Conv: each window of the map as a column, then one matrix product.
function conv(x, weights, {strides, dilations, group, pads}) {
  const [batch, channels, height, width] = x.shape;
  const [outputs, inside, down, across] = weights.shape;
  const rows = outputSize(height, down, 0, pads, strides, dilations);
  const columns = outputSize(width, across, 1, pads, strides, dilations);
  const area = rows * columns;
  const depth = inside * down * across;
  const out = make([batch, outputs, rows, columns]);
  const share = outputs / group;
  const windows = new Float32Array(depth * area);
  const geometry = {height, width, down, across, rows, columns};
  for (let b = 0; b < batch; b++) {
    for (let g = 0; g < group; g++) {
      const start = (b * channels + g * inside) * height * width;
      const from = x.data.subarray(start, start + inside * height * width);
      cut(windows, from, inside, geometry, {strides, dilations, pads});
      const sizes = [share, depth, area];
      const o = (b * outputs + g * share) * area;
      multiply(out.data, weights.data, windows, sizes, [o, g * share * depth, 0]);
    }
  }
  return out;
}

function outputSize(size, kernel, axis, pads, strides, dilations) {
  const reach = dilations[axis] * (kernel - 1) + 1;
  const whole = size + pads[axis] + pads[axis + 2];
  return Math.floor((whole - reach) / strides[axis]) + 1;
}

// Write the windows [C · k · k, rows · columns] of one map; 0 outside of it.
function cut(windows, map, channels, geometry, {strides, dilations, pads}) {
  const {height, width, down, across, rows, columns} = geometry;
  let to = 0;
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < down; i++) {
      for (let j = 0; j < across; j++) {
        for (let row = 0; row < rows; row++) {
          const y = row * strides[0] + i * dilations[0] - pads[0];
          const base = (c * height + y) * width;
          const inside = y >= 0 && y < height;
          let x = j * dilations[1] - pads[1];
          for (let column = 0; column < columns; column++, x += strides[1]) {
            windows[to++] = inside && x >= 0 && x < width ? map[base + x] : 0;
          }
        }
      }
    }
  }
}

// ConvTranspose: one matrix product, whose columns are added into the map.
function convTranspose(x, weights, {strides, pads, output_padding}) {
  const [batch, channels, height, width] = x.shape;
  const [, outputs, down, across] = weights.shape;
  const [rows, columns] = [0, 1].map((axis) => {
    const extra = weights.shape[2 + axis] + output_padding[axis];
    const whole = (x.shape[2 + axis] - 1) * strides[axis] + extra;
    return whole - pads[axis] - pads[axis + 2];
  });
  const depth = outputs * down * across;
  const area = height * width;
  weights.turned ||= transpose({shape: [channels, depth], data: weights.data}, [1, 0]);
  const out = make([batch, outputs, rows, columns]);
  const parts = new Float32Array(depth * area);
  const geometry = {height, width, down, across, rows, columns};
  for (let b = 0; b < batch; b++) {
    parts.fill(0);
    const sizes = [depth, channels, area];
    multiply(parts, weights.turned.data, x.data, sizes, [0, 0, b * channels * area]);
    const size = outputs * rows * columns;
    const map = out.data.subarray(b * size, (b + 1) * size);
    put(map, parts, outputs, geometry, strides, pads);
  }
  return out;
}

function put(map, parts, channels, geometry, strides, pads) {
  const {height, width, down, across, rows, columns} = geometry;
  let from = 0;
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < down; i++) {
      for (let j = 0; j < across; j++) {
        for (let row = 0; row < height; row++) {
          const y = row * strides[0] + i - pads[0];
          const base = (c * rows + y) * columns;
          const inside = y >= 0 && y < rows;
          let x = j - pads[1];
          for (let column = 0; column < width; column++, x += strides[1]) {
            const part = parts[from++];
            if (inside && x >= 0 && x < columns) map[base + x] += part;
          }
        }
      }
    }
  }
}

function maxPool(x, {kernel_shape: [down, across], strides, pads}) {
  const [batch, channels, height, width] = x.shape;
  const rows = outputSize(height, down, 0, pads, strides, [1, 1]);
  const columns = outputSize(width, across, 1, pads, strides, [1, 1]);
  const out = make([batch, channels, rows, columns]);
  let to = 0;
  for (let map = 0; map < batch * channels; map++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        let most = -Infinity;
        for (let i = 0; i < down; i++) {
          for (let j = 0; j < across; j++) {
            const y = row * strides[0] + i - pads[0];
            const z = column * strides[1] + j - pads[1];
            if (y < 0 || z < 0 || y >= height || z >= width) continue;
            most = Math.max(most, x.data[(map * height + y) * width + z]);
          }
        }
        out.data[to++] = most;
      }
    }
  }
  return out;
}
