#!/usr/bin/env python3
"""Late mail between scripted hosts that misbehave: what reached the old mailbox after the move is in the new one once, or listed.

Run in the build folder (make check does), or with --bin DIR [-k WORD].
"""

import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from boxes import MailHost  # noqa: E402
from front import NEW, World  # noqa: E402
from move import ALLOWED, Moving, hang_up, once, person, says, select, until, until_moved  # noqa: E402
from runner import run  # noqa: E402

MORE = 'copy { uid_headroom = 1000 settle_seconds = 0 retry_seconds = 0 batch_messages = 10 look_seconds = 1 sweep = no }\n'
APPEND = rb'APPEND'


class Late(Moving):
    def __init__(self, binary, caps=NEW + b' MULTIAPPEND'):
        World.__init__(self, binary, caps, host=MailHost, more=MORE)
        self.binary = binary


def moved(w, count=5):
    """A person whose INBOX has moved, with `count` messages."""
    user, old, new = person(w, count)
    until_moved(w, user)
    return user, old, new


def arrive(w, user, old, new, count=4, left=0):
    """`count` late messages come, and are looked for until they are there."""
    start = len(old.box().messages)
    old.box().fill(count, start)
    bring(w, user, start + count, left)


def bring(w, user, settled, left=0):
    """A session stays until so many messages are settled in all."""
    with w.client(user) as c:
        assert c.cmd(b'SELECT INBOX')[1].startswith(b'OK')

        def there():
            assert c.cmd(b'NOOP')[1].startswith(b'OK')
            u = w.unit(user)
            return u['moved'] + u['stragglers'] + u['left_behind'] == settled and u['left_behind'] == left
        until(w, 'late mail', there)


def check(w, user, old, new, left=()):
    want = [b for i, b in enumerate(old.box().bodies()) if i not in left]
    got = new.box().bodies()
    assert got == want, 'on new: %r\nwanted: %r' % (got, want)
    for m in [m for m in old.seen if not ALLOWED.match(m)]:
        raise AssertionError('the old host was asked %r' % m)
    u = w.unit(user)
    assert u['state'] == 'moved' and u['home'] == 'new', u
    assert u['found'] == u['moved'] + u['left_behind'] + u['vanished'], u
    assert u['stragglers'] + u['moved'] == len(want), u
    assert not [x for x in w.logged().splitlines() if 'event=copy_failed' in x and 'account=%s ' % user in x]


def test_plain(w):
    user, old, new = moved(w)
    arrive(w, user, old, new)
    arrive(w, user, old, new, 1)
    check(w, user, old, new)


def test_nothing_is_asked_of_new_when_nothing_came(w):
    user, old, new = moved(w)
    logins = new.logins
    with w.client(user) as c:
        c.cmd(b'SELECT INBOX')
        seen = len([x for x in old.seen if x.startswith(b'EXAMINE "INBOX"')])
        until(w, 'two looks', lambda: len([x for x in old.seen if x.startswith(b'EXAMINE "INBOX"')]) >= seen + 2)
    assert new.logins <= logins + 2, new.logins  # the session's, and the list of folders


def test_answer_lost(w):
    """Stored, and the connection ends before new could say so."""
    user, old, new = moved(w)

    def store_and_go(conn, tag, text):
        conn.mail_append(tag, text)
        conn.wire.close()
    once(new, APPEND, store_and_go, 2)
    arrive(w, user, old, new)
    check(w, user, old, new)
    assert 'event=stragglers_resumed account=%s ' % user in w.logged()


def test_append_lost(w):
    """Not stored, and the connection ends."""
    user, old, new = moved(w)
    once(new, APPEND, hang_up, 2)
    arrive(w, user, old, new)
    check(w, user, old, new)


def test_taken_away_at_once(w):
    """What was stored and moved away by a person does not come back, though the answer to the next one was lost."""
    user, old, new = moved(w)
    box, state = new.box(), {'n': 0}

    def go(conn, tag, text):
        state['n'] += 1
        conn.usual(tag, text) if state['n'] != 2 else (conn.mail_append(tag, text), conn.wire.close())
        if state['n'] == 2:
            state['gone'] = box.messages.pop(-2)
    new.on(APPEND, go)
    start = len(old.box().messages)
    old.box().fill(4, start)
    bring(w, user, start + 4)
    want = [b for b in old.box().bodies() if b != state['gone'].body]
    assert box.bodies() == want, box.bodies()


def test_refused(w):
    """One is not taken: it is listed, and the next ones come."""
    user, old, new = moved(w)
    start = len(old.box().messages)

    def refuse(conn, tag, text):
        if b'<m%d@' % (start + 1) in text:
            conn.send(tag + b' NO [CANNOT] not such a one\r\n')
        else:
            conn.usual(tag, text)
    new.on(APPEND, refuse)
    arrive(w, user, old, new, left=1)
    check(w, user, old, new, left=(start + 1,))


def test_no_room(w):
    """A full quota is no reason to leave mail behind."""
    user, old, new = moved(w)
    once(new, APPEND, says(b'%T NO [OVERQUOTA] full\r\n'), 3)
    arrive(w, user, old, new)
    check(w, user, old, new)


