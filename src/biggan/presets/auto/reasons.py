"""Why ``auto`` chose what does not depend on the length of a run, in words. Imports no torch."""

from __future__ import annotations

from biggan.presets.auto.chosen import Chosen
from biggan.presets.auto.lengths import Length
from biggan.presets.auto.rules import ATTENTION_FROM, RATES
from biggan.presets.auto.seen import Machine, Seen

CROPPED = 0.1
"""Share of the middle image's area that is cut off before anybody is told."""


def say_size(found: Chosen, wanted: tuple[int, int] | None, seen: Seen, machine: Machine, length: Length) -> None:
    """Note the reasons of what does not depend on the length; what is given has none."""
    config, model = found.config, found.config.model
    height, width = model.resolution
    if wanted is not None:
        why = "given"
    elif min(model.resolution) > seen.side:
        why = f"the smallest there is; the images have {seen.side} px, and are enlarged"
    elif 2 * height > seen.side:
        why = f"the images' shorter sides are {seen.side} px in the middle"
    else:
        why = f"as large as {machine.name} can do in {length.time}; the images would allow {seen.side} px"
    found.note("resolution", f"{height}x{width}", why)
    colours = "all images are gray" if seen.channels == 1 else "the images are in colour"
    if seen.translucent:
        colours += f"; {seen.translucent:,} with transparency are laid on {config.data.background}"
    found.note("channels", seen.channels, colours)
    lost = 1 - 1 / seen.elongation
    if height == width and config.data.crop == "center" and lost >= CROPPED:
        found.note(
            "crop", "center", f"the middle image loses {lost:.0%} of its area; --data.crop pad keeps all", "data.crop"
        )
    names = len(seen.class_counts)
    counts = "as asked for" if config.data.labels == "unconditional" else "no sub-folders"
    if names:
        least, most = min(seen.class_counts), max(seen.class_counts)
        counts = f"{least:,}{f' to {most:,}' if most > least else ''} images each"
    found.note("classes", names or "none", counts)
    if config.data.label_sampling == "sqrt":
        found.note(
            "label sampling",
            "sqrt",
            f"one class has {seen.imbalance:.0f} times as many images as another",
            "data.label_sampling",
        )
    known = "what this package has measured most"
    found.note("family", model.family, f"class-conditional, and {known}" if names else known, "model.family")
    g, d = model.generator_stages(), model.discriminator_stages()
    shown = f"G {g[0].in_channels} to {g[-1].out_channels} channels, D {d[0].out_channels} to {d[-1].out_channels}"
    if model.generator_channels:
        of = "narrow where images are large, so that a CPU makes many updates"
    else:
        of = f"width {model.generator_width}, for a {'GPU' if machine.fast else 'CPU'}"
    found.note("width", shown, of, "model.generator_width", "model.discriminator_width")
    slots = model.latent_slots
    z = f"{model.latent_size // slots} for each of {slots} parts" if slots > 1 else "all at the beginning"
    shared = f"; {model.shared_embedding} of the class" if names and model.shared_embedding else ""
    found.note("latents", f"{model.latent_size} numbers", f"{z}{shared}", "model.latent_size")
    attention = " and ".join(dict.fromkeys((*model.generator_attention, *model.discriminator_attention)))
    found.note(
        "attention",
        f"at {attention} px" if attention else "none",
        "half the image size" if attention else f"below {ATTENTION_FROM} px convolutions reach across the image",
        "model.generator_attention",
        "model.discriminator_attention",
    )
    parts = "at once" if config.micro_batch == config.batch else f"in micro-batches of {config.micro_batch}"
    found.note("batch", config.batch, f"{parts}; {-(-length.images // config.batch):,} updates")
    of_g, of_d, at = RATES[machine.device]
    found.note(
        "rates",
        f"G {config.generator_adam.full_rate:g}, D {config.discriminator_adam.full_rate:g}",
        f"{of_g:g} and {of_d:g} up to a batch of {at}, by the square root of the batch above",
        "generator_adam.learning_rate",
        "discriminator_adam.learning_rate",
    )
    if config.precision != "float32":
        found.note("precision", config.precision, f"{machine.name} computes it fast", "precision")
    found.note("mirroring", "on" if config.data.flip else "off", seen.mirroring.reason, "data.flip")
