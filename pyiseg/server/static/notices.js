// What the user is told: the status line, the live region that screen readers read, and notices over the canvas.

import { element, icon } from "./elements.js";

const SHORT = 7000; // ms that a notice stays which is no error
const MOST = 3;

const message = document.getElementById("message");
const live = document.getElementById("live");
const stack = document.getElementById("notices");

/** Show what happened. `spoken` is read out in its place where the status line shows part of it elsewhere. */
export function say(text, spoken = text) {
  message.textContent = text;
  live.textContent = spoken;
}

/**
 * Show a notice over the canvas: errors until they are dismissed, others for some seconds.
 * `action` may be {label, run}: a button in the notice. `about` names what it is about, for `settle`.
 */
export function notify(text, { error = false, action = null, about = "" } = {}) {
  const repeated = [...stack.children].find((notice) => notice.dataset.text === text);
  repeated?.remove();
  const notice = element("div", { className: error ? "notice error" : "notice", role: error ? "alert" : "status" });
  Object.assign(notice.dataset, { text, about });
  const remove = () => notice.remove();
  notice.append(icon(error ? "warning" : "info"), element("p", { textContent: text }));
  if (action) {
    const button = element("button", { type: "button", className: "link", textContent: action.label });
    button.addEventListener("click", () => { remove(); action.run(); });
    notice.append(button);
  }
  const dismiss = element("button", { type: "button", className: "quiet", ariaLabel: "Dismiss this notice" });
  dismiss.append(icon("close"));
  dismiss.addEventListener("click", remove);
  notice.append(dismiss);
  stack.append(notice);
  while (stack.children.length > MOST) stack.firstElementChild.remove();
  if (!error) setTimeout(remove, SHORT);
}

/** What some notices are about is over: they go. */
export function settle(about) {
  for (const notice of [...stack.children]) if (notice.dataset.about === about) notice.remove();
}

export const fail = (error) => notify(error.message, { error: true, about: error.type === "ConnectionError" ? "connection" : "" });

/** Run what may fail; what went wrong is shown. Returns whether it went well. */
export async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (!error.type) console.error(error); // not the server's: a mistake of this page
    fail(error);
    return false;
  }
}

const working = []; // texts of all that takes its time now

/** Cover the canvas while something takes its time. The work is given a function that tells how far it is. */
export async function whileBusy(text, work) {
  const busy = document.getElementById("busy");
  const show = () => {
    busy.hidden = working.length === 0;
    busy.querySelector("p").textContent = working.at(-1)?.text ?? "";
  };
  const own = { text };
  working.push(own);
  show();
  const before = message.textContent;
  say(text);
  try {
    return await work((further) => {
      own.text = `${text} ${further}`;
      show();
    });
  } finally {
    working.splice(working.indexOf(own), 1);
    show();
    if (message.textContent === text) message.textContent = before; // it failed, as a notice says
  }
}
