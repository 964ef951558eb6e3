"""``clipper policy | promote | feedback | forget | export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from clipper_admin.cli_applications import AppName, Parameters, application, read_input, read_parameters
from clipper_admin.cli_commands import add_command
from clipper_admin.cli_terminal import Terminal, table
from clipper_admin.connection import ClipperConnection
from clipper_admin.exceptions import ClipperException

User = Annotated[str | None, typer.Option(help="Of this user.")]


def add_to(app: typer.Typer) -> None:
    add_command(
        app,
        "policy",
        policy,
        "clipper policy digits",
        "clipper policy digits --user user-17",
        "clipper policy digits hedge --params '{\"eta\": 0.5}' --confidence-threshold 0.6",
        "clipper policy digits --confidence-threshold 0.8",
    )
    add_command(app, "promote", promote, "clipper promote digits", "clipper promote digits svm")
    add_command(
        app,
        "feedback",
        feedback,
        "clipper feedback digits --query-id 17 --label 7",
        "clipper feedback digits --query-id 17 --label 7 --user user-17",
        "clipper feedback reviews --input 'a fine film' --label positive",
        "clipper feedback digits --query-id 17 --loss 0.25",
    )
    add_command(app, "forget", forget, "clipper forget user-17", "clipper forget user-17 --app digits")
    add_command(app, "export", export, "clipper export digits digits.jsonl", "clipper export digits digits.parquet")


def policy(
    terminal: Terminal,
    app_name: AppName,
    name: Annotated[
        str | None, typer.Argument(metavar="POLICY", help="Choose by this policy from now on, such as hedge or exp3.")
    ] = None,
    params: Parameters = None,
    confidence_threshold: Annotated[
        float | None, typer.Option(help="Answer the default output below it, from 0 to 1.")
    ] = None,
    loss: Annotated[str | None, typer.Option(help="zero_one, absolute or squared.")] = None,
    loss_scale: Annotated[float | None, typer.Option(help="The error of a number whose loss is 1.")] = None,
    user: User = None,
) -> None:
    """Show how an application chooses among its models and what it has learned, or change it at once.

    A POLICY without --params has its defaults. Without POLICY, what is not given stays as it is.
    """
    with terminal.connected() as connection:
        if (name, params, confidence_threshold, loss, loss_scale) != (None, None, None, None, None):
            now = application(connection, app_name)
            kept = now["policy_params"] if name is None else None
            chosen = kept if params is None else read_parameters(params)
            policy_name = name or now["selection_policy"]
            connection.set_selection_policy(app_name, policy_name, chosen, confidence_threshold, loss, loss_scale)
        _show_policy(terminal, connection, app_name, user)


def promote(
    terminal: Terminal,
    app_name: AppName,
    model_name: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="One linked or a shadow; the best so far if not given.")
    ] = None,
) -> None:
    """Let one model answer alone from now on: the others are unlinked."""
    with terminal.connected() as connection:
        promoted = connection.promote_model(app_name, model_name)
    terminal.show({"app_name": app_name, "model_name": promoted}, f"{promoted} answers alone for {app_name}")


def feedback(
    terminal: Terminal,
    app_name: AppName,
    label: Annotated[str | None, typer.Option(help="The right output: JSON, or text that is none.")] = None,
    loss: Annotated[
        str | None, typer.Option(help="In place of a label: from 0, right, to 1, or a JSON object by models.")
    ] = None,
    query_id: Annotated[int | None, typer.Option(help="Of the answer, as in `clipper predict -o json`.")] = None,
    input_: Annotated[
        str | None, typer.Option("--input", metavar="INPUT", help="Of the query in place of its id, as for predict.")
    ] = None,
    user: User = None,
) -> None:
    """Tell what the answer to a query should have been, or how bad it was."""
    with terminal.connected() as connection:
        value = None if input_ is None else read_input(input_, application(connection, app_name)["input_type"], False)
        read_label, read_loss = None if label is None else _json_or_text(label), _read_loss(loss)
        answer = connection.send_feedback(app_name, read_label, query_id, value, user, read_loss)
    terminal.show(answer, _describe_answer(answer))


def forget(
    terminal: Terminal,
    user: Annotated[str, typer.Argument(metavar="USER", help="The id that the user's queries are sent with.")],
    app: Annotated[str | None, typer.Option(help="In this application only; in all if not given.")] = None,
) -> None:
    """Forget a user: what was learned of him, and his name with his feedback.

    Mind the spelling: a name that was never seen is answered the same.
    """
    with terminal.connected() as connection:
        connection.delete_user_state(user, app)
    terminal.show({"user_id": user, "app_name": app})


def export(
    terminal: Terminal,
    app_name: AppName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet if it ends in .parquet, else JSON Lines.")],
) -> None:
    """Write all feedback of an application into a file."""
    with terminal.connected() as connection:
        count = connection.export_feedback(app_name, file)
    result = {"app_name": app_name, "path": str(file), "feedbacks": count}
    terminal.note(f"{count} feedbacks of {app_name} are in {file}")  # the file may be standard output
    if terminal.is_json:
        terminal.show(result)


_SETTINGS: Final = ("linked_models", "shadow_models", "confidence_threshold", "loss", "loss_scale")


def _show_policy(terminal: Terminal, connection: ClipperConnection, app_name: str, user: str | None) -> None:
    app = application(connection, app_name)
    state = connection.get_selection_state(app_name, user)
    if not terminal.is_json:
        terminal.show(None, _headline(app, state))
    titles = ["MODEL", "ROLE", "WEIGHT", "SCORED", "MEAN LOSS"]
    terminal.show({**state, **{each: app[each] for each in _SETTINGS}}, table(titles, _rows(app, state)))


def _headline(app: dict[str, Any], state: dict[str, Any]) -> str:
    params = f" {json.dumps(state['params'], ensure_ascii=False)}" if state["params"] else ""
    whose = "" if state["user_id"] is None else f" of user {state['user_id']}"
    scale = "" if app["loss"] == "zero_one" else f", scale {app['loss_scale']:g}"
    return (
        f"{app['name']}: {state['policy']}{params}, {state['feedbacks']} feedbacks{whose}, "
        f"loss {app['loss']}{scale}, confidence threshold {app['confidence_threshold']:g}"
    )


def _rows(app: dict[str, Any], state: dict[str, Any]) -> list[list[object]]:
    """One for each version of the application's models that was scored, or for the model if none was."""
    rows: list[list[object]] = []
    roles = dict.fromkeys(app["linked_models"], "linked") | dict.fromkeys(app["shadow_models"], "shadow")
    for name, role in roles.items():
        weight = f"{state['weights'][name]:.4f}" if name in state["weights"] else ""
        versions = [each for each in state["scores"] if each.rpartition(":")[0] == name]
        for version in versions or [name]:
            score = state["scores"].get(version)
            scored = [score["count"], f"{score['mean_loss']:.4f}"] if score else [0, ""]
            rows.append([version, role, weight, *scored])
    return rows


def _describe_answer(answer: dict[str, Any]) -> str:
    if not answer["accepted"]:
        return "Not counted: this query has had feedback"
    losses = ", ".join(f"{model} {loss:.4g}" for model, loss in answer["losses"].items())
    return f"Accepted; losses: {losses or 'none'}"


def _json_or_text(text: str) -> Any:
    """A label is text if it is no JSON; NaN is none."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _read_loss(text: str | None) -> Any:
    if text is None:
        return None
    value = _json_or_text(text)
    if isinstance(value, bool) or not isinstance(value, int | float | dict):
        raise ClipperException(
            f'--loss is {text!r}: write a number from 0 to 1, or one for each model like \'{{"svm": 1, "mlp": 0}}\''
        )
    return value
