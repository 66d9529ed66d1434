"""The server that takes the desk's mail: its settings, and one conversation with it."""

import smtplib
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from email_validator import EmailNotValidError, validate_email

from webapp.errors import Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.mail import caught
from webapp.mail.plain_text import without_addresses
from webapp.settings.declared import Setting, SettingsGroup

STARTTLS, TLS, PLAIN = "starttls", "tls", "plain"
_PATIENCE = 30  # seconds for each step of the conversation
_LONGEST = 200  # letters of a server's answer that are kept


def _address(text: str) -> None:
    if text:
        try:
            ascii_address(text)
        except NoSuchAddress:
            raise ValueError(_l("This is not an e-mail address.")) from None


HOST = Setting(
    name="host",
    label=_l("Mail server"),
    compact=True,
    help=_l("The SMTP server, such as smtp.example.com. Leave this field empty to send no e-mails."),
)
PORT = Setting(name="port", label=_l("Port"), default=587, minimum=1, maximum=65535)
SECURITY = Setting(
    name="security",
    label=_l("Encryption"),
    default=STARTTLS,
    choices={STARTTLS: _l("STARTTLS (587)"), TLS: _l("TLS (465)"), PLAIN: _l("None")},
    help=_l("Choose “None” only for a server on this computer or in the same network."),
)
USER = Setting(name="user", label=_l("User name"), compact=True)
PASSWORD = Setting(name="password", label=_l("Password"), secret=True)
SENDER = Setting(name="sender", label=_l("Sender's address"), compact=True, check=_address)
SENDER_NAME = Setting(name="sender_name", label=_l("Sender's name"))
RETURNS = Setting(
    name="returns",
    label=_l("Return path"),
    compact=True,
    advanced=True,
    check=_address,
    help=_l(
        "The address to which mail servers report e-mails that they could not deliver. If empty, the sender's "
        "address is used."
    ),
)
TO_BUYERS = Setting(
    name="to_buyers",
    label=_l("Send e-mails to buyers"),
    default=True,
    help=_l("If this is off, no e-mails are sent to buyers, whatever the settings of shops and stores."),
)
MAIL = SettingsGroup(
    "mail",
    _l("Outgoing mail"),
    (HOST, PORT, SECURITY, USER, PASSWORD, SENDER, SENDER_NAME, RETURNS, TO_BUYERS),
)


class NoSuchAddress(Refusal):
    """A mail can't be addressed so, or not be from there."""

    code = "mail_address_unusable"
    sentence = _l("The recipient's address or the sender's address is not valid for e-mail. Correct the address.")


class MailNotSetUp(Refusal):
    code = "mail_not_set_up"
    sentence = _l("No mail server is set up. Enter one in the settings of the desk, under Outgoing mail.")


class ServerUnreachable(Refusal):
    """No conversation with the server began, or it ended before a mail could leave."""

    code = "mail_server_unreachable"
    sentence = _l("The mail server %(host)s can't be reached: %(problem)s")


class SignInRefused(Refusal):
    """The server does not know the user, or the password is wrong."""

    code = "mail_sign_in_refused"
    sentence = _l("The mail server %(host)s refused the user name or the password: %(answer)s")


class MailPutOff(Refusal):
    """The server does not take the mail now."""

    code = "mail_put_off"
    sentence = _l("The mail server does not accept the e-mail at the moment: %(answer)s")


class MailRefused(Refusal):
    """The server will never take the mail."""

    code = "mail_refused"
    sentence = _l("The mail server refused the e-mail: %(answer)s")


class LeftUnanswered(Refusal):
    """The server was given the text, and the conversation ended before its answer."""

    code = "mail_left_unanswered"
    sentence = _l("The mail server got the e-mail and did not answer, so the e-mail may have arrived.")


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a mail is from."""

    address: str
    name: str


def ascii_address(address: str) -> str:
    """An address as every server takes it. Raises `NoSuchAddress`."""
    try:
        found = validate_email(address, check_deliverability=False, test_environment=True).ascii_email
    except EmailNotValidError:
        found = None
    if found is None:  # letters beyond ASCII before the @, which few servers take
        raise NoSuchAddress
    return found


def is_set_up() -> bool:
    """Whether the desk can send mail."""
    return bool((HOST.of() and SENDER.of()) or caught_by())


def caught_by() -> caught.PracticeServer | None:
    """The server of a practice marketplace that catches the desk's mail. None: it leaves by the server that a person
    entered, or there is none.
    """
    return None if HOST.of() else caught.server()


def _read_settings() -> dict[str, Any]:
    """How mail leaves: the settings, or with an empty mail server those of the practice's."""
    given = MAIL.read()
    if catching := caught_by():
        sender = given["sender"] or catching.user
        given |= {"host": catching.host, "port": catching.port, "security": PLAIN, "user": "", "sender": sender}
    return given


