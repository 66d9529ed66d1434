"""The desk for any WSGI server: `gunicorn wsgi:app`, with `gunicorn.conf.py` beside it, and for developers `flask run`.

It is the app that `python -m webapp web` serves, and like that command it ends with one sentence if it could not work:
on another schema, without its keys, without its queue. Beside a desk that `up` runs it is that desk.
"""

from webapp.cli.door import join_running_desk
from webapp.cli.main import ends_in_a_sentence
from webapp.cli.processes import app_to_serve

with ends_in_a_sentence():
    join_running_desk()
    app = app_to_serve()
