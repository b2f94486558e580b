# biggan on NVIDIA GPUs: docker build --file docker/cuda.Dockerfile --tag biggan:cuda .
# PyTorch brings its own CUDA libraries; the host needs the driver and NVIDIA's container toolkit.
FROM python:3.12.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# A compiler, for torch.compile.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src ./src
RUN python -m pip install --constraint constraints.txt ".[metrics,plots,video,web,export]" \
    && useradd --create-home --uid 1000 biggan \
    && install --directory --owner biggan /data

USER 1000
WORKDIR /data
ENTRYPOINT ["biggan"]
CMD ["--help"]
