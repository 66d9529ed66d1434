"""The pages of the lists whose subjects plugins register; they are below `/lists/`, and in the menu."""

from flask import Blueprint, Flask

from webapp.hooks.failures import NotTaken
from webapp.hooks.registered import fault, owner_of
from webapp.lists.contract import Subject
from webapp.ui.frame.plugin_pages import fenced, plugin_subjects
from webapp.ui.lists.list_pages import ListPages


def init_app(app: Flask) -> None:
    with app.app_context():
        for subject in plugin_subjects():
            _mount(app, subject)


def _mount(app: Flask, subject: Subject) -> None:
    plugin = owner_of(subject)
    try:
        if subject.code in app.blueprints or subject.path:
            raise NotTaken(f"{subject.code} has a path of its own, or there are pages of that name")
        blueprint = Blueprint(subject.code, __name__)
        ListPages(subject).add_to(blueprint)
        app.register_blueprint(blueprint)
    except Exception as error:  # a plugin's subject may cause any error
        fault(plugin, "register_list_subjects", error)
        return
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith(f"{subject.code}."):
            app.view_functions[endpoint] = fenced(plugin, endpoint, view)
