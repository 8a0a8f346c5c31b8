#!/usr/bin/env python3
"""wherryctl verify between scripted hosts whose mailboxes were tampered with: each kind of difference is found and named.

Run in the build folder (make check does), or with --bin DIR [-k WORD].
"""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from move import Moving, person, refuse, select  # noqa: E402
from runner import run  # noqa: E402


def ctl(w, *args, text='pw\n'):
    return subprocess.run([os.path.join(os.path.dirname(w.binary), 'wherryctl'), '-c', w.conf, *args], input=text.encode(),
                          capture_output=True, timeout=60)


def verify(w, user, *args):
    """(exit code, the mailbox INBOX, everything)."""
    r = ctl(w, '--json', 'verify', user, *args)
    try:
        got = json.loads(r.stdout)
    except ValueError:
        raise AssertionError('%d %r %r' % (r.returncode, r.stdout[:300], r.stderr[-3000:]))
    boxes = [x for x in got['mailboxes'] if x.get('mailbox') == 'INBOX']
    return r.returncode, boxes[0] if boxes else None, got


def differs(w, user, *args, **want):
    code, box, _ = verify(w, user, *args)
    assert code == (1 if want else 0), (code, box)
    have = {k: n for k, n in box['differ'].items() if n}
    assert have == want, (have, want, box)
    return box


def moved(w, count=25):
    user, old, new = person(w, count)
    select(w, user)
    return user, old, new


def test_the_same(w):
    user, old, new = moved(w, 600)  # more than are held at once
    for digest in ((), ('--digest',)):
        box = differs(w, user, *digest)
        assert (box['on_old'], box['on_new'], box['same']) == (600, 600, 600), box
    text = ctl(w, 'verify', user, '--digest').stdout.decode()
    assert '600 messages are the same on both hosts; nothing differs.' in text, text
    assert not [x for x in old.seen + new.seen if re.match(rb'(UID )?STORE|.*BODY\[\]', x)], 'something was changed'


def test_an_empty_mailbox(w):
    user, old, new = moved(w, 0)
    assert differs(w, user)['same'] == 0


def test_each_kind(w):
    user, old, new = moved(w)
    box = new.box().messages
    box[2].body = box[2].body.replace(b'body', b'bodY')
    differs(w, user)  # only the bytes tell
    differs(w, user, '--digest', body=1)
    box[3].body += b'x'
    differs(w, user, size=1)
    box[4].date = b'"05-Mar-2020 10:00:05 +0100"'
    differs(w, user, size=1, date=1)
    box[5].flags = b'\\Flagged'
    differs(w, user, size=1, date=1, flags=1)
    new.box().add(b'Subject: new\r\n\r\nof later\r\n')
    del box[6]
    got = differs(w, user, size=1, date=1, flags=1, missing=1)
    assert got['added'] == 1 and got['same'] == 21, got
    assert 'does not tell' in [d for d in got['differences'] if d['kind'] == 'missing'][0]['detail'], got
    del old.box().messages[9]
    assert differs(w, user, size=1, date=1, flags=1, missing=1)['gone_old'] == 1
    text = ctl(w, 'verify', user).stdout.decode()
    for part in ('! INBOX: 20 the same', '1 gone from the old host since', '1 new since', '4 differences', 'UID 4 (new 103) has another size',
                 'UID 5 (new 104) has another date: new is -3600 s later', 'UID 6 (new 105) has other flags: () on old, (\\Flagged) on new',
                 'UID 7 (new 106) was moved and is not on the new host'):
        assert part in text, (part, text)


def test_dates_are_instants_and_flags_sets(w):
    user, old, new = person(w)
    old.box().messages[4].flags = b'\\Seen Key \\Flagged'
    select(w, user)
    m = new.box().messages[4]
    m.date, m.flags = b'"05-Mar-2020 11:00:05 +0100"', b'key \\flagged \\Seen'
    differs(w, user)


