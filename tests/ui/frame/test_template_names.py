"""Finding the names that templates use: what the suite holds every view against (`tests.template_names`)."""

from flask import Flask
from jinja2 import DictLoader, Environment

from tests.template_names import left_out


def test_names_are_found_in_every_branch() -> None:
    sources = {
        "page": "{% extends 'frame' %}{% set title = word %}{% block body %}{{ title }}{% if no %}{{ rare }}{% endif %}"
        "{% for one in many %}{% include 'part' %}{% endfor %}{% include 'part' %}{% endblock %}",
        "frame": "{{ title }}{% block body %}{% endblock %}{% include 'tab_' ~ tab %}",
        "part": "{{ one }}{{ perhaps|default('') }}{% with two = 2 %}{{ two }}{% endwith %}",
        "tab_a": "{% from 'macros' import written %}{{ written(a) }}",
        "macros": "{% macro written(text) %}{{ text }}{{ unseen }}{% endmacro %}",
    }
    environment = Environment(loader=DictLoader(sources), autoescape=True)

    assert left_out(environment, "page", {"tab": "a"}) == {"word", "no", "rare", "many", "one", "a", "unseen"}
    assert left_out(environment, "part", {"one": 1}) == set()


def test_what_is_drawn_once_for_all_needs_nothing(app: Flask) -> None:
    assert left_out(app.jinja_env, "macros/_keys.html", {}) == set()
