"""Dialogues with wherryd, mostly raw: what the old host answered before the move is what the view answers after it."""

import imaplib
import random
import re
import ssl
import threading

from wharf import imap, mail, snapshot
from wharf.imap import fetch_item, numbers, quote
from wharf.world import until


class Scene:
    """An account with INBOX, A, B and `R&D`, still on old; its daemon; what old showed."""

    def __init__(self, w, boxes=None, start=True, **options):
        self.w = w
        self.old, self.new = w.dovecot('.'), w.dovecot('/', store='sdbox')
        self.user = w.user(self.old, self.new)
        w.filled(self.old, self.user, boxes or {(): 30, ('A',): 20, ('B',): 12, ('R&D',): 6, ('A', 'sub'): 3})
        with self.old.connect(self.user) as c:
            self.before = snapshot.Account(c)
        self.d = w.wherryd(self.old, self.new, start=start, **options)

    def connect(self, **more):
        return self.d.connect(self.user, **more)

    def uids(self, name=b'INBOX'):
        return sorted(self.before.mailboxes[name].messages)

    def same(self, c, name, **changes):
        box = snapshot.mailbox(c, name)
        snapshot.must_equal(snapshot.compare_mailbox(name, self.before.mailboxes[name], box, **changes), 'unchanged')


QUERIES = [
    'ALL', '1:*', '*', '5', '5:3', '2:4 UID 1:100000', 'UID 20:10', 'UID 10:20', 'UID *', 'UID *:1', 'UID 1:*',
    'UID 99999:*', 'UID *:99999', 'UID 3,7,11:15,2', 'UID 1', 'NOT UID 5:20', 'NOT (OR UID 3 UID 7:*)',
    'OR (SEEN UID 1:15) (UID 20:*)', 'OR UID 2:4 OR UID 6:8 (NOT UID 1:20 UNDELETED)', 'SEEN', 'KEYWORD NonJunk UID 1:25',
    'UNSEEN UID 4:*', 'SINCE 1-Jan-2010 UID 2:*', 'SUBJECT "anchor" UID 1:*', 'SMALLER 2000 UID 5:*', '(UID 5:9 (UID 6:7))',
    'CHARSET UTF-8 UID 5:20 TEXT "boat"', 'BODY "uid 5" UID 1:*', 'HEADER Subject "UID 3"', 'UID 1:3 DELETED',
    'NOT NOT UID 4:6',
]
FETCHES = ['UID FETCH 1:* (FLAGS)', 'UID FETCH *:1 (FLAGS)', 'UID FETCH 20:10 (UID FLAGS)', 'UID FETCH * (FLAGS)',
           'UID FETCH 99999:* (FLAGS)', 'UID FETCH 1 (FLAGS)', 'UID FETCH 3,9,2:7 (FLAGS RFC822.SIZE)', 'FETCH 1:3 (FLAGS)',
           'FETCH 3:1 (UID FLAGS)', 'FETCH * (UID)', 'FETCH 2 (UID ENVELOPE BODYSTRUCTURE)', 'FETCH 1:* FAST',
           'FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)]', 'FETCH 2 BODY.PEEK[TEXT]<10.30>', 'FETCH 1 (BODY.PEEK[] UID)',
           'FETCH 4 FULL', 'FETCH 5 RFC822.HEADER', 'UID FETCH 1:* INTERNALDATE', 'FETCH 2 (BODY.PEEK[1] BODY.PEEK[MIME])']


def canon(value):
    if isinstance(value, list):
        return [canon(v) for v in value]
    return bytes(value) if value is not None else None


def plain_fetch(rows):
    """FETCH replies in a form that does not depend on the server: items sorted, flags as sets."""
    out = []
    for row in rows:
        items = {}
        for k, v in zip(row[1][::2], row[1][1::2]):
            k = k.upper()
            if k == b'FLAGS':
                v = sorted(snapshot.plain_flags(v))
            elif k == b'INTERNALDATE':
                v = snapshot.instant(v)
            else:
                v = canon(v)
            items[k] = v
        out.append((row[0], items))
    return out


def answers(c, command):
    r = c.cmd(command)
    return (r.status, [[int(n) for n in row] for row in r.lines(b'SEARCH')], plain_fetch(r.lines(b'FETCH')))


