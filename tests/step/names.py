#!/usr/bin/env python3
"""Mailbox names between scripted hosts: a new host that does not tell cases apart, roots and names that are nobody's, replies
in odd forms, and what is asked for where a host lacks an extension.

Run in the build folder (make check does), or with --bin DIR [-k WORD].
"""

import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from front import World  # noqa: E402
from peers import literal  # noqa: E402
from runner import run  # noqa: E402

NEW = (b'IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ UIDPLUS UNSELECT NAMESPACE QUOTA QUOTA=RES-STORAGE ACL RIGHTS=kxte METADATA '
       b'SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED STATUS=SIZE')


def case_blind(new):
    """CREATE and RENAME of what is there in another case are refused."""
    def create(conn, tag, text):
        name = re.findall(rb'"([^"]*)"', text)[-1 if text.startswith(b'RENAME') else 0].decode()
        if name.lower() in [b.lower() for b in new.boxes]:
            conn.send(tag + b' NO [ALREADYEXISTS] there is one\r\n')
            return
        if text.startswith(b'RENAME'):
            new.boxes.remove(re.findall(rb'"([^"]*)"', text)[0].decode())
        new.boxes.append(name)
        conn.send(tag + b' OK done\r\n')
    new.on(rb'CREATE|RENAME', create)


def last(new, word):
    """The last command of that kind; the copy of INBOX sends some as well."""
    return [x for x in new.seen if x.startswith(word)][-1]


def shown(lines):
    return sorted(re.search(rb'"([^"]*)"$', x).group(1) for x in lines if x.startswith(b'* LIST'))


def test_case_blind_host(w):
    """Names that differ in case only never become one mailbox; where new has one spelled otherwise, it is that one."""
    user, old, new = w.person('Case', 'case', 'CASE', 'one', 'case.kid')
    new.boxes.append('ONE')
    case_blind(new)
    with w.client(user) as c:
        assert len(new.boxes) == 6 and {'CASE', 'INBOX', 'ONE'} < set(new.boxes), new.boxes
        assert len({b.lower() for b in new.boxes}) == 6, new.boxes
        want = [b'INBOX', b'INBOX.CASE', b'INBOX.Case', b'INBOX.case', b'INBOX.case.kid', b'INBOX.one']
        assert shown(c.ok(b'LIST "" *')) == want
        # a client makes one later, and renames to one
        c.ok(b'CREATE INBOX.cASE')
        c.ok(b'CREATE INBOX.other')
        c.ok(b'RENAME INBOX.other INBOX.ONe')
        assert shown(c.ok(b'LIST "" *')) == sorted(want + [b'INBOX.cASE', b'INBOX.ONe'])
        # what is there is there
        assert c.cmd(b'CREATE INBOX.cASE')[1].startswith(b'NO [ALREADYEXISTS]')
        new.boxes.append('unseen')
        assert c.cmd(b'CREATE INBOX.unseen')[1].startswith(b'NO [ALREADYEXISTS]')
    with w.client(user) as c:
        assert shown(c.ok(b'LIST "" *')) == sorted(want + [b'INBOX.cASE', b'INBOX.ONe', b'INBOX.unseen'])


def test_create_refused_for_good(w):
    """A refusal that is not about the name is told as it is, and asked for once."""
    user, _, new = w.person()
    with w.client(user) as c:
        new.on(rb'CREATE', b'%T NO [OVERQUOTA] full\r\n')
        assert c.cmd(b'CREATE INBOX.a~b')[1] == b'NO [OVERQUOTA] full'
        new.on(rb'CREATE', b'%T NO not now\r\n')
        assert c.cmd(b'CREATE INBOX.plain')[1] == b'NO not now'
        assert [x for x in new.seen if x.startswith(b'CREATE')] == [b'CREATE "a~b"', b'CREATE "plain"']
        new.on(rb'CREATE', b'%T NO [CANNOT] x~y is no name\r\n')
        assert c.cmd(b'CREATE INBOX.x~y')[1] == b'NO [CANNOT] x~y is no name'
        tried = [x for x in new.seen if x.startswith(b'CREATE')][2:]
        assert tried[:3] == [b'CREATE "x~y"', b'CREATE "x_y"', b'CREATE "x_y_1"'] and len(tried) <= 6, tried
        new.on(rb'CREATE "x~y"', b'%T NO bad name\r\n')
        new.on(rb'CREATE "x_y" \(USE \(\\Sent\)\)', b'%T OK .\r\n')
        c.ok(b'CREATE INBOX.x~y (USE (\\Sent))')


