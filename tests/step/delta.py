#!/usr/bin/env python3
"""What people do on either host while a mailbox is copied: it is there afterwards, on whichever host it was done.

Run in the build folder (make check does), or with --bin DIR [-k WORD].
"""

import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from move import MULTI, SEEDS, Moving, check, counted, hang_up, once, person, says, select, until, until_moved  # noqa: E402
from runner import run  # noqa: E402

SEEN, FLAGGED, DELETED = b'\\Seen', b'\\Flagged', b'\\Deleted'
DATE = b'"01-Feb-2021 10:00:00 +0000"'
# (when it was copied, on old afterwards, on new afterwards, in the end)
FLAGS = [
    (b'', b'', SEEN, SEEN),
    (SEEN, SEEN, b'', b''),
    (b'', SEEN, b'', SEEN),
    (SEEN, b'', SEEN, b''),
    (b'', FLAGGED, SEEN, SEEN + b' ' + FLAGGED),
    (SEEN, FLAGGED, SEEN + b' \\Answered', b'\\Answered ' + FLAGGED),
    (b'', b'', DELETED, DELETED),
    (b'a', b'a', b'a b', b'a b'),
    (b'a', b'a', b'', b''),
    (b'a', b'b', b'a', b'b'),
    (b'a b', b'b', b'a b', b'b'),
    (b'a', b'a c', b'a b', b'a b c'),
    (SEEN + b' a', b'a', SEEN + b' b', b'b'),
    (b'', b'', b'', b''),
]


def flags(box):
    return [sorted(m.flags.split()) for m in box.messages]


def set_flags(script, column):
    for m, row in zip(script.box().messages, FLAGS):
        m.flags = row[column]


def changed(old, new):
    """A rule: both people's changes, before the new mailbox is looked at."""
    def go(conn, tag, text):
        set_flags(old, 1)
        set_flags(new, 2)
        conn.usual(tag, text)
    return go


def expected(old, new):
    want = [sorted(row[3].split()) for row in FLAGS]
    got = flags(new.box())[:len(FLAGS)]
    assert got == want, [x for x in zip(FLAGS, got) if sorted(x[0][3].split()) != x[1]]


def flagged_person(w):
    user, old, new = person(w)
    set_flags(old, 0)
    return user, old, new


def test_flags_changed_on_both(w):
    user, old, new = flagged_person(w)
    once(new, rb'SELECT', changed(old, new))
    select(w, user)
    check(w, user, old, new)
    expected(old, new)


def test_flags_survive_a_new_start(w):
    """The comparison is broken off at any of its commands to new, and made again."""
    for place in (rb'UID FETCH', rb'UID STORE', rb'UID STORE 10[25]', rb'UID STORE 112'):
        user, old, new = flagged_person(w)
        once(new, rb'SELECT', changed(old, new))
        once(new, place, hang_up)
        until_moved(w, user)
        check(w, user, old, new)
        expected(old, new)


def test_flags_of_what_was_adopted(w):
    """Stored, not confirmed, and changed by a person before the copy goes on."""
    user, old, new = flagged_person(w)
    calls = [0]

    def lose_reply(conn, tag, text):
        calls[0] += 1
        if calls[0] != 2:
            return conn.usual(tag, text)
        with conn.script.lock:
            conn.mail_append(tag, text)
        for m in new.box().messages[10:]:
            m.flags = b'\\Draft'
        conn.wire.close()
    new.on(rb'APPEND', lose_reply)
    until_moved(w, user)
    check(w, user, old, new)
    assert flags(new.box())[:10] == flags(old.box())[:10]
    assert flags(new.box())[14:20] == [[b'\\Draft']] * 6, flags(new.box())