def test_old_does_not_open(w):
    """The mailbox is gone there, or will not open: nobody is told."""
    for reply in (b'%T NO [NONEXISTENT] gone\r\n', b'%T NO later\r\n', b'%T BAD what\r\n'):
        user, old, new = moved(w)
        once(old, rb'EXAMINE', says(reply), 2)
        arrive(w, user, old, new)
        check(w, user, old, new)


def test_old_goes_away(w):
    for pattern in (rb'EXAMINE', rb'FETCH \S+ \(UID\)', rb'FETCH \S+ \(UID FLAGS', rb'FETCH \S+ \(UID BODY', rb'NOOP'):
        user, old, new = moved(w)
        once(old, pattern, hang_up)
        arrive(w, user, old, new)
        check(w, user, old, new)


def test_body_that_never_comes(w):
    """Listed and never sent: in the end it is listed as left behind, without its contents, and the next ones come."""
    user, old, new = moved(w)
    start = len(old.box().messages)

    def keep(conn, tag, text):
        numbers = text.split(b' ')[1]
        if numbers == b'%d' % (start + 2):
            conn.send(tag + b' OK nothing to see\r\n')
        else:
            conn.usual(tag, text)
    old.on(rb'FETCH \S+ \(UID BODY', keep)
    arrive(w, user, old, new, left=1)
    check(w, user, old, new, left=(start + 1,))


def test_expunged_while_it_is_looked_at(w):
    user, old, new = moved(w)
    start = len(old.box().messages)

    def expunge(conn, tag, text):
        del old.box().messages[start]
        conn.usual(tag, text)
        conn.send(b'')
    once(old, rb'FETCH \S+ \(UID BODY', expunge)
    old.box().fill(4, start)
    bring(w, user, start + 3)
    check(w, user, old, new)


def test_old_uidvalidity_changes(w):
    """Another mailbox than that which moved: what is in it stays, what comes from then on is taken."""
    user, old, new = moved(w)
    before = new.box().bodies()
    old.box().validity += 1
    old.box().fill(2, 5)
    with w.client(user) as c:
        c.cmd(b'SELECT INBOX')
        until(w, 'the change', lambda: 'event=old_uidvalidity_changed account=%s ' % user in w.logged())
    old.box().fill(2, 7)
    bring(w, user, 7)
    assert new.box().bodies() == before + old.box().bodies()[-2:], new.box().bodies()


def test_new_uidvalidity_changes(w):
    """Nothing is put into a mailbox that nobody has looked at since it was made anew, and then all of it once."""
    user, old, new = moved(w)

    def store_and_renumber(conn, tag, text):
        conn.mail_append(tag, text)
        new.box().validity += 1
        for i, m in enumerate(new.box().messages, 1):
            m.uid = i
        new.box().next = len(new.box().messages) + 1
        conn.wire.close()
    once(new, APPEND, store_and_renumber)
    start = len(old.box().messages)
    old.box().fill(4, start)
    with w.client(user) as c:
        c.cmd(b'SELECT INBOX')
        until(w, 'the look that waits', lambda: 'it must be opened first' in ''.join(
            x for x in w.logged().splitlines() if 'account=%s ' % user in x))
    assert len(new.box().messages) == start + 1
    bring(w, user, start + 4)
    check(w, user, old, new)


def test_beyond_the_headroom(w):
    user, old, new = moved(w)
    start = len(old.box().messages)
    old.box().add(b'Message-ID: <high@example.org>\r\n\r\nhigh\r\n', uid=20000)
    bring(w, user, start + 1)
    check(w, user, old, new)
    assert re.search(r'event=headroom_exceeded account=%s unit=INBOX uid=20000' % user, w.logged())


def test_deleted_while_it_is_looked_at(w):
    """The mailbox is deleted by the person in the middle of a look."""
    user, old, new = w.person('Work')
    old.box('INBOX.Work').fill(3)
    with w.client(user) as c:
        c.cmd(b'SELECT INBOX.Work')
        until(w, 'the move', lambda: c.cmd(b'SELECT INBOX.Work')[1].startswith(b'OK'))
        stop = []

        def wait(conn, tag, text):
            stop.append(text)
            time.sleep(0.3)  # a slow host
            conn.usual(tag, text)
        old.on(rb'EXAMINE "INBOX.Work"', wait)
        old.box('INBOX.Work').fill(2, 3)
        until(w, 'a look', lambda: c.cmd(b'SELECT INBOX.Work') and stop)
        c.cmd(b'SELECT INBOX')
        assert c.cmd(b'DELETE INBOX.Work')[1].startswith(b'OK')
        assert c.cmd(b'SELECT INBOX.Work')[1].startswith(b'NO')
    assert 'Work' not in new.mail


if __name__ == '__main__':
    plain = NEW + b' MULTIAPPEND'
    codes = [run(globals(), lambda b, caps=caps: Late(b, caps), sys.argv[1:], __doc__)
             for caps in (plain, plain.replace(b' UIDPLUS', b'').replace(b' MULTIAPPEND', b''))]
    sys.exit(max(codes))
