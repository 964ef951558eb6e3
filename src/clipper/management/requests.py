"""The bodies of the requests: names and types of their fields. What values may be is for the rules."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from clipper.management.checks import MAX_DEFAULT_OUTPUT
from clipper.types import Application, Model


class Body(BaseModel):
    """A JSON object that has these fields and no others; nothing is converted, and strings are whole Unicode."""

    # The bound of the longest string is also what makes pydantic look at each: unbounded, "\\ud800" gets by.
    model_config = ConfigDict(strict=True, extra="forbid", str_max_length=MAX_DEFAULT_OUTPUT)


class AddApp(Body):
    name: str = Field(examples=["hello-world"])
    input_type: str = Field(examples=["doubles"])
    default_output: str = Field(examples=["-1.0"])
    latency_slo_micros: int = Field(examples=[100_000])
    selection_policy: str = Field("single", examples=["single"])
    policy_params: dict[str, JsonValue] = Field({}, examples=[{}])
    confidence_threshold: float = Field(0.0, examples=[0.0])
    loss: str = Field("zero_one", examples=["zero_one"])

    def application(self) -> Application:
        return Application(**self.model_dump())


class AppName(Body):
    name: str = Field(examples=["hello-world"])


class Links(Body):
    app_name: str = Field(examples=["hello-world"])
    model_names: list[str] = Field(examples=[["sum-model"]])


class AddModel(Body):
    model_name: str = Field(examples=["sum-model"])
    model_version: str = Field(examples=["1"])
    labels: list[str] = Field(examples=[[]])
    input_type: str = Field(examples=["doubles"])
    container_name: str = Field(examples=["default-cluster-sum-model:1"])
    model_data_path: str = Field(examples=["DEPRECATED"])
    batch_size: int = Field(examples=[-1])
    batching: str = Field("aimd", examples=["aimd"])
    batch_delay_micros: int = Field(0, examples=[0])

    def model(self) -> Model:
        return Model(
            name=self.model_name,
            version=self.model_version,
            labels=tuple(self.labels),
            input_type=self.input_type,
            container_name=self.container_name,
            model_data_path=self.model_data_path,
            batch_size=self.batch_size,
            batching=self.batching,
            batch_delay_micros=self.batch_delay_micros,
        )


class Batching(Body):
    model_name: str = Field(examples=["sum-model"])
    model_version: str | None = Field(None, examples=["1"], description="the current one, if not given")
    batch_size: int | None = Field(None, examples=[16])
    batching: str | None = Field(None, examples=["quantile"])
    batch_delay_micros: int | None = Field(None, examples=[500])

    def changes(self) -> dict[str, object]:
        """Those of the three settings that are given."""
        return self.model_dump(include={"batch_size", "batching", "batch_delay_micros"}, exclude_none=True)


class VersionedModel(Body):
    model_name: str = Field(examples=["sum-model"])
    model_version: str = Field(examples=["1"])


class Container(Body):
    model_name: str = Field(examples=["sum-model"])
    model_version: str = Field(examples=["1"])
    replica_id: int = Field(examples=[0])


class Listing(Body):
    verbose: bool = Field(examples=[True], description="objects instead of names")


class LinkedModels(Body):
    app_name: str = Field(examples=["hello-world"])


class State(Body):
    app_name: str = Field(examples=["hello-world"])
    uid: int | str = Field(examples=[0])
