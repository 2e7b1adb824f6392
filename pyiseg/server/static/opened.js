// An open image: its objects, their mattes and the connection they come over. It knows nothing of how they are shown.

import * as api from "./api.js";
import { Matte } from "./matte.js";
import { isEmpty } from "./rect.js";
import { ImageSocket } from "./socket.js";

// Told apart by people who see colors differently, and seen on light and on dark images.
const COLORS = ["#2f81f7", "#f0883e", "#2ea879", "#d45bb6", "#e3b341", "#8957e5", "#f85149", "#39c5cf"];

/**
 * Events: "objects" (the list, or which one is active, or a name), "matte" (detail: rectangle), "other" (detail: an
 * object that another tab changed), and those of the connection: "connected", "lost", "gone".
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
    for (const type of ["lost", "gone"]) this.socket.addEventListener(type, () => this.#tell(type));
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

  /** Ask for all again: steps of other tabs may have been missed. */
  async refresh() {
    const versions = () => this.objects.map(({ version }) => version).join();
    try {
      let before, answer;
      do { // until no step came in between, which is newer than the answer
        before = versions();
        answer = await api.getImage(this.id);
      } while (before !== versions());
      this.merge(answer.objects);
    } catch (error) {
      if (error.isGone) this.#tell("gone");
    }
  }

  /** Take the server's list of objects. A matte follows from its prompts: it is fetched if those are not the known ones. */
  merge(answers) {
    const known = new Map(this.objects.map((object) => [object.id, object]));
    this.objects = answers.map((answer) => {
      const object = known.get(answer.id);
      if (!object) return this.#make(answer);
      const isNew = JSON.stringify(object.prompts) !== JSON.stringify(answer.prompts);
      Object.assign(object, answer);
      if (isNew) this.#fetch(object);
      return object;
    });
    if (!this.objects.includes(this.active)) {
      this.active = this.objects.at(-1) ?? null;
      this.#tell("matte", null);
    }
    if (this.objects.length !== known.size) this.#tell("matte", null);
    this.#tell("objects");
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
    let object = this.objects.find(({ id }) => id === answer.id);
    if (object) {
      Object.assign(object, answer);
      if (answer.bounds) this.#fetch(object); // the list came over the socket, when there was no matte yet
    } else {
      object = this.#make(answer);
      this.objects.push(object);
    }
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
    this.merge(this.objects.filter((other) => other !== object));
  }

  /** Make a prompt on the active object; the first one of an image makes an object. */
  async prompt(prompt) {
    const object = this.active ?? (await (this.making ??= this.add().finally(() => { this.making = null; })));
    return { object, ...(await this.socket.request({ object: object.id, prompt })) };
  }

  /** Undo, redo, reset or remove on the active object. */
  async act(action, more = {}) {
    const object = this.active;
    return { object, ...(await this.socket.request({ object: object.id, do: action, ...more })) };
  }

  /** What a click would give, {preview, values}; null if the server had something better to do. */
  preview(click) {
    return this.active ? this.socket.request({ object: this.active.id, preview: { click } }) : Promise.resolve(null);
  }

  async loadSession(saved) {
    const object = await this.add();
    try {
      const step = await api.loadSession(this.id, object.id, saved);
      Object.assign(object, this.#objectOf(step));
      await this.#fetch(object);
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

  #make(answer) {
    const object = { visible: true, version: 0, fetching: null, matte: new Matte(this.width, this.height), ...answer };
    if (object.bounds) this.#fetch(object);
    return object;
  }

  #fetch(object) {
    object.fetching = this.#fetchMatte(object).catch((error) => {
      if (error.isGone) this.#tell("gone");
      else console.error(error);
    });
    return object.fetching;
  }

  async #fetchMatte(object) {
    let version;
    do { // again, if a step came in between, which is newer
      version = object.version;
      const matte = object.bounds && (await api.getAlpha(this.id, object.id, object.bounds));
      if (version === object.version) {
        object.matte.clear();
        if (matte) object.matte.set(matte.rect, matte.values);
      }
    } while (version !== object.version);
    this.#tell("matte", null);
    this.#tell("objects");
  }

  #step({ step, values, other }) {
    const object = this.objects.find(({ id }) => id === step.id);
    if (!object) return; // made in another tab a moment ago: the list that comes with it has its matte fetched
    Object.assign(object, this.#objectOf(step));
    object.version += 1;
    if (values && !isEmpty(step.changed)) {
      object.matte.set(step.changed, values);
      this.#tell("matte", step.changed);
    }
    this.#tell("objects");
    if (other) this.#tell("other", object);
  }

  #missed(answer) {
    const object = this.objects.find(({ id }) => id === answer.id);
    if (object) this.#fetch(Object.assign(object, answer));
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
