"""The people of the desk: users with a role, their sessions, and the links by which they enter for the first time."""
