"""`check` and `status`: whether a desk is set up right, and the state of its work."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from flask import current_app
from pydantic import SecretStr
from redis import RedisError
from sqlalchemy import func, make_url, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from webapp import schema
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.services import audit
from webapp.channels.ages import warnings_of
from webapp.channels.legal_face import SENDER_ADDRESS
from webapp.channels.services import stores
from webapp.channels.shops import shops
from webapp.cli.door import Door, desk_command, desk_context, sentences
from webapp.cli.main import Code, Failed
from webapp.cli.presenting import Document, store_rows
from webapp.cli.running_desk import running_desk
from webapp.cli.text import pairs, section, table
from webapp.config import Configuration, configuration
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Unavailable
from webapp.hooks.registered import faults_of
from webapp.jobs.backlog import backlogs, workers
from webapp.live import connection
from webapp.mail.sender_records import hints
from webapp.mail.server import HOST, SENDER
from webapp.sync import streams
from webapp.sync.models import QuarantinedOrder
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.vault import periods
from webapp.vault.key_file import KeyProblem, key_file

KEY_COPIED = "key_copied"
LITTLE_SPACE = 1_000_000_000
MASK = "•••"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--key-copied", is_flag=True, help="Confirm that a copy of the key file was stored safely.")
def check(as_json: bool, key_copied: bool) -> int:
    """Show the configuration, and test database, queue, keys, plugins and disk."""
    with desk_context():
        if key_copied:
            with sentences():
                confirm_copy(_periods())
        document = _checked()
    problems = [one for one in document["checks"] if not one["ok"]]
    text = [*pairs(document["configuration"])]
    for title in ("checks", "warnings", "backup"):
        rows = document[title]
        said = (
            [f"{'ok ' if row['ok'] else 'NO '} {row['name']}: {row['message']}" for row in rows]
            if title == "checks"
            else rows
        )
        text += section(title.capitalize(), said)
    Door(Actor.operator(), as_json).show(document, text)
    if any(one["code"] == Unavailable.code for one in problems):
        return Code.UNREACHABLE
    return Code.FAILED if problems else Code.DONE


def _checked() -> Document:
    config = configuration()
    tests: tuple[tuple[str, Callable[[], str]], ...] = (
        ("database", _test_database),
        ("queue", _test_queue),
        ("keys", _test_keys),
        ("plugins", _test_plugins),
        ("disk", _test_disk),
    )
    checks = [_tested(name, test) for name, test in tests]
    passed = {one["name"] for one in checks if one["ok"]}
    return {
        "configuration": shown_configuration(config),
        "checks": checks,
        "warnings": _warnings(config, reads={"database", "keys"} <= passed),
        "backup": _backup(config),
    }


def shown_configuration(config: Configuration) -> dict[str, Any]:
    """Every variable with the value that is used; secrets and passwords masked."""
    shown: dict[str, Any] = {}
    for name in Configuration.model_fields:
        if name == "version":
            continue
        value = getattr(config, name)
        match name:
            case "database_url":
                shown["DATABASE_URL"] = make_url(config.database).render_as_string(hide_password=True)
            case "redis_url":
                shown["REDIS_URL"] = _masked_url(config.queue)
            case "key_file":
                shown["WAYBILL_KEY_FILE"] = str(config.keys)
            case "secret":
                kept = f"{MASK} (in {config.secret_file})"
                shown["WAYBILL_SECRET"] = MASK if value.get_secret_value() else kept
            case _:
                plain = value if isinstance(value, bool | int) or value is None else str(value)
                shown[f"WAYBILL_{name.upper()}"] = MASK if isinstance(value, SecretStr) else plain
    return shown


def _masked_url(url: str) -> str:
    head, at, tail = url.rpartition("@")
    scheme, _, _ = head.partition("://")
    return f"{scheme}://{MASK}@{tail}" if at else url


def _tested(name: str, test: Callable[[], str]) -> Document:
    try:
        return {"name": name, "ok": True, "code": "ok", "message": test()}
    except DeskError as error:
        return {"name": name, "ok": False, "code": error.code, "message": f"{error}{_cause(error.__cause__)}"}
    except (SQLAlchemyError, RedisError) as error:
        away = Unavailable(what=name)
        return {"name": name, "ok": False, "code": away.code, "message": f"{away}{_cause(error)}"}
    except (OSError, Failed) as error:
        return {"name": name, "ok": False, "code": "failed", "message": str(error)}


def _cause(error: BaseException | None) -> str:
    """A driver's reason for not reaching its server, for the person who sets the desk up; it contains no password."""
    if not isinstance(error, DBAPIError | RedisError):
        return ""
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return f" ({said.splitlines()[0].strip()})" if said else ""


