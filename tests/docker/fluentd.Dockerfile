# Stands for fluent/fluentd where no registry is within reach: takes what Docker's log driver sends (the forward
# protocol, msgpack) and prints each line as "tag: record", as the "stdout" of the real one does.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends python3-msgpack \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir -p /fluentd/etc
RUN printf '%s\n' \
    'import json, msgpack, os, socketserver' \
    '' \
    'class Receiver(socketserver.BaseRequestHandler):' \
    '    def handle(self):' \
    '        unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)' \
    '        while data := self.request.recv(65536):' \
    '            unpacker.feed(data)' \
    '            for tag, _, record, *_ in unpacker:' \
    '                print(f"{tag}: {json.dumps(record)}", flush=True)' \
    '' \
    'assert "@type forward" in open("/fluentd/etc/fluent.conf").read()' \
    'socketserver.ThreadingTCPServer.daemon_threads = True' \
    'socketserver.ThreadingTCPServer(("", 24224), Receiver).serve_forever()' \
    >/receive.py
USER nobody
EXPOSE 24224
CMD ["python3", "/receive.py"]
