"""``clipper apps | register | link | unlink | predict``."""

from __future__ import annotations

import base64
import binascii
import json
import sys
from typing import Annotated, Any

import typer

from clipper_admin.cli_commands import add_command
from clipper_admin.cli_terminal import Terminal, table
from clipper_admin.connection import ClipperConnection
from clipper_admin.exceptions import ClipperException


def add_to(app: typer.Typer) -> None:
    add_command(app, "apps", apps, "clipper apps", "clipper apps --output json")
    add_command(
        app,
        "register",
        register,
        "clipper register hello-world --input-type doubles --default-output -1.0 --slo-micros 100000",
        "clipper register digits --input-type floats --default-output null --policy hedge --confidence-threshold 0.6",
        "clipper register prices --input-type d --default-output 0 --policy mean --loss absolute --loss-scale 50",
    )
    add_command(app, "link", link, "clipper link hello-world sum-model", "clipper link digits mlp --shadow")
    add_command(app, "unlink", unlink, "clipper unlink hello-world sum-model")
    add_command(
        app,
        "predict",
        predict,
        "clipper predict hello-world '[1.1, 2.2, 3.3]'",
        "clipper predict hello-world --batch '[[1.1, 2.2], [3.3]]'",
        "clipper predict reviews 'a fine film'",
        "clipper predict pictures - < cat.jpg",
    )


AppName = Annotated[str, typer.Argument(metavar="APP", help="Name of the application.")]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")]
Parameters = Annotated[
    str | None, typer.Option(metavar="JSON", help="Parameters of the policy, like '{\"eta\": 0.5}'.")
]


def apps(terminal: Terminal) -> None:
    """List the applications and the models linked to them."""
    with terminal.connected() as connection:
        found = connection.get_all_apps(verbose=True)
    columns = ("name", "input_type", "latency_slo_micros", "default_output", "selection_policy")
    rows = [[*(each[name] for name in columns), ", ".join(_models_of(each))] for each in found]
    titles = ["APPLICATION", "INPUT TYPE", "SLO (us)", "DEFAULT OUTPUT", "POLICY", "LINKED MODELS"]
    terminal.show(found, table(titles, rows))


def _models_of(app: dict[str, Any]) -> list[str]:
    return [*app["linked_models"], *(f"{name} (shadow)" for name in app["shadow_models"])]


def register(
    terminal: Terminal,
    app_name: AppName,
    input_type: Annotated[str, typer.Option(help="integers, floats, doubles, bytes or strings.")],
    default_output: Annotated[str, typer.Option(help="Answered when no model's output is there in time.")],
    slo_micros: Annotated[int, typer.Option(help="Microseconds from query to answer.")] = 100_000,
    policy: Annotated[
        str, typer.Option(help="How linked models are chosen and combined: single, majority_vote, hedge, exp3 ...")
    ] = "single",
    params: Parameters = None,
    confidence_threshold: Annotated[
        float, typer.Option(help="Answer the default output below it, from 0 to 1.")
    ] = 0.0,
    loss: Annotated[str, typer.Option(help="zero_one, absolute or squared.")] = "zero_one",
    loss_scale: Annotated[float, typer.Option(help="The error of a number whose loss is 1.")] = 1.0,
) -> None:
    """Register an application: /APP_NAME/predict answers from now on."""
    policy_params = None if params is None else read_parameters(params)
    with terminal.connected() as connection:
        connection.register_application(
            app_name,
            input_type,
            default_output,
            slo_micros,
            policy,
            policy_params,
            confidence_threshold,
            loss,
            loss_scale,
        )
        terminal.show(connection.get_app_info(app_name))


def link(
    terminal: Terminal,
    app_name: AppName,
    model_name: ModelName,
    shadow: Annotated[bool, typer.Option("--shadow", help="Ask and score it, but never answer from it.")] = False,
) -> None:
    """Let a model answer the queries of an application, with others if its policy knows several."""
    with terminal.connected() as connection:
        connection.link_model_to_app(app_name, model_name, shadow)
        terminal.show(connection.get_app_info(app_name))


def unlink(terminal: Terminal, app_name: AppName, model_name: ModelName) -> None:
    """Undo `clipper link`."""
    with terminal.connected() as connection:
        connection.unlink_model_from_app(app_name, model_name)
        terminal.show(connection.get_app_info(app_name))


def predict(
    terminal: Terminal,
    app_name: AppName,
    input_: Annotated[
        str, typer.Argument(metavar="INPUT", help="JSON; text for strings; base64 for bytes; - for standard input.")
    ],
    batch: Annotated[bool, typer.Option("--batch", help="INPUT is a JSON list of inputs.")] = False,
    version: Annotated[str | None, typer.Option(help="Ask this version of the model.")] = None,
    user: Annotated[str | None, typer.Option(help="Ask for this user.")] = None,
) -> None:
    """Ask an application. The output goes to standard output, the reason of a default to standard error."""
    with terminal.connected() as connection:
        value = read_input(input_, application(connection, app_name)["input_type"], batch)
        if batch:
            answers = connection.predict_batch(app_name, value, user, version)
        else:
            answers = [connection.predict(app_name, value, user, version)]
    for answer in answers:
        if answer["default"]:
            terminal.note(f"Default output: {answer.get('default_explanation', 'no reason given')}")
        if not terminal.is_json:
            terminal.show(None, json.dumps(answer["output"], ensure_ascii=False))
    if terminal.is_json:
        terminal.show(answers if batch else answers[0])


def read_input(text: str, input_type: str, batch: bool) -> Any:
    """What INPUT means to an application of ``input_type``."""
    if text == "-":
        if input_type == "bytes" and not batch:
            return sys.stdin.buffer.read()
        text = sys.stdin.read()
    if batch:
        return _json(text)
    if input_type == "bytes":
        return _base64(text)
    if input_type == "strings":
        return _string(text)
    return _json(text)


def read_parameters(text: str) -> dict[str, Any]:
    """What --params means."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ClipperException(f"--params is not JSON ({error}): write it like '{{\"eta\": 0.5}}'") from None
    if not isinstance(value, dict):
        raise ClipperException(f"--params is {text}, and not a JSON object: write it like '{{\"eta\": 0.5}}'")
    return value


def application(connection: ClipperConnection, name: str) -> dict[str, Any]:
    """What is registered of an application."""
    known: dict[str, dict[str, Any]] = {each["name"]: each for each in connection.get_all_apps(verbose=True)}
    if name not in known:
        names = ", ".join(known) or "none"
        raise ClipperException(f"There is no application {name!r}: `clipper register` makes one. Registered: {names}")
    return known[name]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ClipperException(f"INPUT is not JSON ({error}): write it like '[1.0, 2.0]'") from None


def _string(text: str) -> str:
    """Text as it is; a JSON string is also fine."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(_string(text).strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ClipperException(
            f"INPUT is not base64 ({error}): give bytes on standard input, with - as INPUT"
        ) from None