def test_new_only_folders(w):
    """Each gets a name of its own in the view, and keeps it."""
    user, _, new = w.person('a_b', 'Foo')
    new.boxes += ['a.b', 'a_b', 'Foo', 'a_b_2', 'x/y.z', 'x/y_z', 'inbox/sub', 'INBOX/sub.']
    for _ in range(2):
        with w.client(user) as c:
            names = shown(c.ok(b'LIST "" *'))
            assert len(names) == len(set(names)) == len(new.boxes), names
            assert {b'INBOX.a_b', b'INBOX.Foo', b'INBOX.x.y_z'} <= set(names)
            first = names if _ == 0 else first
            assert names == first
            for n, name in enumerate(names):
                c.ok(b'STATUS "%s" (UIDNEXT)' % name)
    asked = {x for x in new.seen if x.startswith(b'STATUS')}
    assert len(asked) >= len(new.boxes) - 3, asked


def test_quota_roots(w):
    user, _, new = w.person('A', 'User quota')
    with w.client(user) as c:
        new.on(rb'GETQUOTAROOT', b'* QUOTAROOT A A "Other root" ' + literal(b'lit"eral') + b' ""\r\n* QUOTA A (STORAGE 1 2)\r\n'
               b'* QUOTA "Other root" (STORAGE 3 4 MESSAGE 5 6)\r\n* QUOTA "" ()\r\n%T OK .\r\n')
        assert c.ok(b'GETQUOTAROOT INBOX.A') == [
            b'* QUOTAROOT "INBOX.A" "INBOX.A" "Other root" "lit\\"eral" ""', b'* QUOTA "INBOX.A" (STORAGE 1 2)',
            b'* QUOTA "Other root" (STORAGE 3 4 MESSAGE 5 6)', b'* QUOTA "" ()']
        # a root that is called like a mailbox of the view, and is none on new
        new.on(rb'GETQUOTAROOT', b'* QUOTAROOT A "INBOX.A"\r\n* QUOTA "INBOX.A" ()\r\n%T OK .\r\n')
        assert c.ok(b'GETQUOTAROOT INBOX.A') == [b'* QUOTAROOT "INBOX.A" "INBOX.A (quota)"', b'* QUOTA "INBOX.A (quota)" ()']
        for root, sent in ((b'INBOX.A', b'"A"'), (b'"INBOX.A (quota)"', b'"INBOX.A"'), (b'"Other root"', b'"Other root"'),
                           (b'""', b'""'), (b'"x (quota)"', b'"x (quota)"')):
            c.ok(b'GETQUOTA ' + root)
            assert last(new, b'GETQUOTA ') == b'GETQUOTA ' + sent, (root, sent)
        # nonsense is not passed on
        new.on(rb'GETQUOTA ', b'* QUOTA\r\n* QUOTA A\r\n* QUOTAROOT\r\n* QUOTA A (STORAGE 1 2) A/x\r\n* QUOTA ((A) B)\r\n%T OK .\r\n')
        assert c.ok(b'GETQUOTA INBOX.A') == []


