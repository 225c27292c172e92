// Arrays {shape, data}: broadcasting, moving axes, and one matrix product.
"use strict";

const count = (shape) => shape.reduce((total, n) => total * n, 1);

function make(shape, data) {
  return {shape, data: data || new Float32Array(count(shape))};
}

// How far apart in memory neighbours along each axis are.
function stridesOf(shape) {
  const found = new Array(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) {
    found[i] = found[i + 1] * shape[i + 1];
  }
  return found;
}

function together(...shapes) {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  const found = new Array(rank).fill(1);
  for (const shape of shapes) {
    shape.forEach((n, i) => {
      const axis = i + rank - shape.length;
      if (n !== 1 && found[axis] !== 1 && found[axis] !== n) {
        throw new Error(`shapes ${shapes.join(" and ")} do not fit together`);
      }
      if (n !== 1) found[axis] = n;
    });
  }
  return found;
}

// Strides of an array that is read as a wider shape; 0 repeats.
function wideStrides(from, shape) {
  const own = stridesOf(from);
  return shape.map((_, i) => {
    const axis = i - (shape.length - from.length);
    return axis < 0 || from[axis] === 1 ? 0 : own[axis];
  });
}

// Copy by any strides: broadcast, transpose, slice. The inner axis is a loop.
function strided(x, shape, strides, start = 0) {
  const out = new x.data.constructor(count(shape));
  const rank = shape.length;
  if (!out.length) return make(shape, out);
  if (!rank) {
    out[0] = x.data[start];
    return make(shape, out);
  }
  const inner = shape[rank - 1];
  const step = strides[rank - 1];
  const at = new Array(rank).fill(0);
  let from = start;
  for (let to = 0; to < out.length; ) {
    for (let i = 0, j = from; i < inner; i++, j += step) {
      out[to++] = x.data[j];
    }
    for (let axis = rank - 2; axis >= 0; axis--) {
      from += strides[axis];
      if (++at[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      at[axis] = 0;
    }
  }
  return make(shape, out);
}

function expand(x, shape) {
  return strided(x, shape, wideStrides(x.shape, shape));
}

function transpose(x, order) {
  const strides = stridesOf(x.shape);
  const shape = order.map((axis) => x.shape[axis]);
  return strided(x, shape, order.map((axis) => strides[axis]));
}

// f of one, two or three arrays, entry by entry.
function map(f, ...inputs) {
  const shape = together(...inputs.map((x) => x.shape));
  const total = count(shape);
  const [a, b, c] = inputs.map((x) =>
    count(x.shape) === total || isSuffix(x.shape, shape)
      ? x.data
      : expand(x, shape).data,
  );
  const out = new Float32Array(total);
  if (inputs.length === 1) {
    for (let i = 0; i < total; i++) out[i] = f(a[i]);
  } else if (inputs.length === 2) {
    const m = a.length;
    const n = b.length;
    for (let i = 0, j = 0, k = 0; i < total; i++) {
      out[i] = f(a[j], b[k]);
      if (++j === m) j = 0;
      if (++k === n) k = 0;
    }
  } else {
    for (let i = 0; i < total; i++) {
      out[i] = f(a[i % a.length], b[i % b.length], c[i % c.length]);
    }
  }
  return make(shape, out);
}

// Whether an array repeats as a whole along the first axes of a shape.
function isSuffix(part, shape) {
  const first = part.findIndex((n) => n !== 1);
  const rest = first < 0 ? [] : part.slice(first);
  return rest.every((n, i) => n === shape[shape.length - rest.length + i]);
}

// out [M, N] += a [M, K] · b [K, N], whose parts begin at the offsets. Columns
// are taken in blocks that stay in the cache, and four rows of b at a time, by
// two rows of a where there are two.
function multiply(out, a, b, [m, k, n], [toOut, toA, toB] = [0, 0, 0]) {
  const block = 256;
  for (let first = 0; first < n; first += block) {
    const width = Math.min(block, n - first);
    let row = 0;
    for (; row + 1 < m; row += 2) {
      const places = [toOut + row * n + first, toA + row * k, toB + first];
      twoRows(out, a, b, k, n, width, places);
    }
    if (row < m) {
      const places = [toOut + row * n + first, toA + row * k, toB + first];
      oneRow(out, a, b, k, n, width, places);
    }
  }
}

function twoRows(out, a, b, k, n, width, [o, r, toB]) {
  const p = o + n;
  const s = r + k;
  let i = 0;
  for (; i + 3 < k; i += 4) {
    const [a0, a1, a2, a3] = [a[r + i], a[r + i + 1], a[r + i + 2], a[r + i + 3]];
    const [c0, c1, c2, c3] = [a[s + i], a[s + i + 1], a[s + i + 2], a[s + i + 3]];
    const b0 = toB + i * n;
    const b1 = b0 + n;
    const b2 = b1 + n;
    const b3 = b2 + n;
    for (let j = 0; j < width; j++) {
      const x0 = b[b0 + j];
      const x1 = b[b1 + j];
      const x2 = b[b2 + j];
      const x3 = b[b3 + j];
      out[o + j] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3;
      out[p + j] += c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3;
    }
  }
  for (; i < k; i++) {
    const b0 = toB + i * n;
    for (let j = 0; j < width; j++) {
      out[o + j] += a[r + i] * b[b0 + j];
      out[p + j] += a[s + i] * b[b0 + j];
    }
  }
}

function oneRow(out, a, b, k, n, width, [o, r, toB]) {
  let i = 0;
  for (; i + 3 < k; i += 4) {
    const [a0, a1, a2, a3] = [a[r + i], a[r + i + 1], a[r + i + 2], a[r + i + 3]];
    if (a0 === 0 && a1 === 0 && a2 === 0 && a3 === 0) continue; // of a ReLU
    const b0 = toB + i * n;
    const b1 = b0 + n;
    const b2 = b1 + n;
    const b3 = b2 + n;
    for (let j = 0; j < width; j++) {
      out[o + j] +=
        a0 * b[b0 + j] + a1 * b[b1 + j] + a2 * b[b2 + j] + a3 * b[b3 + j];
    }
  }
  for (; i < k; i++) {
    const b0 = toB + i * n;
    for (let j = 0; j < width; j++) out[o + j] += a[r + i] * b[b0 + j];
  }
}
