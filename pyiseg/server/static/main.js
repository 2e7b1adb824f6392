// The page: puts the parts together, and opens images.

import { Actions } from "./actions.js";
import { encodeMatte, openAgain } from "./again.js";
import * as api from "./api.js";
import { Downloads } from "./downloads.js";
import { byId } from "./elements.js";
import { listenForFiles } from "./files.js";
import { keepFile, keepWork, move, recall } from "./keep.js";
import { Keyboard } from "./keyboard.js";
import { Marks } from "./marks.js";
import { attempt, fail, notify, say, settle, whileBusy } from "./notices.js";
import { OpenedImage } from "./opened.js";
import { Panel } from "./panel.js";
import { Photo } from "./photo.js";
import { Pointer } from "./pointer.js";
import { Tools } from "./tools.js";
import { View } from "./view.js";
import { megabytes, megapixels } from "./words.js";

const MODES = ["overlay", "matte", "cutout"];
const KEEP_AFTER = 250; // ms of rest before what was done is kept

class Page {
  constructor() {
    this.opened = null;
    this.info = null;
    this.kept = 0; // how often what was done was written down
    this.wanted = null; // the file or id that was asked for last: it is shown, whichever comes first
    this.view = new View(byId("picture"));
    this.marks = new Marks(byId("stage"), this.view);
    this.tools = new Tools();
    this.actions = new Actions(this);
    this.panel = new Panel(this.actions, this.marks);
    this.files = listenForFiles({
      openImage: (file) => attempt(() => this.openFile(file)),
      openMask: (file) => this.#requireImage() && this.actions.add(file),
      openSession: (file) => this.#requireImage() && attempt(() => this.openSession(file)),
    });
    this.downloads = new Downloads(() => this.opened, this.files.chooseSession);
    this.pointer = new Pointer(byId("stage"), this.view, this.#pointerActions());
    this.keyboard = new Keyboard(this);
    this.#wireButtons();
    for (const type of ["pointerdown", "keydown"]) addEventListener(type, () => this.#wake(), { capture: true });
  }

  async start() {
    this.info = await api.getInfo();
    addEventListener("hashchange", () => attempt(() => this.#openFromHash()));
    await this.#openFromHash();
  }

  async openFile(file) {
    if (this.info && file.size > this.info.max_bytes) {
      throw new api.ApiError("ValueError", `“${file.name}” has ${megabytes(file.size)}; this server takes at most ${megabytes(this.info.max_bytes)}.`);
    }
    if (file.size === 0) throw new api.ApiError("ValueError", `“${file.name}” is empty; choose another file.`);
    this.wanted = file;
    await whileBusy(`Opening ${file.name}, ${megabytes(file.size)} …`, async (tell) => {
      const progress = (share) => tell(share < 1 ? `${Math.floor(100 * share)} % sent` : "");
      const name = file.name || "image";
      const answer = await api.openImage(file, name, progress).catch((error) => {
        if (!error.message.includes(name)) error.message = `“${name}”: ${error.message}`;
        throw error;
      });
      keepFile({ id: answer.id, name, file });
      if (this.wanted === file) await this.show(answer, file);
    });
  }

  async openSession(file) {
    let saved;
    try {
      saved = JSON.parse(await file.text());
    } catch {
      throw new api.ApiError("ValueError", `“${file.name}” is no saved session: it is not JSON.`);
    }
    const { opened } = this, all = saved?.format === "pyiseg objects";
    await whileBusy(`Opening ${file.name}: its prompts are made again …`, async () => {
      const replaced = all && opened.objects.length > 0 ? await api.download(opened.id, null, { format: "project" }) : null;
      this.loading = opened; // its steps are made over HTTP, and come over the socket as if another window had made them
      try {
        await (all ? opened.loadProject(saved) : opened.loadSession(saved));
      } catch (error) {
        if (!error.isGone) error.message = `“${file.name}”: ${error.message}`;
        throw error;
      } finally {
        this.loading = null;
      }
      say(`Opened ${file.name}`);
      if (replaced) this.#offerBack(opened, await replaced.blob.text(), file.name);
    });
  }

  /** What was selected before a file took its place is not lost. */
  #offerBack(opened, before, name) {
    notify(`The objects of ${name} have taken the place of those that were here.`, {
      action: {
        label: "Undo",
        run: () => attempt(() => whileBusy("Bringing back what was selected …", async () => {
          await opened.loadProject(JSON.parse(before));
          say("What was selected before is back");
        })),
      },
    });
  }

  /** Show an image that the server has opened; with its file, if that is at hand, the server need not send it back. */
  async show(answer, file = null, again = false) {
    // Another image is another page of the browser's history: Back shows the one before.
    const before = this.opened;
    before?.close();
    this.resting = false;
    const opened = new OpenedImage(answer);
    this.opened = opened;
    this.#listen(opened);
    const hash = `#image=${encodeURIComponent(opened.id)}`;
    if (location.hash !== hash) history[before && !again ? "pushState" : "replaceState"](null, "", hash);
    document.title = `${opened.name} · pyiseg`;
    byId("empty").hidden = true;
    byId("file").hidden = false;
    byId("file-name").textContent = opened.name;
    byId("file-name").title = opened.name;
    byId("file-size").textContent = megapixels(opened.width, opened.height);
    byId("stage").setAttribute("aria-label", `${opened.name}, ${opened.width} by ${opened.height} pixels`);
    byId("download").disabled = false;
    byId("timing").textContent = "";
    this.keyboard.forget();
    if (again) {
      const { name, color } = before?.active ?? {};
      opened.active = opened.objects.find((object) => object.name === name && object.color === color) ?? opened.active;
    }
    this.view.show(opened, Boolean(again && before));
    this.update();
    if (!document.activeElement || document.activeElement === document.body || byId("empty").contains(document.activeElement)) {
      byId("stage").focus({ preventScroll: true });
    }
    const photo = (file && (await Photo.decode(file, opened))) ||
      (await Photo.decode(await api.getPixels(opened.id, Photo.longestSide(opened.width, opened.height)), opened));
    if (this.opened !== opened) return; // another one was opened meanwhile
    this.view.setPhoto(photo);
    await opened.settled;
    say(`Opened ${opened.name}, ${opened.width} × ${opened.height}`, `Opened ${opened.name}, ${opened.width} by ${opened.height} pixels`);
  }

  /** The server let the image go: open it again, with its prompts. Returns whether that went well. */
  recover() {
    this.recovering ??= this.#recover().finally(() => { this.recovering = null; });
    return this.recovering;
  }

  async #recover(id = this.opened?.id) {
    if (this.opened?.id === id && (await this.opened.refresh())) return false; // only an object is gone
    if (this.opened?.id === id) await this.#keep(this.opened); // what was done a moment ago too
    // One window after the other: the first opens it again, and the others look at that.
    return navigator.locks ? navigator.locks.request(`pyiseg ${id}`, () => this.#openKept(id)) : this.#openKept(id);
  }

  async #openKept(id) {
    const kept = id && (await recall(id));
    if (kept?.movedTo) {
      const answer = await api.getImage(kept.movedTo).catch(() => null);
      if (!answer) return this.#recover(kept.movedTo);
      await this.show(answer, kept.file, true);
      notify("The server had let this image go. Another window has opened it again.");
      return true;
    }
    if (!kept) {
      this.close();
      notify("The server no longer has this image, and this page does not have its file. Open it again.", { error: true });
      return false;
    }
    return attempt(() => whileBusy("The server has let this image go. It is being opened again, and its prompts are made again …", async () => {
      const { answer, failed } = await openAgain(kept);
      await keepFile({ ...kept, id: answer.id });
      await move(id, answer.id);
      await this.show(answer, kept.file, true);
      failed.forEach((message) => notify(message, { error: true }));
      notify("The server had let this image go. It was opened again, and its prompts were made again.");
    }));
  }

  /** The image had to leave: it is opened again as soon as it is used, or it would drive out those of others at once. */
  #rest() {
    this.resting = true;
    this.#light("idle", "The server has let this image go; it is opened again when you go on");
    notify("The server has let this image go, for the memory of others. It is opened again when you go on.", { about: "rest" });
  }

  #wake() {
    if (!this.resting) return;
    this.resting = false;
    settle("rest");
    this.recover();
  }

