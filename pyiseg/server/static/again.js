// Making images and objects again from what the page keeps: each prompt as it was made.

import * as api from "./api.js";

/** Make an object again, {name, color, prompts, mask}. Returns its id. */
export async function makeAgain(imageId, { name, color, prompts, mask }) {
  const begins = Boolean(prompts[0]?.mask);
  if (begins && !mask) throw new api.ApiError("ValueError", `“${name}” began with a mask that this page does not have.`);
  const object = await api.makeObject(imageId, name, color, begins ? mask : undefined);
  for (const prompt of prompts.slice(begins ? 1 : 0)) await api.makePrompt(imageId, object.id, prompt);
  return object.id;
}

/** Open an image again with all that was done on it. Returns the server's IMAGE, and the objects that failed. */
export async function openAgain({ name, file, objects }) {
  const opened = await api.openImage(file, name);
  const failed = [];
  for (const object of objects) {
    try {
      await makeAgain(opened.id, object);
    } catch (error) {
      failed.push(error.message);
    }
  }
  return { answer: await api.getImage(opened.id), failed };
}

/** A matte as an image file. */
export async function encodeMatte(matte) {
  const canvas = document.createElement("canvas");
  canvas.width = matte.width;
  canvas.height = matte.height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(matte.width, matte.height);
  const { alpha } = matte;
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < alpha.length; i += 1) pixels[i] = 0xff000000 | (alpha[i] * 0x010101);
  context.putImageData(image, 0, 0);
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
}
