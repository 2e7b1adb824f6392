// Click-to-select in the browser alone: what pyiseg.Session does on the CPU with `zoom=None`, without a server.
//
// onnxruntime-web runs the networks, ops.wasm all that stands between them, the same formulas as in Python. There is no
// zoom, no window of long images, no other prompt than clicks: see README.md.
import { fitView, fixedWindows, gridClicks, clicksInForce, windows } from "./geometry.mjs";
import { Ops } from "./ops.mjs";

// As pyiseg/runtime/noise.py has them, and says why.
const LEAST_NOISE = 1.5;
const LATTICE = 256;
const LAPLACIANS_OF_NOISE = 6 * 0.31864;
const ALIKE = 48;
const PASSES = [1, 1 / 3];
const REDUCING_GAP = 3; // as pyiseg/runtime/resample.py has it
const LONG = 6; // as pyiseg/windows.py has it
const LEAST_LONG = 64;

async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return response;
}

/** A model folder and the ops. Made by `Model.load`; one serves any number of sessions. */
export class Model {
  constructor(ort, ops, params, networks) {
    Object.assign(this, { ort, ops, ...networks }, params);
  }

  /**
   * ort: onnxruntime-web; folder: URL of a model folder of pyiseg, with a slash at its end; opsUrl: URL of ops.wasm.
   *
   * Throws an Error where a file is missing, or the model is of a kind that this example does not run.
   */
  static async load({ ort, folder, opsUrl }) {
    const manifest = await (await fetched(new URL("model.json", folder))).json();
    const { form, guide, radius, eps } = manifest.guided_filter;
    if (manifest.format !== 1 || form !== "residual" || guide !== "color" || !("image.onnx" in manifest.files)) {
      throw new Error(`${folder}: this example runs models of format 1 with image.onnx and the color guided filter`);
    }
    const params = {
      sizes: { longSide: manifest.input.long_side, multiple: manifest.input.multiple, gridStride: manifest.grid_stride },
      exponents: Float32Array.from(manifest.click_sigmas, (sigma) => -1 / (2 * sigma * sigma)),
      margin: manifest.clean_margin,
      radius,
      eps,
    };
    const bytes = async (url) => new Uint8Array(await (await fetched(url)).arrayBuffer());
    const open = async (name) =>
      ort.InferenceSession.create(await bytes(new URL(name, folder)), { executionProviders: ["wasm"] });
    const [ops, imageNetwork, clickNetwork] = await Promise.all([
      bytes(opsUrl).then(Ops.compile),
      open("image.onnx"),
      open("click.onnx"),
    ]);
    return new Model(ort, ops, params, { imageNetwork, clickNetwork });
  }
}

/** An image and the clicks on it. Made by `Session.open`. Calls are made one after the other: await each. */
export class Session {
  constructor(model, view, rgb, features) {
    this.model = model;
    this.view = view;
    this.rgb = rgb; // Place, uint8 (H, W, 3): the image or, where it has noise, one with less
    this.features = features; // the encoder's outputs by name
    this.steps = []; // [{clicks, prediction}], one a click
    this.undone = [];
  }

  /**
   * Encode an image. rgba: bytes (H, W, 4), as `ImageData.data`, of which alpha is left out; shape: [H, W].
   *
   * Throws a RangeError where the image is more than six times as long as wide: the library predicts on windows of it.
   */
  static async open(model, rgba, shape) {
    const [height, width] = shape;
    if (rgba.length !== 4 * height * width) {
      throw new RangeError(`rgba has ${rgba.length} bytes; for ${height} x ${width} pixels they must be ${4 * height * width}`);
    }
    if (Math.max(height, width) > Math.max(LONG * Math.min(height, width), LEAST_LONG)) {
      throw new RangeError(`the image has ${width} x ${height} pixels; it must be at most ${LONG} times as long as wide`);
    }
    const { ops, ort } = model;
    const view = fitView(shape, model.sizes);
    const rgb = ops.empty(Uint8Array, 3 * height * width);
    const bytes = rgb.view;
    for (let from = 0, to = 0; to < bytes.length; from += 4) {
      bytes[to++] = rgba[from];
      bytes[to++] = rgba[from + 1];
      bytes[to++] = rgba[from + 2];
    }
    const planes = workingImage(ops, view, rgb);
    const image = new ort.Tensor("float32", planes, [1, 3, ...view.working]);
    const features = await model.imageNetwork.run({ image });
    const session = new Session(model, view, rgb, features);
    session.prepareFilter();
    return session;
  }

