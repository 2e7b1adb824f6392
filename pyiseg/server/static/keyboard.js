// Everything by keyboard: a crosshair on the canvas, and keys for what buttons do.

import { byId, element } from "./elements.js";
import { keepSetting, recallSetting } from "./keep.js";
import { say } from "./notices.js";

const STEP = 8; // CSS pixels that an arrow key moves the crosshair, at least a pixel of the image
const LARGE = 6; // times that with Shift
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// The help's table; the code below is what it says.
const KEYS = [
  ["Move the crosshair", "Arrows"], ["… in larger steps", "Shift + arrows"], ["… by one pixel", "Ctrl + arrows"],
  ["Click at the crosshair", "Enter"], ["Remove at the crosshair", "Delete"], ["Begin and end a box", "B"],
  ["Begin and end a scribble", "S"], ["Leave it", "Esc"], ["Undo", "Ctrl + Z"], ["Redo", "Ctrl + Shift + Z"],
  ["Zoom", "+  −"], ["Fit the image", "0"], ["Actual pixels", "9"], ["Click, brush, move", "1  2  3"],
  ["Swap select and remove", "X"], ["Only what is connected", "L"], ["New object", "N"],
  ["Object before, after", "[  ]"], ["Overlay, matte, cut-out", "V"], ["Hide the prompts", "M"], ["Preview", "P"],
  ["Open an image", "O"], ["Download", "D"], ["This help", "?"],
];

