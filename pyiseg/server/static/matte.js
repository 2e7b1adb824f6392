// One object's matte in the size of the image, and smaller ones of it: zoomed out, a 12 MP image is shown from the
// small ones, so that neither a click nor a change of view touches 12 million pixels.

import { atLevel, columns, isEmpty, rows } from "./rect.js";

const SMALLEST = 256; // no level is needed whose longer side is below this

export class Matte {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.selected = 0; // pixels of at least 128, the mask
    this.levels = null; // made with the first change: objects that nothing is selected in yet cost nothing
  }

  /** How many levels a matte of this size has, whether they are made yet or not. */
  static depth(width, height) {
    let depth = 1;
    for (let side = Math.max(width, height); side > 2 * SMALLEST; side /= 2) depth += 1;
    return depth;
  }

  /** The whole matte, one byte a pixel. */
  get alpha() {
    return this.levels ? this.levels[0].alpha : new Uint8Array(this.width * this.height);
  }

  get share() {
    return this.selected / (this.width * this.height);
  }

  /** Put new values into a rectangle; `values` are its rows, one after the other. */
  set(rect, values) {
    if (isEmpty(rect)) return;
    const width = columns(rect);
    if (values.length !== width * rows(rect)) {
      throw new Error(`a matte of ${width} × ${rows(rect)} pixels came with ${values.length} bytes`);
    }
    this.#allocate();
    const { alpha } = this.levels[0];
    for (let row = rect[0]; row < rect[2]; row += 1) {
      const start = row * this.width + rect[1];
      const from = (row - rect[0]) * width;
      for (let i = 0; i < width; i += 1) {
        const value = values[from + i];
        this.selected += (value >> 7) - (alpha[start + i] >> 7);
        alpha[start + i] = value;
      }
    }
    for (let level = 1; level < this.levels.length; level += 1) this.#halve(level, atLevel(rect, level));
  }

  clear() {
    this.levels = null;
    this.selected = 0;
  }

  #allocate() {
    if (this.levels) return;
    this.levels = [];
    for (let level = 0; level < Matte.depth(this.width, this.height); level += 1) {
      const width = Math.ceil(this.width / 2 ** level);
      const height = Math.ceil(this.height / 2 ** level);
      this.levels.push({ width, height, alpha: new Uint8Array(width * height) });
    }
  }

  /** Each pixel is the mean of the four below it; the last row and column of odd sizes count twice. */
  #halve(level, rect) {
    const { width, height, alpha } = this.levels[level - 1];
    const to = this.levels[level];
    for (let y = rect[0]; y < Math.min(rect[2], to.height); y += 1) {
      const upper = 2 * y * width;
      const lower = Math.min(2 * y + 1, height - 1) * width;
      for (let x = rect[1]; x < Math.min(rect[3], to.width); x += 1) {
        const left = 2 * x;
        const right = Math.min(left + 1, width - 1);
        const sum = alpha[upper + left] + alpha[upper + right] + alpha[lower + left] + alpha[lower + right];
        to.alpha[y * to.width + x] = (sum + 2) >> 2;
      }
    }
  }
}
