# syntax=docker/dockerfile:1
# exportd, with the embedded PostgreSQL and its client programs. How to use it, alone or with a
# server: docs/how-to/containers.md
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /src
RUN pip install --no-cache-dir "build>=1.2"
COPY pyproject.toml README.md LICENSE ./
COPY daemon ./daemon
RUN python -m build --wheel --outdir /wheels
# Without pip, and without what exportd never runs.
COPY docker/slim.sh ./
RUN python -m venv --without-pip /opt/exportd \
    && pip --python /opt/exportd/bin/python install --no-cache-dir /wheels/*.whl \
    && sh slim.sh /opt/exportd

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="exportd" \
      org.opencontainers.image.description="Stores every message of AI-conversation exports once, in PostgreSQL" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 1000 --create-home exportd && install -d -o exportd -m 0700 /data
COPY --from=build /opt/exportd /opt/exportd
COPY docker/healthcheck.py /opt/exportd/healthcheck.py
ENV PATH=/opt/exportd/bin:$PATH \
    EXPORTD_MEMORY_DIR=/data \
    PYTHONDONTWRITEBYTECODE=1
USER 1000
WORKDIR /data
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "/opt/exportd/healthcheck.py"]
# exportd itself waits for its database and brings the schema up to date.
ENTRYPOINT ["exportd"]
CMD ["run"]
