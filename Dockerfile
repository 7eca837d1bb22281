# The command line with the CPU build of PyTorch. The shipped checkpoint is inside: the first run needs no network.
#   docker build -t telescope .
#   docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD:/data" telescope analyze flows.csv.gz --output out
FROM python:3.12-slim AS build
RUN python -m venv /opt/telescope
ENV PATH=/opt/telescope/bin:$PATH PIP_NO_CACHE_DIR=1
# The range of pyproject.toml: another release would be replaced by the CUDA build below.
RUN pip install "torch>=2.6,<2.14" --index-url https://download.pytorch.org/whl/cpu
COPY . /source
# hadolint ignore=DL3013
RUN pip install '/source[export,flowtuple,mmdb]'

FROM python:3.12-slim
# OpenMP, which PyTorch and faiss load. Security updates come with the base image and this package alike.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/telescope /opt/telescope
ENV PATH=/opt/telescope/bin:$PATH HF_HUB_OFFLINE=1 NUMBA_CACHE_DIR=/var/cache/telescope
# Compile the kernels now, so that the first run starts at once. numba uses only a cache that it can write to: any user
# can write to this one, because a container runs as the one user that `--user` names.
WORKDIR /tmp
RUN mkdir -p "$NUMBA_CACHE_DIR" /data \
    && telescope simulate --output flows.parquet --sources 60 --quiet \
    && telescope analyze flows.parquet --output out --time-limit 1 --quiet \
    && rm -r /tmp/* && chmod -R a+rwX "$NUMBA_CACHE_DIR" /data
WORKDIR /data
USER 65534:65534
ENTRYPOINT ["telescope"]
