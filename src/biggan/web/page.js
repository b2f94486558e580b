// The controls hand over what they hold; this asks the API, one image at a time, always for the newest wish.
(() => {
  const LEVELS = 10, MOVES = 8, MOST_KEPT = 200, STORE = "biggan-favourites";
  const IMAGE = ["model", "one", "two", "blend", "seed", "whole", "truncation", "kind", "other"], FILM = "24,24,spherical,0";
  const state = { rest: [], points: [], film: [24, 24, "spherical", false], query: "", wish: null, busy: false, shown: 0, next: null };
  const about = {};
  const at = (id) => document.getElementById(id);
  const make = (tag, words = {}, ...inside) => {
    const made = Object.assign(document.createElement(tag), words);
    made.append(...inside);
    return made;
  };
  const tell = (text) => { if (at("bg-error")) at("bg-error").textContent = text || ""; };

  const ask = async (path, words) => {
    const answer = await fetch(path, words).catch(() => null);
    if (!answer) throw new Error("the server does not answer; is it still running?");
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || `status ${answer.status}`);
    return answer;
  };
  const known = async (model) => {
    const key = model || "";
    if (!about[key]) about[key] = await (await ask(`api/model${key ? `?model=${encodeURIComponent(key)}` : ""}`)).json();
    return about[key];
  };

  // What of a query can be drawn, all of it named; about the rest something is said when that is shown.
  const possible = async (words, note = "") => {
    const found = await ask(`api/possible?${words}`).catch(async (error) => {
      note = error.message;
      return ask("api/possible");
    });
    const { query, said } = await found.json();
    state.note = [note, ...said].filter(Boolean).join("; "); state.noted = query;
    return new URLSearchParams(query);
  };

  // ---- from the controls to a query, and back
  const queryOf = (v) => {
    const [model, one, two, blend, seed, whole, truncation, kind, other] = v;
    const levels = v.slice(IMAGE.length, IMAGE.length + LEVELS), moves = v.slice(IMAGE.length + LEVELS);
    const words = new URLSearchParams();
    const facts = about[model || ""] || about[""];
    if (model) words.set("model", model);
    if (one !== null && one !== undefined && facts?.classes !== 0) {
      const left = 1 - state.rest.reduce((sum, [, share]) => sum + share, 0), second = two ? +blend : 0;
      const mix = [[one, left * (1 - second)], [two, left * second], ...state.rest].filter(([, share]) => +share.toFixed(2));
      words.set("mix", mix.length === 1 ? mix[0][0] : mix.map(([label, share]) => `${label}:${share.toFixed(2)}`).join(","));
    }
    words.set("seed", String(seed ?? "").trim() || "0");
    if (!whole) { words.set("truncation", String(truncation)); words.set("kind", kind); }
    const count = facts ? facts.levels : 1;
    const some = levels.slice(0, count);
    if (some.some((l) => +l)) { words.set("other", String(other || "0").trim()); words.set("levels", some.map(Number).join(",")); }
    const gone = moves.map((m, n) => [n, +m]).filter(([n, m]) => m && n < (facts ? facts.directions.length : MOVES));
    if (gone.length) words.set("directions", gone.map(([n, m]) => `${n}:${m}`).join(","));
    return words;
  };
  const update = (words) => ({ __type__: "update", ...words });
  // Values of all controls for a query that is possible: also which classes, levels and directions the model has.
  const controlsOf = async (words) => {
    const facts = await known(words.get("model"));
    const named = facts.class_names.map((name, label) => [name, String(label)]);
    const mix = words.get("mix") || "0";
    const parts = mix.split(",").map((part) => part.split(":"));
    const one = parts[0][0], two = parts[1] ? parts[1][0] : "", shares = parts.map((part) => +(part[1] || 1)), all = shares.reduce((sum, share) => sum + share, 0);
    state.rest = parts.slice(2).map(([label], n) => [label, shares[n + 2] / all]);  // the controls have two; a link may have more
    const levels = (words.get("levels") || "").split(","), moves = Object.fromEntries((words.get("directions") || "").split(",").map((p) => p.split(":")));
    return [
      words.get("model") || facts.model,
      update({ choices: named, value: named.length ? one : null, visible: named.length > 0 }),
      update({ choices: [["none", ""], ...named], value: two, visible: named.length > 1 }),
      update({ value: two ? Math.round(100 * shares[1] / (shares[0] + shares[1])) / 100 : 0.5, visible: named.length > 1 }),
      words.get("seed") || "0",
      !words.get("truncation"),
      +(words.get("truncation") || 1),
      words.get("kind") || "resample",
      words.get("other") || "1",
      ...Array.from({ length: LEVELS }, (_, n) => update({ value: +(levels[n] || 0), visible: n < facts.levels, label: facts.levels > 1 ? `Level ${n}` : "All of it" })),
      ...Array.from({ length: MOVES }, (_, n) => update({ value: +(moves[n] || 0), visible: n < facts.directions.length, label: `Direction ${facts.directions[n] ?? n}` })),
    ];
  };

  // ---- drawing: never two at once, and what was wished meanwhile last
  const draw = async () => {
    if (state.busy || state.wish === null) return;
    state.busy = true;
    const query = state.wish; state.wish = null;
    try {
      const answer = await ask(`api/image?${query}`);
      const picture = at("bg-picture"), old = picture.src;
      const blob = await answer.blob();
      picture.src = URL.createObjectURL(blob); picture.style.opacity = "";
      if (old.startsWith("blob:")) URL.revokeObjectURL(old);
      state.query = query;
      picture.alt = `what is drawn: ${says(query)}`;
      picture.dataset.shown = state.shown += 1;
      const named = (about[state.model || ""] || about[""])?.class_names || [], rest = state.rest.map(([label, share]) => `${named[label] ?? label} (${Math.round(100 * share)} %)`);
      at("bg-says").textContent = `Batch norm: ${answer.headers.get("x-biggan-statistics")}.${rest.length ? ` From the link there is ${rest.join(", ")} in it as well; Reset takes it out.` : ""}`;
      tell(answer.headers.get("x-biggan-query") === state.noted && state.note);
    } catch (error) { tell(error.message); at("bg-picture").style.opacity = 0.15; }  // it is not what was asked for
    state.busy = false;
    if (state.wish !== null) draw();
  };
  const wish = (query) => { state.wish = query; remember(query); draw(); };
  let later = 0; const remember = (query) => {
    clearTimeout(later);  // browsers allow few changes a second
    later = setTimeout(() => {
      const words = new URLSearchParams(query);
      if (state.points.length) words.set("points", state.points.map((p) => `${p.label}:${p.seed}`).join(","));
      const film = state.film.map((value) => (typeof value === "boolean" ? Number(value) : value)).join(",");
      if (film !== FILM) words.set("film", film);
      history.replaceState(null, "", `?${words}`);
    }, 150);
  };

  // ---- favourites stay in this browser: what draws them, not their pixels
  const kept = () => {
    try {
      const found = JSON.parse(localStorage.getItem(STORE) || "[]");
      return Array.isArray(found) ? found.filter((one) => typeof one === "string").slice(0, MOST_KEPT) : [];
    } catch { return []; }
  };
  const keepAll = (all) => {
    try { localStorage.setItem(STORE, JSON.stringify(all.slice(0, MOST_KEPT))); } catch { tell("this browser keeps nothing (its storage is off or full)"); }
    showKept();
  };
  const card = (query, drop) => make("div", { className: "bg-card", role: "listitem" },
    make("button", { className: "bg-open", title: says(query), ariaLabel: `draw ${says(query)}`, onclick: () => restore(query) },
      make("img", { src: `api/image?${query}`, alt: "", loading: "lazy" })),
    make("span", { textContent: says(query) }),
    make("button", { className: "bg-remove", textContent: "Remove", ariaLabel: `remove ${says(query)}`, onclick: drop }));
  const fill = (id, cards, empty) => {
    const place = at(id);
    if (!place) return;
    // Who removes several by keyboard stays where the next one is.
    place.tabIndex = -1;
    place.replaceChildren(...cards.map(([query, drop], n) => card(query, () => { drop(); ([...place.querySelectorAll(".bg-remove")].slice(0, n + 1).at(-1) || place).focus(); })));
    if (!cards.length) place.textContent = empty;
  };
  // Names of the classes of a query, and its seed.
  const namesOf = (words) => {
    const names = about[words.get("model") || ""]?.class_names || [];
    return (words.get("mix") || words.get("class") || (names.length ? "0" : "")).split(",").filter(Boolean).map((part) => names[part.split(":")[0]] ?? part);
  };
  const says = (query) => {
    const words = new URLSearchParams(query);
    const names = namesOf(words).join(" + ");
    return `${names ? `${names}, ` : ""}seed ${words.get("seed") || 0}`;
  };
  // Names of files: letters and digits of any script, which every system takes, and not too many.
  const fileName = (...parts) => parts.map((part) => [...String(part).normalize("NFC").replace(/[^\p{L}\p{M}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "")].slice(0, 24).join("")).filter(Boolean).join("-");
  const pictureName = (words) => fileName(...(namesOf(words).length ? namesOf(words) : ["seed"]).slice(0, 2), words.get("seed") || 0);
  const tried = new Set();
  const showKept = () => {
    const all = kept(), foreign = new Set(all.map((query) => new URLSearchParams(query).get("model")).filter((model) => model && !about[model] && !tried.has(model)));
    fill("bg-kept", all.map((query) => [query, () => keepAll(kept().filter((other) => other !== query))]),
      "Nothing is kept yet: draw something and press Keep. What is kept stays in this browser.");
    if (!foreign.size || !at("bg-kept")?.offsetParent) return;
    for (const model of foreign) tried.add(model);
    Promise.allSettled([...foreign].map(known)).then(showKept);  // each model has names of its own for its classes
  };
  const pointWords = (point) => {
    const words = new URLSearchParams(state.query);
    for (const name of ["other", "levels", "directions"]) words.delete(name);
    if (words.has("mix")) words.set("mix", point.label);
    words.set("seed", point.seed);
    return words;
  };
  const showPoints = () => fill("bg-points", state.points.map((point, n) => [String(pointWords(point)), () => { state.points.splice(n, 1); showPoints(); remember(state.query); }]),
    "No key points yet: draw something, and add it here. A key point is a seed and a class, without blends and moves; a film goes through at least two.");
  const restore = async (query, note) => {
    try {
      const words = await possible(query, note);
      state.next = controlsOf(words);
      state.last = null;
      wish(String(words));  // controls that hold it already would not tell of a change
      at("bg-apply").click();
      document.querySelector('button[role="tab"]')?.click();
    } catch (error) { tell(error.message); }
  };

  // ---- films
  const filmQuery = (form) => {
    const words = new URLSearchParams(), now = new URLSearchParams(state.query);
    for (const name of ["model", "truncation", "kind"]) if (now.get(name)) words.set(name, now.get(name));
    const [frames, rate, curve, loop] = state.film;
    words.set("points", state.points.map((p) => `${p.label}:${p.seed}`).join(","));
    words.set("frames", frames); words.set("rate", rate); words.set("curve", curve); words.set("loop", loop ? "1" : "0"); words.set("format", form);
    return words;
  };
  const film = async (form, download) => {
    const place = at("bg-film"), ends = [state.points[0], state.points.at(-1)];
    place.textContent = "Drawing the film ...";
    try {
      const address = URL.createObjectURL(await (await ask(`api/film?${filmQuery(form)}`)).blob());
      if (state.filmed) URL.revokeObjectURL(state.filmed);
      state.filmed = address;
      place.replaceChildren(form === "mp4" ? make("video", { src: address, controls: true, loop: true, muted: true, autoplay: true }) : make("img", { src: address, alt: "the film" }));
      if (download) fetched(address, `${ends.map((point) => pictureName(pointWords(point))).join("-")}.${form}`);
    } catch (error) { place.textContent = error.message; }
  };
  const fetched = (address, name) => { const a = make("a", { href: address, download: name }); document.body.append(a); a.click(); a.remove(); };

  const runs = window.bigganRuns(at, make, ask);

  // ---- what Gradio's events call
  window.biggan = {
    state,
    start: async () => {
      const words = new URLSearchParams(location.search);
      state.points = (words.get("points") || "").split(",").filter((p) => /^\d+:\d+$/.test(p)).slice(0, 16).map((p) => { const [label, seed] = p.split(":"); return { label, seed }; });
      const film = /^(\d{1,3}),(\d{1,2}),(spherical|linear),([01])$/.exec(words.get("film") || "");
      if (film) state.film = [Math.min(Math.max(film[1], 1), 120), Math.min(Math.max(film[2], 1), 50), film[3], film[4] === "1"];
      words.delete("points"); words.delete("film");
      const drawn = await possible(words), found = await controlsOf(drawn);
      await known("");
      const most = Math.max(about[drawn.get("model")].classes, 1), asked = state.points.length;
      state.points = state.points.filter((point) => +point.label < most && BigInt(point.seed) < 2n ** 63n);
      if (state.points.length < asked) state.note = `${state.note ? `${state.note}; ` : ""}key points of classes or seeds that are not there are left out`;
      state.query = String(drawn);
      showKept(); showPoints(); dropping();
      wish(String(drawn));
      const early = at("bg-early"), picture = at("bg-picture");
      if (early) { early.remove(); picture.hidden = false; }
      setInterval(runs, 5000);
      document.addEventListener("click", (event) => { if (event.target.closest?.('[role="tab"]')) setTimeout(() => { runs(); showKept(); showPoints(); }, 60); });
      return [...found, ...state.film];
    },
    changed: async (v) => {
      const model = v[0];
      if (model && !about[model]) { await known(model).catch((error) => tell(error.message)); }
      if (model && state.model && model !== state.model) { state.model = model; await restore(new URLSearchParams({ model, seed: v[4] || "0" })); return; }
      state.model = model;
      const query = queryOf(v).toString();
      if (query !== state.last) { state.last = query; wish(query); }
    },
    filmed: (v) => { state.film = v; remember(state.query); },
    another: () => [String(crypto.getRandomValues(new Uint32Array(1))[0])],
    reset: () => controlsOf(new URLSearchParams(state.model ? { model: state.model } : {})),
    pending: async () => { const found = await state.next; return [...found, ...state.film]; },
    keep: () => { keepAll([state.query, ...kept().filter((one) => one !== state.query)]); at("bg-says").textContent = "Kept among the favourites of this browser."; },
    save: async () => {
      const query = state.query;
      try { fetched(URL.createObjectURL(await (await ask(`api/image?${query}&record=1`)).blob()), `${pictureName(new URLSearchParams(query))}.png`); } catch (error) { tell(error.message); }
    },
    link: async () => { try { await navigator.clipboard.writeText(location.href); at("bg-says").textContent = "The link is copied."; } catch { tell(`copy this: ${location.href}`); } },
    add: () => {
      const words = new URLSearchParams(state.query);
      if (state.points.length >= 16) return;
      state.points.push({ label: (words.get("mix") || "0").split(",")[0].split(":")[0], seed: words.get("seed") || "0" });
      showPoints(); remember(state.query);
    },
    clear: () => { state.points = []; showPoints(); at("bg-film").textContent = ""; remember(state.query); },
    preview: () => film("gif", false), gif: () => film("gif", true), mp4: () => film("mp4", true),
  };

  // ---- pictures dropped anywhere
  const recreate = async (file) => {
    if (!file) return;
    try {
      const { query, note } = await (await ask("api/recreate", { method: "POST", body: file })).json();
      await restore(query, note);
    } catch (error) { tell(error.message); }
  };
  const listed = (event, lists = "#bg-one, #bg-two, #bg-model") => event.target.closest?.(lists) && event.target.matches("input");
  // A list takes every key for a wish to see it, that which leaves it too.
  document.addEventListener("keydown", (event) => { if (event.key === "Tab" && listed(event, "#bg-one, #bg-two, #bg-model, #bg-kind")) event.stopPropagation(); }, true);
  document.addEventListener("click", (event) => { if (listed(event)) event.target.select(); });  // what is typed replaces the name
  document.addEventListener("keydown", (event) => { if (event.key === "Enter" && listed(event)) setTimeout(() => event.target.blur(), 50); });  // which closes the list
  // What was said of a link is said until something is touched: controls that are set draw it once more.
  for (const touch of ["pointerdown", "keydown"]) document.addEventListener(touch, () => { state.noted = ""; }, true);
  // Of a text the browser brings the cursor into view, and knows nothing of the image above it.
  document.addEventListener("focusin", (event) => { if (event.target.matches("textarea")) event.target.scrollIntoView({ block: "nearest" }); });
  const dropping = () => {
    at("bg-file").onchange = (event) => { recreate(event.target.files[0]); event.target.value = ""; };
    document.addEventListener("dragover", (event) => { event.preventDefault(); at("bg-drop").classList.add("over"); });
    document.addEventListener("dragleave", () => at("bg-drop").classList.remove("over"));
    document.addEventListener("drop", (event) => { event.preventDefault(); at("bg-drop").classList.remove("over"); recreate(event.dataTransfer?.files[0]); });
  };
})();
