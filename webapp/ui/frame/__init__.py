"""The frame of every page: who is signed in, language, head, messages, live news, errors; and what surrounds a
request.
"""
