"""Mail programs in sync with the old host find nothing to transfer through wherryd, and go on from there: four of them, for every
pair of servers."""

import threading

from wharf import imap, mail, servers, snapshot
from wharf.clients import Imapflow, Mbsync, Neomutt, Offlineimap, maildir_files, messages

from test_pairs import totals

BOXES = {(): 30, ('Archive', '2019'): 12, ('R&D',): 5, ('with space',): 4, ('Entwürfe',): 4, ('Empty',): 0}
# mbsync leaves out what is marked as deleted, and neomutt does not keep it.
FLAGS = [f for f in mail.FLAGS if b'Deleted' not in f]


class Before:
    """An account on old, and what it looked like there."""

    def __init__(self, w, old, new):
        self.w, self.old = w, old
        self.way = w.via(old, tls='implicit').relay  # neomutt's cache knows a host by its port
        self.port = self.way.port
        self.user = w.user(old, new)
        w.filled(old, self.user, BOXES, flags=FLAGS)
        with old.connect(self.user) as c:
            self.seen = snapshot.Account(c)
        self.count = self.seen.total()

    def cutover(self, d):
        """From now on the same name leads to wherryd."""
        self.way.target = d.tls_port

    def unchanged(self, d):
        with d.connect(self.user) as c:
            after = snapshot.Account(c)
        extra = {n for n in after.names if n not in self.seen.names} | {b'INBOX'}  # what only new has, or subscribes to
        snapshot.must_equal(snapshot.compare(self.seen, after, extra=extra), 'the account after the client was there')
        return after

    def news(self, d, seen):
        """A new message and a change of flags by somebody else; the UID of the changed one."""
        with d.connect(self.user) as c:
            assert c.append(b'INBOX', mail.message('to the client'), b'\\Flagged').ok
            uid = min(u for u, m in seen.mailboxes[b'INBOX'].messages.items() if b'\\answered' not in m.flags)
            c.select(b'INBOX')
            c.ok('UID STORE %d +FLAGS (\\Answered)' % uid)
        return uid


def first(client, b, nothing):
    """Into sync with the old host; the harness must see the bodies that this takes."""
    client.run(b.port)
    assert client.bodies() > 0, 'the harness does not see body fetches:\n' + client.output[:2000]
    client.run(b.port)
    nothing(client, 'not even in sync with the old host')


def quiet(client, why='transferred again'):
    assert client.bodies() == 0, '%s: bodies, %s:\n%s' % (client.name, why, '\n'.join(
        x for x in client.output.splitlines() if client.asks(x))[-3000:])


def keeps_files(client, b, d):
    """mbsync and offlineimap."""
    first(client, b, quiet)
    files, state = maildir_files(client.mail), client.state()
    assert len(files) == b.count, (len(files), b.count)
    b.cutover(d)
    for _ in range(2):
        client.run(b.port)
        quiet(client)
        assert maildir_files(client.mail) == files, 'files of the local copy changed'
        now = client.state()
        assert {k: now.get(k) for k in state} == state, 'the state files changed'
    uid = b.news(d, b.unchanged(d))
    client.run(b.port)
    assert client.bodies() == 1, client.bodies()
    assert len(maildir_files(client.mail)) == b.count + 1
    inbox = [k for k in messages(client.mail) if k.endswith('INBOX') or k == 'INBOX'][0]
    mail.into_maildir('%s/%s' % (client.mail, inbox), mail.message('from the client').replace(b'\r\n', b'\n'), 0, 1, 'S')
    client.run(b.port)
    client.run(b.port)
    with d.connect(b.user) as c:
        now = snapshot.mailbox(c, b'INBOX')
    assert len(now.messages) == len(b.seen.mailboxes[b'INBOX'].messages) + 2
    assert b'\\answered' in now.messages[uid].flags
    assert len(maildir_files(client.mail)) == b.count + 2
    flags = sorted(''.join(sorted(x for k, x in ((b'\\draft', 'D'), (b'\\flagged', 'F'), (b'\\answered', 'R'), (b'\\seen', 'S'),
                                                 (b'\\deleted', 'T')) if k in m.flags)) for m in now.messages.values())
    held = sorted(''.join(x for x in f if x in 'DFRST') for _, f in messages(client.mail)[inbox])
    assert held == flags, 'flags differ between the client and the view'


