"""`python -m plugins.amazon.practice serve`: the practice Amazon as a process."""

import argparse
import os
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from plugins.amazon.practice.mail_servers import MailServers
from plugins.amazon.practice.marketplaces import IMAP_PORT, SMTP_PORT
from plugins.amazon.practice.practice import CHOICES, OtherWorld, Practice, Settings
from plugins.amazon.practice.server import application, bind


def parser() -> argparse.ArgumentParser:
    """The options; an option that is left out stays as the data directory has it."""
    top = argparse.ArgumentParser(prog="practice", description="A simulator of Amazon's Selling Partner API.")
    serve = top.add_subparsers(required=True).add_parser("serve", help="answer on 127.0.0.1")
    add = serve.add_argument
    add("--port", type=int, default=9400, help="0 takes a free one (default 9400)")
    add("--port-file", type=Path, help="write the port here once it answers")
    add("--smtp-port", type=int, default=SMTP_PORT, help=f"of the mail server (default {SMTP_PORT})")
    add("--imap-port", type=int, default=IMAP_PORT, help=f"of the mailbox (default {IMAP_PORT})")
    add("--data-dir", type=Path, required=True, help="holds what changed")
    add("--seed", type=int, help="which world (default 1)")
    add("--orders", type=int, help="orders of the past (default 200; a million cost nothing)")
    add("--days", type=float, help="days over which they are spread (default 30)")
    add("--arrivals", type=float, help="orders that arrive each minute from now on (default 0)")
    add("--rates", type=float, help="factor on Amazon's rates (default 1)")
    add("--edge", type=float, help="seconds after which a change shows in searches (default 120)")
    add("--token-life", type=float, help="seconds that an access token lives (default 3600)")
    add("--clock", type=float, help="seconds by which its clock is ahead (default 0)")
    add("--shuffle", action="store_true", default=None, help="search results in no particular order")
    add("--offset-paging", action="store_true", default=None, help="page tokens count orders")
    add("--unknown-words", action="store_true", default=None, help="now and then a word that no document knows")
    add("--lacks-tracking", action="store_true", default=None, help="the application lacks the role for orders")
    add("--lacks-shipping", action="store_true", default=None, help="… the role for delivery addresses")
    add("--lacks-tax", action="store_true", default=None, help="… the role for names of buyers")
    add("--lacks-finance", action="store_true", default=None, help="… the role for transactions")
    add("--lacks-communication", action="store_true", default=None, help="… the role for messages")
    add("--lacks-solicitation", action="store_true", default=None, help="… the role for review requests")
    add("--refund-after", type=float, help="seconds from a feed to its refunds, divided by --rates (default 600)")
    add("--transactions-late", type=float, help="by so much a transaction shows, divided by --rates (default 172800)")
    add("--deferred", type=float, help="seconds for which money is deferred, divided by --rates (default 0)")
    add("--answers-after", type=float, help="seconds after which buyers answer by themselves (default 0: never)")
    add("--feed-queue", type=float, help="seconds that a feed waits, divided by --rates (default 30)")
    add("--feed-processing", type=float, help="seconds for which it is processed, divided by --rates (default 60)")
    for name, words in CHOICES.items():
        add(f"--{name.replace('_', '-')}", choices=words, help=f"see Settings (default {words[0]})")
    add("--gzip-reports", action="store_true", default=None, help="processing reports are compressed")
    add("--quiet", action="store_true", help="no line per call")
    return top


def main() -> None:
    """Serve until told to stop."""
    options = parser().parse_args()
    names = [field.name for field in fields(Settings)]
    settings: dict[str, Any] = {name: value for name in names if (value := getattr(options, name)) is not None}
    try:
        practice = Practice(
            options.data_dir,
            seed=options.seed,
            orders=options.orders,
            days=options.days,
            arrivals=options.arrivals,
            settings=settings,
        )
    except OtherWorld as error:
        sys.exit(str(error))
    server = bind(application(practice), options.port, talks=not options.quiet)
    mail_servers = MailServers(practice)
    try:
        mail_servers.start(options.smtp_port, options.imap_port)
    except OSError as error:
        sys.exit(f"The servers of mail can't listen: {error}")
    if options.port_file:
        fresh = options.port_file.with_suffix(".new")
        fresh.write_text(str(server.server_port))
        os.replace(fresh, options.port_file)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
        mail_servers.stop()
        practice.close()


if __name__ == "__main__":
    main()
