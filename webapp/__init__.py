"""Waybill, the order desk: `create_app()` builds it from configuration, database, plugins and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask


def create_app() -> Flask:
    """The Flask app with the configuration of this process.

    Raises `ConfigurationProblem`. It opens no connection: the processes that serve or work check the schema first
    (`webapp.schema`).
    """
    # Imported here and not with the package: `up` supervises a desk without loading one.
    from flask import Flask
    from flask_migrate import Migrate

    from webapp import config, db, i18n, log, registrations, ui
    from webapp.accounts import hookimpls as accounts_hooks
    from webapp.audit import hookimpls as audit_hooks
    from webapp.billing import hookimpls as billing_hooks
    from webapp.catalog import hookimpls as catalog_hooks
    from webapp.channels import hookimpls as channels_hooks
    from webapp.documents import hookimpls as documents_hooks
    from webapp.fulfillment import hookimpls as fulfillment_hooks
    from webapp.hooks import discovery, fence
    from webapp.lists import hookimpls as lists_hooks
    from webapp.mail import hookimpls as mail_hooks
    from webapp.messaging import hookimpls as messaging_hooks
    from webapp.orders import hookimpls as orders_hooks
    from webapp.reporting import hookimpls as reporting_hooks
    from webapp.returns import hookimpls as returns_hooks
    from webapp.search import hookimpls as search_hooks
    from webapp.sync import hookimpls as sync_hooks
    from webapp.ui.desk import cards
    from webapp.ui.frame.routes import LateRule
    from webapp.ui.frame.templating import StrictEnvironment
    from webapp.updates import hookimpls as updates_hooks
    from webapp.vault import hookimpls as vault_hooks

    config.write_for_the_owner_alone()
    configuration = config.configuration()
    log.configure(configuration)
    app = Flask(__name__, template_folder="ui/templates", static_folder="ui/static")
    app.jinja_environment = StrictEnvironment
    app.url_rule_class = LateRule
    app.secret_key = configuration.secret_value()
    db.init_app(app, configuration.database, connections=configuration.connections)
    Migrate(app, db.db, directory=str(config.ROOT / "migrations"), render_as_batch=True)
    core = [vault_hooks, mail_hooks, accounts_hooks, audit_hooks, search_hooks, channels_hooks, catalog_hooks]
    core += [lists_hooks, orders_hooks, updates_hooks, fulfillment_hooks, billing_hooks, documents_hooks]
    core += [returns_hooks, messaging_hooks, sync_hooks, reporting_hooks, cards]
    app.extensions["waybill.plugins"] = plugins = discovery.load(core=core)
    fence.init_app(app)
    i18n.init_app(app, list(filter(None, (plugin.has("translations") for plugin in plugins))))
    ui.init_app(app)
    registrations.check_all(app)
    return app
