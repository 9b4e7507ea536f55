# Debian's Prometheus where Compose expects the image of its project: for tests where no image registry can be reached.
# The place of the program, its user and its data are those of that image.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
COPY prometheus /bin/prometheus
RUN install -d -o 65534 -g 65534 /prometheus
USER 65534:65534
WORKDIR /prometheus
VOLUME /prometheus
ENTRYPOINT ["/bin/prometheus"]
