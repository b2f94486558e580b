"""The sub-commands: which module each lies in, and what it does, in a line. Imports nothing."""

from __future__ import annotations

COMMANDS = {
    "train": ("biggan.cli.train:main", "train on your images (--data FOLDER), by a preset, or go on with a run"),
    "presets": ("biggan.cli.presets:main", "recipes, with hardware, time and published figure"),
    "sample": ("biggan.cli.sample:main", "images of any class and seed, as files"),
    "sheet": ("biggan.cli.sheet:main", "one picture of every class"),
    "interpolate": ("biggan.cli.interpolate:main", "paths between seeds and classes: picture, GIF or film"),
    "film": ("biggan.cli.film:main", "a film in which the truncation moves"),
    "montage": ("biggan.cli.montage:main", "a film of a run's fixed samples over its training"),
    "recreate": ("biggan.cli.recreate:main", "a picture again, from what it says about itself"),
    "explore": ("biggan.cli.explore:main", "directions, breeding, style mixing, the latent of a picture"),
    "evaluate": ("biggan.cli.evaluate:main", "FID, KID, precision, recall ... against real images"),
    "convert": ("biggan.cli.convert:main", "weights of other implementations, to sample and to train on"),
    "grow": ("biggan.cli.grow:main", "networks for images twice as large, that go on from where the old ones are"),
    "calibrate": ("biggan.cli.calibrate:main", "store batch-norm statistics for a range of truncations"),
    "export": ("biggan.cli.export:main", "networks for other programs, or for training to go on from"),
    "report": ("biggan.cli.report:main", "one file of all that runs' files hold, runs beside each other"),
    "serve": ("biggan.cli.serve:main", "a page to play with a generator, and an HTTP API"),
    "data": ("biggan.cli.data:main", "prepare, inspect or export a data set"),
    "info": ("biggan.cli.info:main", "what a run, checkpoint or snapshot is"),
    "pull": ("biggan.cli.pull:main", "fetch published weights, or list them"),
    "push": ("biggan.cli.push:main", "give a generator away, with a card"),
    "migrate": ("biggan.cli.migrate:main", "our command for one of BigGAN-PyTorch's"),
    "doctor": ("biggan.cli.doctor:main", "whether this machine can train, and what is wrong if not"),
    "completion": ("biggan.cli.completion:main", "what a shell needs to complete commands and options"),
    "demo": ("biggan.cli.demo:main", "train on digits, sample, and judge, in minutes on a CPU"),
}
