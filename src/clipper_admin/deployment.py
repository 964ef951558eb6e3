"""Models coming and going: build, deploy, stop."""

from __future__ import annotations

import pprint
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from clipper_admin import limits
from clipper_admin.exceptions import ClipperException
from clipper_admin.models import Models
from clipper_admin.names import canonical_input_type, check_model, version_text


class Deployment(Models):
    """The calls that start and stop model containers; all raise ``ClipperException``."""

    def build_and_deploy_model(
        self,
        name: str,
        version: str | int,
        input_type: str,
        model_data_path: str,
        base_image: str,
        labels: Sequence[str] | None = None,
        container_registry: str | None = None,
        num_replicas: int = 1,
        batch_size: int = -1,
        pkgs_to_install: Sequence[str] | None = None,
        batching: str = "aimd",
        batch_delay_micros: int = 0,
    ) -> None:
        """``build_model``, then ``deploy_model``; if either fails nothing of this version is left."""
        sized = limits.batching_settings(batch_size, batching, batch_delay_micros)
        self.check_deployable(name, version, input_type, num_replicas, labels=labels, **sized)
        version, image = version_text(version), None
        with self._alone_with(name, version):
            try:
                image = self._build(name, version, model_data_path, base_image, container_registry, pkgs_to_install)
                self._deploy(name, version, input_type, image, labels, num_replicas, sized)
            except BaseException:
                self._take_back(name, version, image, lambda: self.cm.stop_models({name: [version]}))
                raise

    def build_model(
        self,
        name: str,
        version: str | int,
        model_data_path: str,
        base_image: str,
        container_registry: str | None = None,
        pkgs_to_install: Sequence[str] | None = None,
    ) -> str:
        """Makes something a container manager can run of a model directory; needs no connection.

        Returns:
            The image's tag, ``[registry/]cluster-name:version``, for ``deploy_model``.
        """
        version = version_text(version)
        check_model(name, version)
        with self.cm.deploying(name, version):
            return self._build(name, version, model_data_path, base_image, container_registry, pkgs_to_install)

    def deploy_model(
        self,
        name: str,
        version: str | int,
        input_type: str,
        image: str,
        labels: Sequence[str] | None = None,
        num_replicas: int = 1,
        batch_size: int = -1,
        batching: str = "aimd",
        batch_delay_micros: int = 0,
    ) -> None:
        """Starts replicas and, once the first is ready, makes the version the current one.

        Until then the version before it answers. If anything fails nothing of this version is left running; the
        image stays. Replicas that a deploy cut short (a killed session) has left of it are stopped first.
        """
        sized = limits.batching_settings(batch_size, batching, batch_delay_micros)
        self.check_deployable(name, version, input_type, num_replicas, labels=labels, **sized)
        version = version_text(version)
        with self._alone_with(name, version):
            try:
                self._deploy(name, version, input_type, image, labels, num_replicas, sized)
            except BaseException:
                self._take_back(name, version, image, lambda: self._stop_replicas(name, version, input_type, image))
                raise

    def check_deployable(
        self,
        name: str,
        version: str | int,
        input_type: str,
        num_replicas: int = 1,
        batch_size: int = -1,
        labels: Sequence[str] | None = None,
        batching: str = "aimd",
        batch_delay_micros: int = 0,
    ) -> None:
        """Raises for what a deploy would be refused for, before anything is built or started."""
        version = version_text(version)
        check_model(name, version)
        limits.whole_number("num_replicas", num_replicas, least=1)
        limits.batching_settings(batch_size, batching, batch_delay_micros)
        limits.labels(labels)
        self._check_linked_apps(name, canonical_input_type(input_type))
        self._refuse_registered(name, version)

    def stop_models(self, model_names: Sequence[str]) -> None:
        """Stops and unregisters every version of the named models, those included that a killed session has left."""
        versions = self._registered(model_names)
        for name in _names(model_names):
            registered = versions.get(name, [])
            if not registered:
                self.logger.warning("Model %s is not registered with Clipper.", name)
            orphans = [each for each in self.cm.get_running_versions(name) if each not in registered]
            if orphans:
                versions[name] = [*registered, *orphans]
        self._stop(versions)

    def stop_versioned_models(self, model_versions_dict: Mapping[str, Sequence[str | int]]) -> None:
        """Stops and unregisters the given versions, ``{name: [version, ...]}``.

        Raises:
            ClipperException: one of them is neither registered nor running; nothing was stopped.
        """
        wanted = {name: [version_text(each) for each in versions] for name, versions in model_versions_dict.items()}
        registered = self._registered(wanted)
        for name, versions in wanted.items():
            known = registered.get(name, [])
            for version in versions:
                if version not in known and not self.cm.get_num_replicas(name, version):
                    raise ClipperException(
                        f"model with name '{name}' and version '{version}' does not exist, nothing was stopped. "
                        f"Registered versions of '{name}': {', '.join(known) or 'none'}"
                    )
        self._stop(wanted)

    def stop_inactive_model_versions(self, model_names: Sequence[str]) -> None:
        """Stops and unregisters all versions of the named models but the current one."""
        self._stop(self._registered(model_names, with_current=False))

    def stop_all_model_containers(self) -> None:
        """Stops and unregisters every version of every model."""
        versions: dict[str, list[str]] = {}
        for model in self.get_all_models(verbose=True):
            versions.setdefault(model["model_name"], []).append(model["model_version"])
        self.cm.stop_all_model_containers()
        self._unregister(versions)
        self.logger.info("Stopped all Clipper model containers:\n%s", pprint.pformat(versions))

    def _stop(self, versions: Mapping[str, Sequence[str]]) -> None:
        self.cm.stop_models(versions)
        registered = self._registered(versions)
        # A session that was killed may have left replicas that nobody registered.
        self._unregister(
            {name: [v for v in each if v in registered.get(name, ())] for name, each in versions.items()}
        )
        self.logger.info("Stopped all containers for these models and versions:\n%s", pprint.pformat(dict(versions)))

    def _unregister(self, versions: Mapping[str, Sequence[str]]) -> None:
        for name, each_version in versions.items():
            for version in each_version:
                self.frontends.admin("delete_versioned_model", model_name=name, model_version=version)
                self.logger.info("Model %s:%s was successfully deleted", name, version)

    def _registered(self, names: Iterable[str], with_current: bool = True) -> dict[str, list[str]]:
        wanted = _names(names)
        versions: dict[str, list[str]] = {}
        for model in self.get_all_models(verbose=True):
            if model["model_name"] in wanted and (with_current or not model["is_current_version"]):
                versions.setdefault(model["model_name"], []).append(model["model_version"])
        return versions

    @contextmanager
    def _alone_with(self, name: str, version: str) -> Iterator[None]:
        """No other session deploys the version meanwhile, and none has registered it."""
        with self.cm.deploying(name, version):
            self._refuse_registered(name, version)
            yield

    def _refuse_registered(self, name: str, version: str) -> None:
        if self._model(name, version) is not None:
            raise ClipperException(
                f"model with name '{name}' and version '{version}' already exists: deploy it as another version, or "
                f"stop this one first with stop_versioned_models({{{name!r}: [{version!r}]}})"
            )

    def _check_linked_apps(self, name: str, input_type: str) -> None:
        for app in self.frontends.admin_json("get_all_applications", verbose=True):
            if name in app["linked_models"] and app["input_type"] != input_type:
                raise ClipperException(
                    f"Model with name '{name}' is already linked to app '{app['name']}' using input type "
                    f"'{app['input_type']}': deploy this version with that type, not '{input_type}', or unlink it"
                )

    def _build(
        self,
        name: str,
        version: str,
        model_data_path: str,
        base_image: str,
        container_registry: str | None,
        pkgs_to_install: Sequence[str] | None,
    ) -> str:
        if isinstance(pkgs_to_install, str):
            raise ClipperException(f"pkgs_to_install must be a list of packages: write [{pkgs_to_install!r}]")
        if self.connected and self._has_orphans(name, version):
            self.cm.stop_models({name: [version]})
        return self.cm.build_image(name, version, model_data_path, base_image, container_registry, pkgs_to_install)

    def _deploy(
        self,
        name: str,
        version: str,
        input_type: str,
        image: str,
        labels: Sequence[str] | None,
        num_replicas: int,
        sized: Mapping[str, Any],
    ) -> None:
        if self._has_orphans(name, version):
            self._stop_replicas(name, version, input_type, image)
        self.cm.deploy_model(name, version, canonical_input_type(input_type), image, num_replicas)
        self.register_model(name, version, input_type, image, labels, **sized)
        self.logger.info("Done deploying model %s:%s.", name, version)

    def _has_orphans(self, name: str, version: str) -> bool:
        """Whether replicas run of a version nobody registered: to be asked by the only session that deploys it."""
        count = self.cm.get_num_replicas(name, version)
        if not count or self._model(name, version) is not None:
            return False
        self.logger.warning("Stopping %d replicas of %s:%s that a deploy cut short has left", count, name, version)
        return True

    def _stop_replicas(self, name: str, version: str, input_type: str, image: str) -> None:
        """Stops all replicas of a version but keeps its image, which was not built by the deploy under way."""
        if self.cm.get_num_replicas(name, version):
            self.cm.set_num_replicas(name, version, canonical_input_type(input_type), image, 0)

    def _take_back(self, name: str, version: str, image: str | None, stop: Callable[[], None]) -> None:
        """Undoes a failed deploy, unless the version got registered with our image: then only the answer was lost."""
        try:
            model = self._model(name, version)
            if model is not None and model["container_name"] == image:
                return
        except ClipperException:
            self.logger.debug("The management frontend can't say whether %s:%s is registered", name, version)
        try:
            stop()
        except ClipperException as error:
            self.logger.warning("The replicas of %s:%s could not be stopped: %s", name, version, error)


def _names(names: Iterable[str]) -> list[str]:
    """One name is as good as a list of one."""
    return [names] if isinstance(names, str) else list(names)
