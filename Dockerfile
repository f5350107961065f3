# One image for the studio, the audit dashboard and the workers; the command says which.
#   docker build -t portrait-studio .
#   docker run --rm -p 127.0.0.1:7860:7860 -v portraits:/data -e ALLOW_NO_SIGN_IN=yes portrait-studio
# ALLOW_NO_SIGN_IN is asked for because inside a container the studio has to listen beyond loopback. Publish
# the port on 127.0.0.1, as above: whoever reaches it may spend.

FROM python:3.11-slim-bookworm AS installed
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN python -m venv /opt/venv
COPY requirements.txt .
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
# .dockerignore lets through what runs, and nothing else. Compiled here, since the running container writes
# nothing beside its data.
COPY . .
RUN /opt/venv/bin/python -m compileall -q .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /tmp --shell /usr/sbin/nologin studio \
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
    STUDIO_HOST=0.0.0.0
USER 10001
VOLUME /data
EXPOSE 7860 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('STUDIO_PORT', 7860)}/healthz\", timeout=4)"]
CMD ["python", "studio_app.py"]