def test_flags_there_and_back_on_old(w):
    """Changed on old, compared, and changed back: not taken for a change on new."""
    user, old, new = person(w)
    old.box().messages[4].flags = b'key'
    steps = []

    def news(conn, tag, text):
        # The first NOOP ends the copy; the next ones come after a comparison each.
        box = old.box()
        steps.append(text)
        if len(steps) == 2:
            box.messages[2].flags, box.messages[4].flags = FLAGGED, b''
        elif len(steps) == 3:
            assert new.box().messages[2].flags == FLAGGED and new.box().messages[4].flags == b'', flags(new.box())
            box.messages[2].flags, box.messages[4].flags = b'', b'key'
        if len(steps) in (2, 3):
            for i in (2, 4):
                conn.send(b'* %d FETCH (FLAGS (%s))\r\n' % (i + 1, box.messages[i].flags))
        conn.usual(tag, text)
    old.on(rb'NOOP', news)
    select(w, user)
    assert len(steps) == 4, steps
    check(w, user, old, new)
    assert flags(new.box()) == flags(old.box())


def test_flags_that_new_did_not_take(w):
    """Refused once; the next comparison finds the same difference, not a change on new."""
    user, old, new = person(w)

    def flagged(conn, tag, text):
        old.box().messages[2].flags = FLAGGED
        conn.usual(tag, text)

    def again(conn, tag, text):
        if [x for x in new.seen if x.startswith(b'UID STORE')]:
            old.rules.clear()
            conn.send(b'* 1 FETCH (FLAGS ())\r\n')
        conn.usual(tag, text)
    once(new, rb'SELECT', flagged)
    once(new, rb'UID STORE', says(b'%T NO [INUSE] not now\r\n'))
    old.on(rb'NOOP', again)
    select(w, user)
    check(w, user, old, new)
    assert flags(new.box()) == flags(old.box())


def test_deleted_on_new(w):
    """It does not come back into the mailbox; since it might have been lost it is kept in the spool."""
    user, old, new = person(w)
    bodies = old.box().bodies()

    def delete(conn, tag, text):
        if len(new.box().messages) > 19:
            new.rules.clear()
            del new.box().messages[7]
        conn.usual(tag, text)
    new.on(rb'APPEND', delete)
    select(w, user)
    check(w, user, old, new, left=1, bodies=bodies[:7] + bodies[8:])
    with w.client(user) as c:
        lines = c.ok(b'SELECT INBOX')
        assert b'* 24 EXISTS' in lines, lines


def test_deleted_on_both(w):
    """Not kept by anybody."""
    user, old, new = person(w)
    bodies = old.box().bodies()

    def delete(conn, tag, text):
        del new.box().messages[7]
        del old.box().messages[7]
        conn.usual(tag, text)
    once(new, rb'SELECT', delete)
    select(w, user)
    check(w, user, old, new, vanished=1, bodies=bodies[:7] + bodies[8:])


def test_arrives_before_the_switch(w):
    """On new between the last comparison and the switch: simply new mail, after everything else."""
    user, old, new = person(w)
    new.box().add(b'Subject: mx\r\n\r\nbefore\r\n', FLAGGED)
    steps = []

    def last(conn, tag, text):
        steps.append(text)
        if len(steps) == 2:  # NOOP of the last look at old; new is not asked any more
            new.box().add(b'Subject: mx\r\n\r\njust now\r\n', SEEN)
        conn.usual(tag, text)
    old.on(rb'NOOP', last)
    with w.client(user) as c:
        lines = c.ok(b'SELECT INBOX')
        assert len(steps) == 2, steps
        assert b'* 27 EXISTS' in lines, lines
        uids = [int(x.split(b'UID ')[1].split(b')')[0]) for x in c.ok(b'FETCH 1:* (UID)') if b'FETCH' in x]
        assert uids[:25] == list(range(1, 26)) and 1025 < uids[25] < uids[26], uids
    got = new.box().messages
    assert [m.body for m in got[:25]] == old.box().bodies()
    assert [(m.body.split()[-1], m.flags) for m in got[25:]] == [(b'before', FLAGGED), (b'now', SEEN)], [m.body for m in got]
    counted(w, user, 25, 0, 0)


