// The lists at the right: objects with their names and colors, and the prompts of the active one.

import { byId, element, icon } from "./elements.js";
import { attempt } from "./notices.js";
import { describe, isForeground, percent } from "./words.js";

export class Panel {
  /** `actions` has activate, rename, recolor, show, removeObject and remove (a prompt). */
  constructor(actions, marks) {
    this.actions = actions;
    this.marks = marks;
    this.items = new Map(); // of objects, by id: kept, so that a list that changes takes no one's focus or text away
    const handle = byId("handle");
    handle.addEventListener("click", () => {
      handle.setAttribute("aria-expanded", handle.getAttribute("aria-expanded") !== "true");
    });
    byId("show-marks").addEventListener("change", ({ target }) => marks.set({ shown: target.checked }));
  }

  update(opened) {
    const objects = opened?.objects ?? [];
    const active = opened?.active ?? null;
    for (const [id, item] of this.items) {
      if (objects.some((object) => object.id === id)) continue;
      if (item.contains(document.activeElement)) byId("stage").focus();
      item.remove();
      this.items.delete(id);
    }
    objects.forEach((object, index) => {
      const item = this.items.get(object.id) ?? this.#makeItem(object);
      if (byId("objects").children[index] !== item) byId("objects").insertBefore(item, byId("objects").children[index] ?? null);
      this.#updateItem(item, object, object === active);
    });
    byId("no-objects").hidden = objects.length > 0;
    byId("handle-text").textContent = active ? `${active.name} · ${objects.length} object${objects.length > 1 ? "s" : ""}` : "View and objects";
    this.#updatePrompts(active);
  }

  #makeItem(object) {
    const swatch = element("input", { type: "color" });
    const name = element("input", { className: "name", spellcheck: false, maxLength: 200, autocomplete: "off" });
    const share = element("span", { className: "share" });
    const eye = element("button", { type: "button", className: "quiet eye" });
    const remove = element("button", { type: "button", className: "quiet" }, icon("delete"));
    const item = element("li", {}, swatch, element("div", { className: "label" }, name, share), eye, remove);
    Object.assign(item, { swatch, name, share, eye, removeButton: remove });
    const now = () => item.object; // the object of that id may be another one after a reload
    item.addEventListener("pointerdown", () => this.actions.activate(now()));
    name.addEventListener("focus", () => this.actions.activate(now()));
    name.addEventListener("keydown", (event) => {
      if (event.key === "Escape") name.value = now().name;
      if (event.key === "Enter" || event.key === "Escape") byId("stage").focus();
    });
    name.addEventListener("change", () => {
      const wanted = name.value.trim();
      if (!wanted) name.value = now().name;
      else if (wanted !== now().name) attempt(() => this.actions.change(now(), { name: wanted }));
    });
    swatch.addEventListener("change", () => attempt(() => this.actions.change(now(), { color: swatch.value })));
    eye.addEventListener("click", () => this.actions.show(now(), !now().visible));
    remove.addEventListener("click", () => attempt(() => this.actions.removeObject(now())));
    this.items.set(object.id, item);
    return item;
  }

  #updateItem(item, object, active) {
    item.object = object;
    item.classList.toggle("active", active);
    if (active) item.setAttribute("aria-current", "true");
    else item.removeAttribute("aria-current");
    if (document.activeElement !== item.name) item.name.value = object.name;
    item.name.title = object.name;
    item.name.ariaLabel = `Name of ${object.name}${active ? ", the active object" : ""}`;
    item.swatch.value = object.color;
    item.swatch.ariaLabel = `Color of ${object.name}`;
    item.share.textContent = object.matte.selected ? `${percent(object.matte.share)} of the image` : "Nothing selected";
    const shown = object.visible ? "eye" : "hidden";
    if (item.eye.dataset.icon !== shown) {
      item.eye.replaceChildren(icon(shown));
      item.eye.dataset.icon = shown;
    }
    item.eye.ariaPressed = String(object.visible);
    item.eye.ariaLabel = `Show ${object.name} in the overlay`;
    item.removeButton.ariaLabel = `Delete ${object.name}`;
    item.removeButton.title = "Delete this object";
  }

  #updatePrompts(active) {
    const list = byId("prompts");
    const prompts = active?.prompts ?? [];
    byId("no-prompts").hidden = prompts.length > 0;
    byId("reset").disabled = prompts.length === 0;
    const key = JSON.stringify([active?.id, prompts]);
    if (key === this.listed) return;
    this.listed = key;
    this.marks.set({ highlighted: null });
    const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
    const grows = prompts.length > list.children.length;
    list.replaceChildren(...prompts.map((prompt, index) => {
      const fg = isForeground(prompt);
      const words = describe(prompt, index + 1);
      const sign = element("span", { className: fg ? "sign" : "sign removes" }, icon(fg ? "plus" : "minus"));
      const remove = element("button", { type: "button", className: "quiet", ariaLabel: `Take back: ${words}`, title: "Take this back" }, icon("close"));
      remove.addEventListener("click", () => this.actions.remove(index));
      const item = element("li", {}, sign, element("span", { className: "what", textContent: words, title: words }), remove);
      item.addEventListener("pointerenter", () => this.marks.set({ highlighted: index }));
      item.addEventListener("pointerleave", () => this.marks.set({ highlighted: null }));
      remove.addEventListener("focus", () => this.marks.set({ highlighted: index }));
      remove.addEventListener("blur", () => this.marks.set({ highlighted: null }));
      return item;
    }));
    if (grows) list.scrollTop = list.scrollHeight;
    // Who takes one back by keyboard is not thrown out of the list.
    if (focused >= 0) (list.children[Math.min(focused, prompts.length - 1)]?.querySelector("button") ?? byId("stage")).focus();
  }
}
