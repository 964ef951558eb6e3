"""What is registered about models, their versions and their replicas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clipper_admin import limits
from clipper_admin.exceptions import ClipperException
from clipper_admin.names import NO_CONTAINER, version_text
from clipper_admin.session import Session


class Models(Session):
    """The calls that read and register models; all of them need a connection and raise ``ClipperException``."""

    def register_model(
        self,
        name: str,
        version: str | int,
        input_type: str,
        image: str | None = None,
        labels: Sequence[str] | None = None,
        batch_size: int = -1,
        batching: str = "aimd",
        batch_delay_micros: int = 0,
    ) -> None:
        """Registers a version whose containers run already or run elsewhere, and makes it the current one.

        ``batch_size``, ``batching`` and ``batch_delay_micros`` are those of ``set_batching``.
        """
        version = version_text(version)
        self.frontends.admin(
            "add_model",
            model_name=name,
            model_version=version,
            labels=limits.labels(labels),
            input_type=input_type,
            container_name=image or NO_CONTAINER,
            model_data_path="DEPRECATED",
            **limits.batching_settings(batch_size, batching, batch_delay_micros),
        )
        self.logger.info("Successfully registered model %s:%s", name, version)

    def get_all_models(self, verbose: bool = False) -> list[Any]:
        """``name:version`` of every registered version, or with ``verbose`` a dict of each."""
        models: list[Any] = self.frontends.admin_json("get_all_models", verbose=verbose)
        return models

    def get_model_info(self, name: str, version: str | int) -> dict[str, Any] | None:
        """What was registered; None if there is no such version."""
        info = self._model(name, version_text(version))
        if info is None:
            self.logger.warning("Model %s:%s is not registered with Clipper.", name, version)
        return info

    def get_current_model_version(self, name: str) -> str:
        """The version that answers queries which do not name one."""
        for model in self.get_all_models(verbose=True):
            if model["model_name"] == name and model["is_current_version"]:
                return str(model["model_version"])
        raise ClipperException(f"No versions of model {name} registered with Clipper")

    def get_all_model_replicas(self, verbose: bool = False) -> list[Any]:
        """``name:version:replica`` of every connected container, or with ``verbose`` a dict of each."""
        replicas: list[Any] = self.frontends.admin_json("get_all_containers", verbose=verbose)
        return replicas

    def get_model_replica_info(self, name: str, version: str | int, replica_id: int) -> dict[str, Any] | None:
        """What is known about one connected container; None if there is no such replica."""
        version = version_text(version)
        info: dict[str, Any] = self.frontends.admin_json(
            "get_container", model_name=name, model_version=version, replica_id=replica_id
        )
        if not info:
            self.logger.warning("No model replica with ID %s found for model %s:%s", replica_id, name, version)
        return info or None

    def get_num_replicas(self, name: str, version: str | int | None = None) -> int:
        """How many replicas the container manager runs of a version (the current one if None)."""
        _ = self.frontends
        return self.cm.get_num_replicas(name, self._version(name, version))

    def set_num_replicas(self, name: str, num_replicas: int, version: str | int | None = None) -> None:
        """Starts or stops replicas of a version (the current one if None) until there are ``num_replicas``."""
        _ = self.frontends
        version = self._version(name, version)
        model = self._model(name, version)
        if model is None:
            raise ClipperException(f"Cannot add container for non-registered model {name}:{version}")
        if model["container_name"] == NO_CONTAINER:
            raise ClipperException(f"Cannot resize the replica set for containerless model {name}:{version}")
        num_replicas = limits.whole_number("num_replicas", num_replicas)
        self.cm.set_num_replicas(name, version, model["input_type"], model["container_name"], num_replicas)

    def set_model_version(self, name: str, version: str | int, num_replicas: int | None = None) -> None:
        """Makes a registered version the current one: a roll-back or a roll-forward in one call.

        With ``num_replicas`` the version is scaled first, so that no query finds it without a replica.

        Raises:
            ClipperException: not registered, input type at odds with a linked application, or no replica runs.
        """
        frontends = self.frontends
        version = version_text(version)
        model = self._model(name, version)
        if model is not None and model["container_name"] != NO_CONTAINER:
            self._scale_for_switch(name, version, num_replicas)
        elif model is not None and num_replicas is not None:
            self.set_num_replicas(name, num_replicas, version)  # says that it is containerless
        frontends.admin("set_model_version", model_name=name, model_version=version)

    def set_batching(
        self,
        name: str,
        version: str | int | None = None,
        batch_size: int | None = None,
        batching: str | None = None,
        batch_delay_micros: int | None = None,
    ) -> None:
        """Changes how queries for a version (the current one if None) are put into batches, while it serves.

        Args:
            name: of the model.
            version: of the model.
            batch_size: most queries of one call; 1 turns batching off, -1 learns it from the latencies seen.
            batching: how it is learned: ``aimd`` or ``quantile``.
            batch_delay_micros: microseconds, from the oldest waiting query, that a free replica waits for more of
                them; 0 is not at all, -1 as long as is learned to be worth it.

        What is None stays as it is.
        """
        settings = limits.batching_settings(batch_size, batching, batch_delay_micros)
        named = {} if version is None else {"model_version": version_text(version)}
        self.frontends.admin("set_batching", model_name=name, **named, **settings)

    def _scale_for_switch(self, name: str, version: str, num_replicas: int | None) -> None:
        given = None if num_replicas is None else limits.whole_number("num_replicas", num_replicas)
        wanted = self.cm.get_num_replicas(name, version) if given is None else given
        if wanted == 0:
            raise ClipperException(
                f"Model {name}:{version} would have no replica and every query its default output. "
                f"Give num_replicas, for example set_model_version({name!r}, {version!r}, num_replicas=1)"
            )
        if num_replicas is not None:
            self.set_num_replicas(name, num_replicas, version)

    def _model(self, name: str, version: str) -> dict[str, Any] | None:
        info: dict[str, Any] = self.frontends.admin_json("get_model", model_name=name, model_version=version)
        return info or None

    def _version(self, name: str, version: str | int | None) -> str:
        return self.get_current_model_version(name) if version is None else version_text(version)
