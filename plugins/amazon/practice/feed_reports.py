"""The processing report of a feed, in Amazon's XML, and how marks spoil it."""

from dataclasses import dataclass, replace
from typing import Final
from xml.sax.saxutils import escape

from plugins.amazon.practice.feed_life import Feed

ENVELOPE: Final = """<?xml version="1.0" encoding="UTF-8"?>
<AmazonEnvelope xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="amzn-envelope.xsd">
  <Header>
    <DocumentVersion>1.02</DocumentVersion>
    <MerchantIdentifier>{seller}</MerchantIdentifier>
  </Header>
  <MessageType>ProcessingReport</MessageType>
  <Message>
    <MessageID>1</MessageID>
    <ProcessingReport>
      <DocumentTransactionID>{feed_id}</DocumentTransactionID>
      <StatusCode>Complete</StatusCode>
      <ProcessingSummary>
        <MessagesProcessed>{processed}</MessagesProcessed>
        <MessagesSuccessful>{successful}</MessagesSuccessful>
        <MessagesWithError>{errors}</MessagesWithError>
        <MessagesWithWarning>{warnings}</MessagesWithWarning>
      </ProcessingSummary>
{results}    </ProcessingReport>
  </Message>
</AmazonEnvelope>
"""
RESULT: Final = """      <Result>
        <MessageID>{id}</MessageID>
        <ResultCode>{word}</ResultCode>
        <ResultMessageCode>{code}</ResultMessageCode>
        <ResultDescription>{sentence}</ResultDescription>
      </Result>
"""
WARNING: Final = (18080, "The message was carried out. Your data may be out of date; please download the order again.")
FOREIGN: Final = (18028, "The order cannot be found.")


@dataclass(frozen=True)
class Result:
    """What became of one message; without a code it was carried out and nothing is said."""

    message_id: int
    code: int = 0
    sentence: str = ""
    warning: bool = False

    @property
    def is_error(self) -> bool:
        """Whether it was not carried out."""
        return bool(self.code) and not self.warning


@dataclass(frozen=True)
class Report:
    """A report's numbers and its results."""

    processed: int
    successful: int
    errors: int
    warnings: int
    results: tuple[Result, ...] = ()


def report_of(results: list[Result]) -> Report:
    """The report of messages that were processed, each with its result."""
    errors, warnings = sum(one.is_error for one in results), sum(one.warning for one in results)
    named = tuple(one for one in results if one.code)
    return Report(len(results), len(results) - errors, errors, warnings, named)


def rejection(error: Result, processed: Report | None = None) -> Report:
    """The report of a feed that was given up with an error, after some messages or before the first."""
    before = processed or Report(0, 0, 0, 0)
    return replace(before, errors=before.errors + 1, results=(*before.results, error))


def spoiled(report: Report, mark: str | None, highest_id: int) -> Report:
    """The report as a mark makes it; `highest_id` is the highest message id of the feed."""
    if mark == "report_miscounted":
        return replace(report, errors=report.errors + 1)
    if mark == "report_too_few":
        return replace(report, processed=report.processed - 1)
    if mark == "report_foreign_message":
        foreign = Result(highest_id + 1000, *FOREIGN)
        successful = max(report.successful - 1, 0)
        return replace(report, successful=successful, errors=report.errors + 1, results=(*report.results, foreign))
    return report


def written(feed: Feed, report: Report) -> str:
    """The report as XML."""
    results = [
        RESULT.format(
            id=one.message_id,
            word="Warning" if one.warning else "Error",
            code=one.code,
            sentence=escape(one.sentence),
        )
        for one in report.results
    ]
    return ENVELOPE.format(
        seller=feed.seller,
        feed_id=feed.id,
        processed=report.processed,
        successful=report.successful,
        errors=report.errors,
        warnings=report.warnings,
        results="".join(results),
    )
