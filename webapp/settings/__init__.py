"""What can be set: declared where it is needed, stored for the desk, a shop or a store, drawn as a form."""
