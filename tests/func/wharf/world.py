"""What a test is given: servers that are started at the first use and shared, accounts of its own, daemons that end with
the test."""

import os
import time

from . import mail, servers
from .daemon import Wherryd
from .place import Place, tail
from .relay import Relay, Via


class World:
    def __init__(self, bin_dir, keep=False):
        self.bin = bin_dir
        self.place = Place(keep)
        self.servers = {}
        self.users = 0
        self.daemons, self.relays = [], []

    # ---- servers

    def server(self, kind, **options):
        key = (kind, tuple(sorted(options.items())))
        s = self.servers.get(key)
        if not s:
            s = self.servers[key] = kind(self.place, **options).start()
        elif not s.process.alive() or not s.up():
            s.start()
        return s

    def dovecot(self, style, **options):
        """The old and new hosts of most tests; more options make another server."""
        name = 'dot' if style == '.' else 'slash'
        return self.server(servers.Dovecot, name=name, style=style, **options)

    def cyrus(self):
        return self.server(servers.Cyrus)

    def courier(self):
        return self.server(servers.Courier)

    def user(self, *hosts):
        """A new account with password pw on these hosts."""
        for h in hosts:
            if hasattr(h, 'new_user'):
                user = h.new_user()
                break
        else:
            self.users += 1
            user = 'u%d-%d' % (os.getpid(), self.users)
        for h in hosts:
            h.add_user(user)
        return user

    # ---- what ends with the test

    def wherryd(self, old, new, start=True, **options):
        options.setdefault('level', 'debug')
        d = Wherryd(self.place, self.bin, old, new, **options)
        self.daemons.append(d)
        return d.start() if start else d

    def via(self, server, tls='none', **options):
        """The server behind a relay; .relay is the relay."""
        r = Relay(self.place, server.tls_port if tls == 'implicit' else server.port, **options)
        self.relays.append(r)
        return Via(server, r)

    def filled(self, server, user, boxes, seed=1, flags=mail.FLAGS):
        """Fill an account: boxes maps levels (a tuple, () is INBOX) to a number of messages, of which a quarter is
        expunged again."""
        f = mail.Filler(server, user, seed=seed)
        for levels, count in boxes.items():
            name = f.create(*levels) if levels else b'INBOX'
            f.messages(name, count, flags)
            if count > 3:
                f.gaps(name)
        f.close()

    def end_test(self, failed):
        """Stop what the test started; returns (complaint, log tails)."""
        complaint, logs = '', ''
        for d in self.daemons:
            if failed:
                logs += '--- %s\n%s\n' % (d.log, tail(d.log, 60))
            try:
                d.stop()
            except AssertionError as e:
                complaint += str(e) + '\n'
                if not failed:
                    logs += '--- %s\n%s\n' % (d.log, tail(d.log, 60))
        for r in self.relays:
            r.stop()
        self.daemons, self.relays = [], []
        return complaint, logs

    def close(self):
        self.place.remove()


def until(check, seconds=20, what='it'):
    """Like wait_for, for tests: an assertion fails instead."""
    end = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        assert time.monotonic() < end, 'waited %d s for %s' % (seconds, what)
        time.sleep(0.05)
