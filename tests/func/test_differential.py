"""The same random dialogue with the new host directly and through wherryd on a mailbox that was moved there: the answers are
the same but for the numbers and the spelling of names.

WHERRY_SEED and WHERRY_LENGTH choose another dialogue: contrib/check holds a short one."""

import os

from wharf import differ, mail, servers, twin
from wharf.dialogue import KEYWORDS

SEED = int(os.environ.get('WHERRY_SEED', '1'))
LENGTH = int(os.environ.get('WHERRY_LENGTH', '400'))

BOXES = {(): 40, ('d-one',): 60, ('d-one', 'sub'): 12, ('d-two',): 20, ('d-R&D',): 8, ('d-empty',): 0}

THREADED = [(b'Subject: knots\r\nMessage-ID: <k1@example.org>\r\n', b'one\r\n'),
            (b'Subject: Re: knots\r\nMessage-ID: <k2@example.org>\r\nIn-Reply-To: <k1@example.org>\r\nReferences: <k1@example.org>\r\n', b'two\r\n'),
            (b'Subject: Re: knots\r\nMessage-ID: <k3@example.org>\r\nReferences: <k1@example.org> <k2@example.org>\r\n', b'three\r\n'),
            (b'Subject: other\r\nMessage-ID: <k4@example.org>\r\n', b'four\r\n'),
            (b'Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=cut\r\n',
             b'--cut\r\nContent-Type: text/plain\r\n\r\nfirst\r\n--cut\r\nContent-Type: application/octet-stream\r\n'
             b'Content-Transfer-Encoding: base64\r\n\r\naGVsbG8gYm9hdA==\r\n--cut--\r\n'),
            (b'Subject: inner\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n', b'Subject: within\r\n\r\nfar inside\r\n')]


def fill(w, server, user):
    """The same on every host: the same messages in the same order, the same ones expunged again."""
    w.filled(server, user, BOXES, seed=7)
    with server.connect(user) as c:
        for levels in ((), ('d-one',)):
            for head, body in THREADED:
                head = b'From: a@example.org\r\nDate: Tue, 2 Mar 2021 10:00:00 +0100\r\n' + head
                assert c.append(server.view(*levels), head + b'\r\n' + body, date=mail.DATES[0]).ok
    # \Recent belongs to whoever looks first; a mailbox goes on showing keywords of messages that are gone.
    with server.connect(user) as c:
        for levels, count in BOXES.items():
            c.select(server.view(*levels))
            if count:
                c.ok(b'STORE 1 +FLAGS (' + b' '.join(KEYWORDS) + b')')


def start(side, conn):
    """{levels: (UIDs, UIDNEXT, HIGHESTMODSEQ, UIDVALIDITY)} of one side."""
    out = {}
    if b'CONDSTORE' in conn.capability():
        conn.ok(b'ENABLE CONDSTORE')  # Dovecot begins to count at the first one
    for levels in BOXES:
        # The first one changes what is recent, and with it the mod-sequence.
        conn.select(side.name(levels))
        r = conn.select(side.name(levels))
        high = r.codes(b'HIGHESTMODSEQ')
        uids = [int(x) for row in conn.ok(b'UID SEARCH ALL').lines(b'SEARCH') for x in row if not isinstance(x, list)]
        out[levels] = (uids, int(r.codes(b'UIDNEXT')[-1]), int(high[-1]) if high else 0, r.codes(b'UIDVALIDITY')[-1])
    return out


def twins(w, old, new, seed=SEED, records=None, prepare=None, **options):
    """A Differ over an account that was moved from old to new and one that was filled in the same way on new. records
    gets a bytearray for each connection to wherryd with what came; prepare(user) is called before anything is moved."""
    def record():
        if records is None:
            return None
        records.append(bytearray())
        return records[-1]
    user, other = w.user(old, new), w.user(new)
    fill(w, old, user)
    fill(w, new, other)
    if prepare:
        prepare(user)
    d = w.wherryd(old, new, level='info', more={'limits': 'max_errors = 1000\n'}, **options)
    sides = (twin.Side(twin.DIRECT, lambda: new.connect(other), new.sep, new.prefix),
             twin.Side(twin.MOVED, lambda: d.connect(user, record=record()), old.sep, old.prefix))
    seen = []
    for side in sides:
        with side.connect() as c:
            seen.append(start(side, c))
    boxes, tops = {}, {}
    for levels in BOXES:
        (uids, first, high, validity), (uids2, first2, high2, validity2) = (x[levels] for x in seen)
        assert uids == uids2, (levels, uids, uids2)
        box = boxes[levels] = twin.Box((first, first2), (high, high2), uids)
        box.validity = [validity, validity2]
        tops[levels] = first
    return differ.Differ(sides, boxes, tops, seed, tidy=isinstance(new, servers.Cyrus))


def dialogue(w, old, new, length=LENGTH, **options):
    t = twins(w, old, new, **options)
    try:
        t.run(length)
    finally:
        t.close()
    missing = [k for k, n in differ.SELECTED + differ.ALWAYS if n * length > 1500 and not t.counts[k]]
    assert not missing, 'never asked: %r' % missing


def test_dovecot(w):
    dialogue(w, w.dovecot('.'), w.dovecot('/', store='sdbox'))


def test_cyrus(w):
    dialogue(w, w.dovecot('/'), w.cyrus(), sign_in='authzid')


for _t in (test_dovecot, test_cyrus):
    _t.limit = 90 + LENGTH // 4
