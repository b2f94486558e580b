// The generator in the browser: ONNX Runtime Web, its files and ours, however the page was opened.
"use strict";

(function (root) {
  const GLUE = "ort-wasm-simd-threaded.mjs";
  const BINARY = "ort-wasm-simd-threaded.wasm";
  const SERVE = "In a terminal, go to this folder, run “python -m http.server”, and open http://localhost:8000/.";

  // What is said to the person instead of the picture.
  class Sentence extends Error {}

  function script(address, sentence) {
    return new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = address;
      element.onload = resolve;
      element.onerror = () => reject(new Sentence(sentence));
      document.head.append(element);
    });
  }

  // A file that lies in embedded/ as text, because a page of file:// may run scripts but fetch nothing.
  async function embedded(name) {
    await script(`embedded/${name}.js`, `embedded/${name}.js is not there. Copy the whole folder. Or: ${SERVE}`);
    const text = atob(root.BIGGAN_FILES[name]);
    delete root.BIGGAN_FILES[name];
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  async function fetched(name, tell) {
    let answer = null;
    try {
      answer = await fetch(name);
    } catch {
      throw new Sentence(`${name} could not be fetched: the connection was lost, or the file is not there.`);
    }
    if (!answer.ok) throw new Sentence(`${name} could not be fetched: the server says ${answer.status}.`);
    const total = Number(answer.headers.get("content-length"));
    const parts = [];
    let done = 0;
    const reader = answer.body.getReader();
    for (;;) {
      const { value, done: end } = await reader.read();
      if (end) break;
      parts.push(value);
      done += value.length;
      // A compressed answer is longer than its header says.
      if (total >= done) tell(`Loading the generator: ${Math.round((100 * done) / total)} %`);
    }
    const bytes = new Uint8Array(done);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  async function startRuntime(settings, byFile) {
    const base = new URL(settings.runtime, document.baseURI).href;
    const where = settings.runtimeIsLocal
      ? "runtime/ort.wasm.min.js is not there. Copy the whole folder."
      : `ONNX Runtime Web could not be fetched from ${base}. This page needs a connection to that address.`;
    await script(`${base}ort.wasm.min.js`, where);
    if (!root.ort?.env?.wasm) throw new Sentence(`What came from ${base} is no ONNX Runtime Web.`);
    const wasm = root.ort.env.wasm;
    root.ort.env.logLevel = "error";
    wasm.numThreads = 1;
    wasm.wasmPaths = { mjs: base + GLUE, wasm: base + BINARY };
    if (byFile && settings.runtimeIsLocal) {
      const glue = await embedded(GLUE);
      wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([glue], { type: "text/javascript" })) };
      wasm.wasmBinary = (await embedded(BINARY)).buffer;
    } else if (!byFile) {
      wasm.proxy = true; // in a worker, so that the page answers while it draws
    }
  }

  // Return a function from z Float32Array [z], weights of classes Float32Array [classes] and, where statistics follow the
  // truncation, shares of them (see state.js) to an ImageData.
  async function open(settings, tell) {
    const byFile = location.protocol === "file:";
    if (typeof WebAssembly !== "object") {
      throw new Sentence("This browser has no WebAssembly (or it is switched off), which the generator needs.");
    }
    if (byFile && !settings.embedded) {
      throw new Sentence(`This generator is too large to be opened as a file. ${SERVE}`);
    }
    tell("Loading ONNX Runtime…");
    await startRuntime(settings, byFile);
    tell("Loading the generator…");
    const model = byFile ? await embedded(settings.model) : await fetched(settings.model, tell);
    tell("Starting the generator…");
    let session = null;
    try {
      session = await root.ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    } catch (error) {
      throw new Sentence(`The generator could not be started: ${error.message || error}`);
    }
    return async function draw(z, weights, shares) {
      const feed = { z: new root.ort.Tensor("float32", z, [1, z.length]) };
      if (settings.classes) feed.labels = new root.ort.Tensor("float32", weights, [1, weights.length]);
      if (shares) feed.shares = new root.ort.Tensor("float32", shares, [shares.length]);
      const { images } = await session.run(feed);
      const { channels, height, width } = settings;
      return new ImageData(root.Latents.pixels(images.data, channels, height, width), width, height);
    };
  }

  root.BIGGAN_FILES = {};
  root.Drawing = { open, Sentence };
})(globalThis);
