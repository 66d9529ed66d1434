"""What can be set: declared by whoever needs it, stored per desk or per store, drawn as a form by itself."""
