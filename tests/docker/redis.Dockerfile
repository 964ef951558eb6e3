# Stands for redis:7 where no registry is within reach.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends redis-server \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir -p /data && chown redis:redis /data
USER redis
WORKDIR /data
EXPOSE 6379
# Debian's redis turns down other machines unless it is told not to; Docker's own image does not.
CMD ["redis-server", "--protected-mode", "no"]
