"""Both hosts go on living while a mailbox is copied: mail is delivered to the new one, and people work on either directly."""

import random
import re
import smtplib
import threading

from wharf import imap, mail, snapshot
from wharf.world import until

LMTP = '''protocols = imap lmtp
auth_username_format = %Ln
postmaster_address = postmaster@new.test
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
'''


def many(server, user, count, seed, size=0):
    """Fill INBOX in few commands, for a server with MULTIAPPEND and LITERAL+; every tenth message is expunged again."""
    with server.connect(user) as c:
        for first in range(0, count, 100):
            parts = []
            for n in range(first, min(first + 100, count)):
                body = mail.message('%s-%d' % (seed, n), size)
                parts.append(b' (%s) "%s" {%d+}\r\n%s' % (mail.FLAGS[n % len(mail.FLAGS)], mail.DATES[n % len(mail.DATES)],
                                                       len(body), body))
            c.ok(b'APPEND INBOX' + b''.join(parts))
        c.select(b'INBOX')
        gone = b','.join(b'%d' % n for n in range(5, count, 10))
        c.ok(b'UID STORE %s +FLAGS.SILENT (\\Deleted)' % gone)
        c.ok(b'UID EXPUNGE %s' % gone)
        return snapshot.mailbox(c, b'INBOX')


class Deliveries:
    """A message every 50 ms over LMTP, each with a number."""

    def __init__(self, port, user):
        self.port, self.user = port, user
        self.count, self.failed, self.ended = 0, None, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            with smtplib.LMTP('127.0.0.1', self.port) as c:
                while not self.ended.wait(0.05):
                    c.sendmail('mx@example.org', [self.user + '@new.test'],
                               b'Message-ID: <mx-%d@example.org>\r\nSubject: delivered\r\n\r\nnumber %d\r\n'
                               % (self.count, self.count))
                    self.count += 1
        except Exception as e:
            self.failed = e

    def stop(self):
        self.ended.set()
        self.thread.join(20)
        assert not self.failed and not self.thread.is_alive(), self.failed
        return self.count


def by_id(c, how=b'EXAMINE'):
    """{Message-ID: (UID, flags, instant)} of INBOX; no Message-ID comes twice."""
    c.select(b'INBOX', how)
    out = {}
    for row in c.ok(b'UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])').lines(b'FETCH'):
        found = re.search(rb'<([^>]*)>', bytes(imap.fetch_item(row, b'BODY[HEADER.FIELDS (MESSAGE-ID)]') or b''))
        if found:
            assert found.group(1) not in out, '%r is there twice' % found.group(1)
            out[found.group(1)] = (int(imap.fetch_item(row, b'UID')), snapshot.plain_flags(imap.fetch_item(row, b'FLAGS')),
                                   snapshot.instant(imap.fetch_item(row, b'INTERNALDATE')))
    return out


def open_until_moved(d, user, seconds=60):
    def once():
        with d.connect(user) as c:
            return c.cmd(b'SELECT INBOX').ok
    until(once, seconds, 'the mailbox to be moved')


def in_background(what):
    t = threading.Thread(target=what, daemon=True)
    t.start()
    return t


def counts(d, user):
    u = [m for m in d.ctl_json('account', user)['mailboxes'] if m['name'] == 'INBOX'][0]
    assert u['state'] == 'moved' and u['found'] == u['moved'] + u['left_behind'] + u['vanished'], u
    return u


def test_delivered_to_new_all_the_while(w):
    """Before and during the copy of 5,000 messages: none is lost, none is there twice, and all stand behind what was moved, in
    the order in which they came."""
    old, port = w.dovecot('.'), w.place.port()
    new = w.dovecot('/', store='sdbox', extra=LMTP.format(port=port))
    user = w.user(old, new)
    before = many(old, user, 5556, 'foreign', 700)
    assert len(before.messages) == 5000, len(before.messages)
    mx = Deliveries(port, user)
    until(lambda: mx.count >= 20 or mx.failed, what='the first deliveries')
    with new.connect(user) as c:
        c.select(b'INBOX')
        c.ok(b'STORE 3:5 +FLAGS.SILENT (\\Flagged key)')
        early = by_id(c)
    d = w.wherryd(old, new, more={'copy': 'uid_headroom = 1000\n'})
    began = mx.count
    open_until_moved(d, user)
    during = mx.count - began
    total = mx.stop()
    assert during >= 10, 'only %d were delivered during the copy' % during
    with d.connect(user) as c:
        after = snapshot.mailbox(c, b'INBOX')
        ids = by_id(c)
    top = max(before.messages)
    assert list(after.messages.items())[:5000] == list(before.messages.items()), 'what was moved is not as it was'
    delivered = {u for u in after.messages if u > top}
    assert len(after.messages) == 5000 + total and min(delivered) >= before.next, (len(after.messages), total)
    uids = [ids[b'mx-%d@example.org' % n][0] for n in range(total)]
    assert set(uids) == delivered
    # What comes in the moment in which the others are carried stands before them: the host does not know it yet when it begins.
    hasty = [n for n in range(1, total) if max(uids[:n]) > uids[n]]
    carried = len(d.events('foreign_carried'))
    assert len(hasty) <= 3 * carried, (carried, hasty)
    for key, (_, flags, date) in early.items():
        assert ids[key][1:] == (flags, date), (key, ids[key], flags, date)
    assert sum(b'\\flagged' in ids[key][1] and b'key' in ids[key][1] for key in early) == 3
    with new.connect(user) as c:
        assert len(snapshot.mailbox(c, b'INBOX', bodies=False).messages) == 5000 + total
    u = counts(d, user)
    assert (u['moved'], u['left_behind'], u['vanished']) == (5000, 0, 0), u


