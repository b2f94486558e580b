// A picture as a PNG file that says how it was drawn, so that `biggan recreate` draws it again.
"use strict";

(function (root) {
  const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
  const GREY = 0, COLOUR = 2; // types of pixels
  const bytesOf = (text) => Uint8Array.from(text, (character) => character.charCodeAt(0));

  // ---- what it says: the record of biggan/sampling/picture_record.py

  // Which statistics of batch norm, as norm_statistics of biggan/sampling/statistics.py has it.
  function statistics(truncation, kind, { bank, record }) {
    const asked = truncation === null ? {} : { asked: truncation, asked_kind: kind };
    if (truncation === null || bank?.kind !== kind) return { ...record.statistics, ...asked };
    const { truncations, batches, batch } = bank, last = truncations.length - 1;
    const above = truncations.findIndex((t) => t >= truncation);
    const between = above > 0 && truncations[above] !== truncation ? truncations.slice(above - 1, above + 1) : [];
    const used = Math.min(Math.max(truncation, truncations[0]), truncations[last]);
    return { kind: "bank", ...asked, truncation: used, truncation_kind: kind, between, batches, batch };
  }

  // Numbers of PointsShown in biggan/sampling/point_record.py: little-endian float32 as base64.
  function numbers(row) {
    const view = new DataView(new ArrayBuffer(4 * row.length));
    row.forEach((value, place) => view.setFloat32(4 * place, value, true));
    const bytes = Array.from(new Uint8Array(view.buffer), (byte) => String.fromCharCode(byte));
    return { type: "float32", width: row.length, values: btoa(bytes.join("")) };
  }

  // What an image is that no class and seed alone name, a blend or a place on the way to another one: its latent, and
  // how much of each class it has.
  function single({ z, weights }, state) {
    const shares = Array.from(weights, (share, label) => [label, share]).filter(([, share]) => share > 0);
    const end = state.position ? `, ${state.position} of ${state.steps} to seed ${state.endSeed}` : "";
    return { z: numbers(z), mixtures: shares.length ? [shares] : [], condition_of: [0], columns: 1, single: true,
      about: `seed ${state.seed}${end}` };
  }

  const ascii = (text) =>
    text.replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

  // As ASCII JSON. `point` is where the image is, as state.js has it.
  function record(state, settings, point) {
    const end = state.position === state.steps;
    const named = !((state.position && !end) || (!end && settings.classes && state.share));
    const truncation = state.kind === "none" ? null : settings.truncation ?? state.truncation;
    const used = statistics(truncation, state.kind, settings);
    const said = { ...settings.record, truncation, statistics: used };
    if (truncation !== null) said.truncation_kind = state.kind;
    if (used.kind !== "bank") delete said.bank;
    if (!named) return ascii(JSON.stringify({ ...said, points: single(point, state) }));
    const label = !settings.classes ? 0 : end ? state.endClass : state.class;
    const name = settings.classNames[label];
    const called = name === undefined ? "" : `,"class_name":${JSON.stringify(name)}`;
    // A seed may have more digits than a number here keeps.
    const image = `{"label":${label},"seed":${end ? state.endSeed : state.seed}${called}}`;
    return ascii(`${JSON.stringify(said).slice(0, -1)},"image":${image}}`);
  }

  // ---- the file (PNG specification, third edition)

  const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
    for (let bit = 0; bit < 8; bit += 1) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
    return byte;
  });

  function chunk(kind, data) {
    const found = new Uint8Array(12 + data.length), view = new DataView(found.buffer);
    view.setUint32(0, data.length);
    found.set(bytesOf(kind), 4);
    found.set(data, 8);
    let crc = 0xffffffff;
    for (const byte of found.subarray(4, -4)) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
    view.setUint32(8 + data.length, ~crc);
    return found;
  }

  async function deflated(bytes) {
    const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
    return new Uint8Array(await new Response(packed).arrayBuffer());
  }

  // The PNG file of an ImageData, a Blob, of as many channels as our own files have; `text` is its record.
  async function file({ data, width, height }, channels, text) {
    const kept = channels === 3 ? 3 : 1, row = 1 + kept * width;
    const lines = new Uint8Array(row * height); // each begins with the kind of its filter: 0, none
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        for (let c = 0; c < kept; c += 1) lines[y * row + 1 + kept * x + c] = data[4 * (y * width + x) + c];
      }
    }
    const head = new Uint8Array(13), view = new DataView(head.buffer);
    view.setUint32(0, width);
    view.setUint32(4, height);
    head.set([8, kept === 3 ? COLOUR : GREY], 8);
    const said = chunk("tEXt", bytesOf(`biggan\0${text}`));
    const parts = [chunk("IHDR", head), said, chunk("IDAT", await deflated(lines)), chunk("IEND", new Uint8Array(0))];
    return new Blob([Uint8Array.from(SIGNATURE), ...parts], { type: "image/png" });
  }

  const exported = { record, file };
  if (typeof module === "object" && module.exports) module.exports = exported;
  else root.Png = exported;
})(globalThis);