def test_search_and_fetch_as_before(w):
    """The same questions to old directly and through wherryd after the move."""
    s = Scene(w)
    with s.old.connect(s.user) as o, s.connect() as c:
        o.select(b'INBOX', b'EXAMINE')
        c.select(b'INBOX')
        asked = ['SEARCH ' + q for q in QUERIES] + ['UID SEARCH ' + q for q in QUERIES] + FETCHES
        bad = []
        for q in asked:
            want, got = answers(o, q), answers(c, q)
            if want != got:
                bad.append('%s\n    old:     %.300r\n    wherryd: %.300r' % (q, want, got))
        assert not bad, '%d of %d answers differ:\n  %s' % (len(bad), len(asked), '\n  '.join(bad[:8]))


def random_set(r, top):
    def one():
        return '*' if r.random() < 0.1 else str(r.choice((r.randint(1, top), r.randint(1, top * 3), 1)))
    return ','.join(one() if r.random() < 0.5 else one() + ':' + one() for _ in range(r.randint(1, 6)))


def random_key(r, top, depth=0):
    pick = r.randint(0, 9 if depth < 3 else 5)
    if pick < 3:
        return 'UID ' + random_set(r, top)
    if pick < 6:
        return r.choice(('SEEN', 'UNSEEN', 'FLAGGED', 'KEYWORD NonJunk', 'LARGER 1000', 'ALL', 'ANSWERED', 'BEFORE 1-Jan-2012'))
    if pick < 7:
        return 'NOT ' + random_key(r, top, depth + 1)
    if pick < 9:
        return 'OR %s %s' % (random_key(r, top, depth + 1), random_key(r, top, depth + 1))
    return '(%s)' % ' '.join(random_key(r, top, depth + 1) for _ in range(r.randint(1, 3)))


def test_random_sets_as_before(w):
    """Seeded random sets and search keys: the answers of old directly."""
    s = Scene(w)
    r = random.Random(20240602)
    top = s.before.mailboxes[b'INBOX'].next
    with s.old.connect(s.user) as o, s.connect() as c:
        o.select(b'INBOX', b'EXAMINE')
        c.select(b'INBOX')
        for _ in range(250):
            q = r.choice(('UID SEARCH ', 'SEARCH ')) + ' '.join(random_key(r, top) for _ in range(r.randint(1, 3)))
            if r.random() < 0.4:
                q = 'UID FETCH %s (FLAGS)' % random_set(r, top)
            want, got = answers(o, q), answers(c, q)
            assert want == got, '%s\n    old:     %r\n    wherryd: %r' % (q, want, got)


def test_search_with_literal(w):
    s = Scene(w)
    with s.connect() as c:
        c.select(b'INBOX')
        all_uids = set(s.uids())
        r = c.cmd([b'UID SEARCH UID 1:* HEADER Subject ', bytearray(b'e'), b' UID 5:*'])
        assert r.ok, r
        assert {int(n) for row in r.lines(b'SEARCH') for n in row} <= {u for u in all_uids if u >= 5}
        r = c.cmd(b'UID SEARCH CHARSET UTF-8 UID 5:* SUBJECT {1+}\r\ne')
        assert r.ok, r


def test_pipelining(w):
    """Everything in one packet, sign-in included: nothing lost, and no command slips past a SELECT. Dovecot answers 3, 4
    and 5 in another order, which it may."""
    s = Scene(w)
    with s.d.connect() as c:
        c.send(b'1 LOGIN %s pw\r\n2 SELECT INBOX\r\n3 UID SEARCH ALL\r\n4 FETCH 1:* (UID FLAGS)\r\n5 STATUS INBOX.A (MESSAGES)\r\n'
               b'6 SELECT INBOX.A\r\n7 UID FETCH 1:* (UID)\r\n8 NOOP\r\n9 UNSELECT\r\n10 LOGOUT\r\n' % s.user.encode())
        lines = [x.text for x in c.expect_eof()]
        tags = [m.group(1) for m in (re.match(rb'(\d+) (OK|NO|BAD)', x) for x in lines) if m]
        assert sorted(map(int, tags)) == list(range(1, 11)), lines
        order = [int(t) for t in tags if t not in (b'3', b'4', b'5')]
        assert order == [1, 2, 6, 7, 8, 9, 10] and set(tags[2:5]) == {b'3', b'4', b'5'}, tags
        assert all(re.match(rb'\d+ OK|\*', x) for x in lines), lines
        search = [x for x in lines if x.startswith(b'* SEARCH')][0]
        assert [int(n) for n in search.split()[2:]] == s.uids()


