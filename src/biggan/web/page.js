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
  // Values of all controls for a query: also which classes, levels and directions the model has.
  const controlsOf = async (words) => {
    let facts;
    try { facts = await known(words.get("model")); } catch (error) {
      tell(error.message);
      words = new URLSearchParams(); facts = await known("");
    }
    const named = facts.class_names.map((name, label) => [name, String(label)]);
    // A query by hand may name a class; what the page writes are indices with shares.
    const asked = words.get("class"), place = asked === null ? -1 : facts.class_names.indexOf(asked);
    const mix = words.get("mix") || (place >= 0 ? String(place) : (asked || "0").replace(/^id:/, ""));
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
      picture.dataset.shown = state.shown += 1;
      const named = (about[state.model || ""] || about[""])?.class_names || [], rest = state.rest.map(([label, share]) => `${named[label] ?? label} (${Math.round(100 * share)} %)`);
      at("bg-says").textContent = `Batch norm: ${answer.headers.get("x-biggan-statistics")}.${rest.length ? ` From the link there is ${rest.join(", ")} in it as well; Reset takes it out.` : ""}`;
      tell(state.note);
      state.note = "";
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
  const card = (query, text, open, drop, word) => make("div", { className: "bg-card", role: "listitem" },
    make("button", { className: "bg-open", title: text, ariaLabel: `${open ? "draw" : "point"} ${text}`, onclick: open || (() => {}) },
      make("img", { src: `api/image?${query}`, alt: text, loading: "lazy" })),
    make("span", { textContent: text }),
    make("button", { textContent: word, ariaLabel: `${word.toLowerCase()} ${text}`, onclick: drop }));
  const says = (query) => {
    const words = new URLSearchParams(query), names = (about[words.get("model") || ""] || about[""])?.class_names || [];
    const label = words.get("mix") || words.get("class") || "";
    const name = label.split(",").map((part) => names[part.split(":")[0]] ?? part).join(" + ");
    return `${name ? `${name}, ` : ""}seed ${words.get("seed")}`;
  };
  const showKept = () => {
    const place = at("bg-kept");
    if (!place) return;
    const all = kept();
    place.replaceChildren(...all.map((query) => card(query, says(query), () => restore(query), () => keepAll(kept().filter((o) => o !== query)), "Remove")));
    if (!all.length) place.textContent = "Nothing is kept yet: draw something and press Keep. What is kept stays in this browser.";
  };
  const showPoints = () => {
    const place = at("bg-points");
    if (!place) return;
    place.replaceChildren(...state.points.map((point, n) => {
      const words = new URLSearchParams(state.query);
      for (const name of ["other", "levels", "directions"]) words.delete(name);
      words.delete("class"); words.set("mix", point.label); words.set("seed", point.seed);
      return card(words, says(words), null, () => { state.points.splice(n, 1); showPoints(); remember(state.query); }, "Remove");
    }));
    if (!state.points.length) place.textContent = "No key points yet: draw something, and add it here. A key point is a seed and a class, without blends and moves; a film goes through at least two.";
  };
  const restore = (query) => {
    state.next = controlsOf(new URLSearchParams(query));
    state.last = null;
    wish(String(query));  // controls that hold it already would not tell of a change
    at("bg-apply").click();
    document.querySelector('button[role="tab"]')?.click();
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
    const place = at("bg-film");
    place.textContent = "Drawing the film ...";
    try {
      const address = URL.createObjectURL(await (await ask(`api/film?${filmQuery(form)}`)).blob());
      if (state.filmed) URL.revokeObjectURL(state.filmed);
      state.filmed = address;
      place.replaceChildren(form === "mp4" ? make("video", { src: address, controls: true, loop: true, muted: true, autoplay: true }) : make("img", { src: address, alt: "the film" }));
      if (download) fetched(address, `film.${form}`);
    } catch (error) { place.textContent = error.message; }
  };
  const fetched = (address, name) => { const a = make("a", { href: address, download: name }); document.body.append(a); a.click(); a.remove(); };

  // ---- runs
  const look = { chosen: null, curves: null, sheet: "", places: {}, names: "" };
  const usual = ["G_loss", "D_loss_real", "D_loss_fake", "health separation", "health diversity"];
  const box = (name, on, act) => { const input = make("input", { type: "checkbox", checked: on }); input.onchange = () => act(input.checked); return make("label", {}, input, name); };
  const runs = async () => {
    if (document.hidden || !at("bg-training") || !at("bg-training").offsetParent) return;
    try {
      const all = (await (await ask("api/runs")).json()).runs;
      if (!all.length) { at("bg-shown").textContent = "There is no run with a log among what is served."; return; }
      look.chosen = look.chosen || new Set(all.slice(0, 2).map((run) => run.run));
      const curves = [...new Set(all.flatMap((run) => run.curves))];
      look.curves = look.curves || new Set(usual.filter((name) => curves.includes(name)).concat(curves.filter((name) => name.startsWith("metric")).slice(0, 3)));
      const sheets = [...new Set(all.flatMap((run) => Object.values(run.sheets).flat()))];
      const names = JSON.stringify([all.map((run) => run.run), curves, sheets]);
      if (names !== look.names) {  // do not take the keyboard's place away every few seconds
        look.names = names;
        const toggle = (set, name) => (on) => { if (on) set.add(name); else set.delete(name); runs(); };
        at("bg-runs").replaceChildren(make("legend", { textContent: "Runs" }), ...all.map((run) => box(run.run, look.chosen.has(run.run), toggle(look.chosen, run.run))));
        at("bg-curves").replaceChildren(make("legend", { textContent: "Curves" }), ...curves.map((name) => box(name, look.curves.has(name), toggle(look.curves, name))));
        look.sheet = look.sheet || sheets[0] || "";
        at("bg-sheet").replaceChildren(...sheets.map((name) => make("option", { value: name, textContent: name, selected: name === look.sheet })));
        at("bg-sheet").onchange = (event) => { look.sheet = event.target.value; show(all); };
        at("bg-which").hidden = !sheets.length;
      }
      show(all);
    } catch (error) { at("bg-shown").textContent = error.message; }
  };
  const show = (all) => {
    const chosen = all.filter((run) => look.chosen.has(run.run)).slice(0, 8), stamp = Math.max(0, ...chosen.map((run) => run.images_seen + run.looks));
    const asked = chosen.map((run) => `run=${encodeURIComponent(run.run)}`).join("&");
    const charts = make("div", { className: "bg-charts" }, ...[...look.curves].filter((name) => chosen.some((run) => run.curves.includes(name)))
      .map((name) => make("img", { src: `api/curve.svg?${asked}&curve=${encodeURIComponent(name)}#${stamp}`, alt: `${name} of ${chosen.map((run) => run.run).join(", ")}` })));
    const focus = document.activeElement?.dataset?.run;
    const beside = make("div", { className: "bg-beside" }, ...chosen.map((run) => {
      const clocks = Object.keys(run.sheets).filter((clock) => run.sheets[clock].includes(look.sheet));
      const place = Math.min(look.places[run.run] ?? clocks.length - 1, clocks.length - 1);
      const said = make("p", { textContent: `${run.images_seen.toLocaleString("en")} images seen, ${run.live ? "training now" : "not training now"}; ${run.looks} looks at its health` });
      const found = make("ul", {}, ...run.findings.slice(-5).map((one) => make("li", { textContent: `${one.images_seen.toLocaleString("en")}: ${Object.entries(one.findings).map(([k, t]) => `${k}: ${t}`).join("; ")}` })));
      const part = make("section", { className: "bg-run" }, make("h3", { textContent: run.run }), said, run.looks ? (run.findings.length ? found : make("p", { textContent: "Healthy at every look." })) : "");
      if (clocks.length) {
        const address = (n) => `api/sheet?run=${encodeURIComponent(run.run)}&images=${clocks[n]}&sheet=${look.sheet}`;
        const picture = make("img", { src: address(place), alt: `sheet ${look.sheet} at ${clocks[place]} images` }), when = make("p", { textContent: `${(+clocks[place]).toLocaleString("en")} images` });
        const slider = make("input", { type: "range", min: 0, max: clocks.length - 1, value: place, ariaLabel: `sheets of ${run.run} over time` });
        slider.dataset.run = run.run;
        slider.oninput = () => { look.places[run.run] = +slider.value; picture.src = address(slider.value); when.textContent = `${(+clocks[slider.value]).toLocaleString("en")} images`; };
        part.append(picture, slider, when);
      }
      return part;
    }));
    const text = charts.innerHTML + beside.innerHTML;
    if (text === look.text) return;
    look.text = text;
    at("bg-shown").replaceChildren(charts, beside);
    if (focus) document.querySelector(`input[data-run=${CSS.escape(focus)}]`)?.focus();
  };

  // ---- what Gradio's events call
  window.biggan = {
    state,
    start: async () => {
      const words = new URLSearchParams(location.search);
      state.points = (words.get("points") || "").split(",").filter((p) => /^\d+:\d+$/.test(p)).slice(0, 16).map((p) => { const [label, seed] = p.split(":"); return { label, seed }; });
      const film = /^(\d{1,3}),(\d{1,2}),(spherical|linear),([01])$/.exec(words.get("film") || "");
      if (film) state.film = [Math.min(Math.max(film[1], 1), 120), Math.min(Math.max(film[2], 1), 50), film[3], film[4] === "1"];
      words.delete("points"); words.delete("film");
      const found = await controlsOf(words);
      await known("");
      showKept(); showPoints(); dropping();
      wish(words.size ? words.toString() : "seed=0");
      const early = at("bg-early"), picture = at("bg-picture");
      if (early) { early.remove(); picture.hidden = false; }
      setInterval(runs, 5000);
      document.addEventListener("click", (event) => { if (event.target.closest?.('[role="tab"]')) setTimeout(() => { runs(); showKept(); showPoints(); }, 60); });
      return [...found, ...state.film];
    },
    changed: async (v) => {
      const model = v[0];
      if (model && !about[model]) { await known(model).catch((error) => tell(error.message)); }
      if (model && state.model && model !== state.model) { state.model = model; restore(new URLSearchParams({ model, seed: v[4] || "0" })); return; }
      state.model = model;
      const query = queryOf(v).toString();
      if (query !== state.last) { state.last = query; wish(query); }
    },
    filmed: (v) => { state.film = v; remember(state.query); },
    another: () => [String(crypto.getRandomValues(new Uint32Array(1))[0])],
    reset: () => controlsOf(new URLSearchParams(state.model ? { model: state.model } : {})),
    pending: async () => { const found = await state.next; return [...found, ...state.film]; },
    keep: () => { keepAll([state.query, ...kept().filter((one) => one !== state.query)]); at("bg-says").textContent = "Kept among the favourites of this browser."; },
    save: async () => { try { fetched(URL.createObjectURL(await (await ask(`api/image?${state.query}&record=1`)).blob()), "biggan.png"); } catch (error) { tell(error.message); } },
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
      state.note = note;
      restore(query);
    } catch (error) { tell(error.message); }
  };
  const listed = (event) => event.target.closest?.("#bg-one, #bg-two, #bg-model") && event.target.matches("input");
  document.addEventListener("click", (event) => { if (listed(event)) event.target.select(); });  // what is typed replaces the name
  document.addEventListener("keydown", (event) => { if (event.key === "Enter" && listed(event)) setTimeout(() => event.target.blur(), 50); });  // which closes the list
  const dropping = () => {
    at("bg-file").onchange = (event) => { recreate(event.target.files[0]); event.target.value = ""; };
    document.addEventListener("dragover", (event) => { event.preventDefault(); at("bg-drop").classList.add("over"); });
    document.addEventListener("dragleave", () => at("bg-drop").classList.remove("over"));
    document.addEventListener("drop", (event) => { event.preventDefault(); at("bg-drop").classList.remove("over"); recreate(event.dataTransfer?.files[0]); });
  };
})();
