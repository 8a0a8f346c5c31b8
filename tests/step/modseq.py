#!/usr/bin/env python3
"""Mod-sequences between scripted hosts: what the daemon asks for and when, and what real hosts will not say.

Run in the build folder (make check does), or with --bin DIR [-k WORD].
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from boxes import MailHost  # noqa: E402
from front import OLD, V, World  # noqa: E402
from runner import run  # noqa: E402

NEW = (b'IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ UIDPLUS IDLE UNSELECT MOVE ESEARCH SORT NAMESPACE ENABLE CONDSTORE QRESYNC '
       b'SEARCHRES')
HEADROOM = 1 << 40
SHIFT = 500 + HEADROOM


def modseq(n):
    """An answer to STATUS; n is a number, or numbers of which each is told once and the last one ever after."""
    rest = [n] if isinstance(n, int) else list(n)

    def answer(conn, tag, text):
        now = rest.pop(0) if len(rest) > 1 else rest[0]
        name = re.match(rb'STATUS ("[^"]*"|\S+)', text, re.I).group(1)
        conn.send(b'* STATUS %s (HIGHESTMODSEQ %d)\r\n%s OK .\r\n' % (name, now, tag))
    return answer


def person(w, old_modseq=500, new_modseq=70, *boxes):
    user, old, new = w.person(*boxes)
    old.on(rb'STATUS \S+ \(HIGHESTMODSEQ\)', modseq(old_modseq))
    new.on(rb'STATUS \S+ \(HIGHESTMODSEQ\)', modseq(new_modseq))
    return user, old, new


SELECTED = (b'* FLAGS (\\Seen)\r\n* 3 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 2222] .\r\n* OK [UIDNEXT 10] .\r\n'
            b'* OK [HIGHESTMODSEQ 75] .\r\n%s%%T OK [READ-WRITE] selected\r\n')


def moved(w, *boxes):
    """A client with QRESYNC, and the new host's script; INBOX is at home on new."""
    user, old, new = person(w, 500, 70, *boxes)
    c = w.client(user)
    new.on(rb'ENABLE', b'* ENABLED CONDSTORE QRESYNC\r\n%T OK .\r\n')
    assert c.ok(b'ENABLE QRESYNC') == [b'* ENABLED QRESYNC']
    c.ok(b'SELECT INBOX')
    new.on(rb'SELECT', SELECTED % b'')
    return c, new, old


def asked(new):
    return [x for x in new.seen if x.startswith((b'SELECT', b'EXAMINE'))][-1]


def test_select(w):
    c, new, old = moved(w)
    for since, sent, gaps in ((500, 70, False), (499, 1, True), (1, 1, True), (501, 1, True), (SHIFT, 1, True),
                              (SHIFT + 1, 1, False), (SHIFT + 75, 75, False)):
        lines = c.ok(b'SELECT INBOX (QRESYNC (1111 %d))' % since)
        assert asked(new) == b'SELECT "INBOX" (QRESYNC (2222 %d))' % sent, (since, asked(new))
        told = [x for x in lines if x.startswith(b'* VANISHED')]
        assert told == ([b'* VANISHED (EARLIER) 1:1049'] if gaps else []), (since, lines)
        assert b'* OK [HIGHESTMODSEQ %d] .' % (75 + SHIFT) in lines, lines
        assert not [x for x in lines if b'NOMODSEQ' in x]
    c.ok(b'SELECT INBOX (QRESYNC (1111 500 1040:1060 (1:2 1050,1051)))')
    assert asked(new) == b'SELECT "INBOX" (QRESYNC (2222 70 1:11))', asked(new)
    lines = c.ok(b'EXAMINE INBOX (QRESYNC (1111 400 7,20:30))')
    assert asked(new) == b'EXAMINE "INBOX" (CONDSTORE)', asked(new)
    c.ok(b'SELECT INBOX (QRESYNC (1112 400))')
    assert asked(new) == b'SELECT "INBOX" (CONDSTORE)', asked(new)
    c.ok(b'SELECT INBOX')
    assert asked(new) == b'SELECT "INBOX"', asked(new)


