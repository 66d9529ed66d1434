"""How old a store's credentials are, and when they expire.

A setting that lasts (`Setting.lasts_days`) has a day of issue beside it: the day on which it was last entered, until
somebody enters another. Of a credential from before the desk kept such days it is unknown until somebody enters it.
Practice stores have no such days.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from webapp.channels.models import Store
from webapp.channels.services import CONNECTION
from webapp.clock import now
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l, ngettext
from webapp.settings.declared import STORE, Setting, SettingsGroup
from webapp.settings.stored import write_values

STEPS = (30, 14, 3)  # days before its end at which a warning gets louder


def _lasting(store: Store) -> Sequence[Setting[Any]]:
    return [] if store.practice else [one for one in CONNECTION.declared(store) if one.lasts_days]


def _settings(store: Store) -> Sequence[Setting[Any]]:
    return [
        Setting(
            name=one.name,
            label=_l("%(name)s: day of issue", name=one.label),
            help=_l(
                "The credential expires %(days)s days after this day. If the field is empty, the day is not known.",
                days=one.lasts_days,
            ),
            day=True,
            check=_not_ahead,
        )
        for one in _lasting(store)
    ]


def _not_ahead(day: str) -> None:
    if day and date.fromisoformat(day) > now().date() + timedelta(days=1):  # in some zones it is tomorrow already
        raise ValueError(_("The day can't be in the future."))


AGES = SettingsGroup("ages", _l("Age of the credentials"), _settings, scope=STORE)


@dataclass(frozen=True, slots=True)
class Age:
    """A credential of a store with its days of issue and of end; both None if the desk does not know them."""

    name: str
    label: LazyString | str
    since: date | None
    expires: date | None

    @property
    def days_left(self) -> int | None:
        """The days until it expires, below zero once it has; None if that is unknown."""
        return None if self.expires is None else (self.expires - now().date()).days

    @property
    def tone(self) -> str:
        """How loud its warning is: empty if there is none, then info, warn and bad."""
        left = self.days_left
        if left is None:
            return "info"
        if left > STEPS[0]:
            return ""
        return "info" if left > STEPS[1] else "warn" if left > STEPS[2] else "bad"

    @property
    def warning(self) -> str:
        """The warning as a sentence; empty as long as there is time."""
        left = self.days_left
        if not self.tone:
            return ""
        if left is None:
            words = _("%(name)s: the day of issue is not known. Enter the day.", name=self.label)
        elif left > 0:
            words = ngettext(
                "%(name)s expires in %(num)s day. Get a new one and enter it.",
                "%(name)s expires in %(num)s days. Get a new one and enter it.",
                left,
                name=self.label,
            )
        elif left == 0:
            words = _("%(name)s expires today. Get a new one and enter it.", name=self.label)
        else:
            words = _(
                "%(name)s has expired and may be refused at any time. Get a new one and enter it.", name=self.label
            )
        return str(words)


def ages_of(store: Store) -> list[Age]:
    """The ages of a store's credentials; none for an archived store, or one for practice."""
    lasting = [] if store.archived_at is not None else _lasting(store)
    if not lasting:
        return []
    kept, days = CONNECTION.stored(store), AGES.read(store)
    return [_age(one, days[one.name]) for one in lasting if one.name in kept]


def _age(setting: Setting[Any], day: str) -> Age:
    since = date.fromisoformat(day) if day else None
    return Age(setting.name, setting.label, since, since and since + timedelta(days=setting.lasts_days))


def warnings_of(store: Store) -> list[Age]:
    """The credentials of a store that expire soon, have expired, or were issued on a day that nobody entered."""
    return [age for age in ages_of(store) if age.tone]


def entered(store: Store, names: Collection[str]) -> None:
    """Record that these settings of a store's connection were entered today."""
    today = now().date().isoformat()
    if values := {one.name: today for one in _lasting(store) if one.name in names}:
        write_values(AGES.scope, store.id, AGES.code, values, [])
