"""Sessions with two homes: mailboxes of a shared namespace stay on the old host and are served from there, and messages are
copied and moved between both hosts."""

import os

from wharf import imap, servers, snapshot
from wharf.imap import fetch_item, numbers

SHARED = '''namespace public {{
  type = public
  separator = .
  prefix = Public.
  location = maildir:{dir}
  subscriptions = yes
  list = yes
}}
'''


def shared_folder(w):
    """A folder for the old host's public namespace."""
    d = w.place.folder('public')
    os.chown(d, servers.MAIL_ID, servers.MAIL_ID)
    return d


class Scene:
    """An old host with a public namespace that has News (5 messages), and an account with INBOX (6) and A (4)."""

    def __init__(self, w, new=None, via=None, capability=None, **options):
        self.w = w
        self.old = w.dovecot('.', extra=SHARED.format(dir=shared_folder(w)), capability=capability)
        self.new = new or w.dovecot('/', store='sdbox')
        self.user = w.user(self.old, self.new)
        w.filled(self.old, self.user, {(): 6, ('A',): 4})
        with self.old.connect(self.user) as c:
            c.ok(b'CREATE Public.News')
            for i in range(5):
                c.append(b'Public.News', body(i), flags=b'\\Seen' if i == 1 else b'', date=b'0%d-Feb-2020 10:00:00 +0000' % (i + 1))
            c.select(b'Public.News')
            c.ok(b'STORE 1 +FLAGS.SILENT (\\Deleted)')
            c.ok(b'EXPUNGE')
            self.validity = int(c.select(b'Public.News').codes(b'UIDVALIDITY')[0])
        self.d = w.wherryd(self.old, via or self.new, **options)

    def connect(self):
        return self.d.connect(self.user)


def body(i):
    return b'From: a@example.org\r\nSubject: news %d\r\nMessage-ID: <news-%d@example.org>\r\n\r\nnumber %d\r\n' % (i, i, i)


def bodies(c, uids):
    """{UID: (body, instant, flags)}."""
    r = c.ok(b'UID FETCH %s (UID FLAGS INTERNALDATE BODY.PEEK[])' % uids)
    return {int(fetch_item(row, b'UID')): (bytes(fetch_item(row, b'BODY[]')), snapshot.instant(fetch_item(row, b'INTERNALDATE')),
                                           sorted(snapshot.plain_flags(fetch_item(row, b'FLAGS'))))
            for row in r.lines(b'FETCH')}


def uids(c):
    return sorted(int(n) for row in c.ok(b'UID SEARCH ALL').lines(b'SEARCH') for n in row)


def test_shared_is_served_from_old(w):
    s = Scene(w)
    with s.connect() as c:
        r = c.ok(b'NAMESPACE')
        assert b'("Public." ".")' in r.untagged[0].text, r
        names = {name for _, _, name in c.list()}
        assert b'Public.News' in names and b'INBOX.A' in names, names
        assert [n for _, _, n in c.list(pattern=b'Public.%')] == [b'Public.News']
        c.ok(b'SUBSCRIBE Public.News')
        assert b'Public.News' in {n for _, _, n in c.list(b'LSUB')}
        r = c.ok(b'LIST "" Public.* RETURN (STATUS (MESSAGES))')
        assert [x.text for x in r.untagged if x.text.startswith(b'* STATUS')] == [b'* STATUS Public.News (MESSAGES 4)'], r
        r = c.ok(b'STATUS Public.News (MESSAGES UIDNEXT UIDVALIDITY)')
        assert b'MESSAGES 4' in r.untagged[0].text and b'UIDVALIDITY %d' % s.validity in r.untagged[0].text, r
        r = c.select(b'Public.News')
        assert r.codes(b'UIDVALIDITY') == [b'%d' % s.validity], r
        assert uids(c) == [2, 3, 4, 5]
        c.ok(b'UID STORE 3 +FLAGS (\\Flagged)')
        c.append(b'Public.News', body(9))
        c.noop_until(lambda _: uids(c) == [2, 3, 4, 5, 6])
        # and back
        c.select(b'INBOX')
        inbox = uids(c)
        c.select(b'Public.News')
        assert uids(c) == [2, 3, 4, 5, 6]
        c.ok(b'CLOSE')
        c.no(b'UID FETCH 1:* FLAGS', status=b'BAD')
        c.select(b'INBOX')
        assert uids(c) == inbox
        c.no(b'RENAME Public.News Mine')
        c.ok(b'CREATE Public.More')
        c.ok(b'RENAME Public.More Public.Other')
        c.ok(b'DELETE Public.Other')
    with s.old.connect(s.user) as c:
        c.select(b'Public.News')
        assert uids(c) == [2, 3, 4, 5, 6]
        assert '\\flagged' in str(bodies(c, b'3')[3][2]).lower()
    text = s.d.ctl('account', s.user)
    assert 'Public.' in text, text


