"""What the Amazon plugin adds to a desk: the channel, and the practice Amazon as a process beside the desk's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugins.amazon.channel import AmazonChannel
from plugins.amazon.practice.marketplaces import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKENS
from plugins.amazon.practice.practice import FILE
from webapp.api import Channel, PracticeStore, Process, configuration, hookimpl

if TYPE_CHECKING:
    import click

PORT = 9400
ORDERS = 300  # of the practice Amazon's past
ARRIVALS = 0.5  # a minute
RATES = 60  # times Amazon's: what takes hours there takes minutes here
EDGE = 2  # seconds until a change can be searched
STORES = {"na": "Practice Amazon US", "eu": "Practice Amazon EU", "fe": "Practice Amazon JP"}


@hookimpl
def register_channels() -> list[Channel]:
    return [AmazonChannel(practice_settings=practice_settings)]


@hookimpl
def register_processes() -> list[Process]:
    practice = Process(
        name="practice-amazon",
        argv=practice_argv,
        preferred_port=PORT,
        ready_path="/practice/health",
        variables=lambda url: {"WAYBILL_PRACTICE_URL": url},
        wanted=lambda: configuration().practice,
        stores=practice_stores,
    )
    return [practice]


@hookimpl
def register_commands(cli: "click.Group") -> None:
    from plugins.amazon.filling import practice  # only a command needs it

    cli.add_command(practice)


def practice_argv(data_dir: Path, port: int) -> Sequence[str]:
    """How the practice Amazon is started; its world is founded once, since it refuses to be another afterwards."""
    home = data_dir / "practice"
    words = ["-m", "plugins.amazon.practice", "serve", "--quiet", "--port", str(port), "--data-dir", str(home)]
    words += ["--rates", str(RATES), "--edge", str(EDGE)]
    if not (home / FILE).exists():
        words += ["--orders", str(ORDERS), "--arrivals", str(ARRIVALS)]
    return words


def practice_stores(url: str) -> list[PracticeStore]:
    """One store per region, since each is an account of its own."""
    return [PracticeStore(AmazonChannel.code, name, practice_settings(url, region)) for region, name in STORES.items()]


def practice_settings(url: str, region: str = "na") -> dict[str, Any]:
    """The settings of a store at a practice Amazon that answers at this address, for its seller of a region."""
    return {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKENS[region],
        "region": region,
        "endpoint": url.rstrip("/"),
        "token_endpoint": f"{url.rstrip('/')}/auth/o2/token",
    }
