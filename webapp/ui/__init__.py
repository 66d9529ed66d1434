"""What the browser sees, by page family: one order, lists of orders, the desk around them, and the frame of every page.

A view reads, calls a service and shows; it has no rules of its own. The order in which the parts hook into a request is
defined only here.
"""

from flask import Flask

from webapp.ui import forms
from webapp.ui.desk import (
    account,
    dashboard,
    inbox,
    mail,
    mailboxes,
    message_templates,
    people,
    plugins,
    reports,
    roles,
    runs,
    settings,
    shops,
    statuses_and_tags,
    stores,
    styleguide,
)
from webapp.ui.frame import (
    access,
    assets,
    budget,
    compression,
    failures,
    formats,
    headers,
    health,
    htmx,
    languages,
    live,
    pages,
    palette,
    plugin_pages,
    proxies,
    redirects,
    request_log,
    sign_in,
)
from webapp.ui.lists import (
    bulk,
    calls,
    documents,
    exports,
    issued,
    order_list,  # noqa: F401 - adds the list to the routes of `order`
    outbox,
    plugin_lists,
    print_pages,  # noqa: F401 - adds pages to the routes of `documents`
    return_list,
    ship_list,
    shipment_list,
    transactions,
)
from webapp.ui.orders import order, panels, presence, received_messages, updates


def init_app(app: Flask) -> None:
    """Register the pages on the app; raises if a route does not declare who may use it."""
    proxies.init_app(app)
    request_log.init_app(app)
    compression.init_app(app)  # later handlers see the answer before earlier ones
    budget.init_app(app)
    htmx.init_app(app)
    languages.init_app(app)
    access.init_app(app)
    forms.init_app(app)
    assets.init_app(app)
    headers.init_app(app)
    redirects.init_app(app)
    failures.init_app(app)
    formats.init_app(app)
    pages.init_app(app)
    for views in (
        account,
        bulk,
        calls,
        dashboard,
        documents,
        exports,
        health,
        inbox,
        issued,
        transactions,
        live,
        mail,
        mailboxes,
        message_templates,
        order,
        outbox,
        palette,
        panels,
        people,
        plugins,
        presence,
        received_messages,
        reports,
        return_list,
        roles,
        runs,
        settings,
        ship_list,
        shipment_list,
        shops,
        sign_in,
        statuses_and_tags,
        stores,
        styleguide,
        updates,
    ):
        app.register_blueprint(views.bp)
    app.register_blueprint(issued.memos_bp)
    access.check_routes(app)
    plugin_pages.init_app(app)
    plugin_lists.init_app(app)
