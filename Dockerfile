# One image for the API and for the controller with its workers.
#
# TORCH_INDEX chooses the build of torch: the small one for the processor by default;
# https://pypi.org/simple has the one for CUDA (see docker-compose.yml).
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONSAFEPATH=1

WORKDIR /opt/batchscout
# torch is by far the largest part and changes least: a layer of its own.
COPY constraints.txt ./
RUN pip install -c constraints.txt --index-url "${TORCH_INDEX}" \
        --extra-index-url https://pypi.org/simple torch
COPY pyproject.toml setup.py README.md LICENSE ./
COPY scripts/fetch-plotly scripts/fetch-plotly
COPY scripts/plotly scripts/plotly
COPY tuner tuner
COPY workers workers
COPY service service
COPY batchscout batchscout
RUN pip install -c constraints.txt '.[server,worker,hf]'

# Measurements run the code of whoever asks: not as root, and with one folder to write to.
RUN useradd --create-home --uid 10001 batchscout \
    && install -d -o batchscout -g batchscout /data
USER batchscout
WORKDIR /home/batchscout
ENV BATCHSCOUT_DATA_DIR=/data
VOLUME /data
EXPOSE 8321

ENTRYPOINT ["batchscout"]
CMD ["serve"]
