"""The web server: its threads, its loop, and its clients' sockets."""
