# What people and `docker compose up` run beside the services: --target tools is the `headrace` command line and the
# one-shot that makes an installation's secrets; --target demo adds the examples. From the top of the checkout:
#
#   docker build -f deploy/tools.Dockerfile --target tools -t headrace/tools:0.1.0 .
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

FROM uv AS dependencies
COPY --from=manifests /src .
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --package headrace-client --extra parquet --extra all --no-install-workspace

FROM dependencies AS tools-build
COPY libs/stubs libs/stubs
COPY libs/client libs/client
COPY libs/observe libs/observe
COPY libs/forge libs/forge
COPY libs/scale libs/scale
COPY libs/describe libs/describe
COPY libs/drill libs/drill
COPY libs/bulk libs/bulk
COPY libs/release libs/release
COPY libs/scaling libs/scaling
COPY libs/stack libs/stack
# Of the stack only what makes keys: without the wheels of the stores and of Envoy.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --package headrace-client --extra parquet --extra all --no-editable \
    && uv pip install --python /opt/headrace/venv/bin/python --no-deps ./libs/stack
COPY deploy/tools/init.py /opt/headrace/tools/init.py
COPY deploy/sbom.py deploy/sbom.py
RUN python deploy/sbom.py headrace-tools /opt/headrace/venv >/opt/headrace/sbom.cdx.json

FROM tools-build AS demo-build
RUN --mount=type=cache,target=/root/.cache/uv \
    uv export --frozen --quiet --only-group examples --output-file /tmp/examples.txt \
    && uv pip install --python /opt/headrace/venv/bin/python --require-hashes --requirement /tmp/examples.txt
COPY examples /opt/headrace/tools/examples
RUN python deploy/sbom.py headrace-demo /opt/headrace/venv >/opt/headrace/sbom.cdx.json

FROM ${BASE} AS person
# topology: databases
ARG DATABASES="registry router monitor rollout autoscaler scorer console"
# end of databases
# The secrets' volumes take owner and mode from here.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin headrace \
    && for name in identity issuer postgres s3 valkey $(printf 'postgres-%s ' $DATABASES); do \
        install -d -o headrace -g headrace -m 0700 "/run/secrets/headrace/$name"; \
    done
COPY LICENSE NOTICE /opt/headrace/
ENV PATH=/opt/headrace/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
LABEL dev.headrace.sbom=/opt/headrace/sbom.cdx.json
WORKDIR /opt/headrace/tools
USER 10001:10001

FROM person AS tools
COPY --from=tools-build /opt/headrace /opt/headrace
ENTRYPOINT ["headrace"]

FROM person AS demo
COPY --from=demo-build /opt/headrace /opt/headrace
ENTRYPOINT ["python", "-m", "examples.demo"]
