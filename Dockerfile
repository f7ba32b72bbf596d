# exportd with its embedded PostgreSQL; mount the memory folder at /data.
#   docker build -t exportd . && docker run -v "$PWD/MEMORY-CONTEXT:/data" exportd
FROM python:3.13-slim

RUN useradd --create-home --uid 1000 exportd && install -d -o exportd -m 0700 /data
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY daemon ./daemon
RUN pip install --no-cache-dir .

USER exportd
WORKDIR /home/exportd
ENV EXPORTD_MEMORY_DIR=/data
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["exportd"]
CMD ["run"]
