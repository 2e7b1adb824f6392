// What users do with an open image, said in words; and what is done about what goes wrong.

import { makeAgain } from "./again.js";
import { attempt, notify, say } from "./notices.js";
import { byId } from "./elements.js";
import { describe, percent, timing } from "./words.js";

const SLOW_PREVIEW = 250; // ms: slower ones are switched off, they would hold up clicks

export class Actions {
  /** `page` has opened (or null), marks, tools and recover(), which opens an image again that the server let go. */
  constructor(page) {
    this.page = page;
    this.previewing = false;
    this.lastHover = null;
    this.requested = Promise.resolve(); // all that was asked for so far
    this.acts = Promise.resolve(); // the last undo, redo or reset of it
    this.answered = 0; // steps that the server has answered
  }

  get #opened() {
    return this.page.opened;
  }

  /** Run a request to the server; if it has let the image go, open that again and do it there. */
  #run(work) {
    const done = this.#attempt(work);
    this.requested = Promise.all([this.requested, done]);
    return done;
  }

  #attempt(work) {
    return attempt(async () => {
      if (!this.#opened) return;
      try {
        await work(this.#opened);
      } catch (error) {
        if (!error.isGone || !(await this.page.recover())) throw error;
        await work(this.#opened);
      }
    });
  }

  async prompt(prompt) {
    const { marks } = this.page;
    marks.preview(null);
    marks.set({ pending: prompt });
    const earlier = this.acts; // in the order that the user did it
    await this.#run(async (opened) => {
      await earlier;
      const answer = await opened.prompt(prompt);
      const made = answer.step.prompts.at(-1) ?? prompt;
      this.#report(describe(made, answer.step.prompts.length), answer);
    });
    if (marks.pending === prompt) marks.set({ pending: null });
  }

  undo = () => this.#act("undo", "Undone");
  redo = () => this.#act("redo", "Done again");
  reset = () => this.#act("reset", "All prompts cleared");

  remove(index) {
    return this.#run(async (opened) => {
      if (!opened.active) return;
      const words = describe(opened.active.prompts[index], index + 1);
      this.#report(`Taken back: ${words}`, await opened.act("remove", { index }));
    });
  }

  #act(action, words) {
    const earlier = this.requested; // what can be undone is known when those are answered, keys may come faster
    this.acts = this.#run(async (opened) => {
      await earlier;
      const object = opened.active;
      if (!object || (action === "undo" && !object.can_undo) || (action === "redo" && !object.can_redo)) {
        say(`Nothing to ${action}`);
        return;
      }
      const before = object.prompts;
      const answer = await opened.act(action);
      const after = answer.step.prompts;
      const differing = action === "undo" && before.length > after.length ? before : after;
      const what = action !== "reset" && before.length !== after.length ? `: ${describe(differing.at(-1), differing.length)}` : "";
      this.#report(words + what, answer);
    });
    return this.acts;
  }

  #report(what, { object, step, roundTrip }) {
    const text = `${what}; ${percent(object.matte.share)} of the image selected`;
    const times = timing(step.ms, roundTrip);
    byId("timing").textContent = times;
    this.answered += 1;
    say(text, `${text}; ${times}`);
  }

  activate(object) {
    if (this.#opened.active === object) return;
    this.#opened.activate(object);
    say(`${object.name} is active`);
  }

  /** The next object, or with -1 the one before. */
  step(by) {
    const { objects, active } = this.#opened ?? { objects: [] };
    if (objects.length) this.activate(objects.at((objects.indexOf(active) + by + objects.length) % objects.length));
  }

  show(object, visible) {
    this.#opened.show(object, visible);
    say(`${object.name} is ${visible ? "shown" : "hidden"}`);
  }

  change = (object, change) => this.#opened.change(object, change);

  add(mask = undefined) {
    return this.#run(async (opened) => {
      const object = await opened.add({ mask }).catch((error) => {
        if (mask && !error.isGone) error.message = `“${mask.name}”: ${error.message}`;
        throw error;
      });
      object.mask = mask; // to make it again with
      say(mask ? `${object.name} begins with the mask ${mask.name}; ${percent(object.matte.share)} of the image selected` : `${object.name} is new; click to select`);
    });
  }

  async removeObject(object) {
    const opened = this.#opened;
    const { name, color, prompts, mask } = object;
    await opened.remove(object);
    say(`Deleted ${name}`);
    if (!prompts.length) return;
    notify(`Deleted “${name}”.`, {
      action: {
        label: "Undo",
        run: () => attempt(async () => {
          const id = await makeAgain(opened.id, { name, color, prompts, mask });
          await opened.refresh();
          await opened.settled; // steps made over HTTP come over the socket too, as if another window had made them
          const again = opened.objects.find((other) => other.id === id);
          if (again) opened.activate(Object.assign(again, { mask }));
          say(`${name} is back`);
        }),
      },
    });
  }

  /** Show what a click here would do, if that is wished and nothing else is on its way. */
  async hover(pixel) {
    const { marks, tools } = this.page;
    this.lastHover = pixel;
    if (marks.previewed) marks.preview(null);
    if (!pixel || !tools.preview || this.previewing || !this.#opened?.active) return;
    this.previewing = true;
    try {
      const { active } = this.#opened;
      const answer = await this.#opened.preview(tools.click(...pixel));
      if (answer && this.lastHover === pixel && answer.preview.version === active.shown) {
        marks.preview({ rect: answer.preview.changed, values: answer.values }, active.matte);
      }
      if (answer && answer.preview.ms > SLOW_PREVIEW) {
        tools.set({ preview: false });
        notify(`A preview takes ${Math.round(answer.preview.ms)} ms on this server, so it was switched off.`);
      }
    } catch {
      // A preview that fails is none; what a click says then is shown.
    }
    this.previewing = false;
    if (this.lastHover && this.lastHover !== pixel) this.hover(this.lastHover);
  }
}
