// Files that users open, drop or paste: images, masks and saved sessions.

import { byId } from "./elements.js";

/** `to` has openImage(file), openMask(file) and openSession(file). */
export function listenForFiles(to) {
  const choose = (id, use) => {
    const input = byId(id);
    input.addEventListener("change", () => {
      const [file] = input.files;
      input.value = ""; // the same file may be chosen again
      if (file) use(file);
    });
    return () => input.click();
  };
  const chooseImage = choose("file-input", (file) => to.openImage(file));
  const chooseMask = choose("mask-input", (file) => to.openMask(file));
  const chooseSession = choose("session-input", (file) => to.openSession(file));

  const take = (file) => (/\.json$/i.test(file.name) || file.type === "application/json" ? to.openSession(file) : to.openImage(file));
  const cover = byId("drop");
  let depth = 0; // children are entered before their parent is left
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth += 1;
    cover.hidden = false;
  });
  addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    cover.hidden = depth === 0;
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    cover.hidden = true;
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) take(file);
  });

  byId("open").addEventListener("click", chooseImage);
  byId("open-first").addEventListener("click", chooseImage);
  byId("add-mask").addEventListener("click", chooseMask);
  return { chooseImage, chooseMask, chooseSession };
}
