"""mbsync and offlineimap in sync with the old host find nothing to do through wherryd, and go on from there."""

from wharf import imap, mail, snapshot
from wharf.clients import Mbsync, Offlineimap, maildir_files, messages

from test_pairs import totals

BOXES = {(): 60, ('Archive', '2019'): 40, ('R&D',): 10, ('with space',): 5, ('Entwürfe',): 5, ('Empty',): 0}


def in_sync(w, make):
    """Sync with old directly; the same through wherryd transfers nothing; then a new message and a change of flags go
    both ways."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    # mbsync leaves out what is marked as deleted.
    w.filled(old, user, BOXES, flags=[f for f in mail.FLAGS if b'Deleted' not in f])
    with old.connect(user) as c:
        before = snapshot.Account(c)
    client = make(user)
    client.run(old.tls_port)
    assert client.bodies() > 0, 'the harness does not see body fetches:\n' + client.output[:2000]
    client.run(old.tls_port)
    assert client.bodies() == 0, 'not even in sync with the old host'
    files, state, count = maildir_files(client.mail), client.state(), before.total()
    assert len(files) == count, (len(files), count)

    d = w.wherryd(old, new)
    for _ in range(2):
        client.run(d.tls_port)
        assert client.bodies() == 0, 'bodies were fetched again:\n' + '\n'.join(
            x for x in client.output.splitlines() if client.asks(x))[-3000:]
        assert maildir_files(client.mail) == files, 'files of the local copy changed'
        assert client.state() == state, 'the state files changed'
    with d.connect(user) as c:
        after = snapshot.Account(c)
    snapshot.must_equal(snapshot.compare(before, after), 'the account after the client was there')
    assert totals(d.ctl_json('status'))[:2] == (count, count)

    # towards the client
    with d.connect(user) as c:
        c.append(b'INBOX', mail.message('to the client'), b'\\Flagged')
        uid = min(u for u, m in after.mailboxes[b'INBOX'].messages.items() if b'\\answered' not in m.flags)
        c.select(b'INBOX')
        c.ok('UID STORE %d +FLAGS (\\Answered)' % uid)
    client.run(d.tls_port)
    assert client.bodies() == 1, client.bodies()
    assert len(maildir_files(client.mail)) == count + 1
    # and from it
    inbox = [k for k in messages(client.mail) if k.endswith('INBOX') or k == 'INBOX'][0]
    mail.into_maildir('%s/%s' % (client.mail, inbox), mail.message('from the client').replace(b'\r\n', b'\n'), 0, 1, 'S')
    client.run(d.tls_port)
    client.run(d.tls_port)
    with d.connect(user) as c:
        now = snapshot.mailbox(c, b'INBOX')
    assert len(now.messages) == len(before.mailboxes[b'INBOX'].messages) + 2
    assert b'\\answered' in now.messages[uid].flags
    assert len(maildir_files(client.mail)) == count + 2
    flags = sorted(''.join(sorted(x for k, x in ((b'\\draft', 'D'), (b'\\flagged', 'F'), (b'\\answered', 'R'),
                                                 (b'\\seen', 'S'), (b'\\deleted', 'T')) if k in m.flags))
                   for m in now.messages.values())
    held = sorted(''.join(x for x in f if x in 'DFRST') for _, f in messages(client.mail)[inbox])
    assert held == flags, 'flags differ between the client and the view'


def test_mbsync(w):
    in_sync(w, lambda user: Mbsync(w.place, user))


def test_offlineimap(w):
    in_sync(w, lambda user: Offlineimap(w.place, user))
