# The control plane's image: one image, one process per container (docker-compose.yml).
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm
FROM ${PYTHON_IMAGE}

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN apt-get update && apt-get install -y --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home orchestrator

WORKDIR /app
COPY requirements/base.txt requirements/base.txt
RUN pip install --require-hashes -r requirements/base.txt
COPY . .
RUN python -m compileall -q apps orchestrator worker_image manage.py \
    && install -d -o orchestrator -g orchestrator -m 0700 /var/lib/orchestrator
USER orchestrator
ENV VAR_DIR=/var/lib/orchestrator
EXPOSE 8000
CMD ["uvicorn", "orchestrator.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off", "--no-server-header"]
