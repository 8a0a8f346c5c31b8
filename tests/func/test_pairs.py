"""Each pair of servers with the whole odd content: what the client sees through wherryd is what it saw before."""

from wharf import mail, snapshot
from wharf.imap import Failure, mutf7
from wharf.servers import MAIL_ID
from wharf.world import until


def totals(status):
    """found, moved, left behind, vanished of `wherryctl status --json`."""
    m = status['messages']
    return m['found'], m['moved'], m['left_behind'], m['vanished']


def left_uids(daemon):
    """{name: {UID: entry}} of `wherryctl left-behind --json`."""
    out = {}
    for e in daemon.ctl_json('left-behind')['left_behind']:
        out.setdefault(e['mailbox'].encode(), {})[e['uid']] = e
    return out


def carry(w, old, new, refused=(), into_old=(), **options):
    """Fill, carry everything over through wherryd, compare. `refused` are bodies that new must refuse; `into_old` are
    put into the old host's INBOX as files."""
    user = w.user(old, new)
    f = mail.Filler(old, user, seed=old.name + new.name)
    f.odd(other=new.sep)
    f.close()
    for n, body in enumerate(into_old):
        mail.into_maildir(old.maildir(user), body, MAIL_ID, n)
    with old.connect(user) as c:
        before = snapshot.Account(c)
    with new.connect(user) as c:
        extra = {view_of(old, new, n) for n in snapshot.Account(c).names}
    d = w.wherryd(old, new, **options)

    with d.connect(user) as c:
        untouched(c, before, extra)
        after = snapshot.Account(c, how=b'SELECT')
    left = left_uids(d)
    snapshot.must_equal(snapshot.compare(before, after, left, extra), 'through wherryd')
    bodies = {before.mailboxes[n].messages[u].digest for n, e in left.items() for u in e}
    assert bodies == set(refused), 'left behind: %r' % left

    with old.connect(user) as c:
        snapshot.must_equal(snapshot.compare(before, snapshot.Account(c)), 'the old host afterwards')
    with new.connect(user) as c:
        direct = snapshot.Account(c)
    assert direct.digests() == after.digests(), 'the new host holds other messages than the view shows'
    found, moved, behind, vanished = totals(d.ctl_json('status'))
    assert found == moved + behind + vanished, (found, moved, behind, vanished)
    assert found == before.total() and behind == len(bodies), (found, before.total(), behind)

    # The maps are on disk: another process shows the same.
    d.stop()
    d.start()
    with d.connect(user) as c:
        again = snapshot.Account(c)
    snapshot.must_equal(snapshot.compare(after, again), 'after a restart')


def untouched(c, before, extra):
    """The tree before anything was selected, and STATUS, which is the old host's answer."""
    names = {snapshot.fold_inbox(n) for _, _, n in c.list()}
    assert set(before.names) <= names <= set(before.names) | extra, sorted(names ^ set(before.names))
    some = [n for n in before.mailboxes if n != b'INBOX'][:5]
    for name in some:
        r = c.ok([b'STATUS ', bytearray(name), b' (MESSAGES UIDNEXT UIDVALIDITY)'])
        got = r.lines(b'STATUS')[0]
        assert got[0] == name, (got, name)
        items = dict(zip(got[1][::2], got[1][1::2]))
        box = before.mailboxes[name]
        assert int(items[b'MESSAGES']) == len(box.messages), (name, items)
        assert int(items[b'UIDVALIDITY']) == box.validity, (name, items)


def view_of(old, new, name):
    """How a mailbox that only new has is likely to be called in the view."""
    if name.upper() == b'INBOX':
        return b'INBOX'
    if new.prefix and name.startswith(new.prefix):
        name = name[len(new.prefix):]
    return old.prefix + old.sep.join(name.split(new.sep))


def digest(body):
    import hashlib
    return hashlib.sha256(body).hexdigest()


def test_dovecot_dot_to_dovecot_slash(w):
    """Also: an empty file in the old Maildir, which Dovecot shows and does not take."""
    carry(w, w.dovecot('.'), w.dovecot('/', store='sdbox'), into_old=[b''], refused=[digest(b'')])


def test_dovecot_slash_to_dovecot_dot(w):
    carry(w, w.dovecot('/'), w.dovecot('.'), sign_in='same', old_tls='starttls', new_tls='implicit')


