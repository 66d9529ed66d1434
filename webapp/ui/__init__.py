"""What the browser sees: a view module per domain, and around all of them language, rights, headers and error pages.

A view reads, calls a service and shows; it holds no rule of its own. The order in which the parts hook into a request
is set here and nowhere else.
"""

from flask import Flask

from webapp.ui import (
    access,
    account,
    assets,
    budget,
    bulk,
    compression,
    dashboard,
    documents,
    exports,
    failures,
    formats,
    forms,
    headers,
    health,
    htmx,
    labels,
    languages,
    live,
    order_list,  # noqa: F401 - adds the list to the routes of `orders`
    orders,
    pages,
    palette,
    panels,
    people,
    plugins,
    presence,
    proxies,
    redirects,
    request_log,
    runs,
    saved_views,
    settings,
    ship_list,
    shops,
    sign_in,
    stores,
    styleguide,
    updates,
)


def init_app(app: Flask) -> None:
    """Wire the pages to the app; raises where a route says nothing of who may use it."""
    proxies.init_app(app)
    request_log.init_app(app)
    compression.init_app(app)  # what comes later has been at the answer before it
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
        dashboard,
        documents,
        exports,
        health,
        labels,
        live,
        orders,
        palette,
        panels,
        people,
        plugins,
        presence,
        runs,
        saved_views,
        settings,
        ship_list,
        shops,
        sign_in,
        stores,
        styleguide,
        updates,
    ):
        app.register_blueprint(views.bp)
    access.check_routes(app)