def test_foreign_is_copied_once(w):
    """Without MOVE: the connection breaks at any step of COPY and EXPUNGE, before or after the command is done. Two of the
    messages are alike in everything."""
    plain = Moving(w.binary, MULTI.replace(b' MOVE', b''))
    want = [b'one', b'two', b'two', b'three']
    try:
        for place in (None, b'UID COPY', b'UID STORE', b'UID EXPUNGE'):
            for done in (False, True) if place else (True,):
                user, old, new = person(plain)
                for word in want:
                    new.box().add(b'Message-ID: <%s@example.org>\r\n\r\n%s\r\n' % (word, word), FLAGGED, DATE)

                def lost(conn, tag, text):
                    real, conn.send = conn.send, lambda data: None
                    if done:
                        conn.usual(tag, text)
                    conn.send = real
                    conn.wire.close()
                if place:
                    once(new, place, lost)
                until_moved(plain, user)
                got = new.box().messages
                where = (place, done, [m.body for m in got])
                assert [m.body for m in got[:25]] == old.box().bodies(), where
                assert [m.body.split()[-1] for m in got[25:]] == want, where
                assert all((m.flags, m.date) == (FLAGGED, DATE) for m in got[25:]), where
                counted(plain, user, 25, 0, 0)
    finally:
        plain.stop()


def test_foreign_that_new_does_not_copy(w):
    """New refuses MOVE and COPY within a mailbox: its own mail is appended again, also where the connection breaks at any step."""
    want = [b'Message-ID: <%s@example.org>\r\n\r\n%s %s\r\n' % (word, more, word)
            for word, more in ((b'one', b'x' * 500000), (b'two', b''), (b'two', b''), (b'three', b''))]

    def refuse(conn, tag, text):
        conn.send(b'%s NO [CANNOT] not within one mailbox\r\n' % tag)
    for caps in (MULTI, MULTI.replace(b' MOVE', b'').replace(b' LITERAL+', b'')):
        host = Moving(w.binary, caps)
        try:
            for place in (None, b'UID FETCH \\d+ .*BODY.PEEK\\[\\]', b'APPEND', b'UID STORE', b'UID EXPUNGE'):
                for done in (False, True) if place else (True,):
                    user, old, new = person(host)
                    for body in want:
                        new.box().add(body, FLAGGED, DATE)
                    new.on(rb'UID (COPY|MOVE)', refuse)

                    def lost(conn, tag, text):
                        if place == b'APPEND' and b'body' in text:
                            conn.usual(tag, text)
                            once(new, place, lost)
                            return
                        real, conn.send = conn.send, lambda data: None
                        if done:
                            conn.usual(tag, text)
                        conn.send = real
                        conn.wire.close()
                    if place:
                        once(new, place, lost)
                    until_moved(host, user)
                    got = new.box().messages
                    where = (caps, place, done, [m.body[-30:] for m in got])
                    assert [m.body for m in got[:25]] == old.box().bodies(), where
                    assert [m.body for m in got[25:]] == want, where
                    assert all((m.flags, m.date) == (FLAGGED, DATE) for m in got[25:]), where
                    counted(host, user, 25, 0, 0)
            assert 'event=carry_refused' in host.logged()
        finally:
            host.stop()


def test_foreign_that_new_does_not_give(w):
    """It tells of a message of its own and sends no body: nothing is expunged, the mailbox stays on old, with the reason."""
    user, old, new = person(w)
    new.box().add(b'Subject: mx\r\n\r\nforeign\r\n', FLAGGED, DATE)
    new.on(rb'UID (COPY|MOVE)', lambda conn, tag, text: conn.send(b'%s NO [CANNOT] no\r\n' % tag))
    new.on(rb'UID FETCH \d+ .*BODY.PEEK\[\]', lambda conn, tag, text: conn.send(
        b'* 1 FETCH (UID %s FLAGS ())\r\n%s OK done\r\n' % (text.split()[2], tag)))
    with w.client(user) as c:
        c.cmd(b'SELECT INBOX')
    until(w, 'the reason', lambda: 'the new host does not send its message' in ''.join(
        x for x in w.logged().splitlines() if 'account=%s ' % user in x))
    assert b'foreign' in b''.join(new.box().bodies())


