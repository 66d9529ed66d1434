"""The plugins of this desk: which were loaded, and why others were left out."""

from flask import Blueprint, current_app

from webapp.ui.access import needs
from webapp.ui.pages import page

bp = Blueprint("plugins", __name__, url_prefix="/plugins")


@bp.get("/")
@needs("plugins.view")
def index() -> str:
    """Every plugin that was found."""
    return page("plugins/index.html", plugins=current_app.extensions["waybill.plugins"])
