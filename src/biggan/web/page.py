"""The page: Gradio's controls, which hand what they hold to a script in the browser, which asks the API.

No event calls Python, so nothing waits in Gradio's queue, and none of its routes for uploads and calls is needed.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr

from biggan.web.bounds import LARGEST_MOVE
from biggan.web.models import Loaded
from biggan.web.places import Places
from biggan.web.service import MOST_SHOWN, Service

MOST_LEVELS = 10
"""Levels that the page offers: more than the largest architecture has."""
_HERE = Path(__file__).parent
_FONTS = ["system-ui", "Segoe UI", "Roboto", "sans-serif"]
_ABOUT = '<h1 id="bg-about">{name} <small>{what}</small></h1>'
_PICTURE = """
<figure id="bg-figure"><img id="bg-picture" alt="the image that is drawn" src="{source}"></figure>
<p id="bg-says" role="status" aria-live="polite"></p>
<p id="bg-error" role="alert"></p>
"""
_DROP = """
<label id="bg-drop" for="bg-file"><span>Drop a picture saved from here, or choose it, to draw it again.</span>
<input id="bg-file" type="file" accept="image/png"></label>
"""
_POINTS = """
<ol id="bg-points" aria-label="key points"></ol>
<div id="bg-film" role="status" aria-live="polite"></div>
"""
_KEPT = '<div id="bg-kept" role="list" aria-label="favourites"></div>'
_RUNS = """
<div id="bg-training"><fieldset id="bg-runs"><legend>Runs</legend></fieldset>
<details><summary>Curves</summary><fieldset id="bg-curves"><legend>Curves</legend></fieldset></details>
<label id="bg-which">Sheet <select id="bg-sheet" aria-label="kind of sheet"></select></label>
<div id="bg-shown"></div></div>
"""

_WAYS = [
    ("redrawing (resample)", "resample"),
    ("shrinking (scale)", "scale"),
    ("cutting off (clamp)", "clamp"),
    ("shrinking and cutting (tfhub)", "tfhub"),
]


def blocks(service: Service) -> gr.Blocks:
    """Return the page."""
    first = service.models.find("")
    names = list(first.sampler.class_names) or [str(label) for label in range(first.classes)]
    choices = [(name, str(label)) for label, name in enumerate(names)]
    entries = list(service.places.entries())
    title = entries[0] if len(entries) == 1 else f"{len(entries)} models"
    with gr.Blocks(title=f"{title} - biggan", analytics_enabled=False) as page:
        if len(entries) == 1:
            gr.HTML(_ABOUT.format(name=html.escape(title), what=html.escape(_what(first))), padding=False)
        with gr.Tab("Draw", elem_id="bg-draw"), gr.Row():
            with gr.Column(min_width=280, elem_id="bg-column"):
                gr.HTML(_PICTURE.format(source="api/image?seed=0"), elem_id="bg-left", padding=False)
                with gr.Row(elem_classes="bg-buttons"):
                    another = gr.Button("Another", variant="primary", elem_id="bg-another", min_width=60, size="md")
                    keep = gr.Button("Keep", elem_id="bg-keep", min_width=60, size="md")
                    save = gr.Button("Save", elem_id="bg-save", min_width=60, size="md")
                    link = gr.Button("Link", elem_id="bg-link", min_width=60, size="md")
            with gr.Column(min_width=280):
                model = _models(service.places)
                with gr.Row():
                    one = gr.Dropdown(
                        choices, value=choices[0][1] if choices else None, label="Class", elem_id="bg-one"
                    )
                    seed = gr.Textbox("0", label="Seed", elem_id="bg-seed", max_length=19)
                with gr.Row():
                    two = gr.Dropdown([("none", ""), *choices], value="", label="Blend with", elem_id="bg-two")
                    blend = gr.Slider(0, 1, 0.5, step=0.01, label="Share of it", elem_id="bg-blend")
                with gr.Row():
                    whole = gr.Checkbox(True, label="Full variety", elem_id="bg-whole")
                    kind = gr.Dropdown(_WAYS, value="resample", label="Truncated by", elem_id="bg-kind")
                truncation = gr.Slider(
                    0.05,
                    2,
                    1,
                    step=0.01,
                    label="Truncation (lower: more typical, less varied)",
                    elem_id="bg-truncation",
                )
                with gr.Accordion("Levels, from coarse to fine", open=False, elem_id="bg-levels"):
                    other = gr.Textbox("1", label="Towards the image of seed", elem_id="bg-other", max_length=19)
                    levels = [
                        gr.Slider(
                            0, 1, 0, step=0.01, label=f"Level {n}", elem_id=f"bg-level{n}", visible=n < first.levels
                        )
                        for n in range(MOST_LEVELS)
                    ]
                with gr.Accordion("Directions", open=False, elem_id="bg-directions"):
                    moves = [
                        gr.Slider(
                            -LARGEST_MOVE / 2,
                            LARGEST_MOVE / 2,
                            0,
                            step=0.1,
                            label=f"Direction {first.directions.title(n) if n < len(first.directions) else n}",
                            elem_id=f"bg-move{n}",
                            visible=n < len(first.directions),
                        )
                        for n in range(MOST_SHOWN)
                    ]
                reset = gr.Button("Reset", elem_id="bg-reset", size="sm")
                gr.HTML(_DROP, padding=False)
        with gr.Tab("Path", elem_id="bg-path"):
            with gr.Row():
                add = gr.Button("Add what is drawn", variant="primary", elem_id="bg-add", min_width=120)
                clear = gr.Button("Clear", elem_id="bg-clear", min_width=60)
            with gr.Row():
                frames = gr.Slider(1, 120, 24, step=1, label="Pictures a segment", elem_id="bg-frames")
                rate = gr.Slider(1, 50, 24, step=1, label="Pictures a second", elem_id="bg-rate")
                curve = gr.Radio(["spherical", "linear"], value="spherical", label="Curve", elem_id="bg-curve")
                loop = gr.Checkbox(False, label="Back to the first", elem_id="bg-loop")
            with gr.Row():
                preview = gr.Button("Preview", elem_id="bg-preview", min_width=80)
                gif = gr.Button("Save GIF", elem_id="bg-gif", min_width=80)
                mp4 = gr.Button("Save MP4", elem_id="bg-mp4", min_width=80)
            gr.HTML(_POINTS, padding=False)
        with gr.Tab("Favourites", elem_id="bg-favourites"):
            gr.HTML(_KEPT, padding=False)
        with gr.Tab("Training", elem_id="bg-runs-tab"):
            gr.HTML(_RUNS, padding=False)
        # What a script outside of Gradio wants to put into the controls goes through this button.
        apply = gr.Button("apply", elem_id="bg-apply", elem_classes="bg-hidden")
        image: list[Any] = [model, one, two, blend, seed, whole, truncation, kind, other, *levels, *moves]
        film: list[Any] = [frames, rate, curve, loop]
        # ``js`` alone: with no function of Python nothing is sent to the server.
        for control in image:
            control.change(None, image, None, js="(...v) => biggan.changed(v)", api_visibility="private")
        for control in film:
            control.change(None, film, None, js="(...v) => biggan.filmed(v)", api_visibility="private")
        for button, what in (
            (keep, "keep"),
            (save, "save"),
            (link, "link"),
            (add, "add"),
            (clear, "clear"),
            (preview, "preview"),
            (gif, "gif"),
            (mp4, "mp4"),
        ):
            button.click(None, None, None, js=f"() => biggan.{what}()", api_visibility="private")
        # Whoever moves the slider means it.
        truncation.input(None, None, [whole], js="() => false", api_visibility="private")
        another.click(None, None, [seed], js="() => biggan.another()", api_visibility="private")
        reset.click(None, None, image, js="() => biggan.reset()", api_visibility="private")
        apply.click(None, None, [*image, *film], js="() => biggan.pending()", api_visibility="private")
        page.load(None, None, [*image, *film], js="() => biggan.start()", api_visibility="private")
    return page


def look() -> dict[str, Any]:
    """Return style, script and theme: fonts of the system, since others would be fetched from another host."""
    scripts = "".join((_HERE / name).read_text(encoding="utf-8") for name in ("runs.js", "page.js"))
    theme = gr.themes.Default(primary_hue="indigo", font=_FONTS, font_mono=["ui-monospace", "monospace"])
    return {
        # Orange, as it comes, is too light under white letters, and on white (WCAG 2.2, 1.4.3: 4.5 to 1).
        "theme": theme.set(
            button_primary_background_fill="*primary_600",
            button_primary_background_fill_hover="*primary_700",
            color_accent="*primary_600",
        ),
        "css": (_HERE / "page.css").read_text(encoding="utf-8"),
        "head": f"<script>{scripts}</script>",
    }


def _what(loaded: Loaded) -> str:
    """Return what a generator draws, for a person."""
    height, width = loaded.sampler.info.architecture.resolution
    classes = f", {loaded.classes} class{'es' * (loaded.classes != 1)}" if loaded.classes else ""
    return f"{width} x {height} pixels{classes}"


def _models(places: Places) -> gr.Dropdown:
    names = list(places.entries())
    return gr.Dropdown(names, value=places.find("").name, label="Model", elem_id="bg-model", visible=len(names) > 1)
