// The operators of ONNX that a decoder is made of, and how a graph is run.
"use strict";

const each = (f) => (inputs) => map(f, ...inputs);
const list = (x) => Array.from(x.data);

function erf(x) {
  // Abramowitz and Stegun, 7.1.26: the error is below 1.5e-7.
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const factors = [1.061405429, -1.453152027, 1.421413741, -0.284496736];
  const sum = factors.reduce((total, f) => (total + f) * t, 0);
  return Math.sign(x) * (1 - (sum + 0.254829592) * t * Math.exp(-x * x));
}

function roundToEven(x) {
  const near = Math.round(x);
  return Math.abs(x % 1) === 0.5 && near % 2 !== 0 ? near - 1 : near;
}

const WHOLE = [2, 3, 4, 5, 6, 7, 12, 13]; // ONNX's types of whole numbers

function cast([x], {to}) {
  if (to === 9) return map((a) => (a ? 1 : 0), x); // to Booleans
  return WHOLE.includes(to) ? map(Math.trunc, x) : x;
}

function matMul([a, b]) {
  const [k, n] = b.shape;
  const out = make([...a.shape.slice(0, -1), n]);
  multiply(out.data, a.data, b.data, [a.data.length / k, k, n]);
  return out;
}

function reshape([x, sizes]) {
  const shape = list(sizes);
  const free = shape.indexOf(-1);
  if (free >= 0) shape[free] = x.data.length / -count(shape);
  return make(shape, x.data);
}

function concat(inputs, {axis}) {
  const shape = [...inputs[0].shape];
  shape[axis] = inputs.reduce((total, x) => total + x.shape[axis], 0);
  const out = make(shape, new inputs[0].data.constructor(count(shape)));
  const row = count(shape.slice(axis));
  let start = 0;
  for (const x of inputs) {
    const width = count(x.shape.slice(axis));
    for (let i = 0; i * width < x.data.length; i++) {
      out.data.set(x.data.subarray(i * width, (i + 1) * width), i * row + start);
    }
    start += width;
  }
  return out;
}

function slice([x, starts, ends, axes, steps]) {
  const shape = [...x.shape];
  const strides = stridesOf(shape);
  const own = stridesOf(x.shape);
  let first = 0;
  starts.data.forEach((from, i) => {
    const axis = axes ? axes.data[i] : i;
    const step = steps ? steps.data[i] : 1;
    const size = x.shape[axis];
    const place = (at) =>
      Math.min(Math.max(at < 0 ? at + size : at, step < 0 ? -1 : 0), size);
    const begin = Math.min(place(from), step < 0 ? size - 1 : size);
    const end = ends.data[i] < -size ? (step < 0 ? -1 : 0) : place(ends.data[i]);
    first += begin * own[axis];
    shape[axis] = Math.max(0, Math.ceil((end - begin) / step));
    strides[axis] = own[axis] * step;
  });
  return strided(x, shape, strides, first);
}

function pad([x, pads, value]) {
  const rank = x.shape.length;
  const sizes = list(pads);
  // Negative pads cut.
  const low = sizes.slice(0, rank).map((n) => Math.max(-n, 0));
  const high = x.shape.map((n, i) => n - Math.max(-sizes[rank + i], 0));
  const ints = (values) => ({shape: [rank], data: Int32Array.from(values)});
  const kept = slice([x, ints(low), ints(high)]);
  const more = sizes.map((n) => Math.max(n, 0));
  const shape = kept.shape.map((n, i) => n + more[i] + more[rank + i]);
  const out = make(shape);
  if (value && value.data[0] !== 0) out.data.fill(value.data[0]);
  const strides = stridesOf(shape);
  const width = kept.shape[rank - 1];
  for (let row = 0; row * width < kept.data.length; row++) {
    let to = more[rank - 1];
    let rest = row;
    for (let axis = rank - 2; axis >= 0; axis--) {
      to += ((rest % kept.shape[axis]) + more[axis]) * strides[axis];
      rest = Math.floor(rest / kept.shape[axis]);
    }
    out.data.set(kept.data.subarray(row * width, (row + 1) * width), to);
  }
  return out;
}

function gather([x, picked], {axis = 0}) {
  const inner = count(x.shape.slice(axis + 1));
  const outer = count(x.shape.slice(0, axis));
  const rows = list(picked);
  const shape = [...x.shape];
  shape.splice(axis, 1, ...picked.shape);
  const out = make(shape, new x.data.constructor(count(shape)));
  let to = 0;
  for (let i = 0; i < outer; i++) {
    for (const row of rows) {
      const from = (i * x.shape[axis] + row) * inner;
      out.data.set(x.data.subarray(from, from + inner), to);
      to += inner;
    }
  }
  return out;
}

function tile([x, times]) {
  return list(times).reduce(
    (found, n, axis) => concat(new Array(n).fill(found), {axis}),
    x,
  );
}

