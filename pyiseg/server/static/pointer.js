// Mouse, pen and fingers on the canvas, made into prompts and movements of the view.

const SLACK = 5; // CSS pixels that a click may slip
const FINGER_SLACK = 10;
const HELD = 500; // ms until a finger that rests removes
const WHEEL = 1.0015; // zoom for each pixel that the wheel scrolls

/**
 * `to` is what happens: tool() ("select", "brush", "move"), click(x, y, other), drawBox(box or null, done),
 * drawLine(points or null, other, done), hover(x, y or null), touched() before anything. `other`: the right button, a
 * modifier key or a long press asks for the opposite of what is set. Coordinates are pixels of the image.
 */
export class Pointer {
  constructor(canvas, view, to) {
    this.canvas = canvas;
    this.view = view;
    this.to = to;
    this.down = new Map(); // pointers that touch: where they are
    this.gesture = null;
    this.spaceHeld = false;
    const on = (type, listener) => canvas.addEventListener(type, listener);
    on("pointerdown", (event) => this.#pressed(event));
    on("pointermove", (event) => this.#moved(event));
    on("pointerup", (event) => this.#released(event));
    on("pointercancel", (event) => this.#cancelled(event));
    on("pointerleave", () => to.hover(null));
    on("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#scrolled(event), { passive: false });
  }

  #place(event) {
    const bounds = this.canvas.getBoundingClientRect();
    return [event.clientX - bounds.left, event.clientY - bounds.top];
  }

  /** The pixel of the image at a place; kept inside of the image if `inside`. */
  #pixel([x, y], inside = false) {
    const { width, height } = this.view.image;
    const [column, row] = this.view.toImage(x, y);
    if (inside) return [Math.min(Math.max(column, 0), width - 1), Math.min(Math.max(row, 0), height - 1)];
    return column >= 0 && row >= 0 && column < width && row < height ? [column, row] : null;
  }

  #pressed(event) {
    if (!this.view.image) return;
    this.to.touched();
    this.canvas.dataset.pointed = "";
    this.canvas.focus({ preventScroll: true });
    const place = this.#place(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.down.set(event.pointerId, place);
    if (this.down.size === 2) {
      this.#abandon();
      this.gesture = { kind: "pinch" };
      return;
    }
    if (this.down.size > 2) return;
    const moves = this.to.tool() === "move" || this.spaceHeld || event.button === 1;
    const other = event.button === 2 || event.shiftKey || event.altKey || event.ctrlKey || event.metaKey;
    this.gesture = { kind: moves ? "move" : "press", id: event.pointerId, start: place, last: place, other, points: [] };
    if (event.pointerType === "touch" && !moves) {
      this.gesture.slack = FINGER_SLACK;
      this.gesture.timer = setTimeout(() => this.#held(), HELD);
    }
    if (!moves && this.to.tool() === "brush") this.#draw(place);
  }

  #moved(event) {
    if (!this.view.image) return;
    const place = this.#place(event);
    if (!this.down.has(event.pointerId)) {
      const pixel = event.pointerType === "mouse" ? this.#pixel(place) : null;
      this.to.hover(pixel);
      return;
    }
    const before = this.down.get(event.pointerId);
    this.down.set(event.pointerId, place);
    const { gesture } = this;
    if (gesture?.kind === "pinch") this.#pinch(event.pointerId, before, place);
    if (!gesture || gesture.id !== event.pointerId) return;
    if (gesture.kind === "move") this.view.pan(place[0] - before[0], place[1] - before[1]);
    else if (gesture.kind === "line") this.#draw(place, event);
    else if (gesture.kind === "box") this.#drawBox(place, false);
    else if (gesture.kind === "press" && distance(place, gesture.start) > (gesture.slack ?? SLACK)) {
      clearTimeout(gesture.timer);
      if (this.to.tool() === "brush") gesture.kind = "line";
      else if (!gesture.other && this.#pixel(gesture.start)) gesture.kind = "box";
      else gesture.kind = "slipped";
    }
  }

  #released(event) {
    this.down.delete(event.pointerId);
    const { gesture } = this;
    if (gesture?.kind === "pinch" && this.down.size === 0) this.gesture = null;
    if (!gesture || gesture.id !== event.pointerId) return;
    const place = this.#place(event);
    this.gesture = null;
    clearTimeout(gesture.timer);
    if (gesture.points.length) this.to.drawLine(gesture.points, gesture.other, true);
    else if (gesture.kind === "box") this.to.drawBox([...this.#pixel(gesture.start), ...this.#pixel(place, true)], true);
    else if (gesture.kind === "press" && event.button !== 1) {
      const pixel = this.#pixel(gesture.start);
      if (pixel) this.to.click(...pixel, gesture.other);
    }
  }

  #cancelled(event) {
    this.down.delete(event.pointerId);
    this.#abandon();
  }

  /** A second finger came, or the system took over: what was begun is not done. */
  #abandon() {
    clearTimeout(this.gesture?.timer);
    this.gesture = null;
    this.to.drawBox(null, false);
    this.to.drawLine(null, false, false);
  }

  #held() {
    const { gesture } = this;
    this.#abandon();
    const pixel = this.#pixel(gesture.start);
    if (pixel) this.to.click(...pixel, !gesture.other);
    navigator.vibrate?.(15);
  }

  #draw(place, event = null) {
    const { gesture } = this;
    const places = event?.getCoalescedEvents?.().map((each) => this.#place(each)) ?? [place];
    for (const each of places.length ? places : [place]) {
      const [x, y] = this.#pixel(each, true);
      const last = gesture.points.at(-1);
      if (!last && !this.#pixel(each)) return; // it begins in the image
      if (!last || last[0] !== x || last[1] !== y) gesture.points.push([x, y]);
    }
    this.to.drawLine(gesture.points, gesture.other, false);
  }

  #drawBox(place) {
    this.to.drawBox([...this.#pixel(this.gesture.start), ...this.#pixel(place, true)], false);
  }

  #pinch(id, before, now) {
    const rest = [...this.down].find(([other]) => other !== id)?.[1];
    if (!rest) return;
    const middle = [(now[0] + rest[0]) / 2, (now[1] + rest[1]) / 2];
    this.view.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    this.view.zoom(distance(now, rest) / Math.max(1, distance(before, rest)), ...middle);
  }

  #scrolled(event) {
    if (!this.view.image) return;
    event.preventDefault();
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
    if (event.shiftKey) this.view.pan(-(event.deltaX || event.deltaY) * pixels, 0);
    else this.view.zoom(WHEEL ** (-event.deltaY * pixels * (event.ctrlKey ? 5 : 1)), ...this.#place(event));
  }
}

const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
