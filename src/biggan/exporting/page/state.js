// What is set on the page, as the part of its address after the #, and what of such a text is possible.
"use strict";

(function (root) {
  const MOST_SEED = (1n << 63n) - 1n;
  const SMALLEST_T = 0.05;
  const LARGEST_T = 2;

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

  // The state that an address gives; what it does not give, or gives wrongly, is as at the beginning.
  function read(hash, settings) {
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    const state = initial(settings);
    const take = (name, use) => { if (given.has(name)) use(given.get(name)); };
    const last = Math.max(settings.classes - 1, 0);
    take("seed", (v) => { state.seed = seedOf(v) ?? state.seed; });
    take("class", (v) => { state.class = numberOf(v, 0, last, state.class); });
    state.endClass = state.class;
    take("kind", (v) => { state.kind = settings.kinds.includes(v) ? v : state.kind; });
    take("truncation", (v) => { state.truncation = numberOf(v, SMALLEST_T, LARGEST_T, state.truncation, 2); });
    take("second", (v) => { state.second = numberOf(v, 0, last, state.second); });
    take("share", (v) => { state.share = numberOf(v, 0, 100, state.share); });
    take("end-seed", (v) => { state.endSeed = seedOf(v) ?? state.endSeed; });
    take("end-class", (v) => { state.endClass = numberOf(v, 0, last, state.endClass); });
    take("curve", (v) => { state.curve = v === "linear" ? v : "spherical"; });
    take("steps", (v) => { state.steps = numberOf(v, 1, 240, state.steps); });
    take("speed", (v) => { state.speed = numberOf(v, 1, 30, state.speed); });
    take("position", (v) => { state.position = numberOf(v, 0, state.steps, state.position); });
    take("again", (v) => { state.again = v === "1"; });
    return state;
  }

  // The text after the #: seed and class always, of the rest what is not as at the beginning.
  function write(state, settings) {
    const usual = initial(settings);
    const text = new URLSearchParams({ seed: state.seed });
    if (settings.classes) text.set("class", state.class);
    const put = (name, value, other) => { if (value !== other) text.set(name, value); };
    put("kind", state.kind, usual.kind);
    put("truncation", state.truncation, usual.truncation);
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

  const exported = { initial, seedOf, seedBeside, numberOf, read, write, point, shares, MOST_SEED };
  if (typeof module === "object" && module.exports) module.exports = exported;
  else root.State = exported;
})(globalThis);
