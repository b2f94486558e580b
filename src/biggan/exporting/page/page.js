// The controls. Whatever comes from a file (names of classes, what it is) is put in as text, never as HTML.
"use strict";

(function () {
  const { BIGGAN: settings, Latents, Drawing, Png, State } = globalThis;
  const MOST_SHOWN = 500; // entries of a list; whoever searches sees the rest
  const NAMES = { none: "full variety", resample: "redraw what is beyond T", scale: "T times z",
    clamp: "cut off at T", tfhub: "T times a normal within 2" };
  const find = (id) => document.getElementById(id);
  const canvas = find("picture");
  let state = State.initial(settings);
  let draw = null; // from drawing.js, once everything is loaded
  let shown = null; // the image on the page, and the state that it was drawn for
  let wanted = false; // whether the state is to be drawn, again if it changed meanwhile
  let loop = null; // a promise while images are drawn: one at a time
  let playing = null; // the animation that runs, an object
  const kept = new Map(); // images of the path that is shown, by position

  function tell(text, wrong = false) {
    find("status").textContent = text;
    find("status").classList.toggle("wrong", wrong);
  }

  const nameOf = (index) => State.nameOf(index, settings);

  // What people do not type twice alike: capitals, accents, what stands for a space.
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").replaceAll("_", " ").toLowerCase();
  const searchable = Array.from({ length: settings.classes }, (_, i) => plain(`${nameOf(i)} id:${i}`));

  // ---- drawing

  const pathKey = () => JSON.stringify({ ...state, position: 0, speed: 0, again: false });

  async function imageAt(position) {
    const key = pathKey();
    if (kept.key !== key) kept.clear();
    kept.key = key;
    if (kept.has(position)) return kept.get(position);
    const { z, weights } = State.point(state, settings, Latents, position);
    const image = await draw(z, weights, State.shares(state, settings.bank));
    if (kept.key === key) kept.set(position, image);
    return image;
  }

  function put(image, of) {
    shown = { image, of };
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.setAttribute("aria-label", State.describe(of, settings));
    find("caption").textContent = State.describe(of, settings);
  }

  // Draw the state; while one image is drawn only the latest wish waits.
  function show() {
    wanted = true;
    if (!draw) return Promise.resolve();
    loop ??= drawWanted().finally(() => { loop = null; });
    return loop;
  }

  async function drawWanted() {
    try {
      while (wanted) {
        wanted = false;
        if (!kept.has(state.position) || kept.key !== pathKey()) tell("Drawing…");
        const of = state, image = await imageAt(of.position);
        if (wanted) continue;
        put(image, of);
        if (!find("status").classList.contains("wrong")) tell(""); // what was typed wrongly meanwhile is still wrong
        document.body.dataset.drawn = State.write(state, settings); // for whoever waits for it
      }
    } catch (error) {
      playing = null;
      tell(`This image could not be drawn: ${error.message || error}`, true);
    }
  }

  // ---- address

  let writing = 0;
  function remember() {
    clearTimeout(writing); // browsers refuse many changes in a short time
    writing = setTimeout(() => {
      try {
        history.replaceState(null, "", State.write(state, settings));
      } catch { /* the page works without */ }
    }, 200);
  }

  // Take the state from the address, say what of it is not possible, and put the address right.
  function readAddress() {
    const doubts = [];
    if (draw) tell("");
    state = State.read(location.hash, settings, doubts);
    find("doubts").textContent = State.doubtful(doubts);
    if (doubts.length) {
      find("doubts").scrollIntoView({ block: "nearest" });
      remember();
    }
    refresh();
  }

  // ---- controls

  function fill(part, chosen) {
    const list = find(`${part}-list`), search = plain(find(`${part}-search`).value.trim());
    const found = searchable.flatMap((text, i) => (text.includes(search) ? [i] : []));
    const shown = found.slice(0, MOST_SHOWN);
    if (!search && !shown.includes(chosen)) shown.push(chosen);
    list.replaceChildren(...shown.map((index) => {
      const option = new Option(nameOf(index), String(index), false, index === chosen);
      option.dir = "auto";
      return option;
    }));
    if (list.selectedIndex < 0) list.scrollTop = 0;
    const rest = found.length > shown.length ? `, ${shown.length} shown` : "";
    find(`${part}-count`).textContent = `(${found.length} found${rest})`;
  }

  const PARTS = { class: "class", blend: "second", end: "endClass" };

  // Show the state in all controls.
  function refresh() {
    for (const [part, key] of Object.entries(PARTS)) {
      if (!settings.classes) continue;
      const list = find(`${part}-list`);
      if (![...list.options].some((option) => option.value === String(state[key]))) fill(part, state[key]);
      list.value = String(state[key]);
    }
    for (const [id, key] of [["seed", "seed"], ["end-seed", "endSeed"]]) {
      find(id).value = state[key];
      find(id).removeAttribute("aria-invalid");
    }
    find("kind").value = state.kind;
    find("truncation").disabled = state.kind === "none";
    find("truncation").value = state.truncation;
    find("truncation-value").textContent = state.kind === "none" ? "(off)" : state.truncation;
    find("blend").value = state.share;
    find("blend-value").textContent = `${state.share} %`;
    find("curve").value = state.curve;
    find("steps").value = state.steps;
    find("speed").value = state.speed;
    find("speed-value").textContent = state.speed;
    find("position").max = state.steps;
    find("position").value = state.position;
    find("position-value").textContent = `${state.position} of ${state.steps}`;
    find("again").checked = state.again;
    find("play").textContent = playing ? "Stop" : "Play";
    find("play").setAttribute("aria-pressed", String(playing !== null));
  }

  function change(values) {
    // The end keeps the class of the beginning until it has one of its own.
    const end = "class" in values && state.endClass === state.class ? { endClass: values.class } : {};
    state = { ...state, ...end, ...values };
    state.position = Math.min(state.position, state.steps);
    find("doubts").textContent = "";
    if (draw) tell("");
    refresh();
    remember();
    return show();
  }

  async function play() {
    if (!draw) return;
    playing = {};
    const own = playing;
    let direction = 1;
    await change(state.position >= state.steps ? { position: 0 } : {});
    while (playing === own) {
      const began = performance.now();
      const next = state.position + direction;
      if (next < 0 || next > state.steps) {
        if (!state.again) break;
        direction = -direction;
      }
      await change({ position: Math.min(state.steps, Math.max(0, state.position + direction)) });
      const rest = 1000 / state.speed - (performance.now() - began);
      await new Promise((resolve) => { setTimeout(resolve, Math.max(0, rest)); });
    }
    if (playing === own) stop();
  }

  function stop() {
    playing = null;
    refresh();
  }

  const randomSeed = () => change({ seed: String(crypto.getRandomValues(new Uint32Array(1))[0]) }); // short to tell

  async function download() {
    if (!shown) return;
    const { image, of } = shown, point = State.point(of, settings, Latents);
    try {
      const href = URL.createObjectURL(await Png.file(image, settings.channels, Png.record(of, settings, point)));
      Object.assign(document.createElement("a"), { href, download: State.fileName(of, settings) }).click();
      setTimeout(() => URL.revokeObjectURL(href), 10000);
    } catch {
      tell("This browser is too old to write the file; save the picture by a right click on it.", true);
    }
  }

  async function copy() {
    const address = location.href.replace(/#.*$/, "") + State.write(state, settings);
    try {
      await navigator.clipboard.writeText(address);
      tell("The address is on the clipboard.");
    } catch {
      tell(`This browser lets no page copy; the address is ${address}`);
    }
  }

  function listen() {
    const on = (id, event, action) => find(id).addEventListener(event, action);
    find("controls").addEventListener("submit", (event) => event.preventDefault());
    for (const [part, key] of Object.entries(PARTS)) {
      on(`${part}-search`, "input", () => fill(part, state[key]));
      on(`${part}-search`, "keydown", (event) => {
        const first = find(`${part}-list`).options[0];
        if (event.key === "Enter" && first) change({ [key]: Number(first.value) });
      });
      on(`${part}-list`, "change", (event) => change({ [key]: Number(event.target.value) }));
    }
    for (const [id, key] of [["seed", "seed"], ["end-seed", "endSeed"]]) {
      on(id, "input", (event) => {
        const seed = State.seedOf(event.target.value);
        event.target.setAttribute("aria-invalid", String(seed === null));
        if (seed === null) tell(`${State.SEEDS[0].toUpperCase()}${State.SEEDS.slice(1)}.`, true);
        else change({ [key]: seed });
      });
    }
    on("previous", "click", () => change({ seed: State.seedBeside(state.seed, -1) }));
    on("next", "click", () => change({ seed: State.seedBeside(state.seed, 1) }));
    on("random", "click", randomSeed);
    on("kind", "change", (event) => change({ kind: event.target.value }));
    for (const [id, key] of [["truncation", "truncation"], ["blend", "share"], ["position", "position"],
      ["speed", "speed"]]) {
      on(id, "input", (event) => change({ [key]: Number(event.target.value) }));
    }
    on("steps", "change", (event) => change({ steps: State.numberOf(event.target.value, 1, 240, state.steps) }));
    on("curve", "change", (event) => change({ curve: event.target.value }));
    on("again", "change", (event) => change({ again: event.target.checked }));
    on("play", "click", () => (playing ? stop() : play()));
    on("start", "click", () => { stop(); change({ position: 0 }); });
    on("download", "click", download);
    on("copy", "click", copy);
    window.addEventListener("hashchange", () => {
      readAddress();
      show();
    });
    window.addEventListener("keydown", key);
  }

  const KEYS = {
    ArrowLeft: () => find("previous").click(),
    ArrowRight: () => find("next").click(),
    r: () => find("random").click(),
    p: () => find("play").click(),
    d: () => find("download").click(),
    "/": () => find("class-search").focus(),
  };

  function key(event) {
    const busy = event.target instanceof Element && event.target.closest("input, select, textarea, summary");
    if (busy || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  }

  async function main() {
    document.title = settings.title;
    find("title").textContent = settings.title;
    find("about").textContent = settings.about;
    find("provenance").textContent = settings.provenance;
    canvas.classList.toggle("large", Math.min(settings.height, settings.width) > 256);
    find("kind").replaceChildren(...settings.kinds.map((kind) => new Option(`${kind}: ${NAMES[kind]}`, kind)));
    find("truncation-choice").hidden = settings.truncation !== null || settings.kinds.length < 2;
    find("truncation-note").textContent = settings.truncationNote;
    for (const id of ["class-part", "end-part"]) find(id).hidden = !settings.classes;
    find("blend-part").hidden = settings.classes < 2;
    for (const [part, index] of Object.entries(PARTS)) if (settings.classes) fill(part, state[index]);
    readAddress();
    listen();
    try {
      draw = await Drawing.open(settings, tell);
    } catch (error) {
      tell(error instanceof Drawing.Sentence ? error.message : `The page could not start: ${error.message || error}`, true);
      return;
    }
    await show();
  }

  main();
})();
