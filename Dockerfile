# The course for one learner: for `docker run` and for a Hugging Face Space. docs/anywhere.md has both.
#   docker build -t gqa . && docker run -p 127.0.0.1:7860:7860 -v gqa:/data gqa
# A class on a hub has deploy/docker/Dockerfile, without the solutions.
FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
# A Space runs as the user 1000, and may put a disk of its own in the place of /data.
RUN useradd --create-home --uid 1000 learner \
    && install -d -o learner -g learner /home/learner/course /data
USER learner
WORKDIR /home/learner/course
COPY --chown=learner:learner . .
ARG PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
RUN PIP_NO_CACHE_DIR=1 PIP_ARGS="${PIP_ARGS}" scripts/setup.sh course
ENV PATH="/home/learner/course/.venv/bin:${PATH}" \
    GQA_HOME=/data/records \
    GQA_WORK=/data/work \
    PORT=7860
EXPOSE 7860
# Arguments of `docker run` go to `gqa lab`: a lesson, or --host NAME for a name of the server's.
ENTRYPOINT ["scripts/serve.sh"]
