// An open image: its objects, their mattes and the connection they come over. It knows nothing of how they are shown.

import * as api from "./api.js";
import { Matte } from "./matte.js";
import { ImageSocket } from "./socket.js";

// Told apart by people who see colors differently, and seen on light and on dark images.
const COLORS = ["#2f81f7", "#f0883e", "#2ea879", "#d45bb6", "#e3b341", "#8957e5", "#f85149", "#39c5cf"];

/**
 * Events: "objects" (the list, or which one is active, or a name), "matte" (detail: rectangle), "other" (detail: an
 * object that another tab changed), and those of the connection: "connected", "lost", "gone", "refused".
 */
export class OpenedImage extends EventTarget {
  constructor(answer) {
    super();
    Object.assign(this, { id: answer.id, name: answer.name, width: answer.width, height: answer.height });
    this.objects = [];
    this.active = null;
    this.merge(answer.objects);
    this.socket = new ImageSocket(this.id);
    this.socket.addEventListener("step", ({ detail }) => this.#step(detail));
    this.socket.addEventListener("objects", ({ detail }) => this.merge(detail));
    this.socket.addEventListener("missed", ({ detail }) => detail.forEach((answer) => this.#missed(answer)));
    for (const type of ["lost", "gone", "refused"]) this.socket.addEventListener(type, ({ detail }) => this.#tell(type, detail));
    this.socket.addEventListener("connected", ({ detail }) => {
      this.#tell("connected", detail);
      this.refresh(); // what others did before the connection stood
    });
  }

  close() {
    this.socket.close();
  }

  /** Resolved when all mattes that are being fetched are here. */
  get settled() {
    return Promise.all(this.objects.map((object) => object.fetching));
  }

  /** Ask for all again: steps of other tabs may have been missed. Returns whether the image is still there. */
  async refresh() {
    try {
      this.merge((await api.getImage(this.id)).objects);
      return true;
    } catch (error) {
      if (error.isGone) this.#tell("gone");
      return false;
    }
  }

  /** Take the server's list of objects, and fetch the mattes that are older here than there. */
  merge(answers) {
    const known = new Map(this.objects.map((object) => [object.id, object]));
    const isSame = answers.length === known.size && answers.every(({ id, color }) => known.get(id)?.color === color);
    this.objects = answers.map((answer) => this.#take(known.get(answer.id), answer));
    if (!this.objects.includes(this.active)) this.active = this.objects.at(-1) ?? null;
    this.#tell("objects");
    if (!isSame) this.#tell("matte", null);
  }

  activate(object) {
    if (this.active === object) return;
    this.active = object;
    this.#tell("objects");
    this.#tell("matte", null);
  }

  /** A new object, with a mask to begin with if a file is given. */
  async add({ mask = undefined, name = this.#freeName(), color = this.#freeColor() } = {}) {
    const answer = await api.makeObject(this.id, name, color, mask);
    let object = this.objects.find(({ id }) => id === answer.id); // it may have come over the socket already
    object = this.#take(object, answer);
    if (!this.objects.includes(object)) this.objects.push(object);
    this.active = object;
    await object.fetching;
    this.#tell("objects");
    this.#tell("matte", null);
    return object;
  }

  async change(object, change) {
    Object.assign(object, change); // at once; the server's answer is the last word
    this.#tell("objects");
    if (change.color) this.#tell("matte", null);
    Object.assign(object, await api.changeObject(this.id, object.id, change));
    this.#tell("objects");
  }

  show(object, visible) {
    object.visible = visible; // of this page only
    this.#tell("objects");
    this.#tell("matte", null);
  }

  async remove(object) {
    await api.removeObject(this.id, object.id);
    this.objects = this.objects.filter((other) => other !== object);
    if (this.active === object) this.active = this.objects.at(-1) ?? null;
    this.#tell("objects");
    this.#tell("matte", null);
  }

  /** Make a prompt on the active object; the first one of an image makes an object. */
  async prompt(prompt) {
    const object = this.active ?? (await (this.making ??= this.add().finally(() => { this.making = null; })));
    return this.#answered(object, { prompt });
  }

  /** Undo, redo, reset or remove on the active object. */
  async act(action, more = {}) {
    return this.#answered(this.active, { do: action, ...more });
  }

  async #answered(object, request) {
    const answer = await this.socket.request({ object: object.id, ...request });
    await object.fetching;
    return { object, ...answer };
  }

  /** What a prompt would give, {preview, values}; null if the server had something better to do. */
  preview(prompt) {
    return this.active ? this.socket.request({ object: this.active.id, preview: prompt }) : Promise.resolve(null);
  }

  async loadSession(saved) {
    const object = await this.add();
    try {
      this.#take(object, this.#objectOf(await api.loadSession(this.id, object.id, saved)));
      await object.fetching;
    } catch (error) {
      await this.remove(object);
      throw error;
    }
    this.#tell("objects");
  }

  async loadProject(saved) {
    const answer = await api.loadProject(this.id, saved);
    this.merge(answer.objects);
    await this.settled;
  }

  /** What the server says of an object, known here or not. `version` counts its steps, `shown` is that of the matte. */
  #take(object, answer) {
    if (!object) {
      object = { visible: true, shown: -1, fetching: null, matte: new Matte(this.width, this.height), ...answer };
      if (!answer.bounds) object.shown = answer.version; // an empty matte needs no fetching
    } else if (answer.version >= object.version) {
      Object.assign(object, answer);
    } else {
      object.name = answer.name; // what is older than what the socket brought may still have new names
      object.color = answer.color;
    }
    if (object.shown < object.version) this.#fetch(object);
    return object;
  }

  #fetch(object) {
    object.fetching ??= this.#fetchMatte(object)
      .catch((error) => {
        if (error.isGone) this.refresh(); // the object, or the image
        else console.error(error);
      })
      .finally(() => { object.fetching = null; });
  }

  async #fetchMatte(object) {
    while (object.shown < object.version) {
      let matte = await api.getAlpha(this.id, object.id, object.bounds ?? [0, 0, 0, 0]);
      if (matte.version > object.version) matte = await api.getAlpha(this.id, object.id); // it may have grown
      object.matte.clear();
      object.matte.set(matte.rect, matte.values);
      object.shown = matte.version;
    }
    this.#tell("matte", null);
    this.#tell("objects");
  }

  #step({ step, values, other }) {
    const object = this.objects.find(({ id }) => id === step.id);
    if (!object || step.version <= object.shown) return; // unknown ones come with a list; or it was fetched already
    if (step.version >= object.version) Object.assign(object, this.#objectOf(step));
    if (step.version === object.shown + 1 && !object.fetching) {
      if (values) object.matte.set(step.changed, values);
      object.shown = step.version;
      if (values) this.#tell("matte", step.changed);
    } else {
      this.#fetch(object); // some were missed
    }
    this.#tell("objects");
    if (other) this.#tell("other", object);
  }

  #missed(answer) {
    const object = this.objects.find(({ id }) => id === answer.id);
    if (object) this.#take(object, answer);
  }

  #objectOf({ changed, ms, ...object }) {
    return object;
  }

  #freeName() {
    const names = new Set(this.objects.map(({ name }) => name));
    let number = this.objects.length + 1;
    while (names.has(`Object ${number}`)) number += 1;
    return `Object ${number}`;
  }

  #freeColor() {
    const taken = new Set(this.objects.map(({ color }) => color));
    return COLORS.find((color) => !taken.has(color)) ?? COLORS[this.objects.length % COLORS.length];
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