def test_foreign_and_more_after_a_break(w):
    """Copied, not expunged, and then mail comes to old: what stands between is carried on, and still once."""
    plain = Moving(w.binary, MULTI.replace(b' MOVE', b''))
    try:
        user, old, new = person(plain)
        new.box().add(b'Subject: mx\r\n\r\nforeign\r\n', FLAGGED, DATE)

        def lost(conn, tag, text):
            old.box().fill(3, 100)
            conn.wire.close()
        once(new, rb'UID STORE', lost)
        until_moved(plain, user)
        got = new.box().messages
        assert [m.body for m in got[:28]] == old.box().bodies(), [m.body for m in got]
        assert len(got) == 29 and (got[28].flags, got[28].date) == (FLAGGED, DATE), [m.body for m in got]
        counted(plain, user, 28, 0, 0)
    finally:
        plain.stop()


def half_done(r, conn, tag, text):
    """One of the ways in which a command goes wrong."""
    fate = r.randint(0, 3)
    if fate == 1 and not text.startswith(b'UID STORE'):  # a flag that is not taken is no reason to stop
        conn.send(tag + b' NO [UNAVAILABLE] not now\r\n')
        return
    out, real = [], conn.send
    conn.send = out.append
    if fate > 1:
        conn.usual(tag, text)
    conn.send = real
    if fate == 3:
        whole = b''.join(out)
        conn.send(whole[:r.randint(0, len(whole))])
    conn.wire.close()


def storm(w, seed):
    """Deliveries to new, people's flags on both, and faults at any place."""
    r = random.Random(seed)
    user, old, new = person(w, r.randint(5, 40))
    left, mx, mine, theirs = [12], [0], set(), set()
    before = old.box().bodies()

    def deliver():
        new.box().add(b'Message-ID: <mx%d@example.org>\r\n\r\nmx %d\r\n' % (mx[0], mx[0]), SEEN, DATE)
        mx[0] += 1

    def on_new(conn, tag, text):
        if mx[0] < 12 and r.random() < 0.3:
            deliver()
        ours = [m for m in new.box().messages if b'body' in m.body and m.body not in theirs]
        if ours and r.random() < 0.1:
            m = r.choice(ours)
            m.flags = b' '.join(m.flags.split() + [b'mine'] * (b'mine' not in m.flags))
            mine.add(m.body)
        if text.startswith(b'LOGOUT') or left[0] == 0 or r.random() > 0.15:
            return conn.usual(tag, text)
        left[0] -= 1
        half_done(r, conn, tag, text)

    def on_old(conn, tag, text):
        # Told while it looks at the mailbox; after some rounds of comparing the mover goes on all the same. No flag is taken away
        # again: when the reply to the STORE of the first change was lost, that counts as new's own.
        if len(theirs) < 3 and text.startswith(b'NOOP') and conn.box is not None:
            m = r.choice(old.box().messages)
            m.flags = FLAGGED
            theirs.add(m.body)
            conn.send(b'* %d FETCH (FLAGS (%s))\r\n' % (conn.view.index(m) + 1, m.flags))
        conn.usual(tag, text)
    deliver()
    new.on(rb'', on_new)
    old.on(rb'', on_old)
    until_moved(w, user, 40)
    got = new.box().messages
    assert [m.body for m in got[:len(before)]] == before, [m.body for m in got]
    there = sorted(m.body for m in got[len(before):])
    assert there == sorted(b'Message-ID: <mx%d@example.org>\r\n\r\nmx %d\r\n' % (n, n) for n in range(mx[0])), there
    assert all((m.flags, m.date) == (SEEN, DATE) for m in got[len(before):])
    for a, b in zip(old.box().messages, got):
        want = a.flags.split() + [b'mine'] * (b.body in mine)
        assert sorted(b.flags.split()) == sorted(want), (a.body, a.flags, b.flags)
    counted(w, user, len(before), 0, 0)


def test_storms(w):
    plain = Moving(w.binary, MULTI.replace(b' MOVE', b''))
    try:
        for seed in range(SEEDS):
            for world in (w, plain):
                try:
                    storm(world, seed)
                except AssertionError as e:
                    raise AssertionError('seed %d, %s MOVE: %s' % (seed, 'without' if world is plain else 'with', e))
    finally:
        plain.stop()


if __name__ == '__main__':
    sys.exit(run(globals(), Moving, sys.argv[1:], __doc__))
