"""Saved views in the browser: save a list under a name; rename, share, move, delete and restore views."""

from functools import cache
from typing import Any

from flask import Blueprint, flash, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.errors import Invalid, NotFound
from webapp.i18n import LANGUAGES, gettext as _, lazy_gettext as _l, spoken
from webapp.lists.contract import Subject
from webapp.lists.saved_views import (
    change_view,
    delete_view,
    move_view,
    own_view,
    restore_view,
    save_view,
    set_start_view,
    shown_columns,
)
from webapp.lists.subjects import subjects
from webapp.search.query import Query, parse, reopen
from webapp.search.registered import list_columns
from webapp.search.values import shown
from webapp.ui.forms import Form, hidden, text, tick
from webapp.ui.frame.access import current_actor
from webapp.ui.frame.pages import page, tell
from webapp.ui.frame.redirects import redirect
from webapp.ui.lists.list_request import find_view
from webapp.ui.lists.subject_pages import SubjectPages

_LIST_FIELDS = ("q", "w", "sort", "view")  # the fields that describe the list on the form's page


class ViewPages(SubjectPages):
    """The pages for saved views of one subject."""

    def add_to(self, bp: Blueprint) -> None:
        self.serve(bp, "GET", "/views/", self.views)
        self.serve(bp, "POST", "/views/", self.save_view)
        self.serve(bp, "POST", "/views/<code>", self.change_view)
        self.serve(bp, "POST", "/views/restore", self.restore_view)
        self.serve(bp, "POST", "/views/start", self.begin_with_view)

    def views(self) -> str:
        """The views that this person sees, with the person's start view."""
        return self._views_page(current_actor())

    def _views_page(self, actor: Actor, refused: str = "", problem: Invalid | None = None) -> str:
        """The page of the views; `refused` is the code of a view whose new name was refused, for the `problem`."""
        state = self.list_state(actor)
        other = subjects().get(state.starts_with)
        return page(
            "lists/views/index.html",
            start_list=other.label if other else "",
            views=list(state.views),
            queries={view.code: shown(view.query, actor, self.subject.code) for view in state.views},
            searched=self.subject,
            predefined=list(self.subject.views),
            start_view=state.start_view,
            refused=refused,
            problem=problem.values["problem"] if problem else "",
            typed=request.form,
        )

    def save_view(self) -> AnyResponse | tuple[str, int]:
        """Save the shown list under a name."""
        actor, given = current_actor(), request.form
        try:
            with unit_of_work():
                query, shared = self._shown_query(actor), "shared" in given
                shown = self._shown_columns(actor) if "columns" in given else None
                name, sort = self._checked_name(given.get("name", "")), given.get("sort", "")
                row = save_view(name, query, actor=actor, sort=sort, columns=shown, shared=shared)
                code, name, words, structured = str(row.id), row.name, bool(query.words), query.structured
        except Invalid as problem:
            form = self._save_form(actor)
            form.complain(problem)
            listed: dict[str, Any] = {name: given.get(name) or None for name in _LIST_FIELDS}
            back = url_for(".index", **listed)
            return page("lists/views/save.html", searched=self.subject, form=form, back=back), problem.status
        flash(_("Saved as “%(name)s”.", name=name), "good")
        if words:  # with their token, the saved list is shown
            return redirect(url_for(".index", q=structured, w=given.get("w") or None, view=code))
        return redirect(url_for(".index", view=code))

    def _save_form(self, actor: Actor) -> Form:
        """The form for a new view, as it was sent."""
        fields = {
            "name": text(_l("Name"), required=True, maxlength=60, autocomplete="off"),
            "columns": tick(_l("With these columns")),
        }
        if actor.may("views.share"):
            fields["shared"] = tick(_l("For everybody"))
        return Form(fields | {name: hidden() for name in _LIST_FIELDS}, request.form)

    def change_view(self, code: str) -> AnyResponse | tuple[str, int]:
        """Rename, share, move or delete a view, or replace its query by that of the shown list."""
        actor, given = current_actor(), request.form
        act = given.get("act", "")
        try:
            with unit_of_work():
                name, deleted = own_view(code, actor).name, ""
                if act == "delete":
                    deleted = delete_view(code, actor=actor)
                elif act in ("up", "down"):
                    move_view(code, -1 if act == "up" else 1, actor=actor)
                elif act == "replace":
                    change_view(code, actor=actor, query=self._shown_query(actor), sort=given.get("sort", ""))
                else:
                    new = self._checked_name(given.get("name", ""), name)
                    change_view(code, actor=actor, name=new, shared=given.get("shared") == "1")
        except Invalid as problem:
            return self._views_page(actor, code, problem), problem.status
        if act == "replace":
            flash(_("“%(name)s” now shows this list.", name=name), "good")
            return redirect(url_for(".index", view=code))
        if act == "delete":
            undo = {"url": url_for(".restore_view"), "fields": [("token", deleted)]}
            tell(_("“%(name)s” was deleted.", name=name), "info", undo)
        return redirect(url_for(".views"))

    def restore_view(self) -> AnyResponse:
        """Restore a view that was just deleted."""
        with unit_of_work():
            name = restore_view(request.form.get("token", ""), actor=current_actor()).name
        flash(_("“%(name)s” was restored.", name=name), "good")
        return redirect(url_for(".views"))

    def begin_with_view(self) -> AnyResponse:
        """Make this view the person's start view."""
        actor, code = current_actor(), request.form.get("code")
        if code is None:  # the start view is a view of another list
            return redirect(url_for(".views"))
        with unit_of_work():
            codes = {view.code for view in (*self.subject.views, *self.list_state(actor).views)}
            if code and code not in codes:
                raise NotFound(name=code)
            set_start_view(code, actor=actor, subject=self.subject.code)
        flash(_("This page is now your start page."), "good")
        return redirect(url_for(".views"))

    def _shown_query(self, actor: Actor) -> Query:
        """The query of the list on the form's page."""
        given = request.form
        view = find_view(self.subject, given.get("view", ""), self.list_state(actor).views)
        if view and not given.get("q") and not given.get("w"):
            return parse(view.text, self.subject.code)
        return reopen(given.get("q", ""), given.get("w", ""), actor, subject=self.subject.code)

    def _shown_columns(self, actor: Actor) -> list[tuple[str, int | None]]:
        """The columns of the list on the form's page, with their widths."""
        state = self.list_state(actor)
        view = find_view(self.subject, request.form.get("view", ""), state.views)
        return [
            (column.code, width)
            for column, width in shown_columns(state.layout, list_columns(self.subject.code), actor, view)
        ]

    def _checked_name(self, name: str, before: str = "") -> str:
        """Check and return a new name. Raises `Invalid` if a predefined view has this name in any language."""
        if name != before and " ".join(name.split()).casefold() in _predefined_names(self.subject):
            raise Invalid(field="name", problem=_l("A standard view has this name. Choose another name."))
        return name


@cache
def _predefined_names(subject: Subject) -> frozenset[str]:
    names = set()
    for language in LANGUAGES:
        with spoken(language):
            names |= {str(view.name).casefold() for view in subject.views}
    return frozenset(names)
