// What the pointer does: which tool, selecting or removing, and the options of a click. It is told to buttons and keys.

import { byId } from "./elements.js";

const TOOLS = ["select", "brush", "move"];

/** Events: "changed". */
export class Tools extends EventTarget {
  constructor() {
    super();
    this.tool = "select";
    this.fg = true;
    this.local = false;
    this.preview = false;
    for (const button of document.querySelectorAll("[data-tool]")) {
      button.addEventListener("click", () => this.set({ tool: button.dataset.tool }));
    }
    for (const button of document.querySelectorAll("[data-fg]")) {
      button.addEventListener("click", () => this.set({ fg: button.dataset.fg === "true" }));
    }
    for (const name of ["local", "preview"]) {
      byId(name).addEventListener("change", (event) => this.set({ [name]: event.target.checked }));
    }
  }

  set(changes) {
    Object.assign(this, changes);
    for (const button of document.querySelectorAll("[data-tool]")) {
      if (button.tagName === "BUTTON") button.setAttribute("aria-pressed", button.dataset.tool === this.tool);
    }
    for (const button of document.querySelectorAll("[data-fg]")) {
      button.setAttribute("aria-pressed", (button.dataset.fg === "true") === this.fg);
    }
    byId("local").checked = this.local;
    byId("preview").checked = this.preview;
    byId("stage").dataset.tool = this.tool;
    this.dispatchEvent(new Event("changed"));
  }

  /** Choose a tool by its number from 1. */
  choose(number) {
    this.set({ tool: TOOLS[number - 1] });
  }

  /** The prompt of a click; `other` asks for the opposite of what is set. */
  click(x, y, other = false) {
    return { [this.local ? "local" : "click"]: [x, y, this.fg !== other] };
  }
}