class Conversation:
    """A conversation with the server, over which any number of mails leave."""

    def __init__(self, smtp: smtplib.SMTP, host: str, sender: Sender, returns: str) -> None:
        self._smtp, self._host, self.sender, self._returns = smtp, host, sender, returns

    def send(self, message: EmailMessage, copies: Sequence[str], leaving: Callable[[], bool]) -> None:
        """Give a mail to the server, for whom it is addressed to and for those who get blind copies; a copy that the
        server does not take is left out. `leaving` is called before the server is given the text, and may still say
        no; then nothing is sent.

        Raises `MailPutOff`, `MailRefused`, `LeftUnanswered` where nobody can know, or `ServerUnreachable` if the
        conversation ended before.
        """
        content = message.as_bytes()
        try:
            returns = self._returns or message["From"].addresses[0].addr_spec
            self._expect(*self._smtp.mail(returns), refuses=MailPutOff)  # it is not about this mail
            self._expect(*self._smtp.rcpt(message["To"].addresses[0].addr_spec))
            for address in copies:
                with suppress(NoSuchAddress):
                    self._smtp.rcpt(ascii_address(address))
        except (OSError, smtplib.SMTPException) as error:
            raise ServerUnreachable(host=self._host, problem=reason_of(error)) from None
        if not leaving():
            self._reset()
            return
        try:
            self._expect(*self._smtp.data(content))
        except smtplib.SMTPDataError as error:
            self._expect(error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException):
            raise LeftUnanswered from None

    def _expect(self, code: int, answer: bytes | str, *, refuses: type[Refusal] | None = None) -> None:
        if 200 <= code < 300:
            return
        self._reset()
        raise (refuses or (MailRefused if code >= 500 else MailPutOff))(answer=f"{code} {answer_of(answer)}")

    def _reset(self) -> None:
        with suppress(OSError, smtplib.SMTPException):
            self._smtp.rset()


@contextmanager
def conversation() -> Iterator[Conversation]:
    """A conversation with the server that takes the desk's mail. Raises `MailNotSetUp`, `NoSuchAddress` for the
    sender's, `ServerUnreachable` or `SignInRefused`.
    """
    given = _read_settings()
    host = str(given["host"])
    if not (host and given["sender"]):
        raise MailNotSetUp
    sender = Sender(ascii_address(str(given["sender"])), str(given["sender_name"]))
    returns = ascii_address(str(given["returns"])) if given["returns"] else ""
    try:
        smtp = _open(host, int(given["port"]), str(given["security"]))
    except (OSError, smtplib.SMTPException) as error:
        raise ServerUnreachable(host=host, problem=reason_of(error)) from None
    try:
        smtp.ehlo_or_helo_if_needed()
        if given["user"]:
            smtp.login(str(given["user"]), str(given["password"]))
    except smtplib.SMTPAuthenticationError as error:
        smtp.close()
        raise SignInRefused(host=host, answer=f"{error.smtp_code} {answer_of(error.smtp_error)}") from None
    except (OSError, smtplib.SMTPException) as error:
        smtp.close()
        raise ServerUnreachable(host=host, problem=reason_of(error)) from None
    try:
        yield Conversation(smtp, host, sender, returns)
    finally:
        with suppress(OSError, smtplib.SMTPException):
            smtp.quit()
        smtp.close()


def _open(host: str, port: int, security: str) -> smtplib.SMTP:
    if security == TLS:
        return smtplib.SMTP_SSL(host, port, timeout=_PATIENCE, context=ssl.create_default_context())
    smtp = smtplib.SMTP(host, port, timeout=_PATIENCE)
    if security == STARTTLS:
        try:
            smtp.starttls(context=ssl.create_default_context())
        except BaseException:
            smtp.close()
            raise
    return smtp


def reason_of(error: Exception) -> str:
    """Why a conversation failed, in the words of the error."""
    return str(getattr(error, "strerror", None) or error).strip()[:_LONGEST] or type(error).__name__


def answer_of(answer: bytes | str) -> str:
    """What a server said, without addresses: it is stored and shown."""
    return without_addresses(answer.decode(errors="replace") if isinstance(answer, bytes) else answer, _LONGEST)
