# One Dockerfile for every Python service. From the top of the checkout:
#
#   docker build -f deploy/service.Dockerfile --target service -t headrace/registry:0.1.0 \
#     --build-arg SERVICE=registry --build-arg MODULE=headrace_registry --build-arg PREFIX=REGISTRY_ .
#
# SERVICE: folder in services/. MODULE: what `python -m` runs. PREFIX: of its settings, by which its health is asked.
# --target service-triton adds the wheel's Triton, for a batcher that starts its own.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS uv
COPY libs/stack/bootstrap.txt /tmp/bootstrap.txt
RUN python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
    --no-deps --only-binary :all: --require-hashes --requirement /tmp/bootstrap.txt
ENV UV_PYTHON=/usr/local/bin/python UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/headrace/venv UV_NO_PROGRESS=1
WORKDIR /src

# What dependencies follow from, alone: other changes of the code leave the layers of the dependencies as they are.
FROM uv AS manifests
COPY pyproject.toml uv.lock ./
COPY libs libs
COPY services services
RUN find . -type f ! -name pyproject.toml ! -name uv.lock -delete

FROM uv AS build
ARG SERVICE
ARG MODULE
ARG PREFIX
COPY --from=manifests /src .
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --package "headrace-${SERVICE}" --no-install-workspace
COPY libs/stubs libs/stubs
COPY libs/servicekit libs/servicekit
COPY libs/scaling libs/scaling
COPY libs/statistics libs/statistics
COPY libs/runtime libs/runtime
COPY libs/client libs/client
COPY libs/observe libs/observe
COPY libs/scale libs/scale
COPY libs/bulk libs/bulk
COPY libs/release libs/release
COPY services/${SERVICE} services/${SERVICE}
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --package "headrace-${SERVICE}" --no-editable
# The entry points are made here: in their exec form Docker puts no arguments in.
RUN mkdir /opt/headrace/bin \
    && printf '#!/bin/sh\nexec python -P -m %s "$@"\n' "${MODULE}" >/opt/headrace/bin/headrace-service \
    && printf '#!/bin/sh\nexec python -P -m headrace_servicekit.probe %s "$@"\n' "${PREFIX}" >/opt/headrace/bin/headrace-probe \
    && chmod 0755 /opt/headrace/bin/*
COPY deploy/sbom.py deploy/sbom.py
RUN python deploy/sbom.py "headrace-${SERVICE}" /opt/headrace/venv >/opt/headrace/sbom.cdx.json

FROM ${BASE} AS service
ARG SERVICE
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin headrace \
    && install -d -o headrace -g headrace -m 0700 /var/lib/headrace /run/triton \
    # ONNX Runtime lower-cases texts by this locale, whose letters are those of C.UTF-8.
    && ln -s C.utf8 /usr/lib/locale/en_US.utf8
COPY --from=build /opt/headrace /opt/headrace
COPY LICENSE NOTICE /opt/headrace/
ENV PATH=/opt/headrace/bin:/opt/headrace/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.title="headrace-${SERVICE}" dev.headrace.sbom=/opt/headrace/sbom.cdx.json
USER 10001:10001
ENTRYPOINT ["headrace-service"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=180s --start-interval=1s CMD ["headrace-probe"]

# Triton has an environment of its own: its wheel wants numpy < 2.
FROM uv AS triton
COPY deploy/triton/requirements.txt deploy/triton/requirements.txt
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv /opt/headrace/triton-venv \
    && uv pip install --python /opt/headrace/triton-venv/bin/python --require-hashes --only-binary :all: \
        --requirement deploy/triton/requirements.txt \
    # Of a package that is not even used here: its tests, private keys among them.
    && rm -rf /opt/headrace/triton-venv/lib/python3.11/site-packages/gevent/tests
COPY deploy/triton deploy/triton
COPY libs/stack libs/stack
COPY deploy/sbom.py deploy/sbom.py
RUN PYTHONPATH=libs/stack python -m headrace_stack.triton_environment --compose /opt/headrace/triton-venv \
    && install -D deploy/triton/launch /opt/headrace/triton/launch \
    && install -m 0644 deploy/triton/launch.py /opt/headrace/triton/launch.py \
    && python deploy/sbom.py triton /opt/headrace/triton-venv >/opt/headrace/triton/sbom.cdx.json

FROM service AS service-triton
COPY --from=triton /opt/headrace/triton-venv /opt/headrace/triton-venv
COPY --from=triton /opt/headrace/triton /opt/headrace/triton
ENV HEADRACE_TRITON_VENV=/opt/headrace/triton-venv
