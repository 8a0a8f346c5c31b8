"""Nothing that a client is told through wherryd is a number or a name of the new host.

The new host's are made unmistakable before the move (UIDs from three millions on, a UIDVALIDITY and mod-sequences of a range
of their own, a folder with a marked name); what clients are sent is recorded and searched. The same search in a session
with the new host itself has to find all of them."""

import re

from test_differential import twins
from wharf import imap, mail
from wharf.clients import Mbsync

VALIDITY, UID, MODSEQ = 4111222000, 3000000, 7770000000000
BOXES = ('INBOX', 'd-one', 'd-one/sub', 'd-two', 'd-R&-D', 'd-empty', 'Zmark')
MARKS = {'UID': rb'(?<!\d)300\d{4}(?!\d)', 'UIDVALIDITY': rb'41112220\d\d', 'mod-sequence': rb'(?<!\d)777\d{10}(?!\d)',
         'name': rb'd-(?:one|two|made)[^ "\r\n]*/|Zmark'}


def mark(new, user):
    """The mailboxes of the new host, before anything is copied there (doveadm takes names in UTF-8)."""
    with new.connect(user) as c:
        for name in BOXES[1:]:
            c.ok(b'CREATE ' + imap.quote(name))
    for n, name in enumerate(BOXES):
        r = new.doveadm('mailbox', 'update', '-u', user, '--uid-validity', str(VALIDITY + n), '--min-next-uid', str(UID),
                        '--min-highest-modseq', str(MODSEQ), name.replace('&-', '&'))
        assert r.returncode == 0, r.stderr


def without_bodies(data):
    """What is not a literal, nor an address or a Message-ID."""
    out, at = b'', 0
    for m in re.finditer(rb'\{(\d+)\}\r\n', data):
        if m.start() >= at:
            out += data[at:m.end()]
            at = m.end() + int(m.group(1))
    return re.sub(rb'"[^"\r\n]*@[^"\r\n]*"', b'""', out + data[at:])


def found(records):
    """{what: excerpts} of the new host's own."""
    out = {}
    for record in records:
        text = without_bodies(bytes(record))
        for what, pattern in MARKS.items():
            hits = [text[max(0, m.start() - 80):m.end() + 40] for m in re.finditer(pattern, text)]
            if hits:
                out.setdefault(what, []).extend(hits[:3])
    return out


def hosts(w):
    return w.dovecot('.', sent='Sent Items'), w.dovecot('/', store='sdbox', sent='Zmark')


def control(new, user, box=b'INBOX'):
    """The search finds what a session with the new host shows."""
    record = bytearray()
    with new.connect(user, record=record) as c:
        c.ok(b'ENABLE CONDSTORE')
        c.select(box)
        c.ok(b'UID FETCH 1:* (FLAGS MODSEQ)')
        c.ok(b'LIST "" *')
    assert set(found([record])) == set(MARKS), sorted(found([record]))


def test_dialogue(w):
    """The random dialogue, recorded."""
    old, new = hosts(w)
    records, users = [], []

    def prepare(user):
        users.append(user)
        mark(new, user)
        with old.connect(user) as c:
            c.ok(b'CREATE "INBOX.Sent Items"')
            c.append(b'INBOX.Sent Items', mail.message('sent'))
    t = twins(w, old, new, records=records, prepare=prepare)
    try:
        t.run(400)
    finally:
        t.close()
    d = w.daemons[-1]
    records.append(bytearray())
    with d.connect(users[0], record=records[-1]) as c:
        special(c)
    leaks = found(records)
    assert not leaks, leaks
    assert sum(map(len, records)) > 50000
    control(new, users[0])


def special(c):
    """A mailbox that has another name on new, in commands that succeed and in such that fail."""
    name = b'"INBOX.Sent Items"'
    for command in (b'SELECT ' + name, b'FETCH 1:* (UID FLAGS)', b'UID COPY 1:* ' + name, b'STATUS ' + name + b' (MESSAGES UIDNEXT UIDVALIDITY)',
                    b'LIST "" "INBOX.*"', b'LSUB "" *', b'SUBSCRIBE ' + name, b'CREATE ' + name, b'RENAME INBOX ' + name,
                    b'RENAME INBOX.d-two ' + name, b'DELETE INBOX.d-one', b'CREATE INBOX.d-one.sub', b'DELETE INBOX.no.such',
                    b'COPY 1 INBOX.no.such', b'STATUS INBOX.d-one.none (MESSAGES)', b'SELECT INBOX.d-one.none', b'UID EXPUNGE 1:*',
                    b'NAMESPACE', b'GETQUOTAROOT ' + name, b'GETACL ' + name, b'MYRIGHTS ' + name, b'GETMETADATA ' + name + b' /private/comment',
                    b'LIST (SPECIAL-USE) "" "*"', b'LIST "" "*" RETURN (SPECIAL-USE STATUS (UIDNEXT UIDVALIDITY))',
                    b'APPEND ' + name + b' {3+}\r\nx\r\n', b'APPEND INBOX.no.such {3+}\r\nx\r\n', b'CREATE INBOX.d-made.x', b'DELETE INBOX.d-made.x',
                    b'UNSELECT', b'DELETE ' + name, b'SELECT ' + name):
        c.cmd(command)


def test_mbsync(w):
    """A real client, recorded between it and wherryd."""
    old, new = hosts(w)
    user = w.user(old, new)
    w.filled(old, user, {(): 20, ('d-one',): 10, ('d-one', 'sub'): 5, ('Sent Items',): 4}, flags=[b'', b'\\Seen', b'\\Flagged'])
    mark(new, user)
    d = w.wherryd(old, new, more={'listen': 'plaintext = "loopback"\n'})
    relay = w.via(d, record=True).relay
    client = Mbsync(w.place, user, plain=True)
    client.run(relay.port)
    assert client.bodies() > 0
    with new.connect(user) as c:
        c.append(b'd-one', mail.message('new mail'))
    client.run(relay.port)
    leaks = found(relay.records)
    assert not leaks, leaks
    assert sum(map(len, relay.records)) > 20000
    control(new, user)