def test_byte_by_byte(w):
    """A client on a very slow line."""
    s = Scene(w)
    with s.d.connect() as c:
        text = (b'1 LOGIN {%d}\r\n%s {2+}\r\npw\r\n2 SELECT "INBOX"\r\n3 UID FETCH 1:* (FLAGS)\r\n4 LOGOUT\r\n'
                % (len(s.user), s.user.encode()))
        for b in text:
            c.send(bytes([b]))
        lines = [x.text for x in c.expect_eof()]
        assert [x[:4] for x in lines if x[:1].isdigit()] == [b'1 OK', b'2 OK', b'3 OK', b'4 OK'], lines


def test_literals(w):
    s = Scene(w)
    with s.connect() as c:
        r = c.cmd([b'SELECT ', bytearray(b'INBOX.A')])
        assert r.ok and int(r.codes(b'UIDVALIDITY')[0]) == s.before.mailboxes[b'INBOX.A'].validity
        assert c.cmd(b'SELECT {7+}\r\nINBOX.B').ok
        assert c.cmd([b'STATUS ', bytearray(b'INBOX.A'), b' (MESSAGES)']).ok
        # A folder name with everything in it, as a literal.
        assert c.cmd([b'CREATE ', bytearray(b'INBOX.q"u\\o')]).ok
        assert b'INBOX.q"u\\o' in [n for _, _, n in c.list()]
        body = mail.message('lit', 3000)
        for plus in (False, True):
            r = c.append(b'INBOX.A', body, b'\\Seen', mail.DATES[0], plus)
            assert r.ok and r.code.startswith(b'APPENDUID'), r
        r = c.cmd([b'APPEND ', bytearray(b'INBOX.A'), b' ', bytearray(body)])
        assert r.ok, r


def test_append(w):
    """APPENDUID names the message that was appended; the first APPEND moves the mailbox."""
    s = Scene(w)
    with s.connect() as c:
        box = s.before.mailboxes[b'INBOX.A']
        bodies = [mail.message('app-%d' % n, 500 * (n + 1)) for n in range(4)]
        uids = []
        for b in bodies:
            r = c.append(b'INBOX.A', b, b'\\Flagged key', mail.DATES[1])
            m = re.match(rb'APPENDUID (\d+) (\d+)$', r.code)
            assert r.ok and m, r
            assert int(m.group(1)) == box.validity, (m.group(1), box.validity)
            uids.append(int(m.group(2)))
        assert uids == sorted(uids) and uids[0] >= box.next
        now = snapshot.mailbox(c, b'INBOX.A')
        for u, b in zip(uids, bodies):
            m = now.messages.pop(u)
            assert m.size == len(b) and m.flags == {b'\\flagged', b'key'} and m.date == snapshot.instant(mail.DATES[1]), m
        snapshot.must_equal(snapshot.compare_mailbox('A', box, now), 'the old ones')
        c.no(b'APPEND INBOX.NoSuch {4+}\r\na: b', b'TRYCREATE')
        # selected: EXISTS shows up
        c.select(b'INBOX.B')
        r = c.append(b'INBOX.B', bodies[0])
        assert r.ok
        c.noop_until(lambda x: True)
        assert int(c.ok(b'UID SEARCH UID ' + r.code.split()[-1]).lines(b'SEARCH')[0][0]) == int(r.code.split()[-1])


def copyuid(r):
    m = re.search(rb'\[COPYUID (\d+) (\S+) ([^\]]+)\]', b' '.join([x.text for x in r.untagged] + [r.text]))
    assert m, r
    return int(m.group(1)), numbers(m.group(2)), numbers(m.group(3))


def check_copied(s, c, r, source, target, want):
    """COPYUID r names what is now in target."""
    validity, a, b = copyuid(r)
    assert validity == s.before.mailboxes[target].validity
    assert sorted(a) == sorted(want) and len(a) == len(b), (a, b, want)
    now = snapshot.mailbox(c, target)
    for x, y in zip(a, b):
        assert y >= s.before.mailboxes[target].next
        assert now.messages[y] == s.before.mailboxes[source].messages[x], (x, y)


def test_copy_between_moved(w):
    s = Scene(w)
    with s.connect() as c:
        c.select(b'INBOX.B')
        c.select(b'INBOX.A')
        some = s.uids(b'INBOX.A')[2:9]
        r = c.ok('UID COPY %d:%d INBOX.B' % (some[-1], some[0]))
        check_copied(s, c, r, b'INBOX.A', b'INBOX.B', some)
        c.select(b'INBOX.A')
        r = c.ok(b'COPY 1:2 "INBOX.B"')
        check_copied(s, c, r, b'INBOX.A', b'INBOX.B', s.uids(b'INBOX.A')[:2])
        c.select(b'INBOX.A')
        r = c.ok(b'UID COPY 1:* INBOX.A')
        validity, a, b = copyuid(r)
        assert a == s.uids(b'INBOX.A') and len(b) == len(a)
        c.no(b'UID COPY 1:* INBOX.NoSuch', b'TRYCREATE')
        assert c.ok(b'UID COPY 99998:99999 INBOX.B').ok