def test_shared_idle_and_pipelining(w):
    s = Scene(w)
    with s.connect() as c, s.old.connect(s.user) as o:
        c.select(b'Public.News')
        tag = c.start(b'IDLE')
        c.expect(rb'\+ ')
        o.append(b'Public.News', body(7))
        c.expect(rb'\* 5 EXISTS')
        c.send(b'DONE\r\n')
        assert c.finish(tag).ok
        c.send(b'a UID FETCH 2:3 FLAGS\r\nb STATUS INBOX (MESSAGES)\r\nc SELECT INBOX\r\nd UID SEARCH ALL\r\n'
               b'e SELECT Public.News\r\nf UID SEARCH ALL\r\ng NOOP\r\n')
        for t in (b'a', b'b', b'c', b'd', b'e', b'f', b'g'):
            assert c.finish(t).ok


def copied(r):
    """(UIDVALIDITY, {source UID: destination UID}) of a COPYUID."""
    code = [x for x in [r.code] + [b'COPYUID ' + x for x in r.codes(b'COPYUID')] if x and x.startswith(b'COPYUID')][0]
    _, validity, source, dest = code.split(b' ')
    return int(validity), dict(zip(numbers(source), numbers(dest), strict=True))


def copy_and_move(w, s):
    with s.connect() as c:
        validity = int(c.select(b'A').codes(b'UIDVALIDITY')[0]) if not s.old.prefix else \
            int(c.select(s.old.view('A')).codes(b'UIDVALIDITY')[0])
        a = s.old.view('A')
        before_a = uids(c)
        c.select(b'Public.News')
        news = bodies(c, b'1:*')
        # from old to new
        got_validity, pairs = copied(c.ok(b'UID COPY 1:3 ' + imap.quote(a)))
        assert got_validity == validity and sorted(pairs) == [2, 3], pairs
        _, more = copied(c.ok(b'COPY 4 ' + imap.quote(a)))
        assert sorted(more) == [5]
        pairs.update(more)
        assert uids(c) == [2, 3, 4, 5]
        r = c.ok(b'UID MOVE 4 ' + imap.quote(a))
        _, more = copied(r)
        pairs.update(more)
        assert [x.text for x in r.untagged if b'EXPUNGE' in x.text] == [b'* 3 EXPUNGE'], r
        assert uids(c) == [2, 3, 5]
        c.no(b'UID COPY 2 ' + imap.quote(s.old.view('nowhere')), b'TRYCREATE')
        assert not c.ok(b'UID COPY 77 ' + imap.quote(a)).code
        c.select(a)
        assert uids(c) == sorted(before_a + list(pairs.values()))
        for old_uid, uid in pairs.items():
            assert bodies(c, b'%d' % uid)[uid] == news[old_uid], (bodies(c, b'%d' % uid), news[old_uid])
        # from new to old
        own = bodies(c, b'1:*')
        got_validity, pairs = copied(c.ok(b'UID COPY 1:%d Public.News' % before_a[-1]))
        assert got_validity == s.validity and sorted(pairs) == before_a
        r = c.ok(b'MOVE 1 Public.News')
        _, moved = copied(r)
        assert list(moved) == before_a[:1]
        assert uids(c) == sorted(set(own) - set(moved))
        c.select(b'Public.News')
        assert uids(c) == sorted([2, 3, 5] + list(pairs.values()) + list(moved.values()))
        for source, dest in list(pairs.items()) + list(moved.items()):
            got = bodies(c, b'%d' % dest)[dest]
            assert got == own[source], (source, got, own[source])
    s.d.ctl('status')


def test_copy_and_move_between_homes(w):
    copy_and_move(w, Scene(w))


def test_copy_between_homes_cyrus(w):
    copy_and_move(w, Scene(w, new=w.cyrus(), sign_in='authzid'))


def test_copy_between_homes_without_multiappend(w):
    caps = 'IMAP4rev1 UIDPLUS MOVE UNSELECT IDLE NAMESPACE'
    copy_and_move(w, Scene(w, new=w.dovecot('/', store='sdbox', capability=caps)))