  /** The color guide: the image on the grid, its statistics, and less noise in what the filter is applied to. */
  prepareFilter() {
    const { model, view } = this;
    const [height, width] = view.image;
    const [h, w] = view.grid;
    const { ops } = model;
    const noise = unseenNoise(noiseLevel(ops, view, this.rgb), view);
    this.guide = ops.empty(Float32Array, 3 * h * w);
    this.statistics = ops.empty(Float32Array, 6 * h * w);
    this.coefficients = ops.empty(Float32Array, 4 * h * w);
    this.scratch = ops.empty(Float32Array, 3 * h * w);
    this.matte = ops.empty(Uint8Array, height * width);
    ops.scoped(({ copyOf }) => {
      const side = (size, result) => {
        const made = windows(result < size ? "area" : "bilinear", size, result);
        return [copyOf(made.starts), copyOf(made.weights), made.taps, made.size];
      };
      ops.run("rgb_on_grid", this.rgb, height, width, ...side(height, h), ...side(width, w), this.guide);
    });
    const eps = model.eps + (noise / 255) ** 2;
    ops.run("color_guide_statistics", this.guide, h, w, model.radius, eps, this.statistics);
    if (noise > 0) {
      const reduced = ops.empty(Uint8Array, 3 * height * width);
      ops.scoped(({ empty }) => {
        const between = empty(Uint8Array, 3 * height * width);
        ops.run("reduce_noise", this.rgb, height, width, ALIKE * (PASSES[0] * noise) ** 2, between);
        ops.run("reduce_noise", between, height, width, ALIKE * (PASSES[1] * noise) ** 2, reduced);
      });
      this.rgb.release();
      this.rgb = reduced;
    }
  }

  /** Click a pixel: fg true selects, false removes. Returns alpha after it, a fresh Uint8Array of H * W. */
  async click(x, y, fg = true) {
    const [height, width] = this.view.image;
    if (!Number.isInteger(x) || !Number.isInteger(y) || x < 0 || y < 0 || x >= width || y >= height) {
      throw new RangeError(`(x, y) is (${x}, ${y}); it must be a pixel of the ${width} x ${height} image`);
    }
    const before = this.steps.at(-1);
    const clicks = [...(before?.clicks ?? []), { x, y, fg: Boolean(fg) }];
    const prediction = await this.predict(clicks, before?.prediction);
    const alpha = this.render(clicks, prediction);
    this.steps.push({ clicks, prediction });
    this.undone = [];
    return alpha;
  }

  /** Take the last click back. Returns alpha as it was before it; with nothing left, nothing happens. */
  undo() {
    if (this.steps.length > 0) this.undone.push(this.steps.pop());
    return this.alpha;
  }

  /** Make the click again that was undone last. Returns alpha after it. */
  redo() {
    if (this.undone.length > 0) this.steps.push(this.undone.pop());
    return this.alpha;
  }

  /** Alpha after the last click, a fresh Uint8Array of H * W; zeros before the first. */
  get alpha() {
    const last = this.steps.at(-1);
    return last ? this.render(last.clicks, last.prediction) : new Uint8Array(this.matte.length);
  }

  get clicks() {
    return this.steps.at(-1)?.clicks ?? [];
  }

  /** Give the memory back. The session cannot be used any more. */
  close() {
    for (const place of [this.rgb, this.guide, this.statistics, this.coefficients, this.scratch, this.matte]) {
      place.release();
    }
    for (const feature of Object.values(this.features)) feature.dispose();
  }

  /** Clicks in force, {onImage, onGrid} as Int32Arrays of rows x, y, label, and how many of `answered` are among them. */
  placed(clicks, answered) {
    const kept = clicksInForce(gridClicks(this.view, clicks));
    const left = clicks.filter((_, i) => kept[i]);
    const onImage = Int32Array.from(left.flatMap(({ x, y, fg }) => [x, y, Number(fg)]));
    return {
      onImage,
      onGrid: gridClicks(this.view, left),
      answered: kept.slice(0, answered).filter(Boolean).length,
    };
  }

  /** The prediction on the grid after some clicks, Float32Array, from that for all but the last. */
  async predict(clicks, previous) {
    const { model, view } = this;
    const { ops, ort } = model;
    const [h, w] = view.grid;
    const pixels = h * w;
    const { onGrid, answered } = this.placed(clicks, clicks.length - 1);
    const count = onGrid.length / 3;
    const maps = 2 * model.exponents.length;
    const inputs = ops.scoped(({ empty, copyOf }) => {
      const at = copyOf(onGrid);
      const alpha = copyOf(previous ?? new Float32Array(pixels));
      const fedBack = empty(Float32Array, pixels);
      const clickMaps = empty(Float32Array, maps * pixels);
      ops.run("keep_clicked_components", alpha, at, answered, 0, h, w, empty(Int32Array, pixels), fedBack);
      ops.run("click_maps", at, count, copyOf(model.exponents), model.exponents.length, h, w, clickMaps);
      return {
        ...this.features,
        click_maps: new ort.Tensor("float32", clickMaps.view.slice(), [1, maps, h, w]),
        previous_alpha: new ort.Tensor("float32", fedBack.view.slice(), [1, 1, h, w]),
      };
    });
    const taken = Object.fromEntries(model.clickNetwork.inputNames.map((name) => [name, inputs[name]]));
    const { alpha } = await model.clickNetwork.run(taken);
    return ops.scoped(({ empty, copyOf }) => {
      const at = copyOf(onGrid);
      const output = copyOf(alpha.data);
      const prediction = empty(Float32Array, pixels);
      ops.run("force_clicks", at, count, h, w, output);
      ops.run("keep_clicked_components", output, at, count, model.margin, h, w, empty(Int32Array, pixels), prediction);
      return prediction.view.slice();
    });
  }

