"""wherryctl verify between real servers: what is the same, what people did since, and what a host altered in silence."""

import json
import os
import subprocess
import time

from wharf import mail
from wharf.servers import Dovecot
from wharf.world import until

MASTER = 'sign_in = "%s"\nmaster_user = "master"\nmaster_password_file = "%s"\nmaster_separator = "*"\n'


def pair(w):
    return w.dovecot('.'), w.dovecot('/', store='sdbox')


def daemon(w, old, new, master=None, **options):
    more = dict(options.pop('more', {}))
    if master:
        secret = w.place.write(w.place.folder('secret') + '/master', 'masterpass\n', 0o600)
        more['old.imap'] = MASTER % (master, secret)
    return w.wherryd(old, new, more=more, **options)


def verify(d, *args, password='pw'):
    """(exit code, {mailbox: what was found}, everything)."""
    r = subprocess.run([d.program('wherryctl'), '-c', d.conf, '--json', 'verify', *args], input=password.encode() + b'\n',
                       capture_output=True, timeout=100)
    try:
        got = json.loads(r.stdout)
    except ValueError:
        raise AssertionError('%d %r %r' % (r.returncode, r.stdout[:300], r.stderr[-3000:]))
    return r.returncode, {x.get('mailbox'): x for x in got['mailboxes']}, got


def differing(box):
    return {k: n for k, n in box['differ'].items() if n}


def open_all(d, user, names):
    with d.connect(user) as c:
        for name in names:
            c.select(name)


def test_dovecot(w):
    """All the same; then people work on both hosts, and that is told apart."""
    old, new = pair(w)
    user = w.user(old, new)
    w.filled(old, user, {(): 60, ('A',): 600, ('B',): 0})
    d = daemon(w, old, new, more={'copy': 'grace = 0\n'})
    open_all(d, user, (b'INBOX', b'INBOX.A', b'INBOX.B'))
    for digest in ((), ('--digest',)):
        code, boxes, got = verify(d, user, *digest)
        assert code == 0 and got['differences'] == got['not_compared'] == 0, got
        assert sorted(boxes) == ['INBOX', 'INBOX.A', 'INBOX.B'], boxes
        assert all(b['same'] == b['on_old'] == b['on_new'] for b in boxes.values()), boxes
        assert boxes['INBOX.A']['same'] > 400 and boxes['INBOX']['same'] > 40, boxes
    with d.connect(user) as c:
        c.select(b'INBOX')
        c.ok(b'STORE 3:5 +FLAGS (\\Flagged since)')
        c.ok(b'STORE 7,9 +FLAGS.SILENT (\\Deleted)')
        gone = len([1 for v in c.ok(b'FETCH 1:* FLAGS').lines(b'FETCH') if b'\\Deleted' in v[1][1]])
        c.ok(b'EXPUNGE')
        c.append(b'INBOX', mail.message('since'), plus=True)
    before = boxes['INBOX']['same']
    code, boxes, got = verify(d, user, '--digest')
    box = boxes['INBOX']
    assert code == 0, got
    assert (box['gone_new'], box['added']) == (gone, 1) and 1 <= box['changed'] <= 3, box
    assert box['same'] + box['changed'] + box['gone_new'] == before, (box, before)
    with old.connect(user) as c:
        c.append(b'INBOX', mail.message('late'), plus=True)
    code, boxes, got = verify(d, user)
    assert code == 1 and differing(boxes['INBOX']) == {'late': 1}, got
    r = subprocess.run([d.program('wherryctl'), '-c', d.conf, 'verify', user], input=b'not the password\n', capture_output=True,
                       timeout=60)
    assert r.returncode == 1 and b'not compared' in r.stdout, r


def test_all_by_master(w):
    """Accounts one after the other, while the daemon runs and after it ended."""
    old, new = pair(w)
    d = daemon(w, old, new, master='master')
    users = [w.user(old, new) for _ in range(3)]
    for user in users:
        w.filled(old, user, {(): 8, ('A',): 5})
        open_all(d, user, (b'INBOX',))
    code, _, got = verify(d, '--all', '--digest')
    assert code == 0 and got['accounts'] == 3 and len(got['mailboxes']) == 3 and got['same'] >= 9, got
    d.stop()
    w.daemons.remove(d)
    assert verify(d, '--all')[0] == 0
    new.stop()
    try:
        code, _, got = verify(d, '--all')
        assert code == 1 and got['not_compared'] == 3, got
    finally:
        new.start()


