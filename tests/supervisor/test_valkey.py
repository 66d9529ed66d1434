"""The bundled Valkey: started where nothing else is, found where it runs, gone when its owner is."""

from pathlib import Path

import pytest
import redis

from supervisor import valkey
from webapp.config import LONGEST_SOCKET_PATH


def test_what_was_queued_survives_a_killed_server(tmp_path: Path) -> None:
    server = valkey.start(tmp_path)
    assert server.process is not None
    with redis.Redis.from_url(server.url) as client:
        client.rpush("queue", "job")
        client.execute_command("WAITAOF", 1, 0, 2000)
    server.process.kill()
    server.process.wait(60)

    server = valkey.start(tmp_path)
    with redis.Redis.from_url(server.url) as client:
        assert client.lrange("queue", 0, -1) == [b"job"]
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    server.stop()


def test_a_running_server_is_found_and_not_stopped(tmp_path: Path) -> None:
    first = valkey.start(tmp_path)
    second = valkey.start(tmp_path)
    assert second == valkey.ValkeyServer(first.url, None)
    second.stop()
    assert valkey.is_up(tmp_path)
    first.stop()
    assert not valkey.is_up(tmp_path)


@pytest.mark.parametrize("name", ["a folder with spaces é%", "deep" * 30])
def test_any_folder_will_do(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    assert len(bytes(valkey.socket_path(folder))) <= LONGEST_SOCKET_PATH
    server = valkey.start(folder)
    with redis.Redis.from_url(server.url) as client:
        assert client.ping()
    assert (folder / "appendonlydir").is_dir()
    server.stop()


def test_the_machines_own_server_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "redis-server"
    own.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert valkey.find_program() == own


def test_without_any_server_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    with pytest.raises(valkey.ValkeyUnavailable, match="install valkey-server or redis-server, or set REDIS_URL"):
        valkey.find_program()


def test_a_server_that_cannot_write_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    false = tmp_path / "valkey-server"
    false.write_text("#!/bin/sh\nexit 1\n")
    false.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(valkey.ValkeyUnavailable, match="could not be started"):
        valkey.start(tmp_path / "data")
