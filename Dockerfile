# s2st for CPUs:  docker build -t s2st .
#                 docker run --rm -i -v "$PWD:/work" s2st generate --checkpoint model < in > out
# For GPUs:       docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 -t s2st .
FROM python:3.11-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" torch
COPY . /src
RUN pip install --no-cache-dir /src && rm -r /src
WORKDIR /work
ENTRYPOINT ["s2st"]