def test_courier_to_dovecot(w):
    carry(w, w.courier(), w.dovecot('/', store='sdbox'), old_tls='starttls')


def test_cyrus_to_dovecot(w):
    carry(w, w.cyrus(), w.dovecot('.'), sign_in='authzid')


def test_dovecot_to_cyrus(w):
    headerless = [b for kind, b in mail.odd_messages('x') if kind == 'headerless']
    carry(w, w.dovecot('.'), w.cyrus(), sign_in='authzid', refused=[digest(b) for b in headerless])


def test_dovecot_to_host_without_multiappend(w):
    """LITERAL+ with a window instead of MULTIAPPEND."""
    new = w.dovecot('/', capability='IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS UNSELECT CHILDREN NAMESPACE MOVE')
    carry(w, w.dovecot('.'), new)


def test_dovecot_to_bare_host(w):
    """Neither LITERAL+ nor UIDPLUS: synchronising literals, new UIDs found by matching."""
    carry(w, w.dovecot('.'), w.dovecot('/', capability='IMAP4rev1 SASL-IR NAMESPACE'))


def test_special_use(w):
    """`Sent Items` of the old host goes to what the new one has as \\Sent, under its old name in the view."""
    old, new = w.dovecot('.', sent='Sent Items'), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    w.filled(old, user, {(): 3, ('Sent Items',): 6})
    with new.connect(user) as c:
        c.ok(b'CREATE Sent')
    with old.connect(user) as c:
        before = snapshot.Account(c)
    d = w.wherryd(old, new)
    with d.connect(user) as c:
        after = snapshot.Account(c)
    snapshot.must_equal(snapshot.compare(before, after), 'through wherryd')
    with new.connect(user) as c:
        assert len(snapshot.mailbox(c, b'Sent').messages) == len(before.mailboxes[b'INBOX.Sent Items'].messages)
        assert b'Sent Items' not in snapshot.Account(c, only=()).names


def test_foreign_messages(w):
    """What new received before the copy comes after the migrated messages, once."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    w.filled(old, user, {(): 30})
    foreign = [mail.message('foreign-%d' % n) for n in range(3)]
    with new.connect(user) as c:
        for body in foreign:
            c.append(b'INBOX', body, b'\\Flagged')
    with old.connect(user) as c:
        before = snapshot.mailbox(c, b'INBOX')
    d = w.wherryd(old, new)
    with d.connect(user) as c:
        after = snapshot.mailbox(c, b'INBOX')
        new_uids = sorted(set(after.messages) - set(before.messages))
        assert len(new_uids) == 3 and new_uids[0] >= before.next, (new_uids, before.next)
        assert [after.messages[u].digest for u in new_uids] == [digest(b) for b in foreign]
        assert all(b'\\flagged' in after.messages[u].flags for u in new_uids)
        for u in new_uids:
            del after.messages[u]
        snapshot.must_equal(snapshot.compare_mailbox('INBOX', before, after), 'the migrated ones')


def test_changes_during_the_copy(w):
    """New, expunged and re-flagged messages on old while the copy runs slowly are in the view afterwards."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    f = mail.Filler(old, user)
    for n in range(40):
        f.append(b'INBOX', mail.message('slow-%d' % n, 10000))
    f.close()
    d = w.wherryd(old, w.via(new, rate=150000), new_tls='none')
    with d.connect(user) as c, old.connect(user) as side:
        tag = c.start(b'SELECT INBOX')
        until(lambda: d.new.relay.up > 100000, what='a quarter of the copy')
        side.select(b'INBOX')
        side.ok(b'UID STORE 2,39 +FLAGS (\\Flagged late)')
        side.ok(b'UID STORE 4,5,38 +FLAGS (\\Deleted)')
        side.ok(b'EXPUNGE')
        side.append(b'INBOX', mail.message('late'), b'\\Seen')
        before = snapshot.mailbox(side, b'INBOX')
        r = c.finish(tag)
        assert r.ok, r
        after = snapshot.mailbox(c, b'INBOX')
        snapshot.must_equal(snapshot.compare_mailbox('INBOX', before, after), 'after the switch')
    found, moved, behind, vanished = totals(d.ctl_json('status'))
    assert found == moved + behind + vanished, (found, moved, behind, vanished)
    assert moved == 38


test_changes_during_the_copy.limit = 60
