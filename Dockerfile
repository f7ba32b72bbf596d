# exportd with its embedded PostgreSQL; mount the memory folder, which must be user 1000's, at
# /data. --init buries what PostgreSQL leaves behind when it is killed.
#   docker build -t exportd . && docker run --init -v "$PWD/MEMORY-CONTEXT:/data" exportd
FROM python:3.13-slim

RUN useradd --create-home --uid 1000 exportd && install -d -o exportd -m 0700 /data
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY daemon ./daemon
RUN pip install --no-cache-dir .

USER 1000
WORKDIR /home/exportd
ENV EXPORTD_MEMORY_DIR=/data
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["exportd"]
CMD ["run"]
