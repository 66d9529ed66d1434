"""Exports in the browser: choose the content of the file, then download it at once or let a run write it."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, current_app, flash, g, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.audit.services import audit_reading
from webapp.clock import now
from webapp.db import unit_of_work
from webapp.errors import Invalid
from webapp.i18n import gettext as _
from webapp.jobs import runs
from webapp.lists import export_runs, exporting
from webapp.lists.exporting import rows_labels
from webapp.lists.listing import ALL, count_rows
from webapp.search.query import reopen
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.header_values import attach
from webapp.ui.frame.languages import language
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect
from webapp.ui.lists.chosen import Chosen
from webapp.ui.lists.subject_pages import SubjectPages

bp = Blueprint("exports", __name__)
_TYPES = {"csv": "text/csv", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
STREAMED = 50_000  # rows of the list that are streamed; a run writes larger files


class ExportPages(SubjectPages):
    """The pages for exports of one subject's list."""

    def add_to(self, bp: Blueprint) -> None:
        self.serve(bp, "GET", "/export", self.export, "orders.export")
        self.serve(bp, "POST", "/export/start", self.start_export, "orders.export")
        self.serve(bp, "GET", "/export.csv", self.stream_export, "orders.export")

    def export(self) -> str | AnyResponse:
        """The form for an export of the rows that were chosen in the list."""
        chosen = Chosen.read(self.subject)
        if not (chosen.everything or chosen.ids):
            flash(str(self.subject.words.choose), "warn")
            return redirect(chosen.list_url())
        return self._form(chosen)

    def start_export(self) -> AnyResponse:
        """Redirect to the streamed file, or start a run and redirect to the run."""
        actor, chosen, form = current_actor(), Chosen.read(self.subject), request.form
        format, rows = form.get("format", ""), form.get("rows", "")
        if format not in export_runs.FORMATS or rows not in rows_labels(self.subject):
            raise Invalid(field=_("Format"), problem=_("Choose one of the options."))
        codes = form.getlist("column")
        total, more = len(chosen.ids), False
        asked = chosen.asked(actor) if chosen.everything else None
        if chosen.everything:
            total, more = count_rows(self.subject, actor, asked, cap=STREAMED)
        if total == 0:
            flash(str(self.subject.words.choose), "warn")
            return redirect(chosen.list_url())
        if format != export_runs.XLSX and not more:
            columns = [("column", code) for code in codes]
            mark = [("mark", "1")] if format == export_runs.CSV_FOR_EXCEL else []
            params = urlencode([*chosen.fields, *columns, ("rows", rows), *mark])
            return redirect(f"{url_for('.stream_export')}?{params}", 303)
        if more:
            total, _more = count_rows(self.subject, actor, asked, cap=ALL)
        with unit_of_work():
            query = reopen(chosen.query, chosen.token, actor, subject=self.subject.code) if chosen.everything else None
            ids = None if chosen.everything else chosen.ids
            run = export_runs.start_export(
                self.subject,
                actor=actor,
                format=format,
                rows=rows,
                codes=codes,
                total=total,
                query=query,
                sort=chosen.sort or None,
                ids=ids,
            )
            run_id = run.id
        return redirect(url_for("runs.show", run_id=run_id))

    def stream_export(self) -> AnyResponse:
        """The file, streamed while its rows are read."""
        actor, chosen, args = current_actor(), Chosen.read(self.subject), request.args
        rows = args.get("rows", self.subject.code)
        if rows not in rows_labels(self.subject):
            raise Invalid(field=_("Rows"), problem=_("Choose one of the options."))
        if not chosen.ids:
            chosen = replace(chosen, everything=True)
        usual = exporting.default_columns(self.subject, actor, chosen.view)
        ids = exporting.ids_of(self.subject, actor, **chosen.where(actor))
        table = exporting.Table(self.subject, actor, rows, args.getlist("column") or usual)
        codes = [column.code for column in table.columns]
        audit_reading(
            export_runs.EXPORTED, actor=actor, format=export_runs.CSV, rows=rows, columns=codes, orders=len(ids)
        )
        parts = exporting.stream_csv(table, ids, mark=args.get("mark") == "1")
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        response = Response(_in_contexts(app, language(), parts), mimetype="text/csv")
        attach(response, _name(self.subject.code, "csv"))
        return response

    def _form(self, chosen: Chosen) -> str:
        actor = current_actor()
        total, capped = len(chosen.ids), False
        if chosen.everything:
            total, capped = count_rows(self.subject, actor, chosen.asked(actor), cap=STREAMED)
        return page(
            "lists/exports/choose.html",
            chosen=chosen,
            total=total,
            capped=capped,
            always=exporting.required_columns(self.subject, actor),
            offered=exporting.optional_columns(self.subject, actor),
            usual=exporting.default_columns(self.subject, actor, chosen.view),
            formats=export_runs.FORMATS,
            rows=rows_labels(self.subject),
            searched=self.subject,
            streamed=STREAMED,
        )


def _in_contexts(app: Flask, spoken: str, parts: Iterator[str]) -> Iterator[str]:
    """Make each part in an application context of its own, since the request ends long before a large file does."""
    while True:
        with app.app_context():
            g.locale = spoken
            part = next(parts, None)
        if part is None:
            return
        yield part


@bp.get("/runs/<int(max=2147483647):run_id>/file")
@needs("orders.export")
def fetch(run_id: int) -> AnyResponse:
    """The file of a run, for the person who started the run."""
    run = runs.find_run(run_id)
    file, export = export_runs.open_file(run, current_actor())
    ending = "xlsx" if export.format == export_runs.XLSX else "csv"
    response = Response(file.chunks(), mimetype=_TYPES[ending])
    response.call_on_close(file.close)  # also if the client doesn't read to the end
    response.content_length = file.size
    attach(response, _name(export.subject, ending))
    return response


def _name(subject: str, ending: str) -> str:
    return f"{subject}-{now():%Y-%m-%d-%H%M}.{ending}"
