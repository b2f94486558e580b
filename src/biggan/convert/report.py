"""What a conversion tells: what was read, what it is now, and everything that nobody could read off the weights."""

from __future__ import annotations

from biggan.convert.contract import Imported
from biggan.convert.importing import Converted
from biggan.foundation.compatibility import SWITCHES
from biggan.models.contract import build_on_meta, count_parameters
from biggan.models.stages import Stage

_SHOWN = 8


def report(converted: Converted) -> str:
    """Return the report, several lines."""
    weights, imported, info = converted.weights, converted.imported, converted.export.info
    family, architecture = weights.family, info.architecture
    networks = build_on_meta(architecture)
    parts = [name for name in ("generator", "average", "discriminator") if getattr(weights, name) is not None]
    height, width = architecture.resolution
    generator, discriminator = architecture.generator_stages(), architecture.discriminator_stages()
    lines = [
        f"{family.title}: {', '.join(parts)}; read from {', '.join(file.name for file in weights.files)}",
        f"{architecture.family}, {architecture.channels} x {height} x {width}, "
        f"{architecture.classes or 'no'} class{'es' * (architecture.classes != 1)}, z of {architecture.z_size}",
        f"G: {count_parameters(networks.generator):,} parameters; {_stages(generator)}",
    ]
    if weights.discriminator is not None:
        lines.append(f"D: {count_parameters(networks.discriminator):,} parameters; {_stages(discriminator)}")
    lines += [_keys(name, converted) for name in imported.translations]
    if converted.fresh:
        lines.append(f"drawn anew: {_some(converted.fresh)}")
    lines += [
        f"Adam of the {name}: moments of {len(moments) // 3} parameters"
        for name, moments in converted.export.moments.items()
    ]
    lines.append(_clock(converted))
    bank = info.truncation_bank
    if bank is not None:
        lines.append(
            f"statistics for {len(bank.truncations)} truncations ({bank.kind}); between two of them mixed as "
            f"{bank.compatibility} does"
        )
    lines += [*_not_finite(converted), *converted.assumed]
    lines += [f"differs from ours: {line}" for line in _differences(imported)]
    return "\n".join(lines)


def _keys(name: str, converted: Converted) -> str:
    translation = converted.imported.translations[name]
    used = sum(bool(entry.ours) for entry in translation.entries.values())
    dropped, weights = translation.dropped, converted.weights
    text = f"{name}: {used} keys used"
    if dropped:
        text += f", {len(dropped)} that nothing is computed from ({_some(dropped, 2)})"
    states = [weights.generator, weights.average] if name == "generator" else [weights.discriminator]
    ignored = [key for key in converted.ignored if any(key.rpartition(": ")[2] in (state or {}) for state in states)]
    anew = [one for one in converted.fresh if one.startswith("discriminator") is (name == "discriminator")]
    text += f", ignored: {_some(ignored)}" if ignored else ", none left over"
    return text + (f", {len(anew)} drawn anew" if anew else ", none missing")


def _not_finite(converted: Converted) -> list[str]:
    """Say which tensors hold NaN or infinity: they are taken as they are."""
    export = converted.export
    parts = {"G": export.sampled, "G itself": export.raw, "D": export.discriminator}
    parts |= {f"Adam of the {name}": moments for name, moments in export.moments.items()}
    wrong = [
        f"{part}: {name}"
        for part, found in parts.items()
        for name, x in (found or {}).items()
        if not x.isfinite().all()
    ]
    return [f"WARNING: not a number or infinite in {_some(wrong)}"] if wrong else []


def _some(names: tuple[str, ...] | list[str], shown: int = _SHOWN) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _stages(stages: tuple[Stage, ...]) -> str:
    """Return the table in one line: size and channels out of each stage, * where attention follows."""
    first = f"{stages[0].in_channels} -> "
    return first + ", ".join(
        f"{stage.height}x{stage.width}x{stage.out_channels}{'*' if stage.attention else ''}" for stage in stages
    )


def _clock(converted: Converted) -> str:
    info, iterations = converted.export.info, converted.weights.iterations
    if iterations is None:
        return "how long it was trained is not in the files"
    images = f"{info.images_seen:,} images" if info.images_seen else "its batch is not in the files"
    return f"trained for {iterations:,} iterations ({images})"


def _differences(imported: Imported) -> list[str]:
    """Say what this architecture does in another way than a new one of its family."""
    a = imported.architecture
    said = {
        "condition is [latent, class]": a.condition_order == "latent-class",
        "D's shortcuts see relu(x)": a.inplace_activation,
        "colours are BGR inside": a.channel_order == "bgr",
        "G evaluates with the singular vectors that training left": bool(a.generator_spectral_norm.stored_vectors),
        "D evaluates with the singular vectors that training left": bool(a.discriminator_spectral_norm.stored_vectors),
        "class tables are dense layers of one-hot labels": a.dense_class_tables,
        f"gains are centred at {a.gain_centre:g}": a.gain_centre != 1.0,
        "deep shortcuts are learnt": a.learned_shortcuts,
        "G doubles by zeros between the pixels": a.upsampling == "zeros",
        "D's blocks of unchanged width have no shortcut": not a.identity_shortcuts,
        "D sees images in [0, 1]": a.discriminator_range == "unit",
        f"the last convolution makes {a.output_width} channels, the first {a.channels} are the image": a.output_width
        is not None,
    }
    return [text for text, holds in said.items() if holds] + [SWITCHES[name].meaning for name in a.compatibility]
