"""Setting up: the locks hold what pyproject.toml asks for, and the bootstrap says in one sentence what is missing."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.lock import pinned
from webapp.config import VERSION
from webapp.documents.facturx import NotInstalled

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = {
    "requirements.lock": [],
    "requirements-facturx.lock": [],
    "requirements-test.lock": ["test", "browser", "lint"],
    "requirements-setup.lock": ["setup"],
}
WITH_FACTURX = ("requirements-facturx.lock", "requirements-test.lock")


@pytest.fixture
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(bootstrap: ModuleType, tmp_path: Path):
    for lock in bootstrap.LOCKS.values():
        (tmp_path / lock).write_text("flask==3.1.3\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    return bootstrap.Environment(tmp_path)


def locked(name: str) -> dict[str, set[Version]]:
    """The versions of each package in a lock; more than one where they differ by Python."""
    found: dict[str, set[Version]] = {}
    for line in (ROOT / name).read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line):
            found.setdefault(canonicalize_name(match[1]), set()).add(Version(match[2]))
    return found


@pytest.mark.parametrize("name", GROUPS)
def test_a_lock_holds_what_was_asked_for(name: str) -> None:
    asked = [word for group in GROUPS[name] for word in PROJECT["dependency-groups"][group]]
    if "setup" not in GROUPS[name]:
        asked += PROJECT["project"]["dependencies"]
    if name in WITH_FACTURX:
        asked += PROJECT["project"]["optional-dependencies"]["facturx"]
    versions = locked(name)
    for requirement in map(Requirement, asked):
        found = versions.get(canonicalize_name(requirement.name))
        assert found, f"{requirement.name} is not in {name}: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in found), f"{requirement}: run `make lock`"


@pytest.mark.parametrize("name", GROUPS)
def test_a_lock_names_no_address_and_hashes_everything(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash)", text, re.MULTILINE)
    for requirement in text.replace("\\\n", " ").strip().splitlines():
        assert "--hash=sha256:" in requirement


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-facturx.lock"])
def test_what_the_tests_run_is_what_the_desk_runs(name: str) -> None:
    tests = locked("requirements-test.lock")
    assert {package: tests.get(package) for package in locked(name)} == locked(name)


def test_uv_takes_the_locked_versions() -> None:
    """`uv sync` resolves by itself; without these it would put other versions where `make` put the locked ones."""
    assert PROJECT["tool"]["uv"]["constraint-dependencies"] == pinned(), "run `make lock`"
    assert PROJECT["tool"]["uv"]["default-groups"] == "all"
    assert "uv.lock" in (ROOT / ".gitignore").read_text().splitlines()


def test_what_builds_a_package_is_locked() -> None:
    versions = locked("requirements-test.lock")
    for requirement in map(Requirement, PROJECT["build-system"]["requires"]):
        assert all(requirement.specifier.contains(found) for found in versions[canonicalize_name(requirement.name)])


def test_the_desk_is_a_package_of_one_version_that_holds_all_it_needs(tmp_path: Path) -> None:
    """Built from the sources without a network, as `uv sync` and `pip install` do it."""
    assert "version" not in PROJECT["project"]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.name == f"waybill-{VERSION}-py3-none-any.whl"
    packed = set(ZipFile(wheel).namelist())
    sources = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    wanted = {name for name in sources if name.split("/")[0] in ("migrations", "plugins", "supervisor", "webapp")}
    assert wanted - packed == set()
    assert not {name.split("/")[0] for name in packed} & {"bench", "tests", "tools", "var"}


def test_other_versions_in_the_environment_are_noticed(bootstrap: ModuleType, environment) -> None:
    site = environment.path / "lib" / "python3.11" / "site-packages"
    (site / "Flask-3.1.3.dist-info").mkdir(parents=True)
    (site / "an_extra_thing-1.0.dist-info").mkdir()
    assert bootstrap.versions_in(environment.root / "requirements.lock") == {"flask==3.1.3"}
    stamp = {**environment.identity(), "run": bootstrap.digest(environment.root / "requirements.lock")}
    environment.stamp_file.write_text(json.dumps({**stamp, "packages": ["flask==3.1.3"]}))
    assert environment.holds("run")
    (site / "an_extra_thing-1.0.dist-info").rename(site / "an_extra_thing-2.0.dist-info")
    assert environment.holds("run")
    (site / "Flask-3.1.3.dist-info").rename(site / "Flask-3.1.4.dist-info")
    assert not environment.holds("run")


def test_an_environment_is_kept_until_something_it_rests_on_changes(bootstrap: ModuleType, environment) -> None:
    stamp = {**environment.identity(), "run": bootstrap.digest(environment.root / "requirements.lock")}
    environment.stamp_file.write_text(json.dumps(stamp))
    assert environment.holds("run")
    assert not environment.holds("test")

    (environment.root / "requirements.lock").write_text("flask==3.1.4\n")
    assert environment.is_usable()
    assert not environment.holds("run")

    environment.stamp_file.write_text(json.dumps({**stamp, "python": "/usr/bin/python3.10"}))
    assert not environment.is_usable()


def test_a_torn_stamp_means_setting_up_again(environment) -> None:
    environment.stamp_file.write_text('{"at": ')
    assert not environment.holds("run")


def test_an_extra_is_added_to_the_desk_and_kept_up_to_date_with_it(
    bootstrap: ModuleType, environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the environment of `make run`, which has no pip of its own, and in one that was filled by pip."""
    installed: list[str] = []
    monkeypatch.setattr(bootstrap, "find_pip", lambda python: ["pip"])
    monkeypatch.setattr(bootstrap, "install_packages", lambda pip, where, lock: installed.append(lock.name))
    monkeypatch.setattr(bootstrap, "Environment", lambda root: environment)
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", "facturx"])
    assert [bootstrap.main(), bootstrap.main()] == [0, 0]
    environment.ensure("run")
    assert installed == ["requirements-facturx.lock"]

    for lock in bootstrap.LOCKS.values():
        (environment.root / lock).write_text("flask==3.1.4\n")
    environment.ensure("run")
    assert installed == ["requirements-facturx.lock"] * 2


