"""The tests' own PostgreSQL: quick to copy, and gone with the tests."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests import postgres, scratch

ROOT = Path(__file__).parents[1]
OWNER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tests import postgres
print(postgres.start().address("postgres"), flush=True)
time.sleep(600)
"""
filled: list[str] = []


def fill(address: str) -> None:
    filled.append(address)
    with create_engine(address, poolclass=NullPool).begin() as connection:
        connection.execute(text("CREATE TABLE mugs (name text)"))
        connection.execute(text("INSERT INTO mugs VALUES ('Été')"))


@pytest.mark.postgres
def test_databases_are_copies_of_a_template_filled_once() -> None:
    server = postgres.server_or_skip()
    addresses = [server.create_database(fill) for _ in range(2)]
    with create_engine(addresses[0], poolclass=NullPool).begin() as connection:
        connection.execute(text("INSERT INTO mugs VALUES ('second')"))
    with create_engine(addresses[1], poolclass=NullPool).connect() as connection:
        assert connection.execute(text("SELECT name FROM mugs")).scalars().all() == ["Été"]
    assert len(filled) == 1
    for address in addresses:
        server.drop_database(address)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(addresses[0].replace("+psycopg", ""))


@pytest.mark.postgres
def test_the_server_is_gone_when_its_tests_are_killed() -> None:
    environ = {key: value for key, value in os.environ.items() if key != "TEST_DATABASE_URL"}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(ROOT)], stdout=subprocess.PIPE, text=True, env=environ)
    assert owner.stdout is not None
    with owner.stdout:
        address = owner.stdout.readline().strip().replace("+psycopg", "")
    owner.kill()
    owner.wait()
    if not address:
        pytest.skip("there is no PostgreSQL to start")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError:
            break
        time.sleep(0.02)
    else:
        pytest.fail("PostgreSQL is still running")
    scratch.remove_the_dead()


@pytest.mark.postgres
@pytest.mark.skipif(sys.version_info >= (3, 15), reason="the wheel has none for this Python")
def test_the_programs_of_the_wheel_are_used_where_the_machine_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "installed", list)
    server = postgres.start()
    address = server.create_database(fill)
    with create_engine(address, poolclass=NullPool).connect() as connection:
        version = connection.execute(text("SHOW server_version_num")).scalar_one()
    server.stop()
    assert int(version) >= 18_00_00