def _test_database() -> str:
    schema.check()
    return f"{db.engine.dialect.name}, schema {schema.needed()}"


def _test_queue() -> str:
    connection().ping()
    return "answers"


def _test_keys() -> str:
    if not key_file().path.exists() and not schema.found():
        raise Failed("There is no key file yet. “python -m webapp migrate” creates it with the database.")
    key_file().check()
    return str(key_file().path)


def _test_plugins() -> str:
    states = current_app.extensions["waybill.plugins"]
    broken = [f"{state.name} ({state.problem})" for state in states if state.problem]
    broken += [f"of {state.name}: {why}" for state in states if not state.problem for why in faults_of(state.name)]
    if broken:
        raise Failed(f"not loaded: {'; '.join(broken)}")
    return ", ".join(state.name for state in states) or "none"


def _test_disk() -> str:
    folder = configuration().data_dir
    if not os.access(folder, os.W_OK):
        raise Failed(f"{folder} can't be written.")
    return f"{shutil.disk_usage(folder).free // 1_000_000} MB free in {folder}"


def _warnings(config: Configuration, *, reads: bool) -> list[str]:
    found = []
    if shutil.disk_usage(config.data_dir).free < LITTLE_SPACE:
        found.append("Less than 1 GB is free. Free disk space before the desk stops working.")
    if reads and (fresh := _uncopied()):
        found.append(
            f"No copy of the key file was confirmed since it got the keys of {', '.join(fresh)}. Without it all buyer "
            "data is lost. Copy it, then confirm this with “python -m webapp check --key-copied”."
        )
    if reads and (lost := sorted(periods.months_in_use() - set(_periods()))):
        found.append(
            f"The key file lacks {', '.join(lost)}, so their documents can't be opened. Restore the newer copy."
        )
    if reads:
        found += [f"{store.name}: {age.warning}" for store in stores() for age in warnings_of(store)]
        found += hints(_senders())
    if not config.secret.get_secret_value():
        found.append(f"WAYBILL_SECRET is not set: without {config.secret_file} the key file can't be opened.")
    found += _queue_warnings()
    if seen := seen_by_others(config):
        found.append(
            f"{len(seen)} files can be read by other users of this machine, {seen[0]} for one: "
            f"“chmod -R go= {config.data_dir} {config.keys}” closes them."
        )
    return found


def _senders() -> list[str]:
    """The addresses from which the desk sends mail; none if it has no mail server of its own."""
    if not HOST.of():
        return []
    return [address for address in (SENDER.of(), *(SENDER_ADDRESS.of(shop) for shop in shops())) if address]


def _queue_warnings() -> list[str]:
    """The settings that a queue lacks: it must neither evict a key nor lose one; servers that give no answer pass."""
    try:
        policy, appends = (connection().config_get(name).get(name) for name in ("maxmemory-policy", "appendonly"))
    except RedisError:
        return []
    found = []
    if policy not in (None, "noeviction"):
        found.append(f"The queue's maxmemory-policy is {policy}: it may drop jobs. Set it to noeviction.")
    if appends == "no":
        found.append("The queue writes no append-only file: a restart forgets jobs until the desk finds them again.")
    return found


