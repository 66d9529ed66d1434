"""What can be set: declared by whoever needs it, stored for the desk, a shop or a store, drawn as a form by itself."""