def test_copy_to_unmoved(w):
    """COPY touches its target."""
    s = Scene(w)
    with s.connect() as c:
        c.select(b'INBOX.A')
        some = s.uids(b'INBOX.A')[:5]
        r = c.ok('UID COPY %s INBOX.R&-D' % ','.join(map(str, some)))
        check_copied(s, c, r, b'INBOX.A', b'INBOX.R&-D', some)
        now = snapshot.mailbox(c, b'INBOX.R&-D')
        gone = set(s.before.mailboxes[b'INBOX.R&-D'].messages) - set(now.messages)
        assert not gone


def test_move(w):
    s = Scene(w)
    with s.connect() as c:
        if b'MOVE' not in c.capability():
            raise AssertionError('MOVE is not offered')
        c.select(b'INBOX.A')
        uids = s.uids(b'INBOX.A')
        r = c.ok('UID MOVE %d:%d INBOX.B' % (uids[1], uids[3]))
        gone = [int(v[0]) for v in r.lines(b'EXPUNGE')]
        assert len(gone) == 3, r
        check_copied(s, c, r, b'INBOX.A', b'INBOX.B', uids[1:4])
        now = snapshot.mailbox(c, b'INBOX.A')
        assert sorted(now.messages) == [uids[0]] + uids[4:]
        c.select(b'INBOX.A')
        r = c.ok(b'MOVE 1 INBOX.R&-D')  # not moved yet
        check_copied(s, c, r, b'INBOX.A', b'INBOX.R&-D', uids[:1])


def test_store_and_expunge(w):
    s = Scene(w)
    uids = s.uids()
    with s.connect() as c, s.connect() as other:
        c.select(b'INBOX')
        other.select(b'INBOX')
        r = c.ok('UID STORE %d:%d +FLAGS (\\Answered mine)' % (uids[0], uids[2]))
        got = {int(fetch_item(v, b'UID')): fetch_item(v, b'FLAGS') for v in r.lines(b'FETCH')}
        assert sorted(got) == uids[:3] and all(b'mine' in f for f in got.values()), r
        r = c.ok('UID STORE %d FLAGS.SILENT ()' % uids[4])
        assert not r.lines(b'FETCH')
        c.ok('UID STORE 1:%d -FLAGS (\\Deleted)' % uids[-1])
        c.ok('UID STORE %d,%d +FLAGS (\\Deleted)' % (uids[5], uids[7]))
        r = c.ok('UID EXPUNGE %d' % uids[5])
        assert [int(v[0]) for v in r.lines(b'EXPUNGE')] == [6], r
        r = other.noop_until(lambda x: x.lines(b'EXPUNGE'))
        assert [int(v[0]) for v in r.lines(b'EXPUNGE')] == [6]
        r = c.ok(b'EXPUNGE')
        assert len(r.lines(b'EXPUNGE')) == 1
        now = snapshot.mailbox(c, b'INBOX')
        assert sorted(now.messages) == [u for u in uids if u not in (uids[5], uids[7])]
        assert now.messages[uids[0]].flags >= {b'\\answered', b'mine'} and not now.messages[uids[4]].flags
        c.select(b'INBOX')
        c.ok(b'STORE 1 +FLAGS.SILENT (\\Deleted)')
        c.ok(b'CLOSE')
        assert uids[0] not in snapshot.mailbox(c, b'INBOX').messages
        c.ok(b'CHECK')


def test_examine_is_read_only(w):
    s = Scene(w)
    with s.connect() as c:
        r = c.select(b'INBOX', b'EXAMINE')
        assert r.code == b'READ-ONLY', r
        assert not c.cmd(b'STORE 1 +FLAGS (\\Deleted)').ok or not c.ok(b'EXPUNGE').lines(b'EXPUNGE')
        r = c.select(b'INBOX')
        assert r.code == b'READ-WRITE', r


