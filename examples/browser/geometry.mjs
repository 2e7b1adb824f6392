// Sizes, clicks and resampling windows: what pyiseg/geometry.py, pyiseg/crop.py and pyiseg/runtime/resample.py decide
// in Python, for the whole image. Shapes are [height, width]; x points right, y down; whole numbers are pixel centers.

/** The sizes in which a model sees an image: see `View.fit`. */
export function fitView([height, width], { longSide, multiple, gridStride }) {
  const longest = Math.max(height, width);
  const side = (length) =>
    Math.max(1, Math.floor((2 * length * longSide + longest * multiple) / (2 * longest * multiple))) * multiple;
  const working = [side(height), side(width)];
  return { image: [height, width], working, grid: working.map((length) => length / gridStride) };
}

/** Clicks on the grid, Int32Array of rows x, y, label: see `View.grid_clicks`. clicks: [{x, y, fg}, ...]. */
export function gridClicks(view, clicks) {
  const [height, width] = view.image;
  const [rows, columns] = view.grid;
  const placed = new Int32Array(3 * clicks.length);
  clicks.forEach(({ x, y, fg }, i) => {
    placed[3 * i] = Math.floor(((2 * x + 1) * columns) / (2 * width));
    placed[3 * i + 1] = Math.floor(((2 * y + 1) * rows) / (2 * height));
    placed[3 * i + 2] = Number(fg);
  });
  const later = new Map();
  for (let i = clicks.length - 1; i >= 0; --i) {
    const [x, y, label] = placed.subarray(3 * i, 3 * i + 3);
    const opposite = later.get(`${x} ${y} ${1 - label}`);
    if (opposite !== undefined) {
      // A grid pixel cannot be selected and removed: the earlier click goes to the next one, away from the later.
      const away = [clicks[i].x - clicks[opposite].x, clicks[i].y - clicks[opposite].y];
      const most = Math.max(...away.map(Math.abs));
      const step = away.map((length) => (2 * Math.abs(length) > most ? Math.sign(length) : 0));
      placed[3 * i] = Math.min(Math.max(x + step[0], 0), columns - 1);
      placed[3 * i + 1] = Math.min(Math.max(y + step[1], 0), rows - 1);
    }
    if (!later.has(`${x} ${y} ${label}`)) later.set(`${x} ${y} ${label}`, i);
  }
  return placed;
}

/** Which clicks no later one with the other label on the same grid pixel supersedes: see `in_force`. */
export function clicksInForce(placed) {
  const kept = new Array(placed.length / 3).fill(true);
  const last = new Map();
  const superseded = new Set();
  for (let i = kept.length - 1; i >= 0; --i) {
    const at = `${placed[3 * i]} ${placed[3 * i + 1]}`;
    if (!last.has(at)) last.set(at, placed[3 * i + 2]);
    if (last.get(at) !== placed[3 * i + 2]) superseded.add(at);
    kept[i] = !superseded.has(at);
  }
  return kept;
}

const REACH = { bilinear: 1, lanczos: 3 };

function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

function weightAt(kind, x) {
  if (kind === "bilinear") return Math.max(1 - Math.abs(x), 0);
  return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

/**
 * Pixel i of a resampled axis is the sum over k of weights[k * result + i] * pixel[starts[i] + k]: see `windows`.
 *
 * kind: "area", "bilinear" or "lanczos"; size: pixels of the axis; result: pixels of what it becomes; covered: how much
 * of the axis is covered from its beginning. Returns {starts: Int32Array, weights: Float64Array, taps, size: result}.
 */
export function windows(kind, size, result, covered = size) {
  const scale = Math.fround(covered) / result;
  const widened = Math.max(scale, 1);
  const reach = kind === "area" ? (widened + 1) / 2 : REACH[kind] * widened;
  const rows = [];
  for (let i = 0; i < result; ++i) {
    const center = (i + 0.5) * scale;
    const start = Math.max(Math.trunc(center - reach + 0.5), 0);
    const stop = Math.min(Math.trunc(center + reach + 0.5), size);
    const weights = [];
    let sum = 0;
    for (let pixel = start; pixel < stop; ++pixel) {
      const distance = pixel - center + 0.5;
      const weight =
        kind === "area"
          ? Math.min(Math.max(reach - Math.abs(distance), 0), 1)
          : weightAt(kind, distance * (1 / widened));
      weights.push(weight);
      sum += weight;
    }
    rows.push({ start, weights: weights.map((weight) => weight / sum) });
  }
  return packed(rows, size, Float64Array);
}

/** `windows` with weights in units of 2^-22, Int32Array, as images of bytes are resized: see `fixed_windows`. */
export function fixedWindows(kind, size, result, covered = size) {
  const exact = windows(kind, size, result, covered);
  const rows = [];
  for (let i = 0; i < result; ++i) {
    const weights = [];
    for (let k = 0; k < exact.taps; ++k) {
      const units = exact.weights[k * result + i] * 2 ** 22;
      weights.push(Math.trunc(units + (units < 0 ? -0.5 : 0.5)));
    }
    rows.push({ start: exact.starts[i], weights });
  }
  return packed(rows, size, Int32Array);
}

/** Windows of the least common length, moved inwards where they would leave the axis: see `_packed`. */
function packed(rows, size, Weights) {
  for (const row of rows) {
    const first = row.weights.findIndex((weight) => weight !== 0);
    const last = row.weights.findLastIndex((weight) => weight !== 0);
    row.start += first;
    row.weights = row.weights.slice(first, last + 1);
  }
  const taps = Math.max(...rows.map((row) => row.weights.length));
  const starts = new Int32Array(rows.length);
  const weights = new Weights(taps * rows.length);
  rows.forEach((row, i) => {
    starts[i] = Math.min(row.start, size - taps);
    row.weights.forEach((weight, k) => {
      weights[(row.start - starts[i] + k) * rows.length + i] = weight;
    });
  });
  return { starts, weights, taps, size: rows.length };
}