export class Keyboard {
  /** `page` has opened, view, marks, tools, actions, downloads, files and nextView(). */
  constructor(page) {
    this.page = page;
    this.canvas = byId("stage");
    this.begun = null; // {box: [x, y]} or {scribble: [[x, y], …]}
    this.canvas.addEventListener("keydown", (event) => this.#onCanvas(event));
    this.canvas.addEventListener("blur", () => page.marks.set({ crosshair: null }));
    addEventListener("keydown", (event) => this.#anywhere(event));
    addEventListener("keyup", (event) => event.key === " " && this.#holdSpace(false));
    addEventListener("blur", () => this.#holdSpace(false)); // its keyup goes elsewhere
    this.#help();
  }

  /** The mouse was used: the crosshair goes, and comes back where the mouse clicked. */
  pointed(x, y) {
    this.at = [x, y];
    this.#leave();
    this.page.marks.set({ crosshair: null });
  }

  /** Another image is shown. */
  forget() {
    this.at = null;
    this.begun = null;
    this.page.marks.set({ crosshair: null, draft: null });
  }

  #onCanvas(event) {
    const { opened, actions, tools } = this.page;
    delete this.canvas.dataset.pointed;
    if (!opened || event.defaultPrevented) return;
    const arrow = ARROWS[event.key];
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (arrow && !event.altKey) this.#move(arrow, event);
    else if (event.key === "Enter" && this.begun) this.#finish();
    else if (event.key === "Enter") actions.prompt(tools.click(...this.#here(), event.shiftKey));
    else if (event.key === "Delete" || event.key === "Backspace") actions.prompt({ ...tools.click(...this.#here(), tools.fg) });
    else if (event.key.toLowerCase() === "b" && plain) this.#toggle("box");
    else if (event.key.toLowerCase() === "s" && plain) this.#toggle("scribble");
    else if (event.key === "Escape" && this.begun) this.#leave("Left off");
    else return;
    event.preventDefault();
  }

  /** Where the crosshair is; the middle of what is seen, when it was nowhere. */
  #here() {
    const { view, opened, marks } = this.page;
    if (!this.at) {
      const [top, left, bottom, right] = view.seen();
      const middle = (from, to, size) => Math.floor((Math.max(from, 0) + Math.min(to, size)) / 2);
      this.at = [middle(left, right, opened.width), middle(top, bottom, opened.height)];
    }
    marks.set({ crosshair: this.at });
    return this.at;
  }

  #move([dx, dy], event) {
    const { view, opened, marks } = this.page;
    const first = !marks.crosshair;
    const [x, y] = this.#here();
    if (first) return this.#tell(); // the first key shows where it is
    const step = event.ctrlKey || event.metaKey ? 1 : Math.max(1, Math.round((STEP * view.ratio) / view.scale)) * (event.shiftKey ? LARGE : 1);
    this.at = [
      Math.min(Math.max(x + dx * step, 0), opened.width - 1), Math.min(Math.max(y + dy * step, 0), opened.height - 1),
    ];
    if (this.begun?.scribble) this.begun.scribble.push(this.at);
    view.reveal(...this.at);
    marks.set({ crosshair: this.at, draft: this.#draft() });
    this.#tell();
  }

  /** Not for every key of a row of them: screen readers would be behind. */
  #tell() {
    clearTimeout(this.telling);
    const [x, y] = this.at;
    const object = this.page.opened.active;
    const selected = object?.matte.levels && object.matte.alpha[y * this.page.opened.width + x] >= 128;
    this.telling = setTimeout(() => say(`Crosshair at ${x}, ${y}${selected ? ", selected" : ""}`), 150);
  }

  #toggle(kind) {
    if (this.begun?.[kind]) {
      this.#finish();
      return;
    }
    const [x, y] = this.#here();
    this.begun = kind === "box" ? { box: [x, y] } : { scribble: [[x, y]] };
    this.page.marks.set({ draft: this.#draft() });
    say(`${kind === "box" ? "Box" : "Scribble"} begun at ${x}, ${y}; move on, then ${kind === "box" ? "B" : "S"} again`);
  }

  #draft() {
    if (this.begun?.box) return { box: [...this.begun.box, ...this.at] };
    return this.begun && { scribble: this.begun.scribble, fg: this.page.tools.fg };
  }

  #finish() {
    const prompt = this.#draft();
    this.#leave();
    this.page.actions.prompt(prompt);
  }

  #leave(words = null) {
    if (!this.begun) return;
    this.begun = null;
    this.page.marks.set({ draft: null });
    if (words) say(words);
  }

  #anywhere(event) {
    const { page } = this;
    const typing = event.target.matches?.("input:not([type=checkbox], [type=radio]), textarea, select");
    if (typing || event.defaultPrevented || byId("help").open) return;
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && !event.altKey) {
      if (key === "z" && !event.shiftKey) page.actions.undo();
      else if (key === "y" || key === "z") page.actions.redo();
      else return;
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === " " && event.target === this.canvas) {
      event.preventDefault();
      this.#holdSpace(true);
    }
    if (!byId("single-keys").checked && key !== "?") return;
    const { tools, view, actions } = page;
    const does = {
      "+": () => view.zoom(1.25), "=": () => view.zoom(1.25), "-": () => view.zoom(0.8), "−": () => view.zoom(0.8),
      0: () => view.fit(), 9: () => view.actualSize(), 1: () => tools.choose(1), 2: () => tools.choose(2), 3: () => tools.choose(3),
      x: () => { tools.set({ fg: !tools.fg }); say(tools.fg ? "Clicks select" : "Clicks remove"); },
      l: () => { tools.set({ local: !tools.local }); say(tools.local ? "Clicks change only what is connected" : "Clicks may change the whole selection"); },
      p: () => tools.set({ preview: !tools.preview }), m: () => byId("show-marks").click(),
      n: () => actions.add(), "[": () => actions.step(-1), "]": () => actions.step(1), v: () => page.nextView(),
      o: () => page.files.chooseImage(), d: () => page.downloads.toggle(), "?": () => byId("help").showModal(),
    }[key];
    if (!does) return;
    does();
    event.preventDefault();
  }

  /** Held, it lets the mouse move the image. */
  #holdSpace(held) {
    this.page.pointer.spaceHeld = held;
    this.canvas.dataset.tool = held ? "move" : this.page.tools.tool;
  }

  #help() {
    byId("keys").append(...KEYS.map(([what, keys]) => element(
      "div", {}, element("span", { textContent: what }),
      element("span", {}, ...keys.split("  ").flatMap((key) => [element("kbd", { textContent: key }), " "])),
    )));
    byId("help-button").addEventListener("click", () => byId("help").showModal());
    byId("help-close").addEventListener("click", () => byId("help").close());
    const single = byId("single-keys"); // those who speak to their computer press keys they do not mean
    single.checked = recallSetting("single-keys") !== "off";
    single.addEventListener("change", () => keepSetting("single-keys", single.checked ? null : "off"));
  }
}