def test_idle(w):
    """IDLE sees a delivery to the new host, and a change of flags by another session."""
    s = Scene(w)
    with s.connect() as c, s.new.connect(s.user) as side, s.connect() as third:
        c.select(b'INBOX')
        n = len(s.uids())
        tag = c.start(b'IDLE')
        c.expect(rb'\+')
        side.append(b'INBOX', mail.message('delivered'))
        m, _ = c.expect(rb'\* (\d+) EXISTS')
        assert int(m.group(1)) == n + 1
        third.select(b'INBOX')
        third.ok(b'STORE 1 +FLAGS (seen-by-third)')
        c.expect(rb'\* 1 FETCH .*seen-by-third')
        c.send(b'DONE\r\n')
        assert c.finish(tag).ok
        now = snapshot.mailbox(c, b'INBOX')
        uid = max(now.messages)
        assert len(now.messages) == n + 1 and uid >= s.before.mailboxes[b'INBOX'].next
        # pipelined IDLE and DONE
        c.send(b'x IDLE\r\n')
        c.expect(rb'\+')
        c.send(b'DONE\r\ny NOOP\r\n')
        c.expect(rb'x OK')
        c.expect(rb'y OK')


def test_status(w):
    """STATUS of an unmoved mailbox is old's answer and moves nothing; after the move it is the view's."""
    s = Scene(w)
    items = b' (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)'

    def status(c, name):
        v = c.ok(b'STATUS ' + quote(name) + items).lines(b'STATUS')[0]
        assert v[0] == name, v
        got = {k.upper(): int(x) for k, x in zip(v[1][::2], v[1][1::2])}
        assert len(got) == 5, got
        del got[b'RECENT']
        return got
    with s.old.connect(s.user) as o, s.connect() as c:
        want = {n: status(o, n) for n in s.before.mailboxes}
        got = {n: status(c, n) for n in s.before.mailboxes if n != b'INBOX'}
        assert all(got[n] == want[n] for n in got), (got, want)
        states = {m['name']: m['state'] for m in s.d.ctl_json('account', s.user)['mailboxes']}
        assert states['INBOX.A'] == 'untouched', states
        c.select(b'INBOX.A')
        after = status(c, b'INBOX.A')
        assert after.pop(b'UIDNEXT') >= want[b'INBOX.A'].pop(b'UIDNEXT') and after == want[b'INBOX.A']
        c.no(b'STATUS INBOX.NoSuch (MESSAGES)')


def names(c, what=b'LIST', pattern=b'*', ref=b''):
    return sorted(n for _, _, n in c.list(what, ref, pattern))


def test_list_patterns(w):
    """Patterns and references mean what they meant on old."""
    s = Scene(w, boxes={(): 1, ('A',): 1, ('A', 'sub'): 1, ('A', 'sub', 'deep'): 0, ('AB',): 0, ('x/y',): 1, ('R&D',): 0})
    with s.old.connect(s.user) as o, s.connect() as c:
        for what in (b'LIST', b'LSUB'):
            for ref, pattern in ((b'', b'*'), (b'', b'%'), (b'', b'INBOX'), (b'', b'inbox'), (b'', b'INBOX.%'), (b'', b'INBOX.*'),
                                 (b'INBOX.', b'%'), (b'INBOX.', b'*'), (b'INBOX.A', b'%'), (b'INBOX.A.', b'%'), (b'', b'INBOX.A%'),
                                 (b'', b'INBOX.A*'), (b'', b'*sub'), (b'', b'%.%.%'), (b'', b'INBOX.x/y'), (b'', b'INBOX.x%'),
                                 (b'', b'NoSuch'), (b'', b'INBOX.R&-D'), (b'', b'*.sub.*')):
                assert names(o, what, pattern, ref) == names(c, what, pattern, ref), (what, ref, pattern)
        want, got = o.ok(b'LIST "" ""').lines(b'LIST'), c.ok(b'LIST "" ""').lines(b'LIST')
        assert [v[1] for v in want] == [v[1] for v in got], (want, got)
        assert o.ok(b'NAMESPACE').lines(b'NAMESPACE')[0][0] == c.ok(b'NAMESPACE').lines(b'NAMESPACE')[0][0]
        kids = {n: f & {b'\\haschildren', b'\\hasnochildren'} for f, _, n in o.list()}
        assert kids == {n: f & {b'\\haschildren', b'\\hasnochildren'} for f, _, n in c.list()}


