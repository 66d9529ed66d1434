"""What channels are owed: rows made in the transaction of an act, and what each kind of them means.

`sync` delivers them and learns what became of them; nothing here asks a channel.
"""
