# biggan on a CPU: docker build --file docker/cpu.Dockerfile --tag biggan:cpu .
# --build-arg PIP_EXTRA_INDEX_URL=ADDRESS takes PyTorch's builds for CPUs, which are much smaller, from where PyTorch says they are.
FROM python:3.12.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1

ARG PIP_EXTRA_INDEX_URL=

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
