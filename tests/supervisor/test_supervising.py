"""`up` starts its processes in order, starts again what ends, and leaves nothing behind."""

import io
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor import supervising
from supervisor.ports import PortTaken, free_port
from supervisor.reaper import processes
from supervisor.supervising import Answers, Process, ProcessFailed, Supervisor

ROOT = Path(__file__).parents[2]


def python(name: str, code: str, **options: object) -> Process:
    return Process(name, [sys.executable, "-c", textwrap.dedent(code)], **options)  # type: ignore[arg-type]


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def interrupt_when(condition: Callable[[], bool]) -> None:
    """Press Ctrl-C as soon as a condition is true."""

    def press() -> None:
        wait_until(condition)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def desk(out: io.StringIO) -> Supervisor:
    return Supervisor(out=out, grace=3.0)


def test_what_is_started_next_waits_for_what_must_be_ready(desk: Supervisor, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with desk:
        desk.start(
            python(
                "first", f"import time; time.sleep(0.3); open({str(first)!r}, 'w'); time.sleep(600)", ready=first.exists
            )
        )
        assert first.exists()
        desk.start(python("second", f"open({str(second)!r}, 'w')", ready=second.exists))
        assert second.exists()


def test_lines_are_printed_under_the_name_of_their_process(desk: Supervisor, out: io.StringIO) -> None:
    with desk:
        desk.start(
            python("web", "print('hello'); import sys; print('h\\u00e9las', file=sys.stderr)", env={"PYTHONUTF8": "1"})
        )
        wait_until(lambda: out.getvalue().count("\n") == 2)
    assert out.getvalue() == "web        │ hello\nweb        │ hélas\n"


def test_ctrl_c_stops_everything_and_what_serves_others_last(desk: Supervisor, out: io.StringIO) -> None:
    polite = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("goodbye")))
        print("hello")
        time.sleep(600)
    """
    before = signal.getsignal(signal.SIGINT)
    with desk:
        desk.start(python("valkey", polite, serves_others=True))
        desk.start(python("web", polite))
        desk.start(python("practice", polite, serves_others=True))
        desk.start(python("worker", polite))
        interrupt_when(lambda: out.getvalue().count("hello") == 4)
        desk.watch()
    goodbyes = [line.split()[0] for line in out.getvalue().splitlines() if "goodbye" in line]
    assert sorted(goodbyes[:2]) == ["web", "worker"]
    assert goodbyes[2:] == ["practice", "valkey"]
    assert signal.getsignal(signal.SIGINT) is before


def test_who_does_not_stop_when_asked_is_ended(out: io.StringIO) -> None:
    pids: dict[str, int] = {}
    with Supervisor(out=out, grace=0.3, changed=pids.update) as desk:
        desk.start(
            python("deaf", "import signal, time; signal.signal(15, signal.SIG_IGN); print('hi'); time.sleep(600)")
        )
        wait_until(lambda: "hi" in out.getvalue())
        started = time.monotonic()
    assert time.monotonic() - started < 2
    assert pids["deaf"] not in processes()


def test_a_second_ctrl_c_does_not_wait(out: io.StringIO) -> None:
    with Supervisor(out=out, grace=60) as desk:
        desk.start(
            python("deaf", "import signal, time; signal.signal(15, signal.SIG_IGN); print('hi'); time.sleep(600)")
        )
        wait_until(lambda: "hi" in out.getvalue())
        interrupt_when(lambda: desk.stopping)
        started = time.monotonic()
    assert time.monotonic() - started < 5


def test_what_ends_is_started_again_later_each_time(
    desk: Supervisor, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "FIRST_PAUSE", 0.01)
    seen: list[dict[str, int]] = []
    desk.changed = seen.append
    with desk:
        desk.start(python("worker", "raise SystemExit(3)"))
        interrupt_when(lambda: out.getvalue().count("starting again") == 3)
        desk.watch()
    assert out.getvalue().splitlines()[:3] == [
        f"worker     │ ended with status 3, starting again in {pause} s" for pause in ("0.01", "0.02", "0.04")
    ]
    assert len({pids["worker"] for pids in seen}) >= 3


def test_the_end_of_what_all_need_is_the_end_of_all(desk: Supervisor) -> None:
    with desk:
        desk.start(python("valkey", "", restart=False))
        with pytest.raises(ProcessFailed, match=r"^valkey ended with status 0\.$"):
            desk.watch()


def test_a_process_that_ends_while_starting_fails_the_start(desk: Supervisor, out: io.StringIO) -> None:
    with pytest.raises(ProcessFailed, match="web ended with status 1 while it was starting"), desk:
        desk.start(python("web", "raise SystemExit('WAYBILL_SECRET is missing')", ready=lambda: False))
    assert "web        │ WAYBILL_SECRET is missing" in out.getvalue()


def test_a_process_that_does_nothing_fails_the_start(desk: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "STUCK_AFTER", 1.0)
    with pytest.raises(ProcessFailed, match="web is not ready and has done nothing for 1 seconds"), desk:
        desk.start(python("web", "import time; time.sleep(600)", ready=lambda: False))


def test_being_asked_is_no_progress(desk: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "STUCK_AFTER", 2.0)
    monkeypatch.setattr(supervising, "LEAST_PROGRESS", 0.02)
    port = free_port(18100, explicit=False)
    code = f"""
        import http.server, time
        began = time.monotonic()

        class Busy(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                end = time.process_time() + 0.03
                while time.process_time() < end:
                    pass
                self.send_response(503 if time.monotonic() < began + 10 else 200)
                self.end_headers()

            def log_message(self, *_):
                pass

        http.server.HTTPServer(("127.0.0.1", {port}), Busy).serve_forever()
    """
    with pytest.raises(ProcessFailed, match="web is not ready and has done nothing for 2 seconds"), desk:
        desk.start(python("web", code, ready=Answers(f"http://127.0.0.1:{port}/")))


@pytest.mark.parametrize(
    "work", ["while time.monotonic() < end: pass", "while time.monotonic() < end: print('step'); time.sleep(0.3)"]
)
def test_a_process_that_gets_on_may_take_its_time(
    work: str, desk: Supervisor, out: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "STUCK_AFTER", 3.0)
    monkeypatch.setattr(supervising, "LEAST_PROGRESS", 0.02)
    monkeypatch.setattr(supervising, "REPORT_EVERY", 1.0)
    there = tmp_path / "there"
    code = f"import time; end = time.monotonic() + 4\n{work}\nopen({str(there)!r}, 'w'); time.sleep(600)"
    with desk:
        desk.start(python("web", code, ready=there.exists))
    assert "web        │ still starting, after" in out.getvalue()


def test_who_finishes_something_is_waited_for_and_told_of(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "REPORT_EVERY", 0.2)
    finishes = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit(print("done"))))
        print("hello")
        time.sleep(600)
    """
    with Supervisor(out=out, grace=30.0) as desk:
        desk.start(python("worker", finishes))
        wait_until(lambda: "hello" in out.getvalue())
    assert "worker: finishing what is under way" in out.getvalue()
    assert "worker     │ done" in out.getvalue()


def test_time_as_ps_writes_it_is_read() -> None:
    assert [supervising._seconds(text) for text in ("0:01.50", "02:03", "1-02:03:04")] == [1.5, 123.0, 93784.0]


def test_nothing_is_left_when_the_supervisor_is_killed_outright(tmp_path: Path) -> None:
    up = f"""
import sys, os, pathlib
sys.path.insert(0, {str(ROOT)!r})
from supervisor.supervising import Process, Supervisor
worker = "import os, time; os.fork() or os.setsid(); open({str(tmp_path)!r} + f'/{{os.getpid()}}', 'w'); time.sleep(99)"
with Supervisor() as desk:
    desk.start(*[Process(name, [sys.executable, "-c", worker]) for name in ("web", "worker")])
    desk.watch()
"""
    owner = subprocess.Popen([sys.executable, "-c", up])
    wait_until(lambda: len(list(tmp_path.iterdir())) == 4)
    pids = {int(path.name) for path in tmp_path.iterdir()}
    owner.kill()
    owner.wait()
    wait_until(lambda: not pids & processes().keys())


def test_readiness_by_address() -> None:
    port = free_port(18000, explicit=False)
    ready = Answers(f"http://127.0.0.1:{port}/")
    assert not ready()
    with Supervisor(out=io.StringIO()) as desk:
        server = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
        desk.start(Process("web", server, ready=ready))
        assert ready()
        assert not Answers(f"http://127.0.0.1:{port}/missing")()


def test_a_taken_port_moves_on_unless_it_was_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert free_port(taken, explicit=False) > taken
        assert free_port(taken, explicit=False, avoid=[taken + 1]) > taken + 1
        with pytest.raises(PortTaken, match=f"Port {taken} on 127.0.0.1 is taken"):
            free_port(taken, explicit=True)
    assert free_port(taken, explicit=True) == taken


def test_one_that_is_given_up_ends_and_the_others_go_on(desk: Supervisor) -> None:
    with desk:
        desk.start(python("stays", "import time; time.sleep(600)"), python("goes", "import time; time.sleep(600)"))
        [stays, goes] = [running for group in desk.groups for running in group]
        desk.give_up("goes")
        assert goes.owned.poll() is not None
        assert stays.owned.poll() is None
        assert [running.process.name for group in desk.groups for running in group] == ["stays"]
