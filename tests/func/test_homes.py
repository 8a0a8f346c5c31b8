"""Sessions with two homes: mailboxes of a shared namespace stay on the old host and are served from there, and messages are
copied and moved between both hosts."""

import os

from wharf import imap, mail, servers
from wharf.imap import fetch_item, numbers
from wharf.world import until

SHARED = '''namespace public {{
  type = public
  separator = .
  prefix = Public.
  location = maildir:{dir}
  subscriptions = no
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

    def __init__(self, w, new=None, **options):
        self.w = w
        self.old = w.dovecot('.', extra=SHARED.format(dir=shared_folder(w)))
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
        self.d = w.wherryd(self.old, self.new, **options)

    def connect(self):
        return self.d.connect(self.user)


def body(i):
    return b'From: a@example.org\r\nSubject: news %d\r\nMessage-ID: <news-%d@example.org>\r\n\r\nnumber %d\r\n' % (i, i, i)


def bodies(c, uids):
    r = c.ok(b'UID FETCH %s (UID FLAGS INTERNALDATE BODY.PEEK[])' % uids)
    return {int(fetch_item(row, b'UID')): (fetch_item(row, b'BODY[]'), fetch_item(row, b'INTERNALDATE'),
                                             sorted(fetch_item(row, b'FLAGS'))) for row in r.lines(b'FETCH')}


def uids(c):
    return sorted(int(n) for row in c.ok(b'UID SEARCH ALL').lines(b'SEARCH') for n in row)


def test_shared_is_served_from_old(w):
    s = Scene(w)
    with s.connect() as c:
        r = c.ok(b'NAMESPACE')
        assert b'("Public." ".")' in r.untagged[0].text, r
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
        assert b'\\Flagged' in bodies(c, b'3')[3][2]
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