def test_structure(w):
    """CREATE, RENAME, DELETE, SUBSCRIBE: in the names of the view, on the new host, and the contents follow."""
    s = Scene(w)
    with s.connect() as c, s.new.connect(s.user) as n:
        c.ok(b'CREATE INBOX.Made')
        c.ok(b'CREATE "INBOX.With space.And below"')
        assert {b'INBOX.Made', b'INBOX.With space.And below'} <= set(names(c))
        assert {b'Made', b'With space/And below'} <= set(names(n))
        assert c.append(b'INBOX.Made', mail.message('made')).ok
        assert c.no(b'CREATE INBOX.Made')
        c.ok(b'SUBSCRIBE INBOX.Made')
        assert b'INBOX.Made' in names(c, b'LSUB')
        c.ok(b'UNSUBSCRIBE INBOX.Made')
        assert b'INBOX.Made' not in names(c, b'LSUB')
        # RENAME of a mailbox that is still on old, with an inferior
        c.ok(b'RENAME INBOX.A INBOX.Z')
        assert not {b'INBOX.A', b'INBOX.A.sub'} & set(names(c)) and {b'INBOX.Z', b'INBOX.Z.sub'} <= set(names(c))
        for was, now in ((b'INBOX.A', b'INBOX.Z'), (b'INBOX.A.sub', b'INBOX.Z.sub')):
            box = snapshot.mailbox(c, now)
            snapshot.must_equal(snapshot.compare_mailbox(now, s.before.mailboxes[was], box), 'renamed')
        # DELETE of one on old, then another of that name: never the same UIDVALIDITY
        c.ok(b'DELETE INBOX.B')
        assert b'INBOX.B' not in names(c)
        c.no(b'SELECT INBOX.B')
        c.ok(b'CREATE INBOX.B')
        box = snapshot.mailbox(c, b'INBOX.B')
        assert not box.messages and box.validity > s.before.mailboxes[b'INBOX.B'].validity, box.validity
        # and of one that has moved
        snapshot.mailbox(c, b'INBOX.R&-D')
        c.ok(b'DELETE INBOX.R&-D')
        c.ok(b'CREATE INBOX.R&-D')
        box = snapshot.mailbox(c, b'INBOX.R&-D')
        assert not box.messages and box.validity > s.before.mailboxes[b'INBOX.R&-D'].validity
        c.no(b'DELETE INBOX.NoSuch')
        c.no(b'RENAME INBOX.NoSuch INBOX.Other')
        assert not c.cmd(b'DELETE INBOX').ok
    s.d.stop()
    s.d.start()
    with s.connect() as c:
        assert {b'INBOX.Z', b'INBOX.Z.sub', b'INBOX.Made', b'INBOX.B'} <= set(names(c)) and b'INBOX.A' not in names(c)
        snapshot.must_equal(snapshot.compare_mailbox('Z', s.before.mailboxes[b'INBOX.A'], snapshot.mailbox(c, b'INBOX.Z')), 'Z')
    with s.old.connect(s.user) as o:
        snapshot.must_equal(snapshot.compare(s.before, snapshot.Account(o)), 'the old host')


def test_rename_inbox(w):
    """RENAME INBOX: refused, or the messages are in the new mailbox and INBOX is empty and there."""
    s = Scene(w, boxes={(): 12})
    with s.connect() as c:
        c.select(b'INBOX')
        c.ok(b'UNSELECT')
        r = c.cmd(b'RENAME INBOX INBOX.Was')
        there = names(c)
        assert b'INBOX' in there
        if r.ok:
            want = [m.digest for m in s.before.mailboxes[b'INBOX'].messages.values()]
            assert [m.digest for m in snapshot.mailbox(c, b'INBOX.Was').messages.values()] == want
            now = snapshot.mailbox(c, b'INBOX')
            assert not now.messages or now.validity != s.before.mailboxes[b'INBOX'].validity, now.messages
        else:
            assert b'INBOX.Was' not in there
            s.same(c, b'INBOX')


def test_uidvalidity_of_new_changes(w):
    """Somebody replaces a moved mailbox on new: the view gets a higher UIDVALIDITY, and says no lie about UIDs."""
    s = Scene(w)
    with s.connect() as c, s.new.connect(s.user) as n:
        s.same(c, b'INBOX.A')
        c.ok(b'UNSELECT')
        n.ok(b'RENAME A Elsewhere')
        n.ok(b'CREATE A')
        for k in range(3):
            n.append(b'A', mail.message('other-%d' % k))
        now = snapshot.mailbox(c, b'INBOX.A')
        assert now.validity > s.before.mailboxes[b'INBOX.A'].validity, now.validity
        assert len(now.messages) == 3
        uid = sorted(now.messages)[1]
        c.select(b'INBOX.A')
        assert len(c.ok(b'UID FETCH %d (FLAGS)' % uid).lines(b'FETCH')) == 1
        again = snapshot.mailbox(c, b'INBOX.A')
        assert again.validity == now.validity and sorted(again.messages) == sorted(now.messages)