def neomutt(client, b, d):
    """Headers are cached as well as messages."""
    def nothing(client, why='transferred again'):
        quiet(client, why)
        assert client.headers() == 0, '%s: %d requests for headers' % (why, client.headers())
    first(client, b, nothing)
    b.cutover(d)
    for _ in range(2):
        client.run(b.port)
        nothing(client)
    b.news(d, b.unchanged(d))
    client.run(b.port)
    assert (client.bodies(), client.headers()) == (1, 1), (client.bodies(), client.headers())
    # and back: neomutt flags the last message
    client.run(b.port, '<last-entry><flag-message><sync-mailbox>')
    with d.connect(b.user) as c:
        now = snapshot.mailbox(c, b'INBOX')
        assert b'\\flagged' not in now.messages[max(now.messages)].flags, 'the flag was to be taken away'


def imapflow(client, b, d):
    """Asks by mod-sequence, and with QRESYNC."""
    first(client, b, quiet)
    state = client.state()
    b.cutover(d)
    for _ in range(2):
        client.run(b.port)
        quiet(client)
        said = client.said
        assert (said['changed'], said['gone'], said['whole']) == (0, 0, 0), said
        assert client.state() == state
    uid = b.news(d, b.unchanged(d))
    client.run(b.port)
    assert client.bodies() == 1 and client.said['changed'] == 1, client.said
    assert '\\Answered' in client.state()['INBOX'][1][str(uid)]['flags']
    client.run(b.port, 'flag')  # and back: it flags the last message
    with d.connect(b.user) as c:
        now = snapshot.mailbox(c, b'INBOX')
    assert b'$done' in now.messages[max(now.messages)].flags


CLIENTS = ((lambda b: Mbsync(b.w.place, b.user), keeps_files), (lambda b: Offlineimap(b.w.place, b.user), keeps_files),
           (lambda b: Neomutt(b.w.place, b.user, ('INBOX', b.old.view('Archive', '2019').decode())), neomutt),
           (lambda b: Imapflow(b.w.place, b.user), imapflow))


def in_sync(w, old, new, **options):
    """All clients at once, each with an account of its own."""
    some = [Before(w, old, new) for _ in CLIENTS]
    clients = [make(b) for b, (make, _) in zip(some, CLIENTS)]
    d = w.wherryd(old, new, **options)
    wrong = []

    def go(client, b, check):
        try:
            check(client, b, d)
        except Exception as e:
            wrong.append('%s: %s' % (client.name, e) if isinstance(e, AssertionError) else '%s: %r' % (client.name, e))
    threads = [threading.Thread(target=go, args=(c, b, check)) for c, b, (_, check) in zip(clients, some, CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(200)
    assert not any(t.is_alive() for t in threads), 'a client does not end'
    assert not wrong, '\n'.join(wrong)


def old_hosts(w):
    return {'dot': lambda: w.dovecot('.'), 'slash': lambda: w.dovecot('/'), 'courier': w.courier, 'cyrus': w.cyrus}


def pair(old, new, options):
    def test(w):
        other = {'dovecot': lambda: w.dovecot('/', store='sdbox'), 'cyrus': lambda: w.server(servers.Cyrus, name='other-cyrus')}
        in_sync(w, old_hosts(w)[old](), other[new](), **options)
    test.limit = 240
    return test


for _old in ('dot', 'slash', 'courier', 'cyrus'):
    for _new, _options in (('dovecot', {}), ('cyrus', {'sign_in': 'authzid'})):
        _more = dict(_options, old_tls='starttls') if _old == 'courier' else _options
        globals()['test_%s_to_%s' % (_old, _new)] = pair(_old, _new, _more)