def test_many_lines_in_select(w):
    """A host may tell of every message: more than is held until a mailbox is known."""
    c, new, _ = moved(w)
    n = 20000
    new.on(rb'SELECT', SELECTED % b''.join(b'* %d FETCH (UID %d FLAGS (\\Seen) MODSEQ (%d))\r\n' % (i, i, i + 70)
                                           for i in range(1, n + 1)))
    lines = c.ok(b'SELECT INBOX (QRESYNC (1111 500))')
    got = [x for x in lines if b' FETCH ' in x]
    assert got == [b'* %d FETCH (UID %d FLAGS (\\Seen) MODSEQ (%d))' % (i, i + V, i + 70 + SHIFT) for i in range(1, n + 1)]


def test_lines_of_the_mailbox_before(w):
    """What comes before CLOSED is not of the mailbox that is being opened."""
    c, new, _ = moved(w)
    c.ok(b'SELECT INBOX')
    new.on(rb'SELECT', b'* VANISHED 7\r\n* 2 EXPUNGE\r\n* OK [CLOSED] .\r\n' + SELECTED % b'* VANISHED (EARLIER) 8\r\n')
    lines = c.ok(b'SELECT INBOX (QRESYNC (1111 500))')
    assert lines[0] == b'* OK [CLOSED] .', lines
    assert [x for x in lines if b'VANISHED' in x or b'EXPUNGE' in x] == [b'* VANISHED (EARLIER) %d' % (8 + V)], lines


def test_refused_after_its_data(w):
    c, new, _ = moved(w)
    new.on(rb'SELECT', (SELECTED % b'').replace(b'%T OK [READ-WRITE]', b'%T NO'))
    assert c.cmd(b'SELECT INBOX (QRESYNC (1111 500))')[1] == b'NO selected'
    assert c.cmd(b'FETCH 1 FLAGS')[1].startswith(b'BAD')


def test_new_uidvalidity_changes(w):
    """Then nothing of what was known is true, and nothing is said about it."""
    c, new, _ = moved(w)
    new.on(rb'SELECT', (SELECTED % b'').replace(b'2222', b'2223'))
    lines = c.ok(b'SELECT INBOX (QRESYNC (1111 400))')
    assert asked(new) == b'SELECT "INBOX" (QRESYNC (2222 1))', asked(new)
    assert not [x for x in lines if b'VANISHED' in x] and b'* OK [UIDVALIDITY 2223] UIDs valid' in lines, lines
    high = [x for x in lines if b'HIGHESTMODSEQ' in x]
    assert high == [b'* OK [HIGHESTMODSEQ %d] .' % (75 + SHIFT)], lines
    c.ok(b'SELECT INBOX (QRESYNC (2223 %d))' % (75 + SHIFT))
    assert asked(new) == b'SELECT "INBOX" (QRESYNC (2223 75))', asked(new)
    c.ok(b'SELECT INBOX (QRESYNC (2223 500))')
    assert asked(new) == b'SELECT "INBOX" (QRESYNC (2223 1))', asked(new)


def test_nothing_mapped(w):
    c, new, _ = moved(w)
    c.ok(b'SELECT INBOX')
    lines = c.ok(b'UID FETCH 20:30 (FLAGS) (CHANGEDSINCE 400 VANISHED)')
    assert lines == [b'* VANISHED (EARLIER) 20:30'], lines
    assert c.ok(b'UID FETCH 20:30 (FLAGS) (CHANGEDSINCE %d VANISHED)' % (SHIFT + 75)) == []
    assert not [x for x in new.seen if x.startswith(b'UID FETCH 20')]
    new.on(rb'UID STORE', b'%T OK [MODIFIED 7] .\r\n')
    _, reply = c.cmd(b'UID STORE %d (UNCHANGEDSINCE 400) +FLAGS (a)' % (7 + V))
    assert reply == b'OK [MODIFIED %d] .' % (7 + V), reply
    assert new.saw(rb'UID STORE') == b'UID STORE 7 (UNCHANGEDSINCE 0) +FLAGS (a)'
    new.on(rb'UID STORE', b'* 1 FETCH (FLAGS (a))\r\n%T OK .\r\n')
    c.ok(b'UID STORE $ +FLAGS (a)')
    assert new.seen[-1] == b'UID STORE $ +FLAGS (a)', new.seen[-1]


