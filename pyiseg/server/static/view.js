// The canvas: which part of the image is seen, and drawing it.

import { Matte } from "./matte.js";
import { paintHole, paintMatte, paintOverlay } from "./paint.js";
import { columns, rows } from "./rect.js";
import { Tiles } from "./tiles.js";

const CLOSEST = 32; // device pixels for a pixel of the image
const PIXELATED = 3; // from here on the pixels of the image are shown as such
const MARGIN = 24; // around an image that fits, in CSS pixels
const CHECKERS = 10;

export class View extends EventTarget {
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.scale = 1; // device pixels for each pixel of the image
    this.left = 0; // where the image begins on the canvas, whole device pixels
    this.top = 0;
    this.fitted = true; // a changed window fits it anew until the user zooms
    this.mode = "overlay";
    this.background = null; // of the cut-out: null is a checkerboard
    this.image = null;
    this.photo = null;
    this.scheduled = false;
    new ResizeObserver(() => this.#resize()).observe(canvas.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.request());
    this.#resize();
  }

  get ratio() {
    return window.devicePixelRatio || 1;
  }

  /** Show another image, or none; where it is the same one, opened again, what is seen of it stays. */
  show(image, again = false) {
    this.image = image;
    this.photo = null;
    this.tiles = image && new Tiles(image.width, image.height, (...painted) => this.#paint(...painted));
    if (again) this.request();
    else this.fit();
  }

  setPhoto(photo) {
    this.photo = photo;
    this.changed();
  }

  /** Draw again: a rectangle of the mattes has changed, or everything. */
  changed(rect = null) {
    this.tiles?.invalidate(rect);
    this.request();
  }

  setMode(mode, background = null) {
    this.mode = mode;
    this.background = background;
    this.changed();
  }

  fit() {
    this.fitted = true;
    if (this.image) {
      const { width, height } = this.canvas;
      const margin = 2 * Math.min(MARGIN * this.ratio, 0.03 * width);
      const fits = Math.min((width - margin) / this.image.width, (height - margin) / this.image.height);
      this.#place(Math.min(Math.max(fits, 1e-3), this.ratio * 4), width / 2, height / 2, 0.5, 0.5);
    }
    this.request();
  }

  /** A pixel of the image for each of the device. */
  actualSize() {
    this.zoom(1 / this.scale);
    this.scale = 1; // exactly, or nothing would be shown pixel for pixel
  }

  /** Zoom by a factor, keeping what lies at a place of the canvas (CSS pixels; its middle if left out). */
  zoom(factor, x = this.canvas.width / this.ratio / 2, y = this.canvas.height / this.ratio / 2) {
    if (!this.image) return;
    this.fitted = false;
    const smallest = 16 / Math.max(this.image.width, this.image.height);
    const scale = Math.min(Math.max(this.scale * factor, smallest), CLOSEST);
    const [atX, atY] = [x * this.ratio, y * this.ratio];
    const across = (atX - this.left) / (this.image.width * this.scale);
    const along = (atY - this.top) / (this.image.height * this.scale);
    this.#place(scale, atX, atY, across, along);
    this.#keepInSight();
  }

  pan(dx, dy) {
    this.fitted = false;
    this.left += Math.round(dx * this.ratio);
    this.top += Math.round(dy * this.ratio);
    this.#keepInSight();
  }

  /** Bring a pixel of the image into sight. */
  reveal(x, y) {
    const [atX, atY] = this.toCanvas(x, y);
    const margin = 40;
    const [width, height] = [this.canvas.width / this.ratio, this.canvas.height / this.ratio];
    const dx = Math.max(margin - atX, 0) + Math.min(width - margin - atX, 0);
    const dy = Math.max(margin - atY, 0) + Math.min(height - margin - atY, 0);
    if (dx || dy) this.pan(dx, dy);
  }

  /** The pixel of the image at a place of the canvas in CSS pixels; it may lie outside of the image. */
  toImage(x, y) {
    return [
      Math.floor((x * this.ratio - this.left) / this.scale), Math.floor((y * this.ratio - this.top) / this.scale),
    ];
  }

  /** Where the middle of a pixel of the image is on the canvas, in CSS pixels. */
  toCanvas(x, y) {
    return [
      (this.left + (x + 0.5) * this.scale) / this.ratio, (this.top + (y + 0.5) * this.scale) / this.ratio,
    ];
  }

  /** The rectangle of the image that the canvas shows; it may reach beyond the image. */
  seen() {
    const { width, height } = this.canvas;
    return [
      Math.floor(-this.top / this.scale), Math.floor(-this.left / this.scale),
      Math.ceil((height - this.top) / this.scale), Math.ceil((width - this.left) / this.scale),
    ];
  }

  /** The level of the mattes that is shown: at least as fine as half the device's pixels. */
  get level() {
    const wanted = Math.max(0, Math.floor(Math.log2(1 / this.scale) + 1e-9));
    return Math.min(wanted, Matte.depth(this.image.width, this.image.height) - 1);
  }

  request() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.#draw();
      this.dispatchEvent(new Event("drawn"));
    });
  }

  #place(scale, x, y, across, along) {
    if (scale < PIXELATED !== this.scale < PIXELATED) this.tiles.invalidate(); // with edges, or without
    this.scale = scale;
    this.left = Math.round(x - across * this.image.width * scale);
    this.top = Math.round(y - along * this.image.height * scale);
    this.request();
  }

  /** A part of the image always stays on the canvas, so that nobody loses it. */
  #keepInSight() {
    if (!this.image) return;
    const least = 48 * this.ratio;
    const { width, height } = this.canvas;
    this.left = Math.round(Math.min(Math.max(this.left, least - this.image.width * this.scale), width - least));
    this.top = Math.round(Math.min(Math.max(this.top, least - this.image.height * this.scale), height - least));
    this.request();
  }

  #resize() {
    const { width, height } = this.canvas.parentElement.getBoundingClientRect();
    const before = [this.canvas.width, this.canvas.height];
    this.canvas.width = Math.max(1, Math.round(width * this.ratio));
    this.canvas.height = Math.max(1, Math.round(height * this.ratio));
    if (this.fitted || !this.image) this.fit();
    else this.pan((this.canvas.width - before[0]) / 2 / this.ratio, (this.canvas.height - before[1]) / 2 / this.ratio);
    this.dispatchEvent(new Event("resized"));
  }

  #draw() {
    const { context, canvas } = this;
    context.fillStyle = getComputedStyle(canvas.parentElement).backgroundColor;
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!this.image) return;
    context.imageSmoothingEnabled = this.scale !== 1 && this.scale < PIXELATED;
    context.imageSmoothingQuality = "medium";
    const place = [this.left, this.top, this.image.width * this.scale, this.image.height * this.scale].map(Math.round);
    if (this.mode === "overlay") this.#drawPhoto(place);
    if (this.mode === "cutout") this.#drawBackground(place);
    if (this.photo || this.mode === "matte") this.tiles.draw(context, this, this.level);
  }

  #drawPhoto(place) {
    this.context.fillStyle = "#ffffff"; // what is transparent is seen over white, as the network sees it
    this.context.fillRect(...place);
    if (this.photo) this.context.drawImage(this.photo.at(Math.min(this.scale, 1)), ...place);
  }

  #drawBackground(place) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(...place);
    context.clip();
    context.fillStyle = this.background ?? "#ffffff";
    context.fillRect(...place);
    if (!this.background) {
      const side = Math.round(CHECKERS * this.ratio);
      context.fillStyle = "#dfe2e6";
      for (let y = 0; y * side < this.canvas.height; y += 1) {
        for (let x = y % 2; x * side < this.canvas.width; x += 2) context.fillRect(x * side, y * side, side, side);
      }
    }
    context.restore();
  }

  #paint(context, rect, level, left, top) {
    const painted = context.createImageData(columns(rect), rows(rect));
    const pixels = new Uint32Array(painted.data.buffer);
    const { objects, active } = this.image;
    if (this.mode === "matte") paintMatte(pixels, rect, level, active);
    else if (this.mode === "cutout") paintHole(pixels, rect, level, active);
    else paintOverlay(pixels, rect, level, objects, active, this.scale < PIXELATED);
    context.putImageData(painted, rect[1] - left, rect[0] - top);
    if (this.mode === "cutout" && this.photo) this.#fillHole(context, rect, level, left, top);
  }

  /** Put the image where the hole is, within one rectangle of a tile. */
  #fillHole(context, rect, level, left, top) {
    const photo = this.photo.at(1 / 2 ** level);
    const [acrossX, acrossY] = [
      (photo.width / this.image.width) * 2 ** level, (photo.height / this.image.height) * 2 ** level,
    ];
    context.save();
    context.beginPath();
    context.rect(rect[1] - left, rect[0] - top, columns(rect), rows(rect));
    context.clip();
    context.globalCompositeOperation = "source-in";
    context.drawImage(
      photo, rect[1] * acrossX, rect[0] * acrossY, columns(rect) * acrossX, rows(rect) * acrossY,
      rect[1] - left, rect[0] - top, columns(rect), rows(rect),
    );
    context.restore();
  }
}