const reduce = (f, start) => ([x, axes], {keepdims = 1}) => {
  const along = list(axes).map((axis) => (axis + x.shape.length) % x.shape.length);
  const kept = x.shape.map((_, i) => i).filter((i) => !along.includes(i));
  const turned = transpose(x, [...kept, ...along]);
  const width = count(along.map((axis) => x.shape[axis]));
  const shape = keepdims
    ? x.shape.map((n, i) => (along.includes(i) ? 1 : n))
    : kept.map((axis) => x.shape[axis]);
  const out = make(shape);
  for (let i = 0; i < out.data.length; i++) {
    let found = start;
    for (let j = 0; j < width; j++) found = f(found, turned.data[i * width + j]);
    out.data[i] = found;
  }
  return out;
};

const OPERATORS = {
  Abs: each(Math.abs),
  Add: each((a, b) => a + b),
  And: each((a, b) => (a && b ? 1 : 0)),
  Cast: cast,
  Concat: concat,
  Conv: ([x, weights], attributes) => conv(x, weights, attributes),
  ConvTranspose: ([x, weights], attributes) =>
    convTranspose(x, weights, attributes),
  Div: each((a, b) => a / b),
  Equal: each((a, b) => (a === b ? 1 : 0)),
  Erf: each(erf),
  Exp: each(Math.exp),
  Expand: ([x, shape]) => expand(x, together(x.shape, list(shape))),
  Gather: gather,
  Greater: each((a, b) => (a > b ? 1 : 0)),
  GreaterOrEqual: each((a, b) => (a >= b ? 1 : 0)),
  Identity: ([x]) => x,
  Less: each((a, b) => (a < b ? 1 : 0)),
  LessOrEqual: each((a, b) => (a <= b ? 1 : 0)),
  Log: each(Math.log),
  MatMul: matMul,
  Max: each((a, b) => (a > b ? a : b)),
  MaxPool: ([x], attributes) => maxPool(x, attributes),
  Min: each((a, b) => (a < b ? a : b)),
  Mul: each((a, b) => a * b),
  Neg: each((a) => -a),
  Not: each((a) => (a ? 0 : 1)),
  Or: each((a, b) => (a || b ? 1 : 0)),
  Pad: pad,
  Pow: each((a, b) => a ** b),
  Reciprocal: each((a) => 1 / a),
  ReduceMax: reduce(Math.max, -Infinity),
  ReduceMin: reduce(Math.min, Infinity),
  ReduceSum: reduce((a, b) => a + b, 0),
  Reshape: reshape,
  Round: each(roundToEven),
  Shape: ([x], {start = 0, end = x.shape.length}) => {
    const sizes = Float32Array.from(x.shape.slice(start, end));
    return make([sizes.length], sizes);
  },
  Sigmoid: each((a) => 1 / (1 + Math.exp(-a))),
  Sign: each(Math.sign),
  Slice: slice,
  Sqrt: each(Math.sqrt),
  Sub: each((a, b) => a - b),
  Tanh: each(Math.tanh),
  Tile: tile,
  Transpose: ([x], {perm}) => transpose(x, perm),
  Where: each((which, yes, no) => (which ? yes : no)),
};

// Run a graph: inputs are arrays in its order; returns its one output.
function run(graph, inputs) {
  const values = [...graph.constants];
  graph.inputs.forEach((place, i) => (values[place] = inputs[i]));
  for (const node of graph.nodes) {
    const found = node.inputs.map((place) => values[place]);
    values[node.output] = OPERATORS[node.operator](found, node.attributes);
  }
  return values[graph.output];
}

// Read the numbers of a graph's constants from base64.
function unpack(graph, text) {
  const words = atob(text);
  const bytes = new Uint8Array(words.length);
  for (let i = 0; i < words.length; i++) bytes[i] = words.charCodeAt(i);
  const halves = halfTable();
  const read = (start, size, kind) => new kind(
    bytes.slice(start, start + size * kind.BYTES_PER_ELEMENT).buffer);
  const numbers = (size, start, bits) => {
    if (bits === 32) return read(start, size, Float32Array);
    if (bits === 16) {
      const codes = read(start, size, Uint16Array);
      return Float32Array.from(codes, (code) => halves[code]);
    }
    const scales = read(start, Math.ceil(size / BLOCK), Float32Array);
    const codes = read(start + 4 * scales.length, size, Int8Array);
    return Float32Array.from(codes, (code, i) => code * scales[i >> SHIFT]);
  };
  graph.constants = graph.constants.map((about) => {
    const {shape, values, start, bits, strides, first} = about;
    if (values) return make(shape, Float32Array.from(values));
    const size = count(shape);
    return strided(make([size], numbers(size, start, bits)), shape, strides, first);
  });
}

// 8-bit numbers stand in blocks of 64, each with a 32-bit number to multiply by.
const SHIFT = 6;
const BLOCK = 1 << SHIFT;

// The value of each 16-bit float by its bits.
function halfTable() {
  return Float32Array.from({length: 65536}, (_, code) => {
    const sign = code & 0x8000 ? -1 : 1;
    const power = (code >> 10) & 31;
    const part = (code & 1023) / 1024;
    if (power === 31) return part ? NaN : sign * Infinity;
    if (power === 0) return sign * part * 2 ** -14;
    return sign * (1 + part) * 2 ** (power - 15);
  });
}