def test_what_was_never_moved(w):
    user, old, new = person(w)
    del old.box().messages[9]  # no message has this UID, and it is below what was copied
    select(w, user)
    kind = type(old.box().messages[0])
    old.box().messages.insert(9, kind(10, b'Subject: x\r\n\r\nfrom nowhere\r\n'))
    box = differs(w, user, not_moved=1)
    assert box['differences'][0]['uid'] == 10, box
    new.box().messages.insert(0, kind(99, b'Subject: x\r\n\r\ntwice?\r\n'))
    box = differs(w, user, not_moved=1, extra=1)
    assert [d['new_uid'] for d in box['differences'] if d['kind'] == 'extra'] == [99], box


def test_late(w):
    user, old, new = moved(w)
    old.box().add(b'Subject: late\r\n\r\nlate\r\n')
    differs(w, user, late=1)


def test_left_behind(w):
    user, old, new = person(w)
    refuse(new, [b'body 3\r', b'body 7\r'])
    select(w, user)
    assert differs(w, user, '--digest')['left_behind'] == 2
    files = sorted(os.path.join(d, n) for d, _, names in os.walk(w.dir) for n in names if n.endswith('.eml') and '/%d/' % w.n in d)
    assert len(files) == 2, files
    with open(files[0], 'r+b') as f:
        f.write(b'm')
    differs(w, user)
    differs(w, user, '--digest', spool=1)
    os.unlink(files[1])
    box = differs(w, user, spool=1)
    assert files[1] in box['differences'][0]['detail'], box


def test_bounded(w):
    """Many differences are counted, and some of them told."""
    user, old, new = moved(w, 300)
    for m in new.box().messages:
        m.flags = b'$odd'
    box = differs(w, user, flags=300)
    assert len(box['differences']) == 20, len(box['differences'])
    text = ctl(w, 'verify', user).stdout.decode()
    assert 'and 280 more' in text and len(text.splitlines()) < 30, text


def test_what_stands_in_the_way(w):
    """Another UIDVALIDITY, a refusal, a wrong password, nobody of that name: said, and never taken for sameness."""
    user, old, new = moved(w)
    new.box().validity += 1
    code, box, _ = verify(w, user)
    assert code == 1 and 'UIDVALIDITY' in box['error'] and box['same'] == 0, box
    new.box().validity -= 1
    old.on(rb'EXAMINE', b'%T NO [NONEXISTENT] it went away\r\n')
    code, box, _ = verify(w, user)
    assert code == 1 and 'it went away' in box['error'], box
    old.rules.clear()
    new.on(rb'FETCH', b'* 2 FETCH (UID 101 FLAGS () INTERNALDATE "05-Mar-2020 10:00:06 +0000" RFC822.SIZE 3)\r\n'
           b'* 1 FETCH (UID 100 FLAGS () INTERNALDATE "05-Mar-2020 10:00:06 +0000" RFC822.SIZE 3)\r\n%T OK .\r\n')
    code, box, _ = verify(w, user)
    assert code == 1 and 'order' in box['error'], box
    new.rules.clear()
    new.on(rb'FETCH', b'* BYE so long\r\n')
    code, box, got = verify(w, user)
    assert code == 1 and got['not_compared'] == 1, got
    new.rules.clear()
    differs(w, user)
    for args, word in ((('verify', 'nobody'), b'no account'), (('verify', '--all'), b'master user')):
        r = ctl(w, *args)
        assert r.returncode == 1 and word in r.stderr, r
    r = ctl(w, 'verify', user, text='')
    assert r.returncode == 1 and b'no password' in r.stderr, r
    for args in (('verify',), ('verify', user, '--all'), ('status', '--all'), ('status', '--digest'), ('verify', user, 'more')):
        assert ctl(w, *args).returncode == 2, args


def test_a_person_who_is_gone(w):
    """The hosts do not let them in."""
    user, old, new = moved(w)
    w.old.users.pop(user)
    code, box, got = verify(w, user)
    assert code == 1 and box is None and 'sign-in refused' in got['mailboxes'][0]['error'], got


def test_what_has_not_moved(w):
    """Only moved mailboxes are looked at."""
    user, old, new = w.person('box')
    old.box().fill(3)
    old.box('INBOX.box').fill(3)
    select(w, user)
    _, _, got = verify(w, user)
    assert [x['mailbox'] for x in got['mailboxes']] == ['INBOX'], got


if __name__ == '__main__':
    sys.exit(run(globals(), Moving, sys.argv[1:], __doc__))
