"""The settings and the scheduled jobs of outgoing mail."""

from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.mail.jobs import forget_mail, send_mail
from webapp.mail.queue import any_due, any_old
from webapp.mail.server import MAIL
from webapp.settings.declared import SettingsGroup


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(send_mail, every=30, due=any_due), Schedule(forget_mail, every=3600, due=any_old)]


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [MAIL]
