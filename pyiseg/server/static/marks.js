// What is drawn over the image and is no part of it: prompts, the crosshair, what is being drawn, a preview.

import { isForeground } from "./words.js";
import { columns, isEmpty, rows } from "./rect.js";

const RADIUS = 9;
const SELECTS = "#1f7a3a";
const REMOVES = "#c62828";

export class Marks {
  constructor(canvas, view) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.view = view;
    this.shown = true;
    this.highlighted = null; // index of a prompt that the list points at
    this.crosshair = null; // [x, y] in the image
    this.draft = null; // a prompt that is being drawn
    this.pending = null; // one that the server has not answered yet
    this.previewed = null; // {canvas, rect}
    view.addEventListener("drawn", () => this.draw());
  }

  set(changes) {
    Object.assign(this, changes);
    this.view.request();
  }

  /** Show what a click would change: a rectangle of the matte as it would be. */
  preview(answer, matte) {
    this.previewed = answer && !isEmpty(answer.rect) ? paintPreview(answer.rect, answer.values, matte) : null;
    this.view.request();
  }

  draw() {
    const { canvas, context, view } = this;
    canvas.width = view.canvas.width; // this clears it too
    canvas.height = view.canvas.height;
    if (!view.image) return;
    context.scale(view.ratio, view.ratio);
    if (this.previewed) this.#drawPreview();
    if (this.shown) {
      view.image.active?.prompts.forEach((prompt, index) => this.#drawPrompt(prompt, index === this.highlighted));
    }
    if (this.pending) this.#drawPrompt(this.pending, false, 0.55);
    if (this.draft) this.#drawPrompt(this.draft, true);
    if (this.crosshair) this.#drawCrosshair(...view.toCanvas(...this.crosshair));
  }

  #drawPrompt(prompt, highlighted, opacity = 1) {
    const color = isForeground(prompt) ? SELECTS : REMOVES;
    this.context.globalAlpha = opacity;
    if (prompt.box) this.#drawBox(prompt.box, highlighted);
    else if (prompt.scribble) this.#drawLine(prompt.scribble, color, highlighted);
    else if (!prompt.mask) this.#drawClick(prompt, color, highlighted);
    this.context.globalAlpha = 1;
  }

  #drawClick(prompt, color, highlighted) {
    const { context } = this;
    const [x, y] = this.view.toCanvas(...(prompt.click ?? prompt.local));
    const radius = highlighted ? RADIUS + 3 : RADIUS;
    circle(context, x, y, radius + 1.5, "rgb(0 0 0 / 45%)");
    circle(context, x, y, radius, "#ffffff");
    circle(context, x, y, radius - 2, color);
    context.beginPath(); // plus and minus: colors alone do not tell everyone
    context.moveTo(x - 4, y);
    context.lineTo(x + 4, y);
    if (isForeground(prompt)) {
      context.moveTo(x, y - 4);
      context.lineTo(x, y + 4);
    }
    stroke(context, "#ffffff", 2);
    if (!prompt.local) return;
    context.beginPath();
    context.setLineDash([3, 3]);
    context.arc(x, y, radius + 4, 0, 2 * Math.PI);
    stroke(context, "#ffffff", 1.5);
    context.setLineDash([]);
  }

  #drawBox([x0, y0, x1, y1], highlighted) {
    const { context } = this;
    const half = this.view.scale / this.view.ratio / 2; // a box holds the whole of its outermost pixels
    const [left, top] = this.view.toCanvas(Math.min(x0, x1), Math.min(y0, y1)).map((at) => at - half);
    const [right, bottom] = this.view.toCanvas(Math.max(x0, x1), Math.max(y0, y1)).map((at) => at + half);
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    stroke(context, "rgb(0 0 0 / 55%)", highlighted ? 4 : 3);
    context.setLineDash([6, 4]);
    stroke(context, "#ffffff", highlighted ? 2.5 : 1.5);
    context.setLineDash([]);
  }

  #drawLine(points, color, highlighted) {
    const { context } = this;
    context.beginPath();
    context.lineCap = context.lineJoin = "round";
    const [first, ...others] = points.map(([x, y]) => this.view.toCanvas(x, y));
    context.moveTo(...first);
    for (const point of others.length ? others : [first]) context.lineTo(...point);
    stroke(context, "rgb(0 0 0 / 45%)", highlighted ? 9 : 7);
    stroke(context, "#ffffff", highlighted ? 7 : 5);
    stroke(context, color, highlighted ? 4 : 2.5);
  }

  #drawCrosshair(x, y) {
    const { context } = this;
    for (const [color, width] of [["rgb(0 0 0 / 65%)", 4], ["#ffffff", 1.5]]) {
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 5 * dx, y + 5 * dy);
        context.lineTo(x + 18 * dx, y + 18 * dy);
      }
      stroke(context, color, width);
    }
  }

  #drawPreview() {
    const { canvas, rect } = this.previewed;
    const { view } = this;
    const scale = view.scale / view.ratio;
    this.context.drawImage(
      canvas, view.left / view.ratio + rect[1] * scale, view.top / view.ratio + rect[0] * scale,
      columns(rect) * scale, rows(rect) * scale,
    );
  }
}

function circle(context, x, y, radius, color) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = color;
  context.fill();
}

function stroke(context, color, width) {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
}

/** White where the click would select more, black where less, in stripes. Every second pixel of large ones will do. */
function paintPreview(rect, values, matte) {
  const step = Math.max(1, Math.ceil(Math.sqrt((rows(rect) * columns(rect)) / 500_000)));
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil(columns(rect) / step);
  canvas.height = Math.ceil(rows(rect) / step);
  const context = canvas.getContext("2d");
  const painted = context.createImageData(canvas.width, canvas.height);
  const { alpha } = matte;
  for (let y = 0; y < canvas.height; y += 1) {
    for (let x = 0; x < canvas.width; x += 1) {
      const will = values[y * step * columns(rect) + x * step];
      const is = alpha[(rect[0] + y * step) * matte.width + rect[1] + x * step];
      const at = 4 * (y * canvas.width + x);
      painted.data.fill(will > is ? 255 : 0, at, at + 3);
      painted.data[at + 3] = Math.min(255, Math.abs(will - is)) * ((x + y) % 12 < 6 ? 0.6 : 0.25);
    }
  }
  context.putImageData(painted, 0, 0);
  return { canvas, rect };
}
