"""Feeds: how acts travel to Amazon in batches, as XML documents that Amazon processes later.

`messages` writes the document, `submitting` hands it over, `finding` finds a feed whose answer was lost, and `reports`
reads what became of it. Amazon's names are used as they are: a feed has a type, messages with ids, and a processing
report.
"""
