"""The outgoing mail queue, and the server that takes its mails."""