  /** Render a prediction at the image's resolution: the color guided filter in residual form. */
  render(clicks, prediction) {
    const { model, view, coefficients, scratch } = this;
    const [h, w] = view.grid;
    const { ops } = model;
    const { onImage, onGrid } = this.placed(clicks, 0);
    ops.scoped(({ copyOf }) => {
      const p = copyOf(prediction);
      const fit = [this.guide, this.statistics, p, h, w, model.radius, scratch, coefficients];
      ops.run("color_guided_filter_coefficients", ...fit);
      const clicked = [copyOf(onImage), copyOf(onGrid), onGrid.length / 3];
      ops.run("pin_image_clicks", this.rgb, ...view.image, ...clicked, h, w, scratch, coefficients);
    });
    ops.run("apply_coefficients", coefficients, h, w, this.rgb, ...view.image, this.matte);
    return this.matte.view.slice();
  }
}

/** The network's input, R, G and B in 0..1, Float32Array (3, Hw, Ww): see `working_image`. */
function workingImage(ops, view, rgb) {
  const [height, width] = view.image;
  const [rows, columns] = view.working;
  return ops.scoped(({ empty, copyOf }) => {
    // Whole factors first; then what is left of the sides is no longer whole.
    const fx = Math.trunc(width / columns / REDUCING_GAP) || 1;
    const fy = Math.trunc(height / rows / REDUCING_GAP) || 1;
    const h = Math.ceil(height / fy);
    const w = Math.ceil(width / fx);
    let current = rgb;
    if (fx > 1 || fy > 1) {
      current = empty(Uint8Array, 3 * h * w);
      ops.run("reduce_rgb", rgb, height, width, fx, fy, current);
    }
    let shape = [h, w];
    const pass = (name, made, next) => {
      const resized = empty(Uint8Array, 3 * next[0] * next[1]);
      ops.run(name, current, ...shape, copyOf(made.starts), copyOf(made.weights), made.taps, made.size, resized);
      current = resized;
      shape = next;
    };
    const alongRows = () => pass("resample_rgb_x", fixedWindows("lanczos", w, columns, width / fx), [shape[0], columns]);
    const alongColumns = () => pass("resample_rgb_y", fixedWindows("lanczos", h, rows, height / fy), [rows, shape[1]]);
    // The second pass works on the first one's bytes, so their order shows.
    const columnsFirst = rows < h && h - rows > 2 * (w - columns);
    for (const along of columnsFirst ? [alongColumns, alongRows] : [alongRows, alongColumns]) along();
    const planes = empty(Float32Array, 3 * rows * columns);
    ops.run("hwc_to_chw", current, rows * columns, planes);
    return planes.view.slice();
  });
}

/** The noise of the image, as a standard deviation of 255; 0 where it does not count: see `noise_level`. */
function noiseLevel(ops, view, rgb) {
  const [height, width] = view.image;
  if (Math.min(height, width) < 3) return 0;
  const lattice = [Math.min(height - 2, LATTICE), Math.min(width - 2, LATTICE)];
  const found = ops.scoped(({ empty }) => {
    const samples = empty(Int32Array, 3 * lattice[0] * lattice[1]);
    ops.run("noise_samples", rgb, height, width, ...lattice, samples);
    return samples.view.filter((sample) => sample >= 0).sort();
  });
  if (found.length === 0) return 0;
  const level = found[Math.floor(found.length / 4)] / LAPLACIANS_OF_NOISE;
  return level >= LEAST_NOISE ? level : 0;
}

/** How much of it the filter meets in pixels and has not met on the grid: see `unseen_noise`. */
function unseenNoise(level, { image, grid }) {
  const unseen = level * Math.sqrt(Math.max(0, 1 - (grid[0] * grid[1]) / (image[0] * image[1])));
  return unseen >= LEAST_NOISE ? unseen : 0;
}