def test_only_for_who_knows(w):
    """The host may have its own reasons to tell: not everybody is to hear it."""
    user, _, new = person(w)
    with w.client(user) as c:
        c.ok(b'SELECT INBOX')
        new.on(rb'SELECT', SELECTED % b'')
        assert b'* OK [HIGHESTMODSEQ %d] .' % (75 + SHIFT) in c.ok(b'SELECT INBOX')
        said = (b'* 1 FETCH (FLAGS () MODSEQ (80))\r\n* 2 FETCH (MODSEQ (80))\r\n* SEARCH 1 (MODSEQ 80)\r\n* VANISHED 7\r\n'
                b'* ESEARCH (TAG "x") COUNT 1 MODSEQ 80\r\n%T OK .\r\n')
        new.on(rb'NOOP', said)
        assert c.ok(b'NOOP') == [b'* 1 FETCH (FLAGS ())', b'* SEARCH 1'], c.ok(b'NOOP')
        c.ok(b'FETCH 1 (MODSEQ)')
        lines = c.ok(b'NOOP')
        assert lines[:3] == [b'* 1 FETCH (FLAGS () MODSEQ (%d))' % (80 + SHIFT), b'* 2 FETCH (MODSEQ (%d))' % (80 + SHIFT),
                             b'* SEARCH 1 (MODSEQ %d)' % (80 + SHIFT)], lines
        assert not [x for x in lines if b'VANISHED' in x], lines
        assert not [x for x in new.seen if x.startswith(b'ENABLE')]


def test_enable_on_each_connection(w):
    """The connection to old is told when it is opened, and when it is opened again."""
    w.old.caps = OLD + b' ENABLE CONDSTORE'
    c, new, old = moved(w, 'b')
    assert not [x for x in old.seen if x.startswith(b'ENABLE')]
    c.ok(b'STATUS INBOX.b (MESSAGES)')
    c.ok(b'STATUS INBOX.b (MESSAGES)')
    seen = [x for x in old.seen if x.startswith((b'ENABLE', b'STATUS "INBOX.b" (MES'))]
    assert seen == [b'ENABLE CONDSTORE', b'STATUS "INBOX.b" (MESSAGES)', b'STATUS "INBOX.b" (MESSAGES)'], seen
    assert new.seen.count(b'ENABLE QRESYNC') == 1 and b'ENABLE CONDSTORE' not in new.seen, new.seen


SHARED = b'* NAMESPACE (("INBOX." ".")) NIL (("shared." "."))\r\n%T OK .\r\n'
THERE = (b'* FLAGS (\\Seen)\r\n* 3 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 33] .\r\n* OK [UIDNEXT 10] .\r\n'
         b'* OK [HIGHESTMODSEQ 42] .\r\n* VANISHED (EARLIER) 5\r\n* 1 FETCH (UID 4 FLAGS () MODSEQ (42))\r\n'
         b'%T OK [READ-WRITE] selected\r\n')


def shared(w, caps):
    """INBOX on new, shared.x on old; a client with QRESYNC."""
    w.old.caps = OLD + caps
    user, old, new = person(w, 500, 70)
    old.on(rb'NAMESPACE', SHARED)
    old.on(rb'SELECT "?shared', THERE)
    c = w.client(user)
    new.on(rb'ENABLE', b'* ENABLED CONDSTORE QRESYNC\r\n%T OK .\r\n')
    c.ok(b'ENABLE QRESYNC')
    return c, old, new