def test_rights_and_metadata(w):
    user, _, new = w.person('A', 'b c')
    with w.client(user) as c:
        new.on(rb'GETACL', b'* ACL ' + literal(b'A') + b' "some one" lrs ' + literal(b'A') + b' r\r\n%T OK .\r\n')
        assert c.ok(b'GETACL INBOX.A') == [b'* ACL "INBOX.A" "some one" lrs {1}\r\nA r']
        new.on(rb'LISTRIGHTS', b'* LISTRIGHTS A x "" l r s\r\n%T OK .\r\n')
        assert c.ok(b'LISTRIGHTS INBOX.A x') == [b'* LISTRIGHTS "INBOX.A" x "" l r s']
        new.on(rb'MYRIGHTS', b'* myrights "b c" lrs\r\n%T OK .\r\n')
        assert c.ok(b'MYRIGHTS "INBOX.b c"') == [b'* myrights "INBOX.b c" lrs']
        # a value of any length, and changes that were not asked for
        value = b'A b/c \r\n' * 300000
        new.on(rb'GETMETADATA', b'* METADATA "b c" /shared/x\r\n* METADATA A (/private/comment ' + literal(value) +
               b' /shared/x NIL)\r\n* METADATA "" ("/shared/admin" "x")\r\n* METADATA ' + literal(b'b c') +
               b' (/shared/y {0}\r\n)\r\n%T OK [METADATA LONGENTRIES 9] .\r\n')
        got, reply = c.cmd(b'GETMETADATA INBOX.A /private/comment')
        assert got == [b'* METADATA "INBOX.b c" /shared/x', b'* METADATA "INBOX.A" (/private/comment ' + literal(value) +
                       b' /shared/x NIL)', b'* METADATA "" ("/shared/admin" "x")', b'* METADATA "INBOX.b c" (/shared/y {0}\r\n)'], [
                           x[:200] for x in got]
        assert reply == b'OK [METADATA LONGENTRIES 9] .'
        # nobody's mailbox, or no name at all
        new.on(rb'GETMETADATA', b'* METADATA\r\n* METADATA (A)\r\n* ACL\r\n* METADATA ' + literal(b'x' * 3000) + b' ()\r\n%T OK .\r\n')
        assert c.ok(b'GETMETADATA INBOX.A /private/comment') == []
        c.ok(b'SETMETADATA INBOX.A (/private/x {3+}\r\na\r\n /private/y NIL)')
        assert last(new, b'SETMETADATA') == b'SETMETADATA "A" (/private/x {3+}\r\na\r\n /private/y NIL)', new.seen
        c.ok(b'GETMETADATA "" (MAXSIZE 3) /shared/x')
        assert last(new, b'GETMETADATA') == b'GETMETADATA (MAXSIZE 3) "" /shared/x', new.seen