def test_copy_to_an_old_host_without_multiappend(w):
    copy_and_move(w, Scene(w, capability='IMAP4rev1 UIDPLUS MOVE UNSELECT IDLE NAMESPACE'))


def nothing_stored(w, new, want, **options):
    """A COPY of messages of which the destination refuses one leaves the destination as it was."""
    s = Scene(w, new=new, **options)
    with s.old.connect(s.user) as c:
        c.append(b'Public.News', body(20) + b'x' * 78 + b'\r\n' + b'y' * 300000)
        c.append(b'Public.News', body(21))
    with s.connect() as c:
        a = s.old.view('A')
        c.select(a)
        before = bodies(c, b'1:*')
        next_uid = c.ok(b'STATUS %s (MESSAGES)' % imap.quote(a)).untagged[0].text
        c.select(b'Public.News')
        for command in (b'UID COPY 1:* ', b'UID MOVE 1:* '):
            c.no(command + imap.quote(a), want)
            assert uids(c) == [2, 3, 4, 5, 6, 7]
            assert b'\\deleted' not in str(bodies(c, b'1:*')).lower().encode()
        assert c.ok(b'STATUS %s (MESSAGES)' % imap.quote(a)).untagged[0].text == next_uid
        c.select(a)
        assert bodies(c, b'1:*') == before
        _, pairs = copied(c.ok(b'UID COPY %d Public.News' % max(before)))
        assert len(pairs) == 1


def test_refused_copy_stores_nothing(w):
    nothing_stored(w, w.dovecot('/', store='sdbox', quota='200k'), b'OVERQUOTA')


def test_refused_copy_is_taken_back(w):
    """Without MULTIAPPEND some are stored before the refusal."""
    caps = 'IMAP4rev1 UIDPLUS MOVE UNSELECT IDLE NAMESPACE'
    nothing_stored(w, w.dovecot('/', store='sdbox', quota='200k', capability=caps), b'OVERQUOTA')


def test_move_out_of_what_cannot_be_changed(w):
    s = Scene(w)
    with s.connect() as c:
        c.select(s.old.view('A'))
        before = uids(c)
        c.select(b'Public.News', b'EXAMINE')
        c.no(b'MOVE 1:* ' + imap.quote(s.old.view('A')))
        assert uids(c) == [2, 3, 4, 5]
        c.select(s.old.view('A'))
        assert uids(c) == before


def test_copy_between_homes_broken_off(w):
    """The destination goes away, or the client does: nothing of the copy is there, and nothing is missing."""
    new = w.dovecot('/', store='sdbox')
    via = w.via(new)
    s = Scene(w, new=new, via=via, new_tls='none')
    with s.old.connect(s.user) as c:
        for i in range(30, 60):
            c.append(b'Public.News', body(i) + b'z' * 200000)
    a = s.old.view('A')
    with s.connect() as c:
        c.select(a)
        before = uids(c)
        c.select(b'Public.News')
        all_there = uids(c)
        via.relay.cut = via.relay.up + 3000000
        tag = c.start(b'UID COPY 1:* ' + imap.quote(a))
        # every connection to new is reset, also the session's own: it ends, with or without an answer
        c.expect(rb'(\* BYE|%s NO)' % tag)
    via.relay.rate = 2000000
    with s.connect() as c:
        c.select(b'Public.News')
        assert uids(c) == all_there
        c.start(b'UID MOVE 1:* ' + imap.quote(a))
        c.expect(rb'\* OK \[INPROGRESS')
    via.relay.rate = None
    s.d.events('session_end')
    with s.connect() as c:
        c.select(a)
        assert uids(c) == before
        c.select(b'Public.News')
        assert uids(c) == all_there


def test_shared_when_old_is_down(w):
    """What is on new goes on; what is on old says so, and the session that sits in it ends."""
    s = Scene(w)
    with s.connect() as c, s.connect() as in_it:
        c.select(b'INBOX')
        before = uids(c)
        in_it.select(b'Public.News')
        s.old.stop()
        try:
            in_it.expect(rb'\* BYE')
            c.no(b'STATUS Public.News (MESSAGES)', b'UNAVAILABLE')
            assert uids(c) == before
            c.no(b'SELECT Public.News', b'UNAVAILABLE')
            c.no(b'UID SEARCH ALL', status=b'BAD')
            c.select(b'INBOX')
            assert uids(c) == before
        finally:
            s.old.start()
