"""What `make run` adds to a desk: `python -m webapp up` starts, watches and stops all of its processes on one machine.

A server whose processes are started one by one does not need it: webapp does not import this package, and the command
line loads `up` by its name when it is called (`webapp/cli/main.py`).
"""
