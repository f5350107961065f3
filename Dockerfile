# One image for the studio, the audit dashboard and the workers; the command says which (docs/deployment.md).
#   docker build -t portrait-studio .
# Alone, on one's own machine, with its database inside:
#   docker run --rm --init -p 127.0.0.1:7860:7860 -v portraits:/data -e ALLOW_NO_SIGN_IN=yes portrait-studio
# ALLOW_NO_SIGN_IN is asked for because inside a container the studio has to listen beyond loopback. Publish
# the port on 127.0.0.1, as above: whoever reaches it may spend.
#
# The base is pinned by version. To pin it by content too, look its digest up where you build
# (docker buildx imagetools inspect python:3.11.14-slim-bookworm) and write it behind the name: …@sha256:…

FROM python:3.11.14-slim-bookworm AS installed
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY requirements.txt .
# Wheels alone, each with its hash: nothing is compiled, so no build tool is needed. What only tests and
# compilers of others read is taken out again, and pip with it.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --require-hashes --only-binary :all: -r requirements.txt \
    && find /opt/venv/lib/python3.11/site-packages/numpy /opt/venv/lib/python3.11/site-packages/pandas \
        /opt/venv/lib/python3.11/site-packages/pyarrow -type d \
        \( -name tests -o -path "*/pyarrow/include" -o -path "*/pyarrow/src" \) -prune -exec rm -rf {} + \
    && /opt/venv/bin/pip uninstall --yes setuptools pip
# .dockerignore lets through what runs, and nothing else. Compiled here, since the running container writes
# nothing beside its data.
COPY . .
RUN python -m compileall -q .

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="Portrait Studio" \
      org.opencontainers.image.description="Portraits of fictional characters for a team: studio, audit dashboard, workers"
RUN useradd --system --uid 10001 --user-group --home-dir /tmp --shell /usr/sbin/nologin studio \
    && install -d -m 0700 -o studio -g studio /data
COPY --from=installed /opt/venv /opt/venv
COPY --from=installed /app /app
WORKDIR /app
# Only /data and /tmp are written to, so the rest may be mounted read-only.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    GRADIO_TEMP_DIR=/tmp/gradio \
    STUDIO_HOME=/data \
    STUDIO_HOST=0.0.0.0 \
    AUDIT_HOST=0.0.0.0
USER 10001
VOLUME /data
EXPOSE 7860 8501
# It asks what the container runs: the studio's or the dashboard's door, or the worker's last sign of life.
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s \
    CMD ["python", "-m", "core.alive"]
CMD ["python", "studio_app.py"]