def test_list_asks_for_what_it_needs(w):
    user, _, new = w.person('A')
    with w.client(user) as c:
        for command, sent in ((b'LIST "" *', [b'LIST "" "*" RETURN (SPECIAL-USE)']), (b'LSUB "" *', [b'LSUB "" "*"']),
                              (b'LIST "" * RETURN (CHILDREN)', [b'LIST "" "*"']),
                              (b'LIST (SUBSCRIBED) "" * RETURN (SPECIAL-USE)', [b'LIST "" "*" RETURN (SPECIAL-USE)', b'LSUB "" "*"'])):
            del new.seen[:]
            c.ok(command)
            asked = [x for x in new.seen if x.startswith((b'LIST', b'LSUB'))]
            assert asked == sent, (command, new.seen)
        new.on(rb'LIST', b'* LIST (\\Sent) "/" A\r\n* LIST () "/" INBOX\r\n%T OK .\r\n')
        new.on(rb'LSUB', b'* LSUB () "/" A\r\n* LSUB () "/" gone\r\n* LSUB (\\Noselect) "/" INBOX\r\n%T OK .\r\n')
        assert c.ok(b'LIST (SUBSCRIBED) "" *') == [b'* LIST (\\Subscribed) "." "INBOX.A"',
                                                   b'* LIST (\\NonExistent \\Subscribed) "." "INBOX.gone"']
        assert c.ok(b'LIST (SPECIAL-USE) "" *') == [b'* LIST (\\Sent) "." "INBOX.A"']
        assert c.ok(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" INBOX') == [b'* LIST () "." "INBOX" ("CHILDINFO" ("SUBSCRIBED"))']
        new.on(rb'LIST', b'* LIST () "/" gone/kid\r\n* LIST () "/" level/kid\r\n%T OK .\r\n')
        assert c.ok(b'LIST "" INBOX.% RETURN (SUBSCRIBED CHILDREN)') == [
            b'* LIST (\\NonExistent \\Subscribed \\HasChildren) "." "INBOX.gone"',
            b'* LIST (\\NonExistent \\HasChildren) "." "INBOX.level"']
        new.on(rb'LIST', b'* LIST (\\Sent) "/" A\r\n* LIST () "/" INBOX\r\n%T OK .\r\n')
        new.on(rb'LSUB', b'%T NO not now\r\n')
        assert c.cmd(b'LIST (SUBSCRIBED) "" *') == ([], b'NO not now')
        assert len(c.ok(b'LIST "" *')) == 2


def test_list_status(w):
    """Where a home refuses, its line is left out; the others are told."""
    user, old, new = w.person('A', 'B')
    with w.client(user) as c:
        c.ok(b'SELECT INBOX.A')
        c.ok(b'SELECT INBOX')
        del new.seen[:]
        old.on(rb'STATUS "?INBOX.B"?', b'%T NO not now\r\n')
        lines = c.ok(b'LIST "" * RETURN (STATUS (UIDVALIDITY SIZE MESSAGES))')
        told = sorted(x.split(b' ')[2] for x in lines if x.startswith(b'* STATUS'))
        assert told == [b'INBOX', b'INBOX.A'], lines
        assert {x for x in new.seen if x.startswith(b'STATUS')} == {b'STATUS "INBOX" (UIDVALIDITY SIZE MESSAGES)',
                                                                  b'STATUS "A" (UIDVALIDITY SIZE MESSAGES)'}, new.seen
        assert old.saw(rb'STATUS .*INBOX.B') == b'STATUS "INBOX.B" (UIDVALIDITY MESSAGES)'
        assert all(b'1111' in x for x in lines if x.startswith(b'* STATUS')), lines


def test_old_host_that_says_nothing(w):
    """A listing waits for it a while only, then does without what stays there."""
    user, old, new = w.person('A', 'B')
    old.boxes.append('Public.x')
    old.on(rb'NAMESPACE', b'* NAMESPACE (("INBOX." ".")) NIL (("Public." "."))\r\n%T OK .\r\n')
    with w.client(user) as c:
        c.ok(b'SELECT INBOX')
        silent, serve = [], w.old.serve
        w.old.serve = silent.append
        began = time.monotonic()
        lines = c.ok(b'LIST "" * RETURN (STATUS (MESSAGES))')
        took = time.monotonic() - began
        w.old.serve = serve
        assert 4 < took < 9 and shown(lines) == [b'INBOX', b'INBOX.A', b'INBOX.B'], (took, lines)
        assert [x.split(b' ')[2] for x in lines if x.startswith(b'* STATUS')] == [b'INBOX'], lines
        assert shown(c.ok(b'LIST "" INBOX*')) == [b'INBOX', b'INBOX.A', b'INBOX.B']
        for sock in silent:
            sock.close()
        c.ok(b'NOOP')
    with w.client(user) as c:
        assert b'Public.x' in shown(c.ok(b'LIST "" *'))
        status, = [x for x in c.ok(b'LIST "" Public.* RETURN (STATUS (MESSAGES))') if b'STATUS' in x]
        assert status == b'* STATUS Public.x (MESSAGES 0 UIDNEXT 50 UIDVALIDITY 1111 UNSEEN 0 RECENT 0)', status


class Names(World):
    def __init__(self, binary):
        super().__init__(binary, NEW)


if __name__ == '__main__':
    sys.exit(run(globals(), Names, sys.argv[1:], __doc__))