  close() {
    this.opened?.close();
    this.opened = null;
    this.view.show(null);
    history.replaceState(null, "", location.pathname + location.search);
    document.title = "pyiseg";
    byId("empty").hidden = false;
    byId("file").hidden = true;
    byId("download").disabled = true;
    byId("stage").setAttribute("aria-label", "No image is open");
    this.#light("idle", "No image is open");
    this.update();
  }

  update() {
    const active = this.opened?.active;
    this.panel.update(this.opened);
    byId("undo").disabled = !active?.can_undo;
    byId("redo").disabled = !active?.can_redo;
    for (const id of ["add", "add-mask"]) byId(id).disabled = !this.opened;
    this.marks.set({});
  }

  nextView() {
    this.setView(MODES[(MODES.indexOf(this.view.mode) + 1) % MODES.length]);
  }

  setView(mode) {
    const background = byId("plain").checked ? byId("background-color").value : null;
    this.view.setMode(mode, background);
    byId("backgrounds").hidden = mode !== "cutout";
    for (const button of document.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", button.dataset.view === mode);
      if (button.dataset.view === mode) say(`Shown: ${button.textContent.toLowerCase()}`);
    }
  }

  async #openFromHash() {
    const id = new URLSearchParams(location.hash.slice(1)).get("image") ?? this.info.initial;
    if (!id || id === this.opened?.id) return;
    this.wanted = id;
    try {
      await whileBusy("Opening the image …", async () => {
        const answer = await api.getImage(id);
        if (this.wanted === id) await this.show(answer);
      });
    } catch (error) {
      if (!error.isGone) throw error;
      await this.#recover(id);
    }
  }

  #listen(opened) {
    const on = (type, does) => opened.addEventListener(type, ({ detail }) => {
      if (this.opened === opened) does(detail);
    });
    on("objects", () => {
      this.update();
      this.#keepSoon(opened);
    });
    on("matte", (rect) => this.view.changed(rect));
    on("other", (object) => this.loading === opened || say(`${object.name} was changed in another window`));
    on("connected", (wasLost) => {
      this.#light("connected", "Connected to the server");
      settle("connection");
      if (wasLost) notify("Connected to the server again.");
    });
    on("lost", () => {
      this.#light("lost", "The connection is lost; it is being tried again");
      notify("The connection to the server was lost. It is being tried again.", { error: true, about: "connection" });
    });
    on("refused", (why) => notify(`The server ended the connection: ${why}`, { error: true, about: "connection" }));
    on("gone", (leftNow) => (leftNow ? this.#rest() : this.recover()));
  }

  #light(state, title) {
    Object.assign(byId("light"), { title });
    byId("light").dataset.state = state;
  }

  #keepSoon(opened) {
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => this.#keep(opened), KEEP_AFTER);
  }

  async #keep(opened) {
    clearTimeout(this.keeping);
    const work = await Promise.all(opened.objects.map(async (object) => {
      const { name, color, prompts } = object;
      // A mask is only seen as long as nothing was done to it.
      if (prompts.length === 1 && prompts[0].mask) object.mask ??= await encodeMatte(object.matte);
      return { name, color, prompts, mask: object.mask };
    }));
    await keepWork(opened.id, work);
    this.kept += 1;
  }

  #requireImage() {
    if (!this.opened) fail(new Error("Open the image first, then its session or mask."));
    return Boolean(this.opened);
  }

  #pointerActions() {
    const { actions, marks, tools } = this;
    return {
      tool: () => tools.tool,
      touched: () => this.downloads.toggle(false),
      hover: (pixel) => actions.hover(pixel),
      click: (x, y, other) => {
        this.keyboard.pointed(x, y);
        actions.prompt(tools.click(x, y, other));
      },
      drawBox: (box, done) => {
        marks.set({ draft: box && !done && tools.fg ? { box } : null });
        if (done && tools.fg) actions.prompt({ box });
        else if (done) notify("A box selects what is in it. To remove something, click on it or use the brush.");
      },
      drawLine: (points, other, done) => {
        const prompt = points && { scribble: points, fg: tools.fg !== other };
        marks.set({ draft: done ? null : prompt });
        if (done) actions.prompt(prompt);
      },
    };
  }

  #wireButtons() {
    const on = (id, does) => byId(id).addEventListener("click", does);
    on("undo", this.actions.undo);
    on("redo", this.actions.redo);
    on("reset", this.actions.reset);
    on("add", () => this.actions.add());
    on("example", () => attempt(async () => this.openFile(await api.getExample())));
    for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => this.view.zoom(Number(button.dataset.zoom)));
    on("zoom-fit", () => this.view.fit());
    for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => this.setView(button.dataset.view));
    for (const id of ["checkers", "plain", "background-color"]) {
      byId(id).addEventListener("input", () => {
        if (id === "background-color") byId("plain").checked = true;
        this.setView("cutout");
      });
    }
    addEventListener("themechange", () => this.view.request());
    this.view.addEventListener("drawn", () => {
      byId("zoom").textContent = this.opened ? `${Math.round((this.view.scale / this.view.ratio) * 100)} %` : "";
    });
  }
}

const page = new Page();
window.pyiseg = {
  page,
  /** The matte of an object (the active one if left out) as the page has it: for tests, and for the curious. */
  alpha: (objectId = page.opened.active.id) => page.opened.objects.find(({ id }) => id === objectId).matte.alpha,
};
attempt(() => page.start());