def seen_by_others(config: Configuration) -> list[Path]:
    """Files of the data directory, and the keys, that other users can read: an earlier version left them so."""
    walked = (Path(folder, name) for folder, _, names in os.walk(config.data_dir) for name in names)
    return sorted({path for path in (*walked, config.keys) if path.is_file() and path.stat().st_mode & 0o077})


def _backup(config: Configuration) -> list[str]:
    given = config.secret.get_secret_value()
    secret = "" if given else " and the secret"
    return [
        "The database: “backup database FILE”.",
        f"The key file {config.keys}{secret}: “backup keys FILE”, kept apart from copies of the database.",
        *([] if not given else ["WAYBILL_SECRET: keep a copy yourself, since no backup has it."]),
    ]


def _periods() -> list[str]:
    path = key_file().path
    try:
        return sorted(json.loads(path.read_text())["periods"])
    except (OSError, ValueError, KeyError) as error:
        raise KeyProblem(path=path, problem=str(error)) from None


def _uncopied() -> list[str]:
    """Weeks, and months of documents, whose keys are in no confirmed copy."""
    query = select(AuditEntry.data).where(AuditEntry.code == KEY_COPIED).order_by(AuditEntry.id.desc()).limit(1)
    copied = db.session.scalar(query) or {}
    return [period for period in _periods() if period not in copied.get("periods", [])]


def confirm_copy(periods: list[str]) -> None:
    """Record that a copy of the key file contains the keys of these periods."""
    with unit_of_work():
        audit(KEY_COPIED, actor=Actor.operator(), periods=periods)


@click.command()
@desk_command
def status(door: Door) -> None:
    """Show the state of the desk: stores, jobs that wait, updates, orders that couldn't be imported."""
    door.actor.needs("stores.view")
    running = running_desk(configuration().data_dir)
    counts = db.session.execute(select(ChannelUpdate.state, func.count()).group_by(ChannelUpdate.state))
    by_state = {row[0]: row[1] for row in counts}
    document = {
        "version": configuration().version,
        "schema": schema.needed(),
        "url": running.get("url") or configuration().url or None,
        "practice_url": running.get("practice_url"),
        "processes": running.get("processes", {}),
        "workers": workers(),
        "backlog": {
            one.work: {"waiting": one.waiting, "oldest_seconds": round(one.oldest, 1), "late": one.late}
            for one in backlogs(streams.lanes())
        },
        "stores": store_rows(stores(door.actor)),
        "updates": {state.value: by_state.get(state, 0) for state in UpdateState},
        "asides": db.session.scalar(select(func.count()).select_from(QuarantinedOrder)) or 0,
    }
    columns = ("id", "name", "running", "last_success_at", "next_at", "disconnected", "last_failure")
    text = pairs(document, ("version", "url", "practice_url", "asides", "workers"))
    text += section("Stores", table(document["stores"], columns, empty="No store yet."))
    lanes = [{"store": one["name"], **lane} for one in document["stores"] for lane in one["lanes"]]
    if lanes:
        of_lanes = ("store", "lane", "running", "last_success_at", "next_at", "last_failure")
        text += section("Also read", table(lanes, of_lanes, empty=""))
    text += section("Jobs that wait", [_waiting(work, **found) for work, found in document["backlog"].items()])
    text += section("Updates", [f"{state}: {count}" for state, count in document["updates"].items() if count])
    door.show(document, text)


def _waiting(work: str, *, waiting: int, oldest_seconds: float, late: bool) -> str:
    if not waiting:
        return f"{work}: none"
    text = f"{work}: 1 job waits, for" if waiting == 1 else f"{work}: {waiting} jobs wait, the oldest"
    return f"{text} {oldest_seconds:.0f} s" + (" (late)" if late else "")
