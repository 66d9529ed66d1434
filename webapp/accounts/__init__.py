"""People of the desk: users with a role, their sessions, and the links that let them in for the first time."""
