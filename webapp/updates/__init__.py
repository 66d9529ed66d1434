"""What channels are owed: rows made in the transaction of an act, and the meaning of each kind.

`sync` delivers them and finds out their results; nothing here calls a channel.
"""