def test_ten_sessions_of_one_person(w):
    """As many as Dovecot gives one person from one address: the daemon does not need more for them."""
    s = Scene(w, boxes={(): 10, ('A',): 10})
    held = []
    try:
        with s.connect() as c:
            s.same(c, b'INBOX')
            s.same(c, b'INBOX.A')
        for k in range(10):
            c = s.connect()
            held.append(c)
            c.select((b'INBOX', b'INBOX.A')[k % 2])
        for c in held:
            c.ok(b'NOOP')
    finally:
        for c in held:
            c.close()


def test_old_host_goes_away(w):
    """What has moved is served on; what has not is refused in a word, until the old host is back."""
    s = Scene(w, start=False)
    s.old = w.dovecot('.', extra='# goes away in its test')
    s.user = w.user(s.old, s.new)
    w.filled(s.old, s.user, {(): 12, ('A',): 8, ('B',): 5})
    with s.old.connect(s.user) as o:
        s.before = snapshot.Account(o)
    s.d = w.wherryd(s.old, s.new, more={'copy': 'retry_seconds = 1\n'})
    with s.connect() as c:
        s.same(c, b'INBOX')
        s.old.stop()
        s.same(c, b'INBOX')
        assert c.append(b'INBOX', mail.message('meanwhile')).ok
        c.no(b'SELECT INBOX.A')
        c.no(b'STATUS INBOX.B (MESSAGES)')
        c.ok(b'LIST "" *')
        assert c.select(b'INBOX').ok
        s.old.start()

        def back():
            return c.cmd(b'SELECT INBOX.A').ok
        until(back, 20, 'the mailbox to move')
        s.same(c, b'INBOX.A')
    with s.connect() as c:  # the session from before lets the old host rest for half a minute
        assert c.cmd(b'STATUS INBOX.B (MESSAGES)').ok


def test_made_on_new(w):
    """A mailbox that somebody made on new directly shows up in the view."""
    s = Scene(w)
    with s.new.connect(s.user) as n:
        n.ok(b'CREATE Elsewhere/below')
        n.append(b'Elsewhere/below', mail.message('elsewhere'))
    with s.connect() as c:
        assert b'INBOX.Elsewhere.below' in names(c), names(c)
        assert len(snapshot.mailbox(c, b'INBOX.Elsewhere.below').messages) == 1


