"""What the Amazon plugin adds to a desk: the channel, and the practice Amazon as a process beside the desk's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from plugins.amazon.channel import AmazonChannel
from plugins.amazon.practice.marketplaces import (
    CLIENT_ID,
    CLIENT_SECRET,
    IMAP_PORT,
    MAILBOX,
    MAILBOX_PASSWORD,
    REFRESH_TOKENS,
    SELLERS,
    SMTP_PORT,
)
from plugins.amazon.practice.practice import FILE
from webapp.api import Channel, PracticeStore, Process, configuration, hookimpl, lazy_gettext as _l

if TYPE_CHECKING:
    import click

LABEL = _l("Amazon")
ABOUT = _l(
    "Imports the orders of Amazon stores and sends shipments, cancellations, refunds and messages to Amazon. "
    "Includes a practice Amazon for training."
)
PORT = 9400
ORDERS = 300  # past orders of the practice Amazon
ARRIVALS = 0.5  # per minute
RATES = 60  # as a multiple of Amazon's: hours there become minutes here
EDGE = 2  # seconds until a search finds a change
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
        further_ports=(SMTP_PORT, IMAP_PORT),
        variables=practice_variables,
        wanted=lambda: configuration().practice,
        stores=practice_stores,
    )
    return [practice]


@hookimpl
def register_commands(cli: "click.Group") -> None:
    from plugins.amazon.filling import practice  # only one command needs it

    cli.add_command(practice)


def practice_argv(data_dir: Path, port: int, smtp_port: int, imap_port: int) -> Sequence[str]:
    """The command that starts the practice Amazon; its world is created once, since later it refuses other
    parameters.
    """
    home = data_dir / "practice"
    words = ["-m", "plugins.amazon.practice", "serve", "--quiet", "--port", str(port), "--data-dir", str(home)]
    words += ["--smtp-port", str(smtp_port), "--imap-port", str(imap_port)]
    words += ["--rates", str(RATES), "--edge", str(EDGE)]
    if not (home / FILE).exists():
        words += ["--orders", str(ORDERS), "--arrivals", str(ARRIVALS)]
    return words


def practice_variables(url: str, smtp_port: int, imap_port: int) -> dict[str, str]:
    """The addresses at which the desk finds the practice Amazon: its page, its mail server and its mailbox."""
    user, password = quote(MAILBOX, safe=""), quote(MAILBOX_PASSWORD, safe="")
    return {
        "WAYBILL_PRACTICE_URL": url,
        "WAYBILL_PRACTICE_SMTP": f"smtp://{user}@127.0.0.1:{smtp_port}",
        "WAYBILL_PRACTICE_IMAP": f"imap://{user}:{password}@127.0.0.1:{imap_port}",
    }


def practice_stores(url: str) -> list[PracticeStore]:
    """The practice stores: one per region, since each is an account of its own."""
    return [PracticeStore(AmazonChannel.code, name, practice_settings(url, region)) for region, name in STORES.items()]


def practice_settings(url: str, region: str = "na") -> dict[str, Any]:
    """The settings of a store at a practice Amazon with this URL, for its seller in a region."""
    return {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKENS[region],
        "seller_id": SELLERS[region],
        "region": region,
        "endpoint": url.rstrip("/"),
        "token_endpoint": f"{url.rstrip('/')}/auth/o2/token",
    }
