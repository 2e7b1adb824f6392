// The menu of downloads: mattes and cut-outs of the active object, files of all objects, and sessions.

import * as api from "./api.js";
import { byId, element } from "./elements.js";
import { attempt, say, whileBusy } from "./notices.js";

const ENDINGS = {
  "cutout-png": ".cutout.png", "cutout-webp": ".cutout.webp", "matte-png": ".matte.png", "matte16-png": ".matte16.png",
  svg: ".svg", coco: ".coco.json", labelme: ".labelme.json", yolo: ".txt", "label-map": ".labels.png",
  session: ".session.json", project: ".pyiseg.json",
};

export class Downloads {
  /** `current` returns the open image, or null. */
  constructor(current, openSession) {
    this.current = current;
    this.menu = byId("downloads");
    this.button = byId("download");
    this.button.addEventListener("click", () => this.toggle());
    this.menu.addEventListener("click", ({ target }) => {
      if (target.dataset.format) this.#fetch(target);
    });
    byId("open-session").addEventListener("click", () => {
      this.toggle(false);
      openSession();
    });
    addEventListener("pointerdown", ({ target }) => {
      if (!this.menu.contains(target) && !this.button.contains(target)) this.toggle(false);
    });
    this.menu.addEventListener("focusout", ({ relatedTarget: to }) => {
      if (to && to !== this.button && !this.menu.contains(to)) this.toggle(false);
    });
    this.menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.toggle(false);
      this.button.focus();
    });
  }

  toggle(open = this.menu.hidden) {
    if (open === !this.menu.hidden || (open && this.button.disabled)) return;
    this.menu.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (!open) return;
    const { active, objects } = this.current();
    byId("of-object").textContent = active ? `This object: ${active.name}` : "This object";
    for (const button of this.menu.querySelectorAll("[data-of=object] button")) button.disabled = !active;
    for (const button of this.menu.querySelectorAll("[data-of=image] button, [data-format=project]")) {
      button.disabled = objects.length === 0;
    }
    this.menu.querySelector("button:not(:disabled)").focus();
  }

  async #fetch(button) {
    const opened = this.current();
    const { format } = button.dataset;
    const object = button.closest("[data-of=object]") ? opened.active : null;
    const query = { format };
    if (format.startsWith("cutout") && byId("foreground").checked) query.foreground = "estimate";
    this.toggle(false);
    this.button.focus();
    await attempt(() => whileBusy(`Preparing: ${button.textContent}`, async () => {
      const { blob, name } = await api.download(opened.id, object?.id, query);
      const stem = opened.name.replace(/\.[^.]*$/, "") || "image";
      const saved = name ?? `${stem}${object ? `.${object.name.replace(/[^\p{L}\p{N}._ -]/gu, "_")}` : ""}${ENDINGS[format]}`;
      save(blob, saved);
      say(`Downloaded ${saved}`);
    }));
  }
}

function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may take its time to ask where to
}