def test_two_sessions_one_copy(w):
    """Two clients select the same mailbox at once: one copy, both are served."""
    s = Scene(w, boxes={(): 60, ('A',): 3})
    results, errors = [], []

    def go():
        try:
            with s.connect() as c:
                c.select(b'INBOX')
                s.same(c, b'INBOX')
                results.append(1)
        except Exception as e:
            errors.append(e)
    threads = [threading.Thread(target=go) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert len(results) == 4, errors
    with s.new.connect(s.user) as n:
        assert len(snapshot.mailbox(n, b'INBOX').messages) == len(s.uids())


def test_client_leaves_during_the_copy(w):
    """The copy goes on without the client that began it."""
    s = Scene(w, boxes={(): 80}, start=False)
    d = s.d = w.wherryd(s.old, w.via(s.new, rate=100000), new_tls='none')
    c = s.connect()
    c.start(b'SELECT INBOX')
    until(lambda: d.new.relay.up > 60000, what='the copy to begin')
    c.close()
    until(lambda: d.ctl_json('status')['mailboxes'].get('moved'), 60, 'the copy to end')
    with s.connect() as c:
        s.same(c, b'INBOX')


def test_progress(w):
    """* OK [INPROGRESS ("tag" done total)] while a copy takes its time, and STATUS elsewhere is answered meanwhile."""
    s = Scene(w, boxes={(): 120, ('A',): 4}, start=False)
    d = s.d = w.wherryd(s.old, w.via(s.new, rate=80000), new_tls='none', more={'copy': 'progress_seconds = 1\n'})
    with s.connect() as c, s.connect() as other:
        tag = c.start(b'SELECT INBOX', tag=b'sel1')
        m, _ = c.expect(rb'\* OK \[INPROGRESS \("sel1" (\d+) (\d+)\)\]')
        assert int(m.group(2)) == len(s.uids()) and 0 <= int(m.group(1)) <= int(m.group(2)), m.group(0)
        assert other.ok(b'STATUS INBOX.A (MESSAGES)').lines(b'STATUS')
        first = int(m.group(1))
        m, _ = c.expect(rb'\* OK \[INPROGRESS \("sel1" (\d+) (\d+)\)\]')
        assert int(m.group(1)) >= first
        d.new.relay.rate = None
        assert c.finish(tag).ok
        s.same(c, b'INBOX')


def test_many_sessions(w):
    """Thirty clients of three accounts at once."""
    scenes = [Scene(w, boxes={(): 12, ('A',): 8}, start=False) for _ in range(3)]
    d = w.wherryd(scenes[0].old, scenes[0].new)
    failed = []

    def go(s, name):
        try:
            with d.connect(s.user) as c:
                for _ in range(3):
                    s.same(c, name)
                    c.ok(b'LIST "" *')
        except Exception as e:
            failed.append('%s %s: %r' % (s.user, name, e))
    threads = [threading.Thread(target=go, args=(scenes[i % 3], (b'INBOX', b'INBOX.A')[i % 2])) for i in range(18)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(90)
    assert not failed, failed[:3]


def test_capability(w):
    """What the translator does not know is not offered."""
    s = Scene(w)
    with s.connect() as c:
        caps = c.capability()
        must = {b'IMAP4REV1', b'UIDPLUS', b'IDLE', b'NAMESPACE', b'UNSELECT', b'CHILDREN', b'ENABLE', b'ID', b'MOVE',
                b'COMPRESS=DEFLATE'}
        assert must <= caps, must - caps
        never = {b'LITERAL+', b'OBJECTID', b'NOTIFY', b'URLAUTH', b'URLAUTH=BINARY', b'UIDONLY', b'CATENATE', b'STARTTLS',
                 b'LOGINDISABLED', b'CONTEXT=SEARCH', b'LOGIN-REFERRALS'}
        assert not never & caps, never & caps
        assert c.cmd(b'ID ("name" "test")').ok and c.cmd(b'ID NIL').ok
        c.ok(b'ENABLE CONDSTORE')
        assert not c.cmd(b'LOGIN a b').ok
        assert not c.cmd(b'FETCH 1 FLAGS').ok
        c.select(b'INBOX')
        c.ok(b'UNSELECT')
        assert not c.cmd(b'FETCH 1 FLAGS').ok
        c.no(b'SELECT INBOX.NoSuch')
        assert not c.cmd(b'FETCH 1 FLAGS').ok


def test_imaplib(w):
    """Python's own client from end to end."""
    s = Scene(w)
    context = ssl.create_default_context(cafile=w.place.ca)
    with imaplib.IMAP4_SSL('localhost', s.d.tls_port, ssl_context=context) as m:
        m.login(s.user, 'pw')
        assert m.select('INBOX.A')[1] == [b'%d' % len(s.uids(b'INBOX.A'))]
        typ, data = m.uid('SEARCH', None, 'ALL')
        assert [int(x) for x in data[0].split()] == s.uids(b'INBOX.A')
        typ, data = m.uid('FETCH', '1:*', '(FLAGS BODY.PEEK[])')
        assert typ == 'OK' and len([x for x in data if isinstance(x, tuple)]) == len(s.uids(b'INBOX.A'))
        assert m.append('INBOX.A', '(\\Seen)', None, mail.message('imaplib'))[0] == 'OK'
        assert m.noop()[0] == 'OK'


def test_big_message_streams(w):
    """A message of 30 MB through the daemon both ways, with a peak of memory far below it."""
    s = Scene(w, boxes={(): 2})
    body = mail.message('30MB', 30 << 20)
    with s.old.connect(s.user) as o:
        o.append(b'INBOX', body, plus=True)
    with s.connect() as c:
        c.select(b'INBOX')
        r = c.ok(b'FETCH * (UID BODY.PEEK[])')
        assert bytes(fetch_item(r.lines(b'FETCH')[0], b'BODY[]')) == body
        r = c.append(b'INBOX', body)
        assert r.ok, r
        r = c.ok(b'UID FETCH ' + r.code.split()[-1] + b' RFC822.SIZE')
        assert int(fetch_item(r.lines(b'FETCH')[0], b'RFC822.SIZE')) == len(body)
    # A build with sanitizers keeps freed memory and shadow pages, hence not the 32 MiB of a release.
    assert s.d.peak_kib() < 160 * 1024, s.d.peak_kib()
