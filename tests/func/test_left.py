"""What the new host does not take: into the spool byte for byte, listed and counted; and what stops a mailbox."""

import glob
import os
import subprocess

from wharf import mail, snapshot
from wharf.imap import quote
from wharf.servers import MAIL_ID
from wharf.world import until

from test_pairs import left_uids, totals


def test_refused_message(w):
    """A message without a header, which Cyrus refuses, in the middle of a batch."""
    old, new = w.dovecot('.'), w.cyrus()
    user = w.user(old, new)
    bad = b'just a line that is no header'
    f = mail.Filler(old, user)
    f.messages(b'INBOX', 30)
    f.append(b'INBOX', bad, b'\\Flagged kept', mail.DATES[0])
    f.messages(b'INBOX', 30)
    f.append(b'INBOX', bad + b' either')
    f.close()
    with old.connect(user) as c:
        before = snapshot.mailbox(c, b'INBOX')
    d = w.wherryd(old, new, sign_in='authzid')
    with d.connect(user) as c:
        after = snapshot.mailbox(c, b'INBOX')
    left = left_uids(d)
    assert list(left) == [b'INBOX'] and sorted(left[b'INBOX']) == [31, 62], left
    snapshot.must_equal(snapshot.compare_mailbox('INBOX', before, after, left=(31, 62)), 'the others')
    entry = left[b'INBOX'][31]
    assert entry['size'] == len(bad) and 'header' in entry['reason'] and '\\Flagged' in entry['flags'], entry
    files = [p for p in glob.glob(d.store + '/**', recursive=True) + glob.glob(d.dir + '/spool/**', recursive=True)
             if os.path.isfile(p) and 'spool' in p]
    contents = sorted(open(p, 'rb').read() for p in set(files))
    assert contents == sorted([bad, bad + b' either']), (files, contents)
    for p in files:
        assert os.stat(p).st_mode & 0o077 == 0, 'mail in the spool is readable by others'
    assert totals(d.ctl_json('status')) == (62, 60, 2, 0)
    assert 'INBOX' in d.ctl('left-behind') and user in d.ctl('left-behind')


def test_refused_keyword(w):
    """A keyword that new does not take: the message comes without it."""
    old, new = w.cyrus(), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    f = mail.Filler(old, user)
    f.messages(b'INBOX', 5)
    f.append(b'INBOX', mail.message('kw'), b'\\Flagged fine key[1]')
    f.messages(b'INBOX', 5)
    f.close()
    with old.connect(user) as c:
        before = snapshot.mailbox(c, b'INBOX')
    d = w.wherryd(old, new)
    with d.connect(user) as c:
        after = snapshot.mailbox(c, b'INBOX')
    assert after.messages[6].flags == {b'\\flagged', b'fine'}, after.messages[6]
    del before.messages[6], after.messages[6]
    snapshot.must_equal(snapshot.compare_mailbox('INBOX', before, after), 'the others')
    assert totals(d.ctl_json('status')) == (11, 11, 0, 0)


def unit_state(d, user):
    return [m['state'] for m in d.ctl_json('account', user)['mailboxes'] if m['name'] == 'INBOX'][0]


def test_quota_stops_the_mailbox(w):
    """A full quota is no reason to leave messages behind: the mailbox stays on old and moves later."""
    old = w.dovecot('.')
    new = w.dovecot('/', store='sdbox', quota='300K')
    user = w.user(old)
    f = mail.Filler(old, user)
    for n in range(30):
        f.append(b'INBOX', mail.message('quota-%d' % n, 20000))
    f.close()
    with old.connect(user) as c:
        before = snapshot.mailbox(c, b'INBOX')
    d = w.wherryd(old, new, more={'copy': 'retry_seconds = 1\n'})
    with d.connect(user) as c:
        r = c.cmd(b'SELECT INBOX')
        assert r.ok, r  # the old host serves it
        assert unit_state(d, user) == 'untouched'
        c.ok(b'NOOP')
    assert not left_uids(d), left_uids(d)
    reasons = [m.get('reason', '') for m in d.ctl_json('account', user)['mailboxes']]
    assert any('uota' in (x or '') for x in reasons), reasons
    with open(new.conf) as f:
        text = f.read()
    w.place.write(new.conf, text.replace('storage=300K', 'storage=300M'))
    new.stop()
    new.start()

    def moved():
        with d.connect(user) as c:
            return c.cmd(b'SELECT INBOX').ok and unit_state(d, user) == 'moved'
    until(moved, 30, 'the mailbox to move once there is room')
    with d.connect(user) as c:
        after = snapshot.mailbox(c, b'INBOX')
    snapshot.must_equal(snapshot.compare_mailbox('INBOX', before, after), 'afterwards')


def test_nul(w):
    """Courier shows a NUL as it is, Dovecot would store something else: byte for byte there, or in the spool."""
    old, new = w.courier(), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    f = mail.Filler(old, user)
    f.messages(b'INBOX', 4)
    f.append(b'INBOX', b'Subject: NUL\r\n\r\none\0two\r\n')
    f.messages(b'INBOX', 4)
    f.close()
    with old.connect(user) as c:
        before = snapshot.mailbox(c, b'INBOX')
    d = w.wherryd(old, new, old_tls='starttls')
    with d.connect(user) as c:
        after = snapshot.mailbox(c, b'INBOX')
    left = left_uids(d).get(b'INBOX', {})
    snapshot.must_equal(snapshot.compare_mailbox('INBOX', before, after, left=left), 'through wherryd')
    assert set(left) <= {5}, left


def test_full_disk(w):
    """No room for the store: the daemon lives and says so; with room again everything moves."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    f = mail.Filler(old, user)
    for n in range(4):
        name = f.create('Box %d' % n)
        f.messages(name, 60)
    f.close()
    with old.connect(user) as c:
        before = snapshot.Account(c)
    d = w.wherryd(old, new, start=False, more={'copy': 'retry_seconds = 1\n'})
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4m,mode=700', 'tmpfs', d.store], check=True)
    try:
        d.start()
        ballast = d.store + '/ballast'
        with d.connect(user) as c:
            c.select(b'INBOX')
        with open(ballast, 'wb', 0) as b:
            try:
                while b.write(b'x' * 4096):
                    pass
            except OSError:
                pass
        with d.connect() as c:
            if c.cmd(b'LOGIN %s pw' % user.encode()).ok:
                for n in range(4):
                    c.cmd(b'SELECT "INBOX.Box %d"' % n)
                c.cmd(b'NOOP')
        assert d.process.alive()
        os.unlink(ballast)

        def all_moved():
            try:
                with d.connect(user) as c:
                    return all(c.cmd(b'SELECT "INBOX.Box %d"' % n).ok for n in range(4))
            except (OSError, EOFError):
                return False
        until(all_moved, 30, 'the mailboxes to move once there is room')
        with d.connect(user) as c:
            snapshot.must_equal(snapshot.compare(before, snapshot.Account(c)), 'afterwards')
        d.stop()
        w.daemons.remove(d)
    finally:
        if d.process:
            d.process.stop()
            d.process = None
        subprocess.run(['umount', d.store], check=True)
