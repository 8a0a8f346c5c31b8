"""The harness against itself: the servers take the odd tree and show it unchanged, and a difference is found."""

from wharf import mail, snapshot


def servers(w):
    return [w.dovecot('.'), w.dovecot('/', store='sdbox'), w.cyrus(), w.courier()]


def test_servers_and_snapshots(w):
    for s in servers(w):
        user = w.user(s)
        f = mail.Filler(s, user, seed=7)
        names = f.odd(b'.' if s.sep == b'/' else b'/', big=1 << 20)
        f.close()
        with s.connect(user, tls='implicit') as c:
            a = snapshot.Account(c)
        with s.connect(user, tls='starttls') as c:
            b = snapshot.Account(c, how=b'SELECT')
        assert set(names) <= set(a.names) and a.total() > 200
        snapshot.must_equal(snapshot.compare(a, b), s.name)


def test_differences_are_found(w):
    s = w.dovecot('/', store='sdbox')
    user = w.user(s)
    w.filled(s, user, {(): 10, ('A',): 5})
    with s.connect(user) as c:
        a = snapshot.Account(c)
        c.select(b'INBOX')
        last = max(a.mailboxes[b'INBOX'].messages)
        first = min(a.mailboxes[b'INBOX'].messages)
        c.ok('UID STORE %d +FLAGS (changed)' % last)
        c.ok('UID STORE %d +FLAGS (\\Deleted)' % first)
        c.ok('UID EXPUNGE %d' % first)
        c.append(b'A', mail.message('more'))
        c.ok(b'CREATE B')
        b = snapshot.Account(c)
    found = '\n'.join(snapshot.compare(a, b))
    for part in ('UID %d is missing' % first, 'UID %d: flags' % last, 'A: UID 6 is new', "b'B' is listed in addition"):
        assert part in found, found
