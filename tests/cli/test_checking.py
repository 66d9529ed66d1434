"""The state of the desk from the command line: `status` counts and names failures, `check` warns of the setup."""

from tests.cli.conftest import ON_SQLITE, PARCEL, Command, MakeOrder
from webapp.channels.connecting import ChannelError
from webapp.channels.models import Store
from webapp.config import configuration
from webapp.db import unit_of_work
from webapp.hooks import hookimpl, hooks
from webapp.live import connection
from webapp.sync import runs
from webapp.sync.streams import Stream


def test_status_counts_what_is_owed(cli: Command, make_order: MakeOrder) -> None:
    cli("orders", "act", make_order().number, "ship", "--data", PARCEL)
    told = cli("status", "--json").document
    assert told["updates"]["owed"] == 1
    assert told["backlog"].keys() == {"now", "channel", "clock", "stream-finances"}
    assert told["backlog"]["channel"]["waiting"] == 1
    assert "owed: 1" in cli("status").out


@ON_SQLITE
def test_status_names_a_lane_that_fails_and_why(cli: Command, store: Store) -> None:
    class Letters:
        @hookimpl
        def register_streams(self) -> list[Stream]:
            return [Stream("letters", lane="letters", label="Letters", fetch=print, take_in=print)]

    assert "Also read" not in cli("status").out
    hooks.manager.register(Letters(), name="letters")
    with unit_of_work():
        held = runs.lease_lane(store.id, "worker", "letters")
        assert held is not None
        runs.fail(*held, ChannelError(channel="Mail", problem="HTTP 503"))
    told = cli("status").out
    assert "Also read" in told
    assert "Mail sent an answer that Waybill can't process" in told
    [run] = cli("runs", "list", "--json").document
    assert (run["kind"], run["store"], run["state"], run["next_at"]) == ("stream", store.name, "failed", None)


def test_check_masks_secrets_and_asks_for_a_copy_of_the_keys(cli: Command, make_order: MakeOrder) -> None:
    make_order()
    before = cli("check", "--json")
    assert before.code == 0
    assert {one["name"]: one["ok"] for one in before.document["checks"]} == dict.fromkeys(
        ("database", "queue", "keys", "plugins", "disk"), True
    )
    assert any("No copy of the key file" in warning for warning in before.document["warnings"])
    after = cli("check", "--key-copied", "--json").document
    assert not any("No copy of the key file" in warning for warning in after["warnings"])
    assert len(after["backup"]) == (3 if configuration().secret.get_secret_value() else 2)


def test_check_warns_of_a_queue_that_forgets(cli: Command) -> None:
    def warned() -> list[str]:
        return [told for told in cli("check", "--json").document["warnings"] if "The queue" in told]

    before = connection().config_get("maxmemory-policy")["maxmemory-policy"]
    assert not any("maxmemory-policy" in told for told in warned())
    connection().config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert any("maxmemory-policy is allkeys-lru" in told for told in warned())
    finally:
        connection().config_set("maxmemory-policy", before)


@ON_SQLITE
def test_check_names_what_other_users_could_read(cli: Command) -> None:
    def warned() -> list[str]:
        return [text for text in cli("check", "--json").document["warnings"] if "other users" in text]

    for path in configuration().data_dir.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert warned() == []
    configuration().keys.chmod(0o640)
    [warning] = warned()
    assert str(configuration().keys) in warning