def test_served_from_old(w):
    """As it is there; leaving it for a mailbox on the other host is told, though neither host can."""
    c, old, new = shared(w, b' UNSELECT ENABLE CONDSTORE QRESYNC')
    lines = c.ok(b'SELECT shared.x (QRESYNC (33 40 1:9))')
    assert asked(old) == b'SELECT "shared.x" (QRESYNC (33 40 1:9))', asked(old)
    assert old.seen[old.seen.index(asked(old)) - 1] == b'ENABLE QRESYNC', old.seen
    assert lines[-2:] == [b'* VANISHED (EARLIER) 5', b'* 1 FETCH (UID 4 FLAGS () MODSEQ (42))'], lines
    assert b'* OK [HIGHESTMODSEQ 42] .' in lines and not [x for x in lines if b'CLOSED' in x], lines
    c.ok(b'UID FETCH 1:* (FLAGS) (CHANGEDSINCE 41 VANISHED)')
    assert old.saw(rb'UID FETCH') == b'UID FETCH 1:* (FLAGS) (CHANGEDSINCE 41 VANISHED)'
    new.on(rb'SELECT', SELECTED % b'')
    lines = [x for x in c.ok(b'SELECT INBOX (QRESYNC (1111 500))') if b'INPROGRESS' not in x]
    assert lines[0].startswith(b'* OK [CLOSED]') and b'* OK [HIGHESTMODSEQ %d] .' % (75 + SHIFT) in lines, lines
    assert asked(new) == b'SELECT "INBOX" (QRESYNC (2222 70))', asked(new)


def test_enable_again(w):
    """Where old lacks UNSELECT its connection is given up, and the next one is told again."""
    c, old, new = shared(w, b' ENABLE CONDSTORE QRESYNC')
    for n in range(1, 4):
        c.ok(b'SELECT shared.x')
        c.ok(b'UNSELECT')
        assert len([x for x in old.seen if x.startswith(b'ENABLE')]) == n, old.seen


def test_served_from_old_without(w):
    """The old host knows nothing of it: nothing of it is said there, and the client is told that it has none."""
    c, old, new = shared(w, b' UNSELECT')
    old.on(rb'SELECT "?shared', SELECTED.replace(b'* OK [HIGHESTMODSEQ 75] .\r\n', b'') % b'')
    for params in (b' (CONDSTORE)', b' (QRESYNC (33 40))', b''):
        lines = c.ok(b'SELECT shared.x' + params)
        assert asked(old) == b'SELECT "shared.x"' and [x for x in lines if x.startswith(b'* OK [NOMODSEQ]')], lines
    assert not [x for x in old.seen if x.startswith(b'ENABLE')]
    assert c.cmd(b'FETCH 1 (MODSEQ)')[1].startswith(b'BAD')
    c.ok(b'SELECT INBOX (CONDSTORE)')
    assert asked(new) == b'SELECT "INBOX" (CONDSTORE)', asked(new)


def test_enable_refused_or_silent(w):
    user, _, new = person(w)
    with w.client(user) as c:
        new.on(rb'ENABLE', b'%T BAD what\r\n')
        assert c.cmd(b'ENABLE QRESYNC') == ([], b'BAD what')
        new.on(rb'ENABLE', b'* ENABLED CONDSTORE\r\n%T OK .\r\n')
        assert c.ok(b'ENABLE CONDSTORE QRESYNC') == [b'* ENABLED CONDSTORE']
        assert c.cmd(b'SELECT INBOX (QRESYNC (1 1))')[1].startswith(b'BAD')


def test_status_where_old_has_none(w):
    user, old, new = person(w, 500, 70, 'b')
    with w.client(user) as c:
        assert c.ok(b'STATUS INBOX.b (UNSEEN HIGHESTMODSEQ)')[0].endswith(b' HIGHESTMODSEQ 0)')
        assert old.saw(rb'STATUS "INBOX.b"') == b'STATUS "INBOX.b" (UNSEEN)'
        assert c.ok(b'STATUS INBOX.b (HIGHESTMODSEQ)')[0].endswith(b' HIGHESTMODSEQ 0)')
        assert not [x for x in old.seen if b'HIGHESTMODSEQ' in x]


