# The two commands in a container, with the pinned versions:
#   docker build -t retinoscope .
#   docker run --name reproduced retinoscope make reproduce; docker cp reproduced:/work/runs .
#   docker run --rm retinoscope make test
FROM python:3.11-slim-bookworm

# make runs the commands; the page tests need chromium and, to drive it, libatomic1; git is for the
# dev container.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium git libatomic1 make \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home looker && mkdir /work && chown looker /work
USER looker
WORKDIR /work

# What is installed changes less often than the sources: its layer is kept.
COPY --chown=looker Makefile pyproject.toml README.md LICENSE NOTICE ./
COPY --chown=looker LICENSES LICENSES
COPY --chown=looker requirements requirements
COPY --chown=looker src src
RUN make .venv/.test && rm -rf /home/looker/.cache/pip
COPY --chown=looker . .
# The sources were copied behind what was installed of them; that is no reason to install again.
RUN touch .venv/.run .venv/.docs .venv/.test

CMD ["make", "reproduce"]
