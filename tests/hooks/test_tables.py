"""Tables of plugins: brought up by `migrate`, kept while their plugin is away, and never in the way of the desk."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from flask import Flask
from sqlalchemy import inspect, text

from tests.desks import application
from tests.own_plugins import OwnPlugins, state_of
from webapp import schema
from webapp.audit.models import AuditEntry
from webapp.cli.main import main
from webapp.config import configuration
from webapp.db import db
from webapp.hooks import hooks
from webapp.hooks.failures import Failure
from webapp.plugin_tables import PluginTablesBehind
from webapp.vault.key_file import key_file

pytestmark = pytest.mark.own_desk
MODEL = """
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column
from webapp.api import Model, UtcDateTime, hookimpl, now

class Points(Model):
    __tablename__ = "{table}"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"{deletion}))
    points: Mapped[int]
"""
FIRST = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "1", None
needs_desk = "{needs_desk}"

def upgrade():
    op.create_table(
        "loyalty_points",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("order_id", sa.Integer(), sa.ForeignKey("orders.id", ondelete="CASCADE"), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
    )
    op.execute("INSERT INTO loyalty_points (id, order_id, points) SELECT 1, 1, 5 WHERE false")

def downgrade():
    op.drop_table("loyalty_points")
"""
SECOND = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "2", "1"

def upgrade():
    op.create_table("loyalty_levels", sa.Column("id", sa.Integer(), primary_key=True))
    {then}

def downgrade():
    op.drop_table("loyalty_levels")
