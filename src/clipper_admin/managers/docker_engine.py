"""The Docker engine, asked by way of its SDK: every error is a ClipperException that says what could not be done."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tarfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from clipper_admin.exceptions import ClipperException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers.docker_errors import CONNECT, explained, sdk, words
from clipper_admin.managers.docker_extra import Extra
from clipper_admin.managers.docker_names import is_made_here, missing_remedy, unpulled_remedy
from clipper_admin.managers.docker_parts import ANOTHER, CLUSTER, EXTRA, FLUENTD_PORT, NETWORK, Part
from clipper_admin.managers.docker_pull import pull

LOOPBACK: Final = ("localhost", "127.0.0.1")
STOP_SECONDS: Final = 15
"""Servers and replicas drain for ten seconds at most."""
CALL_SECONDS: Final = 60
NETWORK_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.1
_STOPPERS: Final = 16


class Engine:
    """The containers, network and volumes of one cluster.

    ``host``: the address of the engine's machine; ports are published on loopback where it is that, else on all.
    ``extra``: what every container is given besides, as of ``docker.containers.run``; None for what the adopted have.
    """

    def __init__(self, cluster: str, host: str, network: str, extra: Mapping[str, Any] | None = None) -> None:
        self.cluster = cluster
        self.host = host
        self._network = network
        self._bind = "127.0.0.1" if host in LOOPBACK else "0.0.0.0"
        self._extra = Extra({} if extra is None else extra)
        self._is_extra_given = extra is not None
        self._logger = ClusterLogger(logging.getLogger(__name__), cluster)
        self._client: Any = None
        self._log_config: Any = None

    @property
    def client(self) -> Any:
        """Connected when first needed.

        Raises:
            ClipperException: no engine, or its SDK is not installed, or it does not know what is ``extra``.
        """
        if self._client is None:
            docker = sdk()
            self._extra.check()
            with explained(CONNECT):
                client = docker.from_env(timeout=CALL_SECONDS)
                client.ping()
            self._client = client
        return self._client

    def containers(self, labels: Mapping[str, str | None] | None = None, stopped: bool = True) -> list[Any]:
        """The cluster's, with ``labels`` (None: of any value); those that are not running only if ``stopped``."""
        filters = self._labelled(labels)
        with explained("list the containers"):
            found: list[Any] = self.client.containers.list(all=stopped, filters=filters, ignore_removed=True)
        return found

    def images(self, labels: Mapping[str, str | None] | None = None) -> list[Any]:
        """Those built for the cluster, as ``containers``."""
        filters = self._labelled(labels)
        with explained("list the images"):
            found: list[Any] = self.client.images.list(filters=filters)
        return found

    def volumes(self) -> list[Any]:
        with explained("list the volumes"):
            found: list[Any] = self.client.volumes.list(filters=self._labelled())
        return found

    def adopt(self, containers: Iterable[Any]) -> None:
        """What is started from now on is on the network of these, and logs to the fluentd among them.

        What they were given besides is given to it, too, unless this session has said something else.
        """
        for each in containers:
            self._network = each.attrs["HostConfig"]["NetworkMode"]
            if EXTRA in each.labels and not self._is_extra_given:
                self._extra = Extra(json.loads(each.labels[EXTRA]))
            if FLUENTD_PORT in each.labels:
                self._centralise(each.labels[FLUENTD_PORT])

    def has_what_is_given(self, container: Any) -> bool:
        """Whether it was created with what would be given to it now."""
        return str(container.labels.get(EXTRA, "")) == self._extra.note

    def _centralise(self, port: str) -> None:
        import docker

        options = {"fluentd-address": f"127.0.0.1:{port}", "fluentd-async": "true", "tag": "{{.Name}}"}
        self._log_config = docker.types.LogConfig(type="fluentd", config=options)

    def start(self, part: Part) -> Any:
        """Creates and starts a container; nothing of it is left if that fails."""
        gpu = "" if part.gpu is None else f" with the GPU {part.gpu} (which takes NVIDIA's container toolkit there)"
        container = self._create(part)
        try:
            with explained(f"start the container {part.name}{gpu}", part.image, part.remedy, self._extra.besides):
                for path, text in part.files.items():
                    _put(container, path, text)
                _start(container)
        except BaseException:
            self.remove([container], graceful=False)
            raise
        return container

    def find_image(self, tag: str, remedy: str = ANOTHER) -> Any:
        """The image of this name that is on the engine; None if there is none. ``remedy`` as of ``image``."""
        import docker

        with explained(f"look at the image {tag}", besides=f". Correct that, or {remedy}"):
            try:
                return self.client.images.get(tag)
            except docker.errors.ImageNotFound:
                return None

    def image(self, tag: str, remedy: str) -> Any:
        """The image of this name, from its registry if it is not on the engine.

        Raises:
            ClipperException: there is none, the message tells to get it, or to do what ``remedy`` says.
        """
        import docker

        found = self.find_image(tag, remedy)
        if found is not None:
            return found
        if is_made_here(tag):
            raise ClipperException(f"There is no image {tag} here. {missing_remedy(tag, remedy)}")
        self._logger.info("There is no image %s here: pulling it", tag)
        with explained(f"pull the image {tag}"):
            try:
                pull(self.client, tag)
                return self.client.images.get(tag)
            except docker.errors.APIError as error:
                failed = f"There is no image {tag} here, and it can't be pulled ({words(error)})"
                raise ClipperException(f"{failed}. {unpulled_remedy(remedy)}") from error

    def _create(self, part: Part) -> Any:
        try:
            self.image(part.image, part.remedy)
            with explained(f"create the container {part.name}", part.image, part.remedy, self._extra.besides):
                return self.client.containers.create(part.image, list(part.command) or None, **self._options(part))
        except KeyboardInterrupt:  # the engine may have made it, though nobody has heard of it
            self.remove([each for each in self.containers() if each.name == part.name], graceful=False)
            raise
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            if not self._extra.given:
                raise
            raise ClipperException(
                f"Docker can't create the container {part.name}: extra_container_kwargs has a value that its SDK "
                f"does not take ({type(error).__name__}: {error})"
            ) from error

    def remove(self, containers: Iterable[Any], graceful: bool) -> None:
        """Stops containers, with time to drain if ``graceful``, and removes them; some may be gone already."""
        import docker

        def end(container: Any) -> None:
            with contextlib.suppress(docker.errors.NotFound), explained(f"remove the container {container.name}"):
                if graceful:
                    container.stop(timeout=STOP_SECONDS)
                try:
                    container.remove(force=True, v=True)
                except docker.errors.APIError as error:
                    if "already in progress" not in str(error.explanation):  # another session is at it
                        raise

        self._at_once(end, containers)

    def stop(self, containers: Iterable[Any], graceful: bool = True) -> None:
        """As ``remove``, but they can be started again."""

        def end(container: Any) -> None:
            with explained(f"stop the container {container.name}"):
                container.stop(timeout=STOP_SECONDS if graceful else 0)

        self._at_once(end, containers)

    def _at_once(self, end: Any, containers: Iterable[Any]) -> None:
        with ThreadPoolExecutor(_STOPPERS) as pool:
            for _ in pool.map(end, list(containers)):
                pass

    def make_network(self) -> None:
        """The network that clusters share; made if it is not there. Of two made at once, the later one goes again."""
        import docker

        with explained(f"make the network {self._network}"):
            if self._networks():
                return
            made = self.client.networks.create(self._network, labels={NETWORK: ""})
            if self._networks()[0].id != made.id:
                with contextlib.suppress(docker.errors.APIError):  # in use, if it was adopted meanwhile
                    made.remove()

    def _networks(self) -> list[Any]:
        """Those of the network's name, the oldest first."""
        found = self.client.networks.list(names=[f"^{self._network}$"])
        return sorted(found, key=lambda each: str(each.attrs["Created"]))

    def remove_network(self) -> None:
        """If it is one that Clipper made, and no container is on it, not even one that is stopped."""
        import docker

        with explained(f"remove the network {self._network}"):
            for network in self.client.networks.list(names=[f"^{self._network}$"], filters={"label": NETWORK}):
                if not self.client.containers.list(all=True, filters={"network": network.id}, ignore_removed=True):
                    with contextlib.suppress(docker.errors.APIError):  # in use since
                        network.remove()

    def make_volume(self, name: str) -> None:
        with explained(f"make the volume {name}"):
            self.client.volumes.create(name, labels={CLUSTER: self.cluster})

    def remove_volumes(self) -> None:
        with explained("remove the volumes"):
            for volume in self.volumes():
                volume.remove(force=True)

    def _labelled(self, labels: Mapping[str, str | None] | None = None) -> dict[str, list[str]]:
        wanted = [f"{CLUSTER}={self.cluster}"]
        wanted += [name if value is None else f"{name}={value}" for name, value in (labels or {}).items()]
        return {"label": wanted}

    def _options(self, part: Part) -> dict[str, Any]:
        bind = "127.0.0.1" if part.only_local else self._bind
        options = {
            "restart_policy": {"Name": "unless-stopped"},
            **self._extra.options(part),
            "name": part.name,
            "ports": {f"{inside}/tcp": (bind, host) for inside, host in part.ports.items()},
            "network": self._network,
            "networking_config": {self._network: self.client.api.create_endpoint_config(aliases=list(part.aliases))},
            "detach": True,
            "init": True,  # a first process of its own: SIGTERM ends a container that is still loading, too
        }
        if self._log_config is not None:
            options["log_config"] = self._log_config
        if part.gpu is not None:
            import docker

            options["device_requests"] = [docker.types.DeviceRequest(device_ids=[part.gpu], capabilities=[["gpu"]])]
        return options


def _start(container: Any) -> None:
    """Waits while there are two networks of the name: whoever has made the second one takes it away."""
    import docker

    deadline = time.monotonic() + NETWORK_SECONDS
    while True:
        try:
            container.start()
            return
        except docker.errors.APIError as error:
            if "is ambiguous" not in str(error.explanation) or time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def tail(container: Any, lines: int = 30) -> str:
    """The last lines that a container has written."""
    with explained(f"read the log of {container.name}"):
        return bytes(container.logs(tail=lines)).decode(errors="replace").strip()


def _put(container: Any, path: str, text: str) -> None:
    data = text.encode()
    folder, _, name = path.rpartition("/")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), 0o644
        tar.addfile(entry, io.BytesIO(data))
    container.put_archive(folder, archive.getvalue())
