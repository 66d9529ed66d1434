"""The options that `gunicorn wsgi:app` reads by itself, and with which `python -m webapp web` serves.

Options on the command line override these, so `gunicorn -b 0.0.0.0:9000 wsgi:app` does what it says.
"""

from webapp.cli.main import ends_in_a_sentence
from webapp.config import PORT, configuration
from webapp.ui.web_server.server import options

with ends_in_a_sentence():
    globals().update(options(configuration().host, configuration().port or PORT))