def test_altered_in_silence(w):
    """Cyrus makes X of raw 8-bit header bytes: same size, and only --digest sees it."""
    from wharf.servers import Cyrus
    old, new = w.dovecot('.'), w.server(Cyrus, name='munging', munge=True)
    user = w.user(old, new)
    f = mail.Filler(old, user)
    f.messages(b'INBOX', 20)
    f.append(b'INBOX', 'Subject: Grüße\r\nMessage-ID: <raw@example.org>\r\n\r\nbody\r\n'.encode('latin-1'))
    f.messages(b'INBOX', 10)
    f.close()
    d = daemon(w, old, new, sign_in='authzid')
    open_all(d, user, (b'INBOX',))
    code, boxes, got = verify(d, user)
    assert code == 0 and boxes['INBOX']['same'] == 31, got
    code, boxes, got = verify(d, user, '--digest')
    assert code == 1 and differing(boxes['INBOX']) == {'body': 1} and boxes['INBOX']['same'] == 30, got
    assert boxes['INBOX']['differences'][0]['uid'] == 21, got


def test_odd_tree_to_cyrus(w):
    """Every odd name and message: the same on Cyrus that keeps its hands off, or left behind and kept."""
    old, new = w.dovecot('.'), w.cyrus()
    user = w.user(old, new)
    f = mail.Filler(old, user)
    names = f.odd(other=b'/', big=1 << 20)
    f.close()
    d = daemon(w, old, new, master='authzid', sign_in='authzid')
    open_all(d, user, [b'INBOX'] + names)
    code, boxes, got = verify(d, user, '--digest')
    assert code == 0 and got['not_compared'] == 0 and len(boxes) >= len(names), got
    assert sum(b['left_behind'] for b in boxes.values()) == len(d.ctl_json('left-behind')['left_behind']), got


def test_courier_as_old(w):
    """Neither CONDSTORE nor LITERAL+; messages that new refuses are kept, and seen to be."""
    old, new = w.courier(), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    f = mail.Filler(old, user)
    f.messages(b'INBOX', 30)
    f.append(b'INBOX', b'Subject: NUL\r\n\r\none\0two\r\n')
    f.messages(b'INBOX', 300)
    f.gaps(b'INBOX', 0.1)
    f.close()
    d = daemon(w, old, new, old_tls='starttls')
    open_all(d, user, (b'INBOX',))
    left = d.ctl_json('left-behind')['left_behind']
    code, boxes, got = verify(d, user, '--digest')
    assert code == 0 and boxes['INBOX']['left_behind'] == len(left), got
    with d.connect(user) as c:
        c.select(b'INBOX')
        c.ok(b'STORE 4 +FLAGS (\\Flagged \\Answered)')
    code, boxes, got = verify(d, user)
    assert code == 0 and boxes['INBOX']['changed'] == 1, got
    for entry in left[:1]:
        os.unlink(entry['file'])
        code, boxes, got = verify(d, user)
        assert code == 1 and differing(boxes['INBOX']) == {'spool': 1}, got


def test_a_file_that_rots(w):
    """A Maildir file of the new host gets another byte: the bytes differ."""
    old, new = w.dovecot('.'), w.server(Dovecot, name='rotting', style='/')
    user = w.user(old, new)
    w.filled(old, user, {(): 30})
    d = daemon(w, old, new)
    open_all(d, user, (b'INBOX',))
    assert verify(d, user, '--digest')[0] == 0
    cur = '%s/%s/Maildir/cur' % (new.mail, user)
    path = cur + '/' + sorted(os.listdir(cur))[3]
    with open(path, 'r+b') as f:
        f.seek(-4, 2)
        byte = f.read(1)
        f.seek(-4, 2)
        f.write(bytes([byte[0] ^ 1]))
    code, boxes, got = verify(d, user, '--digest')
    assert code == 1 and differing(boxes['INBOX']) == {'body': 1}, got
    assert verify(d, user)[0] == 0


def test_late_mail_that_was_brought_over(w):
    """A straggler is new mail on new: told, and no difference once it is there."""
    old, new = pair(w)
    user = w.user(old, new)
    w.filled(old, user, {(): 12})
    d = daemon(w, old, new, more={'copy': 'look_seconds = 1\n'})
    open_all(d, user, (b'INBOX',))
    with old.connect(user) as c:
        c.append(b'INBOX', mail.message('late'), plus=True)
    end = time.monotonic() + 30
    while not d.ctl_json('status')['stragglers']:
        open_all(d, user, (b'INBOX',))
        assert time.monotonic() < end
        time.sleep(0.3)
    until(lambda: verify(d, user)[0] == 0, 10, 'the record of the straggler')
    box = verify(d, user)[1]['INBOX']
    assert (box['brought'], box['added']) == (1, 1), box