def test_the_command_that_adds_factur_x_is_the_one_that_desk_and_guide_name() -> None:
    assert "“make facturx”" in str(NotInstalled())
    assert "\n```sh\nmake facturx\n```\n" in (ROOT / "docs" / "operators.md").read_text()
    command = ["make", "-n", "-s", "-C", str(ROOT), "facturx", "PYTHON=python3"]
    shown = subprocess.run(command, capture_output=True, text=True, env=without_make())
    assert "python3 tools/bootstrap.py facturx" in shown.stdout.splitlines()


def test_uv_is_told_what_pip_was_told(bootstrap: ModuleType) -> None:
    listed = (
        ":env:.cert='/etc/ca.pem'\n"
        "global.cert='/etc/old.pem'\n"
        "global.index-url='https://packages.example/simple'\n"
        "global.find-links='/wheels /more'\n"
        "install.no-index='true'\n"
        "freeze.timeout='10'\n"
        "global.timeout=torn'\n"
    )
    assert bootstrap.translate_pip_settings(listed) == {
        "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_DEFAULT_INDEX": "https://packages.example/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_NO_INDEX": "true",
    }


def test_an_old_python_is_told_which_one_is_needed(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "OLDEST", (99, 0))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", "run"])
    assert bootstrap.main() == 1
    assert re.fullmatch(
        r"waybill: Python 3.11 or newer is needed; this is \S+ and no newer one is on PATH\n", capsys.readouterr().err
    )


def test_a_missing_pip_is_named(bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(bootstrap.sys, "executable", str(python))
    monkeypatch.setattr(bootstrap, "BASE_PYTHON", str(python))
    with pytest.raises(bootstrap.SetupFailed, match="has no pip; install it"):
        bootstrap.find_pip(python)


def test_make_without_a_target_says_what_there_is() -> None:
    shown = subprocess.run(["make", "-s", "-C", str(ROOT)], capture_output=True, text=True, env=without_make())
    assert shown.returncode == 0
    assert {line.split()[1] for line in shown.stdout.splitlines()} >= {"run", "test", "lint", "format"}


def test_make_without_python_says_so() -> None:
    command = ["make", "-s", "-C", str(ROOT), "run", "PYTHON=no-such-python"]
    shown = subprocess.run(command, capture_output=True, text=True, env=without_make())
    assert shown.returncode == 2
    assert shown.stderr.startswith("waybill: Python 3.11 or newer is needed and no-such-python was not found\n")


def without_make() -> dict[str, str]:
    """The environment less what the make that runs these tests says to its own children."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
