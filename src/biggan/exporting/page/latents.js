// From seeds to latents, paths and pixels: the arithmetic of `biggan sample`, without a browser.
// The same numbers as biggan/foundation/seeding.py and biggan/sampling/latents.py, in float64, rounded to float32
// where those round. Seeds are BigInt, 0 to 2^63 - 1.
"use strict";

(function (root) {
  const WORD = (1n << 64n) - 1n;

  // SHA-256 (FIPS 180-4) of ASCII text, as sixteen bytes of its start: a page may not use crypto.subtle where it was
  // not served over https.
  const K = Uint32Array.of(
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
  );
  const H = Uint32Array.of(
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
  );

  function sha256(text) {
    const length = text.length;
    const bytes = new Uint8Array((((length + 8) >> 6) + 1) << 6);
    for (let i = 0; i < length; i += 1) bytes[i] = text.charCodeAt(i);
    bytes[length] = 0x80;
    const view = new DataView(bytes.buffer);
    view.setUint32(bytes.length - 4, length * 8);
    const state = H.slice();
    const w = new Uint32Array(64);
    const turn = (x, n) => (x >>> n) | (x << (32 - n));
    for (let start = 0; start < bytes.length; start += 64) {
      for (let i = 0; i < 16; i += 1) w[i] = view.getUint32(start + 4 * i);
      for (let i = 16; i < 64; i += 1) {
        const a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + w[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
      }
      let [a, b, c, d, e, f, g, h] = state;
      for (let i = 0; i < 64; i += 1) {
        const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
        const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
      }
      [a, b, c, d, e, f, g, h].forEach((value, i) => { state[i] += value; });
    }
    const out = new DataView(new ArrayBuffer(32));
    state.forEach((value, i) => out.setUint32(4 * i, value));
    return out;
  }

  // The two 64-bit words of the key of one purpose and clock (seed of the experiment: 0).
  function keyOf(purpose, clock) {
    const hash = sha256(`biggan:0:${purpose}:${clock}`);
    const words = [hash.getBigUint64(0, true), hash.getBigUint64(8, true)];
    // numpy makes float64 of a list in which one word fits into int64 and the other does not; so seeds got their meaning.
    const large = words.filter((word) => word >> 63n).length;
    return large === 1 ? words.map((word) => BigInt(Number(word)) & WORD) : words;
  }

  // Philox4x64-10 (Salmon et al. 2011): four words, BigInt, of one value of the 256-bit counter.
  function philox(counter, key) {
    let c0 = counter & WORD, c1 = (counter >> 64n) & WORD, c2 = (counter >> 128n) & WORD, c3 = counter >> 192n;
    let [k0, k1] = key;
    for (let round = 0; round < 10; round += 1) {
      const first = 0xd2e7470ee14c6c93n * c0, second = 0xca5a826395121157n * c2;
      [c0, c1, c2, c3] = [(second >> 64n) ^ c1 ^ k0, second & WORD, (first >> 64n) ^ c3 ^ k1, first & WORD];
      k0 = (k0 + 0x9e3779b97f4a7c15n) & WORD;
      k1 = (k1 + 0xbb67ae8584caa73bn) & WORD;
    }
    return [c0, c1, c2, c3];
  }

  // Row `seed` of a table of standard normal numbers with so many columns; returns a function from column to number.
  // Box and Muller 1958: the uniforms of the first half give radii, those of the second angles.
  function normals(clock, seed, columns) {
    const key = keyOf("sample", clock);
    const pairs = Math.ceil(columns / 2);
    // numpy steps the counter before it is used.
    const start = seed * BigInt(Math.ceil((2 * pairs) / 4)) + 1n;
    const blocks = new Map();
    const uniform = (place) => {
      const block = place >> 2;
      let words = blocks.get(block);
      if (words === undefined) {
        words = philox(start + BigInt(block), key);
        blocks.set(block, words);
      }
      return Number(words[place & 3] >> 11n) * 2 ** -53;
    };
    return (column) => {
      const pair = column < pairs ? column : column - pairs;
      const radius = Math.sqrt(-2 * Math.log1p(-uniform(pair)));
      const angle = 2 * Math.PI * uniform(pairs + pair);
      return Math.fround(radius * (column < pairs ? Math.cos(angle) : Math.sin(angle)));
    };
  }

  const TRIES = 64; // candidates at a time for values that were beyond

  // Replace each value beyond `bound` by the first within it of the seed's further draws.
  function redraw(z, seed, bound) {
    const limit = Math.fround(bound);
    let beyond = [];
    z.forEach((value, i) => { if (Math.abs(value) > limit) beyond.push(i); });
    for (let attempt = 1; beyond.length; attempt += 1) {
      const candidate = normals(attempt, seed, z.length * TRIES);
      beyond = beyond.filter((i) => {
        for (let row = 0; row < TRIES; row += 1) {
          const value = candidate(row * z.length + i);
          if (Math.abs(value) <= limit) {
            z[i] = value;
            return false;
          }
        }
        return true;
      });
    }
    return z;
  }

  const KINDS = {
    resample: (z, seed, t) => redraw(z, seed, t),
    scale: (z, seed, t) => z.map((value) => value * Math.fround(t)),
    clamp: (z, seed, t) => z.map((value) => Math.min(Math.max(value, -Math.fround(t)), Math.fround(t))),
    tfhub: (z, seed, t) => redraw(z, seed, 2).map((value) => value * Math.fround(t)),
  };

  // The latent of a seed, Float32Array [size]; truncation null draws from the whole prior.
  function latent(seed, size, truncation = null, kind = "resample") {
    const number = BigInt(seed);
    if (number < 0n || number >= 1n << 63n) throw new RangeError("seeds are 0 to 2^63 - 1");
    const normal = normals(0, number, size);
    const z = Float32Array.from({ length: size }, (_, i) => normal(i));
    return truncation === null ? z : KINDS[kind](z, number, truncation);
  }

  // The point at t in [0, 1] of the straight line between two vectors.
  function linear(start, end, t) {
    return start.map((value, i) => value + (end[i] - value) * t);
  }

  // The point at t of the great circle; its norm runs evenly from that of one end to the other's.
  function spherical(start, end, t) {
    const norm = (v) => Math.sqrt(v.reduce((sum, value) => sum + value * value, 0));
    const first = norm(start), last = norm(end);
    const dot = start.reduce((sum, value, i) => sum + (value / first) * (end[i] / last), 0);
    const angle = Math.acos(Math.min(1, Math.max(-1, dot)));
    const sine = Math.sin(angle);
    if (!(sine >= 1e-6)) return linear(start, end, t); // the same direction, or opposite ones: no unique circle
    const length = first + (last - first) * t;
    const a = (Math.sin((1 - t) * angle) / sine) * (length / first);
    const b = (Math.sin(t * angle) / sine) * (length / last);
    return start.map((value, i) => a * value + b * end[i]);
  }

  // Weights of the classes, Float32Array [classes]: `share` of the second, the rest of the first.
  function weights(classes, first, second = first, share = 0) {
    const found = new Float32Array(classes);
    found[first] += 1 - share;
    found[second] += share;
    return found;
  }

  // Float images [C, H, W] from -1 to 1 as RGBA bytes [H, W, 4], rounded to nearest, halves to even.
  // Of other than 3 channels the first is shown.
  function pixels(values, channels, height, width) {
    const size = height * width;
    const found = new Uint8ClampedArray(4 * size).fill(255);
    for (let channel = 0; channel < 3; channel += 1) {
      const from = channels === 3 ? channel * size : 0;
      for (let i = 0; i < size; i += 1) {
        found[4 * i + channel] = Math.fround(Math.fround(values[from + i] + 1) * 127.5);
      }
    }
    return found;
  }

  const exported = { latent, linear, spherical, weights, pixels, KINDS };
  if (typeof module === "object" && module.exports) module.exports = exported;
  else root.Latents = exported;
})(globalThis);
