"""Pages that the list of every subject has; each subject serves them below its own path, on its own blueprint."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint

from webapp.audit.actor import Actor
from webapp.lists.contract import Subject
from webapp.lists.saved_views import ListState, list_state
from webapp.ui.frame.access import needs


class SubjectPages:
    """Some pages of one subject."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def serve(self, bp: Blueprint, method: str, rule: str, view: Callable[..., Any], right: str = "") -> None:
        """Serve a page to people with this right, or else the subject's. The endpoint has the method's name."""

        @wraps(view)  # a new function for each subject, since a route's declarations are attributes of its function
        def served(**values: Any) -> Any:
            return view(**values)

        bp.add_url_rule(
            f"{self.subject.base}{rule}", view.__name__, needs(right or self.subject.right)(served), methods=[method]
        )

    def list_state(self, actor: Actor, token: str = "") -> ListState:
        """What the desk stores for this person's list."""
        return list_state(actor, token, self.subject.code)
