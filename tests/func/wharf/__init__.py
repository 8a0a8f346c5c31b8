"""What the functional tests, contrib/demo and contrib/bench share: real servers, wherryd itself, mail to
fill them with, snapshots to compare, and an IMAP client that shows everything it is told.

A wharf is where boats lie. Only Python's standard library is used.
"""