class OldClient:
    """Appends, expunges and flags on the old host, but not the first `spared` messages."""

    def __init__(self, server, user, spared, seed):
        self.c = server.connect(user)
        self.c.select(b'INBOX')
        self.r = random.Random('works on %s' % seed)
        self.spared, self.rounds = spared, 0

    def uids(self):
        return [int(n) for row in self.c.ok(b'UID SEARCH ALL').lines(b'SEARCH') for n in row][self.spared:]

    def round(self):
        self.rounds += 1
        c, r = self.c, self.r
        for n in range(r.randint(0, 2)):
            body = mail.message('round-%d-%d' % (self.rounds, n), 400)
            assert c.append(b'INBOX', body, r.choice(mail.FLAGS), r.choice(mail.DATES)).ok
        for how in (b'+', b'-', b''):
            picked = sorted(r.sample(self.uids(), 5))
            flags = r.choice((b'\\Seen', b'\\Flagged', b'\\Answered', b'key', b'\\Draft other', b'\\Seen'))
            c.ok(b'UID STORE %s %sFLAGS.SILENT (%s)' % (b','.join(b'%d' % u for u in picked), how, flags))
        gone = b','.join(b'%d' % u for u in sorted(r.sample(self.uids(), 2)))
        c.ok(b'UID STORE %s +FLAGS.SILENT (\\Deleted)' % gone)
        c.ok(b'UID EXPUNGE %s' % gone)


def changed_on_new(new, user, ids):
    """What a person does at the new host itself, to messages that are there already: {Message-ID: flags, None: deleted}."""
    with new.connect(user) as c:
        have = by_id(c, b'SELECT')
        done = {}
        for key in ids:
            uid, flags, _ = have[key]
            n = len(done)
            if n == 3:
                c.ok(b'UID STORE %d +FLAGS.SILENT (\\Deleted)' % uid)
                c.ok(b'UID EXPUNGE %d' % uid)
                done[key] = None
            elif n % 3 == 0:
                c.ok(b'UID STORE %d FLAGS.SILENT (mine)' % uid)
                done[key] = frozenset([b'mine'])
            elif n % 3 == 1:
                c.ok(b'UID STORE %d +FLAGS.SILENT (\\Seen \\Flagged)' % uid)
                done[key] = flags | {b'\\seen', b'\\flagged'}
            else:
                c.ok(b'UID STORE %d -FLAGS.SILENT (\\Seen)' % uid)
                done[key] = flags - {b'\\seen'}
    return done


def work_on_both(w, new, sign_in='master'):
    old = w.dovecot('.')
    user = w.user(old, new)
    before = many(old, user, 900, 'delta', 1500)
    with old.connect(user) as c:
        first = sorted(by_id(c).items(), key=lambda x: x[1][0])[:20]
    d = w.wherryd(old, w.via(new, rate=400000), new_tls='none', sign_in=sign_in, more={'copy': 'batch_messages = 50\n'})
    relay = d.new.relay
    copying = in_background(lambda: open_until_moved(d, user))
    client = OldClient(old, user, 40, 'delta')
    until(lambda: relay.up > 200000, what='the copy to be at work')
    done = changed_on_new(new, user, [key for key, _ in first])
    while relay.up < 900000:
        assert not d.events('moved'), 'the copy was over before its test'
        client.round()
    client.c.logout()
    relay.rate = None
    copying.join(60)
    with old.connect(user) as c:
        final, ids = snapshot.mailbox(c, b'INBOX'), by_id(c)
    assert client.rounds > 5 and len(final.messages) > 500 and final.next > before.next, client.rounds
    for key, flags in done.items():
        uid = ids[key][0]
        if flags is None:
            del final.messages[uid]
        else:
            final.messages[uid].flags = flags
    d.new = new
    with d.connect(user) as c:
        after = snapshot.mailbox(c, b'INBOX')
    snapshot.must_equal(snapshot.compare_mailbox('INBOX', final, after), 'through wherryd')
    u = counts(d, user)
    assert (u['moved'], u['left_behind']) == (len(final.messages), 1), u
    # What was deleted on new might have been lost there: it is kept, and told of.
    left = d.ctl_json('left-behind')['left_behind']
    assert [x['uid'] for x in left] == [first[3][1][0]], left
    assert len(d.events('lost_on_new')) >= 1


def test_people_work_on_both(w):
    work_on_both(w, w.dovecot('/', store='sdbox'))


def test_people_work_on_both_cyrus(w):
    work_on_both(w, w.cyrus(), sign_in='authzid')
