// What is set on the page, as the part of its address after the #, and what of such a text is possible.
"use strict";

(function (root) {
  const MOST_SEED = (1n << 63n) - 1n;
  const SMALLEST_T = 0.05;
  const LARGEST_T = 2;
  const SEEDS = `a seed is a whole number from 0 to ${MOST_SEED}`;
  const MOST_TOLD = 4;
  const MOST_BYTES = 50; // of a class in a file's name, which has at most three

  function initial(settings) {
    return {
      seed: "0",
      class: 0,
      kind: settings.kinds[0],
      truncation: 1,
      second: Math.min(1, Math.max(settings.classes - 1, 0)),
      share: 0,
      endSeed: "1",
      endClass: 0,
      curve: "spherical",
      steps: 24,
      speed: 12,
      position: 0,
      again: false,
    };
  }

  // A seed as its shortest text; null if it is none.
  function seedOf(text) {
    if (!/^[0-9]{1,19}$/.test(text.trim())) return null;
    const number = BigInt(text.trim());
    return number <= MOST_SEED ? number.toString() : null;
  }

  // The seed so many places further, going round at the ends.
  function seedBeside(seed, by) {
    const count = MOST_SEED + 1n;
    return ((((BigInt(seed) + BigInt(by)) % count) + count) % count).toString();
  }

  // A number of a text, within bounds; the other one if it is no number.
  function numberOf(text, low, high, other, digits = 0) {
    const number = Number(text);
    if (String(text).trim() === "" || !Number.isFinite(number)) return other;
    return Math.min(high, Math.max(low, Number(number.toFixed(digits))));
  }

  // Text of anybody's, short and without what commands or reorders.
  const told = (text) => {
    const letters = Array.from(text.replace(/\p{C}/gu, "?"));
    return letters.length > 24 ? `${letters.slice(0, 24).join("")}…` : letters.join("");
  };

  // The state that an address gives. What it gives wrongly becomes the nearest number, or is as at the beginning;
  // `doubts` gets a phrase for each of these.
  function read(hash, settings, doubts = []) {
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    const state = initial(settings), known = new Set(), last = settings.classes - 1, only = settings.truncation;
    // `valueOf` returns the value of a text, null if it has none, and whether that is what the text says.
    const take = (name, key, valueOf, possible, taken = () => state[key]) => {
      known.add(name);
      if (!given.has(name)) return;
      const text = given.get(name), [value, exact] = valueOf(text);
      state[key] = value ?? state[key];
      if (!exact) doubts.push(`${name}=${told(text)} (${possible}; ${taken()} is taken)`);
      if (given.getAll(name).length > 1) doubts.push(`${name} (it stands there more than once; the first is taken)`);
    };
    const one = (name, key, values) =>
      take(name, key, (text) => (values.includes(text) ? [text, true] : [null, false]), values.join(" or "));
    const seed = (name, key) => take(name, key, (text) => [seedOf(text), seedOf(text) !== null], SEEDS);
    const number = (name, key, low, high, possible, digits = 0) => take(name, key, (text) => {
      const near = numberOf(text, low, high, null, digits);
      return [near, near !== null && near === Number(text)];
    }, `${possible} ${low} to ${high}`);
    const label = (name, key) => take(name, key, (text) => {
      const index = /^[0-9]{1,9}$/.test(text) ? Number(text) : settings.classNames.indexOf(text);
      const there = text !== "" && index >= 0 && index <= last;
      return [there ? index : null, there];
    }, settings.classes ? `classes are 0 to ${last}, or their names` : "this generator has no classes",
    () => (settings.classes ? state[key] : "none"));
    seed("seed", "seed");
    label("class", "class");
    state.endClass = state.class;
    one("kind", "kind", settings.kinds);
    if (only === null) number("truncation", "truncation", SMALLEST_T, LARGEST_T, "two decimals,", 2);
    else take("truncation", "truncation", (text) => [null, Number(text) === only], "this page has one", () => only);
    if (given.has("truncation") && state.kind === "none") {
      const kinds = settings.kinds.filter((kind) => kind !== "none").join(", ");
      doubts.push(`truncation without a kind (${kinds}; nothing is truncated)`);
    }
    label("second", "second");
    const [most, of] = settings.classes < 2 ? [0, "without a second class"] : [100, "per cent,"];
    number("share", "share", 0, most, of);
    seed("end-seed", "endSeed");
    label("end-class", "endClass");
    one("curve", "curve", ["spherical", "linear"]);
    number("steps", "steps", 1, 240, "steps are");
    number("speed", "speed", 1, 30, "images a second,");
    number("position", "position", 0, state.steps, "a step from");
    take("again", "again", (text) => [text === "1", ["0", "1"].includes(text)], "0 or 1");
    for (const name of new Set(given.keys())) if (!known.has(name)) doubts.push(`${told(name)} (no word of this page)`);
    return state;
  }

  // A sentence of what `read` doubted.
  function doubtful(doubts) {
    if (!doubts.length) return "";
    const rest = doubts.length > MOST_TOLD ? `, and ${doubts.length - MOST_TOLD} more` : "";
    return `Not possible of this address: ${doubts.slice(0, MOST_TOLD).join(", ")}${rest}.`;
  }

  // The text after the #: seed and class always, of the rest what is not as at the beginning.
  function write(state, settings) {
    const usual = initial(settings);
    const text = new URLSearchParams({ seed: state.seed });
    if (settings.classes) text.set("class", state.class);
    const put = (name, value, other) => { if (value !== other) text.set(name, value); };
    put("kind", state.kind, usual.kind);
    if (state.kind !== "none") put("truncation", state.truncation, usual.truncation);
    put("second", state.second, usual.second);
    put("share", state.share, 0);
    put("end-seed", state.endSeed, usual.endSeed);
    put("end-class", state.endClass, state.class);
    put("curve", state.curve, usual.curve);
    put("steps", state.steps, usual.steps);
    put("speed", state.speed, usual.speed);
    put("position", state.position, 0);
    put("again", state.again ? "1" : "0", "0");
    return `#${text}`;
  }

  function nameOf(index, settings) {
    const name = settings.classNames[index];
    return name === undefined || name === "" ? `class ${index}` : name;
  }

  // What an image of this state shows, in words.
  function describe(state, settings) {
    const parts = [], named = (index) => nameOf(index, settings);
    if (settings.classes) {
      const second = state.share ? ` with ${state.share} % ${named(state.second)}` : "";
      parts.push(named(state.class) + second);
    }
    parts.push(`seed ${state.seed}`);
    if (state.kind !== "none") parts.push(`T ${settings.truncation ?? state.truncation} (${state.kind})`);
    if (state.position) {
      const end = settings.classes ? `${named(state.endClass)}, ` : "";
      parts.push(`${state.position} of ${state.steps} on the way to ${end}seed ${state.endSeed}`);
    }
    return parts.join(", ");
  }

  // What a file of that image is called, such as daisy-3.png: letters, digits, _ and -, below 255 bytes, which every
  // system takes.
  function fileName(state, settings) {
    const named = (index) => {
      const plain = (settings.classNames[index] ?? "").normalize("NFC").replace(/[^\p{L}\p{M}\p{N}_]+/gu, "-");
      let kept = "", bytes = 0;
      for (const letter of plain.replace(/^-/, "")) {
        bytes += new TextEncoder().encode(letter).length;
        if (bytes > MOST_BYTES) break;
        kept += letter;
      }
      return kept.replace(/-$/, "") || `class${index}`;
    };
    const at = (index, seed) => (settings.classes ? `${named(index)}-${seed}` : `seed${seed}`);
    const second = settings.classes && state.share ? `with-${state.share}-${named(state.second)}-` : "";
    const start = second ? `${named(state.class)}-${second}${state.seed}` : at(state.class, state.seed);
    if (!state.position) return `${start}.png`;
    return `${start}-to-${at(state.endClass, state.endSeed)}-${state.position}of${state.steps}.png`;
  }

  const remembered = new Map(); // latents of the two ends

  // Where a path is `position` of `steps` on: z Float32Array [z] and weights of classes Float32Array [classes].
  function point(state, settings, latents, position = state.position) {
    const bound = state.kind === "none" ? null : settings.truncation ?? state.truncation;
    const at = (seed) => {
      const key = [seed, bound, state.kind].join();
      if (!remembered.has(key)) {
        if (remembered.size > 8) remembered.clear();
        remembered.set(key, latents.latent(seed, settings.latentSize, bound, state.kind));
      }
      return remembered.get(key).slice(); // a worker may be given the array for good
    };
    const t = position / state.steps;
    const z = at(state.seed);
    const weights = settings.classes
      ? latents.weights(settings.classes, state.class, state.second, state.share / 100)
      : new Float32Array(0);
    if (!position) return { z, weights };
    const end = at(state.endSeed);
    const endWeights = settings.classes ? latents.weights(settings.classes, state.endClass) : weights;
    if (position === state.steps) return { z: end, weights: endWeights };
    return { z: latents[state.curve](z, end, t), weights: latents.linear(weights, endWeights, t) };
  }

  // How much of each set of batch-norm statistics is taken, Float32Array [1 + K]: of the weights' own, then of the bank's.
  // As sampling/bank.py mixes two of them; null for a generator that has one set alone.
  function shares(state, bank) {
    if (!bank) return null;
    const found = new Float32Array(1 + bank.truncations.length);
    if (state.kind !== bank.kind) {
      found[0] = 1;
      return found;
    }
    const { truncations } = bank, last = truncations.length - 1;
    let low = 0, high = 0, share = 0;
    if (bank.reversed) {
      const place = Math.min(state.truncation, truncations[last]) / (1 / last);
      low = Math.trunc(place);
      if (place > low) [high, share] = [low + 1, 1 - (place - low)];
      else high = low;
    } else {
      const above = truncations.filter((t) => t < state.truncation).length;
      [low, high] = [Math.max(above - 1, 0), Math.min(above, last)];
      const span = truncations[high] - truncations[low];
      share = span ? Math.min(Math.max((state.truncation - truncations[low]) / span, 0), 1) : 0;
    }
    found[1 + low] += 1 - share;
    found[1 + high] += share;
    return found;
  }

  const exported = {
    SEEDS, initial, seedOf, seedBeside, numberOf, read, doubtful, write, nameOf, describe, fileName, point, shares,
  };
  if (typeof module === "object" && module.exports) module.exports = exported;
  else root.State = exported;
})(globalThis);
