// The tab Training: curves and sheets of runs. Returns what looks at them anew.
window.bigganRuns = (at, make, ask) => {
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
  return runs;
};
