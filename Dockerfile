# The control plane's image: one image, one process per container (docker-compose.yml).
# The base brings Python 3.11 or newer, or is a Debian that has it among its packages; where nothing can be pulled:
#   scripts/base_image codegen-debian:bookworm && docker build --build-arg PYTHON_IMAGE=codegen-debian:bookworm .
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm
FROM ${PYTHON_IMAGE}

# Where a company mirrors packages; its certificates go into worker_image/extra-ca, as for the workers' images.
ARG PIP_INDEX_URL

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt GIT_SSL_CAINFO=/etc/ssl/certs/ca-certificates.crt \
    PATH=/opt/venv/bin:$PATH
COPY worker_image/extra-ca/ /usr/local/share/ca-certificates/
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates git openssh-client $(command -v python3 >/dev/null || echo python3 python3-venv) \
    && update-ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/venv \
    && useradd --uid 10001 --create-home orchestrator

WORKDIR /app
COPY requirements/base.txt requirements/base.txt
# By uv, which is one of them, in a third of pip's time.
RUN awk '/^[^ ]/ {ours = /^uv==/} ours' requirements/base.txt > /tmp/uv.txt \
    && pip install --require-hashes --no-deps -r /tmp/uv.txt \
    && UV_DEFAULT_INDEX=${PIP_INDEX_URL} VIRTUAL_ENV=/opt/venv \
        uv pip install --quiet --no-cache --compile-bytecode --require-hashes -r requirements/base.txt \
    && rm /tmp/uv.txt
COPY . .
RUN python -m compileall -q apps orchestrator worker_image manage.py \
    && install -d -o orchestrator -g orchestrator -m 0700 /var/lib/orchestrator
USER orchestrator
ENV VAR_DIR=/var/lib/orchestrator
EXPOSE 8000
CMD ["uvicorn", "orchestrator.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off", "--no-server-header"]
