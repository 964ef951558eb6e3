"""The bodies of the requests: names and types of their fields. What values may be is for the rules."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from clipper.management.checks import MAX_DEFAULT_OUTPUT
from clipper.types import Application, Model

MAX_PAGE = 10_000


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
    loss_scale: float = Field(1.0, examples=[1.0], description="the error of a number whose loss is 1")

    def application(self) -> Application:
        return Application(**self.model_dump())


class AppName(Body):
    name: str = Field(examples=["hello-world"])


class Links(Body):
    app_name: str = Field(examples=["hello-world"])
    model_names: list[str] = Field(examples=[["sum-model"]])


class NewLinks(Links):
    shadow: bool = Field(False, examples=[False], description="asked and scored, but never answered from")


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


class SelectionPolicy(Body):
    app_name: str = Field(examples=["hello-world"])
    policy: str = Field(examples=["single"])
    params: dict[str, JsonValue] = Field({}, examples=[{}], description="what is not given has its default")
    confidence_threshold: float | None = Field(None, examples=[0.6], description="stays as it is, if not given")
    loss: str | None = Field(None, examples=["zero_one"], description="stays as it is, if not given")
    loss_scale: float | None = Field(None, examples=[1.0], description="stays as it is, if not given")

    def changes(self) -> dict[str, object]:
        """Fields of ``Application``: the policy and its parameters, and of the other three those that are given."""
        given = self.model_dump(include={"confidence_threshold", "loss", "loss_scale"}, exclude_none=True)
        return {"selection_policy": self.policy, "policy_params": self.params, **given}


class Promotion(Body):
    app_name: str = Field(examples=["hello-world"])
    model_name: str | None = Field(None, examples=["sum-model"], description="the best one, if not given")


class SelectionState(Body):
    app_name: str = Field(examples=["hello-world"])
    user_id: int | str | None = Field(None, examples=["user-17"], description="everybody's state, if not given")


class ForgottenUser(Body):
    user_id: int | str = Field(examples=["user-17"])
    app_name: str | None = Field(None, examples=["hello-world"], description="every application, if not given")


class FeedbackPage(BaseModel):
    """A query string."""

    model_config = ConfigDict(extra="forbid")

    app_name: str = Field(examples=["hello-world"], max_length=MAX_DEFAULT_OUTPUT)
    after: int = Field(0, ge=0, lt=1 << 63, description="the position of the last line of the page before")
    limit: int = Field(MAX_PAGE, ge=1, le=MAX_PAGE, description="the most lines of this page")
