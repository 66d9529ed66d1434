"""What every page stands in: who is signed in, language, head, messages, live news, errors; and what goes around it."""