def test_asked_at_the_right_moments(w):
    """New before the comparison, old after it and before it is asked for news; asked again when there is news."""
    moving = World(w.binary, NEW, host=MailHost, more='copy { uid_headroom = 1000 settle_seconds = 0 }\n')
    moving.old.caps = OLD + b' CONDSTORE'
    try:
        user, old, new = person(moving, (400, 500), (70, 80, 90))
        old.box().fill(5)
        noops = [0]

        def noop(conn, tag, text):
            noops[0] += 1
            if noops[0] == 2:  # after the first comparison
                old.box().messages[1].flags = b'\\Flagged'
                conn.send(b'* 2 FETCH (FLAGS (\\Flagged))\r\n')
            conn.usual(tag, text)
        old.on(rb'NOOP', noop)
        with moving.client(user) as c:
            c.ok(b'SELECT INBOX')
            short = [x.split(b' ')[0] if b'STATUS' in x else x for x in new.seen
                     if b'HIGHESTMODSEQ' in x or x.startswith((b'UID FETCH', b'UID STORE', b'SELECT'))]
            assert [x.split(b' ')[0] + b' ' + x.split(b' ')[1] if b' ' in x else x for x in short][:7] == \
                [b'SELECT "INBOX"', b'STATUS', b'UID FETCH', b'STATUS', b'STATUS', b'UID FETCH', b'UID STORE'], short
            seen = [x.split(b' ')[0] for x in old.seen if b'HIGHESTMODSEQ' in x or x.startswith((b'UID FETCH', b'NOOP'))]
            assert seen[-6:] == [b'UID', b'STATUS', b'NOOP', b'UID', b'STATUS', b'NOOP'], old.seen
            new.on(rb'ENABLE', b'* ENABLED CONDSTORE QRESYNC\r\n%T OK .\r\n')
            c.ok(b'ENABLE QRESYNC')
            c.ok(b'SELECT INBOX (QRESYNC (1111 500))')
            # the value before the first comparison, which alone looked at all messages
            assert asked(new) == b'SELECT "INBOX" (QRESYNC (2222 70))', asked(new)
            c.ok(b'SELECT INBOX (QRESYNC (1111 400))')
            assert asked(new) == b'SELECT "INBOX" (QRESYNC (2222 1))', asked(new)
    finally:
        moving.stop()


def test_new_does_not_take_a_flag(w):
    """Then nobody is in sync with it who was with old."""
    moving = World(w.binary, NEW, host=MailHost, more='copy { uid_headroom = 1000 settle_seconds = 0 }\n')
    moving.old.caps = OLD + b' CONDSTORE'
    try:
        user, old, new = person(moving)
        old.box().fill(5)
        new.on(rb'UID STORE', b'%T NO [LIMIT] too many keywords\r\n')

        def later(conn, tag, text):
            old.box().messages[1].flags = b'key'
            conn.usual(tag, text)
        old.on(rb'UID FETCH \S+ \(UID FLAGS\)', later)
        with moving.client(user) as c:
            c.ok(b'SELECT INBOX')
            assert b'UID STORE 2 +FLAGS.SILENT (key)' in new.seen, new.seen
            new.on(rb'ENABLE', b'* ENABLED CONDSTORE QRESYNC\r\n%T OK .\r\n')
            c.ok(b'ENABLE QRESYNC')
            c.ok(b'SELECT INBOX (QRESYNC (1111 500))')
            assert asked(new) == b'SELECT "INBOX" (QRESYNC (2222 1))', asked(new)
    finally:
        moving.stop()


def test_numbers_at_their_end(w):
    """Where no shift fits, clients begin anew."""
    user, _, new = person(w, (1 << 62) - 5)
    with w.client(user) as c:
        lines = c.ok(b'SELECT INBOX')
        assert b'* OK [UIDVALIDITY 2222] UIDs valid' in lines, lines
        new.on(rb'SELECT', SELECTED % b'')
        lines = c.ok(b'SELECT INBOX')
        assert b'* OK [HIGHESTMODSEQ 75] .' in lines, lines


class Modseqs(World):
    def __init__(self, binary):
        super().__init__(binary, NEW)
        self.binary = binary


def caps_of(w, name):
    w.old.caps = OLD + b' CONDSTORE' if name != 'status_where_old_has_none' else OLD


if __name__ == '__main__':
    sys.exit(run(globals(), Modseqs, sys.argv[1:], __doc__, caps_of))