"""
Write = Callable[..., None]
Start = Callable[[], AbstractContextManager[Flask]]


@pytest.fixture
def write(own_plugins: OwnPlugins) -> Write:
    """Write the plugin “loyalty” with these migrations; without any, remove it."""

    def put(
        *migrations: str, table: str = "loyalty_points", deletion: str = ', ondelete="CASCADE"', more: str = ""
    ) -> None:
        files = {"plugin.py": MODEL.format(table=table, deletion=deletion) + more}
        files |= {f"migrations/{number:04}.py": text for number, text in enumerate(migrations, start=1)}
        own_plugins.write("loyalty", files if migrations else {})

    return put


@pytest.fixture
def start(own_plugins: OwnPlugins) -> Start:
    return own_plugins.start


def tables() -> set[str]:
    return {name for name in inspect(db.engine).get_table_names() if name.startswith("loyalty_")}


def problem() -> str | None:
    return state_of("loyalty").problem


def loaded() -> bool:
    return bool(hooks.manager.has_plugin("loyalty"))


ONE, TWO = FIRST.format(needs_desk="0018"), SECOND.format(then="pass")


def test_tables_are_made_by_migrate_and_asked_for_before_a_process_starts(start: Start, write: Write) -> None:
    write(ONE)
    with start():
        with pytest.raises(PluginTablesBehind, match="“loyalty” are not up to date: run “python -m webapp migrate”"):
            schema.check()
        assert schema.found() == schema.needed()  # the desk's own is not concerned
        assert schema.migrate() == {}
        schema.check()
        assert (tables(), loaded()) == ({"loyalty_points", "loyalty_alembic_version"}, True)
    write(ONE, TWO)
    with start():
        assert not schema.is_up_to_date()
        schema.migrate()
        assert schema.is_up_to_date()
        assert "loyalty_levels" in tables()


def test_a_plugin_that_is_taken_away_and_put_back_goes_on_where_it_was(start: Start, write: Write) -> None:
    write(ONE)
    with start():
        schema.migrate()
    write()
    with start():
        schema.check()
        schema.back_to("0017")  # the desk's history knows nothing of it, up and down
        assert schema.migrate() == {}
        schema.check()
        assert tables() == {"loyalty_points", "loyalty_alembic_version"}
    write(ONE, TWO)
    with start():
        with pytest.raises(PluginTablesBehind):
            schema.check()
        assert schema.migrate() == {}
        assert "loyalty_levels" in tables()


REBUILT = """with op.batch_alter_table("loyalty_levels") as batch:  # which SQLite rebuilds
        batch.add_column(sa.Column("name", sa.String()))
        batch.create_unique_constraint("uq_loyalty_levels_name", ["name"])"""
CHILDREN = """op.create_table(
        "loyalty_gifts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("level_id", sa.Integer(), sa.ForeignKey("loyalty_levels.id", ondelete="CASCADE")),
    )
    op.execute("INSERT INTO loyalty_levels (id) VALUES (1)")
    op.execute("INSERT INTO loyalty_gifts (id, level_id) VALUES (7, 1)")
    """


@pytest.mark.parametrize("at_once", [True, False])
def test_a_table_that_a_migration_rebuilds_leaves_its_children_their_rows(
    at_once: bool, start: Start, write: Write
) -> None:
    third = SECOND.replace('"2", "1"', '"3", "2"').replace('table("loyalty_levels"', 'table("loyalty_more"')
    write(ONE, SECOND.format(then=CHILDREN + REBUILT if at_once else CHILDREN))
    with start():
        assert schema.migrate() == {}
    if not at_once:
        write(ONE, SECOND.format(then=CHILDREN), third.format(then=REBUILT))
        with start():
            assert schema.migrate() == {}
    with start():
        assert "name" in [column["name"] for column in inspect(db.engine).get_columns("loyalty_levels")]
        assert db.session.execute(text("SELECT id, level_id FROM loyalty_gifts")).all() == [(7, 1)]
        if db.engine.dialect.name == "sqlite":
            assert db.session.execute(text("PRAGMA foreign_keys")).scalar() == 1


@pytest.mark.parametrize("then", ["1 / 0", "raise SystemExit(3)", 'op.execute("SELECT nothing FROM nowhere")'])
def test_a_plugin_whose_migration_fails_is_left_out_and_the_desk_starts(
    then: str, start: Start, write: Write, plugin_failures: list[Failure]
) -> None:
    write(ONE, SECOND.format(then=then))
    with start():
        [(name, why)] = schema.migrate().items()
        assert (name, loaded()) == ("loyalty", False)
        assert why.startswith("its migration to 2 failed (")
        assert tables() == set()  # either all migrations of a plugin take effect, or none
        [(place, code)] = {(one.place, one.code) for one in plugin_failures}
        assert (place, code) == ("migration", "2")
        if db.engine.dialect.name == "sqlite":  # the connection that migrated is used again
            assert db.session.execute(text("PRAGMA foreign_keys")).scalar() == 1
    plugin_failures.clear()
    with start():
        schema.check()
        assert (problem(), loaded()) == ("its migration to 2 failed", False)
    write(ONE, TWO)
    with start():
        schema.check()  # the migration, corrected since it was last tried
        assert not loaded()
    with start():
        assert schema.migrate() == {}
        schema.check()
        assert loaded()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"table": "points"}, "the name of its table points does not begin with loyalty_"),
        ({"deletion": ""}, "foreign key loyalty_points.order_id does not say what a deletion does"),
    ],
)
def test_tables_that_a_plugin_can_not_have_leave_it_out(
    given: dict[str, str], why: str, start: Start, write: Write
) -> None:
    write(ONE, **given)
    with start():
        assert why in (problem() or "")
        assert schema.migrate() == {}
        schema.check()
        assert tables() == set()
        assert "points" not in db.metadata.tables


def test_models_that_can_not_be_put_together_stop_no_query_of_the_desk(start: Start, write: Write) -> None:
    more = "from sqlalchemy.orm import relationship\n    buyer: Mapped[object] = relationship('NoSuchModel')\n"
    write(ONE, more=f"    {more}")
    with start():
        assert "NoSuchModel" in (problem() or "")
        assert schema.migrate() == {}
        assert db.session.query(AuditEntry).count() == 0


@pytest.mark.parametrize(
    ("migrations", "why"),
    [
        (["import nothing_of_that_name"], "nothing_of_that_name"),
        ([ONE, TWO, TWO.replace('"2", "1"', '"3", "1"')], "not one chain"),
        ([TWO], "not one chain"),
    ],
)
@pytest.mark.filterwarnings("ignore:Revision 1 referenced from")
def test_migrations_that_can_not_be_read_leave_the_plugin_out(
    migrations: list[str], why: str, start: Start, write: Write
) -> None:
    write(*migrations)
    with start():
        assert why in (problem() or "")
        schema.check()


def test_a_plugin_for_a_newer_desk_or_of_an_older_version_is_left_out(start: Start, write: Write) -> None:
    write(FIRST.format(needs_desk="9000"))
    with start():
        schema.check()
        assert problem() == "it needs a newer version of the desk (migration 9000)"
    write(ONE, TWO)
    with start():
        schema.migrate()
    write(ONE)
    with start():
        schema.check()
        assert problem() == "its tables were made by a newer version of it (2)"


def test_migrate_and_check_name_the_plugin_that_is_left_out(
    start: Start, write: Write, plugin_failures: list[Failure], capsys: pytest.CaptureFixture[str]
) -> None:
    write(ONE, SECOND.format(then="1 / 0"))
    with start():
        key_file().create()
        assert main(["migrate"]) == 0
        said = "The plugin “loyalty” was not loaded: its migration to 2 failed (ZeroDivisionError)."
        assert said in capsys.readouterr().err
        plugin_failures.clear()
    with start():
        main(["check"])
        out = capsys.readouterr().out
        assert "NO  plugins: not loaded: loyalty (its migration to 2 failed)" in out, out


STRAY = {
    'op.create_table("levels", sa.Column("id", sa.Integer(), primary_key=True))': (
        "the name of its table levels does not begin with loyalty_"
    ),
    """with op.batch_alter_table("orders") as batch:
        batch.add_column(sa.Column("level_id", sa.Integer()))
        batch.create_foreign_key("fk_level", "loyalty_levels", ["level_id"], ["id"])""": (
        "it makes a foreign key from orders to a table of its own"
    ),
}


@pytest.mark.parametrize("then", STRAY)
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")  # on SQLite
def test_a_migration_that_would_bind_the_desk_to_the_plugin_is_undone(
    then: str, start: Start, write: Write, plugin_failures: list[Failure]
) -> None:
    write(ONE, SECOND.format(then=then))
    with start():
        assert schema.migrate() == {"loyalty": f"its migration to 2 failed ({STRAY[then]})"}
        found = inspect(db.engine)
        assert not tables()
        assert "levels" not in found.get_table_names()
        assert "level_id" not in [column["name"] for column in found.get_columns("orders")]
    plugin_failures.clear()


def test_migrate_says_whose_tables_it_brought_up(
    start: Start, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(ONE)
    told = "The tables of the plugin “loyalty” are up to date.\n"
    with start():
        key_file().create()
        assert main(["migrate"]) == 0
        assert told in capsys.readouterr().out
        assert main(["migrate"]) == 0
        assert told not in capsys.readouterr().out


def test_copies_of_the_database_hold_the_tables_of_plugins(
    start: Start, write: Write, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, second = tmp_path_factory.mktemp("copies") / "copy", tmp_path_factory.mktemp("second")
    write(ONE)
    with start():
        if db.engine.dialect.name != "sqlite":
            pytest.skip("pg_dump copies whatever is there; tests/cli/test_backups.py restores such a copy")
        schema.migrate()
        key_file().create()
        assert main(["backup", "database", str(copy)]) == 0
    write()  # restored where the plugin is not
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(second))
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{second}/desk.db")
    configuration.cache_clear()
    assert main(["restore", "database", str(copy)]) == 0
    write(ONE)
    with application(f"sqlite:///{second}/desk.db") as app, app.app_context():
        schema.check()
        assert tables() == {"loyalty_points", "loyalty_alembic_version"}
        db.session.remove()
